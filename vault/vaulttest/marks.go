package vaulttest

import (
	"fmt"
	"strings"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/vault"
)

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
