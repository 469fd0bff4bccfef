package sync_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// faults plays a script: for each call such as "create Acme" what goes wrong
// with the first, the second and so on.
type faults map[string][]fault

func (f faults) play(_ int, op string) fault {
	due := f[op]
	if len(due) == 0 {
		return noFault
	}
	if len(due) > 1 {
		f[op] = due[1:]
	} else {
		delete(f, op)
	}
	return due[0]
}

func forever(f fault) []fault { return slices.Repeat([]fault{f}, 100) }

func TestApplyFaults(t *testing.T) {
	const (
		twoNew = `
			1 one Acme Customer Active
			2 two Bolt Prospect Active`
		circle = `
			1 one B - Active
			2 two C - Active
			3 three A - Active
			4 four D - Active`
		circleVault = `
			Active [group/status:1]
			  A [company/1]
			  B [company/2]
			  C [company/3]
			  X [company/4]`
	)
	for name, c := range map[string]struct {
		text
		faults  faults
		results string
		after   string
		calls   []string // if not nil
	}{
		"a failed step skips what depends on it, and nothing else": {
			text:   text{companies: twoNew},
			faults: faults{"create Customer": {faultRefused}},
			results: `
				failed group/type:1: the vault says no
				done group/type:2
				skipped group/type:1/status:1: it depends on the create of group/type:1, which failed
				done group/type:2/status:1
				skipped company/1: it depends on the create of group/type:1, which failed
				done company/2`,
			after: `
				Prospect [group/type:2]
				  Active [group/type:2/status:1]
				    Bolt [company/2]`,
		},
		"a place that is not vacated is not taken": {
			text: text{structure: "$STATUS", companies: `
				1 one B - Active
				2 two C - Active
				3 three D - Active`, vault: `
				Active [group/status:1]
				  A [company/1]
				  B [company/2]
				  X [company/3]`},
			faults: faults{"update C": {faultRefused}},
			results: `
				failed company/2: the vault says no
				skipped company/1: it depends on the rename of company/2, which failed
				done company/3`,
			after: `
				Active [group/status:1]
				  A [company/1]
				  B [company/2]
				  D [company/3]`,
		},
		"an answer that is lost before the folder was made": {
			text:    text{structure: "A", companies: `1 one Acme - -`},
			faults:  faults{"create Acme": {faultCut, faultCut, faultCut}},
			results: "done group/text:A\ndone company/1",
			after:   "A [group/text:A]\n  Acme [company/1]",
			calls:   []string{"create A", "create Acme", "find Acme", "create Acme", "find Acme", "create Acme", "find Acme", "create Acme"},
		},
		"an answer that is lost after the folder was made": {
			text:    text{structure: "A", companies: `1 one Acme - -`},
			faults:  faults{"create Acme": {faultLost}, "create A": {faultLost}},
			results: "done group/text:A\ndone company/1",
			after:   "A [group/text:A]\n  Acme [company/1]",
			calls:   []string{"create A", "find A", "create Acme", "find Acme"},
		},
		"an answer that is lost after the folder was made, before it was marked": {
			text:    text{structure: "A", companies: `1 one Acme - -`},
			faults:  faults{"create Acme": {faultHalfLost}, "find Acme": {faultCut, faultLost}, "mark company/1": {faultCut, faultLost}},
			results: "done group/text:A\ndone company/1",
			after:   "A [group/text:A]\n  Acme [company/1]",
			calls:   []string{"create A", "create Acme", "find Acme", "find Acme", "find Acme", "mark company/1", "mark company/1", "mark company/1"},
		},
		"made and not marked": {
			text:    text{structure: "A", companies: `1 one Acme - -`},
			faults:  faults{"create Acme": {faultNoMark}},
			results: "done group/text:A\ndone company/1",
			after:   "A [group/text:A]\n  Acme [company/1]",
			calls:   []string{"create A", "create Acme", "mark company/1"},
		},
		"made, and cannot be marked": {
			text:   text{structure: "A", companies: `1 one Acme - -`},
			faults: faults{"create A": {faultNoMark}, "mark group/text:A": {faultRefused}},
			results: `
				failed group/text:A?: made, but not marked; the next run marks it: the vault says no
				skipped company/1: it depends on the create of group/text:A, which failed`,
			after: "A",
		},
		"no answer at all": {
			text:   text{structure: "A", companies: `1 one Acme - -`},
			faults: faults{"create A": forever(faultCut)},
			results: `
				failed group/text:A?: create A: no answer; it may have been done
				skipped company/1: it depends on the create of group/text:A, which failed`,
			calls: []string{"create A", "find A", "create A", "find A", "create A", "find A", "create A", "find A"},
		},
		"no answer when looking": {
			text:   text{structure: "A", companies: `1 one Acme - -`},
			faults: faults{"create A": {faultHalfLost}, "find A": forever(faultCut)},
			results: `
				failed group/text:A?: create A: no answer; it may have been done; looking for it: find A: no answer; it may have been done
				skipped company/1: it depends on the create of group/text:A, which failed`,
			after: "A",
			calls: []string{"create A", "find A", "find A", "find A", "find A"},
		},
		"looking is refused": {
			text:   text{structure: "A", companies: `1 one Acme - -`},
			faults: faults{"create Acme": {faultLost}, "find Acme": {faultRefused}},
			results: `
				done group/text:A
				failed company/1?: create Acme: no answer; it may have been done; looking for it: the vault says no`,
			after: "A [group/text:A]\n  Acme [company/1]",
		},
		"refused after no answer: perhaps the first one comes yet": {
			text:   text{structure: "A", companies: `1 one Acme - -`},
			faults: faults{"create Acme": {faultCut, faultRefused}},
			results: `
				done group/text:A
				failed company/1?: the vault says no`,
			after: "A [group/text:A]",
			calls: []string{"create A", "create Acme", "find Acme", "create Acme", "find Acme"},
		},
		"answers to a rename are lost, done or not": {
			text: text{structure: "A", companies: `1 one Acme - -`, vault: `
				A [group/text:A]
				  Acme then [company/1]`},
			faults:  faults{"update Acme": {faultCut, faultLost, faultLost}},
			results: "done company/1",
			after:   "A [group/text:A]\n  Acme [company/1]",
			calls:   slices.Repeat([]string{"update Acme"}, 4),
		},
		"a rename is never answered": {
			text: text{structure: "A", companies: `1 one Acme - -`, vault: `
				A [group/text:A]
				  Acme then [company/1]`},
			faults:  faults{"update Acme": forever(faultCut)},
			results: "failed company/1: update Acme: no answer; it may have been done",
			after:   "A [group/text:A]\n  Acme then [company/1]",
			calls:   slices.Repeat([]string{"update Acme"}, 4),
		},
		"answers to an adoption are lost": {
			text:    text{structure: "A", companies: `1 one Acme - -`, set: adopt, vault: "A\n  Acme"},
			faults:  faults{"mark group/text:A": {faultLost}, "mark company/1": {faultCut}},
			results: "done group/text:A\ndone company/1",
			after:   "A [group/text:A]\n  Acme [company/1]",
			calls:   []string{"mark group/text:A", "mark group/text:A", "mark company/1", "mark company/1"},
		},
		"nothing goes into a group that could not be adopted": {
			text:   text{structure: "A", companies: `1 one Acme - -`, set: adopt, vault: "A"},
			faults: faults{"mark group/text:A": {faultRefused}},
			results: `
				failed group/text:A: the vault says no
				skipped company/1: it depends on the adopt of group/text:A, which failed`,
			after: "A",
		},
		"the root cannot be made": {
			text:   text{structure: "A", companies: `1 one Acme - -`, world: func(w *sync.World) { w.Tree.Root.ID = "" }},
			faults: faults{"create root": {faultRefused}},
			results: `
				failed root: the vault says no
				skipped group/text:A: it depends on the create of root, which failed
				skipped company/1: it depends on the create of root, which failed`,
		},
		"sign-in fails: the rest is not tried": {
			text:   text{companies: twoNew},
			faults: faults{"create Prospect": {faultUnauthorized}},
			results: `
				done group/type:1
				failed group/type:2: create Prospect: not authorised
				skipped group/type:1/status:1: create Prospect: not authorised
				skipped group/type:2/status:1: it depends on the create of group/type:2, which failed
				skipped company/1: create Prospect: not authorised
				skipped company/2: it depends on the create of group/type:2, which failed`,
			after: "Customer [group/type:1]",
			calls: []string{"create Customer", "create Prospect"},
		},
		"a circle: a folder without mark gets that before its temporary name": {
			text: text{structure: "A", companies: "1 one B - -\n2 two A - -", vault: `
				A [group/text:A]
				  A
				  B [company/2]`, world: func(w *sync.World) {
				w.Unfinished = map[sync.Key]sync.Place{"company/1": {Parent: "group/text:A", Name: "A"}}
			}},
			faults: faults{"update A": {faultRefused}},
			results: `
				skipped company/1: it depends on the rename of company/2, which failed
				failed company/2: the vault says no`,
			after: `
				A [group/text:A]
				  A [company/1]
				  B [company/2]`,
			calls: []string{"mark company/1", "update B (moving #1)", "update A", "update A"},
		},
		"a circle: the temporary name is refused": {
			text:   text{structure: "$STATUS", companies: circle, vault: circleVault},
			faults: faults{"update B (moving #1)": {faultRefused}},
			results: `
				done company/4
				failed company/1: take the temporary name: the vault says no
				skipped company/3: it depends on the rename of company/1, which failed
				skipped company/2: it depends on the rename of company/1, which failed`,
			after: `
				Active [group/status:1]
				  A [company/1]
				  B [company/2]
				  C [company/3]
				  D [company/4]`,
		},
		"a circle: one half-way fails, and who has the temporary name goes back": {
			text:   text{structure: "$STATUS", companies: circle, vault: circleVault},
			faults: faults{"update A": {faultRefused}},
			results: `
				done company/4
				skipped company/1: it depends on the rename of company/3, which failed
				failed company/3: the vault says no
				skipped company/2: it depends on the rename of company/3, which failed`,
			after: `
				Active [group/status:1]
				  A [company/1]
				  B [company/2]
				  C [company/3]
				  D [company/4]`,
		},
		"a circle: and its old name is taken by then": {
			text:   text{structure: "$STATUS", companies: circle, vault: circleVault},
			faults: faults{"update C": {faultRefused}},
			results: `
				done company/4
				failed company/1: it depends on the rename of company/2, which failed; it has its temporary name until the next run, because going back failed: update to "A": name taken
				done company/3
				failed company/2: the vault says no`,
			after: `
				Active [group/status:1]
				  A [company/3]
				  B [company/2]
				  B (moving #1) [company/1]
				  D [company/4]`,
		},
		"a circle: the last step of it fails": {
			text:   text{structure: "$STATUS", companies: circle, vault: circleVault},
			faults: faults{"update B": {faultRefused}},
			results: `
				done company/4
				failed company/1: the vault says no; it has its temporary name until the next run
				done company/3
				done company/2`,
			after: `
				Active [group/status:1]
				  A [company/3]
				  B (moving #1) [company/1]
				  C [company/2]
				  D [company/4]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, workers := range []int{1, 8} {
				v := readVault(t, c.vault)
				script := maps.Clone(c.faults)
				v.Fail = script.play
				p := c.plan(t, v.Snapshot())
				rec := &recorder{}
				if workers > 1 && c.faults["create Prospect"] != nil {
					continue // what else is under way by then is a matter of luck
				}
				report := sync.Apply(context.Background(), v, p, workers, rec)
				if diff := cmp.Diff(tidy(c.results), results(p, report)); diff != "" {
					t.Errorf("%d workers (-want +got):\n%s", workers, diff)
				}
				if diff := cmp.Diff(readVault(t, c.after).String(), v.String()); diff != "" {
					t.Errorf("%d workers: vault (-want +got):\n%s", workers, diff)
				}
				if diff := cmp.Diff(c.calls, v.Calls); c.calls != nil && diff != "" {
					t.Errorf("%d workers: calls (-want +got):\n%s", workers, diff)
				}
				if len(rec.wrong) > 0 || len(rec.ended) != len(p.Steps) {
					t.Errorf("the recorder says %v, and that %d ended", rec.wrong, len(rec.ended))
				}
				for op, left := range script {
					if len(left) < 90 {
						t.Errorf("%v of %s never happened", left, op)
					}
				}
				if got := report.Results; len(got) != len(p.Steps) {
					t.Errorf("%d results", len(got))
				}

				// The next run, without faults, ends where this one should have.
				v.Fail = nil
				c.again(t, v, p, report)
			}
		})
	}
}

// again makes the next run, with what the journal would have kept of the first.
func (c text) again(t *testing.T, v *memVault, p sync.Program, report sync.Report) {
	t.Helper()
	first := c.world
	c.world = func(w *sync.World) {
		if first != nil {
			first(w)
		}
		if w.Unfinished == nil {
			w.Unfinished = map[sync.Key]sync.Place{}
		}
		for i, s := range p.Steps {
			if report.Results[i].Unsettled {
				w.Unfinished[s.Key] = p.Place(i)
			}
		}
	}
	next := c.plan(t, v.Snapshot())
	if got := sync.Apply(context.Background(), v, next, 1, noRecord{}); got.Count(sync.StatusDone) != len(next.Steps) || len(next.Held) > 0 {
		t.Errorf("the next run:\n%s%s", writePlan(next.Plan), results(next, got))
	}
	want := readVault(t, c.vault)
	whole := c.plan(t, want.Snapshot())
	sync.Apply(context.Background(), want, whole, 1, noRecord{})
	if diff := cmp.Diff(want.String(), v.String()); diff != "" {
		t.Errorf("after the next run (-want +got):\n%s", diff)
	}
}
