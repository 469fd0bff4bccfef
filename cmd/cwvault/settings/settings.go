// Package settings reads cwvault's settings and makes from them what a run
// needs. It is the one place that knows every adapter: connectwise, the vaults,
// and the journal.
//
// Settings come from the environment, and from a file of them where one is
// named; see [Environment]. [Load] reads all of them and collects every problem,
// by the variable's name and never with a secret's value. [Settings.Connect]
// makes the clients, which adds what they find wrong; nothing is sent by that.
//
// # Adding a setting
//
// Add a field with its variable to the environment struct and its default to
// defaults (env.go), understand it in parse.go, and hand it to whom it concerns
// in connect.go. The README's table is checked against [Names].
package settings

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/sethvargo/go-envconfig"

	"cwvault/scheduler"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/run"
)

// Settings are the settings, understood. They do not change.
type Settings struct {
	env     environment
	environ []string

	rules       sync.Settings
	createRoot  bool
	runOnStart  bool
	schedule    scheduler.Schedule
	jitter      time.Duration
	settle      time.Duration
	gather      time.Duration // how long callbacks are gathered
	tickets     bool
	workers     int
	keepRuns    int
	secretID    int // 0: the keys are in the settings
	nameLength  int // 0: the vault's own
	logLevel    hclog.Level
	logJSON     bool
	listenLocal bool

	// problems are what is wrong so far. [Settings.Connect] adds what the
	// clients find wrong, so that all of it is told at once.
	problems sync.Problems
	times    Times
}

// Times is what runs on time. The zero value is what everybody uses; tests give
// their own.
type Times struct {
	Clock run.Clock
	// LeaseLife and LeaseRenewal are the journal's; see there.
	LeaseLife, LeaseRenewal time.Duration
}

// Load reads the settings of an environment. What is wrong with them is told by
// [Settings.Connect], together with what the clients find wrong; the error is
// for anything else.
func Load(ctx context.Context, environ []string, times Times) (*Settings, error) {
	s := &Settings{env: defaults, environ: environ, times: times}
	lookup := settingsLookup{env: map[string]string{}, problems: &s.problems}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		lookup.env[name] = value
	}
	err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: &s.env, Lookuper: lookup, DefaultOverwrite: true})
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	s.parse()
	return s, nil
}

// LogOptions returns how to log.
func (s *Settings) LogOptions() *hclog.LoggerOptions {
	return &hclog.LoggerOptions{Name: "cwvault", Level: s.logLevel, JSONFormat: s.logJSON}
}

// Unknown returns variables that look like settings and are none.
func (s *Settings) Unknown() []string { return unknown(s.environ) }

// Token returns the service's token, or the problem with it. Whoever only asks
// a service needs no other setting.
func (s *Settings) Token() (Secret, error) {
	for _, p := range s.problems {
		if strings.HasPrefix(p.Setting, "CWVAULT_TOKEN") {
			return "", p
		}
	}
	return s.env.Token, nil
}

// Rules returns what the core goes by.
func (s *Settings) Rules() sync.Settings { return s.rules }

// Root returns the path of the root, as set.
func (s *Settings) Root() string { return s.env.Root }

// Tenant returns the ConnectWise login company id.
func (s *Settings) Tenant() string { return s.env.ConnectWiseCompany }

// SettingsError is all that is wrong with the settings.
type SettingsError struct{ Problems sync.Problems }

func (e *SettingsError) Error() string {
	return "settings:\n  " + strings.ReplaceAll(e.Problems.Error(), "\n", "\n  ")
}

// Unwrap makes it a problem of settings.
func (e *SettingsError) Unwrap() error { return e.Problems }

// Journal opens the journal. One that is writable is made where there is none.
func (s *Settings) Journal(ctx context.Context, writable bool) (*journal.Journal, error) {
	open := journal.OpenReadOnly
	if writable {
		open = journal.Open
	}
	j, err := open(ctx, s.env.State, journal.Options{Now: s.times.Clock, LeaseLife: s.times.LeaseLife, LeaseRenewal: s.times.LeaseRenewal})
	if err != nil {
		return nil, fmt.Errorf("CWVAULT_STATE: %w", err)
	}
	return j, nil
}

// layout is what of the settings lays the tree out: when it changes, the plan
// waits for approval.
func (s *Settings) layout() string {
	return strings.Join([]string{s.rules.Structure.String(), s.rules.Name.String(), s.env.Types, s.env.Statuses, s.env.Exclude, s.env.TypePriority, s.env.Missing}, "\n")
}

// options is what a runner needs of the settings.
func (s *Settings) options() run.Options {
	return run.Options{Settings: s.rules, Layout: s.layout(), CreateRoot: s.createRoot, Settle: s.settle, Workers: s.workers, KeepDays: s.keepRuns}
}
