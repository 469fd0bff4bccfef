package sync

import "slices"

// change is a step before the steps are put in order.
type change struct {
	Step
	detail
	node nodeAt // noNode for the root
}

// differ compares the settled tree with the vault.
type differ struct {
	*settled
	paths  map[nodeAt]string // of groups, after the plan
	needed []bool            // groups that hold something after the plan
}

func newDiffer(s *settled) *differ {
	d := &differ{settled: s, paths: map[nodeAt]string{}}
	d.needed = d.neededGroups()
	return d
}

// diff returns what must change in the vault, in no particular order.
func (d *differ) diff() []change {
	var changes []change
	for i := range d.nodes {
		at := nodeAt(i)
		if !d.outcomes[i].stays && !d.right(at) && !d.idle(at) {
			changes = append(changes, d.change(at))
		}
	}
	if d.tree.Root.ID == "" && len(changes) > 0 {
		changes = append(changes, change{node: noNode, Step: Step{Op: OpCreate, Kind: KindGroup, Key: RootKey,
			To: d.tree.RootPath, Reason: "the root does not exist yet"}})
	}
	return changes
}

// right reports whether a node needs no change.
func (d *differ) right(i nodeAt) bool { return d.inPlace(i) && !d.nodes[i].unfinished } // rule 16: and marked where it lies

// idle reports whether a node is a group folder that does not exist and that
// nothing needs.
func (d *differ) idle(i nodeAt) bool {
	return d.isGroup(i) && !d.needed[i] && d.nodes[i].folder < 0
}

// unchanged counts the folders that are right, or left where a person put them.
func (d *differ) unchanged() int {
	count := 0
	for i := range d.nodes {
		if n := &d.nodes[i]; d.outcomes[i].stays {
			if n.folder >= 0 && d.held[n.key].Code == "" {
				count++
			}
		} else if d.right(nodeAt(i)) {
			count++
		}
	}
	return count
}

// learned returns the places of folders that are right but not known yet.
func (d *differ) learned() []KnownPlace {
	var list []KnownPlace
	for i := range d.nodes {
		n := &d.nodes[i]
		if d.outcomes[i].stays || !d.right(nodeAt(i)) {
			continue
		}
		here := Place{Parent: d.groupKey(nodeAt(i)), Name: d.outcomes[i].name}
		if was, ok := d.world.Known[n.key]; !ok || was != here {
			list = append(list, KnownPlace{n.key, d.folders[n.folder].ID, here})
		}
	}
	return list
}

// neededGroups marks the groups above every folder that is in its place, goes
// there, or would go there if those groups could be made. Other groups are not
// made.
func (d *differ) neededGroups() []bool {
	needed := make([]bool, len(d.nodes))
	for i := range d.nodes {
		n, o := &d.nodes[i], &d.outcomes[i]
		if d.isGroup(nodeAt(i)) && n.folder < 0 || o.stays && !d.blockedByGroup(nodeAt(i)) {
			continue
		}
		for g := n.group; g >= 0 && !needed[g]; g = d.nodes[g].group {
			needed[g] = true
		}
	}
	return needed
}

// blockedByGroup reports whether a node is held only because a group above it
// is held. Then the plan must show that group's own reason.
func (d *differ) blockedByGroup(i nodeAt) bool {
	g := d.nodes[i].group
	return g >= 0 && d.cannotBeMade(g)
}

// change describes the change of one node.
func (d *differ) change(i nodeAt) change {
	n, o := &d.nodes[i], &d.outcomes[i]
	s := change{
		node: i, Step: Step{Key: n.key, Kind: KindGroup, To: d.nodePath(i)},
		detail: detail{place: Place{Parent: d.groupKey(i), Name: o.name}},
	}
	if _, ok := n.key.CompanyID(); ok {
		s.Kind = KindCompany
	}
	if n.wanted != nil {
		s.Company = planCompany(n.wanted.company)
	}
	switch parent := d.destination(i); {
	case parent >= 0:
		s.parentID = d.folders[parent].ID
	case parent == rootParent:
		s.parentID = d.tree.Root.ID
	}
	if n.folder < 0 {
		s.Op, s.Reason = OpCreate, d.createReason(i)
		if o.adopt >= 0 {
			s.Op, s.FolderID, s.From = OpAdopt, d.folders[o.adopt].ID, d.path(o.adopt)
			s.Reason = "an unmanaged folder sits exactly where it should be"
			return s
		}
		s.takesFrom = d.takenBy(i)
		return s
	}
	f := &d.folders[n.folder]
	s.FolderID, s.From, s.fromParent, s.fromName = f.ID, d.path(n.folder), f.ParentID, f.Name
	switch {
	case n.unfinished && d.inPlace(i):
		s.Op, s.Reason = OpAdopt, unfinishedReason
		return s
	case d.parent[n.folder] == d.destination(i):
		s.Op = OpRename
	case n.group == d.archive && d.archive >= 0:
		s.Op = OpArchive
	default:
		s.Op = OpMove
	}
	if f.Inherits && s.Op != OpRename { // rule 12: a folder with permissions of its own keeps them
		s.inherits = d.inheritsFrom(i)
		if d.parent[n.folder] != hiddenParent {
			s.inherited = f.ParentID
		}
	}
	s.Reason = d.changeReason(i, s.Op)
	if n.unfinished {
		s.mark, s.Reason = true, unfinishedReason+"; "+s.Reason
	}
	s.takesFrom = d.takenBy(i)
	return s
}

const unfinishedReason = "made by an earlier run that ended before it could mark it"

// inheritsFrom returns the id of the folder whose present audience a node's
// folder will have after the plan. It is empty when that folder is not there
// yet.
func (d *differ) inheritsFrom(i nodeAt) string {
	id := ""
	for e := d.up(element{i, d.nodes[i].folder}); e != top; e = d.up(e) {
		if e.folder < 0 {
			continue // it will inherit from the folder above
		}
		f := &d.folders[e.folder]
		if id == "" {
			id = f.ID
		}
		if !f.Inherits {
			return id
		}
		if e.node >= 0 && !d.outcomes[e.node].stays && d.nodes[e.node].folder >= 0 && d.parent[e.folder] != d.destination(e.node) {
			id = "" // it moves, and its audience changes with it; rule 12: a moved group brings its new audience
		}
	}
	if id == "" {
		id = d.tree.Root.ID
	}
	return id
}

// takenBy returns the folders that are at a node's place now. All of them leave
// it in this plan, because [settler.occupant] finds those that stay.
func (d *differ) takenBy(i nodeAt) []Key {
	var keys []Key
	for o := d.thereAt(i, d.fold(i)); o >= 0; o = d.next[o] {
		if o != d.nodes[i].folder {
			keys = append(keys, d.nodes[d.owner[o]].key)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

// nodePath is the full path of a node's folder after the plan.
func (d *differ) nodePath(i nodeAt) string {
	n, o := &d.nodes[i], &d.outcomes[i]
	if o.stays && n.folder >= 0 {
		return d.pathAfter(n.folder)
	}
	if n.group < 0 {
		return d.path(rootParent) + `\` + o.name
	}
	return d.groupPath(n.group) + `\` + o.name
}

// groupPath is nodePath for groups, cached.
func (d *differ) groupPath(g nodeAt) string {
	path, ok := d.paths[g]
	if !ok {
		path = d.nodePath(g)
		d.paths[g] = path
	}
	return path
}

// pathAfter is the full path of a folder after the plan.
func (d *differ) pathAfter(f folderAt) string {
	if f < 0 {
		return d.path(f)
	}
	if o := d.owner[f]; o >= 0 && !d.outcomes[o].stays {
		return d.nodePath(o)
	}
	return d.pathAfter(d.parent[f]) + `\` + d.folders[f].Name
}

func (d *differ) selected(k Key) bool {
	id, ok := k.CompanyID()
	return d.world.Only == nil || ok && d.world.Only[id]
}

// only keeps the steps of the selected companies, of the groups above them, and
// of the folders that must leave a place they need.
func (d *differ) only(steps []change) []change {
	if d.world.Only == nil {
		return steps
	}
	linkAbove(d.settled, steps)
	at := make(map[Key]int, len(steps))
	for i, s := range steps {
		at[s.Key] = i
	}
	keep := make([]bool, len(steps))
	var visit func(Key)
	visit = func(k Key) {
		i, ok := at[k]
		if !ok || keep[i] {
			return
		}
		keep[i] = true
		visit(steps[i].above)
		for _, k := range steps[i].takesFrom { // rule 7: a limited plan takes what must make way
			visit(k)
		}
	}
	for _, s := range steps {
		if d.selected(s.Key) {
			visit(s.Key)
		}
	}
	kept := steps[:0]
	for i, s := range steps {
		if keep[i] {
			kept = append(kept, s)
		}
	}
	return kept
}

// allHeld returns what [Want] and settling held, by key.
func (d *differ) allHeld() []Held {
	list := []Held{}
	for _, h := range d.w.held {
		if h.Code == HeldExcluded && d.carrier(h.Key) >= 0 {
			continue // it is reported as departed
		}
		if f := d.carrier(h.Key); f >= 0 {
			h.Path = d.pathAfter(f)
		}
		if d.selected(h.Key) {
			list = append(list, h)
		}
	}
	for i := range d.nodes {
		n, o := &d.nodes[i], &d.outcomes[i]
		if !o.stays {
			continue
		}
		h, ok := d.held[n.key]
		isGroup := d.isGroup(nodeAt(i))
		if !ok || isGroup && !d.needed[i] && n.folder < 0 || !isGroup && !d.selected(n.key) {
			continue
		}
		if n.wanted != nil {
			h.Company = planCompany(n.wanted.company)
		}
		switch {
		case n.folder >= 0:
			h.Path = d.pathAfter(n.folder)
		case o.name != "":
			h.Path = d.nodePath(nodeAt(i))
		}
		list = append(list, h)
	}
	for id, f := range d.companyFolders {
		if f < 0 && d.w.departed(id) && d.selected(CompanyKey(id)) {
			list = append(list, Held{Code: HeldDuplicateMark, Key: CompanyKey(id), Reason: d.duplicates(CompanyKey(id))})
		}
	}
	slices.SortFunc(list, func(a, b Held) int { return compareKeys(a.Key, b.Key) }) // rule 7: equal inputs, equal plans, held
	return list
}

// allDeparted returns the departed company folders that stay where they are.
func (d *differ) allDeparted() []Departed {
	list := []Departed{}
	for _, f := range d.departs {
		key := d.folders[f].Mark.Key
		id, _ := key.CompanyID()
		if o := d.owner[f]; o >= 0 && !d.outcomes[o].stays && !d.inPlace(o) || !d.selected(key) {
			continue // it is a step
		}
		list = append(list, Departed{Key: key, FolderID: d.folders[f].ID, Path: d.pathAfter(f), Reason: d.departedReason(id)})
	}
	return list
}
