package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	gosync "sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/scheduler"
	"cwvault/scheduler/api"
	"cwvault/scheduler/dashboard"
	"cwvault/scheduler/tickets"
	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

// Config holds the settings that the service itself needs.
type Config struct {
	Tenant, Vault, Root string
	Schedule            scheduler.Schedule
	ScheduleText        string // as set
	TimeZone            string
	Jitter              time.Duration
	RunOnStart          bool
	Gather              time.Duration // how long to gather callbacks
	Listen              string        // empty: there is no page and no API
	ListenLocal         bool          // the address can be reached from this machine only
	Token               string
	Tickets             bool
	LogLevel            hclog.Level
}

// Backend makes from the settings what the service needs. Its methods may be called from
// several goroutines at once.
type Backend interface {
	Config() Config
	// Open connects for a run, with a journal that can be written.
	Open(ctx context.Context, events run.Events) (Session, error)
	// Clerk raises tickets for runs that could not even open a session; nil:
	// tickets are off.
	Clerk() *tickets.Clerk
	// Journal opens the journal for reading.
	Journal(ctx context.Context) (*journal.Journal, error)
	// Verify verifies that a delivery is from ConnectWise and returns the company
	// that it is about. The error of a forged one is [api.ErrForged].
	Verify(ctx context.Context, body []byte, signature string) (Event, error)
	// Reload reads the settings again and returns a backend for them. Those that
	// need a restart, or are wrong, are an error. The caller closes the one that
	// it does not use any more.
	Reload(ctx context.Context) (Backend, error)
	Close()
}

// Session is a connection to both servers and the journal, for one run and its tickets.
type Session interface {
	Runner() *run.Runner
	Clerk() *tickets.Clerk // nil: tickets are off
	Close()
}

// Host is the program that started the service. It is notified of the service's state.
type Host interface {
	Ready(status string)
	Reloading()
	Stopping(status string)
	Status(text string)
	// Watchdog notifies the host that the service is alive, while alive returns
	// true and until ctx is done.
	Watchdog(ctx context.Context, alive func() bool)
	// Hangups returns a channel that gets a value for each request to reload the
	// settings. The caller calls stop when it no longer listens.
	Hangups() (hangups <-chan os.Signal, stop func())
}

// Options is all that a [Service] needs.
type Options struct {
	Backend  Backend
	Host     Host
	Log      hclog.Logger
	Version  string
	Metrics  *Metrics             // nil: its own; the backend counts requests in the same
	ExitCode func(run.Ending) int // the exit code of `cwvault resync` for this ending
	Clock    run.Clock            // nil: time.Now
	Listener net.Listener         // nil: listen at the address in the settings
	// StaleEvery is how often the service checks whether it is stale; 0: every
	// minute.
	StaleEvery time.Duration
}

const (
	// leaseWait is how long a run waits for the lease. It is longer than most runs
	// take, so that a resync by hand does not make the run fail.
	leaseWait = 5 * time.Minute
	// logged is how many lines of a kind the log has for one run. The page and
	// the history have all of them.
	logged = 20
	// shortToken is the length below which a token can be guessed.
	shortToken = 16
)

// Service is the service. It implements [dashboard.Service].
type Service struct {
	Options
	sched   *scheduler.Scheduler
	queue   *queue
	inbox   *receiver                  // of callbacks
	alerts  chan func(context.Context) // at most one waits
	started time.Time
	told    toldHeld // what the log has reported as held; only the current run uses it

	mu      gosync.Mutex
	backend Backend
	state   dashboard.State // without what State adds
	runs    runsCache
}

// New opens everything once, so that wrong settings fail now and not at the first run.
func New(ctx context.Context, opt Options) (*Service, error) {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.Metrics == nil {
		opt.Metrics = NewMetrics(opt.Version)
	}
	s := &Service{Options: opt, backend: opt.Backend,
		alerts: make(chan func(context.Context), 1), started: opt.Clock()}
	session, err := s.backend.Open(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	c := s.backend.Config()
	if c.Token != "" && len(c.Token) < shortToken {
		s.Log.Warn("CWVAULT_TOKEN is short and can be guessed", "fix", "use 32 random characters")
	}
	past, err := run.ReadPast(ctx, session.Runner().Journal, func(trigger string) bool { return trigger == onCallback })
	if err != nil {
		return nil, err
	}
	s.state = dashboard.State{Version: opt.Version, Tenant: c.Tenant, Vault: c.Vault, Root: c.Root,
		LastRun: past.Newest, LastAttempt: past.Attempt, LastGood: past.Good, NotInStep: past.NotInStep, LastError: past.LastError}
	s.sched = scheduler.New(s.run, scheduler.Options{
		Schedule: c.Schedule, RunOnStart: c.RunOnStart, Jitter: c.Jitter, Logger: s.Log.Named("scheduler"), LastRun: past.Attempt,
	})
	s.queue = newQueue(func(reason string) { s.sched.Trigger(reason) })
	s.inbox = newReceiver(func(ctx context.Context, body []byte, signature string) (Event, error) {
		return s.current().Verify(ctx, body, signature)
	}, func() time.Duration { return s.current().Config().Gather }, s.queue.changed, s.Log.Named("callbacks"))
	return s, nil
}

// Serve runs the service until ctx or a part of the service ends.
func (s *Service) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() { s.current().Close() }()
	defer s.inbox.close()
	if err := s.listen(ctx); err != nil {
		return err
	}
	var work gosync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { s.sendAlerts(ctx) })
	work.Go(func() { s.watchStaleness(ctx, cmp.Or(s.StaleEvery, time.Minute)) })
	// From here on SIGHUP does not end the process. This comes before Ready, because
	// systemd may send one after it.
	hangups, deaf := s.Host.Hangups()
	work.Go(func() {
		defer deaf()
		s.reloadOnHangUp(ctx, hangups)
	})
	work.Go(func() { s.giveBackMemory(ctx) })
	work.Go(func() { s.Host.Watchdog(ctx, func() bool { return !s.State().Now.IsZero() }) })

	parts := []func() error{func() error { return s.sched.Run(ctx) }}
	if s.Listener != nil {
		parts = append(parts, func() error {
			return dashboard.Serve(ctx, s.Listener, dashboard.Options{
				Service: s, Metrics: s.Metrics, Local: s.current().Config().ListenLocal, Logger: s.Log.Named("http"),
				Token: func() string { return s.current().Config().Token },
			})
		})
	}
	ended := make(chan error, len(parts))
	for _, part := range parts {
		go func() { ended <- part() }()
	}
	s.Host.Ready("waiting for the next run")
	var err error
	for range parts { // when one ends, end the others: do not run unseen
		err = errors.Join(err, <-ended)
		cancel()
		s.Host.Stopping("")
	}
	return err
}

func (s *Service) listen(ctx context.Context) (err error) {
	address := s.current().Config().Listen
	if s.Listener != nil || address == "" {
		return nil
	}
	if s.Listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address); err != nil {
		return fmt.Errorf("CWVAULT_LISTEN: %w", err) // the settings may be right, and a later retry may succeed
	}
	s.Log.Info("listening", "address", s.Listener.Addr().String())
	return nil
}

// current returns the backend of the latest settings.
func (s *Service) current() Backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backend
}

// update changes the state.
func (s *Service) update(change func(*dashboard.State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
}

// State implements [dashboard.Service].
func (s *Service) State() dashboard.State {
	s.mu.Lock()
	st, c := s.state, s.backend.Config()
	s.mu.Unlock()
	st.Now, st.Scheduler = s.Clock(), s.sched.Status()
	st.Schedule, st.TimeZone = c.ScheduleText, c.TimeZone
	since := st.LastGood
	if since.IsZero() {
		since = s.started
	}
	st.Stale = staleAt(c.Schedule, c.Jitter, since)
	return st
}

// Resync implements [dashboard.Service].
func (s *Service) Resync(_ context.Context, r api.Request) (api.Asked, error) {
	for _, key := range r.Recreate {
		if !key.Valid() {
			return api.Asked{}, fmt.Errorf("%w: %q is not a key; it looks like company/250", api.ErrInvalid, key)
		}
	}
	return s.queue.add(r)
}

// Asked implements [dashboard.Service].
func (s *Service) Asked(id string) (api.Asked, error) { return s.queue.get(id) }

// Callback implements [dashboard.Service].
func (s *Service) Callback(ctx context.Context, body []byte, signature string) error {
	err := s.inbox.take(ctx, body, signature)
	result := "taken"
	switch {
	case errors.Is(err, api.ErrForged):
		result = "forged"
	case errors.Is(err, api.ErrUndecided):
		result = "undecided"
	case err != nil:
		result = "refused"
	}
	s.Metrics.CallbackTaken(result)
	return err
}

// reloadOnHangUp reloads the settings at each hangup.
func (s *Service) reloadOnHangUp(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			s.Host.Reloading()
			s.reload(ctx)
			s.Host.Ready("settings read")
		}
	}
}

// reload reads the settings again. Wrong settings change nothing.
func (s *Service) reload(ctx context.Context) {
	was := s.current()
	now, err := was.Reload(ctx)
	if err != nil {
		s.Log.Error("the settings are wrong; the service keeps those before", "error", report.Plain(err.Error()))
		return
	}
	s.mu.Lock()
	s.backend = now
	s.mu.Unlock()
	was.Close()
	before, c := was.Config(), now.Config()
	s.Log.SetLevel(c.LogLevel)
	if c.ScheduleText != before.ScheduleText || c.TimeZone != before.TimeZone || c.Jitter != before.Jitter {
		s.sched.Reschedule(c.Schedule, c.Jitter)
	}
	s.Log.Info("settings read again; the next run uses them")
}

var _ dashboard.Service = (*Service)(nil)
