package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	gosync "sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"cwvault/scheduler"
	"cwvault/scheduler/api"
	"cwvault/scheduler/dashboard"
	"cwvault/sync"
	"cwvault/sync/run"
)

// server is a service that serves, in a bubble of [synctest].
type server struct {
	*Service
	*world
	host *fakeHost
	log  *lockedBuffer
	stop func() error // waits until all has ended; may be called twice
}

// serve begins to serve a world, at the time of the bubble.
func serve(t *testing.T, w *world) *server {
	t.Helper()
	s := &server{world: w, host: &fakeHost{hangups: make(chan os.Signal)}, log: &lockedBuffer{}}
	ctx, cancel := context.WithCancel(t.Context())
	v, err := New(ctx, Options{
		Backend: w, Host: s.host, Log: logTo(s.log), Version: "v1",
		ExitCode: func(e run.Ending) int { return len(e.Cause()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Service = v
	ended := make(chan error, 1)
	go func() { ended <- v.Serve(ctx) }()
	s.stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	synctest.Wait()
	return s
}

// over returns what became of a request when its run is over.
func (s *server) over(r api.Request) api.Asked {
	s.TB.Helper()
	asked, err := s.Resync(s.Context(), r)
	if err != nil {
		s.Fatal(err)
	}
	return s.wait(asked)
}

func (s *server) wait(asked api.Asked) api.Asked {
	s.TB.Helper()
	synctest.Wait()
	asked, err := s.Asked(asked.ID)
	if err != nil || asked.State != api.Over {
		s.Fatalf("%+v, %v", asked, err)
	}
	return asked
}

// TestServiceRuns follows runs from the queue to what is shown: on schedule, on
// request, and by a callback.
func TestServiceRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := serve(t, w)
		defer s.stop()
		if st := s.State(); st.LastRun != 0 || st.Look != nil || st.Tenant != "acme" || st.Schedule != "@hourly" || st.Version != "v1" {
			t.Errorf("at first: %+v", st)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		st := s.State()
		if st.LastRun != 1 || st.LastGood.IsZero() || !st.LastGood.Equal(st.LastAttempt) || !st.NotInStep.IsZero() || st.Look.Run != 1 {
			t.Errorf("after an hour: %+v", st)
		}
		if st.ConnectWise.At.IsZero() || st.ConnectWise.Error != "" || st.VaultServer.At.IsZero() {
			t.Errorf("the servers: %+v, %+v", st.ConnectWise, st.VaultServer)
		}
		w.lists(threeCompanies + "\n253 dot Dot Prospect Active\n254 elk Elk Prospect Active")
		asked := s.over(api.Request{Companies: []string{"dot"}})
		if want := (api.Asked{ID: asked.ID, State: api.Over, Run: 2, Done: 1, Total: 1}); asked != want {
			t.Errorf("the request is %+v, want %+v", asked, want)
		}
		if err := s.Callback(t.Context(), []byte("254"), "signed"); err != nil {
			t.Fatal(err)
		}
		if err := s.Callback(t.Context(), []byte("254"), "forged"); !errors.Is(err, api.ErrForged) {
			t.Errorf("a forged delivery: %v", err)
		}
		synctest.Wait()
		if w.vault.At(`\Clients\Prospect\Elk`) == "" {
			t.Error("the callback has had no run")
		}
		runs, err := s.Runs(t.Context(), 10, 0)
		if err != nil {
			t.Fatal(err)
		}
		var triggers []string
		for _, r := range runs {
			triggers = append(triggers, r.Trigger)
		}
		if diff := cmp.Diff([]string{"callback", "request", "schedule"}, triggers); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
		if r, err := s.Service.Run(t.Context(), 2); err != nil || len(r.Steps) != 1 {
			t.Errorf("run 2: %+v, %v", r, err)
		}
		if _, err := s.Service.Run(t.Context(), 9); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("a run that is not there: %v", err)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if w.open() != 0 || !w.closed {
			t.Errorf("%d sessions are open, closed %v", w.open(), w.closed)
		}
		want := []string{"ready: waiting for the next run", "the last run, by schedule, is done", "the last run, by request, is done",
			"the last run, by callback, is done", "stopping"}
		if diff := cmp.Diff(want, s.host.list()); diff != "" {
			t.Errorf("the host was told (-want +got):\n%s", diff)
		}
	})
}

// TestServiceRequests sees what is refused, and how a run that fails is told.
func TestServiceRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := serve(t, w)
		defer s.stop()
		if _, err := s.Resync(t.Context(), api.Request{Recreate: []sync.Key{"x"}}); !errors.Is(err, api.ErrInvalid) {
			t.Errorf("a key that is none: %v", err)
		}
		if _, err := s.Asked("x"); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("a request that is not there: %v", err)
		}
		asked := s.over(api.Request{Companies: []string{"zebra"}})
		if asked.Run != 0 || asked.ExitCode != len(run.CauseUsage) || !strings.Contains(asked.Error, `no company "zebra"`) {
			t.Errorf("a wrong request: %+v", asked)
		}
		if st := s.State(); st.LastError != "" || !st.NotInStep.IsZero() || st.LastRun != 1 || !st.LastAttempt.IsZero() {
			t.Errorf("it says something of the vault: %+v", st)
		}
		w.companies.fail(sync.ErrUnauthorized)
		asked = s.over(api.Request{})
		if asked.Error != "read companies: not authorised" || asked.ExitCode != len(run.CauseUnauthorized) {
			t.Errorf("a run that fails: %+v", asked)
		}
		if st := s.State(); st.LastError != asked.Error || st.NotInStep.IsZero() || st.ConnectWise.Error == "" || st.LastAttempt.IsZero() {
			t.Errorf("shown after it: %+v", st)
		}
	})
}

// watchedLog calls seen with each entry.
type watchedLog struct{ seen func(entry string) }

func (l watchedLog) Write(p []byte) (int, error) {
	l.seen(string(p))
	return len(p), nil
}

// onePipe is a listener with one connection, in the bubble.
type onePipe struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func (l *onePipe) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *onePipe) Close() error   { l.close(); return nil }
func (l *onePipe) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8377} }

// scrape reads the metrics as another program would.
func scrape(t *testing.T, s *server) string {
	const token = "test-token-0123456789"
	ctx, cancel := context.WithCancel(t.Context())
	here, there := net.Pipe()
	l := &onePipe{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.close = gosync.OnceFunc(func() { close(l.closed) })
	l.conns <- there
	ended := make(chan error, 1)
	go func() {
		ended <- dashboard.Serve(ctx, l, dashboard.Options{Service: s.Service, Metrics: s.Metrics, Logger: hclog.NewNullLogger(), Token: func() string { return token }})
	}()
	defer func() {
		here.Close()
		cancel()
		<-ended
	}()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://127.0.0.1:8377/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil }, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// TestRequesterIsToldLast: whoever hears that the run is over finds it in the log and in
// the metrics.
func TestRequesterIsToldLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := serve(t, w)
		defer s.stop()
		asks := make(chan string, 1)
		id := gosync.OnceValue(func() string { return <-asks })
		var seen []string
		s.Service.Log = hclog.New(&hclog.LoggerOptions{Output: watchedLog{func(entry string) {
			if !strings.Contains(entry, "run over") && !strings.Contains(entry, "step not made") {
				return
			}
			now, err := s.Asked(id())
			if err != nil {
				t.Error(err)
			}
			seen = append(seen, fmt.Sprint(now.State, " ", strings.Contains(scrape(t, s), `cwvault_run_duration_seconds_count{outcome="partial"} 1`)))
		}}})
		w.failAt("create Cog")
		asked, err := s.Resync(t.Context(), api.Request{})
		if err != nil {
			t.Fatal(err)
		}
		asks <- asked.ID
		time.Sleep(time.Minute) // the servers that answer the scrapes take a moment to end
		s.wait(asked)
		if len(seen) < 2 || slices.ContainsFunc(seen, func(at string) bool { return at != "running true" }) {
			t.Errorf("when it was logged, the request was %q", seen)
		}
	})
}

// TestServiceLooksAgain lets a run of one company end. What it left to others is
// shown with the id that approves it.
func TestServiceLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.holdMoves()
		s := serve(t, w)
		defer s.stop()
		s.over(api.Request{Companies: []string{"cog"}})
		look := s.State().Look
		if look == nil || len(look.Blocked) != 1 || look.Pending.ID != w.propose(run.Request{}).ID {
			t.Fatalf("the look is %+v", look)
		}
		s.over(api.Request{Approve: look.Pending.ID})
		if st := s.State(); len(st.Look.Pending.Steps) != 0 || !st.NotInStep.IsZero() {
			t.Errorf("after the approval: %+v", st)
		}
		trees := 0
		for _, call := range w.vault.Calls {
			if call == "tree" {
				trees++
			}
		}
		if trees != 4 { // two runs, one more look, and this test's own
			t.Errorf("the tree was read %d times", trees)
		}
	})
}

// TestServiceCannotLookAgain lets the look after a run fail. What was known
// before is shown still.
func TestServiceCannotLookAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := serve(t, w)
		defer s.stop()
		w.failAt("create Cog")
		s.over(api.Request{})
		before := s.State()
		reads := 0
		w.companies.mu.Lock()
		w.companies.before = func() {
			if reads++; reads == 1 { // the second one is the other look
				w.companies.fail(sync.ErrUnavailable)
			}
		}
		w.companies.mu.Unlock()
		s.over(api.Request{Companies: []string{"alovet"}})
		after := s.State()
		if after.Look != before.Look || after.NotInStep != before.NotInStep || after.LastRun != 2 {
			t.Errorf("shown is %+v", after)
		}
		if !strings.Contains(s.log.String(), "could not look again after the run") {
			t.Error(s.log)
		}
	})
}

// TestServiceSurvivesPanics lets everything that a run calls panic.
func TestServiceSurvivesPanics(t *testing.T) {
	for name, test := range map[string]struct {
		breaks func(w *world)
		number int64
	}{
		"in a reading": {func(w *world) { w.companies.before = func() { panic("oh no") } }, 1},
		"in opening":   {func(w *world) { w.opt.Vault = nil }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := serve(t, w)
				defer s.stop()
				before := w.opt.Vault
				test.breaks(w)
				if asked := s.over(api.Request{}); asked.Error == "" {
					t.Errorf("%+v", asked)
				}
				if !strings.Contains(s.log.String(), "a mistake in cwvault itself; please report it") {
					t.Error(s.log)
				}
				if st := s.State(); st.LastError == "" || st.Scheduler.Running.Trigger != "" || w.open() != 0 {
					t.Errorf("shown is %+v, %d sessions are open", st, w.open())
				}
				w.companies.before, w.opt.Vault = nil, before
				if asked := s.over(api.Request{}); asked.Error != "" {
					t.Errorf("the next run: %+v", asked)
				}
			})
		})
	}
}

// TestServiceWaitsForItsTurn holds the lease elsewhere.
func TestServiceWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := serve(t, w)
		defer s.stop()
		session, err := w.Open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		lease, err := session.Runner().Journal.Acquire(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		asked, err := s.Resync(t.Context(), api.Request{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(leaseWait - time.Second)
		if asked, _ = s.Asked(asked.ID); asked.State != api.Running {
			t.Errorf("it does not wait: %+v", asked)
		}
		time.Sleep(2 * time.Second)
		if s.wait(asked).ExitCode != len(run.CauseLease) || !strings.Contains(s.State().Lease, "another run holds the lease") {
			t.Errorf("lease %q", s.State().Lease)
		}
		if err := lease.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		session.Close()
		s.over(api.Request{})
		if s.State().Lease != "" {
			t.Errorf("lease %q", s.State().Lease)
		}
	})
}

// TestServiceReloads reads settings again. Those that are wrong change nothing.
func TestServiceReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, next := newWorld(t), newWorld(t)
		next.state, next.vault = w.state, w.vault
		next.opt.Vault, next.opt.Settings.Name = w.vault, mustName(t, "$NAME ($IDENTIFIER)")
		daily, err := scheduler.Parse("@daily", nil)
		if err != nil {
			t.Fatal(err)
		}
		next.config.Schedule, next.config.ScheduleText = daily, "@daily"
		w.wrong, w.reloaded = errors.New("no such schedule"), next
		s := serve(t, w)
		defer s.stop()
		s.host.hangups <- syscall.SIGHUP
		synctest.Wait()
		if s.State().Schedule != "@hourly" || w.closed || !strings.Contains(s.log.String(), "the service keeps those before") {
			t.Errorf("wrong settings: %s, closed %v\n%s", s.State().Schedule, w.closed, s.log)
		}
		w.wrong = nil
		s.host.hangups <- syscall.SIGHUP
		synctest.Wait()
		st := s.State()
		if st.Schedule != "@daily" || !w.closed || next.closed || st.Scheduler.Next.Sub(st.Now) < 2*time.Hour {
			t.Errorf("right settings: %s, next %v, closed %v and %v", st.Schedule, st.Scheduler.Next, w.closed, next.closed)
		}
		s.over(api.Request{})
		if w.vault.At(`\Clients\Prospect\Cog (cog)`) == "" {
			t.Errorf("the next run does not use them:\n%s", w.vault)
		}
		s.stop()
		if !next.closed {
			t.Error("the settings in use are not closed")
		}
		told := s.host.list()
		if got := strings.Count(strings.Join(told, "\n"), "reloading\nready: settings read"); got != 2 {
			t.Errorf("the host was told %q", told)
		}
	})
}

// TestServiceTells raises tickets: for what a run leaves to people, and for runs
// that cannot even be opened.
func TestServiceTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.config.Tickets = true
		w.holdMoves()
		s := serve(t, w)
		defer s.stop()
		s.over(api.Request{})
		if got := w.desk.raised(); len(got) != 1 || w.open() != 0 {
			t.Errorf("tickets %q, %d sessions open", got, w.open())
		}
		w.setRefuses(fmt.Errorf("the journal: %w", sync.ErrUnavailable))
		s.over(api.Request{})
		s.over(api.Request{})
		if got := w.desk.raised(); len(got) != 2 || s.State().LastError != "the journal: unavailable" {
			t.Errorf("tickets %q, error %q", got, s.State().LastError)
		}
	})
}

// TestServiceDoesNotWaitForTheDesk raises tickets at a desk that hangs. Runs go
// on; what the last ones left is told by the next, and no session stays open.
func TestServiceDoesNotWaitForTheDesk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.config.Tickets = true
		w.holdMoves()
		hangs := make(chan struct{})
		w.desk.before = func() { <-hangs }
		s := serve(t, w)
		defer s.stop()
		for want := 1; want <= 4; want++ {
			s.over(api.Request{})
			if got := w.open(); got != min(want, 2) { // one at the desk, one that waits for it
				t.Errorf("after run %d, %d sessions are open", want, got)
			}
		}
		close(hangs)
		synctest.Wait()
		if got := w.desk.raised(); len(got) != 1 || w.open() != 0 {
			t.Errorf("tickets %q, %d sessions open", got, w.open())
		}
	})
}

// TestServiceTellsNobody sees that without tickets nothing is asked of the desk,
// and that sessions are closed.
func TestServiceTellsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.holdMoves()
		s := serve(t, w)
		defer s.stop()
		s.over(api.Request{})
		w.setRefuses(sync.ErrUnavailable)
		s.over(api.Request{})
		time.Sleep(24 * time.Hour)
		if got := w.desk.raised(); len(got) != 0 || w.open() != 0 {
			t.Errorf("tickets %q, %d sessions open", got, w.open())
		}
	})
}

// TestServiceIsStale lets no run be good. People are told when the third time
// that was due has passed, and some minutes more.
func TestServiceIsStale(t *testing.T) {
	for name, test := range map[string]struct {
		breaks    func(w *world)
		runs, all []string // the tickets that the runs raise, and all of them
	}{
		"runs fail": {func(w *world) { w.companies.fail(sync.ErrUnavailable) },
			[]string{"cwvault: runs fail: ConnectWise does not answer correctly"},
			[]string{"cwvault: runs fail: ConnectWise does not answer correctly", "cwvault: no good run for too long"}},
		"nothing can be opened": {func(w *world) { w.setRefuses(sync.ErrUnavailable) },
			[]string{"cwvault: runs fail"}, []string{"cwvault: runs fail"}},
		"a run hangs": {func(w *world) { w.companies.before = func() {} }, nil, []string{"cwvault: no good run for too long"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.config.Tickets = true
				hangs := make(chan struct{})
				s := serve(t, w)
				defer s.stop()
				defer close(hangs)
				test.breaks(w)
				if w.companies.before != nil {
					w.companies.before = func() { <-hangs }
				}
				raised := func() (titles []string) {
					for _, summary := range w.desk.raised() {
						titles = append(titles, strings.TrimSuffix(summary, ` (acme \Clients)`))
					}
					return titles
				}
				st := s.State()
				if got := st.Stale.Sub(st.Now); got != 3*time.Hour {
					t.Errorf("stale in %v", got)
				}
				time.Sleep(3*time.Hour + patience*time.Minute)
				synctest.Wait()
				if diff := cmp.Diff(test.runs, raised()); diff != "" {
					t.Errorf("too early (-want +got):\n%s", diff)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if diff := cmp.Diff(test.all, raised()); diff != "" {
					t.Errorf("tickets (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestServiceKeepsThePast starts a service beside a journal that has runs.
func TestServiceKeepsThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		good := w.run(run.Request{})
		time.Sleep(time.Minute)
		w.companies.fail(sync.ErrIncomplete)
		bad := w.run(run.Request{})
		s := serve(t, w)
		defer s.stop()
		st := s.State()
		if !st.LastGood.Equal(good.Started) || !st.LastAttempt.Equal(bad.Started) || !st.NotInStep.Equal(bad.Started) || st.LastRun != 2 ||
			st.LastError != "read companies: incomplete" {
			t.Errorf("it shows %+v", st)
		}
		if st.Stale.Sub(st.LastGood).Round(time.Hour) != 3*time.Hour {
			t.Errorf("stale at %v", st.Stale)
		}
	})
}

// TestNewRefuses sees that a service that cannot work ends at once.
func TestNewRefuses(t *testing.T) {
	w := newWorld(t)
	w.setRefuses(sync.ErrConfigured)
	if _, err := New(t.Context(), Options{Backend: w, Host: &fakeHost{}, Log: logTo(&lockedBuffer{})}); !errors.Is(err, sync.ErrConfigured) {
		t.Error(err)
	}
}
