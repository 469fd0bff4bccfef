package sync

import (
	"fmt"
	"strconv"
)

// settle gives every node its name and holds those that cannot have their
// place. Holding a folder keeps a place occupied that others may have counted
// on, so settle is called again until it returns false: nothing new is held.
// The set of held nodes only grows, so that is soon.
func (p *planner) settle() (again bool) {
	before := p.fixedNodes()
	p.claims = make(map[place]int32, len(p.nodes))
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
// precedence.
func (p *planner) settleLevel(first, end int32) {
	var losers []int32
	contested := map[int32]bool{}
	for i := first; i < end; i++ {
		n := &p.nodes[i]
		n.adopt, n.note = -1, ""
		if n.fixed {
			continue
		}
		if g := n.group; g >= 0 && p.nodes[g].fixed && p.nodes[g].folder < 0 {
			h := p.held[p.nodes[g].key]
			p.hold(i, h.Code, "its group folder %q cannot be made: %s", p.groups[g].name, h.Reason)
			n.waits = h.Code.passing()
			continue
		}
		n.name = p.plainName(i)
		claim := place{n.group, p.w.names.Fold(n.name)}
		if winner, taken := p.claims[claim]; taken {
			contested[winner] = true
			n.note = fmt.Sprintf("%s has the name %q too and comes first", p.describe(winner), p.nodes[winner].name)
			losers = append(losers, i)
			continue
		}
		p.claims[claim] = i
		if o, found := p.occupant(i, claim.folded); found && !p.resolve(i, o) {
			losers = append(losers, i)
		}
	}
	for i := range contested {
		if n := &p.nodes[i]; n.adopt >= 0 && !p.unfinished(i) {
			n.adopt = -1
			p.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is there, and more than one has this name: whose it is cannot be told", n.name)
		}
	}
	for _, i := range losers {
		p.settleLoser(i)
	}
}

// settleLoser finds another name for a node whose first choice is taken.
func (p *planner) settleLoser(i int32) {
	n := &p.nodes[i]
	first := n.name
	for _, name := range p.otherNames(i) {
		claim := place{n.group, p.w.names.Fold(name)}
		if _, taken := p.claims[claim]; taken {
			continue
		}
		n.name = name
		if o, found := p.occupant(i, claim.folded); found && !p.unfinishedAt(i, o) {
			continue
		} else if found {
			n.adopt = o
		}
		p.claims[claim] = i
		return
	}
	n.name = first
	p.hold(i, HeldNameCollision, "the name %q is taken, and so are the names that would tell it apart", first)
}

func (p *planner) plainName(i int32) string {
	n := &p.nodes[i]
	switch {
	case int(i) < len(p.groups):
		return p.groups[i].name
	case n.wanted != nil:
		return n.wanted.names.plain
	}
	return p.folders[n.folder].Name // archived: it keeps the name it has
}

func (p *planner) otherNames(i int32) []string {
	n := &p.nodes[i]
	switch {
	case int(i) < len(p.groups):
		return []string{p.groups[i].alt}
	case n.wanted != nil:
		return []string{n.wanted.names.second(), n.wanted.names.third()}
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

// occupant returns a folder that stays at the node's place. Of several it
// prefers one that is not ours: that asks for a person.
func (p *planner) occupant(i int32, folded string) (f int32, found bool) {
	parent := p.folderAt(i)
	if parent == newParent {
		return 0, false
	}
	o, ok := p.at[place{parent, folded}]
	if !ok {
		return 0, false
	}
	for ; o >= 0; o = p.next[o] {
		if o == p.nodes[i].folder || p.owner[o] >= 0 && !p.nodes[p.owner[o]].fixed {
			continue
		}
		if !found || !p.ours(o) {
			f, found = o, true
		}
	}
	return f, found
}

// resolve decides what the occupant of a node's place means: the node is held,
// or adopts it, or (false) must look for another name.
func (p *planner) resolve(i, o int32) bool {
	n, f := &p.nodes[i], &p.folders[o]
	switch {
	case p.unfinishedAt(i, o):
		n.adopt = o
	case p.ours(o):
		if w := p.owner[o]; w >= 0 && p.nodes[w].waits {
			p.hold(i, p.held[p.nodes[w].key].Code, "its place is still taken by the folder of %s, which is held", p.describe(w))
			n.waits = true
			return true
		}
		n.note = fmt.Sprintf("the name %q is taken by the folder of %s", f.Name, f.Mark.Key)
		return false
	case f.BadMark:
		p.hold(i, HeldForeignMark, "folder %q is in the way; its mark cannot be read", f.Name)
	case f.Mark != Mark{}:
		p.hold(i, HeldForeignMark, "folder %q is in the way; it is marked by %s", f.Name, f.Mark)
	case n.folder >= 0:
		p.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is in the way", f.Name)
	case !p.w.settings.Adopt:
		p.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is there; rename it, or let cwvault adopt it with CWVAULT_ADOPT=path", f.Name)
	case f.Name != n.name:
		p.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is there, written differently from %q, so that it is not adopted", f.Name, n.name)
	case p.next[p.at[place{p.parent[o], p.w.names.Fold(f.Name)}]] >= 0:
		p.hold(i, HeldUnmanagedFolder, "several folders named like %q are there, so that none is adopted", f.Name)
	default:
		n.adopt = o
	}
	return true
}

// unfinished reports whether the node adopts what an earlier run made.
func (p *planner) unfinished(i int32) bool {
	return p.nodes[i].adopt >= 0 && p.unfinishedAt(i, p.nodes[i].adopt)
}

// unfinishedAt reports whether folder o is one that an earlier run was making
// for node i when it ended: it has no mark, and it is where the journal says
// that a folder was about to be made.
func (p *planner) unfinishedAt(i, o int32) bool {
	n, f := &p.nodes[i], &p.folders[o]
	was, ok := p.world.Unfinished[n.key]
	return ok && n.folder < 0 && f.Mark == Mark{} && !f.BadMark &&
		was == (Place{Parent: p.groupKey(i), Name: f.Name}) && f.Name == n.name
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
	return known && n.folder >= 0 && was == (Place{Parent: p.groupKey(i), Name: n.name}) && !p.inPlace(i)
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

// endsInside follows the parents that a node's folder will have, up to the
// root, and reports whether the folder itself is among them.
func (p *planner) endsInside(i int32) bool {
	self := p.nodes[i].folder
	f := p.finalParent(i)
	for range len(p.nodes) + len(p.folders) + 1 {
		if f < 0 {
			return false
		}
		if f == self {
			return true
		}
		if o := p.owner[f]; o >= 0 && !p.nodes[o].fixed {
			f = p.finalParent(o)
		} else {
			f = p.parent[f]
		}
	}
	return true // a cycle further up: others are in it, but this one cannot stand either
}

// finalParent is the nearest existing folder above a node's wanted place.
func (p *planner) finalParent(i int32) int32 {
	for {
		g := p.nodes[i].group
		if g < 0 {
			return rootParent
		}
		if f := p.nodes[g].folder; f >= 0 {
			return f
		}
		if f := p.nodes[g].adopt; f >= 0 {
			return f
		}
		i = g
	}
}
