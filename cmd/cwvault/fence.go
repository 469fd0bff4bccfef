package main

import (
	"context"

	"cwvault/sync"
	"cwvault/sync/journal"
)

// fencedVault is a vault that takes no change once the lease is lost. A process
// that was paused for longer than its lease lives (a suspended machine, a
// stopped container) wakes up in the middle of a step. Another run may have been
// at work since, and what the step was about to do may be wrong by now.
type fencedVault struct {
	sync.Vault
	lease *journal.Lease
}

// mayChange returns an error unless the lease is held. Secret Server asks it
// before each request, since some changes take several.
func (s *session) mayChange(ctx context.Context) error {
	if s.lease == nil {
		return journal.ErrLost
	}
	return s.lease.Check(ctx)
}

// change calls do with a context that ends when the lease is lost, unless it is
// lost already. That the run is being stopped does not end it.
func (v fencedVault) change(ctx context.Context, do func(context.Context) error) error {
	if err := v.lease.Check(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-v.lease.Lost():
			cancel(journal.ErrLost)
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

func (v fencedVault) Mark(ctx context.Context, id string, m sync.Mark) error {
	return v.change(ctx, func(ctx context.Context) error { return v.Vault.Mark(ctx, id, m) })
}
