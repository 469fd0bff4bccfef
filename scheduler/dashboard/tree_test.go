package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// drawTree writes a tree as text.
func drawTree(t tree) string {
	var b strings.Builder
	counts := func(list []count) string {
		var words []string
		for _, c := range list {
			words = append(words, fmt.Sprintf("%s%d", c.Kind.Sign(), c.N))
		}
		return strings.Join(words, " ")
	}
	line := func(c change) string {
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
	var draw func(f treeFolder, indent string)
	draw = func(f treeFolder, indent string) {
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

func TestTree(t *testing.T) {
	blocked := func(look *Look, keys ...sync.Key) *Look {
		for _, k := range keys {
			look.Blocked[k] = true
		}
		return look
	}
	failed := newLook(
		newStep(sync.OpCreate, "company/1", "", `\Clients\A\Alpha`, ""),
		newStep(sync.OpCreate, "company/2", "", `\Clients\A\Omega`, ""),
		newStep(sync.OpCreate, "company/3", "", `\Clients\A\Psi`, ""),
	)
	failed.Failed["company/2"] = "no right"
	blocked(failed, "company/3")
	atTop := newLook(newStep(sync.OpCreate, "company/1", "", `\Alpha`, ""))
	atTop.Pending.Root = `\`

	for name, test := range map[string]struct {
		look  *Look
		limit int
		want  string
	}{
		"nothing": {newLook(), 100, `
()
\Clients ()
`},
		"levels that only lead on are one line": {newLook(
			newStep(sync.OpCreate, "company/1", "", `\Clients\Customer\Active\beta`, ""),
			newStep(sync.OpCreate, "company/2", "", `\Clients\Customer\Active\Alpha`, ""),
		), 100, `
(+2)
\Clients\Customer\Active (+2)
  + Alpha
  + beta
`},
		"a new folder is a line of its own, with what comes into it": {newLook(
			newStep(sync.OpCreate, "root", "", `\Clients`, ""),
			newStep(sync.OpCreate, "group/type:1", "", `\Clients\Customer`, ""),
			newStep(sync.OpCreate, "group/type:1/status:1", "", `\Clients\Customer\Active`, ""),
			newStep(sync.OpCreate, "company/1", "", `\Clients\Customer\Active\Alpha`, ""),
			newStep(sync.OpCreate, "group/type:2", "", `\Clients\Vendor`, ""),
		), 100, `
(+5)
+ Clients (+4)
  + Vendor
  + Customer (+2)
    + Active (+1)
      + Alpha
`},
		"both ends of a move are shown": {newLook(
			newStep(sync.OpMove, "company/1", `\Clients\Prospect\Active\Alpha`, `\Clients\Customer\Active\Alpha`, ""),
			newStep(sync.OpMove, "company/2", `\Clients\Prospect\Active\Beta`, `\Clients\Customer\Active\Beta, Inc.`, ""),
			newStep(sync.OpMove, "company/3", `\Clients\Gamma`, `\Clients\Customer\Active\Gamma`, ""),
			newStep(sync.OpArchive, "company/4", `\Clients\Customer\Active\Delta`, `\Clients\_Archive\Delta`, ""),
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
		"what leaves a renamed folder leaves it under its new name": {newLook(
			newStep(sync.OpRename, "group/type:1/status:4", `\Clients\Customer\Inactive`, `\Clients\Customer\Former`, ""),
			newStep(sync.OpMove, "company/1", `\Clients\Customer\Inactive\Alpha`, `\Clients\Customer\Active\Alpha`, ""),
			newStep(sync.OpRename, "company/2", `\Clients\Customer\Inactive\Beta`, `\Clients\Customer\Former\Beta, Inc.`, ""),
		), 100, `
(~2 >1)
\Clients\Customer (~2 >1 <1)
  Active (>1)
    > Alpha | Customer\Inactive
  ~ Former | Inactive (~1 <1)
    ~ Beta, Inc. | Beta
    < Alpha | Customer\Active
`},
		"what leaves a folder below one that moves": {newLook(
			newStep(sync.OpMove, "group/type:1/status:4", `\Clients\A\B`, `\Clients\C\B`, ""),
			newStep(sync.OpMove, "company/1", `\Clients\A\B\D\Alpha`, `\Clients\E\Alpha`, ""),
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
		"a swap of names": {newLook(
			newStep(sync.OpRename, "company/1", `\Clients\Beta`, `\Clients\Alpha`, ""),
			newStep(sync.OpRename, "company/2", `\Clients\Alpha`, `\Clients\Beta`, ""),
		), 100, `
(~2)
\Clients (~2)
  ~ Alpha | Beta
  ~ Beta | Alpha
`},
		"failures and what is held come first": {failed, 100, `
(+3 !1 ×1)
\Clients\A (+3 !1 ×1)
  + Omega | no right
  + Psi | held
  + Alpha
`},
		"the root of the vault": {atTop, 100, `
(+1)
\ (+1)
  + Alpha
`},
		"a path that is not below the root": {newLook(
			newStep(sync.OpMove, "company/1", `\Elsewhere\Alpha`, `\Clients\Alpha`, ""),
		), 100, `
(>1)
\Clients (>1 <1)
  > Alpha | Elsewhere
  Elsewhere (<1)
    < Alpha | \Clients
`},
		"no path at all": {newLook(
			newStep(sync.OpMove, "company/1", ``, `\`, ""),
		), 100, `
(>1)
> \ | \Clients (<1)
  < \ | \Clients
`},
		"each folder shows as many as there is room for": {newLook(
			newStep(sync.OpCreate, "company/1", "", `\Clients\A\1`, ""), newStep(sync.OpCreate, "company/2", "", `\Clients\A\2`, ""),
			newStep(sync.OpCreate, "company/3", "", `\Clients\A\3`, ""), newStep(sync.OpCreate, "company/4", "", `\Clients\A\4`, ""),
			newStep(sync.OpCreate, "company/5", "", `\Clients\B\5`, ""), newStep(sync.OpCreate, "company/6", "", `\Clients\A\6`, ""),
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
		"too many folders": {newLook(
			newStep(sync.OpCreate, "company/1", "", `\Clients\A\1`, ""), newStep(sync.OpCreate, "company/2", "", `\Clients\B\2`, ""),
			newStep(sync.OpCreate, "company/3", "", `\Clients\C\3`, ""), newStep(sync.OpCreate, "group/type:1", "", `\Clients\D`, ""),
			newStep(sync.OpCreate, "company/4", "", `\Clients\D\4`, ""),
		), 3, `
(+5)
\Clients (+5)
  A (+1)
    1 more
  B (+1)
    1 more
cut 3
`},
		"numbers must do for all but what failed": {failed, 3, `
(+3 !1 ×1)
\Clients\A (+3 !1 ×1)
  + Omega | no right
  2 more
`},
	} {
		t.Run(name, func(t *testing.T) {
			got := drawTree(makeTree(test.look, test.limit))
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestTreeDetails: what a step says besides arrives in its line.
func TestTreeDetails(t *testing.T) {
	secrets := 3
	s := newStep(sync.OpRename, "company/7", `\Clients\Old`, `\Clients\New`, "name changed")
	s.Via, s.Secrets, s.Access = `\Clients\New (moving #7)`, &secrets, &sync.AccessChange{Gains: []string{"a"}, Loses: []string{"b"}}
	got := makeTree(newLook(s), 10).Root.Changes
	want := []change{{Kind: kindRename, Name: "New", Other: "Old", Reason: "name changed", Via: "New (moving #7)", Secrets: 3, Access: s.Access, Company: 7}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// largeLook is a look with so many steps in so many group folders.
func largeLook(steps, groups int) *Look {
	look := newLook()
	for i := range steps {
		s := newStep(sync.OpMove, sync.CompanyKey(i+1),
			fmt.Sprintf(`\Clients\Prospect\Status %d\Company %d`, i%groups, i), fmt.Sprintf(`\Clients\Customer\Status %d\Company %d`, i%groups, i), "type changed")
		look.Pending.Steps = append(look.Pending.Steps, s)
		look.Companies = append(look.Companies, Company{i + 1, fmt.Sprintf("c%d", i), fmt.Sprintf("Company %d", i), s.To, "pending", saying("key           " + string(s.Key) + "\n")})
	}
	return look
}

// TestTreeIsBounded: however many steps there are, and however they are spread,
// the tree is short, and its numbers add up.
func TestTreeIsBounded(t *testing.T) {
	for _, groups := range []int{1, 3, 40, 99, 100, 500, 10000} {
		const steps, limit = 10000, 200
		tree := makeTree(largeLook(steps, groups), limit)
		text := drawTree(tree)
		if lines := strings.Count(text, "\n"); lines > 2*limit+2 { // drawTree has a line for each number as well
			t.Errorf("%d groups: %d lines", groups, lines)
		}
		shown, left := 0, tree.Cut
		var walk func(treeFolder)
		walk = func(f treeFolder) {
			shown, left = shown+len(f.Changes), left+f.More
			for _, sub := range f.Folders {
				walk(sub)
			}
		}
		walk(tree.Root)
		if shown+left != 2*steps || left == 0 || groups < 20 && shown == 0 {
			t.Errorf("%d groups: %d ends of moves are shown and %d are not, want %d in all", groups, shown, left, 2*steps)
		}
		if diff := cmp.Diff([]count{{kindMove, steps}, {kindLeave, steps}}, tree.Root.Counts); diff != "" {
			t.Errorf("%d groups: (-want +got)\n%s", groups, diff)
		}
	}
}

// TestTreeOfBusyDay: the order of the steps does not matter.
func TestTreeOfBusyDay(t *testing.T) {
	look := busyDay().Look
	forward := drawTree(makeTree(look, 200))
	slices.Reverse(look.Pending.Steps)
	if diff := cmp.Diff(forward, drawTree(makeTree(look, 200))); diff != "" {
		t.Errorf("(-forward +backward)\n%s", diff)
	}
	if n := strings.Count(forward, "\n"); n < 50 {
		t.Errorf("only %d lines:\n%s", n, forward)
	}
}
