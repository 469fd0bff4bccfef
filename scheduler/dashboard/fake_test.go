package dashboard

import (
	"context"
	"fmt"
	"maps"
	"slices"
	gosync "sync"
	"testing"
	"time"

	"cwvault/scheduler"
	"cwvault/scheduler/api"
	"cwvault/sync"
	"cwvault/sync/report"
)

// fakeService is a [Service] that shows what a test puts in, and keeps what it
// is asked. Its fields are not to be touched while requests are under way, but
// through set and requests.
type fakeService struct {
	mu        gosync.Mutex
	state     State
	reports   []report.Run // the newest first
	asked     map[string]api.Asked
	asks      []api.Request
	delivered []delivery

	runsErr     error // what Runs and Run return
	resyncErr   error
	callbackErr error
	// callback, if set, is what Callback does besides.
	callback func(context.Context)
}

type delivery struct{ body, signature string }

// set changes the state, as a run would.
func (f *fakeService) set(change func(*State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.state)
}

// requests returns what was asked for so far.
func (f *fakeService) requests() []api.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asks)
}

func (f *fakeService) deliveries() []delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.delivered)
}

func (f *fakeService) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

func (f *fakeService) Runs(_ context.Context, limit int, before int64) ([]api.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runsErr != nil {
		return nil, f.runsErr
	}
	var runs []api.Run
	for _, r := range f.reports {
		if len(runs) < limit && (before == 0 || r.Number < before) {
			runs = append(runs, rowOf(r))
		}
	}
	return runs, nil
}

// rowOf is a run in a list.
func rowOf(r report.Run) api.Run {
	row := api.Run{Number: r.Number, Start: r.Started, End: report.TimeOrNil(r.Ended), Trigger: r.Trigger, Outcome: r.Outcome, Plan: r.ID,
		Counts: report.CountMap(r.Counts), Error: r.Error}
	maps.DeleteFunc(row.Counts, func(_ string, n int) bool { return n == 0 })
	return row
}

func (f *fakeService) Run(_ context.Context, id int64) (report.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runsErr != nil {
		return report.Run{}, f.runsErr
	}
	for _, r := range f.reports {
		if r.Number == id {
			return r, nil
		}
	}
	return report.Run{}, api.ErrNotFound
}

func (f *fakeService) Resync(_ context.Context, r api.Request) (api.Asked, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resyncErr != nil {
		return api.Asked{}, f.resyncErr
	}
	f.asks = append(f.asks, r)
	a := api.Asked{ID: fmt.Sprintf("r%d", len(f.asks)), State: api.Waiting}
	f.asked[a.ID] = a
	return a, nil
}

func (f *fakeService) Asked(id string) (api.Asked, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, ok := f.asked[id]
	if !ok {
		return api.Asked{}, api.ErrNotFound
	}
	return a, nil
}

func (f *fakeService) Callback(ctx context.Context, body []byte, signature string) error {
	if f.callback != nil {
		f.callback(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delivered = append(f.delivered, delivery{string(body), signature})
	return f.callbackErr
}

// noon is the time in tests.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// hostile are names that do harm where they are not escaped: markup, script,
// an end of a line, a colour, a direction override, an invisible character.
const hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\n\x1b[31m\u202egnp\u200b"

// newFake returns a service in the midst of its life: a good run behind it, one
// step failed, one held by a guard, one company departed, one of a hostile name.
func newFake(t *testing.T) *fakeService {
	t.Helper()
	alovet := &sync.PlanCompany{ID: 250, Identifier: "alovet", Name: "Alovet, Inc."}
	moved := sync.Step{
		Op: sync.OpMove, Kind: sync.KindCompany, Key: "company/250", Company: alovet, FolderID: "21",
		From: `\Clients\Prospect\Active\Alovet`, To: `\Clients\Customer\Active\Alovet, Inc.`, Reason: "type changed from Prospect to Customer",
	}
	evil := sync.Step{
		Op: sync.OpCreate, Kind: sync.KindCompany, Key: "company/666",
		Company: &sync.PlanCompany{ID: 666, Identifier: "evil", Name: hostile}, To: `\Clients\Customer\Active\` + hostile, Reason: "new company",
	}
	plan := sync.Plan{
		Schema: sync.PlanSchema, ID: "0badc0de", Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Clients`,
		Steps: []sync.Step{moved, evil},
		Held: []sync.Held{
			{Code: sync.HeldNoType, Key: "company/7", Company: &sync.PlanCompany{ID: 7, Identifier: "seven", Name: "Seven"}, Path: `\Clients\Seven`, Reason: "the company has no type"},
			{Approvable: true, Code: sync.HeldGuardMoves, Key: "company/250", Company: alovet, Path: moved.From, Reason: "21 of 50 folders would move"},
		},
		Departed: []sync.Departed{{Key: "company/9", FolderID: "9", Path: `\Clients\Customer\Active\Nine`, Reason: "deleted in ConnectWise"}},
		Counts:   sync.Counts{Create: 1, Move: 1, Held: 2, Departed: 1, Unchanged: 48},
	}
	end := noon.Add(-9 * time.Minute)
	partial := report.Run{
		Plan: plan, Number: 12, Started: noon.Add(-10 * time.Minute), Ended: end, Trigger: "schedule", Outcome: report.Partial,
		Error: "the vault said: " + hostile, Results: []report.StepResult{{}, {Status: sync.StatusFailed, Error: hostile}},
	}
	good := report.Run{Number: 11, Started: noon.Add(-40 * time.Minute), Ended: end, Trigger: "start", Outcome: report.Done}
	return &fakeService{
		asked:   map[string]api.Asked{},
		reports: []report.Run{partial, good},
		state: State{
			Now: noon, Version: "1.2.3", Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Clients`,
			Schedule: "@every 30m", TimeZone: "UTC",
			Scheduler: scheduler.Status{
				Last:        scheduler.Run{Trigger: scheduler.OnSchedule, Start: noon.Add(-10 * time.Minute), End: end, Err: fmt.Errorf("run 12: some steps were not made")},
				LastSuccess: noon.Add(-39 * time.Minute), Next: noon.Add(20 * time.Minute), Missed: 3,
			},
			LastAttempt: noon.Add(-10 * time.Minute), LastGood: noon.Add(-40 * time.Minute), Stale: noon.Add(50 * time.Minute), LastRun: 12,
			ConnectWise: Reach{At: noon.Add(-10 * time.Minute)}, VaultServer: Reach{At: noon.Add(-10 * time.Minute)},
			NotInStep: noon.Add(-10 * time.Minute), LastError: "run 12: some steps were not made",
			Look: &Look{
				Run: 12, At: noon.Add(-10 * time.Minute), Pending: plan,
				Blocked: map[sync.Key]bool{"company/250": true}, Failed: map[sync.Key]string{"company/666": hostile},
				Companies: []report.Company{
					{ID: 666, Identifier: "evil", Name: hostile, Listed: true, Step: &plan.Steps[1], By: &report.Basis{PlanID: plan.ID}},
					{ID: 250, Identifier: "alovet", Name: "Alovet, Inc.", Listed: true, Status: sync.Ref{ID: 1, Name: "Active"}, Types: []sync.Ref{{ID: 1, Name: "Customer"}},
						Path: moved.From, FolderID: "21", Step: &plan.Steps[0], Held: &plan.Held[1], By: &report.Basis{PlanID: plan.ID}},
					{ID: 9, Identifier: "nine", Name: "Nine", Path: plan.Departed[0].Path, FolderID: "9", Departed: &plan.Departed[0]},
					{ID: 7, Identifier: "seven", Name: "Seven", Listed: true, Path: `\Clients\Seven`, FolderID: "7", Held: &plan.Held[0], By: &report.Basis{PlanID: plan.ID}},
				},
				Listed: 3, Managed: 49,
			},
		},
	}
}
