//go:build !windows

package host

// AsService reports whether the service manager of Windows has started this
// process, and if so, runs it until its end. Elsewhere it never has.
func AsService(Run) (code int, is bool) { return 0, false }
