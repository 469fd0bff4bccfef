package journal

import (
	"context"
	"database/sql"
	gosync "sync"
	"testing"
)

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
	waitFor(t, "the queue of callers", func() bool { return waiting() == n })
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
