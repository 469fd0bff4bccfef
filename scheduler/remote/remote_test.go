package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/go-hclog"

	"cwvault/scheduler/api"
	"cwvault/sync"
	"cwvault/sync/report"
)

const (
	postResync = "POST /api/resync"
	getAsked   = "GET /api/resync/A1"
	getRun     = "GET /api/runs/12"

	page = "\n<!doctype html><title>Sign in</title>"
)

// accepted is the answer to a request whose turn has not come.
var accepted = answer{202, api.Asked{ID: "A1", State: api.Waiting}, "Location: https://elsewhere.example.com/"}

func TestAddress(t *testing.T) {
	for raw, want := range map[string]string{
		"https://cwvault.example.com":         "https://cwvault.example.com",
		"https://cwvault.example.com:8443/":   "https://cwvault.example.com:8443",
		"https://example.com/tools/cwvault//": "https://example.com/tools/cwvault",
		"http://127.0.0.1:8377":               "http://127.0.0.1:8377",
		"http://localhost:8377/":              "http://localhost:8377",
		"http://[::1]:8377":                   "http://[::1]:8377",
	} {
		c, err := New(Options{Address: raw, Token: testToken})
		if err != nil || c.base != want {
			t.Errorf("%s: %+v, %v; want %q", raw, c, err, want)
		}
		if shown := fmt.Sprintf("%+v %#v", c, c); strings.Contains(shown, testToken) {
			t.Error("a client prints its token")
		}
	}
	for _, raw := range []string{
		"", "cwvault.example.com", "127.0.0.1:8377", "ftp://secret/", "https://", "http://192.168.1.5:8377/secret", "http://localhost.secret.example",
		"https://user:secret@h/", "https://h/?token=secret", "https://h/?", "https://h/#secret", "https://h:secret",
	} {
		_, err := New(Options{Address: raw, Token: testToken})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", raw, err)
		}
		if again := CheckAddress(raw); again == nil || err != nil && again.Error() != err.Error() {
			t.Errorf("%q: %v without a token", raw, again)
		}
	}
	if err := CheckAddress("https://h"); err != nil {
		t.Error(err)
	}
	if _, err := New(Options{Address: "https://h"}); err == nil {
		t.Error("a client without a token")
	}
}

// TestResync: what comes of requests that the service answers to the end.
func TestResync(t *testing.T) {
	for name, test := range map[string]struct {
		answers map[string][]answer
		request api.Request
		run     report.Outcome // empty: no run
		end     api.Asked
		logged  string
		asked   string // of the last POST
		twice   bool   // there are two of them
	}{
		"from waiting to done": {
			answers: map[string][]answer{
				postResync: {accepted},
				getAsked:   {asked(api.Running, 0, 0, 0), asked(api.Running, 12, 1, 3), asked(api.Running, 12, 2, 3), over(12, 0, "")},
				getRun:     {testRun(nil)},
			},
			run: report.Done,
			end: api.Asked{ID: "A1", State: api.Over, Run: 12},
			logged: `[INFO]  the request is waiting for its turn: request=A1
[INFO]  the service is reading both sides: request=A1
[INFO]  the service is applying run 12, 3 steps: request=A1
`,
			asked: "POST /api/resync {}",
		},
		"what is asked for": {
			answers: map[string][]answer{postResync: {over(12, 0, "")}, getRun: {testRun(nil)}},
			request: api.Request{Companies: []string{"co1", "2"}, Approve: "8f14", Recreate: []sync.Key{"company/3"}},
			run:     report.Done,
			end:     api.Asked{ID: "A1", State: api.Over, Run: 12},
			asked:   `POST /api/resync {"companies":["co1","2"],"approve":"8f14","recreate":["company/3"]}`,
		},
		"partial": {
			answers: map[string][]answer{postResync: {over(12, 3, "commit: no")}, getRun: {testRun(func(r *report.Run) { r.Outcome = report.Partial })}},
			run:     report.Partial,
			end:     api.Asked{ID: "A1", State: api.Over, Run: 12, ExitCode: 3, Error: "commit: no"},
		},
		"failed before the first step": {
			answers: map[string][]answer{postResync: {accepted}, getAsked: {over(0, 5, "no companies\n\x1b[2Jat all")}},
			end:     api.Asked{ID: "A1", State: api.Over, ExitCode: 5, Error: "no companies\n\x1b[2Jat all"},
			logged:  "[INFO]  the request is waiting for its turn: request=A1\n",
		},
		"it takes a while to come back": {
			answers: map[string][]answer{
				postResync: {accepted},
				getAsked: {{}, {}, {}, {502, page, ""}, refused(429, "busy"),
					{200, api.Asked{ID: "another", State: api.Running}, ""}, {503, "", ""}, {504, "", ""}, over(12, 0, "")},
				getRun: {{}, testRun(nil)},
			},
			run: report.Done,
			end: api.Asked{ID: "A1", State: api.Over, Run: 12},
		},
		"restarted, before the run began": {
			answers: map[string][]answer{
				postResync:            {accepted, {202, api.Asked{ID: "B?2", State: api.Waiting}, ""}},
				getAsked:              {refused(404, "not found")},
				"GET /api/resync/B?2": {over(12, 0, "")},
				getRun:                {testRun(nil)},
			},
			run: report.Done,
			end: api.Asked{ID: "B?2", State: api.Over, Run: 12},
			logged: `[INFO]  the request is waiting for its turn: request=A1
[WARN]  the service was restarted and has forgotten the request; asking again: request=A1
[INFO]  the request is waiting for its turn: request=B?2
`,
			twice: true,
		},
		"restarted, in the middle of the run": {
			answers: map[string][]answer{
				postResync: {accepted, over(13, 0, "")},
				getAsked:   {asked(api.Running, 12, 0, 3), refused(404, "not found")},
				getRun:     {testRun(func(r *report.Run) { r.Outcome = report.Interrupted })},
				"GET /api/runs/13": {testRun(func(r *report.Run) {
					r.Number = 13
				})},
			},
			run:   report.Done,
			end:   api.Asked{ID: "A1", State: api.Over, Run: 13},
			twice: true,
		},
		"restarted, after the run was made": {
			answers: map[string][]answer{
				postResync: {accepted},
				getAsked:   {asked(api.Running, 12, 0, 3), refused(404, "not found")},
				getRun:     {testRun(func(r *report.Run) { r.Outcome = report.Partial })},
			},
			run: report.Partial,
			end: api.Asked{ID: "A1", State: api.Running, Run: 12, Total: 3}, // so the run tells
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, test.answers)
			c, log := f.client(nil)
			got, err := c.Resync(t.Context(), test.request)
			if err != nil {
				t.Fatalf("%v\n%q\n%s", err, f.requests(), log)
			}
			if diff := cmp.Diff(test.end, got.Asked); diff != "" {
				t.Errorf("asked (-want +got)\n%s", diff)
			}
			if (got.Run == nil) != (test.run == "") || got.Run != nil && (got.Run.Outcome != test.run || got.Run.Number != test.end.Run) {
				t.Errorf("run %+v", got.Run)
			}
			if test.logged != "" && log.String() != test.logged {
				t.Errorf("logged (-want +got)\n%s", cmp.Diff(test.logged, log.String()))
			}
			wantPosts(t, f, test.asked, test.twice)
		})
	}
}

// wantPosts: a request is sent once, or twice where the service forgot it.
func wantPosts(t *testing.T, f *fakeService, want string, twice bool) {
	t.Helper()
	var posts []string
	for _, q := range f.requests() {
		if strings.HasPrefix(q, "POST") {
			posts = append(posts, q)
		}
		if strings.Contains(q, "stolen") {
			t.Error("the redirect was followed")
		}
	}
	if len(posts) == 0 || len(posts) != 1 && !twice || len(posts) != 2 && twice {
		t.Errorf("it was not asked once, or twice where it had forgotten: %q", posts)
	} else if got := posts[len(posts)-1]; want != "" && got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
}

// TestResyncFails: requests that are refused or get no answer that makes sense.
func TestResyncFails(t *testing.T) {
	post := func(a answer) map[string][]answer { return map[string][]answer{postResync: {a}} }
	for name, test := range map[string]struct {
		answers map[string][]answer
		status  int // that the error tells
		text    string
		twice   bool
	}{
		"over without a run":  {post(over(0, 0, "")), 0, "the service reports the run as finished but gave no run number", false},
		"a state that is not": {post(asked("", 0, 0, 0)), 0, `the request is ""`, false},
		"no token there": {post(refused(403, "there is no token; set CWVAULT_TOKEN to allow this")), 403,
			"POST /api/resync: 403 Forbidden: there is no token; set CWVAULT_TOKEN to allow this", false},
		"another token": {post(refused(401, "no")), 401,
			"POST /api/resync: 401 Unauthorized: no; CWVAULT_TOKEN must be the token that the service has", false},
		"another token since": {map[string][]answer{postResync: {accepted}, getAsked: {refused(401, "no")}}, 401, "GET /api/resync/A1: 401 ", false},
		"nonsense asked for":  {post(refused(400, "no company 7")), 400, "400 Bad Request: no company 7", false},
		"too many":            {post(refused(429, "too many are waiting")), 429, "too many are waiting; retry later", false},
		"not there":           {nil, 404, "404 Not Found: no such page; check the address", false},
		"no such run":         {post(over(12, 0, "")), 404, "GET /api/runs/12: 404 Not Found", false},
		"nothing there":       {post(answer{}), 0, "EOF", false},
		"starting":            {post(answer{503, page, ""}), 503, "503 Service Unavailable: an HTML page", false},
		"no reason":           {post(answer{500, "oh", ""}), 500, "500 Internal Server Error: no reason given", false},
		"a sign-in page":      {post(answer{200, page, ""}), 0, "POST /api/resync: an HTML page instead of JSON; check that the address is that of cwvault serve", false},
		"something else":      {post(answer{200, `{"id":5}`, ""}), 0, "is it cwvault?", false},
		"not JSON":            {post(answer{200, `ok`, ""}), 0, "the answer is not in the form that cwvault uses", false},
		"too long": {post(answer{200, `{"request":"` + strings.Repeat("x", int(small.bytes)) + `"}`, ""}), 0,
			"the answer is longer than 1048576 bytes", false},
		"a long refusal": {post(refused(500, strings.Repeat("é", 5000))), 500, ": " + strings.Repeat("é", 500) + "…", false},
		"a redirect": {post(answer{307, "", "Location: /stolen"}), 307,
			"307 Temporary Redirect: no reason given; redirects are not followed, because they would pass the token on; give the final address", false},
		"another version's run": {map[string][]answer{postResync: {over(12, 0, "")}, getRun: {{200, `{"schema":"cwvault.run/2"}`, ""}}}, 0,
			`it is a "cwvault.run/2", not a cwvault.run/1`, false},
		"restarted twice": {map[string][]answer{postResync: {accepted}, getAsked: {refused(404, "not found")}}, 404,
			"GET /api/resync/A1: 404 Not Found: not found", true},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, test.answers)
			c, _ := f.client(nil)
			got, err := c.Resync(t.Context(), api.Request{})
			if err == nil || !strings.Contains(err.Error(), test.text) || statusOf(err) != test.status || strings.Contains(err.Error(), testToken) {
				t.Errorf("status %d, %v, want %d, %s", statusOf(err), err, test.status, test.text)
			}
			if got.Run != nil || got.Asked.ID != "" {
				t.Errorf("a result beside the error: %+v", got)
			}
			wantPosts(t, f, "", test.twice)
		})
	}
}

// TestHostileRun: what a service says of a run does nothing to a terminal.
func TestHostileRun(t *testing.T) {
	const evil = "evil\x1b[31m\u202e"
	f := serve(t, map[string][]answer{
		postResync:                {{202, api.Asked{ID: evil, State: api.Waiting}, ""}},
		"GET /api/resync/" + evil: {refused(503, evil), over(12, 0, "")},
		getRun: {testRun(func(r *report.Run) {
			for _, text := range []*string{&r.ID, &r.Error, &r.Tenant, &r.Root, &r.Steps[0].To, &r.Steps[0].Reason, &r.Results[1].Error} {
				*text = evil
			}
			r.Outcome, r.Results[1].Status = evil, evil
			r.Held = []sync.Held{{Code: evil, Reason: evil}}
		})},
	})
	var log strings.Builder
	c, _ := f.client(func(opt *Options) { // JSON does not escape everything
		opt.Log = hclog.New(&hclog.LoggerOptions{Output: &log, JSONFormat: true})
	})
	got, err := c.Resync(t.Context(), api.Request{})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.RunText(&text, *got.Run, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`Run 12: evil\u001b[31m\u202e, plan evil\u001b[31m\u202e`, `! evil\u001b[31m\u202e`, `evil\u001b[31m\u202e: evil`} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the run's text lacks %q", want)
		}
	}
	if both := text.String() + log.String(); strings.ContainsAny(both, "\x1b\u202e") {
		t.Errorf("something escaped\n%q", both)
	}
}

// TestProgress: a bar is shown while steps are applied, and is out of the way
// before anything is logged.
func TestProgress(t *testing.T) {
	f := serve(t, map[string][]answer{
		postResync: {accepted},
		getAsked:   {asked(api.Running, 12, 0, 3), {503, "", ""}, asked(api.Running, 12, 2, 3), over(12, 0, "")},
		getRun:     {testRun(nil)},
	})
	var got []string
	c, log := f.client(func(opt *Options) {
		opt.Progress = func(done, total int) { got = append(got, fmt.Sprintf("%d/%d", done, total)) }
	})
	if _, err := c.Resync(t.Context(), api.Request{}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"0/0", // waiting
		"0/0", // applying
		"0/3",
		"0/0", // unreachable
		"0/0", // answers again
		"2/3",
		"0/0", // the end
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s%s", diff, log)
	}
}

// TestStops: the caller gives up while the service does not answer.
func TestStops(t *testing.T) {
	for want, answers := range map[string]map[string][]answer{
		"stopped before the service answered; it may have received the request": {postResync: {{status: hangs}}},
		"stopped following request A1; the service continues with it":           {postResync: {accepted}, getAsked: {{status: hangs}}},
	} {
		f := serve(t, answers)
		c, _ := f.client(nil)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-f.hung
			cancel()
		}()
		got, err := c.Resync(ctx, api.Request{})
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), want) || got.Run != nil {
			t.Errorf("%+v, %v, want %s", got, err, want)
		}
		cancel()
	}
}

// TestPauses: how often a service is asked, on a fake clock and without a
// network.
func TestPauses(t *testing.T) {
	run := func(t *testing.T, patience time.Duration, answers map[string][]answer) (got Result, took time.Duration, requests int, err error) {
		f := newFakeService(t, answers)
		f.url = "https://cwvault.example.com"
		c, _ := f.client(func(opt *Options) { opt.Pause, opt.Patience, opt.Transport = nil, patience, f })
		start := time.Now()
		got, err = c.Resync(t.Context(), api.Request{})
		return got, time.Since(start), len(f.requests()), err
	}
	t.Run("polling slows down until something changes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			polls := []answer{}
			for range 20 {
				polls = append(polls, asked(api.Waiting, 0, 0, 0))
			}
			polls = append(polls, asked(api.Running, 0, 0, 0), over(12, 0, ""))
			got, took, _, err := run(t, 0, map[string][]answer{postResync: {accepted}, getAsked: polls, getRun: {testRun(nil)}})
			// 250 ms, a quarter more each time up to 2 s, and 250 ms again.
			want := 250 * time.Millisecond
			for pause := 250 * time.Millisecond; len(polls) > 1; polls = polls[1:] {
				want += pause
				pause = min(pause*5/4, 2*time.Second)
			}
			if err != nil || took != want {
				t.Errorf("%+v, %v after %v, want %v", got, err, took, want)
			}
		})
	})
	t.Run("an unreachable service is given up", func(t *testing.T) {
		for patience, want := range map[time.Duration]time.Duration{0: 2 * time.Minute, time.Hour: time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				_, took, requests, err := run(t, patience, map[string][]answer{postResync: {accepted}, getAsked: {{503, "", ""}}})
				if statusOf(err) != 503 || !strings.HasPrefix(err.Error(), "the service stayed unreachable; the run may still continue there: GET /api/resync/A1: 503") {
					t.Errorf("after %d requests: %v", requests, err)
				}
				if took < want || took > want+6*time.Second || requests < int(want/(5*time.Second)) {
					t.Errorf("took %v with %d requests, want %v", took, requests, want)
				}
			})
		}
	})
	t.Run("other refusals are not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, took, requests, err := run(t, 0, map[string][]answer{postResync: {accepted}, getAsked: {{500, "", ""}}})
			if statusOf(err) != 500 || took != 250*time.Millisecond || requests != 2 {
				t.Errorf("%v after %v and %d requests", err, took, requests)
			}
		})
	})
}

// TestRunArrivesWhole: what the service sent of a run is what the caller gets.
func TestRunArrivesWhole(t *testing.T) {
	sent := testRun(func(r *report.Run) { r.Error = "commit to the store: no" })
	f := serve(t, map[string][]answer{postResync: {over(12, 0, "")}, getRun: {sent}})
	c, _ := f.client(nil)
	got, err := c.Resync(t.Context(), api.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent.body, *got.Run, cmpopts.IgnoreUnexported(sync.Plan{}, sync.Step{})); diff != "" {
		t.Errorf("(-sent +received)\n%s", diff)
	}
}
