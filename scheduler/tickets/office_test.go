package tickets

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"cwvault/sync/journal"
	"cwvault/sync/run"
)

// deskTicket is a ticket at a fakeDesk.
type deskTicket struct {
	ID            int
	Summary, XRef string
	Notes         []string
	Closed        bool
}

// fakeDesk is a desk in memory.
type fakeDesk struct {
	mu      gosync.Mutex
	tickets []*deskTicket
	last    int      // id
	calls   []string // the methods that were called
	// before returns an error that a method fails with, doing nothing.
	before func(ctx context.Context, method string) error
	// lost returns an error that a method returns although it has done its work.
	lost func(method string) error
	// look changes what a ticket looks like when it is read by its id.
	look func(t Ticket) (now Ticket, found bool)
}

func (d *fakeDesk) call(ctx context.Context, method string) error {
	d.mu.Lock()
	d.calls = append(d.calls, method)
	before := d.before
	d.mu.Unlock()
	if before != nil {
		return before(ctx, method)
	}
	return ctx.Err()
}

func (d *fakeDesk) answer(method string) error {
	if d.lost == nil {
		return nil
	}
	return d.lost(method)
}

func (d *fakeDesk) find(id int) *deskTicket {
	for _, t := range d.tickets {
		if t.ID == id {
			return t
		}
	}
	return nil
}

func (d *fakeDesk) CreateTicket(ctx context.Context, summary, details, xref string) (Ticket, error) {
	if err := d.call(ctx, "create"); err != nil {
		return Ticket{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	d.tickets = append(d.tickets, &deskTicket{ID: d.last, Summary: summary, XRef: xref, Notes: []string{details}})
	return Ticket{ID: d.last}, d.answer("create")
}

func (d *fakeDesk) OpenTicket(ctx context.Context, xref string) (open Ticket, found bool, err error) {
	if err := d.call(ctx, "open"); err != nil {
		return Ticket{}, false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.tickets {
		if t.XRef == xref && !t.Closed {
			open, found = Ticket{ID: t.ID}, true
		}
	}
	return open, found, d.answer("open")
}

func (d *fakeDesk) Ticket(ctx context.Context, id int) (Ticket, bool, error) {
	if err := d.call(ctx, "read"); err != nil {
		return Ticket{}, false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.find(id)
	switch {
	case t == nil:
		return Ticket{}, false, nil
	case d.look != nil:
		now, found := d.look(Ticket{t.ID, t.Closed})
		return now, found, nil
	}
	return Ticket{t.ID, t.Closed}, true, d.answer("read")
}

func (d *fakeDesk) NoteTicket(ctx context.Context, id int, text string) error {
	if err := d.call(ctx, "note"); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.find(id)
	if t == nil {
		return fmt.Errorf("no ticket %d", id)
	}
	t.Notes = append(t.Notes, text)
	return d.answer("note")
}

// fails makes a method fail, doing nothing.
func fails(method string, err error) func(context.Context, string) error {
	return func(_ context.Context, called string) error {
		if called == method {
			return err
		}
		return nil
	}
}

// office is a clerk with a desk, a journal and a clock of its own. An hour
// passes before each run.
type office struct {
	t     *testing.T
	desk  *fakeDesk
	clerk *Clerk
	log   *bytes.Buffer
	now   time.Time
	run   int64 // the last one
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, desk: &fakeDesk{}, log: &bytes.Buffer{}, now: noon}
	o.clerk = &Clerk{Installation: acme, Fold: strings.ToLower, Book: o.journal(), Unbooked: &Unbooked{},
		Desk: func(context.Context) (Desk, error) { return o.desk, nil },
		Log:  hclog.New(&hclog.LoggerOptions{Output: o.log, Level: hclog.Info}), Clock: o.clock}
	return o
}

func (o *office) clock() time.Time { return o.now }

// journal is a new one.
func (o *office) journal() *journal.Journal {
	o.t.Helper()
	j, err := journal.Open(o.t.Context(), filepath.Join(o.t.TempDir(), "state.db"), journal.Options{Now: o.clock})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() {
		if err := j.Close(); err != nil {
			o.t.Error(err)
		}
	})
	return j
}

// tell tells the clerk of the next run, and returns what is logged.
func (o *office) tell(e run.Ending) string {
	o.t.Helper()
	o.run++
	e.Number = o.run
	return o.logged(func() { o.clerk.Tell(o.t.Context(), e) })
}

// logged returns what f logs, an hour later.
func (o *office) logged(f func()) string {
	o.now = o.now.Add(time.Hour)
	o.log.Reset()
	f()
	return o.log.String()
}

// expect wants as many tickets, with as many notes each.
func (o *office) expect(when string, notes ...int) []*deskTicket {
	o.t.Helper()
	var got []int
	for _, ticket := range o.desk.tickets {
		got = append(got, len(ticket.Notes))
	}
	if diff := cmp.Diff(notes, got); diff != "" {
		o.t.Fatalf("%s: notes on each ticket (-want +got):\n%s\n%s", when, diff, o.log)
	}
	return o.desk.tickets
}

// says wants a ticket's last note to have all of words, and none of not.
func (o *office) says(ticket *deskTicket, words, not []string) {
	o.t.Helper()
	last := ticket.Notes[len(ticket.Notes)-1]
	for _, word := range words {
		if !strings.Contains(last, word) {
			o.t.Errorf("no %q in the last note of %q:\n%s", word, ticket.Summary, last)
		}
	}
	for _, word := range not {
		if strings.Contains(last, word) {
			o.t.Errorf("%q in the last note of %q:\n%s", word, ticket.Summary, last)
		}
	}
}

// warns wants so many warnings in a log, with a text in it.
func (o *office) warns(log string, n int, text string) {
	o.t.Helper()
	if got := strings.Count(log, "[WARN]"); got != n || !strings.Contains(log, text) {
		o.t.Errorf("%d warnings, want %d with %q:\n%s", got, n, text, log)
	}
}

// close closes a ticket, as a person does.
func (o *office) close(id int) { o.desk.find(id).Closed = true }

// untyped is a run that found companies without a type.
func untyped(ids ...int) run.Ending { return done(held("no-type", ids...)...) }

// spoiltBook is a book that fails.
type spoiltBook struct {
	Book
	read, claim error
	forgetful   bool // entries are lost, as when the process is killed before
}

func (b *spoiltBook) Tickets(ctx context.Context) (map[string]journal.Ticket, error) {
	if b.read != nil {
		return nil, b.read
	}
	return b.Book.Tickets(ctx)
}

func (b *spoiltBook) ClaimTicket(ctx context.Context, problem string) (journal.Ticket, bool, error) {
	if b.claim != nil {
		return journal.Ticket{}, false, b.claim
	}
	return b.Book.ClaimTicket(ctx, problem)
}

func (b *spoiltBook) PutTicket(ctx context.Context, t journal.Ticket) error {
	if b.forgetful || ctx.Err() != nil {
		return ctx.Err()
	}
	return b.Book.PutTicket(ctx, t)
}
