package sync

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// World is what the planner knows beside the companies: the vault as it was
// read, what the journal remembers, and what was decided about this run.
type World struct {
	Tenant string // the ConnectWise login company id; marks carry it
	Vault  string // the vault's address, for the plan
	Tree   Tree

	// Known are the places where cwvault last put, or saw rightly placed, each
	// managed folder. A folder that is elsewhere was moved by a person; one
	// that is nowhere has disappeared. May be nil: nothing is known.
	Known map[Key]Place
	// Unfinished are folders that an earlier run began to create without
	// learning whether it did. An unmarked folder at such a place is ours.
	Unfinished map[Key]Place
	// Recreate are folders that a person allows to be made again.
	Recreate map[Key]bool
	// Hold are folders that must stay as they are in this plan, and why:
	// guards, pauses, failures.
	Hold map[Key]Held
	// Only limits the plan to these companies and their group folders. Nil
	// means all.
	Only map[int]bool
	// Encrypted: the vault encrypts for the people who can read a folder, so
	// that only key holders can take one to another audience. See [Access].
	Encrypted bool
}

// Place is where a managed folder is: the key of its parent ([RootKey] for the
// root) and its name.
type Place struct {
	Parent Key
	Name   string
}

// archiveKey is the key of the archive folder.
const archiveKey Key = "group/archive"

// MakePlan compares the wanted tree with the vault and returns the steps that
// turn the one into the other. It is pure: equal arguments, in any order, give
// a byte-equal plan. The error says that the reading of the vault contradicts
// itself (two folders with one id, a folder inside itself).
func MakePlan(w Wanted, world World) (Program, error) {
	p := planner{w: w, world: world}
	if err := p.index(); err != nil {
		return Program{}, fmt.Errorf("plan: %w", err)
	}
	p.addNodes()
	p.holdFirst()
	for p.settle() {
	}
	return p.program().signed()
}

// Special parents of a place.
const (
	rootParent   int32 = -1 // the root itself
	hiddenParent int32 = -2 // a folder that the account cannot see
	newParent    int32 = -3 // a folder that is not there yet
)

// place is a name in a folder.
type place struct {
	parent int32 // index of a folder, or one of the special parents
	folded string
}

// node is a folder that should be somewhere: the meeting of what is wanted with
// what is there.
type node struct {
	key    Key
	wanted *wanted // nil for groups and archived companies
	group  int32   // node of the group folder that should hold it; rootParent
	folder int32   // the folder that carries its key; -1 when there is none
	name   string  // the name chosen for it
	note   string  // why that name, where that needs saying

	fixed    bool  // stays as it is; with folder -1: cannot be made
	waits    bool  // fixed for this run only, so others wait for its place
	adopt    int32 // an unmanaged folder to be marked as its own, or -1
	unmarked bool  // folder is one that an earlier run made and did not mark
}

type planner struct {
	w     Wanted
	world World

	folders []Folder
	byID    map[string]int32
	parent  []int32         // of each folder
	at      map[place]int32 // a folder at each place
	next    []int32         // another folder at the same place, or -1
	shares  []bool          // whether there is one
	folded  []string        // folded names
	owner   []int32         // node of each folder, -1
	departs []int32         // our folders of companies that are not kept any more, by company id

	groupFolders   map[Key]int32 // our folders by key; -1 where several carry it
	companyFolders map[int]int32 // and by company id

	nodes   []node
	groups  []group // of the first nodes, by level and ids
	archive int32   // node of the archive folder, -1

	held  map[Key]Held
	paths map[int32]string
	vias  map[place]bool // temporary names given

	// Which node is to have each place: by the first folder that is there now,
	// or where none is, by group node and name.
	claimedAt []int32
	claims    map[place]int32

	intents map[Place]int // how many creates are unfinished at each place
}

// index reads the tree into tables.
func (p *planner) index() error {
	p.folders = p.world.Tree.Folders
	n := len(p.folders)
	p.byID = make(map[string]int32, n)
	p.parent = make([]int32, n)
	p.next = make([]int32, n)
	p.shares = make([]bool, n)
	p.folded = make([]string, n)
	p.owner = make([]int32, n)
	p.at = make(map[place]int32, n)
	p.groupFolders = map[Key]int32{}
	p.companyFolders = make(map[int]int32, n)
	p.held = map[Key]Held{}
	p.paths = map[int32]string{}
	p.vias = map[place]bool{}
	p.intents = make(map[Place]int, len(p.world.Unfinished))
	for _, was := range p.world.Unfinished {
		p.intents[was]++
	}
	root := p.world.Tree.Root.ID
	for i, f := range p.folders {
		p.byID[f.ID] = int32(i)
		if len(p.byID) == i || f.ID == "" || f.ID == root {
			return fmt.Errorf("the vault lists folder id %q twice", f.ID)
		}
	}
	for i, f := range p.folders {
		parent, ok := p.byID[f.ParentID]
		switch {
		case f.ParentID == root:
			parent = rootParent
		case !ok:
			parent = hiddenParent
		}
		p.parent[i] = parent
		p.owner[i] = -1
		p.folded[i] = p.w.names.Fold(f.Name)
		where := place{parent, p.folded[i]}
		p.next[i] = -1
		if other, taken := p.at[where]; taken {
			p.next[i], p.shares[i], p.shares[other] = other, true, true
		}
		p.at[where] = int32(i)
		if !p.ours(int32(i)) {
			continue
		}
		if id, ok := f.Mark.Key.CompanyID(); ok {
			note(p.companyFolders, id, int32(i))
		} else {
			note(p.groupFolders, f.Mark.Key, int32(i))
		}
	}
	return p.checkLoops()
}

// note sets m[k] to f, or to -1 if it was set before.
func note[K comparable](m map[K]int32, k K, f int32) {
	before := len(m)
	m[k] = f
	if len(m) == before {
		m[k] = -1
	}
}

// checkLoops refuses a tree in which a folder is inside itself.
func (p *planner) checkLoops() error {
	state := make([]uint8, len(p.folders)) // 0 not seen, 1 on the way, 2 good
	var way []int32
	for i := range p.folders {
		way = way[:0]
		f := int32(i)
		for f >= 0 && state[f] == 0 {
			state[f] = 1
			way = append(way, f)
			f = p.parent[f]
		}
		if f >= 0 && state[f] == 1 {
			return fmt.Errorf("the vault lists folder %q inside itself", p.folders[f].ID)
		}
		for _, f := range way {
			state[f] = 2
		}
	}
	return nil
}

// ours reports whether a folder carries a mark of this tenant.
func (p *planner) ours(f int32) bool {
	m := &p.folders[f].Mark
	return !p.folders[f].BadMark && m.Key != "" && m.Tenant == p.world.Tenant && m.Key.Valid()
}

// folderOf returns the folder that carries a key, or -1 if none does or several
// do.
func (p *planner) folderOf(k Key) int32 {
	f, ok := p.carriers(k)
	if !ok {
		return -1
	}
	return f
}

// carriers reports whether any folder carries a key, and which; -1 stands for
// several.
func (p *planner) carriers(k Key) (f int32, ok bool) {
	if id, isCompany := k.CompanyID(); isCompany {
		f, ok = p.companyFolders[id]
	} else {
		f, ok = p.groupFolders[k]
	}
	return f, ok
}

// addNodes makes a node for every folder that should be somewhere: groups first,
// then companies by id.
func (p *planner) addNodes() {
	p.groups = p.allGroups()
	p.archive = -1
	if p.w.settings.Archive != "" {
		p.archive = int32(len(p.groups))
		p.groups = append(p.groups, p.w.archiveGroup())
	}
	p.nodes = make([]node, 0, len(p.groups)+len(p.w.companies))
	at := make(map[Key]int32, len(p.groups))
	for i, g := range p.groups {
		at[g.key] = int32(i)
		p.addNode(node{key: g.key, group: g.parent, folder: p.folderOf(g.key)})
	}
	for i := range p.w.companies {
		c := &p.w.companies[i]
		n := node{wanted: c, group: at[p.w.groups[c.group].key], folder: -1}
		if f, ok := p.companyFolders[c.company.ID]; ok && f >= 0 {
			n.key, n.folder = p.folders[f].Mark.Key, f
		} else {
			n.key = CompanyKey(c.company.ID)
		}
		p.addNode(n)
	}
	p.departs = p.departed()
	if p.archive < 0 {
		return
	}
	for _, f := range p.departs {
		p.addNode(node{key: p.folders[f].Mark.Key, group: p.archive, folder: f})
	}
}

func (w *Wanted) archiveGroup() group {
	g := group{key: archiveKey, parent: rootParent, name: w.names.Clean(w.settings.Archive)}
	g.alt = w.names.withSuffix(g.name, " (archive)")
	if !w.names.usable(g.name) {
		g.name = g.alt
	}
	return g
}

func (p *planner) addNode(n node) {
	n.adopt = -1
	if n.folder < 0 {
		n.folder = p.unfinished(n.key)
		n.unmarked = n.folder >= 0
	}
	if n.folder >= 0 {
		p.owner[n.folder] = int32(len(p.nodes))
	}
	p.nodes = append(p.nodes, n)
}

// unfinished returns the folder that an earlier run was making for a key when it
// ended, or -1: it has no mark, and it is where the journal says that a folder
// was about to be made. The company may have moved on since.
func (p *planner) unfinished(k Key) int32 {
	was, ok := p.world.Unfinished[k]
	if !ok || p.intents[was] > 1 { // two were to be made there: whose it is cannot be told
		return -1
	}
	if _, marked := p.carriers(k); marked {
		return -1 // several folders carry its mark
	}
	parent := rootParent
	if was.Parent != RootKey {
		if parent = p.folderOf(was.Parent); parent < 0 {
			return -1
		}
	}
	o, ok := p.at[place{parent, p.w.names.Fold(was.Name)}]
	if !ok {
		return -1
	}
	for ; o >= 0; o = p.next[o] {
		if f := &p.folders[o]; f.Name == was.Name && f.Mark == (Mark{}) && !f.BadMark {
			return o
		}
	}
	return -1
}

// allGroups returns the groups that companies need, and those that exist in the
// vault without a company now but whose records are known: a status renamed in
// ConnectWise is renamed in the vault also where nobody has it just now.
func (p *planner) allGroups() []group {
	groups := slices.Clone(p.w.groups)
	have := make(map[Key]bool, len(p.w.groups))
	for _, g := range groups {
		have[g.key] = true
	}
	var idle []Key
	for key, f := range p.groupFolders {
		if !have[key] && f >= 0 {
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
		levels, ok := p.w.parseGroupKey(key)
		parent := parentOf(key)
		if !ok || parent != RootKey && !have[parent] || !p.w.known(levels[len(levels)-1]) {
			continue
		}
		level := p.w.settings.Structure.levels[len(levels)-1]
		groups = append(groups, p.w.newGroup(key, rootParent, level, levels[len(levels)-1]))
		have[key] = true
	}
	slices.SortFunc(groups, func(a, b group) int { return compareGroups(&a, &b) })
	at := make(map[Key]int32, len(groups))
	for i := range groups {
		at[groups[i].key] = int32(i)
		groups[i].parent = rootParent
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

// departed returns the company folders whose company is not kept any more, by
// company id. A held company has not departed.
func (p *planner) departed() []int32 {
	var list []int32
	for f := range p.folders {
		if p.owner[f] >= 0 || !p.ours(int32(f)) {
			continue
		}
		key := p.folders[f].Mark.Key
		if id, ok := key.CompanyID(); ok && p.companyFolders[id] == int32(f) && p.w.departed(id) {
			list = append(list, int32(f))
		}
	}
	slices.SortFunc(list, func(a, b int32) int { return compareKeys(p.folders[a].Mark.Key, p.folders[b].Mark.Key) })
	return list
}

// departed reports whether no company of this id is kept any more.
func (w *Wanted) departed(id int) bool {
	_, out := w.out[id]
	return out || !w.lists(id)
}

// hold keeps a node as it is and says why. The first reason stays.
func (p *planner) hold(n int32, code HoldCode, format string, args ...any) {
	nd := &p.nodes[n]
	nd.fixed = true
	if _, held := p.held[nd.key]; !held {
		p.held[nd.key] = Held{Code: code, Key: nd.key, Reason: fmt.Sprintf(format, args...)}
	}
}

// holdLike holds a node because of another hold: what lifts that one lifts this.
func (p *planner) holdLike(n int32, cause Held, reason string) {
	p.hold(n, cause.Code, "%s", reason)
	nd := &p.nodes[n]
	nd.waits = cause.Code.passing()
	h := p.held[nd.key]
	h.Approvable = cause.Approvable
	p.held[nd.key] = h
}

// holdFirst holds what is held whatever else happens.
func (p *planner) holdFirst() {
	for i := range p.nodes {
		n := &p.nodes[i]
		switch h, asked := p.world.Hold[n.key]; {
		case n.folder < 0 && p.duplicated(n.key):
			p.hold(int32(i), HeldDuplicateMark, "%s", p.duplicates(n.key))
		case asked:
			p.holdLike(int32(i), h, h.Reason)
		case n.folder < 0 && p.known(n.key) && !p.mayRecreate(n.key):
			p.hold(int32(i), HeldFolderMissing, "its folder %q has disappeared from the vault or can no longer be seen", p.world.Known[n.key].Name)
		}
	}
}

// duplicated reports whether several folders carry a key.
func (p *planner) duplicated(k Key) bool {
	f, ok := p.carriers(k)
	return ok && f < 0
}

// mayRecreate reports whether a person allowed to make a folder again, now or
// in an earlier run that did not come to its end.
func (p *planner) mayRecreate(k Key) bool {
	_, begun := p.world.Unfinished[k]
	return begun || p.world.Recreate[k]
}

func (p *planner) known(k Key) bool {
	_, ok := p.world.Known[k]
	return ok
}
