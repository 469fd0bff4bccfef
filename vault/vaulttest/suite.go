// Package vaulttest is the contract of [vault.Vault] as a test suite. Every
// vault passes it, its adapter's tests being the caller:
//
//	func TestContract(t *testing.T) {
//		vaulttest.Suite(t, func(t *testing.T) vaulttest.Harness { ... })
//	}
package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"cwvault/sync"
	"cwvault/vault"

	"github.com/google/go-cmp/cmp"
)

// Harness is one new store and what a test does to it behind the adapter's
// back, as a person would with the vault's own tools.
//
// Paths name folders below the root, levels separated by a backslash; the
// empty path is the root itself. The functions fail the test when they cannot
// do what they are asked.
type Harness struct {
	// Vault is the vault under test. The store is new and its root does not
	// exist yet.
	Vault vault.Vault
	// Reopen returns another vault.Vault on the same store that remembers
	// nothing, as a new process would have.
	Reopen func(t *testing.T) vault.Vault

	// MakeFolder makes an unmanaged folder that inherits. Its parent exists.
	MakeFolder func(t *testing.T, path string)
	// MoveFolder gives a folder another parent or name.
	MoveFolder func(t *testing.T, from, to string)
	// PutSecret puts a secret into a folder.
	PutSecret func(t *testing.T, folder, name, value string)
	// Secrets returns the value of every secret at or below the root, by the
	// path of its folder, a backslash and its name.
	Secrets func(t *testing.T) map[string]string
	// SpoilMark makes the mark of a folder unreadable. Nil where the vault
	// keeps marks in a way that cannot be spoilt.
	SpoilMark func(t *testing.T, folder string)

	// Faults are what the store can be made to suffer.
	Faults []Fault
	// LoseAnswer makes the store carry out the next write but lose the answer
	// to it. Nil where answers cannot be lost.
	LoseAnswer func(t *testing.T)
}

// Fault is a state of the store in which calls fail and change nothing.
type Fault struct {
	Name string
	// Want is what the error of every failing call wraps.
	Want error
	// Reads tells that Tree and Find fail as well, not only the writes.
	Reads bool
	// On brings the state about, Off ends it.
	On, Off func(t *testing.T)
}

// Suite runs the contract. It calls open once for every test in it.
func Suite(t *testing.T, open func(t *testing.T) Harness) {
	for _, tt := range []struct {
		name string
		run  func(w *world)
	}{
		{"NameRules", testNameRules},
		{"MissingRoot", testMissingRoot},
		{"CreateRoot", testCreateRoot},
		{"Tree", testTree},
		{"Create", testCreate},
		{"CreateTaken", testCreateTaken},
		{"Names", testNames},
		{"BadNames", testBadNames},
		{"Update", testUpdate},
		{"UpdateRefused", testUpdateRefused},
		{"IDs", testIDs},
		{"Secrets", testSecrets},
		{"Mark", testMark},
		{"BadMark", testBadMark},
		{"Find", testFind},
		{"ByHand", testByHand},
		{"Concurrent", testConcurrent},
		{"Cancelled", testCancelled},
		{"Faults", testFaults},
		{"LostAnswer", testLostAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			tt.run(&world{T: t, Harness: open(t), ctx: ctx})
		})
	}
}

// Paths reads the tree of v and returns its folders by path, the root's being
// empty. It fails the test when the tree is not one: an id given twice or to
// nothing, a parent that is not in it, a folder that is its own ancestor.
func Paths(ctx context.Context, t *testing.T, v vault.Vault) map[string]sync.Folder {
	t.Helper()
	tree, err := v.Tree(ctx)
	if err != nil {
		t.Fatalf("Tree: %v", err)
	}
	if !strings.HasPrefix(tree.RootPath, `\`) || len(tree.RootPath) < 2 {
		t.Errorf("Tree: root path %q, want one like %q", tree.RootPath, `\Clients`)
	}
	if tree.Root.ID == "" {
		if len(tree.Folders) > 0 {
			t.Errorf("Tree: %d folders below a root that does not exist", len(tree.Folders))
		}
		return nil
	}

	byID := map[string]sync.Folder{tree.Root.ID: tree.Root}
	for _, f := range tree.Folders {
		if f.ID == "" {
			t.Fatalf("Tree: folder %q has no id", f.Name)
		}
		if other, twice := byID[f.ID]; twice {
			t.Fatalf("Tree: id %q is given to %q and %q", f.ID, other.Name, f.Name)
		}
		byID[f.ID] = f
	}
	paths := map[string]sync.Folder{"": tree.Root}
	for _, f := range tree.Folders {
		path := f.Name
		for at, depth := f, 0; at.ParentID != tree.Root.ID; depth++ {
			parent, ok := byID[at.ParentID]
			if !ok || depth > len(byID) {
				t.Fatalf("Tree: parent %q of %q is not in the tree", at.ParentID, at.Name)
			}
			path = parent.Name + `\` + path
			at = parent
		}
		if _, twice := paths[path]; twice {
			t.Fatalf("Tree: %q is listed twice", path)
		}
		paths[path] = f
	}
	return paths
}

// world is one test of the suite: its store, its clock and short words for
// what tests do.
type world struct {
	*testing.T
	Harness
	ctx context.Context
}

// mark returns the mark of the company with this number.
func mark(id int) sync.Mark { return sync.Mark{Tenant: "acmeinc", Key: sync.CompanyKey(id)} }

// root makes the root and returns its id.
func (w *world) root() string {
	w.Helper()
	root, err := w.Vault.CreateRoot(w.ctx)
	if err != nil {
		w.Fatalf("CreateRoot: %v", err)
	}
	return root.ID
}

func (w *world) create(parentID, name string, m sync.Mark) sync.Folder {
	w.Helper()
	f, err := w.Vault.Create(w.ctx, parentID, name, m)
	if err != nil {
		w.Fatalf("Create(%q): %v", name, err)
	}
	return f
}

func (w *world) update(id, parentID, name string) sync.Folder {
	w.Helper()
	f, err := w.Vault.Update(w.ctx, id, parentID, name)
	if err != nil {
		w.Fatalf("Update(%q to %q): %v", id, name, err)
	}
	return f
}

// state is all that can be seen of a store: the folders and the secrets.
type state struct {
	Folders map[string]seen
	Secrets map[string]string
}

type seen struct {
	Mark     sync.Mark
	BadMark  bool
	Inherits bool
}

// look reads the state through a new handle, so that what the handle under
// test believes does not matter.
func (w *world) look() state {
	w.Helper()
	s := state{Folders: map[string]seen{}, Secrets: w.Secrets(w.T)}
	for path, f := range Paths(w.ctx, w.T, w.Reopen(w.T)) {
		if path != "" {
			s.Folders[path] = seen{f.Mark, f.BadMark, f.Inherits}
		}
	}
	return s
}

// want fails the test unless the store holds these folders, which all inherit,
// and these secrets.
func (w *world) want(folders map[string]sync.Mark, secrets map[string]string) {
	w.Helper()
	want := state{Folders: map[string]seen{}, Secrets: secrets}
	for path, m := range folders {
		want.Folders[path] = seen{Mark: m, Inherits: true}
	}
	w.same(want)
}

// same fails the test unless the store is in this state.
func (w *world) same(want state) {
	w.Helper()
	if diff := cmp.Diff(want, w.look(), equateEmpty); diff != "" {
		w.Errorf("the store (-want +got):\n%s", diff)
	}
}

var equateEmpty = cmp.FilterValues(func(a, b map[string]string) bool { return len(a)+len(b) == 0 }, cmp.Ignore())

// fails fails the test unless err wraps want.
func (w *world) fails(what string, err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Errorf("%s: error %v, want one that is %q", what, err, want)
	}
}

// listed fails the test unless the folder that a call returned is the one that
// the tree of the same vault lists at this path.
func (w *world) listed(got sync.Folder, path string) {
	w.Helper()
	listed, ok := Paths(w.ctx, w.T, w.Vault)[path]
	if !ok {
		w.Fatalf("%q is not in the tree", path)
	}
	// Ids are good until this Tree only.
	got.ID, got.ParentID, listed.ID, listed.ParentID = "", "", "", ""
	if diff := cmp.Diff(listed, got); diff != "" {
		w.Errorf("folder %q as listed and as returned (-want +got):\n%s", path, diff)
	}
}

func testNameRules(w *world) {
	rules := w.Vault.Names()
	if rules.Fold == nil || rules.Form == nil {
		w.Fatal("Fold and Form must not be nil")
	}
	samples := append(slices.Clone(oddNames), "", "ACME", "Straße", "Cafe\u0301", "\u0345\u0323", "𝐀", "Ꭰ", "\xff")
	for _, name := range samples {
		for what, f := range map[string]func(string) string{"Fold": rules.Fold, "Form": rules.Form} {
			if once := f(name); f(once) != once {
				w.Errorf("%s(%+q) = %+q, and again %+q", what, name, once, f(once))
			}
		}
	}
	for _, same := range [][2]string{{"Acme", "aCME"}, {"Café", "CAFE\u0301"}, {"ＡＢＣ", "abc"}} {
		if rules.Fold(same[0]) != rules.Fold(same[1]) {
			w.Errorf("Fold tells %q from %q", same[0], same[1])
		}
	}
	if rules.Special != nil {
		for _, name := range []string{"Acme", "Acme (ALOVET)", "..git (ALOVET)"} {
			if rules.Special(name) {
				w.Errorf("Special(%q), want an ordinary name", name)
			}
		}
	}
	if rules.MaxLength != 0 && rules.MaxLength < 32 {
		w.Errorf("MaxLength %d leaves no room for a name", rules.MaxLength)
	}
}

func testMissingRoot(w *world) {
	for range 2 { // looking makes nothing
		if paths := Paths(w.ctx, w.T, w.Vault); paths != nil {
			w.Fatalf("Tree of a new store has a root: %v", paths)
		}
	}
}

func testCreateRoot(w *world) {
	root, err := w.Vault.CreateRoot(w.ctx)
	if err != nil {
		w.Fatal(err)
	}
	w.listed(root, "")
	w.want(nil, nil)
	tree, err := w.Vault.Tree(w.ctx)
	if err != nil {
		w.Fatal(err)
	}
	if last := tree.RootPath[strings.LastIndex(tree.RootPath, `\`)+1:]; tree.Root.Name != last {
		w.Errorf("root %q at path %q", tree.Root.Name, tree.RootPath)
	}

	f := w.create(tree.Root.ID, "Acme", mark(1))
	w.PutSecret(w.T, "Acme", "router", "s3cret")
	again := w.root()
	w.create(again, "Other", mark(2)) // either id is the root's
	w.create(f.ID, "Inside", mark(3))
	if _, err := w.Reopen(w.T).CreateRoot(w.ctx); err != nil {
		w.Errorf("CreateRoot on an existing root: %v", err)
	}
	w.want(map[string]sync.Mark{"Acme": mark(1), "Other": mark(2), `Acme\Inside`: mark(3)},
		map[string]string{`Acme\router`: "s3cret"})
}

func testTree(w *world) {
	root := w.root()
	want := map[string]sync.Mark{}
	parent, path := root, ""
	for i := range 20 { // one long branch
		name := fmt.Sprintf("level %d", i)
		path = strings.TrimPrefix(path+`\`+name, `\`)
		m := mark(1000 + i)
		parent, want[path] = w.create(parent, name, m).ID, m
	}
	customer := w.create(root, "Customer", sync.Mark{Tenant: "acmeinc", Key: "group/type:1"})
	want["Customer"] = customer.Mark
	for i := range 30 { // one broad one
		name := fmt.Sprintf("Company %d", i)
		w.create(customer.ID, name, mark(1+i))
		want[`Customer\`+name] = mark(1 + i)
	}
	other := sync.Mark{Tenant: "otherinc", Key: sync.CompanyKey(1)} // another installation's
	w.create(root, "Foreign", other)
	want["Foreign"] = other
	for _, path := range []string{"By hand", `By hand\Inside`, `Customer\Company 3\Routers`, `Customer\Company`} {
		w.MakeFolder(w.T, path)
		want[path] = sync.Mark{}
	}
	w.PutSecret(w.T, `By hand\Inside`, "router", "s3cret")

	secrets := map[string]string{`By hand\Inside\router`: "s3cret"}
	w.want(want, secrets)
	if got := len(Paths(w.ctx, w.T, w.Vault)); got != len(want)+1 {
		w.Errorf("the handle that made them lists %d folders, want %d", got, len(want)+1)
	}
	w.want(want, secrets) // reading twice changed nothing
}

func testCreate(w *world) {
	root := w.root()
	group := w.create(root, "Customer", sync.Mark{Tenant: "acmeinc", Key: "group/type:1/status:4"})
	f := w.create(group.ID, "Acme", mark(250))
	if f.ID == "" || f.ID == group.ID || f.ParentID != group.ID || f.Name != "Acme" || f.Mark != mark(250) || f.BadMark || !f.Inherits {
		w.Errorf("Create returned %+v", f)
	}
	// Equal names below different parents are different folders.
	w.create(root, "Acme", mark(251))
	w.listed(f, `Customer\Acme`)
	want := map[string]sync.Mark{"Customer": group.Mark, `Customer\Acme`: mark(250), "Acme": mark(251)}
	w.want(want, nil)

	_, err := w.Vault.Create(w.ctx, "no such id", "Acme", mark(1))
	w.fails("Create below an unknown parent", err, vault.ErrNotFound)
	w.want(want, nil)
}

func testCreateTaken(w *world) {
	root := w.root()
	w.create(root, "Acme", mark(1))
	w.PutSecret(w.T, "Acme", "router", "s3cret")
	w.MakeFolder(w.T, "By hand")
	w.MakeFolder(w.T, "Full by hand")
	w.PutSecret(w.T, "Full by hand", "switch", "s3cret2")
	before := w.look()
	for _, name := range []string{"Acme", "By hand", "Full by hand"} {
		_, err := w.Vault.Create(w.ctx, root, name, mark(2))
		w.fails("Create("+name+")", err, vault.ErrNameTaken)
		w.same(before)
	}

	// A vault may or may not take such names for the same. What is there stays.
	for _, name := range []string{"ACME", "by hand", "ＡＣＭＥ"} {
		_, err := w.Vault.Create(w.ctx, root, name, mark(3))
		if err == nil {
			before.Folders[name] = seen{Mark: mark(3), Inherits: true}
		} else {
			w.fails("Create("+name+")", err, vault.ErrNameTaken)
		}
		w.same(before)
	}
}

// oddNames are allowed in every vault, or forbidden by its NameRules.
var oddNames = []string{
	"Acme", "a", "0", "Alovet, Inc.", "Smith & Sons", "O'Neill \"The Best\" `Ltd`", "$HOME", "$(id)", "100% Pure", "%41%00",
	"a;b|c<d>e", "*?[x]{y}", "~", "!bang", "#hash", "-rf", "--help", "a=b+c,d", "a@b.example", "^caret", "end.", "many   spaces",
	"Müller & Söhne", "株式会社アロベット", "ООО «Ромашка»", "شركة المثال", "חברה בע״מ", "Ελλάς ΑΕ", "บริษัท", "🦊 Fox 👩‍👩‍👧", "ﬁ ligature",
	"Acme (ALOVET)", "Acme (#250)", "Acme.gpgx", "CON", "nul.txt", "Thumbs.db", "a:b", "a/b",
}

// allowed tells whether the rules let a name stand as it is.
func allowed(rules sync.NameRules, name string) bool {
	length := len([]rune(name))
	if rules.Length != nil {
		length = rules.Length(name)
	}
	return (rules.MaxLength == 0 || length <= rules.MaxLength) &&
		!strings.ContainsAny(name, rules.Forbidden+`\`) &&
		strings.Trim(name, " ") == name &&
		strings.TrimLeft(name, rules.Leading) == name && strings.TrimRight(name, rules.Trailing) == name &&
		(rules.Special == nil || !rules.Special(name)) && rules.Form(name) == name
}

func testNames(w *world) {
	rules := w.Vault.Names()
	names := slices.DeleteFunc(slices.Clone(oddNames), func(name string) bool { return !allowed(rules, name) })
	if len(names) < len(oddNames)/2 {
		w.Fatalf("the rules forbid most names; they leave %q", names)
	}
	if rules.MaxLength > 0 {
		for _, unit := range []string{"x", "é", "株", "🦊"} {
			name := "Longest "
			for allowed(rules, name+unit) {
				name += unit
			}
			for allowed(rules, name+"x") {
				name += "x"
			}
			if allowed(rules, name) {
				names = append(names, name)
			}
		}
	}

	root := w.root()
	want := map[string]sync.Mark{}
	for i, name := range names {
		f, err := w.Vault.Create(w.ctx, root, name, mark(1+i))
		if err != nil {
			w.Errorf("Create(%+q): %v", name, err)
			continue
		}
		want[name] = mark(1 + i)
		if f.Name != name {
			w.Errorf("Create(%+q) returned the name %+q", name, f.Name)
		}
		w.PutSecret(w.T, name, "router", name)
	}
	secrets := map[string]string{}
	for name := range want {
		secrets[name+`\router`] = name
	}
	w.want(want, secrets)

	// The same names by renaming and moving, and to look them up.
	target := w.create(root, "Target", mark(5000)).ID
	moved := map[string]sync.Mark{"Target": mark(5000)}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		f, err := w.Vault.Find(w.ctx, root, name)
		if err != nil || f.Name != name || f.Mark != want[name] {
			w.Errorf("Find(%+q) = %+v, %v", name, f, err)
			continue
		}
		w.update(f.ID, root, "between")
		w.update(f.ID, target, name)
		moved[`Target\`+name] = want[name]
	}
	secrets = map[string]string{}
	for name := range want {
		secrets[`Target\`+name+`\router`] = name
	}
	w.want(moved, secrets)
}

func testBadNames(w *world) {
	rules := w.Vault.Names()
	root := w.root()
	f := w.create(root, "Acme", mark(1))
	w.create(root, "Other", mark(2))
	bad := []string{"", `a\b`, "nul\x00byte", "line\nbreak"}
	for _, c := range rules.Forbidden {
		bad = append(bad, "a"+string(c)+"b")
	}
	if rules.MaxLength > 0 {
		bad = append(bad, strings.Repeat("x", rules.MaxLength+1))
	}
	for _, name := range []string{".", "..", ".git", ".cwvault", "Acme.gpg", "CON"} {
		if !allowed(rules, name) {
			bad = append(bad, name)
		}
	}
	for _, name := range bad {
		_, err := w.Vault.Create(w.ctx, root, name, mark(3))
		w.fails(fmt.Sprintf("Create(%+q)", name), err, vault.ErrInvalid)
		_, err = w.Vault.Update(w.ctx, f.ID, root, name)
		w.fails(fmt.Sprintf("Update(%+q)", name), err, vault.ErrInvalid)
	}
	w.want(map[string]sync.Mark{"Acme": mark(1), "Other": mark(2)}, nil)
}

func testUpdate(w *world) {
	root := w.root()
	a := w.create(root, "A", mark(1))
	b := w.create(root, "B", mark(2))
	acme := w.create(a.ID, "Acme", mark(250))
	sibling := w.create(a.ID, "Sibling", mark(251))
	w.create(acme.ID, "Inside", mark(252))
	w.MakeFolder(w.T, `A\Acme\By hand`)
	w.PutSecret(w.T, `A\Acme`, "router", "s3cret")
	w.PutSecret(w.T, `A\Acme\By hand`, "switch", "s3cret2")
	w.PutSecret(w.T, `A\Sibling`, "router", "other")

	at := func(path string) {
		w.Helper()
		w.want(map[string]sync.Mark{
			"A": mark(1), "B": mark(2), `A\Sibling`: mark(251),
			path: mark(250), path + `\Inside`: mark(252), path + `\By hand`: {},
		}, map[string]string{
			path + `\router`: "s3cret", path + `\By hand\switch`: "s3cret2", `A\Sibling\router`: "other",
		})
	}
	at(`A\Acme`)
	for _, step := range []struct {
		what, parentID, name, path string
	}{
		{"rename", a.ID, "Acme, Inc.", `A\Acme, Inc.`},
		{"move", b.ID, "Acme, Inc.", `B\Acme, Inc.`},
		{"both", a.ID, "Alovet", `A\Alovet`},
		{"no change", a.ID, "Alovet", `A\Alovet`},
		{"case alone", a.ID, "ALOVET", `A\ALOVET`},
		{"case back", a.ID, "Alovet", `A\Alovet`},
		{"form of accent", a.ID, "Alovét", `A\Alovét`},
		{"to the root", root, "Alovet", "Alovet"},
		{"into its former sibling", sibling.ID, "Sibling", `A\Sibling\Sibling`},
		{"back out", a.ID, "Acme", `A\Acme`},
	} {
		f, err := w.Vault.Update(w.ctx, acme.ID, step.parentID, step.name)
		if err != nil {
			w.Fatalf("%s: %v", step.what, err)
		}
		want := sync.Folder{ID: acme.ID, ParentID: step.parentID, Name: step.name, Mark: mark(250), Inherits: true}
		if diff := cmp.Diff(want, f); diff != "" {
			w.Errorf("%s: folder returned (-want +got):\n%s", step.what, diff)
		}
		at(step.path)
	}
}

func testUpdateRefused(w *world) {
	root := w.root()
	a := w.create(root, "A", mark(1))
	acme := w.create(a.ID, "Acme", mark(250))
	inside := w.create(acme.ID, "Inside", mark(251))
	deep := w.create(inside.ID, "Deep", mark(252))
	w.create(a.ID, "Taken", mark(253))
	w.create(root, "Acme", mark(254))
	w.MakeFolder(w.T, `A\By hand`)
	w.MakeFolder(w.T, `A\Full by hand`)
	w.PutSecret(w.T, `A\Full by hand`, "router", "hand")
	w.PutSecret(w.T, `A\Acme`, "router", "s3cret")
	w.PutSecret(w.T, `A\Acme\Inside\Deep`, "router", "deep")
	before := w.look()
	for _, tt := range []struct {
		what, id, parentID, name string
		want                     error
	}{
		{"onto a managed folder", acme.ID, a.ID, "Taken", vault.ErrNameTaken},
		{"onto an empty unmanaged folder", acme.ID, a.ID, "By hand", vault.ErrNameTaken},
		{"onto a full unmanaged folder", acme.ID, a.ID, "Full by hand", vault.ErrNameTaken},
		{"moved onto its own name", acme.ID, root, "Acme", vault.ErrNameTaken},
		{"onto its parent", acme.ID, root, "A", vault.ErrNameTaken},
		{"under itself", acme.ID, acme.ID, "Acme", vault.ErrInvalid},
		{"under itself as what is there", acme.ID, acme.ID, "Inside", vault.ErrInvalid},
		{"under its child", acme.ID, inside.ID, "Acme", vault.ErrInvalid},
		{"under its grandchild", acme.ID, deep.ID, "X", vault.ErrInvalid},
		{"unknown folder", "no such id", a.ID, "X", vault.ErrNotFound},
		{"unknown parent", acme.ID, "no such id", "X", vault.ErrNotFound},
		{"the root", root, a.ID, "X", vault.ErrInvalid},
	} {
		_, err := w.Vault.Update(w.ctx, tt.id, tt.parentID, tt.name)
		w.fails(tt.what, err, tt.want)
		w.same(before)
	}
	w.update(acme.ID, root, "Acme 2") // after all that it still can
}

func testIDs(w *world) {
	root := w.root()
	a := w.create(root, "A", mark(1))
	b := w.create(root, "B", mark(2))
	group := w.create(a.ID, "Active", mark(3))
	acme := w.create(group.ID, "Acme", mark(250))
	other := w.create(group.ID, "Other", mark(251))
	w.PutSecret(w.T, `A\Active\Acme`, "router", "s3cret")

	w.update(group.ID, b.ID, "Won") // B\Won\Acme
	w.update(acme.ID, group.ID, "Acme 2")
	w.update(b.ID, a.ID, "B 2") // A\B 2\Won\Acme 2
	w.update(other.ID, root, "Acme")
	again := w.create(group.ID, "Acme", mark(252)) // a place that had another folder's id
	swapped := w.create(group.ID, "Other", mark(253))
	w.update(again.ID, group.ID, "via")
	w.update(swapped.ID, group.ID, "Acme")
	w.update(again.ID, group.ID, "Other")
	w.create(acme.ID, "Inside", mark(254))
	if err := w.Vault.Mark(w.ctx, other.ID, mark(255)); err != nil {
		w.Errorf("Mark: %v", err)
	}
	if f, err := w.Vault.Find(w.ctx, group.ID, "acme 2"); err != nil || f.ID != acme.ID || f.ParentID != group.ID {
		w.Errorf("Find = %+v, %v; want the folder %q", f, err, acme.ID)
	}
	ids := map[string]bool{}
	for _, f := range []sync.Folder{a, b, group, acme, other, again, swapped} {
		ids[f.ID] = true
	}
	if len(ids) != 7 {
		w.Errorf("seven folders have %d ids: %v", len(ids), ids)
	}
	w.want(map[string]sync.Mark{
		"A": mark(1), `A\B 2`: mark(2), `A\B 2\Won`: mark(3), `A\B 2\Won\Acme 2`: mark(250), "Acme": mark(255),
		`A\B 2\Won\Other`: mark(252), `A\B 2\Won\Acme`: mark(253), `A\B 2\Won\Acme 2\Inside`: mark(254),
	}, map[string]string{`A\B 2\Won\Acme 2\router`: "s3cret"})

	// A new folder in the place of one that has moved on is another folder.
	x := w.create(root, "X", mark(300))
	w.update(x.ID, root, "X was here")
	y := w.create(root, "X", mark(301))
	if x.ID == y.ID {
		w.Errorf("two folders have the id %q", x.ID)
	}
	w.update(x.ID, a.ID, "X")
	if err := w.Vault.Mark(w.ctx, y.ID, mark(302)); err != nil {
		w.Errorf("Mark: %v", err)
	}
	if f, err := w.Vault.Find(w.ctx, root, "X"); err != nil || f.ID != y.ID || f.Mark != mark(302) {
		w.Errorf("Find = %+v, %v; want the folder %q", f, err, y.ID)
	}
	w.update(y.ID, x.ID, "Y")
	if s := w.look(); s.Folders[`A\X`].Mark != mark(300) || s.Folders[`A\X\Y`].Mark != mark(302) {
		w.Errorf("the folders are now %v", s.Folders)
	}
	w.update(y.ID, root, "Y")
	w.update(x.ID, root, "X")

	// Ids read from a tree live as long.
	v := w.Reopen(w.T)
	tree := Paths(w.ctx, w.T, v)
	for _, step := range []struct{ id, parentID, name string }{
		{tree[`A\B 2`].ID, tree[""].ID, "B"},
		{tree[`A\B 2\Won`].ID, tree["A"].ID, "Won"},
		{tree[`A\B 2\Won\Acme 2`].ID, tree[`A\B 2`].ID, "Acme"},
	} {
		if _, err := v.Update(w.ctx, step.id, step.parentID, step.name); err != nil {
			w.Errorf("Update(%q): %v", step.id, err)
		}
	}
	w.want(map[string]sync.Mark{
		"A": mark(1), "B": mark(2), `A\Won`: mark(3), `B\Acme`: mark(250), "Acme": mark(255),
		`A\Won\Other`: mark(252), `A\Won\Acme`: mark(253), `B\Acme\Inside`: mark(254), "X": mark(300), "Y": mark(302),
	}, map[string]string{`B\Acme\router`: "s3cret"})
}

// Two customers change places by way of a third name, with all they have.
func testSecrets(w *world) {
	root := w.root()
	a, b := w.create(root, "A", mark(1)), w.create(root, "B", mark(2))
	w.create(root, "Bystander", mark(3))
	for _, name := range []string{"A", "B", "Bystander"} {
		for i := range 5 {
			w.PutSecret(w.T, name, fmt.Sprintf("secret %d", i), "of "+name)
		}
		w.MakeFolder(w.T, name+`\Inside`)
		w.PutSecret(w.T, name+`\Inside`, "deep", "deep of "+name)
	}
	w.update(a.ID, root, "via")
	w.update(b.ID, root, "A")
	w.update(a.ID, root, "B")
	secrets := map[string]string{}
	for now, was := range map[string]string{"A": "B", "B": "A", "Bystander": "Bystander"} {
		for i := range 5 {
			secrets[fmt.Sprintf(`%s\secret %d`, now, i)] = "of " + was
		}
		secrets[now+`\Inside\deep`] = "deep of " + was
	}
	w.want(map[string]sync.Mark{
		"A": mark(2), "B": mark(1), "Bystander": mark(3), `A\Inside`: {}, `B\Inside`: {}, `Bystander\Inside`: {},
	}, secrets)
}

func testMark(w *world) {
	w.root()
	w.MakeFolder(w.T, "Acme")
	w.MakeFolder(w.T, `Acme\Inside`)
	w.MakeFolder(w.T, "Sibling")
	w.PutSecret(w.T, "Acme", "router", "s3cret")
	id := Paths(w.ctx, w.T, w.Vault)["Acme"].ID
	for _, m := range []sync.Mark{
		mark(1), mark(1), mark(2147483647),
		{Tenant: "otherinc", Key: "group/type:1/status:4"},
		{Tenant: "acme_inc.x-1", Key: "group/text:EMEA & Ελλάς \"x\""},
		{Tenant: "acmeinc", Key: sync.Key("group/" + strings.Repeat("text:Überlang/", 40) + "x")},
		mark(3),
	} {
		if err := w.Vault.Mark(w.ctx, id, m); err != nil {
			w.Fatalf("Mark(%v): %v", m, err)
		}
		w.want(map[string]sync.Mark{"Acme": m, `Acme\Inside`: {}, "Sibling": {}}, map[string]string{`Acme\router`: "s3cret"})
	}
	w.fails("Mark an unknown folder", w.Vault.Mark(w.ctx, "no such id", mark(9)), vault.ErrNotFound)
	for _, m := range []sync.Mark{{}, {Tenant: "acmeinc"}, {Key: "company/1"}, {Tenant: "acmeinc", Key: "nonsense"}} {
		w.fails(fmt.Sprintf("Mark(%+v)", m), w.Vault.Mark(w.ctx, id, m), vault.ErrInvalid)
	}
	w.want(map[string]sync.Mark{"Acme": mark(3), `Acme\Inside`: {}, "Sibling": {}}, map[string]string{`Acme\router`: "s3cret"})
}

func testBadMark(w *world) {
	if w.SpoilMark == nil {
		w.Skip("marks of this vault cannot be spoilt")
	}
	root := w.root()
	w.create(root, "Acme", mark(1))
	w.create(root, "Sibling", mark(2))
	w.SpoilMark(w.T, "Acme")
	want := state{Folders: map[string]seen{"Acme": {BadMark: true, Inherits: true}, "Sibling": {Mark: mark(2), Inherits: true}}}
	w.same(want)
	if f, err := w.Vault.Find(w.ctx, root, "Acme"); err != nil || !f.BadMark || f.Mark != (sync.Mark{}) {
		w.Errorf("Find = %+v, %v; want a bad mark", f, err)
	}
	_, err := w.Vault.Create(w.ctx, root, "Acme", mark(3))
	w.fails("Create", err, vault.ErrNameTaken)
	w.same(want)
}

func testFind(w *world) {
	root := w.root()
	group := w.create(root, "Customer", mark(1))
	acme := w.create(group.ID, "Acmé, Inc.", mark(250))
	w.create(acme.ID, "Inside", mark(251))
	w.MakeFolder(w.T, `Customer\By hand`)
	for _, name := range []string{"Acmé, Inc.", "ACMÉ, INC.", "acme\u0301, inc.", "Ａcmé, Inc."} {
		f, err := w.Vault.Find(w.ctx, group.ID, name)
		if err != nil {
			w.Errorf("Find(%q): %v", name, err)
		} else if diff := cmp.Diff(acme, f); diff != "" {
			w.Errorf("Find(%q) (-want +got):\n%s", name, diff)
		}
	}
	f, err := w.Vault.Find(w.ctx, group.ID, "by hand") // made since this handle looked last
	if err != nil || f.ID == "" || f.Name != "By hand" || f.Mark != (sync.Mark{}) || f.BadMark {
		w.Errorf("Find(by hand) = %+v, %v", f, err)
	} else {
		w.create(f.ID, "New", mark(300))
	}
	for _, tt := range []struct{ parentID, name string }{
		{group.ID, "Acme"}, {group.ID, "Acmé, Inc"}, {group.ID, "Inside"}, {root, "Acmé, Inc."}, {group.ID, ""},
		{group.ID, ".."}, {group.ID, "."}, {"no such id", "Acmé, Inc."},
	} {
		f, err := w.Vault.Find(w.ctx, tt.parentID, tt.name)
		w.fails(fmt.Sprintf("Find(%q) = %+v", tt.name, f), err, vault.ErrNotFound)
	}
}

// What people do between a reading and a call may make the call fail, never
// hit another folder.
func testByHand(w *world) {
	root := w.root()
	a := w.create(root, "A", mark(1))
	b := w.create(root, "B", mark(2))
	c := w.create(root, "C", mark(3))
	w.PutSecret(w.T, "A", "router", "of A")
	w.PutSecret(w.T, "B", "router", "of B")
	w.MoveFolder(w.T, "A", "via")
	w.MoveFolder(w.T, "B", "A")
	w.MoveFolder(w.T, "via", "B")
	w.MoveFolder(w.T, "C", `A\C`)

	// hit says where the folder of a call must be now, if the call succeeded.
	hit := func(what string, before state, err error, path string, m sync.Mark) {
		w.Helper()
		if err != nil {
			w.fails(what, err, vault.ErrNotFound)
			w.same(before)
		} else if got := w.look().Folders[path].Mark; got != m {
			w.Errorf("%s hit the folder with the mark %q, want %q", what, got, m)
		}
	}
	before := w.look()
	_, err := w.Vault.Update(w.ctx, a.ID, root, "A 2")
	hit("Update after a swap by hand", before, err, "A 2", mark(1))

	before = w.look()
	_, err = w.Vault.Create(w.ctx, b.ID, "New", mark(4))
	at := "" // A, where B is now
	for path, f := range before.Folders {
		if f.Mark == mark(2) {
			at = path
		}
	}
	hit("Create below a folder swapped by hand", before, err, at+`\New`, mark(4))

	before = w.look()
	err = w.Vault.Mark(w.ctx, b.ID, mark(5))
	hit("Mark after a swap by hand", before, err, at, mark(5))

	before = w.look()
	_, err = w.Vault.Update(w.ctx, c.ID, root, "C")
	hit("Update of a folder moved by hand", before, err, "C", mark(3))

	tree := Paths(w.ctx, w.T, w.Vault) // and after looking again all is well
	found := 0
	for path, f := range tree {
		if f.Mark == mark(1) {
			found++
			w.update(f.ID, tree[""].ID, "Acme")
			w.PutSecret(w.T, "Acme", "switch", "of A")
			if _, err := w.Vault.Create(w.ctx, f.ID, "Inside", mark(5)); err != nil {
				w.Errorf("Create below %q: %v", path, err)
			}
		}
	}
	if found != 1 {
		w.Errorf("%d folders with the mark of A", found)
	}
	if got := w.look(); got.Secrets[`Acme\switch`] != "of A" || got.Secrets[`Acme\router`] != "of A" {
		w.Errorf("secrets are now %v", got.Secrets)
	}
}

func testConcurrent(w *world) {
	const workers, each = 16, 6
	root := w.root()
	shared := w.create(root, "Shared", mark(1))
	w.create(root, "Contested", mark(2))
	groups := [2]string{w.create(root, "Left", mark(3)).ID, w.create(root, "Right", mark(4)).ID}

	var wg gosync.WaitGroup
	won := make([]bool, workers)
	for n := range workers {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("Company %d-%d", n, i)
				f, err := w.Vault.Create(w.ctx, shared.ID, name, mark(1000*n+i+10))
				if err != nil {
					w.Errorf("Create(%q): %v", name, err)
					return
				}
				if _, err := w.Vault.Update(w.ctx, f.ID, groups[i%2], name+", Inc."); err != nil {
					w.Errorf("Update(%q): %v", name, err)
				}
				if err := w.Vault.Mark(w.ctx, f.ID, mark(1000*n+i+11)); err != nil {
					w.Errorf("Mark(%q): %v", name, err)
				}
				if got, err := w.Vault.Find(w.ctx, groups[i%2], name+", Inc."); err != nil || got.ID != f.ID {
					w.Errorf("Find(%q) = %+v, %v", name, got, err)
				}
				if n == 0 { // parents move about meanwhile
					if _, err := w.Vault.Update(w.ctx, shared.ID, root, fmt.Sprintf("Shared %d", i)); err != nil {
						w.Errorf("Update(Shared): %v", err)
					}
				}
			}
			_, err := w.Vault.Create(w.ctx, root, "Race", mark(500000+n))
			if won[n] = err == nil; !won[n] && !errors.Is(err, vault.ErrNameTaken) {
				w.Errorf("Create of one name by all: %v", err)
			}
		})
	}
	wg.Wait()

	winner := slices.Index(won, true)
	if winner < 0 || slices.Contains(won[winner+1:], true) {
		w.Fatalf("who made the folder that all wanted: %v, want exactly one", won)
	}
	want := map[string]sync.Mark{
		fmt.Sprintf("Shared %d", each-1): mark(1), "Contested": mark(2), "Left": mark(3), "Right": mark(4), "Race": mark(500000 + winner),
	}
	for n := range workers {
		for i := range each {
			want[fmt.Sprintf(`%s\Company %d-%d, Inc.`, [2]string{"Left", "Right"}[i%2], n, i)] = mark(1000*n + i + 11)
		}
	}
	w.want(want, nil)

	// All move different folders onto one name: one gets there.
	tree := Paths(w.ctx, w.T, w.Vault)
	errs := make([]error, workers)
	for n := range workers {
		id := tree[fmt.Sprintf(`Left\Company %d-0, Inc.`, n)].ID
		wg.Go(func() { _, errs[n] = w.Vault.Update(w.ctx, id, tree["Right"].ID, "Goal") })
	}
	wg.Wait()
	for n, err := range errs {
		path := fmt.Sprintf(`Left\Company %d-0, Inc.`, n)
		if err == nil {
			want[`Right\Goal`] = want[path]
			delete(want, path)
		} else {
			w.fails("Update onto one name by all", err, vault.ErrNameTaken)
		}
	}
	if len(want) != workers*each+5 {
		w.Errorf("%v, want exactly one to get the name", errs)
	}
	w.want(want, nil)
}

// calls are one call of each kind, made on the folders that setUp made.
func (w *world) calls() (writes, reads map[string]func(context.Context) error) {
	root := w.root()
	a := w.create(root, "A", mark(1))
	b := w.create(root, "B", mark(2))
	w.PutSecret(w.T, "A", "router", "s3cret")
	discard := func(_ sync.Folder, err error) error { return err }
	v := w.Vault
	writes = map[string]func(context.Context) error{
		"Create": func(ctx context.Context) error { return discard(v.Create(ctx, b.ID, "New", mark(9))) },
		"Rename": func(ctx context.Context) error { return discard(v.Update(ctx, a.ID, root, "A 2")) },
		"Move":   func(ctx context.Context) error { return discard(v.Update(ctx, a.ID, b.ID, "A")) },
		"Mark":   func(ctx context.Context) error { return v.Mark(ctx, b.ID, mark(9)) },
	}
	reads = map[string]func(context.Context) error{
		"Find": func(ctx context.Context) error { return discard(v.Find(ctx, root, "A")) },
		"Tree": func(ctx context.Context) error { _, err := v.Tree(ctx); return err },
	}
	return writes, reads
}

func testCancelled(w *world) {
	cancelled, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.Vault.CreateRoot(cancelled); !errors.Is(err, context.Canceled) {
		w.Errorf("CreateRoot: error %v, want %v", err, context.Canceled)
	}
	if paths := Paths(w.ctx, w.T, w.Reopen(w.T)); paths != nil {
		w.Errorf("a cancelled CreateRoot made the root")
	}
	writes, reads := w.calls()
	maps.Copy(writes, reads)
	before := w.look()
	for _, name := range slices.Sorted(maps.Keys(writes)) {
		w.fails(name, writes[name](cancelled), context.Canceled)
	}
	w.same(before)
}

func testFaults(w *world) {
	if len(w.Faults) == 0 {
		w.Skip("this vault has no fault switches")
	}
	writes, reads := w.calls()
	before := w.look()
	for _, fault := range w.Faults {
		fault.On(w.T)
		for _, name := range slices.Sorted(maps.Keys(writes)) {
			w.fails(name+" when "+fault.Name, writes[name](w.ctx), fault.Want)
		}
		for _, name := range slices.Sorted(maps.Keys(reads)) {
			err := reads[name](w.ctx)
			if fault.Reads {
				w.fails(name+" when "+fault.Name, err, fault.Want)
			} else if err != nil {
				w.Errorf("%s when %s: %v", name, fault.Name, err)
			}
		}
		fault.Off(w.T)
		w.same(before)
	}
	for _, name := range []string{"Create", "Mark", "Rename"} { // ids outlive the faults
		if err := writes[name](w.ctx); err != nil {
			w.Errorf("%s after the faults: %v", name, err)
		}
	}
}

func testLostAnswer(w *world) {
	if w.LoseAnswer == nil {
		return // a vault whose answers cannot be lost has nothing to show here
	}
	root := w.root()
	a := w.create(root, "A", mark(1))

	w.LoseAnswer(w.T)
	_, err := w.Vault.Create(w.ctx, root, "New", mark(2))
	w.fails("Create", err, vault.ErrUnanswered)
	f, err := w.Vault.Find(w.ctx, root, "New")
	if err != nil {
		w.Fatalf("Find after a lost answer: %v", err)
	}
	if err := w.Vault.Mark(w.ctx, f.ID, mark(2)); err != nil { // the mark may be another request
		w.Errorf("Mark after a lost answer: %v", err)
	}

	w.LoseAnswer(w.T)
	_, err = w.Vault.Update(w.ctx, a.ID, root, "A 2")
	w.fails("Update", err, vault.ErrUnanswered)
	w.update(a.ID, root, "A 2") // the id is still good
	w.want(map[string]sync.Mark{"A 2": mark(1), "New": mark(2)}, nil)
}
