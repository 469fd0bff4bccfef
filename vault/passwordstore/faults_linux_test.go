package passwordstore

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"cwvault/vault"
	"cwvault/vault/vaulttest"

	"github.com/google/go-cmp/cmp"
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

// On a file system that takes Acme and ACME for one name, and that knows no
// rename without replacing: NTFS by FUSE, as macOS and Windows are for the
// former.
func TestIgnoringCase(t *testing.T) {
	for _, tool := range []string{"mkntfs", "lowntfs-3g", "fusermount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed; package ntfs-3g", tool)
		}
	}
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkntfs", "-F", "-q", image).CombinedOutput(); err != nil {
		t.Fatalf("mkntfs: %v\n%s", err, out)
	}
	dir := filepath.Join(t.TempDir(), "mount")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := func(options string) {
		t.Helper()
		if out, err := exec.Command("lowntfs-3g", "-o", options, image, dir).CombinedOutput(); err != nil {
			t.Skipf("no FUSE here: %v\n%s", err, out)
		}
	}
	unmount := func() {
		t.Helper()
		if err := unix.Unmount(dir, 0); err != nil {
			t.Fatalf("unmount: %v", err)
		}
	}

	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) }) // should the test end early

	// So mounted, names are listed in lower case, whatever they are.
	mount("ignore_case")
	files(t, dir, map[string]string{"Clients/Acme/.cwvault": acmeMark, "Clients/Acme/a.gpg": "a", "Clients/Taken/b.gpg": "b", "Clients/Empty/": ""})
	s, err := Open(Config{Dir: dir, Root: `\clients`})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	paths := vaulttest.Paths(ctx, t, s)
	root, acme := paths[""].ID, paths["acme"].ID
	before := snapshot(t, dir)
	top := openRoot(t, dir, "clients")
	for _, name := range []string{"taken", "Empty"} {
		wantError(t, "renameNoReplace", renameNoReplace(top, "acme", top, name), fs.ErrExist)
	}
	top.Close()
	for _, name := range []string{"taken", "TAKEN", "Empty"} {
		_, err := s.Update(ctx, acme, root, name)
		wantError(t, "Update to "+name, err, vault.ErrNameTaken)
		_, err = s.Create(ctx, root, name, mark(1))
		wantError(t, "Create "+name, err, vault.ErrNameTaken)
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	do(s.Create(ctx, root, "New", mark(1)))
	do(s.Update(ctx, paths["empty"].ID, paths["taken"].ID, "Moved"))
	if f, err := s.Update(ctx, acme, root, "ACME"); err != nil || f.Name != "ACME" || f.Mark != mark(250) {
		t.Errorf("Update of case alone = %+v, %v", f, err)
	}
	_, err = s.Create(ctx, root, "aCmE", mark(2))
	wantError(t, "Create in other case", err, vault.ErrNameTaken)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	unmount()

	mount("rw")
	defer unmount()
	if diff := cmp.Diff(map[string]string{
		"Clients/ACME/.cwvault": acmeMark, "Clients/ACME/a.gpg": "a", "Clients/Taken/b.gpg": "b", "Clients/Taken/Moved": "/",
		"Clients/New/.cwvault": markText(1) + "\n",
	}, snapshot(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A folder cannot be moved to another file system, and stays whole.
func TestUpdateAcrossMounts(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{"Clients/A/a.gpg": "a", "Clients/Mounted/": ""})
	mounted := filepath.Join(dir, "Clients/Mounted")
	if err := unix.Mount("none", mounted, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting needs root, and a kernel that lets it: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mounted, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	before := snapshot(t, dir)
	s := open(t, dir)
	paths := vaulttest.Paths(t.Context(), t, s)
	_, err := s.Update(t.Context(), paths["A"].ID, paths["Mounted"].ID, "A")
	wantError(t, "Update", err, vault.ErrInvalid)
	_, err = s.Update(t.Context(), paths["Mounted"].ID, paths["A"].ID, "M")
	if err == nil {
		t.Error("a mount point was moved")
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
