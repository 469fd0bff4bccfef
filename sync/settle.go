package sync

import (
	"fmt"
	"slices"
	"strconv"
)

// settle gives every node its name and holds those that cannot have their
// place. Holding a folder keeps a place occupied that others may have counted
// on, so settle is called again until it returns false: nothing new is held.
// The set of held nodes only grows, so that is soon.
func (p *planner) settle() (again bool) {
	before := p.fixedNodes()
	p.claims = map[place]int32{}
	p.claimedAt = slices.Repeat([]int32{-1}, len(p.folders))
	for first := 0; first < len(p.groups); {
		end := first + 1
		for end < len(p.groups) && p.depth(end) == p.depth(first) {
			end++
		}
		p.settleLevel(int32(first), int32(end))
		first = end
	}
	p.settleLevel(int32(len(p.groups)), int32(len(p.nodes)))
	if p.fixedNodes() == before {
		p.keepDrift()
		p.holdCycles()
	}
	return p.fixedNodes() != before
}

func (p *planner) fixedNodes() int {
	count := 0
	for i := range p.nodes {
		if p.nodes[i].fixed {
			count++
		}
	}
	return count
}

// depth is a group's level; the archive folder comes last, on its own.
func (p *planner) depth(i int) int {
	if int32(i) == p.archive {
		return 1 << 30
	}
	d := 0
	for g := p.groups[i].parent; g >= 0; g = p.groups[g].parent {
		d++
	}
	return d
}

// settleLevel names the nodes first to end-1, which stand in order of
// precedence. A held node has no new place, but keeps its claim to the name:
// else a folder of that name, or a person who looks for it, would meet another
// company's.
func (p *planner) settleLevel(first, end int32) {
	var losers []int32
	contested := map[int32]bool{}
	for i := first; i < end; i++ {
		n := &p.nodes[i]
		n.adopt = -1
		if g := n.group; !n.fixed && g >= 0 && p.nodes[g].fixed && p.nodes[g].folder < 0 {
			h := p.held[p.nodes[g].key]
			p.holdLike(i, h, fmt.Sprintf("its group folder %q cannot be made: %s", p.groups[g].name, h.Reason))
		}
		if !n.fixed || n.name == "" {
			n.name, n.note = p.plainName(i), ""
		}
		folded := p.fold(i)
		if winner := p.claim(i, folded); winner != i {
			contested[winner] = true
			n.note = fmt.Sprintf("%s has the name %q too and comes first", p.describe(winner), p.nodes[winner].name)
			losers = append(losers, i)
			continue
		}
		if !n.fixed && !p.take(i, folded) {
			losers = append(losers, i)
		}
	}
	for _, i := range losers {
		p.settleLoser(i, contested)
	}
	for i := range contested {
		if n := &p.nodes[i]; n.adopt >= 0 {
			n.adopt = -1
			p.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is there, and more than one has this name: whose it is cannot be told", n.name)
		}
	}
}

// settleLoser finds another name for a node whose first choice is taken.
func (p *planner) settleLoser(i int32, contested map[int32]bool) {
	n := &p.nodes[i]
	for _, name := range p.otherNames(i) {
		first := n.name
		n.name = name
		folded := p.fold(i)
		winner := p.claim(i, folded)
		if winner == i && (n.fixed || p.take(i, folded)) {
			return
		}
		if winner != i {
			contested[winner] = true
		}
		n.name = first
	}
	if !n.fixed {
		p.hold(i, HeldNameCollision, "the name %q is taken, and so are the names that would tell it apart", n.name)
	}
}

func (p *planner) plainName(i int32) string {
	n := &p.nodes[i]
	switch {
	case int(i) < len(p.groups):
		return p.groups[i].name
	case n.wanted != nil:
		return n.wanted.name
	}
	return p.folders[n.folder].Name // archived: it keeps the name it has
}

func (p *planner) otherNames(i int32) []string {
	n := &p.nodes[i]
	switch {
	case int(i) < len(p.groups):
		return []string{p.groups[i].alt}
	case n.wanted != nil:
		return p.w.leafNames(n.wanted.company)[1:]
	}
	id, _ := n.key.CompanyID()
	return []string{p.w.names.withSuffix(p.w.names.Clean(n.name), " (#"+strconv.Itoa(id)+")")}
}

// describe names a node in a reason.
func (p *planner) describe(i int32) string {
	if id, ok := p.nodes[i].key.CompanyID(); ok {
		return "company " + strconv.Itoa(id)
	}
	return "folder " + string(p.nodes[i].key)
}

// folderAt is the folder in which a node's place is: that of its group.
func (p *planner) folderAt(i int32) int32 {
	g := p.nodes[i].group
	switch {
	case g < 0:
		if p.world.Tree.Root.ID == "" {
			return newParent
		}
		return rootParent
	case p.nodes[g].folder >= 0:
		return p.nodes[g].folder
	case p.nodes[g].adopt >= 0:
		return p.nodes[g].adopt
	}
	return newParent
}

// claim lets a node have its place unless another one has claimed it before,
// and returns who has it.
func (p *planner) claim(i int32, folded string) int32 {
	if there := p.thereAt(i, folded); there >= 0 {
		if p.claimedAt[there] < 0 {
			p.claimedAt[there] = i
		}
		return p.claimedAt[there]
	}
	claim := place{p.nodes[i].group, folded}
	winner, taken := p.claims[claim]
	if !taken {
		p.claims[claim] = i
		return i
	}
	return winner
}

// thereAt returns the first folder that is at a node's place now, or -1.
func (p *planner) thereAt(i int32, folded string) int32 {
	if own := p.nodes[i].folder; own >= 0 && !p.shares[own] && p.inPlace(i) {
		return own // the quick way, for nearly all
	}
	if parent := p.folderAt(i); parent != newParent {
		if there, ok := p.at[place{parent, folded}]; ok {
			return there
		}
	}
	return -1
}

// fold folds a node's name. Most folders have it already.
func (p *planner) fold(i int32) string {
	if n := &p.nodes[i]; n.folder < 0 || p.folders[n.folder].Name != n.name {
		return p.w.names.Fold(n.name)
	}
	return p.folded[p.nodes[i].folder]
}

// take gives a node the place that it has claimed, or holds it because of what
// stays there. It returns false if the node must look for another name.
func (p *planner) take(i int32, folded string) bool {
	if p.inPlace(i) {
		return true
	}
	o, others := p.occupant(i, folded)
	return o < 0 || p.resolve(i, o, others)
}

// occupant returns the folder that stays at the node's place, or -1, and
// whether others do too. Of several it prefers one that is not ours: that asks
// for a person.
func (p *planner) occupant(i int32, folded string) (f int32, others bool) {
	f = -1
	for o := p.thereAt(i, folded); o >= 0; o = p.next[o] {
		if o == p.nodes[i].folder || p.owner[o] >= 0 && !p.nodes[p.owner[o]].fixed {
			continue
		}
		others = f >= 0
		if f < 0 || p.ours(f) && !p.ours(o) || p.ours(f) == p.ours(o) && p.folders[o].ID < p.folders[f].ID {
			f = o
		}
	}
	return f, others
}

// resolve decides what the occupant of a node's place means: the node is held,
// or adopts it, or (false) must look for another name.
func (p *planner) resolve(i, o int32, others bool) bool {
	n, f := &p.nodes[i], &p.folders[o]
	switch {
	case p.ours(o):
		if w := p.owner[o]; w >= 0 && p.nodes[w].waits {
			p.holdLike(i, p.held[p.nodes[w].key], fmt.Sprintf("its place is still taken by the folder of %s, which is held", p.describe(w)))
			return true
		}
		n.note = fmt.Sprintf("the name %q is taken by the folder of %s", f.Name, f.Mark.Key)
		return false
	case f.BadMark:
		p.hold(i, HeldForeignMark, "folder %q is in the way; it is a link, or its mark cannot be read", f.Name)
	case f.Mark != Mark{}:
		p.hold(i, HeldForeignMark, "folder %q is in the way; it is marked by %s", f.Name, f.Mark)
	case n.folder >= 0:
		p.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is in the way", f.Name)
	case !p.w.settings.Adopt:
		p.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is there", f.Name)
	case others:
		p.hold(i, HeldUnmanagedFolder, "several folders named like %q are there, so that none is adopted", f.Name)
	case f.Name != n.name:
		p.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is there, written differently from %q, so that it is not adopted", f.Name, n.name)
	case n.wanted != nil && p.w.homeless[p.w.names.Fold(n.name)]:
		p.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is there, and a company that has no place now has this name too: whose it is cannot be told", n.name)
	default:
		n.adopt = o
	}
	return true
}

// groupKey is the key of the folder that holds the node.
func (p *planner) groupKey(i int32) Key {
	if g := p.nodes[i].group; g >= 0 {
		return p.nodes[g].key
	}
	return RootKey
}

// drifted reports whether a person moved or renamed the node's folder: it is
// not where it was put, while ConnectWise still wants it there.
func (p *planner) drifted(i int32) bool {
	n := &p.nodes[i]
	was, known := p.world.Known[n.key]
	if !known || n.folder < 0 || p.inPlace(i) || was.Parent != p.groupKey(i) {
		return false
	}
	if name := p.folders[n.folder].Name; name != was.Name && stranded(name, n.key) {
		return false
	}
	if was.Name == n.name || was.Parent == archiveKey { // where a folder keeps any name that it has
		return true
	}
	// It may be wanted under another of its names only because a person put
	// something else at its place.
	f := &p.folders[n.folder]
	here := Place{Parent: RootKey, Name: f.Name}
	if parent := p.parent[n.folder]; parent != rootParent {
		here.Parent = ""
		if parent >= 0 && p.ours(parent) {
			here.Parent = p.folders[parent].Mark.Key
		}
	}
	return here != was && (was.Name == p.plainName(i) || slices.Contains(p.otherNames(i), was.Name))
}

// inPlace reports whether the node's folder is where it should be.
func (p *planner) inPlace(i int32) bool {
	n := &p.nodes[i]
	return n.folder >= 0 && p.parent[n.folder] == p.folderAt(i) && p.folders[n.folder].Name == n.name
}

// keepDrift leaves folders where a person put them, if the settings say so.
func (p *planner) keepDrift() {
	if !p.w.settings.KeepDrift {
		return
	}
	for i := range p.nodes {
		if n := &p.nodes[i]; !n.fixed && p.drifted(int32(i)) {
			n.fixed = true
		}
	}
}

// holdCycles holds folders that would have to move into a folder which stays
// inside themselves.
func (p *planner) holdCycles() {
	for i := range p.nodes {
		n := &p.nodes[i]
		if n.fixed || n.folder < 0 || p.parent[n.folder] == p.folderAt(int32(i)) {
			continue
		}
		if p.endsInside(int32(i)) {
			p.hold(int32(i), HeldCycle, "it would have to move into a folder that is inside it")
		}
	}
}

// endsInside reports whether a node's folder would end inside itself.
func (p *planner) endsInside(i int32) bool {
	e := p.up(element{i, p.nodes[i].folder})
	for range len(p.nodes) + len(p.folders) {
		switch {
		case e.atTop():
			return false
		case e.folder == p.nodes[i].folder:
			return true
		}
		e = p.up(e)
	}
	return true // a circle further up: others are in it, but this one cannot stand either
}

// element is a folder on the way from a folder to the root as it will be after
// the plan. It has a node, a folder, or both; at the top it has neither.
type element struct{ node, folder int32 }

func (e element) atTop() bool { return e.node < 0 && e.folder < 0 }

// up returns the element that will hold e.
func (p *planner) up(e element) element {
	if e.node >= 0 && !(p.nodes[e.node].fixed && e.folder >= 0) {
		g := p.nodes[e.node].group
		switch {
		case g < 0:
			return element{-1, -1}
		case p.nodes[g].folder < 0:
			return element{g, p.nodes[g].adopt}
		}
		return element{g, p.nodes[g].folder}
	}
	f := p.parent[e.folder]
	if f < 0 {
		return element{-1, -1}
	}
	return element{p.owner[f], f}
}
