package sync_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// TestUnfinishedElsewhere is a run that was killed when it had made a folder and
// not marked it, and a company that was renamed and re-typed since: the folder
// is found where the journal says, marked and moved, and none is made again.
func TestUnfinishedElsewhere(t *testing.T) {
	st, err := sync.ParseStructure(`$TYPE`)
	if err != nil {
		t.Fatal(err)
	}
	nt, err := sync.ParseNameTemplate(`$NAME`)
	if err != nil {
		t.Fatal(err)
	}
	v := newMemVault()
	customer := v.Make(v.Root, "Customer", sync.Mark{Tenant: testTenant, Key: "group/type:1"}).ID
	made := v.Make(customer, "Acme", sync.Mark{}).ID
	src := sync.Source{
		Companies: []sync.Company{{ID: 5, Identifier: "acme", Name: "Acme Group", Types: []sync.Ref{{ID: 2, Name: "Prospect"}}, Status: sync.Ref{ID: 1, Name: "Active"}}},
		Count:     1,
		Types:     []sync.Ref{{ID: 1, Name: "Customer"}, {ID: 2, Name: "Prospect"}},
		Statuses:  []sync.Ref{{ID: 1, Name: "Active"}},
	}
	plan := func(unfinished map[sync.Key]sync.Place) sync.Program {
		t.Helper()
		w, err := sync.Want(src, sync.Settings{Structure: st, Name: nt}, testRules)
		if err != nil {
			t.Fatal(err)
		}
		p, err := sync.MakePlan(w, sync.World{Tenant: testTenant, Tree: v.Snapshot(), Unfinished: unfinished})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := plan(map[sync.Key]sync.Place{"company/5": {Parent: "group/type:1", Name: "Acme"}})
	var got []string
	for _, s := range p.Steps {
		got = append(got, string(s.Op)+" "+string(s.Key)+" "+s.From+" -> "+s.To)
	}
	want := []string{`create group/type:2  -> \Clients\Prospect`, `move company/5 \Clients\Customer\Acme -> \Clients\Prospect\Acme Group`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("steps (-want +got):\n%s", diff)
	}
	for i, r := range sync.Apply(context.Background(), v, p, 2, noRecord{}).Results {
		if r.Status != sync.StatusDone {
			t.Fatalf("%+v: %v", p.Steps[i], r.Err)
		}
	}
	if f := v.Folders[made]; f.Name != "Acme Group" || f.Mark.Key != "company/5" {
		t.Errorf("the folder is now %+v", *f)
	}
	if again := plan(nil); !again.Empty() {
		t.Errorf("a second plan has steps: %s", planJSON(t, again))
	}
	// Without the journal's word an unmarked folder is nobody's.
	v2 := newMemVault()
	group := v2.Make(v2.Root, "Prospect", sync.Mark{Tenant: testTenant, Key: "group/type:2"}).ID
	v2.Make(group, "Acme Group", sync.Mark{})
	v = v2
	if p := plan(nil); !p.Empty() || len(p.Held) != 1 || p.Held[0].Code != sync.HeldUnmanagedFolder {
		t.Errorf("an unmanaged folder is not left alone: %s", planJSON(t, p))
	}
}
