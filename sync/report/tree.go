package report

import (
	"cmp"
	"slices"
	"strings"

	"cwvault/sync"
)

// Remaining is what remains of a plan after a run.
type Remaining struct {
	Plan    sync.Plan
	Blocked map[sync.Key]bool   // the steps that wait because something is held
	Failed  map[sync.Key]string // the steps that failed, with the error
}

// Kind is the kind of a line in a [Tree].
type Kind int

// The kinds. The first five are the operations, in the order of [Operations].
const (
	KindCreate Kind = iota
	KindAdopt
	KindRename
	KindMove
	KindArchive
	KindLeave // the folder leaves this place; the other end of a move
	KindBlocked
	KindFailed
	kinds
)

// KindOf returns the kind of an operation.
func KindOf(op sync.Op) Kind {
	return Kind(max(0, slices.IndexFunc(operations, func(o Operation) bool { return o.Op == op })))
}

// Class names the kind in a style sheet.
func (k Kind) Class() string {
	switch k {
	case KindLeave:
		return "leave"
	case KindBlocked:
		return "blocked"
	case KindFailed:
		return "failed"
	}
	return string(operations[k].Op)
}

// Sign is the kind in one character.
func (k Kind) Sign() string {
	switch k {
	case KindLeave:
		return "<"
	case KindBlocked:
		return "!"
	case KindFailed:
		return "×"
	}
	return operations[k].Sign
}

// Word is the kind for people.
func (k Kind) Word() string {
	switch k {
	case KindLeave:
		return "moved away"
	case KindBlocked:
		return "held"
	case KindFailed:
		return "failed"
	}
	return operations[k].State
}

// TreeCount is how many lines of one kind there are.
type TreeCount struct {
	Kind Kind
	N    int
}

// CountKinds returns how many there are of each kind, in their order.
func CountKinds(list []Kind) []TreeCount {
	var t tally
	for _, k := range list {
		t[k]++
	}
	return t.list()
}

type tally [kinds]int

func (t tally) list() []TreeCount {
	var list []TreeCount
	for k, n := range t {
		if n > 0 {
			list = append(list, TreeCount{Kind(k), n})
		}
	}
	return list
}

// Change is the change of one folder.
type Change struct {
	Kind Kind
	Name string
	// Other is the former name of a renamed folder. For a move it is the other
	// end: the folder above it, or the whole path if the name changes too.
	// Paths are below the root.
	Other   string
	Reason  string
	Via     string
	Secrets int // how many secrets are in it, at least
	Access  *sync.AccessChange
	Blocked bool
	Error   string // why the step failed; empty if it did not
	Company int    // 0 for a group folder
}

// TreeFolder is a folder in which something changes.
type TreeFolder struct {
	Name    string      // may be several levels
	Change  *Change     // of the folder itself; nil if it stays as it is
	Counts  []TreeCount // of everything below it
	Changes []Change
	More    int // changes directly in it that are not shown; Counts has them
	Folders []TreeFolder
}

// Tree is a plan as a diff of the folder tree after the plan:
//
//	\Clients
//	  Customer\Active            + 2 new, < 1 moved away
//	    + Alder Family Practice  new
//	    ~ Copperfield Insurance  renamed from Ashdown Engineering
//	    < Quayside Foods         moved away to _Archive\Quayside Foods
//
// Levels that only lead to the next one share a line. The number of lines is
// limited for a plan of any size: every folder shows at most the same number of
// changes, failed and held ones first.
type Tree struct {
	Counts []TreeCount // of the steps, each once
	Root   TreeFolder
	// Cut is how many lines are omitted because there are too many folders.
	Cut int
}

// node is a folder of the tree after the plan, or a level above one.
type node struct {
	name     string
	step     *sync.Step
	leaving  []*sync.Step
	children map[string]*node
	below    tally
}

func (n *node) at(path []string) *node {
	for _, name := range path {
		child := n.children[name]
		if child == nil {
			child = &node{name: name}
			if n.children == nil {
				n.children = map[string]*node{}
			}
			n.children[name] = child
		}
		n = child
	}
	return n
}

// isLine reports whether the folder is shown as one change and nothing else.
func (n *node) isLine() bool { return n.step != nil && len(n.children) == 0 && len(n.leaving) == 0 }

// treeMaker turns what remains into a tree.
type treeMaker struct {
	root    []string
	rest    Remaining
	renamed map[string][]string // the new levels of groups that move or are renamed, by current path
	left    int                 // how many more lines the tree may show
	each    int                 // how many changes a folder may show
}

// MakeTree returns what remains as a tree of at most about limit lines, and never
// more than one line for each end of a step.
func MakeTree(rest Remaining, limit int) Tree {
	m := &treeMaker{root: levels(rest.Plan.Root), rest: rest, renamed: map[string][]string{}, left: limit}
	steps := rest.Plan.Steps
	for _, s := range steps {
		if s.Kind == sync.KindGroup && s.From != "" && s.From != s.To {
			m.renamed[strings.Join(m.below(s.From), `\`)] = m.below(s.To)
		}
	}
	root := &node{name: rest.Plan.Root}
	var total tally
	for i := range steps {
		s := &steps[i]
		root.at(m.below(s.To)).step = s
		total[KindOf(s.Op)]++
		if m.blocked(s) {
			total[KindBlocked]++
		}
		if m.failed(s) != "" {
			total[KindFailed]++
		}
		if s.Op == sync.OpMove || s.Op == sync.OpArchive {
			from := m.below(s.From)
			parent := root.at(m.after(from[:max(0, len(from)-1)]))
			parent.leaving = append(parent.leaving, s)
		}
	}
	m.sum(root)
	for _, m.each = range []int{40, 20, 10, 5, 3, 0} {
		if m.lines(root) <= limit {
			break
		}
	}
	t := Tree{Counts: total.list()}
	t.Root, t.Cut = m.show(root)
	return t
}

// levels splits a path of the vault.
func levels(path string) []string {
	return slices.DeleteFunc(strings.Split(path, `\`), func(s string) bool { return s == "" })
}

// below returns the levels of a path below the root.
func (m *treeMaker) below(path string) []string {
	all := levels(path)
	if len(all) >= len(m.root) && slices.Equal(all[:len(m.root)], m.root) {
		return all[len(m.root):]
	}
	return all
}

// after returns where a folder will be after the plan: it follows the nearest
// folder above it that moves.
func (m *treeMaker) after(path []string) []string {
	for n := len(path); n > 0; n-- {
		if to, ok := m.renamed[strings.Join(path[:n], `\`)]; ok {
			return slices.Concat(to, path[n:])
		}
	}
	return path
}

func (m *treeMaker) blocked(s *sync.Step) bool  { return m.rest.Blocked[s.Key] }
func (m *treeMaker) failed(s *sync.Step) string { return m.rest.Failed[s.Key] }

// sum counts the changes in and below a folder.
func (m *treeMaker) sum(n *node) {
	n.below[KindLeave] += len(n.leaving)
	for _, child := range n.children {
		m.sum(child)
		for k := range kinds {
			n.below[k] += child.below[k]
		}
		if s := child.step; s != nil {
			n.below[KindOf(s.Op)]++
			if m.blocked(s) {
				n.below[KindBlocked]++
			}
			if m.failed(s) != "" {
				n.below[KindFailed]++
			}
		}
	}
}

// collapse descends while the only changes are in one folder below.
func collapse(n *node) (name string, end *node) {
	name = n.name
	for n.step == nil && len(n.children) == 1 && len(n.leaving) == 0 {
		var only *node
		for _, only = range n.children {
		}
		if only.step != nil {
			break
		}
		n = only
		name = strings.TrimSuffix(name, `\`) + `\` + n.name
	}
	return name, n
}

// lines returns how many lines show a folder, with m.each.
func (m *treeMaker) lines(n *node) int {
	_, n = collapse(n)
	changes, failed, lines := len(n.leaving), 0, 1
	for _, child := range n.children {
		switch {
		case !child.isLine():
			lines += m.lines(child)
		case m.failed(child.step) != "":
			failed++
			fallthrough
		default:
			changes++
		}
	}
	shown := m.shown(changes, failed)
	if 0 < shown && shown < changes {
		lines++ // "and 12 more"
	}
	return lines + shown
}

// shown returns how many of a folder's changes to show. It shows a few failed ones
// even if there is only room for the counts.
func (m *treeMaker) shown(changes, failed int) int {
	return min(changes, max(m.each, min(failed, 3)))
}

// show returns what to show of a folder, and how many lines below it are omitted
// because m.left is used up.
func (m *treeMaker) show(n *node) (f TreeFolder, cut int) {
	name, end := collapse(n)
	f = TreeFolder{Name: name, Counts: end.below.list()}
	if n.step != nil {
		f.Change = new(m.change(n.step))
	}
	m.left--
	var folders []*node
	failed := 0
	for _, child := range end.children {
		if !child.isLine() {
			folders = append(folders, child)
			continue
		}
		f.Changes = append(f.Changes, m.change(child.step))
		if m.failed(child.step) != "" {
			failed++
		}
	}
	for _, s := range end.leaving {
		f.Changes = append(f.Changes, m.leaves(s))
	}
	slices.SortFunc(f.Changes, compareChanges)
	if n := min(m.shown(len(f.Changes), failed), max(0, m.left)); n < len(f.Changes) {
		f.More = len(f.Changes) - n
		f.Changes = f.Changes[:n:n]
		if n > 0 {
			m.left--
		}
	}
	m.left -= len(f.Changes)

	slices.SortFunc(folders, func(a, b *node) int { return compareNames(a.name, b.name) })
	for _, child := range folders {
		if m.left <= 0 {
			for _, c := range child.below[:KindBlocked] {
				cut += c
			}
			if child.step != nil {
				cut++
			}
			continue
		}
		folder, more := m.show(child)
		f.Folders = append(f.Folders, folder)
		cut += more
	}
	return f, cut
}

// Change returns what a step does, seen from where its folder will be.
func (r Remaining) Change(s *sync.Step) Change {
	m := &treeMaker{root: levels(r.Plan.Root), rest: r}
	return m.change(s)
}

// change is a step seen from where its folder will be.
func (m *treeMaker) change(s *sync.Step) Change {
	to := levels(s.To)
	c := Change{
		Kind: KindOf(s.Op), Name: last(to), Reason: s.Reason, Access: s.Access,
		Blocked: m.blocked(s), Error: m.failed(s),
	}
	if s.Via != "" {
		c.Via = last(levels(s.Via))
	}
	c.Company, _ = s.Key.CompanyID()
	if s.Secrets != nil {
		c.Secrets = *s.Secrets
	}
	switch s.Op {
	case sync.OpRename:
		c.Other = last(levels(s.From))
	case sync.OpMove, sync.OpArchive:
		c.Other = m.whence(s.From, to)
	}
	return c
}

// whence names the other end of a move, given the levels of one end.
func (m *treeMaker) whence(other string, one []string) string {
	path := m.below(other)
	if last(path) != last(one) {
		return strings.Join(path, `\`)
	}
	if above := path[:max(0, len(path)-1)]; len(above) > 0 {
		return strings.Join(above, `\`)
	}
	return m.rest.Plan.Root
}

// leaves is a step seen from where its folder is now.
func (m *treeMaker) leaves(s *sync.Step) Change {
	from := levels(s.From)
	c := Change{Kind: KindLeave, Name: last(from), Other: m.whence(s.To, from), Blocked: m.blocked(s)}
	c.Company, _ = s.Key.CompanyID()
	return c
}

func last(levels []string) string {
	if len(levels) == 0 {
		return `\`
	}
	return levels[len(levels)-1]
}

// compareChanges sorts failed and held changes first, and the old ends of moves
// last, because their new ends list them too.
func compareChanges(a, b Change) int {
	urgency := func(c Change) int {
		switch {
		case c.Kind == KindLeave:
			return 3
		case c.Error != "":
			return 0
		case c.Blocked:
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(urgency(a), urgency(b)), compareNames(a.Name, b.Name),
		cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Other, b.Other))
}

func compareNames(a, b string) int {
	return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
}
