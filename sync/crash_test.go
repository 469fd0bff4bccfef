package sync_test

import (
	"context"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cwvault/sync"
)

// TestMain lets rapid try more than its usual hundred worlds for each property,
// unless the command line says how many.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given && !testing.Short() {
		checks := "1500"
		if raceDetector {
			checks = "500"
		}
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// settled draws a world that has been synchronized at least once and then
// changed, so that its next plan has steps of every kind.
func settled(t *rapid.T) *testWorld {
	w := drawWorld(t)
	w.settings.KeepDrift = rapid.Bool().Draw(t, "keep drift")
	for range rapid.IntRange(0, 2).Draw(t, "runs before") {
		w.apply(w.plan(t, w.src, w.vault.Snapshot()), 1)
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			w.edit(t)
		}
	}
	return w
}

// finish makes a run without faults and compares what comes out with the vault
// that a run without any fault would have left.
func (w *testWorld) finish(t *rapid.T, after string, want *memVault) {
	p := w.plan(t, w.src, w.vault.Snapshot())
	r := w.apply(p, 1)
	if r.Count(sync.StatusDone) != len(p.Steps) {
		t.Fatalf("after %s the next run does not end well:\n%s%s", after, writePlan(p.Plan), results(p, r))
	}
	if got := w.vault.String(); got != want.String() {
		t.Fatalf("after %s (-want +got):\n%s\nthe last plan:\n%s", after, cmp.Diff(want.String(), got), writePlan(p.Plan))
	}
	if again := w.plan(t, w.src, w.vault.Snapshot()); !again.Empty() {
		t.Fatalf("after %s and another run there are still steps:\n%s", after, writePlan(again.Plan))
	}
	if len(w.journal.unfinished) > 0 {
		for key := range w.journal.unfinished {
			if f := w.vault.Marked(key); f == nil {
				t.Fatalf("after %s the intent for %s stays open", after, key)
			}
		}
	}
}

// TestCrashAtEveryCall kills the process before, after and half-way through
// every call of a run. The next run ends with the vault that an undisturbed one
// leaves: the wanted tree, nothing twice, nothing unmarked, nothing lost.
func TestCrashAtEveryCall(t *testing.T) {
	boundaries, unmarked, vias := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := settled(t)
		p := w.plan(t, w.src, w.vault.Snapshot())
		if p.Empty() {
			return
		}
		clean := w.clone()
		clean.apply(p, 1)
		for call := 1; call <= len(clean.vault.Calls); call++ {
			for _, f := range []fault{faultStopped, faultDied, faultHalfDied} {
				if f == faultHalfDied && !strings.HasPrefix(clean.vault.Calls[call-1], "create ") {
					continue
				}
				boundaries++
				crashed := w.clone()
				crashed.vault.Fail = func(n int, _ string) fault {
					if n == call {
						return f
					}
					return noFault
				}
				crashed.apply(p, 1)
				if !crashed.vault.Dead {
					t.Fatalf("call %d of %d was never made", call, len(clean.vault.Calls))
				}
				crashed.vault.Dead, crashed.vault.Fail = false, nil
				for key := range crashed.journal.unfinished {
					if crashed.vault.Marked(key) == nil && f == faultHalfDied {
						unmarked++
					}
				}
				if strings.Contains(clean.vault.Calls[call-1], "(moving") && f == faultDied {
					vias++
				}
				crashed.finish(t, "a crash at "+clean.vault.Calls[call-1], clean.vault)
			}
		}
	})
	t.Logf("%d boundaries tried; %d folders were made and not marked, %d were left at a temporary name", boundaries, unmarked, vias)
	if !testing.Short() && (boundaries == 0 || unmarked == 0 || vias == 0) {
		t.Error("the random worlds are too tame")
	}
}

// TestCrashAmongWorkers is the same with eight workers and one crash a world.
func TestCrashAmongWorkers(t *testing.T) {
	boundaries := 0
	rapid.Check(t, func(t *rapid.T) {
		w := settled(t)
		p := w.plan(t, w.src, w.vault.Snapshot())
		clean := w.clone()
		clean.apply(p, 1)
		if p.Empty() {
			return
		}
		boundaries++
		call := rapid.IntRange(1, len(clean.vault.Calls)).Draw(t, "call")
		f := rapid.SampledFrom([]fault{faultStopped, faultDied, faultHalfDied}).Draw(t, "fault")
		w.vault.Fail = func(n int, _ string) fault {
			if n == call {
				return f
			}
			return noFault
		}
		w.apply(p, 8)
		w.vault.Dead, w.vault.Fail = false, nil
		w.finish(t, "a crash among workers", clean.vault)
	})
	t.Logf("%d boundaries tried", boundaries)
	if !testing.Short() && (boundaries == 0) {
		t.Error("the random worlds are too tame")
	}
}

// TestRandomFaults lets calls fail at random. What was reported as done is done,
// and a run without faults finishes the work.
func TestRandomFaults(t *testing.T) {
	met := map[fault]int{}
	partial := 0
	rapid.Check(t, func(t *rapid.T) {
		w := settled(t)
		p := w.plan(t, w.src, w.vault.Snapshot())
		clean := w.clone()
		clean.apply(p, 1)
		before, secrets := w.vault.Snapshot(), maps.Clone(w.vault.Contents)

		due := rapid.SliceOfN(rapid.SampledFrom([]fault{noFault, noFault, noFault, faultRefused, faultCut, faultLost, faultHalfLost, faultNoMark}), 1, 30).Draw(t, "faults")
		w.vault.Fail = func(n int, op string) fault {
			f := due[n%len(due)]
			if (f == faultNoMark || f == faultHalfLost) && !strings.HasPrefix(op, "create ") {
				f = faultCut
			}
			met[f]++
			return f
		}
		r := w.apply(p, rapid.SampledFrom([]int{1, 8}).Draw(t, "workers"))
		w.vault.Fail = nil
		for i, s := range p.Steps {
			switch f := w.vault.Marked(s.Key); {
			case r.Results[i].Status == sync.StatusDone && s.Key != sync.RootKey && (f == nil || f.Name != p.Place(i).Name):
				t.Fatalf("step %s %s is said to be done, and the folder is %+v", s.Op, s.Key, f)
			case r.Results[i].Status != sync.StatusDone && r.Results[i].Err == nil:
				t.Fatalf("step %s %s is %q without a reason", s.Op, s.Key, r.Results[i].Status)
			}
		}
		checkUntouched(t, before, secrets, w.vault)
		if d := r.Count(sync.StatusDone); d > 0 && d < len(p.Steps) {
			partial++
		}
		w.finish(t, "random faults", clean.vault)
	})
	t.Logf("faults met: %v; %d runs partial", met, partial)
	for _, f := range []fault{faultRefused, faultCut, faultLost, faultHalfLost, faultNoMark} {
		if met[f] == 0 {
			t.Errorf("fault %d was never met", f)
		}
	}
	if partial == 0 {
		t.Error("no run was partial")
	}
}

// TestDrift lets a person move, rename and delete folders of a good tree. What
// was moved is put back, what is missing is held and not made again; with keep
// nothing is touched at all.
func TestDrift(t *testing.T) {
	moved, missing, whole := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		w.settings.Missing = "Unsorted" // so that every company has its place
		w.vault = newMemVault()
		w.journal = newMemJournal(w.vault)
		w.apply(w.plan(t, w.src, w.vault.Snapshot()), 1)
		w.journal.close(w.plan(t, w.src, w.vault.Snapshot()), sync.Report{}) // learns nothing new
		good := map[sync.Key]string{}
		for id, f := range w.vault.Folders {
			good[f.Mark.Key] = w.vault.Path(id)
		}
		for range rapid.IntRange(1, 5).Draw(t, "hands") {
			ids := slices.Sorted(maps.Keys(w.vault.Folders))
			if len(ids) == 0 {
				break
			}
			id := rapid.SampledFrom(ids).Draw(t, "folder")
			if rapid.IntRange(0, 5).Draw(t, "delete") == 0 {
				w.vault.Remove(id)
				continue
			}
			name := w.vault.Folders[id].Name
			if n := testRules.Clean(rapid.SampledFrom(names).Draw(t, "name")); n != "" && !strings.Contains(n, "(moving") {
				name = n
			}
			// May be refused, as in life.
			_, _ = w.vault.Update(context.Background(), id, rapid.SampledFrom(append(ids, w.vault.Root)).Draw(t, "to"), name)
		}
		w.vault.Calls = nil

		gone := map[sync.Key]bool{}
		for key := range good {
			if w.vault.Marked(key) == nil {
				gone[key] = true
				missing++
			}
		}
		if len(gone) == 0 {
			whole++
		}
		keeping := w.clone()
		keeping.settings.KeepDrift = true
		if p := keeping.plan(t, w.src, w.vault.Snapshot()); !p.Empty() {
			t.Fatalf("drift is to be kept, and the plan is\n%s", writePlan(p.Plan))
		}

		p := w.plan(t, w.src, w.vault.Snapshot())
		held := map[sync.Key]sync.HoldCode{}
		for _, h := range p.Held {
			held[h.Key] = h.Code
		}
		for _, s := range p.Steps {
			if s.Op == sync.OpCreate || len(gone) == 0 && !strings.Contains(s.Reason, "a person moved or renamed the folder") {
				t.Fatalf("%s of %s: %s", s.Op, s.Key, s.Reason)
			}
			moved++
		}
		w.apply(p, 1)
		for key, path := range good {
			f := w.vault.Marked(key)
			switch {
			case gone[key]:
				if f != nil || held[key] != sync.HeldFolderMissing && !(key.IsGroup() && len(wantedIn(w, key)) == 0) {
					t.Fatalf("%s has disappeared: it is %+v now, held as %q\n%s", key, f, held[key], writePlan(p.Plan))
				}
			case len(gone) == 0 && w.vault.Path(f.ID) != path: // else others may be held in the way
				t.Fatalf("%s is at %s and should be back at %s\n%s", key, w.vault.Path(f.ID), path, writePlan(p.Plan))
			}
		}
	})
	t.Logf("%d folders put back, %d missing, %d worlds with none missing", moved, missing, whole)
	if moved == 0 || missing == 0 || whole == 0 {
		t.Error("no hand moved or deleted anything")
	}
}

// wantedIn returns the companies whose place is in a group.
func wantedIn(w *testWorld, group sync.Key) (list []sync.Key) {
	for key, place := range w.journal.known {
		for ; place.Parent != sync.RootKey; place = w.journal.known[place.Parent] {
			if place.Parent == group && !key.IsGroup() {
				list = append(list, key)
				break
			}
		}
	}
	return list
}

// TestPartsOfAPlan sees that a plan of which guards hold a part does nothing
// that the whole would not, that a limited one does the same for its company,
// and that the rest done later leads to the same vault.
func TestPartsOfAPlan(t *testing.T) {
	held, limited := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := settled(t)
		whole := w.plan(t, w.src, w.vault.Snapshot())
		if whole.Empty() {
			return
		}
		clean := w.clone()
		clean.apply(whole, 1)

		part := w.clone()
		what := "guards"
		if len(w.src.Companies) > 0 && rapid.Bool().Draw(t, "limited") {
			what = "a limit"
			part.only = map[int]bool{rapid.SampledFrom(w.src.Companies).Draw(t, "company").ID: true}
		} else {
			part.hold = map[sync.Key]sync.Held{}
			for _, s := range whole.Steps {
				if (s.Op == sync.OpRename || s.Op == sync.OpMove || s.Op == sync.OpArchive) && rapid.Bool().Draw(t, "held") {
					part.hold[s.Key] = sync.Held{Code: sync.HeldGuardMoves, Key: s.Key, Reason: "too many"}
					held++
				}
			}
		}
		first := part.plan(t, w.src, w.vault.Snapshot())
		if part.only != nil && len(first.Steps) < len(whole.Steps) {
			limited++
		}
		places := map[sync.Key]sync.Place{}
		for i, s := range whole.Steps {
			places[s.Key] = whole.Place(i)
		}
		for i, s := range first.Steps {
			if place, ok := places[s.Key]; !ok || first.Place(i) != place {
				t.Fatalf("%s goes to %v because of %s, otherwise to %v\nwhole:\n%s\npart:\n%s", s.Key, first.Place(i), what, place, writePlan(whole.Plan), writePlan(first.Plan))
			}
		}
		r := part.apply(first, 1)
		if r.Count(sync.StatusDone) != len(first.Steps) {
			t.Fatalf("part of a plan:\n%s", results(first, r))
		}
		for i, s := range first.Steps {
			if s.Key == sync.RootKey || r.Results[i].Status != sync.StatusDone {
				continue
			}
			if got := part.vault.Path(part.vault.Marked(s.Key).ID); got != s.To {
				t.Fatalf("%s is at %s, the plan said %s\n%s", s.Key, got, s.To, writePlan(first.Plan))
			}
		}
		part.hold, part.only = nil, nil
		part.finish(t, what, clean.vault)
	})
	t.Logf("%d steps held, %d plans limited", held, limited)
	if !testing.Short() && (held == 0 || limited == 0) {
		t.Error("the random worlds are too tame")
	}
}
