package sync

import "errors"

// The kinds of errors, for errors.Is. Adapters wrap them, or make errors of a kind
// with [ErrorOf]. The kind alone decides what an error means for a run and for
// the exit code, whichever adapter it came from.
var (
	// ErrUnanswered: the answer was lost, so the vault may or may not have made
	// the change. The core looks before it retries.
	ErrUnanswered = errors.New("no answer; it may have been done")
	// ErrUnauthorized: sign-in failed, so every further call would fail too.
	ErrUnauthorized = errors.New("not authorised")
	// ErrNotAllowed: the account is known but lacks the right.
	ErrNotAllowed = errors.New("not allowed")
	// ErrNotFound: the folder does not exist, or the account cannot see it.
	ErrNotFound = errors.New("not found")
	// ErrIncomplete: the data read is not complete, so no run may act on it.
	ErrIncomplete = errors.New("incomplete")
	// ErrInvalid: a server rejects the request; the same request fails again
	// until a setting or a name changes.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable: a server cannot be reached or is overloaded. The same call
	// may succeed later, and nothing has changed.
	ErrUnavailable = errors.New("unavailable")
	// ErrReadOnly: a vault, or that part of it, takes no changes now.
	ErrReadOnly = errors.New("read-only")
	// ErrUsage: the person's request makes no sense.
	ErrUsage = errors.New("wrong use")
	// ErrConfigured: a setting, here or on a server, makes a run impossible. A
	// [*SettingsError] is of this kind.
	ErrConfigured = errors.New("wrong settings")
)

// ErrorOf returns a new error with this text. errors.Is finds it and its kind.
func ErrorOf(kind error, text string) error { return &kindError{kind, text} }

type kindError struct {
	kind error
	text string
}

func (e *kindError) Error() string { return e.text }
func (e *kindError) Unwrap() error { return e.kind }
