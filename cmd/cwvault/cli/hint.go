package cli

import (
	"context"
	"errors"

	"cwvault/sync"
	"cwvault/sync/check"
	"cwvault/sync/run"
)

// hint says what to do about an error, where that is not in the error itself.
func hint(err error) string {
	var source *sync.SourceError
	var mismatch *run.MismatchError
	var noRoot *run.NoRootError
	switch {
	case errors.As(err, &mismatch):
		return check.MismatchSetting(mismatch) + " is another one than in the runs before; correct it, or use another CWVAULT_STATE for another installation"
	case errors.As(err, &noRoot):
		return "make it in the vault, correct CWVAULT_ROOT, or set CWVAULT_CREATE_ROOT=true"
	case errors.As(err, &source) && source.Dropped:
		return "check the role of the API member, or allow the drop for one run with CWVAULT_MAX_SOURCE_DROP=off"
	case errors.Is(err, run.ErrHeld):
		return "wait for the other run to end (resync --wait 10m does), or stop it"
	case errors.Is(err, run.ErrLost):
		return "another run may have taken over while this one was paused; this one has changed nothing since, and the next run finishes the work"
	case errors.Is(err, run.ErrCorrupt):
		return "the journal is an aid: move the file away, and the next run makes a new one from the marks in the vault"
	case errors.Is(err, sync.ErrIncomplete) && source == nil:
		return "nothing was changed; run again when ConnectWise answers in full"
	case errors.Is(err, context.Canceled):
		return "stopped by a signal"
	}
	return ""
}
