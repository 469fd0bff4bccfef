package run_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
	"cwvault/vault/vaulttest"
)

// TestUndo takes back what a run moved and renamed. What it made stays.
func TestUndo(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	b.mustRun(run.Request{})
	b.companies.err = sync.ErrUnavailable // nobody asks ConnectWise
	r := run.New(b.opt)

	p, err := r.ProposeUndo(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`move \Clients\Prospect\Bolt`}, steps(p.Plan)); diff != "" || p.Undoes != 1 || p.Stays != 1 {
		t.Errorf("undoes %d, %d stay; steps (-want +got):\n%s", p.Undoes, p.Stays, diff)
	}
	e := r.Undo(t.Context(), 1, 0)
	if e.Outcome() != report.Done || e.Proposal.Undoes != 1 || e.Trigger != "undo of run 1" || !run.IsUndo(e.Trigger) || e.Whole() {
		t.Fatalf("%s by %q, whole %v: %v", e.Outcome(), e.Trigger, e.Whole(), e.Err)
	}
	want := strings.TrimLeft(`
Customer [group/type:1]
  Alovet [company/250]
    * alovet-admin
Prospect [group/type:2]
  Bolt [company/251]
    * bolt-admin
  Cog [company/252]
`, "\n")
	if diff := cmp.Diff(want, b.vault.String()); diff != "" {
		t.Errorf("the vault (-want +got):\n%s", diff)
	}
	if place := b.recall().Places["company/251"]; place.Parent != "group/type:2" {
		t.Errorf("the journal has it in %s", place.Parent)
	}
	if e := r.Undo(t.Context(), 1, 0); e.Outcome() != report.Done || len(e.Run.Steps) != 0 || len(e.Run.Held) != 1 {
		t.Errorf("once more: %s, %v, %v", e.Outcome(), e.Err, e.Run)
	}
	b.companies.err = nil
	b.mustRun(run.Request{})
	if b.vault.At(`\Clients\Customer\Bolt`) == "" {
		t.Error("the next run does not move it again")
	}
}

// TestUndoRefuses sees what cannot be taken back.
func TestUndoRefuses(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	b.mustRun(run.Request{})
	undo := func(number int64) run.Ending { return run.New(b.opt).Undo(t.Context(), number, 0) }
	if e := undo(7); !errors.Is(e.Err, journal.ErrNotFound) || e.Number != 0 {
		t.Errorf("a run that is not there: %v", e.Err)
	}
	b.failAt("tree", vaulttest.FailUnauthorized)
	e := undo(1)
	if server, _ := run.ServerOf(e.Err); e.Cause() != run.CauseUnauthorized || server != run.VaultServer || !strings.Contains(e.Text(), "read folders") {
		t.Errorf("a vault that refuses: %q about %q: %s", e.Cause(), server, e.Text())
	}
	b.vault.Fail = nil
	b.opt.Tenant = "other"
	var mismatch *run.MismatchError
	if e := undo(1); e.Cause() != run.CauseSource || !errors.As(e.Err, &mismatch) || mismatch.What != "tenant" {
		t.Errorf("another installation: %q, %v", e.Cause(), e.Err)
	}
	b.opt.Tenant = tenant
	lease, err := b.open().Acquire(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release(t.Context())
	if e := undo(1); e.Cause() != run.CauseLease {
		t.Errorf("another run has the lease: %q, %v", e.Cause(), e.Err)
	}
}

// TestPause pauses a company and unpauses it.
func TestPause(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	r := run.New(b.opt)
	if key, err := r.Pause(t.Context(), "Bolt", "they said so"); key != "company/251" || err != nil {
		t.Fatal(key, err)
	}
	want := map[sync.Key]journal.Pause{"company/251": {Key: "company/251", Reason: "they said so", Since: noon}}
	if diff := cmp.Diff(want, b.recall().Pauses); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
	b.mustRun(run.Request{})
	if b.vault.At(`\Clients\Prospect\Bolt`) == "" {
		t.Error("it has moved")
	}
	for _, was := range []bool{true, false} {
		if key, got, err := r.Unpause(t.Context(), "251"); key != "company/251" || got != was || err != nil {
			t.Errorf("%s, %v, %v; want %v", key, got, err, was)
		}
	}
	b.mustRun(run.Request{})
	if b.vault.At(`\Clients\Customer\Bolt`) == "" {
		t.Error("it has not moved")
	}

	if _, err := r.Pause(t.Context(), "dot", ""); run.CauseOf(err) != run.CauseUsage {
		t.Errorf("an unknown company: %v", err)
	}
	b.companies.err = sync.ErrUnavailable
	if _, err := r.Pause(t.Context(), "bolt", ""); err == nil {
		t.Error("ConnectWise does not answer, and Bolt is found")
	}
	if key, err := r.Pause(t.Context(), "999", ""); key != "company/999" || err != nil {
		t.Errorf("one that is gone: %s, %v", key, err)
	}
	lease, err := b.open().Acquire(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release(t.Context())
	if _, err := r.Pause(t.Context(), "999", ""); run.CauseOf(err) != run.CauseLease {
		t.Errorf("beside a run: %v", err)
	}
	if _, _, err := r.Unpause(t.Context(), "999"); run.CauseOf(err) != run.CauseLease {
		t.Errorf("beside a run: %v", err)
	}
}

// TestHistory lists runs and finds the last change of a folder.
func TestHistory(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	b.mustRun(run.Request{IDs: []int{251}})
	b.now = noon.Add(time.Hour)
	b.companies.err = sync.ErrIncomplete
	b.run(run.Request{})
	b.companies.err = nil
	b.failAt("create Cog", vaulttest.FailRefused)
	b.run(run.Request{})

	one, two := noon, noon.Add(time.Hour)
	row := func(number int64, at time.Time, outcome report.Outcome, text string) report.Row {
		return report.Row{Number: number, Start: at, End: &at, Trigger: "test", Outcome: outcome, Error: text}
	}
	want := []report.Row{
		row(3, two, report.Partial, ""), row(2, two, report.Failed, "read companies: incomplete"), row(1, one, report.Done, ""),
	}
	got, err := run.History(t.Context(), b.opt.Journal, 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if planned := got[i].Number != 2; (got[i].Plan != "") != planned || (len(got[i].Counts) > 0) != planned {
			t.Errorf("run %d has plan %q and counts %v", got[i].Number, got[i].Plan, got[i].Counts)
		}
		got[i].Plan, got[i].Counts = "", nil
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if some, err := run.History(t.Context(), b.opt.Journal, 1, 3); err != nil || len(some) != 1 || some[0].Number != 2 {
		t.Errorf("one before the third: %v, %v", some, err)
	}

	r := run.New(b.opt)
	for key, want := range map[sync.Key]*run.Change{
		"company/251": {Run: 1, Started: noon, Op: sync.OpMove, Outcome: "done", To: `\Clients\Customer\Bolt`},
		"company/252": {Run: 3, Started: two, Op: sync.OpCreate, Outcome: "failed", To: `\Clients\Prospect\Cog`},
		"company/250": nil,
	} {
		got, err := r.LastChange(t.Context(), key)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", key, err, diff)
		}
	}
	failed, err := run.Recorded(t.Context(), b.opt.Journal, 2)
	if err != nil || failed.Outcome != report.Failed || len(failed.Steps) != 0 || failed.Root != `\as set` {
		t.Errorf("a run without a plan: %+v, %v", failed, err)
	}
	if _, err := run.Recorded(t.Context(), b.opt.Journal, 9); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("a run that is not there: %v", err)
	}
	b.sql(`UPDATE cwvault_plan SET body = 'x'`)
	if _, err := run.Recorded(t.Context(), b.opt.Journal, 1); err == nil {
		t.Error("a plan that cannot be read is read")
	}
}

// TestRecordedWhileItRuns shows a run that is not over.
func TestRecordedWhileItRuns(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	looks := b.readOnly(b.state)
	b.heard.applied = func(done int) {
		if done != 1 {
			return
		}
		r, err := run.Recorded(t.Context(), looks, 1)
		if err != nil || r.Outcome != report.Running || !r.Ended.IsZero() || len(r.Results) != 2 || r.Results[1].Status != "" {
			t.Errorf("%+v, %v", r, err)
		}
		rows, err := run.History(t.Context(), looks, 1, 0)
		if err != nil || rows[0].Outcome != report.Running || rows[0].End != nil {
			t.Errorf("%+v, %v", rows, err)
		}
	}
	b.mustRun(run.Request{})
}

// TestReadPast sees what a service finds in the journal when it starts.
func TestReadPast(t *testing.T) {
	type past struct {
		newest                   int64
		attempt, good, notInStep int // minutes after noon; -1: never
		text                     string
	}
	whole := func(b *bench) { b.run(run.Request{}) }
	fails := func(b *bench) {
		b.companies.err = sync.ErrIncomplete
		b.run(run.Request{})
		b.companies.err = nil
	}
	partial := func(b *bench) {
		b.lists(threeCompanies + "\n253 dot Dot Prospect Active")
		b.failAt("create Dot", vaulttest.FailRefused)
		b.run(run.Request{})
		b.vault.Fail = nil
	}
	callback := func(b *bench) { run.New(b.opt).Run(b.Context(), run.Request{IDs: []int{251}}, "callback") }
	badCallback := func(b *bench) {
		b.companies.err = sync.ErrIncomplete
		callback(b)
		b.companies.err = nil
	}
	undo := func(b *bench) { run.New(b.opt).Undo(b.Context(), 1, 0) }
	badUndo := func(b *bench) {
		b.failAt("update Bolt", vaulttest.FailRefused)
		undo(b)
	}
	held := func(b *bench) { b.relay("$STATUS"); b.run(run.Request{}) }
	for name, test := range map[string]struct {
		runs []func(b *bench) // one a minute
		want past
	}{
		"no runs":                  {nil, past{0, -1, -1, -1, ""}},
		"a good run":               {[]func(*bench){whole}, past{1, 0, 0, -1, ""}},
		"two good runs":            {[]func(*bench){whole, whole}, past{2, 1, 1, -1, ""}},
		"one fails":                {[]func(*bench){whole, fails}, past{2, 1, 0, 1, "read companies: incomplete"}},
		"some fail":                {[]func(*bench){whole, fails, partial}, past{3, 2, 0, 1, ""}},
		"all fail":                 {[]func(*bench){fails, fails}, past{2, 1, -1, 0, "read companies: incomplete"}},
		"it is well again":         {[]func(*bench){fails, whole}, past{2, 1, 1, -1, ""}},
		"a callback is no attempt": {[]func(*bench){whole, callback}, past{2, 0, 0, -1, ""}},
		"nor one that fails":       {[]func(*bench){whole, badCallback}, past{2, 0, 0, 1, "read companies: incomplete"}},
		"nor is an undo":           {[]func(*bench){whole, undo}, past{2, 0, 0, -1, ""}},
		"nor one that fails too":   {[]func(*bench){whole, badUndo}, past{2, 0, 0, -1, ""}},
		"a guard holds":            {[]func(*bench){whole, held}, past{2, 1, 1, 1, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, threeCompanies, twoFolders)
			for i, one := range test.runs {
				b.now = noon.Add(time.Duration(i) * time.Minute)
				one(b)
			}
			p, err := run.ReadPast(t.Context(), b.opt.Journal, func(trigger string) bool { return trigger == "callback" })
			if err != nil {
				t.Fatal(err)
			}
			minutes := func(at time.Time) int {
				if at.IsZero() {
					return -1
				}
				return int(at.Sub(noon) / time.Minute)
			}
			got := past{p.Newest, minutes(p.Attempt), minutes(p.Good), minutes(p.NotInStep), p.LastError}
			if got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

// TestReadPastIsBounded sees that a service that was never well starts too.
func TestReadPastIsBounded(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	b.run(run.Request{})
	insert := `INSERT INTO cwvault_run SELECT id + %d, cause, plan_id, plan, tenant, vault, root, started, finished, 'failed', 0, 0, '', '' FROM cwvault_run`
	for n := 1; n < 2048; n *= 2 {
		b.sql(fmt.Sprintf(insert, n))
	}
	p, err := run.ReadPast(t.Context(), b.opt.Journal, func(string) bool { return false })
	if err != nil || p.Newest != 2048 || !p.Good.IsZero() || p.NotInStep.IsZero() {
		t.Errorf("%+v, %v", p, err)
	}
	if change, err := run.New(b.opt).LastChange(t.Context(), "company/252"); err != nil || change.Run != 1 {
		t.Errorf("the last change: %+v, %v", change, err)
	}
}
