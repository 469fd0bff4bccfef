package sync_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// TestUndoNamesInTheWay undoes a run in which each new name was another folder's
// old one, and a name for folders on their way was taken: it failed with a name
// that is taken.
func TestUndoNamesInTheWay(t *testing.T) {
	c := text{
		structure: "$STATUS",
		companies: `
			2  ID2    "Acme (ID2)"  Customer  Active
			3  three  ACME          Customer  Active
			7  seven  Other         Customer  Active`,
		vault: `
			Active [group/status:1]
			  ACME [company/2]
			  Acme (ID2) [company/3]
			  Acme (moving #2) [company/7]`,
	}
	v := readVault(t, tidy(c.vault))
	paths := func() map[sync.Key]string {
		places := map[sync.Key]string{}
		for _, f := range v.Snapshot().Folders {
			places[f.Mark.Key] = v.Path(f.ID)
		}
		return places
	}
	apply := func(p sync.Program) {
		t.Helper()
		if len(p.Held) > 0 {
			t.Errorf("held: %+v", p.Held)
		}
		for i, r := range sync.Apply(context.Background(), v, p, 1, noRecord{}).Results {
			if r.Status != sync.StatusDone {
				t.Errorf("%+v: %v\n%s", p.Steps[i], r.Err, writePlan(p.Plan))
			}
		}
	}
	before := paths()
	p := c.plan(t, v.Snapshot())
	apply(p)
	after := paths()
	for _, key := range []sync.Key{"company/2", "company/3", "company/7"} {
		if after[key] == before[key] {
			t.Errorf("%s is still at %s", key, after[key])
		}
	}
	u, err := sync.Undo(sync.World{Tenant: testTenant, Vault: "mem:", Tree: v.Snapshot()}, textRules, doneSteps(p), "undo")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(u.Steps, func(s sync.Step) bool { return s.Via != "" }) {
		t.Errorf("no name for a folder on its way:\n%s", writePlan(u.Plan))
	}
	apply(u)
	if diff := cmp.Diff(before, paths()); diff != "" {
		t.Errorf("(-before +undone):\n%s", diff)
	}
}
