// Package check looks whether everything is there that a run needs, and changes
// nothing.
//
// [Inspect] goes through the settings, both servers and the journal, and returns
// a [sync.Finding] for each thing that it looked at: good, worth a warning, or a
// reason why a run would fail. It ends early for nothing: what cannot be looked
// at because something before it failed is left out.
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
	// vaultTimeout bounds what a vault says of itself.
	vaultTimeout = 2 * time.Minute
	// treeTimeout bounds the reading of all folders.
	treeTimeout = 10 * time.Minute
)

// Source is a source of companies that can tell whether it works.
type Source interface {
	// Check looks at all that reading companies needs, and at what else is
	// switched on. It returns what it could read: the tables of types and
	// statuses, and the count of companies; 0 if none could be counted.
	Check(ctx context.Context) ([]sync.Finding, sync.Source)
}

// Vault is a vault that can say more of itself than its folders show: sign-in,
// version, role, clock.
type Vault interface {
	// Check looks at all that a run needs besides reading the folders, and at
	// rights that it does not need. It changes nothing and ends with ctx. Where
	// sign-in fails or the vault does not answer, Err of a finding is of kind
	// [sync.ErrUnauthorized] or [sync.ErrUnavailable], and nobody asks on.
	Check(ctx context.Context) []sync.Finding
}

// Parts is what there is to look at. Parts that the settings do not allow for
// are nil.
type Parts struct {
	Problems sync.Problems  // with the settings
	Settings []sync.Finding // what else is to be said of them
	Source   Source
	Vault    run.Vault // may be a [Vault] too
	// StoreDir is the directory of a vault on disk; empty for any other.
	StoreDir string
	// State names the journal for people. StateFile is its path; empty: it is in
	// a database.
	State, StateFile string
	// Runner opens the journal for reading and returns what would make runs.
	Runner func(ctx context.Context) (*run.Runner, error)

	Tenant     string
	Rules      sync.Settings
	CreateRoot bool
	// Writable reports whether this process may write at a path, without trying
	// to. Nil: the system is asked.
	Writable func(path string) error
}

// inspection is a check under way.
type inspection struct {
	Parts
	found []sync.Finding
}

// Inspect looks at everything that a run depends on.
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

// of takes over what one side has found of itself.
func (k *inspection) of(side string, findings []sync.Finding) {
	for _, f := range findings {
		f.Subject = side + " " + f.Subject
		k.add(f)
	}
}

// settings lists what is wrong with the settings by themselves.
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

// Private warns of a file that holds secrets and that others may read or
// change. ok is false if there is nothing to say.
func Private(subject, path string) (f sync.Finding, ok bool) {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" { // which has no such modes
		return f, false
	}
	mode := info.Mode().Perm()
	return sync.Finding{Subject: subject, Text: fmt.Sprintf("the mode of %s is %#o, so others have access to it", path, mode),
		Fix: "chmod 600 it, for the account that runs cwvault alone"}, mode&0o077 != 0
}

// source asks ConnectWise, and holds the settings against what it has. It
// returns what could be read.
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
			k.fail("ConnectWise names", p, "", err)
		}
		return src
	}
	k.ok("ConnectWise names", "it has all types and statuses that the settings name")
	return src
}

// names are the rules for names, also where there is no vault to ask.
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
