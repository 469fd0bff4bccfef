package cli

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// storeStory is a password store whose companies keep changing, with a secret
// in each company's folder and a folder that is none of cwvault's business.
type storeStory struct {
	*site
	random *rand.Rand
	names  []string // by company
	types  []string
	status string
	filled int // so many have a secret
	last   int // number of the last new name
	kills  int
	whole  time.Duration // how long the first run takes
}

const storeFirst = 100 // id of the first company

func newStoreStory(t *testing.T, git bool, settings ...string) *storeStory {
	t.Helper()
	s := &storeStory{site: newSite(t), random: rand.New(rand.NewPCG(3, 5)), status: "Active"}
	s.env = append(s.env, "CWVAULT_MAX_MOVES=off", "CWVAULT_MAX_RENAMES=off", "CWVAULT_LOG_LEVEL=warn")
	s.env = append(s.env, settings...)
	own := filepath.Join(s.store, "Clients", "Our own office")
	if err := os.MkdirAll(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(own, "alarm.gpg"), []byte("ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	if git {
		s.git("init", "-q")
		s.git("config", "user.name", "Somebody")
		s.git("config", "user.email", "somebody@example.invalid")
		s.git("add", ".")
		s.git("commit", "-q", "-m", "before")
	}
	for range 80 {
		s.add()
	}
	return s
}

func (s *storeStory) git(args ...string) {
	s.t.Helper()
	c := exec.CommandContext(s.t.Context(), "git", args...)
	c.Dir = s.store
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

func (s *storeStory) add() {
	i := len(s.names)
	s.names, s.types = append(s.names, fmt.Sprintf("Company %03d", i)), append(s.types, "Prospect")
	s.world.add(storeFirst+i, s.names[i], s.types[i], "Active")
}

// change is what happens in ConnectWise between two runs: names that go round,
// new names, companies won and lost, new ones, a status renamed.
func (s *storeStory) change() {
	order := s.random.Perm(len(s.names))
	round := order[:40]
	first := s.names[round[0]]
	for n, i := range round {
		s.names[i] = first
		if n+1 < len(round) && n%7 != 6 {
			s.names[i] = s.names[round[n+1]]
		} else if n+1 < len(round) {
			first = s.names[round[n+1]]
		}
	}
	for _, i := range order[40:50] {
		s.last++
		s.names[i] = fmt.Sprintf("Renamed %d", s.last)
	}
	for _, i := range order[30:70] {
		s.types[i] = map[string]string{"Prospect": "Customer", "Customer": "Prospect"}[s.types[i]]
	}
	for i, name := range s.names {
		s.world.Rename(storeFirst+i, name)
		s.world.SetTypes(storeFirst+i, s.world.types[s.types[i]])
	}
	for range 10 {
		s.add()
	}
	s.status = map[string]string{"Active": "Live", "Live": "Active"}[s.status]
	s.world.RenameStatus(s.world.statuses["Active"], s.status)
}

// fill puts a secret into each company folder that has none.
func (s *storeStory) fill() {
	s.t.Helper()
	marks := s.marks()
	for ; s.filled < len(s.names); s.filled++ {
		key := fmt.Sprintf("company/%d", storeFirst+s.filled)
		if marks[key] == "" {
			s.t.Fatalf("%s has no folder", key)
		}
		if err := os.WriteFile(filepath.Join(marks[key], "admin.gpg"), []byte(key), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// check expects each company's folder at its place, with its secret, marked
// once, and nothing else.
func (s *storeStory) check() {
	s.t.Helper()
	marks := s.marks()
	for i, name := range s.names {
		key := fmt.Sprintf("company/%d", storeFirst+i)
		if want := filepath.Join(s.store, "Clients", s.types[i], s.status, name); marks[key] != want {
			s.t.Errorf("%s is at %s, want %s", key, marks[key], want)
		}
	}
	secrets := 0
	err := filepath.WalkDir(filepath.Join(s.store, "Clients"), func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case e.IsDir() && filepath.Base(path) != "Clients" && filepath.Base(path) != "Our own office":
			if _, err := os.Stat(filepath.Join(path, ".cwvault")); err != nil {
				s.t.Errorf("%s has no mark", path)
			}
		case filepath.Ext(path) == ".gpg":
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if want := marks[string(b)]; filepath.Dir(path) != want && string(b) != "ours" {
				s.t.Errorf("the secret of %s is in %s", b, path)
			}
			secrets++
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(s.store, "Clients", "Our own office", "alarm.gpg")); err != nil || string(b) != "ours" {
		s.t.Errorf("a folder of somebody else's: %q, %v", b, err)
	}
	if secrets != s.filled+1 {
		s.t.Errorf("%d secrets, want %d", secrets, s.filled+1)
	}
}

// first makes the first run, and takes the time.
func (s *storeStory) first() {
	s.t.Helper()
	started := time.Now()
	s.must(exitOK, "resync")
	s.whole = time.Since(started)
}

// kill kills a resync at a random moment. One that ends before does not count:
// then more changes and another is tried.
func (s *storeStory) kill() {
	s.t.Helper()
	for range 50 {
		var out bytes.Buffer
		cmd := s.command(&out, "resync")
		if err := cmd.Start(); err != nil {
			s.t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(s.random.Int64N(int64(s.whole))), func() { _ = cmd.Process.Kill() }) // unless it has ended
		err := cmd.Wait()
		timer.Stop()
		if err != nil && cmd.ProcessState.ExitCode() != -1 {
			s.t.Fatalf("resync after a kill: %v\n%s", err, &out)
		}
		if err != nil {
			s.kills++
			return
		}
		s.change()
	}
	s.t.Fatal("no run can be killed in time")
}

// leftovers returns what killed runs left half made.
func (s *storeStory) leftovers() (paths []string) {
	s.t.Helper()
	err := filepath.WalkDir(s.store, func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), ".cwvault-") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return paths
}

// TestStoreKilled kills resyncs on a password store at random moments, many
// times, while everything changes. The run that gets through leaves the wanted
// tree, and each company with its secrets.
func TestStoreKilled(t *testing.T) {
	t.Parallel()
	rounds := 1
	if completely() {
		rounds = 8
	}
	for _, git := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "git"}[git], func(t *testing.T) {
			if _, err := exec.LookPath("git"); git && err != nil {
				t.Skip("git is not installed, and this store is a git repository; package git")
			}
			s := newStoreStory(t, git)
			s.first()
			for round := range rounds {
				s.fill()
				s.change()
				for range 6 {
					s.kill()
				}
				s.must(exitOK, "resync")
				s.must(exitOK, "plan", "--detailed-exitcode")
				if s.check(); t.Failed() {
					t.Fatalf("in round %d, after %d kills", round, s.kills)
				}
			}
			t.Logf("%d runs were killed: 0 duplicates, 0 lost, 0 unmarked; they left %d things half made", s.kills, len(s.leftovers()))
		})
	}
}

// TestStoreLeftovers sees that what a killed run left half made is in nobody's
// way, and is gone when it is old enough to be nobody's work.
func TestStoreLeftovers(t *testing.T) {
	t.Parallel()
	s := newStoreStory(t, false)
	s.must(exitOK, "resync")
	s.fill()
	mark, err := os.ReadFile(filepath.Join(s.marks()["company/100"], ".cwvault"))
	if err != nil {
		t.Fatal(err)
	}
	parent := filepath.Dir(s.marks()["company/100"])
	for name, files := range map[string]map[string][]byte{
		"empty": {}, "marked": {".cwvault": mark}, "somebodys": {".cwvault": mark, "secret.gpg": []byte("x")},
	} {
		dir := filepath.Join(parent, ".cwvault-"+strings.ToUpper(name)+"AAAAAAAAAAAAAAAAAA")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for file, content := range files {
			if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.must(exitOK, "plan", "--detailed-exitcode")
	s.change()
	s.must(exitOK, "resync")
	s.check()
	if left := s.leftovers(); len(left) != 3 {
		t.Errorf("swept while somebody may be at it: %v", left)
	}
	old := time.Now().Add(-2 * time.Hour)
	for _, path := range s.leftovers() {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	s.change()
	s.must(exitOK, "resync")
	s.check()
	if left := s.leftovers(); len(left) != 1 || !strings.Contains(left[0], "SOMEBODYS") {
		t.Errorf("left are %v, want only the one with a secret in it", left)
	}
}
