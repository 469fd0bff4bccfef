package journal

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
		j := mustOpen(t, state, nil)
		const n = 2345
		fillRuns(t, j, 1, n)
		next := 1
		for s, err := range j.Steps(t.Context(), 1) {
			ok(t, err)
			if s.Seq != next {
				t.Fatalf("step %d where %d was due", s.Seq, next)
			}
			next++
			if next == 1500 { // another writer while a reader is in the middle
				ok(t, j.Pause(t.Context(), "company/1", ""))
			}
		}
		if next != n+1 {
			t.Errorf("%d steps, want %d", next-1, n)
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
	})
}
