// Package vaulttest is the contract of [vault.Vault] as a test suite. Every vault passes
// it. The tests of its adapter call it:
//
//	func TestContract(t *testing.T) {
//		vaulttest.Suite(t, func(t *testing.T) vaulttest.Harness { ... })
//	}
package vaulttest

import (
	"context"
	"strings"
	"testing"
	"time"

	"cwvault/sync"
	"cwvault/vault"
)

// Harness is one new store and the changes that a test makes to it without the adapter,
// like a person with the vault's own tools.
//
// Paths name folders below the root, with levels separated by a backslash; the empty path
// is the root itself. The functions fail the test if they cannot do their work.
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
		{"ReusedPlace", testReusedPlace},
		{"TreeIDs", testTreeIDs},
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
