package sync

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic that was made an error, so that it ends a run and not
// the process, in which other runs are to follow.
type PanicError struct {
	Value any
	Stack []byte // where it happened, for a report of the mistake
}

// Error says that the program is wrong, not its user.
func (e *PanicError) Error() string {
	return fmt.Sprintf("a mistake in cwvault itself: panic: %v", e.Value)
}

// Recovered returns f with a panic made a [*PanicError]. Who starts a goroutine
// uses it: a panic can only be caught in its own goroutine.
func Recovered(f func() error) func() error {
	return func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{v, debug.Stack()}
			}
		}()
		return f()
	}
}
