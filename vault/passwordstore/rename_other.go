//go:build unix && !linux && !darwin

package passwordstore

import "golang.org/x/sys/unix"

func renameExclusive(int, string, int, string) error { return unix.ENOTSUP }
