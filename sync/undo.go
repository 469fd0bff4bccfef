package sync

import (
	"fmt"
	"strings"
)

// Done is a rename or move of the past, as a journal remembers it.
type Done struct {
	Key      Key
	From, To string // full paths before and after the run that made it
}

// Undo returns the plan that takes back what one run renamed and moved: each
// folder that is still where the run put it goes back to where it was. Where
// that cannot be, because the folder was changed since or its old place is
// taken, it is held. why becomes the reason of every step.
func Undo(world World, names NameRules, done []Done, why string) (Program, error) {
	p := planner{world: world, w: Wanted{names: names}}
	if err := p.index(); err != nil {
		return Program{}, fmt.Errorf("undo: %w", err)
	}
	p.archive = -1
	p.claims = map[place]int32{}
	u := undoer{planner: &p, from: make(map[Key]Done, len(done)), old: map[int32]string{}, at: map[string]int32{}, nodeOf: map[int32]int32{}}
	for _, d := range done {
		u.from[d.Key] = d
	}
	u.addNodes(done)
	for u.settle() {
	}
	return u.plan(why)
}

// undoer plans with nodes that stand for folders instead of companies.
type undoer struct {
	*planner
	from   map[Key]Done
	old    map[int32]string // path of each folder before the run
	at     map[string]int32 // and the other way round
	nodeOf map[int32]int32  // node of each folder that is one, or holds one
}

// oldPath is where a folder was before the run.
func (u *undoer) oldPath(f int32) string {
	if f < 0 {
		return u.path(f)
	}
	if path, ok := u.old[f]; ok {
		return path
	}
	path := u.oldPath(u.parent[f]) + `\` + u.folders[f].Name
	if d, ok := u.from[u.folders[f].Mark.Key]; ok && u.ours(f) && u.path(f) == d.To {
		path = d.From
	}
	u.old[f] = path
	return path
}

// addNodes makes a node for every folder that shall go back.
func (u *undoer) addNodes(done []Done) {
	u.at[u.path(rootParent)] = rootParent
	for f := range u.folders {
		u.at[u.oldPath(int32(f))] = int32(f)
	}
	for _, d := range done {
		n := node{key: d.Key, group: rootParent, folder: u.folderOf(d.Key), adopt: -1}
		if n.folder >= 0 {
			u.nodeOf[n.folder] = int32(len(u.nodes))
			u.owner[n.folder] = int32(len(u.nodes))
		}
		u.nodes = append(u.nodes, n)
	}
	for i, d := range done {
		cut := strings.LastIndexByte(d.From, '\\')
		parent, ok := u.at[d.From[:max(cut, 0)]]
		n := u.nodes[i]
		u.nodes[i].name = d.From[cut+1:]
		switch {
		case n.folder < 0:
			u.hold(int32(i), HeldFolderMissing, "its folder is gone")
		case u.path(n.folder) != d.To:
			u.hold(int32(i), HeldFolderMissing, "its folder is no longer at %s, where the run put it", d.To)
		case !ok:
			u.hold(int32(i), HeldFolderMissing, "the folder that it was in, %s, is gone", d.From[:max(cut, 0)])
		default:
			group := u.holder(parent) // may append to the nodes
			u.nodes[i].group = group
		}
	}
}

// holder returns the node that stands for the folder to go back into.
func (u *undoer) holder(f int32) int32 {
	if f < 0 {
		return rootParent
	}
	if n, ok := u.nodeOf[f]; ok {
		return n
	}
	n := node{folder: f, adopt: -1, fixed: true}
	if u.ours(f) {
		n.key = u.folders[f].Mark.Key
	}
	u.nodeOf[f] = int32(len(u.nodes))
	u.nodes = append(u.nodes, n)
	return u.nodeOf[f]
}

// settle holds what cannot go back, until nothing new is held.
func (u *undoer) settle() bool {
	before := u.fixedNodes()
	claims := map[place]bool{}
	for i := range u.nodes {
		n := &u.nodes[i]
		if n.fixed {
			continue
		}
		where := place{u.folderAt(int32(i)), u.w.names.Fold(n.name)}
		taken := claims[where]
		claims[where] = true
		for o, ok := u.planner.at[where]; ok && o >= 0 && !taken; o = u.next[o] {
			taken = o != n.folder && (u.owner[o] < 0 || u.nodes[u.owner[o]].fixed)
		}
		if taken {
			u.hold(int32(i), HeldNameCollision, "its old place is taken")
		}
	}
	if u.fixedNodes() == before {
		u.holdCycles()
	}
	return u.fixedNodes() != before
}

// plan puts the steps in order.
func (u *undoer) plan(why string) (Program, error) {
	plan := u.emptyProgram()
	var steps []pending
	for i := range u.nodes {
		n := &u.nodes[i]
		if h, held := u.held[n.key]; held && u.from[n.key].Key == n.key {
			if n.folder >= 0 {
				h.Path = u.pathAfter(n.folder)
			}
			plan.Held = append(plan.Held, h)
		}
		if n.fixed || u.inPlace(int32(i)) {
			continue
		}
		s := u.step(int32(i))
		s.Reason = why
		steps = append(steps, s)
	}
	plan.Steps, plan.details = u.order(steps)
	plan.count()
	return plan.signed()
}
