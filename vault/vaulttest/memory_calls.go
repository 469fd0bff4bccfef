package vaulttest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cwvault/sync"
	"cwvault/vault"
)

var _ vault.Vault = (*Memory)(nil)

// call runs one call, with the failure that is due.
func (m *Memory) call(ctx context.Context, name string, do func(Failure) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Dead {
		return ErrDead
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	m.Calls = append(m.Calls, name)
	f := NoFailure
	if m.Fail != nil {
		f = m.Fail(len(m.Calls), name)
	}
	switch f {
	case FailRefused:
		return ErrRefused
	case FailUnauthorized:
		return fmt.Errorf("%s: %w", name, vault.ErrUnauthorized)
	case FailReadOnly:
		return fmt.Errorf("%s: %w", name, vault.ErrReadOnly)
	case FailUnavailable:
		return fmt.Errorf("%s: %w", name, vault.ErrUnavailable)
	case FailCut:
		return fmt.Errorf("%s: %w", name, vault.ErrUnanswered)
	case FailStopped:
		m.Dead = true
		return ErrDead
	}
	err := do(f)
	switch f {
	case FailLost, FailHalfLost:
		return fmt.Errorf("%s: %w", name, vault.ErrUnanswered)
	case FailDied, FailHalfDied:
		m.Dead = true
		return ErrDead
	}
	return err
}

// Names implements [vault.Vault].
func (*Memory) Names() sync.NameRules {
	return sync.NameRules{MaxLength: 50, Forbidden: "/", Fold: vault.Fold, Form: vault.Form}
}

func validName(name string) bool {
	return name != "" && len([]rune(name)) <= 50 && !strings.ContainsAny(name, "/\\\x00\n")
}

func validMark(mark sync.Mark) bool { return mark.Tenant != "" && mark.Key.Valid() }

// exists reports whether there is a folder, or root, with this id.
func (m *Memory) exists(id string) bool {
	return id != "" && (id == m.Root || m.Folders[id] != nil)
}

// Tree implements [vault.Vault].
func (m *Memory) Tree(ctx context.Context) (t sync.Tree, err error) {
	err = m.call(ctx, "tree", func(Failure) error {
		t = m.Snapshot()
		return nil
	})
	return t, err
}

// CreateRoot implements [vault.Vault].
func (m *Memory) CreateRoot(ctx context.Context) (root sync.Folder, err error) {
	err = m.call(ctx, "create root", func(Failure) error {
		m.Root = "root"
		root = m.Snapshot().Root
		return nil
	})
	return root, err
}

// Create implements [vault.Vault].
func (m *Memory) Create(ctx context.Context, parentID, name string, mark sync.Mark) (made sync.Folder, err error) {
	err = m.call(ctx, "create "+name, func(f Failure) error {
		switch {
		case !validName(name) || !validMark(mark):
			return fmt.Errorf("create %q with mark %q: %w", name, mark, vault.ErrInvalid)
		case !m.exists(parentID):
			return fmt.Errorf("create below %q: %w", parentID, vault.ErrNotFound)
		case m.Child(parentID, name, "") != nil:
			return fmt.Errorf("create %q: %w", name, vault.ErrNameTaken)
		}
		switch f {
		case FailHalfLost, FailHalfDied:
			m.Make(parentID, name, sync.Mark{})
		case FailLost, FailDied:
			m.Make(parentID, name, mark)
		case FailNoMark:
			made = *m.Make(parentID, name, sync.Mark{})
			return ErrRefused
		default:
			made = *m.Make(parentID, name, mark)
		}
		return nil
	})
	return made, err
}

// Update implements [vault.Vault].
func (m *Memory) Update(ctx context.Context, id, parentID, name string) (moved sync.Folder, err error) {
	err = m.call(ctx, "update "+name, func(Failure) error {
		f, ok := m.Folders[id]
		switch {
		case id == m.Root && id != "":
			return fmt.Errorf("update the root: %w", vault.ErrInvalid)
		case !ok:
			return fmt.Errorf("update %q: %w", id, vault.ErrNotFound)
		case !m.exists(parentID):
			return fmt.Errorf("update below %q: %w", parentID, vault.ErrNotFound)
		case !validName(name):
			return fmt.Errorf("update to %q: %w", name, vault.ErrInvalid)
		}
		for up := parentID; up != m.Root; up = m.Folders[up].ParentID {
			if up == id {
				return fmt.Errorf("update %q under itself: %w", id, vault.ErrInvalid)
			}
		}
		if m.Child(parentID, name, id) != nil {
			return fmt.Errorf("update to %q: %w", name, vault.ErrNameTaken)
		}
		f.ParentID, f.Name = parentID, name
		moved = *f
		return nil
	})
	return moved, err
}

// Mark implements [vault.Vault].
func (m *Memory) Mark(ctx context.Context, id string, mark sync.Mark) error {
	return m.call(ctx, "mark "+string(mark.Key), func(Failure) error {
		f, ok := m.Folders[id]
		switch {
		case !ok:
			return fmt.Errorf("mark %q: %w", id, vault.ErrNotFound)
		case !validMark(mark):
			return fmt.Errorf("mark %q as %q: %w", id, mark, vault.ErrInvalid)
		}
		f.Mark, f.BadMark = mark, false
		return nil
	})
}

// Find implements [vault.Vault].
func (m *Memory) Find(ctx context.Context, parentID, name string) (found sync.Folder, err error) {
	err = m.call(ctx, "find "+name, func(Failure) error {
		f := m.Child(parentID, name, "")
		if f == nil {
			return fmt.Errorf("find %q: %w", name, vault.ErrNotFound)
		}
		found = *f
		return nil
	})
	return found, err
}

// Secrets counts the secrets in a folder and below it.
func (m *Memory) Secrets(ctx context.Context, folderID string) (n int, err error) {
	err = m.call(ctx, "secrets "+folderID, func(Failure) error {
		if !m.exists(folderID) {
			return fmt.Errorf("secrets of %q: %w", folderID, vault.ErrNotFound)
		}
		for id, secrets := range m.Contents {
			at := id
			for at != folderID && m.Folders[at] != nil {
				at = m.Folders[at].ParentID
			}
			if at == folderID {
				n += len(secrets)
			}
		}
		return nil
	})
	return n, err
}

// Audience returns who can see what inherits from a folder, sorted.
func (m *Memory) Audience(ctx context.Context, folderID string) (readers []string, err error) {
	err = m.call(ctx, "audience "+folderID, func(Failure) error {
		if !m.exists(folderID) {
			return fmt.Errorf("audience of %q: %w", folderID, vault.ErrNotFound)
		}
		at := folderID
		for at != m.Root && m.Folders[at].Inherits {
			at = m.Folders[at].ParentID
		}
		readers = slices.Sorted(slices.Values(m.Readers[at]))
		return nil
	})
	return readers, err
}

// Commit is the end of a run, with a line that describes it.
func (m *Memory) Commit(ctx context.Context, message string) error {
	return m.call(ctx, "commit", func(Failure) error {
		m.Commits = append(m.Commits, message)
		return nil
	})
}

// Close does nothing.
func (*Memory) Close() error { return nil }
