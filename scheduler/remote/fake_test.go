package remote

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/scheduler/api"
	"cwvault/sync"
	"cwvault/sync/report"
)

const testToken = "test-token-0123456789"

// answer is what a service says once.
type answer struct {
	status int
	body   any // text as it is, the rest as JSON
	header string
}

// The statuses of answers that are none.
const (
	broken = 0  // the connection breaks
	hangs  = -1 // until the client gives up
)

// fakeService answers each path with what is next in its list, and the last for
// good.
type fakeService struct {
	t       *testing.T
	url     string
	mu      gosync.Mutex
	answers map[string][]answer
	asked   []string // method, path and body
	hung    chan struct{}
}

// serve starts a service on loopback.
func serve(t *testing.T, answers map[string][]answer) *fakeService {
	f := newFakeService(t, answers)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func newFakeService(t *testing.T, answers map[string][]answer) *fakeService {
	f := &fakeService{t: t, answers: map[string][]answer{}, hung: make(chan struct{}, 10)}
	for path, list := range answers {
		f.answers[path] = slices.Clone(list)
	}
	return f
}

// client returns a client that does not wait, and what it has logged.
func (f *fakeService) client(change func(*Options)) (*Client, *strings.Builder) {
	f.t.Helper()
	var log strings.Builder
	opt := Options{
		Address: f.url, Token: testToken, Log: hclog.New(&hclog.LoggerOptions{Output: &log, DisableTime: true}),
		Pause: func(time.Duration) time.Duration { return 0 },
	}
	if change != nil {
		change(&opt)
	}
	c, err := New(opt)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Close)
	return c, &log
}

func (f *fakeService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	if got := r.Header.Get("Authorization"); got != "Bearer "+testToken {
		f.t.Errorf("%s: %q for a token", r.URL, got)
	}
	a := f.next(r.Method+" "+r.URL.Path, string(body))
	switch a.status {
	case broken:
		panic(http.ErrAbortHandler)
	case hangs:
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

// next notes a request and returns its answer.
func (f *fakeService) next(asked, body string) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, strings.TrimSpace(asked+" "+body))
	list := f.answers[asked]
	if len(list) == 0 {
		return answer{404, api.Failure{Error: "no such page"}, ""}
	}
	if len(list) > 1 {
		f.answers[asked] = list[1:]
	}
	return list[0]
}

// requests returns what was asked so far.
func (f *fakeService) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// RoundTrip answers without a network, for tests on a fake clock.
func (f *fakeService) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func asked(state api.State, run int64, done, total int) answer {
	return answer{200, api.Asked{ID: "A1", State: state, Run: run, Done: done, Total: total}, ""}
}

func over(run int64, code int, text string) answer {
	return answer{200, api.Asked{ID: "A1", State: api.Over, Run: run, ExitCode: code, Error: text}, ""}
}

func refused(status int, text string) answer { return answer{status, api.Failure{Error: text}, ""} }

// testRun is a run with everything in it.
func testRun(change func(*report.Run)) answer {
	at := func(s int) time.Time { return time.Date(2026, 11, 21, 10, 0, s, 5e6, time.UTC) }
	secrets := 12
	company := &sync.PlanCompany{ID: 250, Identifier: "alovet", Name: "Alovet <&> Inc."}
	r := report.Run{
		Plan: sync.Plan{
			Schema: sync.PlanSchema, ID: "8f14e45f", Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Clients`,
			Steps: []sync.Step{
				{Op: sync.OpMove, Kind: sync.KindCompany, Key: "company/250", Company: company, FolderID: "21", From: `\Clients\A`, To: `\Clients\B`,
					Via: `\Clients\C`, Reason: "type changed", Secrets: &secrets, Access: &sync.AccessChange{Gains: []string{"Helpdesk (View)"}, Loses: []string{}}},
				{Op: sync.OpCreate, Kind: sync.KindGroup, Key: "group/type:1", To: `\Clients\New`, Reason: "new"},
				{Op: sync.OpRename, Kind: sync.KindCompany, Key: "company/7", FolderID: "9", From: `\Clients\X`, To: `\Clients\Y`, Reason: "renamed"},
			},
			Departed: []sync.Departed{{Key: "company/9", FolderID: "3", Path: `\Clients\Old`, Reason: "deleted in ConnectWise"}},
			Counts:   sync.Counts{Create: 1, Rename: 1, Move: 1, Departed: 1, Unchanged: 212},
		},
		Number: 12, Trigger: "request", Outcome: report.Done, Started: at(0), Ended: at(9),
		Results: []report.StepResult{
			{Status: sync.StatusDone, Began: at(1), Ended: at(2)},
			{Status: sync.StatusFailed, Error: "no", Began: at(3), Ended: at(4)},
			{Status: sync.StatusSkipped, Error: "depends on group/type:1"},
		},
	}
	if change != nil {
		change(&r)
	}
	return answer{200, r, ""}
}
