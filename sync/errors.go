package sync

import "errors"

// The kinds of errors that matter beyond the package they come from, for
// errors.Is. Adapters wrap them, or make them kinds of their own with [ErrorOf].
// What an error means for a run, and for the exit code, follows from these
// alone: nothing above has to know which adapter it came from.
var (
	// ErrUnanswered marks an error after which a vault may or may not have done
	// what it was asked: the answer was lost. The core looks before it retries.
	ErrUnanswered = errors.New("no answer; it may have been done")
	// ErrUnauthorized: sign-in failed, so every further call would fail too.
	ErrUnauthorized = errors.New("not authorised")
	// ErrNotAllowed: the account is known but lacks the right.
	ErrNotAllowed = errors.New("not allowed")
	// ErrNotFound: the folder does not exist, or the account cannot see it.
	ErrNotFound = errors.New("not found")
	// ErrIncomplete: a reading is not the whole truth, so nothing may follow
	// from it.
	ErrIncomplete = errors.New("incomplete")
	// ErrInvalid: a server refuses the request as it is; the same request will
	// fail again until a setting or a name changes.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable: a server cannot be reached or is overloaded. The same call
	// may succeed later, and nothing has changed.
	ErrUnavailable = errors.New("unavailable")
	// ErrReadOnly: a vault, or that part of it, takes no changes now.
	ErrReadOnly = errors.New("read-only")
	// ErrUsage: what a person asked for makes no sense.
	ErrUsage = errors.New("wrong use")
	// ErrConfigured: something is set up in a way that rules a run out, here or
	// on a server. A [*SettingsError] is of this kind.
	ErrConfigured = errors.New("wrong settings")
)

// ErrorOf returns a new error with this text that is of a kind, so that
// errors.Is finds both.
func ErrorOf(kind error, text string) error { return &kindError{kind, text} }

type kindError struct {
	kind error
	text string
}

func (e *kindError) Error() string { return e.text }
func (e *kindError) Unwrap() error { return e.kind }
