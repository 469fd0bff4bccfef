package journal

import (
	"context"
	"time"

	"cwvault/sync"
)

// Pause is a person's wish that a company's folder stays as it is.
type Pause struct {
	Key    sync.Key
	Reason string
	Since  time.Time
}

// Pause records the wish, or a new reason for it. It needs no lease: a person
// may pause a company during a run.
func (j *Journal) Pause(ctx context.Context, key sync.Key, reason string) error {
	_, err := j.exec(ctx, "pause", false, `INSERT INTO cwvault_pause (key, reason, since) VALUES ($1, $2, $3)
		ON CONFLICT (key) DO UPDATE SET reason = excluded.reason`, text(key), shortened(reason), stamp(j.now()))
	return err
}

// Unpause removes the wish. It reports whether there was one.
func (j *Journal) Unpause(ctx context.Context, key sync.Key) (bool, error) {
	n, err := j.exec(ctx, "unpause", false, `DELETE FROM cwvault_pause WHERE key = $1`, text(key))
	return n > 0, err
}
