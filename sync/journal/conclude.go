package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cwvault/sync"
)

// Lessons are what a run records for the runs after it.
type Lessons struct {
	Finish

	// Places replace what was known of their keys, which must be distinct. It
	// is cheapest to give only those that have changed.
	Places []KnownPlace
	// Settled are the keys of intents that are no longer open: the run knows
	// whether the folder exists. All open intents for them end as [Interrupted].
	Settled []sync.Key
	// Failed has the error of each key whose step failed. Each failure in a row
	// makes the wait for the next attempt longer; see [Failure]. No key is also in
	// Succeeded.
	Failed map[sync.Key]string
	// Succeeded are the keys whose failures the journal forgets. Only keys that
	// [Memory] has among its failures need it.
	Succeeded []sync.Key
	// Pending has, by key, the new place of each folder that must move; see
	// [PendingMove]. If the place was pending before, Since stays. No key is also
	// in NotPending.
	Pending map[sync.Key]string
	// NotPending are the keys whose move was made or is no longer wanted. Only keys
	// that [Memory] has among its pending moves need it.
	NotPending []sync.Key
	// Fingerprint replaces the one before. Nil keeps it.
	Fingerprint *Fingerprint
	// UsedPlan is the id of the saved plan that the run has applied and that no
	// other run may apply; see [Journal.PlanUsed]. Empty: there is none.
	UsedPlan string
	// KeepDays is how many days the journal keeps runs and uses of plans; 0 keeps
	// all. The last run, the last good one and those with an open intent always
	// stay. One call removes at most 200 runs, the oldest; the next call removes
	// more.
	KeepDays int
}

// concludeTimeout limits the one transaction that may be large. When it begins,
// the lease lasts longer than that; see fence.
const concludeTimeout = 20 * time.Second

// Conclude records how a run ended and its lessons for the next: all of it or, on
// an error, nothing. After an error [Journal.FinishRun] can still record the end.
// Conclude needs the lease. It also works after ctx has ended.
func (j *Journal) Conclude(ctx context.Context, run int64, l Lessons) error {
	if err := l.valid(); err != nil {
		return err
	}
	now := j.now()
	return j.fail("conclude a run", j.commit(ctx, &write{fenced: true, timeout: concludeTimeout, do: func(ctx context.Context, tx *sql.Tx) error { // rule 14: no run is concluded without the lease
		return conclude(ctx, tx, run, l, now)
	}}))
}

func (l Lessons) valid() error {
	if err := l.Finish.valid(); err != nil {
		return err
	}
	seen := make(map[sync.Key]bool, len(l.Places))
	for _, p := range l.Places {
		if seen[p.Key] {
			return fmt.Errorf("journal: two places for %s", p.Key)
		}
		seen[p.Key] = true
	}
	return nil
}

func conclude(ctx context.Context, tx *sql.Tx, run int64, l Lessons, now time.Time) error {
	for _, part := range []struct {
		what  string
		write func() error
	}{
		{"places", func() error { return putPlaces(ctx, tx, l.Places) }},
		{"intents", func() error { return settleIntents(ctx, tx, l.Settled, now) }},
		{"failures", func() error { return putFailures(ctx, tx, l.Failed, now) }},
		{"successes", func() error { return deleteKeys(ctx, tx, "cwvault_failure", l.Succeeded) }},
		{"pending moves", func() error { return putPending(ctx, tx, l.Pending, now) }},
		{"moves no longer pending", func() error { return deleteKeys(ctx, tx, "cwvault_want", l.NotPending) }},
		{"the fingerprint", func() error { return putFingerprint(ctx, tx, l.Fingerprint) }},
		{"the use of a plan", func() error { return usePlan(ctx, tx, l.UsedPlan, now) }},
		{"the end", func() error { return finishRun(ctx, tx, run, l.Finish, now) }},
		{"old runs", func() error { return prune(ctx, tx, l.KeepDays, now) }},
	} {
		if err := part.write(); err != nil {
			return fmt.Errorf("%s: %w", part.what, err)
		}
	}
	return nil
}

func putPlaces(ctx context.Context, tx *sql.Tx, places []KnownPlace) error {
	rows := make([][]any, len(places))
	for i, p := range places {
		rows[i] = []any{text(p.Key), text(p.FolderID), text(p.Parent), text(p.Name), text(p.Path), 0}
	}
	// Nothing reads the column gone, but it is NOT NULL.
	return upsert(ctx, tx, "cwvault_place", []string{"key", "folder_id", "parent_key", "name", "path", "gone"}, rows)
}

func settleIntents(ctx context.Context, tx *sql.Tx, keys []sync.Key, now time.Time) error {
	for part := range slices.Chunk(keys, partSize) {
		args := append([]any{Interrupted, stamp(now)}, texts(part)...)
		if _, err := tx.ExecContext(ctx, `UPDATE cwvault_step SET status = $1, ended = $2
			WHERE status = '' AND op = 'create' AND key IN `+parameters(1, len(part), 3), args...); err != nil {
			return err
		}
	}
	return nil
}

func putFailures(ctx context.Context, tx *sql.Tx, failed map[sync.Key]string, now time.Time) error {
	if len(failed) == 0 {
		return nil
	}
	before, err := readFailures(ctx, tx, now)
	if err != nil {
		return err
	}
	var rows [][]any
	for key, errText := range failed {
		f := before[key].again(errText, now)
		rows = append(rows, []any{text(key), f.Count, stamp(f.First), stamp(f.Last), stamp(f.Next), shortened(f.Error)})
	}
	return upsert(ctx, tx, "cwvault_failure", []string{"key", "count", "first", "last", "next", "error"}, rows)
}

// again returns f after one more failure. f may be the zero value.
func (f Failure) again(errText string, now time.Time) Failure {
	f.Count++
	if f.Count == 1 {
		f.First = now
	}
	f.Last, f.Next, f.Error = now, now.Add(rest(f.Count)), errText
	return f
}

const (
	firstRest   = time.Hour
	longestRest = 24 * time.Hour
)

// rest is how long the next attempt waits after the nth failure in a row. After
// the first, which may be chance, it does not wait. Then each rest is twice as
// long as the one before, up to a day.
func rest(n int) time.Duration {
	switch {
	case n <= 1:
		return 0
	case n > 6:
		return longestRest
	}
	return min(firstRest<<(n-2), longestRest)
}

func putPending(ctx context.Context, tx *sql.Tx, pending map[sync.Key]string, now time.Time) error {
	if len(pending) == 0 {
		return nil
	}
	before, err := readPending(ctx, tx)
	if err != nil {
		return err
	}
	var rows [][]any
	for key, to := range pending {
		since := now
		// A time in the future is from before the clock was set back.
		if was, ok := before[key]; ok && was.To == to && was.Since.Before(now) {
			since = was.Since
		}
		rows = append(rows, []any{text(key), text(to), stamp(since)})
	}
	return upsert(ctx, tx, "cwvault_want", []string{"key", "place", "since"}, rows)
}

func putFingerprint(ctx context.Context, tx *sql.Tx, f *Fingerprint) error {
	if f == nil {
		return nil
	}
	value, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return upsert(ctx, tx, "cwvault_meta", []string{"name", "value"}, [][]any{{"fingerprint", text(value)}})
}

// PlanUsed reports whether [Journal.Conclude] has recorded the use of this plan
// and has not pruned the record since.
func (j *Journal) PlanUsed(ctx context.Context, planID string) (bool, error) {
	found, err := rows(ctx, j, "look for a used plan", func(scan func(...any) error) (n int, err error) {
		err = scan(&n)
		return n, err
	}, `SELECT count(*) FROM cwvault_used WHERE plan_id = $1`, text(planID))
	return len(found) > 0 && found[0] > 0, err
}

func usePlan(ctx context.Context, tx *sql.Tx, planID string, now time.Time) error {
	if planID == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO cwvault_used (plan_id, at) VALUES ($1, $2) ON CONFLICT (plan_id) DO NOTHING`,
		text(planID), stamp(now))
	return err
}

// These limit what one transaction prunes, so that it stays short. One run may
// exceed the limit of steps.
const (
	pruneRuns  = 200
	pruneSteps = 20_000
)

// prune removes the oldest runs and uses of plans, those older than keepDays.
func prune(ctx context.Context, tx *sql.Tx, keepDays int, now time.Time) error {
	if keepDays <= 0 {
		return nil
	}
	before := stamp(now.AddDate(0, 0, -keepDays))
	old, err := query(ctx, tx, func(scan func(...any) error) (id int64, err error) {
		err = scan(&id)
		return id, err
	}, `SELECT id FROM cwvault_run WHERE started < $1
		AND id < (SELECT max(id) FROM cwvault_run)
		AND id <> (SELECT coalesce(max(id), 0) FROM cwvault_run WHERE good = 1)
		AND NOT EXISTS (SELECT 1 FROM cwvault_step WHERE run = id AND status = '' AND op = 'create')
		ORDER BY id LIMIT $2`, before, pruneRuns)
	if err != nil {
		return err
	}
	var steps int64
	for _, id := range old {
		if steps >= pruneSteps {
			break
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM cwvault_step WHERE run = $1`, id)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		steps += n
		if _, err := tx.ExecContext(ctx, `DELETE FROM cwvault_run WHERE id = $1`, id); err != nil {
			return err
		}
	}
	if len(old) > 0 {
		if _, err := tx.ExecContext(ctx, `DELETE FROM cwvault_plan
			WHERE hash NOT IN (SELECT plan FROM cwvault_run WHERE plan IS NOT NULL)`); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM cwvault_used WHERE at < $1`, before)
	return err
}

// partSize is how many rows one statement writes. It is small because SQLite's
// driver searches all parameters for each.
const partSize = 20

// upsert writes rows with a value for each column. A row replaces an older row
// with the same value in the first column.
func upsert(ctx context.Context, tx *sql.Tx, table string, columns []string, rows [][]any) error {
	set := make([]string, 0, len(columns))
	for _, c := range columns[1:] {
		set = append(set, c+" = excluded."+c)
	}
	for part := range slices.Chunk(rows, partSize) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO `+table+` (`+strings.Join(columns, ", ")+`) VALUES `+parameters(len(part), len(columns), 1)+
			` ON CONFLICT (`+columns[0]+`) DO UPDATE SET `+strings.Join(set, ", "), slices.Concat(part...)...); err != nil {
			return err
		}
	}
	return nil
}

// deleteKeys removes the rows of these keys.
func deleteKeys(ctx context.Context, tx *sql.Tx, table string, keys []sync.Key) error {
	for part := range slices.Chunk(keys, partSize) {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE key IN `+parameters(1, len(part), 1), texts(part)...); err != nil {
			return err
		}
	}
	return nil
}

func texts(keys []sync.Key) []any {
	list := make([]any, len(keys))
	for i, key := range keys {
		list[i] = text(key)
	}
	return list
}

// parameters returns "($1,$2),($3,$4)" for two rows of width 2 that begin with
// parameter 1.
func parameters(rows, width, begin int) string {
	var b strings.Builder
	for i := range rows * width {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%width == 0:
			b.WriteString("),(")
		default:
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", begin+i)
	}
	return b.String() + ")"
}
