package journal

import (
	"context"
	"database/sql"
	"slices"
	"time"
)

const (
	// writeTimeout limits one transaction. It is well below the life of a lease.
	writeTimeout = 10 * time.Second
	// longTimeout limits operations without the lease: connecting, migrating,
	// reading.
	longTimeout = 2 * time.Minute
)

// write is one caller's part of a transaction.
type write struct {
	do      func(ctx context.Context, tx *sql.Tx) error // may run more than once, in another transaction
	fenced  bool                                        // only while the lease is held
	timeout time.Duration                               // instead of writeTimeout, if longer
	done    bool                                        // set, with err, by the caller that commits, while it has the turn
	err     error
}

// commit carries out w durably. Callers that arrive during another's commit wait
// and then share one transaction: to the disk, a transaction of one row costs as
// much as one of eight.
//
// The end of ctx does not stop it: changes to the vault must be recorded even if a
// signal ends the run.
func (j *Journal) commit(ctx context.Context, w *write) error {
	if j.readOnly {
		return ErrReadOnly
	}
	j.mu.Lock()
	j.pending = append(j.pending, w)
	j.mu.Unlock()

	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	if w.done { // by the caller that had the turn before
		return w.err
	}
	j.mu.Lock()
	batch := j.pending
	j.pending = nil
	j.mu.Unlock()

	ctx = context.WithoutCancel(ctx)
	failed, err := j.transact(ctx, batch)
	if failed && len(batch) > 1 {
		// One caller's mistake must not fail the others: commit each by itself.
		for _, one := range batch {
			_, one.err = j.transact(ctx, []*write{one})
			one.done = true
		}
		return w.err
	}
	for _, one := range batch {
		one.err, one.done = err, true
	}
	return err
}

// transact carries out the batch in one transaction. failed says that the error
// came from one of the writes, so nothing was committed.
func (j *Journal) transact(ctx context.Context, batch []*write) (failed bool, err error) {
	if j.removed() { // rule 14: nothing is written to a journal that was removed
		if l := j.held(); l != nil {
			l.lose()
		}
		return false, ErrRemoved
	}
	timeout := writeTimeout
	for _, w := range batch {
		timeout = max(timeout, w.timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tx, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() // after Commit it does nothing

	keepUp := func() {}
	if slices.ContainsFunc(batch, func(w *write) bool { return w.fenced }) { // rule 14: the holder is compared in the same transaction
		if keepUp, err = j.fence(ctx, tx); err != nil {
			return true, err
		}
	}
	for _, w := range batch {
		if err := w.do(ctx, tx); err != nil {
			return true, err
		}
	}
	if err := tx.Commit(); err != nil {
		return false, err
	}
	keepUp()
	return false, nil
}

// exec commits one statement and returns how many rows it changed.
func (j *Journal) exec(ctx context.Context, op string, fenced bool, query string, args ...any) (int64, error) {
	var changed int64
	err := j.commit(ctx, &write{fenced: fenced, do: func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	}})
	return changed, j.fail(op, err)
}
