package httpclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

var errBusy = errors.New("busy")

// failing returns a try that fails so often, and asks for a pause each time.
func failing(times int, asked time.Duration) func(int) error {
	return func(n int) error {
		if n <= times {
			return Again(fmt.Errorf("try %d: %w", n, errBusy), asked)
		}
		return nil
	}
}

func TestRetry(t *testing.T) {
	for name, test := range map[string]struct {
		retry   Retry
		fails   int
		asked   time.Duration
		tries   int
		least   time.Duration // that all of it takes
		most    time.Duration
		isError bool
	}{
		"at once":               {Retry{First: time.Second, Longest: time.Minute, Tries: 3}, 0, 0, 1, 0, 0, false},
		"doubling":              {Retry{First: time.Second, Longest: time.Minute, Tries: 4}, 3, 0, 4, 3500 * time.Millisecond, 10500 * time.Millisecond, false},
		"up to the longest":     {Retry{First: time.Second, Longest: time.Second, Tries: 9}, 8, 0, 9, 4 * time.Second, 8 * time.Second, false},
		"tries used up":         {Retry{First: time.Second, Longest: time.Minute, Tries: 2}, 5, 0, 2, 500 * time.Millisecond, 1500 * time.Millisecond, true},
		"patience used up":      {Retry{First: time.Second, Longest: time.Second, Patience: 10 * time.Second}, 99, 0, 0, 10 * time.Second, 11 * time.Second, true},
		"server asks":           {Retry{First: time.Second, Longest: time.Minute, Tries: 2}, 1, 20 * time.Second, 2, 20 * time.Second, 25 * time.Second, false},
		"server asks for less":  {Retry{First: 8 * time.Second, Longest: time.Minute, Tries: 2}, 1, time.Second, 2, 4 * time.Second, 12 * time.Second, false},
		"server asks for hours": {Retry{First: time.Second, Longest: time.Minute, Tries: 2}, 1, time.Hour, 2, time.Minute, time.Minute, false},
		"without pauses":        {Retry{Tries: 6}, 5, time.Hour, 6, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries, told := 0, 0
				try := failing(test.fails, test.asked)
				start := time.Now()
				err := test.retry.Do(t.Context(), func(n int) error {
					tries++
					return try(n)
				}, func(n int, _ time.Duration, err error) {
					if told++; n != told || err.Error() != fmt.Sprintf("try %d: busy", n) {
						t.Errorf("told of try %d: %v", n, err)
					}
				})
				took := time.Since(start)
				if (err != nil) != test.isError || err != nil && !errors.Is(err, errBusy) {
					t.Errorf("error %v", err)
				}
				if test.tries != 0 && tries != test.tries || told != tries-1 {
					t.Errorf("%d tries, want %d; told of %d", tries, test.tries, told)
				}
				if took < test.least || took > test.most {
					t.Errorf("took %v, want from %v to %v", took, test.least, test.most)
				}
			})
		})
	}
}

func TestRetryEnds(t *testing.T) {
	patient := Retry{First: time.Second, Longest: time.Minute, Tries: 9}
	t.Run("an error without a mark is final and the same value", func(t *testing.T) {
		tries := 0
		err := patient.Do(t.Context(), func(int) error { tries++; return errBusy }, nil)
		if err != errBusy || tries != 1 {
			t.Errorf("%v after %d tries", err, tries)
		}
	})
	t.Run("the last error has lost its mark", func(t *testing.T) {
		if err := (Retry{Tries: 2}).Do(t.Context(), func(int) error { return Again(errBusy, 0) }, nil); err != errBusy {
			t.Errorf("%#v", err)
		}
	})
	t.Run("the context ends in a pause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
			start := time.Now()
			err := patient.Do(ctx, func(int) error { return Again(errBusy, 0) }, nil)
			if !errors.Is(err, context.Canceled) || !errors.Is(err, errBusy) || time.Since(start) != 100*time.Millisecond {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
	})
	t.Run("the context ends in a try", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := patient.Do(ctx, func(int) error { cancel(); return Again(errBusy, 0) }, nil)
		if err != errBusy {
			t.Errorf("%v, want what the try says", err)
		}
	})
	t.Run("the context would end in the pause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			start := time.Now()
			err := patient.Do(ctx, func(int) error { return Again(errBusy, 11*time.Second) }, nil)
			if err != errBusy || time.Since(start) != 0 {
				t.Errorf("%v after %v, want the failure at once", err, time.Since(start))
			}
		})
	})
	t.Run("pauses can be replaced", func(t *testing.T) {
		var asked []time.Duration
		r := patient
		r.Pause = func(d time.Duration) time.Duration { asked = append(asked, d); return 0 }
		if err := r.Do(t.Context(), failing(2, time.Minute), nil); err != nil || len(asked) != 2 || asked[1] != time.Minute {
			t.Errorf("%v, pauses %v", err, asked)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-1": 0, "0": 0, " 3 ": 3 * time.Second, "99999999999": 24 * time.Hour,
		"Mon, 04 May 2026 03:02:11 GMT": 10 * time.Second,
		"Mon, 02 Jan 2006 15:04:05 GMT": 0,
		"Fri, 31 Dec 9999 23:59:59 GMT": 24 * time.Hour,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q is read as %v, want %v", value, got, want)
		}
	}
	if got := RetryAfter(nil, now); got != 0 {
		t.Errorf("no header is read as %v", got)
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := Wait(t.Context(), time.Hour); err != nil || time.Since(start) != time.Hour {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start = time.Now()
		if err := Wait(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
