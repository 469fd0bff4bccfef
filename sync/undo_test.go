package sync_test

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"cwvault/sync"
)

// doneSteps is what a journal would remember of a plan that was applied.
func doneSteps(p sync.Program) []sync.Done {
	var done []sync.Done
	for _, s := range p.Steps {
		switch s.Op {
		case sync.OpRename, sync.OpMove, sync.OpArchive:
			done = append(done, sync.Done{Key: s.Key, From: s.From, To: s.To})
		}
	}
	return done
}

// TestUndoRandomWorlds takes back the renames and moves of random runs: every
// folder is where it was, and undoing once more, or undoing nothing, is nothing.
func TestUndoRandomWorlds(t *testing.T) {
	undone, held := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			apply := func(p sync.Program) {
				for i, r := range sync.Apply(context.Background(), w.vault, p, 4, noRecord{}).Results {
					if r.Status != sync.StatusDone {
						t.Fatalf("%+v: %v\nplan %s", p.Steps[i], r.Err, planJSON(t, p))
					}
				}
			}
			before := w.vault.Snapshot()
			was := map[string]string{}
			for _, f := range before.Folders {
				was[f.ID] = w.vault.Path(f.ID)
			}
			p := w.plan(t, w.src, before)
			apply(p)
			undo := func() sync.Program {
				world := sync.World{Tenant: "acme", Vault: "mem:", Tree: w.vault.Snapshot()}
				plan, err := sync.Undo(world, testRules, doneSteps(p), "undo")
				if err != nil {
					t.Fatal(err)
				}
				return plan
			}
			u := undo()
			apply(u)
			undone += len(u.Steps)
			held += len(u.Held)
			stays := map[sync.Key]bool{}
			for _, h := range u.Held {
				stays[h.Key] = true
			}
			// A created folder may stand in an old place, and hold what went into
			// it; where nothing is held, everything is back.
			for _, f := range before.Folders {
				if len(u.Held) == 0 && w.vault.Path(f.ID) != was[f.ID] {
					t.Fatalf("%s is at %s, was at %s\nundo %s\nof %s", f.Mark, w.vault.Path(f.ID), was[f.ID], planJSON(t, u), planJSON(t, p))
				}
			}
			if again := undo(); len(again.Steps) > 0 {
				t.Fatalf("undoing again has steps: %s\nafter %s", planJSON(t, again), planJSON(t, u))
			}
			apply(w.plan(t, w.src, w.vault.Snapshot()))
			for range rapid.IntRange(1, 4).Draw(t, "edits") {
				w.edit(t)
			}
		}
	})
	t.Logf("%d steps undone, %d held", undone, held)
	if !testing.Short() && (undone == 0 || held == 0) {
		t.Error("the random worlds are too tame")
	}
}
