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
		"by runs":  {2*pruneRuns + 50, 1, []int{pruneRuns + 50, 50, 0, 0}},
		"by steps": {5, pruneSteps/2 + 1, []int{3, 1, 0, 0}},
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
