// Package settings reads cwvault's settings and makes the clients and the runner from
// them. It is the only package that knows every adapter: connectwise, the vaults, and
// the journal.
//
// Settings come from the environment and from a settings file; see [Environment].
// [Load] reads them and collects every problem, by the variable's name and never with
// a secret's value. [Settings.Connect] makes the clients and adds the problems that
// they find. It sends nothing.
//
// # Adding a setting
//
// Add a field with its variable to the environment struct and its default to
// defaults (env.go). Parse it in parse.go. Pass it on in Settings.options
// (settings.go), connect.go or service.go. A test checks the README's table against
// [Names].
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

// Settings are the parsed settings. They do not change.
type Settings struct {
	env     environment
	environ []string

	rules       sync.Settings
	createRoot  bool
	runOnStart  bool
	schedule    scheduler.Schedule
	jitter      time.Duration
	settle      time.Duration
	gather      time.Duration // how long to gather callbacks
	tickets     bool
	workers     int
	keepRuns    int
	secretID    int // 0: the keys are in the settings
	nameLength  int // 0: the vault's own
	logLevel    hclog.Level
	logJSON     bool
	listenLocal bool

	// problems are the problems so far. [Settings.Connect] adds those that the
	// clients find, so that a user sees all at once.
	problems sync.Problems
	times    Times
}

// Times holds clocks and durations that tests replace. Everybody else uses the zero
// value.
type Times struct {
	Clock run.Clock
	// LeaseLife and LeaseRenewal are those of [journal.Options].
	LeaseLife, LeaseRenewal time.Duration
}

// Load reads the settings of an environment. [Settings.Connect] returns their
// problems, together with those that the clients find. The error is for anything
// else.
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

// Unknown returns the variables that look like settings but are none.
func (s *Settings) Unknown() []string { return unknown(s.environ) }

// Token returns the service's token, or the problem with it. A client of a service
// needs no other setting.
func (s *Settings) Token() (Secret, error) {
	for _, p := range s.problems {
		if strings.HasPrefix(p.Setting, "CWVAULT_TOKEN") {
			return "", p
		}
	}
	return s.env.Token, nil
}

// Root returns the path of the root, as set.
func (s *Settings) Root() string { return s.env.Root }

// Tenant returns the ConnectWise login company id.
func (s *Settings) Tenant() string { return s.env.ConnectWiseCompany }

// SettingsError lists all problems of the settings.
type SettingsError struct{ Problems sync.Problems }

func (e *SettingsError) Error() string {
	return "settings:\n  " + strings.ReplaceAll(e.Problems.Error(), "\n", "\n  ")
}

// Unwrap returns the problems.
func (e *SettingsError) Unwrap() error { return e.Problems }

// Journal opens the journal for reading or, if writable, for writing. For writing it
// creates a missing journal.
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

// layout describes the settings that lay out the tree. If it changes, the plan waits
// for approval.
func (s *Settings) layout() string {
	return strings.Join([]string{s.rules.Structure.String(), s.rules.Name.String(), s.env.Types, s.env.Statuses, s.env.Exclude, s.env.TypePriority, s.env.Missing}, "\n")
}

// options returns the settings that a runner needs.
func (s *Settings) options() run.Options {
	return run.Options{Settings: s.rules, Layout: s.layout(), CreateRoot: s.createRoot, Settle: s.settle, Workers: s.workers, KeepDays: s.keepRuns}
}
