package sync

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Wanted is the tree that the companies need. The vault does not enter into it.
type Wanted struct {
	groups    []group  // parents before children, siblings by id
	companies []wanted // by company id
	held      []Held
	out       map[int]string // companies filtered out, and why
	listed    []int          // ids of all companies listed, in order
	// placeless holds the folded names of listed companies without a place. An
	// unmanaged folder of such a name may be theirs.
	placeless map[string]bool
	settings  Settings
	names     NameRules
	refs      refNames
}

// group is one wanted group folder.
type group struct {
	key    Key
	parent int32 // index into groups; -1 is the root
	name   string
	alt    string // its name if another group has the first one
	ids    []segment
}

// wanted is one company that gets a folder.
type wanted struct {
	company *Company
	group   int32
	typ     Ref    // the type that places it
	name    string // its first choice
}

// segment is what one token contributes to a group's key.
type segment struct {
	token token
	id    int    // of the record; 0 if the company has none
	text  string // for initials, and for levels without a token
}

func (s segment) String() string { return string(s.append(nil)) }

// append adds the segment's text to a key.
func (s segment) append(key []byte) []byte {
	switch s.token {
	case "":
		return append(append(key, "text:"...), s.text...)
	case tokenInitial:
		return append(append(key, "initial:"...), s.text...)
	}
	return strconv.AppendInt(append(append(key, keyWord[s.token]...), ':'), int64(s.id), 10) // rule 2: groups are known by ids
}

// refNames holds the current names of the records that tokens stand for.
type refNames map[token]recordNames

// of returns the names of one kind of records.
func (n refNames) of(t token) recordNames {
	if n[t] == nil {
		n[t] = recordNames{}
	}
	return n[t]
}

// recordNames holds names by the record's id.
type recordNames map[int]string

// add adds the name of a record unless one is known already.
func (n recordNames) add(r Ref) {
	if _, known := n[r.ID]; !known && r.ID != 0 {
		n[r.ID] = r.Name
	}
}

// addAll adds the names that the companies, in order of id, give to the records
// that the structure's tokens stand for. A record's own name comes before the
// copies in references to it.
func (n refNames) addAll(companies []*Company, st Structure) {
	types, statuses := n.of(tokenType), n.of(tokenStatus)
	for _, c := range companies {
		for _, t := range c.Types {
			types.add(t) // known already, unless the type is gone from the table
		}
		statuses.add(c.Status)
	}
	if st.uses(tokenParent) { // rule 2: a record's own name beats copies of it
		for _, c := range companies {
			n.of(tokenParent).add(Ref{c.ID, c.Name})
		}
	}
	for t, ref := range map[token]func(*Company) Ref{
		tokenTerritory: func(c *Company) Ref { return c.Territory },
		tokenMarket:    func(c *Company) Ref { return c.Market },
		tokenParent:    func(c *Company) Ref { return c.Parent }, // known already, unless it is deleted or cannot be seen
	} {
		if !st.uses(t) {
			continue
		}
		for _, c := range companies {
			n.of(t).add(ref(c))
		}
	}
}

// name returns the name of what a segment stands for, for a reason.
func (n refNames) name(s segment) string {
	if s.token == tokenInitial || s.token == "" {
		return s.text
	}
	if s.id == 0 {
		return "none"
	}
	if name, ok := n[s.token][s.id]; ok {
		return name
	}
	return keyWord[s.token] + " " + strconv.Itoa(s.id)
}

// Want works out which folder each company should have. Its result does not
// depend on the order of anything in src. The error is a [*SettingsError].
func Want(src Source, settings Settings, names NameRules) (Wanted, error) {
	w := Wanted{out: map[int]string{}, settings: settings, names: names, refs: refNames{}}
	pick, err := newSelection(src, settings, names)
	if err != nil {
		return Wanted{}, err
	}
	order := make([]*Company, len(src.Companies))
	for i := range src.Companies {
		order[i] = &src.Companies[i]
	}
	slices.SortFunc(order, func(a, b *Company) int { return cmp.Compare(a.ID, b.ID) }) // rule 5: the lowest id keeps the name
	w.listed = make([]int, len(order))
	for i, c := range order {
		w.listed[i] = c.ID
	}
	for _, t := range src.Types {
		w.refs.of(tokenType).add(t)
	}
	for _, st := range src.Statuses {
		w.refs.of(tokenStatus).add(st)
	}
	w.refs.addAll(order, settings.Structure)

	b := groupBuilder{w: &w, index: map[string]int32{}}
	w.companies = make([]wanted, 0, len(order))
	for _, c := range order {
		b.add(c, pick)
	}
	b.sort()
	if settings.Adopt {
		w.addPlaceless(order)
	}
	return w, nil
}

// selection says which companies the settings select, and by which types.
type selection struct {
	types, statuses filter
	priority        []int
	excluded        map[string]bool // folded identifiers, and ids
}

// newSelection reads the settings. The error is a [*SettingsError].
func newSelection(src Source, settings Settings, names NameRules) (selection, error) {
	var s selection
	var errs [3]error
	s.types, errs[0] = newFilter("type", settings.Types, src.Types, names.Fold)
	s.statuses, errs[1] = newFilter("status", settings.Statuses, src.Statuses, names.Fold)
	s.priority, errs[2] = resolve("type", settings.TypePriority, src.Types, names.Fold)
	var problems []string
	for _, err := range errs {
		if err != nil {
			problems = append(problems, err.Error())
		}
	}
	if problems != nil {
		return s, &SettingsError{problems}
	}
	s.excluded = make(map[string]bool, len(settings.Exclude))
	for _, e := range settings.Exclude {
		s.excluded[names.Fold(e)] = true
	}
	return s, nil
}

// excludes reports whether the settings name a company to be left out.
func (s selection) excludes(c *Company, fold func(string) string) bool {
	return len(s.excluded) > 0 && (s.excluded[fold(c.Identifier)] || s.excluded[strconv.Itoa(c.ID)])
}

// add adds a company with its group, or records why it gets no folder.
func (b *groupBuilder) add(c *Company, pick selection) {
	w := b.w
	if pick.excludes(c, w.names.Fold) {
		w.out[c.ID] = "excluded by the settings"
		w.hold(c, HeldExcluded, "excluded by the settings")
		return
	}
	if !pick.statuses.allows(c.Status.ID) {
		w.out[c.ID] = fmt.Sprintf("status %s is filtered out", w.refs.name(segment{token: tokenStatus, id: c.Status.ID}))
		return
	}
	typ, selected := chooseType(c.Types, pick.types, pick.priority)
	if !selected {
		w.out[c.ID] = "its types are filtered out"
		return
	}
	g, missing := b.group(c, typ)
	if missing != "" {
		w.hold(c, "no-"+HoldCode(keyWord[missing]), fmt.Sprintf("the company has no %s, and no group is named for that", keyWord[missing]))
		return
	}
	w.companies = append(w.companies, wanted{company: c, group: g, typ: typ, name: w.leafName(c)})
}

// addPlaceless adds the names of the companies that have no place. order is all
// companies by id.
func (w *Wanted) addPlaceless(order []*Company) {
	w.placeless = map[string]bool{}
	placed := w.companies
	for _, c := range order {
		if len(placed) > 0 && placed[0].company == c {
			placed = placed[1:]
		} else {
			w.placeless[w.names.Fold(w.leafName(c))] = true
		}
	}
}

// lists reports whether ConnectWise lists a company with this id.
func (w *Wanted) lists(id int) bool {
	_, ok := slices.BinarySearch(w.listed, id)
	return ok
}

func (w *Wanted) hold(c *Company, code HoldCode, reason string) {
	w.held = append(w.held, Held{Code: code, Key: CompanyKey(c.ID), Company: planCompany(c), Reason: reason})
}

// chooseType returns the type that places a company: the first on the priority
// list, otherwise the one with the lowest id. Types that are not selected do not
// count. The zero Ref means that the company has no type. ok is false if the
// filter leaves the company out.
func chooseType(types []Ref, f filter, priority []int) (typ Ref, ok bool) {
	for _, t := range types {
		if f.exclude[t.ID] { // rule 3: exclusion wins
			return Ref{}, false
		}
	}
	for _, id := range priority {
		for _, t := range types {
			if t.ID == id && f.allows(id) { // rule 3: the priority list first
				return t, true
			}
		}
	}
	for _, t := range types {
		if f.allows(t.ID) && (typ.ID == 0 || t.ID < typ.ID) { // rule 3: the lowest type id; rule 3: a type that is not selected does not place
			typ = t
		}
	}
	return typ, typ.ID != 0 || f.include == nil
}

// leafName is the name of a company's folder unless another folder has it.
func (w *Wanted) leafName(c *Company) string {
	if name := w.names.Clean(expandLeaf(w.settings.Name, c)); w.names.usable(name) {
		return name
	}
	return w.leafNames(c)[0]
}

// leafNames returns all names that a company's folder may have, best first.
func (w *Wanted) leafNames(c *Company) []string {
	return w.names.leafNames(expandLeaf(w.settings.Name, c), c.Identifier, c.ID)
}

func expandLeaf(t NameTemplate, c *Company) string {
	if len(t.parts) == 1 && t.parts[0].token == tokenName {
		return c.Name
	}
	var b strings.Builder
	blank := true // if all tokens are empty, the text around them is not a name
	for _, p := range t.parts {
		s := p.text
		switch p.token {
		case tokenName:
			s = c.Name
		case tokenIdentifier:
			s = c.Identifier
		case tokenID:
			s = strconv.Itoa(c.ID)
		}
		if p.token != "" && strings.TrimSpace(s) != "" {
			blank = false
		}
		b.WriteString(s)
	}
	if blank {
		return ""
	}
	return b.String()
}

// groupBuilder makes the groups, each once.
type groupBuilder struct {
	w     *Wanted
	index map[string]int32 // by key
	key   []byte           // scratch
	ids   []segment        // scratch
}

// group returns the group folder of a company, or the token that it lacks.
func (b *groupBuilder) group(c *Company, typ Ref) (g int32, missing token) {
	b.key = append(b.key[:0], "group"...)
	parent := int32(-1)
	for _, level := range b.w.settings.Structure.levels {
		b.ids = b.ids[:0]
		sep := byte('/')
		for _, p := range level {
			if p.token == "" {
				continue
			}
			s := b.segment(c, typ, p.token)
			if s.id == 0 && s.text == "" && b.w.settings.Missing == "" { // rule 4: a missing token holds
				return 0, p.token
			}
			b.ids = append(b.ids, s)
			b.key = s.append(append(b.key, sep))
			sep = '+'
		}
		if len(b.ids) == 0 {
			s := segment{text: level[0].text}
			b.ids = append(b.ids, s)
			b.key = s.append(append(b.key, sep))
		}
		i, ok := b.index[string(b.key)]
		if !ok {
			i = int32(len(b.w.groups))
			b.index[string(b.key)] = i
			b.w.groups = append(b.w.groups, b.w.newGroup(Key(b.key), parent, level, slices.Clone(b.ids)))
		}
		parent = i
	}
	return parent, ""
}

func (b *groupBuilder) segment(c *Company, typ Ref, t token) segment {
	s := segment{token: t}
	switch t {
	case tokenType:
		s.id = typ.ID
	case tokenStatus:
		s.id = c.Status.ID
	case tokenTerritory:
		s.id = c.Territory.ID
	case tokenMarket:
		s.id = c.Market.ID
	case tokenParent:
		s.id = c.Parent.ID
	case tokenInitial:
		s.text = b.w.initial(c)
	}
	return s
}

// initial is the first letter or digit of the company's name, in upper case, or
// "#" if there is none.
func (w *Wanted) initial(c *Company) string {
	for _, r := range w.names.Fold(c.Name) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "#"
}

// newGroup names a group folder. ids has one segment for each token of level.
func (w *Wanted) newGroup(key Key, parent int32, level []part, ids []segment) group {
	var name strings.Builder
	next := 0
	for _, p := range level {
		switch {
		case p.token == "":
			name.WriteString(p.text)
			continue
		case ids[next].id == 0 && ids[next].text == "":
			name.WriteString(w.settings.Missing) // rule 4: unless a group is named for it
		default:
			name.WriteString(w.refs.name(ids[next]))
		}
		next++
	}
	words := make([]string, len(ids))
	nums := make([]string, len(ids))
	for i, s := range ids {
		words[i] = strings.ReplaceAll(s.String(), ":", " ")
		switch s.token {
		case "":
			nums[i] = "group"
		case tokenInitial:
			nums[i] = s.text
		default:
			nums[i] = "#" + strconv.Itoa(s.id)
		}
	}
	suffix := " (" + w.names.Clean(strings.Join(nums, ", ")) + ")"
	g := group{key: key, parent: parent, ids: ids, name: w.names.Clean(name.String())}
	if g.name == "" {
		g.name = w.names.Clean(strings.Join(words, ", "))
	}
	g.alt = w.names.withSuffix(g.name, suffix)
	if !w.names.usable(g.name) {
		g.name = g.alt
	}
	return g
}

// sort sorts the groups by level, then by ids, so that their order does not depend
// on which company came first.
func (b *groupBuilder) sort() {
	w := b.w
	order := make([]int32, len(w.groups))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(x, y int32) int { return compareGroups(&w.groups[x], &w.groups[y]) })
	at := make([]int32, len(order))
	sorted := make([]group, len(order))
	for i, from := range order {
		at[from] = int32(i)
		sorted[i] = w.groups[from]
	}
	for i := range sorted {
		if p := sorted[i].parent; p >= 0 {
			sorted[i].parent = at[p]
		}
	}
	w.groups = sorted
	for i := range w.companies {
		w.companies[i].group = at[w.companies[i].group]
	}
}

func compareGroups(a, b *group) int {
	return cmp.Or(
		cmp.Compare(strings.Count(string(a.key), "/"), strings.Count(string(b.key), "/")),
		slices.CompareFunc(a.ids, b.ids, func(s, t segment) int {
			return cmp.Or(cmp.Compare(s.id, t.id), cmp.Compare(s.text, t.text))
		}),
		cmp.Compare(a.key, b.key),
	)
}

// parseGroupKey splits a group key into segments. ok is false for keys of another
// structure.
func (w *Wanted) parseGroupKey(k Key) (levels [][]segment, ok bool) {
	rest, found := strings.CutPrefix(string(k), "group/")
	if !found {
		return nil, false
	}
	for i, text := range strings.Split(rest, "/") {
		if i >= len(w.settings.Structure.levels) {
			return nil, false
		}
		ids, ok := parseSegments(text, w.settings.Structure.levels[i])
		if !ok {
			return nil, false
		}
		levels = append(levels, ids)
	}
	return levels, true
}

func parseSegments(text string, level []part) (ids []segment, ok bool) {
	var tokens []token
	for _, p := range level {
		if p.token != "" {
			tokens = append(tokens, p.token)
		}
	}
	if len(tokens) == 0 {
		t, found := strings.CutPrefix(text, "text:")
		return []segment{{text: t}}, found && t == level[0].text
	}
	fields := strings.Split(text, "+")
	if len(fields) != len(tokens) {
		return nil, false
	}
	for i, f := range fields {
		value, found := strings.CutPrefix(f, keyWord[tokens[i]]+":")
		if !found {
			return nil, false
		}
		s := segment{token: tokens[i]}
		if s.token == tokenInitial {
			s.text = value
		} else {
			var err error
			if s.id, err = strconv.Atoi(value); err != nil || s.String() != f {
				return nil, false // each key has one spelling
			}
		}
		ids = append(ids, s)
	}
	return ids, true
}
