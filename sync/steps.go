package sync

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// program turns the settled nodes into a program.
func (p *planner) program() Program {
	plan := p.emptyProgram()
	needed := p.neededGroups()
	var steps []pending
	for i := range p.nodes {
		n := &p.nodes[i]
		isGroup := i < len(p.groups)
		if isGroup && !needed[i] && n.folder < 0 {
			continue
		}
		switch {
		case n.fixed:
			if n.folder >= 0 && p.held[n.key].Code == "" {
				plan.Counts.Unchanged++ // left where a person put it
			}
		case p.inPlace(int32(i)) && !n.unmarked:
			plan.Counts.Unchanged++
			here := Place{Parent: p.groupKey(int32(i)), Name: n.name}
			if was, ok := p.world.Known[n.key]; !ok || was != here {
				plan.learned = append(plan.learned, KnownPlace{n.key, p.folders[n.folder].ID, here})
			}
		default:
			steps = append(steps, p.step(int32(i)))
		}
	}
	if p.world.Tree.Root.ID == "" && len(steps) > 0 {
		steps = append(steps, pending{node: -1, Step: Step{Op: OpCreate, Kind: KindGroup, Key: RootKey,
			To: p.world.Tree.RootPath, Reason: "the root does not exist yet"}})
	}
	steps = p.only(steps)
	plan.Steps, plan.details = p.order(steps)
	plan.Held = p.allHeld(needed)
	plan.Departed = p.allDeparted()
	for _, f := range p.companyFolders {
		if f >= 0 {
			plan.managed++
		}
	}
	plan.count()
	return plan
}

// emptyProgram is a program for this world that does nothing.
func (p *planner) emptyProgram() Program {
	return Program{encrypted: p.world.Encrypted, Plan: Plan{
		Schema: PlanSchema, Tenant: p.world.Tenant, Vault: p.world.Vault, Root: p.world.Tree.RootPath,
		Steps: []Step{}, Held: []Held{}, Departed: []Departed{},
	}}
}

// neededGroups marks the groups above every folder that goes to its place or
// would if they could be made. Groups above nothing are not made.
func (p *planner) neededGroups() []bool {
	needed := make([]bool, len(p.groups))
	for i := range p.nodes {
		n := &p.nodes[i]
		if i < len(p.groups) && n.folder < 0 || n.fixed && !p.blockedByGroup(int32(i)) {
			continue
		}
		for g := n.group; g >= 0 && !needed[g]; g = p.nodes[g].group {
			needed[g] = true
		}
	}
	return needed
}

// blockedByGroup reports whether a node is held only because a group above it
// is: then that group's own reason must be shown.
func (p *planner) blockedByGroup(i int32) bool {
	g := p.nodes[i].group
	return g >= 0 && p.nodes[g].fixed && p.nodes[g].folder < 0
}

// step describes the change of one node.
func (p *planner) step(i int32) pending {
	n := &p.nodes[i]
	s := pending{
		node: i, Step: Step{Key: n.key, Kind: KindGroup, To: p.nodePath(i)},
		detail: detail{place: Place{Parent: p.groupKey(i), Name: n.name}},
	}
	if _, ok := n.key.CompanyID(); ok {
		s.Kind = KindCompany
	}
	if n.wanted != nil {
		s.Company = planCompany(n.wanted.company)
	}
	switch parent := p.folderAt(i); {
	case parent >= 0:
		s.parentID = p.folders[parent].ID
	case parent == rootParent:
		s.parentID = p.world.Tree.Root.ID
	}
	if n.folder < 0 {
		s.Op, s.Reason = OpCreate, p.createReason(i)
		if n.adopt >= 0 {
			s.Op, s.FolderID, s.From = OpAdopt, p.folders[n.adopt].ID, p.path(n.adopt)
			s.Reason = "an unmanaged folder sits exactly where it should be"
			return s
		}
		s.takesFrom = p.takenBy(i)
		return s
	}
	f := &p.folders[n.folder]
	s.FolderID, s.From, s.fromParent, s.fromName = f.ID, p.path(n.folder), f.ParentID, f.Name
	switch {
	case n.unmarked && p.inPlace(i):
		s.Op, s.Reason = OpAdopt, unfinishedReason
		return s
	case p.parent[n.folder] == p.folderAt(i):
		s.Op = OpRename
	case n.group == p.archive && p.archive >= 0:
		s.Op = OpArchive
	default:
		s.Op = OpMove
	}
	if f.Inherits && s.Op != OpRename {
		s.inherits = p.inheritsFrom(i)
		if p.parent[n.folder] != hiddenParent {
			s.inherited = f.ParentID
		}
	}
	s.Reason = p.changeReason(i, s.Op)
	if n.unmarked {
		s.mark, s.Reason = true, unfinishedReason+"; "+s.Reason
	}
	s.takesFrom = p.takenBy(i)
	return s
}

const unfinishedReason = "made by an earlier run that ended before it could mark it"

// inheritsFrom returns the id of the folder whose present audience a node's
// folder will have after the plan. It is empty when that folder is not there
// yet.
func (p *planner) inheritsFrom(i int32) string {
	id := ""
	for e := p.up(element{i, p.nodes[i].folder}); !e.atTop(); e = p.up(e) {
		if e.folder < 0 {
			continue // it will inherit from the one above
		}
		f := &p.folders[e.folder]
		if id == "" {
			id = f.ID
		}
		if !f.Inherits {
			return id
		}
		if e.node >= 0 && !p.nodes[e.node].fixed && p.nodes[e.node].folder >= 0 && p.parent[e.folder] != p.folderAt(e.node) {
			id = "" // it moves, and its audience changes with it
		}
	}
	if id == "" {
		id = p.world.Tree.Root.ID
	}
	return id
}

// takenBy returns the folders that are at a node's place now. All of them will
// leave it: [planner.occupant] saw to that.
func (p *planner) takenBy(i int32) []Key {
	var keys []Key
	for o := p.thereAt(i, p.fold(i)); o >= 0; o = p.next[o] {
		if o != p.nodes[i].folder {
			keys = append(keys, p.nodes[p.owner[o]].key)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

// path is the full path of a folder as it is now.
func (p *planner) path(f int32) string {
	switch f {
	case rootParent:
		return strings.TrimSuffix(p.world.Tree.RootPath, `\`)
	case hiddenParent:
		return p.path(rootParent) + `\…`
	}
	return p.path(p.parent[f]) + `\` + p.folders[f].Name
}

// nodePath is the full path of a node's folder after the plan.
func (p *planner) nodePath(i int32) string {
	n := &p.nodes[i]
	if n.fixed && n.folder >= 0 {
		return p.pathAfter(n.folder)
	}
	if n.group < 0 {
		return p.path(rootParent) + `\` + n.name
	}
	return p.groupPath(n.group) + `\` + n.name
}

// groupPath is nodePath for groups, remembered.
func (p *planner) groupPath(g int32) string {
	path, ok := p.paths[g]
	if !ok {
		path = p.nodePath(g)
		p.paths[g] = path
	}
	return path
}

// pathAfter is the full path of a folder after the plan.
func (p *planner) pathAfter(f int32) string {
	if f < 0 {
		return p.path(f)
	}
	if o := p.owner[f]; o >= 0 && !p.nodes[o].fixed {
		return p.nodePath(o)
	}
	return p.pathAfter(p.parent[f]) + `\` + p.folders[f].Name
}

func (p *planner) createReason(i int32) string {
	n := &p.nodes[i]
	reason := "new company"
	switch {
	case n.key == archiveKey:
		reason = "archive folder for departed companies"
	case n.wanted == nil:
		words := make([]string, len(p.groups[i].ids))
		for j, s := range p.groups[i].ids {
			words[j] = s.word() + " " + p.w.refs.name(s)
		}
		reason = "group folder for " + strings.Join(words, ", ")
	case p.known(n.key):
		reason = "made again on request"
	}
	if n.note != "" {
		reason += "; " + n.note
	}
	return reason
}

// word names a segment's kind in a reason.
func (s segment) word() string {
	if s.token == "" {
		return "the text"
	}
	return keyWord[s.token]
}

func (p *planner) changeReason(i int32, op Op) string {
	n := &p.nodes[i]
	f := &p.folders[n.folder]
	var why []string
	drifted := p.drifted(i)
	switch {
	case drifted:
		why = append(why, "a person moved or renamed the folder; ConnectWise has not changed, so it is put back")
	case op == OpArchive:
		id, _ := n.key.CompanyID()
		why = append(why, p.departedReason(id))
	case op == OpMove:
		why = append(why, p.moveReason(i))
	}
	if f.Name != n.name && !drifted {
		if n.wanted == nil && len(p.groupIDs(i)) == 1 && p.groups[i].ids[0].token != "" {
			why = append(why, fmt.Sprintf("%s renamed from %s to %s", keyWord[p.groups[i].ids[0].token], f.Name, n.name))
		} else {
			why = append(why, "name changed")
		}
	}
	if n.note != "" {
		why = append(why, n.note)
	}
	return strings.Join(why, "; ")
}

func (p *planner) groupIDs(i int32) []segment {
	if int(i) < len(p.groups) {
		return p.groups[i].ids
	}
	return nil
}

// moveReason compares the group that holds a folder with the one that should.
func (p *planner) moveReason(i int32) string {
	n := &p.nodes[i]
	parent := p.parent[n.folder]
	if parent < 0 || !p.ours(parent) || !p.folders[parent].Mark.Key.IsGroup() {
		return "the folder was not in its group folder"
	}
	from := p.folders[parent].Mark.Key
	if from == archiveKey {
		return "the company is back"
	}
	to := p.groupKey(i)
	a, okA := p.w.parseGroupKey(from)
	b, okB := p.w.parseGroupKey(to)
	switch {
	case !okA || !okB:
		return "the folder structure changed"
	case len(a) != len(b):
		return "the folder was not in its group folder"
	}
	var why []string
	for l := range a {
		for t := range a[l] {
			if t < len(b[l]) && a[l][t] != b[l][t] {
				why = append(why, fmt.Sprintf("%s changed from %s to %s", b[l][t].word(), p.w.refs.name(a[l][t]), p.w.refs.name(b[l][t])))
			}
		}
	}
	if why == nil {
		return "its group folder is another one now"
	}
	return strings.Join(why, "; ")
}

func (p *planner) departedReason(company int) string {
	if why, out := p.w.out[company]; out {
		return why
	}
	return "deleted in ConnectWise, or no longer visible to the API member"
}

// linkAbove notes for each step the nearest one among the folders above it.
func (p *planner) linkAbove(steps []pending) {
	has := make([]bool, len(p.nodes))
	root := Key("")
	for _, s := range steps {
		if s.node >= 0 {
			has[s.node] = true
		} else {
			root = RootKey
		}
	}
	for i := range steps {
		s := &steps[i]
		if s.node < 0 {
			continue
		}
		s.above = root
		for e := p.up(element{s.node, p.nodes[s.node].folder}); !e.atTop(); e = p.up(e) {
			if e.node >= 0 && has[e.node] {
				s.above = p.nodes[e.node].key
				break
			}
		}
	}
}

func (p *planner) selected(k Key) bool {
	id, ok := k.CompanyID()
	return p.world.Only == nil || ok && p.world.Only[id]
}

// only keeps the steps of the selected companies, of the groups above them, and
// of whatever has to make way for them.
func (p *planner) only(steps []pending) []pending {
	if p.world.Only == nil {
		return steps
	}
	p.linkAbove(steps)
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
		for _, k := range steps[i].takesFrom {
			visit(k)
		}
	}
	for _, s := range steps {
		if p.selected(s.Key) {
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

// allHeld returns what the companies and the vault hold, by key.
func (p *planner) allHeld(needed []bool) []Held {
	list := []Held{}
	for _, h := range p.w.held {
		if h.Code == HeldExcluded && p.folderOf(h.Key) >= 0 {
			continue // it is reported as departed
		}
		if f := p.folderOf(h.Key); f >= 0 {
			h.Path = p.pathAfter(f)
		}
		if p.selected(h.Key) {
			list = append(list, h)
		}
	}
	for i := range p.nodes {
		n := &p.nodes[i]
		if !n.fixed {
			continue
		}
		h, ok := p.held[n.key]
		isGroup := i < len(p.groups)
		if !ok || isGroup && !needed[i] && n.folder < 0 || !isGroup && !p.selected(n.key) {
			continue
		}
		if n.wanted != nil {
			h.Company = planCompany(n.wanted.company)
		}
		switch {
		case n.folder >= 0:
			h.Path = p.pathAfter(n.folder)
		case n.name != "":
			h.Path = p.nodePath(int32(i))
		}
		list = append(list, h)
	}
	for id, f := range p.companyFolders {
		if f < 0 && p.w.departed(id) && p.selected(CompanyKey(id)) {
			list = append(list, Held{Code: HeldDuplicateMark, Key: CompanyKey(id), Reason: p.duplicates(CompanyKey(id))})
		}
	}
	slices.SortFunc(list, func(a, b Held) int { return compareKeys(a.Key, b.Key) })
	return list
}

// allDeparted returns the departed company folders that stay where they are.
func (p *planner) allDeparted() []Departed {
	list := []Departed{}
	for _, f := range p.departs {
		key := p.folders[f].Mark.Key
		id, _ := key.CompanyID()
		if o := p.owner[f]; o >= 0 && !p.nodes[o].fixed && !p.inPlace(o) || !p.selected(key) {
			continue // it is a step
		}
		list = append(list, Departed{Key: key, FolderID: p.folders[f].ID, Path: p.pathAfter(f), Reason: p.departedReason(id)})
	}
	return list
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

// duplicates is the reason for a hold of a key that several folders carry.
func (p *planner) duplicates(k Key) string {
	var paths []string
	for i := range p.folders {
		if p.ours(int32(i)) && p.folders[i].Mark.Key == k {
			paths = append(paths, p.path(int32(i)))
		}
	}
	slices.Sort(paths)
	return fmt.Sprintf("several folders carry its mark: %s", strings.Join(paths, ", "))
}

// pending is a step on its way into the order of the plan.
type pending struct {
	Step
	detail
	node   int32
	waits  int   // how many steps must come before it
	finish []int // steps that wait until it is done
	vacate []int // steps that wait until it has left its place
	left   bool  // it has left its place
	done   bool
}

// order sorts the steps so that each can be done when its turn comes: parents
// before children, places vacated before they are taken, and otherwise by path.
// Where steps wait for each other in a circle, one of them first takes a
// temporary name.
func (p *planner) order(steps []pending) ([]Step, []detail) {
	p.linkAbove(steps)
	slices.SortFunc(steps, func(a, b pending) int {
		return cmp.Or(cmp.Compare(strings.Count(a.To, `\`), strings.Count(b.To, `\`)), cmp.Compare(a.To, b.To), compareKeys(a.Key, b.Key))
	})
	at := make(map[Key]int, len(steps))
	for i, s := range steps {
		at[s.Key] = i
	}
	waitFor := func(i int, k Key, list func(*pending) *[]int) {
		if j, ok := at[k]; ok && j != i {
			l := list(&steps[j])
			*l = append(*l, i)
			steps[i].waits++
		}
	}
	for i := range steps {
		s := &steps[i]
		waitFor(i, s.above, func(s *pending) *[]int { return &s.finish })
		for _, k := range s.takesFrom {
			waitFor(i, k, func(s *pending) *[]int { return &s.vacate })
		}
	}

	ordered, details := make([]Step, 0, len(steps)), make([]detail, 0, len(steps))
	ready := &intHeap{}
	release := func(list []int) {
		for _, i := range list {
			if steps[i].waits--; steps[i].waits == 0 {
				heap.Push(ready, i)
			}
		}
	}
	emit := func(s *pending) {
		ordered, details = append(ordered, s.Step), append(details, s.detail)
		release(s.vacate)
	}
	for i := range steps {
		if steps[i].waits == 0 {
			heap.Push(ready, i)
		}
	}
	for stuck := 0; ; {
		for ready.Len() > 0 {
			i := heap.Pop(ready).(int)
			s := &steps[i]
			s.done = true
			if s.Via == "" {
				emit(s)
			}
			release(s.finish)
		}
		for stuck < len(steps) && steps[stuck].done {
			stuck++
		}
		if stuck == len(steps) {
			return ordered, details
		}
		i := breakCircle(steps, at, stuck)
		s := &steps[i]
		p.takeVia(s)
		s.left = true
		emit(s)
	}
}

// breakCircle follows what steps wait for from a stuck one until it comes round
// and returns the step of the circle that shall take a temporary name. Parents
// alone cannot form a circle, so at least one step in it waits for another's
// place; of those that hold such a place the first company by key is taken.
func breakCircle(steps []pending, at map[Key]int, from int) int {
	seen := map[int]int{}
	var way []int
	var forPlace []bool // whether each waits for the next one's place
	i := from
	for {
		if _, again := seen[i]; again {
			break
		}
		seen[i] = len(way)
		next, isPlace := blocker(steps, at, i)
		way, forPlace = append(way, i), append(forPlace, isPlace)
		i = next
	}
	best := -1
	for k := seen[i]; k < len(way); k++ {
		if !forPlace[k] {
			continue
		}
		holder := i // the last one on the way waits for the first of the circle
		if k+1 < len(way) {
			holder = way[k+1]
		}
		if best < 0 || viaBefore(steps[holder].Key, steps[best].Key) {
			best = holder
		}
	}
	if best < 0 {
		panic("cwvault: internal error: steps wait in a circle of parents")
	}
	return best
}

// blocker returns a step that step i waits for, and whether for its place.
func blocker(steps []pending, at map[Key]int, i int) (j int, forPlace bool) {
	for _, k := range steps[i].takesFrom {
		if j, ok := at[k]; ok && !steps[j].done && !steps[j].left {
			return j, true
		}
	}
	if j, ok := at[steps[i].above]; ok && !steps[j].done {
		return j, false
	}
	panic("cwvault: internal error: a step waits for nothing")
}

// viaBefore prefers companies to groups, which people see more of.
func viaBefore(a, b Key) bool {
	_, x := a.CompanyID()
	_, y := b.CompanyID()
	if x != y {
		return x
	}
	return compareKeys(a, b) < 0
}

// takeVia gives a step a temporary name in the folder where it is now.
func (p *planner) takeVia(s *pending) {
	parent := p.parent[p.nodes[s.node].folder]
	tag := viaTag(s.Key)
	for n := 1; ; n++ {
		suffix := " (" + tag + ")"
		if n > 1 {
			suffix = " (" + tag + ", " + strconv.Itoa(n) + ")"
		}
		name := p.w.names.withSuffix(p.w.names.Clean(s.place.Name), suffix)
		where := place{parent, p.w.names.Fold(name)}
		if _, taken := p.at[where]; taken || p.vias[where] || p.claimed(parent, where.folded) {
			continue
		}
		p.vias[where] = true
		s.viaName = name
		s.Via = p.path(parent) + `\` + name
		return
	}
}

// viaTag tells the temporary names of a key's folder from others.
func viaTag(k Key) string {
	if id, ok := k.CompanyID(); ok {
		return "moving #" + strconv.Itoa(id)
	}
	return "moving"
}

// stranded reports whether a folder's name is a temporary one, because an
// earlier run ended before it could give it its own.
func stranded(name string, k Key) bool {
	_, tail, _ := strings.Cut(name, " ("+viaTag(k))
	return strings.HasPrefix(tail, ")") || strings.HasPrefix(tail, ", ")
}

// claimed reports whether some node will have this name in this folder.
func (p *planner) claimed(parent int32, folded string) bool {
	group := rootParent
	if parent >= 0 {
		group = p.owner[parent]
		if group < 0 {
			group = int32(slices.IndexFunc(p.nodes[:len(p.groups)], func(n node) bool { return n.adopt == parent }))
		}
		if group < 0 {
			return false
		}
	}
	_, taken := p.claims[place{group, folded}]
	return taken
}

// intHeap is a heap of indexes into the sorted steps.
type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
