package service

import (
	"slices"
	"time"

	"cwvault/scheduler/dashboard"
	"cwvault/sync"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

// Seen is a run's ending, and what the run saw on both sides.
type Seen struct {
	run.Ending
	// View is the proposal to show; nil: keep the one from before.
	View *run.Proposal
	// Again says that View was made after the run.
	Again bool
}

// After returns the state after a run, from the state before it. It is pure.
func After(st dashboard.State, e Seen) dashboard.State {
	whole := !e.Request.Partial()
	st.Progress = dashboard.Progress{}
	if e.View != nil && (whole || e.Run != nil) {
		st.Look = lookOf(e, st.Look)
	}
	// A wrong request says nothing about the vault.
	cause := e.Cause()
	wrong := e.Run == nil && (cause == run.CauseUsage || cause == run.CauseStale)
	failed := e.Run == nil || e.Run.Outcome != report.Done
	differs := st.Look != nil && len(st.Look.Pending.Steps) > 0 || !wrong && failed
	switch {
	case differs && st.NotInStep.IsZero():
		st.NotInStep = e.Started
	case !differs && e.Run != nil && (whole || e.Again):
		st.NotInStep = time.Time{}
	}
	switch {
	case wrong:
	case e.Run == nil:
		st.LastError = report.Plain(e.Text())
	case failed:
		st.LastError = report.Or(report.Plain(e.Text()), "some steps were not made")
	default:
		st.LastError = ""
	}
	if whole && !failed {
		st.LastGood = e.Started
	}
	if e.Number != 0 {
		st.LastRun = e.Number
	}
	return st
}

// lookOf returns what a run saw and what remains to do. If the run was of some companies,
// the others were in step before.
func lookOf(e Seen, before *dashboard.Look) *dashboard.Look {
	p := e.View
	l := &dashboard.Look{At: e.Started, Blocked: map[sync.Key]bool{}, Failed: map[sync.Key]string{}, Listed: len(p.Source.Companies)}
	tree, done := p.Tree, map[sync.Key]bool{}
	if e.Run != nil {
		l.Run = e.Run.Number
		for i, result := range e.Run.Results {
			switch key := e.Run.Steps[i].Key; result.Status {
			case sync.StatusDone:
				done[key] = true
			case sync.StatusFailed:
				l.Failed[key] = report.Plain(result.Error)
			}
		}
		if e.Again {
			clear(done)
		} else {
			tree = e.Tree()
		}
	}
	var others sync.Plan
	if before != nil {
		others = before.Pending
	}
	l.Pending = pending(p, done, l.Blocked, others)
	l.Companies = report.Explain(p.Situation(tree, l.Pending))
	for _, c := range l.Companies {
		if c.FolderID != "" {
			l.Managed++
		}
	}
	return l
}

// pending is a plan without what was done; before is what was pending of others.
// It notes the steps that a guard holds in blocked.
func pending(p *run.Proposal, done, blocked map[sync.Key]bool, before sync.Plan) sync.Plan {
	plan := p.Plan
	plan.Steps = []sync.Step{}
	unchanged := p.Counts.Unchanged
	allowed := map[sync.Key]bool{}
	for _, step := range p.Steps {
		allowed[step.Key] = true
	}
	guarded := slices.ContainsFunc(p.Held, func(h sync.Held) bool { return h.Approvable }) // otherwise nothing waits for approval
	for _, step := range p.Whole.Steps {
		if done[step.Key] {
			unchanged++
			continue
		}
		plan.Steps = append(plan.Steps, step)
		if guarded && !allowed[step.Key] {
			blocked[step.Key] = true
		}
	}
	partial := p.Request.Partial()
	if partial {
		plan = withOthers(plan, before, p.Only)
	}
	plan.Counts = report.CountSteps(plan)
	plan.Counts.Unchanged = unchanged
	if len(done) == 0 && !partial {
		return plan // as it was made, with the id to approve
	}
	if signed, err := plan.Signed(); err == nil { // an error would show again wherever the plan is encoded
		plan = signed
	}
	return plan
}

// withOthers adds the held and departed of the other companies to the plan of some
// companies. The others have no steps.
func withOthers(plan, before sync.Plan, only map[int]bool) sync.Plan {
	mine := func(key sync.Key) bool {
		id, ok := key.CompanyID()
		return ok && only[id]
	}
	plan.Held = append(slices.DeleteFunc(slices.Clone(before.Held), func(h sync.Held) bool { return mine(h.Key) }),
		slices.DeleteFunc(slices.Clone(plan.Held), func(h sync.Held) bool { return !mine(h.Key) })...)
	plan.Departed = append(slices.DeleteFunc(slices.Clone(before.Departed), func(d sync.Departed) bool { return mine(d.Key) }),
		slices.DeleteFunc(slices.Clone(plan.Departed), func(d sync.Departed) bool { return !mine(d.Key) })...)
	return plan
}
