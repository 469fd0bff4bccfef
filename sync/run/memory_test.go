package run_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
	"cwvault/vault/vaulttest"
)

// TestRemembers sees all that a run leaves to the next.
func TestRemembers(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	b.opt.Settle = time.Minute
	b.failAt("create Cog", vaulttest.FailRefused)
	e := b.run(run.Request{})
	customer, prospect := b.vault.At(`\Clients\Customer`), b.vault.At(`\Clients\Prospect`)
	alovet, bolt := b.vault.At(`\Clients\Customer\Alovet`), b.vault.At(`\Clients\Prospect\Bolt`)
	place := func(key sync.Key, id string, parent sync.Key, name string) journal.KnownPlace {
		return journal.KnownPlace{Key: key, FolderID: id, Parent: parent, Name: name}
	}
	want := journal.Memory{
		Fingerprint: &journal.Fingerprint{Tenant: tenant, Vault: "memory", Root: `\Clients`, RootID: "root", Layout: "$TYPE"},
		LastGood:    &journal.GoodRun{RunID: e.Number, Companies: 3, At: noon},
		Places: map[sync.Key]journal.KnownPlace{
			"company/250":  place("company/250", alovet, "group/type:1", "Alovet"),
			"group/type:1": place("group/type:1", customer, sync.RootKey, "Customer"),
			"group/type:2": place("group/type:2", prospect, sync.RootKey, "Prospect"),
		},
		Failures: map[sync.Key]journal.Failure{"company/252": {Key: "company/252", Count: 1, First: noon, Last: noon, Next: noon, Error: "the vault says no"}},
		Pending:  map[sync.Key]journal.PendingMove{"company/251": {Key: "company/251", To: `\Clients\Customer\Bolt`, Since: noon}},
	}
	if diff := cmp.Diff(want, b.recall(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("after the first run (-want +got):\n%s", diff)
	}

	b.vault.Fail = nil
	b.now = noon.Add(time.Hour)
	e = b.mustRun(run.Request{})
	b.now = b.now.Add(time.Hour)
	cog := b.vault.At(`\Clients\Prospect\Cog`)
	want.LastGood = &journal.GoodRun{RunID: e.Number, Companies: 3, At: noon.Add(time.Hour)}
	want.Failures = nil
	moved, made := place("company/251", bolt, "group/type:1", "Bolt"), place("company/252", cog, "group/type:2", "Cog")
	moved.Path, made.Path = `\Clients\Customer\Bolt`, `\Clients\Prospect\Cog`
	want.Places["company/251"], want.Places["company/252"] = moved, made
	if diff := cmp.Diff(want, b.recall(), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(journal.Memory{}, "Pending")); diff != "" {
		t.Errorf("after the second run (-want +got):\n%s", diff)
	}
	b.mustRun(run.Request{})
	if m := b.recall(); len(m.Pending) != 0 {
		t.Errorf("a move that was made is still pending: %v", m.Pending)
	}
}

// TestGoodRuns sees which runs the guard against incomplete readings compares
// with.
func TestGoodRuns(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(b *bench) run.Ending
		good bool
	}{
		{"everything", func(b *bench) run.Ending { return b.run(run.Request{}) }, true},
		{"everything, and a step fails", func(b *bench) run.Ending {
			b.failAt("update Bolt", vaulttest.FailRefused)
			return b.run(run.Request{})
		}, true},
		{"some companies", func(b *bench) run.Ending { return b.run(run.Request{Companies: []string{"bolt"}}) }, false},
		{"some companies by id", func(b *bench) run.Ending { return b.run(run.Request{IDs: []int{251}}) }, false},
		{"half a reading", func(b *bench) run.Ending {
			b.companies.err = sync.ErrIncomplete
			return b.run(run.Request{})
		}, false},
		{"an undo", func(b *bench) run.Ending {
			b.run(run.Request{IDs: []int{251}})
			return run.New(b.opt).Undo(b.Context(), 1, 0)
		}, false},
		{"a run that lost its lease", func(b *bench) run.Ending {
			b.heard.applied = func(done int) {
				if done == 1 {
					b.stealLease()
				}
			}
			return b.run(run.Request{})
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, threeCompanies, twoFolders)
			e := test.make(b)
			m := b.recall()
			if good := m.LastGood != nil; good != test.good {
				t.Errorf("good is %v, want %v: %s %v", good, test.good, e.Outcome(), e.Err)
			}
		})
	}
}

// TestLostRunTeachesNothing lets a run that lost its lease end. The one that has
// it now has looked for itself.
func TestLostRunTeachesNothing(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	b.opt.Settle = time.Hour
	b.failAt("create Cog", vaulttest.FailRefused)
	b.heard.applied = func(done int) {
		if done == 1 {
			b.stealLease()
		}
	}
	e := b.run(run.Request{})
	if e.Lost == nil {
		t.Fatalf("%s: %v", e.Outcome(), e.Err)
	}
	if diff := cmp.Diff(journal.Memory{}, b.recall(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	if len(b.vault.Commits) != 0 {
		t.Errorf("commits %q", b.vault.Commits)
	}
}

// TestFailuresCount sees which failures count: those that say something of the
// folder.
func TestFailuresCount(t *testing.T) {
	for name, test := range map[string]struct {
		failure vaulttest.Failure
		want    map[sync.Key]int
	}{
		"refused":      {vaulttest.FailRefused, map[sync.Key]int{"company/251": 1}},
		"read-only":    {vaulttest.FailReadOnly, map[sync.Key]int{"company/251": 1}},
		"unauthorized": {vaulttest.FailUnauthorized, map[sync.Key]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, threeCompanies, twoFolders)
			b.failAt("update Bolt", test.failure)
			b.run(run.Request{})
			got := map[sync.Key]int{}
			for key, f := range b.recall().Failures {
				got[key] = f.Count
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPendingMoves sees since when moves have been wanted.
func TestPendingMoves(t *testing.T) {
	const (
		toCustomer = `company/251 \Clients\Customer\Bolt since 12:00`
		bolt       = "251 bolt Bolt Prospect Active\n"
		others     = "250 alovet Alovet Customer Active\n252 cog Cog Prospect Active"
	)
	for _, test := range []struct {
		name string
		then func(b *bench) // an hour after the first run at noon
		want []string
	}{
		{"it is wanted again", func(b *bench) { b.run(run.Request{}) }, []string{toCustomer}},
		{"it is not wanted any more", func(b *bench) {
			b.lists(bolt + others)
			b.run(run.Request{})
		}, nil},
		{"a run of other companies", func(b *bench) { b.run(run.Request{IDs: []int{252}}) }, []string{toCustomer}},
		{"another place", func(b *bench) {
			b.lists("251 bolt Bold Customer Active\n" + others)
			b.run(run.Request{})
		}, []string{`company/251 \Clients\Customer\Bold since 13:00`}},
		{"a reading fails", func(b *bench) {
			b.companies.err = sync.ErrIncomplete
			b.run(run.Request{})
		}, []string{toCustomer}},
		{"a migration that waits for approval", func(b *bench) {
			b.relay("$STATUS")
			b.run(run.Request{})
		}, []string{toCustomer}},
		{"nothing must settle", func(b *bench) {
			b.opt.Settle = 0
			b.lists(bolt + others)
			b.run(run.Request{})
		}, []string{toCustomer}},
		{"an undo", func(b *bench) { run.New(b.opt).Undo(b.Context(), 1, 0) }, []string{toCustomer}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, threeCompanies, twoFolders)
			b.opt.Settle = 24 * time.Hour
			b.run(run.Request{})
			b.now = noon.Add(time.Hour)
			test.then(b)
			var got []string
			for _, p := range b.recall().Pending {
				got = append(got, string(p.Key)+" "+p.To+" since "+p.Since.Format("15:04"))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("pending (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLayoutIsRemembered sees when a new layout counts as approved: only with the
// whole of it.
func TestLayoutIsRemembered(t *testing.T) {
	for _, test := range []struct {
		name string
		then func(b *bench) run.Ending
		want string
	}{
		{"nobody approved it", func(b *bench) run.Ending { return b.run(run.Request{}) }, "$TYPE"},
		{"it is approved", func(b *bench) run.Ending { return b.approve(run.Request{}) }, "$STATUS"},
		{"it changes nothing", func(b *bench) run.Ending {
			b.opt.Settings.Structure = structure(b, "$TYPE")
			return b.run(run.Request{})
		}, "$STATUS"},
		{"a run of a company that has no folder", func(b *bench) run.Ending { return b.run(run.Request{IDs: []int{999}}) }, "$TYPE"},
		{"a company's part of it is approved", func(b *bench) run.Ending { return b.approve(run.Request{Companies: []string{"bolt"}}) }, "$TYPE"},
		{"it is approved, and stopped", func(b *bench) run.Ending {
			ctx, stop := context.WithCancel(b.Context())
			b.heard.applied = func(done int) {
				if done == 1 {
					stop()
				}
			}
			p, err := b.propose(run.Request{})
			if err != nil {
				b.Fatal(err)
			}
			return run.New(b.opt).Run(ctx, run.Request{Approve: p.ID}, "test")
		}, "$STATUS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, threeCompanies, twoFolders)
			b.mustRun(run.Request{})
			b.relay("$STATUS")
			e := test.then(b)
			if e.Err != nil {
				t.Fatal(e.Err)
			}
			if got := b.recall().Fingerprint.Layout; got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// approve looks at a plan and approves it.
func (b *bench) approve(req run.Request) run.Ending {
	b.Helper()
	p, err := b.propose(req)
	if err != nil {
		b.Fatal(err)
	}
	req.Approve = p.ID
	return b.mustRun(req)
}

// TestApprovals lets a person approve what guards hold: that plan and no other.
func TestApprovals(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	b.mustRun(run.Request{})
	b.relay("$STATUS")
	p, err := b.propose(run.Request{})
	if err != nil || len(p.Steps) > 0 || len(p.Whole.Steps) == 0 {
		t.Fatalf("%v: %v", err, steps(p.Plan))
	}
	b.lists(threeCompanies + "\n253 dot Dot Customer Active")
	drawn := b.vault.String()
	e := b.run(run.Request{Approve: p.ID})
	if e.Cause() != run.CauseStale || !strings.Contains(e.Text(), "the plan is now "+e.Proposal.ID) || b.vault.String() != drawn {
		t.Errorf("the plan is another one: cause %q, %s", e.Cause(), e.Text())
	}
	if b.last().Outcome != string(report.Failed) {
		t.Errorf("the journal has %+v", b.last())
	}
	b.lists(threeCompanies)
	b.mustRun(run.Request{Approve: p.ID})
	if again, err := b.propose(run.Request{}); err != nil || len(again.Whole.Steps) > 0 {
		t.Errorf("a second run does more: %v", steps(again.Whole))
	}
	if e := b.run(run.Request{Approve: p.ID}); e.Cause() != run.CauseStale {
		t.Errorf("approved twice: %q, %s", e.Cause(), e.Text())
	}
}

// saved writes a plan and reads it as a saved one.
func (b *bench) saved() *run.SavedPlan {
	b.Helper()
	p, err := b.propose(run.Request{})
	if err != nil {
		b.Fatal(err)
	}
	text, err := p.JSON()
	if err != nil {
		b.Fatal(err)
	}
	saved, err := run.ReadSaved(strings.NewReader(string(text)))
	if err != nil {
		b.Fatal(err)
	}
	return saved
}

// TestSavedPlans applies plans that were reviewed before.
func TestSavedPlans(t *testing.T) {
	for _, test := range []struct {
		name  string
		then  func(b *bench) // after the plan was saved
		again func(b *bench) // after it was applied, and before that is tried again
		first string         // what the first run with it says; empty: it is done
		next  string         // and the next
	}{
		{name: "once", next: "Since then:\n  gone: company/251: move to \\Clients\\Customer\\Bolt\n  gone: company/252: create to \\Clients\\Prospect\\Cog"},
		{
			name: "used, and everything is as before", again: func(b *bench) {
				b.vault.Folders[b.vault.At(`\Clients\Customer\Bolt`)].ParentID = b.vault.At(`\Clients\Prospect`)
				b.vault.Remove(b.vault.At(`\Clients\Prospect\Cog`))
				b.sql(`DELETE FROM cwvault_place`)
			},
			next: "the saved plan: the plan has been used before; make a new one",
		},
		{
			name: "another step", then: func(b *bench) { b.lists(threeCompanies + "\n253 dot Dot Prospect Active") },
			first: "the saved plan no longer matches; nothing was applied. Since then:\n  new: company/253: create to \\Clients\\Prospect\\Dot",
		},
		{
			name: "another name", then: func(b *bench) { b.lists(strings.ReplaceAll(threeCompanies, "Cog", "Cogs")) },
			first: "other: company/252: create to \\Clients\\Prospect\\Cogs, was create to \\Clients\\Prospect\\Cog",
		},
		{
			name: "many steps", then: func(b *bench) { b.lists(threeCompanies + "\n{1000..1029} d{} D{} Prospect Active") },
			first: "company/1019: create to \\Clients\\Prospect\\D1019\n  and 10 more",
		},
		{
			name: "only what is held", then: func(b *bench) { b.pause("alovet", "") },
			first: "Since then:\n  a reason, or what is held or departed",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, threeCompanies, twoFolders)
			req := run.Request{Saved: b.saved()}
			if test.then != nil {
				test.then(b)
			}
			e := b.run(req)
			if test.first != "" {
				if e.Cause() != run.CauseStale || !strings.Contains(e.Text(), test.first) || slices.Contains(b.vault.Calls, "update Bolt") {
					t.Errorf("%q: %s", e.Cause(), e.Text())
				}
				return
			}
			if e.Outcome() != report.Done {
				t.Fatalf("%s: %s", e.Outcome(), e.Text())
			}
			if test.again != nil {
				test.again(b)
			}
			if e = b.run(req); e.Cause() != run.CauseStale || !strings.Contains(e.Text(), test.next) {
				t.Errorf("again: %q: %s", e.Cause(), e.Text())
			}
		})
	}
}

// TestSavedPlanIsUsedWhenDone applies a saved plan that could not be applied in
// full the first time.
func TestSavedPlanIsUsedWhenDone(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	req := run.Request{Saved: b.saved()}
	b.vault.Fail = func(_ int, call string) vaulttest.Failure {
		if call == "tree" || strings.HasPrefix(call, "audience") {
			return vaulttest.NoFailure
		}
		return vaulttest.FailReadOnly
	}
	if e := b.run(req); e.Outcome() != report.Partial {
		t.Fatalf("%s: %v", e.Outcome(), e.Err)
	}
	b.vault.Fail = nil
	if e := b.run(req); e.Outcome() != report.Done {
		t.Errorf("%s: %s", e.Outcome(), e.Text())
	}
}

// TestSavedPlanComesFirst gives a saved plan and an approval, both stale: what
// changed is what a person must know.
func TestSavedPlanComesFirst(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	req := run.Request{Saved: b.saved(), Approve: "another"}
	if e := b.run(req); !strings.Contains(e.Text(), "the approval is for another plan, another; the plan is now ") {
		t.Error(e.Text())
	}
	b.lists(threeCompanies + "\n253 dot Dot Prospect Active")
	if e := b.run(req); !strings.Contains(e.Text(), "new: company/253") {
		t.Error(e.Text())
	}
}

// TestReadSaved refuses what is not a plan.
func TestReadSaved(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "not a plan: EOF",
		"{":                           "not a plan: unexpected EOF",
		`{"schema":"cwvault.run/1"}`:  "not a plan of the form cwvault.plan/1",
		`{"schema":"cwvault.plan/1"}`: "not a plan of the form cwvault.plan/1",
		`{"schema":"cwvault.plan/1","id":"p","steps":[1]}`: "not a plan: json",
	} {
		if _, err := run.ReadSaved(strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
