package run_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/run"
)

// TestCauseOf sees what follows from the kinds of errors.
func TestCauseOf(t *testing.T) {
	boom := errors.New("boom")
	for _, test := range []struct {
		name string
		err  error
		want run.Cause
	}{
		{"nothing", nil, run.CauseNone},
		{"anything", boom, run.CauseFailed},
		{"time is up", context.DeadlineExceeded, run.CauseFailed},
		{"stopped", fmt.Errorf("read: %w", context.Canceled), run.CauseStopped},
		{"usage", run.Usagef("no company %q", "dot"), run.CauseUsage},
		{"usage, of the core", fmt.Errorf("undo: %w", sync.ErrUsage), run.CauseUsage},
		{"settings", run.Settingsf("not set"), run.CauseSettings},
		{"settings, of the core", &sync.SettingsError{Problems: []string{"x"}}, run.CauseSettings},
		{"a server refuses for good", sync.ErrorOf(sync.ErrInvalid, "no such board"), run.CauseSettings},
		{"no root", run.WithCause(run.CauseSettings, &run.NoRootError{Root: `\Clients`}), run.CauseSettings},
		{"half a reading", sync.ErrorOf(sync.ErrIncomplete, "a page is missing"), run.CauseSource},
		{"another installation", &run.MismatchError{What: "tenant"}, run.CauseSource},
		{"sign-in", fmt.Errorf("read: %w", sync.ErrUnauthorized), run.CauseUnauthorized},
		{"a right", sync.ErrNotAllowed, run.CauseUnauthorized},
		{"held", &journal.HeldError{}, run.CauseLease},
		{"lost", journal.ErrLost, run.CauseLease},
		{"the journal was removed", journal.ErrRemoved, run.CauseLease},
		{"the journal is damaged", journal.ErrCorrupt, run.CauseFailed},
		{"stale", run.WithCause(run.CauseStale, journal.ErrUsed), run.CauseStale},
		{"a cause beats the kind", run.WithCause(run.CauseSettings, sync.ErrIncomplete), run.CauseSettings},
		{"the outer cause beats the inner", run.WithCause(run.CauseLease, run.Usagef("x")), run.CauseLease},
		{"a cause far down", errors.Join(boom, fmt.Errorf("x: %w", run.Usagef("y"))), run.CauseUsage},
		{"no cause of nothing", run.WithCause(run.CauseUsage, nil), run.CauseNone},
		{"about a server", &run.ServerError{Server: run.VaultServer, Err: sync.ErrUnauthorized}, run.CauseUnauthorized},
		{"held, while the run was stopped", errors.Join(context.Canceled, journal.ErrHeld), run.CauseLease},
	} {
		if got := run.CauseOf(test.err); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	err := run.WithCause(run.CauseStale, boom)
	if err.Error() != "boom" || !errors.Is(err, boom) {
		t.Errorf("a cause changes the error: %v", err)
	}
}

// TestServerOf sees which server an error is about.
func TestServerOf(t *testing.T) {
	inner := &run.ServerError{Server: run.VaultServer, Err: sync.ErrUnauthorized}
	for _, err := range []error{inner, fmt.Errorf("read companies: %w", inner)} {
		if server, known := run.ServerOf(err); server != run.VaultServer || !known {
			t.Errorf("%v is about %q, %v", err, server, known)
		}
	}
	if server, known := run.ServerOf(sync.ErrUnauthorized); known {
		t.Errorf("it is known to be about %q", server)
	}
}
