package passwordstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	gosync "sync"
	"sync/atomic"

	"cwvault/sync"

	"golang.org/x/sync/errgroup"
)

// workers is how many directories are read at once.
const workers = 8

// errMoving: a directory disappeared between being listed and being opened.
var errMoving = errors.New("folders are being moved")

// Tree implements [vault.Vault]. It fails if it cannot read a directory or mark, because
// the contents would seem to have disappeared. It makes all earlier ids invalid.
func (s *Store) Tree(ctx context.Context) (sync.Tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var tree sync.Tree
	err := errMoving
	for range 3 { // a moved directory may be where we have already looked
		if errors.Is(err, errMoving) {
			tree, err = s.tree(ctx)
		}
	}
	if err != nil {
		return sync.Tree{}, fmt.Errorf("list folders below %s: %w", s.rootPath(), explain(err))
	}
	return tree, nil
}

func (s *Store) tree(ctx context.Context) (sync.Tree, error) {
	tree := sync.Tree{RootPath: s.rootPath()}
	if err := ctx.Err(); err != nil {
		return tree, err
	}
	known := newIndex()
	n, dir, err := s.openRoot(known, false)
	if errors.Is(err, fs.ErrNotExist) {
		s.known = known
		return tree, nil
	}
	if err != nil {
		return tree, err
	}

	var mu gosync.Mutex
	err = walk(ctx, dir, n, known.add, func(dir *os.Root, n *node, entries []fs.DirEntry) error {
		f, err := describe(dir, n, entries)
		mu.Lock()
		defer mu.Unlock()
		tree.Folders = append(tree.Folders, f)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), tempPrefix) {
				known.leftovers = append(known.leftovers, place{n, e.Name()})
			}
		}
		return err
	})
	if err != nil {
		return tree, err
	}
	slices.SortFunc(tree.Folders, func(a, b sync.Folder) int { return cmp.Compare(a.ID, b.ID) })
	i := slices.IndexFunc(tree.Folders, func(f sync.Folder) bool { return f.ID == n.id })
	tree.Root = tree.Folders[i]
	tree.Folders = slices.Delete(tree.Folders, i, i+1)
	s.known = known
	return tree, nil
}

// openRoot opens the root folder and adds it and the folders above it to known. If create
// is set, it makes the missing ones.
func (s *Store) openRoot(known *index, create bool) (*node, *os.Root, error) {
	n := known.top
	dir, err := s.dir.OpenRoot(".")
	if err != nil {
		return nil, nil, err
	}
	for _, name := range s.root {
		info, err := dir.Lstat(name)
		if create && errors.Is(err, fs.ErrNotExist) {
			if err = dir.Mkdir(name, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
				err = syncDir(dir)
			}
			if err == nil {
				info, err = dir.Lstat(name)
			}
		}
		var sub *os.Root
		if err == nil {
			sub, err = openDir(dir, name, info)
		}
		dir.Close()
		if err != nil {
			return nil, nil, err
		}
		n, dir = known.add(n, name, info), sub
	}
	return n, dir, nil
}

// isFolder reports whether an entry looks like a folder to people: a directory, or a link,
// which may lead to one.
func isFolder(e fs.DirEntry) bool {
	return !isHidden(e.Name()) && (e.IsDir() || e.Type()&fs.ModeSymlink != 0 && !isSecret(e.Name()))
}

func isHidden(name string) bool { return strings.HasPrefix(name, ".") }

// describe returns the folder of a directory with these entries. dir is nil for a link.
func describe(dir *os.Root, n *node, entries []fs.DirEntry) (sync.Folder, error) {
	marked, own := false, false
	for _, e := range entries {
		marked = marked || e.Name() == markFile
		own = own || slices.Contains(recipientFiles[:], e.Name()) && !e.IsDir()
	}
	f := sync.Folder{ID: n.id, ParentID: n.parent.id, Name: n.name, Inherits: !own}
	f.BadMark = dir == nil // cwvault writes nothing behind a link, so it must not be adopted
	if !marked {
		return f, nil
	}
	var err error
	f.Mark, err = readMark(dir)
	if errors.Is(err, errBadMark) {
		f.BadMark, err = true, nil
	}
	if err != nil {
		err = fmt.Errorf("read mark of %q: %w", n.path(), err)
	}
	return f, err
}

// look describes the folder of a directory.
func look(dir *os.Root, n *node) (sync.Folder, error) {
	entries, err := readDir(dir)
	if err != nil {
		return sync.Folder{}, err
	}
	return describe(dir, n, entries)
}

// visit is called for every folder of a walk, by several goroutines at once.
type visit func(dir *os.Root, n *node, entries []fs.DirEntry) error

// walk visits a folder and all folders below it, and closes the folder's directory. It
// calls add to get the node of each.
func walk(ctx context.Context, dir *os.Root, n *node, add func(*node, string, fs.FileInfo) *node, do visit) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	var down func(dir *os.Root, n *node) error
	down = func(dir *os.Root, n *node) error {
		defer dir.Close()
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := readDir(dir)
		if err == nil {
			err = do(dir, n, entries)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", n.path(), err)
		}
		for _, e := range entries {
			if !isFolder(e) {
				continue
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			child := add(n, e.Name(), info)
			if !e.IsDir() {
				if err := do(nil, child, nil); err != nil {
					return err
				}
				continue
			}
			below, err := openDir(dir, e.Name(), info)
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%w: %w", errMoving, err)
			}
			if err != nil {
				return fmt.Errorf("%q: %w", child.path(), err)
			}
			if !group.TryGo(sync.Recovered(func() error { return down(below, child) })) {
				if err := down(below, child); err != nil {
					return err
				}
			}
		}
		return nil
	}
	group.Go(sync.Recovered(func() error { return down(dir, n) }))
	return group.Wait()
}

func readDir(dir *os.Root) ([]fs.DirEntry, error) {
	f, err := dir.OpenFile(".", os.O_RDONLY|nonBlock, 0) // saves os the check whether a directory blocks
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

// Secrets counts the secrets in a folder and in all folders below it. Links count like
// files, because pass shows them as files. It does not follow linked directories.
func (s *Store) Secrets(ctx context.Context, folderID string) (int, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	count, err := s.secrets(ctx, folderID)
	if err != nil {
		return 0, fmt.Errorf("count secrets of folder %q: %w", folderID, explain(err))
	}
	return count, nil
}

func (s *Store) secrets(ctx context.Context, folderID string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	n, dir, err := s.openFolder(folderID)
	if err != nil {
		return 0, err
	}
	var count atomic.Int64
	nameless := func(parent *node, name string, _ fs.FileInfo) *node { return &node{parent: parent, name: name} }
	err = walk(ctx, dir, n, nameless, func(_ *os.Root, _ *node, entries []fs.DirEntry) error {
		for _, e := range entries {
			if !e.IsDir() && !isHidden(e.Name()) && isSecret(e.Name()) {
				count.Add(1)
			}
		}
		return nil
	})
	return int(count.Load()), err
}
