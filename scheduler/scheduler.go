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
	// maxSleep is the longest time between two looks at the clock. Timers
	// stand still while a machine sleeps and do not know of a clock being set.
	maxSleep = time.Minute
	// grace is how late a run may start without being one that catches up.
	grace = time.Minute
	// maxCount bounds the counting of missed times. A machine without a clock
	// of its own wakes up in 1970.
	maxCount = 1000
)

// What starts a run, besides the reasons given to [Scheduler.Trigger].
const (
	OnSchedule = "schedule"
	OnStart    = "start"
	OnCatchUp  = "catch-up"
)

var (
	// ErrStopped answers those who wait for a run that will not come.
	ErrStopped = errors.New("the scheduler has stopped")

	errStarted  = errors.New("the scheduler was started before")
	errNoReturn = errors.New("the run ended without returning")
)

// A Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	// After is [time.After]: d is the time that the machine is awake.
	After(d time.Duration) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Options say when a [Scheduler] runs its job.
type Options struct {
	Schedule   Schedule
	RunOnStart bool
	// Jitter delays each scheduled run by a random time below it, and never
	// as far as the next one. It spreads the load of many installations.
	Jitter time.Duration
	// Clock is the system's if nil.
	Clock Clock
	// Logger may be nil. The start and end of runs are logged as info, failed
	// runs as errors; nothing is logged while nothing happens.
	Logger hclog.Logger
	// LastRun is when the last run before this process began; zero if
	// unknown. A time due since then is caught up.
	LastRun time.Time
}

// A Run is one call of the job.
type Run struct {
	// Trigger is OnSchedule, OnStart, OnCatchUp or a reason given to
	// [Scheduler.Trigger].
	Trigger string
	// Start and End are zero where they have not come yet.
	Start, End time.Time
	Err        error
}

// Status is what a [Scheduler] is doing and has done since it was made.
type Status struct {
	// Running is the run under way, and zero if there is none.
	Running Run
	// Waiting is the trigger of the run that comes directly after it, or empty.
	Waiting string
	// Last is the last run that has ended.
	Last Run
	// LastSuccess is when the last run without an error ended.
	LastSuccess time.Time
	// Next is when the next scheduled run starts, jitter included.
	Next time.Time
	// Missed counts the scheduled times at which no run could start because
	// the machine slept, the service was down or an earlier scheduled run was
	// still going. No more than 1000 are counted for one absence.
	Missed int
}

// A request is a run that waits. One run may have been asked for many times.
type request struct {
	trigger   string
	scheduled bool
	answers   []chan<- error
}

// A Scheduler runs a job when it is due or asked for, and one run at a time.
type Scheduler struct {
	job        func(context.Context) error
	clock      Clock
	log        hclog.Logger
	runOnStart bool
	lastRun    time.Time
	wake       chan struct{} // something has changed that the loop must look at

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

// New returns a scheduler for job. A run is given a context that is cancelled
// when the scheduler is to stop, and that tells the trigger, see [TriggerFrom].
// Each call of job must end by itself.
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

// TriggerFrom returns the trigger of the run that was given ctx, or "".
func TriggerFrom(ctx context.Context) string {
	trigger, _ := ctx.Value(triggerKey{}).(string)
	return trigger
}

// Run runs the job when it is due, until ctx is done and the run under way has
// returned. It returns nil then, and an error only if it was called before.
func (s *Scheduler) Run(ctx context.Context) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.stop()
	var ended <-chan error // of the run under way
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

// Trigger asks for a run that begins after this call. If one waits already, it
// is that one. The answer is what the run returns, or [ErrStopped]; it need not
// be read. Before [Scheduler.Run] is called, requests wait for it.
//
// The run's trigger is the reason of the first who asked, or the scheduler's own
// if it is also due by schedule.
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

// Reschedule puts another schedule and jitter in place, without disturbing the
// run under way. Call it only when they differ: an interval begins anew.
func (s *Scheduler) Reschedule(schedule Schedule, jitter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schedule, s.jitter = schedule, jitter
	if s.started && !s.stopped {
		s.setTick(schedule.Next(s.now()))
		s.nudge()
	}
}

// Status returns a copy.
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

// plan puts a run that is due in the queue, and returns when to look again.
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

// latestTick returns the latest time that can be the next one, unless the clock
// was set back. As long as it was not, the next one is the first after a time
// that has passed. After a small step back, the times that come again are not
// to be run again; after a large one, waiting for all of them to pass would be
// a long silence.
func (s *Scheduler) latestTick(now time.Time) time.Time {
	again := s.schedule.Next(now)
	if hour := now.Add(time.Hour); again.IsZero() || hour.Before(again) {
		again = hour
	}
	return s.schedule.Next(again)
}

// fall deals with the next scheduled time having come.
func (s *Scheduler) fall(now time.Time) {
	late := now.Sub(s.due) > grace
	next, passed := s.schedule.Next(s.tick), 0
	for !next.IsZero() && !next.After(now) && passed < maxCount-1 {
		next, passed = s.schedule.Next(next), passed+1
	}
	// An interval keeps its pace while runs are on time, and begins anew when
	// they were not. Other schedules do not know the difference.
	if late || passed > 0 {
		next = s.schedule.Next(now)
	}

	switch {
	case s.current != nil && s.current.scheduled && !late:
		s.status.Missed += 1 + passed
		if !s.overran {
			s.overran = true
			s.log.Warn("the run takes longer than the schedule allows; skipping what is due until it ends",
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

// enqueue lets a scheduled run wait. It takes over what was asked for: the job
// may do less for a request than for the schedule, never more.
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

// start begins the run that waits, if any, and returns where its result comes.
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

// finish records the end of the run under way and tells those who asked for it.
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

// nudge makes the loop look again.
func (s *Scheduler) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// now is the time on the wall: without the reading of the monotonic clock,
// which stands still while the machine sleeps and does not see a clock being set.
func (s *Scheduler) now() time.Time { return s.clock.Now().Round(0) }
