package sync

import (
	"cmp"
	"container/heap"
	"slices"
	"strconv"
	"strings"
)

// pending is a change that is not in the plan yet.
type pending struct {
	change
	waitFor int   // how many steps must come before it
	finish  []int // steps that wait until it is done
	vacate  []int // steps that wait until it has left its place
	left    bool  // it has left its place
	done    bool
}

// orderer puts changes in order.
type orderer struct {
	*settled
	steps   []pending
	at      map[Key]int  // the step of each key
	ready   minHeap[int] // steps that wait for no other
	vias    map[place]bool
	adopter map[folderAt]nodeAt

	ordered []Step
	details []detail
}

// order sorts the changes so that each can be made in turn: parents before
// children, places vacated before they are taken, and otherwise by path. If steps
// wait for each other in a circle, one of them first takes a temporary name.
func order(s *settled, changes []change) ([]Step, []detail) {
	linkAbove(s, changes)
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(strings.Count(a.To, `\`), strings.Count(b.To, `\`)), cmp.Compare(a.To, b.To), compareKeys(a.Key, b.Key))
	})
	o := &orderer{
		settled: s, steps: make([]pending, len(changes)), at: make(map[Key]int, len(changes)), vias: map[place]bool{},
		ordered: make([]Step, 0, len(changes)), details: make([]detail, 0, len(changes)),
	}
	for i, c := range changes {
		o.steps[i].change = c
		o.at[c.Key] = i
	}
	o.link()
	o.run()
	return o.ordered, o.details
}

// link records which steps wait for which.
func (o *orderer) link() {
	waitFor := func(i int, k Key, list func(*pending) *[]int) {
		if j, ok := o.at[k]; ok && j != i {
			l := list(&o.steps[j])
			*l = append(*l, i)
			o.steps[i].waitFor++
		}
	}
	for i := range o.steps {
		s := &o.steps[i]
		waitFor(i, s.above, func(s *pending) *[]int { return &s.finish }) // rule 7: the nearest step above comes first
		for _, k := range s.takesFrom {
			waitFor(i, k, func(s *pending) *[]int { return &s.vacate }) // rule 7: a place is vacated before it is taken
		}
	}
}

// run emits one step after the other.
func (o *orderer) run() {
	for i := range o.steps {
		if o.steps[i].waitFor == 0 {
			heap.Push(&o.ready, i)
		}
	}
	for stuck := 0; ; {
		for o.ready.Len() > 0 {
			s := &o.steps[heap.Pop(&o.ready).(int)]
			s.done = true
			if s.Via == "" {
				o.emit(s)
			}
			o.release(s.finish)
		}
		for stuck < len(o.steps) && o.steps[stuck].done {
			stuck++
		}
		if stuck == len(o.steps) {
			return
		}
		s := &o.steps[o.breakCircle(stuck)]
		o.takeVia(s)
		s.left = true
		o.emit(s)
	}
}

// emit adds a step to the plan. Then its old place is free.
func (o *orderer) emit(s *pending) {
	o.ordered, o.details = append(o.ordered, s.Step), append(o.details, s.detail)
	o.release(s.vacate)
}

// release tells steps that one step fewer must come before them.
func (o *orderer) release(waiting []int) {
	for _, i := range waiting {
		if o.steps[i].waitFor--; o.steps[i].waitFor == 0 {
			heap.Push(&o.ready, i)
		}
	}
}

// linkAbove finds for each change the nearest change among the folders above it.
func linkAbove(s *settled, changes []change) {
	has := make([]bool, len(s.nodes))
	root := Key("")
	for _, c := range changes {
		if c.node == noNode {
			root = RootKey
		} else {
			has[c.node] = true
		}
	}
	for i := range changes {
		c := &changes[i]
		if c.node == noNode {
			continue
		}
		c.above = root
		for e := s.up(element{c.node, s.nodes[c.node].folder}); e != top; e = s.up(e) { // rule 7: not only the parent's step
			if e.node != noNode && has[e.node] {
				c.above = s.nodes[e.node].key
				break
			}
		}
	}
}

// breakCircle starts at a stuck step, follows what each step waits for until it
// has found the circle, and returns the step that takes a temporary name. Parents
// alone cannot form a circle, so at least one step waits for another's place. Of
// the steps that occupy such a place it returns the first company by key.
func (o *orderer) breakCircle(from int) int {
	seen := map[int]int{}
	var way []int
	var forPlace []bool // whether each waits for the place of the next
	i := from
	for {
		if _, again := seen[i]; again {
			break
		}
		seen[i] = len(way)
		next, isPlace := o.blocker(i)
		way, forPlace = append(way, i), append(forPlace, isPlace)
		i = next
	}
	best := -1
	for k := seen[i]; k < len(way); k++ {
		if !forPlace[k] {
			continue
		}
		holder := i // the last step waits for the first of the circle
		if k+1 < len(way) {
			holder = way[k+1]
		}
		if best < 0 || viaBefore(o.steps[holder].Key, o.steps[best].Key) {
			best = holder
		}
	}
	if best < 0 {
		panic("cwvault: internal error: steps wait in a circle of parents")
	}
	return best
}

// blocker returns a step that step i waits for, and whether i waits for its place.
func (o *orderer) blocker(i int) (j int, forPlace bool) {
	for _, k := range o.steps[i].takesFrom {
		if j, ok := o.at[k]; ok && !o.steps[j].done && !o.steps[j].left {
			return j, true
		}
	}
	if j, ok := o.at[o.steps[i].above]; ok && !o.steps[j].done {
		return j, false
	}
	panic("cwvault: internal error: a step waits for nothing")
}

// viaBefore prefers companies to groups: more people look at group folders.
func viaBefore(a, b Key) bool {
	_, x := a.CompanyID()
	_, y := b.CompanyID()
	if x != y {
		return x
	}
	return compareKeys(a, b) < 0
}

// takeVia gives a step a temporary name in the folder where it is now.
func (o *orderer) takeVia(s *pending) {
	parent := o.parent[o.nodes[s.node].folder]
	tag := viaTag(s.Key)
	for n := 1; ; n++ {
		suffix := " (" + tag + ")"
		if n > 1 {
			suffix = " (" + tag + ", " + strconv.Itoa(n) + ")"
		}
		name := o.names.withSuffix(o.names.Clean(s.place.Name), suffix)
		where := place{parent, o.names.Fold(name)}
		if _, taken := o.settled.at[where]; taken || o.vias[where] || o.reserved(where) { // rule 7: a temporary name is nobody's
			continue
		}
		o.vias[where] = true
		s.viaName = name
		s.Via = o.path(parent) + `\` + name
		return
	}
}

// reserved reports whether some node has the bid for a place where no folder is
// now.
func (o *orderer) reserved(where place) bool {
	group := noNode
	if where.parent >= 0 {
		if group = o.owner[where.parent]; group == noNode {
			group = o.adopterOf(where.parent)
		}
		if group == noNode {
			return false
		}
	}
	slot, ok := o.empty[spot{group, where.folded}]
	return ok && o.best[slot] != noTurn
}

// adopterOf returns the group that adopts a folder, or noNode.
func (o *orderer) adopterOf(f folderAt) nodeAt {
	if o.adopter == nil {
		o.adopter = map[folderAt]nodeAt{}
		for i := range o.groups {
			if f := o.outcomes[i].adopt; f >= 0 {
				o.adopter[f] = nodeAt(i)
			}
		}
	}
	if i, ok := o.adopter[f]; ok {
		return i
	}
	return noNode
}

// minHeap is for container/heap: the least element comes first.
type minHeap[T cmp.Ordered] []T

func (h minHeap[T]) Len() int           { return len(h) }
func (h minHeap[T]) Less(i, j int) bool { return h[i] < h[j] }
func (h minHeap[T]) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *minHeap[T]) Push(x any)        { *h = append(*h, x.(T)) }
func (h *minHeap[T]) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
