package passwordstore

import "golang.org/x/sys/unix"

func renameExclusive(srcFD int, from string, dstFD int, to string) error {
	return unix.RenameatxNp(srcFD, from, dstFD, to, unix.RENAME_EXCL)
}
