package vaulttest

import (
	"fmt"
	"strings"

	"cwvault/sync"
	"cwvault/vault"
)

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
