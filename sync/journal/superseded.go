package journal

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"cwvault/sync"
)

// The methods of this file are superseded by [Journal.Recall] and
// [Journal.Conclude]. They stay until nothing calls them.

func (j *Journal) Fingerprint(ctx context.Context) (Fingerprint, bool, error) {
	f, err := readAt(ctx, j, "read the fingerprint", readFingerprint)
	if f == nil {
		return Fingerprint{}, false, err
	}
	return *f, true, err
}

func (j *Journal) LastGood(ctx context.Context) (GoodRun, bool, error) {
	g, err := readAt(ctx, j, "read the last good run", readLastGood)
	if g == nil {
		return GoodRun{}, false, err
	}
	return *g, true, err
}

func (j *Journal) Places(ctx context.Context) (map[sync.Key]KnownPlace, error) {
	return readAt(ctx, j, "read places", readPlaces)
}

func (j *Journal) Intents(ctx context.Context) ([]Intent, error) {
	return readAt(ctx, j, "read intents", readIntents)
}

func (j *Journal) Pauses(ctx context.Context) (map[sync.Key]Pause, error) {
	return readAt(ctx, j, "read pauses", readPauses)
}

func (j *Journal) Failures(ctx context.Context) (map[sync.Key]Failure, error) {
	return readAt(ctx, j, "read failures", func(ctx context.Context, q querier) (map[sync.Key]Failure, error) {
		return readFailures(ctx, q, j.now())
	})
}

func (j *Journal) Wants(ctx context.Context) (map[sync.Key]PendingMove, error) {
	return readAt(ctx, j, "read wanted places", readPending)
}

func (j *Journal) PutPlaces(ctx context.Context, places []KnownPlace) error {
	if err := (Lessons{Finish: Finish{Outcome: "-"}, Places: places}).valid(); err != nil {
		return err
	}
	return j.underLease(ctx, "write places", func(ctx context.Context, tx *sql.Tx, _ time.Time) error { return putPlaces(ctx, tx, places) })
}

func (j *Journal) ClearIntent(ctx context.Context, key sync.Key) error {
	return j.underLease(ctx, "clear an intent", func(ctx context.Context, tx *sql.Tx, now time.Time) error {
		return settleIntents(ctx, tx, []sync.Key{key}, now)
	})
}

func (j *Journal) NoteFailure(ctx context.Context, key sync.Key, errText string) error {
	return j.underLease(ctx, "note a failure", func(ctx context.Context, tx *sql.Tx, now time.Time) error {
		return putFailures(ctx, tx, map[sync.Key]string{key: errText}, now)
	})
}

func (j *Journal) NoteSuccess(ctx context.Context, key sync.Key) error {
	return j.underLease(ctx, "note a success", func(ctx context.Context, tx *sql.Tx, _ time.Time) error {
		return deleteKeys(ctx, tx, "cwvault_failure", []sync.Key{key})
	})
}

func (j *Journal) Wanted(ctx context.Context, key sync.Key, place string) error {
	return j.underLease(ctx, "note a wanted place", func(ctx context.Context, tx *sql.Tx, now time.Time) error {
		return putPending(ctx, tx, map[sync.Key]string{key: place}, now)
	})
}

func (j *Journal) Unwanted(ctx context.Context, key sync.Key) error {
	return j.underLease(ctx, "forget a wanted place", func(ctx context.Context, tx *sql.Tx, _ time.Time) error {
		return deleteKeys(ctx, tx, "cwvault_want", []sync.Key{key})
	})
}

func (j *Journal) SetFingerprint(ctx context.Context, f Fingerprint) error {
	return j.underLease(ctx, "write the fingerprint", func(ctx context.Context, tx *sql.Tx, _ time.Time) error { return putFingerprint(ctx, tx, &f) })
}

func (j *Journal) UsePlan(ctx context.Context, planID string) error {
	if planID == "" {
		return errors.New("journal: no plan id")
	}
	if used, err := j.PlanUsed(ctx, planID); err != nil || used {
		return errors.Join(err, j.fail("use a plan", ErrUsed))
	}
	return j.underLease(ctx, "use a plan", func(ctx context.Context, tx *sql.Tx, now time.Time) error { return usePlan(ctx, tx, planID, now) })
}

func (j *Journal) Prune(ctx context.Context, keepDays int) error {
	return j.underLease(ctx, "prune", func(ctx context.Context, tx *sql.Tx, now time.Time) error { return prune(ctx, tx, keepDays, now) })
}

func (j *Journal) underLease(ctx context.Context, op string, do func(context.Context, *sql.Tx, time.Time) error) error {
	now := j.now()
	return j.fail(op, j.commit(ctx, &write{fenced: true, do: func(ctx context.Context, tx *sql.Tx) error { return do(ctx, tx, now) }}))
}
