package passwordstore

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"cwvault/vault"
	"cwvault/vault/vaulttest"

	"golang.org/x/sys/unix"
)

// newStore returns an empty directory, a file system of its own where the test
// may mount one.
func newStore(t *testing.T) string {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64m"); err == nil {
		t.Cleanup(func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Errorf("unmount: %v", err)
			}
		})
	}
	return dir
}

// faults are what can be done to the store in dir.
func faults(dir string) []vaulttest.Fault {
	all := []vaulttest.Fault{{
		Name: "not writable", Want: vault.ErrNotAllowed,
		On:  func(t *testing.T) { asNobody(t, dir, 0o500) },
		Off: func(t *testing.T) { asOurselves(t, dir) },
	}, {
		Name: "not readable", Want: vault.ErrNotAllowed, Reads: true,
		On:  func(t *testing.T) { asNobody(t, dir, 0) },
		Off: func(t *testing.T) { asOurselves(t, dir) },
	}}
	if unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND, "") == nil {
		remount := func(flags uintptr) func(t *testing.T) {
			return func(t *testing.T) {
				if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
					t.Fatalf("remount: %v", err)
				}
			}
		}
		all = append(all, vaulttest.Fault{Name: "mounted read-only", Want: vault.ErrReadOnly, On: remount(unix.MS_RDONLY), Off: remount(0)})
	}
	return all
}

// nobody is a user who owns nothing.
const nobody = 65534

// asNobody gives all directories below dir this mode, or only those named, and
// takes away root's power to do without.
func asNobody(t *testing.T, dir string, mode fs.FileMode, only ...string) {
	t.Helper()
	root := os.Getuid() == 0
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && path != dir && (only == nil || slices.Contains(only, path)) {
			dirs = append(dirs, path)
		}
		if err == nil && root {
			err = os.Lchown(path, nobody, -1)
		}
		return err
	})
	if err != nil || len(dirs) == 0 {
		t.Fatalf("%d directories below %s: %v", len(dirs), dir, err)
	}
	for _, path := range slices.Backward(dirs) { // parents last
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if root {
		if err := syscall.Setreuid(-1, nobody); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Setreuid(-1, 0) })
	}
}

// asOurselves undoes asNobody.
func asOurselves(t *testing.T, dir string) {
	t.Helper()
	if os.Getuid() == 0 {
		if err := syscall.Setreuid(-1, 0); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func makeFIFO(t *testing.T, path string) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}
