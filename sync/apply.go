package sync

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	gosync "sync"
)

// Vault is what Apply needs of a vault; package vault states the full contract.
type Vault interface {
	CreateRoot(ctx context.Context) (Folder, error)
	Create(ctx context.Context, parentID, name string, m Mark) (Folder, error)
	Update(ctx context.Context, id, parentID, name string) (Folder, error)
	Mark(ctx context.Context, id string, m Mark) error
	Find(ctx context.Context, parentID, name string) (Folder, error)
}

// Recorder records every step before and after it is made, with the place that
// its folder gets. Apply may call it from several goroutines at once.
type Recorder interface {
	// Begin is called before anything is written for a step. index is the step's
	// in the plan. If Begin fails, the step is not made: without a record of the
	// intent a crash could leave a folder that no later run recognizes.
	Begin(ctx context.Context, index int, s Step, to Place) error
	// End is called once for every step, also for skipped ones that never began.
	// If End fails, the report shows the step as failed, although the vault has
	// changed.
	End(ctx context.Context, index int, s Step, to Place, r Result) error
}

// Status is how a step ended.
type Status string

// The statuses of a step.
const (
	StatusDone    Status = "done"
	StatusFailed  Status = "failed"
	StatusSkipped Status = "skipped" // not attempted: a step it depends on failed, or the run was stopped
)

// Result is the outcome of one step.
type Result struct {
	Status   Status
	FolderID string // of the folder
	Err      error  // why it failed or was skipped
	// Unsettled: nobody knows whether the folder was made, or it was made but
	// has no mark. The intent must be kept for the next run.
	Unsettled bool
}

// Report holds the results of a plan's steps, by index.
type Report struct {
	Results []Result
}

// Count returns how many steps have this status.
func (r Report) Count(s Status) int {
	n := 0
	for _, result := range r.Results {
		if result.Status == s {
			n++
		}
	}
	return n
}

// errStopped is why steps are skipped when the run is stopped.
var errStopped = errors.New("the run was stopped before this step")

// Apply makes the steps of a program, up to workers at once, each after the steps
// it depends on. When a step fails, Apply skips the steps that depend on it and
// makes all others. When ctx ends, Apply finishes the steps under way, begins no
// further one, and returns. It never fails as a whole: the results say what did.
func Apply(ctx context.Context, v Vault, p Program, workers int, rec Recorder) Report {
	a := &applier{
		vault: v, rec: rec, tenant: p.Tenant, steps: make([]action, len(p.Steps)),
		ids: map[Key]string{}, results: make([]Result, len(p.Steps)),
	}
	if len(p.details) != len(p.Steps) { // built by hand; rule 7: a plan that was read cannot be applied
		for i := range a.results {
			a.results[i] = Result{Status: StatusFailed, Err: errNotMade}
		}
		return Report{a.results}
	}
	for i := range a.steps {
		a.steps[i] = action{p.Steps[i], p.details[i]}
	}
	a.buildTasks()
	a.run(ctx, max(workers, 1))
	return Report{a.results}
}

// action is a step with the details that Apply needs.
type action struct {
	Step
	detail
}

// task is one write: a step, or the first half of a step that goes via a
// temporary name.
type task struct {
	step    int
	via     bool  // the first half: it takes the temporary name
	waitFor int   // how many tasks must end before this one begins
	next    []int // tasks that wait for this one
	skip    error // set when a task that it waits for failed
}

type applier struct {
	vault  Vault
	rec    Recorder
	tenant string
	steps  []action
	tasks  []task

	mu      gosync.Mutex
	ids     map[Key]string // folders of the steps done so far
	results []Result
	stop    error // why no further step can succeed
}

// buildTasks makes the tasks and links those that wait for each other.
func (a *applier) buildTasks() {
	last := make(map[Key]int, len(a.steps))  // the task that finishes the step of a key
	leave := make(map[Key]int, len(a.steps)) // the task that vacates its place
	for i, s := range a.steps {
		leave[s.Key] = len(a.tasks)
		if s.Via != "" {
			a.tasks = append(a.tasks, task{step: i, via: true})
		}
		last[s.Key] = len(a.tasks)
		a.tasks = append(a.tasks, task{step: i})
	}
	after := func(t, before int, ok bool) {
		if ok && t != before {
			a.tasks[before].next = append(a.tasks[before].next, t)
			a.tasks[t].waitFor++
		}
	}
	for _, s := range a.steps {
		t := last[s.Key]
		if s.Via != "" {
			after(t, leave[s.Key], true)
		}
		before, ok := last[s.above] // rule 7: applied in that order, parents
		after(t, before, ok)
		for _, k := range s.takesFrom {
			before, ok := leave[k] // rule 7: applied in that order, places
			after(t, before, ok)
		}
	}
}

// run works through the tasks with a fixed number of workers.
func (a *applier) run(ctx context.Context, workers int) {
	ready := &minHeap[int]{}
	for t := range a.tasks {
		if a.tasks[t].waitFor == 0 {
			*ready = append(*ready, t) // ascending, so it is a heap
		}
	}
	work := make(chan int)
	type ending struct {
		task int
		err  error
	}
	done := make(chan ending)
	var group gosync.WaitGroup
	for range min(workers, len(a.tasks)) {
		group.Add(1)
		go func() {
			defer group.Done()
			for t := range work {
				done <- ending{t, a.try(ctx, t)}
			}
		}()
	}
	for underWay := 0; ready.Len() > 0 || underWay > 0; {
		// Tasks begin in plan order. A nil channel is never chosen.
		var hand chan int
		next := 0
		if ready.Len() > 0 {
			hand, next = work, (*ready)[0]
		}
		select {
		case hand <- next:
			heap.Pop(ready)
			underWay++
		case e := <-done:
			underWay--
			for _, n := range a.tasks[e.task].next {
				t := &a.tasks[n]
				if e.err != nil && t.skip == nil { // rule 15: a failed step skips what depends on it
					t.skip = e.err
				}
				if t.waitFor--; t.waitFor == 0 {
					heap.Push(ready, n)
				}
			}
		}
	}
	close(work)
	group.Wait()
}

// try runs one task. A panic fails the step; nobody knows how far it came.
func (a *applier) try(ctx context.Context, t int) error {
	err := Recovered(func() error { return a.do(ctx, t) })()
	var panicked *PanicError
	if !errors.As(err, &panicked) {
		return err
	}
	step := a.tasks[t].step
	a.mu.Lock()
	defer a.mu.Unlock()
	a.results[step] = Result{Status: StatusFailed, Err: panicked, Unsettled: true}
	return waitedFor(a.steps[step])
}

// do runs one task. Its error says why the tasks that wait for it are skipped.
func (a *applier) do(ctx context.Context, t int) error {
	tk := &a.tasks[t]
	s := a.steps[tk.step]
	secondHalf := s.Via != "" && !tk.via
	// A stop does not interrupt a step under way: half a step is worse than one
	// more call. Vaults limit how long their calls take.
	whole := context.WithoutCancel(ctx) // rule 15: a stop lets the step under way finish

	if err := a.mayBegin(ctx, tk, secondHalf); err != nil {
		switch {
		case secondHalf && a.ended(tk.step): // its first half failed and was recorded
		case secondHalf:
			a.end(whole, tk.step, a.restoreName(whole, s, err))
		default:
			a.end(whole, tk.step, Result{Status: StatusSkipped, Err: err})
		}
		return err
	}
	if !secondHalf {
		if err := a.rec.Begin(whole, tk.step, s.Step, s.place); err != nil { // rule 15: no intent, no step
			a.end(whole, tk.step, Result{Status: StatusFailed, Err: fmt.Errorf("record the intent: %w", err)})
			return waitedFor(s)
		}
	}
	if tk.via {
		if err := a.move(whole, s, s.fromParent, s.viaName); err != nil {
			a.end(whole, tk.step, Result{Status: StatusFailed, Err: fmt.Errorf("take the temporary name: %w", err)})
			return waitedFor(s)
		}
		return nil
	}
	r := a.make(whole, s)
	if r.Err != nil && secondHalf {
		r.Err = fmt.Errorf("%w; it has its temporary name until the next run", r.Err)
	}
	if a.end(whole, tk.step, r) != nil {
		return waitedFor(s)
	}
	return nil
}

func waitedFor(s action) error {
	return fmt.Errorf("it depends on the %s of %s, which failed", s.Op, s.Key)
}

// mayBegin returns why a task must not begin, or nil.
func (a *applier) mayBegin(ctx context.Context, tk *task, secondHalf bool) error {
	if tk.skip != nil {
		return tk.skip
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stop != nil { // rule 15: no sign-in, no further step
		return a.stop
	}
	if ctx.Err() != nil && !secondHalf { // rule 15: a stop begins no further step
		return errStopped
	}
	return nil
}

// restoreName takes back a temporary name: the folder gets its old name again,
// because its new place did not become free.
func (a *applier) restoreName(ctx context.Context, s action, why error) Result {
	if err := a.update(ctx, s.FolderID, s.fromParent, s.fromName); err != nil { // rule 15: back from a temporary name
		return Result{Status: StatusFailed, Err: fmt.Errorf("%w; it has its temporary name until the next run, because going back failed: %w", why, err)}
	}
	return Result{Status: StatusSkipped, Err: why}
}

func (a *applier) ended(step int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.results[step].Status != ""
}

// end records how a step ended and returns the step's error.
func (a *applier) end(ctx context.Context, step int, r Result) error {
	s := a.steps[step]
	if errors.Is(r.Err, ErrUnauthorized) {
		a.mu.Lock()
		a.stop = r.Err
		a.mu.Unlock()
	}
	if err := a.rec.End(ctx, step, s.Step, s.place, r); err != nil && r.Err == nil {
		// The change stays. The next run finds the folder by its mark.
		r.Status, r.Err = StatusFailed, fmt.Errorf("done, but not recorded: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.results[step] = r
	if r.FolderID != "" && r.Status == StatusDone {
		a.ids[s.Key] = r.FolderID
	}
	return r.Err
}

// make makes the change of a step.
func (a *applier) make(ctx context.Context, s action) Result {
	mark := Mark{Tenant: a.tenant, Key: s.Key}
	switch {
	case s.Key == RootKey:
		f, err := a.vault.CreateRoot(ctx)
		return result(f.ID, err)
	case s.Op == OpAdopt:
		return result(s.FolderID, a.retry(func() error { return a.vault.Mark(ctx, s.FolderID, mark) }))
	}
	parent, err := a.parent(s)
	if err != nil {
		return result("", err)
	}
	if s.Op == OpCreate {
		return a.create(ctx, parent, s.place.Name, mark)
	}
	return result(s.FolderID, a.move(ctx, s, parent, s.place.Name))
}

// move gives a step's folder a new place. A folder without a mark gets its mark
// first: at another place no run would recognize it.
func (a *applier) move(ctx context.Context, s action, parent, name string) error {
	if s.mark { // rule 16: before it goes elsewhere
		mark := Mark{Tenant: a.tenant, Key: s.Key}
		if err := a.retry(func() error { return a.vault.Mark(ctx, s.FolderID, mark) }); err != nil {
			return err
		}
	}
	return a.update(ctx, s.FolderID, parent, name)
}

func result(id string, err error) Result {
	if err != nil {
		return Result{Status: StatusFailed, Err: err}
	}
	return Result{Status: StatusDone, FolderID: id}
}

// parent returns the id of the folder that will hold a step's folder.
func (a *applier) parent(s action) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if id, ok := a.ids[s.place.Parent]; ok {
		return id, nil
	}
	if s.parentID == "" {
		return "", fmt.Errorf("its parent folder %s has not been made", s.place.Parent)
	}
	return s.parentID, nil
}

// update renames or moves a folder. A retry is safe: it finds the folder in its
// place.
func (a *applier) update(ctx context.Context, id, parent, name string) error {
	return a.retry(func() error {
		_, err := a.vault.Update(ctx, id, parent, name)
		return err
	})
}

// retry makes a call, again if the answer was lost. The call must be safe to
// repeat.
func (a *applier) retry(call func() error) error {
	err := call()
	for tries := 1; tries < maxTries && errors.Is(err, ErrUnanswered); tries++ {
		err = call()
	}
	return err
}

// maxTries is how often a call is made when answers get lost.
const maxTries = 4

// create makes and marks a folder. When an answer was lost, it looks before it
// retries, so that there are never two folders. It also looks when a retry is
// refused: the first call may have succeeded meanwhile.
func (a *applier) create(ctx context.Context, parent, name string, mark Mark) Result {
	lost := false
	for tries := 1; ; tries++ {
		f, err := a.vault.Create(ctx, parent, name, mark)
		unanswered := errors.Is(err, ErrUnanswered)
		lost = lost || unanswered // rule 15: look also after a later refusal
		switch {
		case err == nil:
			return Result{Status: StatusDone, FolderID: f.ID}
		case f.ID != "": // made, not marked
			return a.markNew(ctx, f.ID, mark)
		case !lost:
			return Result{Status: StatusFailed, Err: err}
		}
		found, lookErr := a.look(ctx, parent, name) // rule 15: look before a retry
		switch {
		case lookErr != nil:
			return Result{Status: StatusFailed, Unsettled: true, Err: fmt.Errorf("%w; looking for it: %w", err, lookErr)}
		case found.ID != "" && found.Mark == mark:
			return Result{Status: StatusDone, FolderID: found.ID}
		case found.ID != "" && found.Mark == Mark{} && !found.BadMark && found.Name == name: // rule 11: what a person put there meanwhile is not marked
			return a.markNew(ctx, found.ID, mark)
		case found.ID != "":
			return Result{Status: StatusFailed, Err: fmt.Errorf("%w, and folder %s of that name exists now and is not ours", err, found.ID)}
		case tries == maxTries || !unanswered:
			return Result{Status: StatusFailed, Unsettled: true, Err: err} // rule 16: an intent stays open until its end is known
		}
	}
}

// look returns the folder at a place, or the zero Folder.
func (a *applier) look(ctx context.Context, parent, name string) (Folder, error) {
	var f Folder
	err := a.retry(func() (err error) {
		f, err = a.vault.Find(ctx, parent, name)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return Folder{}, nil
	}
	return f, err
}

// markNew marks a folder that was just made.
func (a *applier) markNew(ctx context.Context, id string, mark Mark) Result {
	if err := a.retry(func() error { return a.vault.Mark(ctx, id, mark) }); err != nil {
		return Result{Status: StatusFailed, FolderID: id, Unsettled: true, // rule 16: what was made and not marked is marked next time
			Err: fmt.Errorf("made, but not marked; the next run marks it: %w", err)}
	}
	return Result{Status: StatusDone, FolderID: id}
}
