package tickets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

const (
	// maxRaised bounds the tickets that are raised after one run. The next run
	// raises the rest.
	maxRaised = 20

	// unwatched is the mark of a problem whose ticket could not be read, or was
	// already closed, right after it was raised. Then the member's role or a
	// workflow is the cause and not a person, so a closed ticket must not raise
	// another one run after run.
	unwatched = "unwatched"
)

// errUnclaimed: the journal could not record that somebody takes on a problem.
var errUnclaimed = errors.New("the problem could not be claimed")

// round is one round at the desk.
type round struct {
	desk     Desk
	book     Book
	in       run.Installation
	fold     func(string) string
	unbooked *Unbooked
	log      hclog.Logger
	now      run.Clock
	run      int64 // 0: it has no number
	whole    bool  // the run has seen everything that each problem affects
	raised   int
}

// bookless reports whether nothing is remembered.
func (r *round) bookless() bool {
	_, none := r.book.(noBook)
	return none
}

// remembered returns what the book knows. If it cannot be read, the round goes
// on without it.
func (r *round) remembered(ctx context.Context) map[string]journal.Ticket {
	known, err := r.book.Tickets(ctx)
	if err != nil {
		r.log.Warn("the tickets raised before are not known", "error", report.Plain(err.Error()), "fix", seeCheck)
		r.book = noBook{r.now}
	}
	if r.bookless() {
		return nil
	}
	if known == nil {
		known = map[string]journal.Ticket{}
	}
	r.unbooked.enter(func(problem string) error {
		if t, ok := known[problem]; ok && t.Solved.IsZero() {
			return nil
		}
		t := journal.Ticket{Problem: problem, Since: r.now(), Unsure: true}
		if err := r.book.PutTicket(ctx, t); err != nil {
			return err
		}
		known[problem] = t
		return nil
	})
	return known
}

// all goes through the problems that are gone and those that are not. An error
// with one does not keep it from the others, unless they would fail too.
func (r *round) all(ctx context.Context, problems []Problem, gone []string) {
	failed := func(key string, err error) (stop bool) {
		if err != nil {
			r.warn(key, err)
		}
		return errors.Is(err, sync.ErrUnauthorized) || ctx.Err() != nil
	}
	for _, key := range gone {
		if failed(key, r.claimed(ctx, key, r.solve)) {
			return
		}
	}
	for _, p := range problems {
		raise := func(ctx context.Context, t *journal.Ticket) error { return r.raise(ctx, p, t) }
		err := r.claimed(ctx, p.Key, raise)
		if errors.Is(err, errUnclaimed) && ctx.Err() == nil { // a full disk is no reason to say nothing
			r.log.Warn("tickets raised now are not remembered", "error", report.Plain(err.Error()), "fix", seeCheck)
			r.book = noBook{r.now}
			err = r.claimed(ctx, p.Key, raise)
		}
		if failed(p.Key, err) {
			return
		}
	}
}

// warn logs what went wrong with a ticket.
func (r *round) warn(key string, err error) {
	fix := "the next run retries; cwvault check tests the right to tickets, the board, the priority and the company"
	if errors.Is(err, context.DeadlineExceeded) {
		fix = "the next run retries"
	}
	r.log.Warn("a ticket could not be raised or noted; the run is not affected", "problem", key, "error", report.Plain(err.Error()), "fix", fix)
}

// claimed calls f with what is remembered of a problem, and remembers what f
// makes of it, also when f fails halfway. f forgets the problem by emptying its
// name. While somebody else has claimed the problem, in this process or another,
// claimed does nothing: the other one does the work, or the next run does.
//
// So processes that share a journal raise one ticket. Two processes with
// journals of their own, for the same vault and root, find each other's ticket
// before they raise one. Both may still raise one if they look at the same
// moment: within the time of one request.
func (r *round) claimed(ctx context.Context, key string, f func(context.Context, *journal.Ticket) error) error {
	t, ours, err := r.book.ClaimTicket(ctx, key)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnclaimed, err)
	}
	if !ours {
		return nil
	}
	err = f(ctx, &t)
	t.Unsure = err != nil
	if r.bookless() {
		r.unbooked.add(key)
	}
	ctx = context.WithoutCancel(ctx)
	if t.Problem == "" {
		return errors.Join(err, r.book.ForgetTicket(ctx, key))
	}
	return errors.Join(err, r.book.PutTicket(ctx, t))
}

// solve notes on the ticket of a problem that it is gone.
func (r *round) solve(ctx context.Context, t *journal.Ticket) error {
	watched, counted := t.ID != 0 && t.Mark != unwatched, t.Seen > 0
	t.Seen, t.Mark = 0, ""
	if !t.Solved.IsZero() && !t.Unsure {
		return nil
	}
	if t.ID == 0 && t.Unsure && !counted { // one may have been raised that nobody remembers
		open, found, err := r.desk.OpenTicket(ctx, xref(r.in, r.fold, t.Problem))
		if err != nil {
			return err
		}
		t.ID, watched = open.ID, found
	}
	if watched {
		now, found, err := r.desk.Ticket(ctx, t.ID)
		if err != nil {
			return err
		}
		if found && !now.Closed {
			if err := r.desk.NoteTicket(ctx, t.ID, solvedNote(r.run)); err != nil {
				return err
			}
			r.log.Info("problem solved", "problem", t.Problem, "ticket", t.ID)
			t.Solved, t.Items = r.now(), nil
			return nil
		}
	}
	t.Problem = "" // should the problem come back, there is nothing to continue with
	return nil
}

// raise makes sure that a problem has an open ticket that says everything.
func (r *round) raise(ctx context.Context, p Problem, t *journal.Ticket) error {
	open := t.ID != 0 && t.Solved.IsZero()
	switch {
	case p.Repeats == 0:
	case open: // other steps of the run do not belong to it
		if p = p.only(t.Items); len(p.Items) == 0 {
			return r.solve(ctx, t)
		}
	default:
		if t.Mark != p.Mark {
			t.Mark, t.Seen = p.Mark, 0
		}
		if t.Seen++; t.Seen < p.Repeats {
			return nil
		}
	}
	if open && t.Mark == unwatched {
		return nil
	}
	if t.ID != 0 {
		now, found, err := r.desk.Ticket(ctx, t.ID)
		if err != nil {
			return err
		}
		if !found || now.Closed {
			t.ID = 0
		}
	}
	if t.ID == 0 {
		return r.findOrCreate(ctx, p, t)
	}
	return r.note(ctx, p, t, open)
}

// note tells on the ticket of a problem what is new. open says that the problem
// was there all the time.
func (r *round) note(ctx context.Context, p Problem, t *journal.Ticket, open bool) error {
	added := p.added(t.Items)
	switch {
	case !open:
		if err := r.desk.NoteTicket(ctx, t.ID, p.backNote(*t)); err != nil {
			return err
		}
		r.log.Info("problem is back", "problem", p.Key, "ticket", t.ID)
		r.restart(t)
	case len(added) > 0:
		if err := r.desk.NoteTicket(ctx, t.ID, p.grownNote(added)); err != nil {
			return err
		}
		r.log.Info("problem has grown", "problem", p.Key, "ticket", t.ID, "items", len(p.Items))
	}
	r.remember(p, t)
	return nil
}

// restart makes a solved problem one that begins now.
func (r *round) restart(t *journal.Ticket) {
	if !t.Solved.IsZero() {
		t.Since, t.Solved = r.now(), time.Time{}
	}
}

// findOrCreate raises a ticket, unless there is one that the book does not know:
// because the journal was lost, or the answer to an earlier attempt was.
func (r *round) findOrCreate(ctx context.Context, p Problem, t *journal.Ticket) error {
	r.restart(t)
	ref := xref(r.in, r.fold, p.Key)
	now, found, err := r.desk.OpenTicket(ctx, ref)
	switch {
	case err != nil:
		return err
	case found:
		if !r.bookless() { // which would note it after each run
			if err := r.desk.NoteTicket(ctx, now.ID, p.foundNote()); err != nil {
				return err
			}
		}
		r.log.Info("open ticket found", "problem", p.Key, "ticket", now.ID)
	case r.raised == maxRaised:
		r.log.Info("too many tickets for one run; the next run raises more", "problem", p.Key)
		return nil
	default:
		if now, err = r.create(ctx, p, t, ref); err != nil {
			return err
		}
	}
	t.ID, t.Items = now.ID, nil
	r.remember(p, t)
	return nil
}

// create raises a ticket, and reads it back.
func (r *round) create(ctx context.Context, p Problem, t *journal.Ticket, ref string) (Ticket, error) {
	r.raised++
	made, err := r.desk.CreateTicket(ctx, p.summary(r.in), p.firstNote(r.in, t.Since, r.run), ref)
	if err != nil {
		return made, err
	}
	r.log.Info("ticket raised", "problem", p.Key, "ticket", made.ID)
	if now, found, err := r.desk.Ticket(ctx, made.ID); err == nil && (!found || now.Closed) {
		t.Mark = unwatched
		r.log.Warn("the new ticket cannot be read or is already closed; nothing more is noted on it, and no other is raised until the problem is solved", "problem", p.Key,
			"ticket", made.ID, "fix", "give the API member's role Service Desk > Service Tickets: Inquire = All, and let no workflow close these tickets")
	}
	return made, nil
}

// remember records which items the ticket lists. A run of some companies knows
// nothing of the others.
func (r *round) remember(p Problem, t *journal.Ticket) {
	keys := p.keys()
	if !r.whole {
		keys = append(keys, t.Items...)
		slices.Sort(keys)
		keys = slices.Compact(keys)
	}
	t.Items = keys
}
