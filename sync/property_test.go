package sync_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cwvault/sync"
	"cwvault/vault"
)

// testRules are rules stricter than most vaults', so that they are met often.
var testRules = sync.NameRules{
	MaxLength: 24, Forbidden: "/:", Leading: ".", Trailing: ".",
	Special: func(s string) bool { return strings.EqualFold(s, "con") },
	Fold:    vault.Fold, Form: vault.Form,
}

// names are few, so that they collide, and odd.
var names = []string{
	"Acme", "ACME", "acme ", "Acme (ID2)", "Acme (#3)", "Bolt", "Bolt & Söhne", "Bolt & So\u0308hne", "a/b\\c", "..", "", "   ", ".git",
	"CON", "Ｗｉｄｅ", "wide", "A name that is longer than any vault would take", "A name that is longer than any other",
	"\u200bAcme", "Acme\tInc", "日本語", "Ελλάς", "Acme (moving #2)",
}

// tester is what the helpers need of *testing.T and *rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
}

type testWorld struct {
	vault    *memVault
	journal  *memJournal
	src      sync.Source
	settings sync.Settings
	hold     map[sync.Key]sync.Held
	only     map[int]bool
}

// clone returns the world with a vault and a journal of its own.
func (w *testWorld) clone() *testWorld {
	c := *w
	c.vault = w.vault.Clone()
	c.journal = w.journal.clone(c.vault)
	return &c
}

// apply applies a plan and closes the journal's books.
func (w *testWorld) apply(p sync.Program, workers int) sync.Report {
	r := sync.Apply(context.Background(), w.vault, p, workers, w.journal)
	w.journal.close(p, r)
	return r
}

var structures = []string{`$TYPE\$STATUS`, `$STATUS`, `All`, `$COMPANYINITIAL\$TYPE`, `All\$TYPE - $STATUS`, `$PARENT`, `$TERRITORY\$MARKET`}

func drawWorld(t *rapid.T) *testWorld {
	st, err := sync.ParseStructure(rapid.SampledFrom(structures).Draw(t, "structure"))
	if err != nil {
		t.Fatal(err)
	}
	nt, err := sync.ParseNameTemplate(rapid.SampledFrom([]string{"$NAME", "$NAME", "$NAME $ID"}).Draw(t, "name"))
	if err != nil {
		t.Fatal(err)
	}
	w := &testWorld{vault: newMemVault(), settings: sync.Settings{Structure: st, Name: nt}}
	w.journal = newMemJournal(w.vault)
	w.settings.Missing = rapid.SampledFrom([]string{"", "Unsorted"}).Draw(t, "missing")
	w.settings.Adopt = rapid.Bool().Draw(t, "adopt")
	w.settings.Archive = rapid.SampledFrom([]string{"", "_Archive"}).Draw(t, "archive")
	for i, n := range []string{"Customer", "Prospect", "customer"} {
		w.src.Types = append(w.src.Types, sync.Ref{ID: i + 1, Name: n})
	}
	for i, n := range []string{"Active", "Inactive", "Lost"} {
		w.src.Statuses = append(w.src.Statuses, sync.Ref{ID: i + 1, Name: n})
	}
	for i := range rapid.IntRange(1, 12).Draw(t, "companies") {
		w.src.Companies = append(w.src.Companies, drawCompany(t, w, i+1))
	}
	for range rapid.IntRange(0, 3).Draw(t, "first edits") {
		w.edit(t)
	}
	return w
}

func drawCompany(t *rapid.T, w *testWorld, id int) sync.Company {
	c := sync.Company{ID: id, Identifier: fmt.Sprintf("ID%d", id), Name: rapid.SampledFrom(names).Draw(t, "company")}
	c.Types = rapid.SliceOfNDistinct(rapid.SampledFrom(w.src.Types), 0, 2, rapid.ID).Draw(t, "types")
	c.Status = rapid.SampledFrom(append([]sync.Ref{{}}, w.src.Statuses...)).Draw(t, "status")
	c.Territory = rapid.SampledFrom([]sync.Ref{{ID: 1, Name: "North"}, {ID: 2, Name: "South"}}).Draw(t, "territory")
	c.Market = rapid.SampledFrom([]sync.Ref{{}, {ID: 7, Name: "Dental"}}).Draw(t, "market")
	c.Parent = rapid.SampledFrom([]sync.Ref{{}, {ID: 1, Name: "Acme"}, {ID: 2, Name: "Bolt"}}).Draw(t, "parent")
	return c
}

// edit changes something in ConnectWise or, by hand, in the vault.
func (w *testWorld) edit(t *rapid.T) {
	pick := func() *sync.Company {
		return &w.src.Companies[rapid.IntRange(0, len(w.src.Companies)-1).Draw(t, "which")]
	}
	anyFolder := func(label string) string {
		return rapid.SampledFrom(append([]string{w.vault.Root}, slices.Sorted(maps.Keys(w.vault.Folders))...)).Draw(t, label)
	}
	switch rapid.IntRange(0, 18).Draw(t, "edit") {
	case 0, 1:
		pick().Name = rapid.SampledFrom(names).Draw(t, "new name")
	case 2, 3:
		c := pick()
		*c = drawCompany(t, w, c.ID)
	case 4: // swap two names
		a, b := pick(), pick()
		a.Name, b.Name = b.Name, a.Name
	case 5: // swap or change the name of a type or status
		list := rapid.SampledFrom([][]sync.Ref{w.src.Types, w.src.Statuses}).Draw(t, "table")
		i, j := rapid.IntRange(0, 2).Draw(t, "i"), rapid.IntRange(0, 2).Draw(t, "j")
		if i == j {
			list[i].Name += "x"
		}
		list[i].Name, list[j].Name = list[j].Name, list[i].Name
	case 6:
		w.src.Companies = append(w.src.Companies, drawCompany(t, w, 100+rapid.IntRange(0, 5).Draw(t, "new id")))
		slices.SortFunc(w.src.Companies, func(a, b sync.Company) int { return a.ID - b.ID })
		w.src.Companies = slices.CompactFunc(w.src.Companies, func(a, b sync.Company) bool { return a.ID == b.ID })
	case 7:
		if len(w.src.Companies) > 1 {
			i := rapid.IntRange(0, len(w.src.Companies)-1).Draw(t, "deleted")
			w.src.Companies = slices.Delete(w.src.Companies, i, i+1)
		}
	case 8: // an unmanaged folder, anywhere
		parent, name := anyFolder("parent"), rapid.SampledFrom(append(names, "Customer", "Active", "Prospect", "Lost", "All", "A")).Draw(t, "folder")
		twin := rapid.IntRange(0, 3).Draw(t, "twin") == 0 // some vaults have names apart that we take for the same
		if name = testRules.Clean(name); name != "" && (twin || w.vault.Child(parent, name, "") == nil) {
			w.vault.PutSecret(w.vault.Make(parent, name, sync.Mark{}).ID, "router", "unmanaged")
		}
	case 9, 10: // a person moves or renames a folder
		if len(w.vault.Folders) > 0 {
			id := anyFolder("moved")
			name := testRules.Clean(rapid.SampledFrom(names).Draw(t, "hand name"))
			if id != w.vault.Root && name != "" {
				// May be refused, as in life.
				_, _ = w.vault.Update(context.Background(), id, anyFolder("to"), name)
			}
		}
	case 11: // a copy with its mark, or another installation's folder
		parent := anyFolder("parent")
		m := sync.Mark{Tenant: "other", Key: "company/1"}
		if rapid.Bool().Draw(t, "copy") {
			m = sync.Mark{Tenant: testTenant, Key: sync.CompanyKey(pick().ID)}
		}
		if w.vault.Child(parent, "Copy", "") == nil && rapid.IntRange(0, 3).Draw(t, "rarely") == 0 {
			w.vault.Make(parent, "Copy", m)
		}
	case 12, 15, 16: // names go round
		first := w.src.Companies[0].Name
		for i := range w.src.Companies[1:] {
			w.src.Companies[i].Name = w.src.Companies[i+1].Name
		}
		w.src.Companies[len(w.src.Companies)-1].Name = first
	case 13, 17, 18: // an unmanaged folder exactly where one will have to be
		if p := w.plan(t, w.src, w.vault.Snapshot()); !p.Empty() {
			to := rapid.SampledFrom(p.Steps).Draw(t, "place").To
			cut := strings.LastIndex(to, `\`)
			parent, name := w.vault.At(to[:cut]), to[cut+1:]
			if parent != "" && w.vault.Child(parent, name, "") == nil {
				w.vault.PutSecret(w.vault.Make(parent, name, sync.Mark{}).ID, "router", "unmanaged")
			}
		}
	case 14: // a person deletes a folder
		if id := anyFolder("deleted folder"); id != w.vault.Root && rapid.IntRange(0, 2).Draw(t, "rarely") == 0 {
			w.vault.Remove(id)
		}
	}
}

func (w *testWorld) plan(t tester, src sync.Source, tree sync.Tree) sync.Program {
	t.Helper()
	wanted, err := sync.Want(src, w.settings, testRules)
	if err != nil {
		t.Fatal(err)
	}
	p, err := sync.MakePlan(wanted, w.world(tree))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *testWorld) world(tree sync.Tree) sync.World {
	return sync.World{Tenant: testTenant, Vault: "mem:", Tree: tree,
		Known: w.journal.known, Unfinished: w.journal.unfinished, Hold: w.hold, Only: w.only}
}

func planJSON(t tester, p sync.Program) []byte {
	t.Helper()
	b, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRandomWorlds(t *testing.T) {
	var steps, vias, held, adopted int // so that the test knows that it met its subject
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			before := w.vault.Snapshot()
			secrets := maps.Clone(w.vault.Contents)
			p := w.plan(t, w.src, before)
			steps += len(p.Steps)
			held += len(p.Held)
			adopted += p.Counts.Adopt
			for _, s := range p.Steps {
				if s.Via != "" {
					vias++
				}
			}

			r := rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "seed")))
			src, tree := shuffled(r, w.src), before
			tree.Folders = shuffle(r, tree.Folders)
			if a, b := planJSON(t, p), planJSON(t, w.plan(t, src, tree)); !bytes.Equal(a, b) {
				t.Fatalf("the plan depends on the order of its input:\n%s", cmp.Diff(string(a), string(b)))
			}

			report := w.apply(p, rapid.SampledFrom([]int{1, 8}).Draw(t, "workers"))
			for i, r := range report.Results {
				if r.Status != sync.StatusDone {
					t.Fatalf("step %d %+v: %s %v\nplan %s", i, p.Steps[i], r.Status, r.Err, planJSON(t, p))
				}
			}
			checkPaths(t, w, p)
			checkWanted(t, w, p)
			checkUntouched(t, before, secrets, w.vault)
			if again := w.plan(t, w.src, w.vault.Snapshot()); len(again.Steps) > 0 {
				t.Fatalf("a second plan has steps:\n%s\nafter\n%s", planJSON(t, again), planJSON(t, p))
			}
			for _, f := range w.vault.Snapshot().Folders { // people put secrets into the new folders
				if _, ok := w.vault.Contents[f.ID]; !ok {
					w.vault.PutSecret(f.ID, "router", "secret of "+f.Mark.String())
				}
			}
			for range rapid.IntRange(1, 4).Draw(t, "edits") {
				w.edit(t)
			}
		}
	})
	t.Logf("%d steps, %d temporary names, %d held, %d adopted", steps, vias, held, adopted)
	if !testing.Short() && (steps == 0 || vias == 0 || held == 0 || adopted == 0) {
		t.Error("the random worlds are too tame")
	}
}

// checkPaths compares the paths that the plan promised with those in the vault.
func checkPaths(t *rapid.T, w *testWorld, p sync.Program) {
	at := map[sync.Key]string{}
	for _, f := range w.vault.Snapshot().Folders {
		if f.Mark.Tenant == testTenant {
			at[f.Mark.Key] = w.vault.Path(f.ID)
		}
	}
	for _, s := range p.Steps {
		if s.Key != sync.RootKey && at[s.Key] != s.To {
			t.Fatalf("%s is at %s, the plan said %s", s.Key, at[s.Key], s.To)
		}
	}
}

// checkWanted judges the vault by the companies alone, without the planner.
func checkWanted(t *rapid.T, w *testWorld, p sync.Program) {
	held := map[sync.Key]bool{}
	for _, h := range p.Held {
		held[h.Key] = true
	}
	folders := map[string]sync.Folder{}
	byKey := map[sync.Key][]sync.Folder{}
	for _, f := range w.vault.Snapshot().Folders {
		folders[f.ID] = f
		if f.Mark.Tenant == testTenant {
			byKey[f.Mark.Key] = append(byKey[f.Mark.Key], f)
		}
	}
	type slot struct{ parent, name string }
	lowest := map[slot]int{}
	for _, c := range w.src.Companies {
		key := sync.CompanyKey(c.ID)
		if held[key] {
			continue
		}
		if len(byKey[key]) != 1 {
			t.Fatalf("company %d has %d folders", c.ID, len(byKey[key]))
		}
		f := byKey[key][0]
		plain := testRules.Clean(c.Name)
		switch {
		case w.settings.Name.String() != "$NAME":
			plain = testRules.Clean(fmt.Sprintf("%s %d", c.Name, c.ID))
		case plain == "":
			plain = c.Identifier
		}
		if len([]rune(plain)) > testRules.MaxLength || testRules.Special(plain) {
			plain = ""
		}
		marked := strings.HasSuffix(f.Name, " ("+c.Identifier+")") || strings.HasSuffix(f.Name, fmt.Sprintf(" (#%d)", c.ID))
		if f.Name != plain && !marked {
			t.Fatalf("company %d %q has a folder named %q", c.ID, c.Name, f.Name)
		}
		if f.Name == plain {
			s := slot{f.ParentID, vault.Fold(plain)}
			if other, twice := lowest[s]; twice {
				t.Fatalf("companies %d and %d share the name %q", other, c.ID, plain)
			}
			lowest[s] = c.ID
		}
		if want, ok := expectedGroup(w, c); ok && string(folders[f.ParentID].Mark.Key) != want {
			t.Fatalf("company %d is in %q, not in %q", c.ID, folders[f.ParentID].Mark.Key, want)
		}
	}
	// Who has a longer name has it because the plain one is taken, and by a
	// lower id if by a company that may choose.
	for _, c := range w.src.Companies {
		key := sync.CompanyKey(c.ID)
		plain := testRules.Clean(c.Name)
		if held[key] || w.settings.Name.String() != "$NAME" || plain == "" || len([]rune(plain)) > testRules.MaxLength || testRules.Special(plain) {
			continue
		}
		f := byKey[key][0]
		if f.Name == plain {
			continue
		}
		other := w.vault.Child(f.ParentID, plain, f.ID)
		if other == nil {
			if lowestClaimHeld(w, held, c) {
				continue
			}
			t.Fatalf("company %d is named %q though %q is free", c.ID, f.Name, plain)
		}
		if id, ok := other.Mark.Key.CompanyID(); ok && id > c.ID && !held[other.Mark.Key] && other.Mark.Tenant == testTenant && listed(w, id) {
			t.Fatalf("company %d has the name %q before company %d", id, plain, c.ID)
		}
	}
}

func listed(w *testWorld, id int) bool {
	return slices.ContainsFunc(w.src.Companies, func(c sync.Company) bool { return c.ID == id })
}

// lowestClaimHeld reports whether a company of the same name that comes first
// is held, so that the name waits for it.
func lowestClaimHeld(w *testWorld, held map[sync.Key]bool, c sync.Company) bool {
	for _, o := range w.src.Companies {
		if o.ID < c.ID && held[sync.CompanyKey(o.ID)] && vault.Fold(testRules.Clean(o.Name)) == vault.Fold(testRules.Clean(c.Name)) {
			return true
		}
	}
	return false
}

// expectedGroup is a second, simple reading of the rules for one structure.
func expectedGroup(w *testWorld, c sync.Company) (string, bool) {
	if w.settings.Structure.String() != `$TYPE\$STATUS` {
		return "", false
	}
	typ := 0
	for _, r := range c.Types {
		if typ == 0 || r.ID < typ {
			typ = r.ID
		}
	}
	return fmt.Sprintf("group/type:%d/status:%d", typ, c.Status.ID), true
}

// checkUntouched sees that nothing was lost and nothing of others changed.
func checkUntouched(t *rapid.T, before sync.Tree, secrets map[string]map[string]string, v *memVault) {
	for _, f := range before.Folders {
		now, ok := v.Folders[f.ID]
		if !ok {
			t.Fatalf("folder %s %q is gone", f.ID, f.Name)
		}
		if f.Mark.Tenant != testTenant && now.Mark == f.Mark && *now != f {
			t.Fatalf("unmanaged folder changed: %s", cmp.Diff(f, *now))
		}
		if f.Mark != (sync.Mark{}) && now.Mark != f.Mark {
			t.Fatalf("folder %s was %s and is now %s", f.ID, f.Mark, now.Mark)
		}
	}
	if diff := cmp.Diff(secrets, v.Contents); diff != "" {
		t.Fatalf("secrets changed: %s", diff)
	}
}
