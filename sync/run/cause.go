package run

import (
	"context"
	"errors"
	"fmt"

	"cwvault/sync"
	"cwvault/sync/journal"
)

// Cause is why a run, or what was asked of one, could not be done. Whoever asked
// decides what follows from it: an exit code, a ticket, a retry.
type Cause string

// The causes. No cause ([CauseNone]) means that nothing went wrong.
const (
	CauseNone         Cause = ""
	CauseUsage        Cause = "usage"        // what was asked for makes no sense
	CauseStale        Cause = "stale"        // the plan is not the one that was reviewed or approved
	CauseSettings     Cause = "settings"     // settings are wrong, or do not fit the servers
	CauseSource       Cause = "source"       // a reading is not to be trusted
	CauseUnauthorized Cause = "unauthorized" // sign-in failed, or a right is missing
	CauseLease        Cause = "lease"        // another run has the lease
	CauseStopped      Cause = "stopped"      // a signal, or whoever asked went away
	CauseFailed       Cause = "failed"       // anything else
)

// What the journal says of itself, for those who need not know it.
var (
	ErrHeld    = journal.ErrHeld    // another run has the lease
	ErrLost    = journal.ErrLost    // the lease is lost
	ErrCorrupt = journal.ErrCorrupt // the journal is damaged
)

// causeError gives an error a cause that its kind does not tell.
type causeError struct {
	cause Cause
	err   error
}

func (e *causeError) Error() string { return e.err.Error() }
func (e *causeError) Unwrap() error { return e.err }

// WithCause returns err with a cause. A nil error stays nil.
func WithCause(cause Cause, err error) error {
	if err == nil {
		return nil
	}
	return &causeError{cause, err}
}

// Usagef returns an error of [CauseUsage].
func Usagef(format string, args ...any) error {
	return &causeError{CauseUsage, fmt.Errorf(format, args...)}
}

// Settingsf returns an error of [CauseSettings].
func Settingsf(format string, args ...any) error {
	return &causeError{CauseSettings, fmt.Errorf(format, args...)}
}

func stalef(format string, args ...any) error {
	return &causeError{CauseStale, fmt.Errorf(format, args...)}
}

// CauseOf returns the cause of an error: the one that [WithCause] gave it, or
// else the one that follows from its kind.
func CauseOf(err error) Cause {
	var given *causeError
	switch {
	case err == nil:
		return CauseNone
	case errors.As(err, &given):
		return given.cause
	case errors.Is(err, journal.ErrHeld), errors.Is(err, journal.ErrLost):
		return CauseLease
	case errors.Is(err, sync.ErrUsage):
		return CauseUsage
	case errors.Is(err, sync.ErrConfigured), errors.Is(err, sync.ErrInvalid):
		return CauseSettings
	case errors.Is(err, sync.ErrIncomplete):
		return CauseSource
	case errors.Is(err, sync.ErrUnauthorized), errors.Is(err, sync.ErrNotAllowed):
		return CauseUnauthorized
	case errors.Is(err, context.Canceled):
		return CauseStopped
	}
	return CauseFailed
}

// attempt says what was attempted when an error came; nil stays nil.
func attempt(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ServerError says which server an error is about.
type ServerError struct {
	Server Server
	Err    error
}

func (e *ServerError) Error() string { return e.Err.Error() }
func (e *ServerError) Unwrap() error { return e.Err }

// ServerOf returns the server that an error is about, if that is known.
func ServerOf(err error) (Server, bool) {
	var of *ServerError
	if !errors.As(err, &of) {
		return "", false
	}
	return of.Server, true
}

// about says what was attempted with a server when an error came, unless the
// error knows better. Nil stays nil.
func about(server Server, what string, err error) error {
	if err == nil {
		return nil
	}
	if what != "" {
		err = fmt.Errorf("%s: %w", what, err)
	}
	if _, known := ServerOf(err); known {
		return err
	}
	return &ServerError{server, err}
}
