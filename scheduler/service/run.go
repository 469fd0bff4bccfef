package service

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"cwvault/scheduler"
	"cwvault/scheduler/dashboard"
	"cwvault/scheduler/tickets"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

// run makes one run for the scheduler. It returns an error if the run did not make all
// its steps.
func (s *Service) run(ctx context.Context) error {
	b := s.queue.next(scheduler.TriggerFrom(ctx))
	if b.trigger == "" {
		return nil
	}
	backend, started := s.current(), s.Clock()
	if !b.request.Partial() {
		s.update(func(st *dashboard.State) { st.LastAttempt = started })
	}
	e := Seen{Ending: run.Ending{Request: b.request, Trigger: b.trigger, Started: started}}
	var session Session
	if err := sync.Recovered(func() error {
		e, session = s.resync(ctx, backend, b)
		return nil
	})(); err != nil {
		e.Err = err
	}
	s.update(func(st *dashboard.State) { st.Progress = dashboard.Progress{} })
	s.refreshRuns()
	if err := sync.Recovered(func() error {
		s.show(e)
		return nil
	})(); err != nil && e.Err == nil {
		e.Err, e.Run = err, nil
	}
	number := int64(0)
	if e.Run != nil {
		number = e.Number
	}
	exitCode := s.ExitCode(e.Ending)
	s.Metrics.RunEnded(e.Outcome(), s.Clock().Sub(started))
	s.Host.Status(fmt.Sprintf("the last run, by %s, is %s", b.trigger, e.Outcome()))
	err := s.logRun(e.Ending)
	s.queue.over(b, number, exitCode, e.Text()) // whoever waits for it finds the run in the log and the metrics
	s.alert(ctx, backend, session, e.Ending)
	return err
}

// show takes over what a run saw. To explain thousands of companies takes a
// moment, and whoever looks meanwhile must not wait for it. Nothing else changes
// the state between two runs.
func (s *Service) show(e Seen) {
	s.mu.Lock()
	before := s.state
	s.mu.Unlock()
	after := After(before, e)
	s.update(func(st *dashboard.State) { *st = after })
}

// resync makes the run of a batch. The session is the caller's to close; it is
// nil only if it could not be opened.
func (s *Service) resync(ctx context.Context, backend Backend, b batch) (e Seen, session Session) {
	session, err := backend.Open(ctx, &watch{service: s, batch: b})
	if err != nil {
		return Seen{Ending: run.Ending{Request: b.request, Trigger: b.trigger, Started: s.Clock(), Err: err}}, nil
	}
	returned := false
	defer func() {
		if !returned { // a panic: nobody else closes it
			session.Close()
		}
	}()
	b.request.Wait = leaseWait
	runner := session.Runner()
	e = Seen{Ending: runner.Run(ctx, b.request, b.trigger)}
	e.View = e.Proposal
	held := ""
	if errors.Is(e.Err, journal.ErrHeld) {
		held = e.Err.Error()
	}
	s.update(func(st *dashboard.State) { st.Lease = held })
	if e.Run != nil && e.View != nil && s.unknown(e.Ending) {
		s.lookAgain(ctx, runner, &e)
	}
	returned = true
	return e, session
}

// lookAgain makes another proposal after a run, so that the page shows what remains
// with the id that approves it.
func (s *Service) lookAgain(ctx context.Context, runner *run.Runner, e *Seen) {
	again, err := (*run.Proposal)(nil), ctx.Err()
	if err == nil {
		again, err = runner.Propose(ctx, run.Request{})
	}
	switch {
	case err == nil:
		e.View, e.Again = again, true
	case e.Request.Partial():
		e.View = nil // the view before the run says more
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("could not look again after the run", "error", report.Plain(err.Error()))
	}
}

// unknown reports whether only another proposal shows what remains after a run. The page
// shows it with the id that approves it, and that id changes once part of the plan is
// done. A run of some companies says nothing about the others, unless they are known to
// be in step.
func (s *Service) unknown(e run.Ending) bool {
	made := e.Run.Count(sync.StatusDone)
	left := made < len(e.Proposal.Whole.Steps)
	if !e.Request.Partial() {
		return left && made > 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return left || s.state.Look == nil || !s.state.NotInStep.IsZero()
}

// watch receives the events of a run.
type watch struct {
	run.NoEvents
	service *Service
	batch   batch
}

// Read implements [run.Events].
func (w *watch) Read(server run.Server, err error) {
	reach := dashboard.Reach{At: w.service.Clock()}
	if err != nil {
		reach.Error = report.Plain(err.Error())
	}
	w.service.update(func(st *dashboard.State) {
		if server == run.VaultServer {
			st.VaultServer = reach
		} else {
			st.ConnectWise = reach
		}
	})
}

// Applied implements [run.Events].
func (w *watch) Applied(number int64, done, total int) {
	w.service.queue.progress(w.batch, number, done, total)
	w.service.update(func(st *dashboard.State) {
		st.Progress = dashboard.Progress{Run: number, Done: done, Total: total}
	})
}

// toldHeld is what the log has reported as held.
type toldHeld map[heldKey]bool

type heldKey struct {
	key  sync.Key
	code sync.HoldCode
}

// logRun logs how a run went. It reports each held thing once, because a hold can last
// for months. It returns an error if the run did not make all its steps.
func (s *Service) logRun(e run.Ending) error {
	if e.Run == nil {
		var panicked *sync.PanicError
		if errors.As(e.Err, &panicked) {
			s.Log.Error("a mistake in cwvault itself; please report it", "stack", string(panicked.Stack))
		}
		if e.Fix != "" {
			return fmt.Errorf("%w; %s", e.Err, e.Fix)
		}
		return e.Err
	}
	r, c := e.Run, e.Run.Counts
	s.Log.Info("run over", "run", r.Number, "outcome", r.Outcome, "plan", r.ID,
		"create", c.Create, "adopt", c.Adopt, "rename", c.Rename, "move", c.Move, "archive", c.Archive,
		"held", c.Held, "departed", c.Departed, "unchanged", c.Unchanged)
	s.logSteps(r)
	s.logHeld(r, e.Request.Partial())
	if r.Outcome == report.Partial {
		return fmt.Errorf("run %d: some steps were not made", r.Number)
	}
	return nil
}

func (s *Service) logSteps(r *report.Run) {
	failed := 0
	for i, step := range r.Results {
		s.Metrics.StepEnded(r.Steps[i].Op, step.Status)
		if step.Error == "" {
			continue
		}
		if failed++; failed <= logged {
			s.Log.Warn("step not made", "key", r.Steps[i].Key, "status", step.Status, "error", report.Plain(step.Error))
		}
	}
	if failed > logged {
		s.Log.Warn("more steps were not made", "steps", failed-logged)
	}
}

func (s *Service) logHeld(r *report.Run, partial bool) {
	now, fresh := toldHeld{}, 0
	for _, h := range r.Held {
		now[heldKey{h.Key, h.Code}] = true
		if s.told[heldKey{h.Key, h.Code}] {
			continue
		}
		if fresh++; fresh <= logged {
			s.Log.Warn("held", "key", h.Key, "code", h.Code, "reason", report.Plain(h.Reason))
		}
	}
	if fresh > logged {
		s.Log.Warn("more is held", "items", fresh-logged)
	}
	if partial {
		maps.Copy(now, s.told)
	}
	s.told = now
}

// alert raises tickets for the problems of a run and closes the session. ConnectWise may
// be slow, and the next run does not wait for it. If the next run begins before the
// tickets are handled, it handles them.
func (s *Service) alert(ctx context.Context, backend Backend, session Session, e run.Ending) {
	s.tell(ctx, backend, session, func(ctx context.Context, clerk *tickets.Clerk) {
		if session == nil {
			clerk.TellUnopened(ctx, e.Err)
		} else {
			clerk.Tell(ctx, e)
		}
	})
}
