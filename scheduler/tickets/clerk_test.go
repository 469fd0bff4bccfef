package tickets

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

// TestStory is the life of one problem.
func TestStory(t *testing.T) {
	o := newOffice(t)
	o.tell(untyped(2))
	ticket := o.expect("a problem", 1)[0]
	if want := `cwvault: companies without a type have no place (no-type) (acmeinc \Clients)`; ticket.Summary != want || ticket.XRef != "cwvault/acmeinc/12962999a937/held/no-type" {
		t.Errorf("ticket %+v, want %q", ticket, want)
	}
	o.says(ticket, []string{`- company 2 "Customer 2"`, "Give the company a type", "`cwvault explain 2`", "First seen 2026-03-01 13:00 UTC in run 1"}, []string{"new since"})
	o.tell(untyped(2))
	o.expect("the same problem", 1)

	o.tell(untyped(2, 3))
	o.says(o.expect("it has grown", 2)[0], []string{"This now affects 2 items, 1 of them new since the last note.", "company 3"}, []string{"company 2"})
	o.tell(untyped(2, 3))
	o.expect("as much", 2)
	o.tell(untyped(3))
	o.expect("it has shrunk", 2)
	o.tell(untyped(2, 3))
	o.says(o.expect("it has grown again", 3)[0], []string{"1 of them new", "company 2"}, []string{"company 3"})

	o.tell(done())
	o.says(o.expect("it is gone", 4)[0], []string{"Solved: run 7 "}, nil)
	o.tell(done())
	o.expect("it is gone still", 4)
	o.tell(untyped(3))
	o.says(o.expect("it is back", 5)[0], []string{"This is back. cwvault had noted it as solved on 2026-03-01 19:00 UTC.", "company 3"}, []string{"company 2"})
	o.tell(untyped(3))
	o.expect("it is there still", 5)

	o.close(1)
	o.tell(untyped(3))
	o.says(o.expect("closed though it is there", 5, 1)[1], []string{"company 3"}, nil)
	o.close(2)
	o.tell(done())
	o.expect("closed when it is gone", 5, 1)
	o.tell(untyped(3))
	o.expect("back when the ticket is closed", 5, 1, 1)

	o.tell(untyped(2, 3))
	o.expect("it has grown once more", 5, 1, 2)
	o.close(3)
	o.tell(of(untyped(2), "co2"))
	o.says(o.expect("closed, and a part of it seen", 5, 1, 2, 1)[3], []string{"company 2"}, []string{"company 3"})
	o.tell(untyped(2, 3))
	o.says(o.expect("the rest of it", 5, 1, 2, 2)[3], []string{"company 3"}, []string{"company 2"})
}

// A problem that comes back begins anew, also on a new ticket.
func TestBackOnANewTicket(t *testing.T) {
	o := newOffice(t)
	o.tell(untyped(2))
	o.tell(done())
	o.close(1)
	o.tell(untyped(2))
	o.says(o.expect("back", 2, 1)[1], []string{"First seen 2026-03-01 15:00 UTC in run 3"}, nil)
}

// A problem for which no ticket was raised is forgotten without asking the desk.
func TestNeverRaised(t *testing.T) {
	for _, never := range []journal.Ticket{{Problem: "held/cycle"}, {Problem: "repeat", Seen: 1, Unsure: true}} {
		o := newOffice(t)
		if err := o.clerk.Book.PutTicket(t.Context(), never); err != nil {
			t.Fatal(err)
		}
		o.tell(done())
		known, err := o.clerk.Book.Tickets(t.Context())
		if err != nil || len(known) > 0 || len(o.desk.calls) > 0 {
			t.Errorf("%s: remembered %v, error %v, calls %v", never.Problem, known, err, o.desk.calls)
		}
	}
}

func TestDeletedTicket(t *testing.T) {
	o := newOffice(t)
	o.tell(untyped(2))
	o.expect("a problem", 1)
	o.desk.tickets = nil
	o.tell(untyped(2))
	if ticket := o.expect("its ticket is deleted", 1)[0]; ticket.ID != 2 {
		t.Errorf("it is ticket %d", ticket.ID)
	}
	o.desk.tickets = nil
	for range 2 {
		o.warns(o.tell(done()), 0, "")
	}
	o.expect("deleted and solved")
}

// A ticket that nobody lets cwvault see, or that something closes at once, is
// not raised run after run.
func TestUnwatchedTicket(t *testing.T) {
	for name, look := range map[string]func(Ticket) (Ticket, bool){
		"cannot be read": func(Ticket) (Ticket, bool) { return Ticket{}, false },
		"is closed":      func(t Ticket) (Ticket, bool) { return Ticket{t.ID, true}, true },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			o.desk.look = look
			o.warns(o.tell(untyped(2)), 1, "Inquire = All")
			o.close(1)
			for range 2 {
				o.warns(o.tell(untyped(2, 3)), 0, "")
			}
			o.expect("three runs", 1)
			o.desk.calls = nil
			o.tell(done())
			o.expect("gone", 1)
			if len(o.desk.calls) > 0 {
				t.Errorf("calls %v", o.desk.calls)
			}
			o.tell(untyped(3))
			o.expect("back", 1, 1)
		})
	}
}

// What a run has not looked at is neither solved nor forgotten.
func TestPartsAndFailures(t *testing.T) {
	o := newOffice(t)
	o.tell(untyped(2))
	o.tell(of(done(), "co3"))
	o.expect("a run of another company", 1)

	refused := failed(&run.ServerError{Server: run.ConnectWise, Err: fmt.Errorf("read companies: 403: %w", sync.ErrUnauthorized)})
	o.tell(refused)
	ticket := o.expect("a run fails", 1, 1)[1]
	if want := `cwvault: runs fail: not authorised by ConnectWise (acmeinc \Clients)`; ticket.Summary != want {
		t.Errorf("summary %q, want %q", ticket.Summary, want)
	}
	o.says(ticket, []string{"403", "`cwvault check`", "ended before its first step", " in run 3"}, nil)
	o.tell(of(refused, "co3"))
	o.expect("and another one", 1, 1)
	o.tell(of(done(), "co3"))
	o.expect("a run of a part works", 1, 1)

	o.tell(of(untyped(4), "co4"))
	o.says(o.expect("a part of the problem grows", 2, 1)[0], []string{"company 4"}, []string{"company 2"})
	o.tell(untyped(2, 4))
	o.says(o.expect("a whole run works", 2, 2)[1], []string{"Solved"}, nil)
	o.tell(failed(run.Usagef("no company")))
	o.tell(failed(run.WithCause(run.CauseStale, errors.New("the plan is another one"))))
	o.expect("mistakes of whoever asks", 2, 2)
}

// Steps that fail are one problem, also while they wait for their retry.
func TestFailingSteps(t *testing.T) {
	no := report.StepResult{Status: sync.StatusFailed, Error: "403 Forbidden"}
	o := newOffice(t)
	o.tell(withSteps(ended(report.Partial), no, made))
	ticket := o.expect("a step fails", 1)[0]
	o.says(ticket, []string{`- move to \Clients\X\Customer 1 (company 1 "Customer 1"): failed: 403 Forbidden`, "`cwvault history 1`"}, []string{"company 2"})
	if !strings.HasPrefix(ticket.Summary, "cwvault: steps fail (") {
		t.Errorf("summary %q", ticket.Summary)
	}
	o.tell(done(held(sync.HeldFailedBefore, 1)...))
	o.expect("it waits", 1)
	o.tell(withSteps(ended(report.Partial), no, no))
	o.says(o.expect("another one fails", 2)[0], []string{"company 2"}, []string{"company 1"})
	o.tell(withSteps(done(), made, made))
	o.says(o.expect("it works", 3)[0], []string{"Solved"}, nil)
}

// What is undone before each run is a problem from the third time on.
func TestRepeatedSteps(t *testing.T) {
	o := newOffice(t)
	again := withSteps(done(), made)
	other := withSteps(done(), made, made)
	other.Run.ID = "cafe"
	unlike := withSteps(done(), made, made)
	unlike.Run.ID, unlike.Run.Steps, unlike.Run.Results = "f00d", unlike.Run.Steps[1:], unlike.Run.Results[1:]
	for n := range 2 {
		o.tell(again)
		o.tell(of(again, "co1")) // does not count
		o.expect(fmt.Sprintf("undone %d times", n+1))
	}
	o.tell(unlike)
	o.expect("another change in between")
	for range 3 {
		o.tell(again)
	}
	o.says(o.expect("undone three times", 1)[0], []string{"3 runs in a row", `\Clients\X\Customer 1`, "type changed"}, nil)
	o.tell(other)
	o.expect("undone a fourth time, beside something else", 1)
	o.tell(unlike)
	o.says(o.expect("another change alone", 2)[0], []string{"Solved"}, nil)
	for range 3 {
		o.tell(done())
		o.expect("nothing to do", 2)
		o.tell(again)
		o.expect("undone now and then", 2)
	}
	o.tell(done())
	for range 3 {
		o.tell(again)
	}
	o.says(o.expect("three times again", 3)[0], []string{"This is back"}, nil)
}

func TestStaleTicket(t *testing.T) {
	o := newOffice(t)
	for range 2 {
		o.clerk.TellStale(t.Context(), noon)
		o.says(o.expect("stale", 1)[0], []string{"began 2026-03-01 12:00 UTC, more than three intervals"}, nil)
	}
	o.tell(withSteps(ended(report.Partial), report.StepResult{Status: sync.StatusFailed}))
	o.expect("a partial run", 1, 1)
	o.tell(done())
	o.says(o.expect("a good run", 2, 2)[0], []string{"Solved"}, nil)
}

// A lost journal raises nothing twice.
func TestJournalLost(t *testing.T) {
	o := newOffice(t)
	o.tell(untyped(2))
	o.clerk.Book = o.journal()
	o.tell(untyped(2, 3))
	o.says(o.expect("with a new journal", 2)[0], []string{"uses it from now on", "company 2", "company 3"}, nil)
	o.tell(untyped(2, 3))
	o.expect("with a known journal", 2)
	o.tell(done())
	o.says(o.expect("solved", 3)[0], []string{"Solved"}, nil)
}

// Two installations of one tenant have tickets of their own.
func TestTwoInstallations(t *testing.T) {
	o := newOffice(t)
	o.tell(untyped(2))
	first := o.clerk
	second := *first
	second.Installation.Root, second.Book = `\Others`, o.journal()
	o.clerk = &second
	o.tell(untyped(2))
	o.expect("the second one", 1, 1)
	o.clerk = first
	o.tell(done())
	o.expect("solved in the first one", 2, 1)
	o.clerk = &second
	o.tell(done())
	o.expect("solved in the second one", 2, 2)
}

// No flood, whatever happens.
func TestTicketsAreBounded(t *testing.T) {
	o := newOffice(t)
	var problems []Problem
	for i := range 25 {
		problems = append(problems, Problem{Key: fmt.Sprintf("test/%02d", i), Title: "x", What: "x", Fix: "x"})
	}
	for _, want := range []int{20, 25, 25} {
		o.clerk.tell(t.Context(), o.clerk.Book, news{problems: problems})
		if n := len(o.desk.tickets); n != want {
			t.Errorf("%d tickets, want %d", n, want)
		}
	}
}

// With nothing to say, nobody asks for the desk, and a nil clerk says nothing.
func TestNothingToSay(t *testing.T) {
	o := newOffice(t)
	o.clerk.Desk = nil // which would be a warning
	o.warns(o.tell(done()), 0, "")
	o.warns(o.tell(failed(run.Usagef("no company"))), 0, "")
	var nobody *Clerk
	nobody.Tell(t.Context(), untyped(2))
	nobody.TellUnopened(t.Context(), errors.New("x"))
	nobody.TellStale(t.Context(), time.Time{})
	if len(o.desk.calls) > 0 {
		t.Error(o.desk.calls)
	}
}

// The methods that an ordinary life needs, and no more: requests are limited.
func TestRequests(t *testing.T) {
	o := newOffice(t)
	for _, step := range []struct {
		ending run.Ending
		want   []string
	}{
		{untyped(2), []string{"open", "create", "read"}},
		{untyped(2), []string{"read"}},
		{untyped(2, 3), []string{"read", "note"}},
		{done(), []string{"read", "note"}},
		{done(), nil},
		{untyped(2), []string{"read", "note"}},
	} {
		o.desk.calls = nil
		o.tell(step.ending)
		if !slices.Equal(o.desk.calls, step.want) {
			t.Errorf("calls %v, want %v", o.desk.calls, step.want)
		}
	}
}
