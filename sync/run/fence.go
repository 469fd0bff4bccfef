package run

import (
	"context"
	"errors"
	"time"

	"cwvault/sync"
	"cwvault/sync/journal"
)

// fencedVault is a vault that takes no change once the lease is lost. A process
// that was paused for longer than its lease lives (a suspended machine, a
// stopped container) wakes up in the middle of a step. Another run may have
// worked since, so what the step was about to do may be wrong by now.
//
// It also bounds how long a step may take once the run was stopped: a server
// that does not answer must not keep the process alive. The intent of what was
// cut off stays in the journal, and the next run finds out what became of it.
type fencedVault struct {
	sync.Vault
	lease *journal.Lease
	late  context.Context // ends when a run that was stopped has had its time
}

// StopGrace is how long a step may go on after the run was stopped. Supervisors
// kill after 30 seconds or more.
const StopGrace = 15 * time.Second

// ErrCutOff says that the run was stopped, and the vault did not answer in time.
var ErrCutOff = errors.New("the run was stopped, and the vault has not answered since")

// afterStop returns a context that ends a while after ctx, with ErrCutOff.
func afterStop(ctx context.Context, grace time.Duration) (late context.Context, done func()) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { cancel(ErrCutOff) }) // rule 15: a stop cuts off what does not end
	})
	return late, func() {
		unhook()
		cancel(nil)
	}
}

// change calls do as bounded does, unless the lease is lost.
func (v fencedVault) change(ctx context.Context, do func(context.Context) error) error {
	if err := v.lease.Check(ctx); err != nil { // rule 14: the lease is asked before each change
		return err
	}
	return v.bounded(ctx, do)
}

// bounded calls do with a context that ends when the lease is lost, or when a
// stopped run has had its time.
func (v fencedVault) bounded(ctx context.Context, do func(context.Context) error) error {
	if v.late.Err() != nil { // rule 15: a stopped run that has had its time sends nothing
		return context.Cause(v.late)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-v.lease.Lost():
			cancel(journal.ErrLost) // rule 14: a change under way ends with the lease
		case <-v.late.Done():
			cancel(context.Cause(v.late))
		case <-ctx.Done():
		}
	}()
	return do(ctx)
}

func (v fencedVault) CreateRoot(ctx context.Context) (f sync.Folder, err error) {
	err = v.change(ctx, func(ctx context.Context) error { f, err = v.Vault.CreateRoot(ctx); return err })
	return f, err
}

func (v fencedVault) Create(ctx context.Context, parentID, name string, m sync.Mark) (f sync.Folder, err error) {
	err = v.change(ctx, func(ctx context.Context) error { f, err = v.Vault.Create(ctx, parentID, name, m); return err })
	return f, err
}

func (v fencedVault) Update(ctx context.Context, id, parentID, name string) (f sync.Folder, err error) {
	err = v.change(ctx, func(ctx context.Context) error { f, err = v.Vault.Update(ctx, id, parentID, name); return err })
	return f, err
}

func (v fencedVault) Find(ctx context.Context, parentID, name string) (f sync.Folder, err error) {
	err = v.bounded(ctx, func(ctx context.Context) error { f, err = v.Vault.Find(ctx, parentID, name); return err })
	return f, err
}

func (v fencedVault) Mark(ctx context.Context, id string, m sync.Mark) error {
	return v.change(ctx, func(ctx context.Context) error { return v.Vault.Mark(ctx, id, m) })
}
