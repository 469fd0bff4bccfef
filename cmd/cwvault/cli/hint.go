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
	var source *sync.SourceError
	var mismatch *run.MismatchError
	var noRoot *run.NoRootError
	var names *sync.SettingsError
	switch {
	case errors.As(err, &mismatch):
		return check.MismatchSetting(mismatch) + " is not the one of earlier runs; correct it, or give another installation a CWVAULT_STATE of its own"
	case errors.As(err, &noRoot):
		return "make it in the vault, correct CWVAULT_ROOT, or set CWVAULT_CREATE_ROOT=true"
	case errors.As(err, &names):
		return "correct CWVAULT_TYPES, CWVAULT_STATUSES, CWVAULT_TYPE_PRIORITY or CWVAULT_EXCLUDE; names and ids are those of ConnectWise"
	case errors.As(err, &source) && source.Dropped:
		return "check the role of the API member, or allow the drop for one run with CWVAULT_MAX_SOURCE_DROP=off"
	case errors.Is(err, run.ErrHeld):
		return "wait for the other run to end (resync --wait 10m), or stop it"
	case errors.Is(err, run.ErrLost):
		return "another run may have taken the lease while this one was suspended; this run has stopped changing the vault, and the next run finishes the work"
	case errors.Is(err, run.ErrCorrupt):
		return "move the file away; the next run makes a new journal from the marks in the vault"
	case errors.Is(err, sync.ErrIncomplete) && source == nil:
		return "nothing was changed; retry when ConnectWise answers completely"
	case errors.Is(err, context.Canceled):
		return "stopped by a signal"
	}
	return ""
}
