//go:build !windows

package main

// platformCommands are the commands of this system alone.
type platformCommands struct{}

// asService reports whether a service control manager has started this process,
// and if so, runs it until its end.
func asService() (code int, is bool) { return 0, false }
