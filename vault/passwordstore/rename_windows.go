package passwordstore

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

const nonBlock = 0

// renameNoReplace renames, or fails with [fs.ErrExist] if the new name exists.
//
// MoveFileEx does both at once, but it takes paths. Unlike on other systems, it would
// follow a junction that somebody puts into the path at that moment.
func renameNoReplace(src *os.Root, from string, dst *os.Root, to string) error {
	oldPath, err := windows.UTF16PtrFromString(filepath.Join(src.Name(), from))
	if err != nil {
		return err
	}
	newPath, err := windows.UTF16PtrFromString(filepath.Join(dst.Name(), to))
	if err != nil {
		return err
	}
	if err := windows.MoveFileEx(oldPath, newPath, 0); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// syncDir does nothing: Windows does not sync directories.
func syncDir(*os.Root) error { return nil }
