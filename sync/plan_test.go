package sync_test

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// planCase is a world, the plan for it, and the vault once that is applied.
// An empty vault afterwards stands for the vault as it was.
type planCase struct {
	text
	plan  string
	after string
}

// known is a journal that remembers places: key, parent key, name.
func known(places ...[3]string) func(*sync.World) {
	return func(w *sync.World) {
		w.Known = map[sync.Key]sync.Place{}
		for _, p := range places {
			w.Known[sync.Key(p[0])] = sync.Place{Parent: sync.Key(p[1]), Name: p[2]}
		}
	}
}

func adopt(s *sync.Settings)   { s.Adopt = true }
func archive(s *sync.Settings) { s.Archive = "_Archive" }

// planCases are named after the rules of docs/RULES.md.
var planCases = merged(wantedCases, nameCases, settleCases, vaultCases)

func merged(lists ...map[string]planCase) map[string]planCase {
	all := map[string]planCase{}
	for _, list := range lists {
		maps.Copy(all, list)
	}
	return all
}

func TestPlan(t *testing.T) {
	codes := map[sync.HoldCode]bool{}
	for name, c := range planCases {
		t.Run(name, func(t *testing.T) {
			v := readVault(t, c.vault)
			p := c.text.plan(t, v.Snapshot())
			if diff := cmp.Diff(tidy(c.plan), writePlan(p.Plan)); diff != "" {
				t.Fatalf("plan (-want +got):\n%s", diff)
			}
			for _, h := range p.Held {
				codes[h.Code] = true
			}
			report := sync.Apply(context.Background(), v, p, 1, noRecord{})
			for i, r := range report.Results {
				if r.Status != sync.StatusDone {
					t.Errorf("step %s: %s: %v", p.Steps[i].Key, r.Status, r.Err)
				}
			}
			after := c.after
			if after == "" {
				after = c.vault
			}
			if diff := cmp.Diff(readVault(t, after).String(), v.String()); diff != "" {
				t.Errorf("vault (-want +got):\n%s", diff)
			}
			if len(p.Steps) > 0 {
				c.again(t, v, p)
			}
		})
	}
	// The other codes come only from policies.
	for _, code := range []sync.HoldCode{
		sync.HeldNoType, sync.HeldNoStatus, sync.HeldNoTerritory, sync.HeldNoMarket, sync.HeldNoParent, sync.HeldUnmanagedFolder,
		sync.HeldNameCollision, sync.HeldFolderMissing, sync.HeldForeignMark, sync.HeldExcluded, sync.HeldPaused,
		sync.HeldFailedBefore, sync.HeldDuplicateMark, sync.HeldCycle, sync.HeldGuardMoves, sync.HeldGuardRenames,
	} {
		if !codes[code] {
			t.Errorf("no case holds anything as %s", code)
		}
	}
}

// again sees that a second run has nothing to do, also when it remembers what
// the first one did.
func (c planCase) again(t *testing.T, v *memVault, p sync.Program) {
	t.Helper()
	first := c.world
	c.world = func(w *sync.World) {
		root := w.Tree.Root
		if first != nil {
			first(w)
		}
		w.Tree = v.Snapshot()
		w.Tree.Root = root
		w.Known = maps.Clone(w.Known)
		if w.Known == nil {
			w.Known = map[sync.Key]sync.Place{}
		}
		for _, k := range p.Learned() {
			w.Known[k.Key] = k.Place
		}
		for i, s := range p.Steps {
			w.Known[s.Key] = p.Place(i)
		}
	}
	if second := c.text.plan(t, v.Snapshot()); !second.Empty() {
		t.Errorf("a second plan has steps:\n%s", writePlan(second.Plan))
	}
}

// TestPlanRefuses sees that a reading of the vault that contradicts itself is
// not planned with.
func TestPlanRefuses(t *testing.T) {
	c := text{companies: `1 one Acme Customer Active`}
	wanted, err := sync.Want(c.source(t), c.settings(t), textRules)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		folders []sync.Folder
		want    string
	}{
		"an id twice":      {[]sync.Folder{{ID: "7", ParentID: "root"}, {ID: "7", ParentID: "root"}}, `plan: the vault lists folder id "7" twice`},
		"the root's id":    {[]sync.Folder{{ID: "root", ParentID: "7"}}, `plan: the vault lists folder id "root" twice`},
		"no id":            {[]sync.Folder{{ParentID: "root"}}, `plan: the vault lists folder id "" twice`},
		"inside itself":    {[]sync.Folder{{ID: "7", ParentID: "8"}, {ID: "8", ParentID: "7"}}, `plan: the vault lists folder "7" inside itself`},
		"its own parent":   {[]sync.Folder{{ID: "7", ParentID: "7"}}, `plan: the vault lists folder "7" inside itself`},
		"below a circle":   {[]sync.Folder{{ID: "6", ParentID: "7"}, {ID: "7", ParentID: "8"}, {ID: "8", ParentID: "7"}}, `plan: the vault lists folder "7" inside itself`},
		"below nothing":    {[]sync.Folder{{ID: "6", ParentID: "gone"}}, ""},
		"below the root":   {[]sync.Folder{{ID: "6", ParentID: "root"}}, ""},
		"no folder at all": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sync.MakePlan(wanted, sync.World{Tenant: testTenant, Tree: sync.Tree{Root: sync.Folder{ID: "root"}, Folders: tc.folders}})
			if got := fmt.Sprint(err); tc.want == "" && err != nil || tc.want != "" && got != tc.want {
				t.Errorf("got error %v, want %s", err, tc.want)
			}
		})
	}
}
