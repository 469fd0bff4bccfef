package tickets

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

// tellTimeout bounds all requests and notes of one call. A last entry in the
// journal may take 10 seconds more.
const tellTimeout = 20 * time.Second

// Ticket is what a desk knows of a ticket.
type Ticket struct {
	ID     int
	Closed bool
}

// Desk is where tickets are raised: ConnectWise, with the settings for company,
// board and priority. An error of kind sync.ErrUnauthorized says that every
// other call would fail too.
type Desk interface {
	// CreateTicket raises a ticket; details become its first note. Where it
	// cannot be told whether there is one now, it looks for it by xref.
	CreateTicket(ctx context.Context, summary, details, xref string) (Ticket, error)
	// OpenTicket returns the newest open ticket with this xref, and whether there
	// is one.
	OpenTicket(ctx context.Context, xref string) (t Ticket, found bool, err error)
	// Ticket returns the ticket with this id, and whether it still exists.
	Ticket(ctx context.Context, id int) (t Ticket, found bool, err error)
	// NoteTicket adds a note to a ticket.
	NoteTicket(ctx context.Context, id int, text string) error
}

// Book remembers what was raised. [*journal.Journal] is one.
type Book interface {
	Tickets(ctx context.Context) (map[string]journal.Ticket, error)
	ClaimTicket(ctx context.Context, problem string) (t journal.Ticket, ours bool, err error)
	PutTicket(ctx context.Context, t journal.Ticket) error
	ForgetTicket(ctx context.Context, problem string) error
}

// Clerk tells people by tickets what runs have left to them. Nothing that it
// does fails a run: what goes wrong is a warning in the log. A nil Clerk tells
// nobody, which is what to use when tickets are switched off. Its methods may be
// called from several goroutines at once.
type Clerk struct {
	Installation run.Installation
	// Fold maps the ways to write the path of the root to one, as the vault does.
	// It is part of the external reference, so it must not change. Required.
	Fold func(path string) string
	// Book may be nil when the journal cannot be had. Tickets are raised all the
	// same.
	Book Book
	// Desk returns the desk. It is called only when there is something to say,
	// since the keys may have to be fetched first. A nil Desk, or one that returns
	// nil, means that the settings for ConnectWise rule tickets out.
	Desk     func(ctx context.Context) (Desk, error)
	Unbooked *Unbooked
	Log      hclog.Logger // nil: none
	Clock    run.Clock    // nil: time.Now
}

// news is what a Clerk is told.
type news struct {
	problems []Problem
	err      error // why a run ended before its first step; nil: it did not
	number   int64 // of the run; 0: it has none
	whole    bool  // the run has seen everything that each problem affects
	// settles reports whether a problem that is not among problems is gone. Nil:
	// nothing is known of other problems.
	settles func(key string) bool
}

// Tell raises tickets for the problems of a run that is over, and notes as
// solved what it proves to be gone. Call it when the run has released its lease.
// It takes at most 30 seconds.
func (c *Clerk) Tell(ctx context.Context, e run.Ending) {
	if c == nil {
		return
	}
	c.tell(ctx, c.Book, news{
		problems: Problems(e), err: e.Err, number: e.Number, whole: e.Whole(),
		settles: func(key string) bool { return settles(e, key) },
	})
}

// TellUnopened does the same for a run that did not even begin, mostly because
// the journal cannot be had. It does without a book.
func (c *Clerk) TellUnopened(ctx context.Context, err error) {
	c.tell(ctx, nil, news{problems: Unopened(err), err: err})
}

// TellStale raises a ticket because no run was good for too long. The last good
// run began at lastGood, which is zero if there was none. The next good run
// solves the problem.
func (c *Clerk) TellStale(ctx context.Context, lastGood time.Time) {
	if c == nil {
		return
	}
	c.tell(ctx, c.Book, news{problems: []Problem{Stale(lastGood)}})
}

// tell raises and notes what is new.
func (c *Clerk) tell(ctx context.Context, book Book, n news) {
	if c == nil || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	r := c.round(book, n)
	gone := n.gone(r.remembered(ctx))
	if len(n.problems)+len(gone) == 0 {
		return
	}
	if r.desk = c.desk(ctx, r.log, n.err); r.desk != nil {
		r.all(ctx, n.problems, gone)
	}
}

// round begins one round at the desk.
func (c *Clerk) round(book Book, n news) *round {
	r := &round{book: book, in: c.Installation, fold: c.Fold, unbooked: c.Unbooked, log: c.Log, now: c.Clock, run: n.number, whole: n.whole}
	if r.log == nil {
		r.log = hclog.NewNullLogger()
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.book == nil {
		r.book = noBook{r.now}
	}
	return r
}

// gone returns the remembered problems that are proven gone and not yet noted as
// solved, in order.
func (n news) gone(remembered map[string]journal.Ticket) (keys []string) {
	if n.settles == nil {
		return nil
	}
	for key, t := range remembered {
		current := slices.ContainsFunc(n.problems, func(p Problem) bool { return p.Key == key })
		if !current && (t.Solved.IsZero() || t.Seen > 0 || t.Unsure) && n.settles(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// seeCheck is what to do about most things that keep tickets from being raised.
const seeCheck = "run cwvault check"

// desk returns the desk, or nil if there is none. why is why the run failed.
func (c *Clerk) desk(ctx context.Context, log hclog.Logger, why error) Desk {
	var keys interface{ KeysRefused() bool }
	if errors.As(why, &keys) && keys.KeysRefused() {
		log.Warn("no ticket is raised: ConnectWise refuses the keys, so it would refuse the ticket too", "fix", seeCheck)
		return nil
	}
	var desk Desk
	var err error
	if c.Desk != nil {
		desk, err = c.Desk(ctx)
	}
	switch {
	case err != nil:
		log.Warn("no ticket is raised: the keys of ConnectWise could not be read", "error", report.Plain(err.Error()), "fix", seeCheck)
		return nil
	case desk == nil:
		log.Warn("no ticket is raised: the settings for ConnectWise are wrong", "fix", seeCheck)
	}
	return desk
}
