package run_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	gosync "sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/run"
	"cwvault/sync/synctest"
	"cwvault/vault/vaulttest"
)

const tenant = "acme"

// noon is when all tests begin.
var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// bench has on it all that a run needs: a ConnectWise that is a value, a vault in
// memory, a journal in a file, and a clock that only a test moves.
type bench struct {
	testing.TB
	companies fakeSource
	vault     *vaulttest.Memory
	state     string // the journal's file
	now       time.Time
	heard     events
	opt       run.Options
}

// newBench lays out a world with these companies and these folders below the
// root; see package synctest.
func newBench(t testing.TB, companies, folders string) *bench {
	t.Helper()
	b := &bench{TB: t, state: filepath.Join(t.TempDir(), "cwvault.db"), now: noon}
	b.lists(companies)
	drawn, err := synctest.Folders(folders)
	if err != nil {
		t.Fatal(err)
	}
	b.vault = vaulttest.DrawnMemory(tenant, drawn)
	b.opt = run.Options{
		Source: &b.companies, Vault: b.vault, Journal: b.open(), Events: &b.heard, Clock: func() time.Time { return b.now },
		Installation: run.Installation{Tenant: tenant, Vault: "memory", Root: `\as set`},
		Settings:     sync.Settings{Structure: structure(t, "$TYPE"), Name: nameOf(t), Access: sync.AccessInherit},
		Layout:       "$TYPE",
	}
	return b
}

func structure(t testing.TB, text string) sync.Structure {
	t.Helper()
	s, err := sync.ParseStructure(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func nameOf(t testing.TB) sync.NameTemplate {
	t.Helper()
	name, err := sync.ParseNameTemplate("$NAME")
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// open opens the journal once more, as another process would.
func (b *bench) open() *journal.Journal {
	b.Helper()
	j, err := journal.Open(b.Context(), b.state, journal.Options{Now: func() time.Time { return b.now }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { j.Close() })
	return j
}

// lists says which companies ConnectWise has from now on.
func (b *bench) lists(companies string) {
	b.Helper()
	list, err := synctest.Companies(companies, synctest.DefaultTables())
	if err != nil {
		b.Fatal(err)
	}
	b.companies.source = synctest.World{Tables: synctest.DefaultTables(), Companies: list}.Source()
}

// relay lays the tree out in another way from now on.
func (b *bench) relay(text string) {
	b.Helper()
	b.opt.Settings.Structure, b.opt.Layout = structure(b, text), text
}

func (b *bench) propose(req run.Request) (*run.Proposal, error) {
	return run.New(b.opt).Propose(b.Context(), req)
}

func (b *bench) run(req run.Request) run.Ending {
	return run.New(b.opt).Run(b.Context(), req, "test")
}

// mustRun makes a run that is done.
func (b *bench) mustRun(req run.Request) run.Ending {
	b.Helper()
	e := b.run(req)
	if e.Err != nil || e.Outcome() != "done" {
		b.Fatalf("the run is %s: %v, %s", e.Outcome(), e.Err, e.Text())
	}
	return e
}

// recall returns what the journal remembers.
func (b *bench) recall() journal.Memory {
	b.Helper()
	m, err := b.opt.Journal.Recall(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// last returns the newest run of the journal.
func (b *bench) last() journal.RunInfo {
	b.Helper()
	runs, err := b.opt.Journal.Runs(b.Context(), 1, 0)
	if err != nil || len(runs) == 0 {
		b.Fatalf("the last run: %d, %v", len(runs), err)
	}
	return runs[0]
}

// sql changes the journal's file behind its back.
func (b *bench) sql(statements ...string) {
	b.Helper()
	db, err := sql.Open("sqlite", b.state)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			b.Fatal(err)
		}
	}
}

// stealLease lets another process take the lease from the run under way.
func (b *bench) stealLease() {
	b.Helper()
	b.sql(`UPDATE cwvault_lease SET expires = 1, uptime = 1`)
	if _, err := b.open().Acquire(context.Background(), journal.Owner{Host: "elsewhere", PID: 1}); err != nil {
		b.Fatal(err)
	}
}

// failAt makes one call of the vault go wrong.
func (b *bench) failAt(call string, f vaulttest.Failure) {
	b.vault.Fail = func(_ int, name string) vaulttest.Failure {
		if name == call {
			return f
		}
		return vaulttest.NoFailure
	}
}

// fakeSource is a ConnectWise that is a value.
type fakeSource struct {
	source sync.Source
	err    error
	before func() // called before each reading
}

func (s *fakeSource) Source(ctx context.Context) (sync.Source, error) {
	if s.before != nil {
		s.before()
	}
	return s.source, errors.Join(ctx.Err(), s.err)
}

// events keeps what a run tells of itself.
type events struct {
	mu      gosync.Mutex
	list    []string
	applied func(done int) // called while a run applies
	readAll func()
}

func (e *events) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf(format, args...))
}

func (e *events) Read(server run.Server, err error) { e.add("read %s: %v", server, err) }

func (e *events) ReadAll() {
	e.add("read all")
	if e.readAll != nil {
		e.readAll()
	}
}

func (e *events) Applied(number int64, done, total int) {
	e.add("run %d: %d of %d", number, done, total)
	if e.applied != nil {
		e.applied(done)
	}
}

func (e *events) ApplyEnded() { e.add("ended") }

// steps says what a plan does, a line for each step.
func steps(p sync.Plan) []string {
	var list []string
	for _, s := range p.Steps {
		list = append(list, string(s.Op)+" "+s.To)
	}
	return list
}

// holds says what a plan holds, a line for each.
func holds(p sync.Plan) []string {
	var list []string
	for _, h := range p.Held {
		list = append(list, string(h.Code)+" "+string(h.Key))
	}
	return slices.Sorted(slices.Values(list))
}

type ctx = context.Context

// owner is another process, which lives.
var owner = journal.Self()

// readOnly opens a journal for looking.
func (b *bench) readOnly(state string) *journal.Journal {
	b.Helper()
	j, err := journal.OpenReadOnly(b.Context(), state, journal.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { j.Close() })
	return j
}
