package vaulttest

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	gosync "sync"

	"cwvault/sync"
	"cwvault/sync/synctest"
	"cwvault/vault"
)

// RootPath is the path of the root of every [Memory].
const RootPath = `\Clients`

// Memory is a vault in memory, for tests of what uses a vault. It passes the
// [Suite]: names ignore case, nothing gets under itself, unknown ids are
// refused. It has ids of its own, which never change: the root's is "root", and
// folders are numbered from 1 in the order in which they are made.
//
// The methods with a context are the vault. All else, the fields included, is
// what a test does and sees behind the back of the code under test: only while
// no call is under way, or in Fail.
type Memory struct {
	// Tenant is the one whose marks drawings show without its name.
	Tenant string
	// Root is the id of the root, empty while it does not exist.
	Root string
	// Folders are all but the root, by id.
	Folders map[string]*sync.Folder
	// Contents are the secrets of each folder, values by name.
	Contents map[string]map[string]string
	// Readers are who can see the folders that do not inherit, and the root.
	Readers map[string][]string
	// Calls are the calls so far, such as "create Acme" or "tree".
	Calls []string
	// Commits are the lines that Commit was called with.
	Commits []string
	// Fail says what goes wrong with a call, which is the nth, from 1; nil:
	// nothing ever.
	Fail func(n int, call string) Failure
	// Dead: the process that uses the vault has died and can do no more.
	Dead bool

	mu   gosync.Mutex
	last int
}

// Failure is what goes wrong with one call.
type Failure int

const (
	NoFailure        Failure = iota
	FailRefused              // refused; nothing was done
	FailUnauthorized         // sign-in failed; nothing was done
	FailReadOnly             // the vault takes no changes; nothing was done
	FailUnavailable          // the vault cannot be reached; nothing was done
	FailCut                  // no answer; nothing was done
	FailLost                 // no answer; it was done
	FailHalfLost             // no answer; a folder was made and not marked
	FailNoMark               // a folder was made and not marked, and the answer says so
	FailStopped              // the process dies before the call
	FailDied                 // the process dies after the call
	FailHalfDied             // the process dies between making a folder and marking it
)

var (
	// ErrRefused is the answer to a call with [FailRefused].
	ErrRefused = errors.New("the vault says no")
	// ErrDead is what a dead process gets.
	ErrDead = errors.New("the process is dead")
)

// NewMemory returns an empty vault, of which not even the root exists.
func NewMemory(tenant string) *Memory {
	return &Memory{
		Tenant: tenant, Folders: map[string]*sync.Folder{}, Contents: map[string]map[string]string{}, Readers: map[string][]string{},
	}
}

// DrawnMemory returns a vault that holds what is drawn, below its root.
func DrawnMemory(tenant string, top *synctest.Folder) *Memory {
	m := NewMemory(tenant)
	m.Root = "root"
	m.fill(m.Root, top)
	return m
}

func (m *Memory) fill(id string, drawn *synctest.Folder) {
	for _, name := range drawn.Secrets {
		m.PutSecret(id, name, "value of "+name)
	}
	for _, d := range drawn.Folders {
		f := m.Make(id, d.Name, synctest.Of(m.Tenant, d.Mark))
		f.BadMark, f.Inherits = d.BadMark, !d.Own
		if len(d.Readers) > 0 {
			m.Readers[f.ID] = d.Readers
		}
		m.fill(f.ID, d)
	}
}

// Drawing draws what is below the root.
func (m *Memory) Drawing() *synctest.Folder {
	at := map[string]*synctest.Folder{m.Root: {}}
	for id, f := range m.Folders {
		at[id] = &synctest.Folder{
			Name: f.Name, Mark: synctest.WithoutTenant(m.Tenant, f.Mark), BadMark: f.BadMark, Own: !f.Inherits, Readers: m.Readers[id],
		}
	}
	for id, d := range at {
		d.Secrets = slices.Sorted(maps.Keys(m.Contents[id]))
	}
	for _, id := range slices.Sorted(maps.Keys(m.Folders)) {
		above := at[m.Folders[id].ParentID]
		above.Folders = append(above.Folders, at[id])
	}
	return at[m.Root]
}

// String draws what is below the root, as text.
func (m *Memory) String() string { return m.Drawing().String() }

// Clone returns a vault in the same state, without failures and calls.
func (m *Memory) Clone() *Memory {
	c := NewMemory(m.Tenant)
	c.Root, c.last, c.Contents, c.Readers = m.Root, m.last, maps.Clone(m.Contents), maps.Clone(m.Readers)
	for id, f := range m.Folders {
		copied := *f
		c.Folders[id] = &copied
	}
	return c
}

// Snapshot is the tree that Tree returns, without a call.
func (m *Memory) Snapshot() sync.Tree {
	t := sync.Tree{RootPath: RootPath}
	if m.Root == "" {
		return t
	}
	t.Root = sync.Folder{ID: m.Root, Name: strings.TrimPrefix(RootPath, `\`)}
	for _, id := range slices.Sorted(maps.Keys(m.Folders)) {
		t.Folders = append(t.Folders, *m.Folders[id])
	}
	return t
}

// Make makes a folder that inherits, whatever else has the name.
func (m *Memory) Make(parentID, name string, mark sync.Mark) *sync.Folder {
	m.last++
	f := &sync.Folder{ID: strconv.Itoa(m.last), ParentID: parentID, Name: name, Mark: mark, Inherits: true}
	m.Folders[f.ID] = f
	return f
}

// Remove deletes a folder with all that is in it, as only a person does.
func (m *Memory) Remove(id string) {
	delete(m.Folders, id)
	delete(m.Contents, id)
	for _, f := range m.Snapshot().Folders {
		if f.ParentID == id {
			m.Remove(f.ID)
		}
	}
}

// PutSecret puts a secret into a folder, in place of one of that name.
func (m *Memory) PutSecret(id, name, value string) {
	c := maps.Clone(m.Contents[id]) // others may have cloned Contents
	if c == nil {
		c = map[string]string{}
	}
	c[name] = value
	m.Contents[id] = c
}

// Path returns the path of a folder, such as \Clients\Customer.
func (m *Memory) Path(id string) string {
	path := ""
	for range m.Folders { // a bug may have made a circle
		if f := m.Folders[id]; f != nil {
			path, id = `\`+f.Name+path, f.ParentID
		}
	}
	return RootPath + path
}

// At returns the id of the folder with this path, or nothing.
func (m *Memory) At(path string) string {
	if path == RootPath {
		return m.Root
	}
	for id := range m.Folders {
		if m.Path(id) == path {
			return id
		}
	}
	return ""
}

// Child returns the folder of this name in a folder, if that is not the one with
// the id except; nil if there is none. Names are compared as the vault does.
func (m *Memory) Child(parentID, name, except string) *sync.Folder {
	for _, f := range m.Folders {
		if f.ParentID == parentID && f.ID != except && vault.Fold(f.Name) == vault.Fold(name) {
			return f
		}
	}
	return nil
}

// Marked returns the folder with our own mark for a key; nil if there is none.
func (m *Memory) Marked(k sync.Key) *sync.Folder {
	for _, f := range m.Folders {
		if f.Mark == (sync.Mark{Tenant: m.Tenant, Key: k}) {
			return f
		}
	}
	return nil
}

// IsDead reports whether the process that uses the vault has died. Unlike Dead
// it may be asked at any time.
func (m *Memory) IsDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Dead
}
