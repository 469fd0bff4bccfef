package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"cwvault/connectwise"
	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/vault"
	"cwvault/vault/secretserver/secretservertest"
)

func TestProblems(t *testing.T) {
	company := func(id int) *sync.PlanCompany {
		return &sync.PlanCompany{ID: id, Identifier: fmt.Sprintf("co%d", id), Name: fmt.Sprintf("Customer %d", id)}
	}
	held := func(code sync.HoldCode, ids ...int) (list []sync.Held) {
		for _, id := range ids {
			list = append(list, sync.Held{Code: code, Key: sync.CompanyKey(id), Company: company(id), Reason: "because"})
		}
		return list
	}
	report := func(outcome string, list ...sync.Held) *runReport {
		return &runReport{Plan: sync.Plan{ID: "beef", Held: list}, Run: 12, Outcome: outcome}
	}
	steps := func(r *runReport, results ...stepResult) *runReport {
		for i, result := range results {
			r.Steps = append(r.Steps, sync.Step{Op: sync.OpMove, Kind: sync.KindCompany, Key: sync.CompanyKey(i + 1), Company: company(i + 1), To: `\Clients\X`, Reason: "type changed"})
			r.Results = append(r.Results, result)
		}
		return r
	}
	lost := report(outcomePartial, held(sync.HeldNoType, 1)...)
	lost.lost = journal.ErrLost
	broken := report(outcomePartial)
	broken.Error = "commit to the store: no"
	some := request{only: []string{"1"}}
	for name, test := range map[string]struct {
		ending ending
		want   []string
	}{
		"all is well":              {ending{report: report(outcomeDone)}, nil},
		"nothing happened":         {ending{}, nil},
		"not authorised":           {ending{err: fmt.Errorf("x: %w", vault.ErrUnauthorized)}, []string{"run/unauthorized"}},
		"not allowed":              {ending{err: vault.ErrNotAllowed}, []string{"run/unauthorized"}},
		"source":                   {ending{err: &sync.SourceError{Problem: "none"}}, []string{"run/source"}},
		"incomplete":               {ending{err: connectwise.ErrIncomplete}, []string{"run/source"}},
		"settings":                 {ending{err: configf("x")}, []string{"run/settings"}},
		"unreachable":              {ending{err: vault.ErrUnavailable}, []string{"run/failed"}},
		"anything":                 {ending{err: errors.New("x")}, []string{"run/failed"}},
		"timeout":                  {ending{err: context.DeadlineExceeded}, []string{"run/failed"}},
		"stopped before the steps": {ending{err: fmt.Errorf("x: %w", context.Canceled)}, nil},
		"no lease":                 {ending{err: &journal.HeldError{}}, nil},
		"lease lost":               {ending{err: codeError{exitLease, journal.ErrLost}}, nil},
		"wrong company asked for":  {ending{err: usagef("no company")}, nil},
		"approved plan is old":     {ending{err: codeError{exitHeld, errors.New("x")}}, nil},
		"stopped":                  {ending{report: report(outcomeStopped, held(sync.HeldNoType, 1)...)}, nil},
		"lease lost in the steps":  {ending{report: lost}, nil},
		"held for several reasons": {ending{report: report(outcomeDone, slices.Concat(held(sync.HeldNoType, 2, 1), held(sync.HeldCycle, 3), held(sync.HeldExcluded, 4),
			held(sync.HeldPaused, 5), held(sync.HeldSettling, 6))...)}, []string{"held/cycle: company/3", "held/no-type: company/1 company/2"}},
		"held for a new reason": {ending{report: report(outcomeDone, held("moon", 2)...)}, []string{"held/moon: company/2"}},
		"steps fail and rest": {ending{report: steps(report(outcomePartial, held(sync.HeldFailedBefore, 4)...),
			stepResult{Status: sync.StatusDone}, stepResult{Status: sync.StatusFailed, Error: "no"}, stepResult{Status: sync.StatusSkipped, Error: "parent"})},
			[]string{"steps: company/2 company/3 company/4"}},
		"steps rest":             {ending{report: report(outcomeDone, held(sync.HeldFailedBefore, 4)...)}, []string{"steps: company/4"}},
		"the end of a run fails": {ending{report: broken}, []string{"steps: run"}},
		"steps are made":         {ending{report: steps(report(outcomeDone), stepResult{Status: sync.StatusDone})}, []string{"repeat: company/1"}},
		"steps of some":          {ending{request: some, report: steps(report(outcomeDone), stepResult{Status: sync.StatusDone})}, nil},
		"held of some":           {ending{request: some, report: report(outcomeDone, held(sync.HeldNoType, 1)...)}, []string{"held/no-type: company/1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range test.ending.problems() {
				line := p.key
				if len(p.items) > 0 {
					line += ": " + strings.Join(p.keys(), " ")
				}
				got = append(got, line)
				if p.summary == "" || p.what == "" || p.mend == "" {
					t.Errorf("%s: something is not said: %+v", p.key, p)
				}
				for _, word := range []string{"PLAN", "KEY", "%!", "Customer"} {
					if strings.Contains(p.summary+p.mend, word) {
						t.Errorf("%s: %q in %q, %q", p.key, word, p.summary, p.mend)
					}
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// Only a run that would have seen a problem can say that it is gone.
func TestProblemsSettle(t *testing.T) {
	done, partial := &runReport{Outcome: outcomeDone}, &runReport{Outcome: outcomePartial}
	for name, test := range map[string]struct {
		ending      ending
		held, stale bool
	}{
		"done":             {ending{report: done}, true, true},
		"partial":          {ending{report: partial}, true, false},
		"failed":           {ending{err: errors.New("x")}, false, false},
		"stopped":          {ending{report: &runReport{Outcome: outcomeStopped}}, false, false},
		"lease lost":       {ending{report: &runReport{Outcome: outcomePartial, lost: journal.ErrLost}}, false, false},
		"some companies":   {ending{request: request{only: []string{"1"}}, report: done}, false, false},
		"callback":         {ending{request: request{ids: []int{1}}, report: done}, false, false},
		"approved, of all": {ending{request: request{approve: "beef"}, report: done}, true, true},
	} {
		if got := test.ending.settles("held/no-type"); got != test.held {
			t.Errorf("%s: settles what is held: %v", name, got)
		}
		if got := test.ending.settles(problemStale); got != test.stale {
			t.Errorf("%s: settles staleness: %v", name, got)
		}
	}
}

// Every hold code is either something to be done by a person, with words for
// it, or not.
func TestRemediesAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../sync/hold.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "HoldCode" {
			found++
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if _, known := remedies[sync.HoldCode(code)]; !known || err != nil {
				t.Errorf("no remedy for %s", code)
			}
		}
		return true
	})
	if found < 18 {
		t.Errorf("only %d codes found", found)
	}
}

func TestTicketTitles(t *testing.T) {
	list := []problem{stale(time.Time{}), repeat(&runReport{})}
	for code := range remedies {
		list = append(list, holds(code, []sync.Held{{Code: code}}, "beef"))
	}
	for _, err := range []error{vault.ErrNotAllowed, &sync.SourceError{}, configf("x"), errors.New("x")} {
		list = append(list, failed(err)...)
	}
	list = append(list, stepsFail(&runReport{}, nil))
	long := strings.Repeat("Ünternehmen😀", 30)
	for _, p := range list {
		for _, c := range []*config{
			{environment: environment{ConnectWiseCompany: "acmeinc", Root: `\Clients`}},
			{environment: environment{ConnectWiseCompany: long, Root: `\` + long + "\x1b[31m"}},
		} {
			title, xref := p.title(c), p.xref(c.ConnectWiseCompany, "https://vault.example.com", c.Root)
			if n := len(utf16.Encode([]rune(title))); n > 100 || !strings.HasPrefix(title, "cwvault: "+p.summary) || strings.Contains(title, "\x1b") {
				t.Errorf("title of %d: %q", n, title)
			}
			if !regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,100}$`).MatchString(xref) {
				t.Errorf("reference %q", xref)
			}
		}
	}
}

func TestTicketReferences(t *testing.T) {
	p := problem{key: "steps"}
	one := p.xref("acmeinc", "https://vault.example.com", `\Clients`)
	if one != p.xref("acmeinc", "https://vault.example.com", `/clients/`) {
		t.Error("the same root written otherwise has another reference")
	}
	for _, other := range []string{
		p.xref("acme", "https://vault.example.com", `\Clients`), p.xref("acmeinc", "https://vault2.example.com", `\Clients`),
		p.xref("acmeinc", "https://vault.example.com", `\Clients\EMEA`), problem{key: "stale"}.xref("acmeinc", "https://vault.example.com", `\Clients`),
	} {
		if strings.EqualFold(one, other) {
			t.Errorf("%s stands for two", one)
		}
	}
}

func TestTicketTextIsClean(t *testing.T) {
	got := clean("see postgres://user:p%40ss@db/x and https://vault.example.com/a@b\nbell\x07 \u202eesrever")
	if want := "see postgres://db/x and https://vault.example.com/a@b\nbell\\u0007 \\u202eesrever"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestTicketLists(t *testing.T) {
	p := problem{items: []problemItem{{"a", "one\ntwo\x1b"}, {"b", strings.Repeat("é", 1000)}}}
	for i := range 30 {
		p.items = append(p.items, problemItem{fmt.Sprint(i), "more"})
	}
	var b strings.Builder
	p.list(&b, p.items)
	want := "\n- one two\\u001b\n- " + strings.Repeat("é", 399) + "…\n" + strings.Repeat("- more\n", 18) + "- and 12 more\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := cut("a😀😀", 4); got != "a😀…" {
		t.Errorf("half a character is cut: %q", got)
	}
}

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
	if code := run(s.t.Context(), args, s.env, &stdout, &stderr); code != want {
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

// TestTicketStory is the life of one problem.
func TestTicketStory(t *testing.T) {
	s := newTicketSite(t)
	s.world.add(2, "Two", "none", "Active")
	s.run(exitOK, "resync")
	ticket := s.expect("a problem", 1)[0]
	if want := `cwvault: companies without a type have no place (no-type) (` + s.world.Tenant() + ` \Clients)`; ticket.Summary != want || ticket.Company != 1 ||
		ticket.Board != "Service Desk" || !strings.HasPrefix(ticket.ExternalXRef, "cwvault/"+s.world.Tenant()+"/") || !strings.HasSuffix(ticket.ExternalXRef, "/held/no-type") {
		t.Errorf("ticket %+v,\nwant %q", ticket, want)
	}
	s.says(ticket, []string{`- company 2 "Two"`, "Give the companies a type", "`cwvault explain 2`", "Seen first 20", "in run 1"}, []string{"more"})

	s.run(exitOK, "resync")
	s.expect("the same problem", 1)

	s.world.add(3, "Three", "none", "Active")
	s.run(exitOK, "resync")
	s.says(s.expect("it has grown", 2)[0], []string{"1 of 2 are new", "company 3"}, []string{"company 2"})
	s.run(exitOK, "resync")
	s.expect("as much", 2)

	s.world.SetTypes(2, s.world.types["Customer"])
	s.run(exitOK, "resync")
	s.expect("it has shrunk", 2)
	s.world.SetTypes(2)
	s.run(exitOK, "resync")
	s.says(s.expect("it has grown again", 3)[0], []string{"1 of 2 are new", "company 2"}, []string{"company 3"})
	s.world.SetTypes(2, s.world.types["Customer"])
	s.world.SetTypes(3, s.world.types["Customer"])
	s.run(exitOK, "resync")
	s.says(s.expect("it is gone", 4)[0], []string{"Solved: run 7 "}, nil)
	s.run(exitOK, "resync")
	s.expect("it is gone still", 4)

	s.world.SetTypes(3)
	s.run(exitOK, "resync")
	s.says(s.expect("it is back", 5)[0], []string{"This is back.", "company 3"}, []string{"company 2"})
	s.run(exitOK, "resync")
	s.expect("it is there still", 5)

	s.world.CloseTicket(1)
	s.run(exitOK, "resync")
	s.says(s.expect("closed though it is there", 5, 1)[1], []string{"company 3"}, nil)
	s.world.CloseTicket(2)
	s.world.SetTypes(3, s.world.types["Customer"])
	s.run(exitOK, "resync")
	s.expect("closed when it is gone", 5, 1)
	s.world.SetTypes(3)
	s.run(exitOK, "resync")
	s.expect("back when the ticket is closed", 5, 1, 1)

	s.world.SetTypes(2)
	s.run(exitOK, "resync")
	s.expect("it has grown once more", 5, 1, 2)
	s.world.CloseTicket(3)
	s.run(exitOK, "resync", "--company", "co2")
	s.says(s.expect("closed, and a part of it seen", 5, 1, 2, 1)[3], []string{"company 2"}, []string{"company 3"})
	s.run(exitOK, "resync")
	s.says(s.expect("the rest of it", 5, 1, 2, 2)[3], []string{"company 3"}, []string{"company 2"})
}

func TestTicketDeleted(t *testing.T) {
	s := newTicketSite(t)
	s.world.add(2, "Two", "none", "Active")
	s.run(exitOK, "resync")
	s.expect("a problem", 1)
	s.world.DeleteTicket(1)
	s.run(exitOK, "resync")
	if ticket := s.expect("its ticket is deleted", 1)[0]; ticket.ID != 2 {
		t.Errorf("it is ticket %d", ticket.ID)
	}
	s.world.DeleteTicket(2)
	s.world.SetTypes(2, s.world.types["Customer"])
	for range 2 {
		_, log := s.run(exitOK, "resync")
		if strings.Contains(log, "[WARN]") {
			t.Errorf("deleted and solved:\n%s", log)
		}
	}
	s.expect("deleted and solved")
}

// A ticket that nobody lets cwvault see, or that something closes at once, is
// not raised run after run.
func TestTicketUnwatched(t *testing.T) {
	for name, fault := range map[string]connectwisetest.Fault{
		"cannot be read": {Match: func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/service/tickets/")
		},
			Status: http.StatusNotFound, Body: `{"code":"NotFound","message":"Service Ticket not found"}`},
		"is closed": {Match: func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/service/tickets/")
		},
			Edit: func(_ *http.Request, resp *connectwisetest.Response) {
				resp.Body = bytes.ReplaceAll(resp.Body, []byte(`"closedFlag":false`), []byte(`"closedFlag":true`))
			}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTicketSite(t)
			s.world.add(2, "Two", "none", "Active")
			s.world.AddFault(fault)
			s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodGet, "/service/tickets"),
				Edit: func(_ *http.Request, resp *connectwisetest.Response) { resp.Body = []byte("[]") }})
			_, log := s.run(exitOK, "resync")
			if strings.Count(log, "[WARN]") != 1 || !strings.Contains(log, "Inquire = All") {
				t.Errorf("no warning:\n%s", log)
			}
			s.world.add(3, "Three", "none", "Active")
			for range 2 {
				if _, log := s.run(exitOK, "resync"); strings.Contains(log, "[WARN]") {
					t.Errorf("warned again:\n%s", log)
				}
			}
			s.expect("three runs", 1)
			s.world.SetTypes(2, s.world.types["Customer"])
			s.world.SetTypes(3, s.world.types["Customer"])
			s.run(exitOK, "resync")
			s.expect("gone", 1)
			s.world.SetTypes(3)
			s.run(exitOK, "resync")
			s.expect("back", 1, 1)
		})
	}
}

// A lost journal does not raise anything twice.
func TestTicketJournalLost(t *testing.T) {
	s := newTicketSite(t)
	s.world.add(2, "Two", "none", "Active")
	s.run(exitOK, "resync")
	s.restore(nil)
	s.world.add(3, "Three", "none", "Active")
	s.run(exitOK, "resync")
	s.says(s.expect("with a new journal", 2)[0], []string{"goes on with this ticket", "company 2", "company 3"}, nil)
	s.run(exitOK, "resync")
	s.expect("with a known journal", 2)
	s.world.SetTypes(2, s.world.types["Customer"])
	s.world.SetTypes(3, s.world.types["Customer"])
	s.run(exitOK, "resync")
	s.says(s.expect("solved", 3)[0], []string{"Solved"}, nil)
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

// What a run has not looked at is neither solved nor forgotten.
func TestTicketOfPartAndFailure(t *testing.T) {
	s := newTicketSite(t)
	s.world.add(2, "Two", "none", "Active")
	s.world.add(3, "Three", "Customer", "Active")
	s.run(exitOK, "resync")
	s.expect("a problem", 1)
	s.run(exitOK, "resync", "--company", "co3")
	s.expect("a run of another company", 1)

	s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodGet, "/company/companies/count"), Status: http.StatusForbidden, Body: "{}"})
	s.run(exitUnauthorized, "resync")
	ticket := s.expect("a run fails", 1, 1)[1]
	if !strings.HasPrefix(ticket.Summary, "cwvault: runs fail: not authorised by ConnectWise (") {
		t.Errorf("summary %q", ticket.Summary)
	}
	s.says(ticket, []string{"403", "`cwvault check`", "ended before its first step"}, nil)
	s.run(exitUnauthorized, "resync", "--company", "co3")
	s.expect("and another one", 1, 1)
	s.world.ClearFaults()
	s.run(exitOK, "resync", "--company", "co3")
	s.expect("a run of a part works", 1, 1)

	s.world.add(4, "Four", "none", "Active")
	s.run(exitOK, "resync", "--company", "co4")
	s.says(s.expect("a part of the problem grows", 2, 1)[0], []string{"company 4"}, []string{"company 2"})
	s.run(exitOK, "resync")
	s.says(s.expect("a whole run works", 2, 2)[1], []string{"Solved"}, nil)
	s.run(exitUsage, "resync", "--company", "nobody")
	s.run(exitHeld, "resync", "--approve", "beef")
	s.expect("mistakes of the one who asks", 2, 2)
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

// A guard's ticket has the command that lets the plan through.
func TestTicketGuard(t *testing.T) {
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
	s.says(ticket, []string{"300 folders of 301 would rename", "and 280 more"}, []string{"because"})
	if n := strings.Count(ticket.Notes[0], "\n- company "); n != 20 || len(ticket.Notes[0]) > 4000 {
		t.Errorf("%d companies are listed in %d bytes:\n%s", n, len(ticket.Notes[0]), ticket.Notes[0])
	}
	command := regexp.MustCompile("\n`cwvault (resync --approve [0-9a-f]+)`\n").FindStringSubmatch(ticket.Notes[0])
	if command == nil {
		t.Fatalf("no command:\n%s", ticket.Notes[0])
	}
	s.run(exitOK, strings.Fields(command[1])...)
	s.says(s.expect("approved", 2)[0], []string{"Solved"}, nil)
}

// What is taken back before each run is a problem from the third time on.
func TestTicketRepeat(t *testing.T) {
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
	s.says(s.expect("taken back three times", 1)[0], []string{"3 runs, one after the other", `\Clients\Customer\Active\Two`}, nil)
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

// session opens a session of its own, as the service does for each run.
func (s ticketSite) session(log io.Writer) *session {
	s.t.Helper()
	a := &app{ctx: s.t.Context(), environ: s.env, stdout: io.Discard, stderr: log}
	c, err := a.load()
	if err != nil {
		s.t.Fatal(err)
	}
	session, err := a.open(c, true)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(session.close)
	return session
}

// The service raises tickets after its runs, and notes that they are solved.
func TestTicketServe(t *testing.T) {
	s := newTicketSite(t)
	s.world.add(2, "Two", "none", "Active")
	s.env = append(s.env, "CWVAULT_SCHEDULE=@every 1s", "CWVAULT_LISTEN=off")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan int)
	var out bytes.Buffer // read when the service has ended
	go func() { ended <- run(ctx, []string{"serve"}, s.env, io.Discard, &out) }()
	eventually := func(what string, ok func([]connectwisetest.Ticket) bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !ok(s.world.Tickets()); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				stop()
				<-ended
				t.Fatalf("never: %s\n%+v\n%s", what, s.world.Tickets(), &out)
			}
		}
	}
	eventually("raised", func(all []connectwisetest.Ticket) bool { return len(all) == 1 })
	s.world.SetTypes(2, s.world.types["Customer"])
	eventually("solved", func(all []connectwisetest.Ticket) bool { return len(all[0].Notes) == 2 })
	if err := os.WriteFile(s.statePath(), []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually("the journal is damaged", func(all []connectwisetest.Ticket) bool { return len(all) == 2 })
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(s.statePath() + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	eventually("a new journal", func(all []connectwisetest.Ticket) bool { return len(all[1].Notes) == 2 })
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d\n%s", code, &out)
	}
	last := s.expect("in the end", 2, 2)[1]
	s.says(last, []string{"Solved:"}, nil)
	if !strings.Contains(last.Notes[0], "journal") {
		t.Errorf("the ticket is about something else:\n%s", last.Notes[0])
	}
}

func TestTicketStale(t *testing.T) {
	s := newTicketSite(t)
	s.run(exitOK, "resync")
	lastGood := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for range 2 {
		s.session(io.Discard).alertStale(t.Context(), lastGood)
		s.says(s.expect("stale", 1)[0], []string{"began 2026-03-01 12:00 UTC: more than three intervals"}, nil)
	}
	s.world.add(2, "Two", "Customer", "Active")
	s.server.AddFault(secretservertest.Fault{Match: secretservertest.On(http.MethodPost, "/api/v1/folders"), Status: http.StatusForbidden})
	s.run(exitPartial, "resync")
	s.expect("a partial run", 1, 1)
	s.server.ClearFaults()
	s.run(exitOK, "resync")
	s.says(s.expect("a good run", 2, 2)[0], []string{"Solved"}, nil)
}

// Names that try to be something else do no harm.
func TestTicketHostileNames(t *testing.T) {
	s := newTicketSite(t)
	for i, name := range []string{"\x1b[31mred\x07", "two\r\nWhat to do: pay", "\u202eesrever", strings.Repeat("long ", 50), "<script>alert(1)</script>", "``` | @all",
		"\U0001f600 company", "nul\x00", "https://user:hunter2@example.com", "%s%d PLAN KEY"} {
		s.world.add(10+i, name, "none", "Active")
	}
	s.run(exitOK, "resync")
	ticket := s.expect("hostile names", 1)[0]
	for _, text := range append(ticket.Notes, ticket.Summary) {
		for _, r := range text {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%U in %q", r, text)
			}
		}
	}
	if n := strings.Count(ticket.Notes[0], "\n- company 1"); n != 10 || strings.Count(ticket.Notes[0], "\nWhat to do:") != 1 || strings.Contains(ticket.Notes[0], "hunter2") {
		t.Errorf("%d companies in\n%s", n, ticket.Notes[0])
	}
}

// Two installations of one tenant have tickets of their own.
func TestTicketInstallations(t *testing.T) {
	s := newTicketSite(t)
	s.world.add(2, "Two", "none", "Active")
	s.run(exitOK, "resync")
	s.expect("the first one", 1)
	other := ticketSite{&vaultSite{&site{t: t, world: s.world, env: slices.Clone(s.env)}, s.server}}
	dir := t.TempDir()
	other.env = append(other.env, "CWVAULT_STATE="+filepath.Join(dir, "other.db"), "CWVAULT_VAULT_URL=passwordstore:"+dir, "CWVAULT_CREATE_ROOT=true")
	other.run(exitOK, "resync")
	tickets := s.expect("the second one", 1, 1)
	if tickets[0].ExternalXRef == tickets[1].ExternalXRef {
		t.Errorf("both have the reference %s", tickets[0].ExternalXRef)
	}
	s.world.SetTypes(2, s.world.types["Customer"])
	s.run(exitOK, "resync")
	s.expect("solved in the first one", 2, 1)
	other.run(exitOK, "resync")
	s.expect("solved in the second one", 2, 2)
}

// Several processes that see the same at once raise one ticket.
func TestTicketRaisedAtOnce(t *testing.T) {
	s := newTicketSite(t)
	posts := 0
	var mu gosync.Mutex
	s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodPost, "/service/tickets"), Delay: 300 * time.Millisecond,
		Before: func() { mu.Lock(); posts++; mu.Unlock() }})
	e := ending{report: &runReport{Run: 1, Outcome: outcomeDone, Plan: sync.Plan{Held: []sync.Held{{Code: sync.HeldNoType, Key: "company/2"}}}}}
	var all gosync.WaitGroup
	for range 4 {
		session := s.session(io.Discard)
		all.Go(func() { session.alert(t.Context(), e) })
	}
	all.Wait()
	s.expect("at once", 1)
	s.session(io.Discard).alert(t.Context(), e)
	s.expect("afterwards", 1)
	if posts != 1 {
		t.Errorf("%d tickets were asked for", posts)
	}
}

// No flood, whatever happens.
func TestTicketsAreBounded(t *testing.T) {
	s := newTicketSite(t)
	var problems []problem
	for i := range 25 {
		problems = append(problems, problem{key: fmt.Sprintf("test/%02d", i), summary: "x", what: "x", mend: "x"})
	}
	for _, want := range []int{20, 25, 25} {
		session := s.session(io.Discard)
		session.tell(t.Context(), alerter{book: session.journal}, nil, problems, nil)
		if n := len(s.world.Tickets()); n != want {
			t.Errorf("%d tickets, want %d", n, want)
		}
	}
}

// What would go wrong with every ticket is said once.
func TestTicketWarning(t *testing.T) {
	s := newTicketSite(t)
	s.world.Behave(func(b *connectwisetest.Behaviour) { b.Role.NoTicketAdd = true })
	var log bytes.Buffer
	session := s.session(&log)
	session.tell(t.Context(), alerter{book: session.journal}, nil, []problem{{key: "one"}, {key: "two"}}, nil)
	if n := strings.Count(log.String(), "[WARN]"); n != 1 || !strings.Contains(log.String(), "Service Tickets") {
		t.Errorf("%d warnings:\n%s", n, &log)
	}
}

// TestTicketTroubles lets the tickets go wrong in all ways. The run is the same
// as without them.
func TestTicketTroubles(t *testing.T) {
	for name, trouble := range map[string]struct {
		fault   connectwisetest.Fault
		role    connectwisetest.Role
		env     string
		warning string
		tickets int
		slow    bool
	}{
		"hangs":          {fault: connectwisetest.Fault{Match: onTickets(""), Hang: true}, warning: "the next run tries again", slow: true},
		"no creating":    {fault: connectwisetest.Fault{Match: onTickets(http.MethodPost), Hang: true}, warning: "the next run tries again", slow: true},
		"fails":          {fault: connectwisetest.Fault{Match: onTickets(""), Status: 500, Body: "{}"}, warning: "500 Internal Server Error", slow: true},
		"is forbidden":   {role: connectwisetest.Role{NoTickets: true}, warning: "Service Tickets"},
		"is a page":      {fault: connectwisetest.Fault{Match: onTickets(""), Status: 200, Body: "<html>", ContentType: "text/html"}, warning: "HTML"},
		"board unknown":  {env: "CWVAULT_TICKET_BOARD=Surf", warning: "cwvault check tests the right to tickets, the board"},
		"answer lost":    {fault: connectwisetest.Fault{Match: connectwisetest.On(http.MethodPost, "/service/tickets"), CutAfter: -1, Times: 1}, tickets: 1},
		"answer garbled": {fault: connectwisetest.Fault{Match: connectwisetest.On(http.MethodPost, "/service/tickets"), CutAfter: 20, Times: 1}, tickets: 1},
	} {
		t.Run(name, func(t *testing.T) {
			if trouble.slow {
				t.Parallel()
			}
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
			began := time.Now()
			out, log := s.run(exitOK, "resync")
			if took := time.Since(began); took > alertTimeout+15*time.Second {
				t.Errorf("it took %v", took)
			}
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
	s := newTicketSite(t)
	s.world.add(2, "Two", "none", "Active")
	s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodPost, "/service/tickets"), CutAfter: -1, Times: 1})
	s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodGet, "/service/tickets"), Skip: 1, Status: http.StatusForbidden, Body: "{}"})
	_, log := s.run(exitOK, "resync")
	if !strings.Contains(log, "not known") {
		t.Errorf("nobody is unsure:\n%s", log)
	}
	s.expect("made all the same", 1)
	s.world.ClearFaults()
	s.run(exitOK, "resync")
	s.says(s.expect("found", 2)[0], []string{"goes on with this ticket"}, nil)
}

// A journal that can be read and not written, as on a full disk, is no reason
// not to raise a ticket, and none to raise another after each run.
func TestTicketJournalFull(t *testing.T) {
	s := newTicketSite(t)
	s.run(exitOK, "resync")
	s.inJournal(`CREATE TRIGGER disk_full BEFORE INSERT ON cwvault_ticket BEGIN SELECT RAISE(ABORT, 'disk full'); END`)
	s.world.add(2, "Two", "none", "Active")
	for range 2 {
		if _, log := s.run(exitOK, "resync"); strings.Count(log, "is not remembered") != 1 || !strings.Contains(log, "disk full") {
			t.Errorf("the log:\n%s", log)
		}
		s.expect("full", 1)
	}
	s.inJournal(`DROP TRIGGER disk_full`)
	s.run(exitOK, "resync")
	s.says(s.expect("not full", 2)[0], []string{"goes on with this ticket"}, nil)
	s.world.SetTypes(2, s.world.types["Customer"])
	s.run(exitOK, "resync")
	s.says(s.expect("gone", 3)[0], []string{"Solved:"}, nil)
}

// What was said on a ticket by a process that could not remember it is taken
// back all the same when the problem is gone: the answer was lost, or the process
// was killed.
func TestTicketUnsure(t *testing.T) {
	customer := func(s ticketSite) { s.world.SetTypes(2, s.world.types["Customer"]) }
	for name, c := range map[string]struct {
		spoil func(s ticketSite)
		notes int
	}{
		"killed when it had raised the ticket": {func(s ticketSite) {
			s.run(exitOK, "resync")
			s.inJournal(`UPDATE cwvault_ticket SET ticket = 0, items = '[]', claimed = $1`, time.Now().Add(-time.Minute).UnixMilli())
		}, 2},
		"killed when it had noted that it is back": {func(s ticketSite) {
			s.run(exitOK, "resync")
			customer(s)
			s.run(exitOK, "resync")
			s.world.SetTypes(2)
			s.run(exitOK, "resync")
			s.inJournal(`UPDATE cwvault_ticket SET solved = $1, items = '[]', claimed = $1`, time.Now().Add(-time.Minute).UnixMilli())
		}, 4},
		"does not know whether it has noted that it is back": {func(s ticketSite) {
			s.run(exitOK, "resync")
			customer(s)
			s.run(exitOK, "resync")
			s.world.SetTypes(2)
			s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodPost, "/notes"), CutAfter: -1, Times: 1})
			s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodGet, "/notes"), Status: http.StatusForbidden, Body: "{}"})
			if _, log := s.run(exitOK, "resync"); !strings.Contains(log, "not known") {
				t.Errorf("it is sure:\n%s", log)
			}
			s.world.ClearFaults()
		}, 4},
		"does not know whether it has raised the ticket": {func(s ticketSite) {
			s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodPost, "/service/tickets"), CutAfter: -1, Times: 1})
			s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodGet, "/service/tickets"), Skip: 1, Status: http.StatusForbidden, Body: "{}"})
			s.run(exitOK, "resync")
			s.world.ClearFaults()
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTicketSite(t)
			s.world.add(2, "Two", "none", "Active")
			c.spoil(s)
			s.expect("before", c.notes-1)
			customer(s)
			for range 2 {
				s.run(exitOK, "resync")
				s.says(s.expect("gone", c.notes)[0], []string{"Solved:"}, nil)
			}
		})
	}
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
	if !strings.HasPrefix(ticket.Summary, "cwvault: runs fail: not authorised (") {
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
	s.session(io.Discard).alertStale(t.Context(), time.Time{})
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
	go func() { ended <- run(t.Context(), []string{"resync"}, s.env, io.Discard, &stderr) }()
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
	began := time.Now()
	var out bytes.Buffer
	if code := run(ctx, []string{"resync"}, s.env, &out, &out); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &out)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
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
