package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cwvault/sync/journal"
	"cwvault/sync/report"
)

// holdingLease calls f while no other run can write. The context of f ends
// when the lease is lost: whoever has lost it must not begin another step.
func (r *Runner) holdingLease(ctx context.Context, wait time.Duration, f func(context.Context, *journal.Lease) error) error {
	lease, err := r.acquire(ctx, wait)
	if err != nil {
		return err
	}
	defer func() {
		if err := lease.Release(context.WithoutCancel(ctx)); err != nil {
			r.Log.Warn("could not release the lease", "error", report.Plain(err.Error()))
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
	err = f(ctx, lease)
	if errors.Is(err, context.Canceled) || errors.Is(err, journal.ErrLost) {
		if lost := lostLease(ctx, lease); lost != nil {
			err = WithCause(CauseLease, lost)
		}
	}
	return err
}

// acquirePause is how long to wait before the lease is asked for again.
const acquirePause = 500 * time.Millisecond

// acquire takes the lease. While another run has it, it says once who that is
// and waits; after wait the error is that of [journal.Journal.Acquire]. It does
// not ask Clock how long it has waited: that one may be set, or stand still.
func (r *Runner) acquire(ctx context.Context, wait time.Duration) (*journal.Lease, error) {
	deadline := time.Now().Add(wait)
	for said := false; ; said = true {
		lease, err := r.Journal.Acquire(ctx, journal.Self())
		var held *journal.HeldError
		left := time.Until(deadline)
		if !errors.As(err, &held) || left <= 0 {
			return lease, err
		}
		if !said {
			r.Log.Info("waiting for another run to end", "holder", report.Plain(held.Owner.String()), "since", report.Second(held.Since), "at most", wait)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %s to end its run: %w", held.Owner, ctx.Err())
		case <-time.After(min(acquirePause, left)):
		}
	}
}

// lostLease returns an error wrapping [journal.ErrLost] if the lease is lost,
// as far as can be known.
func lostLease(ctx context.Context, lease *journal.Lease) error {
	err := lease.Check(context.WithoutCancel(ctx))
	if !errors.Is(err, journal.ErrLost) {
		return nil
	}
	return err
}
