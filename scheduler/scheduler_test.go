package scheduler_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"

	"cwvault/scheduler"
)

// clock is a clock on the wall in a synctest bubble. Setting it is what a user
// does to it, and also what a sleeping machine does: timers know nothing of
// either.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func newClock(now time.Time) *clock { return &clock{offset: time.Until(now)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// set moves the clock, and only the clock.
func (c *clock) set(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += by
}

// service is a scheduler at work in a synctest bubble.
type service struct {
	*scheduler.Scheduler
	clock *clock
	stop  func() // cancels Run and waits for it
	done  chan error

	mu    sync.Mutex
	log   bytes.Buffer
	runs  []scheduler.Run // as the job saw them
	now   int             // runs going on
	atall int             // the most of them at the same time
}

func (s *service) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *service) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// seen returns the runs so far.
func (s *service) seen() []scheduler.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.runs)
}

// triggers returns those of the runs so far, each with the time since start.
func (s *service) triggers(start time.Time) []string {
	var triggers []string
	for _, run := range s.seen() {
		triggers = append(triggers, fmt.Sprintf("%s %v", run.Trigger, run.Start.Sub(start).Round(time.Second)))
	}
	return triggers
}

var newYear = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// serve starts a scheduler at the given time. It must be called in a bubble,
// which fails the test if a goroutine is left behind.
func serve(t *testing.T, now time.Time, job func(context.Context) error, opt scheduler.Options) *service {
	t.Helper()
	s := &service{clock: newClock(now), done: make(chan error, 1)}
	opt.Clock = s.clock
	opt.Logger = hclog.New(&hclog.LoggerOptions{Output: s, Level: hclog.Trace, DisableTime: true})
	s.Scheduler = scheduler.New(func(ctx context.Context) error {
		s.mu.Lock()
		s.runs = append(s.runs, scheduler.Run{Trigger: scheduler.TriggerFrom(ctx), Start: s.clock.Now().Round(0)})
		s.now++
		s.atall = max(s.atall, s.now)
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			s.now--
			s.mu.Unlock()
		}()
		return job(ctx)
	}, opt)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { s.done <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-s.done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if s.atall > 1 {
			t.Errorf("%d runs at once", s.atall)
		}
	})
	synctest.Wait()
	return s
}

// advance lets the machine work for d.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func nothing(context.Context) error { return nil }

// takes returns a job that works for d without looking at its context.
func takes(d time.Duration) func(context.Context) error {
	return func(context.Context) error { time.Sleep(d); return nil }
}

func every(t *testing.T, expr string) scheduler.Schedule { return parse(t, expr, time.UTC) }

func expect(t *testing.T, s *service, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, s.triggers(newYear), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("runs (-want +got):\n%s\nlog:\n%s", diff, s.logged())
	}
}

// TestWeeks serves a week around each change of the clock, with the machine
// asleep for two of them, and compares with what watching a clock says is due.
func TestWeeks(t *testing.T) {
	weeks := []struct {
		zone    string
		changes []string
	}{
		{"UTC", []string{"2025-03-30"}},
		{"Europe/Berlin", []string{"2025-03-30", "2025-10-26"}},
		{"America/New_York", []string{"2025-03-09", "2025-11-02"}},
		{"Australia/Lord_Howe", []string{"2025-04-06", "2025-10-05"}},
		{"Africa/Cairo", []string{"2025-04-25", "2025-10-31"}},
		{"America/Sao_Paulo", []string{"2018-02-18", "2018-11-04"}},
		{"Pacific/Apia", []string{"2011-12-31", "2012-04-01"}},
		{"Antarctica/Troll", []string{"2025-03-30", "2025-10-26"}},
	}
	for _, week := range weeks {
		for _, change := range week.changes {
			for _, f := range []fields{
				{minutes: []int{0, 30}},
				{minutes: []int{30}, hours: []int{0, 2}},
				{minutes: []int{45}, hours: []int{1, 23}},
				{minutes: []int{30}, hours: []int{6}, weekdays: []int{5}},
			} {
				t.Run(fmt.Sprint(week.zone, " ", change, " ", f), func(t *testing.T) {
					t.Parallel()
					loc := zone(t, week.zone)
					middle, err := time.ParseInLocation(time.DateOnly, change, loc)
					if err != nil {
						t.Fatal(err)
					}
					start, end := middle.Add(-3*day), middle.Add(4*day)
					asleep, awake := middle.Add(1*day), middle.Add(3*day)

					due, changes := f.due(t, loc, start, end)
					if loc.String() != "UTC" && changes != 1 {
						t.Fatalf("the clock changes %d times in this week, want 1", changes)
					}
					var want []time.Time
					missed := 0
					for _, at := range due {
						if at.After(asleep) && !at.After(awake) {
							missed++
						} else {
							want = append(want, at)
						}
					}
					if missed > 0 {
						want = append(want, awake)
						slices.SortFunc(want, time.Time.Compare)
					}

					synctest.Test(t, func(t *testing.T) {
						s := serve(t, start, takes(2*time.Minute), scheduler.Options{Schedule: parse(t, f.String(), loc)})
						defer s.stop()
						advance(asleep.Sub(start) + 5*time.Minute)
						s.clock.set(awake.Sub(asleep) - 5*time.Minute)
						advance(end.Sub(awake))

						var got []time.Time
						for _, run := range s.seen() {
							got = append(got, run.Start)
							if late := run.Start.Sub(awake); (run.Trigger == scheduler.OnCatchUp) != (missed > 0 && late >= 0 && late <= time.Minute) {
								t.Errorf("run at %v was told %q", run.Start.In(loc), run.Trigger)
							}
						}
						if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(time.Minute)); diff != "" {
							t.Errorf("runs (-want +got):\n%s", diff)
						}
						if status := s.Status(); status.Missed != missed {
							t.Errorf("Missed = %d, want %d", status.Missed, missed)
						}
					})
				})
			}
		}
	}
}

const day = 24 * time.Hour

func TestStartAndCatchUp(t *testing.T) {
	for name, test := range map[string]struct {
		expr    string
		onStart bool
		lastRun time.Duration // before the start; zero if unknown
		want    []string      // in the first hour
		missed  int
	}{
		"nothing known":                  {expr: "@every 30m", want: []string{"schedule 30m0s", "schedule 1h0m0s"}},
		"run on start":                   {expr: "@every 30m", onStart: true, want: []string{"start 0s", "schedule 30m0s", "schedule 1h0m0s"}},
		"interval goes on":               {expr: "@every 30m", lastRun: 20 * time.Minute, want: []string{"schedule 10m0s", "schedule 40m0s"}},
		"interval goes on, run on start": {expr: "@every 30m", onStart: true, lastRun: 20 * time.Minute, want: []string{"start 0s", "schedule 10m0s", "schedule 40m0s"}},
		"missed an interval":             {expr: "@every 40m", lastRun: time.Hour, want: []string{"catch-up 0s", "schedule 40m0s"}, missed: 1},
		"missed many":                    {expr: "@every 40m", lastRun: 30 * day, want: []string{"catch-up 0s", "schedule 40m0s"}, missed: 1000},
		"missed, run on start":           {expr: "@every 40m", onStart: true, lastRun: 3 * time.Hour, want: []string{"start 0s", "schedule 40m0s"}, missed: 4},
		"just in time":                   {expr: "@every 30m", lastRun: 30*time.Minute + 20*time.Second, want: []string{"schedule 0s", "schedule 29m40s", "schedule 59m40s"}},
		"daily, not missed":              {expr: "30 0 * * *", lastRun: 23*time.Hour + 30*time.Minute, want: []string{"schedule 30m0s"}},
		"daily, missed":                  {expr: "30 0 * * *", lastRun: 25 * time.Hour, want: []string{"catch-up 0s", "schedule 30m0s"}, missed: 1},
		"a little in the future":         {expr: "@every 30m", lastRun: -10 * time.Minute, want: []string{"schedule 40m0s"}},
		"in the future":                  {expr: "30 * * * *", lastRun: -365 * day, want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opt := scheduler.Options{Schedule: every(t, test.expr), RunOnStart: test.onStart}
				if test.lastRun != 0 {
					opt.LastRun = newYear.Add(-test.lastRun)
				}
				s := serve(t, newYear, nothing, opt)
				defer s.stop()
				advance(time.Hour)
				expect(t, s, test.want...)
				if missed := s.Status().Missed; missed != test.missed {
					t.Errorf("Missed = %d, want %d", missed, test.missed)
				}
			})
		})
	}
}

func TestSleepDuringARunIsCaughtUpAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newYear, takes(10*time.Minute), scheduler.Options{Schedule: every(t, "0 * * * *")})
		defer s.stop()
		advance(65 * time.Minute)
		s.clock.set(48 * time.Hour)
		advance(time.Hour)
		expect(t, s, "schedule 1h0m0s", "catch-up 49h10m0s", "schedule 50h0m0s")
	})
}

func TestClockSetForwardByDecades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, time.Unix(0, 0), nothing, scheduler.Options{Schedule: every(t, "* * * * *")})
		defer s.stop()
		advance(10 * time.Second)
		s.clock.set(newYear.Sub(time.Unix(0, 0)))
		advance(2*time.Minute + 30*time.Second)
		expect(t, s, "catch-up 1m0s", "schedule 2m0s")
		if status := s.Status(); status.Missed != 1000 {
			t.Errorf("Missed = %d, want 1000", status.Missed)
		}
	})
}

func TestClockSetBack(t *testing.T) {
	for name, test := range map[string]struct {
		expr string
		back time.Duration // after 24 hours and 10 minutes
		want []string      // until the clock shows that again or for two hours, and for 25 hours more
	}{
		// The times that come again within the hour are not run again.
		"daily, a minute":  {"0 0 * * *", 11 * time.Minute, []string{"schedule 24h0m0s", "schedule 48h0m0s"}},
		"daily, an hour":   {"0 0 * * *", time.Hour, []string{"schedule 24h0m0s", "schedule 48h0m0s"}},
		"daily, two hours": {"0 0 * * *", 2 * time.Hour, []string{"schedule 24h0m0s", "schedule 24h0m0s", "schedule 48h0m0s"}},
		"daily, a year":    {"0 9 * * *", 365 * day, []string{"schedule 9h0m0s", "schedule -8727h0m0s"}},
		"interval, a year": {"@every 12h", 365 * day, []string{"schedule 12h0m0s", "schedule 24h0m0s",
			"schedule -8722h49m0s", "schedule -8710h49m0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, newYear, nothing, scheduler.Options{Schedule: every(t, test.expr)})
				defer s.stop()
				advance(24*time.Hour + 10*time.Minute)
				s.clock.set(-test.back)
				advance(min(test.back, 2*time.Hour) + 25*time.Hour)
				expect(t, s, test.want...)
			})
		})
	}
	for _, back := range []time.Duration{time.Millisecond, time.Second, time.Minute, 30 * time.Minute, 5 * time.Hour, 3 * day} {
		t.Run(fmt.Sprint("dense, ", back), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, newYear, nothing, scheduler.Options{Schedule: every(t, "*/5 * * * *")})
				defer s.stop()
				advance(10*time.Minute + time.Millisecond/2)
				s.clock.set(-back)
				before := len(s.seen())
				advance(time.Hour)
				if got := len(s.seen()) - before; before != 2 || got < 11 || got > 12 {
					t.Errorf("%d runs before the clock was set back and %d in the hour after it, want 2 and 11 or 12", before, got)
				}
			})
		})
	}
}

func TestOverrunSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newYear, takes(3*time.Minute+30*time.Second), scheduler.Options{Schedule: every(t, "* * * * *")})
		defer s.stop()
		advance(9*time.Minute + 10*time.Second)
		expect(t, s, "schedule 1m0s", "schedule 5m0s", "schedule 9m0s")
		if got := strings.Count(s.logged(), "skipping"); got != 2 {
			t.Errorf("skipping was logged %d times, want once in each of 2 runs:\n%s", got, s.logged())
		}
		if missed := s.Status().Missed; missed != 6 {
			t.Errorf("Missed = %d, want 6", missed)
		}
	})
}

func TestFailureAndPanicAreFailedRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := serve(t, newYear, func(context.Context) error {
			switch n++; n {
			case 1:
				return nil
			case 2:
				return errors.New("server on fire")
			case 3:
				panic("index out of luck")
			case 4:
				panic(fmt.Errorf("wrapped: %w", context.Canceled))
			case 5:
				runtime.Goexit()
			}
			return nil
		}, scheduler.Options{Schedule: every(t, "@every 1h")})
		defer s.stop()
		for i, want := range []string{"", "server on fire", "panic: index out of luck", "panic: wrapped: context canceled", "without returning", ""} {
			advance(time.Hour)
			status := s.Status()
			if got := fmt.Sprint(status.Last.Err); want != "" && !strings.Contains(got, want) || want == "" && status.Last.Err != nil {
				t.Errorf("run %d: error %q, want %q", i+1, got, want)
			}
			now := newYear.Add(time.Duration(i+1) * time.Hour)
			success := newYear.Add(time.Hour)
			if i == 5 {
				success = now
			}
			if !status.Last.End.Equal(now) || !status.LastSuccess.Equal(success) || !status.Next.Equal(now.Add(time.Hour)) {
				t.Errorf("run %d: status %+v", i+1, status)
			}
		}
		if log := s.logged(); strings.Count(log, "the run panicked") != 2 || !strings.Contains(log, "TestFailureAndPanicAreFailedRuns") {
			t.Errorf("no stack of both panics in the log:\n%s", log)
		}
	})
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval = 10 * time.Minute
		s := serve(t, newYear, nothing, scheduler.Options{Schedule: every(t, "*/10 * * * *"), Jitter: time.Hour})
		defer s.stop()
		advance(2*day + interval)
		delays := map[time.Duration]bool{}
		for i, run := range s.seen() {
			tick := newYear.Add(time.Duration(i+1) * interval)
			delay := run.Start.Sub(tick)
			if run.Trigger != scheduler.OnSchedule || delay < 0 || delay >= interval {
				t.Fatalf("run %d: %s, %v after %v", i, run.Trigger, delay, tick)
			}
			delays[delay] = true
		}
		if len(s.seen()) < 288 || len(delays) < 280 {
			t.Errorf("%d runs with %d different delays, want at least 288 and 280", len(s.seen()), len(delays))
		}
		if missed := s.Status().Missed; missed != 0 {
			t.Errorf("Missed = %d, want 0", missed)
		}
	})
}

func TestReschedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newYear, takes(10*time.Minute), scheduler.Options{Schedule: every(t, "@daily"), RunOnStart: true})
		advance(5 * time.Minute)
		s.Reschedule(every(t, "@hourly"), 0)
		if next := s.Status().Next; !next.Equal(newYear.Add(time.Hour)) {
			t.Errorf("Next = %v", next)
		}
		advance(2 * time.Hour)
		expect(t, s, "start 0s", "schedule 1h0m0s", "schedule 2h0m0s")
		advance(15 * time.Minute)
		s.Reschedule(every(t, "@every 10s"), 0) // the loop sleeps for longer than that
		advance(10 * time.Second)
		expect(t, s, "start 0s", "schedule 1h0m0s", "schedule 2h0m0s", "schedule 2h20m10s")
		s.stop()
		s.Reschedule(every(t, "@daily"), 0)
		if next := s.Status().Next; !next.IsZero() {
			t.Errorf("Next = %v after the end", next)
		}
	})
}

// once is a schedule that ends.
type once time.Time

func (o once) Next(t time.Time) time.Time {
	if t.Before(time.Time(o)) {
		return time.Time(o)
	}
	return time.Time{}
}

func TestScheduleThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newYear, nothing, scheduler.Options{Schedule: once(newYear.Add(time.Hour)), Jitter: time.Nanosecond})
		defer s.stop()
		advance(2 * time.Hour)
		s.Trigger("manual")
		advance(2 * time.Hour)
		expect(t, s, "schedule 1h0m0s", "manual 2h0m0s")
		if next := s.Status().Next; !next.IsZero() {
			t.Errorf("Next = %v, want none", next)
		}
	})
}

func TestIdleIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newYear, nothing, scheduler.Options{Schedule: every(t, "0 23 * * *")})
		defer s.stop()
		advance(22 * time.Hour)
		if log := s.logged(); log != "" {
			t.Errorf("logged while nothing happened:\n%s", log)
		}
		advance(2 * time.Hour)
		if lines := strings.Count(s.logged(), "\n"); lines != 2 {
			t.Errorf("a run is worth 2 lines:\n%s", s.logged())
		}
	})
}

// TestAnythingHappens has users, clocks and slow runs at their worst.
func TestAnythingHappens(t *testing.T) {
	type event struct {
		kind string
		d    time.Duration
	}
	seconds := func(least, most int) *rapid.Generator[time.Duration] {
		return rapid.Custom(func(rt *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(rt, "seconds")) * time.Second
		})
	}
	var sawOverrun, sawCatchUp bool
	rapid.Check(t, func(rt *rapid.T) {
		interval := rapid.SampledFrom([]time.Duration{time.Minute, 30 * time.Minute, time.Hour}).Draw(rt, "interval")
		jitter := seconds(0, 600).Draw(rt, "jitter")
		took := rapid.SliceOfN(seconds(0, 5400), 1, 5).Draw(rt, "took")
		events := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) event {
			kind := rapid.SampledFrom([]string{"work", "work", "request", "sleep", "set back"}).Draw(rt, "kind")
			return event{kind, seconds(1, 6*3600).Draw(rt, "for")}
		}), 1, 30).Draw(rt, "events")

		var problems []string
		synctest.Test(t, func(t *testing.T) {
			n := 0
			s := serve(t, newYear, func(context.Context) error {
				n++
				time.Sleep(took[n%len(took)])
				return nil
			}, scheduler.Options{Schedule: every(t, "@every "+interval.String()), Jitter: jitter})
			var worked time.Duration
			var answers []<-chan error
			sleeps := 0
			for _, e := range events {
				switch e.kind {
				case "work":
					before, last := len(s.seen()), s.Status()
					advance(e.d)
					worked += e.d
					// Not a long silence: a run comes after the present one,
					// a time taken as done, and the next one with its jitter.
					if silence := 4*interval + 90*time.Minute; e.d > silence && len(s.seen()) == before {
						problems = append(problems, fmt.Sprintf("no run in %v; before it: %+v", e.d, last))
					}
				case "request":
					answers = append(answers, s.Trigger("manual"))
				case "sleep":
					s.clock.set(e.d)
					sleeps++
				case "set back":
					s.clock.set(-e.d)
				}
			}
			advance(4 * time.Hour)
			worked += 4 * time.Hour
			for i, answer := range answers {
				if len(answer) != 1 {
					problems = append(problems, fmt.Sprintf("request %d has no answer", i))
				}
			}
			// Not a storm.
			if most := int(worked/interval) + 2*sleeps + len(answers) + len(events) + 1; len(s.seen()) > most {
				problems = append(problems, fmt.Sprintf("%d runs, want at most %d", len(s.seen()), most))
			}
			for _, run := range s.seen() {
				sawCatchUp = sawCatchUp || run.Trigger == scheduler.OnCatchUp
			}
			sawOverrun = sawOverrun || strings.Contains(s.logged(), "skipping")
			s.stop()
		})
		if problems != nil {
			rt.Fatal(strings.Join(problems, "\n"))
		}
	})
	if !sawOverrun || !sawCatchUp {
		t.Errorf("overrun seen: %t, catch-up seen: %t; want both", sawOverrun, sawCatchUp)
	}
}

// TestSystemClock is the one test that takes real time.
func TestSystemClock(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	runs := make(chan string, 2)
	s := scheduler.New(func(ctx context.Context) error {
		select {
		case runs <- scheduler.TriggerFrom(ctx):
		default:
		}
		return nil
	}, scheduler.Options{Schedule: every(t, "@every 1s"), RunOnStart: true})
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if first, second := <-runs, <-runs; first != scheduler.OnStart || second != scheduler.OnSchedule {
		t.Errorf("runs %q, %q", first, second)
	}
	var requests sync.WaitGroup
	for range 100 {
		requests.Go(func() {
			if err := <-s.Trigger("manual"); err != nil {
				t.Error(err)
			}
			if s.Status().LastSuccess.IsZero() {
				t.Error("answered before the status was")
			}
		})
	}
	requests.Wait()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	// The monotonic clock stands still while a machine sleeps.
	if start := s.Status().Last.Start.String(); strings.Contains(start, "m=") {
		t.Errorf("time is not taken from the clock on the wall: %s", start)
	}
	for range 2000 { // what is left ends by itself, but a busy machine takes its time
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}
