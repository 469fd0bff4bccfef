package passwordstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"cwvault/sync"
	"cwvault/vault"
	"cwvault/vault/vaulttest"

	"github.com/google/go-cmp/cmp"
)

func TestCreateModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	dir := t.TempDir()
	s := open(t, dir, func(cfg *Config) { cfg.Root = `\Team\Clients` })
	root, err := s.CreateRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Create(t.Context(), root.ID, "Acme", mark(1))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{
		"Team": fs.ModeDir | 0o700, "Team/Clients": fs.ModeDir | 0o700, "Team/Clients/Acme": fs.ModeDir | 0o700, "Team/Clients/Acme/.cwvault": 0o600,
	}
	modes := func() map[string]fs.FileMode {
		got := map[string]fs.FileMode{}
		for name := range want {
			info, err := os.Lstat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			got[name] = info.Mode()
		}
		return got
	}
	if diff := cmp.Diff(want, modes()); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
	if err := s.Mark(t.Context(), f.ID, mark(2)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, modes()); diff != "" {
		t.Errorf("modes after Mark (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"Team/Clients/Acme/.cwvault": `{"cwvault":1,"tenant":"acmeinc","key":"company/2"}` + "\n"}, snapshot(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A moved folder takes along everything as it is, also what is no concern of
// ours: hidden files, links, modes, times.
func TestUpdateKeepsContent(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{
		"Clients/Won/": "", "Clients/Acme/.cwvault": acmeMark, "Clients/Acme/a.gpg": "a", "Clients/Acme/.hidden/x": "x", "Clients/Acme/.gpg-id": "ABCD\n",
		"Clients/Acme/Deep/Deeper/b.age": "b", "Clients/Acme/Empty/": "", "Clients/Acme/.cwvault-X/y.gpg": "somebody's",
	})
	symlink(t, dir, map[string]string{"Clients/Acme/link": "../Acme", "Clients/Acme/Deep/out": "/etc"})
	secret := filepath.Join(dir, "Clients/Acme/a.gpg")
	long := time.Date(2019, 5, 6, 7, 8, 9, 0, time.UTC)
	if err := errors.Join(os.Chmod(secret, 0o440), os.Chtimes(secret, long, long)); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(secret)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"Clients/Won/Acme, Inc./.cwvault": acmeMark}
	for name, data := range snapshot(t, filepath.Join(dir, "Clients/Acme")) {
		want["Clients/Won/Acme, Inc./"+name] = data
	}

	s := open(t, dir)
	paths := vaulttest.Paths(t.Context(), t, s)
	if _, err := s.Update(t.Context(), paths["Acme"].ID, paths["Won"].ID, "Acme, Inc."); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, snapshot(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	after, err := os.Stat(filepath.Join(dir, "Clients/Won/Acme, Inc./a.gpg"))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) || before.Mode() != after.Mode() || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("the secret was %v %v and is %v %v", before.Mode(), before.ModTime(), after.Mode(), after.ModTime())
	}
}

// What is not the folder of the last Tree is not touched, whatever its name.
func TestReplacedByHand(t *testing.T) {
	outside := t.TempDir()
	for name, replace := range map[string]func(path string) error{
		"removed":     os.RemoveAll,
		"link out":    func(path string) error { return errors.Join(os.Rename(path, path+" old"), os.Symlink(outside, path)) },
		"link inside": func(path string) error { return errors.Join(os.Rename(path, path+" old"), os.Symlink("Other", path)) },
		"link to itself": func(path string) error {
			return errors.Join(os.Rename(path, path+" old"), os.Symlink("Group old", path))
		},
		"new directory": func(path string) error {
			return errors.Join(os.Rename(path, path+" old"), os.MkdirAll(path+"/Acme", 0o700))
		},
		"file": func(path string) error {
			return errors.Join(os.Rename(path, path+" old"), os.WriteFile(path, nil, 0o600))
		},
		"other folder": func(path string) error {
			return errors.Join(os.Rename(path, path+" old"), os.Rename(filepath.Join(filepath.Dir(path), "Other"), path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files(t, dir, map[string]string{
				"Clients/Group/.cwvault": `{"cwvault":1,"tenant":"acmeinc","key":"group/type:1"}`, "Clients/Group/Acme/.cwvault": acmeMark,
				"Clients/Other/Acme/x.gpg": "x", "Clients/Free/": "",
			})
			s := open(t, dir)
			paths := vaulttest.Paths(t.Context(), t, s)
			if err := replace(filepath.Join(dir, "Clients/Group")); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			root, group, acme, free := paths[""].ID, paths["Group"].ID, paths[`Group\Acme`].ID, paths["Free"].ID
			for what, call := range map[string]func() error{
				"Create":            func() error { _, err := s.Create(t.Context(), group, "New", mark(9)); return err },
				"rename":            func() error { _, err := s.Update(t.Context(), group, root, "New"); return err },
				"no change":         func() error { _, err := s.Update(t.Context(), group, root, "Group"); return err },
				"rename what is in": func() error { _, err := s.Update(t.Context(), acme, group, "New"); return err },
				"move out":          func() error { _, err := s.Update(t.Context(), acme, root, "Acme"); return err },
				"move in":           func() error { _, err := s.Update(t.Context(), free, group, "Free"); return err },
				"Mark":              func() error { return s.Mark(t.Context(), group, mark(9)) },
				"Mark what is in":   func() error { return s.Mark(t.Context(), acme, mark(9)) },
				"Find":              func() error { _, err := s.Find(t.Context(), group, "Acme"); return err },
				"Secrets":           func() error { _, err := s.Secrets(t.Context(), group); return err },
				"Audience":          func() error { _, err := s.Audience(t.Context(), acme); return err },
			} {
				wantError(t, what, call(), vault.ErrNotFound)
				if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
					t.Fatalf("%s: files (-want +got):\n%s", what, diff)
				}
			}
			if got, err := os.ReadDir(outside); err != nil || len(got) > 0 {
				t.Errorf("outside the store there is %v, %v", got, err)
			}
		})
	}
}

// What a crash leaves behind is out of sight, in nobody's way, and goes when it
// is old and surely ours.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	old := map[string]string{ // goes
		"Clients/.cwvault-A/":         "",
		"Clients/.cwvault-B/.cwvault": acmeMark,
		"Clients/Acme/.cwvault-C":     acmeMark,
		"Clients/Acme/.cwvault-D":     "",
		"Clients/Acme/In/.cwvault-E/": "",
	}
	stays := map[string]string{
		"Clients/.cwvault-F/.cwvault":  acmeMark + "x",
		"Clients/.cwvault-G/x.gpg":     "a secret",
		"Clients/.cwvault-H/.cwvault":  acmeMark,
		"Clients/.cwvault-H/x.gpg":     "a secret",
		"Clients/.cwvault-I/Inside/":   "",
		"Clients/.cwvault-J/.cwvault/": "",
		"Clients/Acme/.cwvault-K":      "not a mark",
		"Clients/.other-L/":            "",
		"Clients/Acme/.cwvault":        acmeMark,
		"Clients/.hidden/.cwvault-M/":  "",
		".cwvault-N/":                  "",
	}
	files(t, dir, old)
	files(t, dir, stays)
	symlink(t, dir, map[string]string{"Clients/.cwvault-O": "Acme"})
	aged := time.Now().Add(-2 * time.Hour)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type()&fs.ModeSymlink == 0 {
			defer os.Chtimes(path, aged, aged)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files(t, dir, map[string]string{"Clients/.cwvault-P/.cwvault": acmeMark, "Clients/.cwvault-Q": acmeMark}) // somebody's at work
	before := snapshot(t, dir)

	s := open(t, dir)
	paths := vaulttest.Paths(t.Context(), t, s)
	if diff := cmp.Diff([]string{"", "Acme", `Acme\In`}, slices.Sorted(maps.Keys(paths))); diff != "" {
		t.Errorf("folders (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("files after Tree (-want +got):\n%s", diff)
	}
	if _, err := s.Update(t.Context(), paths["Acme"].ID, paths[""].ID, "Acme 2"); err != nil { // what is left is found all the same
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), paths[""].ID, "New", mark(1)); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"Clients/New/.cwvault": strings.Replace(acmeMark, "250", "1", 1), "Clients/Acme 2/In": "/"}
	for name, data := range before {
		if _, gone := old[name]; !gone && old[name+"/"] == "" && !strings.Contains(name, "Clients/Acme/In") {
			if _, gone := old[name+"/"]; !gone {
				want[strings.Replace(name, "Clients/Acme/", "Clients/Acme 2/", 1)] = data
			}
		}
	}
	if diff := cmp.Diff(want, snapshot(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestRenameNoReplace(t *testing.T) {
	for name, tt := range map[string]struct {
		there map[string]string // at the place wanted
		links map[string]string
		free  bool
	}{
		"free":            {free: true},
		"empty directory": {there: map[string]string{"to/new/": ""}},
		"full directory":  {there: map[string]string{"to/new/x": ""}},
		"file":            {there: map[string]string{"to/new": ""}},
		"link":            {links: map[string]string{"to/new": "../from"}},
		"dangling link":   {links: map[string]string{"to/new": "nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files(t, dir, map[string]string{"from/old/x.gpg": "x", "to/": ""})
			files(t, dir, tt.there)
			symlink(t, dir, tt.links)
			before := snapshot(t, dir)
			from, to := openRoot(t, dir, "from"), openRoot(t, dir, "to")
			err := renameNoReplace(from, "old", to, "new")
			if tt.free {
				before = map[string]string{"from": "/", "to/new/x.gpg": "x"}
				if err != nil {
					t.Error(err)
				}
			} else {
				wantError(t, "renameNoReplace", err, fs.ErrExist)
			}
			if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func openRoot(t *testing.T, path ...string) *os.Root {
	t.Helper()
	dir, err := os.OpenRoot(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

// People and cwvault want the same name at the same time. Nothing of theirs is
// ever replaced.
func TestRaceWithPeople(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	root, err := s.CreateRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 200
	ours, theirs := 0, 0
	for i := range rounds {
		path := filepath.Join(dir, "Clients", "Acme")
		var wg gosync.WaitGroup
		var made error
		wg.Go(func() { made = os.Mkdir(path, 0o755) })
		_, err := s.Create(t.Context(), root.ID, "Acme", mark(i+1))
		wg.Wait()
		if (made == nil) == (err == nil) {
			t.Fatalf("round %d: their error %v, ours %v", i, made, err)
		}
		if err == nil {
			ours++
		} else {
			wantError(t, "Create", err, vault.ErrNameTaken)
			theirs++
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("we made it %d times, they %d times", ours, theirs)
	if diff := cmp.Diff(map[string]string{"Clients": "/"}, snapshot(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestFindPrefersExactName(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{"Clients/ACME/": "", "Clients/Acme/": "", "Clients/acme/.cwvault": acmeMark, "Clients/acme.gpg": "", "Clients/.acme/": ""})
	s := open(t, dir)
	root := vaulttest.Paths(t.Context(), t, s)[""].ID
	for name, want := range map[string]string{"ACME": "ACME", "Acme": "Acme", "acme": "acme", "aCme": "ACME"} {
		if f, err := s.Find(t.Context(), root, name); err != nil || f.Name != want || (f.Mark != sync.Mark{}) != (want == "acme") {
			t.Errorf("Find(%q) = %+v, %v; want %q", name, f, err, want)
		}
	}
	_, err := s.Find(t.Context(), root, ".acme")
	wantError(t, "Find(.acme)", err, vault.ErrNotFound)
}

// Killed at any moment, a store has no folder without its mark and every
// secret once, with its mark.
func TestKilled(t *testing.T) {
	const customers = 8
	if dir := os.Getenv("CWVAULT_TEST_STORE"); dir != "" { // the one to be killed
		s := open(t, dir)
		paths := vaulttest.Paths(t.Context(), t, s)
		root, group := paths[""].ID, paths["Group"].ID
		for i := 0; ; i++ {
			for _, f := range paths {
				if n, ok := f.Mark.Key.CompanyID(); ok && n < customers {
					do(s.Update(t.Context(), f.ID, []string{root, group}[i%2], fmt.Sprintf("Company %d %d", n, i%7)))
					fmt.Println() // that something was done
				}
			}
			f := do(s.Create(t.Context(), group, fmt.Sprintf("New %d %d", os.Getpid(), i), mark(customers+i)))
			if err := s.Mark(t.Context(), f.ID, mark(customers+i+1)); err != nil {
				t.Fatal(err)
			}
		}
	}

	dir := t.TempDir()
	files(t, dir, map[string]string{"Clients/Group/.cwvault": `{"cwvault":1,"tenant":"acmeinc","key":"group/type:1"}`})
	for n := 1; n < customers; n++ {
		files(t, dir, map[string]string{
			fmt.Sprintf("Clients/Company %d/.cwvault", n): markText(n), fmt.Sprintf("Clients/Company %d/x.gpg", n): fmt.Sprint(n),
		})
	}
	made, leftovers := 0, 0
	for round := range 12 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "CWVAULT_TEST_STORE="+dir)
		moves, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err == nil { // killed in the middle of what follows
			_, err = io.ReadFull(moves, make([]byte, 1+5*round))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); runtime.GOOS != "windows" && cmd.ProcessState.Exited() {
			t.Fatalf("round %d: it ended before it was killed: %v", round, err)
		}

		s := open(t, dir)
		paths := vaulttest.Paths(t.Context(), t, s)
		companies := map[sync.Mark]string{}
		for path, f := range paths {
			if path == "" || path == "Group" {
				continue
			}
			if f.BadMark || f.Mark == (sync.Mark{}) {
				t.Errorf("round %d: folder %q: %+v", round, path, f)
			}
			if n, _ := f.Mark.Key.CompanyID(); n < customers {
				companies[f.Mark] = path
				data, err := os.ReadFile(filepath.Join(dir, "Clients", strings.ReplaceAll(path, `\`, "/"), "x.gpg"))
				if err != nil || string(data) != fmt.Sprint(n) {
					t.Errorf("round %d: secret of %q is %q, %v", round, path, data, err)
				}
			}
		}
		if len(companies) != customers-1 {
			t.Fatalf("round %d: customers are %v", round, companies)
		}
		made, leftovers = len(paths)-customers-1, len(s.known.leftovers)
	}
	if made == 0 {
		t.Error("nothing was made before the kills")
	}
	t.Logf("%d folders made, %d leftovers", made, leftovers)
}
