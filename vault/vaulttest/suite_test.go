package vaulttest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	gosync "sync"
	"testing"

	"cwvault/sync"
	"cwvault/vault"
	"cwvault/vault/vaulttest"
)

// Memory passes the suite, unless a bug is put into it.
func TestMemory(t *testing.T) {
	vaulttest.Suite(t, func(t *testing.T) vaulttest.Harness {
		m := vaulttest.NewMemory("acmeinc")
		var v vault.Vault = m
		if bug := os.Getenv("CWVAULT_TEST_BUG"); bug != "" {
			v = &buggy{Memory: m, bug: bug}
		}
		at := func(path string) string {
			path = strings.TrimSuffix(vaulttest.RootPath+`\`+path, `\`)
			if m.At(path) == "" {
				t.Fatalf("no folder %q", path)
			}
			return m.At(path)
		}
		split := func(path string) (parentID, name string) {
			i := strings.LastIndex(path, `\`)
			return at(path[:max(i, 0)]), path[i+1:]
		}
		return vaulttest.Harness{
			Vault:  v,
			Reopen: func(*testing.T) vault.Vault { return v },
			MakeFolder: func(t *testing.T, path string) {
				parentID, name := split(path)
				m.Make(parentID, name, sync.Mark{})
			},
			MoveFolder: func(t *testing.T, from, to string) {
				f := m.Folders[at(from)]
				f.ParentID, f.Name = split(to)
			},
			PutSecret: func(t *testing.T, path, name, value string) { m.PutSecret(at(path), name, value) },
			Secrets: func(t *testing.T) map[string]string {
				all := map[string]string{}
				for id, secrets := range m.Contents {
					for name, value := range secrets {
						all[strings.TrimPrefix(m.Path(id)+`\`+name, vaulttest.RootPath+`\`)] = value
					}
				}
				return all
			},
			SpoilMark: func(t *testing.T, path string) {
				f := m.Folders[at(path)]
				f.Mark, f.BadMark = sync.Mark{}, true
			},
			Faults: faults(m),
			LoseAnswer: func(*testing.T) {
				m.Fail = func(int, string) vaulttest.Failure {
					m.Fail = nil
					return vaulttest.FailLost
				}
			},
		}
	})
}

// faults are the states of a memory in which calls fail.
func faults(m *vaulttest.Memory) []vaulttest.Fault {
	fail := func(f vaulttest.Failure, reads bool) func(*testing.T) {
		return func(*testing.T) {
			m.Fail = func(_ int, call string) vaulttest.Failure {
				if !reads && (call == "tree" || strings.HasPrefix(call, "find ")) {
					return vaulttest.NoFailure
				}
				return f
			}
		}
	}
	works := func(*testing.T) { m.Fail = nil }
	return []vaulttest.Fault{
		{Name: "read-only", Want: vault.ErrReadOnly, On: fail(vaulttest.FailReadOnly, false), Off: works},
		{Name: "down", Want: vault.ErrUnavailable, Reads: true, On: fail(vaulttest.FailUnavailable, true), Off: works},
	}
}

// The suite fails on vaults that break the contract, each in one way.
func TestSuiteFindsBugs(t *testing.T) {
	if os.Getenv("CWVAULT_TEST_BUG") != "" {
		t.Skip("this is the run with the bug")
	}
	for _, bug := range []string{
		"tree-drops-one", "tree-lists-root", "create-overwrites", "create-unmarked", "create-below-unknown", "update-overwrites", "update-renames-only",
		"update-moves-only", "update-new-id", "update-below-itself", "update-leaves-secrets", "update-any-name", "mark-below-too", "mark-drops-tenant", "mark-any",
		"find-exact", "find-deep", "root-anew", "ignores-context", "fault-changes", "unanswered-hidden", "race",
	} {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMemory$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), "CWVAULT_TEST_BUG="+bug)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestMemory") {
				t.Errorf("the suite passed (%v):\n%s", err, out)
			}
			if strings.Contains(string(out), "panic:") {
				t.Errorf("the suite panicked:\n%s", out)
			}
		})
	}
}

// buggy is a vault with one mistake.
type buggy struct {
	*vaulttest.Memory
	bug string
	mu  gosync.Mutex // one call at a time: the mistakes reach into the memory
}

// ctx is the context that calls get: a vault may fail to look at it.
func (v *buggy) ctx(ctx context.Context) context.Context {
	if v.bug == "ignores-context" {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// write makes a call that changes the vault.
func (v *buggy) write(ctx context.Context, do func(ctx context.Context) error) error {
	err := do(v.ctx(ctx))
	switch {
	case v.bug == "fault-changes" && errors.Is(err, vault.ErrReadOnly):
		fail := v.Fail
		v.Fail = nil
		_ = do(ctx) // done, whatever the answer says
		v.Fail = fail
	case v.bug == "unanswered-hidden" && errors.Is(err, vault.ErrUnanswered):
		return nil
	}
	return err
}

func (v *buggy) Tree(ctx context.Context) (sync.Tree, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	tree, err := v.Memory.Tree(v.ctx(ctx))
	if v.bug == "tree-lists-root" && tree.Root.ID != "" {
		tree.Folders = append(tree.Folders, tree.Root)
	}
	if v.bug == "tree-drops-one" && len(tree.Folders) > 6 {
		tree.Folders = tree.Folders[1:]
	}
	return tree, err
}

func (v *buggy) CreateRoot(ctx context.Context) (sync.Folder, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.bug == "root-anew" {
		clear(v.Folders)
		clear(v.Contents)
	}
	return v.Memory.CreateRoot(v.ctx(ctx))
}

func (v *buggy) Create(ctx context.Context, parentID, name string, m sync.Mark) (f sync.Folder, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	there := v.Child(parentID, name, "")
	switch {
	case v.bug == "create-below-unknown" && parentID == "no such id":
		return *v.Make(v.Root, name, m), nil
	case v.bug == "create-overwrites" && there != nil:
		v.Remove(there.ID)
	case v.bug == "race" && there != nil && name == "Race":
		return *there, nil
	}
	err = v.write(ctx, func(ctx context.Context) error {
		f, err = v.Memory.Create(ctx, parentID, name, m)
		return err
	})
	if v.bug == "create-unmarked" && err == nil {
		v.Folders[f.ID].Mark = sync.Mark{}
	}
	return f, err
}

func (v *buggy) Update(ctx context.Context, id, parentID, name string) (moved sync.Folder, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	there := v.Child(parentID, name, "")
	f := v.Folders[id]
	switch {
	case f == nil:
	case v.bug == "update-overwrites" && there != nil && there.ID != id:
		v.Remove(there.ID)
	case v.bug == "update-any-name" && (name == "" || strings.ContainsAny(name, "\\/\x00\n")):
		f.Name = name
		return *f, nil
	case v.bug == "update-renames-only":
		parentID = f.ParentID
	case v.bug == "update-moves-only":
		name = f.Name
	case v.bug == "update-below-itself" && (parentID == id || v.Folders[parentID] != nil && v.Folders[parentID].ParentID == id):
		f.ParentID, f.Name = parentID, name
		return *f, nil
	}
	err = v.write(ctx, func(ctx context.Context) error {
		moved, err = v.Memory.Update(ctx, id, parentID, name)
		return err
	})
	switch {
	case err != nil:
	case v.bug == "update-new-id":
		delete(v.Folders, id)
		f.ID += "0" + strconv.Itoa(len(v.Calls))
		v.Folders[f.ID] = f
		return *f, nil
	case v.bug == "update-leaves-secrets":
		delete(v.Contents, id)
	}
	return moved, err
}

func (v *buggy) Mark(ctx context.Context, id string, m sync.Mark) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.bug == "mark-drops-tenant" && m.Tenant != "" {
		m.Tenant = "acmeinc"
	}
	if f := v.Folders[id]; f != nil && v.bug == "mark-any" && !m.Key.Valid() {
		f.Mark = m
		return nil
	}
	err := v.write(ctx, func(ctx context.Context) error { return v.Memory.Mark(ctx, id, m) })
	for _, f := range v.Folders {
		if err == nil && v.bug == "mark-below-too" && f.ParentID == id {
			f.Mark = m
		}
	}
	return err
}

func (v *buggy) Find(ctx context.Context, parentID, name string) (sync.Folder, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f, err := v.Memory.Find(v.ctx(ctx), parentID, name)
	switch {
	case v.bug == "find-exact" && err == nil && f.Name != name:
		return sync.Folder{}, vault.ErrNotFound
	case v.bug == "find-deep":
		for _, f := range v.Folders {
			if vault.Fold(f.Name) == vault.Fold(name) {
				return *f, nil
			}
		}
	}
	return f, err
}
