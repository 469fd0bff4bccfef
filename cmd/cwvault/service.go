package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	gosync "sync"
	"time"

	"cwvault/scheduler"
	"cwvault/scheduler/dashboard"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
)

const (
	// serviceLeaseWait is how long a run of the service waits for its turn. It
	// is longer than most runs take, so that a resync by hand is not a failure.
	serviceLeaseWait = 5 * time.Minute
	// runsFresh is how long a list of runs is shown without looking again. Runs
	// that other processes make beside the service are in the journal only.
	runsFresh = time.Second
	// logged is how many lines of a kind the log has for one run. The page and
	// the history have all of them.
	logged = 20
)

// service is `cwvault serve`: it runs when it is due or asked for, and is what
// the dashboard shows.
type service struct {
	app      *app
	open     func(c *config, writable bool) (*session, error) // app.open
	metrics  *dashboard.Metrics
	sched    *scheduler.Scheduler
	queue    *queue
	inbox    *receiver                  // of callbacks
	listener net.Listener               // nil: nobody is to look
	alerts   chan func(context.Context) // at most one waits
	notifier *notifier
	started  time.Time
	held     map[heldKey]bool // what the log has told of; of the run under way

	mu    gosync.Mutex
	cfg   *config
	state dashboard.State // but for what State adds
	runs  runsCache
}

type heldKey struct {
	key  sync.Key
	code sync.HoldCode
}

// newService opens everything once, so that wrong settings end it now and not
// at the first run.
func newService(a *app, c *config) (*service, error) {
	s, err := a.open(c, true)
	if err != nil {
		return nil, err
	}
	defer s.close()
	v := &service{app: a, open: a.open, cfg: c, metrics: dashboard.NewMetrics(versionOf(buildInfo())), alerts: make(chan func(context.Context), 1), notifier: a.notifier(), started: time.Now()}
	if c.Token != "" && len(c.Token) < 16 {
		a.log.Warn("CWVAULT_TOKEN is short and can be guessed", "mend", "use one of 32 random characters")
	}
	v.state = dashboard.State{Version: versionOf(buildInfo()), Tenant: c.ConnectWiseCompany, Vault: s.address, Root: c.Root}
	past, err := s.past(a.ctx)
	if err != nil {
		return nil, err
	}
	v.state.LastRun, v.state.LastAttempt, v.state.LastGood = past.newest, past.attempt, past.good
	v.state.NotInStep, v.state.LastError = past.notInStep, past.lastError
	v.sched = scheduler.New(v.run, scheduler.Options{
		Schedule: c.schedule, RunOnStart: c.runOnStart, Jitter: c.jitter, Logger: a.log.Named("scheduler"), LastRun: past.attempt,
	})
	v.queue = newQueue(func(reason string) { v.sched.Trigger(reason) })
	return v, nil
}

// past is what the journal tells of the runs before the service started.
type past struct {
	newest        int64
	attempt, good time.Time // when the newest run of all companies began, and the newest that made all it had to
	notInStep     time.Time
	lastError     string
}

// past looks through the journal. Runs of some companies and undos are no
// attempts, as far as that can be told.
func (s *session) past(ctx context.Context) (p past, err error) {
	const most = 1000 // a service that has not been well for so long is not well
	for before, seen := int64(0), 0; seen < most; {
		runs, err := s.journal.Runs(ctx, 100, before)
		if err != nil || len(runs) == 0 {
			return p, err
		}
		for _, r := range runs {
			before, seen = r.ID, seen+1
			if p.newest == 0 && r.Outcome != "" {
				p.newest, p.lastError = r.ID, r.Error
			}
			done, undo := r.Outcome == outcomeDone, strings.HasPrefix(r.Trigger, onUndo)
			if p.attempt.IsZero() && (r.Good || !done && !undo && r.Trigger != onCallback) {
				p.attempt = r.Started
			}
			if !done && !undo && r.Outcome != "" {
				p.notInStep = r.Started
			}
			if done && r.Good {
				p.good = r.Started
				if r, err = s.journal.Run(ctx, r.ID); err != nil {
					return p, err
				}
				// A plan that cannot be read is no reason not to make another.
				if plan, err := recordedPlan(r); err == nil && plan.HeldByGuard() {
					p.notInStep = r.Started
				}
				return p, nil
			}
		}
	}
	return p, nil
}

// serve runs the service until the app's context ends.
func (v *service) serve() error {
	ctx, cancel := context.WithCancel(v.app.ctx)
	defer cancel()
	if v.listener == nil {
		if err := v.listen(ctx); err != nil {
			return err
		}
	}
	var err error
	if v.inbox, err = v.newInbox(); err != nil {
		return err
	}
	defer v.inbox.close()

	var work gosync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { v.sendAlerts(ctx) })
	work.Go(func() { v.watchStaleness(ctx, time.Minute) })
	// From here on SIGHUP does not end the process; before ready, after which
	// systemd may send one.
	hangups, deaf := v.app.hangups()
	work.Go(func() {
		defer deaf()
		v.reloadOnHangUp(ctx, hangups)
	})
	work.Go(func() { v.giveBackMemory(ctx) })
	work.Go(func() { v.notifier.watchdog(ctx, func() bool { return !v.State().Now.IsZero() }) })

	parts := []func() error{func() error { return v.sched.Run(ctx) }}
	if v.listener != nil {
		parts = append(parts, func() error {
			return dashboard.Serve(ctx, v.listener, dashboard.Options{
				Service: v, Metrics: v.metrics, Local: v.config().listenLocal, Logger: v.app.log.Named("http"),
				Token: func() string { return string(v.config().Token) },
			})
		})
	}
	ended := make(chan error, len(parts))
	for _, part := range parts {
		go func() { ended <- part() }()
	}
	v.notifier.ready("waiting for the next run")
	for range parts { // when one ends, the others are to end too: do not go on unseen
		err = errors.Join(err, <-ended)
		cancel()
		v.notifier.stopping("")
	}
	return err
}

func (v *service) listen(ctx context.Context) (err error) {
	c := v.config()
	if c.Listen == "off" {
		return nil
	}
	if v.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen); err != nil {
		return fmt.Errorf("CWVAULT_LISTEN: %w", err) // nothing wrong with the settings: another try, later, may do
	}
	v.app.log.Info("listening", "address", v.listener.Addr().String())
	return nil
}

func (v *service) config() *config {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cfg
}

// update changes the state.
func (v *service) update(change func(*dashboard.State)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.state)
}

// State implements [dashboard.Service].
func (v *service) State() dashboard.State {
	v.mu.Lock()
	st, c := v.state, v.cfg
	v.mu.Unlock()
	st.Now, st.Scheduler = time.Now(), v.sched.Status()
	st.Schedule, st.TimeZone = c.Schedule, c.TimeZone
	since := st.LastGood
	if since.IsZero() {
		since = v.started
	}
	st.Stale = staleAt(c.schedule, c.jitter, since)
	return st
}

// staleAt returns when a good run is too long ago: at the third time that is
// due after it.
func staleAt(schedule scheduler.Schedule, jitter time.Duration, good time.Time) time.Time {
	at := good
	for range 3 {
		next := schedule.Next(at)
		if next.IsZero() {
			break
		}
		at = next
	}
	return at.Add(jitter)
}

// run is one run, for the scheduler. Its error is a failed run.
func (v *service) run(ctx context.Context) error {
	b := v.queue.next(scheduler.TriggerFrom(ctx))
	if b.trigger == "" {
		return nil
	}
	c := v.config()
	started := time.Now()
	if !b.request.partial() {
		v.update(func(st *dashboard.State) { st.LastAttempt = started })
	}
	var r *runReport
	var p *proposal
	var s *session
	err := sync.Recovered(func() (err error) {
		r, p, s, err = v.resync(ctx, c, b)
		return err
	})()
	v.update(func(st *dashboard.State) { st.Progress = dashboard.Progress{} })
	v.refreshRuns()
	recorded := int64(0)
	if s != nil {
		recorded = s.run
	}
	noted := sync.Recovered(func() error { v.note(b, r, p, recorded, started, err); return nil })()
	if err == nil {
		err = noted
	}

	outcome, run, code, text := outcomeFailed, int64(0), exitCode(err), ""
	if err == nil {
		outcome, run, code, text = r.Outcome, r.Run, r.exit(), r.Error
	} else {
		text = err.Error()
	}
	v.queue.over(b, run, code, text)
	v.metrics.RunEnded(report.Outcome(outcome), time.Since(started))
	v.notifier.status(fmt.Sprintf("the last run, by %s, is %s", b.trigger, outcome))
	if err == nil {
		err = v.report(r, b.request.partial())
	}
	var panicked *sync.PanicError
	if errors.As(err, &panicked) {
		v.app.log.Error("a mistake in cwvault itself; please report it", "stack", string(panicked.Stack))
	}
	e := ending{request: b.request, report: r, err: err}
	if s == nil {
		v.alert(ctx, nil, func(ctx context.Context, _ *session) { v.app.alertUnopened(ctx, c, err) })
	} else {
		v.alert(ctx, s, func(ctx context.Context, s *session) { s.alert(ctx, e) })
	}
	return err
}

// resync makes the run of a batch. The session is the caller's to close; it is
// nil only with an error.
func (v *service) resync(ctx context.Context, c *config, b batch) (*runReport, *proposal, *session, error) {
	s, err := v.open(c, true)
	if err != nil {
		return nil, nil, nil, err
	}
	returned := false
	defer func() {
		if !returned { // a panic: nobody will close it
			s.close()
		}
	}()
	s.leaseWait = serviceLeaseWait
	var p *proposal
	s.watch = watch{
		proposed: func(made *proposal) { p = made },
		reached:  v.reached,
		sent:     v.metrics.RequestSent,
		applied: func(run int64, done, total int) {
			v.queue.progress(b, run, done, total)
			v.update(func(st *dashboard.State) { st.Progress = dashboard.Progress{Run: run, Done: done, Total: total} })
		},
	}
	r, err := s.resync(ctx, b.request, b.trigger)
	held := ""
	if errors.Is(err, journal.ErrHeld) {
		held = err.Error()
	}
	v.update(func(st *dashboard.State) { st.Lease = held })
	if r != nil && p != nil && v.unknown(b, r, p) {
		again, err := (*proposal)(nil), ctx.Err()
		if err == nil {
			again, err = s.propose(ctx, request{})
		}
		switch {
		case err == nil:
			p, r.lookAgain = again, true
		case b.request.partial():
			p = nil // what was known before tells more
		}
		if err != nil && ctx.Err() == nil {
			v.app.log.Warn("looking again after the run", "error", plain(err.Error()))
		}
	}
	returned = true
	return r, p, s, err
}

// unknown reports whether another look is needed to know what remains after a
// run. It is shown with the id that lets it through, and that is another one
// once some of the plan is done. A run of some companies tells nothing of the
// others, unless it is known that they were in step.
func (v *service) unknown(b batch, r *runReport, p *proposal) bool {
	made := r.made()
	left := made < len(p.Whole.Steps)
	if !b.request.partial() {
		return left && made > 0
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return left || v.state.Look == nil || !v.state.NotInStep.IsZero()
}

// reached notes how reading a server went.
func (v *service) reached(server string, err error) {
	reach := dashboard.Reach{At: time.Now()}
	if err != nil {
		reach.Error = plain(err.Error())
	}
	v.update(func(st *dashboard.State) {
		if server == "vault" {
			st.VaultServer = reach
		} else {
			st.ConnectWise = reach
		}
	})
}

// report logs how a run went. What is held is told of once: it can stay so for
// months. Its error is a partial run.
func (v *service) report(r *runReport, partial bool) error {
	log := v.app.log
	log.Info("run over", "run", r.Run, "outcome", r.Outcome, "plan", r.ID,
		"create", r.Counts.Create, "adopt", r.Counts.Adopt, "rename", r.Counts.Rename, "move", r.Counts.Move, "archive", r.Counts.Archive,
		"held", r.Counts.Held, "departed", r.Counts.Departed, "unchanged", r.Counts.Unchanged)
	failed := 0
	for i, step := range r.Results {
		v.metrics.StepEnded(r.Steps[i].Op, step.Status)
		if step.Error == "" {
			continue
		}
		if failed++; failed <= logged {
			log.Warn("step not made", "key", r.Steps[i].Key, "status", step.Status, "error", plain(step.Error))
		}
	}
	if failed > logged {
		log.Warn("more steps were not made", "steps", failed-logged)
	}
	held, fresh := map[heldKey]bool{}, 0
	for _, h := range r.Held {
		held[heldKey{h.Key, h.Code}] = true
		if v.held[heldKey{h.Key, h.Code}] {
			continue
		}
		if fresh++; fresh <= logged {
			log.Warn("held", "key", h.Key, "code", h.Code, "reason", plain(h.Reason))
		}
	}
	if fresh > logged {
		log.Warn("more is held", "items", fresh-logged)
	}
	if partial {
		maps.Copy(held, v.held)
	}
	v.held = held
	if r.Outcome == outcomePartial {
		return fmt.Errorf("run %d: some steps were not made", r.Run)
	}
	return nil
}

// newInbox returns what takes callbacks.
func (v *service) newInbox() (*receiver, error) {
	// One client for all deliveries: it remembers the keys that they are signed
	// with. The API's own keys are not needed for that.
	s := &session{app: v.app, cfg: v.config(), watch: watch{sent: v.metrics.RequestSent}}
	cw, err := s.openConnectWise("not-needed", "not-needed")
	if err != nil {
		return nil, err
	}
	return newReceiver(cw.VerifyDelivery, func() time.Duration { return v.config().gather }, v.queue.changed, v.app.log.Named("callbacks")), nil
}

// Callback implements [dashboard.Service].
func (v *service) Callback(ctx context.Context, body []byte, signature string) error {
	err := v.inbox.take(ctx, body, signature)
	result := "taken"
	switch {
	case errors.Is(err, dashboard.ErrForged):
		result = "forged"
	case errors.Is(err, dashboard.ErrUndecided):
		result = "undecided"
	case err != nil:
		result = "refused"
	}
	v.metrics.CallbackTaken(result)
	return err
}

// alert raises tickets for what a run has left to a person, and closes the
// session. ConnectWise may be slow; the next run does not wait for it. Should it
// begin before the tickets of the last run are dealt with, they are left to it.
func (v *service) alert(ctx context.Context, s *session, tell func(context.Context, *session)) {
	closeIt := func() {}
	if s != nil {
		s.watch = watch{sent: v.metrics.RequestSent}
		closeIt = s.close
	}
	job := func(ctx context.Context) {
		defer closeIt()
		if ctx.Err() != nil {
			return
		}
		if err := sync.Recovered(func() error { tell(ctx, s); return nil })(); err != nil {
			v.app.log.Error("raising tickets", "error", err)
		}
	}
	if ctx.Err() == nil {
		select {
		case v.alerts <- job:
			return
		default:
		}
	}
	closeIt()
}

// sendAlerts does what alert leaves to it.
func (v *service) sendAlerts(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case job := <-v.alerts:
			job(ctx)
		case <-ctx.Done():
		}
	}
	select {
	case job := <-v.alerts: // to close its session
		job(ctx)
	default:
	}
}

// giveBackMemory returns to the system what a run or a long answer has left
// behind. The service is idle for most of the time, and Go by itself keeps what
// it once needed for minutes.
func (v *service) giveBackMemory(ctx context.Context) {
	const (
		every  = 5 * time.Second
		enough = 2 << 20 // bytes that are worth a collection
	)
	tick := time.NewTicker(every)
	defer tick.Stop()
	taken := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	heap := func() (n uint64) {
		metrics.Read(taken)
		for _, sample := range taken {
			n += sample.Value.Uint64()
		}
		return n
	}
	for least := uint64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if heap() > least+enough && v.sched.Status().Running.Start.IsZero() {
			debug.FreeOSMemory()
			least = heap()
		}
	}
}

// watchStaleness raises the alarm when no run has been good for too long. It
// does not depend on runs: those may be what does not happen.
func (v *service) watchStaleness(ctx context.Context, every time.Duration) {
	// A machine that wakes up, or a service that was down, has time for the run
	// that mends it.
	const patience = 5
	tick := time.NewTicker(every)
	defer tick.Stop()
	var told time.Time // an open ticket is looked up again now and then only
	for seen := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		st, c := v.State(), v.config()
		if !st.Now.After(st.Stale) {
			seen = 0
			continue
		}
		if seen++; seen <= patience || !c.tickets || st.Now.Sub(told) < time.Hour {
			continue
		}
		told = st.Now
		s, err := v.open(c, true)
		if err != nil {
			v.alert(ctx, nil, func(ctx context.Context, _ *session) { v.app.alertUnopened(ctx, c, err) })
			continue
		}
		v.alert(ctx, s, func(ctx context.Context, s *session) { s.alertStale(ctx, st.LastGood) })
	}
}

// reloadOnHangUp reads the settings again when that is asked for.
func (v *service) reloadOnHangUp(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			v.notifier.reloading()
			v.reload(ctx)
			v.notifier.ready("settings read")
		}
	}
}

// reload reads the settings again. Those that are wrong change nothing.
func (v *service) reload(ctx context.Context) {
	was := v.config()
	now, err := v.readAgain(ctx, was)
	if err != nil {
		v.app.log.Error("the settings are wrong; going on with those before", "error", plain(err.Error()))
		return
	}
	v.mu.Lock()
	v.cfg = now
	v.mu.Unlock()
	v.app.log.SetLevel(now.logLevel)
	if now.Schedule != was.Schedule || now.TimeZone != was.TimeZone || now.jitter != was.jitter {
		v.sched.Reschedule(now.schedule, now.jitter)
	}
	v.app.log.Info("settings read again; the next run uses them")
}

// readAgain reads and checks the settings as at the start.
func (v *service) readAgain(ctx context.Context, was *config) (*config, error) {
	environ, err := v.app.reload()
	if err != nil {
		return nil, err
	}
	now, err := loadConfig(ctx, environ)
	if err != nil {
		return nil, err
	}
	for _, fixed := range []struct{ name, was, is string }{
		{"CWVAULT_LISTEN", was.Listen, now.Listen},
		{"CWVAULT_STATE", was.State, now.State},
		{"CWVAULT_LOG_FORMAT", was.LogFormat, now.LogFormat},
		{"CWVAULT_CONNECTWISE_URL", was.ConnectWiseURL, now.ConnectWiseURL},
		{"CWVAULT_CONNECTWISE_COMPANY_ID", was.ConnectWiseCompany, now.ConnectWiseCompany},
		{"CWVAULT_VAULT_URL", was.VaultURL, now.VaultURL},
		{"CWVAULT_ROOT", was.Root, now.Root},
	} {
		if fixed.was != fixed.is {
			now.problems = append(now.problems, fixed.name+": has changed; that needs a restart")
		}
	}
	s, problems := v.app.openClients(now, nil)
	s.close()
	if len(problems) > 0 {
		return nil, problems
	}
	return now, nil
}

var _ dashboard.Service = (*service)(nil)
