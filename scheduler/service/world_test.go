package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	gosync "sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"cwvault/scheduler"
	"cwvault/scheduler/api"
	"cwvault/scheduler/tickets"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/run"
	"cwvault/sync/synctest"
	"cwvault/vault"
	"cwvault/vault/vaulttest"
)

// world is a ConnectWise that is a value, a vault in memory, a journal in a file,
// a desk for tickets, and the settings: all that a service works with. It is a
// [Backend].
type world struct {
	testing.TB
	companies fakeSource
	vault     *vaulttest.Memory
	state     string // the journal's file
	opt       run.Options
	config    Config
	desk      fakeDesk
	unbooked  tickets.Unbooked

	mu       gosync.Mutex
	refuses  error // why no session can be opened
	reloaded *world
	wrong    error // why settings that are read again are refused
	sessions int   // open ones
	closed   bool
}

const (
	threeCompanies = `
		250 alovet Alovet Customer Active
		251 bolt   Bolt   Customer Active
		252 cog    Cog    Prospect Active`
	twoFolders = `
		Customer [group/type:1]
		  Alovet [company/250]
		Prospect [group/type:2]
		  Bolt [company/251]`
)

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, state: filepath.Join(t.TempDir(), "cwvault.db")}
	w.lists(threeCompanies)
	drawn, err := synctest.Folders(twoFolders)
	if err != nil {
		t.Fatal(err)
	}
	w.vault = vaulttest.DrawnMemory("acme", drawn)
	structure, err1 := sync.ParseStructure("$TYPE")
	name, err2 := sync.ParseNameTemplate("$NAME")
	hourly, err3 := scheduler.Parse("@hourly", nil)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	w.opt = run.Options{
		Source: &w.companies, Vault: w.vault, Installation: run.Installation{Tenant: "acme", Vault: "memory", Root: vaulttest.RootPath},
		Settings: sync.Settings{Structure: structure, Name: name, Access: sync.AccessInherit}, Layout: "$TYPE",
	}
	w.config = Config{Tenant: "acme", Vault: "memory", Root: vaulttest.RootPath, Schedule: hourly, ScheduleText: "@hourly", TimeZone: "UTC"}
	return w
}

// lists says which companies ConnectWise has from now on.
func (w *world) lists(companies string) {
	w.Helper()
	list, err := synctest.Companies(companies, synctest.DefaultTables())
	if err != nil {
		w.Fatal(err)
	}
	w.companies.set(synctest.World{Tables: synctest.DefaultTables(), Companies: list}.Source(), nil)
}

// failAt makes these calls of the vault go wrong.
func (w *world) failAt(calls ...string) {
	w.vault.Fail = func(_ int, name string) vaulttest.Failure {
		if slices.Contains(calls, name) {
			return vaulttest.FailRefused
		}
		return vaulttest.NoFailure
	}
}

// with makes runs with a journal of its own.
func (w *world) with(f func(*run.Runner)) {
	w.Helper()
	session, err := w.Open(w.Context(), nil)
	if err != nil {
		w.Fatal(err)
	}
	defer session.Close()
	f(session.Runner())
}

// run makes a run as the command line would.
func (w *world) run(req run.Request) (e run.Ending) {
	w.Helper()
	w.with(func(r *run.Runner) { e = r.Run(w.Context(), req, "manual") })
	return e
}

// propose looks.
func (w *world) propose(req run.Request) (p *run.Proposal) {
	w.Helper()
	w.with(func(r *run.Runner) {
		var err error
		if p, err = r.Propose(w.Context(), req); err != nil {
			w.Fatal(err)
		}
	})
	return p
}

// Config implements [Backend].
func (w *world) Config() Config { return w.config }

// Open implements [Backend]. Like any Go function it may return a nil of a type
// with its error.
func (w *world) Open(ctx context.Context, events run.Events) (Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuses != nil {
		return (*fakeSession)(nil), w.refuses
	}
	j, err := journal.Open(ctx, w.state, journal.Options{})
	if err != nil {
		return (*fakeSession)(nil), err
	}
	w.sessions++
	opt := w.opt
	opt.Journal, opt.Events = j, events
	return &fakeSession{w, run.New(opt)}, nil
}

// Clerk implements [Backend].
func (w *world) Clerk() *tickets.Clerk {
	if !w.config.Tickets {
		return nil
	}
	return &tickets.Clerk{
		Installation: w.opt.Installation, Fold: vault.Fold, Unbooked: &w.unbooked,
		Desk: func(context.Context) (tickets.Desk, error) { return &w.desk, nil },
	}
}

// Journal implements [Backend].
func (w *world) Journal(ctx context.Context) (*journal.Journal, error) {
	return journal.OpenReadOnly(ctx, w.state, journal.Options{})
}

// Verify implements [Backend]: a delivery is the number of a company.
func (w *world) Verify(_ context.Context, body []byte, signature string) (Event, error) {
	if signature != "signed" {
		return Event{}, api.ErrForged
	}
	var e Event
	_, err := fmt.Sscan(string(body), &e.Company)
	return e, err
}

// Reload implements [Backend].
func (w *world) Reload(context.Context) (Backend, error) {
	if w.wrong != nil {
		return nil, w.wrong
	}
	return w.reloaded, nil
}

// Close implements [Backend].
func (w *world) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

// setRefuses says why no session can be opened from now on.
func (w *world) setRefuses(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuses = err
}

// open returns how many sessions are open.
func (w *world) open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sessions
}

type fakeSession struct {
	world  *world
	runner *run.Runner
}

func (s *fakeSession) Runner() *run.Runner { return s.runner }

func (s *fakeSession) Clerk() *tickets.Clerk {
	clerk := s.world.Clerk()
	if clerk != nil {
		clerk.Book = s.runner.Journal
	}
	return clerk
}

func (s *fakeSession) Close() {
	s.runner.Journal.Close()
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.world.sessions--
}

// fakeSource is a ConnectWise that is a value.
type fakeSource struct {
	mu     gosync.Mutex
	source sync.Source
	err    error
	before func() // called before each reading
}

func (s *fakeSource) set(source sync.Source, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.source, s.err = source, err
}

func (s *fakeSource) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *fakeSource) Source(context.Context) (sync.Source, error) {
	s.mu.Lock()
	source, err, before := s.source, s.err, s.before
	s.mu.Unlock()
	if before != nil {
		before()
	}
	return source, err
}

// fakeDesk is a desk where nobody closes tickets.
type fakeDesk struct {
	mu        gosync.Mutex
	summaries []string
	xrefs     []string
	before    func() // called before each ticket
}

func (d *fakeDesk) CreateTicket(_ context.Context, summary, _, xref string) (tickets.Ticket, error) {
	if d.before != nil {
		d.before()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.summaries, d.xrefs = append(d.summaries, summary), append(d.xrefs, xref)
	return tickets.Ticket{ID: len(d.xrefs)}, nil
}

func (d *fakeDesk) OpenTicket(_ context.Context, xref string) (tickets.Ticket, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.xrefs, xref)
	return tickets.Ticket{ID: i + 1}, i >= 0, nil
}

func (*fakeDesk) Ticket(_ context.Context, id int) (tickets.Ticket, bool, error) {
	return tickets.Ticket{ID: id}, true, nil
}

func (*fakeDesk) NoteTicket(context.Context, int, string) error { return nil }

// raised returns the summaries of all tickets.
func (d *fakeDesk) raised() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.summaries...)
}

// fakeHost notes what it is told.
type fakeHost struct {
	mu      gosync.Mutex
	told    []string
	hangups chan os.Signal
}

func (h *fakeHost) add(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, text)
}

func (h *fakeHost) Ready(status string)                 { h.add("ready: " + status) }
func (h *fakeHost) Reloading()                          { h.add("reloading") }
func (h *fakeHost) Stopping(string)                     { h.add("stopping") }
func (h *fakeHost) Status(text string)                  { h.add(text) }
func (*fakeHost) Watchdog(context.Context, func() bool) {}
func (h *fakeHost) Hangups() (<-chan os.Signal, func()) { return h.hangups, func() {} }
func (h *fakeHost) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.told...)
}

// lockedBuffer is a log.
type lockedBuffer struct {
	mu gosync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func logTo(l *lockedBuffer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: l, Level: hclog.Info, DisableTime: true})
}

// owner is another process, which lives.
var owner = journal.Self()

func mustName(t testing.TB, text string) sync.NameTemplate {
	t.Helper()
	name, err := sync.ParseNameTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return name
}
