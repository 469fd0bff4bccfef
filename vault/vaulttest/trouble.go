package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	gosync "sync"

	"cwvault/sync"
	"cwvault/vault"
)

// What people do between a reading and a call may make the call fail, never
// hit another folder.
func testByHand(w *world) {
	root := w.root()
	a := w.create(root, "A", mark(1))
	b := w.create(root, "B", mark(2))
	c := w.create(root, "C", mark(3))
	w.PutSecret(w.T, "A", "router", "of A")
	w.PutSecret(w.T, "B", "router", "of B")
	w.MoveFolder(w.T, "A", "via")
	w.MoveFolder(w.T, "B", "A")
	w.MoveFolder(w.T, "via", "B")
	w.MoveFolder(w.T, "C", `A\C`)

	// hit says where the folder of a call must be now, if the call succeeded.
	hit := func(what string, before state, err error, path string, m sync.Mark) {
		w.Helper()
		if err != nil {
			w.fails(what, err, vault.ErrNotFound)
			w.same(before)
		} else if got := w.look().Folders[path].Mark; got != m {
			w.Errorf("%s hit the folder with the mark %q, want %q", what, got, m)
		}
	}
	before := w.look()
	_, err := w.Vault.Update(w.ctx, a.ID, root, "A 2")
	hit("Update after a swap by hand", before, err, "A 2", mark(1))

	before = w.look()
	_, err = w.Vault.Create(w.ctx, b.ID, "New", mark(4))
	at := "" // A, where B is now
	for path, f := range before.Folders {
		if f.Mark == mark(2) {
			at = path
		}
	}
	hit("Create below a folder swapped by hand", before, err, at+`\New`, mark(4))

	before = w.look()
	err = w.Vault.Mark(w.ctx, b.ID, mark(5))
	hit("Mark after a swap by hand", before, err, at, mark(5))

	before = w.look()
	_, err = w.Vault.Update(w.ctx, c.ID, root, "C")
	hit("Update of a folder moved by hand", before, err, "C", mark(3))

	w.lookAgain()
}

// lookAgain sees that after the next reading of the tree all is well with the
// folder that is marked as company 1.
func (w *world) lookAgain() {
	w.Helper()
	tree := Paths(w.ctx, w.T, w.Vault)
	found := 0
	for path, f := range tree {
		if f.Mark == mark(1) {
			found++
			w.update(f.ID, tree[""].ID, "Acme")
			w.PutSecret(w.T, "Acme", "switch", "of A")
			if _, err := w.Vault.Create(w.ctx, f.ID, "Inside", mark(5)); err != nil {
				w.Errorf("Create below %q: %v", path, err)
			}
		}
	}
	if found != 1 {
		w.Errorf("%d folders with the mark of A", found)
	}
	if got := w.look(); got.Secrets[`Acme\switch`] != "of A" || got.Secrets[`Acme\router`] != "of A" {
		w.Errorf("secrets are now %v", got.Secrets)
	}
}

func testConcurrent(w *world) {
	const workers, each = 16, 6
	root := w.root()
	shared := w.create(root, "Shared", mark(1))
	w.create(root, "Contested", mark(2))
	groups := [2]string{w.create(root, "Left", mark(3)).ID, w.create(root, "Right", mark(4)).ID}

	var wg gosync.WaitGroup
	won := make([]bool, workers)
	for n := range workers {
		wg.Go(func() {
			for i := range each {
				w.makeAndMove(n, i, shared.ID, groups[i%2])
				if n == 0 { // parents move about meanwhile
					if _, err := w.Vault.Update(w.ctx, shared.ID, root, fmt.Sprintf("Shared %d", i)); err != nil {
						w.Errorf("Update(Shared): %v", err)
					}
				}
			}
			_, err := w.Vault.Create(w.ctx, root, "Race", mark(500000+n))
			if won[n] = err == nil; !won[n] && !errors.Is(err, vault.ErrNameTaken) {
				w.Errorf("Create of one name by all: %v", err)
			}
		})
	}
	wg.Wait()

	winner := slices.Index(won, true)
	if winner < 0 || slices.Contains(won[winner+1:], true) {
		w.Fatalf("who made the folder that all wanted: %v, want exactly one", won)
	}
	want := map[string]sync.Mark{
		fmt.Sprintf("Shared %d", each-1): mark(1), "Contested": mark(2), "Left": mark(3), "Right": mark(4), "Race": mark(500000 + winner),
	}
	for n := range workers {
		for i := range each {
			want[fmt.Sprintf(`%s\Company %d-%d, Inc.`, [2]string{"Left", "Right"}[i%2], n, i)] = mark(1000*n + i + 11)
		}
	}
	w.want(want, nil)
	w.allOntoOneName(workers, want)
}

// makeAndMove makes a folder, moves it to a group, marks it anew and finds it.
func (w *world) makeAndMove(n, i int, from, to string) {
	name := fmt.Sprintf("Company %d-%d", n, i)
	f, err := w.Vault.Create(w.ctx, from, name, mark(1000*n+i+10))
	if err != nil {
		w.Errorf("Create(%q): %v", name, err)
		return
	}
	if _, err := w.Vault.Update(w.ctx, f.ID, to, name+", Inc."); err != nil {
		w.Errorf("Update(%q): %v", name, err)
	}
	if err := w.Vault.Mark(w.ctx, f.ID, mark(1000*n+i+11)); err != nil {
		w.Errorf("Mark(%q): %v", name, err)
	}
	if got, err := w.Vault.Find(w.ctx, to, name+", Inc."); err != nil || got.ID != f.ID {
		w.Errorf("Find(%q) = %+v, %v", name, got, err)
	}
}

// allOntoOneName moves different folders onto one name at once: one gets there.
// The store holds the folders in want beforehand.
func (w *world) allOntoOneName(workers int, want map[string]sync.Mark) {
	tree := Paths(w.ctx, w.T, w.Vault)
	before := len(want)
	errs := make([]error, workers)
	var wg gosync.WaitGroup
	for n := range workers {
		id := tree[fmt.Sprintf(`Left\Company %d-0, Inc.`, n)].ID
		wg.Go(func() { _, errs[n] = w.Vault.Update(w.ctx, id, tree["Right"].ID, "Goal") })
	}
	wg.Wait()
	got := 0
	for n, err := range errs {
		path := fmt.Sprintf(`Left\Company %d-0, Inc.`, n)
		if err == nil {
			got++
			want[`Right\Goal`] = want[path]
			delete(want, path)
		} else {
			w.fails("Update onto one name by all", err, vault.ErrNameTaken)
		}
	}
	if got != 1 || len(want) != before {
		w.Errorf("%v, want exactly one to get the name", errs)
	}
	w.want(want, nil)
}

// calls are one call of each kind, made on the folders that setUp made.
func (w *world) calls() (writes, reads map[string]func(context.Context) error) {
	root := w.root()
	a := w.create(root, "A", mark(1))
	b := w.create(root, "B", mark(2))
	w.PutSecret(w.T, "A", "router", "s3cret")
	discard := func(_ sync.Folder, err error) error { return err }
	v := w.Vault
	writes = map[string]func(context.Context) error{
		"Create": func(ctx context.Context) error { return discard(v.Create(ctx, b.ID, "New", mark(9))) },
		"Rename": func(ctx context.Context) error { return discard(v.Update(ctx, a.ID, root, "A 2")) },
		"Move":   func(ctx context.Context) error { return discard(v.Update(ctx, a.ID, b.ID, "A")) },
		"Mark":   func(ctx context.Context) error { return v.Mark(ctx, b.ID, mark(9)) },
	}
	reads = map[string]func(context.Context) error{
		"Find": func(ctx context.Context) error { return discard(v.Find(ctx, root, "A")) },
		"Tree": func(ctx context.Context) error { _, err := v.Tree(ctx); return err },
	}
	return writes, reads
}

func testCancelled(w *world) {
	cancelled, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.Vault.CreateRoot(cancelled); !errors.Is(err, context.Canceled) {
		w.Errorf("CreateRoot: error %v, want %v", err, context.Canceled)
	}
	if paths := Paths(w.ctx, w.T, w.Reopen(w.T)); paths != nil {
		w.Errorf("a cancelled CreateRoot made the root")
	}
	writes, reads := w.calls()
	maps.Copy(writes, reads)
	before := w.look()
	for _, name := range slices.Sorted(maps.Keys(writes)) {
		w.fails(name, writes[name](cancelled), context.Canceled)
	}
	w.same(before)
}

func testFaults(w *world) {
	if len(w.Faults) == 0 {
		w.Skip("this vault has no fault switches")
	}
	writes, reads := w.calls()
	before := w.look()
	for _, fault := range w.Faults {
		fault.On(w.T)
		for _, name := range slices.Sorted(maps.Keys(writes)) {
			w.fails(name+" when "+fault.Name, writes[name](w.ctx), fault.Want)
		}
		for _, name := range slices.Sorted(maps.Keys(reads)) {
			err := reads[name](w.ctx)
			if fault.Reads {
				w.fails(name+" when "+fault.Name, err, fault.Want)
			} else if err != nil {
				w.Errorf("%s when %s: %v", name, fault.Name, err)
			}
		}
		fault.Off(w.T)
		w.same(before)
	}
	for _, name := range []string{"Create", "Mark", "Rename"} { // ids outlive the faults
		if err := writes[name](w.ctx); err != nil {
			w.Errorf("%s after the faults: %v", name, err)
		}
	}
}

func testLostAnswer(w *world) {
	if w.LoseAnswer == nil {
		return // a vault whose answers cannot be lost has nothing to show here
	}
	root := w.root()
	a := w.create(root, "A", mark(1))

	w.LoseAnswer(w.T)
	_, err := w.Vault.Create(w.ctx, root, "New", mark(2))
	w.fails("Create", err, vault.ErrUnanswered)
	f, err := w.Vault.Find(w.ctx, root, "New")
	if err != nil {
		w.Fatalf("Find after a lost answer: %v", err)
	}
	if err := w.Vault.Mark(w.ctx, f.ID, mark(2)); err != nil { // the mark may be another request
		w.Errorf("Mark after a lost answer: %v", err)
	}

	w.LoseAnswer(w.T)
	_, err = w.Vault.Update(w.ctx, a.ID, root, "A 2")
	w.fails("Update", err, vault.ErrUnanswered)
	w.update(a.ID, root, "A 2") // the id is still good
	w.want(map[string]sync.Mark{"A 2": mark(1), "New": mark(2)}, nil)
}
