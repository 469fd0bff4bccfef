package vaulttest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

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
