package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cwvault/scheduler/api"
	"cwvault/sync"
	"cwvault/sync/report"
)

// wait waits until a condition holds.
func wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// withCancel returns a change that lets a request end when cancel is called.
func withCancel(t *testing.T) (func(*http.Request), context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return func(r *http.Request) { *r = *r.WithContext(ctx) }, cancel
}

func TestReadAPI(t *testing.T) {
	tests := map[string]struct {
		target string
		status int
		want   string
	}{
		"runs": {"/api/runs?limit=1", 200, `{"runs":[{"run":12,"start":"2026-11-22T11:50:00Z","end":"2026-11-22T11:51:00Z","trigger":"schedule",` +
			`"outcome":"partial","plan":"0badc0de","counts":{"create":1,"departed":1,"held":2,"move":1,"unchanged":48},` +
			`"error":"the vault said: \u003c/script\u003e\u003cscript\u003ealert(1)\u003c/script\u003e\u003cimg src=x onerror=alert(2)\u003e\"'\u0026\n\u001b[31m\u202egnp\u200b"}]}`},
		"older runs":              {"/api/runs?before=12", 200, `{"runs":[{"run":11,"start":"2026-11-22T11:20:00Z","end":"2026-11-22T11:51:00Z","trigger":"start","outcome":"done"}]}`},
		"no older runs":           {"/api/runs?before=11", 200, `{"runs":[]}`},
		"limit too small":         {"/api/runs?limit=0", 400, `{"error":"limit must be a number from 1 to 1000"}`},
		"limit too large":         {"/api/runs?limit=1001", 400, `{"error":"limit must be a number from 1 to 1000"}`},
		"limit beyond all":        {"/api/runs?limit=99999999999999999999", 400, `{"error":"limit must be a number from 1 to 1000"}`},
		"before is no number":     {"/api/runs?before=%22%3E%3Cscript%3E", 400, `{"error":"before must be a number from 0 to 9223372036854775807"}`},
		"before is negative":      {"/api/runs?before=-1", 400, `{"error":"before must be a number from 0 to 9223372036854775807"}`},
		"no run":                  {"/api/runs/13", 404, `{"error":"not found"}`},
		"a run without a number":  {"/api/runs/last", 404, `{"error":"not found"}`},
		"a run out of the way":    {"/api/runs/..%2f..%2fetc%2fpasswd", 404, `{"error":"no such page"}`},
		"a search":                {"/api/companies?q=ALOVET", 200, `{"companies":[{"id":250,"identifier":"alovet","name":"Alovet, Inc.","path":"\\Clients\\Prospect\\Active\\Alovet","state":"held"}],"more":false}`},
		"a search without result": {"/api/companies?q=nobody", 200, `{"companies":[],"more":false}`},
		"a search with more": {"/api/companies?limit=1&q=customer+nine", 200,
			`{"companies":[{"id":9,"identifier":"nine","name":"Nine","path":"\\Clients\\Customer\\Active\\Nine","state":"departed"}],"more":false}`},
		"a company": {"/api/companies/250", 200, `{"id":250,"identifier":"alovet","name":"Alovet, Inc.","path":"\\Clients\\Prospect\\Active\\Alovet","state":"held","explain":` +
			`"key           company/250\ncompany       Alovet, Inc. (alovet)\nstatus        Active (1)\ntypes         Customer (1)\nfolder        \\Clients\\Prospect\\Active\\Alovet (id 21)\n` +
			`next          move to \\Clients\\Customer\\Active\\Alovet, Inc.: type changed from Prospect to Customer\nheld          guard-moves: 21 of 50 folders would move\n` +
			`fix           Review the plan (cwvault plan). If it is right, approve it: cwvault resync --approve 0badc0de. If not, correct ConnectWise.\n"}`},
		"no match":       {"/api/companies/251", 404, `{"error":"not found"}`},
		"no number":      {"/api/companies/alovet", 404, `{"error":"not found"}`},
		"a request":      {"/api/resync/r0", 200, `{"request":"r0","state":"over","run":12,"exitCode":4}`},
		"no request":     {"/api/resync/r9", 404, `{"error":"not found"}`},
		"no such page":   {"/api/nothing", 404, `{"error":"no such page"}`},
		"the API itself": {"/api", 404, "no such page"},
	}
	f := newFake(t)
	f.asked["r0"] = api.Asked{ID: "r0", State: "over", Run: 12, ExitCode: 4}
	h := newHandler(local(f), quick())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := do(h, "GET", test.target, "")
			if diff := cmp.Diff(test.want+"\n", w.Body.String()); w.Code != test.status || diff != "" {
				t.Errorf("status %d, want %d (-want +got)\n%s", w.Code, test.status, diff)
			}
			if kind := w.Header().Get("Content-Type"); strings.HasPrefix(test.target, "/api/") != (kind == "application/json") {
				t.Errorf("Content-Type: %s", kind)
			}
		})
	}
}

func TestReadRun(t *testing.T) {
	f := newFake(t)
	w := do(newHandler(local(f), quick()), "GET", "/api/runs/12", "")
	var got report.Run
	if err := json.Unmarshal(w.Body.Bytes(), &got); w.Code != 200 || err != nil {
		t.Fatalf("%d %v", w.Code, err)
	}
	if diff := cmp.Diff(f.reports[0], got, cmpopts.IgnoreFields(sync.Held{}, "Approvable")); diff != "" {
		t.Errorf("the run means something else (-want +got)\n%s", diff)
	}
	if !strings.HasPrefix(w.Body.String(), "{\n  \"schema\": \"cwvault.run/1\",\n  \"run\": 12,") {
		t.Errorf("%.100s", w.Body)
	}
}

func TestPlan(t *testing.T) {
	f := newFake(t)
	h := newHandler(local(f), quick())
	w := do(h, "GET", "/api/plan", "")
	var got sync.Plan
	if err := json.Unmarshal(w.Body.Bytes(), &got); w.Code != 200 || err != nil {
		t.Fatalf("%d %v", w.Code, err)
	}
	want, err := f.state.Look.Pending.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(again)); diff != "" {
		t.Errorf("the plan means something else (-want +got)\n%s", diff)
	}
	if at := w.Header().Get("Last-Modified"); at != "Sun, 22 Nov 2026 11:50:00 GMT" {
		t.Errorf("Last-Modified: %s", at)
	}
	f.set(func(s *State) { s.Look = nil })
	for _, target := range []string{"/api/plan", "/api/companies", "/api/companies/250"} {
		if w := do(h, "GET", target, ""); w.Code != 404 {
			t.Errorf("%s before the first look: %d", target, w.Code)
		}
	}
}

// TestHostileNamesInJSON: whatever a name holds, an answer is JSON of printing
// characters, and means what was meant.
func TestHostileNamesInJSON(t *testing.T) {
	f := newFake(t)
	nasty := hostile + "\u0000\u2028\U000e0041\xff"
	f.state.Look.Companies[0].Name = nasty
	f.state.Look.Pending.Steps[1].Company.Name = nasty
	f.reports[0].Error = nasty
	f.asked["r0"] = api.Asked{ID: "r0", State: "over", Error: nasty}
	f.resyncErr = fmt.Errorf("%w: no company %s", api.ErrInvalid, nasty)
	h := newHandler(local(f), quick())
	for _, request := range []struct{ method, target string }{
		{"GET", "/api/plan"}, {"GET", "/api/runs"}, {"GET", "/api/companies?q=evil"}, {"GET", "/api/companies/666"}, {"GET", "/api/resync/r0"}, {"POST", "/api/resync"},
	} {
		w := do(h, request.method, request.target, "", withBearer(rightToken))
		body := w.Body.String()
		if i := strings.IndexFunc(body, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%s: %q is in the answer", request.target, body[i:min(len(body), i+8)])
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: not JSON: %s", request.target, body)
		}
		// The last byte of the name is no character and becomes one.
		meant, err := json.Marshal(strings.TrimSuffix(nasty, "\xff"))
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(w.Body.Bytes(), &value); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(value)
		if err != nil || !strings.Contains(string(again), strings.Trim(string(meant), `"`)) {
			t.Errorf("%s: the name is not in %s", request.target, again)
		}
	}
}

func TestSearch(t *testing.T) {
	all := []report.Company{
		{ID: 12, Identifier: "zeta2", Name: "Zeta 250 GmbH", Path: `\C\Customer\Zeta`},
		{ID: 250, Identifier: "alovet", Name: "Alovet, Inc.", Path: `\C\Customer\Alovet, Inc.`},
		{ID: 251, Identifier: "zeta", Name: "ÄRZTE Straße", Path: `\C\Prospect\Ärzte`},
		{ID: 1250, Identifier: "x250", Name: "Four", Step: &sync.Step{To: `\C\Customer\Four`}}, // it has no folder yet
	}
	tests := []struct {
		query string
		limit int
		ids   []int
		more  bool
	}{
		{"", 9, []int{12, 250, 251, 1250}, false},
		{" \t", 3, []int{12, 250, 251}, true},
		{"", 4, []int{12, 250, 251, 1250}, false},
		{"", 0, nil, true},
		{"", -1, nil, true},
		{"250", 9, []int{250, 12, 1250}, false}, // the id first, then what has it in its words
		{"250", 1, []int{250}, true},
		{"251", 9, []int{251}, false},
		{"1", 9, nil, false}, // a part of an id is no id
		{"ALO", 9, []int{250}, false},
		{"ZETA", 9, []int{251, 12}, false}, // the identifier first
		{"ärzte", 9, []int{251}, false},
		{"straße ÄRZ", 9, []int{251}, false},
		{`customer\four`, 9, []int{1250}, false},
		{"customer zeta", 9, []int{12}, false},
		{"customer 250", 9, []int{12, 250, 1250}, false},
		{"customer prospect", 9, nil, false},
		{"inc. \\c", 9, []int{250}, false},
		{"alovet alovet", 9, []int{250}, false},
		{"alovetzeta", 9, nil, false},
		{"%", 9, nil, false},
		{".*", 9, nil, false},
		{strings.Repeat("a ", 200), 9, nil, false},
	}
	for _, test := range tests {
		found, more := Search(all, test.query, test.limit)
		var ids []int
		for _, c := range found {
			ids = append(ids, c.ID)
		}
		if diff := cmp.Diff(test.ids, ids); diff != "" || more != test.more {
			t.Errorf("%.20q limit %d: more %v (-want +got)\n%s", test.query, test.limit, more, diff)
		}
	}
	if all[0].ID != 12 || all[3].ID != 1250 {
		t.Error("the search changed what it searched")
	}
}

func TestResync(t *testing.T) {
	deep := strings.Repeat("[", 20000)
	tests := map[string]struct {
		kind, body string
		status     int
		want       *api.Request
		says       string
	}{
		"nothing":                {"", "", 202, &api.Request{}, `"request":"r1"`},
		"nothing, as curl -d":    {"application/x-www-form-urlencoded", "", 202, &api.Request{}, `"request":"r1"`},
		"blanks":                 {"", " \n", 202, &api.Request{}, ""},
		"an empty object":        {"application/json", "{}", 202, &api.Request{}, ""},
		"companies":              {"application/json; charset=utf-8", `{"companies":["alovet","250"]}`, 202, &api.Request{Companies: []string{"alovet", "250"}}, ""},
		"all":                    {"application/json", `{"companies":["a"],"approve":"0badc0de","recreate":["company/1"]}`, 202, &api.Request{Companies: []string{"a"}, Approve: "0badc0de", Recreate: []sync.Key{"company/1"}}, ""},
		"an unknown field":       {"application/json", `{"company":["alovet"]}`, 400, nil, "unknown field"},
		"two values":             {"application/json", `{}{}`, 400, nil, "follows"},
		"garbage behind":         {"application/json", `{} x`, 400, nil, "follows"},
		"no JSON":                {"application/json", "\x00\x1b[31m", 400, nil, "invalid character"},
		"half of it":             {"application/json", `{"companies":["alo`, 400, nil, "unexpected EOF"},
		"a list":                 {"application/json", `["alovet"]`, 400, nil, "cannot unmarshal"},
		"the wrong kind":         {"application/json", `{"companies":"alovet"}`, 400, nil, "cannot unmarshal"},
		"deep nesting":           {"application/json", `{"companies":` + deep, 400, nil, "depth"},
		"JSON that says form":    {"application/x-www-form-urlencoded", `{"companies":["alovet"]}`, 415, nil, "application/json"},
		"JSON that says nothing": {"", `{"companies":["alovet"]}`, 415, nil, "application/json"},
		"text":                   {"text/plain", "alovet", 415, nil, "application/json"},
		"a form with a file":     {"multipart/form-data; boundary=x", "--x--", 415, nil, "application/json"},
		"too large":              {"application/json", `{"approve":"` + strings.Repeat("a", maxResync) + `"}`, 413, nil, "larger than 65536 bytes"},
		"just not too large":     {"application/json", `{"approve":"` + strings.Repeat("a", maxResync-len(`{"approve":""}`)) + `"}`, 202, &api.Request{Approve: strings.Repeat("a", maxResync-len(`{"approve":""}`))}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			h := newHandler(local(f), quick())
			w := do(h, "POST", "/api/resync", test.body, withBearer(rightToken), with("Content-Type", test.kind))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, test.status, test.says)
			}
			var want []api.Request
			location := ""
			if test.want != nil {
				want, location = []api.Request{*test.want}, "/api/resync/r1"
			}
			if diff := cmp.Diff(want, f.requests()); diff != "" {
				t.Errorf("asked for (-want +got)\n%s", diff)
			}
			if got := w.Header().Get("Location"); got != location {
				t.Errorf("Location: %q, want %q", got, location)
			}
		})
	}
}

func TestResyncForm(t *testing.T) {
	tests := map[string]struct {
		form   url.Values
		change func(*http.Request)
		status int
		want   *api.Request
	}{
		"everything":        {url.Values{"token": {rightToken}}, nil, 303, &api.Request{}},
		"with empty fields": {url.Values{"token": {rightToken}, "companies": {" ,"}, "approve": {" "}, "recreate": {""}}, nil, 303, &api.Request{}},
		"some": {url.Values{"token": {rightToken}, "companies": {"alovet, 250", "x"}, "approve": {"0badc0de"}, "recreate": {"company/1,company/2"}}, nil, 303,
			&api.Request{Companies: []string{"alovet", "250", "x"}, Approve: "0badc0de", Recreate: []sync.Key{"company/1", "company/2"}}},
		"no token":            {url.Values{"companies": {"alovet"}}, nil, 401, nil},
		"a wrong token":       {url.Values{"token": {"wrong"}}, nil, 401, nil},
		"the wrong one first": {url.Values{"token": {"wrong", rightToken}}, nil, 401, nil},
		"Basic besides":       {url.Values{}, func(r *http.Request) { r.SetBasicAuth("", rightToken) }, 401, nil},
		"from our page":       {url.Values{"token": {rightToken}}, with("Sec-Fetch-Site", "same-origin"), 303, &api.Request{}},
		"from another site":   {url.Values{"token": {rightToken}}, with("Sec-Fetch-Site", "cross-site"), 403, nil},
		"from another origin": {url.Values{"token": {rightToken}}, with("Origin", "http://evil.example.com"), 403, nil},
		"too large":           {url.Values{"token": {rightToken}, "companies": {strings.Repeat("a", maxResync)}}, nil, 413, nil},
		"a bearer besides":    {url.Values{"token": {rightToken}}, withBearer("wrong"), 401, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			h := newHandler(local(f), quick())
			change := test.change
			if change == nil {
				change = func(*http.Request) {}
			}
			w := do(h, "POST", "/api/resync", test.form.Encode(), with("Content-Type", "application/x-www-form-urlencoded"), change)
			if w.Code != test.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, test.status)
			}
			if got := w.Header().Get("WWW-Authenticate"); strings.Contains(got, "Basic") {
				t.Errorf("the browser would ask again: %s", got)
			}
			if location := w.Header().Get("Location"); (location == "/") != (test.status == 303) {
				t.Errorf("Location: %q", location)
			}
			var want []api.Request
			if test.want != nil {
				want = []api.Request{*test.want}
			}
			if diff := cmp.Diff(want, f.requests()); diff != "" {
				t.Errorf("asked for (-want +got)\n%s", diff)
			}
		})
	}
	f := newFake(t)
	w := do(newHandler(local(f), quick()), "POST", "/api/resync", "token=%zz", with("Content-Type", "application/x-www-form-urlencoded"))
	if w.Code != 400 {
		t.Errorf("what is no form: %d", w.Code)
	}
}

func TestServiceErrors(t *testing.T) {
	secretive := errors.New("journal at /var/lib/secret-place is gone")
	tests := []struct {
		err      error
		status   int
		callback int
	}{
		{nil, 202, 204},
		{fmt.Errorf("%w: there is no company x", api.ErrInvalid), 400, 400},
		{fmt.Errorf("queue: %w", api.ErrTooMany), 429, 429},
		{secretive, 500, 500},
		{api.ErrForged, 500, 403},
		{fmt.Errorf("key: %w", api.ErrUndecided), 500, 202},
	}
	for _, test := range tests {
		f := newFake(t)
		f.resyncErr, f.callbackErr, f.runsErr = test.err, test.err, test.err
		h := newHandler(local(f), quick())
		w := do(h, "POST", "/api/resync", "", withBearer(rightToken))
		if w.Code != test.status || strings.Contains(w.Body.String(), "secret-place") || (w.Code == 429) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("resync, %v: %d %s", test.err, w.Code, w.Body)
		}
		if w.Code == 400 && !strings.Contains(w.Body.String(), "no company x") {
			t.Errorf("who asked is not told why: %s", w.Body)
		}
		w = do(h, "POST", "/api/connectwise/callback", "{}", with("X-Content-Signature", "c2ln"))
		if w.Code != test.callback || strings.Contains(w.Body.String(), "secret-place") || strings.Contains(w.Body.String(), "company x") {
			t.Errorf("callback, %v: %d %s", test.err, w.Code, w.Body)
		}
		if test.err == secretive {
			for _, target := range []string{"/api/runs", "/api/runs/12"} {
				if w := do(h, "GET", target, ""); w.Code != 500 || strings.Contains(w.Body.String(), "secret-place") {
					t.Errorf("%s: %d %s", target, w.Code, w.Body)
				}
			}
		}
	}
}

func TestCallback(t *testing.T) {
	body := `{"Action":"updated","ID":250,"Type":"company","Entity":"{}"}`
	f := newFake(t)
	h := newHandler(local(f), quick())
	send := func(method, body string, changes ...func(*http.Request)) int {
		return do(h, method, "/api/connectwise/callback?id=250&action=updated", body, changes...).Code
	}
	signed := with("X-Content-Signature", "c2lnbmF0dXJl")
	tests := []struct {
		name string
		got  int
		want int
	}{
		{"signed", send("POST", body, signed, fromAfar), 204},
		{"through a proxy", send("POST", body, signed, fromAfar, with("X-Forwarded-For", "192.0.2.1")), 204},
		{"not signed", send("POST", body), 403},
		{"too large", send("POST", strings.Repeat(" ", maxCallback+1), signed), 413},
		{"as large as can be", send("POST", strings.Repeat("x", maxCallback), signed), 204},
		{"read", send("GET", "", signed), 405},
		{"put", send("PUT", body, signed), 405},
		{"from a page", send("POST", body, signed, with("Origin", "https://evil.example.com")), 403},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: %d, want %d", test.name, test.got, test.want)
		}
	}
	want := []delivery{{body, "c2lnbmF0dXJl"}, {body, "c2lnbmF0dXJl"}, {strings.Repeat("x", maxCallback), "c2lnbmF0dXJl"}}
	if !cmp.Equal(want, f.deliveries(), cmp.AllowUnexported(delivery{})) {
		t.Errorf("%d deliveries", len(f.deliveries()))
	}
}

// TestCallbackInTime: ConnectWise waits for a second, whatever the service does.
func TestCallbackInTime(t *testing.T) {
	synctest.Test(t, callbackInTime)
}

func callbackInTime(t *testing.T) {
	f := newFake(t)
	f.callbackErr = errors.New("too late")
	f.callback = func(ctx context.Context) {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > time.Second {
			t.Errorf("deadline %v %v", deadline, ok)
		}
		<-ctx.Done()
	}
	w := do(newHandler(local(f), quick()), "POST", "/api/connectwise/callback", "{}", with("X-Content-Signature", "c2ln"))
	if w.Code != 429 || w.Header().Get("Retry-After") == "" { // ConnectWise tries again after this one
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
