package report

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// testReport is a run with everything in it.
func testReport() *Run {
	at := func(s int) time.Time { return time.Date(2026, 11, 21, 10, 0, s, 5e6, time.UTC) }
	secrets := 12
	company := &sync.PlanCompany{ID: 250, Identifier: "alovet", Name: "Alovet <&> Inc."}
	return &Run{
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
		Number: 12, Trigger: "request", Outcome: Partial, Error: "commit to the store: no", Started: at(0), Ended: at(9),
		Results: []StepResult{
			{Status: sync.StatusDone, Began: at(1), Ended: at(2)},
			{Status: sync.StatusFailed, Error: "no", Began: at(3), Ended: at(4)},
			{Status: sync.StatusSkipped, Error: "depends on group/type:1"},
		},
	}
}

func TestRunReportThereAndBack(t *testing.T) {
	for name, r := range map[string]*Run{
		"full":  testReport(),
		"empty": {Plan: sync.Plan{Schema: sync.PlanSchema, Steps: []sync.Step{}}, Results: []StepResult{}, Outcome: Done},
	} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Run
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(*r, back); diff != "" {
			t.Errorf("%s (-sent +received):\n%s", name, diff)
		}
	}
	for _, text := range []string{`[]`, `{}`, `{"schema":"cwvault.plan/1"}`, `{"schema":"cwvault.run/1","run":"x"}`, `{"schema":"cwvault.run/1","steps":[{"secrets":"x"}]}`} {
		if err := json.Unmarshal([]byte(text), new(Run)); err == nil {
			t.Errorf("%s is a run", text)
		}
	}
}

// TestRowChanges: a list of runs has one line for each.
func TestRowChanges(t *testing.T) {
	for text, want := range map[string]string{
		"":         "none",
		"no route": "no route",
		"the saved plan no longer matches; nothing was applied. Since then:\n  new: company/253": "the saved plan no longer matches; nothing was applied. …",
		"one\ntwo": "one …",
	} {
		if got := (Row{Error: text}).changes(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
