//go:build unix

package check

import "golang.org/x/sys/unix"

// writable returns an error if this process may not write at path, a file or a
// directory. It does not write.
func writable(path string) error { return unix.Access(path, unix.W_OK) }
