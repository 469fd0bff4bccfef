package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cwvault/scheduler"
	"cwvault/scheduler/api"
	"cwvault/sync"
	"cwvault/sync/report"
)

// newStep is a step as the planner makes it. A path of a company's folder ends
// in its name.
func newStep(op sync.Op, key sync.Key, from, to, reason string) sync.Step {
	s := sync.Step{Op: op, Kind: sync.KindGroup, Key: key, From: from, To: to, Reason: reason}
	if id, ok := key.CompanyID(); ok {
		s.Kind = sync.KindCompany
		s.Company = &sync.PlanCompany{ID: id, Identifier: fmt.Sprintf("c%d", id), Name: to[strings.LastIndex(to, `\`)+1:]}
	}
	return s
}

func newLook(steps ...sync.Step) *Look {
	return &Look{
		Run: 79, At: noon.Add(-10 * time.Minute), Listed: 327, Managed: 319,
		Pending: sync.Plan{
			Schema: sync.PlanSchema, ID: "3f9c0d5e7a11b2c4", Tenant: "acmeinc", Vault: "https://vault.example.com/SecretServer", Root: `\Clients`,
			Steps: steps,
		},
		Blocked: map[sync.Key]bool{}, Failed: map[sync.Key]string{},
	}
}

// inStep is the state of a service with nothing to do.
func inStep() State {
	look := newLook()
	look.Companies = []report.Company{
		{ID: 1, Identifier: "alder", Name: "Alder Family Practice", Listed: true, Path: `\Clients\Customer\Active\Alder Family Practice`, FolderID: "11"},
		{ID: 2, Identifier: "blue", Name: "Bluestone Family Practice", Listed: true, Path: `\Clients\Customer\Active\Bluestone Family Practice`, FolderID: "12"},
	}
	return State{
		Now: noon, Version: "1.2.3", Tenant: "acmeinc", Vault: "https://vault.example.com/SecretServer", Root: `\Clients`,
		Schedule: "@every 30m", TimeZone: "Europe/Berlin",
		Scheduler:   scheduler.Status{Next: noon.Add(20 * time.Minute), LastSuccess: noon.Add(-9 * time.Minute)},
		LastAttempt: noon.Add(-10 * time.Minute), LastGood: noon.Add(-10 * time.Minute), Stale: noon.Add(80 * time.Minute), LastRun: 79,
		ConnectWise: Reach{At: noon.Add(-10 * time.Minute)}, VaultServer: Reach{At: noon.Add(-10 * time.Minute)},
		Look: look,
	}
}

// busyDay is the state of a service that has seen everything on one day.
func busyDay() State {
	const active, former = `\Clients\Customer\Active\`, `\Clients\Customer\Former\`
	secrets := 12
	moved := newStep(sync.OpMove, "company/250", `\Clients\Prospect\Active\Alovet`, active+"Alovet, Inc.", "type changed from Prospect to Customer; name changed")
	moved.Secrets, moved.Access = &secrets, &sync.AccessChange{Gains: []string{"Helpdesk (View)", "Field engineers (Edit)"}}
	swapped := newStep(sync.OpRename, "company/33", active+"Ashdown Engineering", active+"Copperfield Insurance", "name changed")
	swapped.Via = active + "Copperfield Insurance (moving #33)"
	look := newLook(
		newStep(sync.OpRename, "group/type:1/status:4", `\Clients\Customer\Inactive`, `\Clients\Customer\Former`, "status renamed from Inactive to Former"),
		newStep(sync.OpCreate, "group/type:3", "", `\Clients\Vendor`, "group folder for type Vendor"),
		newStep(sync.OpCreate, "group/type:3/status:1", "", `\Clients\Vendor\Active`, "group folder for type Vendor, status Active"),
		newStep(sync.OpCreate, "company/301", "", active+"Alder Family Practice", "new company"),
		newStep(sync.OpCreate, "company/302", "", active+"Müller & Söhne GmbH", "new company"),
		newStep(sync.OpCreate, "company/303", "", active+"日本橋商店", "new company"),
		newStep(sync.OpCreate, "company/304", "", active+"شركة النخيل", "new company"),
		newStep(sync.OpCreate, "company/305", "", `\Clients\Vendor\Active\Thornbury Logistics`, "new company"),
		newStep(sync.OpAdopt, "company/306", active+"Harbour Dental Care", active+"Harbour Dental Care", "an unmanaged folder sits exactly where it should be"),
		swapped,
		newStep(sync.OpRename, "company/34", active+"Copperfield Insurance", active+"Ashdown Engineering", "name changed"),
		moved,
		newStep(sync.OpMove, "company/251", `\Clients\Prospect\Active\Bluestone Family Practice`, active+"Bluestone Family Practice", "type changed from Prospect to Customer"),
		newStep(sync.OpMove, "company/252", active+"Quayside Foods", former+"Quayside Foods", "status changed from Active to Former"),
		newStep(sync.OpMove, "company/253", `\Clients\Customer\Inactive\Redfern Builders`, active+"Redfern Builders", "status changed from Former to Active"),
		newStep(sync.OpCreate, "company/307", "", active+"The Very Long Named Association for the Advancement of Mutual Understanding between Chambers of Commerce, Industry, Crafts and Agriculture of the Northern and the Southern Provinces and All of Their Affiliated Members", "new company"),
	)
	for i := range 12 {
		look.Pending.Steps = append(look.Pending.Steps, newStep(sync.OpArchive, sync.CompanyKey(400+i),
			fmt.Sprintf(`%sKestrel Holdings %d`, active, i+1), fmt.Sprintf(`\Clients\_Archive\Kestrel Holdings %d`, i+1), "deleted in ConnectWise"))
		look.Blocked[sync.CompanyKey(400+i)] = true
		look.Pending.Held = append(look.Pending.Held, sync.Held{Approvable: true, Code: sync.HeldGuardArchives, Key: sync.CompanyKey(400 + i),
			Company: &sync.PlanCompany{ID: 400 + i, Name: fmt.Sprintf("Kestrel Holdings %d", i+1)}, Path: fmt.Sprintf(`%sKestrel Holdings %d`, active, i+1),
			Reason: "12 folders of 319 would archive, more than CWVAULT_MAX_ARCHIVES=5% allows; to let this plan through: cwvault resync --approve 3f9c0d5e7a11b2c4"})
	}
	look.Failed["company/252"] = "PUT https://vault.example.com/SecretServer/api/v1/folders/812: 403 Access denied: the account lacks Edit Folder\nasked again: the same"
	look.Pending.Held = append(look.Pending.Held,
		sync.Held{Code: sync.HeldNoType, Key: "company/272", Company: &sync.PlanCompany{ID: 272, Identifier: "nobody", Name: "Nobody Knows What This Is"}, Reason: "the company has no type, and CWVAULT_MISSING names no group for that"},
		sync.Held{Code: sync.HeldFolderMissing, Key: "company/88", Company: &sync.PlanCompany{ID: 88, Name: "Greyfriars Schools"}, Path: active + "Greyfriars Schools", Reason: `its folder "Greyfriars Schools" has disappeared from the vault or can no longer be seen; to make it again: cwvault resync --recreate company/88`},
		sync.Held{Code: sync.HeldPaused, Key: "company/90", Company: &sync.PlanCompany{ID: 90, Name: "Foxglove Hospitality"}, Path: active + "Foxglove Hospitality", Reason: "paused by hand: audit"},
	)
	look.Pending.Departed = []sync.Departed{{Key: "company/9", FolderID: "9", Path: active + "Quayside Manufacturing", Reason: "deleted in ConnectWise, or no longer visible to the API member"}}
	look.Pending.Counts = sync.Counts{Held: len(look.Pending.Held), Departed: 1}
	look.Companies = companiesOf(look)

	s := inStep()
	s.Look = look
	s.NotInStep = noon.Add(-26 * time.Hour)
	s.LastGood, s.Stale = noon.Add(-26*time.Hour), noon.Add(-24*time.Hour)
	s.LastError = "run 79: some steps were not made"
	s.VaultServer.Error = "Get https://vault.example.com/SecretServer/api/v1/version: connection refused"
	s.Scheduler.Missed = 2
	return s
}

// companiesOf are the companies of busyDay.
func companiesOf(look *Look) (list []report.Company) {
	for i := range look.Pending.Steps {
		if s := &look.Pending.Steps[i]; s.Company != nil {
			list = append(list, report.Company{ID: s.Company.ID, Identifier: s.Company.Identifier, Name: s.Company.Name, Listed: true,
				Status: sync.Ref{ID: 1, Name: "Active"}, Types: []sync.Ref{{ID: 1, Name: "Customer"}},
				BelongsIn: `\Clients\Customer\Active`, Step: s, By: &report.Basis{Structure: `$TYPE\$STATUS`, PlanID: look.Pending.ID}})
		}
	}
	nobody := slices.IndexFunc(look.Pending.Held, func(h sync.Held) bool { return h.Key == "company/272" })
	list = append(list, report.Company{ID: 272, Identifier: "nobody", Name: "Nobody Knows What This Is", Listed: true,
		Path: `\Clients\Nobody Knows What This Is`, FolderID: "272", Held: &look.Pending.Held[nobody], By: &report.Basis{PlanID: look.Pending.ID}})
	return list
}

// largeLook is a look with so many steps in so many group folders.
func largeLook(steps, groups int) *Look {
	look := newLook()
	for i := range steps {
		s := newStep(sync.OpMove, sync.CompanyKey(i+1),
			fmt.Sprintf(`\Clients\Prospect\Status %d\Company %d`, i%groups, i), fmt.Sprintf(`\Clients\Customer\Status %d\Company %d`, i%groups, i), "type changed")
		look.Pending.Steps = append(look.Pending.Steps, s)
	}
	for i := range look.Pending.Steps {
		look.Companies = append(look.Companies, report.Company{ID: i + 1, Identifier: fmt.Sprintf("c%d", i), Name: fmt.Sprintf("Company %d", i), Listed: true, Step: &look.Pending.Steps[i]})
	}
	return look
}

// manyRuns is a history of n runs up to run 79, the newest first.
func manyRuns(n int) []report.Run {
	var list []report.Run
	for i := range n {
		r := report.Run{Number: int64(79 - i), Started: noon.Add(time.Duration(-10-30*i) * time.Minute), Trigger: "schedule", Outcome: report.Done}
		r.ID = "3f9c0d5e7a11b2c4"
		r.Ended = r.Started.Add(time.Duration(4+i%7*3) * time.Second)
		switch {
		case i == 0:
			r.Outcome = report.Partial
			r.Counts = sync.Counts{Create: 6, Rename: 3, Move: 4, Held: 15, Departed: 1}
		case i == 5:
			r.Outcome, r.Error = report.Failed, "list companies: GET https://na.myconnectwise.net/v4_6_release/apis/3.0/company/companies: 503 Service Unavailable\ntried 5 times"
			r.Ended = r.Started.Add(95 * time.Second)
		case i == 9:
			r.Outcome, r.Trigger, r.Ended = report.Interrupted, "start", time.Time{}
		case i == 12:
			r.Outcome = report.Stopped
		case i == 20:
			r.Counts = sync.Counts{Create: 1200, Move: 33}
			r.Ended = r.Started.Add(14 * time.Minute)
		case i%4 == 0:
			r.Counts = sync.Counts{Create: i % 5, Move: i % 3}
		}
		list = append(list, r)
	}
	return list
}

// newWorld returns a service in a state, with a history and a token.
func newWorld(t *testing.T, state State) (*fakeService, *handler) {
	t.Helper()
	f := &fakeService{asked: map[string]api.Asked{}, reports: manyRuns(79), state: state}
	if state.Look != nil {
		for i, s := range state.Look.Pending.Steps {
			result := report.StepResult{Status: sync.StatusDone}
			switch {
			case state.Look.Failed[s.Key] != "":
				result = report.StepResult{Status: sync.StatusFailed, Error: state.Look.Failed[s.Key]}
			case state.Look.Blocked[s.Key]:
				continue
			case i == 3:
				result = report.StepResult{Status: sync.StatusSkipped, Error: "a step that it needs failed"}
			}
			f.reports[0].Steps, f.reports[0].Results = append(f.reports[0].Steps, s), append(f.reports[0].Results, result)
		}
		f.reports[0].Held = state.Look.Pending.Held
	}
	return f, newHandler(local(f), defaultLimits)
}
