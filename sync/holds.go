package sync

import (
	"fmt"
	"slices"
	"strings"
)

// stay keeps a node where it is. Nodes that counted on its place get another
// turn, and so do nodes in a group that is now not made.
func (s *settler) stay(i nodeAt) {
	o := &s.outcomes[i]
	if o.stays {
		return
	}
	o.stays, s.heldMore = true, true
	s.ask(s.turn(i, firstChoice))
	f := s.nodes[i].folder
	if f < 0 {
		s.childrenAgain(i) // rule 5: a hold gives the children another turn
		return
	}
	if bid := s.best[s.first(f)]; bid != noTurn && bid.node() != i {
		s.ask(bid) // rule 5: a hold gives whoever wants the place another turn
	}
}

// childrenAgain gives all nodes in a group another turn.
func (s *settler) childrenAgain(g nodeAt) {
	if !s.isGroup(g) {
		return
	}
	if s.children == nil {
		s.children = map[nodeAt][]nodeAt{}
		for i := range s.nodes {
			if g := s.nodes[i].group; g != noNode {
				s.children[g] = append(s.children[g], nodeAt(i))
			}
		}
	}
	for _, child := range s.children[g] {
		s.visits++
		s.ask(s.turn(child, firstChoice))
	}
}

// hold keeps a node as it is and says why. The first reason stays.
func (s *settler) hold(i nodeAt, code HoldCode, format string, args ...any) {
	s.stay(i)
	if key := s.nodes[i].key; s.held[key].Code == "" {
		s.held[key] = Held{Code: code, Key: key, Reason: fmt.Sprintf(format, args...)}
	}
}

// holdLike holds a node because of another hold. What lifts the other lifts this.
func (s *settler) holdLike(i nodeAt, cause Held, reason string) {
	s.hold(i, cause.Code, "%s", reason)
	s.outcomes[i].await = cause.Code.passing()
	key := s.nodes[i].key
	h := s.held[key]
	h.Approvable = cause.Approvable
	s.held[key] = h
}

// take gives a node the place that its bid has won, or holds the node because a
// folder stays there. It returns false if the node must find another name.
func (s *settler) take(i nodeAt, folded string) bool {
	if s.inPlace(i) {
		return true
	}
	f, others := s.occupant(i, folded)
	return f < 0 || s.resolve(i, f, others)
}

// occupant returns the folder that stays at the node's place, or noFolder, and
// whether others stay there too. Of several it prefers one that is not ours,
// because that needs a person.
func (s *settler) occupant(i nodeAt, folded string) (f folderAt, others bool) {
	f = noFolder
	for o := s.thereAt(i, folded); o >= 0; o = s.next[o] {
		s.visits++
		if w := s.owner[o]; o == s.nodes[i].folder || w != noNode && !s.outcomes[w].stays {
			continue
		}
		others = f >= 0
		if f < 0 || s.ours(f) && !s.ours(o) || s.ours(f) == s.ours(o) && s.folders[o].ID < s.folders[f].ID { // rule 7: equal inputs, equal plans, of several folders in the way
			f = o
		}
	}
	return f, others
}

// resolve decides about a folder that stays at a node's place: the node adopts it
// or is held. It returns false if the node must find another name.
func (s *settler) resolve(i nodeAt, there folderAt, others bool) bool {
	n, o, f := &s.nodes[i], &s.outcomes[i], &s.folders[there]
	switch {
	case n.back != nil:
		return false
	case s.ours(there):
		if w := s.owner[there]; w != noNode && s.outcomes[w].await { // rule 13: what is held makes others wait
			s.holdLike(i, s.held[s.nodes[w].key], fmt.Sprintf("its place is still taken by the folder of %s, which is held", s.describe(w)))
			return true
		}
		o.note = fmt.Sprintf("the name %q is taken by the folder of %s", f.Name, f.Mark.Key)
		return false // rule 10: departed folders keep their place
	case f.BadMark: // rule 6: a torn mark holds
		s.hold(i, HeldForeignMark, "folder %q is in the way; it is a link, or its mark cannot be read", f.Name)
	case f.Mark != Mark{}: // rule 6: a foreign mark holds
		s.hold(i, HeldForeignMark, "folder %q is in the way; it is marked by %s", f.Name, f.Mark)
	case n.folder >= 0: // rule 6: unmanaged in the way of a folder that moves holds
		s.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is in the way", f.Name)
	case !s.w.settings.Adopt: // rule 6: unmanaged in the way holds
		s.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is there", f.Name)
	case others: // rule 6: no adoption of one of several folders
		s.hold(i, HeldUnmanagedFolder, "several folders named like %q are there, so none is adopted", f.Name)
	case f.Name != o.name: // rule 6: no adoption under another spelling
		s.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is there, spelled differently from %q, so it is not adopted", f.Name, o.name)
	case n.wanted != nil && s.w.placeless[s.names.Fold(o.name)]: // rule 6: no adoption that a company without a place may claim
		s.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is there, and a company without a place has this name too, so its owner is unclear", o.name)
	default:
		o.adopt = there
	}
	return true
}

// keepDrift leaves folders where a person put them, if the settings say so.
func (s *settler) keepDrift() {
	if !s.w.settings.KeepDrift { // rule 8: or left
		return
	}
	for i := range s.nodes {
		if !s.outcomes[i].stays && s.drifted(nodeAt(i)) {
			s.stay(nodeAt(i))
		}
	}
}

// drifted reports whether a person moved or renamed the node's folder: it is not
// where cwvault put it, and ConnectWise still wants it there.
func (s *settled) drifted(i nodeAt) bool {
	n, o := &s.nodes[i], &s.outcomes[i]
	was, known := s.world.Known[n.key]
	if !known || n.folder < 0 || s.inPlace(i) || was.Parent != s.groupKey(i) { // rule 8: what ConnectWise wants elsewhere is no drift
		return false
	}
	if name := s.folders[n.folder].Name; name != was.Name && stranded(name, n.key) { // rule 16: a temporary name is no drift
		return false
	}
	if was.Name == o.name || was.Parent == archiveKey { // an archived folder keeps any name
		return true
	}
	// A person may have put something else at its place. Then it is wanted under
	// another of its names, and ConnectWise has not changed.
	f := &s.folders[n.folder]
	here := Place{Parent: RootKey, Name: f.Name}
	if parent := s.parent[n.folder]; parent != rootParent {
		here.Parent = ""
		if parent >= 0 && s.ours(parent) {
			here.Parent = s.folders[parent].Mark.Key
		}
	}
	return here != was && (was.Name == s.firstName(i) || slices.Contains(s.otherNames(i), was.Name))
}

// viaTag is the part of a temporary name that says whose it is.
func viaTag(k Key) string {
	if id, ok := k.CompanyID(); ok {
		return fmt.Sprintf("moving #%d", id)
	}
	return "moving"
}

// stranded reports whether a folder still has a temporary name, because an
// earlier run ended too soon.
func stranded(name string, k Key) bool {
	_, tail, _ := strings.Cut(name, " ("+viaTag(k))
	return strings.HasPrefix(tail, ")") || strings.HasPrefix(tail, ", ")
}

// element is a folder on the path to the root as it will be after the plan. It
// has a node, a folder, or both; the top has neither.
type element struct {
	node   nodeAt
	folder folderAt
}

var top = element{noNode, noFolder}

// up returns the element that holds e after the plan.
func (s *settled) up(e element) element {
	if e.node != noNode && !(s.outcomes[e.node].stays && e.folder >= 0) {
		g := s.nodes[e.node].group
		switch {
		case g == noNode:
			return top
		case s.nodes[g].folder < 0:
			return element{g, s.outcomes[g].adopt}
		}
		return element{g, s.nodes[g].folder}
	}
	f := s.parent[e.folder]
	if f < 0 {
		return top
	}
	return element{s.owner[f], f}
}

// number numbers the elements.
func (s *settled) number(e element) int {
	if e.node != noNode {
		return int(e.node)
	}
	return len(s.nodes) + int(e.folder)
}

// holdCycles holds folders that would move into a folder inside themselves, so
// their path would never reach the top. Holding such a folder does not change
// which other paths reach it. So each path is followed once.
func (s *settler) holdCycles() {
	reaches := make([]bool, len(s.nodes)+len(s.folders))
	seen := make([]nodeAt, len(reaches)) // on the way of which node, and 1
	var way []int
	for i := range s.nodes {
		n := &s.nodes[i]
		if s.outcomes[i].stays || n.folder < 0 || s.parent[n.folder] == s.destination(nodeAt(i)) {
			continue
		}
		way = way[:0]
		e := element{nodeAt(i), n.folder}
		for e != top && !reaches[s.number(e)] && seen[s.number(e)] != nodeAt(i)+1 {
			s.visits++
			at := s.number(e)
			seen[at] = nodeAt(i) + 1
			way = append(way, at)
			e = s.up(e)
		}
		if e != top && !reaches[s.number(e)] { // rule 7: never under itself
			s.hold(nodeAt(i), HeldCycle, "it would have to move into a folder that is inside it")
			continue
		}
		for _, at := range way {
			reaches[at] = true
		}
	}
}
