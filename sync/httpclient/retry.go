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

// Retry says how often, and after which pauses, a request that failed is tried
// again. Pauses double from First up to Longest, each half as much more or less
// at random, so that requests that failed together do not return together.
type Retry struct {
	First   time.Duration // the pause after the first try
	Longest time.Duration // bounds each pause, also one that a server asks for
	Tries   int           // at most so many, the first one included; 0: no limit
	// Patience is how long after the first failure a try may still begin; 0: no
	// limit.
	Patience time.Duration
	// Pause, if not nil, is given each pause and returns how long to wait
	// instead. Tests record and shorten pauses with it.
	Pause func(time.Duration) time.Duration
}

// Again marks an error as one that may pass: [Retry.Do] tries once more, not
// before the time that the server asked for (0: it did not ask).
func Again(err error, after time.Duration) error { return &again{err, after} }

type again struct {
	error
	after time.Duration
}

func (e *again) Unwrap() error { return e.error }

// Do calls try, with the number of the try from 1 up, until it succeeds, fails
// with an error that is not marked by [Again], or Tries or Patience are used up.
// It then returns the error of the last try, without the mark. When ctx would
// end before a pause does, that is at once. When ctx ends during a pause, the
// error wraps the context's too.
//
// Before each pause Do calls told, if not nil, with the number of the try that
// failed.
func (r Retry) Do(ctx context.Context, try func(n int) error, told func(n int, pause time.Duration, err error)) error {
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
		if told != nil {
			told(n, pause, err)
		}
	}
	_, _ = backoff.Retry(ctx, operation, backoff.WithBackOff(p), backoff.WithNotify(notify),
		backoff.WithMaxTries(uint(max(r.Tries, 0))), backoff.WithMaxElapsedTime(0)) // its error is last, or that of ctx
	if mark != nil && ctx.Err() != nil {
		return &interrupted{last, ctx.Err()}
	}
	return last
}

// interrupted is a request that failed for the moment when its context ended.
type interrupted struct{ last, ended error }

func (e *interrupted) Error() string   { return e.last.Error() + "; " + e.ended.Error() }
func (e *interrupted) Unwrap() []error { return []error{e.last, e.ended} }

// Wait waits for d, or until ctx ends. Like the pauses between tries it can be
// shortened by r.Pause.
func (r Retry) Wait(ctx context.Context, d time.Duration) error {
	if r.Pause != nil {
		d = r.Pause(d)
	}
	return Wait(ctx, d)
}

// unmarked takes the mark off.
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

// spread adds up to a quarter: a server that turns many requests away asks all
// of them for the same time.
func spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d + rand.N(d/4+1)
}

// RetryAfter reads the header of that name, which holds seconds or a date. It
// returns 0 if there is none, or it cannot be read, or the date is past.
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
