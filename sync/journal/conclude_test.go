package journal

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// mustConclude ends the run with what l adds to it.
func mustConclude(t testing.TB, j *Journal, run int64, l Lessons) {
	t.Helper()
	if l.Outcome == "" {
		l.Outcome = "done"
	}
	ok(t, j.Conclude(t.Context(), run, l))
}

// learn is a run that leaves l.
func learn(t testing.TB, j *Journal, l Lessons) {
	t.Helper()
	mustConclude(t, j, mustStart(t, j), l)
}

// takeAway hides a table until the function that it returns is called.
func takeAway(t testing.TB, j *Journal, table string) (back func()) {
	t.Helper()
	rename := func(from, to string) {
		t.Helper()
		if _, err := j.db.Exec(`ALTER TABLE ` + from + ` RENAME TO ` + to); err != nil {
			t.Fatal(err)
		}
	}
	rename(table, table+"_away")
	return func() { rename(table+"_away", table) }
}

// contents returns all rows of all tables but the lease.
func contents(t testing.TB, j *Journal) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, name := range []string{"meta", "plan", "run", "step", "place", "used", "pause", "failure", "want", "ticket"} {
		rs, err := j.db.Query(`SELECT * FROM cwvault_` + name)
		ok(t, err)
		columns, err := rs.Columns()
		ok(t, err)
		all[name] = []string{}
		for rs.Next() {
			values := make([]any, len(columns))
			places := make([]any, len(columns))
			for i := range values {
				places[i] = &values[i]
			}
			ok(t, rs.Scan(places...))
			all[name] = append(all[name], fmt.Sprint(values...))
		}
		ok(t, rs.Err())
		ok(t, rs.Close())
		slices.Sort(all[name])
	}
	return all
}

// lessonsOfAll has something for each table that Conclude writes. It returns
// the run that they belong to.
func lessonsOfAll(t testing.TB, j *Journal, c *clock) (run int64, l Lessons) {
	t.Helper()
	ctx := t.Context()
	old, err := j.StartRun(ctx, Run{Plan: []byte("old")})
	ok(t, err)
	ok(t, j.Begin(ctx, old, 0, StepRecord{Op: "move", Key: "company/1"}))
	mustConclude(t, j, old, Lessons{
		Failed:  map[sync.Key]string{"company/3": "no", "company/4": "no"},
		Pending: map[sync.Key]string{"company/5": "a", "company/6": "a"},
	})
	c.add(31 * 24 * time.Hour)
	run = mustStart(t, j)
	ok(t, j.Begin(ctx, run, 0, StepRecord{Op: "create", Key: "company/2"}))
	return run, Lessons{
		Finish:      Finish{Outcome: "done", Good: true, Companies: 9},
		Places:      []KnownPlace{{Key: "company/1", Name: "One"}},
		Settled:     []sync.Key{"company/2"},
		Failed:      map[sync.Key]string{"company/3": "again"},
		Succeeded:   []sync.Key{"company/4"},
		Pending:     map[sync.Key]string{"company/5": "b"},
		NotPending:  []sync.Key{"company/6"},
		Fingerprint: &Fingerprint{Tenant: "acmeinc"},
		UsedPlan:    "beef",
		KeepDays:    30,
	}
}

func TestConcludeWritesAll(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j, _ := mustHold(t, state, c.now)
		before := c.now()
		run, l := lessonsOfAll(t, j, c)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		ok(t, j.Conclude(ended, run, l)) // a run that was stopped concludes too

		now := c.now()
		wantMemory(t, Memory{
			Fingerprint: l.Fingerprint,
			LastGood:    &GoodRun{RunID: run, Companies: 9, At: now},
			Places:      map[sync.Key]KnownPlace{"company/1": l.Places[0]},
			Pauses:      map[sync.Key]Pause{},
			Failures:    map[sync.Key]Failure{"company/3": {Key: "company/3", Count: 2, First: before, Last: now, Next: now.Add(time.Hour), Error: "again"}},
			Pending:     map[sync.Key]PendingMove{"company/5": {Key: "company/5", To: "b", Since: now}},
		}, j)
		if used, err := j.PlanUsed(ctx, "beef"); !used || err != nil {
			t.Errorf("the plan is used: %v, %v", used, err)
		}
		left, err := j.Runs(ctx, 10, 0)
		ok(t, err)
		if diff := cmp.Diff([]RunInfo{{ID: run, Run: Run{Trigger: "test"}, Started: now, Finished: now, Finish: l.Finish}}, left); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
		for s, err := range j.Steps(ctx, run) {
			if ok(t, err); s.Status != Interrupted || !s.Ended.Equal(now) {
				t.Errorf("the settled step is %+v", s)
			}
		}
	})
}

// Wherever it fails, nothing of it is written, and the end can still be
// recorded by itself.
func TestConcludeIsAllOrNothing(t *testing.T) {
	without := func(table string) func(t *testing.T, j *Journal) func() {
		return func(t *testing.T, j *Journal) func() { return takeAway(t, j, "cwvault_"+table) }
	}
	cases := map[string]struct {
		fault func(t *testing.T, j *Journal) (undo func())
		want  error
	}{
		"no places":                       {without("place"), nil},
		"no steps":                        {without("step"), nil},
		"no failures":                     {without("failure"), nil},
		"no pending moves":                {without("want"), nil},
		"no fingerprint":                  {without("meta"), nil},
		"no used plans":                   {without("used"), nil},
		"no runs":                         {without("run"), nil},
		"no plans, which are pruned last": {without("plan"), nil},
		"lease lost": {func(t *testing.T, j *Journal) func() {
			setLease(t, j, `fence = fence + 1`)
			return func() {}
		}, ErrLost},
		"lease released": {func(t *testing.T, j *Journal) func() {
			ok(t, j.held().Release(t.Context()))
			return func() {}
		}, ErrLost},
	}
	eachDatabase(t, func(t *testing.T, state string) {
		for name, test := range cases {
			t.Run(name, func(t *testing.T) {
				ctx, c := t.Context(), newClock()
				j := mustOpen(t, state, c.now)
				setLease(t, j, expired)
				_, err := j.Acquire(ctx, Self())
				ok(t, err)
				run, l := lessonsOfAll(t, j, c)
				before := contents(t, j)
				undo := test.fault(t, j)
				err = j.Conclude(ctx, run, l)
				undo()
				if err == nil {
					t.Fatal("no error")
				}
				if test.want != nil {
					wantError(t, err, test.want)
				}
				if diff := cmp.Diff(before, contents(t, j)); diff != "" {
					t.Errorf("written (-before +after):\n%s", diff)
				}
				ok(t, j.FinishRun(ctx, run, Finish{Outcome: "partial", Error: err.Error()}))
			})
		}
	})
}

func TestConcludeRefusesMisuse(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j, _ := mustHold(t, state, nil)
		run := mustStart(t, j)
		done := Finish{Outcome: "done"}
		before := contents(t, j)
		wantError(t, j.Conclude(t.Context(), run+1, Lessons{Finish: done, Places: []KnownPlace{{Key: "company/1"}}}), ErrNotFound)
		for name, l := range map[string]Lessons{
			"no outcome":             {Places: []KnownPlace{{Key: "company/1"}}},
			"two places for one key": {Finish: done, Places: []KnownPlace{{Key: "company/1"}, {Key: "company/2"}, {Key: "company/1"}}},
		} {
			if err := j.Conclude(t.Context(), run, l); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if diff := cmp.Diff(before, contents(t, j)); diff != "" {
			t.Errorf("written (-before +after):\n%s", diff)
		}
	})
}

func TestPlanIsUsed(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j, _ := mustHold(t, state, nil)
		for _, id := range []string{"a", "b", "a", ""} {
			learn(t, j, Lessons{UsedPlan: id})
		}
		for id, want := range map[string]bool{"a": true, "b": true, "c": false, "": false} {
			if used, err := j.PlanUsed(t.Context(), id); err != nil || used != want {
				t.Errorf("PlanUsed(%q) = %v, %v", id, used, err)
			}
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
		mustConclude(t, j, ids[3], Lessons{UsedPlan: "old"})
		c.add(31 * 24 * time.Hour)
		mustConclude(t, j, ids[3], Lessons{UsedPlan: "new"})

		left := func() (left []int) {
			t.Helper()
			list, err := j.Runs(ctx, 100, 0)
			ok(t, err)
			for _, r := range list {
				left = append(left, slices.Index(ids, r.ID))
			}
			return left
		}
		mustConclude(t, j, ids[3], Lessons{})
		if diff := cmp.Diff([]int{3, 2, 1, 0}, left()); diff != "" {
			t.Errorf("kept with 0 days (-want +got):\n%s", diff)
		}
		mustConclude(t, j, ids[3], Lessons{KeepDays: 30})
		if diff := cmp.Diff([]int{3, 2, 1}, left()); diff != "" { // 3 is the last run of all
			t.Errorf("kept with 30 days (-want +got):\n%s", diff)
		}
		last := run(false, "new") // 4
		mustConclude(t, j, last, Lessons{Settled: []sync.Key{"company/1"}, KeepDays: 30})
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
		for id, want := range map[string]bool{"old": false, "new": true} {
			if used, err := j.PlanUsed(ctx, id); used != want || err != nil {
				t.Errorf("plan %s is used: %v, %v", id, used, err)
			}
		}
	})
}

// fillRuns adds n runs that are over, each with a plan and steps.
func fillRuns(t testing.TB, j *Journal, n, steps int) {
	t.Helper()
	at := j.now().UnixMilli()
	for _, insert := range []string{
		`INSERT INTO cwvault_plan SELECT 'plan ' || run, '' FROM runs`,
		fmt.Sprintf(`INSERT INTO cwvault_run SELECT run, '', '', 'plan ' || run, '', '', '', %d, %[1]d, 'done', 0, 0, '', '' FROM runs`, at),
		`INSERT INTO cwvault_step SELECT run, seq, 'move', '', '', '', '', '', '', 'done', '', 0, 0 FROM runs, steps WHERE seq > 0`,
	} {
		_, err := j.db.Exec(fmt.Sprintf(`WITH RECURSIVE
			runs (run) AS (SELECT 1 UNION ALL SELECT run + 1 FROM runs WHERE run < %d),
			steps (seq) AS (SELECT 0 UNION ALL SELECT seq + 1 FROM steps WHERE seq < %d) `, n, steps) + insert)
		ok(t, err)
	}
}

// One run does not pay for all that was never removed.
func TestPruneIsLimited(t *testing.T) {
	for name, test := range map[string]struct {
		runs, steps int
		left        []int // after each run, of the old ones
	}{
		"by runs":  {pruneRuns + 50, 1, []int{50, 0, 0}},
		"by steps": {4, pruneSteps/2 + 1, []int{2, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			eachDatabase(t, func(t *testing.T, state string) {
				c := newClock()
				j, _ := mustHold(t, state, c.now)
				fillRuns(t, j, test.runs, test.steps)
				c.add(31 * 24 * time.Hour)
				for i, want := range test.left {
					mustConclude(t, j, mustStart(t, j), Lessons{KeepDays: 30})
					var runs, plans, steps int
					ok(t, j.db.QueryRow(`SELECT (SELECT count(*) FROM cwvault_run), (SELECT count(*) FROM cwvault_plan), (SELECT count(*) FROM cwvault_step)`).
						Scan(&runs, &plans, &steps))
					if runs -= i + 1; runs != want || plans != want || steps != want*test.steps {
						t.Errorf("after run %d: %d old runs, %d plans, %d steps; want %d runs", i+1, runs, plans, steps, want)
					}
				}
			})
		})
	}
}
