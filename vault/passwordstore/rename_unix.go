//go:build unix

package passwordstore

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const nonBlock = unix.O_NONBLOCK // a pipe in place of a file must not block us

// renameNoReplace renames, or fails with [fs.ErrExist] if the new name exists.
//
// If the kernel or the file system cannot do both at once (NFS, some FUSE file systems,
// the BSDs), it looks first. If somebody makes an entry with that name between the look
// and the rename, the kernel still refuses to replace a file or a directory that is not
// empty; an empty directory would be lost.
func renameNoReplace(src *os.Root, from string, dst *os.Root, to string) error {
	err := withDirs(src, dst, func(srcFD, dstFD int) error {
		err := renameExclusive(srcFD, from, dstFD, to)
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
		if _, err := dst.Lstat(to); err == nil {
			return unix.EEXIST
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return unix.Renameat(srcFD, from, dstFD, to)
	})
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// withDirs calls do with the file descriptors of two directories.
func withDirs(a, b *os.Root, do func(a, b int) error) error {
	return withDir(a, func(a int) error {
		return withDir(b, func(b int) error {
			for {
				if err := do(a, b); !errors.Is(err, unix.EINTR) {
					return err
				}
			}
		})
	})
}

func withDir(dir *os.Root, do func(fd int) error) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	err = conn.Control(func(fd uintptr) { doErr = do(int(fd)) })
	return errors.Join(err, doErr)
}

// syncDir waits until the entries of a directory are on disk, if the file system
// supports that.
func syncDir(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	err = f.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
