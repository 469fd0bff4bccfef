package dashboard

import (
	"cmp"
	"slices"
	"strings"

	"cwvault/sync"
)

// A pending plan is shown as a diff of the folder tree as it will be:
//
//	\Clients
//	  Customer\Active            + 2 new, < 1 moved away
//	    + Alder Family Practice  new
//	    ~ Copperfield Insurance  renamed from Ashdown Engineering
//	    < Quayside Foods         moves to _Archive\Quayside Foods
//
// Levels that only lead to the next one are one line. However large a plan is,
// the tree has a bounded number of lines: each folder shows the same number of
// its changes at most, those first that a person must know of.

// kind is what a line of the tree says.
type kind int

const (
	kindCreate kind = iota
	kindAdopt
	kindRename
	kindMove
	kindArchive
	kindLeave // the folder goes elsewhere; the other end of a move
	kindBlocked
	kindFailed
	kinds
)

// Class names the kind in the style sheet.
func (k kind) Class() string {
	return [kinds]string{"create", "adopt", "rename", "move", "archive", "leave", "blocked", "failed"}[k]
}

// Sign is the kind in one character, as `cwvault plan` prints it.
func (k kind) Sign() string { return [kinds]string{"+", "=", "~", ">", "v", "<", "!", "×"}[k] }

// Word is the kind for people.
func (k kind) Word() string {
	return [kinds]string{"new", "adopted", "renamed", "moved", "archived", "moved away", "held by a guard", "failed"}[k]
}

func kindOf(op sync.Op) kind {
	switch op {
	case sync.OpAdopt:
		return kindAdopt
	case sync.OpRename:
		return kindRename
	case sync.OpMove:
		return kindMove
	case sync.OpArchive:
		return kindArchive
	}
	return kindCreate
}

// count is how many lines of one kind there are.
type count struct {
	Kind kind
	N    int
}

type tally [kinds]int

func (t tally) list() []count {
	var list []count
	for k, n := range t {
		if n > 0 {
			list = append(list, count{kind(k), n})
		}
	}
	return list
}

// change is what becomes of one folder.
type change struct {
	Kind kind
	Name string
	// Other is the former name of what is renamed, and where from or to what is
	// moved: the folder above it, or all of its path if its name changes too.
	// Paths are below the root.
	Other   string
	Reason  string
	Via     string
	Secrets int // at least so many go along
	Access  *sync.AccessChange
	Blocked bool
	Error   string // why the step failed; empty if it did not
	Company int    // 0 for a group folder
}

// treeFolder is a folder in which something changes.
type treeFolder struct {
	Name    string  // may be several levels
	Change  *change // of the folder itself; nil if it stays as it is
	Counts  []count // of everything below it
	Changes []change
	More    int // changes directly in it that are not shown; Counts has them
	Folders []treeFolder
}

// tree is a plan as a diff.
type tree struct {
	Counts []count // of the steps, each once
	Root   treeFolder
	// Cut is how many lines are missing because there are too many folders.
	Cut int
}

// node is a folder of the tree that will be, or of the way to it.
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

// treeMaker turns a look into a tree.
type treeMaker struct {
	root    []string
	look    *Look
	renamed map[string][]string // the present paths of groups that move or change their name, and what becomes of them
	left    int                 // lines that may still be shown
	each    int                 // changes that a folder shows at most
}

// makeTree returns what a look left to be done as a tree of about limit lines
// at most, and nothing more than one for each step.
func makeTree(look *Look, limit int) tree {
	m := &treeMaker{root: levels(look.Pending.Root), look: look, renamed: map[string][]string{}, left: limit}
	steps := look.Pending.Steps
	for _, s := range steps {
		if s.Kind == sync.KindGroup && s.From != "" && s.From != s.To {
			m.renamed[strings.Join(m.below(s.From), `\`)] = m.below(s.To)
		}
	}
	root := &node{name: look.Pending.Root}
	var total tally
	for i := range steps {
		s := &steps[i]
		root.at(m.below(s.To)).step = s
		total[kindOf(s.Op)]++
		if m.blocked(s) {
			total[kindBlocked]++
		}
		if m.failed(s) != "" {
			total[kindFailed]++
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
	t := tree{Counts: total.list()}
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

// after returns where a present folder will be: the nearest folder above it
// that moves takes it along.
func (m *treeMaker) after(path []string) []string {
	for n := len(path); n > 0; n-- {
		if to, ok := m.renamed[strings.Join(path[:n], `\`)]; ok {
			return slices.Concat(to, path[n:])
		}
	}
	return path
}

func (m *treeMaker) blocked(s *sync.Step) bool  { return m.look.Blocked[s.Key] }
func (m *treeMaker) failed(s *sync.Step) string { return m.look.Failed[s.Key] }

// sum counts what happens in and below a folder.
func (m *treeMaker) sum(n *node) {
	n.below[kindLeave] += len(n.leaving)
	for _, child := range n.children {
		m.sum(child)
		for k := range kinds {
			n.below[k] += child.below[k]
		}
		if s := child.step; s != nil {
			n.below[kindOf(s.Op)]++
			if m.blocked(s) {
				n.below[kindBlocked]++
			}
			if m.failed(s) != "" {
				n.below[kindFailed]++
			}
		}
	}
}

// collapse goes down as long as nothing happens but in the one folder below.
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
		lines++ // "and so many more"
	}
	return lines + shown
}

// shown returns how many of a folder's changes are shown: a few of those that
// failed even where its numbers must do for the others.
func (m *treeMaker) shown(changes, failed int) int {
	return min(changes, max(m.each, min(failed, 3)))
}

// show turns a folder into what is shown of it, and returns how many lines of
// those below it are not, because m.left is used up.
func (m *treeMaker) show(n *node) (f treeFolder, cut int) {
	name, end := collapse(n)
	f = treeFolder{Name: name, Counts: end.below.list()}
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
			for _, c := range child.below[:kindBlocked] {
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

// change is a step seen from where its folder will be.
func (m *treeMaker) change(s *sync.Step) change {
	to := levels(s.To)
	c := change{
		Kind: kindOf(s.Op), Name: last(to), Reason: s.Reason, Access: s.Access,
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

// whence names the other end of a move, given the levels of the one.
func (m *treeMaker) whence(other string, one []string) string {
	path := m.below(other)
	if last(path) != last(one) {
		return strings.Join(path, `\`)
	}
	if above := path[:max(0, len(path)-1)]; len(above) > 0 {
		return strings.Join(above, `\`)
	}
	return m.look.Pending.Root
}

// leaves is a step seen from where its folder is now.
func (m *treeMaker) leaves(s *sync.Step) change {
	from := levels(s.From)
	c := change{Kind: kindLeave, Name: last(from), Other: m.whence(s.To, from), Blocked: m.blocked(s)}
	c.Company, _ = s.Key.CompanyID()
	return c
}

func last(levels []string) string {
	if len(levels) == 0 {
		return `\`
	}
	return levels[len(levels)-1]
}

// compareChanges puts first what failed and what a guard holds, and last what
// is told elsewhere too.
func compareChanges(a, b change) int {
	urgency := func(c change) int {
		switch {
		case c.Kind == kindLeave:
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
