//go:build unix

package check

import "golang.org/x/sys/unix"

// writable reports whether this process may write at path, a file or a
// directory, without trying to.
func writable(path string) error { return unix.Access(path, unix.W_OK) }
