package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// drawTree writes a tree as text.
func drawTree(t Tree) string {
	var b strings.Builder
	counts := func(list []TreeCount) string {
		var words []string
		for _, c := range list {
			words = append(words, fmt.Sprintf("%s%d", c.Kind.Sign(), c.N))
		}
		return strings.Join(words, " ")
	}
	line := func(c Change) string {
		s := fmt.Sprintf("%s %s", c.Kind.Sign(), c.Name)
		if c.Other != "" {
			s += " | " + c.Other
		}
		if c.Blocked {
			s += " | held"
		}
		if c.Error != "" {
			s += " | " + c.Error
		}
		return s
	}
	var draw func(f TreeFolder, indent string)
	draw = func(f TreeFolder, indent string) {
		head := f.Name
		if f.Change != nil {
			head = line(*f.Change)
		}
		fmt.Fprintf(&b, "%s%s (%s)\n", indent, head, counts(f.Counts))
		for _, c := range f.Changes {
			fmt.Fprintf(&b, "%s  %s\n", indent, line(c))
		}
		if f.More > 0 {
			fmt.Fprintf(&b, "%s  %d more\n", indent, f.More)
		}
		for _, sub := range f.Folders {
			draw(sub, indent+"  ")
		}
	}
	fmt.Fprintf(&b, "(%s)\n", counts(t.Counts))
	draw(t.Root, "")
	if t.Cut > 0 {
		fmt.Fprintf(&b, "cut %d\n", t.Cut)
	}
	return b.String()
}

// blocked marks steps as held.
func blocked(rest Remaining, keys ...sync.Key) Remaining {
	for _, k := range keys {
		rest.Blocked[k] = true
	}
	return rest
}

// oneFailed has a step that is made, one that failed and one that is held.
func oneFailed() Remaining {
	rest := remaining(
		stepOf(sync.OpCreate, "company/1", "", `\Clients\A\Alpha`, ""),
		stepOf(sync.OpCreate, "company/2", "", `\Clients\A\Omega`, ""),
		stepOf(sync.OpCreate, "company/3", "", `\Clients\A\Psi`, ""),
	)
	rest.Failed["company/2"] = "no right"
	return blocked(rest, "company/3")
}

// atTop has no folder above its companies.
func atTop() Remaining {
	rest := remaining(stepOf(sync.OpCreate, "company/1", "", `\Alpha`, ""))
	rest.Plan.Root = `\`
	return rest
}

var treeTests = map[string]struct {
	rest  Remaining
	limit int
	want  string
}{
	"nothing": {remaining(), 100, `
()
\Clients ()
`},
	"levels that only lead on are one line": {remaining(
		stepOf(sync.OpCreate, "company/1", "", `\Clients\Customer\Active\beta`, ""),
		stepOf(sync.OpCreate, "company/2", "", `\Clients\Customer\Active\Alpha`, ""),
	), 100, `
(+2)
\Clients\Customer\Active (+2)
  + Alpha
  + beta
`},
	"a new folder is a line of its own, with what comes into it": {remaining(
		stepOf(sync.OpCreate, "root", "", `\Clients`, ""),
		stepOf(sync.OpCreate, "group/type:1", "", `\Clients\Customer`, ""),
		stepOf(sync.OpCreate, "group/type:1/status:1", "", `\Clients\Customer\Active`, ""),
		stepOf(sync.OpCreate, "company/1", "", `\Clients\Customer\Active\Alpha`, ""),
		stepOf(sync.OpCreate, "group/type:2", "", `\Clients\Vendor`, ""),
	), 100, `
(+5)
+ Clients (+4)
  + Vendor
  + Customer (+2)
    + Active (+1)
      + Alpha
`},
	"both ends of a move are shown": {remaining(
		stepOf(sync.OpMove, "company/1", `\Clients\Prospect\Active\Alpha`, `\Clients\Customer\Active\Alpha`, ""),
		stepOf(sync.OpMove, "company/2", `\Clients\Prospect\Active\Beta`, `\Clients\Customer\Active\Beta, Inc.`, ""),
		stepOf(sync.OpMove, "company/3", `\Clients\Gamma`, `\Clients\Customer\Active\Gamma`, ""),
		stepOf(sync.OpArchive, "company/4", `\Clients\Customer\Active\Delta`, `\Clients\_Archive\Delta`, ""),
	), 100, `
(>3 v1)
\Clients (>3 v1 <4)
  < Gamma | Customer\Active
  _Archive (v1)
    v Delta | Customer\Active
  Customer\Active (>3 <1)
    > Alpha | Prospect\Active
    > Beta, Inc. | Prospect\Active\Beta
    > Gamma | \Clients
    < Delta | _Archive
  Prospect\Active (<2)
    < Alpha | Customer\Active
    < Beta | Customer\Active\Beta, Inc.
`},
	"what leaves a renamed folder leaves it under its new name": {remaining(
		stepOf(sync.OpRename, "group/type:1/status:4", `\Clients\Customer\Inactive`, `\Clients\Customer\Former`, ""),
		stepOf(sync.OpMove, "company/1", `\Clients\Customer\Inactive\Alpha`, `\Clients\Customer\Active\Alpha`, ""),
		stepOf(sync.OpRename, "company/2", `\Clients\Customer\Inactive\Beta`, `\Clients\Customer\Former\Beta, Inc.`, ""),
	), 100, `
(~2 >1)
\Clients\Customer (~2 >1 <1)
  Active (>1)
    > Alpha | Customer\Inactive
  ~ Former | Inactive (~1 <1)
    ~ Beta, Inc. | Beta
    < Alpha | Customer\Active
`},
	"what leaves a folder below one that moves": {remaining(
		stepOf(sync.OpMove, "group/type:1/status:4", `\Clients\A\B`, `\Clients\C\B`, ""),
		stepOf(sync.OpMove, "company/1", `\Clients\A\B\D\Alpha`, `\Clients\E\Alpha`, ""),
	), 100, `
(>2)
\Clients (>2 <2)
  A (<1)
    < B | C
  C (>1 <1)
    > B | A (<1)
      D (<1)
        < Alpha | E
  E (>1)
    > Alpha | A\B\D
`},
	"a swap of names": {remaining(
		stepOf(sync.OpRename, "company/1", `\Clients\Beta`, `\Clients\Alpha`, ""),
		stepOf(sync.OpRename, "company/2", `\Clients\Alpha`, `\Clients\Beta`, ""),
	), 100, `
(~2)
\Clients (~2)
  ~ Alpha | Beta
  ~ Beta | Alpha
`},
	"failures and what is held come first": {oneFailed(), 100, `
(+3 !1 ×1)
\Clients\A (+3 !1 ×1)
  + Omega | no right
  + Psi | held
  + Alpha
`},
	"the root of the vault": {atTop(), 100, `
(+1)
\ (+1)
  + Alpha
`},
	"a path that is not below the root": {remaining(
		stepOf(sync.OpMove, "company/1", `\Elsewhere\Alpha`, `\Clients\Alpha`, ""),
	), 100, `
(>1)
\Clients (>1 <1)
  > Alpha | Elsewhere
  Elsewhere (<1)
    < Alpha | \Clients
`},
	"no path at all": {remaining(
		stepOf(sync.OpMove, "company/1", ``, `\`, ""),
	), 100, `
(>1)
> \ | \Clients (<1)
  < \ | \Clients
`},
	"each folder shows as many as there is room for": {remaining(
		stepOf(sync.OpCreate, "company/1", "", `\Clients\A\1`, ""), stepOf(sync.OpCreate, "company/2", "", `\Clients\A\2`, ""),
		stepOf(sync.OpCreate, "company/3", "", `\Clients\A\3`, ""), stepOf(sync.OpCreate, "company/4", "", `\Clients\A\4`, ""),
		stepOf(sync.OpCreate, "company/5", "", `\Clients\B\5`, ""), stepOf(sync.OpCreate, "company/6", "", `\Clients\A\6`, ""),
	), 8, `
(+6)
\Clients (+6)
  A (+5)
    + 1
    + 2
    + 3
    2 more
  B (+1)
    + 5
`},
	"too many folders": {remaining(
		stepOf(sync.OpCreate, "company/1", "", `\Clients\A\1`, ""), stepOf(sync.OpCreate, "company/2", "", `\Clients\B\2`, ""),
		stepOf(sync.OpCreate, "company/3", "", `\Clients\C\3`, ""), stepOf(sync.OpCreate, "group/type:1", "", `\Clients\D`, ""),
		stepOf(sync.OpCreate, "company/4", "", `\Clients\D\4`, ""),
	), 3, `
(+5)
\Clients (+5)
  A (+1)
    1 more
  B (+1)
    1 more
cut 3
`},
	"numbers must do for all but what failed": {oneFailed(), 3, `
(+3 !1 ×1)
\Clients\A (+3 !1 ×1)
  + Omega | no right
  2 more
`},
}

func TestTree(t *testing.T) {
	for name, test := range treeTests {
		t.Run(name, func(t *testing.T) {
			got := drawTree(MakeTree(test.rest, test.limit))
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestTreeDetails: what a step says besides arrives in its line.
func TestTreeDetails(t *testing.T) {
	secrets := 3
	s := stepOf(sync.OpRename, "company/7", `\Clients\Old`, `\Clients\New`, "name changed")
	s.Via, s.Secrets, s.Access = `\Clients\New (moving #7)`, &secrets, &sync.AccessChange{Gains: []string{"a"}, Loses: []string{"b"}}
	got := MakeTree(remaining(s), 10).Root.Changes
	want := []Change{{Kind: KindRename, Name: "New", Other: "Old", Reason: "name changed", Via: "New (moving #7)", Secrets: 3, Access: s.Access, Company: 7}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// large is a plan with so many steps in so many group folders.
func large(steps, groups int) Remaining {
	rest := remaining()
	for i := range steps {
		s := stepOf(sync.OpMove, sync.CompanyKey(i+1),
			fmt.Sprintf(`\Clients\Prospect\Status %d\Company %d`, i%groups, i), fmt.Sprintf(`\Clients\Customer\Status %d\Company %d`, i%groups, i), "type changed")
		rest.Plan.Steps = append(rest.Plan.Steps, s)
	}
	return rest
}

// TestTreeIsBounded: however many steps there are, and however they are spread,
// the tree is short, and its numbers add up.
func TestTreeIsBounded(t *testing.T) {
	for _, groups := range []int{1, 3, 40, 99, 100, 500, 10000} {
		const steps, limit = 10000, 200
		tree := MakeTree(large(steps, groups), limit)
		text := drawTree(tree)
		if lines := strings.Count(text, "\n"); lines > 2*limit+2 { // drawTree has a line for each number as well
			t.Errorf("%d groups: %d lines", groups, lines)
		}
		shown, left := 0, tree.Cut
		var walk func(TreeFolder)
		walk = func(f TreeFolder) {
			shown, left = shown+len(f.Changes), left+f.More
			for _, sub := range f.Folders {
				walk(sub)
			}
		}
		walk(tree.Root)
		if shown+left != 2*steps || left == 0 || groups < 20 && shown == 0 {
			t.Errorf("%d groups: %d ends of moves are shown and %d are not, want %d in all", groups, shown, left, 2*steps)
		}
		if diff := cmp.Diff([]TreeCount{{KindMove, steps}, {KindLeave, steps}}, tree.Root.Counts); diff != "" {
			t.Errorf("%d groups: (-want +got)\n%s", groups, diff)
		}
	}
}

// TestTreeInAnyOrder: the order of the steps does not matter.
func TestTreeInAnyOrder(t *testing.T) {
	const active, former = `\Clients\Customer\Active\`, `\Clients\Customer\Former\`
	rest := remaining(
		stepOf(sync.OpRename, "group/type:1/status:4", `\Clients\Customer\Inactive`, `\Clients\Customer\Former`, ""),
		stepOf(sync.OpCreate, "group/type:3", "", `\Clients\Vendor`, ""),
		stepOf(sync.OpCreate, "group/type:3/status:1", "", `\Clients\Vendor\Active`, ""),
		stepOf(sync.OpCreate, "company/301", "", active+"Alder Family Practice", ""),
		stepOf(sync.OpCreate, "company/305", "", `\Clients\Vendor\Active\Thornbury Logistics`, ""),
		stepOf(sync.OpAdopt, "company/306", active+"Harbour Dental Care", active+"Harbour Dental Care", ""),
		stepOf(sync.OpRename, "company/33", active+"Ashdown Engineering", active+"Copperfield Insurance", ""),
		stepOf(sync.OpRename, "company/34", active+"Copperfield Insurance", active+"Ashdown Engineering", ""),
		stepOf(sync.OpMove, "company/250", `\Clients\Prospect\Active\Alovet`, active+"Alovet, Inc.", ""),
		stepOf(sync.OpMove, "company/252", active+"Quayside Foods", former+"Quayside Foods", ""),
		stepOf(sync.OpMove, "company/253", `\Clients\Customer\Inactive\Redfern Builders`, active+"Redfern Builders", ""),
	)
	for i := range 12 {
		key := sync.CompanyKey(400 + i)
		rest.Plan.Steps = append(rest.Plan.Steps, stepOf(sync.OpArchive, key,
			fmt.Sprintf(`%sKestrel Holdings %d`, active, i+1), fmt.Sprintf(`\Clients\_Archive\Kestrel Holdings %d`, i+1), ""))
		rest.Blocked[key] = true
	}
	rest.Failed["company/252"] = "403"
	forward := drawTree(MakeTree(rest, 200))
	slices.Reverse(rest.Plan.Steps)
	if diff := cmp.Diff(forward, drawTree(MakeTree(rest, 200))); diff != "" {
		t.Errorf("(-forward +backward)\n%s", diff)
	}
	if n := strings.Count(forward, "\n"); n < 40 {
		t.Errorf("only %d lines:\n%s", n, forward)
	}
}

// TestKinds: each kind has a class, a sign and a word of its own, and each
// operation its kind.
func TestKinds(t *testing.T) {
	said := map[string]Kind{}
	for k := range kinds {
		for _, s := range []string{"class " + k.Class(), "sign " + k.Sign(), "word " + k.Word()} {
			if other, ok := said[s]; ok {
				t.Errorf("%s is both %d and %d", s, other, k)
			}
			said[s] = k
		}
	}
	for _, o := range Operations() {
		if k := KindOf(o.Op); k.Class() != string(o.Op) || k.Sign() != o.Sign || k.Word() != o.State {
			t.Errorf("%s: %s %s %s", o.Op, k.Class(), k.Sign(), k.Word())
		}
	}
	for k, op := range map[Kind]sync.Op{KindCreate: sync.OpCreate, KindAdopt: sync.OpAdopt, KindRename: sync.OpRename, KindMove: sync.OpMove, KindArchive: sync.OpArchive} {
		if KindOf(op) != k {
			t.Errorf("%s is %d", op, KindOf(op))
		}
	}
	if diff := cmp.Diff([]TreeCount{{KindAdopt, 1}, {KindMove, 2}}, CountKinds([]Kind{KindMove, KindAdopt, KindMove})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func stepOf(op sync.Op, key sync.Key, from, to, reason string) sync.Step {
	s := sync.Step{Op: op, Kind: sync.KindGroup, Key: key, From: from, To: to, Reason: reason}
	if _, ok := key.CompanyID(); ok {
		s.Kind = sync.KindCompany
	}
	return s
}

func remaining(steps ...sync.Step) Remaining {
	return Remaining{Plan: sync.Plan{Root: `\Clients`, Steps: steps}, Blocked: map[sync.Key]bool{}, Failed: map[sync.Key]string{}}
}
