package run_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
	"cwvault/vault/vaulttest"
)

// outcomes are ways in which a run can end.
var outcomes = []struct {
	name    string
	before  func(b *bench, stop func())
	req     run.Request
	outcome report.Outcome
	cause   run.Cause
	steps   []sync.Status
	text    string // a part of what went wrong
	whole   bool   // what it did not see is gone
	nothing bool   // follows from it
}{
	{name: "done", outcome: report.Done, steps: []sync.Status{"done", "done"}, whole: true},
	{name: "done, of some companies", req: run.Request{IDs: []int{252}}, outcome: report.Done, steps: []sync.Status{"done"}},
	{
		name: "nothing to do", before: func(b *bench, _ func()) { b.mustRun(run.Request{}) },
		outcome: report.Done, steps: []sync.Status{}, whole: true,
	},
	{
		name: "a step fails", before: func(b *bench, _ func()) { b.failAt("update Bolt", vaulttest.FailRefused) },
		outcome: report.Partial, steps: []sync.Status{"failed", "done"}, whole: true,
	},
	{
		name: "sign-in fails", before: func(b *bench, _ func()) { b.failAt("update Bolt", vaulttest.FailUnauthorized) },
		outcome: report.Partial, steps: []sync.Status{"failed", "skipped"}, whole: true,
	},
	{
		name: "the store does not take the commit", before: func(b *bench, _ func()) { b.failAt("commit", vaulttest.FailRefused) },
		outcome: report.Partial, steps: []sync.Status{"done", "done"}, text: "commit to the store: the vault says no", whole: true,
	},
	{
		name: "the journal does not take the end", before: func(b *bench, _ func()) {
			b.refuse(`UPDATE ON cwvault_run WHEN NEW.good = 1`)
		},
		outcome: report.Partial, steps: []sync.Status{"done", "done"}, text: "conclude a run", whole: true,
	},
	{
		name: "nor does the store", before: func(b *bench, _ func()) {
			b.failAt("commit", vaulttest.FailRefused)
			b.refuse(`UPDATE ON cwvault_run WHEN NEW.good = 1`)
		},
		outcome: report.Partial, steps: []sync.Status{"done", "done"}, text: "commit to the store: the vault says no\n", whole: true,
	},
	{
		name: "stopped", before: func(b *bench, stop func()) {
			b.heard.applied = func(done int) {
				if done == 1 {
					stop()
				}
			}
		},
		outcome: report.Stopped, steps: []sync.Status{"done", "skipped"}, nothing: true,
	},
	{
		name: "stopped when the last step was done", before: func(b *bench, stop func()) {
			b.heard.applied = func(done int) {
				if done == 2 {
					stop()
				}
			}
		},
		outcome: report.Done, steps: []sync.Status{"done", "done"}, whole: true,
	},
	{
		name: "stopped, and a step had failed", before: func(b *bench, stop func()) {
			b.failAt("update Bolt", vaulttest.FailRefused)
			b.heard.applied = func(done int) {
				if done == 1 {
					stop()
				}
			}
		},
		outcome: report.Partial, steps: []sync.Status{"failed", "skipped"}, whole: true,
	},
	{
		name: "stopped while it reads", before: func(b *bench, stop func()) { b.companies.before = stop },
		outcome: report.Failed, cause: run.CauseStopped, text: "context canceled", nothing: true,
	},
	{
		name: "the companies cannot be read", before: func(b *bench, _ func()) { b.companies.err = sync.ErrIncomplete },
		outcome: report.Failed, cause: run.CauseSource, text: "read companies: incomplete", nothing: true,
	},
	{
		name: "the lease is lost", before: func(b *bench, _ func()) {
			b.heard.applied = func(done int) {
				if done == 1 {
					b.stealLease()
				}
			}
		},
		outcome: report.Partial, cause: run.CauseLease, steps: []sync.Status{"done", "failed"}, text: "the lease is lost", nothing: true,
	},
	{
		name: "the lease is lost while it reads", before: func(b *bench, _ func()) { b.heard.readAll = b.stealLease },
		outcome: report.Failed, cause: run.CauseLease, text: "the lease is lost", nothing: true,
	},
}

// TestOutcomes sees how runs end, for whoever asked and in the journal.
func TestOutcomes(t *testing.T) {
	const skipped = "run was stopped before this step"
	for _, test := range outcomes {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, threeCompanies, twoFolders)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if test.before != nil {
				test.before(b, stop)
			}
			e := run.New(b.opt).Run(ctx, test.req, "by hand")
			if e.Outcome() != test.outcome || e.Cause() != test.cause || !strings.Contains(e.Text(), test.text) || (e.Text() == "") != (test.text == "") {
				t.Errorf("%s, cause %q, %q; want %s, %q, %q", e.Outcome(), e.Cause(), e.Text(), test.outcome, test.cause, test.text)
			}
			if e.Whole() != test.whole || e.Inconclusive() != test.nothing {
				t.Errorf("whole %v, inconclusive %v; want %v, %v", e.Whole(), e.Inconclusive(), test.whole, test.nothing)
			}
			if (e.Run != nil) != (test.steps != nil) || (e.Lost != nil) != (test.cause == run.CauseLease && e.Run != nil) {
				t.Fatalf("the run is %+v, lost %v", e.Run, e.Lost)
			}
			if e.Run != nil {
				statuses := []sync.Status{}
				for _, r := range e.Run.Results {
					statuses = append(statuses, r.Status)
					if r.Status == sync.StatusSkipped && e.Outcome() == report.Stopped && !strings.Contains(r.Error, skipped) {
						t.Errorf("a step was skipped: %s", r.Error)
					}
				}
				if diff := cmp.Diff(test.steps, statuses); diff != "" {
					t.Errorf("steps (-want +got):\n%s", diff)
				}
			}
			if test.name == "the lease is lost while it reads" {
				return // the journal is another's by now
			}
			if info := b.last(); info.ID != e.Number || info.Outcome != string(test.outcome) || info.Trigger != "by hand" || info.Error != e.Text() {
				t.Errorf("the journal has run %d, %s by %s: %q", info.ID, info.Outcome, info.Trigger, info.Error)
			}
		})
	}
}

// refuse lets the journal's file refuse what a trigger of this kind matches, as
// a full disk would.
func (b *bench) refuse(when string) {
	b.Helper()
	b.sql(`CREATE TRIGGER refuse_` + fmt.Sprint(len(when)) + ` BEFORE ` + when + ` BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`)
}

// TestJournalShowsTheRun compares what a run tells with what the journal tells of
// it later.
func TestJournalShowsTheRun(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	b.failAt("update Bolt", vaulttest.FailRefused)
	e := b.run(run.Request{})
	recorded, err := run.Recorded(t.Context(), b.opt.Journal, e.Number)
	if err != nil {
		t.Fatal(err)
	}
	told, err1 := e.Run.MarshalJSON()
	kept, err2 := recorded.MarshalJSON()
	if err1 != nil || err2 != nil || !bytes.Equal(told, kept) {
		t.Errorf("%v, %v (-told +recorded):\n%s", err1, err2, cmp.Diff(string(told), string(kept)))
	}
	if !recorded.Started.Equal(noon) || !recorded.Ended.Equal(noon) {
		t.Errorf("from %v to %v, not by the clock that was given", recorded.Started, recorded.Ended)
	}
	if diff := cmp.Diff([]string{"cwvault run 1: 1 created, 0 held, 0 departed, 3 unchanged"}, b.vault.Commits); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
}

// TestRunIsNotRecorded sees that a failure is told with the failure to record it.
func TestRunIsNotRecorded(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	b.refuse(`INSERT ON cwvault_run`)
	if e := b.run(run.Request{}); e.Number != 0 || !strings.Contains(e.Text(), "the disk is full") || slices.Contains(b.vault.Calls, "update Bolt") {
		t.Errorf("run %d: %s; calls %q", e.Number, e.Text(), b.vault.Calls)
	}
	b.companies.err = sync.ErrIncomplete
	e := b.run(run.Request{})
	if e.Cause() != run.CauseSource || !strings.Contains(e.Text(), "incomplete\nrecord the run: ") || !strings.Contains(e.Text(), "the disk is full") {
		t.Errorf("cause %q: %s", e.Cause(), e.Text())
	}
}

// TestFixOfEnding sees that what to do about an error is in the ending and in the
// journal, for runs and for undos, and that it is about that error.
func TestFixOfEnding(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	if e := b.mustRun(run.Request{}); e.Fix != "" {
		t.Errorf("a run that is done has something to do: %q", e.Fix)
	}
	b.opt.FixFor = func(err error) string {
		var other *run.MismatchError
		if err == nil || !errors.As(err, &other) {
			return ""
		}
		return "correct the " + other.What
	}
	b.opt.Tenant = "other"
	e := b.run(run.Request{})
	if want := e.Err.Error() + "; correct the tenant"; e.Fix != "correct the tenant" || e.Text() != want || b.last().Error != want {
		t.Errorf("fix %q, %q, in the journal %q; want %q", e.Fix, e.Text(), b.last().Error, want)
	}
	if e := run.New(b.opt).Undo(t.Context(), 1, 0); !strings.HasSuffix(e.Text(), "; correct the tenant") {
		t.Errorf("of an undo: %q", e.Text())
	}
	b.heard.readAll = b.stealLease
	if e := b.run(run.Request{}); e.Cause() != run.CauseLease || e.Fix != "" {
		t.Errorf("cause %q, fix %q, which is of another error", e.Cause(), e.Fix)
	}
}

// slowVault does not answer a change until its caller gives up, or for a minute.
type slowVault struct {
	*vaulttest.Memory
	began chan struct{}
}

func (v *slowVault) Update(ctx ctx, _, _, _ string) (sync.Folder, error) {
	close(v.began)
	select {
	case <-ctx.Done():
		return sync.Folder{}, fmt.Errorf("no answer: %w", context.Cause(ctx))
	case <-time.After(time.Minute):
		return sync.Folder{}, errors.New("the caller does not give up")
	}
}

// TestCutOff stops a run while the vault does not answer. The run ends soon, and
// nothing is counted against the company.
func TestCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, threeCompanies, twoFolders)
		defer b.opt.Journal.Close()
		slow := &slowVault{b.vault, make(chan struct{})}
		b.opt.Vault = slow
		ctx, stop := context.WithCancel(t.Context())
		began := time.Now()
		go func() {
			<-slow.began
			time.Sleep(time.Second)
			stop()
		}()
		e := run.New(b.opt).Run(ctx, run.Request{}, "test")
		if took := time.Since(began); took != time.Second+run.StopGrace {
			t.Errorf("it took %v", took)
		}
		if e.Outcome() != report.Stopped || e.Run.Results[0].Status != sync.StatusFailed || !strings.Contains(e.Run.Results[0].Error, run.ErrCutOff.Error()) {
			t.Errorf("%s: %+v", e.Outcome(), e.Run)
		}
		if m := b.recall(); len(m.Failures) != 0 {
			t.Errorf("it counts as a failure: %v", m.Failures)
		}
	})
}

// TestLostWhileSlow takes the lease from a run whose change is under way.
func TestLostWhileSlow(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	slow := &slowVault{b.vault, make(chan struct{})}
	b.opt.Vault = slow
	go func() {
		<-slow.began
		b.stealLease()
		_ = b.opt.Journal.CheckLease(context.Background()) // as the next renewal would
	}()
	e := b.run(run.Request{})
	if !errors.Is(e.Lost, journal.ErrLost) || !errors.Is(e.Err, journal.ErrLost) || e.Cause() != run.CauseLease || !strings.Contains(e.Run.Results[0].Error, "the lease is lost") {
		t.Errorf("lost %v, %v: %+v", e.Lost, e.Err, e.Run.Results)
	}
}

// TestEvents sees what is told of a run, and in which order.
func TestEvents(t *testing.T) {
	t.Run("a run", func(t *testing.T) {
		b := newBench(t, threeCompanies, twoFolders)
		b.mustRun(run.Request{})
		slices.Sort(b.heard.list[:2]) // both are read at once
		want := []string{"read connectwise: <nil>", "read vault: <nil>", "read all", "run 1: 0 of 2", "run 1: 1 of 2", "run 1: 2 of 2", "ended"}
		if diff := cmp.Diff(want, b.heard.list); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
	})
	t.Run("several workers", func(t *testing.T) {
		b := newBench(t, "{1..30} c{} C{} Prospect Active", "Prospect [group/type:2]")
		b.opt.Workers = 8
		b.mustRun(run.Request{})
		for done := range 31 {
			if got := b.heard.list[3+done]; got != fmt.Sprintf("run 1: %d of 30", done) {
				t.Fatalf("%d: %s", done, got)
			}
		}
	})
	t.Run("a server fails, and the other reading is cut off", func(t *testing.T) {
		b := newBench(t, threeCompanies, twoFolders)
		b.companies.err = sync.ErrUnauthorized
		b.opt.Vault = waits{b.vault}
		b.run(run.Request{})
		if diff := cmp.Diff([]string{"read connectwise: read companies: not authorised", "read all"}, b.heard.list); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
	})
	t.Run("the keys of one are in the other", func(t *testing.T) {
		b := newBench(t, threeCompanies, twoFolders)
		b.companies.err = &run.ServerError{Server: run.VaultServer, Err: sync.ErrUnauthorized}
		b.opt.Vault = waits{b.vault}
		b.run(run.Request{})
		if diff := cmp.Diff([]string{"read vault: read companies: not authorised", "read all"}, b.heard.list); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		b := newBench(t, threeCompanies, twoFolders)
		b.opt.Vault = waits{b.vault}
		ctx, stop := context.WithCancel(t.Context())
		b.companies.before = stop
		run.New(b.opt).Run(ctx, run.Request{}, "test")
		if diff := cmp.Diff([]string{"read all"}, b.heard.list); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
	})
	t.Run("an undo", func(t *testing.T) {
		b := newBench(t, threeCompanies, twoFolders)
		b.mustRun(run.Request{})
		b.heard.list = nil
		run.New(b.opt).Undo(t.Context(), 1, 0)
		if diff := cmp.Diff([]string{"read vault: <nil>", "read all", "run 2: 0 of 1", "run 2: 1 of 1", "ended"}, b.heard.list); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
	})
	t.Run("a search", func(t *testing.T) {
		b := newBench(t, threeCompanies, twoFolders)
		if _, err := run.New(b.opt).FindCompany(t.Context(), "bolt"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"read connectwise: <nil>", "read all"}, b.heard.list); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
	})
}

// waits is a vault whose tree takes longer than anybody waits.
type waits struct{ *vaulttest.Memory }

func (waits) Tree(ctx ctx) (sync.Tree, error) {
	<-ctx.Done()
	return sync.Tree{}, ctx.Err()
}

// TestEndingTree compares the tree that a run says it left with the vault's.
func TestEndingTree(t *testing.T) {
	for name, fails := range map[string]string{"all is done": "", "a move fails": "update Bolt", "a create fails": "create Cog", "a group fails": "create Reseller"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, `
				250 alovet Bolt   Customer Active
				251 bolt   Alovet Customer Active
				252 cog    Cog    Customer Active
				253 dot    Dot    "#3 Reseller" Active`, `
				Customer [group/type:1]
				  Alovet [company/250]
				Client [group/type:2]
				  Bolt [company/251]
				  Cog [company/252]
				Other [other group/type:1]`)
			b.companies.source.Types = append(b.companies.source.Types, sync.Ref{ID: 3, Name: "Reseller"})
			b.failAt(fails, vaulttest.FailRefused)
			e := b.run(run.Request{})
			if e.Run == nil || fails == "" && e.Outcome() != report.Done {
				t.Fatalf("%s: %v", e.Outcome(), e.Err)
			}
			want, got := b.vault.Snapshot(), e.Tree()
			less := func(a, b sync.Folder) int { return strings.Compare(a.ID, b.ID) }
			slices.SortFunc(want.Folders, less)
			slices.SortFunc(got.Folders, less)
			for i := range got.Folders { // what is not known of new ones
				got.Folders[i].Inherits = want.Folders[i].Inherits
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the tree (-vault +ending):\n%s", diff)
			}
		})
	}
	b := newBench(t, "252 cog Cog Prospect Active", "")
	b.vault.Root, b.opt.CreateRoot = "", true
	if got := b.mustRun(run.Request{}).Tree(); got.Root.ID != "root" || len(got.Folders) != 2 {
		t.Errorf("the first tree is %+v", got)
	}
	b.companies.err = sync.ErrIncomplete
	if got := b.run(run.Request{}).Tree(); len(got.Folders) != 0 {
		t.Errorf("nothing was read: %+v", got)
	}
}

// TestRunWaits lets a run wait for the lease, and not for ever.
func TestRunWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, threeCompanies, twoFolders)
		defer b.opt.Journal.Close()
		other := b.open()
		defer other.Close()
		lease, err := other.Acquire(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		e := b.run(run.Request{Wait: 10 * time.Second}) // by a clock that stands still
		if e.Cause() != run.CauseLease || time.Since(began) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(began), e.Err)
		}
		if e.Number != 0 || len(b.vault.Calls) != 0 {
			t.Errorf("run %d, calls %q", e.Number, b.vault.Calls)
		}
		go func() {
			time.Sleep(3 * time.Second)
			if err := lease.Release(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		if e := b.run(run.Request{Wait: time.Minute}); e.Outcome() != report.Done || time.Since(began) > 14*time.Second {
			t.Errorf("after %v: %v", time.Since(began), e.Err)
		}
	})
}
