package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

var suffixes = []string{"", "-wal", "-shm"}

// snapshot returns name, mode and content of all files of a directory but the
// content of -shm, which only holds locks and an index of -wal.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	ok(t, err)
	for _, e := range entries {
		info, err := e.Info()
		ok(t, err)
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		ok(t, err)
		if strings.HasSuffix(e.Name(), "-shm") {
			content = nil
		}
		files[e.Name()] = info.Mode().String() + "\n" + string(content)
	}
	return files
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	ok(t, err)
	ok(t, os.WriteFile(to, content, 0o600))
}

func TestFilesArePrivate(t *testing.T) {
	old := umask(0)
	defer umask(old)
	state := newSQLite(t)
	check := func() {
		t.Helper()
		for _, suffix := range suffixes {
			info, err := os.Stat(state + suffix)
			ok(t, err)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", info.Name(), info.Mode())
			}
		}
	}
	j, _ := mustHold(t, state, nil)
	mustStart(t, j)
	check()
	ok(t, j.Close())
	check()
	for _, suffix := range suffixes {
		ok(t, os.Chmod(state+suffix, 0o664))
	}
	j, _ = mustHold(t, state, nil)
	mustStart(t, j)
	check()
}

func TestReadingChangesNothing(t *testing.T) {
	filled := func(t *testing.T, state string) *Journal {
		j, _ := mustHold(t, state, nil)
		_, err := j.db.Exec(`INSERT INTO cwvault_meta VALUES ('fingerprint', '{"Tenant":"acmeinc"}')`) // and nothing else
		ok(t, err)
		return j
	}
	cases := map[string]struct {
		prepare func(t *testing.T, state string)
		found   bool
	}{
		"missing": {func(*testing.T, string) {}, false},
		"empty":   {func(t *testing.T, state string) { ok(t, os.WriteFile(state, nil, 0o600)) }, false},
		"closed":  {func(t *testing.T, state string) { ok(t, filled(t, state).Close()) }, true},
		"in use":  {func(t *testing.T, state string) { filled(t, state) }, true},
		"copied after a crash, log and all": {func(t *testing.T, state string) {
			other := newSQLite(t)
			filled(t, other)
			for _, suffix := range suffixes {
				copyFile(t, other+suffix, state+suffix)
			}
		}, true},
		"copied without its log": {func(t *testing.T, state string) {
			other := newSQLite(t)
			ok(t, filled(t, other).Close())
			copyFile(t, other, state)
		}, true},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			state := newSQLite(t)
			test.prepare(t, state)
			before := snapshot(t, filepath.Dir(state))
			j, err := OpenReadOnly(t.Context(), state, Options{})
			ok(t, err)
			want := noMemory()
			if test.found {
				want.Fingerprint = &Fingerprint{Tenant: "acmeinc"}
			}
			readAll(t, j, want)
			refuseAll(t, j)
			ok(t, j.Close())
			if diff := cmp.Diff(before, snapshot(t, filepath.Dir(state))); diff != "" {
				t.Errorf("changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestReadingChangesNothingInPostgres(t *testing.T) {
	state := newPostgres(t)
	tables := func() (n int) {
		j, err := OpenReadOnly(t.Context(), newPostgres(t), Options{})
		ok(t, err)
		ok(t, j.Close())
		j, err = open(t.Context(), state, Options{}, true)
		ok(t, err)
		defer j.Close()
		ok(t, j.db.QueryRow(`SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()`).Scan(&n))
		return n
	}
	for _, want := range []int{0, 1} {
		j, err := OpenReadOnly(t.Context(), state, Options{})
		ok(t, err)
		readAll(t, j, noMemory())
		refuseAll(t, j)
		ok(t, j.Close())
		if n := tables(); min(n, 1) != want {
			t.Errorf("%d tables", n)
		}
		ok(t, mustOpen(t, state, nil).Close()) // for the second round
	}
}

// readAll calls everything that reads. It expects the memory and nothing else.
func readAll(t *testing.T, j *Journal, want Memory) {
	t.Helper()
	ctx := t.Context()
	wantMemory(t, want, j)
	if runs, err := j.Runs(ctx, 10, 0); len(runs) > 0 || err != nil {
		t.Errorf("runs: %v, %v", runs, err)
	}
	if _, err := j.Run(ctx, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("a run: %v", err)
	}
	for s, err := range j.Steps(ctx, 1) {
		t.Errorf("a step: %v, %v", s, err)
	}
	if used, err := j.PlanUsed(ctx, "beef"); used || err != nil {
		t.Errorf("a used plan: %v, %v", used, err)
	}
	if tickets, err := j.Tickets(ctx); len(tickets) > 0 || err != nil {
		t.Errorf("tickets: %v, %v", tickets, err)
	}
}

// refuseAll calls everything that writes.
func refuseAll(t *testing.T, j *Journal) {
	t.Helper()
	ctx := t.Context()
	for name, err := range map[string]error{
		"Acquire":      func() error { _, err := j.Acquire(ctx, Self()); return err }(),
		"StartRun":     func() error { _, err := j.StartRun(ctx, Run{}); return err }(),
		"FinishRun":    j.FinishRun(ctx, 1, Finish{Outcome: "done"}),
		"Begin":        j.Begin(ctx, 1, 0, StepRecord{}),
		"End":          j.End(ctx, 1, 0, "done", "", ""),
		"Skip":         j.Skip(ctx, 1, 0, StepRecord{}, "skipped", ""),
		"Conclude":     j.Conclude(ctx, 1, Lessons{Finish: Finish{Outcome: "done"}}),
		"Pause":        j.Pause(ctx, "company/1", ""),
		"Unpause":      func() error { _, err := j.Unpause(ctx, "company/1"); return err }(),
		"PutTicket":    j.PutTicket(ctx, Ticket{}),
		"ForgetTicket": j.ForgetTicket(ctx, "steps"),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s on a journal opened for reading: %v", name, err)
		}
	}
}

func TestOddPaths(t *testing.T) {
	for _, name := range []string{"a b.db", "a?b.db", "a#b.db", "a%20b.db", "a&mode=memory.db", "Ü会.db", "mode=ro"} {
		state := filepath.Join(t.TempDir(), name)
		j, _ := mustHold(t, state, nil)
		mustStart(t, j)
		ok(t, j.Close())
		for _, suffix := range suffixes {
			if _, err := os.Stat(state + suffix); err != nil {
				t.Error(err)
			}
		}
		r, err := OpenReadOnly(t.Context(), state, Options{})
		ok(t, err)
		if runs, err := r.Runs(t.Context(), 1, 0); len(runs) != 1 || err != nil {
			t.Errorf("%s: %v, %v", name, runs, err)
		}
		ok(t, r.Close())
	}
	t.Chdir(t.TempDir())
	ok(t, mustOpen(t, "cwvault.db", nil).Close())
	if _, err := os.Stat("cwvault.db"); err != nil {
		t.Error(err)
	}
}

func TestPlacesThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other.db")
	db, err := sql.Open("sqlite", other)
	ok(t, err)
	_, err = db.Exec(`CREATE TABLE customers (id INTEGER)`)
	ok(t, err)
	ok(t, db.Close())
	garbage := filepath.Join(dir, "garbage.db")
	ok(t, os.WriteFile(garbage, []byte(strings.Repeat("this is no database. ", 1000)), 0o600))
	cases := map[string]struct {
		state   string
		is      error
		says    string
		reading bool // whether a reader sees the same
	}{
		"nothing":           {"", nil, "CWVAULT_STATE", true},
		"a URI":             {"file:cwvault.db?mode=memory", nil, "plain path", true},
		"memory":            {":memory:", nil, "plain path", true},
		"another database":  {"mysql://u:p@h/d", nil, "postgres://", true},
		"a directory":       {dir, nil, "not a regular file", true},
		"no directory":      {filepath.Join(dir, "no", "cwvault.db"), fs.ErrNotExist, "create the directory", false},
		"garbage":           {garbage, ErrCorrupt, "move it away", true},
		"another program's": {other, nil, "another program's", true},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			for _, open := range []func(context.Context, string, Options) (*Journal, error){Open, OpenReadOnly} {
				j, err := open(t.Context(), test.state, Options{})
				if j != nil && !test.reading { // there is nothing to read
					ok(t, j.Close())
					continue
				}
				if err == nil {
					t.Fatal("no error")
				}
				if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), test.state) && filepath.IsAbs(test.state) {
					t.Errorf("error does not name the file and the fix: %v", err)
				}
				if test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("error is not %v: %v", test.is, err)
				}
			}
		})
	}
}

// Somebody ran it once as root, and now the service cannot.
func TestAnotherAccountsJournal(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can play two accounts")
	}
	state := newSQLite(t)
	ok(t, mustOpen(t, state, nil).Close())
	exe, err := os.Executable()
	ok(t, err)
	mine := filepath.Join(filepath.Dir(state), "cwvault.test")
	copyFile(t, exe, mine)
	ok(t, os.Chmod(mine, 0o755))
	ok(t, os.Chmod(filepath.Dir(filepath.Dir(state)), 0o755)) // t.TempDir is private
	cmd := exec.Command(mine, state)
	runAs(cmd, 65534, 65534)
	says := startProcess(t, cmd, "open").line("journal")
	if !strings.Contains(says, state) || !strings.Contains(says, "must own the file") {
		t.Errorf("error does not name the file and the fix: %s", says)
	}
}

func TestTruncatedJournalIsDamaged(t *testing.T) {
	whole := newSQLite(t)
	j, _ := mustHold(t, whole, nil)
	run := mustStart(t, j)
	for seq := range 300 {
		ok(t, j.Skip(t.Context(), run, seq, StepRecord{Op: "move", Name: strings.Repeat("n", 200)}, "skipped", ""))
	}
	ok(t, j.Close())
	content, err := os.ReadFile(whole)
	ok(t, err)
	if len(content) < 20*4096 {
		t.Fatalf("only %d bytes", len(content))
	}
	tried := 0
	for n := len(content) - 4096; n > 0; n -= len(content)/40 + 7 {
		state := newSQLite(t)
		ok(t, os.WriteFile(state, content[:n], 0o600))
		for _, open := range []func(context.Context, string, Options) (*Journal, error){OpenReadOnly, Open} {
			if j, err := open(t.Context(), state, Options{}); !errors.Is(err, ErrCorrupt) {
				t.Errorf("cut to %d of %d bytes: journal %v, error %v", n, len(content), j != nil, err)
			}
		}
		tried++
	}
	// A page in the middle is overwritten.
	state := newSQLite(t)
	ok(t, os.WriteFile(state, content, 0o600))
	f, err := os.OpenFile(state, os.O_WRONLY, 0)
	ok(t, err)
	_, err = f.WriteAt([]byte(strings.Repeat("x", 4096)), int64(len(content)/2/4096*4096))
	ok(t, err)
	ok(t, f.Close())
	_, err = Open(t.Context(), state, Options{})
	wantError(t, err, ErrCorrupt)
	t.Logf("%d lengths tried", tried)
}

func TestTruncatedInUse(t *testing.T) {
	ctx, state := t.Context(), newSQLite(t)
	j, _ := mustHold(t, state, nil)
	run := mustStart(t, j)
	var places []KnownPlace
	for i := range 3000 { // more than SQLite keeps in memory
		places = append(places, KnownPlace{Key: sync.CompanyKey(i + 1), Name: strings.Repeat("n", 1000)})
	}
	mustConclude(t, j, run, Lessons{Places: places})
	_, err := j.db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
	ok(t, err)
	ok(t, os.Truncate(state, 40960))
	if _, err := j.Recall(ctx); !errors.Is(err, ErrCorrupt) {
		t.Errorf("recall: %v", err)
	}
	for seq := range 100 {
		if err := j.Begin(ctx, run, seq, StepRecord{}); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("begin: %v", err)
		}
	}
	_, err = Open(ctx, state, Options{})
	wantError(t, err, ErrCorrupt)
}

func TestEmptiedJournalIsNew(t *testing.T) {
	state := newSQLite(t)
	j, _ := mustHold(t, state, nil)
	mustStart(t, j)
	ok(t, j.Close())
	ok(t, os.WriteFile(state, nil, 0o600))
	j, _ = mustHold(t, state, nil)
	if runs, err := j.Runs(t.Context(), 10, 0); len(runs) > 0 || err != nil {
		t.Errorf("%v, %v", runs, err)
	}
	mustStart(t, j)
}

func TestFilesRemovedInUse(t *testing.T) {
	for _, suffix := range suffixes {
		t.Run("cwvault.db"+suffix, func(t *testing.T) {
			ctx, state := t.Context(), newSQLite(t)
			j, l := mustHold(t, state, nil)
			run := mustStart(t, j)
			ok(t, j.Begin(ctx, run, 0, StepRecord{}))
			ok(t, os.Remove(state+suffix))
			err := j.Begin(ctx, run, 1, StepRecord{})
			wantError(t, err, ErrRemoved)
			wantError(t, err, ErrLost)
			wantError(t, l.Check(ctx), ErrLost)
			select {
			case <-l.Lost():
			default:
				t.Error("Lost is not closed")
			}
			ok(t, l.Release(ctx))
			_, err = j.Acquire(ctx, Self())
			wantError(t, err, ErrRemoved)
		})
	}
	t.Run("replaced", func(t *testing.T) {
		state := newSQLite(t)
		j, l := mustHold(t, state, nil)
		for _, suffix := range suffixes {
			ok(t, os.Rename(state+suffix, state+".away"+suffix))
		}
		next, theirs := mustHold(t, state, nil) // another run, with a journal of its own
		mustStart(t, next)
		wantError(t, l.Check(t.Context()), ErrLost)
		_, err := j.StartRun(t.Context(), Run{})
		wantError(t, err, ErrLost)
		ok(t, theirs.Check(t.Context()))
	})
}

func TestWriterWaitsForAnotherProcess(t *testing.T) {
	state := newSQLite(t)
	j := mustOpen(t, state, nil)
	other, err := mustOpen(t, state, nil).db.Begin() // immediate: has the write lock
	ok(t, err)
	time.AfterFunc(30*time.Millisecond, func() { _ = other.Rollback() })
	ok(t, j.Pause(t.Context(), "company/1", "")) // fails if it does not wait
}

func TestSettingsOfSQLite(t *testing.T) {
	j := mustOpen(t, newSQLite(t), nil)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": fmt.Sprint(busyTimeout.Milliseconds()),
	} {
		var got string
		ok(t, j.db.QueryRow("PRAGMA "+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
}
