package connectwise

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"cwvault/connectwise/connectwisetest"
)

// simulated starts a simulator with the company "msp" (250), and returns a
// client of it whose waits take no time.
func simulated(t *testing.T, change ...func(*Config)) (*connectwisetest.Server, *Client) {
	t.Helper()
	s, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.AddCompany(connectwisetest.Company{Identifier: "msp", Name: "The MSP"})
	cfg := checkConfig(s)
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	NoPauses(c)
	return s, c
}

// sentTo counts the requests with this method to paths with this ending.
func sentTo(s *connectwisetest.Server, method, suffix string) (n int) {
	for _, r := range s.Requests() {
		if r.Method == method && strings.HasSuffix(r.Path, suffix) {
			n++
		}
	}
	return n
}

var msp = TicketSettings{Company: "msp"}

func TestTickets(t *testing.T) {
	s, c := simulated(t)
	ctx := t.Context()
	s.AddBoard("Alerts", connectwisetest.BoardStatus{Name: "Open"}, connectwisetest.BoardStatus{Name: "Done", Closed: true})

	if got, found, err := c.OpenTicket(ctx, "cwvault/a"); got != (Ticket{}) || found || err != nil {
		t.Errorf("OpenTicket before there is one: %v, %v, %v", got, found, err)
	}
	first, err := c.CreateTicket(ctx, msp, "Run 7 failed", "first line\nsecond line", "cwvault/a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Ticket{ID: 1, Summary: "Run 7 failed", XRef: "cwvault/a"}, first); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	long := strings.Repeat("ä", 98) + "😀 and more"
	for _, settings := range []TicketSettings{
		{Company: "250", Board: "2", Priority: "4"},
		{Company: "MSP", Board: "alerts", Priority: "Priority 4 - Low"},
	} {
		if _, err := c.CreateTicket(ctx, settings, "\x1b[31m one\n two\u202e three ", "", "cwvault/b"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.CreateTicket(ctx, msp, long, " \tx\r\n\n  indented\x00\u200b text\n", "cwvault/c"); err != nil {
		t.Fatal(err)
	}
	ticket := func(id int, summary, board, status, priority, xref string, notes ...string) connectwisetest.Ticket {
		return connectwisetest.Ticket{ID: id, Summary: summary, Company: 250, Board: board, Status: status, Priority: priority,
			Severity: "Medium", Impact: "Medium", ExternalXRef: xref, Notes: notes}
	}
	const normal, low = "Priority 3 - Normal Response", "Priority 4 - Low"
	want := []connectwisetest.Ticket{
		ticket(1, "Run 7 failed", "Service Desk", "New", normal, "cwvault/a", "first line\nsecond line"),
		ticket(2, "[31m one two three", "Alerts", "Open", low, "cwvault/b"),
		ticket(3, "[31m one two three", "Alerts", "Open", low, "cwvault/b"),
		ticket(4, strings.Repeat("ä", 98)+"…", "Service Desk", "New", normal, "cwvault/c", " x\n\n  indented text"),
	}
	if diff := cmp.Diff(want, s.Tickets()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	open := func(xref string) int {
		t.Helper()
		got, found, err := c.OpenTicket(ctx, xref)
		if err != nil || found != (got.ID != 0) {
			t.Errorf("OpenTicket(%s) = %v, %v, %v", xref, got, found, err)
		}
		return got.ID
	}
	if id := open("cwvault/b"); id != 3 {
		t.Errorf("the newest is %d", id)
	}
	s.CloseTicket(3)
	if id := open("cwvault/b"); id != 2 {
		t.Errorf("the newest that is open is %d", id)
	}
	s.CloseTicket(2)
	if id := open("cwvault/b"); id != 0 {
		t.Errorf("ticket %d is closed", id)
	}
	if id := open("CWVAULT/A"); id != 0 {
		t.Errorf("ticket %d is of another reference", id)
	}

	if err := c.NoteTicket(ctx, 1, "solved by run 8\r\n"); err != nil {
		t.Error(err)
	}
	if got := s.Tickets()[0].Notes; !cmp.Equal(got, []string{"first line\nsecond line", "solved by run 8"}) {
		t.Errorf("notes %q", got)
	}
	s.CloseTicket(1)
	got, found, err := c.Ticket(ctx, 1)
	if want := (Ticket{1, "Run 7 failed", "cwvault/a", true}); got != want || !found || err != nil {
		t.Errorf("Ticket: %+v, %v, %v", got, found, err)
	}
	s.DeleteTicket(1)
	s.ResetRequests()
	if got, found, err := c.Ticket(ctx, 1); got != (Ticket{}) || found || err != nil {
		t.Errorf("a deleted Ticket: %+v, %v, %v", got, found, err)
	}
	if n := len(s.Requests()); n != 1 {
		t.Errorf("%d requests for a ticket that is not there", n)
	}
	err = c.NoteTicket(ctx, 1, "x")
	if err == nil || !strings.Contains(err.Error(), "note on ticket 1: POST") || strings.Contains(err.Error(), "check the URL") {
		t.Errorf("a note on a deleted ticket: %v", err)
	}
}

// What is sent fits the vendor's OpenAPI description of the API. It is not ours
// to ship; without it beside the repository, the test skips.
func TestWritesFitOpenAPI(t *testing.T) {
	const file = "../../shared/reference/connectwise.openapi.json"
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the vendor's OpenAPI description is not beside the repository: %v", err)
	}
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	s := newServer(t, 0)
	bodies := map[string]any{}
	for path, schema := range map[string]string{"/service/tickets": "Ticket", "/system/callbacks": "CallbackEntry"} {
		schema := doc.Components.Schemas[schema].Value
		schema.AdditionalProperties = openapi3.AdditionalProperties{Has: &closed}
		s.on[path] = func(w http.ResponseWriter, r *http.Request) {
			var body any
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			bodies[path] = body
			if err := schema.VisitJSON(body, openapi3.MultiErrors()); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if got := r.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("%s: Content-Type %q", path, got)
			}
			answer(201, `{"id":9}`)(w, r)
		}
	}
	c, _ := clientOf(t, s)
	if _, err := c.CreateTicket(t.Context(), TicketSettings{"1", "Board", "2"}, "a", "b", "c"); err != nil {
		t.Error(err)
	}
	if _, err := c.RegisterCallback(t.Context(), "https://example.com/?recordId=", "cwvault"); err != nil {
		t.Error(err)
	}
	want := map[string]any{
		"/service/tickets": map[string]any{"summary": "a", "initialDescription": "b", "externalXRef": "c",
			"company": map[string]any{"id": 1.0}, "board": map[string]any{"name": "Board"}, "priority": map[string]any{"id": 2.0}},
		"/system/callbacks": map[string]any{"url": "https://example.com/?recordId=", "description": "cwvault", "type": "company", "level": "Owner", "objectId": 1.0},
	}
	if diff := cmp.Diff(want, bodies); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// after lets the server do its work and then changes the answer.
func after(change func(r *http.Request, resp *connectwisetest.Response)) connectwisetest.Fault {
	return connectwisetest.Fault{Edit: change}
}

// TestCreateTicketOnce: whatever goes wrong, there is never a second ticket,
// and one that is there is never taken for missing.
func TestCreateTicketOnce(t *testing.T) {
	post := connectwisetest.On("POST", "/service/tickets")
	status := func(status int, body string) connectwisetest.Fault {
		return after(func(_ *http.Request, resp *connectwisetest.Response) { resp.Status, resp.Body = status, []byte(body) })
	}
	late := after(func(r *http.Request, _ *connectwisetest.Response) { <-r.Context().Done() })
	twice := func(f connectwisetest.Fault) connectwisetest.Fault { f.Times = 2; return f }
	for name, test := range map[string]struct {
		fault   connectwisetest.Fault
		posts   int
		tickets int
		wantErr string // empty: the ticket is returned
	}{
		"good":                              {connectwisetest.Fault{}, 1, 1, ""},
		"made, and the answer is lost":      {connectwisetest.Lost(), 1, 1, ""},
		"made, and the answer breaks off":   {connectwisetest.Cut(9), 1, 1, ""},
		"made, and the answer is cut":       {connectwisetest.Truncated(9), 1, 1, ""},
		"made, and answered too late":       {late, 1, 1, ""},
		"made, and answered with 500":       {status(500, `{"code":"ConnectWiseApi","message":"A timeout has occured. Please try again."}`), 1, 1, ""},
		"made, and answered with 504, HTML": {status(504, `<html>`), 1, 1, ""},
		"made, and answered with 200, HTML": {status(200, `<html>`), 1, 1, ""},
		"made, and answered with 408":       {status(408, ``), 1, 1, ""},
		"made, and answered with 204":       {status(204, ``), 1, 1, ""},
		"made, and answered without an id":  {status(201, `{"summary":"x"}`), 1, 1, ""},
		"made, and answered with null":      {status(201, `null`), 1, 1, ""},
		"made, and answered with a list":    {status(201, `[{"id":1}]`), 1, 1, ""},
		"made, and redirected":              {status(302, ``), 1, 1, ""},
		"not made, no answer":               {connectwisetest.Hang(), 1, 0, "not answered within"},
		"not made, 500":                     {connectwisetest.TimeoutBody(), 1, 0, "500 Internal Server Error"},
		"not made, 502":                     {connectwisetest.HTML(502), 1, 0, "502 Bad Gateway"},
		"not made, a page":                  {connectwisetest.HTML(200), 1, 0, "an HTML page instead of JSON"},
		"not made, redirected":              {connectwisetest.Redirect("http://127.0.0.1:1/"), 1, 0, "redirect to http://127.0.0.1:1/"},
		"not made, 409":                     {connectwisetest.Fault{Status: 409, Body: `{"code":"X","message":"in use"}`}, 1, 0, "409 Conflict: X: in use"},
		"too many requests":                 {twice(connectwisetest.TooManyRequests(30)), 3, 1, ""},
		"too many requests, always":         {connectwisetest.TooManyRequests(1), maxTries, 0, "429"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := simulated(t)
			// One that is closed, and one about something else, are no reason.
			for _, xref := range []string{"cwvault/x", "cwvault/other"} {
				if _, err := c.CreateTicket(t.Context(), msp, "before", "", xref); err != nil {
					t.Fatal(err)
				}
			}
			s.CloseTicket(1)
			s.ResetRequests()
			if test.fault.Hang || strings.HasSuffix(name, "too late") {
				c.tryTimeout = 300 * time.Millisecond
			}
			test.fault.Match = post
			s.AddFault(test.fault)
			got, err := c.CreateTicket(t.Context(), msp, "Run 7 failed", "", "cwvault/x")
			if test.wantErr == "" {
				if want := (Ticket{ID: 3, Summary: "Run 7 failed", XRef: "cwvault/x"}); err != nil || got != want {
					t.Errorf("%+v, %v, want %+v", got, err, want)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.wantErr) || !strings.Contains(err.Error(), "raise a ticket: POST") || got != (Ticket{}) {
				t.Errorf("%+v, %v, want %q in it", got, err, test.wantErr)
			}
			if n := sentTo(s, "POST", "/service/tickets"); n != test.posts {
				t.Errorf("%d POSTs, want %d", n, test.posts)
			}
			if n := len(s.Tickets()) - 2; n != test.tickets {
				t.Errorf("%d tickets, want %d", n, test.tickets)
			}
		})
	}
}

func TestCreateTicketRefused(t *testing.T) {
	behave := func(change func(*connectwisetest.Behaviour)) func(*connectwisetest.Server) {
		return func(s *connectwisetest.Server) { s.Behave(change) }
	}
	for name, test := range map[string]struct {
		bend         func(*connectwisetest.Server)
		settings     TicketSettings
		xref         string
		want         string
		unauthorized bool
	}{
		"no right to add":   {behave(func(b *connectwisetest.Behaviour) { b.Role.NoTicketAdd = true }), msp, "x", "Service Tickets: Add = My", true},
		"no right to read":  {behave(func(b *connectwisetest.Behaviour) { b.Role.NoTickets = true }), msp, "x", "Inquire = All", true},
		"no such company":   {nil, TicketSettings{Company: "19299"}, "x", "InvalidObject: ticket object is invalid: company 19299 not found", false},
		"no such board":     {nil, TicketSettings{Company: "msp", Board: "Nope"}, "x", "Service Board Nope not found", false},
		"no such priority":  {nil, TicketSettings{Company: "msp", Priority: "9"}, "x", "Service Priority 9 not found", false},
		"a quote in xref":   {nil, msp, `x" or id>0 or summary="`, "cannot be searched for", false},
		"nothing in xref":   {nil, msp, "", "cannot be searched for", false},
		"too much in xref":  {nil, msp, strings.Repeat("x", 101), "cannot be searched for", false},
		"a bracket in xref": {nil, msp, "[x]", "cannot be searched for", false},
		"the look is broken": {func(s *connectwisetest.Server) {
			s.AddFault(connectwisetest.Fault{Match: connectwisetest.On("POST", "/service/tickets"), CutAfter: -1})
			s.AddFault(connectwisetest.Fault{Match: connectwisetest.On("GET", "/service/tickets"), Status: 500})
		}, msp, "x", "; it is unknown whether it was created: look for a ticket: GET", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := simulated(t)
			if test.bend != nil {
				test.bend(s)
			}
			_, err := c.CreateTicket(t.Context(), test.settings, "x", "", test.xref)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("%v, want %q in it", err, test.want)
			}
			if errors.Is(err, ErrUnauthorized) != test.unauthorized {
				t.Errorf("errors.Is(%v, ErrUnauthorized) = %v", err, !test.unauthorized)
			}
			if n := sentTo(s, "POST", "/service/tickets"); n > 1 {
				t.Errorf("%d POSTs", n)
			}
		})
	}
}

// Nobody there: nothing was done, so it is tried again, and not looked for.
func TestCreateTicketNobodyThere(t *testing.T) {
	s, c := simulated(t)
	if _, err := c.Source(t.Context()); err != nil && !errors.Is(err, ErrIncomplete) { // finds out where the API is
		t.Fatal(err)
	}
	var first, repeats atomic.Int32
	c.sent = func(retry bool) {
		if retry {
			repeats.Add(1)
		} else {
			first.Add(1)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreateTicket(t.Context(), msp, "x", "", "x")
	if err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "not known") {
		t.Errorf("%v", err)
	}
	if first.Load() != 1 || repeats.Load() != maxTries-1 {
		t.Errorf("sent %d and %d again, want 1 and %d", first.Load(), repeats.Load(), maxTries-1)
	}
}

// An upgrade of the cloud moves the API: what was asked for at the old place
// was not done.
func TestCreateTicketAfterMove(t *testing.T) {
	for _, asText := range []bool{false, true} {
		s, c := simulated(t, func(c *Config) { c.URL += "/v2026_4/apis/3.0" })
		s.Behave(func(b *connectwisetest.Behaviour) { b.OldCodebaseText = asText })
		s.MoveCodebase("v2026_5/")
		if _, err := c.CreateTicket(t.Context(), msp, "x", "", "x"); err != nil || len(s.Tickets()) != 1 {
			t.Errorf("%v, %d tickets", err, len(s.Tickets()))
		}
		if _, found, err := c.Ticket(t.Context(), 1); !found || err != nil {
			t.Errorf("%v, %v", found, err)
		}
	}
}

func TestCreateTicketCancelled(t *testing.T) {
	s, c := simulated(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.AddFault(connectwisetest.Fault{Match: connectwisetest.On("POST", "/service/tickets"),
		Edit: func(r *http.Request, _ *connectwisetest.Response) { cancel(); <-r.Context().Done() }})
	_, err := c.CreateTicket(ctx, msp, "x", "", "x")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if len(s.Tickets()) != 1 {
		t.Fatal("the server has made no ticket")
	}
	if got, found, err := c.OpenTicket(t.Context(), "x"); !found || got.ID != 1 || err != nil {
		t.Errorf("the next look: %v, %v, %v", got, found, err)
	}
}

// A server that lies about tickets is not believed.
func TestOpenTicketLies(t *testing.T) {
	for name, body := range map[string]string{
		"another ticket":  `[{"id":1,"externalXRef":"other","closedFlag":false}]`,
		"no reference":    `[{"id":1}]`,
		"a closed one":    `[{"id":1,"externalXRef":"x","closedFlag":true}]`,
		"one among right": `[{"id":2,"externalXRef":"x"},{"id":1,"externalXRef":"y"}]`,
		"no id":           `[{"externalXRef":"x"}]`,
		"a record":        `{"id":1}`,
		"cut off":         `[{"id":1,"externalXRef":"x"}`,
		"nothing":         ``,
		"a page":          `<html>`,
	} {
		s := newServer(t, 0)
		s.on["/service/tickets"] = answer(200, body)
		s.on["/service/tickets/7"] = answer(200, `{"id":8}`)
		c, _ := clientOf(t, s)
		if got, found, err := c.OpenTicket(t.Context(), "x"); err == nil || found || got != (Ticket{}) {
			t.Errorf("%s: %v, %v, %v", name, got, found, err)
		}
		if got, found, err := c.Ticket(t.Context(), 7); !errors.Is(err, ErrIncomplete) || found || got != (Ticket{}) {
			t.Errorf("another ticket than 7: %v, %v, %v", got, found, err)
		}
	}
}

// Only an answer about the ticket says that it is gone.
func TestTicketUnknown(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"no endpoint": answer(404, `{"code":"ConnectWiseApi","message":"The endpoint does not exist."}`),
		"a page":      answer(404, `<html>`),
		"forbidden":   answer(403, `{"code":"NotFound","message":"no"}`),
		"garbled":     answer(200, `{"id":`),
	} {
		s := newServer(t, 0)
		s.on["/service/tickets/7"] = h
		c, _ := clientOf(t, s)
		if got, found, err := c.Ticket(t.Context(), 7); err == nil || found {
			t.Errorf("%s: %v, %v, %v", name, got, found, err)
		}
	}
}

// TestNoteTicketOnce: a note that is there is found by its text.
func TestNoteTicketOnce(t *testing.T) {
	const path = "/service/tickets/1/notes"
	for name, test := range map[string]struct {
		fault   connectwisetest.Fault
		posts   int
		notes   int
		wantErr string
	}{
		"made, and the answer is lost": {connectwisetest.Lost(), 1, 1, ""},
		"made, and redirected":         {after(func(_ *http.Request, r *connectwisetest.Response) { r.Status, r.Body = 302, nil }), 1, 1, ""},
		"not made, 500":                {connectwisetest.TimeoutBody(), 1, 0, "500"},
		"too many requests":            {connectwisetest.Fault{Status: 429, Times: 1}, 2, 1, ""},
	} {
		s, c := simulated(t)
		if _, err := c.CreateTicket(t.Context(), msp, "x", "another note", "x"); err != nil {
			t.Fatal(err)
		}
		test.fault.Match = connectwisetest.On("POST", path)
		s.AddFault(test.fault)
		err := c.NoteTicket(t.Context(), 1, "solved\n  by \"run\" 8")
		if (err == nil) != (test.wantErr == "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
			t.Errorf("%s: %v, want %q in it", name, err, test.wantErr)
		}
		if n := sentTo(s, "POST", path); n != test.posts {
			t.Errorf("%s: %d POSTs, want %d", name, n, test.posts)
		}
		if n := len(s.Tickets()[0].Notes) - 1; n != test.notes {
			t.Errorf("%s: %d notes, want %d", name, n, test.notes)
		}
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 3, ""}, {"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"a cd", 3, "a…"}, {"äöü", 3, "äöü"}, {"äöüß", 3, "äö…"},
		{"a😀", 3, "a😀"}, {"a😀b", 3, "a…"}, {"😀😀", 3, "😀…"}, {"ab😀", 3, "ab…"},
	} {
		if got := cut(test.text, test.limit); got != test.want {
			t.Errorf("cut(%q, %d) = %q, want %q", test.text, test.limit, got, test.want)
		}
	}
}

// What is echoed of the keys is in no error of a write either.
func TestWritesShowNoKeys(t *testing.T) {
	for _, status := range []int{200, 201, 302, 400, 403, 404, 409, 500} {
		s := newServer(t, 0)
		for _, path := range []string{"/service/tickets", "/service/tickets/1", "/service/tickets/1/notes", "/system/callbacks", "/system/callbacks/1"} {
			s.on[path] = echo(status)
		}
		c, _ := clientOf(t, s)
		_, err := c.CreateTicket(t.Context(), msp, "x", "", "x")
		_, _, err2 := c.Ticket(t.Context(), 1)
		_, err3 := c.RegisterCallback(t.Context(), "https://example.com/", "")
		_, err4 := c.Callbacks(t.Context())
		for i, err := range []error{err, err2, err3, err4, c.NoteTicket(t.Context(), 1, "x"), c.RemoveCallback(t.Context(), 1)} {
			if err == nil {
				if i != 5 || status > 201 {
					t.Errorf("call %d, status %d: no error", i, status)
				}
				continue
			}
			noKeys(t, "error", err.Error())
		}
		if len(s.requests("/service/tickets")) == 0 || len(s.requests("/system/callbacks/1")) == 0 {
			t.Error("not asked")
		}
	}
}
