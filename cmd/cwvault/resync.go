package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	gosync "sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/sync"
	"cwvault/sync/journal"
)

type resyncCmd struct {
	Format   string     `enum:"text,json" default:"text" help:"Form of the result: text or json."`
	Company  []string   `placeholder:"ID|IDENTIFIER" help:"Only these companies, with their group folders and what must make way for them."`
	Plan     string     `placeholder:"FILE" help:"Apply exactly the plan in this file (from plan --format json --out FILE), or nothing."`
	Approve  string     `placeholder:"ID" help:"Let the guards pass the plan with this id, and no other."`
	Recreate []sync.Key `placeholder:"KEY" help:"Make the folder with this key again though it has disappeared from the vault."`
	DryRun   bool       `help:"Only show the plan."`

	Remote *string       `placeholder:"URL" help:"Ask the service at this address for the run, and show it. Needs CWVAULT_TOKEN, and no other setting."`
	Wait   time.Duration `default:"0s" placeholder:"DURATION" help:"While another run is under way, wait this long for it to end, such as 10m."`
}

// Run makes one run now.
func (cmd resyncCmd) Run(a *app) error {
	for _, key := range cmd.Recreate {
		if !key.Valid() {
			return usagef("--recreate %q: not a key; it looks like company/250", key)
		}
	}
	if cmd.Wait < 0 {
		return usagef("--wait: %v is negative", cmd.Wait)
	}
	if cmd.Remote != nil {
		return cmd.remote(a)
	}
	c, err := a.load()
	if err != nil {
		return err
	}
	if cmd.DryRun {
		return cmd.dryRun(a, c)
	}
	s, err := a.open(c, true)
	if err != nil {
		a.alertUnopened(a.ctx, c, err)
		return err
	}
	defer s.close()
	s.leaseWait = cmd.Wait
	req := request{only: cmd.Company, recreate: cmd.Recreate, approve: cmd.Approve}
	if cmd.Plan != "" {
		if req.saved, err = readPlan(cmd.Plan); err != nil {
			return err
		}
	}
	report, err := s.resync(a.ctx, req, "manual")
	if err == nil {
		err = a.printRun(report, cmd.Format)
	}
	s.alert(a.ctx, ending{req, report, err})
	return err
}

// printRun writes a run's report, and ends with the exit code that it asks for.
func (a *app) printRun(r *runReport, format string) error {
	if err := a.showRun(r, format); err != nil {
		return err
	}
	return r.code()
}

func (a *app) showRun(r *runReport, format string) error {
	if format == "json" {
		return printJSON(a.stdout, r)
	}
	return renderRun(a.stdout, *r, a.colours(a.stdout))
}

func (cmd resyncCmd) dryRun(a *app, c *config) error {
	s, err := a.open(c, false)
	if err != nil {
		return err
	}
	defer s.close()
	p, err := s.propose(a.ctx, request{only: cmd.Company, recreate: cmd.Recreate, approve: cmd.Approve, count: true})
	if err != nil {
		return err
	}
	return writePlan(a.stdout, p.Plan, cmd.Format, a.colours(a.stdout))
}

// The outcomes of a run.
const (
	outcomeDone    = "done"
	outcomePartial = "partial"
	outcomeStopped = "stopped" // by a signal; the rest is for the next run
	outcomeFailed  = "failed"  // before the first step
)

// code is the exit code that a run's report asks for.
func (r runReport) code() error {
	switch {
	case r.lost != nil:
		return codeError{exitLease, r.lost}
	case r.Outcome != outcomeDone:
		return resultCode(exitPartial)
	case r.HeldByGuard():
		return resultCode(exitHeld)
	}
	return nil
}

// exit is the exit code of a run.
func (r runReport) exit() int {
	err := r.code()
	var result resultCode
	if errors.As(err, &result) {
		return int(result)
	}
	return exitCode(err)
}

// savedPlan is what must match when a saved plan is applied.
type savedPlan struct {
	Schema string            `json:"schema"`
	ID     string            `json:"id"`
	Steps  []json.RawMessage `json:"steps"`
	keys   map[string]string // what each step does, by key
}

func readPlan(path string) (*savedPlan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("--plan: %w", err)
	}
	defer f.Close()
	const most = 1 << 30
	p := &savedPlan{keys: map[string]string{}}
	if err := json.NewDecoder(io.LimitReader(f, most)).Decode(p); err != nil {
		return nil, usagef("--plan %s: not a plan: %w", path, err)
	}
	if p.Schema != sync.PlanSchema || p.ID == "" {
		return nil, usagef("--plan %s: not a plan of the form %s", path, sync.PlanSchema)
	}
	for _, raw := range p.Steps {
		var step struct{ Key, Op, To string }
		if err := json.Unmarshal(raw, &step); err != nil {
			return nil, usagef("--plan %s: not a plan: %w", path, err)
		}
		p.keys[step.Key] = step.Op + " to " + step.To
	}
	return p, nil
}

// check refuses a plan that is not the one that was reviewed, and says what
// changed since.
func (p *savedPlan) check(now sync.Plan) error {
	var changes []string
	seen := map[string]bool{}
	for _, s := range now.Steps {
		key, does := string(s.Key), string(s.Op)+" to "+s.To
		seen[key] = true
		if was, ok := p.keys[key]; !ok {
			changes = append(changes, fmt.Sprintf("new: %s: %s", key, does))
		} else if was != does {
			changes = append(changes, fmt.Sprintf("other: %s: %s, was %s", key, does, was))
		}
	}
	for key, was := range p.keys {
		if !seen[key] {
			changes = append(changes, fmt.Sprintf("gone: %s: %s", key, was))
		}
	}
	if p.ID == now.ID && len(changes) == 0 {
		return nil
	}
	if len(changes) == 0 {
		changes = append(changes, "a reason, or what is held or departed")
	}
	slices.Sort(changes)
	const most = 20
	if len(changes) > most {
		changes = append(changes[:most], fmt.Sprintf("and %d more", len(changes)-most))
	}
	return codeError{exitHeld, fmt.Errorf("the saved plan no longer matches; nothing was applied. Since then:\n  %s", strings.Join(changes, "\n  "))}
}

// resync is one run: propose, record, apply, remember. The error says why it
// ended before the first step; afterwards the report says it all.
func (s *session) resync(ctx context.Context, req request, trigger string) (r *runReport, err error) {
	err = s.holdingLease(ctx, func(ctx context.Context) error {
		started := time.Now()
		p, err := s.propose(ctx, req)
		if err == nil {
			err = s.admit(ctx, p, req)
		}
		if err != nil {
			return errors.Join(err, s.recordFailure(ctx, s.newRun(trigger), err))
		}
		if r, err = s.apply(ctx, p, trigger, started); err == nil && req.saved != nil && r.Outcome == outcomeDone {
			err = s.journal.UsePlan(context.WithoutCancel(ctx), p.ID)
		}
		return err
	})
	return r, err
}

// holdingLease calls f while no other run can write. The context of f ends
// when the lease is lost: whoever has lost it must not begin another step.
func (s *session) holdingLease(ctx context.Context, f func(context.Context) error) error {
	lease, err := acquire(ctx, s.journal, s.leaseWait, s.app.log)
	if err != nil {
		return err
	}
	defer func() {
		if err := lease.Release(context.WithoutCancel(ctx)); err != nil {
			s.app.log.Warn("giving back the lease", "error", plain(err.Error()))
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-lease.Lost():
			cancel(journal.ErrLost)
		case <-ended:
		}
	}()
	s.lease = lease
	err = f(ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, journal.ErrLost) {
		if lost := s.lostLease(ctx); lost != nil {
			err = codeError{exitLease, lost}
		}
	}
	return err
}

// acquire takes the lease. While another run has it, it says once who that is
// and waits; after wait the error is that of [journal.Journal.Acquire].
func acquire(ctx context.Context, j *journal.Journal, wait time.Duration, log hclog.Logger) (*journal.Lease, error) {
	const pause = 500 * time.Millisecond
	deadline := time.Now().Add(wait)
	for said := false; ; said = true {
		lease, err := j.Acquire(ctx, journal.Self())
		var held *journal.HeldError
		left := time.Until(deadline)
		if !errors.As(err, &held) || left <= 0 {
			return lease, err
		}
		if !said {
			log.Info("waiting for another run to end", "holder", plain(held.Owner.String()), "since", held.Since.UTC().Format(time.RFC3339), "at most", wait)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %s to end its run: %w", held.Owner, ctx.Err())
		case <-time.After(min(pause, left)):
		}
	}
}

// lostLease returns an error wrapping [journal.ErrLost] if the lease is lost.
func (s *session) lostLease(ctx context.Context) error {
	err := s.lease.Check(context.WithoutCancel(ctx))
	if !errors.Is(err, journal.ErrLost) {
		return nil // it is ours, as far as can be known
	}
	return err
}

// admit refuses a plan that is not the one that was reviewed or approved.
func (s *session) admit(ctx context.Context, p *proposal, req request) error {
	if req.saved != nil {
		if err := req.saved.check(p.Plan); err != nil {
			return err
		}
	}
	if req.approve != "" && req.approve != p.ID {
		return codeError{exitHeld, fmt.Errorf("--approve: the plan is now %s; look at it again with cwvault plan. Nothing was applied", p.ID)}
	}
	if req.saved == nil {
		return nil
	}
	// A saved plan is good for one run. It counts as used when that run is
	// over, so that one that was cut off can be begun again.
	used, err := s.journal.PlanUsed(ctx, p.ID)
	if err == nil && used {
		err = codeError{exitHeld, fmt.Errorf("--plan: %w", journal.ErrUsed)}
	}
	return err
}

func (s *session) newRun(trigger string) journal.Run {
	return journal.Run{Trigger: trigger, Tenant: s.cfg.ConnectWiseCompany, Vault: s.address, Root: s.cfg.Root}
}

// apply makes a plan's steps, each with its intent and result in the journal.
func (s *session) apply(ctx context.Context, p *proposal, trigger string, started time.Time) (*runReport, error) {
	run := s.newRun(trigger)
	run.PlanID, run.Root = p.ID, p.tree.RootPath
	var err error
	if run.Plan, err = p.JSON(); err != nil {
		return nil, err
	}
	id, err := s.journal.StartRun(ctx, run)
	if err != nil {
		return nil, err
	}
	s.run = id
	rec := &recorder{journal: s.journal, run: id, bar: s.bar, applied: s.watch.applied, results: make([]stepResult, len(p.Steps))}
	rec.progress(0)
	late, done := afterStop(ctx, stopGrace)
	report := sync.Apply(ctx, fencedVault{s.vault, s.lease, late}, p.Program, s.cfg.workers, rec)
	p.cutOff = late.Err() != nil
	done()
	s.bar.stop()
	r := &runReport{Plan: p.Plan, Run: id, Trigger: trigger, Started: started, Results: rec.results, Outcome: outcomeDone}
	if report.Count(sync.StatusDone) < len(p.Steps) {
		r.Outcome = outcomePartial
		if ctx.Err() != nil && (report.Count(sync.StatusFailed) == 0 || p.cutOff) {
			r.Outcome = outcomeStopped
		}
	}
	for i, result := range report.Results {
		rec.results[i].Status, rec.results[i].folderID = result.Status, result.FolderID
		if result.Err != nil {
			rec.results[i].Error = result.Err.Error()
		}
	}
	// What was done is remembered even when the run was stopped, but not when
	// another one has the lease: it has looked by itself.
	if r.lost = s.lostLease(ctx); r.lost != nil {
		r.Outcome, r.Error = outcomePartial, r.lost.Error()
		err = s.journal.FinishRun(context.WithoutCancel(ctx), id, journal.Finish{Outcome: r.Outcome, Counts: countsOf(p.Counts), Error: r.Error})
	} else {
		err = s.remember(context.WithoutCancel(ctx), p, report, r)
	}
	if err != nil {
		r.Outcome, r.Error = outcomePartial, err.Error()
	}
	r.Ended = time.Now()
	return r, nil
}

// wrapCode gives an error of a certain kind its exit code.
func wrapCode(code int, err, kind error) error {
	if errors.Is(err, kind) {
		return codeError{code, err}
	}
	return err
}

// recordFailure notes a run that ended before its first step.
func (s *session) recordFailure(ctx context.Context, run journal.Run, why error) error {
	ctx = context.WithoutCancel(ctx)
	id, err := s.journal.StartRun(ctx, run)
	if err != nil {
		return fmt.Errorf("record the run: %w", err)
	}
	s.run = id
	return wrap("record the run", s.journal.FinishRun(ctx, id, journal.Finish{Outcome: outcomeFailed, Error: why.Error()}))
}

// remember writes down what the next run must know, and closes the books of
// this one.
func (s *session) remember(ctx context.Context, p *proposal, report sync.Report, r *runReport) error {
	var errs []error
	errs = append(errs, s.journal.PutPlaces(ctx, learned(p.Program, report)))
	for _, key := range p.settledIntents(report) {
		errs = append(errs, s.journal.ClearIntent(ctx, key))
	}
	if !p.undo {
		errs = append(errs, s.noteFailures(ctx, p, report), s.noteWants(ctx, p))
	}
	if p.tree.Root.ID != "" && !p.undo {
		fingerprint := s.fingerprint(p)
		fingerprint.Layout = p.layout
		errs = append(errs, s.journal.SetFingerprint(ctx, fingerprint))
	}
	message := fmt.Sprintf("cwvault run %d: %s", r.Run, (&painter{}).summary(p.Plan, ""))
	errs = append(errs, wrap("commit to the store", s.vault.Commit(ctx, message)))
	if err := errors.Join(errs...); err != nil {
		r.Outcome, r.Error = outcomePartial, err.Error()
	}
	errs = append(errs, s.journal.FinishRun(ctx, r.Run, journal.Finish{
		Outcome: r.Outcome, Good: !p.undo && !p.req.partial(), Companies: len(p.source.Companies), Counts: countsOf(p.Counts), Error: r.Error,
	}))
	errs = append(errs, s.journal.Prune(ctx, s.cfg.keepRuns))
	return errors.Join(errs...)
}

// noteFailures counts the steps that fail in run after run, so that they are
// tried at growing distances and do not spoil every run.
func (s *session) noteFailures(ctx context.Context, p *proposal, report sync.Report) error {
	var errs []error
	for i, r := range report.Results {
		key := p.Steps[i].Key
		switch _, failedBefore := p.failures[key]; {
		case r.Status == sync.StatusFailed && p.cutOff: // which says nothing of the folder
		case r.Status == sync.StatusFailed && !errors.Is(r.Err, sync.ErrUnauthorized):
			errs = append(errs, s.journal.NoteFailure(ctx, key, r.Err.Error()))
		case r.Status == sync.StatusDone && failedBefore:
			errs = append(errs, s.journal.NoteSuccess(ctx, key))
		}
	}
	return errors.Join(errs...)
}

// noteWants remembers since when each move has been wanted, for CWVAULT_SETTLE.
func (s *session) noteWants(ctx context.Context, p *proposal) error {
	var errs []error
	still := map[sync.Key]bool{}
	for _, w := range p.settling {
		still[w.Key] = true
		errs = append(errs, s.journal.Wanted(ctx, w.Key, w.To))
	}
	for key := range p.wants {
		if !still[key] && !p.req.partial() { // a part of the plan says nothing of the other companies
			errs = append(errs, s.journal.Unwanted(ctx, key))
		}
	}
	return errors.Join(errs...)
}

func countsOf(c sync.Counts) map[string]int {
	return map[string]int{"create": c.Create, "adopt": c.Adopt, "rename": c.Rename, "move": c.Move, "archive": c.Archive,
		"held": c.Held, "departed": c.Departed, "unchanged": c.Unchanged}
}

// recorder writes every step's intent and result to the journal.
type recorder struct {
	journal *journal.Journal
	run     int64
	bar     *progress
	applied func(run int64, done, total int)
	mu      gosync.Mutex
	ended   int
	results []stepResult
}

func (r *recorder) record(s sync.Step, place sync.Place) journal.StepRecord {
	// The parent's key stands for the parent: an id may not exist yet, or mean
	// nothing in the next run.
	return journal.StepRecord{Op: string(s.Op), Key: s.Key, FolderID: s.FolderID, Parent: place.Parent, Name: place.Name, From: s.From, To: s.To}
}

// progress shows how many steps have ended.
func (r *recorder) progress(done int) {
	if done > 0 {
		r.bar.applied(done, len(r.results))
	}
	if r.applied != nil {
		r.applied(r.run, done, len(r.results))
	}
}

// Begin implements [sync.Recorder]. The journal refuses when the lease is lost.
func (r *recorder) Begin(ctx context.Context, index int, s sync.Step, to sync.Place) error {
	r.mu.Lock()
	r.results[index].Began = time.Now()
	r.mu.Unlock()
	return r.journal.Begin(ctx, r.run, index, r.record(s, to))
}

// End implements [sync.Recorder].
func (r *recorder) End(ctx context.Context, index int, s sync.Step, to sync.Place, result sync.Result) error {
	r.mu.Lock()
	began := !r.results[index].Began.IsZero()
	if began {
		r.results[index].Ended = time.Now()
	}
	r.ended++
	r.progress(r.ended)
	r.mu.Unlock()
	text := ""
	if result.Err != nil {
		text = result.Err.Error()
	}
	switch {
	case result.Unsettled:
		return nil // the intent stays open, for the next run to look
	case began:
		return r.journal.End(ctx, r.run, index, string(result.Status), result.FolderID, text)
	}
	return r.journal.Skip(ctx, r.run, index, r.record(s, to), string(result.Status), text)
}
