package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	gosync "sync"
	"time"

	"cwvault/scheduler/api"
	"cwvault/scheduler/dashboard"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
)

// note takes over what a run found and did into what the service shows. The
// number is 0 if the journal knows nothing of the run.
func (v *service) note(b batch, r *runReport, p *proposal, run int64, started time.Time, err error) {
	whole := !b.request.partial()
	v.mu.Lock()
	before := v.state.Look
	v.mu.Unlock()
	look := before
	if p != nil && (whole || r != nil) {
		look = newLook(p, r, before, started)
	}
	// That a request was wrong says nothing of the vault.
	wrong := r == nil && (exitCode(err) == exitUsage || exitCode(err) == exitHeld)
	differs := look != nil && len(look.Pending.Steps) > 0 || !wrong && (err != nil || r.Outcome != outcomeDone)
	v.update(func(st *dashboard.State) {
		st.Look = look
		switch {
		case differs && st.NotInStep.IsZero():
			st.NotInStep = started
		case !differs && r != nil && (whole || r.lookAgain):
			st.NotInStep = time.Time{}
		}
		switch {
		case wrong:
		case err != nil:
			st.LastError = plain(err.Error())
		case r.Outcome != outcomeDone:
			st.LastError = orText(plain(r.Error), "some steps were not made")
		default:
			st.LastError = ""
		}
		if whole && err == nil && r.Outcome == outcomeDone {
			st.LastGood = started
		}
		if run != 0 {
			st.LastRun = run
		}
	})
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// newLook is what a run saw and left to be done. Without r nothing was done,
// and r.lookAgain says that p was made after it. If p is about some companies,
// the others were in step before.
func newLook(p *proposal, r *runReport, before *dashboard.Look, at time.Time) *dashboard.Look {
	l := &dashboard.Look{At: at, Blocked: map[sync.Key]bool{}, Failed: map[sync.Key]string{}, Listed: len(p.source.Companies)}
	tree, done := p.tree, map[sync.Key]bool{}
	if r != nil {
		l.Run = r.Run
		for i, result := range r.Results {
			switch key := r.Steps[i].Key; result.Status {
			case sync.StatusDone:
				done[key] = true
			case sync.StatusFailed:
				l.Failed[key] = plain(result.Error)
			}
		}
		if r.lookAgain {
			clear(done)
		} else {
			tree = treeAfter(tree, p.Program, r.Results)
		}
	}

	pending := p.Plan
	pending.Steps = []sync.Step{}
	unchanged := p.Counts.Unchanged
	allowed := map[sync.Key]bool{}
	for _, step := range p.Steps {
		allowed[step.Key] = true
	}
	guarded := slices.ContainsFunc(p.Held, func(h sync.Held) bool { // otherwise what is left settles by itself
		return h.Code.ByGuard() || h.Code == sync.HeldAccessWidens
	})
	for _, step := range p.Whole.Steps {
		if done[step.Key] {
			unchanged++
			continue
		}
		pending.Steps = append(pending.Steps, step)
		if guarded && !allowed[step.Key] {
			l.Blocked[step.Key] = true
		}
	}
	pending.Held = slices.Clone(p.Held)
	for i := range pending.Held { // until the core says so itself
		pending.Held[i].Approvable = pending.Held[i].Code.Approvable()
	}
	if p.req.partial() {
		pending = withOthers(pending, before.Pending, p.only)
	}
	pending.Counts = countsFor(pending, unchanged)
	if len(done) > 0 || p.req.partial() { // otherwise it is the plan that was made, with the id that guards ask for
		if signed, err := pending.Signed(); err == nil { // it is encoded again wherever it is shown
			pending = signed
		}
	}
	l.Pending = pending

	l.Companies = report.Explain(report.Situation{Wanted: p.wanted, Structure: p.structure, Companies: p.source.Companies, Tree: tree, Plan: pending})
	for i := range l.Companies {
		if l.Companies[i].FolderID != "" {
			l.Managed++
		}
	}
	return l
}

// withOthers adds to what is left of the plan of some companies what is held of
// the others and who has departed. For them, nothing was to be done.
func withOthers(pending, before sync.Plan, only map[int]bool) sync.Plan {
	mine := func(key sync.Key) bool {
		id, ok := key.CompanyID()
		return ok && only[id]
	}
	pending.Held = append(slices.DeleteFunc(slices.Clone(before.Held), func(h sync.Held) bool { return mine(h.Key) }),
		slices.DeleteFunc(slices.Clone(pending.Held), func(h sync.Held) bool { return !mine(h.Key) })...)
	pending.Departed = append(slices.DeleteFunc(slices.Clone(before.Departed), func(d sync.Departed) bool { return mine(d.Key) }),
		slices.DeleteFunc(slices.Clone(pending.Departed), func(d sync.Departed) bool { return !mine(d.Key) })...)
	return pending
}

func countsFor(p sync.Plan, unchanged int) sync.Counts {
	c := sync.Counts{Held: len(p.Held), Departed: len(p.Departed), Unchanged: unchanged}
	for _, step := range p.Steps {
		switch step.Op {
		case sync.OpCreate:
			c.Create++
		case sync.OpAdopt:
			c.Adopt++
		case sync.OpRename:
			c.Rename++
		case sync.OpMove:
			c.Move++
		case sync.OpArchive:
			c.Archive++
		}
	}
	return c
}

// treeAfter returns the tree as it is when steps have been made.
func treeAfter(t sync.Tree, p sync.Program, results []stepResult) sync.Tree {
	tenant, steps := p.Tenant, p.Steps
	t.Folders = slices.Clone(t.Folders)
	index := map[string]int{}
	ids := map[sync.Key]string{}
	for i, f := range t.Folders {
		index[f.ID] = i
		if f.Mark.Tenant == tenant {
			ids[f.Mark.Key] = f.ID
		}
	}
	for i, step := range steps {
		id := cmp.Or(step.FolderID, results[i].folderID)
		if results[i].Status != sync.StatusDone || id == "" {
			continue
		}
		if step.Key == sync.RootKey {
			t.Root.ID = id
			continue
		}
		ids[step.Key] = id
		if _, ok := index[id]; !ok {
			index[id] = len(t.Folders)
			t.Folders = append(t.Folders, sync.Folder{ID: id})
		}
		t.Folders[index[id]].Mark = sync.Mark{Tenant: tenant, Key: step.Key}
	}
	ids[sync.RootKey] = t.Root.ID
	for i, step := range steps {
		id := ids[step.Key]
		if at, ok := index[id]; ok && results[i].Status == sync.StatusDone {
			place := p.Place(i)
			t.Folders[at].Name, t.Folders[at].ParentID = place.Name, ids[place.Parent]
		}
	}
	return t
}

// runsCache keeps lists of runs for a moment, so that however many look at the
// page, the journal is read once a second.
type runsCache struct {
	mu    gosync.Mutex
	at    time.Time
	lists map[[2]int64][]dashboard.Run
}

func (v *service) refreshRuns() {
	v.runs.mu.Lock()
	defer v.runs.mu.Unlock()
	v.runs.lists = nil
}

// Runs implements [dashboard.Service].
func (v *service) Runs(ctx context.Context, limit int, before int64) ([]dashboard.Run, error) {
	c := &v.runs
	c.mu.Lock()
	defer c.mu.Unlock()
	const most = 16
	if now := time.Now(); c.lists == nil || now.Sub(c.at) > runsFresh || len(c.lists) >= most {
		c.lists, c.at = map[[2]int64][]dashboard.Run{}, now
	}
	asked := [2]int64{int64(limit), before}
	if list, ok := c.lists[asked]; ok {
		return list, nil
	}
	var list []dashboard.Run
	err := v.withJournal(ctx, func(j *journal.Journal) error {
		runs, err := j.Runs(ctx, limit, before)
		for _, r := range runs {
			list = append(list, newRunRow(r))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	c.lists[asked] = list
	return list, nil
}

// Run implements [dashboard.Service].
func (v *service) Run(ctx context.Context, id int64) (r report.Run, err error) {
	err = v.withJournal(ctx, func(j *journal.Journal) error {
		info, err := j.Run(ctx, id)
		if errors.Is(err, journal.ErrNotFound) {
			return api.ErrNotFound
		}
		if err != nil {
			return err
		}
		r = report.Run{Number: info.ID, Trigger: info.Trigger, Outcome: report.Outcome(orRunning(info.Outcome)), Error: info.Error, Started: info.Started, Ended: info.Finished}
		if r.Plan, err = recordedPlan(info); err != nil {
			return err
		}
		r.Results = make([]report.StepResult, len(r.Steps))
		for s, err := range j.Steps(ctx, id) {
			if err != nil {
				return err
			}
			if s.Seq < len(r.Results) {
				r.Results[s.Seq] = report.StepResult{Status: sync.Status(s.Status), Error: s.Error, Began: s.Began, Ended: s.Ended}
			}
		}
		return nil
	})
	return r, err
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

// withJournal opens the journal for reading. It is not kept open: the file may
// be replaced by a backup, and a service that idles should cost nothing.
func (v *service) withJournal(ctx context.Context, read func(*journal.Journal) error) error {
	j, err := journal.OpenReadOnly(ctx, v.config().State, journal.Options{})
	if err != nil {
		return fmt.Errorf("CWVAULT_STATE: %w", err)
	}
	defer j.Close()
	return read(j)
}

// Resync implements [dashboard.Service].
func (v *service) Resync(_ context.Context, r dashboard.Request) (dashboard.Asked, error) {
	for _, key := range r.Recreate {
		if !key.Valid() {
			return dashboard.Asked{}, fmt.Errorf("%w: %q is not a key; it looks like company/250", dashboard.ErrInvalid, key)
		}
	}
	return v.queue.add(r)
}

// Asked implements [dashboard.Service].
func (v *service) Asked(id string) (dashboard.Asked, error) { return v.queue.get(id) }
