package tickets

import (
	"context"
	gosync "sync"

	"cwvault/sync/journal"
	"cwvault/sync/run"
)

// Unbooked remembers the problems for which tickets were raised while there was
// no [Book]. It outlives a [Clerk]: the next one that has a book enters them
// there, so that they are noted as solved one day. The zero value is empty. Its
// methods may be called from several goroutines at once, and a nil pointer
// remembers nothing.
type Unbooked struct {
	mu       gosync.Mutex
	problems map[string]bool
}

func (u *Unbooked) add(problem string) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.problems == nil {
		u.problems = map[string]bool{}
	}
	u.problems[problem] = true
}

// enter calls f with each problem, and forgets those for which f succeeds.
func (u *Unbooked) enter(f func(problem string) error) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for problem := range u.problems {
		if f(problem) == nil {
			delete(u.problems, problem)
		}
	}
}

// noBook stands in for a book that cannot be had. It remembers nothing.
type noBook struct{ now run.Clock }

func (noBook) Tickets(context.Context) (map[string]journal.Ticket, error) { return nil, nil }

func (b noBook) ClaimTicket(_ context.Context, problem string) (journal.Ticket, bool, error) {
	return journal.Ticket{Problem: problem, Since: b.now()}, true, nil
}

func (noBook) PutTicket(context.Context, journal.Ticket) error { return nil }

func (noBook) ForgetTicket(context.Context, string) error { return nil }
