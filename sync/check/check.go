// Package check tests whether a run would have everything it needs. It changes
// nothing.
//
// [Inspect] checks the settings, both servers and the journal. It returns a
// [sync.Finding] for each thing it checked: ok, a warning, or a reason why a run
// would fail. A failure does not end the inspection; it only skips the checks that
// depend on it.
package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"cwvault/sync"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

const (
	// vaultTimeout limits the check of a vault by itself.
	vaultTimeout = 2 * time.Minute
	// treeTimeout limits the reading of all folders.
	treeTimeout = 10 * time.Minute
)

// Source is a source of companies that can check itself.
type Source interface {
	// Check checks everything that reading companies needs, and the features that
	// are switched on. It returns what it could read: the tables of types and
	// statuses, and the count of companies; 0 if it could not count them.
	Check(ctx context.Context) ([]sync.Finding, sync.Source)
}

// Vault is a vault that can check itself: sign-in, version, role, clock.
type Vault interface {
	// Check checks everything that a run needs besides reading the folders, and
	// warns of rights that it does not need. It changes nothing and ends with ctx.
	// If sign-in fails or the vault does not answer, a finding's Err is of kind
	// [sync.ErrUnauthorized] or [sync.ErrUnavailable], and the inspection skips
	// the vault's folders.
	Check(ctx context.Context) []sync.Finding
}

// Parts are the things to check. A part that the settings do not suffice for is
// nil.
type Parts struct {
	Problems sync.Problems  // with the settings
	Settings []sync.Finding // other findings about the settings
	Source   Source
	Vault    run.Vault // may be a [Vault] too
	// StoreDir is the directory of a vault on disk; empty for any other.
	StoreDir string
	// State names the journal for people. StateFile is its path; empty: the
	// journal is in a database.
	State, StateFile string
	// Runner opens the journal for reading and returns a runner of runs.
	Runner func(ctx context.Context) (*run.Runner, error)

	Tenant     string
	Rules      sync.Settings
	CreateRoot bool
	// Writable returns an error if this process may not write at a path. It does
	// not write. Nil means to ask the system.
	Writable func(path string) error
}

// inspection is a check under way.
type inspection struct {
	Parts
	found []sync.Finding
}

// Inspect checks everything that a run depends on.
func Inspect(ctx context.Context, parts Parts) []sync.Finding {
	k := newInspection(parts)
	k.settings()
	source := k.source(ctx)
	tree, read := k.vault(ctx)
	k.journal(ctx, source, tree, read)
	return k.found
}

func newInspection(parts Parts) *inspection {
	if parts.Writable == nil {
		parts.Writable = writable
	}
	return &inspection{Parts: parts}
}

func (k *inspection) ok(subject, format string, args ...any) {
	k.add(sync.Finding{Subject: subject, Text: fmt.Sprintf(format, args...)})
}

func (k *inspection) warn(subject, text, fix string) {
	k.add(sync.Finding{Subject: subject, Text: text, Fix: fix})
}

func (k *inspection) fail(subject, text, fix string, err error) {
	k.add(sync.Finding{Subject: subject, Text: text, Fix: fix, Err: err})
}

func (k *inspection) add(f sync.Finding) { k.found = append(k.found, f) }

// of adds the findings of one side about itself.
func (k *inspection) of(side string, findings []sync.Finding) {
	for _, f := range findings {
		f.Subject = side + " " + f.Subject
		k.add(f)
	}
}

// settings adds the problems that the settings have by themselves.
func (k *inspection) settings() {
	for _, p := range k.Problems {
		k.fail(p.Setting, p.Text, report.Or(p.Fix, "see Settings in the README"), p)
	}
	if len(k.Problems) == 0 {
		k.ok("settings", "all understood")
	}
	for _, f := range k.Settings {
		k.add(f)
	}
}

// Private warns if others may read or change a file that holds secrets. ok is false
// if they may not.
func Private(subject, path string) (f sync.Finding, ok bool) {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" { // Windows has no such modes
		return f, false
	}
	mode := info.Mode().Perm()
	return sync.Finding{Subject: subject, Text: fmt.Sprintf("the mode of %s is %#o, so others have access to it", path, mode),
		Fix: "chmod 600 it, for the account that runs cwvault alone"}, mode&0o077 != 0
}

// source checks ConnectWise and compares the settings with it. It returns what it
// could read.
func (k *inspection) source(ctx context.Context) sync.Source {
	if k.Source == nil {
		return sync.Source{}
	}
	findings, src := k.Source.Check(ctx)
	k.of("ConnectWise", findings)
	if src.Statuses == nil || src.Types == nil || len(k.Rules.Types)+len(k.Rules.Statuses)+len(k.Rules.TypePriority) == 0 {
		return src
	}
	_, err := sync.Want(sync.Source{Statuses: src.Statuses, Types: src.Types}, k.Rules, k.names())
	var unknown *sync.SettingsError
	if errors.As(err, &unknown) {
		for _, p := range unknown.Problems {
			k.fail("ConnectWise names", p, FixFor(err), err)
		}
		return src
	}
	k.ok("ConnectWise names", "it has all types and statuses that the settings name")
	return src
}

// names returns the rules for names, even if there is no vault.
func (k *inspection) names() sync.NameRules {
	if k.Vault != nil {
		return k.Vault.Names()
	}
	same := func(s string) string { return s }
	return sync.NameRules{Fold: strings.ToLower, Form: same}
}

// someOf lists the first few of many, in order.
func someOf(list []string) string {
	const most = 3
	slices.Sort(list)
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}
