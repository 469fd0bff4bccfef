package cli

import (
	"context"
	"errors"

	"cwvault/sync"
	"cwvault/sync/check"
	"cwvault/sync/run"
)

// hint says how to fix an error, or nothing if the error says so itself.
func hint(err error) string {
	if fix := check.FixFor(err); fix != "" {
		return fix
	}
	var source *sync.SourceError
	switch {
	case errors.Is(err, run.ErrHeld):
		return "wait for the other run to end (resync --wait 10m), or stop it"
	case errors.Is(err, run.ErrLost):
		return "another run may have taken the lease while this one was suspended; this run has stopped changing the vault, and the next run finishes the work"
	case errors.Is(err, run.ErrCorrupt):
		return "move the file away; the next run makes a new journal from the marks in the vault"
	case errors.Is(err, sync.ErrIncomplete) && !errors.As(err, &source):
		return "nothing was changed; retry when ConnectWise answers completely"
	case errors.Is(err, context.Canceled):
		return "stopped by a signal"
	case errors.Is(err, sync.ErrUnauthorized):
		return "cwvault check tests the keys, the account and each right"
	case errors.Is(err, sync.ErrUnavailable):
		return "check the address and the network; cwvault check tests both connections"
	}
	return ""
}
