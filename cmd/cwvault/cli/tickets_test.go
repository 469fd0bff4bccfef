package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/connectwise/connectwisetest"
	"cwvault/scheduler/api"
	"cwvault/vault/secretserver/secretservertest"
)

// ticketSite is a site whose problems become tickets for its own office.
type ticketSite struct{ *vaultSite }

func newTicketSite(t *testing.T) ticketSite {
	t.Helper()
	s := ticketSite{newVaultSite(t)}
	s.world.add(1, "Our own company", "Customer", "Active")
	s.env = append(s.env, "CWVAULT_TICKETS=on", "CWVAULT_TICKET_COMPANY=co1", "CWVAULT_LOG_LEVEL=info")
	return s
}

// run runs cwvault, and returns its output and its log.
func (s ticketSite) run(want int, args ...string) (out, log string) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	if code := cwvault(s.t.Context(), args, s.env, &stdout, &stderr); code != want {
		s.t.Fatalf("cwvault %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, &stdout, &stderr)
	}
	return stdout.String(), stderr.String()
}

// expect wants as many tickets, with as many notes each.
func (s ticketSite) expect(when string, notes ...int) []connectwisetest.Ticket {
	s.t.Helper()
	tickets := s.world.Tickets()
	var got []int
	for _, ticket := range tickets {
		got = append(got, len(ticket.Notes))
	}
	if diff := cmp.Diff(notes, got); diff != "" {
		s.t.Fatalf("%s: notes on each ticket (-want +got):\n%s\n%+v", when, diff, tickets)
	}
	return tickets
}

// says wants a ticket's last note to have all of words, and none of not.
func (s ticketSite) says(ticket connectwisetest.Ticket, words, not []string) {
	s.t.Helper()
	last := ticket.Notes[len(ticket.Notes)-1]
	for _, word := range words {
		if !strings.Contains(last, word) {
			s.t.Errorf("no %q in the last note of %q:\n%s", word, ticket.Summary, last)
		}
	}
	for _, word := range not {
		if strings.Contains(last, word) {
			s.t.Errorf("%q in the last note of %q:\n%s", word, ticket.Summary, last)
		}
	}
}

// onTickets matches requests about tickets.
func onTickets(method string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return (method == "" || r.Method == method) && strings.Contains(r.URL.Path, "/service/tickets")
	}
}

// Without a journal a run fails, and that is a problem like others, but nothing
// is known of what was said before.
func TestTicketJournalBroken(t *testing.T) {
	s := newTicketSite(t)
	if err := os.WriteFile(s.statePath(), bytes.Repeat([]byte("no database"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.run(exitFailed, "resync")
		ticket := s.expect("a broken journal", 1)[0]
		s.says(ticket, []string{"CWVAULT_STATE", "move it away"}, nil)
	}
	s.restore(nil)
	s.run(exitOK, "resync")
	s.expect("a new journal", 1)
}

// Steps that fail are one problem, also while they rest.
func TestTicketSteps(t *testing.T) {
	s := newTicketSite(t)
	s.run(exitOK, "resync")
	s.world.add(2, "Two", "Customer", "Active")
	s.server.AddFault(secretservertest.Fault{Match: secretservertest.On(http.MethodPost, "/api/v1/folders"), Status: http.StatusForbidden})
	s.run(exitPartial, "resync")
	ticket := s.expect("a step fails", 1)[0]
	s.says(ticket, []string{`company 2 "Two"`, "failed: ", "403", "`cwvault history 2`"}, nil)
	if !strings.HasPrefix(ticket.Summary, "cwvault: steps fail (") {
		t.Errorf("summary %q", ticket.Summary)
	}
	s.run(exitPartial, "resync")
	if out, _ := s.run(exitOK, "resync"); !strings.Contains(out, "failed-before") {
		t.Errorf("it does not rest:\n%s", out)
	}
	s.expect("it rests", 1)
	s.world.add(3, "Three", "Customer", "Active")
	s.run(exitPartial, "resync")
	s.says(s.expect("another one fails", 2)[0], []string{"company 3"}, []string{"company 2"})
	s.server.ClearFaults()
	s.inJournal(`UPDATE cwvault_failure SET next = 1`)
	s.run(exitOK, "resync")
	s.says(s.expect("it works", 3)[0], []string{"Solved"}, nil)
}

// A guard's ticket has the command that approves the plan.
func TestTicketGuard(t *testing.T) {
	t.Parallel()
	s := newTicketSite(t)
	s.env = append(s.env, "CWVAULT_MAX_RENAMES=5%")
	for i := range 300 {
		s.world.add(1000+i, fmt.Sprintf("Customer %03d", i), "Customer", "Active")
	}
	s.run(exitOK, "resync")
	for i := range 300 {
		s.world.Rename(1000+i, fmt.Sprintf("Client %03d", i))
	}
	s.run(exitHeld, "resync")
	ticket := s.expect("300 held", 1)[0]
	s.says(ticket, []string{"300 of 301 folders would be renamed", "and 280 more"}, []string{"because"})
	if n := strings.Count(ticket.Notes[0], "\n- company "); n != 20 || len(ticket.Notes[0]) > 4000 {
		t.Errorf("%d companies are listed in %d bytes:\n%s", n, len(ticket.Notes[0]), ticket.Notes[0])
	}
	command := regexp.MustCompile("\n`cwvault (resync --approve [0-9a-f]+)` approves").FindStringSubmatch(ticket.Notes[0])
	if command == nil {
		t.Fatalf("no command:\n%s", ticket.Notes[0])
	}
	s.run(exitOK, strings.Fields(command[1])...)
	s.says(s.expect("approved", 2)[0], []string{"Solved"}, nil)
}

// What is taken back before each run is a problem from the third time on.
func TestTicketRepeat(t *testing.T) {
	t.Parallel()
	s := newTicketSite(t)
	s.world.add(2, "Two", "Customer", "Active")
	s.run(exitOK, "resync")
	undo := func() {
		t.Helper()
		for _, f := range s.server.Folders() {
			if f.Path == `\Clients\Customer\Active\Two` {
				if err := s.server.RenameFolder(f.ID, "Taken back", "somebody"); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
		t.Fatalf("no folder: %v", s.server.Folders())
	}
	for n := range 2 {
		undo()
		s.run(exitOK, "resync")
		s.run(exitOK, "resync", "--company", "co1") // does not count
		s.expect(fmt.Sprintf("taken back %d times", n+1))
	}
	undo()
	s.run(exitOK, "resync")
	s.says(s.expect("taken back three times", 1)[0], []string{"3 runs in a row", `\Clients\Customer\Active\Two`}, nil)
	undo()
	s.world.add(3, "Three", "Customer", "Active")
	s.run(exitOK, "resync")
	s.expect("taken back a fourth time", 1)
	s.world.add(4, "Four", "Customer", "Active")
	s.run(exitOK, "resync")
	s.says(s.expect("another change alone", 2)[0], []string{"Solved"}, nil)
	for range 3 {
		s.run(exitOK, "resync")
		s.expect("nothing to do", 2)
		undo()
		s.run(exitOK, "resync")
		s.expect("taken back now and then", 2)
	}
	s.run(exitOK, "resync")
	for range 3 {
		undo()
		s.run(exitOK, "resync")
	}
	s.says(s.expect("three times again", 3)[0], []string{"This is back"}, nil)
}

// The service raises tickets after its runs, and notes that they are solved.
func TestTicketServe(t *testing.T) {
	t.Parallel()
	s := newTicketSite(t)
	s.world.add(2, "Two", "none", "Active")
	service := serveHere(t, s.env)
	run := func(what string, ok func([]connectwisetest.Ticket) bool) {
		t.Helper()
		service.over(service.ask(api.Request{}))
		service.eventually(what, func() bool { return ok(s.world.Tickets()) })
	}
	run("raised", func(all []connectwisetest.Ticket) bool { return len(all) == 1 })
	s.world.SetTypes(2, s.world.types["Customer"])
	run("solved", func(all []connectwisetest.Ticket) bool { return len(all[0].Notes) == 2 })
	service.over(service.ask(api.Request{})) // by its end the journal knows of the ticket, and nobody uses it
	if err := os.WriteFile(s.statePath(), []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	run("the journal is damaged", func(all []connectwisetest.Ticket) bool { return len(all) == 2 })
	s.restore(nil)
	run("a new journal", func(all []connectwisetest.Ticket) bool { return len(all[1].Notes) == 2 })
	if err := service.end(); err != nil {
		t.Error(err)
	}
	last := s.expect("in the end", 2, 2)[1]
	s.says(last, []string{"Solved:"}, nil)
	if !strings.Contains(last.Notes[0], "journal") {
		t.Errorf("the ticket is about something else:\n%s", last.Notes[0])
	}
}

// TestTicketTroubles lets the tickets go wrong in all ways. The run is the same
// as without them.
func TestTicketTroubles(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]struct {
		fault   connectwisetest.Fault
		role    connectwisetest.Role
		env     string
		warning string
		tickets int
	}{
		"fails":          {fault: connectwisetest.Fault{Match: onTickets(http.MethodPost), Status: 500, Body: "{}"}, warning: "500 Internal Server Error"},
		"is forbidden":   {role: connectwisetest.Role{NoTickets: true}, warning: "Service Tickets"},
		"is a page":      {fault: connectwisetest.Fault{Match: onTickets(""), Status: 200, Body: "<html>", ContentType: "text/html"}, warning: "HTML"},
		"board unknown":  {env: "CWVAULT_TICKET_BOARD=Surf", warning: "cwvault check tests the right to tickets, the board"},
		"answer lost":    {fault: connectwisetest.Fault{Match: connectwisetest.On(http.MethodPost, "/service/tickets"), CutAfter: -1, Times: 1}, tickets: 1},
		"answer garbled": {fault: connectwisetest.Fault{Match: connectwisetest.On(http.MethodPost, "/service/tickets"), CutAfter: 20, Times: 1}, tickets: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTicketSite(t)
			s.world.add(2, "Two", "none", "Active")
			s.world.AddFault(trouble.fault)
			if trouble.fault.Match == nil {
				s.world.ClearFaults()
			}
			s.world.Behave(func(b *connectwisetest.Behaviour) { b.Role = trouble.role })
			if trouble.env != "" {
				s.env = append(s.env, trouble.env)
			}
			out, log := s.run(exitOK, "resync")
			if !strings.Contains(out, "2 created") && !strings.Contains(out, "Our own company") {
				t.Errorf("the run is not the same:\n%s", out)
			}
			warnings := strings.Count(log, "[WARN]  cwvault.tickets:")
			if trouble.warning == "" && warnings != 0 || trouble.warning != "" && (warnings != 1 || !strings.Contains(log, trouble.warning)) {
				t.Errorf("warnings: %d, want %q in it:\n%s", warnings, trouble.warning, log)
			}
			if strings.Contains(log, s.world.PrivateKey()) {
				t.Error("the log has the key")
			}
			s.world.ClearFaults()
			s.world.Behave(func(b *connectwisetest.Behaviour) { b.Role = connectwisetest.Role{} })
			if len(s.world.Tickets()) != trouble.tickets {
				t.Errorf("%d tickets, want %d", len(s.world.Tickets()), trouble.tickets)
			}
			s.env = append(s.env, "CWVAULT_TICKET_BOARD=Service Desk")
			s.run(exitOK, "resync")
			s.expect("when it works", 1)
		})
	}
}

// A create whose answer is lost, and which cannot be looked for at once, is
// found by the next run.
func TestTicketAnswerLost(t *testing.T) {
	t.Parallel()
	s := newTicketSite(t)
	s.world.add(2, "Two", "none", "Active")
	s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodPost, "/service/tickets"), CutAfter: -1, Times: 1})
	s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodGet, "/service/tickets"), Skip: 1, Status: http.StatusForbidden, Body: "{}"})
	_, log := s.run(exitOK, "resync")
	if !strings.Contains(log, "it is unknown whether") {
		t.Errorf("nobody is unsure:\n%s", log)
	}
	s.expect("made all the same", 1)
	s.world.ClearFaults()
	s.run(exitOK, "resync")
	s.says(s.expect("found", 2)[0], []string{"uses it from now on"}, nil)
}

// With keys that do not do, nothing is sent but the run's own requests.
func TestTicketWrongKeys(t *testing.T) {
	s := newTicketSite(t)
	s.env = append(s.env, "CWVAULT_CONNECTWISE_PRIVATE_KEY=wrong")
	_, log := s.run(exitUnauthorized, "resync")
	if strings.Count(log, "no ticket is raised") != 1 {
		t.Errorf("no warning:\n%s", log)
	}
	for _, r := range s.world.Requests() {
		if strings.Contains(r.Path, "/service/") {
			t.Errorf("request %s %s", r.Method, r.Path)
		}
	}
	s.env = append(s.env, "CWVAULT_CONNECTWISE_PRIVATE_KEY="+s.world.PrivateKey(), "CWVAULT_VAULT_PASSWORD=wrong")
	s.run(exitUnauthorized, "resync")
	ticket := s.expect("the vault's password", 1)[0]
	if !strings.HasPrefix(ticket.Summary, "cwvault: runs fail: not authorised by the vault (") {
		t.Errorf("summary %q", ticket.Summary)
	}
	s.says(ticket, []string{"sign in", "`cwvault check`"}, []string{"wrong"})
}

// Without the setting nothing is asked, and with nothing to say neither.
func TestTicketsNotAskedFor(t *testing.T) {
	s := newTicketSite(t)
	s.run(exitOK, "resync")
	s.world.add(2, "Two", "none", "Active")
	s.env = append(s.env, "CWVAULT_TICKETS=off")
	s.run(exitOK, "resync")
	asked := 0
	for _, r := range s.world.Requests() {
		asked++
		if strings.Contains(r.Path, "/service/") {
			t.Errorf("request %s %s", r.Method, r.Path)
		}
	}
	if asked == 0 {
		t.Error("no requests at all")
	}
}

// The run that a ticket is about has given back its lease.
func TestTicketNeedsNoLease(t *testing.T) {
	s := newTicketSite(t)
	s.world.add(2, "Two", "none", "Active")
	entered, leave := make(chan struct{}), make(chan struct{})
	s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodPost, "/service/tickets"), Times: 1,
		Before: func() { close(entered); <-leave }})
	ended := make(chan int)
	var stderr bytes.Buffer
	go func() { ended <- cwvault(t.Context(), []string{"resync"}, s.env, io.Discard, &stderr) }()
	<-entered
	s.run(exitOK, "resync")
	close(leave)
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d:\n%s", code, &stderr)
	}
	s.expect("both runs", 1)
}

// A stopped run does not go on about tickets.
func TestTicketsEndWithTheRun(t *testing.T) {
	s := newTicketSite(t)
	s.world.add(2, "Two", "none", "Active")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.world.AddFault(connectwisetest.Fault{Match: onTickets(""), Before: cancel, Hang: true})
	var out bytes.Buffer
	if code := cwvault(ctx, []string{"resync"}, s.env, &out, &out); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &out)
	}
}

// A check with tickets looks at the right to them and at the names.
func TestTicketCheck(t *testing.T) {
	for name, test := range map[string]struct {
		env  []string
		role connectwisetest.Role
		code int
		want []string
	}{
		"all there": {want: []string{"ok tickets", "ok ticket company", "ok ticket board", "ok ticket priority"}},
		"off":       {env: []string{"CWVAULT_TICKETS=off"}, want: []string{"warn tickets"}}, // they can be read, and need not be
		"no right":  {role: connectwisetest.Role{NoTicketAdd: true}, code: exitUnauthorized, want: []string{"fail tickets", "ok ticket company", "ok ticket board", "ok ticket priority"}},
		"names": {env: []string{"CWVAULT_TICKET_BOARD=Surf", "CWVAULT_TICKET_PRIORITY=Never", "CWVAULT_TICKET_COMPANY=nobody"}, code: exitConfig,
			want: []string{"ok tickets", "fail ticket company", "fail ticket board", "fail ticket priority"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTicketSite(t)
			s.env = append(append(s.env, "CWVAULT_TICKET_BOARD=Service Desk", "CWVAULT_TICKET_PRIORITY=1"), test.env...)
			s.world.Behave(func(b *connectwisetest.Behaviour) { b.Role = test.role })
			out, _ := s.run(test.code, "check", "--format", "json")
			var report struct {
				Checks []struct{ Level, What, Detail string }
			}
			if err := json.Unmarshal([]byte(out), &report); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range report.Checks {
				if what, ok := strings.CutPrefix(f.What, "ConnectWise "); ok && strings.HasPrefix(what, "ticket") {
					got = append(got, f.Level+" "+what)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, out)
			}
			if n := len(s.world.Tickets()); n != 0 {
				t.Errorf("the check has raised %d tickets", n)
			}
		})
	}
}
