package sync

import (
	"container/heap"
	"fmt"
	"slices"
	"strconv"
)

// Settling gives every node its name and holds those that cannot have a place.
//
// Nodes bid for places, in turns. Of all bids for a place, the one from the
// earliest turn wins. Turns follow the order of precedence: groups level by level,
// then the archive folder, then companies. Within a level, nodes bid for their
// first choice, then the losers bid for other names, then nodes learn whether they
// may adopt a folder that others bid for too. Among equals the lower id has the
// earlier turn.
//
// A held folder keeps its place. Nodes that counted on that place get another
// turn.
//
// It ends. Turns are taken in rounds. Within a round they are taken in ascending
// order, and a turn causes only later ones, so each is taken at most once. A
// further round begins only after a round that held one more node, and held
// nodes stay held. So there are at most len(nodes)+1 rounds. TestSettleEnds
// checks that.
//
// The result is unique. It does not depend on the order of the input, nor on the
// order in which turns were requested, because a round sorts them. Nor do
// needless turns change it. What a node gets in its turn depends on three things
// only: which bid has the place, which folders stay there, and the group's folder.
// Whenever one of them changes, the nodes it concerns get another turn: in bid and
// withdraw for the first, in stay for the second, in childrenAgain for the third.
// TestSettleResultIsUnique compares the result with settling that gives every node
// another turn in every round.
//
// No two folders get the same place. Each place has one slot, and one bid has the
// slot. A node takes only a place that its bid has won, and take refuses a place
// where another folder stays. TestNoTwoFoldersGetOnePlace checks that.
//
// The work grows with the number of nodes and holds, in whatever order holds are
// found: a hold requests at most three turns. If it is a group that cannot be made,
// it also requests one for each child, which is then held too. TestSettleCost
// counts.

// outcome is the decision about a node.
type outcome struct {
	name  string   // the name chosen for it
	note  string   // why not its first choice; empty if it has that
	stays bool     // held or left alone: its folder stays where it is; if it has none, none is made
	await bool     // the hold is expected to clear: others wait for its place
	adopt folderAt // the unmanaged folder that it adopts, or noFolder
}

// settled is a name for each node, and what is held.
type settled struct {
	*matched
	outcomes []outcome
	held     map[Key]Held

	best  []turn            // the winning bid of each slot, or noTurn
	empty map[spot]slotAt   // slots of places where no folder is now
	after map[slotAt][]turn // the other bids for each slot, in order
}

// spot is a name in the folder of a group.
type spot struct {
	group  nodeAt
	folded string
}

// slotAt stands for a place: the index of the first folder that is there now, or a
// higher number if there is none.
type slotAt int32

// turn is when a node acts: by level, phase and node.
type turn uint64

const noTurn = ^turn(0)

// phase is what a node does in a turn.
type phase uint8

const (
	firstChoice phase = iota // it bids for its first name
	otherChoice              // it has lost that and bids for its other names
	adoption                 // it learns whether it may adopt a folder although others bid for its place
)

func (t turn) node() nodeAt { return nodeAt(uint32(t)) }
func (t turn) phase() phase { return phase(t >> 32 & 3) }
func (t turn) level() turn  { return t >> 34 }

// settler settles the nodes of one plan.
type settler struct {
	*settled
	level    []turn   // of each group
	slot     []slotAt // of each node's first choice, or noSlot
	losers   map[nodeAt]loser
	children map[nodeAt][]nodeAt // made when first needed

	now      turn          // the turn under way; noTurn between rounds
	ahead    minHeap[turn] // turns requested for this round
	later    []turn        // turns requested for the next round
	heldMore bool          // this round held something
	rounds   int

	beforeRound func() // for tests; may be nil
}

const noSlot slotAt = -1

// loser is a node that did not get its first choice.
type loser struct {
	note  string   // why; empty if another bid has the place
	slots []slotAt // of its other bids
}

// settle decides about all nodes.
func settle(m *matched) *settled {
	return newSettler(m).settle()
}

func newSettler(m *matched) *settler {
	s := &settler{
		settled: &settled{
			matched: m, outcomes: make([]outcome, len(m.nodes)), held: map[Key]Held{},
			best:  slices.Repeat([]turn{noTurn}, len(m.folders)),
			empty: map[spot]slotAt{}, after: map[slotAt][]turn{},
		},
		level:  make([]turn, len(m.groups)),
		slot:   slices.Repeat([]slotAt{noSlot}, len(m.nodes)),
		losers: map[nodeAt]loser{},
		now:    noTurn,
	}
	for i := range m.groups {
		if g := m.groups[i].parent; g >= 0 {
			s.level[i] = s.level[g] + 1
		}
	}
	if m.archive != noNode {
		s.level[m.archive] = archiveLevel
	}
	for i := range s.outcomes {
		s.outcomes[i].adopt = noFolder
	}
	return s
}

// The levels that come after those of the groups.
const (
	archiveLevel turn = 1<<16 + iota
	companyLevel
)

func (s *settler) turn(i nodeAt, p phase) turn {
	level := companyLevel
	if s.isGroup(i) {
		level = s.level[i]
	}
	return level<<34 | turn(p)<<32 | turn(uint32(i))
}

// settle takes turns until nothing more is held.
func (s *settler) settle() *settled {
	for i := range s.nodes {
		if h, held := s.heldFirst[nodeAt(i)]; held {
			s.holdLike(nodeAt(i), h, h.Reason)
		} else if s.nodes[i].anchor {
			s.stay(nodeAt(i))
		}
	}
	s.later = s.later[:0]
	for i := range s.nodes {
		if !s.nodes[i].anchor {
			s.later = append(s.later, s.turn(nodeAt(i), firstChoice))
		}
	}
	for s.heldMore = true; s.heldMore; {
		s.round()
		if !s.heldMore {
			s.keepDrift()
			s.holdCycles()
		}
	}
	for i, l := range s.losers {
		if o := &s.outcomes[i]; !o.stays && l.note == "" && o.note == "" {
			winner := s.best[s.slot[i]]
			o.note = fmt.Sprintf("%s has the name %q too and comes first", s.describe(winner.node()), s.nameAt(winner))
		}
	}
	return s.settled
}

// round takes the requested turns in order.
func (s *settler) round() {
	s.heldMore = false
	s.rounds++
	if s.beforeRound != nil {
		s.beforeRound()
	}
	slices.Sort(s.later)
	due := s.later
	s.later = nil
	last := noTurn
	for len(due) > 0 || len(s.ahead) > 0 {
		if len(s.ahead) == 0 || len(due) > 0 && due[0] <= s.ahead[0] {
			s.now, due = due[0], due[1:]
		} else {
			s.now = heap.Pop(&s.ahead).(turn)
		}
		if s.now == last {
			continue // requested twice
		}
		last = s.now
		s.visits++
		switch i := s.now.node(); s.now.phase() {
		case firstChoice:
			s.choose(i)
		case otherChoice:
			s.chooseAgain(i)
		case adoption:
			s.checkAdoption(i)
		}
	}
	s.now = noTurn
}

// ask requests a turn: in this round if it is not over yet, otherwise in the next
// round, if there is one.
func (s *settler) ask(t turn) {
	if s.now != noTurn && t > s.now {
		heap.Push(&s.ahead, t)
	} else {
		s.later = append(s.later, t)
	}
}

// choose gives a node its first choice, if possible. A held node does not move, but
// it still reserves its name. Otherwise another company could take the name, and a
// person looking for this company would open the wrong folder.
func (s *settler) choose(i nodeAt) {
	n, o := &s.nodes[i], &s.outcomes[i]
	adopted := o.adopt
	o.adopt = noFolder
	if g := n.group; !o.stays && g >= 0 && s.cannotBeMade(g) {
		h := s.held[s.nodes[g].key]
		s.holdLike(i, h, fmt.Sprintf("its group folder %q cannot be made: %s", s.groups[g].name, h.Reason))
	}
	if !o.stays || o.name == "" {
		o.name, o.note = s.firstName(i), ""
	}
	folded := s.fold(i)
	slot := s.slotFor(i, folded)
	if was := s.slot[i]; was != slot {
		s.slot[i] = slot
		s.withdraw(was, s.now)
	}
	lost := s.bid(slot) != i // rule 5: a held company keeps its name
	if !lost && !o.stays {
		lost = !s.take(i, folded)
	}
	if lost {
		s.lose(i)
	} else if l, ok := s.losers[i]; ok {
		delete(s.losers, i)
		for _, slot := range l.slots {
			s.withdraw(slot, s.turn(i, otherChoice))
		}
	}
	s.adopted(i, adopted)
}

// lose records that a node needs another name and requests the turn in which it
// chooses one.
func (s *settler) lose(i nodeAt) {
	l := s.losers[i]
	l.note = s.outcomes[i].note
	s.losers[i] = l
	s.ask(s.turn(i, otherChoice))
}

// chooseAgain finds another name for a node that lost its first choice.
func (s *settler) chooseAgain(i nodeAt) {
	l, ok := s.losers[i]
	if !ok {
		return
	}
	o := &s.outcomes[i]
	adopted := o.adopt
	o.adopt, o.note = noFolder, l.note
	if !o.stays {
		o.name = s.firstName(i)
	}
	first, before := o.name, l.slots
	l.slots = nil
	found := false
	for _, name := range s.otherNames(i) {
		o.name = name
		folded := s.fold(i)
		slot := s.slotFor(i, folded)
		if slot != s.slot[i] && !slices.Contains(l.slots, slot) {
			l.slots = append(l.slots, slot)
		}
		if s.bid(slot) == i && (o.stays || s.take(i, folded)) {
			found = true
			break
		}
		o.name = first
	}
	s.losers[i] = l
	for _, slot := range before {
		if !slices.Contains(l.slots, slot) {
			s.withdraw(slot, s.now)
		}
	}
	switch {
	case found && o.stays:
		s.ask(s.turn(i, firstChoice)) // the name is its own from now on; rule 5: a held company keeps also a second name
	case !found && !o.stays && s.nodes[i].back != nil:
		s.hold(i, HeldNameCollision, "its old place is taken")
	case !found && !o.stays:
		s.hold(i, HeldNameCollision, "the name %q is taken, and so are the names that would tell it apart", o.name)
	}
	s.adopted(i, adopted)
}

// adopted requests the turns that follow when a node begins or ceases to adopt.
func (s *settler) adopted(i nodeAt, before folderAt) {
	o := &s.outcomes[i]
	if o.adopt != before {
		s.childrenAgain(i)
	}
	if o.adopt < 0 {
		return
	}
	s.eachSlot(i, func(slot slotAt) {
		if rivals := s.after[slot]; len(rivals) > 0 {
			s.ask(s.adoptionTurn(rivals[0], i))
		}
	})
}

// adoptionTurn is the turn in which a rival prevents a node from adopting: after
// all nodes on the rival's level have chosen.
func (s *settler) adoptionTurn(rival turn, i nodeAt) turn {
	return rival.level()<<34 | turn(adoption)<<32 | turn(uint32(i))
}

// checkAdoption holds a node that would adopt a folder if others bid for its place.
func (s *settler) checkAdoption(i nodeAt) {
	o := &s.outcomes[i]
	if o.adopt < 0 {
		return
	}
	contested := false
	s.eachSlot(i, func(slot slotAt) { contested = contested || len(s.after[slot]) > 0 })
	if contested { // rule 6: no adoption that two claim
		o.adopt = noFolder
		s.hold(i, HeldUnmanagedFolder, "an unmanaged folder %q is there, and more than one company or group wants this name, so its owner is unclear", o.name)
	}
}

// eachSlot calls f for the slots that a node bids for.
func (s *settler) eachSlot(i nodeAt, f func(slotAt)) {
	has := func(slot slotAt) bool { return slot != noSlot && s.best[slot] != noTurn && s.best[slot].node() == i }
	if slot := s.slot[i]; has(slot) {
		f(slot)
	}
	for _, slot := range s.losers[i].slots {
		if has(slot) {
			f(slot)
		}
	}
}

// bid bids for a slot in this turn and returns the node that has it then.
func (s *settler) bid(slot slotAt) nodeAt {
	best, i := s.best[slot], s.now.node()
	switch {
	case best == noTurn: // rule 11: no folder for two companies
		s.best[slot] = s.now
		return i
	case best == s.now || best.node() == i && best < s.now:
		return i
	case s.now < best: // rule 11: no two companies at one place
		s.best[slot] = s.now
		s.after[slot] = slices.Insert(s.after[slot], 0, best)
		s.drop(slot, s.now)
		s.ask(best) // rule 5: whoever loses a name gets another turn
		return i
	}
	if at, found := slices.BinarySearch(s.after[slot], s.now); !found {
		s.after[slot] = slices.Insert(s.after[slot], at, s.now)
	}
	if winner := best.node(); s.outcomes[winner].adopt >= 0 {
		s.ask(s.adoptionTurn(s.now, winner))
	}
	return best.node()
}

// drop removes a bid that has lost.
func (s *settler) drop(slot slotAt, t turn) {
	if at, found := slices.BinarySearch(s.after[slot], t); found {
		s.after[slot] = slices.Delete(s.after[slot], at, at+1)
	}
}

// withdraw takes back a bid. The next bid gets the slot.
func (s *settler) withdraw(slot slotAt, t turn) {
	if slot == noSlot {
		return
	}
	if s.best[slot] != t {
		s.drop(slot, t)
		return
	}
	s.best[slot] = noTurn
	if rest := s.after[slot]; len(rest) > 0 {
		s.best[slot], s.after[slot] = rest[0], rest[1:]
		s.ask(rest[0]) // rule 5: a name given up is offered to the next
	}
}

// nameAt returns the name of a winning bid.
func (s *settled) nameAt(t turn) string {
	if i := t.node(); t.phase() == firstChoice && !s.outcomes[i].stays {
		return s.firstName(i)
	}
	return s.outcomes[t.node()].name
}

// slotFor returns the slot of a node's place.
func (s *settled) slotFor(i nodeAt, folded string) slotAt {
	if there := s.thereAt(i, folded); there >= 0 {
		return slotAt(there)
	}
	where := spot{s.nodes[i].group, folded}
	slot, ok := s.empty[where]
	if !ok {
		slot = slotAt(len(s.best))
		s.best = append(s.best, noTurn)
		s.empty[where] = slot
	}
	return slot
}

// thereAt returns the first folder that is at a node's place now, or noFolder.
func (s *settled) thereAt(i nodeAt, folded string) folderAt {
	if own := s.nodes[i].folder; own >= 0 && !s.shares[own] && s.inPlace(i) {
		return own // the fast path, for nearly all nodes
	}
	if parent := s.destination(i); parent != newParent {
		if there, ok := s.at[place{parent, folded}]; ok {
			return there
		}
	}
	return noFolder
}

// destination returns the folder that will hold a node's folder.
func (s *settled) destination(i nodeAt) folderAt {
	g := s.nodes[i].group
	switch {
	case g == noNode:
		if s.tree.Root.ID == "" {
			return newParent
		}
		return rootParent
	case s.nodes[g].folder >= 0:
		return s.nodes[g].folder
	case s.outcomes[g].adopt >= 0:
		return s.outcomes[g].adopt
	}
	return newParent
}

// inPlace reports whether the node's folder is where it should be.
func (s *settled) inPlace(i nodeAt) bool {
	f := s.nodes[i].folder
	return f >= 0 && s.parent[f] == s.destination(i) && s.folders[f].Name == s.outcomes[i].name // rule 5: a change of case alone is a rename
}

// fold returns a node's name, folded. For most folders the view has it already.
func (s *settled) fold(i nodeAt) string {
	if f := s.nodes[i].folder; f >= 0 && s.folders[f].Name == s.outcomes[i].name {
		return s.folded[f]
	}
	return s.names.Fold(s.outcomes[i].name) // rule 5: compared folded
}

// cannotBeMade reports whether a group folder does not exist and is not made.
func (s *settled) cannotBeMade(g nodeAt) bool { return s.outcomes[g].stays && s.nodes[g].folder < 0 }

// otherNames returns the names that a node may have if its first choice is taken.
func (s *settled) otherNames(i nodeAt) []string {
	n := &s.nodes[i]
	switch {
	case s.isGroup(i):
		return []string{s.groups[i].alt}
	case n.wanted != nil:
		return s.w.leafNames(n.wanted.company)[1:]
	case n.back != nil:
		return nil
	}
	id, _ := n.key.CompanyID()
	return []string{s.names.withSuffix(s.names.Clean(s.outcomes[i].name), " (#"+strconv.Itoa(id)+")")}
}

// describe names a node in a reason.
func (s *settled) describe(i nodeAt) string {
	if id, ok := s.nodes[i].key.CompanyID(); ok {
		return "company " + strconv.Itoa(id)
	}
	return "folder " + string(s.nodes[i].key)
}
