package vaulttest

import (
	"fmt"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/vault"
)

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
}

// A new folder in the place of one that has moved is another folder.
func testReusedPlace(w *world) {
	root := w.root()
	a := w.create(root, "A", mark(1))
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
	w.want(map[string]sync.Mark{"A": mark(1), "X": mark(300), "Y": mark(302)}, nil)
}

// Ids read from a tree live as long as those that calls returned.
func testTreeIDs(w *world) {
	root := w.root()
	a := w.create(root, "A", mark(1))
	b := w.create(a.ID, "B 2", mark(2))
	won := w.create(b.ID, "Won", mark(3))
	acme := w.create(won.ID, "Acme 2", mark(250))
	w.create(won.ID, "Other", mark(251))
	w.create(acme.ID, "Inside", mark(252))
	w.PutSecret(w.T, `A\B 2\Won\Acme 2`, "router", "s3cret")

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
		"A": mark(1), "B": mark(2), `A\Won`: mark(3), `A\Won\Other`: mark(251), `B\Acme`: mark(250), `B\Acme\Inside`: mark(252),
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
