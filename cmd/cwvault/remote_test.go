package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/go-hclog"

	"cwvault/connectwise/connectwisetest"
	"cwvault/scheduler/api"
	"cwvault/scheduler/dashboard"
	"cwvault/sync"
)

// testReport is a run with everything in it.
func testReport() *runReport {
	at := func(s int) time.Time { return time.Date(2026, 11, 21, 10, 0, s, 5e6, time.UTC) }
	secrets := 12
	company := &sync.PlanCompany{ID: 250, Identifier: "alovet", Name: "Alovet <&> Inc."}
	return &runReport{
		Plan: sync.Plan{
			Schema: sync.PlanSchema, ID: "8f14e45f", Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Clients`,
			Steps: []sync.Step{
				{Op: sync.OpMove, Kind: sync.KindCompany, Key: "company/250", Company: company, FolderID: "21", From: `\Clients\A`, To: `\Clients\B`,
					Via: `\Clients\C`, Reason: "type changed", Secrets: &secrets, Access: &sync.AccessChange{Gains: []string{"Helpdesk (View)"}, Loses: []string{}}},
				{Op: sync.OpCreate, Kind: sync.KindGroup, Key: "group/type:1", To: `\Clients\New`, Reason: "new"},
				{Op: sync.OpRename, Kind: sync.KindCompany, Key: "company/7", FolderID: "9", From: `\Clients\X`, To: `\Clients\Y`, Reason: "renamed"},
			},
			Held:     []sync.Held{{Code: sync.HeldGuardMoves, Key: "company/8", Company: company, Path: `\Clients\Z`, Reason: "too many"}},
			Departed: []sync.Departed{{Key: "company/9", FolderID: "3", Path: `\Clients\Old`, Reason: "deleted in ConnectWise"}},
			Counts:   sync.Counts{Create: 1, Rename: 1, Move: 1, Held: 1, Departed: 1, Unchanged: 212},
		},
		Run: 12, Trigger: "request", Outcome: outcomePartial, Error: "commit to the store: no", Started: at(0), Ended: at(9),
		Results: []stepResult{
			{Status: sync.StatusDone, Began: at(1), Ended: at(2)},
			{Status: sync.StatusFailed, Error: "no", Began: at(3), Ended: at(4)},
			{Status: sync.StatusSkipped, Error: "depends on group/type:1"},
		},
	}
}

func TestRunReportThereAndBack(t *testing.T) {
	for name, r := range map[string]*runReport{
		"full":  testReport(),
		"empty": {Plan: sync.Plan{Schema: sync.PlanSchema, Steps: []sync.Step{}}, Results: []stepResult{}, Outcome: outcomeDone},
	} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back runReport
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(*r, back, cmpopts.IgnoreUnexported(sync.Plan{}, sync.Step{}, runReport{}, stepResult{})); diff != "" {
			t.Errorf("%s (-sent +received):\n%s", name, diff)
		}
	}
	for _, text := range []string{`[]`, `{}`, `{"schema":"cwvault.plan/1"}`, `{"schema":"cwvault.run/1","run":"x"}`, `{"schema":"cwvault.run/1","steps":[{"secrets":"x"}]}`} {
		if err := json.Unmarshal([]byte(text), new(runReport)); err == nil {
			t.Errorf("%s is a run", text)
		}
	}
}

func TestRemoteBase(t *testing.T) {
	for raw, want := range map[string]string{
		"https://cwvault.example.com":         "https://cwvault.example.com",
		"https://cwvault.example.com:8443/":   "https://cwvault.example.com:8443",
		"https://example.com/tools/cwvault//": "https://example.com/tools/cwvault",
		"http://127.0.0.1:8377":               "http://127.0.0.1:8377",
		"http://localhost:8377/":              "http://localhost:8377",
		"http://[::1]:8377":                   "http://[::1]:8377",
	} {
		if got, err := remoteBase(raw); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{
		"", "cwvault.example.com", "127.0.0.1:8377", "ftp://secret/", "https://", "http://192.168.1.5:8377/secret", "http://localhost.secret.example",
		"https://user:secret@h/", "https://h/?token=secret", "https://h/?", "https://h/#secret", "https://h:secret",
	} {
		if got, err := remoteBase(raw); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
	}
}

// answer is what a service says once.
type answer struct {
	status int
	body   any // text as it is, the rest as JSON
	header string
}

// fakeService answers each path with what is next in its list, and the last for
// good. A status of 0 breaks the connection, one of -1 hangs.
type fakeService struct {
	*httptest.Server
	t       *testing.T
	mu      gosync.Mutex
	answers map[string][]answer
	asked   []string // method, path and body
	hung    chan struct{}
}

func newFakeService(t *testing.T, answers map[string][]answer) *fakeService {
	f := &fakeService{t: t, answers: map[string][]answer{}, hung: make(chan struct{}, 10)}
	for path, list := range answers {
		f.answers[path] = append([]answer{}, list...)
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	if got := r.Header.Get("Authorization"); got != "Bearer "+serviceToken {
		f.t.Errorf("%s: %q for a token", r.URL, got)
	}
	f.mu.Lock()
	asked := r.Method + " " + r.URL.Path
	f.asked = append(f.asked, strings.TrimSpace(asked+" "+string(body)))
	list := f.answers[asked]
	if len(list) > 1 {
		f.answers[asked] = list[1:]
	}
	f.mu.Unlock()
	if len(list) == 0 {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":"no such page"}`)
		return
	}
	a := list[0]
	switch a.status {
	case 0:
		panic(http.ErrAbortHandler)
	case -1:
		f.hung <- struct{}{}
		<-r.Context().Done()
		return
	}
	if name, value, ok := strings.Cut(a.header, ": "); ok {
		w.Header().Set(name, value)
	}
	text, ok := a.body.(string)
	if !ok {
		b, err := json.Marshal(a.body)
		if err != nil {
			f.t.Error(err)
		}
		text = string(b)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, text)
}

// requests returns what was asked so far.
func (f *fakeService) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.asked...)
}

// resync runs `resync --remote` with the token and nothing else.
func (f *fakeService) resync(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(f.t.Context(), append([]string{"resync", "--remote", f.URL}, args...), []string{"CWVAULT_TOKEN=" + serviceToken}, &out, &errs)
	return code, out.String(), errs.String()
}

func asked(state string, run int64, more ...int) dashboard.Asked {
	a := dashboard.Asked{ID: "A1", State: api.State(state), Run: run}
	if len(more) > 0 {
		a.Done, a.Total = more[0], more[1]
	}
	return a
}

func over(run int64, code int, text string) dashboard.Asked {
	return dashboard.Asked{ID: "A1", State: "over", Run: run, ExitCode: code, Error: text}
}

const (
	postResync = "POST /api/resync"
	getAsked   = "GET /api/resync/A1"
	getRun     = "GET /api/runs/12"
)

func TestRemoteResync(t *testing.T) {
	t.Parallel()
	report := func(change func(*runReport)) []answer {
		r := testReport()
		r.Outcome, r.Error, r.Held = outcomeDone, "", nil
		if change != nil {
			change(r)
		}
		return []answer{{200, r, ""}}
	}
	accepted := []answer{{202, asked("waiting", 0), "Location: https://elsewhere.example.com/"}}
	page := "\n<!doctype html><title>Sign in</title>"
	for name, test := range map[string]struct {
		answers map[string][]answer
		args    []string
		code    int
		stdout  []string
		stderr  []string
		asked   string // of the last POST
		again   bool   // there are two of them
	}{
		"from waiting to done": {
			answers: map[string][]answer{
				postResync: accepted,
				getAsked:   {{200, asked("running", 0), ""}, {200, asked("running", 12, 1, 3), ""}, {200, asked("running", 12, 2, 3), ""}, {200, over(12, 0, ""), ""}},
				getRun:     report(nil),
			},
			stdout: []string{"Run 12: done, plan 8f14e45f\n", `\Clients\New`},
			stderr: []string{"the request waits for its turn at the service", "the service reads both sides", "the service makes run 12, of 3 steps"},
			asked:  `POST /api/resync {}`,
		},
		"what is asked for": {
			answers: map[string][]answer{postResync: {{202, over(12, 0, ""), ""}}, getRun: report(nil)},
			args:    []string{"--company", "co1", "--company", "2", "--approve", "8f14", "--recreate", "company/3", "--format", "json"},
			stdout:  []string{`"schema": "cwvault.run/1"`, `"Alovet <&> Inc."`},
			asked:   `POST /api/resync {"companies":["co1","2"],"approve":"8f14","recreate":["company/3"]}`,
		},
		"partial": {
			answers: map[string][]answer{postResync: {{202, over(12, exitPartial, "commit: no"), ""}},
				getRun: report(func(r *runReport) { r.Outcome, r.Error = outcomePartial, "commit: no" })},
			code:   exitPartial,
			stdout: []string{"Run 12: partial", "commit: no"},
		},
		"a lost lease": {
			answers: map[string][]answer{postResync: {{202, over(12, exitLease, "the lease is lost"), ""}}, getRun: report(func(r *runReport) { r.Outcome = outcomePartial })},
			code:    exitLease,
			stdout:  []string{"Run 12: partial"},
			stderr:  []string{"cwvault: error: the lease is lost"},
		},
		"failed before the first step": {
			answers: map[string][]answer{postResync: accepted, getAsked: {{200, over(0, exitSource, "no companies\n\x1b[2Jat all"), ""}}},
			code:    exitSource,
			stderr:  []string{"cwvault: error: no companies\ncwvault: error: \\u001b[2Jat all\n"},
		},
		"an exit code that is none": {
			answers: map[string][]answer{postResync: {{202, over(0, 256, "x"), ""}}},
			code:    exitFailed,
		},
		"over without a run": {
			answers: map[string][]answer{postResync: {{202, over(0, 0, ""), ""}}},
			code:    exitFailed,
			stderr:  []string{"not which it was"},
		},
		"a hostile report": {
			answers: map[string][]answer{postResync: {{202, over(12, 0, ""), ""}}, getRun: report(func(r *runReport) {
				for _, text := range []*string{&r.ID, &r.Outcome, &r.Error, &r.Tenant, &r.Root, &r.Steps[0].To, &r.Steps[0].Reason, &r.Results[1].Error} {
					*text = "evil\x1b[31m\u202e"
				}
				r.Results[1].Status = "\x1b[31m"
				r.Held = []sync.Held{{Code: "\x1b[31m", Reason: "\x1b[31m"}}
			})},
			stdout: []string{`Run 12: evil\u001b[31m\u202e`, `\u001b[31m: evil`},
		},
		"it takes a while to come back": {
			answers: map[string][]answer{
				postResync: accepted,
				getAsked: {{0, "", ""}, {0, "", ""}, {0, "", ""}, {502, page, ""}, {429, map[string]string{"error": "busy"}, ""},
					{200, dashboard.Asked{ID: "another", State: "running"}, ""}, {503, "", ""}, {200, over(12, 0, ""), ""}},
				getRun: append([]answer{{0, "", ""}}, report(nil)...),
			},
			stdout: []string{"Run 12: done"},
			stderr: []string{"the service cannot be asked; trying on", "the service answers again"},
		},
		"started anew, before the run began": {
			answers: map[string][]answer{
				postResync:            {accepted[0], {202, dashboard.Asked{ID: "B?2", State: "waiting"}, ""}},
				getAsked:              {{404, map[string]string{"error": "not found"}, ""}},
				"GET /api/resync/B?2": {{200, over(12, 0, ""), ""}},
				getRun:                report(nil),
			},
			stdout: []string{"Run 12: done"},
			stderr: []string{"has forgotten the request; asking again"},
			again:  true,
		},
		"started anew, after the run was made": {
			answers: map[string][]answer{
				postResync: accepted,
				getAsked:   {{200, asked("running", 12), ""}, {404, map[string]string{"error": "not found"}, ""}},
				getRun:     report(func(r *runReport) { r.Outcome = outcomePartial }),
			},
			code:   exitPartial,
			stdout: []string{"Run 12: partial"},
		},
		"started anew twice": {
			answers: map[string][]answer{postResync: accepted, getAsked: {{404, map[string]string{"error": "not found"}, ""}}},
			code:    exitFailed,
			stderr:  []string{"GET /api/resync/A1: 404 Not Found: not found"},
			again:   true,
		},
		"a state that is none": {
			answers: map[string][]answer{postResync: {{202, asked("", 0), ""}}},
			code:    exitFailed,
			stderr:  []string{`the request is ""`},
		},
		"no token there": {
			answers: map[string][]answer{postResync: {{403, map[string]string{"error": "there is no token; set CWVAULT_TOKEN to allow this"}, ""}}},
			code:    exitUnauthorized,
			stderr:  []string{"403 Forbidden: there is no token; set CWVAULT_TOKEN"},
		},
		"another token": {
			answers: map[string][]answer{postResync: {{401, map[string]string{"error": "no\x1b[2J"}, ""}}},
			code:    exitUnauthorized,
			stderr:  []string{`401 Unauthorized: no\u001b[2J; CWVAULT_TOKEN must be the one that the service has`},
		},
		"another token since": {
			answers: map[string][]answer{postResync: accepted, getAsked: {{401, map[string]string{"error": "no"}, ""}}},
			code:    exitUnauthorized,
		},
		"nonsense asked for": {
			answers: map[string][]answer{postResync: {{400, map[string]string{"error": "no company 7"}, ""}}},
			code:    exitUsage,
			stderr:  []string{"400 Bad Request: no company 7\n"},
		},
		"too many": {
			answers: map[string][]answer{postResync: {{429, map[string]string{"error": "too many are waiting"}, ""}}},
			code:    exitFailed,
			stderr:  []string{"too many are waiting; try again later"},
		},
		"not there": {code: exitFailed, stderr: []string{"404 Not Found: no such page; check the address"}},
		"nothing there": {
			answers: map[string][]answer{postResync: {{0, "", ""}}},
			code:    exitFailed,
			stderr:  []string{"EOF"},
		},
		"starting": {
			answers: map[string][]answer{postResync: {{503, page, ""}}},
			code:    exitFailed,
			stderr:  []string{"503 Service Unavailable: an HTML page"},
		},
		"a sign-in page": {
			answers: map[string][]answer{postResync: {{200, page, ""}}},
			code:    exitFailed,
			stderr:  []string{"an HTML page instead of JSON; check that the address is that of cwvault serve"},
		},
		"something else": {
			answers: map[string][]answer{postResync: {{200, `{"id":5}`, ""}}},
			code:    exitFailed,
			stderr:  []string{"is it cwvault?"},
		},
		"not JSON": {
			answers: map[string][]answer{postResync: {{200, `ok`, ""}}},
			code:    exitFailed,
			stderr:  []string{"the answer is not what cwvault says"},
		},
		"too long": {
			answers: map[string][]answer{postResync: {{200, `{"request":"` + strings.Repeat("x", maxAnswer) + `"}`, ""}}},
			code:    exitFailed,
			stderr:  []string{"the answer is longer than 1048576 bytes"},
		},
		"a long refusal": {
			answers: map[string][]answer{postResync: {{500, map[string]string{"error": strings.Repeat("é", 5000)}, ""}}},
			code:    exitFailed,
			stderr:  []string{strings.Repeat("é", 500) + "…\n"},
		},
		"a redirect": {
			answers: map[string][]answer{postResync: {{307, "", "Location: /stolen"}}},
			code:    exitFailed,
			stderr:  []string{"307 Temporary Redirect", "they would take the token along; give the final address"},
		},
		"another version's report": {
			answers: map[string][]answer{postResync: {{202, over(12, 0, ""), ""}}, getRun: {{200, `{"schema":"cwvault.run/2"}`, ""}}},
			code:    exitFailed,
			stderr:  []string{`it is a "cwvault.run/2", not a cwvault.run/1`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeService(t, test.answers)
			code, stdout, stderr := f.resync(test.args...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, want := range test.stdout {
				if !strings.Contains(stdout, want) {
					t.Errorf("standard output lacks %q", want)
				}
			}
			for _, want := range test.stderr {
				if !strings.Contains(stderr, want) {
					t.Errorf("standard error lacks %q", want)
				}
			}
			if len(test.stdout) == 0 && stdout != "" {
				t.Error("standard output where none should be")
			}
			if both := stdout + stderr; strings.ContainsAny(both, "\x1b\u202e") || strings.Contains(both, serviceToken) {
				t.Error("something escaped")
			}
			last, posts := "", 1
			if test.again {
				posts = 2
			}
			for _, q := range f.requests() {
				if strings.HasPrefix(q, "POST") {
					last = q
					posts--
				}
				if strings.Contains(q, "stolen") {
					t.Error("the redirect was followed")
				}
			}
			if posts != 0 {
				t.Error("it was not asked once, or twice where it had forgotten")
			}
			if test.asked != "" && last != test.asked {
				t.Errorf("asked for %s, want %s", last, test.asked)
			}
			if t.Failed() {
				t.Logf("%q\n%s%s", f.requests(), stdout, stderr)
			}
		})
	}
}

// TestRemoteSettings sees that the token is enough, and needed, and that what
// cannot be done elsewhere is refused.
func TestRemoteSettings(t *testing.T) {
	f := newFakeService(t, map[string][]answer{postResync: {{202, over(12, 0, ""), ""}}, getRun: {{200, testReport(), ""}}})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(serviceToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const token = "CWVAULT_TOKEN=" + serviceToken
	for name, test := range map[string]struct {
		env    []string
		args   []string
		code   int
		stderr string
	}{
		"the token":           {[]string{token}, []string{f.URL}, exitOK, ""},
		"in a file":           {[]string{"CWVAULT_TOKEN_FILE=" + file}, []string{f.URL}, exitOK, ""},
		"beside wrong ones":   {[]string{token, "CWVAULT_MAX_MOVES=lots", "CWVAULT_LISTEN=0.0.0.0"}, []string{f.URL}, exitOK, ""},
		"twice":               {[]string{token, "CWVAULT_TOKEN_FILE=" + file}, []string{f.URL}, exitConfig, "CWVAULT_TOKEN and CWVAULT_TOKEN_FILE are both set"},
		"in a file not there": {[]string{"CWVAULT_TOKEN_FILE=" + file + "2"}, []string{f.URL}, exitConfig, "CWVAULT_TOKEN_FILE"},
		"none":                {nil, []string{f.URL}, exitConfig, "CWVAULT_TOKEN: not set"},
		"no address":          {[]string{token}, []string{""}, exitUsage, "--remote: not the address of a service"},
		"plain http":          {[]string{token}, []string{"http://cwvault.example.com"}, exitUsage, "--remote: plain http shows the token"},
		"with a plan":         {[]string{token}, []string{f.URL, "--plan", file}, exitUsage, "--plan"},
		"as a dry run":        {[]string{token}, []string{f.URL, "--dry-run"}, exitUsage, "--dry-run"},
		"with a wait":         {[]string{token}, []string{f.URL, "--wait", "1m"}, exitUsage, "--wait"},
		"with a bad key":      {[]string{token}, []string{f.URL, "--recreate", "x"}, exitUsage, "--recreate"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			before := len(f.requests())
			code := run(t.Context(), append([]string{"resync", "--remote"}, test.args...), test.env, &out, &errs)
			if code != test.code || !strings.Contains(errs.String(), test.stderr) {
				t.Errorf("exit code %d, want %d and %q\n%s%s", code, test.code, test.stderr, &out, &errs)
			}
			if code != exitOK && len(f.requests()) > before {
				t.Error("the service was asked all the same")
			}
		})
	}
}

// TestRemoteStops ends the command while it waits for the service.
func TestRemoteStops(t *testing.T) {
	for name, answers := range map[string]map[string][]answer{
		"it may have heard what was asked for":                {postResync: {{-1, "", ""}}},
		"stopped following request A1; what was asked for go": {postResync: {{202, asked("waiting", 0), ""}}, getAsked: {{-1, "", ""}}},
	} {
		f := newFakeService(t, answers)
		ctx, cancel := context.WithCancel(t.Context())
		var out, errs bytes.Buffer
		code := make(chan int)
		go func() {
			code <- run(ctx, []string{"resync", "--remote", f.URL}, []string{"CWVAULT_TOKEN=" + serviceToken}, &out, &errs)
		}()
		<-f.hung
		cancel()
		if got := <-code; got != exitFailed || !strings.Contains(errs.String(), name) || !strings.Contains(errs.String(), "stopped by a signal") || out.Len() != 0 {
			t.Errorf("%s: exit code %d\n%s%s", name, got, &out, &errs)
		}
	}
}

// TestRemotePatienceEnds sees that a service that stays away is given up.
func TestRemotePatienceEnds(t *testing.T) {
	f := newFakeService(t, map[string][]answer{getAsked: {{503, "", ""}}})
	r := &remote{base: f.URL, token: serviceToken, client: f.Client(), log: hclog.NewNullLogger(), patience: 600 * time.Millisecond}
	_, err := r.follow(t.Context(), asked("running", 12))
	if statusOf(err) != 503 || !strings.Contains(err.Error(), "cannot be asked for 600ms") || len(f.requests()) < 3 {
		t.Errorf("after %d requests: %v", len(f.requests()), err)
	}
}

// TestRemoteMeetsService asks a real service: the run is shown as if it had
// been made here.
func TestRemoteMeetsService(t *testing.T) {
	site := newSite(t)
	site.world.add(1, "Acme", "Customer", "Active")
	s := serveHere(t, site.env)
	ask := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"resync", "--remote", s.base}, args...), []string{"CWVAULT_TOKEN=" + serviceToken}, &out, &errs)
		if code != want {
			t.Fatalf("exit code %d, want %d\n%s%s\nthe service's log:\n%s", code, want, &out, &errs, s.log)
		}
		return out.String(), errs.String()
	}
	text, _ := ask(exitOK)
	if !strings.HasPrefix(text, "Run 1: done, plan ") || !strings.Contains(text, "3 created, 0 held, 0 departed, 0 unchanged") || len(site.marks()) != 3 {
		t.Errorf("the first run:\n%s", text)
	}
	site.world.add(2, "Bolt", "Customer", "Active")
	site.world.add(3, "Core", "Customer", "Active")
	text, _ = ask(exitOK, "--company", "co2", "--format", "json")
	var r runReport
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	if r.Run != 2 || r.Outcome != outcomeDone || r.Counts.Create != 1 || r.Steps[0].Key != "company/2" || r.Results[0].Status != sync.StatusDone {
		t.Errorf("the second run:\n%s", text)
	}
	if _, said := ask(exitUsage, "--company", "nobody"); !strings.Contains(said, `error: no company "nobody" in ConnectWise`) {
		t.Errorf("for nobody: %s", said)
	}
	if _, said := ask(exitHeld, "--approve", "nonsense"); !strings.Contains(said, "--approve: the plan is now ") {
		t.Errorf("with another plan's id: %s", said)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"resync", "--remote", s.base}, []string{"CWVAULT_TOKEN=wrong"}, &out, &out); code != exitUnauthorized {
		t.Errorf("with a wrong token: exit code %d\n%s", code, &out)
	}
}

// TestRemoteSurvivesRestart starts the service anew while a run is followed.
func TestRemoteSurvivesRestart(t *testing.T) {
	site := newSite(t)
	site.world.add(1, "Acme", "Customer", "Active")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	site.env = append(site.env, "CWVAULT_LISTEN="+address, "CWVAULT_TOKEN="+serviceToken, "CWVAULT_SCHEDULE=@every 24h", "CWVAULT_RUN_ON_START=false")
	entered, ended := make(chan struct{}, 10), make(chan struct{})
	t.Cleanup(func() { close(ended) })
	remove := site.world.AddFault(connectwisetest.Fault{
		Match:  connectwisetest.On(http.MethodGet, "/company/companies"),
		Before: func() { entered <- struct{}{}; <-ended },
	})
	serve := func() (kill func()) {
		var log bytes.Buffer
		cmd := site.command(&log, "serve")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill = gosync.OnceFunc(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it ends by the signal
		})
		t.Cleanup(kill)
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			resp, err := http.Get("http://" + address + "/healthz")
			if err == nil {
				resp.Body.Close()
				return kill
			}
			if time.Now().After(end) {
				kill()
				t.Fatalf("the service does not come up: %v\n%s", err, &log)
			}
		}
	}
	kill := serve()
	var out, errs logBuffer
	code := make(chan int)
	go func() {
		code <- run(t.Context(), []string{"resync", "--remote", "http://" + address}, []string{"CWVAULT_TOKEN=" + serviceToken}, &out, &errs)
	}()
	<-entered
	kill()
	remove()
	for !strings.Contains(errs.String(), "the service cannot be asked; trying on") {
		select {
		case got := <-code:
			t.Fatalf("it gave up: exit code %d\n%s%s", got, &out, &errs)
		case <-time.After(10 * time.Millisecond):
		}
	}
	serve()
	if got := <-code; got != exitOK || !strings.Contains(out.String(), ": done, plan") || !strings.Contains(errs.String(), "has forgotten the request; asking again") {
		t.Errorf("exit code %d\n%s%s", got, &out, &errs)
	}
	if len(site.marks()) != 3 {
		t.Errorf("marks %v", site.marks())
	}
}
