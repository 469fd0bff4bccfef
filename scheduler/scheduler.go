package scheduler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// maxSleep is how often the scheduler reads the clock, at least. Timers stop
	// while a machine sleeps and do not notice that somebody sets the clock.
	maxSleep = time.Minute
	// grace is how late a run may start without counting as a catch-up.
	grace = time.Minute
	// maxCount limits the count of missed times. A machine without a clock of its
	// own starts in 1970.
	maxCount = 1000
)

// The triggers of a run, besides the reasons given to [Scheduler.Trigger].
const (
	OnSchedule = "schedule"
	OnStart    = "start"
	OnCatchUp  = "catch-up"
)

var (
	// ErrStopped is the result of a request whose run will not start.
	ErrStopped = errors.New("the scheduler has stopped")

	errStarted  = errors.New("the scheduler was started before")
	errNoReturn = errors.New("the run ended without returning")
)

// A Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	// After is [time.After]: d counts only while the machine is awake.
	After(d time.Duration) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Options say when a [Scheduler] runs its job.
type Options struct {
	Schedule   Schedule
	RunOnStart bool
	// Jitter delays each scheduled run by a random time below it, but never until
	// the next one. It spreads the load of many installations.
	Jitter time.Duration
	// Clock is the system's if nil.
	Clock Clock
	// Logger may be nil. It gets the start and end of runs as info and failed runs
	// as errors, and nothing in between.
	Logger hclog.Logger
	// LastRun is when the last run before this process began; zero if unknown. If
	// a run was due since then, one run catches up.
	LastRun time.Time
}

// A Run is one call of the job.
type Run struct {
	// Trigger is OnSchedule, OnStart, OnCatchUp or a reason given to
	// [Scheduler.Trigger].
	Trigger string
	// Start and End are zero until they happen.
	Start, End time.Time
	Err        error
}

// Status says what a [Scheduler] is doing and what it has done.
type Status struct {
	// Running is the current run; zero if there is none.
	Running Run
	// Waiting is the trigger of the run that waits, or empty.
	Waiting string
	// Last is the last run that has ended.
	Last Run
	// LastSuccess is when the last run without an error ended.
	LastSuccess time.Time
	// Next is when the next scheduled run starts, jitter included.
	Next time.Time
	// Missed counts the scheduled times at which no run could start because the
	// machine slept, the service was down or an earlier scheduled run was still in
	// progress. One absence counts for at most 1000.
	Missed int
}

// A request is a run that waits. Many callers may wait for it.
type request struct {
	trigger   string
	scheduled bool
	answers   []chan<- error
}

// A Scheduler runs a job when it is due or requested, one run at a time.
type Scheduler struct {
	job        func(context.Context) error
	clock      Clock
	log        hclog.Logger
	runOnStart bool
	lastRun    time.Time
	wake       chan struct{} // wakes the loop after a change

	mu               sync.Mutex
	schedule         Schedule
	jitter           time.Duration
	started, stopped bool
	tick             time.Time // the next scheduled time; zero if there is none
	due              time.Time // tick with its jitter
	current, waiting *request
	overran          bool // the current run, and the log has said so
	status           Status
}

// New returns a scheduler for job. The context of a run is cancelled when the scheduler
// stops, and it carries the trigger; see [TriggerFrom]. Each call of job must end by
// itself.
func New(job func(context.Context) error, opt Options) *Scheduler {
	s := &Scheduler{
		job:        job,
		clock:      opt.Clock,
		log:        opt.Logger,
		runOnStart: opt.RunOnStart,
		lastRun:    opt.LastRun,
		wake:       make(chan struct{}, 1),
		schedule:   opt.Schedule,
		jitter:     opt.Jitter,
	}
	if s.clock == nil {
		s.clock = systemClock{}
	}
	if s.log == nil {
		s.log = hclog.NewNullLogger()
	}
	return s
}

type triggerKey struct{}

// TriggerFrom returns the trigger of the run with this context, or "".
func TriggerFrom(ctx context.Context) string {
	trigger, _ := ctx.Value(triggerKey{}).(string)
	return trigger
}

// Run runs the job when it is due, until ctx is done and the current run has returned.
// Then it returns nil. It fails only if it was called before.
func (s *Scheduler) Run(ctx context.Context) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.stop()
	var ended <-chan error // of the current run
	for ctx.Err() == nil {
		sleep := s.plan()
		if ended == nil {
			ended = s.start(ctx)
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-s.clock.After(sleep):
		case err := <-ended:
			s.finish(ctx, err)
			ended = nil
		}
	}
	if ended != nil {
		s.finish(ctx, <-ended)
	}
	return nil
}

// Trigger requests a run that begins after this call. A run that waits already serves
// this request too. The channel gets the error of the run, or [ErrStopped]; the caller
// need not read it. Before [Scheduler.Run] is called, requests wait for it.
//
// The run's trigger is the reason of the first request, or the scheduler's own if the
// run is also due by schedule.
func (s *Scheduler) Trigger(reason string) <-chan error {
	answer := make(chan error, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		answer <- ErrStopped
		return answer
	}
	if s.waiting == nil {
		s.waiting = &request{trigger: reason}
	}
	s.waiting.answers = append(s.waiting.answers, answer)
	s.nudge()
	return answer
}

// Reschedule replaces schedule and jitter. It does not affect the current run. Call it
// only if they differ, because an interval begins anew.
func (s *Scheduler) Reschedule(schedule Schedule, jitter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schedule, s.jitter = schedule, jitter
	if s.started && !s.stopped {
		s.setTick(schedule.Next(s.now()))
		s.nudge()
	}
}

// Status returns the current status.
func (s *Scheduler) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.Next = s.due
	if s.waiting != nil {
		status.Waiting = s.waiting.trigger
	}
	return status
}

func (s *Scheduler) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return errStarted
	}
	s.started = true
	since := s.lastRun
	if since.IsZero() {
		since = s.now()
	}
	s.setTick(s.schedule.Next(since))
	if s.runOnStart {
		s.enqueue(OnStart)
	}
	return nil
}

func (s *Scheduler) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.tick, s.due = time.Time{}, time.Time{}
	if s.waiting != nil {
		for _, answer := range s.waiting.answers {
			answer <- ErrStopped
		}
		s.waiting = nil
	}
}

// plan queues a run that is due and returns how long the loop may sleep.
func (s *Scheduler) plan() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if limit := s.latestTick(now); !limit.IsZero() && s.tick.After(limit) {
		s.log.Warn("the clock was set back", "now", now, "next", limit)
		s.setTick(limit)
	}
	if s.due.IsZero() {
		return maxSleep
	}
	if !now.Before(s.due) {
		s.fall(now)
	}
	if s.due.IsZero() {
		return maxSleep
	}
	return min(s.due.Sub(now), maxSleep)
}

// latestTick returns the latest possible next time, unless the clock was set back. If it
// was not, the next time is the first one after a time that has passed. After a small
// step back, the repeated times must not run again. After a large one, waiting until all
// of them have passed would take too long.
func (s *Scheduler) latestTick(now time.Time) time.Time {
	again := s.schedule.Next(now)
	if hour := now.Add(time.Hour); again.IsZero() || hour.Before(again) {
		again = hour
	}
	return s.schedule.Next(again)
}

// fall handles a scheduled time that has come.
func (s *Scheduler) fall(now time.Time) {
	late := now.Sub(s.due) > grace
	next, passed := s.schedule.Next(s.tick), 0
	for !next.IsZero() && !next.After(now) && passed < maxCount-1 {
		next, passed = s.schedule.Next(next), passed+1
	}
	// An interval keeps its pace while runs are on time, and begins anew if they
	// are late. For other schedules it makes no difference.
	if late || passed > 0 {
		next = s.schedule.Next(now)
	}

	switch {
	case s.current != nil && s.current.scheduled && !late:
		s.status.Missed += 1 + passed
		if !s.overran {
			s.overran = true
			s.log.Warn("the run takes longer than the schedule allows; skipping scheduled runs until it ends",
				"trigger", s.current.trigger, "started", s.status.Running.Start)
		}
	case late || passed > 0:
		s.status.Missed += 1 + passed
		s.log.Warn("runs were missed; one run catches up", "since", s.due, "missed", 1+passed)
		s.enqueue(OnCatchUp)
	default:
		s.enqueue(OnSchedule)
	}
	s.setTick(next)
}

// enqueue queues a scheduled run. It also serves requests that wait: a scheduled run
// does at least as much as a requested one.
func (s *Scheduler) enqueue(trigger string) {
	if s.waiting == nil {
		s.waiting = &request{}
	}
	if !s.waiting.scheduled {
		s.waiting.trigger, s.waiting.scheduled = trigger, true
	}
}

func (s *Scheduler) setTick(tick time.Time) {
	s.tick, s.due = tick, tick
	if tick.IsZero() {
		return
	}
	jitter := s.jitter
	if following := s.schedule.Next(tick); !following.IsZero() {
		jitter = min(jitter, following.Sub(tick))
	}
	if jitter > 0 {
		s.due = tick.Add(rand.N(jitter))
	}
}

// start begins the run that waits, if any, and returns the channel for its result.
func (s *Scheduler) start(ctx context.Context) <-chan error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		return nil
	}
	s.current, s.waiting, s.overran = s.waiting, nil, false
	s.status.Running = Run{Trigger: s.current.trigger, Start: s.now()}
	s.log.Info("run started", "trigger", s.current.trigger)

	ctx = context.WithValue(ctx, triggerKey{}, s.current.trigger)
	ended := make(chan error, 1)
	go func() {
		err := errNoReturn
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v", v)
				s.log.Error("the run panicked", "stack", string(debug.Stack()))
			}
			ended <- err
		}()
		err = s.job(ctx)
	}()
	return ended
}

// finish records the end of the current run and answers its requests.
func (s *Scheduler) finish(ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run := s.status.Running
	run.End, run.Err = s.now(), err
	s.status.Running, s.status.Last = Run{}, run
	took := run.End.Sub(run.Start).Round(time.Millisecond)
	switch {
	case err == nil:
		s.status.LastSuccess = run.End
		s.log.Info("run ended", "trigger", run.Trigger, "took", took)
	case ctx.Err() != nil:
		s.log.Info("run stopped", "trigger", run.Trigger, "took", took, "error", err)
	default:
		s.log.Error("run failed", "trigger", run.Trigger, "took", took, "error", err)
	}
	for _, answer := range s.current.answers {
		answer <- err
	}
	s.current = nil
}

// nudge wakes the loop.
func (s *Scheduler) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// now returns the wall clock without the monotonic clock, which stops while the machine
// sleeps and does not notice that somebody sets the clock.
func (s *Scheduler) now() time.Time { return s.clock.Now().Round(0) }
