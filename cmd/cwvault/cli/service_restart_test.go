package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cwvault/connectwise/connectwisetest"
	"cwvault/scheduler/api"
	"cwvault/scheduler/dashboard"
	"cwvault/sync/report"
)

// TestServiceRestart starts a service after runs of each kind: before its own
// first run it knows from the journal how these went.
func TestServiceRestart(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	w := site.world
	for i := range 60 {
		w.add(100+i, fmt.Sprintf("Company %02d", i), "Customer", "Active")
	}
	check := func(what string, inStep bool, newest int64) dashboard.State {
		t.Helper()
		s := serveHere(t, site.env)
		defer s.end()
		st := s.State()
		if st.LastRun != newest || st.NotInStep.IsZero() != inStep {
			t.Errorf("%s: last run %d, want %d; not in step since %v, %q", what, st.LastRun, newest, st.NotInStep, st.LastError)
		}
		return st
	}
	if st := check("nothing yet", true, 0); !st.LastAttempt.IsZero() || !st.LastGood.IsZero() {
		t.Errorf("attempt %v, good %v", st.LastAttempt, st.LastGood)
	}
	site.must(exitOK, "resync")
	good := check("a good run", true, 1)
	if good.LastGood.IsZero() || !good.LastAttempt.Equal(good.LastGood) {
		t.Errorf("attempt %v, good %v", good.LastAttempt, good.LastGood)
	}

	w.Rename(100, "Alder")
	site.must(exitOK, "resync", "--company", "100")
	site.must(exitOK, "undo", "2")
	if st := check("a run of one company, and an undo", true, 3); !st.LastGood.Equal(good.LastGood) || !st.LastAttempt.Equal(good.LastGood) {
		t.Errorf("attempt %v, good %v; the only run of all began %v", st.LastAttempt, st.LastGood, good.LastGood)
	}

	down := w.AddFault(connectwisetest.Fault{Status: 403, Body: "{}", ContentType: "application/json"})
	site.must(exitUnauthorized, "resync")
	site.must(exitUnauthorized, "resync")
	down()
	failed := check("two failed runs", false, 5)
	if !failed.LastGood.Equal(good.LastGood) || !failed.LastAttempt.After(failed.NotInStep) || failed.LastError == "" {
		t.Errorf("attempt %v, good %v, not in step since %v: %q", failed.LastAttempt, failed.LastGood, failed.NotInStep, failed.LastError)
	}

	for i := range 30 {
		w.SetTypes(110+i, w.types["Prospect"])
	}
	site.must(exitHeld, "resync")
	held := check("a guard holds something", false, 6)
	if !held.NotInStep.Equal(held.LastGood) || held.LastGood.Equal(good.LastGood) || held.LastError != "" {
		t.Errorf("good %v, not in step since %v: %q", held.LastGood, held.NotInStep, held.LastError)
	}
}

// TestServiceWrongRequest: that somebody asks for what cannot be done says
// nothing of the vault, and a failed run is shown by its own number.
func TestServiceWrongRequest(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.world.add(100, "Acme", "Customer", "Active")
	s := serveHere(t, site.env)
	if got := s.over(s.ask(api.Request{Companies: []string{"nobody"}})); got.ExitCode != exitUsage {
		t.Errorf("no such company: %+v", got)
	}
	if st := s.State(); st.Look != nil || !st.NotInStep.IsZero() || st.LastError != "" || st.LastRun != 1 {
		t.Errorf("before the first run: look %v, not in step since %v, %q, run %d", st.Look, st.NotInStep, st.LastError, st.LastRun)
	}
	var run struct {
		Tenant, Error         string
		Steps, Held, Departed []any
	}
	if code, body := s.get("/api/runs/1"); code != http.StatusOK || json.Unmarshal([]byte(body), &run) != nil ||
		run.Tenant == "" || run.Error == "" || run.Steps == nil || run.Held == nil || run.Departed == nil {
		t.Errorf("a run without a plan: %d %s", code, body)
	}
	s.over(s.ask(api.Request{}))
	for _, wrong := range []api.Request{{Companies: []string{"nobody"}}, {Approve: "an id"}} {
		if got := s.over(s.ask(wrong)); got.ExitCode == exitOK {
			t.Errorf("%+v: %+v", wrong, got)
		}
		if st := s.State(); !st.NotInStep.IsZero() || st.LastError != "" || len(st.Look.Companies) != 1 {
			t.Errorf("%+v: not in step since %v, %q", wrong, st.NotInStep, st.LastError)
		}
	}

	down := site.world.AddFault(connectwisetest.Fault{Status: 403, Body: "{}", ContentType: "application/json"})
	s.over(s.ask(api.Request{}))
	st := s.State()
	if run, err := s.Run(t.Context(), st.LastRun); err != nil || run.Outcome != report.Failed || st.NotInStep.IsZero() || st.LastRun != 5 {
		t.Errorf("a failed run is shown as run %d, which is %+v; %v", st.LastRun, run, err)
	}
	down()
	// What is known of the others is from before that failed: they are looked at again.
	if got := s.over(s.ask(api.Request{Companies: []string{"100"}})); got.ExitCode != exitOK || !s.State().NotInStep.IsZero() {
		t.Errorf("one company: %+v, not in step since %v", got, s.State().NotInStep)
	}
	if age := time.Since(s.State().Look.At); age > time.Minute {
		t.Errorf("the look is %v old", age)
	}
}

// TestServiceLooksInVain makes a run of one company, after which nothing can be
// read any more: the service does not take that for the whole.
func TestServiceLooksInVain(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	for i := range 20 {
		site.world.add(100+i, fmt.Sprintf("Company %02d", i), "Customer", "Active")
	}
	s := serveHere(t, site.env)
	one := func(company string) {
		t.Helper()
		down := site.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodGet, "/company/companies"), Skip: 1,
			Status: 403, Body: "{}", ContentType: "application/json"})
		defer down()
		if got := s.over(s.ask(api.Request{Companies: []string{company}})); got.ExitCode != exitOK || !strings.Contains(s.log.String(), "look again") {
			t.Errorf("the run of company %s: %+v; the log:\n%s", company, got, s.log)
		}
	}
	one("100")
	if st := s.State(); st.Look != nil || site.marks()["company/100"] == "" {
		t.Errorf("it takes the run of one company for all: %+v", st.Look)
	}
	s.over(s.ask(api.Request{}))
	for i := range 15 {
		site.world.SetTypes(101+i, site.world.types["Prospect"])
	}
	s.over(s.ask(api.Request{}))
	since := s.State().NotInStep
	one("100")
	if st := s.State(); since.IsZero() || !st.NotInStep.Equal(since) || len(st.Look.Blocked) != 17 {
		t.Errorf("not in step since %v, before since %v; %d blocked", st.NotInStep, since, len(st.Look.Blocked))
	}
}

// TestRunUnderWay: a run that has not ended has no end.
func TestRunUnderWay(t *testing.T) {
	b, err := json.Marshal(report.Run{Number: 1, Started: time.Now(), Outcome: report.Running})
	if err != nil || !strings.Contains(string(b), `"start"`) || strings.Contains(string(b), `"end"`) {
		t.Errorf("%s, %v", b, err)
	}
}
