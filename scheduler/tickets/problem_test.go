package tickets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

func company(id int) *sync.PlanCompany {
	return &sync.PlanCompany{ID: id, Identifier: fmt.Sprintf("co%d", id), Name: fmt.Sprintf("Customer %d", id)}
}

func held(code sync.HoldCode, ids ...int) (list []sync.Held) {
	for _, id := range ids {
		list = append(list, sync.Held{Code: code, Key: sync.CompanyKey(id), Company: company(id), Path: fmt.Sprintf(`\Clients\Customer %d`, id), Reason: "because"})
	}
	return list
}

// ended is a run that has made its steps.
func ended(outcome report.Outcome, list ...sync.Held) run.Ending {
	return run.Ending{Number: 12, Run: &report.Run{Number: 12, Outcome: outcome, Plan: sync.Plan{ID: "beef", Held: list}}}
}

// done is a run of which everything was made that is not held.
func done(list ...sync.Held) run.Ending { return ended(report.Done, list...) }

// withSteps adds moves of companies 1, 2 and so on.
func withSteps(e run.Ending, results ...report.StepResult) run.Ending {
	for i, result := range results {
		id := i + 1
		e.Run.Steps = append(e.Run.Steps, sync.Step{Op: sync.OpMove, Kind: sync.KindCompany, Key: sync.CompanyKey(id), Company: company(id),
			To: fmt.Sprintf(`\Clients\X\Customer %d`, id), Reason: "type changed"})
		e.Run.Results = append(e.Run.Results, result)
	}
	return e
}

// of makes it a run of some companies.
func of(e run.Ending, companies ...string) run.Ending {
	e.Request.Companies = companies
	return e
}

func failed(err error) run.Ending { return run.Ending{Err: err} }

func lost(e run.Ending) run.Ending {
	e.Lost = journal.ErrLost
	e.Err = run.WithCause(run.CauseLease, e.Lost)
	return e
}

func brokenEnd() run.Ending {
	e := ended(report.Partial)
	e.Run.Error = "commit to the store: no"
	return e
}

var made = report.StepResult{Status: sync.StatusDone}

func TestProblems(t *testing.T) {
	for name, test := range map[string]struct {
		ending run.Ending
		want   []string
	}{
		"all is well":              {done(), nil},
		"nothing happened":         {run.Ending{}, nil},
		"not authorised":           {failed(fmt.Errorf("x: %w", sync.ErrUnauthorized)), []string{"run/unauthorized"}},
		"not allowed":              {failed(sync.ErrNotAllowed), []string{"run/unauthorized"}},
		"source":                   {failed(&sync.SourceError{Problem: "none"}), []string{"run/source"}},
		"incomplete":               {failed(sync.ErrIncomplete), []string{"run/source"}},
		"settings":                 {failed(run.Settingsf("x")), []string{"run/settings"}},
		"a name is refused":        {failed(sync.ErrInvalid), []string{"run/settings"}},
		"unreachable":              {failed(sync.ErrUnavailable), []string{"run/failed"}},
		"anything":                 {failed(errors.New("x")), []string{"run/failed"}},
		"timeout":                  {failed(context.DeadlineExceeded), []string{"run/failed"}},
		"stopped before the steps": {failed(fmt.Errorf("x: %w", context.Canceled)), nil},
		"stopped while reading":    {failed(fmt.Errorf("%w: %w", sync.ErrIncomplete, context.Canceled)), nil},
		"stopped for a reason":     {failed(run.WithCause(run.CauseStopped, errors.New("x"))), nil},
		"no lease":                 {failed(&journal.HeldError{}), nil},
		"lease lost":               {failed(run.WithCause(run.CauseLease, journal.ErrLost)), nil},
		"wrong company asked for":  {failed(run.Usagef("no company")), nil},
		"approved plan is old":     {failed(run.WithCause(run.CauseStale, errors.New("x"))), nil},
		"stopped":                  {ended(report.Stopped, held(sync.HeldNoType, 1)...), nil},
		"lease lost in the steps":  {lost(ended(report.Partial, held(sync.HeldNoType, 1)...)), nil},
		"held for several reasons": {done(slices.Concat(held(sync.HeldNoType, 2, 1), held(sync.HeldCycle, 3), held(sync.HeldExcluded, 4),
			held(sync.HeldPaused, 5), held(sync.HeldSettling, 6))...), []string{"held/cycle: company/3", "held/no-type: company/1 company/2"}},
		"held for a new reason": {done(held("moon", 2)...), []string{"held/moon: company/2"}},
		"steps fail and wait": {withSteps(ended(report.Partial, held(sync.HeldFailedBefore, 4)...),
			made, report.StepResult{Status: sync.StatusFailed, Error: "no"}, report.StepResult{Status: sync.StatusSkipped, Error: "parent"}),
			[]string{"steps: company/2 company/3 company/4"}},
		"steps wait":             {done(held(sync.HeldFailedBefore, 4)...), []string{"steps: company/4"}},
		"the end of a run fails": {brokenEnd(), []string{"steps: run"}},
		"steps are made":         {withSteps(done(), made), []string{"repeat: company/1"}},
		"steps of some":          {of(withSteps(done(), made), "1"), nil},
		"held of some":           {of(done(held(sync.HeldNoType, 1)...), "1"), []string{"held/no-type: company/1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range Problems(test.ending) {
				line := p.Key
				if len(p.Items) > 0 {
					line += ": " + strings.Join(p.keys(), " ")
				}
				got = append(got, line)
				checkWords(t, p)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// checkWords looks whether everything is said, and nothing that must not be.
func checkWords(t *testing.T, p Problem) {
	t.Helper()
	if p.Title == "" || p.What == "" || p.Fix == "" {
		t.Errorf("%s: something is not said: %+v", p.Key, p)
	}
	for _, word := range []string{"{plan}", "{key}", "{company}", "%!", "Customer"} {
		if strings.Contains(p.Title+p.Fix+fmt.Sprint(p.Commands), word) {
			t.Errorf("%s: %q in %+v", p.Key, word, p)
		}
	}
}

// The problem of each hold code that needs a person has words of its own, and
// every other code raises none.
func TestEveryHoldCode(t *testing.T) {
	titles := map[string]sync.HoldCode{}
	for _, code := range sync.HoldCodes() {
		list := Problems(done(held(code, 1)...))
		switch {
		case code == sync.HeldFailedBefore: // the problem is the steps
			if len(list) != 1 || list[0].Key != "steps" {
				t.Errorf("%s: %+v", code, list)
			}
		case !code.NeedsPerson():
			if len(list) > 0 {
				t.Errorf("%s raises %+v", code, list)
			}
		case len(list) != 1 || list[0].Key != "held/"+string(code):
			t.Errorf("%s: %+v", code, list)
		default:
			checkWords(t, list[0])
			if other, ok := titles[list[0].Title]; ok {
				t.Errorf("%s and %s have the same title", code, other)
			}
			titles[list[0].Title] = code
		}
	}
	if len(titles) < 10 {
		t.Errorf("only %d codes were seen", len(titles))
	}
}

// Only a run that would have seen a problem proves that it is gone.
func TestSettles(t *testing.T) {
	callback, approved := done(), done()
	callback.Request.IDs, approved.Request.Approve = []int{1}, "beef"
	for name, test := range map[string]struct {
		ending      run.Ending
		held, stale bool
	}{
		"done":             {done(), true, true},
		"partial":          {ended(report.Partial), true, false},
		"failed":           {failed(errors.New("x")), false, false},
		"stopped":          {ended(report.Stopped), false, false},
		"lease lost":       {lost(ended(report.Partial)), false, false},
		"some companies":   {of(done(), "1"), false, false},
		"callback":         {callback, false, false},
		"approved, of all": {approved, true, true},
	} {
		if got := settles(test.ending, "held/no-type"); got != test.held {
			t.Errorf("%s: settles what is held: %v", name, got)
		}
		if got := settles(test.ending, "stale"); got != test.stale {
			t.Errorf("%s: settles staleness: %v", name, got)
		}
	}
}

func TestProblemNamesTheServer(t *testing.T) {
	about := func(server run.Server, err error) error { return &run.ServerError{Server: server, Err: err} }
	for want, err := range map[string]error{
		"runs fail: not authorised":                        sync.ErrUnauthorized,
		"runs fail: not authorised by ConnectWise":         about(run.ConnectWise, sync.ErrUnauthorized),
		"runs fail: not authorised by the vault":           about(run.VaultServer, sync.ErrNotAllowed),
		"runs fail":                                        errors.New("x"),
		"runs fail: ConnectWise does not answer correctly": about(run.ConnectWise, errors.New("HTML")),
		"runs fail: the vault does not answer correctly":   fmt.Errorf("x: %w", about(run.VaultServer, sync.ErrUnavailable)),
	} {
		if list := Unopened(err); len(list) != 1 || list[0].Title != want {
			t.Errorf("%v: %+v, want %q", err, list, want)
		}
	}
}

func TestProblemOfAGuard(t *testing.T) {
	list := held(sync.HeldGuardRenames, 2, 1)
	for i := range list {
		list[i].Approvable, list[i].Reason = true, "300 folders of 301"
	}
	want := []Problem{{
		Key: "held/guard-renames", Title: "too many renames wait for approval (guard-renames)",
		What:  "These changes are on hold until someone approves them or fixes the cause.",
		Means: report.HoldOf(sync.HeldGuardRenames).Means, Reason: "300 folders of 301", Fix: report.HoldOf(sync.HeldGuardRenames).FixFor("beef", list[0]),
		Commands: []Command{{"cwvault resync --approve beef", "approves the plan and applies it, as long as it stays the same"}, {"cwvault explain 2", "explains one company"}},
		Items: []Item{{Key: "company/1", Name: `company 1 "Customer 1"`, Path: `\Clients\Customer 1`},
			{Key: "company/2", Name: `company 2 "Customer 2"`, Path: `\Clients\Customer 2`}},
	}}
	if diff := cmp.Diff(want, Problems(done(list...))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	list[0].Code, list[0].Approvable = sync.HeldAccessWidens, false // in a vault where approving does not help
	for _, p := range Problems(done(list[:1]...)) {
		if strings.Contains(fmt.Sprint(p.Commands, p.What), "approve") {
			t.Errorf("approving is offered: %+v", p)
		}
	}
}

func TestStale(t *testing.T) {
	never, once := Stale(time.Time{}), Stale(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	checkWords(t, never)
	checkWords(t, once)
	if want := "The last good run of everything began 2026-03-01 12:00 UTC, more than three intervals of the schedule ago."; once.What != want {
		t.Errorf("got %q, want %q", once.What, want)
	}
	if strings.Contains(never.What, "began") {
		t.Errorf("got %q", never.What)
	}
}

// TestProblemSaysWhatToDo: an error states a fact, and the ending says which setting
// fixes it. Both belong on the ticket.
func TestProblemSaysWhatToDo(t *testing.T) {
	e := run.Ending{Err: run.WithCause(run.CauseSettings, &run.NoRootError{Root: `\Nope`}), Fix: "correct CWVAULT_ROOT"}
	list := Problems(e)
	if want := `the root \Nope does not exist in the vault; correct CWVAULT_ROOT`; len(list) != 1 || list[0].Reason != want {
		t.Errorf("%+v, want the reason %q", list, want)
	}
	list = Problems(run.Ending{Err: &run.MismatchError{What: "root", Was: "a", Is: "b"}, Fix: "correct CWVAULT_ROOT"})
	if len(list) != 1 || list[0].Title != "runs fail: the journal is that of another installation" {
		t.Errorf("%+v", list)
	}
}
