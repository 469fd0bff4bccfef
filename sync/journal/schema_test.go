package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// loadLayout1 fills the database at state as the first version did.
func loadLayout1(t *testing.T, state string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "layout1.sql"))
	ok(t, err)
	j := raw(t, state)
	script := strings.ReplaceAll(migrations[0], "BYTES", j.dialect.bytes) + string(content)
	literal := `X'$1'`
	if j.dialect.clock != "" {
		literal = `'\x$1'`
	}
	script = regexp.MustCompile(`HEX\(([0-9a-f]+)\)`).ReplaceAllString(script, literal)
	_, err = j.db.Exec(script)
	ok(t, err)
	ok(t, j.Close())
}

// raw is the database without any layout made.
func raw(t *testing.T, state string) *Journal {
	t.Helper()
	j, err := open(t.Context(), state, Options{}, false)
	ok(t, err)
	return j
}

// What any released version has written is read by this one: as it is, and
// after it was brought up to date.
func TestJournalOfLayout1(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		loadLayout1(t, state)
		before, err := OpenReadOnly(t.Context(), state, Options{})
		ok(t, err)
		defer before.Close()
		if v, err := schemaVersion(t.Context(), before.db, before.dialect, len(migrations)); v != 1 || err != nil {
			t.Fatalf("looking made it layout %d (%v)", v, err)
		}
		readLayout1(t, before)
		ok(t, before.Close())

		ctx := t.Context()
		j := mustOpen(t, state, nil)
		readLayout1(t, j)
		l, err := j.Acquire(ctx, Self())
		ok(t, err)
		if l.fence != 18 {
			t.Errorf("fence %d, want 18", l.fence)
		}
		if tickets, err := j.Tickets(ctx); len(tickets) > 0 || err != nil {
			t.Errorf("tickets %v (%v), before there could be any", tickets, err)
		}
		if id := mustStart(t, j); id != 43 {
			t.Errorf("the next run is %d, want 43", id)
		}
		place := KnownPlace{Key: "company/250", FolderID: "22", Parent: sync.RootKey, Name: "Alovet, Inc."}
		mustConclude(t, j, 43, Lessons{Places: []KnownPlace{place}, Settled: []sync.Key{"company/9"}})
		if m := recall(t, j); m.Places["company/250"] != place || len(m.Intents) > 0 {
			t.Errorf("after a run: %+v", m)
		}
	})
}

// readLayout1 expects what loadLayout1 has written.
func readLayout1(t *testing.T, j *Journal) {
	t.Helper()
	ctx := t.Context()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	run, err := j.Run(ctx, 41)
	ok(t, err)
	if diff := cmp.Diff(RunInfo{
		ID: 41, Run: Run{Trigger: "schedule", PlanID: "beef", Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Clients`, Plan: []byte(`{"steps":[]}`)},
		Started: at, Finished: at.Add(time.Minute), Finish: Finish{Outcome: "done", Good: true, Companies: 812, Counts: map[string]int{"create": 1}},
	}, run); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
	var steps []StepInfo
	for s, err := range j.Steps(ctx, 41) {
		ok(t, err)
		steps = append(steps, s)
	}
	if diff := cmp.Diff([]StepInfo{{Seq: 0, StepRecord: StepRecord{Op: "create", Key: "company/250", FolderID: "21", Parent: "7", Name: "Alovet", To: `\Clients\Alovet`},
		Status: "done", Began: at, Ended: at}}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	wantMemory(t, Memory{
		Fingerprint: &Fingerprint{Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Clients`, RootID: "7", Layout: "abc"},
		LastGood:    &GoodRun{RunID: 41, Companies: 812, At: at},
		Places:      map[sync.Key]KnownPlace{"company/250": {Key: "company/250", FolderID: "21", Parent: "group/type:1", Name: "Alovet", Path: `\Clients\Alovet`}},
		Intents:     []Intent{{RunID: 42, Seq: 3, Key: "company/9", Parent: "7\xff", Name: "Nine", Path: `\Clients\Nine`, Began: at}},
		Pauses:      map[sync.Key]Pause{"company/250": {Key: "company/250", Reason: "contract", Since: at}},
		Failures:    map[sync.Key]Failure{"company/3": {Key: "company/3", Count: 2, First: at, Last: at, Next: at.Add(time.Hour), Error: "no"}},
		Pending:     map[sync.Key]PendingMove{"company/4": {Key: "company/4", To: "x", Since: at}},
	}, j)
	if used, err := j.PlanUsed(ctx, "beef"); !used || err != nil {
		t.Errorf("the used plan: %v, %v", used, err)
	}
}

// Journals out there have the layout that was released, not a later idea of it.
func TestReleasedLayoutsAreNotEdited(t *testing.T) {
	for i, want := range []string{
		"2468f5e2e1e9b0820650cd1b0e0e2798e6d3893a1e0f2642018764d693548766",
		"409229413bb0d98b13bd3af2774267c0b54c3103c48cc81a077decf517438934",
	} {
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(migrations[i]))); got != want {
			t.Errorf("the way to layout %d was edited (its digest is %s); add another migration instead", i+1, got)
		}
	}
}

func TestMigrations(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx := t.Context()
		loadLayout1(t, state)
		j := raw(t, state)
		defer j.Close()
		count := func(query string) (n int) {
			t.Helper()
			ok(t, j.db.QueryRow(query).Scan(&n))
			return n
		}
		add := `ALTER TABLE cwvault_pause ADD COLUMN who TEXT NOT NULL DEFAULT 'nobody'; CREATE TABLE cwvault_more (x BYTES)`
		newer := append(slices.Clone(migrations), add)
		broken := append(slices.Clone(newer), `UPDATE cwvault_pause SET who = 'x'; DELETE FROM no_such_table`)
		if err := migrate(ctx, j.db, j.dialect, broken); err == nil {
			t.Fatal("a broken migration succeeds")
		}
		if v, err := schemaVersion(ctx, j.db, j.dialect, 9); v != 1 || err != nil {
			t.Errorf("after a broken migration it is layout %d (%v)", v, err)
		}
		if _, err := j.db.Exec(`SELECT who FROM cwvault_pause`); err == nil {
			t.Error("half a migration was kept")
		}

		for range 2 { // the second time there is nothing to do
			ok(t, migrate(ctx, j.db, j.dialect, newer))
			if n := count(`SELECT count(*) FROM cwvault_pause WHERE who = 'nobody'`); n != 1 {
				t.Errorf("%d pauses, want the one there was", n)
			}
		}
		if v, err := schemaVersion(ctx, j.db, j.dialect, 9); v != len(newer) || err != nil {
			t.Errorf("it is layout %d (%v), want %d", v, err, len(newer))
		}

		// The present version meets the journal of a newer one.
		for _, open := range []func() (*Journal, error){
			func() (*Journal, error) { return Open(ctx, state, Options{}) },
			func() (*Journal, error) { return OpenReadOnly(ctx, state, Options{}) },
		} {
			_, err := open()
			if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "newer cwvault") || !strings.Contains(err.Error(), j.name) {
				t.Errorf("a newer journal: %v", err)
			}
		}
		if n := count(`SELECT count(*) FROM cwvault_more`); n != 0 {
			t.Error("the newer journal was changed")
		}
		_, err := j.db.Exec(`UPDATE cwvault_meta SET value = 'x' WHERE name = 'layout'`)
		ok(t, err)
		_, err = Open(ctx, state, Options{})
		wantError(t, err, ErrVersion)
	})
}

func TestManyMakeTheJournalAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		var all gosync.WaitGroup
		for range 8 {
			all.Go(func() {
				j, err := Open(t.Context(), state, Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := j.Pause(t.Context(), "company/1", ""); err != nil {
					t.Error(err)
				}
				if err := j.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}
