package passwordstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"cwvault/sync"
	"cwvault/vault"
)

// CreateRoot implements [vault.Vault].
func (s *Store) CreateRoot(ctx context.Context) (sync.Folder, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f, err := s.createRoot(ctx)
	if err != nil {
		return sync.Folder{}, fmt.Errorf("create root folder %s: %w", s.rootPath(), explain(err))
	}
	return f, nil
}

func (s *Store) createRoot(ctx context.Context) (sync.Folder, error) {
	if err := ctx.Err(); err != nil {
		return sync.Folder{}, err
	}
	n, dir, err := s.openRoot(s.known, true)
	if err != nil {
		return sync.Folder{}, err
	}
	defer dir.Close()
	return look(dir, n)
}

// Create implements [vault.Vault]. The folder appears with its mark in it, or not at all.
// The error wraps [vault.ErrUnanswered] only if it is unknown whether the folder is on
// disk.
func (s *Store) Create(ctx context.Context, parentID, name string, m sync.Mark) (sync.Folder, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f, err := s.create(ctx, parentID, name, m)
	if err != nil {
		return f, fmt.Errorf("create folder %q below %q: %w", name, parentID, explain(err))
	}
	return f, nil
}

func (s *Store) create(ctx context.Context, parentID, name string, m sync.Mark) (sync.Folder, error) {
	if err := ctx.Err(); err != nil {
		return sync.Folder{}, err
	}
	if err := checkName(name); err != nil {
		return sync.Folder{}, err
	}
	data, err := encodeMark(m)
	if err != nil {
		return sync.Folder{}, err
	}
	parent, dir, err := s.openFolder(parentID)
	if err != nil {
		return sync.Folder{}, err
	}
	defer dir.Close()
	s.sweep()
	info, err := createDir(dir, name, data)
	if info == nil {
		return sync.Folder{}, err
	}
	n := s.known.add(parent, name, info)
	s.git.record("", n.path()+"/"+markFile)
	return sync.Folder{ID: n.id, ParentID: parentID, Name: name, Mark: m, Inherits: true}, err
}

// createDir makes a hidden directory with a mark in it and renames it to its place. If
// info is not nil, the directory exists, even if there is an error.
func createDir(parent *os.Root, name string, mark []byte) (info fs.FileInfo, err error) {
	if _, err := parent.Lstat(name); err == nil {
		return nil, fmt.Errorf("%w: %q", vault.ErrNameTaken, name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	temp := tempPrefix + rand.Text()
	if err := parent.Mkdir(temp, 0o700); err != nil {
		return nil, err
	}
	dir, err := parent.OpenRoot(temp)
	if err == nil {
		err = createFile(dir, markFile, mark)
		if err == nil {
			err = syncDir(dir)
		}
		if err == nil {
			info, err = dir.Stat(".")
		}
		dir.Close() // Windows renames no open directory
	}
	if err == nil {
		err = renameNoReplace(parent, temp, parent, name)
	}
	if err != nil {
		parent.Remove(temp + "/" + markFile)
		parent.Remove(temp)
		return nil, err
	}
	if err := syncDir(parent); err != nil {
		return info, fmt.Errorf("%w: %w", vault.ErrUnanswered, err)
	}
	return info, nil
}

// Update implements [vault.Vault]. [Config.Access] says which moves it refuses.
func (s *Store) Update(ctx context.Context, id, parentID, name string) (sync.Folder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.update(ctx, id, parentID, name)
	if err != nil {
		return f, fmt.Errorf("put folder %q as %q below %q: %w", id, name, parentID, explain(err))
	}
	return f, nil
}

func (s *Store) update(ctx context.Context, id, parentID, name string) (sync.Folder, error) {
	if err := ctx.Err(); err != nil {
		return sync.Folder{}, err
	}
	n, err := s.find(id)
	if err != nil {
		return sync.Folder{}, err
	}
	parent, dst, err := s.openFolder(parentID)
	if err != nil {
		return sync.Folder{}, err
	}
	defer dst.Close()
	for at := parent; at != nil; at = at.parent { // this also keeps the root where it is
		if at == n {
			return sync.Folder{}, fmt.Errorf("%w: a folder cannot be below itself", vault.ErrInvalid)
		}
	}
	if parent == n.parent && name == n.name {
		return s.folder(n)
	}
	if err := s.move(n, parent, dst, name); err != nil {
		return sync.Folder{}, err
	}
	f, err := s.folder(n)
	if err != nil {
		err = fmt.Errorf("%w: %w", vault.ErrUnanswered, err) // renamed, but its state is unknown
	}
	return f, err
}

func (s *Store) folder(n *node) (sync.Folder, error) {
	dir, err := s.open(n)
	if err != nil {
		return sync.Folder{}, err
	}
	defer dir.Close()
	return look(dir, n)
}

// move renames a folder to name in dst, the directory of parent.
func (s *Store) move(n, parent *node, dst *os.Root, name string) error {
	if name != n.name { // a person's own name may stay
		if err := checkName(name); err != nil {
			return err
		}
	}
	dir, err := s.open(n) // checks that it is still this folder, and no link
	if err != nil {
		return err
	}
	dir.Close() // Windows renames no open directory
	src, err := s.open(n.parent)
	if err != nil {
		return err
	}
	defer src.Close()
	if _, err := taken(src, n.name, dst, name); err != nil {
		return err
	}
	made, err := s.keepAudience(n, parent)
	if err == nil {
		err = rename(src, n.name, dst, name)
	}
	if err != nil {
		return errors.Join(err, s.unmake(n, made))
	}
	from := n.path()
	s.known.move(n, parent, name)
	s.git.record(from, n.path())
	for _, file := range made {
		s.git.record("", n.path()+"/"+file)
	}
	if err := errors.Join(syncDir(src), syncDir(dst)); err != nil {
		return fmt.Errorf("%w: %w", vault.ErrUnanswered, err) // done, but perhaps not on disk
	}
	return nil
}

// taken fails if another entry has the new name. same reports whether the directory itself
// has it in another spelling, which happens if the file system ignores case.
func taken(src *os.Root, from string, dst *os.Root, to string) (same bool, err error) {
	there, err := dst.Lstat(to)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	own, err := src.Lstat(from)
	if err == nil && !os.SameFile(there, own) {
		err = fmt.Errorf("%w: %q", vault.ErrNameTaken, to)
	}
	return err == nil, err
}

// rename renames a directory unless something else has the new name.
func rename(src *os.Root, from string, dst *os.Root, to string) error {
	same, err := taken(src, from, dst, to)
	if err != nil {
		return err
	}
	if !same {
		return renameNoReplace(src, from, dst, to)
	}
	// If both names lead to the same directory, Linux does nothing and reports
	// success. The name in between is visible: after a crash people see the folder,
	// and the next run finds it by its mark.
	via := "cwvault-" + rand.Text()
	if err := renameNoReplace(src, from, src, via); err != nil {
		return err
	}
	err = renameNoReplace(src, via, dst, to)
	if err != nil {
		err = errors.Join(err, renameNoReplace(src, via, src, from))
	}
	return err
}

// Mark implements [vault.Vault]. It only replaces marks that this version could have
// written.
func (s *Store) Mark(ctx context.Context, id string, m sync.Mark) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.mark(ctx, id, m); err != nil {
		return fmt.Errorf("mark folder %q: %w", id, explain(err))
	}
	return nil
}

func (s *Store) mark(ctx context.Context, id string, m sync.Mark) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := encodeMark(m)
	if err != nil {
		return err
	}
	n, dir, err := s.openFolder(id)
	if err != nil {
		return err
	}
	defer dir.Close()
	old, err := readMark(dir)
	if errors.Is(err, errBadMark) {
		return fmt.Errorf("%w: %s: %w", vault.ErrInvalid, markFile, err)
	}
	if err != nil || old == m {
		return err
	}
	if err := writeFile(dir, markFile, data, true); err != nil {
		return err
	}
	s.git.record("", n.path()+"/"+markFile)
	return nil
}

// Find implements [vault.Vault]. If the names of several folders fold to the same, it
// returns the one with exactly this name, or the first in byte order.
func (s *Store) Find(ctx context.Context, parentID, name string) (sync.Folder, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f, err := s.lookup(ctx, parentID, name)
	if err != nil {
		return sync.Folder{}, fmt.Errorf("find folder %q below %q: %w", name, parentID, explain(err))
	}
	return f, nil
}

func (s *Store) lookup(ctx context.Context, parentID, name string) (sync.Folder, error) {
	if err := ctx.Err(); err != nil {
		return sync.Folder{}, err
	}
	parent, dir, err := s.openFolder(parentID)
	if err != nil {
		return sync.Folder{}, err
	}
	defer dir.Close()
	entries, err := readDir(dir)
	if err != nil {
		return sync.Folder{}, err
	}
	var found fs.DirEntry
	for _, e := range entries {
		if isFolder(e) && vault.Fold(e.Name()) == vault.Fold(name) &&
			(found == nil || e.Name() == name || found.Name() != name && e.Name() < found.Name()) {
			found = e
		}
	}
	if found == nil {
		return sync.Folder{}, vault.ErrNotFound
	}
	info, err := found.Info()
	if err != nil {
		return sync.Folder{}, err
	}
	n := s.known.add(parent, found.Name(), info)
	if !found.IsDir() {
		return describe(nil, n, nil)
	}
	sub, err := openDir(dir, found.Name(), info)
	if err != nil {
		return sync.Folder{}, err
	}
	defer sub.Close()
	return look(sub, n)
}

// sweep removes the unfinished folders and files of a crash that the last Tree found. It
// only removes those with one of our names that are an hour old, so that nobody is working
// on them, and that are empty or hold only a mark. A failure does no harm, because they
// are hidden.
func (s *Store) sweep() {
	s.known.mu.Lock()
	leftovers := s.known.leftovers
	s.known.leftovers = nil
	s.known.mu.Unlock()
	for _, l := range leftovers {
		dir, err := s.open(l.parent)
		if err == nil {
			err = removeLeftover(dir, l.name)
			dir.Close()
		}
		if err != nil {
			s.log.Debug("leftover of an earlier run stays", "folder", l.parent.path(), "name", l.name, "error", err)
		}
	}
}

func removeLeftover(parent *os.Root, name string) error {
	info, err := parent.Lstat(name)
	if err != nil {
		return err
	}
	if time.Since(info.ModTime()) < time.Hour {
		return errors.New("it is less than an hour old")
	}
	if !info.IsDir() {
		data, err := readFile(parent, name, maxMark)
		if err == nil && len(data) > 0 {
			_, err = decodeMark(data)
		}
		if err != nil {
			return err
		}
		return parent.Remove(name)
	}
	dir, err := openDir(parent, name, info)
	if err != nil {
		return err
	}
	defer dir.Close()
	entries, err := readDir(dir)
	if err != nil {
		return err
	}
	switch {
	case len(entries) == 0:
	case len(entries) == 1 && entries[0].Name() == markFile:
		if _, err := readMark(dir); err != nil {
			return err
		}
		if err := dir.Remove(markFile); err != nil {
			return err
		}
	default:
		return errors.New("it holds more than a mark")
	}
	return parent.Remove(name) // fails if it is no longer empty
}
