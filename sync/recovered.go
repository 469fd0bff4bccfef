package sync

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a recovered panic. It ends the run but not the process, so later
// runs can follow.
type PanicError struct {
	Value any
	Stack []byte // for a bug report
}

// Error says that the mistake is in cwvault.
func (e *PanicError) Error() string {
	return fmt.Sprintf("a mistake in cwvault itself: panic: %v", e.Value)
}

// Recovered returns a function that calls f and turns a panic into a
// [*PanicError]. Every goroutine needs its own: a panic can only be recovered in
// the goroutine where it happens.
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
