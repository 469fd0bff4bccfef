// Package passwordstore manages the folders of a password store, the directory tree of
// pass and gopass, as a [vault.Vault].
//
// A folder is a directory below the root folder. Directories whose names begin with a dot
// are invisible to people and to cwvault. The mark is a small file .cwvault in the
// directory. Secrets are the files NAME.gpg or NAME.age. The package counts them but
// never opens them.
//
// # Guarantees
//
//   - It follows no symbolic link, neither out of the store nor inside it. A link
//     appears in the tree as an unmanaged folder without children, because it takes a
//     name.
//   - It creates a directory with its mark in it, or not at all.
//   - It renames and moves a folder by one rename that refuses to replace. The only
//     exception: if the file system treats two spellings as the same name, a change
//     from one to the other takes two renames.
//   - It identifies a directory by its device and inode number, not by its path alone.
//     It does not touch a directory that has replaced another since the last Tree.
//   - A move never changes who can read the secrets. Only a holder of the keys could do
//     that. See [Config.Access].
//
// A call ends when its context does, between two requests to the file system. A single
// request that hangs, as on a network file system without its server, cannot be ended.
package passwordstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"syscall"

	"github.com/hashicorp/go-hclog"

	"cwvault/sync"
	"cwvault/vault"
)

// The values of [Config.Access]: what happens when a folder that inherits its recipients
// moves to a place with others.
const (
	Inherit  = "inherit"
	Preserve = "preserve"
	Hold     = "hold"
)

// Config says which store, and which folder of it.
type Config struct {
	// Dir is the store, a directory that exists. It may be a link; it is
	// resolved once, by Open.
	Dir string
	// Root is the path of the root folder below the store, such as \Clients,
	// with backslashes or slashes. It need not exist.
	Root string
	// Access is [Inherit] (also if empty), [Preserve] or [Hold]. Wherever a folder
	// moves, its secrets stay encrypted to their recipients; only a holder of the
	// keys can change that. So after a move to a place with other recipients, old
	// and new secrets would have different readers. Preserve copies the recipients
	// into the folder before it moves. The others refuse such a move with
	// [vault.ErrNotAllowed], even if it is approved.
	Access string
	// Logger gets warnings that fail no call. Nil: none.
	Logger hclog.Logger
}

// Store is a password store. It implements [vault.Vault].
type Store struct {
	log      hclog.Logger
	dir      *os.Root
	root     []string // names in the path from the store to the root folder
	preserve bool
	git      *repository // nil when the store is not under git

	// mu is locked for writing while folders move or are forgotten, and for reading
	// otherwise.
	mu gosync.RWMutex
	// known holds the folders that have ids.
	known *index
}

var _ vault.Vault = (*Store)(nil)

// Open opens the store. The error is a [sync.Problems] that lists each wrong field.
func Open(cfg Config) (*Store, error) {
	var problems sync.Problems
	root, err := splitRoot(cfg.Root)
	problems.Note("Root", err)
	if !slices.Contains([]string{"", Inherit, Preserve, Hold}, cfg.Access) {
		problems.Note("Access", fmt.Errorf("access %q: want %s, %s or %s", cfg.Access, Inherit, Preserve, Hold))
	}
	dir, err := openStore(cfg.Dir)
	if err != nil {
		problems.Note("Dir", fmt.Errorf("open password store \"%s\": %w", cfg.Dir, explain(err)))
	}
	if err := problems.Err(); err != nil {
		if dir != nil {
			dir.Close()
		}
		return nil, err
	}
	s := &Store{log: cfg.Logger, dir: dir, root: root, preserve: cfg.Access == Preserve, known: newIndex()}
	if s.log == nil {
		s.log = hclog.NewNullLogger()
	}
	s.git = s.findRepository()
	return s, nil
}

// splitRoot returns the names in the path from the store to the root folder.
func splitRoot(path string) ([]string, error) {
	names := strings.FieldsFunc(path, func(r rune) bool { return r == '\\' || r == '/' })
	for _, name := range names {
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("root folder \"%s\": %w", path, err)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("root folder \"%s\": must name a folder below the store", path)
	}
	return names, nil
}

// openStore opens the directory of a store. It follows links to it.
func openStore(dir string) (*os.Root, error) {
	if dir == "" {
		return nil, errors.New("no directory given")
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	return os.OpenRoot(path)
}

// Close releases the store's directory. No method may be called afterwards.
func (s *Store) Close() error { return s.dir.Close() }

// rootPath is the root folder's path with backslashes.
func (s *Store) rootPath() string { return `\` + strings.Join(s.root, `\`) }

// node is a folder with an id: its place and its identity on disk.
type node struct {
	id     string
	parent *node // nil for the store's own directory
	name   string
	info   fs.FileInfo // of the directory or link when it was found
}

// path is the node's current path from the store's directory, with slashes.
func (n *node) path() string {
	if n.parent == nil || n.parent.parent == nil {
		return n.name
	}
	return n.parent.path() + "/" + n.name
}

// depth is the number of folders from the store to the node.
func (n *node) depth() (depth int) {
	for ; n.parent != nil; n = n.parent {
		depth++
	}
	return depth
}

// index finds nodes. A directory has no id of its own, so its id is the path where it was
// first found. The id stays the same if the directory or its parents move.
type index struct {
	mu    gosync.Mutex
	top   *node // the store's own directory
	ids   map[string]*node
	paths map[place]*node
	// leftovers are files and directories that seem to be left by a crash.
	leftovers []place
}

type place struct {
	parent *node
	name   string
}

func newIndex() *index {
	return &index{top: &node{}, ids: map[string]*node{}, paths: map[place]*node{}}
}

// add returns the node of the directory found at this place.
func (x *index) add(parent *node, name string, info fs.FileInfo) *node {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := place{parent, name}
	if n := x.paths[at]; n != nil && os.SameFile(n.info, info) {
		return n
	}
	n := &node{parent: parent, name: name, info: info}
	n.id = n.path()
	for i := 2; x.ids[n.id] != nil; i++ { // the id of a folder that was here before
		n.id = n.path() + "//" + strconv.Itoa(i) // no path has an empty name in it
	}
	x.ids[n.id], x.paths[at] = n, n
	return n
}

// move records the node's new place.
func (x *index) move(n, parent *node, name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.paths, place{n.parent, n.name})
	n.parent, n.name = parent, name
	x.paths[place{parent, name}] = n
}

// find returns the node of a folder, which is the root or below it.
func (s *Store) find(id string) (*node, error) {
	s.known.mu.Lock()
	defer s.known.mu.Unlock()
	if n := s.known.ids[id]; n != nil && n.depth() >= len(s.root) {
		return n, nil
	}
	return nil, fmt.Errorf("%w: no folder has the id %q", vault.ErrNotFound, id)
}

// open opens the directory of a node. It fails with [vault.ErrNotFound] if another
// directory has replaced it.
func (s *Store) open(n *node) (*os.Root, error) {
	if n.parent == nil {
		return s.dir.OpenRoot(".")
	}
	parent, err := s.open(n.parent)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	info, err := parent.Lstat(n.name)
	if err != nil {
		return nil, err
	}
	if !os.SameFile(info, n.info) {
		return nil, fmt.Errorf("%w: %q is now another folder", vault.ErrNotFound, n.path())
	}
	return openDir(parent, n.name, info)
}

// openFolder opens the directory of the folder with this id.
func (s *Store) openFolder(id string) (*node, *os.Root, error) {
	n, err := s.find(id)
	if err != nil {
		return nil, nil, err
	}
	dir, err := s.open(n)
	return n, dir, err
}

// openDir opens a directory in parent that Lstat described. [os.Root] alone would follow a
// link inside the store.
func openDir(parent *os.Root, name string, info fs.FileInfo) (*os.Root, error) {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, fmt.Errorf("%w: %q is a symbolic link; cwvault does not follow links", vault.ErrInvalid, name)
	case !info.IsDir():
		return nil, fmt.Errorf("%w: %q is a file", vault.ErrNameTaken, name)
	}
	dir, err := parent.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	now, err := dir.Stat(".")
	if err == nil && !os.SameFile(info, now) {
		err = fmt.Errorf("%w: %q was replaced meanwhile", vault.ErrNotFound, name)
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

// explain gives an error of the file system its kind in package vault.
func explain(err error) error {
	for _, e := range []struct{ is, means error }{
		{syscall.EROFS, vault.ErrReadOnly},
		{fs.ErrPermission, vault.ErrNotAllowed},
		{fs.ErrNotExist, vault.ErrNotFound},
		{fs.ErrExist, vault.ErrNameTaken},
		{syscall.EINVAL, vault.ErrInvalid},
		{syscall.ENAMETOOLONG, vault.ErrInvalid},
		{syscall.EXDEV, vault.ErrInvalid}, // a mount point lies between
	} {
		if errors.Is(err, e.is) && !errors.Is(err, e.means) {
			return fmt.Errorf("%w: %w", e.means, err)
		}
	}
	return err
}
