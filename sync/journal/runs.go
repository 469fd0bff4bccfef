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
	"time"
)

// Interrupted is the outcome of a run whose process died before the run finished.
// It is also the status of a create that never ended, once a later run knows
// whether the folder exists.
const Interrupted = "interrupted"

// Run is what is known about a run when it starts.
type Run struct {
	Trigger string // what started it, such as "schedule"
	PlanID  string
	Tenant  string
	Vault   string
	Root    string
	Plan    []byte // the plan as JSON; kept compressed, and once if runs share it
}

// Finish is what is known about a run when it ends.
type Finish struct {
	Outcome string // such as "done"; never empty
	// Good: the source was complete and trusted. Later runs compare their
	// number of companies with Companies.
	Good      bool
	Companies int
	Counts    map[string]int
	Error     string
}

// RunInfo is a run in the journal.
type RunInfo struct {
	ID int64 // grows from run to run
	Run
	Started  time.Time
	Finished time.Time // zero while it runs or if it was interrupted
	Finish             // Outcome is empty while it runs
}

// StartRun records that a run starts. Earlier runs that never finished become
// [Interrupted]. It needs the lease.
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
	err = j.commit(ctx, &write{fenced: true, do: func(ctx context.Context, tx *sql.Tx) error { // rule 14: no run begins without the lease
		if _, err := tx.ExecContext(ctx, `UPDATE cwvault_run SET outcome = $1 WHERE outcome = ''`, Interrupted); err != nil {
			return err
		}
		if hash != nil {
			if _, err := tx.ExecContext(ctx, `INSERT INTO cwvault_plan (hash, body) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`,
				hash, body.Bytes()); err != nil {
				return err
			}
		}
		// Under the lease nobody else takes the same number, and prune keeps the last run.
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

// FinishRun records only how a run ended. It is for runs that cannot
// [Journal.Conclude]. It also works after ctx has ended or the lease is lost.
func (j *Journal) FinishRun(ctx context.Context, id int64, f Finish) error {
	if err := f.valid(); err != nil {
		return err
	}
	now := j.now()
	return j.fail("finish a run", j.commit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) error {
		return finishRun(ctx, tx, id, f, now)
	}}))
}

func (f Finish) valid() error {
	if f.Outcome == "" {
		return errors.New("journal: a run cannot finish without an outcome")
	}
	return nil
}

func finishRun(ctx context.Context, tx *sql.Tx, id int64, f Finish, now time.Time) error {
	counts, err := json.Marshal(f.Counts)
	if err != nil {
		return err
	}
	good := 0
	if f.Good {
		good = 1
	}
	result, err := tx.ExecContext(ctx, `UPDATE cwvault_run
		SET finished = $1, outcome = $2, good = $3, companies = $4, counts = $5, error = $6 WHERE id = $7`,
		stamp(now), f.Outcome, good, f.Companies, string(counts), shortened(f.Error), id)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fmt.Errorf("run %d: %w", id, ErrNotFound))
	}
	return nil
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

// Runs returns at most limit runs without their plans, the newest first. If
// before is not 0, it returns only runs with a number below it.
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
