package journal

import (
	"context"
	"encoding/json"
	"time"
)

// claimLife is how long a claim on a problem lasts. A process that has not ended
// its claim by then was killed.
const claimLife = time.Minute

// Ticket is what the journal remembers of a problem that has a ticket or may need
// one.
type Ticket struct {
	Problem string
	ID      int       // of the ticket; 0 while there is none
	Since   time.Time // when the problem was first seen
	Solved  time.Time // when it was first absent; zero while it lasts
	Seen    int       // in how many runs in a row it was seen, for problems that count runs
	Mark    string    // distinguishes one occurrence of the problem from another
	Items   []string  // the keys that the problem affects
	// Unsure: a ticket may exist, or say something, that the journal does not
	// remember. The last caller did not know, or never ended its claim.
	Unsure bool
}

// Tickets returns all remembered problems by name.
func (j *Journal) Tickets(ctx context.Context) (map[string]Ticket, error) {
	list, err := rows(ctx, j, "read tickets", scanTicket(j.now()), `SELECT `+ticketColumns+`, claimed FROM cwvault_ticket`)
	m := make(map[string]Ticket, len(list))
	for _, t := range list {
		m[t.Problem] = t
	}
	return m, err
}

const ticketColumns = `problem, ticket, since, solved, seen, mark, items`

func scanTicket(now time.Time) func(scan func(...any) error) (Ticket, error) {
	return func(scan func(...any) error) (t Ticket, err error) {
		var items text
		var claimed stamp
		err = scan((*text)(&t.Problem), &t.ID, (*stamp)(&t.Since), (*stamp)(&t.Solved), &t.Seen, (*text)(&t.Mark), &items, &claimed)
		if err == nil {
			err = json.Unmarshal([]byte(items), &t.Items)
		}
		t.Unsure = !time.Time(claimed).IsZero() && !time.Time(claimed).After(now)
		return t, err
	}
}

// ClaimTicket reserves the problem for this caller until PutTicket or
// ForgetTicket, but at most for a minute. It returns what the journal remembers of
// the problem; a new problem has only Since, the current time. ours is false while
// another caller, in this process or another, has claimed it. It needs no lease.
func (j *Journal) ClaimTicket(ctx context.Context, problem string) (t Ticket, ours bool, err error) {
	if err := ctx.Err(); err != nil {
		return Ticket{}, false, err
	}
	now := j.now()
	before, err := rows(ctx, j, "read a ticket", scanTicket(now), `SELECT `+ticketColumns+`, claimed FROM cwvault_ticket WHERE problem = $1`, text(problem))
	if err != nil {
		return Ticket{}, false, err
	}
	// A claim that ends much too late is from before the clock was set back. One
	// that ends a little too late is from a caller that read the clock after this
	// one.
	n, err := j.exec(ctx, "claim a problem", false, `INSERT INTO cwvault_ticket (`+ticketColumns+`, claimed)
		VALUES ($1, 0, $2, 0, 0, '', '[]', $3) ON CONFLICT (problem) DO UPDATE SET claimed = excluded.claimed
		WHERE cwvault_ticket.claimed <= $2 OR cwvault_ticket.claimed > $4`,
		text(problem), stamp(now), stamp(now.Add(claimLife)), stamp(now.Add(2*claimLife)))
	if err != nil || n == 0 {
		return Ticket{}, false, err
	}
	found, err := rows(ctx, j, "read a ticket", scanTicket(now), `SELECT `+ticketColumns+`, claimed FROM cwvault_ticket WHERE problem = $1`, text(problem))
	if err != nil || len(found) == 0 {
		return Ticket{}, false, err
	}
	found[0].Unsure = len(before) > 0 && before[0].Unsure // the claim on it is ours now
	return found[0], true, nil
}

// PutTicket replaces what the journal remembers of a problem and ends the claim.
// It needs no lease.
func (j *Journal) PutTicket(ctx context.Context, t Ticket) error {
	if t.Items == nil {
		t.Items = []string{}
	}
	items, err := json.Marshal(t.Items)
	if err != nil {
		return err
	}
	claimed := time.Time{}
	if t.Unsure {
		claimed = time.UnixMilli(1) // as if nobody had ended a claim of long ago
	}
	_, err = j.exec(ctx, "write a ticket", false, `INSERT INTO cwvault_ticket (`+ticketColumns+`, claimed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (problem) DO UPDATE SET ticket = excluded.ticket, since = excluded.since,
		solved = excluded.solved, seen = excluded.seen, mark = excluded.mark, items = excluded.items, claimed = excluded.claimed`,
		text(t.Problem), t.ID, stamp(t.Since), stamp(t.Solved), t.Seen, text(t.Mark), text(items), stamp(claimed))
	return err
}

// ForgetTicket removes all memory of a problem. It needs no lease.
func (j *Journal) ForgetTicket(ctx context.Context, problem string) error {
	_, err := j.exec(ctx, "forget a ticket", false, `DELETE FROM cwvault_ticket WHERE problem = $1`, text(problem))
	return err
}
