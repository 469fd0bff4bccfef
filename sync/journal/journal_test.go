package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// odd holds what a PostgreSQL text column refuses and what tools like to trim.
const odd = " \x01\xff\x00\xed\xa0\x80 Ünï — 会社 \U0001F5C4\n"

func TestRunIsReadBackAsWritten(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j, _ := mustHold(t, state, c.now)
		run := Run{Trigger: "schedule", PlanID: "beef", Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Clients` + odd,
			Plan: []byte(`{"steps":[` + strings.Repeat(`"x",`, 10000) + `1]}`)}
		started := c.now()
		first, err := j.StartRun(ctx, run)
		ok(t, err)

		create := StepRecord{Op: "create", Key: "company/250", Parent: "7" + odd, Name: "Alovet" + odd, To: `\Clients\Alovet`}
		move := StepRecord{Op: "move", Key: "company/9", FolderID: "21", Parent: "8", Name: "B", From: `\Clients\A`, To: `\Clients\B`}
		ok(t, j.Begin(ctx, first, 0, create))
		ok(t, j.Begin(ctx, first, 1, move))
		c.add(1500 * time.Millisecond)
		ok(t, j.End(ctx, first, 1, "failed", "", "vault says: "+odd))
		ok(t, j.End(ctx, first, 0, "done", "99"+odd, ""))
		ok(t, j.Skip(ctx, first, 2, move, "skipped", "its parent failed"))

		var steps []StepInfo
		for s, err := range j.Steps(ctx, first) {
			ok(t, err)
			steps = append(steps, s)
		}
		created, ended := create, c.now()
		created.FolderID = "99" + odd
		if diff := cmp.Diff([]StepInfo{
			{Seq: 0, StepRecord: created, Status: "done", Began: started, Ended: ended},
			{Seq: 1, StepRecord: move, Status: "failed", Error: "vault says: " + odd, Began: started, Ended: ended},
			{Seq: 2, StepRecord: move, Status: "skipped", Error: "its parent failed", Began: ended, Ended: ended},
		}, steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}

		finish := Finish{Outcome: "partial", Good: true, Companies: 812, Counts: map[string]int{"create": 1, "failed": 1}, Error: "one step failed"}
		ok(t, j.FinishRun(ctx, first, finish))
		second, err := j.StartRun(ctx, Run{Trigger: "resync"})
		ok(t, err)
		if second <= first {
			t.Errorf("run numbers do not grow: %d after %d", second, first)
		}

		got, err := j.Run(ctx, first)
		ok(t, err)
		want := RunInfo{ID: first, Run: run, Started: started, Finished: ended, Finish: finish}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("run (-want +got):\n%s", diff)
		}
		list, err := j.Runs(ctx, 10, 0)
		ok(t, err)
		want.Plan = nil // lists go without
		if diff := cmp.Diff([]RunInfo{{ID: second, Run: Run{Trigger: "resync"}, Started: ended}, want}, list); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
		if list, err = j.Runs(ctx, 10, second); err != nil || len(list) != 1 || list[0].ID != first {
			t.Errorf("runs before the second: %v, %v", list, err)
		}
		if list, err = j.Runs(ctx, 1, 0); err != nil || len(list) != 1 || list[0].ID != second {
			t.Errorf("the last run: %v, %v", list, err)
		}
		if _, err := j.Run(ctx, second+1); !errors.Is(err, ErrNotFound) {
			t.Errorf("a run that is not there: %v", err)
		}
	})
}

func TestStepsArePaged(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j, _ := mustHold(t, state, nil)
		run := mustStart(t, j)
		const n = 2345
		var all gosync.WaitGroup
		for w := range 8 {
			all.Go(func() {
				for seq := w; seq < n; seq += 8 {
					if err := j.Skip(t.Context(), run, seq, StepRecord{Op: "move"}, "skipped", ""); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		next := 0
		for s, err := range j.Steps(t.Context(), run) {
			ok(t, err)
			if s.Seq != next {
				t.Fatalf("step %d where %d was due", s.Seq, next)
			}
			next++
			if next == 1500 { // another writer while a reader is in the middle
				ok(t, j.Pause(t.Context(), "company/1", ""))
			}
		}
		if next != n {
			t.Errorf("%d steps, want %d", next, n)
		}
	})
}

func TestMisuseIsRefused(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx := t.Context()
		j, _ := mustHold(t, state, nil)
		run := mustStart(t, j)
		ok(t, j.Begin(ctx, run, 1, StepRecord{Op: "move"}))
		ok(t, j.End(ctx, run, 1, "done", "", ""))
		ended, cancel := context.WithCancel(ctx)
		cancel()
		for name, err := range map[string]error{
			"a step begun twice":        j.Begin(ctx, run, 1, StepRecord{Op: "move"}),
			"a step of no run":          j.Begin(ctx, run+1, 1, StepRecord{Op: "move"}),
			"a step ended twice":        j.End(ctx, run, 1, "failed", "", ""),
			"a step never begun":        j.End(ctx, run, 2, "done", "", ""),
			"no status":                 j.End(ctx, run, 1, "", "", ""),
			"a skipped step, no status": j.Skip(ctx, run, 3, StepRecord{}, "", ""),
			"no outcome":                j.FinishRun(ctx, run, Finish{}),
			"no such run":               j.FinishRun(ctx, run+1, Finish{Outcome: "done"}),
			"begun after the end":       j.Begin(ended, run, 4, StepRecord{Op: "move"}),
			"two places for one key":    j.PutPlaces(ctx, []KnownPlace{{Key: "company/1"}, {Key: "company/2"}, {Key: "company/1"}}),
			"a plan without id":         j.UsePlan(ctx, ""),
			"a lease after the end":     func() error { _, err := j.Acquire(ended, Self()); return err }(),
			"a run after the end":       func() error { _, err := j.StartRun(ended, Run{}); return err }(),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		var steps []int
		for s, err := range j.Steps(ctx, run) {
			ok(t, err)
			steps = append(steps, s.Seq)
		}
		if diff := cmp.Diff([]int{1}, steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		if places, err := j.Places(ctx); err != nil || len(places) != 0 {
			t.Errorf("places %v, %v", places, err)
		}
		// What has been done must be recorded also when a signal has ended the run.
		ok(t, j.Begin(ctx, run, 5, StepRecord{Op: "move"}))
		ok(t, j.End(ended, run, 5, "done", "", ""))
		ok(t, j.FinishRun(ended, run, Finish{Outcome: "partial"}))
	})
}

// together makes n calls that meet in one transaction, and returns their errors.
func together(t *testing.T, j *Journal, n int, call func(i int) error) []error {
	t.Helper()
	j.turn <- struct{}{} // somebody is committing, so that they wait for each other
	errs := make([]error, n)
	var all gosync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = call(i) })
	}
	waiting := func() int {
		j.mu.Lock()
		defer j.mu.Unlock()
		return len(j.pending)
	}
	for deadline := time.Now().Add(10 * time.Second); waiting() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the callers do not queue")
		}
	}
	<-j.turn
	all.Wait()
	return errs
}

func TestOneCallersMistakeIsNotTheOthers(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx := t.Context()
		j, _ := mustHold(t, state, nil)
		run := mustStart(t, j)
		ok(t, j.Begin(ctx, run, 0, StepRecord{Op: "move"}))
		const n = 8
		for i, err := range together(t, j, n, func(i int) error { return j.Begin(ctx, run, i, StepRecord{Op: "move"}) }) {
			if (err != nil) != (i == 0) { // which is taken
				t.Errorf("step %d: %v", i, err)
			}
		}
		count := 0
		for _, err := range j.Steps(ctx, run) {
			ok(t, err)
			count++
		}
		if count != n {
			t.Errorf("%d steps, want %d", count, n)
		}
	})
}

func TestAllCallersHearOfAFailure(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j, _ := mustHold(t, state, nil)
		run := mustStart(t, j)
		database, gone := j.db, mustOpen(t, state, nil).db
		ok(t, gone.Close())
		j.db = gone
		for i, err := range together(t, j, 8, func(i int) error { return j.Begin(t.Context(), run, i, StepRecord{}) }) {
			if err == nil {
				t.Errorf("step %d: no error", i)
			}
		}
		j.db = database
		for range j.Steps(t.Context(), run) {
			t.Error("a step was recorded")
		}
	})
}

func TestFailedCommitIsAnError(t *testing.T) {
	j, _ := mustHold(t, newSQLite(t), nil)
	err := j.commit(t.Context(), &write{fenced: true, do: func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `PRAGMA defer_foreign_keys = 1; INSERT INTO cwvault_step VALUES (99, 0, '', '', '', '', '', '', '', '', '', 0, 0)`)
		return err
	}})
	if err == nil {
		t.Error("no error")
	}
	run := mustStart(t, j) // the next transaction is not spoilt
	ok(t, j.Begin(t.Context(), run, 0, StepRecord{}))
}

func TestIntents(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j, _ := mustHold(t, state, c.now)
		first := mustStart(t, j)
		create := func(key sync.Key, name string) StepRecord {
			return StepRecord{Op: "create", Key: key, Parent: "7", Name: name, To: `\Clients\` + name}
		}
		ok(t, j.Begin(ctx, first, 0, create("company/1", "Done")))
		ok(t, j.End(ctx, first, 0, "done", "70", ""))
		ok(t, j.Begin(ctx, first, 1, create("company/2", "Two")))
		ok(t, j.Begin(ctx, first, 2, StepRecord{Op: "move", Key: "company/3", FolderID: "30"}))
		second := mustStart(t, j)
		ok(t, j.Begin(ctx, second, 0, create("company/4", "Four")))
		ok(t, j.Begin(ctx, second, 1, create("company/2", "Two")))
		ok(t, j.Skip(ctx, second, 2, create("company/5", "Five"), "skipped", ""))

		intent := func(run int64, seq int, key sync.Key, name string) Intent {
			return Intent{RunID: run, Seq: seq, Key: key, Parent: "7", Name: name, Path: `\Clients\` + name, Began: c.now()}
		}
		check := func(want ...Intent) {
			t.Helper()
			got, err := j.Intents(ctx)
			ok(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("intents (-want +got):\n%s", diff)
			}
		}
		check(intent(first, 1, "company/2", "Two"), intent(second, 0, "company/4", "Four"), intent(second, 1, "company/2", "Two"))
		ok(t, j.ClearIntent(ctx, "company/2"))
		check(intent(second, 0, "company/4", "Four"))
		// A later run that found the folder can say so in the run that made it.
		ok(t, j.End(ctx, second, 0, "done", "71", ""))
		check()

		info, err := j.Run(ctx, first)
		ok(t, err)
		if info.Outcome != Interrupted {
			t.Errorf("a run that never finished has the outcome %q", info.Outcome)
		}
		var status []string
		for s, err := range j.Steps(ctx, first) {
			ok(t, err)
			status = append(status, s.Status)
		}
		if diff := cmp.Diff([]string{"done", Interrupted, ""}, status); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

func TestPlaces(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j, _ := mustHold(t, state, c.now)
		want := map[sync.Key]KnownPlace{}
		var all []KnownPlace
		for i := range 4321 { // more than a transaction and than a statement hold
			p := KnownPlace{Key: sync.CompanyKey(i + 1), FolderID: fmt.Sprint(i, odd), Parent: "group/type:1", Name: odd, Path: `\` + odd}
			all = append(all, p)
			want[p.Key] = p
		}
		ok(t, j.PutPlaces(ctx, all))
		changed := KnownPlace{Key: "company/7", FolderID: "x", Parent: "group/type:2", Name: "n", Path: "p"}
		group := KnownPlace{Key: "group/text:EMEA", FolderID: "g"}
		ok(t, j.PutPlaces(ctx, []KnownPlace{changed, group}))
		ok(t, j.PutPlaces(ctx, nil))
		want[changed.Key], want[group.Key] = changed, group

		got, err := j.Places(ctx)
		ok(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("places (-want +got):\n%s", diff)
		}
	})
}

func TestLastGood(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j, _ := mustHold(t, state, c.now)
		if _, found, err := j.LastGood(ctx); found || err != nil {
			t.Fatalf("found one in a new journal (%v)", err)
		}
		var want GoodRun
		for i, f := range []Finish{
			{Outcome: "done", Good: true, Companies: 900},
			{Outcome: "partial", Good: true, Companies: 812},
			{Outcome: "refused", Good: false, Companies: 3},
		} {
			c.add(time.Hour)
			id := mustStart(t, j)
			ok(t, j.FinishRun(ctx, id, f))
			if i == 1 {
				want = GoodRun{RunID: id, Companies: 812, At: c.now()}
			}
		}
		c.add(time.Hour)
		mustStart(t, j) // runs still
		got, found, err := j.LastGood(ctx)
		if diff := cmp.Diff(want, got); diff != "" || !found || err != nil {
			t.Errorf("last good run (-want +got), found %v, error %v:\n%s", found, err, diff)
		}
	})
}

func TestFingerprint(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx := t.Context()
		j, _ := mustHold(t, state, nil)
		if _, found, err := j.Fingerprint(ctx); found || err != nil {
			t.Fatalf("found one in a new journal (%v)", err)
		}
		for _, want := range []Fingerprint{
			{Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Clients`, RootID: "7", Layout: "abc"},
			{Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Kunden Ü`, RootID: "8", Layout: "def"},
		} {
			ok(t, j.SetFingerprint(ctx, want))
			got, found, err := j.Fingerprint(ctx)
			if diff := cmp.Diff(want, got); diff != "" || !found || err != nil {
				t.Errorf("fingerprint (-want +got), found %v, error %v:\n%s", found, err, diff)
			}
		}
	})
}

func TestPlanIsUsedOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx := t.Context()
		j, _ := mustHold(t, state, nil)
		ok(t, j.UsePlan(ctx, "a"))
		ok(t, j.UsePlan(ctx, "b"))
		wantError(t, j.UsePlan(ctx, "a"), ErrUsed)
		for id, want := range map[string]bool{"a": true, "b": true, "c": false} {
			if used, err := j.PlanUsed(ctx, id); err != nil || used != want {
				t.Errorf("PlanUsed(%q) = %v, %v", id, used, err)
			}
		}
	})
}

func TestPauses(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j := mustOpen(t, state, c.now) // a person pauses beside the run that has the lease
		since := c.now()
		ok(t, j.Pause(ctx, "company/1", "contract ends"))
		c.add(time.Hour)
		ok(t, j.Pause(ctx, "company/1", "contract ended"))
		ok(t, j.Pause(ctx, "company/2", ""))
		got, err := j.Pauses(ctx)
		if diff := cmp.Diff(map[sync.Key]Pause{
			"company/1": {Key: "company/1", Reason: "contract ended", Since: since},
			"company/2": {Key: "company/2", Since: c.now()},
		}, got); diff != "" || err != nil {
			t.Errorf("pauses (-want +got), error %v:\n%s", err, diff)
		}
		for _, want := range []bool{true, false} {
			if was, err := j.Unpause(ctx, "company/1"); was != want || err != nil {
				t.Errorf("unpause: %v, %v; want %v", was, err, want)
			}
		}
		if got, err := j.Pauses(ctx); len(got) != 1 || err != nil {
			t.Errorf("left: %v, %v", got, err)
		}
	})
}

func TestFailuresRestLongerEachTime(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j, _ := mustHold(t, state, c.now)
		first := c.now()
		var rests []time.Duration
		for i := range 8 {
			c.add(30 * time.Minute)
			if i == 0 {
				first = c.now()
			}
			ok(t, j.NoteFailure(ctx, "company/1", fmt.Sprint("attempt ", i+1)))
			all, err := j.Failures(ctx)
			ok(t, err)
			f := all["company/1"]
			rests = append(rests, f.Next.Sub(c.now()))
			if diff := cmp.Diff(Failure{Key: "company/1", Count: i + 1, First: first, Last: c.now(), Next: f.Next,
				Error: fmt.Sprint("attempt ", i+1)}, f); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
		}
		h := time.Hour
		if diff := cmp.Diff([]time.Duration{0, h, 2 * h, 4 * h, 8 * h, 16 * h, 24 * h, 24 * h}, rests); diff != "" {
			t.Errorf("rests (-want +got):\n%s", diff)
		}

		c.add(-1000 * h)
		if all, err := j.Failures(ctx); err != nil || !all["company/1"].Next.Equal(c.now()) {
			t.Errorf("after the clock was set back the next attempt is at %v (%v)", all["company/1"].Next, err)
		}
		ok(t, j.NoteFailure(ctx, "company/2", strings.Repeat("ü", maxError)))
		ok(t, j.NoteSuccess(ctx, "company/1"))
		all, err := j.Failures(ctx)
		if err != nil || len(all) != 1 || len(all["company/2"].Error) > maxError+4 || !strings.HasPrefix(all["company/2"].Error, "üü") {
			t.Errorf("left: %v, %v", all, err)
		}
	})
}

func TestWantedSince(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j, _ := mustHold(t, state, c.now)
		since := func() time.Time {
			t.Helper()
			ok(t, j.Wanted(ctx, "company/2", "unchanged"))
			all, err := j.Wants(ctx)
			ok(t, err)
			return all["company/1"].Since
		}
		start := c.now()
		ok(t, j.Wanted(ctx, "company/1", "a"))
		c.add(time.Hour)
		ok(t, j.Wanted(ctx, "company/1", "a"))
		if got := since(); !got.Equal(start) {
			t.Errorf("the same place is wanted since %v, want %v", got, start)
		}
		ok(t, j.Wanted(ctx, "company/1", "b"))
		if got := since(); !got.Equal(c.now()) {
			t.Errorf("another place is wanted since %v, want %v", got, c.now())
		}
		c.add(-100 * time.Hour)
		ok(t, j.Wanted(ctx, "company/1", "b"))
		if got := since(); !got.Equal(c.now()) {
			t.Errorf("after the clock was set back it is wanted since %v, want %v", got, c.now())
		}
		ok(t, j.Unwanted(ctx, "company/1"))
		if got := since(); !got.IsZero() {
			t.Errorf("still wanted since %v", got)
		}
		if all, err := j.Wants(ctx); err != nil || len(all) != 1 {
			t.Errorf("left: %v, %v", all, err)
		}
	})
}

func TestPruneKeepsWhatIsNeeded(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j, _ := mustHold(t, state, c.now)
		var ids []int64
		run := func(good bool, plan string) int64 {
			id, err := j.StartRun(ctx, Run{Plan: []byte(plan)})
			ok(t, err)
			ok(t, j.Begin(ctx, id, 1, StepRecord{Op: "move"}))
			ok(t, j.FinishRun(ctx, id, Finish{Outcome: "done", Good: good}))
			ids = append(ids, id)
			return id
		}
		run(true, "shared") // 0: old
		run(true, "own")    // 1: old, but the last good one
		open := run(false, "shared")
		ok(t, j.Begin(ctx, open, 2, StepRecord{Op: "create", Key: "company/1"})) // 2: old, with an open intent
		run(false, "shared")                                                     // 3: old
		ok(t, j.UsePlan(ctx, "old"))
		c.add(31 * 24 * time.Hour)
		ok(t, j.UsePlan(ctx, "new"))

		left := func() (left []int) {
			t.Helper()
			list, err := j.Runs(ctx, 100, 0)
			ok(t, err)
			for _, r := range list {
				left = append(left, slices.Index(ids, r.ID))
			}
			return left
		}
		ok(t, j.Prune(ctx, 0))
		if diff := cmp.Diff([]int{3, 2, 1, 0}, left()); diff != "" {
			t.Errorf("kept with 0 days (-want +got):\n%s", diff)
		}
		ok(t, j.Prune(ctx, 30))
		if diff := cmp.Diff([]int{3, 2, 1}, left()); diff != "" { // 3 is the last run of all
			t.Errorf("kept with 30 days (-want +got):\n%s", diff)
		}
		run(false, "new") // 4
		ok(t, j.ClearIntent(ctx, "company/1"))
		ok(t, j.Prune(ctx, 30))
		if diff := cmp.Diff([]int{4, 1}, left()); diff != "" {
			t.Errorf("kept at last (-want +got):\n%s", diff)
		}
		for range j.Steps(ctx, open) {
			t.Fatal("a step outlives its run")
		}
		var plans int
		ok(t, j.db.QueryRow(`SELECT count(*) FROM cwvault_plan`).Scan(&plans))
		if plans != 2 {
			t.Errorf("%d plans are left, want those of the two runs", plans)
		}
		ok(t, j.UsePlan(ctx, "old"))
		wantError(t, j.UsePlan(ctx, "new"), ErrUsed)
	})
}
