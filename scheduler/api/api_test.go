package api

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/sync/report"
)

// TestWire: clients of other versions rely on these names.
func TestWire(t *testing.T) {
	start := time.Date(2026, 11, 22, 11, 50, 0, 0, time.UTC)
	end := start.Add(time.Minute)
	for name, test := range map[string]struct {
		value any
		want  string
	}{
		"an empty request": {Request{}, `{}`},
		"a request": {Request{Companies: []string{"alovet"}, Approve: "0badc0de", Recreate: []sync.Key{"company/250"}},
			`{"companies":["alovet"],"approve":"0badc0de","recreate":["company/250"]}`},
		"waiting": {Asked{ID: "r1", State: Waiting}, `{"request":"r1","state":"waiting","exitCode":0}`},
		"running": {Asked{ID: "r1", State: Running, Run: 12, Done: 3, Total: 10}, `{"request":"r1","state":"running","run":12,"done":3,"total":10,"exitCode":0}`},
		"over":    {Asked{ID: "r1", State: Over, Run: 12, ExitCode: 4, Error: "held"}, `{"request":"r1","state":"over","run":12,"exitCode":4,"error":"held"}`},
		"no runs": {Runs{Runs: []Run{}}, `{"runs":[]}`},
		"runs": {Runs{Runs: []Run{{Number: 12, Start: start, Trigger: "start", Outcome: report.Running}, {Number: 11, Start: start, End: &end, Trigger: "schedule",
			Outcome: report.Partial, Plan: "0badc0de", Counts: map[string]int{"move": 1}, Error: "x"}}},
			`{"runs":[{"run":12,"start":"2026-11-22T11:50:00Z","trigger":"start","outcome":"running"},{"run":11,"start":"2026-11-22T11:50:00Z",` +
				`"end":"2026-11-22T11:51:00Z","trigger":"schedule","outcome":"partial","plan":"0badc0de","counts":{"move":1},"error":"x"}]}`},
		"companies": {Companies{Companies: []Company{{ID: 9, Identifier: "nine", Name: "Nine", Path: `\Nine`, State: report.CompanyDeparted}}, More: true},
			`{"companies":[{"id":9,"identifier":"nine","name":"Nine","path":"\\Nine","state":"departed"}],"more":true}`},
		"a failure": {Failure{Error: "not found"}, `{"error":"not found"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(test.value)
			if diff := cmp.Diff(test.want, string(got)); err != nil || diff != "" {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
}

// TestNewCompany: a company without a folder is where its folder will be.
func TestNewCompany(t *testing.T) {
	step := sync.Step{Op: sync.OpMove, From: `\Clients\A\Alovet`, To: `\Clients\B\Alovet`}
	for path, want := range map[string]Company{
		"":        {ID: 250, Identifier: "alovet", Name: "Alovet", Path: step.To, State: report.CompanyPending},
		step.From: {ID: 250, Identifier: "alovet", Name: "Alovet", Path: step.From, State: report.CompanyPending},
	} {
		got := NewCompany(report.Company{ID: 250, Identifier: "alovet", Name: "Alovet", Listed: true, Path: path, Step: &step})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}
