//go:build !windows

package main

import "github.com/alecthomas/kong"

// platformCommands adds the commands of this system alone: none.
func platformCommands() kong.Option { return kong.OptionFunc(func(*kong.Kong) error { return nil }) }

// asService reports whether a service control manager has started this process,
// and if so, runs it until its end.
func asService() (code int, is bool) { return 0, false }
