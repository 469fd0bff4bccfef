package httpclient

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Retry says how often a failed request is retried, and after which pauses. Pauses
// double from First up to Longest. Each is up to half as much longer or shorter,
// at random, so that requests that failed together do not return together.
type Retry struct {
	First   time.Duration // the pause after the first try
	Longest time.Duration // bounds each pause, also one that a server asks for
	Tries   int           // how many in all, the first one included; 0: no limit
	// Patience is how long after the first failure a retry may still begin; 0: no
	// limit.
	Patience time.Duration
	// Pause, if not nil, gets each pause and returns how long to wait instead.
	// Tests record and shorten pauses with it.
	Pause func(time.Duration) time.Duration
}

// Again marks an error as temporary: [Retry.Do] retries, and not before the time
// that the server asked for (0: it did not ask).
func Again(err error, after time.Duration) error { return &again{err, after} }

type again struct {
	error
	after time.Duration
}

func (e *again) Unwrap() error { return e.error }

// Do calls try, with the number of the try from 1 up, until it succeeds, fails
// with an error that is not marked by [Again], or Tries or Patience are used up.
// It returns the error of the last try without the mark. If ctx would end before
// the next pause does, it returns at once. If ctx ends during a pause, the error
// also wraps the context's.
//
// Before each pause Do calls retrying, if not nil, with the number of the try that
// failed.
func (r Retry) Do(ctx context.Context, try func(n int) error, retrying func(n int, pause time.Duration, err error)) error {
	var (
		n    int
		last error // of the last try
		mark *again
	)
	p := &pauses{ctx: ctx, retry: r, doubling: backoff.ExponentialBackOff{
		InitialInterval:     r.First,
		MaxInterval:         r.Longest,
		Multiplier:          2,
		RandomizationFactor: backoff.DefaultRandomizationFactor,
	}}
	operation := func() (struct{}, error) {
		n++
		mark = nil
		last = try(n)
		if !errors.As(last, &mark) || ctx.Err() != nil {
			mark, last = nil, unmarked(last)
			return struct{}{}, backoff.Permanent(last)
		}
		last, p.asked = unmarked(last), mark.after
		return struct{}{}, last
	}
	notify := func(err error, pause time.Duration) {
		if retrying != nil {
			retrying(n, pause, err)
		}
	}
	_, _ = backoff.Retry(ctx, operation, backoff.WithBackOff(p), backoff.WithNotify(notify),
		backoff.WithMaxTries(uint(max(r.Tries, 0))), backoff.WithMaxElapsedTime(0)) // its error is last, or that of ctx
	if mark != nil && ctx.Err() != nil {
		return &interrupted{last, ctx.Err()}
	}
	return last
}

// interrupted is the error of a request whose context ended before a retry.
type interrupted struct{ last, ended error }

func (e *interrupted) Error() string   { return e.last.Error() + "; " + e.ended.Error() }
func (e *interrupted) Unwrap() []error { return []error{e.last, e.ended} }

// Wait waits for d, or until ctx ends. r.Pause can shorten it, like the pauses
// between tries.
func (r Retry) Wait(ctx context.Context, d time.Duration) error {
	if r.Pause != nil {
		d = r.Pause(d)
	}
	return Wait(ctx, d)
}

// unmarked returns an error without the mark of [Again].
func unmarked(err error) error {
	if mark, ok := err.(*again); ok {
		return mark.error
	}
	return err
}

// pauses are the pauses of one request.
type pauses struct {
	ctx      context.Context
	retry    Retry
	doubling backoff.ExponentialBackOff
	asked    time.Duration // what the server asked for with its last answer
	since    time.Time     // of the first failure
}

func (p *pauses) Reset() { p.doubling.Reset() }

// NextBackOff returns the pause before the next try, or Stop if there should be
// none.
func (p *pauses) NextBackOff() time.Duration {
	now := time.Now()
	if p.since.IsZero() {
		p.since = now
	}
	pause := max(p.doubling.NextBackOff(), spread(min(p.asked, p.retry.Longest)))
	pause = min(pause, p.retry.Longest)
	if p.retry.Pause != nil {
		pause = p.retry.Pause(pause)
	}
	if p.retry.Patience > 0 && now.Sub(p.since) >= p.retry.Patience {
		return backoff.Stop
	}
	if deadline, ok := p.ctx.Deadline(); ok && deadline.Sub(now) < pause {
		return backoff.Stop
	}
	return pause
}

// spread adds up to a quarter, because a server asks all requests that it turns
// away to wait for the same time.
func spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d + rand.N(d/4+1)
}

// RetryAfter reads the header Retry-After, which holds seconds or a date. It returns
// 0 if the header is missing or malformed, or the date is past.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	const most = 24 * time.Hour
	value := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), int(most/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), most)
	}
	return 0
}

// Wait returns after d, or with the context's error as soon as ctx ends.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
