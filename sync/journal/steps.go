package journal

import (
	"context"
	"errors"
	"iter"
	"time"

	"cwvault/sync"
)

// StepRecord says what a step is about to do.
type StepRecord struct {
	Op       string // as in the plan; "create" makes it an [Intent]
	Key      sync.Key
	FolderID string   // empty before a create
	Parent   sync.Key // of the folder that will hold it; [sync.RootKey] for the root
	Name     string   // of the folder after the step
	From, To string   // paths
}

// StepInfo is a step in the journal.
type StepInfo struct {
	Seq int
	StepRecord
	Status       string // empty between intent and result
	Error        string
	Began, Ended time.Time
}

// Steps yields the steps of a run in order. It reads them page by page, so a run
// may be of any size. An error ends it.
func (j *Journal) Steps(ctx context.Context, runID int64) iter.Seq2[StepInfo, error] {
	const page = 1000
	return func(yield func(StepInfo, error) bool) {
		for after, more := -1, true; more; {
			steps, err := rows(ctx, j, "read steps", func(scan func(...any) error) (StepInfo, error) {
				var s StepInfo
				err := scan(&s.Seq, &s.Op, (*text)(&s.Key), (*text)(&s.FolderID), (*text)(&s.Parent), (*text)(&s.Name),
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

// Begin records that a step is about to be made. It needs the lease. After an
// error the step must not be made. seq is not negative, and a run uses it once.
func (j *Journal) Begin(ctx context.Context, runID int64, seq int, s StepRecord) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return j.insertStep(ctx, true, runID, seq, s, "", "") // rule 14: no intent is recorded without the lease
}

// End records the result of a step that began: its status, the folder that it made
// or changed, and its error. It also works after ctx has ended or the lease is
// lost. A step has one result; a second call returns ErrNotFound. A create without
// a result stays an [Intent]. That is right while nobody knows whether the folder
// was made.
func (j *Journal) End(ctx context.Context, runID int64, seq int, status, folderID, errText string) error {
	if status == "" {
		return errors.New("journal: a step cannot end without a status")
	}
	n, err := j.exec(ctx, "end a step", false, `UPDATE cwvault_step SET status = $1, error = $2, ended = $3,
		folder_id = CASE WHEN $4 = '' THEN folder_id ELSE $4 END WHERE run = $5 AND seq = $6 AND status = ''`,
		status, shortened(errText), stamp(j.now()), text(folderID), runID, seq)
	return j.found(n, err, "end a step", "run %d step %d, begun and not ended", runID, seq)
}

// Skip records a step that was not attempted, with its status and the reason.
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
		runID, seq, s.Op, text(s.Key), text(s.FolderID), text(s.Parent), text(s.Name), text(s.From), text(s.To),
		status, shortened(reason), now, ended)
	return err
}
