package run

import (
	"context"
	"time"

	"cwvault/sync"
	"cwvault/sync/journal"
)

// Pause keeps a company's folder as it is until it is unpaused, and returns its
// key. who is an id or an identifier; the reason is shown in plans.
func (r *Runner) Pause(ctx context.Context, who, reason string) (sync.Key, error) {
	return r.setPause(ctx, who, func(ctx context.Context, key sync.Key) error { return r.Journal.Pause(ctx, key, reason) })
}

// Unpause lets a company's folder follow ConnectWise again, and reports whether
// it was paused.
func (r *Runner) Unpause(ctx context.Context, who string) (key sync.Key, was bool, err error) {
	key, err = r.setPause(ctx, who, func(ctx context.Context, key sync.Key) (err error) {
		was, err = r.Journal.Unpause(ctx, key)
		return err
	})
	return key, was, err
}

func (r *Runner) setPause(ctx context.Context, who string, set func(context.Context, sync.Key) error) (sync.Key, error) {
	id, err := r.FindCompany(ctx, who)
	if err != nil {
		return "", err
	}
	key := sync.CompanyKey(id)
	return key, r.holdingLease(ctx, time.Duration(0), func(ctx context.Context, _ *journal.Lease) error { return set(ctx, key) })
}
