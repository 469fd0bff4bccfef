package run

import (
	"context"
	"errors"
	"fmt"
	gosync "sync"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
)

func (r *Runner) journalRun(e *Ending) journal.Run {
	return journal.Run{Trigger: e.Trigger, Tenant: r.Tenant, Vault: r.Installation.Vault, Root: r.Root}
}

// recordFailure notes a run that ended before its first step, and returns why.
func (r *Runner) recordFailure(ctx context.Context, e *Ending, why error) error {
	ctx = context.WithoutCancel(ctx)
	id, err := r.Journal.StartRun(ctx, r.journalRun(e))
	if err == nil {
		e.Number = id
		err = r.Journal.FinishRun(ctx, id, journal.Finish{Outcome: string(report.Failed), Error: withFix(why, r.fix(why))})
	}
	return errors.Join(why, attempt("record the run", err))
}

// apply makes the steps of e's proposal, each with its intent and result in the
// journal, and reports them in e. An error says that no step was begun.
func (r *Runner) apply(ctx context.Context, lease *journal.Lease, e *Ending) error {
	p := e.Proposal
	run := r.journalRun(e)
	run.PlanID, run.Root = p.ID, p.Tree.RootPath
	var err error
	if run.Plan, err = p.JSON(); err != nil {
		return err
	}
	number, err := r.Journal.StartRun(ctx, run)
	if err != nil {
		return err
	}
	e.Number = number
	rec := &recorder{runner: r, run: e.Number, results: make([]report.StepResult, len(p.Steps))}
	r.Events.Applied(e.Number, 0, len(p.Steps))
	late, done := afterStop(ctx, StopGrace)
	results := sync.Apply(ctx, fencedVault{r.Vault, lease, late}, p.Program, r.Workers, rec)
	cutOff := late.Err() != nil
	done()
	r.Events.ApplyEnded()

	e.Run = &report.Run{Plan: p.Plan, Number: e.Number, Trigger: e.Trigger, Started: e.Started, Results: rec.results,
		Outcome: outcomeOf(ctx, results, cutOff)}
	for i, result := range results.Results {
		rec.results[i].Status = result.Status
		if result.Err != nil {
			rec.results[i].Error = result.Err.Error()
		}
	}
	e.results = results.Results
	r.conclude(ctx, lease, e, cutOff)
	e.Run.Ended = r.Clock()
	if e.Lost != nil {
		return WithCause(CauseLease, e.Lost)
	}
	return nil
}

// outcomeOf says how the steps went as a whole. A run that was stopped and
// only left steps out did not fail.
func outcomeOf(ctx context.Context, results sync.Report, cutOff bool) report.Outcome {
	switch {
	case results.Count(sync.StatusDone) == len(results.Results):
		return report.Done
	case ctx.Err() != nil && (results.Count(sync.StatusFailed) == 0 || cutOff): // rule 15: a run that was stopped has not failed
		return report.Stopped
	}
	return report.Partial
}

// conclude writes down what the next run must know and how this one ended, all
// at once. What was done is remembered even when the run was stopped, but not
// when another run has the lease: that one has looked for itself.
func (r *Runner) conclude(ctx context.Context, lease *journal.Lease, e *Ending, cutOff bool) {
	ctx = context.WithoutCancel(ctx)
	var wrong []error
	partial := func(err error) {
		wrong = append(wrong, err)
		e.Run.Outcome, e.Run.Error = report.Partial, errors.Join(wrong...).Error()
	}
	if e.Lost = lostLease(ctx, lease); e.Lost != nil { // rule 14: whoever lost the lease leaves nothing to the next
		partial(e.Lost)
		if err := r.Journal.FinishRun(ctx, e.Number, finish(e)); err != nil {
			partial(err)
		}
		return
	}
	message := fmt.Sprintf("cwvault run %d: %s", e.Number, report.Past(e.Run.Made()))
	if err := r.Vault.Commit(ctx, message); err != nil {
		partial(attempt("commit to the store", err))
	}
	if err := r.Journal.Conclude(ctx, e.Number, r.lessons(e, cutOff)); err != nil {
		partial(err)
		if err := r.Journal.FinishRun(ctx, e.Number, finish(e)); err != nil {
			partial(err)
		}
	}
}

// finish is how the journal is to show a run that is over.
func finish(e *Ending) journal.Finish {
	return journal.Finish{Outcome: string(e.Run.Outcome), Counts: report.CountMap(e.Run.Counts), Error: e.Run.Error}
}

// lessons is what the run leaves to the next.
func (r *Runner) lessons(e *Ending, cutOff bool) journal.Lessons {
	p := e.Proposal
	l := journal.Lessons{Finish: finish(e), Places: places(p, e.results), Settled: settled(p, e.results), KeepDays: r.KeepDays}
	if p.Request.Saved != nil && e.Run.Outcome == report.Done { // rule 13: and counts as used when it is done
		l.UsedPlan = p.ID
	}
	if p.Undoes != 0 {
		return l
	}
	l.Good, l.Companies = !p.Request.Partial(), len(p.Source.Companies) // rule 13: a run of some companies is no measure for others
	failures(&l, p, e.results, cutOff)
	r.pendingMoves(&l, p)
	if p.Tree.Root.ID != "" {
		fingerprint := r.fingerprint(p.Tree)
		fingerprint.Layout = p.layout
		l.Fingerprint = &fingerprint
	}
	return l
}

// places is where folders are now, as far as the journal did not know it.
func places(p *Proposal, results []sync.Result) []journal.KnownPlace {
	var list []journal.KnownPlace
	for _, k := range p.Learned() { // rule 16: what a crash kept from the journal is learned
		list = append(list, journal.KnownPlace{Key: k.Key, FolderID: k.FolderID, Parent: k.Place.Parent, Name: k.Place.Name})
	}
	for i, result := range results {
		if step := p.Steps[i]; result.Status == sync.StatusDone && step.Key != sync.RootKey {
			place := p.Place(i)
			list = append(list, journal.KnownPlace{Key: step.Key, FolderID: result.FolderID, Parent: place.Parent, Name: place.Name, Path: step.To})
		}
	}
	return list
}

// settled returns the keys of earlier creates of which it is known by now what
// became of them.
func settled(p *Proposal, results []sync.Result) (keys []sync.Key) {
	open := make(map[sync.Key]bool, len(p.memory.Intents))
	for _, in := range p.memory.Intents {
		open[in.Key] = true
	}
	if len(open) == 0 {
		return nil
	}
	for _, f := range p.Tree.Folders {
		if open[f.Mark.Key] && f.Mark.Tenant == p.Tenant { // rule 16: an intent ends when its folder is seen; rule 16: and it is ours
			keys = append(keys, f.Mark.Key)
		}
	}
	for i, result := range results {
		if key := p.Steps[i].Key; result.Status == sync.StatusDone && open[key] { // rule 16: or when it is made now
			keys = append(keys, key)
		}
	}
	return keys
}

// failures counts the steps that fail in run after run, so that they are
// retried at growing distances and do not spoil every run. That a step was cut
// off, or that sign-in failed, says nothing of its folder.
func failures(l *journal.Lessons, p *Proposal, results []sync.Result, cutOff bool) {
	l.Failed = map[sync.Key]string{}
	for i, result := range results {
		key := p.Steps[i].Key
		_, before := p.memory.Failures[key]
		switch {
		case result.Status == sync.StatusFailed && !cutOff && !errors.Is(result.Err, sync.ErrUnauthorized): // rule 15: a step that was cut off counts against nobody; rule 15: nor does a sign-in that failed
			l.Failed[key] = result.Err.Error()
		case result.Status == sync.StatusDone && before:
			l.Succeeded = append(l.Succeeded, key)
		}
	}
}

// pendingMoves remembers since when each move has been wanted. A part of the
// plan says nothing of the other companies. A migration that waits for approval
// says nothing of any: it may never come, and then the moves that were pending
// before it have waited all the time.
func (r *Runner) pendingMoves(l *journal.Lessons, p *Proposal) {
	if r.Settle == 0 || p.migrationHeld { // rule 13: a migration that waits does not begin the wait anew
		return
	}
	l.Pending = map[sync.Key]string{}
	for _, step := range p.Whole.CompanyMoves() {
		l.Pending[step.Key] = step.To
	}
	for key := range p.memory.Pending {
		if _, still := l.Pending[key]; !still && !p.Request.Partial() { // rule 13: a run of some companies forgets no other move
			l.NotPending = append(l.NotPending, key)
		}
	}
}

// recorder writes every step's intent and result to the journal.
type recorder struct {
	runner *Runner
	run    int64

	mu      gosync.Mutex
	ended   int
	results []report.StepResult
}

func (rec *recorder) record(s sync.Step, to sync.Place) journal.StepRecord {
	// The parent's key stands for the parent: an id may not exist yet, or mean
	// nothing in the next run.
	return journal.StepRecord{Op: string(s.Op), Key: s.Key, FolderID: s.FolderID, Parent: to.Parent, Name: to.Name, From: s.From, To: s.To}
}

// Begin implements [sync.Recorder]. The journal refuses when the lease is lost.
func (rec *recorder) Begin(ctx context.Context, index int, s sync.Step, to sync.Place) error {
	rec.mu.Lock()
	rec.results[index].Began = rec.runner.Clock()
	rec.mu.Unlock()
	return rec.runner.Journal.Begin(ctx, rec.run, index, rec.record(s, to))
}

// End implements [sync.Recorder].
func (rec *recorder) End(ctx context.Context, index int, s sync.Step, to sync.Place, result sync.Result) error {
	began := rec.endOne(index)
	text := ""
	if result.Err != nil {
		text = result.Err.Error()
	}
	j := rec.runner.Journal
	switch {
	case result.Unsettled: // for the next run to look; rule 16: an intent stays open in the journal
		return nil
	case began:
		return j.End(ctx, rec.run, index, string(result.Status), result.FolderID, text)
	}
	return j.Skip(ctx, rec.run, index, rec.record(s, to), string(result.Status), text)
}

// endOne counts a step that ended, and reports whether it had begun.
func (rec *recorder) endOne(index int) (began bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if began = !rec.results[index].Began.IsZero(); began {
		rec.results[index].Ended = rec.runner.Clock()
	}
	rec.ended++
	rec.runner.Events.Applied(rec.run, rec.ended, len(rec.results))
	return began
}
