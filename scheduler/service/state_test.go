package service

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cwvault/scheduler/dashboard"
	"cwvault/sync"
	"cwvault/sync/run"
)

// shown is what is compared of a state and its look.
type shown struct {
	NotInStep, LastGood string // "before", "now" or empty
	LastError           string
	LastRun             int64
	Look                string   // "before" or "now", or empty
	Pending             []string // what remains, a step each
	Blocked, Failed     []sync.Key
	Held                []string // a code each
	PlanID              bool     // what remains has the id of the plan that was made
	Unchanged           int
}

var (
	wasThen = time.Date(2026, 11, 2, 11, 0, 0, 0, time.UTC)
	isNow   = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
)

// show puts a state into the words of shown.
func show(st dashboard.State, e Seen) shown {
	when := func(t time.Time) string {
		switch t {
		case wasThen:
			return "before"
		case isNow:
			return "now"
		}
		return strings.TrimPrefix(t.String(), time.Time{}.String())
	}
	s := shown{NotInStep: when(st.NotInStep), LastGood: when(st.LastGood), LastError: st.LastError, LastRun: st.LastRun}
	if l := st.Look; l != nil {
		s.Look = when(l.At)
		for _, step := range l.Pending.Steps {
			s.Pending = append(s.Pending, string(step.Op)+" "+string(step.Key))
		}
		for _, h := range l.Pending.Held {
			s.Held = append(s.Held, string(h.Code))
		}
		s.Blocked, s.Failed = slices.Sorted(maps.Keys(l.Blocked)), slices.Sorted(maps.Keys(l.Failed))
		s.PlanID = e.View != nil && l.Pending.ID == e.View.ID
		s.Unchanged = l.Pending.Counts.Unchanged
	}
	return s
}

const (
	somethingWrong = "read companies: incomplete"
	move, create   = "move company/251", "create company/252"
)

// What is shown before: all is well, or has not been for some time.
var (
	well = dashboard.State{LastGood: wasThen, LastRun: 7, Look: &dashboard.Look{At: wasThen, Pending: sync.Plan{
		Held: []sync.Held{{Code: sync.HeldNoType, Key: "company/9"}, {Code: sync.HeldNoType, Key: "company/251"}},
	}}}
	ill = dashboard.State{LastGood: wasThen, LastRun: 7, Look: well.Look, NotInStep: wasThen, LastError: "it was bad"}
)

// endings are how runs end, and what is shown then.
var endings = []struct {
	name   string
	before dashboard.State
	make   func(w *world) Seen
	want   shown
}{
	{
		name: "done", before: ill, make: func(w *world) Seen { return seen(w.run(run.Request{})) },
		want: shown{LastGood: "now", LastRun: 1, Look: "now", Unchanged: 5},
	},
	{
		name: "the first run", make: func(w *world) Seen { return seen(w.run(run.Request{})) },
		want: shown{LastGood: "now", LastRun: 1, Look: "now", Unchanged: 5},
	},
	{
		name: "partial", before: well, make: func(w *world) Seen {
			w.failAt("create Cog")
			return seen(w.run(run.Request{}))
		},
		want: shown{NotInStep: "now", LastGood: "before", LastError: "some steps were not made", LastRun: 1, Look: "now",
			Pending: []string{create}, Failed: []sync.Key{"company/252"}, Unchanged: 4},
	},
	{
		name: "partial, and nothing was made", before: ill, make: func(w *world) Seen {
			w.failAt("create Cog", "update Bolt")
			return seen(w.run(run.Request{}))
		},
		want: shown{NotInStep: "before", LastGood: "before", LastError: "some steps were not made", LastRun: 1, Look: "now",
			Pending: []string{move, create}, Failed: []sync.Key{"company/251", "company/252"}, PlanID: true, Unchanged: 3},
	},
	{
		name: "failed", before: well, make: func(w *world) Seen {
			w.companies.fail(sync.ErrIncomplete)
			return seen(w.run(run.Request{}))
		},
		want: shown{NotInStep: "now", LastGood: "before", LastError: somethingWrong, LastRun: 1, Look: "before"},
	},
	{
		name: "failed again", before: ill, make: func(w *world) Seen {
			w.companies.fail(sync.ErrIncomplete)
			return seen(w.run(run.Request{}))
		},
		want: shown{NotInStep: "before", LastGood: "before", LastError: somethingWrong, LastRun: 1, Look: "before"},
	},
	{
		name: "not even opened", before: well, make: func(*world) Seen {
			return Seen{Ending: run.Ending{Err: sync.ErrUnavailable, Started: isNow}}
		},
		want: shown{NotInStep: "now", LastGood: "before", LastError: "unavailable", LastRun: 7, Look: "before"},
	},
	{
		name: "stopped", before: well, make: func(w *world) Seen {
			ctx, stop := context.WithCancel(w.Context())
			w.opt.Vault = &stopping{w.vault, stop}
			var e run.Ending
			w.with(func(r *run.Runner) { e = r.Run(ctx, run.Request{}, "test") })
			return seen(e)
		},
		want: shown{NotInStep: "now", LastGood: "before", LastError: "some steps were not made", LastRun: 1, Look: "now",
			Pending: []string{create}, Unchanged: 4},
	},
	{
		name: "the request was wrong", before: well, make: func(w *world) Seen { return seen(w.run(run.Request{Companies: []string{"dot"}})) },
		want: shown{LastGood: "before", LastRun: 1, Look: "before"},
	},
	{
		name: "the request was wrong, and something else before", before: ill, make: func(w *world) Seen {
			return seen(w.run(run.Request{Companies: []string{"dot"}}))
		},
		want: shown{NotInStep: "before", LastGood: "before", LastError: "it was bad", LastRun: 1, Look: "before"},
	},
	{
		name: "the approval is stale", before: well, make: func(w *world) Seen { return seen(w.run(run.Request{Approve: "p"})) },
		want: shown{NotInStep: "now", LastGood: "before", LastRun: 1, Look: "now", Pending: []string{move, create}, PlanID: true, Unchanged: 3},
	},
	{
		name: "one company, and the approval is stale", before: well, make: func(w *world) Seen {
			return seen(w.run(run.Request{IDs: []int{251}, Approve: "p"}))
		},
		want: shown{LastGood: "before", LastRun: 1, Look: "before"},
	},
	{
		name: "one company, and the others were in step", before: well, make: func(w *world) Seen {
			return seen(w.run(run.Request{IDs: []int{251}}))
		},
		want: shown{LastGood: "before", LastRun: 1, Look: "now", Held: []string{"no-type"}, Unchanged: 4},
	},
	{
		name: "one company, and another look", before: ill, make: func(w *world) Seen {
			e := seen(w.run(run.Request{IDs: []int{251}}))
			e.View, e.Again = w.propose(run.Request{}), true
			return e
		},
		want: shown{NotInStep: "before", LastGood: "before", LastRun: 1, Look: "now", Pending: []string{create}, PlanID: true, Unchanged: 4},
	},
	{
		name: "one company, and another look finds nothing left", before: ill, make: func(w *world) Seen {
			w.lists("250 alovet Alovet Customer Active\n251 bolt Bolt Customer Active")
			e := seen(w.run(run.Request{IDs: []int{251}}))
			e.View, e.Again = w.propose(run.Request{}), true
			return e
		},
		want: shown{LastGood: "before", LastRun: 1, Look: "now", PlanID: true, Unchanged: 4},
	},
	{
		name: "one company, and no other look could be had", before: ill, make: func(w *world) Seen {
			e := seen(w.run(run.Request{IDs: []int{251}}))
			e.View = nil
			return e
		},
		want: shown{NotInStep: "before", LastGood: "before", LastRun: 1, Look: "before"},
	},
	{
		name: "one company fails", before: well, make: func(w *world) Seen {
			w.companies.fail(sync.ErrIncomplete)
			return seen(w.run(run.Request{IDs: []int{251}}))
		},
		want: shown{NotInStep: "now", LastGood: "before", LastError: somethingWrong, LastRun: 1, Look: "before"},
	},
	{
		name: "one company, and nothing was known before", make: func(w *world) Seen { return seen(w.run(run.Request{IDs: []int{251}})) },
		want: shown{LastRun: 1, Look: "now", Unchanged: 4},
	},
	{
		name: "a policy holds", before: well, make: func(w *world) Seen {
			w.holdMoves()
			return seen(w.run(run.Request{}))
		},
		want: shown{NotInStep: "now", LastGood: "now", LastRun: 1, Look: "now", Pending: []string{move}, Blocked: []sync.Key{"company/251"},
			Held: []string{"access-widens"}, Unchanged: 4},
	},
	{
		name: "and is approved", before: ill, make: func(w *world) Seen {
			w.holdMoves()
			return seen(w.run(run.Request{Approve: w.propose(run.Request{}).ID}))
		},
		want: shown{LastGood: "now", LastRun: 1, Look: "now", Unchanged: 5},
	},
	{
		name: "a move settles", before: well, make: func(w *world) Seen {
			w.opt.Settle = time.Hour
			return seen(w.run(run.Request{}))
		},
		want: shown{NotInStep: "now", LastGood: "now", LastRun: 1, Look: "now", Pending: []string{move}, Held: []string{"settling"}, Unchanged: 4},
	},
}

// TestAfter sees what is shown after a run, from what was shown before.
func TestAfter(t *testing.T) {
	for _, test := range endings {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			e := test.make(w)
			e.Started = isNow
			before := test.before
			before.Progress = dashboard.Progress{Run: 1, Done: 1, Total: 2}
			after := After(before, e)
			got := show(after, e)
			if got.Look == "before" { // as it was
				if after.Look != before.Look {
					t.Error("the look is another one")
				}
				got.Held, got.Unchanged = nil, 0
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("shown (-want +got):\n%s", diff)
			}
			if after.Progress != (dashboard.Progress{}) {
				t.Errorf("progress %+v", after.Progress)
			}
		})
	}
}

// seen is an ending as it is shown without another look.
func seen(e run.Ending) Seen { return Seen{Ending: e, View: e.Proposal} }

// holdMoves lets moves to the customers wait for approval.
func (w *world) holdMoves() {
	w.opt.Settings.Access = sync.AccessHold
	w.vault.Readers["root"] = []string{"Everybody"}
	w.vault.Folders[w.vault.At(`\Clients\Prospect`)].Inherits = false
}

// stopping is a vault that is stopped with its first change.
type stopping struct {
	run.Vault
	stop func()
}

func (v *stopping) Update(ctx context.Context, id, parentID, name string) (sync.Folder, error) {
	v.stop()
	return v.Vault.Update(ctx, id, parentID, name)
}

// TestLook sees what is shown of each company.
func TestLook(t *testing.T) {
	w := newWorld(t)
	w.failAt("create Cog")
	e := seen(w.run(run.Request{}))
	l := After(dashboard.State{}, e).Look
	if l.Run != 1 || l.Listed != 3 || l.Managed != 2 {
		t.Errorf("run %d, %d listed, %d managed", l.Run, l.Listed, l.Managed)
	}
	got := map[string]string{}
	for _, c := range l.Companies {
		got[c.Name] = string(c.State()) + " " + c.Where()
	}
	want := map[string]string{"Alovet": `in step \Clients\Customer\Alovet`, "Bolt": `in step \Clients\Customer\Bolt`, "Cog": `pending \Clients\Prospect\Cog`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("companies (-want +got):\n%s", diff)
	}
	if l.Failed["company/252"] != "the vault says no" || l.Pending.Counts != (sync.Counts{Create: 1, Unchanged: 4}) {
		t.Errorf("failed %v, counts %+v", l.Failed, l.Pending.Counts)
	}
}
