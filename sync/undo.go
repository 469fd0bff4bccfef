package sync

import (
	"fmt"
	"slices"
	"strings"
)

// Done is a past rename or move, as a journal remembers it.
type Done struct {
	Key      Key
	From, To string // full paths before and after the run that made it
}

// Undo returns the program that undoes the renames and moves of one run. A folder
// that is still where the run put it goes back to its old place. If it has changed
// since, or its old place is taken, it is held. why becomes the reason of every
// step.
func Undo(world World, names NameRules, done []Done, why string) (Program, error) {
	v, err := index(world.Tree, world.Tenant, names)
	if err != nil {
		return Program{}, fmt.Errorf("undo: %w", err)
	}
	d := newDiffer(settle(matchDone(v, world, done, why)))
	p := d.program(d.diff())
	for i := range done {
		n := &d.nodes[i]
		if h, held := d.held[n.key]; held {
			if n.folder >= 0 {
				h.Path = d.pathAfter(n.folder)
			}
			p.Held = append(p.Held, h)
		}
	}
	p.count()
	return p.signed()
}

// matchDone makes a node for every folder that goes back, in the order of done,
// and for every folder into which they go back.
func matchDone(v *view, world World, done []Done, why string) *matched {
	m := &matched{
		view: v, w: Wanted{names: v.names}, world: world, archive: noNode,
		owner: slices.Repeat([]nodeAt{noNode}, len(v.folders)), heldFirst: map[nodeAt]Held{},
	}
	at := oldPaths(v, done)
	for _, d := range done {
		n := node{key: d.Key, group: noNode, folder: v.carrier(d.Key), back: &goingBack{why: why}}
		if n.folder >= 0 {
			m.owner[n.folder] = nodeAt(len(m.nodes))
		} else {
			n.folder = noFolder
		}
		m.nodes = append(m.nodes, n)
	}
	for i, d := range done {
		cut := strings.LastIndexByte(d.From, '\\')
		above := d.From[:max(cut, 0)]
		parent, ok := at[above]
		n := &m.nodes[i]
		n.back.name = d.From[cut+1:]
		reason := ""
		switch {
		case n.folder < 0:
			reason = "its folder is gone"
		case v.path(n.folder) != d.To:
			reason = fmt.Sprintf("its folder is no longer at %s, where the run put it", d.To)
		case !ok:
			reason = fmt.Sprintf("the folder that it was in, %s, is gone", above)
		}
		if reason == "" {
			group := m.anchor(parent) // may append to the nodes
			m.nodes[i].group = group
			continue
		}
		n.anchor = true
		m.heldFirst[nodeAt(i)] = Held{Code: HeldFolderMissing, Reason: reason}
	}
	return m
}

// oldPaths returns which folder was at each path before the run.
func oldPaths(v *view, done []Done) map[string]folderAt {
	from := make(map[Key]Done, len(done))
	for _, d := range done {
		from[d.Key] = d
	}
	old, at := map[folderAt]string{}, map[string]folderAt{v.path(rootParent): rootParent}
	var pathOf func(f folderAt) string
	pathOf = func(f folderAt) string {
		if f < 0 {
			return v.path(f)
		}
		if path, ok := old[f]; ok {
			return path
		}
		path := pathOf(v.parent[f]) + `\` + v.folders[f].Name
		if d, ok := from[v.folders[f].Mark.Key]; ok && v.ours(f) && v.path(f) == d.To {
			path = d.From
		}
		old[f] = path
		return path
	}
	for f := range v.folders {
		at[pathOf(folderAt(f))] = folderAt(f)
	}
	return at
}

// anchor returns the node for a folder into which others go back.
func (m *matched) anchor(f folderAt) nodeAt {
	if f < 0 {
		return noNode
	}
	if m.owner[f] != noNode {
		return m.owner[f]
	}
	n := node{group: noNode, folder: f, anchor: true}
	if m.ours(f) {
		n.key = m.folders[f].Mark.Key
	}
	m.owner[f] = nodeAt(len(m.nodes))
	m.nodes = append(m.nodes, n)
	return m.owner[f]
}
