package vaulttest_test

import (
	"context"
	"fmt"
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

// The suite passes on a vault that keeps the contract, one with ids of its
// own and names that ignore case, as Secret Server has.
func TestMemory(t *testing.T) {
	vaulttest.Suite(t, func(t *testing.T) vaulttest.Harness {
		s := &store{bug: os.Getenv("CWVAULT_TEST_BUG"), folders: map[string]*folder{}}
		return vaulttest.Harness{
			Vault:  s,
			Reopen: func(*testing.T) vault.Vault { return s },
			MakeFolder: func(t *testing.T, path string) {
				if _, err := s.add(s.at(t, path[:max(strings.LastIndex(path, `\`), 0)]), path[strings.LastIndex(path, `\`)+1:]); err != nil {
					t.Fatal(err)
				}
			},
			MoveFolder: func(t *testing.T, from, to string) {
				f := s.folders[s.at(t, from)]
				f.ParentID, f.Name = s.at(t, to[:max(strings.LastIndex(to, `\`), 0)]), to[strings.LastIndex(to, `\`)+1:]
			},
			PutSecret: func(t *testing.T, path, name, value string) { s.folders[s.at(t, path)].secrets[name] = value },
			Secrets: func(t *testing.T) map[string]string {
				all := map[string]string{}
				for id, f := range s.folders {
					for name, value := range f.secrets {
						all[strings.TrimPrefix(s.path(id)+`\`+name, `\`)] = value
					}
				}
				return all
			},
			SpoilMark: func(t *testing.T, path string) {
				f := s.folders[s.at(t, path)]
				f.Mark, f.BadMark = sync.Mark{}, true
			},
			Faults: []vaulttest.Fault{
				{"read-only", vault.ErrReadOnly, false, func(*testing.T) { s.readOnly = true }, func(*testing.T) { s.readOnly = false }},
				{"down", vault.ErrUnavailable, true, func(*testing.T) { s.down = true }, func(*testing.T) { s.down = false }},
			},
			LoseAnswer: func(*testing.T) { s.lose = true },
		}
	})
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

type folder struct {
	sync.Folder
	secrets map[string]string
}

// store is a vault in memory. Its root has the id "0".
type store struct {
	bug                  string
	mu                   gosync.Mutex
	folders              map[string]*folder
	last                 int
	readOnly, down, lose bool
}

func (s *store) Names() sync.NameRules {
	return sync.NameRules{MaxLength: 50, Forbidden: "/", Fold: vault.Fold, Form: vault.Form}
}

func (s *store) path(id string) string {
	path := ""
	for range s.folders { // a bug may have made a circle
		if f := s.folders[id]; f != nil && id != "0" {
			path = strings.TrimSuffix(f.Name+`\`+path, `\`)
			id = f.ParentID
		}
	}
	return path
}

func (s *store) at(t *testing.T, path string) string {
	for id := range s.folders {
		if s.path(id) == path {
			return id
		}
	}
	t.Fatalf("no folder %q", path)
	return ""
}

func (s *store) child(parentID, name string) *folder {
	for _, f := range s.folders {
		if f.ParentID == parentID && vault.Fold(f.Name) == vault.Fold(name) {
			return f
		}
	}
	return nil
}

func (s *store) add(parentID, name string) (*folder, error) {
	if s.folders[parentID] == nil && s.bug != "create-below-unknown" {
		return nil, vault.ErrNotFound
	}
	if old := s.child(parentID, name); old != nil {
		if s.bug != "create-overwrites" {
			return nil, vault.ErrNameTaken
		}
		delete(s.folders, old.ID)
	}
	s.last++
	f := &folder{sync.Folder{ID: strconv.Itoa(s.last), ParentID: parentID, Name: name, Inherits: true}, map[string]string{}}
	s.folders[f.ID] = f
	return f, nil
}

func (s *store) begin(ctx context.Context, write bool) error {
	switch {
	case ctx.Err() != nil && s.bug != "ignores-context":
		return ctx.Err()
	case s.down:
		return vault.ErrUnavailable
	case write && s.readOnly && s.bug != "fault-changes":
		return vault.ErrReadOnly
	}
	return nil
}

// end is what a write that was done returns.
func (s *store) end(f sync.Folder) (sync.Folder, error) {
	if s.readOnly {
		return sync.Folder{}, vault.ErrReadOnly
	}
	if s.lose && s.bug != "unanswered-hidden" {
		s.lose = false
		return sync.Folder{}, vault.ErrUnanswered
	}
	return f, nil
}

func validName(name string) bool {
	return name != "" && len([]rune(name)) <= 50 && !strings.ContainsAny(name, "/\\\x00\n")
}

func validMark(m sync.Mark) bool { return m.Tenant != "" && m.Key.Valid() }

func (s *store) Tree(ctx context.Context) (sync.Tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tree := sync.Tree{RootPath: `\Clients`}
	if err := s.begin(ctx, false); err != nil || len(s.folders) == 0 {
		return tree, err
	}
	tree.Root = s.folders["0"].Folder
	for id, f := range s.folders {
		if (id != "0" || s.bug == "tree-lists-root") && (id != "7" || s.bug != "tree-drops-one") {
			tree.Folders = append(tree.Folders, f.Folder)
		}
	}
	return tree, nil
}

func (s *store) CreateRoot(ctx context.Context) (sync.Folder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(ctx, true); err != nil {
		return sync.Folder{}, err
	}
	if s.folders["0"] == nil || s.bug == "root-anew" {
		clear(s.folders)
		s.folders["0"] = &folder{sync.Folder{ID: "0", ParentID: "-1", Name: "Clients"}, map[string]string{}}
	}
	return s.folders["0"].Folder, nil
}

func (s *store) Create(ctx context.Context, parentID, name string, m sync.Mark) (sync.Folder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(ctx, true); err != nil {
		return sync.Folder{}, err
	}
	if !validName(name) || !validMark(m) {
		return sync.Folder{}, vault.ErrInvalid
	}
	if s.bug == "race" && s.child(parentID, name) != nil && name == "Race" {
		return s.child(parentID, name).Folder, nil
	}
	f, err := s.add(parentID, name)
	if err != nil {
		return sync.Folder{}, fmt.Errorf("create %q: %w", name, err)
	}
	if s.bug != "create-unmarked" {
		f.Mark = m
	}
	return s.end(f.Folder)
}

func (s *store) Update(ctx context.Context, id, parentID, name string) (sync.Folder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(ctx, true); err != nil {
		return sync.Folder{}, err
	}
	f := s.folders[id]
	switch {
	case f == nil || s.folders[parentID] == nil:
		return sync.Folder{}, vault.ErrNotFound
	case id == "0" || !validName(name) && s.bug != "update-any-name":
		return sync.Folder{}, vault.ErrInvalid
	}
	for at := parentID; s.folders[at] != nil && s.bug != "update-below-itself"; at = s.folders[at].ParentID {
		if at == id {
			return sync.Folder{}, vault.ErrInvalid
		}
	}
	if taken := s.child(parentID, name); taken != nil && taken != f {
		if s.bug != "update-overwrites" {
			return sync.Folder{}, vault.ErrNameTaken
		}
		delete(s.folders, taken.ID)
	}
	if s.bug != "update-renames-only" {
		f.ParentID = parentID
	}
	if s.bug != "update-moves-only" {
		f.Name = name
	}
	switch s.bug {
	case "update-new-id":
		s.last++
		delete(s.folders, id)
		f.ID = strconv.Itoa(s.last)
		s.folders[f.ID] = f
	case "update-leaves-secrets":
		f.secrets = map[string]string{}
	}
	return s.end(f.Folder)
}

func (s *store) Mark(ctx context.Context, id string, m sync.Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(ctx, true); err != nil {
		return err
	}
	f := s.folders[id]
	if f == nil {
		return vault.ErrNotFound
	}
	if !validMark(m) && s.bug != "mark-any" {
		return vault.ErrInvalid
	}
	if s.bug == "mark-drops-tenant" {
		m.Tenant = "acmeinc"
	}
	f.Mark = m
	for _, child := range s.folders {
		if s.bug == "mark-below-too" && child.ParentID == id {
			child.Mark = m
		}
	}
	_, err := s.end(f.Folder)
	return err
}

func (s *store) Find(ctx context.Context, parentID, name string) (sync.Folder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(ctx, false); err != nil {
		return sync.Folder{}, err
	}
	f := s.child(parentID, name)
	if s.bug == "find-deep" {
		for _, other := range s.folders {
			if vault.Fold(other.Name) == vault.Fold(name) {
				f = other
			}
		}
	}
	if f == nil || s.bug == "find-exact" && f.Name != name {
		return sync.Folder{}, vault.ErrNotFound
	}
	return f.Folder, nil
}
