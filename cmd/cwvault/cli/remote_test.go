package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	"cwvault/connectwise/connectwisetest"
	"cwvault/scheduler/api"
	"cwvault/scheduler/remote"
	"cwvault/sync"
	"cwvault/sync/report"
)

// fakeService is a service that has made a run already.
type fakeService struct {
	*httptest.Server
	asked atomic.Int64
}

// newFakeService returns a service whose run ended with this code and text. A
// run without number failed before its first step.
func newFakeService(t *testing.T, code int, text string) *fakeService {
	f := &fakeService{}
	number := int64(12)
	if code != exitOK && code != exitPartial {
		number = 0
	}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		var answer any = api.Asked{ID: "A1", State: api.Over, Run: number, ExitCode: code, Error: text}
		if r.Method == http.MethodGet {
			answer = report.Run{Plan: sync.Plan{Schema: sync.PlanSchema, ID: "8f14e45f"}, Number: 12, Outcome: report.Done}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

// TestRemoteEnds: a command ends as the service says that the run did.
func TestRemoteEnds(t *testing.T) {
	for name, test := range map[string]struct {
		code   int // the service's
		text   string
		want   int
		stdout string
		stderr string
	}{
		"done":                {exitOK, "", exitOK, "Run 12: done", ""},
		"partial":             {exitPartial, "commit: no", exitPartial, "Run 12: done", "error: commit: no"},
		"failed":              {exitSource, "count disagrees", exitSource, "", "error: count disagrees"},
		"lease":               {exitLease, "held by\x1b[2J another", exitLease, "", `error: held by\u001b[2J another`},
		"no code of programs": {4711, "what?", exitFailed, "", "error: what?"},
		"a negative code":     {-1, "", exitFailed, "", ""},
	} {
		f := newFakeService(t, test.code, test.text)
		var out, errs bytes.Buffer
		code := cwvault(t.Context(), []string{"resync", "--remote", f.URL}, []string{"CWVAULT_TOKEN=" + serviceToken}, &out, &errs)
		if code != test.want || !strings.HasPrefix(out.String(), test.stdout) || !strings.Contains(errs.String(), test.stderr) {
			t.Errorf("%s: exit code %d, want %d\n%s%s", name, code, test.want, &out, &errs)
		}
	}
}

// TestRemoteForgotten: of a run that the service has forgotten the report tells
// how it ended.
func TestRemoteForgotten(t *testing.T) {
	guarded := &report.Run{Outcome: report.Done, Plan: sync.Plan{Held: []sync.Held{{Code: sync.HeldGuardMoves}}}}
	for want, r := range map[int]*report.Run{exitOK: {Outcome: report.Done}, exitPartial: {Outcome: report.Partial}, exitHeld: guarded} {
		err := endOf(remote.Result{Run: r, Asked: api.Asked{State: api.Running, ExitCode: 99}})
		var result resultCode
		if errors.As(err, &result); int(result) != want {
			t.Errorf("%v, want %d", err, want)
		}
	}
}

// TestRemoteSettings sees that the token is enough, and needed, and that what
// cannot be done elsewhere is refused.
func TestRemoteSettings(t *testing.T) {
	f := newFakeService(t, 0, "")
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
		"the token":                    {[]string{token}, []string{f.URL}, exitOK, ""},
		"in a file":                    {[]string{"CWVAULT_TOKEN_FILE=" + file}, []string{f.URL}, exitOK, ""},
		"beside wrong ones":            {[]string{token, "CWVAULT_MAX_MOVES=lots", "CWVAULT_LISTEN=0.0.0.0"}, []string{f.URL}, exitOK, ""},
		"twice":                        {[]string{token, "CWVAULT_TOKEN_FILE=" + file}, []string{f.URL}, exitConfig, "CWVAULT_TOKEN: is set, and so is CWVAULT_TOKEN_FILE"},
		"in a file not there":          {[]string{"CWVAULT_TOKEN_FILE=" + file + "2"}, []string{f.URL}, exitConfig, "CWVAULT_TOKEN_FILE"},
		"none":                         {nil, []string{f.URL}, exitConfig, "CWVAULT_TOKEN: not set"},
		"no address":                   {[]string{token}, []string{""}, exitUsage, "--remote: not the address of a service"},
		"no address or token":          {nil, []string{"nonsense"}, exitUsage, "--remote: not the address of a service; it looks like https://cwvault.example.com"},
		"no address, wrong token file": {[]string{"CWVAULT_TOKEN_FILE=" + file + "2"}, []string{"nonsense"}, exitUsage, "--remote: not the address of a service"},
		"plain http":                   {[]string{token}, []string{"http://cwvault.example.com"}, exitUsage, "--remote: plain http shows the token"},
		"with a plan":                  {[]string{token}, []string{f.URL, "--plan", file}, exitUsage, "--plan"},
		"as a dry run":                 {[]string{token}, []string{f.URL, "--dry-run"}, exitUsage, "--dry-run"},
		"with a wait":                  {[]string{token}, []string{f.URL, "--wait", "1m"}, exitUsage, "--wait"},
		"with a bad key":               {[]string{token}, []string{f.URL, "--recreate", "x"}, exitUsage, "--recreate"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			before := int(f.asked.Load())
			code := cwvault(t.Context(), append([]string{"resync", "--remote"}, test.args...), test.env, &out, &errs)
			if code != test.code || !strings.Contains(errs.String(), test.stderr) {
				t.Errorf("exit code %d, want %d and %q\n%s%s", code, test.code, test.stderr, &out, &errs)
			}
			if code != exitOK && int(f.asked.Load()) > before {
				t.Error("the service was asked all the same")
			}
		})
	}
}

// TestRemoteMeetsService asks a real service: the run is shown as if it had
// been made here.
func TestRemoteMeetsService(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.world.add(1, "Acme", "Customer", "Active")
	s := serveHere(t, site.env)
	ask := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		code := cwvault(t.Context(), append([]string{"resync", "--remote", s.base}, args...), []string{"CWVAULT_TOKEN=" + serviceToken}, &out, &errs)
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
	var r report.Run
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	if r.Number != 2 || r.Outcome != report.Done || r.Counts.Create != 1 || r.Steps[0].Key != "company/2" || r.Results[0].Status != sync.StatusDone {
		t.Errorf("the second run:\n%s", text)
	}
	if _, said := ask(exitUsage, "--company", "nobody"); !strings.Contains(said, `error: no company "nobody" in ConnectWise`) {
		t.Errorf("for nobody: %s", said)
	}
	if _, said := ask(exitHeld, "--approve", "nonsense"); !strings.Contains(said, "the plan is now ") {
		t.Errorf("with another plan's id: %s", said)
	}
	var out bytes.Buffer
	if code := cwvault(t.Context(), []string{"resync", "--remote", s.base}, []string{"CWVAULT_TOKEN=wrong"}, &out, &out); code != exitUnauthorized {
		t.Errorf("with a wrong token: exit code %d\n%s", code, &out)
	}
}

// TestRemoteSurvivesRestart starts the service anew while a run is followed.
func TestRemoteSurvivesRestart(t *testing.T) {
	t.Parallel()
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
		code <- cwvault(t.Context(), []string{"resync", "--remote", "http://" + address}, []string{"CWVAULT_TOKEN=" + serviceToken}, &out, &errs)
	}()
	<-entered
	kill()
	remove()
	for !strings.Contains(errs.String(), "the service is unreachable; retrying") {
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
