package sync_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// moving is a world in which one company moves, one is renamed and one is new.
var moving = text{
	companies: `
		1 one Acme Customer Active
		2 two "Bolt Ltd" Customer Active
		3 three Cork Customer Active`,
	vault: `
		Customer [group/type:1]
		  Active [group/type:1/status:1]
		    Bolt [company/2]
		Prospect [group/type:2]
		  Active [group/type:2/status:1]
		    Acme [company/1]`,
}

func reasons(held map[sync.Key]sync.Held) map[sync.Key]string {
	out := map[sync.Key]string{}
	for key, h := range held {
		out[key] = string(h.Code) + ": " + h.Reason
		if h.Approvable {
			out[key] += " (approvable)"
		}
	}
	return out
}

func TestLayout(t *testing.T) {
	p := moving.plan(t, readVault(t, moving.vault).Snapshot())
	const why = "guard-layout: the settings for structure, names or filters have changed since the last run; the migration takes 3 steps (approvable)"
	for name, c := range map[string]struct {
		changed  bool
		approved string
		want     map[sync.Key]string
	}{
		"unchanged":         {want: map[sync.Key]string{}},
		"changed":           {changed: true, want: map[sync.Key]string{"company/1": why, "company/2": why, "company/3": why}},
		"changed, approved": {changed: true, approved: p.ID, want: map[sync.Key]string{}},
		"another approved":  {changed: true, approved: "0" + p.ID[1:], want: map[sync.Key]string{"company/1": why, "company/2": why, "company/3": why}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, reasons(sync.Layout(c.changed, c.approved)(p))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettlePolicy(t *testing.T) {
	p := moving.plan(t, readVault(t, moving.vault).Snapshot())
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const to = `\Clients\Customer\Active\Acme`
	held := map[sync.Key]string{"company/1": "settling: type changed from Prospect to Customer; the move waits until ConnectWise has wanted it for 1h0m0s"}
	none := map[sync.Key]string{}
	for name, c := range map[string]struct {
		dwell    time.Duration
		since    sync.Since
		approved string
		want     map[sync.Key]string
	}{
		"off":                       {0, sync.Since{}, "", none},
		"wanted for the first time": {time.Hour, sync.Since{}, "", held},
		"not long enough":           {time.Hour, sync.Since{To: to, Time: now.Add(-time.Hour + 1)}, "", held},
		"long enough":               {time.Hour, sync.Since{To: to, Time: now.Add(-time.Hour)}, "", none},
		"long, but elsewhere":       {time.Hour, sync.Since{To: to + "x", Time: now.Add(-24 * time.Hour)}, "", held},
		"approved":                  {time.Hour, sync.Since{}, p.ID, none},
	} {
		t.Run(name, func(t *testing.T) {
			got := sync.Settle(c.dwell, map[sync.Key]sync.Since{"company/1": c.since}, now, c.approved)(p)
			if diff := cmp.Diff(c.want, reasons(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// holdAll is a policy that holds some folders.
func holdAll(code sync.HoldCode, keys ...sync.Key) sync.Policy {
	return func(sync.Program) map[sync.Key]sync.Held {
		held := map[sync.Key]sync.Held{}
		for _, k := range keys {
			held[k] = sync.Held{Code: code, Key: k, Reason: "because", Approvable: true}
		}
		return held
	}
}

func TestDecide(t *testing.T) {
	c := moving
	c.world = func(w *sync.World) {
		w.Hold = map[sync.Key]sync.Held{"company/3": {Code: sync.HeldPaused, Key: "company/3", Reason: "by hand"}}
	}
	tree := readVault(t, c.vault).Snapshot()
	whole := c.plan(t, tree)
	p := c.decide(t, tree, nil,
		holdAll(sync.HeldSettling, "company/1"),
		holdAll(sync.HeldGuardMoves, "company/1", "company/2", "company/3"))
	const want = `
		held settling company/1 \Prospect\Active\Acme: because
		held guard-moves company/2 \Customer\Active\Bolt: because
		held paused company/3 \Customer\Active\Cork: by hand`
	if diff := cmp.Diff(tidy(want), writePlan(p.Plan)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p.ID != whole.ID || p.Whole.ID != whole.ID {
		t.Errorf("the ids are %s and %s, not %s", p.ID, p.Whole.ID, whole.ID)
	}
	if diff := cmp.Diff(whole.Plan, p.Whole); diff != "" {
		t.Errorf("the whole plan (-want +got):\n%s", diff)
	}
	for i, approvable := range []bool{true, true, false} {
		if p.Held[i].Approvable != approvable {
			t.Errorf("%s: approvable is %v", p.Held[i].Key, p.Held[i].Approvable)
		}
	}
}

// TestDecideAudience: an audience that cannot be had ends the decision.
func TestDecideAudience(t *testing.T) {
	wanted, err := sync.Want(moving.source(t), moving.settings(t), textRules)
	if err != nil {
		t.Fatal(err)
	}
	world := sync.World{Tenant: testTenant, Tree: readVault(t, moving.vault).Snapshot()}
	broken := errors.New("no answer")
	_, err = sync.Decide(wanted, world, func([]string) (map[string][]string, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// TestHeldWithAnother: what is held because of another folder's hold is
// approvable when that is.
func TestHeldWithAnother(t *testing.T) {
	c := text{
		structure: "$STATUS",
		companies: `
			1 one Bolt - Active
			2 two Acme - Active`,
		vault: `
			Active [group/status:1]
			  Acme [company/1]
			  Bolt [company/2]`,
	}
	p := c.decide(t, readVault(t, c.vault).Snapshot(), nil, holdAll(sync.HeldGuardRenames, "company/1"))
	if len(p.Held) != 2 || !p.Held[0].Approvable || !p.Held[1].Approvable || p.Held[1].Code != sync.HeldGuardRenames {
		t.Errorf("%+v", p.Held)
	}
}

// TestPlanRoundTrip: a plan is a value that JSON keeps, and a program is none.
func TestPlanRoundTrip(t *testing.T) {
	v := readVault(t, moving.vault)
	p := moving.plan(t, v.Snapshot())
	var back sync.Plan
	if err := json.Unmarshal(planJSON(t, p), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.Plan, back); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	var program sync.Program
	if err := json.Unmarshal(planJSON(t, p), &program); err == nil {
		t.Error("a program was read from JSON")
	}
	before := v.String()
	report := sync.Apply(t.Context(), v, sync.Program{Plan: back}, 1, noRecord{})
	if report.Count(sync.StatusFailed) != len(back.Steps) || v.String() != before {
		t.Errorf("a plan was applied:\n%s", results(p, report))
	}
}

// TestHoldCodes compares the table of hold codes with the constants.
func TestHoldCodes(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "hold.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var constants []sync.HoldCode
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Held") {
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			constants = append(constants, sync.HoldCode(code))
		}
		return true
	})
	if diff := cmp.Diff(constants, sync.HoldCodes()); diff != "" || len(constants) < 16 {
		t.Errorf("(-constants +HoldCodes):\n%s", diff)
	}
	var byItself, approvable []sync.HoldCode
	for _, c := range sync.HoldCodes() {
		if c.Approvable() {
			approvable = append(approvable, c)
		}
		if !c.NeedsPerson() {
			byItself = append(byItself, c)
		}
		if c.ByGuard() && !c.NeedsPerson() {
			t.Errorf("%s is a guard's, and needs no person", c)
		}
	}
	if diff := cmp.Diff([]sync.HoldCode{sync.HeldExcluded, sync.HeldPaused, sync.HeldFailedBefore, sync.HeldSettling}, byItself); diff != "" {
		t.Errorf("need no person (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]sync.HoldCode{sync.HeldGuardMoves, sync.HeldGuardRenames, sync.HeldGuardArchives, sync.HeldAccessWidens, sync.HeldGuardLayout}, approvable); diff != "" {
		t.Errorf("can be approved (-want +got):\n%s", diff)
	}
	if c := sync.HoldCode("of a later version"); c.ByGuard() || c.NeedsPerson() || c.Approvable() {
		t.Error("an unknown code has traits")
	}
}
