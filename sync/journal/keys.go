package journal

import (
	"context"
	"database/sql"
	"time"

	"cwvault/sync"
)

// Pause is a person's wish that a company's folder be left alone.
type Pause struct {
	Key    sync.Key
	Reason string
	Since  time.Time
}

// Pause records the wish, or a new reason for it. It needs no lease: it may be
// said while a run is under way.
func (j *Journal) Pause(ctx context.Context, key sync.Key, reason string) error {
	_, err := j.exec(ctx, "pause", false, `INSERT INTO cwvault_pause (key, reason, since) VALUES ($1, $2, $3)
		ON CONFLICT (key) DO UPDATE SET reason = excluded.reason`, text(key), shortened(reason), stamp(j.now()))
	return err
}

// Unpause takes the wish back. It reports whether there was one.
func (j *Journal) Unpause(ctx context.Context, key sync.Key) (bool, error) {
	n, err := j.exec(ctx, "unpause", false, `DELETE FROM cwvault_pause WHERE key = $1`, text(key))
	return n > 0, err
}

// Pauses returns all pauses.
func (j *Journal) Pauses(ctx context.Context) (map[sync.Key]Pause, error) {
	list, err := rows(ctx, j, "read pauses", func(scan func(...any) error) (Pause, error) {
		var p Pause
		err := scan((*text)(&p.Key), (*text)(&p.Reason), (*stamp)(&p.Since))
		return p, err
	}, `SELECT key, reason, since FROM cwvault_pause`)
	return byKey(list, func(p Pause) sync.Key { return p.Key }), err
}

// Failure says that the step for a key has failed in run after run.
type Failure struct {
	Key         sync.Key
	Count       int
	First, Last time.Time
	Next        time.Time // not to be tried before
	Error       string    // of the last time
}

const (
	firstRest   = time.Hour
	longestRest = 24 * time.Hour
)

// rest is how long a key is left alone after its nth failure in a row: not at
// all after the first, which may have been a bad moment, then twice as long
// each time, up to a day.
func rest(n int) time.Duration {
	switch {
	case n <= 1:
		return 0
	case n > 6:
		return longestRest
	}
	return min(firstRest<<(n-2), longestRest)
}

// NoteFailure counts a failure of this key and says when to try again. It is
// to be called once in a run for each key that failed. It needs the lease.
func (j *Journal) NoteFailure(ctx context.Context, key sync.Key, errText string) error {
	return j.fail("note a failure", j.commit(ctx, &write{fenced: true, do: func(ctx context.Context, tx *sql.Tx) error {
		now := j.now()
		var count int
		if err := tx.QueryRowContext(ctx, `INSERT INTO cwvault_failure (key, count, first, last, next, error) VALUES ($1, 1, $2, $2, $2, $3)
			ON CONFLICT (key) DO UPDATE SET count = cwvault_failure.count + 1, last = excluded.last, error = excluded.error
			RETURNING count`, text(key), stamp(now), shortened(errText)).Scan(&count); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE cwvault_failure SET next = $1 WHERE key = $2`, stamp(now.Add(rest(count))), text(key))
		return err
	}}))
}

// NoteSuccess forgets the failures of this key. Only a key that Failures
// returned needs it. It needs the lease.
func (j *Journal) NoteSuccess(ctx context.Context, key sync.Key) error {
	_, err := j.exec(ctx, "note a success", true, `DELETE FROM cwvault_failure WHERE key = $1`, text(key))
	return err
}

// Failures returns the keys whose last attempt failed.
func (j *Journal) Failures(ctx context.Context) (map[sync.Key]Failure, error) {
	now := j.now()
	list, err := rows(ctx, j, "read failures", func(scan func(...any) error) (Failure, error) {
		var f Failure
		err := scan((*text)(&f.Key), &f.Count, (*stamp)(&f.First), (*stamp)(&f.Last), (*stamp)(&f.Next), (*text)(&f.Error))
		if f.Next.Sub(now) > longestRest { // the clock was set back
			f.Next = now
		}
		return f, err
	}, `SELECT key, count, first, last, next, error FROM cwvault_failure`)
	return byKey(list, func(f Failure) sync.Key { return f.Key }), err
}

// Want is a new place that is wanted for a folder, and since when it has been
// the same one.
type Want struct {
	Key   sync.Key
	Place string // any text that identifies the place
	Since time.Time
}

// Wants returns what Wanted recorded.
func (j *Journal) Wants(ctx context.Context) (map[sync.Key]Want, error) {
	list, err := rows(ctx, j, "read wanted places", func(scan func(...any) error) (Want, error) {
		var w Want
		err := scan((*text)(&w.Key), (*text)(&w.Place), (*stamp)(&w.Since))
		return w, err
	}, `SELECT key, place, since FROM cwvault_want`)
	return byKey(list, func(w Want) sync.Key { return w.Key }), err
}

// Wanted records that this place is wanted for the folder: as it was, if it is
// the place that was wanted before, otherwise since now. It needs the lease.
func (j *Journal) Wanted(ctx context.Context, key sync.Key, place string) error {
	// A time to come was written before the clock was set back.
	_, err := j.exec(ctx, "note a wanted place", true, `INSERT INTO cwvault_want (key, place, since) VALUES ($1, $2, $3)
		ON CONFLICT (key) DO UPDATE SET place = excluded.place, since = CASE
			WHEN cwvault_want.place = excluded.place AND cwvault_want.since < excluded.since THEN cwvault_want.since
			ELSE excluded.since END`, text(key), text(place), stamp(j.now()))
	return err
}

// Unwanted forgets the wanted place: the folder is there, or is to stay where
// it is. Only a key that Wants returned needs it. It needs the lease.
func (j *Journal) Unwanted(ctx context.Context, key sync.Key) error {
	_, err := j.exec(ctx, "forget a wanted place", true, `DELETE FROM cwvault_want WHERE key = $1`, text(key))
	return err
}
