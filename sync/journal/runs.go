package journal

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"cwvault/sync"
)

// Interrupted is the outcome that the journal itself gives to a run that never
// finished, and the status of a step that never ended, once it is known that
// the process is gone.
const Interrupted = "interrupted"

// Run is what is known of a run when it starts.
type Run struct {
	Trigger string // what started it, such as "schedule"
	PlanID  string
	Tenant  string
	Vault   string
	Root    string
	Plan    []byte // the plan as JSON; kept compressed, and once if runs share it
}

// Finish is what is known of a run when it ends.
type Finish struct {
	Outcome string // such as "done"; never empty
	// Good says that the source was complete and trusted: Companies becomes
	// the number that later runs are compared with.
	Good      bool
	Companies int
	Counts    map[string]int
	Error     string
}

// RunInfo is a run as the journal has it.
type RunInfo struct {
	ID int64 // grows from run to run
	Run
	Started  time.Time
	Finished time.Time // zero while it runs, and if it was interrupted
	Finish             // Outcome is empty while it runs
}

// StepRecord is what a step is about to do: the intent.
type StepRecord struct {
	Op       string // as in the plan; "create" makes it an [Intent]
	Key      sync.Key
	FolderID string // empty before a create
	ParentID string // the folder that will hold it
	Name     string // the name that it will have
	From, To string // paths
}

// StepInfo is a step as the journal has it.
type StepInfo struct {
	Seq int
	StepRecord
	Status       string // empty between intent and result
	Error        string
	Began, Ended time.Time
}

// Intent is a create that was begun and whose result is not known: the folder
// may exist, made but perhaps not marked.
type Intent struct {
	RunID    int64
	Seq      int
	Key      sync.Key
	ParentID string
	Name     string
	Path     string
	Began    time.Time
}

// LastGood is the last run whose [Finish] was good.
type LastGood struct {
	RunID     int64
	Companies int
	At        time.Time // when it started
}

// StartRun records that a run starts, and that runs before it that never
// finished were interrupted. It needs the lease.
func (j *Journal) StartRun(ctx context.Context, r Run) (id int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var hash any // NULL without a plan
	var body bytes.Buffer
	if r.Plan != nil {
		sum := sha256.Sum256(r.Plan)
		hash = hex.EncodeToString(sum[:])
		z, err := gzip.NewWriterLevel(&body, gzip.BestSpeed)
		if err != nil {
			return 0, err
		}
		if _, err := z.Write(r.Plan); err != nil {
			return 0, err
		}
		if err := z.Close(); err != nil {
			return 0, err
		}
	}
	err = j.commit(ctx, &write{fenced: true, do: func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE cwvault_run SET outcome = $1 WHERE outcome = ''`, Interrupted); err != nil {
			return err
		}
		if hash != nil {
			if _, err := tx.ExecContext(ctx, `INSERT INTO cwvault_plan (hash, body) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`,
				hash, body.Bytes()); err != nil {
				return err
			}
		}
		// The lease keeps others from taking the same number, and Prune leaves the last run.
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) + 1 FROM cwvault_run`).Scan(&id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO cwvault_run
			(id, cause, plan_id, plan, tenant, vault, root, started, finished, outcome, good, companies, counts, error)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, '', 0, 0, '', '')`,
			id, text(r.Trigger), text(r.PlanID), hash, text(r.Tenant), text(r.Vault), text(r.Root), stamp(j.now()))
		return err
	}})
	return id, j.fail("start a run", err)
}

// FinishRun records how a run ended. It works also when ctx has ended or the
// lease is lost.
func (j *Journal) FinishRun(ctx context.Context, id int64, f Finish) error {
	if f.Outcome == "" {
		return errors.New("journal: a run cannot finish without an outcome")
	}
	counts, err := json.Marshal(f.Counts)
	if err != nil {
		return err
	}
	good := 0
	if f.Good {
		good = 1
	}
	n, err := j.exec(ctx, "finish a run", false, `UPDATE cwvault_run
		SET finished = $1, outcome = $2, good = $3, companies = $4, counts = $5, error = $6 WHERE id = $7`,
		stamp(j.now()), f.Outcome, good, f.Companies, string(counts), shortened(f.Error), id)
	return j.found(n, err, "finish a run", "run %d", id)
}

// found turns "no row changed" into ErrNotFound.
func (j *Journal) found(n int64, err error, op, format string, args ...any) error {
	if err != nil || n > 0 {
		return err
	}
	return j.fail(op, fmt.Errorf(format+": %w", append(args, ErrNotFound)...))
}

const runColumns = `id, cause, plan_id, tenant, vault, root, started, finished, outcome, good, companies, counts, error`

func scanRun(scan func(...any) error) (RunInfo, error) {
	var r RunInfo
	var good int
	var counts string
	err := scan(&r.ID, (*text)(&r.Trigger), (*text)(&r.PlanID), (*text)(&r.Tenant), (*text)(&r.Vault), (*text)(&r.Root),
		(*stamp)(&r.Started), (*stamp)(&r.Finished), &r.Outcome, &good, &r.Companies, &counts, (*text)(&r.Error))
	if err == nil && counts != "" {
		err = json.Unmarshal([]byte(counts), &r.Counts)
	}
	r.Good = good != 0
	return r, err
}

// Runs returns at most limit runs, the newest first, without their plans: those
// with a number below before, or the newest of all if before is 0.
func (j *Journal) Runs(ctx context.Context, limit int, before int64) ([]RunInfo, error) {
	return rows(ctx, j, "list runs", scanRun, `SELECT `+runColumns+` FROM cwvault_run
		WHERE id < $1 OR $1 = 0 ORDER BY id DESC LIMIT $2`, before, limit)
}

// Run returns one run with its plan, or an error wrapping ErrNotFound.
func (j *Journal) Run(ctx context.Context, id int64) (RunInfo, error) {
	found, err := rows(ctx, j, "read a run", func(scan func(...any) error) (RunInfo, error) {
		var body []byte
		r, err := scanRun(func(columns ...any) error { return scan(append(columns, &body)...) })
		if err != nil || body == nil {
			return r, err
		}
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return r, err
		}
		r.Plan, err = io.ReadAll(z)
		return r, err
	}, `SELECT `+runColumns+`, (SELECT body FROM cwvault_plan WHERE hash = plan) FROM cwvault_run WHERE id = $1`, id)
	if err == nil && len(found) == 0 {
		err = j.found(0, nil, "read a run", "run %d", id)
	}
	if err != nil {
		return RunInfo{}, err
	}
	return found[0], nil
}

// Steps yields the steps of a run in order. It reads them a page at a time, so
// that a run of any size can be shown. After an error it ends.
func (j *Journal) Steps(ctx context.Context, runID int64) iter.Seq2[StepInfo, error] {
	const page = 1000
	return func(yield func(StepInfo, error) bool) {
		for after, more := -1, true; more; {
			steps, err := rows(ctx, j, "read steps", func(scan func(...any) error) (StepInfo, error) {
				var s StepInfo
				err := scan(&s.Seq, &s.Op, (*text)(&s.Key), (*text)(&s.FolderID), (*text)(&s.ParentID), (*text)(&s.Name),
					(*text)(&s.From), (*text)(&s.To), &s.Status, (*text)(&s.Error), (*stamp)(&s.Began), (*stamp)(&s.Ended))
				return s, err
			}, `SELECT seq, op, key, folder_id, parent_id, name, from_path, to_path, status, error, began, ended
				FROM cwvault_step WHERE run = $1 AND seq > $2 ORDER BY seq LIMIT $3`, runID, after, page)
			if err != nil {
				yield(StepInfo{}, err)
				return
			}
			for _, s := range steps {
				if !yield(s, nil) {
					return
				}
				after = s.Seq
			}
			more = len(steps) == page
		}
	}
}

// Begin records that a step is about to be done, before it is. It needs the
// lease: on ErrLost the step must not be done. seq is not negative and used
// once in a run.
func (j *Journal) Begin(ctx context.Context, runID int64, seq int, s StepRecord) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return j.insertStep(ctx, true, runID, seq, s, "", "")
}

// End records the result of a step that was begun: its status, the folder that
// it made or changed, and what went wrong. It works also when ctx has ended or
// the lease is lost. A step has one result; a second one is ErrNotFound. A
// create that stays without result stays an [Intent], which is right as long
// as nobody knows whether the folder was made.
func (j *Journal) End(ctx context.Context, runID int64, seq int, status, folderID, errText string) error {
	if status == "" {
		return errors.New("journal: a step cannot end without a status")
	}
	n, err := j.exec(ctx, "end a step", false, `UPDATE cwvault_step SET status = $1, error = $2, ended = $3,
		folder_id = CASE WHEN $4 = '' THEN folder_id ELSE $4 END WHERE run = $5 AND seq = $6 AND status = ''`,
		status, shortened(errText), stamp(j.now()), text(folderID), runID, seq)
	return j.found(n, err, "end a step", "run %d step %d, begun and not ended", runID, seq)
}

// Skip records a step that is not attempted at all, with its status and why.
func (j *Journal) Skip(ctx context.Context, runID int64, seq int, s StepRecord, status, reason string) error {
	if status == "" {
		return errors.New("journal: a step cannot be skipped without a status")
	}
	return j.insertStep(ctx, false, runID, seq, s, status, reason)
}

func (j *Journal) insertStep(ctx context.Context, fenced bool, runID int64, seq int, s StepRecord, status, reason string) error {
	now := stamp(j.now())
	var ended stamp
	if status != "" {
		ended = now
	}
	_, err := j.exec(ctx, "begin a step", fenced, `INSERT INTO cwvault_step
		(run, seq, op, key, folder_id, parent_id, name, from_path, to_path, status, error, began, ended)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		runID, seq, s.Op, text(s.Key), text(s.FolderID), text(s.ParentID), text(s.Name), text(s.From), text(s.To),
		status, shortened(reason), now, ended)
	return err
}

// Intents returns the creates, of any run, that were begun and never ended,
// the oldest first.
func (j *Journal) Intents(ctx context.Context) ([]Intent, error) {
	return rows(ctx, j, "read intents", func(scan func(...any) error) (Intent, error) {
		var i Intent
		err := scan(&i.RunID, &i.Seq, (*text)(&i.Key), (*text)(&i.ParentID), (*text)(&i.Name), (*text)(&i.Path), (*stamp)(&i.Began))
		return i, err
	}, `SELECT run, seq, key, parent_id, name, to_path, began FROM cwvault_step
		WHERE status = '' AND op = 'create' ORDER BY run, seq`)
}

// ClearIntent ends every open create of this key as interrupted, because it
// is known by now whether the folder exists. Where the step can be said to be
// done or failed, End with the intent's run and number says so instead.
func (j *Journal) ClearIntent(ctx context.Context, key sync.Key) error {
	_, err := j.exec(ctx, "clear an intent", true, `UPDATE cwvault_step SET status = $1, ended = $2
		WHERE status = '' AND op = 'create' AND key = $3`, Interrupted, stamp(j.now()), text(key))
	return err
}

// LastGood returns the last good run, and whether there is one.
func (j *Journal) LastGood(ctx context.Context) (LastGood, bool, error) {
	found, err := rows(ctx, j, "read the last good run", func(scan func(...any) error) (LastGood, error) {
		var g LastGood
		err := scan(&g.RunID, &g.Companies, (*stamp)(&g.At))
		return g, err
	}, `SELECT id, companies, started FROM cwvault_run WHERE good = 1 ORDER BY id DESC LIMIT 1`)
	if err != nil || len(found) == 0 {
		return LastGood{}, false, err
	}
	return found[0], true, nil
}

// Prune forgets runs, and uses of plans, of more than keepDays ago. It keeps
// the last run, the last good one and those with an intent that is still open.
// It needs the lease. keepDays of 0 or less keeps everything.
func (j *Journal) Prune(ctx context.Context, keepDays int) error {
	if keepDays <= 0 {
		return nil
	}
	limit := stamp(j.now().AddDate(0, 0, -keepDays))
	old, err := rows(ctx, j, "prune", func(scan func(...any) error) (int64, error) {
		var id int64
		err := scan(&id)
		return id, err
	}, `SELECT id FROM cwvault_run WHERE started < $1
		AND id < (SELECT max(id) FROM cwvault_run)
		AND id <> (SELECT coalesce(max(id), 0) FROM cwvault_run WHERE good = 1)
		AND NOT EXISTS (SELECT 1 FROM cwvault_step WHERE run = id AND status = '' AND op = 'create')
		ORDER BY id`, limit)
	if err != nil {
		return err
	}
	for _, id := range old { // a transaction each, so that nobody waits long
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := j.exec(ctx, "prune", true, `DELETE FROM cwvault_run WHERE id = $1`, id); err != nil {
			return err
		}
	}
	if _, err := j.exec(ctx, "prune", true, `DELETE FROM cwvault_plan WHERE NOT EXISTS
		(SELECT 1 FROM cwvault_run WHERE plan = hash)`); err != nil {
		return err
	}
	_, err = j.exec(ctx, "prune", true, `DELETE FROM cwvault_used WHERE at < $1`, limit)
	return err
}
