package dashboard

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/scheduler"
)

func TestHealth(t *testing.T) {
	tests := map[string]struct {
		status scheduler.Status
		want   string
	}{
		"at the start": {scheduler.Status{}, `{"status":"alive","running":false}`},
		"during the first run": {
			scheduler.Status{Running: scheduler.Run{Start: noon}, Next: noon.Add(time.Hour)},
			`{"status":"alive","running":true,"next":"2026-11-22T13:00:00Z"}`,
		},
		"after a failed one": {
			scheduler.Status{Last: scheduler.Run{Start: noon, Err: errors.New("company Acme: refused")}, LastSuccess: noon.Add(-time.Hour)},
			`{"status":"alive","running":false,"lastStart":"2026-11-22T12:00:00Z","lastOk":false,"lastSuccess":"2026-11-22T11:00:00Z"}`,
		},
		"after a good one": {
			scheduler.Status{Last: scheduler.Run{Start: noon}, LastSuccess: noon},
			`{"status":"alive","running":false,"lastStart":"2026-11-22T12:00:00Z","lastOk":true,"lastSuccess":"2026-11-22T12:00:00Z"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.state.Scheduler = test.status
			w := do(newHandler(local(f), quick()), "GET", "/healthz", "")
			if diff := cmp.Diff(test.want+"\n", w.Body.String()); w.Code != 200 || diff != "" {
				t.Errorf("%d (-want +got)\n%s", w.Code, diff)
			}
		})
	}
}

func TestReady(t *testing.T) {
	const name = "server17.acme.example"
	tests := map[string]struct {
		change  func(*State)
		failing []string
	}{
		"ready":                          {func(*State) {}, nil},
		"no run yet":                     {func(s *State) { s.LastGood, s.Stale = time.Time{}, time.Time{} }, []string{"last-good-run"}},
		"just not stale":                 {func(s *State) { s.Stale = s.Now.Add(1) }, nil},
		"just stale":                     {func(s *State) { s.Stale = s.Now }, []string{"last-good-run"}},
		"the lease is elsewhere":         {func(s *State) { s.Lease = name }, []string{"lease"}},
		"ConnectWise does not answer":    {func(s *State) { s.ConnectWise.Error = "dial " + name }, []string{"connectwise"}},
		"the vault does not answer":      {func(s *State) { s.VaultServer.Error = "dial " + name }, []string{"vault"}},
		"not tried since the start":      {func(s *State) { s.ConnectWise, s.VaultServer = Reach{}, Reach{} }, nil},
		"a failed step does not mean it": {func(s *State) { s.LastError = name; s.NotInStep = s.Now }, nil},
		"everything": {func(s *State) {
			s.Stale, s.Lease, s.ConnectWise.Error, s.VaultServer.Error = s.Now, name, name, name
		}, []string{"last-good-run", "lease", "connectwise", "vault"}},
	}
	for title, test := range tests {
		t.Run(title, func(t *testing.T) {
			f := newFake(t)
			test.change(&f.state)
			w := do(newHandler(local(f), quick()), "GET", "/readyz", "", fromAfar)
			status := 200
			if test.failing != nil {
				status = 503
			}
			var body struct {
				Ready      bool
				Conditions []condition
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			var failing, codes []string
			for _, c := range body.Conditions {
				codes = append(codes, c.Code)
				if !c.OK {
					failing = append(failing, c.Code)
				}
				if len(c.Text) < 20 || !strings.HasSuffix(c.Text, ".") {
					t.Errorf("%s is not explained: %q", c.Code, c.Text)
				}
			}
			if w.Code != status || body.Ready != (status == 200) {
				t.Errorf("status %d, ready %v, want %d", w.Code, body.Ready, status)
			}
			if diff := cmp.Diff(test.failing, failing); diff != "" {
				t.Errorf("failing (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff([]string{"last-good-run", "lease", "connectwise", "vault"}, codes); diff != "" {
				t.Errorf("conditions (-want +got)\n%s", diff)
			}
			if strings.Contains(w.Body.String(), name) {
				t.Errorf("anybody can read what an error says: %s", w.Body)
			}
		})
	}
}
