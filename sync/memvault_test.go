package sync_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	gosync "sync"

	"cwvault/sync"
	"cwvault/vault"
)

// memVault is a vault in memory that keeps the real ones' rules: no two
// siblings with the same folded name, nothing under itself, no unknown ids.
type memVault struct {
	mu      gosync.Mutex
	root    string
	last    int
	folders map[string]*sync.Folder
	secrets map[string][]string // by folder id
	calls   []string
	dead    bool                            // the process that uses it has died: it can do no more
	fault   func(call int, op string) fault // nil: none; op is such as "create Acme"
}

// fault is what goes wrong with one call.
type fault int

const (
	noFault           fault = iota
	faultRefused            // refused; nothing was done
	faultUnauthorized       // sign-in failed; nothing was done
	faultCut                // no answer; nothing was done
	faultLost               // no answer; it was done
	faultHalfLost           // no answer; create: made and not marked
	faultNoMark             // create: made and not marked, and the answer says so
	faultStopped            // the process dies before the call
	faultDied               // the process dies after the call
	faultHalfDied           // create: the process dies between making and marking
)

var (
	errRefused = errors.New("the vault says no")
	errDead    = errors.New("the process is dead")
)

func newMemVault() *memVault {
	return &memVault{root: "root", folders: map[string]*sync.Folder{}, secrets: map[string][]string{}}
}

// clone returns a vault in the same state, without faults.
func (v *memVault) clone() *memVault {
	c := newMemVault()
	c.root, c.last, c.secrets = v.root, v.last, maps.Clone(v.secrets)
	for id, f := range v.folders {
		copied := *f
		c.folders[id] = &copied
	}
	return c
}

func (v *memVault) tree() sync.Tree {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := sync.Tree{Root: sync.Folder{ID: v.root}, RootPath: `\Clients`}
	for _, id := range slices.Sorted(maps.Keys(v.folders)) {
		t.Folders = append(t.Folders, *v.folders[id])
	}
	return t
}

// add makes a folder behind cwvault's back.
func (v *memVault) add(parent, name string, m sync.Mark) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.make(parent, name, m).ID
}

func (v *memVault) make(parent, name string, m sync.Mark) *sync.Folder {
	v.last++
	f := &sync.Folder{ID: strconv.Itoa(v.last), ParentID: parent, Name: name, Mark: m, Inherits: true}
	v.folders[f.ID] = f
	return f
}

// remove deletes a folder with all that is in it, as only a person does.
func (v *memVault) remove(id string) {
	delete(v.folders, id)
	delete(v.secrets, id)
	for _, f := range v.tree().Folders {
		if f.ParentID == id {
			v.remove(f.ID)
		}
	}
}

func (v *memVault) path(id string) string {
	if f, ok := v.folders[id]; ok {
		return v.path(f.ParentID) + `\` + f.Name
	}
	return `\Clients`
}

// at returns the id of the folder with this path, or nothing.
func (v *memVault) at(path string) string {
	if path == `\Clients` {
		return v.root
	}
	for id := range v.folders {
		if v.path(id) == path {
			return id
		}
	}
	return ""
}

func (v *memVault) child(parent, name, except string) *sync.Folder {
	for _, f := range v.folders {
		if f.ParentID == parent && f.ID != except && vault.Fold(f.Name) == vault.Fold(name) {
			return f
		}
	}
	return nil
}

// call runs one request with the fault that is due.
func (v *memVault) call(op string, do func(f fault) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.dead {
		return errDead
	}
	v.calls = append(v.calls, op)
	f := noFault
	if v.fault != nil {
		f = v.fault(len(v.calls), op)
	}
	switch f {
	case faultRefused:
		return errRefused
	case faultUnauthorized:
		return fmt.Errorf("%s: %w", op, sync.ErrUnauthorized)
	case faultCut:
		return fmt.Errorf("%s: %w", op, sync.ErrUnanswered)
	case faultStopped:
		v.dead = true
		return errDead
	}
	err := do(f)
	switch f {
	case faultLost, faultHalfLost:
		return fmt.Errorf("%s: %w", op, sync.ErrUnanswered)
	case faultDied, faultHalfDied:
		v.dead = true
		return errDead
	}
	return err
}

func (v *memVault) CreateRoot(context.Context) (sync.Folder, error) {
	err := v.call("create root", func(fault) error { v.root = "root"; return nil })
	return sync.Folder{ID: v.root}, err
}

func (v *memVault) Create(_ context.Context, parent, name string, m sync.Mark) (made sync.Folder, err error) {
	err = v.call("create "+name, func(f fault) error {
		if _, ok := v.folders[parent]; !ok && parent != v.root {
			return fmt.Errorf("create below %q: %w", parent, vault.ErrNotFound)
		}
		if v.child(parent, name, "") != nil {
			return fmt.Errorf("create %q: %w", name, vault.ErrNameTaken)
		}
		switch f {
		case faultHalfLost, faultHalfDied:
			v.make(parent, name, sync.Mark{})
		case faultLost, faultDied:
			v.make(parent, name, m)
		case faultNoMark:
			made = *v.make(parent, name, sync.Mark{})
			return errRefused
		default:
			made = *v.make(parent, name, m)
		}
		return nil
	})
	return made, err
}

func (v *memVault) Update(_ context.Context, id, parent, name string) (moved sync.Folder, err error) {
	err = v.call("update "+name, func(fault) error {
		f, ok := v.folders[id]
		if !ok {
			return fmt.Errorf("update %q: %w", id, vault.ErrNotFound)
		}
		if _, ok := v.folders[parent]; !ok && parent != v.root {
			return fmt.Errorf("update below %q: %w", parent, vault.ErrNotFound)
		}
		if v.child(parent, name, id) != nil {
			return fmt.Errorf("update to %q: %w", name, vault.ErrNameTaken)
		}
		for up := parent; up != v.root; up = v.folders[up].ParentID {
			if up == id {
				return fmt.Errorf("update %q under itself: %w", id, vault.ErrInvalid)
			}
		}
		f.ParentID, f.Name = parent, name
		moved = *f
		return nil
	})
	return moved, err
}

func (v *memVault) Mark(_ context.Context, id string, m sync.Mark) error {
	return v.call("mark "+string(m.Key), func(fault) error {
		f, ok := v.folders[id]
		if !ok {
			return fmt.Errorf("mark %q: %w", id, vault.ErrNotFound)
		}
		f.Mark, f.BadMark = m, false
		return nil
	})
}

func (v *memVault) Find(_ context.Context, parent, name string) (found sync.Folder, err error) {
	err = v.call("find "+name, func(fault) error {
		f := v.child(parent, name, "")
		if f == nil {
			return fmt.Errorf("find %q: %w", name, vault.ErrNotFound)
		}
		found = *f
		return nil
	})
	return found, err
}

// memJournal is what the real journal does for the core: it keeps the intents
// of creates until their end is known, and learns places when a run is over.
type memJournal struct {
	mu         gosync.Mutex
	vault      *memVault // when it is dead, so is the process
	known      map[sync.Key]sync.Place
	unfinished map[sync.Key]sync.Place
}

func newMemJournal(v *memVault) *memJournal {
	return &memJournal{vault: v, known: map[sync.Key]sync.Place{}, unfinished: map[sync.Key]sync.Place{}}
}

func (j *memJournal) clone(v *memVault) *memJournal {
	return &memJournal{vault: v, known: maps.Clone(j.known), unfinished: maps.Clone(j.unfinished)}
}

// write does something unless the process is dead.
func (j *memJournal) write(do func()) error {
	j.vault.mu.Lock()
	dead := j.vault.dead
	j.vault.mu.Unlock()
	if dead {
		return errDead
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	do()
	return nil
}

func (j *memJournal) Begin(_ context.Context, _ int, s sync.Step, to sync.Place) error {
	return j.write(func() {
		if s.Op == sync.OpCreate && s.Key != sync.RootKey {
			j.unfinished[s.Key] = to
		}
	})
}

func (j *memJournal) End(_ context.Context, _ int, s sync.Step, _ sync.Place, r sync.Result) error {
	return j.write(func() {
		if !r.Unsettled && r.Status != sync.StatusSkipped {
			delete(j.unfinished, s.Key)
		}
	})
}

// close is the end of a run.
func (j *memJournal) close(p sync.Program, r sync.Report) {
	_ = j.write(func() { // a dead process does not come here
		for _, k := range p.Learned() {
			j.known[k.Key] = k.Place
		}
		for i, s := range p.Steps {
			if r.Results[i].Status == sync.StatusDone {
				j.known[s.Key] = p.Place(i)
				delete(j.unfinished, s.Key)
			}
		}
	})
}

// noRecord is a Recorder that keeps nothing.
type noRecord struct{}

func (noRecord) Begin(context.Context, int, sync.Step, sync.Place) error            { return nil }
func (noRecord) End(context.Context, int, sync.Step, sync.Place, sync.Result) error { return nil }
