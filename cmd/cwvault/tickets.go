package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/connectwise"
	"cwvault/sync/journal"
)

const (
	// alertTimeout bounds the asking and telling about tickets after one run. A
	// last entry in the journal may take 10 seconds more.
	alertTimeout = 20 * time.Second
	// maxRaised bounds the tickets that are raised after one run. The next run
	// raises the rest.
	maxRaised = 20

	// unwatched marks a problem whose ticket could not be read, or was closed, at
	// once after it was raised, by the member's role or by a workflow: that it is
	// so later says nothing about people, and must not raise one run after run.
	unwatched = "unwatched"
)

// ticketDesk is where tickets are raised, and *connectwise.Client is one.
type ticketDesk interface {
	CreateTicket(ctx context.Context, s connectwise.TicketSettings, summary, details, xref string) (connectwise.Ticket, error)
	OpenTicket(ctx context.Context, xref string) (t connectwise.Ticket, found bool, err error)
	Ticket(ctx context.Context, id int) (t connectwise.Ticket, found bool, err error)
	NoteTicket(ctx context.Context, id int, text string) error
}

// ticketBook remembers what was raised, and *journal.Journal is one.
type ticketBook interface {
	Tickets(ctx context.Context) (map[string]journal.Ticket, error)
	ClaimTicket(ctx context.Context, problem string) (t journal.Ticket, ours bool, err error)
	PutTicket(ctx context.Context, t journal.Ticket) error
	ForgetTicket(ctx context.Context, problem string) error
}

// noBook is for when the journal cannot be had: it remembers nothing.
type noBook struct{}

func (noBook) Tickets(context.Context) (map[string]journal.Ticket, error) { return nil, nil }
func (noBook) ClaimTicket(_ context.Context, problem string) (journal.Ticket, bool, error) {
	return journal.Ticket{Problem: problem, Since: time.Now()}, true, nil
}
func (noBook) PutTicket(context.Context, journal.Ticket) error { return nil }
func (noBook) ForgetTicket(context.Context, string) error      { return nil }

// alert tells people, by tickets in ConnectWise, what a run that is over has
// shown. It is to be called when the run's lease has been given back. It takes
// 30 seconds at most, and what goes wrong with it is a warning in the log and
// nothing else.
func (s *session) alert(ctx context.Context, e ending) {
	a := alerter{book: s.journal, whole: e.whole()}
	if e.report != nil {
		a.run = e.report.Run
	}
	s.tell(ctx, a, e.err, e.problems(), e.settles)
}

// alertUnopened does the same for a run that did not even begin, mostly because
// the journal cannot be had.
func (a *app) alertUnopened(ctx context.Context, c *config, err error) {
	if !c.tickets {
		return
	}
	s, _ := a.openClients(c, nil)
	defer s.close()
	s.tell(ctx, alerter{book: noBook{}}, err, failed(err), nil)
}

// alertStale tells people that the last good run, which began at lastGood, is
// too long ago; the time is zero if there was none. The next good run solves
// that.
func (s *session) alertStale(ctx context.Context, lastGood time.Time) {
	s.tell(ctx, alerter{book: s.journal}, nil, []problem{stale(lastGood)}, nil)
}

// tell raises the tickets of problems, and notes as solved those that settles
// reports on and that are not among them; nil: none. err is why the run failed.
func (s *session) tell(ctx context.Context, a alerter, err error, problems []problem, settles func(key string) bool) {
	if !s.cfg.tickets || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, alertTimeout)
	defer cancel()
	a.app, a.cfg, a.address, a.log = s.app, s.cfg, s.address, s.app.log.Named("tickets")
	remembered, bookErr := a.book.Tickets(ctx)
	if bookErr != nil {
		a.log.Warn("what was raised before is not known", "error", plain(bookErr.Error()), "mend", "see cwvault check")
		a.book = noBook{}
	}
	a.recall(ctx, remembered)
	var gone []string
	for key, t := range remembered {
		current := slices.ContainsFunc(problems, func(p problem) bool { return p.key == key })
		if !current && (t.Solved.IsZero() || t.Seen > 0 || t.Unsure) && settles != nil && settles(key) {
			gone = append(gone, key)
		}
	}
	slices.Sort(gone)
	if len(problems)+len(gone) == 0 {
		return
	}
	var refused *connectwise.Error
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		a.log.Warn("no ticket is raised: ConnectWise does not accept the keys, and so would not take it either", "mend", "see cwvault check")
		return
	case s.cw == nil:
		a.log.Warn("no ticket is raised: the settings for ConnectWise do not do", "mend", "see cwvault check")
		return
	}
	if err := s.connect(ctx); err != nil { // the vault has the keys
		a.log.Warn("no ticket is raised: the keys of ConnectWise cannot be had", "error", plain(err.Error()), "mend", "see cwvault check")
		return
	}
	a.desk = s.cw
	a.all(ctx, problems, gone)
}

// errUnclaimed: the journal does not take note of a problem.
var errUnclaimed = errors.New("the problem cannot be taken on")

// alerter is one round of raising tickets.
type alerter struct {
	desk    ticketDesk
	book    ticketBook
	cfg     *config
	address string // of the vault
	log     hclog.Logger
	run     int64 // 0 if it has no number
	whole   bool  // the run has seen all there is of each problem
	raised  int
	app     *app
}

// recall puts into the book what this process has raised while there was none.
func (a *alerter) recall(ctx context.Context, remembered map[string]journal.Ticket) {
	if _, none := a.book.(noBook); none {
		return
	}
	for key := range a.app.unbooked {
		if t, known := remembered[key]; !known || !t.Solved.IsZero() {
			t = journal.Ticket{Problem: key, Since: time.Now(), Unsure: true}
			if a.book.PutTicket(ctx, t) != nil {
				continue // until the next run
			}
			remembered[key] = t
		}
		delete(a.app.unbooked, key)
	}
}

// all goes through the problems that are and those that are gone. What goes
// wrong with one is no reason to leave out the others, unless it would go wrong
// with them too.
func (a *alerter) all(ctx context.Context, problems []problem, gone []string) {
	failed := func(key string, err error) (stop bool) {
		if err != nil {
			a.warn(key, err)
		}
		return errors.Is(err, connectwise.ErrUnauthorized) || ctx.Err() != nil
	}
	for _, key := range gone {
		if failed(key, a.claimed(ctx, key, a.settle)) {
			return
		}
	}
	for _, p := range problems {
		raise := func(ctx context.Context, t *journal.Ticket) error { return a.raise(ctx, p, t) }
		err := a.claimed(ctx, p.key, raise)
		if errors.Is(err, errUnclaimed) && ctx.Err() == nil { // a full disk is no reason to say nothing
			a.log.Warn("what is raised now is not remembered", "error", plain(err.Error()), "mend", "see cwvault check")
			a.book = noBook{}
			err = a.claimed(ctx, p.key, raise)
		}
		if failed(p.key, err) {
			return
		}
	}
}

// warn logs what went wrong with a ticket.
func (a *alerter) warn(key string, err error) {
	mend := "the next run tries again; cwvault check tests the right to tickets, the board, the priority and the company"
	if errors.Is(err, context.DeadlineExceeded) {
		mend = "the next run tries again"
	}
	a.log.Warn("a ticket could not be raised or noted; the run is not affected", "problem", key, "error", plain(err.Error()), "mend", mend)
}

// claimed calls f with what is remembered of a problem, and remembers what f
// makes of it, also when f fails half way; an empty name forgets it. While
// somebody else works on the problem, in this process or another one, it does
// nothing: that one says what is to be said, or the next run does.
//
// So two processes raise one ticket as long as they share a journal. Two with
// journals of their own, for one vault and root, look for each other's ticket
// first; within the time between looking and raising, which is that of one
// request, both may raise one.
func (a *alerter) claimed(ctx context.Context, key string, f func(context.Context, *journal.Ticket) error) error {
	t, ours, err := a.book.ClaimTicket(ctx, key)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnclaimed, err)
	}
	if !ours {
		return nil
	}
	err = f(ctx, &t)
	t.Unsure = err != nil
	if _, none := a.book.(noBook); none {
		if a.app.unbooked == nil {
			a.app.unbooked = map[string]bool{}
		}
		a.app.unbooked[key] = true
	}
	ctx = context.WithoutCancel(ctx)
	if t.Problem == "" {
		return errors.Join(err, a.book.ForgetTicket(ctx, key))
	}
	return errors.Join(err, a.book.PutTicket(ctx, t))
}

// settle notes on the ticket of a problem that it is gone.
func (a *alerter) settle(ctx context.Context, t *journal.Ticket) error {
	watched, counted := t.ID != 0 && t.Mark != unwatched, t.Seen > 0
	t.Seen, t.Mark = 0, ""
	if !t.Solved.IsZero() && !t.Unsure {
		return nil
	}
	if t.ID == 0 && t.Unsure && !counted { // one may have been raised that nobody remembers
		open, found, err := a.desk.OpenTicket(ctx, problem{key: t.Problem}.xref(a.cfg.ConnectWiseCompany, a.address, a.cfg.Root))
		if err != nil {
			return err
		}
		t.ID, watched = open.ID, found
	}
	if watched {
		now, found, err := a.desk.Ticket(ctx, t.ID)
		if err != nil {
			return err
		}
		if found && !now.Closed {
			if err := a.desk.NoteTicket(ctx, t.ID, solvedNote(a.run)); err != nil {
				return err
			}
			a.log.Info("problem solved", "problem", t.Problem, "ticket", t.ID)
			t.Solved, t.Items = time.Now(), nil
			return nil
		}
	}
	t.Problem = "" // there is nothing that a return of the problem could go on with
	return nil
}

// raise sees that there is an open ticket for a problem and that it says all
// that is to be said.
func (a *alerter) raise(ctx context.Context, p problem, t *journal.Ticket) error {
	open := t.ID != 0 && t.Solved.IsZero()
	switch {
	case p.repeated == 0:
	case open:
		// What else the run made is no part of this.
		if p = p.only(t.Items); len(p.items) == 0 {
			return a.settle(ctx, t)
		}
	default:
		if t.Mark != p.mark {
			t.Mark, t.Seen = p.mark, 0
		}
		if t.Seen++; t.Seen < p.repeated {
			return nil
		}
	}
	if open && t.Mark == unwatched {
		return nil
	}
	if t.ID != 0 {
		now, found, err := a.desk.Ticket(ctx, t.ID)
		if err != nil {
			return err
		}
		if !found || now.Closed {
			t.ID = 0
		}
	}
	if t.ID == 0 {
		return a.create(ctx, p, t)
	}
	added := p.added(t.Items)
	switch {
	case !open:
		if err := a.desk.NoteTicket(ctx, t.ID, p.backNote(t.Solved)); err != nil {
			return err
		}
		a.log.Info("problem is back", "problem", p.key, "ticket", t.ID)
		t.Since, t.Solved = time.Now(), time.Time{}
	case len(added) > 0:
		if err := a.desk.NoteTicket(ctx, t.ID, p.moreNote(added)); err != nil {
			return err
		}
		a.log.Info("problem has grown", "problem", p.key, "ticket", t.ID, "items", len(p.items))
	}
	a.remember(p, t)
	return nil
}

// create raises a ticket, unless there is one that the book does not know: the
// journal was lost, or the answer to an earlier try was.
func (a *alerter) create(ctx context.Context, p problem, t *journal.Ticket) error {
	if !t.Solved.IsZero() {
		t.Since, t.Solved = time.Now(), time.Time{}
	}
	xref := p.xref(a.cfg.ConnectWiseCompany, a.address, a.cfg.Root)
	now, found, err := a.desk.OpenTicket(ctx, xref)
	if err != nil {
		return err
	}
	if found {
		if _, forgetful := a.book.(noBook); !forgetful { // or it would say so after each run
			if err := a.desk.NoteTicket(ctx, now.ID, p.foundNote()); err != nil {
				return err
			}
		}
		a.log.Info("open ticket found", "problem", p.key, "ticket", now.ID)
	} else {
		if a.raised == maxRaised {
			a.log.Info("enough tickets for one run; the next one raises more", "problem", p.key)
			return nil
		}
		a.raised++
		settings := connectwise.TicketSettings{Company: a.cfg.TicketCompany, Board: a.cfg.TicketBoard, Priority: a.cfg.TicketPriority}
		if now, err = a.desk.CreateTicket(ctx, settings, p.title(a.cfg), p.note(a.cfg, t.Since, a.run), xref); err != nil {
			return err
		}
		a.log.Info("ticket raised", "problem", p.key, "ticket", now.ID)
		if seen, found, err := a.desk.Ticket(ctx, now.ID); err == nil && (!found || seen.Closed) {
			t.Mark = unwatched
			a.log.Warn("the ticket cannot be read or is closed already; nothing more is noted on it, and no other is raised until the problem is gone", "problem", p.key,
				"ticket", now.ID, "mend", "give the API member's role Service Desk > Service Tickets: Inquire = All, and let no workflow close these tickets")
		}
	}
	t.ID, t.Items = now.ID, nil
	a.remember(p, t)
	return nil
}

// remember notes which items the ticket tells of. A run of some companies knows
// nothing of the others.
func (a *alerter) remember(p problem, t *journal.Ticket) {
	keys := p.keys()
	if !a.whole {
		keys = append(keys, t.Items...)
		slices.Sort(keys)
		keys = slices.Compact(keys)
	}
	t.Items = keys
}
