package run_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/run"
	"cwvault/vault/vaulttest"
)

// A world in which a run does everything that a run can do: it creates a group
// and companies, adopts, renames, moves, archives, and swaps two names.
const (
	busyCompanies = `
		250 alovet Bolt   Customer Active
		251 bolt   Alovet Customer Active
		252 cog    Cogs   Customer Active
		253 dot    Dot    Prospect Active
		254 elk    Elk    Prospect Active
		255 fir    Fir    Customer Active`
	busyFolders = `
		Client [group/type:1]
		  Alovet [company/250]
		    * alovet-admin
		  Bolt [company/251]
		    * bolt-admin
		  Cog [company/252]
		    * cog-admin
		  Elk [company/254]
		    * elk-admin
		  Fir
		    * fir-admin
		  Gone [company/999]
		    * gone-admin`
)

func busyBench(t testing.TB) *bench {
	b := newBench(t, busyCompanies, busyFolders)
	b.opt.Settings.Archive, b.opt.Settings.Adopt = "Archive", true
	return b
}

// die lets a process die as far as its journal is concerned: nothing of a run is
// written any more. A trigger's condition may limit that.
func (b *bench) die(conditions ...string) {
	b.Helper()
	if len(conditions) == 0 {
		conditions = []string{"INSERT ON cwvault_step", "UPDATE ON cwvault_step", "INSERT ON cwvault_run", "UPDATE ON cwvault_run"}
	}
	for i, when := range conditions {
		b.sql(fmt.Sprintf(`CREATE TRIGGER dead%d BEFORE %s BEGIN SELECT RAISE(ABORT, 'the process is dead'); END`, i, when))
	}
}

// rise lets another process take the dead one's place.
func (b *bench) rise() {
	b.Helper()
	for i := range 4 {
		b.sql(fmt.Sprintf(`DROP TRIGGER IF EXISTS dead%d`, i))
	}
	b.vault.Dead, b.vault.Fail = false, nil
	b.opt.Journal.Close()
	b.opt.Journal = b.open()
}

// finishes sees that the next run finishes the work, and that the one after it
// has nothing to do.
func (b *bench) finishes(want string) {
	b.Helper()
	e := b.run(run.Request{})
	if e.Err != nil || e.Outcome() != "done" {
		b.Fatalf("the next run is %s: %v\n%s", e.Outcome(), e.Err, strings.Join(steps(e.Run.Plan), "\n"))
	}
	if diff := cmp.Diff(want, b.vault.String()); diff != "" {
		b.Errorf("after the next run (-uninterrupted +this):\n%s", diff)
	}
	p, err := b.propose(run.Request{})
	if err != nil || len(p.Whole.Steps) != 0 || len(p.Held) != 0 || len(p.Learned()) != 0 {
		b.Errorf("there is more to do: %v, %v, %v, %v", err, steps(p.Whole), holds(p.Plan), p.Learned())
	}
	if m := b.recall(); len(m.Intents) != 0 {
		b.Errorf("intents stay open: %v", m.Intents)
	}
}

// TestCrashAtVaultCall lets the process die before, in and after every call of
// the vault. The next run finishes, with no duplicate and nothing lost.
func TestCrashAtVaultCall(t *testing.T) {
	whole := busyBench(t)
	whole.mustRun(run.Request{})
	want := whole.vault.String()
	ops := map[sync.Op]bool{}
	if r, err := run.Recorded(t.Context(), whole.opt.Journal, 1); err == nil {
		for _, s := range r.Steps {
			ops[s.Op] = true
		}
	}
	if len(ops) != 5 {
		t.Errorf("the run does only %v", ops)
	}
	for n, call := range whole.vault.Calls {
		for what, f := range map[string]vaulttest.Failure{"before": vaulttest.FailStopped, "in": vaulttest.FailHalfDied, "after": vaulttest.FailDied} {
			if f == vaulttest.FailHalfDied && !strings.HasPrefix(call, "create ") {
				continue
			}
			t.Run(fmt.Sprintf("%s %d %s", what, n+1, call), func(t *testing.T) {
				t.Parallel()
				b := busyBench(t)
				b.vault.Fail = func(i int, _ string) vaulttest.Failure {
					if i != n+1 {
						return vaulttest.NoFailure
					}
					b.die()
					return f
				}
				if e := b.run(run.Request{}); e.Outcome() == "done" {
					t.Fatal("the run is done")
				}
				b.rise()
				b.finishes(want)
			})
		}
	}
}

// TestCrashAtJournalWrite lets the process die at every write of the journal.
func TestCrashAtJournalWrite(t *testing.T) {
	whole := busyBench(t)
	e := whole.mustRun(run.Request{})
	want := whole.vault.String()
	const theEnd = "UPDATE ON cwvault_run"
	crashes := map[string][]string{"at the start": {"INSERT ON cwvault_run"}, "at the end": {theEnd}}
	for i := range e.Run.Steps {
		crashes[fmt.Sprint("before step ", i)] = []string{
			fmt.Sprint("INSERT ON cwvault_step WHEN NEW.seq >= ", i), fmt.Sprint("UPDATE ON cwvault_step WHEN NEW.seq >= ", i), theEnd}
		crashes[fmt.Sprint("after step ", i)] = []string{
			fmt.Sprint("INSERT ON cwvault_step WHEN NEW.seq > ", i), fmt.Sprint("UPDATE ON cwvault_step WHEN NEW.seq >= ", i), theEnd}
	}
	for what, conditions := range crashes {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := busyBench(t)
			b.die(conditions...)
			if e := b.run(run.Request{}); e.Outcome() == "done" {
				t.Fatal("the run is done")
			}
			b.rise()
			b.finishes(want)
		})
	}
}

// TestIntentsAreSettled sees which intents of earlier runs end: those of which it
// is known by now what became of them.
func TestIntentsAreSettled(t *testing.T) {
	crash := func(t *testing.T, f vaulttest.Failure) *bench {
		b := newBench(t, threeCompanies, twoFolders)
		b.vault.Fail = func(_ int, call string) vaulttest.Failure {
			if call != "create Cog" {
				return vaulttest.NoFailure
			}
			b.die()
			return f
		}
		b.run(run.Request{})
		b.rise()
		if m := b.recall(); len(m.Intents) != 1 || m.Intents[0].Key != "company/252" {
			t.Fatalf("intents %v", m.Intents)
		}
		return b
	}
	for _, test := range []struct {
		name string
		f    vaulttest.Failure
		then func(b *bench)
		open int
	}{
		{"it was made", vaulttest.FailDied, func(b *bench) { b.run(run.Request{}) }, 0},
		{"it was made, and a run of others sees it", vaulttest.FailDied, func(b *bench) { b.run(run.Request{IDs: []int{250}}) }, 0},
		{"it was not made, and is now", vaulttest.FailStopped, func(b *bench) { b.run(run.Request{}) }, 0},
		{"it was not made, and others are", vaulttest.FailStopped, func(b *bench) { b.run(run.Request{IDs: []int{250}}) }, 1},
		{"it fails again", vaulttest.FailStopped, func(b *bench) {
			b.failAt("create Cog", vaulttest.FailRefused)
			b.run(run.Request{})
		}, 1},
		{"somebody else's folder has its key", vaulttest.FailStopped, func(b *bench) {
			b.vault.Make("root", "Theirs", sync.Mark{Tenant: "other", Key: "company/252"})
			b.run(run.Request{IDs: []int{250}})
		}, 1},
		{"the run loses its lease", vaulttest.FailDied, func(b *bench) {
			b.heard.applied = func(int) { b.stealLease() }
			b.run(run.Request{})
		}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := crash(t, test.f)
			test.then(b)
			if m := b.recall(); len(m.Intents) != test.open {
				t.Errorf("open: %v, want %d", m.Intents, test.open)
			}
		})
	}
}

// TestNoAnswer loses the answer to a create that cannot be looked up either. Its
// intent stays, so that the next run knows what it finds.
func TestNoAnswer(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	b.vault.Fail = func(_ int, call string) vaulttest.Failure {
		switch call {
		case "create Cog":
			return vaulttest.FailHalfLost
		case "find Cog":
			return vaulttest.FailUnavailable
		}
		return vaulttest.NoFailure
	}
	e := b.run(run.Request{})
	if e.Outcome() != "partial" || len(b.recall().Intents) != 1 {
		t.Fatalf("%s: %v", e.Outcome(), b.recall().Intents)
	}
	b.vault.Fail = nil
	b.mustRun(run.Request{})
	if b.vault.Marked("company/252") == nil || len(b.recall().Intents) != 0 || len(b.vault.Folders) != 5 {
		t.Errorf("intents %v, and the vault\n%s", b.recall().Intents, b.vault)
	}
}

// TestWritesAreFenced sees that nothing is changed by a run that does not know
// yet that it lost the lease.
func TestWritesAreFenced(t *testing.T) {
	for _, op := range []string{"begin", "vault"} {
		t.Run(op, func(t *testing.T) {
			b := newBench(t, threeCompanies, twoFolders)
			stolen := &thief{Memory: b.vault, bench: b}
			b.opt.Vault = stolen
			if op == "begin" {
				b.heard.applied = func(done int) {
					if done == 0 {
						b.stealLease()
					}
				}
			}
			e := b.run(run.Request{})
			var changes int
			for _, call := range b.vault.Calls {
				if strings.HasPrefix(call, "create") || strings.HasPrefix(call, "update") {
					changes++
				}
			}
			if want := map[string]int{"begin": 0, "vault": 1}[op]; changes != want || !errors.Is(e.Err, journal.ErrLost) {
				t.Errorf("%d changes, want %d: %v", changes, want, e.Err)
			}
		})
	}
}

// thief lets the lease be stolen while the vault makes a folder, after the step
// has begun.
type thief struct {
	*vaulttest.Memory
	bench *bench
}

func (v *thief) Update(ctx context.Context, id, parentID, name string) (sync.Folder, error) {
	f, err := v.Memory.Update(ctx, id, parentID, name)
	v.bench.stealLease()
	return f, err
}
