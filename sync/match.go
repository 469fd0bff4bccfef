package sync

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// nodeAt is a node, by its index.
type nodeAt int32

// noNode is no node; as the group of a node it is the root.
const noNode nodeAt = -1

// node is a folder that should exist: what is wanted, and the folder in the vault
// if there is one.
type node struct {
	key        Key
	group      nodeAt   // the group that should hold it; noNode: the root
	folder     folderAt // the folder that carries its key, or noFolder
	wanted     *wanted  // nil for groups and archived companies
	unfinished bool     // an earlier run made the folder and did not mark it

	back   *goingBack // in an undo
	anchor bool       // in an undo: a folder that others go back into; it stays as it is
}

// goingBack is what an undo wants of a node: its old name, no other, and why.
type goingBack struct{ name, why string }

// matched is the wanted tree, matched with the vault. The nodes are in the order
// in which they choose names: groups by level and ids, the archive folder,
// companies by id, archived companies by id.
type matched struct {
	*view
	w     Wanted
	world World

	nodes     []node
	groups    []group         // of the first nodes
	archive   nodeAt          // the archive folder, or noNode
	owner     []nodeAt        // the node of each folder, or noNode
	departs   []folderAt      // folders of departed companies, by company id
	creates   map[Place]int   // how many folders earlier runs left unfinished at each place
	heldFirst map[nodeAt]Held // what is held before settling begins
	visits    int             // how many nodes and folders were visited, for tests of the cost
}

// match makes a node for every folder that should exist.
func match(w Wanted, world World, v *view) *matched {
	m := &matched{
		view: v, w: w, world: world, archive: noNode,
		owner:     slices.Repeat([]nodeAt{noNode}, len(v.folders)),
		creates:   make(map[Place]int, len(world.Unfinished)),
		heldFirst: map[nodeAt]Held{},
	}
	for _, was := range world.Unfinished {
		m.creates[was]++
	}
	m.groups = m.allGroups()
	if w.settings.Archive != "" { // rule 10: or archived
		m.archive = nodeAt(len(m.groups))
		m.groups = append(m.groups, w.archiveGroup())
	}
	m.nodes = make([]node, 0, len(m.groups)+len(w.companies))
	at := make(map[Key]nodeAt, len(m.groups))
	for i, g := range m.groups {
		at[g.key] = nodeAt(i)
		m.add(node{key: g.key, group: nodeAt(g.parent), folder: m.carrier(g.key)})
	}
	for i := range w.companies {
		c := &w.companies[i]
		n := node{wanted: c, group: at[w.groups[c.group].key], folder: noFolder}
		if f, ok := m.companyFolders[c.company.ID]; ok && f >= 0 { // rule 1: a folder is found by its mark
			n.key, n.folder = m.folders[f].Mark.Key, f
		} else {
			n.key = CompanyKey(c.company.ID)
		}
		m.add(n)
	}
	m.departs = m.departed()
	if m.archive != noNode {
		for _, f := range m.departs {
			m.add(node{key: m.folders[f].Mark.Key, group: m.archive, folder: f})
		}
	}
	for i := range m.nodes {
		if h := m.mustHold(&m.nodes[i]); h.Code != "" {
			m.heldFirst[nodeAt(i)] = h
		}
	}
	return m
}

// mustHold returns why a node is held whatever else happens.
func (m *matched) mustHold(n *node) Held {
	h, asked := m.world.Hold[n.key]
	m.visits += 1 + len(m.copies[n.key])
	switch {
	case n.folder < 0 && m.carrier(n.key) == several:
		return Held{Code: HeldDuplicateMark, Reason: m.duplicates(n.key)}
	case asked:
		return h
	case n.folder < 0 && m.known(n.key) && !m.mayRecreate(n.key): // rule 9: what has disappeared is held
		return Held{Code: HeldFolderMissing, Reason: fmt.Sprintf(
			"its folder %q has disappeared from the vault or can no longer be seen", m.world.Known[n.key].Name)}
	}
	return Held{}
}

// archiveKey is the key of the archive folder.
const archiveKey Key = "group/archive"

func (w *Wanted) archiveGroup() group {
	g := group{key: archiveKey, parent: -1, name: w.names.Clean(w.settings.Archive)}
	g.alt = w.names.withSuffix(g.name, " (archive)")
	if !w.names.usable(g.name) {
		g.name = g.alt
	}
	return g
}

func (m *matched) add(n node) {
	if n.folder < 0 {
		n.folder = m.begun(n.key) // rule 16: an unmarked folder of ours is found
		n.unfinished = n.folder >= 0
	}
	if n.folder >= 0 {
		m.owner[n.folder] = nodeAt(len(m.nodes))
	}
	m.nodes = append(m.nodes, n)
}

// begun returns the folder that an earlier run made for a key but did not mark,
// or noFolder. It is where the journal says that the run was about to make one.
// ConnectWise may want the company elsewhere by now.
func (m *matched) begun(k Key) folderAt {
	was, ok := m.world.Unfinished[k]
	if !ok || m.creates[was] > 1 { // either key could be its owner; rule 16: unless two were to be made there
		return noFolder
	}
	if m.carrier(k) != noFolder {
		return noFolder // several folders carry its mark
	}
	parent := rootParent
	if was.Parent != RootKey {
		if parent = m.carrier(was.Parent); parent < 0 {
			return noFolder
		}
	}
	o, ok := m.at[place{parent, m.names.Fold(was.Name)}]
	if !ok {
		return noFolder
	}
	for ; o >= 0; o = m.next[o] {
		if f := &m.folders[o]; f.Name == was.Name && f.Mark == (Mark{}) && !f.BadMark {
			return o
		}
	}
	return noFolder
}

// allGroups returns the groups that companies need, and those in the vault that no
// company needs but whose records are known. So the folder of a renamed status is
// renamed even if no company has that status now.
func (m *matched) allGroups() []group {
	groups := slices.Clone(m.w.groups)
	have := make(map[Key]bool, len(m.w.groups))
	for _, g := range groups {
		have[g.key] = true
	}
	var idle []Key
	for key, f := range m.groupFolders {
		if !have[key] && f >= 0 { // rule 2: a group without companies follows its record
			idle = append(idle, key)
		}
	}
	if len(idle) == 0 {
		return groups
	}
	slices.SortFunc(idle, func(a, b Key) int { // parents first
		return cmp.Or(cmp.Compare(strings.Count(string(a), "/"), strings.Count(string(b), "/")), cmp.Compare(a, b))
	})
	for _, key := range idle {
		levels, ok := m.w.parseGroupKey(key)
		parent := parentOf(key)
		if !ok || parent != RootKey && !have[parent] || !m.w.known(levels[len(levels)-1]) {
			continue
		}
		level := m.w.settings.Structure.levels[len(levels)-1]
		groups = append(groups, m.w.newGroup(key, -1, level, levels[len(levels)-1]))
		have[key] = true
	}
	slices.SortFunc(groups, func(a, b group) int { return compareGroups(&a, &b) })
	at := make(map[Key]int32, len(groups))
	for i := range groups {
		at[groups[i].key] = int32(i)
		groups[i].parent = -1
		if parent := parentOf(groups[i].key); parent != RootKey {
			groups[i].parent = at[parent]
		}
	}
	return groups
}

// parentOf returns the key of the group above a group.
func parentOf(k Key) Key {
	i := strings.LastIndexByte(string(k), '/')
	if i <= len("group") {
		return RootKey
	}
	return k[:i]
}

// known reports whether every record that the segments name is known.
func (w *Wanted) known(ids []segment) bool {
	for _, s := range ids {
		switch {
		case s.token == "" || s.token == tokenInitial:
		case s.id == 0:
			if w.settings.Missing == "" {
				return false
			}
		default:
			if _, ok := w.refs[s.token][s.id]; !ok {
				return false
			}
		}
	}
	return true
}

// departed returns the folders of departed companies, by company id. A held
// company has not departed.
func (m *matched) departed() []folderAt {
	var list []folderAt
	for i := range m.folders {
		f := folderAt(i)
		if m.owner[f] != noNode || !m.ours(f) {
			continue
		}
		key := m.folders[f].Mark.Key
		if id, ok := key.CompanyID(); ok && m.companyFolders[id] == f && m.w.departed(id) {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b folderAt) int { return compareKeys(m.folders[a].Mark.Key, m.folders[b].Mark.Key) }) // rule 7: equal inputs, equal plans, departed
	return list
}

// departed reports whether ConnectWise no longer lists the company, or the
// settings leave it out.
func (w *Wanted) departed(id int) bool {
	_, out := w.out[id]
	return out || !w.lists(id) // rule 4: a held company has not departed
}

// isGroup reports whether a node is a group folder.
func (m *matched) isGroup(i nodeAt) bool { return int(i) < len(m.groups) }

// groupKey is the key of the folder that should hold the node.
func (m *matched) groupKey(i nodeAt) Key {
	if g := m.nodes[i].group; g >= 0 {
		return m.nodes[g].key
	}
	return RootKey
}

// known reports whether the journal remembers a place of a key.
func (m *matched) known(k Key) bool {
	_, ok := m.world.Known[k]
	return ok
}

// mayRecreate reports whether a person allowed cwvault to make a folder again, now
// or for an earlier run that did not finish.
func (m *matched) mayRecreate(k Key) bool {
	_, begun := m.world.Unfinished[k]
	return begun || m.world.Recreate[k] // rule 9: until a person says so; rule 9: or has said so before a crash
}

// firstName is the name that a node has unless another node has it.
func (m *matched) firstName(i nodeAt) string {
	n := &m.nodes[i]
	switch {
	case m.isGroup(i):
		return m.groups[i].name
	case n.wanted != nil:
		return n.wanted.name
	case n.back != nil:
		return n.back.name
	case n.folder >= 0:
		return m.folders[n.folder].Name // archived: it keeps the name it has
	}
	return ""
}

// compareKeys orders groups before companies and companies by number.
func compareKeys(a, b Key) int {
	x, isX := a.CompanyID()
	y, isY := b.CompanyID()
	if isX && isY {
		return cmp.Compare(x, y)
	}
	if isX != isY {
		if isX {
			return 1
		}
		return -1
	}
	return cmp.Compare(a, b)
}
