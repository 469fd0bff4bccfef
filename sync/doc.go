// Package sync is the core of cwvault: what should be, what is, the plan, the
// guards, applying it.
package sync

import "errors"

// ErrUnanswered marks an error after which a vault may or may not have done
// what it was asked: the answer was lost. The core looks before it tries again.
var ErrUnanswered = errors.New("no answer; it may have been done")

// ErrUnauthorized marks an error that every further call would meet as well,
// because sign-in itself failed.
var ErrUnauthorized = errors.New("not authorised")
