package run_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/sync/run"
	"cwvault/vault/vaulttest"
)

// The world that most tests begin with: Bolt became a customer, and Cog is new.
const (
	threeCompanies = `
		250 alovet Alovet Customer Active
		251 bolt   Bolt   Customer Active
		252 cog    Cog    Prospect Active`
	twoFolders = `
		Customer [group/type:1]
		  Alovet [company/250]
		    * alovet-admin
		Prospect [group/type:2]
		  Bolt [company/251]
		    * bolt-admin`
	moveBolt, createCog = `move \Clients\Customer\Bolt`, `create \Clients\Prospect\Cog`
	cog                 = sync.Key("company/252")
)

// proposals are what a plan is made from, and what it says.
var proposals = []struct {
	name   string
	before func(b *bench) // what happened before, and how it is set
	req    run.Request
	steps  []string
	held   []string
}{
	{name: "everything", steps: []string{moveBolt, createCog}},
	{name: "some companies by identifier, however that is written", req: run.Request{Companies: []string{"BOLT"}}, steps: []string{moveBolt}},
	{name: "some companies by id", req: run.Request{Companies: []string{"252"}}, steps: []string{createCog}},
	{name: "both", req: run.Request{Companies: []string{"bolt"}, IDs: []int{252}}, steps: []string{moveBolt, createCog}},
	{name: "a company that ConnectWise does not list", req: run.Request{IDs: []int{999}}},
	{
		name:   "a folder that has disappeared",
		before: func(b *bench) { b.mustRun(run.Request{}); b.vault.Remove(b.vault.Marked(cog).ID) },
		held:   []string{"folder-missing company/252"},
	},
	{
		name:   "and may be made again",
		before: func(b *bench) { b.mustRun(run.Request{}); b.vault.Remove(b.vault.Marked(cog).ID) },
		req:    run.Request{Recreate: []sync.Key{cog}}, steps: []string{createCog},
	},
	{
		name: "a root that does not exist, and may be made",
		before: func(b *bench) {
			b.vault.Root, b.opt.CreateRoot = "", true
			clear(b.vault.Folders)
			b.lists(`252 cog Cog Prospect Active`)
		},
		steps: []string{`create \Clients`, `create \Clients\Prospect`, createCog},
	},
	{
		name:   "a pause",
		before: func(b *bench) { b.pause("bolt", "they said so") },
		steps:  []string{createCog}, held: []string{"paused company/251"},
	},
	{
		name: "a step that failed before",
		before: func(b *bench) {
			b.failAt("create Cog", vaulttest.FailRefused)
			b.run(run.Request{})
			b.run(run.Request{}) // after the second failure it rests for an hour
			b.now = b.now.Add(59 * time.Minute)
		},
		held: []string{"failed-before company/252"},
	},
	{
		name: "which is retried later",
		before: func(b *bench) {
			b.failAt("create Cog", vaulttest.FailRefused)
			b.run(run.Request{})
			b.run(run.Request{})
			b.now = b.now.Add(time.Hour)
		},
		steps: []string{createCog},
	},
	{
		name: "a step that failed before, and a pause",
		before: func(b *bench) {
			b.failAt("create Cog", vaulttest.FailRefused)
			b.run(run.Request{})
			b.run(run.Request{})
			b.pause("cog", "")
		},
		held: []string{"paused company/252"},
	},
	{
		name:   "a move that must settle",
		before: func(b *bench) { b.opt.Settle = time.Hour },
		steps:  []string{createCog}, held: []string{"settling company/251"},
	},
	{
		name:   "a move that has not settled yet",
		before: func(b *bench) { b.opt.Settle = time.Hour; b.run(run.Request{}); b.now = b.now.Add(59 * time.Minute) },
		held:   []string{"settling company/251"},
	},
	{
		name:   "a move that has settled",
		before: func(b *bench) { b.opt.Settle = time.Hour; b.run(run.Request{}); b.now = b.now.Add(time.Hour) },
		steps:  []string{moveBolt},
	},
	{
		name:   "another layout",
		before: func(b *bench) { b.mustRun(run.Request{}); b.relay("$STATUS") },
		held: []string{
			"guard-layout company/250", "guard-layout company/251", "guard-layout company/252", "guard-layout group/status:1",
		},
	},
	{
		name: "too many moves",
		before: func(b *bench) {
			b.lists("{1..11} c{} C{} Prospect Active")
			b.mustRun(run.Request{})
			b.lists("{1..11} c{} C{} Customer Active\n252 cog Cog Prospect Active")
			b.opt.Settings.Limits.Moves, _ = sync.ParseLimit("10")
		},
		steps: []string{createCog},
		held:  strings.Split(strings.TrimSpace(strings.Repeat("guard-moves\n", 11)), "\n"),
	},
	{
		name: "a move that lets others see",
		before: func(b *bench) {
			b.opt.Settings.Access = sync.AccessHold
			b.vault.Readers["root"] = []string{"Everybody"}
			b.vault.Folders[b.vault.At(`\Clients\Prospect`)].Inherits = false
		},
		steps: []string{createCog}, held: []string{"access-widens company/251"},
	},
}

// TestPropose sees what a proposal takes into account besides the companies and
// the folders.
func TestPropose(t *testing.T) {
	for _, test := range proposals {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, threeCompanies, twoFolders)
			if test.before != nil {
				test.before(b)
			}
			drawn, calls := b.vault.String(), len(b.vault.Calls)
			p, err := b.propose(test.req)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.steps, steps(p.Plan)); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			got := holds(p.Plan)
			if strings.HasPrefix(test.name, "too many") { // eleven of a kind
				for i := range got {
					got[i], _, _ = strings.Cut(got[i], " ")
				}
			}
			if diff := cmp.Diff(test.held, got); diff != "" {
				t.Errorf("held (-want +got):\n%s", diff)
			}
			reads := func(call string) bool { return call == "tree" || strings.HasPrefix(call, "audience ") }
			for _, call := range b.vault.Calls[calls:] {
				if !reads(call) {
					t.Errorf("a proposal calls %q", call)
				}
			}
			if now := b.vault.String(); now != drawn {
				t.Errorf("the vault has changed to\n%s", now)
			}
		})
	}
}

// pause pauses a company.
func (b *bench) pause(who, reason string) {
	b.Helper()
	if _, err := run.New(b.opt).Pause(b.Context(), who, reason); err != nil {
		b.Fatal(err)
	}
}

// TestProposeReasons sees the words of what the journal holds.
func TestProposeReasons(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	b.failAt("create Cog", vaulttest.FailRefused)
	b.run(run.Request{Companies: []string{"cog"}})
	b.run(run.Request{Companies: []string{"cog"}})
	b.pause("250", "")
	b.pause("251", "they\nsaid so")
	p, err := b.propose(run.Request{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[sync.Key]string{
		"company/250": "paused by hand",
		"company/251": "paused by hand: they\nsaid so",
		"company/252": "failed in 2 runs, last with: the vault says no; retried after 2026-11-02T13:00:00Z",
	}
	got := map[sync.Key]string{}
	for _, h := range p.Held {
		got[h.Key] = h.Reason
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// refusals are readings and requests from which no plan is made.
var refusals = []struct {
	name   string
	before func(b *bench)
	req    run.Request
	cause  run.Cause
	server run.Server // that the error is about
	text   string     // a part of it
}{
	{name: "an unknown company", req: run.Request{Companies: []string{"dot"}}, cause: run.CauseUsage, text: `no company "dot" in ConnectWise`},
	{
		name: "another tenant", before: func(b *bench) { b.mustRun(run.Request{}); b.opt.Tenant = "other" },
		cause: run.CauseSource, text: `the tenant is "other", but "acme" in the runs that the journal knows`,
	},
	{
		name: "another vault", before: func(b *bench) { b.mustRun(run.Request{}); b.opt.Installation.Vault = "other" },
		cause: run.CauseSource, text: `the vault is "other", but "memory"`,
	},
	{
		name: "another root", before: func(b *bench) {
			b.mustRun(run.Request{})
			b.opt.Vault = elsewhere{b.vault}
		},
		cause: run.CauseSource, text: `the root is "\Elsewhere", but "\Clients"`,
	},
	{
		name: "another installation before everything else", before: func(b *bench) {
			b.mustRun(run.Request{})
			b.opt.Tenant = "other"
			b.lists("")
			b.vault.Root = ""
		},
		cause: run.CauseSource, text: "the tenant is",
	},
	{name: "no companies", before: func(b *bench) { b.lists("") }, cause: run.CauseSource, text: "no companies"},
	{
		name: "companies missing", before: func(b *bench) {
			b.lists("{1..100} c{} C{} Prospect Active")
			b.mustRun(run.Request{})
			b.lists("{1..79} c{} C{} Prospect Active")
			b.opt.Settings.Limits.SourceDrop, _ = sync.ParseLimit("20%")
		},
		cause: run.CauseSource, text: "79",
	},
	{name: "no root", before: func(b *bench) { b.vault.Root = "" }, cause: run.CauseSettings, text: `the root \Clients does not exist in the vault`},
	{
		name: "settings that do not fit", before: func(b *bench) { b.opt.Settings.Types = []string{"Reseller"} },
		cause: run.CauseSettings, text: "Reseller",
	},
	{
		name: "ConnectWise refuses", before: func(b *bench) { b.companies.err = sync.ErrUnauthorized },
		cause: run.CauseUnauthorized, server: run.ConnectWise, text: "read companies: not authorised",
	},
	{
		name: "ConnectWise's keys are in the vault, which refuses",
		before: func(b *bench) {
			b.companies.err = &run.ServerError{Server: run.VaultServer, Err: sync.ErrUnauthorized}
		},
		cause: run.CauseUnauthorized, server: run.VaultServer, text: "read companies: not authorised",
	},
	{
		name: "half a reading", before: func(b *bench) { b.companies.err = sync.ErrIncomplete },
		cause: run.CauseSource, server: run.ConnectWise, text: "incomplete",
	},
	{
		name: "the vault cannot be reached", before: func(b *bench) { b.failAt("tree", vaulttest.FailUnavailable) },
		cause: run.CauseFailed, server: run.VaultServer, text: "read folders: ",
	},
	{
		name: "the vault is not ready", before: func(b *bench) { b.opt.Vault = locked{b.vault} },
		cause: run.CauseFailed, server: run.VaultServer, text: "the vault is locked",
	},
	{
		name: "a mistake", before: func(b *bench) { b.companies.before = func() { panic("oh") } },
		cause: run.CauseFailed, text: "oh",
	},
	{
		name: "who can see a folder is not known", before: func(b *bench) {
			b.vault.Fail = func(_ int, call string) vaulttest.Failure {
				if strings.HasPrefix(call, "audience ") {
					return vaulttest.FailRefused
				}
				return vaulttest.NoFailure
			}
		},
		cause: run.CauseFailed, text: "read who can see folder",
	},
	{
		name: "secrets are not counted", req: run.Request{Count: true}, before: func(b *bench) {
			b.failAt("secrets "+b.vault.At(`\Clients\Prospect\Bolt`), vaulttest.FailRefused)
		},
		cause: run.CauseFailed, text: "count the secrets of company/251",
	},
	{name: "the journal is gone", before: func(b *bench) { b.opt.Journal.Close() }, cause: run.CauseFailed, text: "recall"},
}

// TestProposeRefuses sees the readings and requests from which no plan is made.
func TestProposeRefuses(t *testing.T) {
	for _, test := range refusals {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, threeCompanies, twoFolders)
			if test.before != nil {
				test.before(b)
			}
			_, err := b.propose(test.req)
			if run.CauseOf(err) != test.cause || !strings.Contains(err.Error(), test.text) {
				t.Errorf("cause %q, not %q: %v", run.CauseOf(err), test.cause, err)
			}
			if server, _ := run.ServerOf(err); server != test.server {
				t.Errorf("about server %q, not %q", server, test.server)
			}
		})
	}
}

// elsewhere is a vault whose root has another path.
type elsewhere struct{ *vaulttest.Memory }

func (v elsewhere) Tree(ctx ctx) (sync.Tree, error) {
	t, err := v.Memory.Tree(ctx)
	t.RootPath = `\Elsewhere`
	return t, err
}

// locked is a vault that is not ready.
type locked struct{ *vaulttest.Memory }

func (locked) Ready(ctx) error { return errors.New("the vault is locked") }

// TestProposeBesidesAnotherRun sees that looking needs no lease and no journal.
func TestProposeBesidesAnotherRun(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	other := b.open()
	lease, err := other.Acquire(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release(t.Context())
	if p, err := b.propose(run.Request{}); err != nil || len(p.Steps) != 2 {
		t.Errorf("%v", err)
	}
	b.opt.Journal = b.readOnly(t.TempDir() + "/none.db")
	if p, err := b.propose(run.Request{}); err != nil || len(p.Steps) != 2 {
		t.Errorf("without a journal: %v", err)
	}
}

// TestProposeCounts counts the secrets that go along with a move, and those in a
// folder that is adopted, and only if that is asked for.
func TestProposeCounts(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders+`
		  Cog
		    * cog-admin
		    * cog-guest`)
	b.opt.Settings.Adopt = true
	for _, count := range []bool{false, true} {
		p, err := b.propose(run.Request{Count: count})
		if err != nil {
			t.Fatal(err)
		}
		got := map[sync.Op]int{}
		for _, s := range p.Steps {
			if s.Secrets != nil {
				got[s.Op] = *s.Secrets
			}
		}
		want := map[sync.Op]int{}
		if count {
			want = map[sync.Op]int{sync.OpMove: 1, sync.OpAdopt: 2}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("asked %v (-want +got):\n%s", count, diff)
		}
	}
}

// TestProposalFind finds companies by what people call them.
func TestProposalFind(t *testing.T) {
	b := newBench(t, `
		250 alovet Alovet Customer Active
		251 bolt   Bolt   Customer Active
		252 BOLT   Bold   Customer Active
		253 250    Cog    Customer Active`, `
		Customer [group/type:1]
		  Gone [company/999]
		  Theirs [other company/998]`)
	p, err := b.propose(run.Request{})
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string]int{"alovet": 250, "Alovet": 250, "251": 251, "999": 999, "998": 0, "bolt": 0, "250": 0, "dot": 0, "": 0} {
		id, err := p.Find(who)
		if id != want || (err == nil) != (want > 0) || err != nil && run.CauseOf(err) != run.CauseUsage {
			t.Errorf("%q: %d, %v; want %d", who, id, err, want)
		}
		// Without a proposal every number is an id.
		if slices.Contains([]string{"250", "998"}, who) {
			continue
		}
		if id, err := run.New(b.opt).FindCompany(t.Context(), who); id != want || (err == nil) != (want > 0) {
			t.Errorf("FindCompany %q: %d, %v; want %d", who, id, err, want)
		}
	}
}

// TestSituation sees that companies are explained from what a proposal read.
func TestSituation(t *testing.T) {
	b := newBench(t, threeCompanies, twoFolders)
	p, err := b.propose(run.Request{})
	if err != nil {
		t.Fatal(err)
	}
	s := p.Situation(p.Tree, p.Plan)
	if s.Structure.String() != "$TYPE" || len(s.Companies) != 3 || len(s.Tree.Folders) != 4 || s.Plan.ID != p.ID {
		t.Errorf("it is %+v", s)
	}
	if path, _ := s.Wanted.Explain(252); path.Path != `\Prospect` {
		t.Errorf("Cog belongs in %q", path.Path)
	}
}
