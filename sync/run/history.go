package run

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
)

// History returns at most limit runs, the newest first: those below before, or
// the newest of all if before is 0.
func History(ctx context.Context, j *journal.Journal, limit int, before int64) ([]report.Row, error) {
	infos, err := j.Runs(ctx, limit, before)
	if err != nil {
		return nil, err
	}
	rows := make([]report.Row, len(infos))
	for i, info := range infos {
		rows[i] = rowOf(info)
	}
	return rows, nil
}

// rowOf returns a run of the journal as lists have it.
func rowOf(info journal.RunInfo) report.Row {
	return report.Row{Number: info.ID, Start: info.Started.UTC(), End: report.TimeOrNil(info.Finished), Trigger: info.Trigger,
		Outcome: outcomeIn(info), Plan: info.PlanID, Counts: info.Counts, Error: info.Error}
}

func outcomeIn(info journal.RunInfo) report.Outcome {
	return report.Outcome(report.Or(info.Outcome, string(report.Running)))
}

// Steps returns one run as lists have it, and its steps as the journal yields
// them. The error of a run that is not there wraps journal.ErrNotFound.
func Steps(ctx context.Context, j *journal.Journal, number int64) (report.Row, iter.Seq2[report.StepRow, error], error) {
	info, err := j.Run(ctx, number)
	if err != nil {
		return report.Row{}, nil, err
	}
	return rowOf(info), func(yield func(report.StepRow, error) bool) {
		for s, err := range j.Steps(ctx, number) {
			row := report.StepRow{Op: s.Op, Key: string(s.Key), From: s.From, To: s.To, Status: report.Or(s.Status, string(report.Running)),
				Error: s.Error, Start: s.Began.UTC(), End: report.TimeOrNil(s.Ended)}
			if !yield(row, err) {
				return
			}
		}
	}, nil
}

// Recorded returns a run as the journal remembers it. Steps that have not begun
// have an empty status. The error of a run that is not there wraps
// journal.ErrNotFound.
func Recorded(ctx context.Context, j *journal.Journal, id int64) (report.Run, error) {
	info, err := j.Run(ctx, id)
	if err != nil {
		return report.Run{}, err
	}
	r := report.Run{Number: info.ID, Trigger: info.Trigger, Outcome: outcomeIn(info), Error: info.Error, Started: info.Started, Ended: info.Finished}
	if r.Plan, err = recordedPlan(info); err != nil {
		return r, err
	}
	r.Results = make([]report.StepResult, len(r.Steps))
	for s, err := range j.Steps(ctx, id) {
		if err != nil {
			return r, err
		}
		if s.Seq < len(r.Results) {
			r.Results[s.Seq] = report.StepResult{Status: sync.Status(s.Status), Error: s.Error, Began: s.Began, Ended: s.Ended}
		}
	}
	return r, nil
}

// recordedPlan is the plan of a run; one of nothing if it failed before it had
// one.
func recordedPlan(info journal.RunInfo) (sync.Plan, error) {
	p := sync.Plan{Schema: sync.PlanSchema, Tenant: info.Tenant, Vault: info.Vault, Root: info.Root, Steps: []sync.Step{}, Held: []sync.Held{}, Departed: []sync.Departed{}}
	if len(info.Plan) > 0 {
		if err := json.Unmarshal(info.Plan, &p); err != nil {
			return p, fmt.Errorf("the plan of run %d: %w", info.ID, err)
		}
	}
	return p, nil
}

// Past is what the journal tells of runs of all companies.
type Past struct {
	Newest    int64     // the newest run that is over; 0 if none
	Attempt   time.Time // when the newest attempt at all companies began
	Good      time.Time // when the newest one began that made all it had to
	NotInStep time.Time // since when something is left to do; zero: nothing
	LastError string    // of the newest run
}

// maxPast bounds how far back [ReadPast] looks: whoever has not been well for so
// many runs is not well.
const maxPast = 1000

// ReadPast looks through the journal, back to the last run that made all it had
// to. Runs of some companies and undos are no attempts at everything, as far as
// that can be told.
func ReadPast(ctx context.Context, j *journal.Journal, partial func(trigger string) bool) (p Past, err error) {
	for before, seen := int64(0), 0; seen < maxPast; {
		runs, err := j.Runs(ctx, 100, before)
		if err != nil || len(runs) == 0 {
			return p, err
		}
		for _, r := range runs {
			before, seen = r.ID, seen+1
			if p.add(r, partial); p.Good.IsZero() {
				continue
			}
			if r, err = j.Run(ctx, r.ID); err != nil {
				return p, err
			}
			// A plan that cannot be read is no reason not to make another.
			if plan, err := recordedPlan(r); err == nil && plan.HeldByGuard() {
				p.NotInStep = r.Started
			}
			return p, nil
		}
	}
	return p, nil
}

// add takes the next older run into account.
func (p *Past) add(r journal.RunInfo, partial func(trigger string) bool) {
	if p.Newest == 0 && r.Outcome != "" {
		p.Newest, p.LastError = r.ID, r.Error
	}
	done, undo := r.Outcome == string(report.Done), IsUndo(r.Trigger)
	if p.Attempt.IsZero() && (r.Good || !done && !undo && !partial(r.Trigger)) {
		p.Attempt = r.Started
	}
	if !done && !undo && r.Outcome != "" {
		p.NotInStep = r.Started
	}
	if done && r.Good {
		p.Good = r.Started
	}
}

// Change is the newest change of one folder that the journal knows of.
type Change struct {
	Run     int64
	Started time.Time // of the run
	Op      sync.Op
	Outcome string
	To      string
}

// LastChange finds the newest step for a key in the runs that the journal keeps;
// nil if there is none.
func (r *Runner) LastChange(ctx context.Context, key sync.Key) (*Change, error) {
	for before := int64(0); ; {
		runs, err := r.Journal.Runs(ctx, 100, before)
		if err != nil || len(runs) == 0 {
			return nil, err
		}
		for _, info := range runs {
			for step, err := range r.Journal.Steps(ctx, info.ID) {
				if err != nil {
					return nil, err
				}
				if step.Key == key {
					return &Change{info.ID, info.Started, sync.Op(step.Op), report.Or(step.Status, string(report.Running)), step.To}, nil
				}
			}
			before = info.ID
		}
	}
}
