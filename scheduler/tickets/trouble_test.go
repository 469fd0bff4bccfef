package tickets

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cwvault/sync"
	"cwvault/sync/journal"
)

var errNo = errors.New("500 Internal Server Error")

// Whatever goes wrong with a ticket is one warning, and the next run makes it
// good.
func TestDeskFails(t *testing.T) {
	for name, trouble := range map[string]struct {
		before  func(context.Context, string) error
		lost    func(string) error
		warning string
		tickets []int // at once
		notes   []int // after the next run
	}{
		"looking":               {before: fails("open", errNo), warning: "500", notes: []int{1}},
		"raising":               {before: fails("create", errNo), warning: "500", notes: []int{1}},
		"raising is forbidden":  {before: fails("create", sync.ErrUnauthorized), warning: "the right to tickets, the board", notes: []int{1}},
		"takes too long":        {before: fails("open", context.DeadlineExceeded), warning: `fix="the next run retries"`, notes: []int{1}},
		"the answer gets lost":  {lost: func(method string) error { return map[string]error{"create": errNo}[method] }, warning: "500", tickets: []int{1}, notes: []int{2}},
		"reading back does not": {before: fails("read", errNo), tickets: []int{1}, notes: []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			o.desk.before, o.desk.lost = trouble.before, trouble.lost
			warnings := 1
			if trouble.warning == "" {
				warnings = 0
			}
			o.warns(o.tell(untyped(2)), warnings, trouble.warning)
			o.expect("at once", trouble.tickets...)
			o.desk.before, o.desk.lost = nil, nil
			o.warns(o.tell(untyped(2)), 0, "")
			o.expect("when it works", trouble.notes...)
			o.tell(untyped(2))
			o.expect("and again", trouble.notes...)
		})
	}
}

// What would go wrong with every ticket is said once, and anything else for each.
func TestWarnings(t *testing.T) {
	for err, want := range map[error]int{fmt.Errorf("no right: %w", sync.ErrUnauthorized): 1, errNo: 2} {
		o := newOffice(t)
		o.desk.before = fails("create", err)
		log := o.tell(done(append(held(sync.HeldNoType, 2), held(sync.HeldCycle, 3)...)...))
		o.warns(log, want, err.Error())
	}
}

// keysRefused is the error of a server that refuses the keys.
type keysRefused bool

func (keysRefused) Error() string       { return "401" }
func (keysRefused) Unwrap() error       { return sync.ErrUnauthorized }
func (k keysRefused) KeysRefused() bool { return bool(k) }

func TestNoDesk(t *testing.T) {
	desk := func(d Desk, err error) func(context.Context) (Desk, error) {
		return func(context.Context) (Desk, error) { return d, err }
	}
	for name, c := range map[string]struct {
		desk    func(context.Context) (Desk, error)
		err     error
		warning string
	}{
		"wrong settings":         {nil, errors.New("x"), "the settings for ConnectWise are wrong"},
		"wrong settings, opened": {desk(nil, nil), errors.New("x"), "the settings for ConnectWise are wrong"},
		"no keys":                {desk(nil, errors.New("the vault is sealed")), errors.New("x"), "the vault is sealed"},
		"refused keys":           {desk(&fakeDesk{}, nil), fmt.Errorf("read companies: %w", keysRefused(true)), "refuses the keys"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			o.clerk.Desk = c.desk
			o.warns(o.tell(failed(c.err)), 1, "no ticket is raised: ")
			o.warns(o.tell(failed(c.err)), 1, c.warning)
		})
	}
	o := newOffice(t)
	o.tell(failed(keysRefused(false))) // a right is missing; tickets need another one
	o.expect("not authorised", 1)
}

// Without a journal, runs fail, and that is a problem like others. Nothing is
// known of what was said before, until there is a journal again.
func TestNoJournal(t *testing.T) {
	o := newOffice(t)
	for range 2 {
		o.clerk.TellUnopened(t.Context(), errors.New("open the journal: it is damaged; move it away"))
		o.says(o.expect("no journal", 1)[0], []string{"move it away", "First seen 2026-03-01 12:00 UTC, by"}, nil)
	}
	other := *o.clerk
	other.Unbooked = nil // another process
	other.Tell(t.Context(), done())
	o.expect("who does not know of it", 1)
	o.tell(done())
	o.says(o.expect("a journal again", 2)[0], []string{"Solved: run 1 "}, nil)
	o.tell(done())
	o.expect("still", 2)
}

// A journal that can be read and not written, as on a full disk, is no reason
// not to raise a ticket, and none to raise another after each run.
func TestJournalFull(t *testing.T) {
	o := newOffice(t)
	good := o.clerk.Book
	o.clerk.Book = &spoiltBook{Book: good, claim: errors.New("disk full")}
	for range 2 {
		log := o.tell(untyped(2))
		o.warns(log, 1, "are not remembered")
		o.warns(log, 1, "disk full")
		o.expect("full", 1)
	}
	o.clerk.Book = good
	o.tell(untyped(2))
	o.says(o.expect("not full", 2)[0], []string{"uses it from now on"}, nil)
	o.tell(done())
	o.says(o.expect("gone", 3)[0], []string{"Solved:"}, nil)
}

// What came back while nothing could be written is noted as solved once more.
func TestBackWhileJournalFull(t *testing.T) {
	o := newOffice(t)
	o.tell(untyped(2))
	o.tell(done())
	good := o.clerk.Book
	o.clerk.Book = &spoiltBook{Book: good, claim: errors.New("disk full")}
	o.tell(untyped(2))
	o.clerk.Book = good
	o.expect("back", 2)
	o.tell(done())
	o.says(o.expect("gone", 3)[0], []string{"Solved: run 4 "}, nil)
}

func TestJournalUnreadable(t *testing.T) {
	o := newOffice(t)
	o.clerk.Book = &spoiltBook{Book: o.clerk.Book, read: errors.New("disk broken")}
	for range 2 {
		o.warns(o.tell(untyped(2)), 1, "disk broken")
		o.expect("unreadable", 1)
	}
}

// What was said by a process that could not remember it is taken back all the
// same when the problem is gone.
func TestUnsure(t *testing.T) {
	killed := func(o *office, f func()) { // after f, before it is remembered
		good := o.clerk.Book
		o.clerk.Book = &spoiltBook{Book: good, forgetful: true}
		f()
		o.clerk.Book = good
	}
	unknown := func(o *office, method string, f func()) { // the answer is lost
		o.desk.lost = func(called string) error { return map[string]error{method: errNo}[called] }
		f()
		o.desk.lost = nil
	}
	for name, c := range map[string]struct {
		spoil func(o *office)
		notes int
	}{
		"killed when it had raised the ticket": {func(o *office) {
			killed(o, func() { o.tell(untyped(2)) })
		}, 2},
		"killed when it had noted that it is back": {func(o *office) {
			o.tell(untyped(2))
			o.tell(done())
			killed(o, func() { o.tell(untyped(2)) })
		}, 4},
		"does not know whether it has noted that it is back": {func(o *office) {
			o.tell(untyped(2))
			o.tell(done())
			unknown(o, "note", func() { o.tell(untyped(2)) })
		}, 4},
		"does not know whether it has raised the ticket": {func(o *office) {
			unknown(o, "create", func() { o.tell(untyped(2)) })
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			c.spoil(o)
			o.expect("before", c.notes-1)
			for range 2 {
				o.tell(done())
				o.says(o.expect("gone", c.notes)[0], []string{"Solved:"}, nil)
			}
		})
	}
}

// Several processes that see the same at once raise one ticket.
func TestRaisedAtOnce(t *testing.T) {
	o := newOffice(t)
	entered, leave, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	o.desk.before = func(_ context.Context, method string) error {
		if method == "create" {
			close(entered)
			<-leave
		}
		return nil
	}
	go func() {
		defer close(left)
		o.clerk.Tell(t.Context(), untyped(2))
	}()
	<-entered
	for range 3 {
		o.clerk.Tell(t.Context(), untyped(2)) // would close entered again
	}
	close(leave)
	<-left
	o.expect("at once", 1)
	o.desk.before = nil
	o.tell(untyped(2))
	o.expect("afterwards", 1)
}

// A stopped run does not go on about tickets.
func TestTellEndsWithTheRun(t *testing.T) {
	o := newOffice(t)
	o.clerk.Book = &spoiltBook{Book: o.clerk.Book}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.desk.before = func(ctx context.Context, _ string) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}
	two := done(append(held(sync.HeldNoType, 2), held(sync.HeldCycle, 3)...)...)
	for range 2 {
		o.clerk.Tell(ctx, two)
		if len(o.desk.calls) != 1 {
			t.Errorf("calls %v", o.desk.calls)
		}
	}
	known, err := o.clerk.Book.Tickets(t.Context())
	if err != nil || !known["held/cycle"].Unsure {
		t.Errorf("that it is unsure is not remembered: %v, %v", known, err)
	}
	o.desk.before = nil
	o.tell(two)
	o.expect("the next run", 1, 1)
}

// memoryBook is a book without a file, for the fake time of synctest.
type memoryBook map[string]journal.Ticket

func (b memoryBook) Tickets(context.Context) (map[string]journal.Ticket, error) { return b, nil }
func (b memoryBook) ClaimTicket(_ context.Context, problem string) (journal.Ticket, bool, error) {
	return journal.Ticket{Problem: problem}, true, nil
}
func (b memoryBook) PutTicket(_ context.Context, t journal.Ticket) error {
	b[t.Problem] = t
	return nil
}
func (b memoryBook) ForgetTicket(_ context.Context, problem string) error {
	delete(b, problem)
	return nil
}

// A desk that does not answer costs 20 seconds, however many problems there are.
func TestTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := &fakeDesk{before: func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		book := memoryBook{}
		c := &Clerk{Installation: acme, Fold: strings.ToLower, Book: book, Desk: func(context.Context) (Desk, error) { return desk, nil }}
		began := time.Now()
		c.Tell(t.Context(), done(append(held(sync.HeldNoType, 2), held(sync.HeldCycle, 3)...)...))
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("it took %v", took)
		}
		if len(book) != 1 || !book["held/cycle"].Unsure {
			t.Errorf("the book has %+v", book)
		}
	})
}
