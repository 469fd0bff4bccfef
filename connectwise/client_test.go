package connectwise

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

func TestSource(t *testing.T) {
	body, err := os.ReadFile("testdata/companies.json")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, 4)
	s.on[companiesPath] = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "")
		w.Write(body)
	}
	c, _ := clientOf(t, s)
	got, err := c.Source(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	client, vendor, active := sync.Ref{ID: 1, Name: "Client"}, sync.Ref{ID: 7, Name: "Vendor"}, sync.Ref{ID: 1, Name: "Active"}
	want := sync.Source{
		Companies: []sync.Company{
			{
				ID: 2, Identifier: "YourCompany", Name: "Wickede & Söhne GmbH", Types: []sync.Ref{vendor, client}, Status: active,
				Territory: sync.Ref{ID: 11, Name: "Corporate"}, Market: sync.Ref{ID: 5, Name: "Legal"}, Parent: sync.Ref{ID: 250, Name: "Alovet, Inc."},
			},
			// Type 9 is in no table: the id is all there is to know.
			{ID: 250, Identifier: "alovet", Name: "Alovet, Inc.", Types: []sync.Ref{client, {ID: 9}}, Status: sync.Ref{ID: 4, Name: "Imported"}},
			{ID: 251, Identifier: "bare", Name: "Bare", Types: []sync.Ref{vendor}},
			{ID: 252, Name: "No identifier", Status: active},
		},
		Count:    4,
		Statuses: []sync.Ref{active, {ID: 4, Name: "Imported"}},
		Types:    []sync.Ref{client, vendor},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Source (-want +got):\n%s", diff)
	}
	if want := s.URL + api; c.Site() != want {
		t.Errorf("Site() = %s, want %s", c.Site(), want)
	}
}

func TestSourceRequests(t *testing.T) {
	s := newServer(t, 2001)
	c, _ := clientOf(t, s)
	if _, err := c.Source(context.Background()); err != nil {
		t.Fatal(err)
	}
	wants := map[string]string{
		companiesPath: "conditions=deletedFlag%3Dfalse&fields=id%2Cidentifier%2Cname%2Cstatus%2Ctypes%2Cterritory%2Cmarket%2CparentCompany%2CdeletedFlag%2Ctype%2CtypeIds&pageSize=1000",
		countPath:     "conditions=deletedFlag%3Dfalse",
		statusesPath:  "fields=id%2Cname&orderBy=id+asc&page=1&pageSize=1000",
		typesPath:     "fields=id%2Cname&orderBy=id+asc&page=1&pageSize=1000",
	}
	for path, query := range wants {
		sent := s.requests(path)
		if len(sent) == 0 {
			t.Fatalf("no request to %s", path)
		}
		if got := sent[0].URL.RawQuery; got != query {
			t.Errorf("%s: query %s, want %s", path, got, query)
		}
		for _, r := range sent {
			user, password, _ := r.BasicAuth()
			got := []string{r.Method, user, password, r.Header.Get("clientId"), r.Header.Get("Accept")}
			want := []string{"GET", "acmeinc+" + testPublic, testPrivate, testClient, "application/vnd.connectwise.com+json; version=" + DefaultVersion}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		}
	}
	var pages []string
	for _, r := range s.requests(companiesPath) {
		if r.Header.Get("pagination-type") != "forward-only" || r.URL.Query().Has("orderBy") {
			t.Errorf("not a forward-only request: %s", r.URL)
		}
		pages = append(pages, r.URL.Query().Get("pageId"))
	}
	if diff := cmp.Diff([]string{"", "1000", "2000"}, pages); diff != "" {
		t.Errorf("page ids (-want +got):\n%s", diff)
	}
	info := s.requests(infoPath)
	if len(info) != 1 {
		t.Fatalf("%d requests to companyinfo, want 1", len(info))
	}
	if info[0].Header.Get("Authorization") != "" || info[0].Header.Get("clientId") != "" {
		t.Error("companyinfo was sent the keys, which it does not need")
	}
}

// The budget: one request for each thousand companies and four others.
func TestRequestBudget(t *testing.T) {
	for _, n := range []int{1, 999, 1000, 1001, 2000, 5000, 5001} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := newServer(t, n)
			c, _ := clientOf(t, s)
			for run, others := range []int{4, 3} { // the place of the API is asked for once
				before := len(s.requests(""))
				src, err := c.Source(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				checkIDs(t, src, n)
				want := int(math.Ceil(float64(n)/1000)) + others
				if got := len(s.requests("")) - before; got != want {
					t.Errorf("run %d: %d requests, want %d", run, got, want)
				}
			}
		})
	}
}

// checkIDs fails unless src lists each of the companies from 1 to n once.
func checkIDs(t *testing.T, src sync.Source, n int) {
	t.Helper()
	got := map[int]int{}
	for _, company := range src.Companies {
		got[company.ID]++
	}
	want := map[int]int{}
	for id := 1; id <= n; id++ {
		want[id] = 1
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("how often each id is listed (-want +got):\n%s", diff)
	}
	if src.Count != n {
		t.Errorf("Count = %d, want %d", src.Count, n)
	}
}

func TestPaging(t *testing.T) {
	const n = 2500
	next := func(base string, id int) string { return fmt.Sprintf(`<%s?pageId=%d>; rel="next"`, base, id) }
	tests := map[string]struct {
		cap       int
		link      func(h http.Header, after, last int, more bool)
		wantPages int
	}{
		"a link on the last page too": {
			link:      func(h http.Header, _, last int, _ bool) { h.Set("Link", next("https://x", last)) },
			wantPages: 3,
		},
		"the last page repeats its page id": {
			link: func(h http.Header, after, last int, more bool) {
				if !more {
					last = after
				}
				h.Set("Link", next("https://x", last))
			},
			wantPages: 3,
		},
		"every page repeats its page id": {
			link:      func(h http.Header, after, _ int, _ bool) { h.Set("Link", next("https://x", after)) },
			wantPages: 3,
		},
		"no link on the last page": {
			link: func(h http.Header, _, last int, more bool) {
				if more {
					h.Set("Link", next("https://x", last))
				}
			},
			wantPages: 3,
		},
		"a link without page id from the second page": {
			link: func(h http.Header, after, last int, more bool) {
				h.Set("Link", next("https://x", last))
				if after > 0 {
					h.Set("Link", `<https://x?page=3>; rel="next"`)
				}
			},
			wantPages: 3,
		},
		"never a link": {
			link:      func(http.Header, int, int, bool) {},
			wantPages: 4, // one forward-only, then by number
		},
		"links by number": {
			link: func(h http.Header, _, _ int, _ bool) {
				h.Set("Link", `<https://x?pageSize=1000&page=2>; rel="next", <https://x?pageSize=1000&page=3>; rel="last"`)
			},
			wantPages: 4,
		},
		"pages capped at 250": {
			cap:       250,
			link:      func(h http.Header, _, last int, _ bool) { h.Set("Link", next("https://x", last)) },
			wantPages: 10,
		},
		"never a link, pages capped at 250": {
			cap:       250,
			link:      func(http.Header, int, int, bool) {},
			wantPages: 11,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, n)
			s.link = test.link
			if test.cap > 0 {
				s.cap = test.cap
			}
			c, _ := clientOf(t, s)
			src, err := c.Source(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			checkIDs(t, src, n)
			if got := len(s.requests(companiesPath)); got != test.wantPages {
				t.Errorf("%d pages of companies, want %d", got, test.wantPages)
			}
		})
	}
}

func TestLinkToAnotherHost(t *testing.T) {
	foreign := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the foreign host got %s with Authorization %q", r.URL, r.Header.Get("Authorization"))
	}))
	defer foreign.Close()
	s := newServer(t, 2500)
	s.link = func(h http.Header, _, last int, more bool) {
		h.Set("Link", "")
		if more {
			h.Set("Link", fmt.Sprintf(`<%s/v2099_1/apis/3.0/company/companies?pageSize=1000&pageId=%d>; rel="next"`, foreign.URL, last))
		}
	}
	c, _ := clientOf(t, s)
	src, err := c.Source(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	checkIDs(t, src, 2500)
}

// A setup table longer than a page, by servers that page it in both ways.
func TestLongTable(t *testing.T) {
	for _, test := range []struct {
		name         string
		size, pages  int
		link         bool
		wantRequests int
	}{
		{"one short page", 1000, 1, false, 1},
		{"with links", 1000, 3, true, 3},
		{"with links, capped", 100, 3, true, 3},
		{"without links", 1000, 3, false, 4}, // the fourth is empty
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, 1)
			total := test.size * test.pages
			if test.pages == 1 {
				total-- // short
			}
			s.on[typesPath] = func(w http.ResponseWriter, r *http.Request) {
				var page int
				fmt.Sscan(r.URL.Query().Get("page"), &page)
				if test.link && page < test.pages {
					w.Header().Set("Link", fmt.Sprintf(`<https://x/types?page=%d>; rel="next", <https://x/types?page=%d>; rel="last"`, page+1, test.pages))
				} else if test.link {
					w.Header().Set("Link", `<https://x/types?page=1>; rel="first"`)
				}
				var rows []string
				for id := (page-1)*test.size + 1; id <= min(page*test.size, total); id++ {
					rows = append(rows, fmt.Sprintf(`{"id":%d,"name":"T%d"}`, id, id))
				}
				fmt.Fprintf(w, "[%s]", strings.Join(rows, ","))
			}
			c, _ := clientOf(t, s)
			src, err := c.Source(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if len(src.Types) != total || src.Types[total-1].ID != total {
				t.Errorf("%d types, want %d", len(src.Types), total)
			}
			if got := len(s.requests(typesPath)); got != test.wantRequests {
				t.Errorf("%d requests, want %d", got, test.wantRequests)
			}
		})
	}
}

// A server that knows no pages gives the same rows for ever.
func TestServerWithoutPages(t *testing.T) {
	var all []string
	for id := 1; id <= 1200; id++ {
		all = append(all, row(id))
	}
	always := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "[%s]", strings.Join(all, ",")) }
	for _, test := range []struct {
		companies int
		wantErr   error
		wantPages int
	}{
		{1200, nil, 1},
		{1300, ErrIncomplete, 2 * 3}, // forward-only, then the first and the second page, and all that again
	} {
		s := newServer(t, test.companies)
		s.on[companiesPath], s.on[typesPath] = always, always
		c, _ := clientOf(t, s)
		src, err := c.Source(context.Background())
		if !errors.Is(err, test.wantErr) {
			t.Errorf("%d companies: error %v, want %v", test.companies, err, test.wantErr)
		}
		if len(src.Types) != 1200 || len(src.Companies) != 1200 {
			t.Errorf("%d types and %d companies, want 1200 of each", len(src.Types), len(src.Companies))
		}
		if got := len(s.requests(companiesPath)); got != test.wantPages {
			t.Errorf("%d companies: %d pages, want %d", test.companies, got, test.wantPages)
		}
	}
}

func rowsOf(rows ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "")
		fmt.Fprintf(w, "[%s]", strings.Join(rows, ","))
	}
}

func deletedRow(id int) string {
	return fmt.Sprintf(`{"id":%d,"name":"Gone","deletedFlag":true}`, id)
}

func TestDeletedRows(t *testing.T) {
	tests := map[string]struct {
		count   int
		wantErr bool
	}{
		"count without them":        {count: 2},
		"count with them":           {count: 4},
		"count with one of them":    {count: 3, wantErr: true},
		"count with one never seen": {count: 5, wantErr: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, test.count)
			s.on[companiesPath] = rowsOf(row(1), deletedRow(7), row(2), deletedRow(8))
			c, _ := clientOf(t, s)
			src, err := c.Source(context.Background())
			if errors.Is(err, ErrIncomplete) != test.wantErr || (err != nil) != test.wantErr {
				t.Fatalf("error %v, want one: %v", err, test.wantErr)
			}
			if !test.wantErr {
				checkIDs(t, src, 2)
			}
		})
	}
}

// Where the list has deleted rows and the count does not, as many rows as are
// counted may arrive before all companies have.
func TestDeletedRowsDoNotEndTheList(t *testing.T) {
	s := newServer(t, 2)
	s.on[companiesPath] = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("pageId") == "" {
			w.Header().Set("Link", `<https://x?pageId=7>; rel="next"`)
			fmt.Fprintf(w, "[%s,%s]", row(1), deletedRow(7))
			return
		}
		w.Header().Set("Link", "")
		fmt.Fprintf(w, "[%s]", row(9))
	}
	c, _ := clientOf(t, s)
	src, err := c.Source(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(src.Companies) != 2 || src.Companies[1].ID != 9 {
		t.Errorf("companies %v, want 1 and 9", src.Companies)
	}
}

func TestDisagreement(t *testing.T) {
	tests := map[string]struct {
		companies http.HandlerFunc
		wantErr   string
		wantIDs   []int
		wantLists int
	}{
		"a row too few":                {rowsOf(row(1)), "incomplete: ConnectWise counts 2 companies and lists 1", []int{1}, 2},
		"a row too many":               {rowsOf(row(1), row(2), row(3)), "incomplete: ConnectWise counts 2 companies and lists 3", []int{1, 2, 3}, 2},
		"a row twice":                  {rowsOf(row(2), row(2)), "incomplete: ConnectWise lists company 2 twice", []int{2, 2}, 2},
		"a row too few the first time": {inTurn(rowsOf(row(1)), rowsOf(row(1), row(2))), "", []int{1, 2}, 2},
		"a row twice the first time":   {inTurn(rowsOf(row(1), row(1)), rowsOf(row(1), row(2))), "", []int{1, 2}, 2},
		"agreement":                    {rowsOf(row(1), row(2)), "", []int{1, 2}, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, 2)
			s.on[companiesPath] = test.companies
			c, _ := clientOf(t, s)
			src, err := c.Source(context.Background())
			if fmt.Sprint(err) != test.wantErr && (err != nil || test.wantErr != "") {
				t.Errorf("error %v, want %q", err, test.wantErr)
			}
			if (err != nil) != errors.Is(err, ErrIncomplete) {
				t.Errorf("error %v is not ErrIncomplete", err)
			}
			var ids []int
			for _, company := range src.Companies {
				ids = append(ids, company.ID)
			}
			if diff := cmp.Diff(test.wantIDs, ids); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
			if src.Count != 2 || len(src.Statuses) != 2 || len(src.Types) != 2 {
				t.Errorf("count %d, %d statuses, %d types: want 2 of each", src.Count, len(src.Statuses), len(src.Types))
			}
			if got := len(s.requests(companiesPath)); got != test.wantLists {
				t.Errorf("read %d times, want %d", got, test.wantLists)
			}
		})
	}
}

func TestBadAnswers(t *testing.T) {
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5000")
		fmt.Fprintf(w, "[%s,", row(1))
	}
	tests := map[string]struct {
		path         string
		handler      http.HandlerFunc
		wantErr      error // nil: neither of the two
		wantText     string
		wantRequests int
	}{
		"401":                      {companiesPath, answer(401, `{"code":"ConnectWiseApi","message":"UserNotAuthenticated"}`), ErrUnauthorized, "/company/companies: 401 Unauthorized: ConnectWiseApi: UserNotAuthenticated (request req-1); check the company id, the public and private key", 1},
		"403":                      {companiesPath, answer(403, `{"code":"Security","message":"No."}`), ErrUnauthorized, `Company Maintenance: Inquire = All`, 1},
		"403 of a table":           {typesPath, answer(403, `{"message":"No."}`), ErrUnauthorized, `list company types: GET`, 1},
		"400 for the client id":    {companiesPath, answer(400, `{"code":"X","message":"A clientId is needed"}`), ErrUnauthorized, "check the client id", 1},
		"400 for the version":      {companiesPath, answer(400, `{"code":"X","message":"Check your accept header to make sure you are using the correct version."}`), nil, "model version", 2},
		"400":                      {countPath, answer(400, `{"code":"ApiFindCondition","message":"x is not a recognized name."}`), nil, "400 Bad Request: ApiFindCondition: x is not a recognized name. (request req-1)", 1},
		"404 on premises":          {companiesPath, answer(404, `{"code":"NotFound","message":"nothing"}`), nil, "check the URL", 1},
		"409, text":                {companiesPath, answer(409, "busy\x1b[31m\nnow\u202e"), nil, "409 Conflict: busy [31m now (request", 1},
		"redirect":                 {companiesPath, http.RedirectHandler("http://elsewhere.example/x?y", http.StatusFound).ServeHTTP, nil, "302 Found: redirect to http://elsewhere.example/x (request req-1); cwvault does not follow redirects", 1},
		"HTML":                     {companiesPath, answer(200, "\r\n<!DOCTYPE html><html></html>"), nil, "an HTML page instead of JSON", 1},
		"HTML with 403":            {companiesPath, answer(403, "<html>"), ErrUnauthorized, "an HTML page instead of JSON", 1},
		"an error with 200":        {companiesPath, answer(200, `{"code":"Security","message":"SSL is required.","errors":null}`), nil, "200 OK: Security: SSL is required.", 1},
		"no content":               {companiesPath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, nil, "204 No Content", 1},
		"a number":                 {companiesPath, answer(200, `5`), ErrIncomplete, "expected a list", 1},
		"null":                     {companiesPath, answer(200, `null`), ErrIncomplete, "expected a list", 1},
		"garbled":                  {companiesPath, answer(200, `[{"id":1},{"id"=2}]`), ErrIncomplete, "garbled", 1},
		"no comma":                 {companiesPath, answer(200, `[{"id":1} {"id":2}]`), ErrIncomplete, "garbled", 1},
		"more after the list":      {companiesPath, answer(200, `[{"id":1}][]`), ErrIncomplete, "text follows the list", 1},
		"row without id":           {companiesPath, answer(200, `[{"id":1},{"name":"x"}]`), ErrIncomplete, "row 2 of the list has no id", 1},
		"row with id null":         {companiesPath, answer(200, `[{"id":null}]`), ErrIncomplete, "row 1 of the list has no id", 1},
		"row with id 0":            {companiesPath, answer(200, `[{"id":0}]`), ErrIncomplete, "row 1 of the list has no id", 1},
		"row with id -1":           {companiesPath, answer(200, `[{"id":-1}]`), ErrIncomplete, "row 1 of the list has no id", 1},
		"row with id as text":      {companiesPath, answer(200, `[{"id":"1"}]`), ErrIncomplete, "garbled", 1},
		"row with half an id":      {companiesPath, answer(200, `[{"id":1.5}]`), ErrIncomplete, "garbled", 1},
		"row with a huge id":       {companiesPath, answer(200, `[{"id":99999999999999999999}]`), ErrIncomplete, "garbled", 1},
		"null for a row":           {companiesPath, answer(200, `[null]`), ErrIncomplete, "has no id", 1},
		"table row without id":     {statusesPath, answer(200, `[{"name":"x"}]`), ErrIncomplete, "list company statuses: GET", 1},
		"no count":                 {countPath, answer(200, `{}`), ErrIncomplete, "no count", 1},
		"negative count":           {countPath, answer(200, `{"count":-1}`), ErrIncomplete, "no count", 1},
		"count as text":            {countPath, answer(200, `{"count":"1"}`), ErrIncomplete, "garbled", 1},
		"count as list":            {countPath, answer(200, `[]`), ErrIncomplete, "garbled", 1},
		"list not closed":          {companiesPath, answer(200, `[{"id":1}`), ErrIncomplete, "the answer is truncated", maxTries},
		"row not closed":           {companiesPath, answer(200, `[{"id":1,"na`), ErrIncomplete, "the answer is truncated", maxTries},
		"empty body":               {companiesPath, answer(200, ``), ErrIncomplete, "the answer is truncated", maxTries},
		"connection cut":           {companiesPath, cut, ErrIncomplete, "the answer is truncated", maxTries},
		"connection cut in count":  {countPath, answer(200, `{"count":`), ErrIncomplete, "count companies: GET", maxTries},
		"longer than it may be":    {companiesPath, endless, ErrIncomplete, "longer than 64 MiB", 1},
		"500 timeout":              {companiesPath, answer(500, `{"code":"ConnectWiseApi","message":"A timeout has occured. Please try again."}`), nil, "500 Internal Server Error: ConnectWiseApi: A timeout has occured.", maxTries},
		"504 HTML":                 {companiesPath, answer(504, `<html>gateway</html>`), nil, "504 Gateway Timeout: an HTML page", maxTries},
		"429":                      {companiesPath, answer(429, `{"error":"ConnectWiseAPI","message":"Too many requests."}`), nil, "429 Too Many Requests: ConnectWiseAPI: Too many requests.", maxTries},
		"error with a long text":   {companiesPath, answer(409, strings.Repeat("ä", 100_000)), nil, strings.Repeat("ä", 300) + "…", 1},
		"error without a body":     {companiesPath, answer(405, ""), nil, "405 Method Not Allowed (request", 1},
		"the keys in an error":     {companiesPath, echo(409), nil, "[redacted]", 1},
		"the keys in a page":       {companiesPath, echo(200), ErrIncomplete, "garbled", 1},
		"the keys in a redirect":   {companiesPath, redirectWithKeys, nil, "redirect to https://", 1},
		"the keys in broken HTTP":  {companiesPath, keysInsteadOfHTTP, nil, `"[redacted]"`, maxTries},
		"the keys in a request id": {companiesPath, keysInRequestID, nil, "[redacted]", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, 1)
			s.on[test.path] = test.handler
			c, _ := clientOf(t, s)
			src, err := c.Source(context.Background())
			if err == nil {
				t.Fatal("no error")
			}
			var typed *Error
			if !errors.As(err, &typed) || typed.Method != "GET" || typed.URL != s.URL+api+test.path {
				t.Errorf("error %#v is not an *Error for %s", err, test.path)
			}
			for _, sentinel := range []error{ErrUnauthorized, ErrIncomplete} {
				if errors.Is(err, sentinel) != (sentinel == test.wantErr) {
					t.Errorf("errors.Is(%v, %v) = %v", err, sentinel, errors.Is(err, sentinel))
				}
			}
			if !strings.Contains(err.Error(), test.wantText) {
				t.Errorf("error %q, want %q in it", err, test.wantText)
			}
			if len(err.Error()) > 1500 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
			if strings.ContainsAny(err.Error(), "\n\r\x1b\u202e?") {
				t.Errorf("error %q has a control character or a query", err)
			}
			noKeys(t, "error", err.Error())
			noKeys(t, "error", fmt.Sprintf("%+v %#v", typed, *typed))
			if diff := cmp.Diff(sync.Source{}, src); diff != "" {
				t.Errorf("a Source in spite of the error:\n%s", diff)
			}
			if got := len(s.requests(test.path)); got != test.wantRequests {
				t.Errorf("%d requests, want %d", got, test.wantRequests)
			}
		})
	}
}

func endless(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, "[%s", row(1))
	long := []byte(`,{"id":2,"other":"` + strings.Repeat("x", 1<<20) + `"}`)
	for range 65 {
		if _, err := w.Write(long); err != nil {
			return
		}
	}
	fmt.Fprint(w, "]")
}

func echo(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, "[you sent ", r.Header, " with ", testPrivate)
	}
}

func redirectWithKeys(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", "https://"+testPublic+":"+testPrivate+"@"+r.Host)
	w.WriteHeader(307)
}

func keysInsteadOfHTTP(w http.ResponseWriter, r *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s\r\n\r\n", r.Header.Get("Authorization"), testPrivate)
}

func keysInRequestID(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Cw-Request-Id", r.Header.Get("Authorization"))
	w.WriteHeader(409)
}

// A printed client shows no key either.
func TestClientHoldsNoKeysInTheOpen(t *testing.T) {
	c, _ := clientOf(t, newServer(t, 1))
	noKeys(t, "client", fmt.Sprintf("%v %+v %#v", c, c, c))
}

func TestFieldsRefused(t *testing.T) {
	s := newServer(t, 1500)
	s.on[companiesPath] = func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(strings.Split(r.URL.Query().Get("fields"), ","), "typeIds") {
			answer(400, `{"code":"InvalidField","message":"typeIds is not a field"}`)(w, r)
			return
		}
		s.companies(w, r)
	}
	c, _ := clientOf(t, s)
	src, err := c.Source(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	checkIDs(t, src, 1500)
	if got := len(s.requests(companiesPath)); got != 3 {
		t.Errorf("%d requests for companies, want 3", got)
	}
}

func TestProgress(t *testing.T) {
	s := newServer(t, 2500)
	var got [][2]int
	c, _ := clientOf(t, s, func(cfg *Config) {
		cfg.Progress = func(read, total int) { got = append(got, [2]int{read, total}) }
	})
	if _, err := c.Source(context.Background()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][2]int{{1000, 2500}, {2000, 2500}, {2500, 2500}}, got); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}
