package sync_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cwvault/sync"
	"cwvault/vault"
)

// The worlds in which settling costs most, with n companies each.
var costly = map[string]func(tb testing.TB, n int) (sync.Wanted, sync.World){
	// Each company is to have the name of the next one's folder, or of the one
	// before. The one at the end is held, so that all others wait.
	"chain up": func(tb testing.TB, n int) (sync.Wanted, sync.World) {
		return chain(tb, n, func(i int) int { return i + 1 }, n)
	},
	"chain down": func(tb testing.TB, n int) (sync.Wanted, sync.World) {
		return chain(tb, n, func(i int) int { return i - 1 }, 1)
	},
	// Somebody copied the whole tree with its marks.
	"copied tree": func(tb testing.TB, n int) (sync.Wanted, sync.World) {
		w, world := chain(tb, n, func(i int) int { return i }, 0)
		ids := map[string]string{"1": "c1"}
		for _, f := range world.Tree.Folders {
			ids[f.ID] = "c" + f.ID
		}
		copies := []sync.Folder{{ID: "c1", ParentID: "1", Name: "Copy"}}
		for _, f := range world.Tree.Folders {
			f.ID, f.ParentID = ids[f.ID], ids[f.ParentID]
			copies = append(copies, f)
		}
		world.Tree.Folders = append(world.Tree.Folders, copies...)
		return w, world
	},
	// All have one name, and the names that tell them apart are taken by the
	// folders of companies that are gone.
	"one name": func(tb testing.TB, n int) (sync.Wanted, sync.World) {
		w, world := companiesNamed(tb, n, func(int) string { return "Acme" })
		for i := 1; i <= n; i++ {
			world.Tree.Folders = append(world.Tree.Folders, sync.Folder{ID: "g" + strconv.Itoa(i), ParentID: "2",
				Name: fmt.Sprintf("Acme (co%d)", i), Mark: sync.Mark{Tenant: testTenant, Key: sync.CompanyKey(n + i)}})
		}
		return w, world
	},
	// A group folder cannot be made, and all wait for it.
	"no group": func(tb testing.TB, n int) (sync.Wanted, sync.World) {
		w, world := companiesNamed(tb, n, func(i int) string { return "C" + strconv.Itoa(i) })
		world.Tree.Folders = []sync.Folder{{ID: "2", ParentID: "1", Name: "Active"}}
		return w, world
	},
}

// companiesNamed is a world of n companies in one group, without folders.
func companiesNamed(tb testing.TB, n int, name func(i int) string) (sync.Wanted, sync.World) {
	tb.Helper()
	active := sync.Ref{ID: 1, Name: "Active"}
	src := sync.Source{Statuses: []sync.Ref{active}, Count: n}
	for i := 1; i <= n; i++ {
		src.Companies = append(src.Companies, sync.Company{ID: i, Identifier: "co" + strconv.Itoa(i), Name: name(i), Status: active})
	}
	st, err := sync.ParseStructure("$STATUS")
	if err != nil {
		tb.Fatal(err)
	}
	nt, err := sync.ParseNameTemplate("$NAME")
	if err != nil {
		tb.Fatal(err)
	}
	w, err := sync.Want(src, sync.Settings{Structure: st, Name: nt}, benchRules)
	if err != nil {
		tb.Fatal(err)
	}
	tree := sync.Tree{Root: sync.Folder{ID: "1"}, RootPath: `\Clients`, Folders: []sync.Folder{
		{ID: "2", ParentID: "1", Name: "Active", Mark: sync.Mark{Tenant: testTenant, Key: "group/status:1"}}}}
	return w, sync.World{Tenant: testTenant, Tree: tree}
}

// chain is a world in which the folder of company i is named for i and wanted
// to be named for next(i). One company is held, 0 for none.
func chain(tb testing.TB, n int, next func(i int) int, held int) (sync.Wanted, sync.World) {
	tb.Helper()
	w, world := companiesNamed(tb, n, func(i int) string { return "C" + strconv.Itoa(next(i)) })
	for i := 1; i <= n; i++ {
		world.Tree.Folders = append(world.Tree.Folders, sync.Folder{ID: "f" + strconv.Itoa(i), ParentID: "2",
			Name: "C" + strconv.Itoa(i), Mark: sync.Mark{Tenant: testTenant, Key: sync.CompanyKey(i)}})
	}
	if held > 0 {
		key := sync.CompanyKey(held)
		world.Hold = map[sync.Key]sync.Held{key: {Code: sync.HeldFailedBefore, Key: key, Reason: "failed"}}
	}
	return w, world
}

// TestSettleCost counts what is looked at: twice the companies are to cost
// little more than twice as much, and a chain the same both ways round.
func TestSettleCost(t *testing.T) {
	visits := map[string]int{}
	for name, world := range costly {
		_, small, _ := sync.SettleCost(world(t, 4000))
		_, large, _ := sync.SettleCost(world(t, 8000))
		visits[name] = small
		t.Logf("%s: %d visits, twice as many %d", name, small, large)
		if small < 4000 || small > 12*4000 || float64(large) > 2.2*float64(small) {
			t.Errorf("%s: %d visits for 4,000 companies, %d for 8,000", name, small, large)
		}
	}
	if up, down := visits["chain up"], visits["chain down"]; up > down*3/2 || down > up*3/2 {
		t.Errorf("a chain costs %d visits one way round and %d the other", up, down)
	}
	p, err := sync.MakePlan(chain(t, 1000, func(i int) int { return i + 1 }, 1000))
	if err != nil || len(p.Held) != 1000 || len(p.Steps) != 0 {
		t.Errorf("a chain of which the end is held: %d steps, %d held, error %v", len(p.Steps), len(p.Held), err)
	}
}

func BenchmarkSettle(b *testing.B) {
	for _, name := range []string{"chain up", "chain down", "copied tree", "one name", "no group"} {
		for _, n := range []int{4000, 8000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				w, world := costly[name](b, n)
				for b.Loop() {
					if _, err := sync.MakePlan(w, world); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// tangle is a random world in which much is held.
func tangle(t *rapid.T) (*testWorld, sync.Wanted, sync.World) {
	w := drawWorld(t)
	w.settings.KeepDrift = rapid.IntRange(0, 3).Draw(t, "keep") == 0
	for range rapid.IntRange(0, 3).Draw(t, "rounds") {
		w.apply(w.plan(t, w.src, w.vault.Snapshot()), 1)
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			w.edit(t)
		}
	}
	w.hold = map[sync.Key]sync.Held{}
	codes := []sync.HoldCode{sync.HeldGuardMoves, sync.HeldPaused, sync.HeldSettling}
	hold := func(k sync.Key) {
		if rapid.IntRange(0, 3).Draw(t, "hold") == 0 {
			w.hold[k] = sync.Held{Code: rapid.SampledFrom(codes).Draw(t, "code"), Key: k, Reason: "held"}
		}
	}
	for _, s := range w.plan(t, w.src, w.vault.Snapshot()).Steps {
		hold(s.Key)
	}
	for _, c := range w.src.Companies {
		hold(sync.CompanyKey(c.ID))
	}
	wanted, err := sync.Want(w.src, w.settings, testRules)
	if err != nil {
		t.Fatal(err)
	}
	return w, wanted, w.world(w.vault.Snapshot())
}

// TestSettleEnds: each round but the last holds a further node, and takes no
// turn twice.
func TestSettleEnds(t *testing.T) {
	most := 0
	rapid.Check(t, func(t *rapid.T) {
		_, wanted, world := tangle(t)
		nodes, visits, rounds := sync.SettleCost(wanted, world)
		if rounds > nodes+1 {
			t.Fatalf("%d rounds for %d nodes", rounds, nodes)
		}
		if phases := 3; visits > rounds*(phases*nodes+4*len(world.Tree.Folders)+4*nodes) {
			t.Fatalf("%d visits in %d rounds for %d nodes", visits, rounds, nodes)
		}
		most = max(most, rounds)
	})
	t.Logf("at most %d rounds", most)
	if most < 3 && !testing.Short() {
		t.Error("the random worlds are too tame")
	}
}

// TestSettleResultIsUnique: the plan does not depend on the order of the input,
// nor on the order in which turns are asked for, nor on how many nodes get
// another turn that need none. The last says also that all get one that need it:
// with all nodes in each round, settling starts over after each hold.
func TestSettleResultIsUnique(t *testing.T) {
	held := 0
	rapid.Check(t, func(t *rapid.T) {
		w, wanted, world := tangle(t)
		p, err := sync.MakePlan(wanted, world)
		if err != nil {
			t.Fatal(err)
		}
		held += len(p.Held)
		want := planJSON(t, p)
		r := rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "seed")))
		same := func(what string, got []byte) {
			if !bytes.Equal(want, got) {
				t.Fatalf("%s changes the plan:\n%s", what, cmp.Diff(string(want), string(got)))
			}
		}

		tree := world.Tree
		tree.Folders = shuffle(r, tree.Folders)
		same("the order of the input", planJSON(t, w.plan(t, shuffled(r, w.src), tree)))

		all := func(nodes int) []int {
			list := make([]int, nodes)
			for i := range list {
				list[i] = i
			}
			return list
		}
		some := func(nodes int) []int {
			return slices.DeleteFunc(all(nodes), func(int) bool { return r.IntN(2) == 0 })
		}
		none := func(int) []int { return nil }
		for what, more := range map[string]func(int) []int{"the order of turns": none, "turns for some": some, "turns for all": all} {
			again := sync.PlanAgain(wanted, world, more, r.Shuffle)
			b, err := again.JSON()
			if err != nil {
				t.Fatal(err)
			}
			if again, err = again.Signed(); err != nil || again.ID != p.ID {
				t.Fatalf("%s changes the id, error %v", what, err)
			}
			same(what, b)
		}
	})
	if held == 0 && !testing.Short() {
		t.Error("nothing was held")
	}
}

// TestSettleResultIsUniqueInCases does the same with the worlds of TestPlan.
func TestSettleResultIsUniqueInCases(t *testing.T) {
	for name, c := range planCases {
		t.Run(name, func(t *testing.T) {
			wanted, err := sync.Want(c.source(t), c.settings(t), textRules)
			if err != nil {
				t.Fatal(err)
			}
			world := sync.World{Tenant: testTenant, Vault: "mem:", Tree: readVault(t, c.vault).Snapshot()}
			if c.world != nil {
				c.world(&world)
			}
			all := func(nodes int) (list []int) {
				for i := range nodes {
					list = append(list, i)
				}
				return list
			}
			asIs := func(int, func(i, j int)) {}
			want := sync.PlanAgain(wanted, world, all, asIs)
			got := sync.PlanAgain(wanted, world, func(int) []int { return nil }, asIs)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-with turns for all +with those that need one):\n%s", diff)
			}
		})
	}
}

// TestNoTwoFoldersGetOnePlace: no folder of the plan goes to a place that
// another one keeps or gets.
func TestNoTwoFoldersGetOnePlace(t *testing.T) {
	steps := 0
	rapid.Check(t, func(t *rapid.T) {
		w, wanted, world := tangle(t)
		p, err := sync.MakePlan(wanted, world)
		if err != nil {
			t.Fatal(err)
		}
		steps += len(p.Steps)
		if r := w.apply(p, 1); r.Count(sync.StatusDone) != len(p.Steps) {
			t.Fatalf("the plan cannot be made:\n%s", results(p, r))
		}
		type place struct{ parent, folded string }
		at := map[place][]sync.Folder{}
		made := map[sync.Key]bool{}
		for _, s := range p.Steps {
			made[s.Key] = true
		}
		for _, f := range w.vault.Snapshot().Folders {
			where := place{f.ParentID, vault.Fold(f.Name)}
			at[where] = append(at[where], f)
		}
		for _, list := range at {
			for _, f := range list {
				if len(list) > 1 && f.Mark.Tenant == testTenant && made[f.Mark.Key] {
					t.Fatalf("%s goes where another folder is: %+v\n%s", f.Mark.Key, list, writePlan(p.Plan))
				}
			}
		}
	})
	if steps == 0 && !testing.Short() {
		t.Error("nothing was moved")
	}
}
