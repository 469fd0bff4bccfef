//go:build !windows

package cli

import "github.com/alecthomas/kong"

// platformCommands adds the commands that only this system has: none.
func platformCommands() kong.Option { return kong.OptionFunc(func(*kong.Kong) error { return nil }) }
