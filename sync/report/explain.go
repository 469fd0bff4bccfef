package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cwvault/sync"
)

// Fact is one line of an explanation: a subject and a text, which may be remote.
type Fact struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// FactText writes facts in two columns, one per line.
func FactText(facts []Fact) string {
	var b strings.Builder
	for _, f := range facts {
		fmt.Fprintf(&b, "%s %s\n", pad(f.Name, 13), Plain(f.Text))
	}
	return b.String()
}

// Situation is what a run read and planned. It explains companies.
type Situation struct {
	Wanted    sync.Wanted
	Structure sync.Structure
	Companies []sync.Company // all that ConnectWise lists
	Tree      sync.Tree
	Plan      sync.Plan // the plan, or what remains of it after a run
}

// CompanyState is the state of one company.
type CompanyState string

// The states of companies.
const (
	CompanyInStep   CompanyState = "in step"
	CompanyPending  CompanyState = "pending"
	CompanyHeld     CompanyState = "held"
	CompanyDeparted CompanyState = "departed"
	CompanyLeftOut  CompanyState = "left out" // by a filter or an exclusion
)

// Company is what is known and planned about one company: everything that explains
// it. Nobody changes what it points to.
type Company struct {
	ID         int
	Identifier string
	Name       string
	Listed     bool // by ConnectWise
	Status     sync.Ref
	Types      []sync.Ref
	Chosen     sync.Ref // the type that places it; zero: none
	LeftOut    string   // why a filter or an exclusion leaves it out; empty: none does
	BelongsIn  string   // full path of the group folder that should hold its folder; empty: none
	Path       string   // full path of its folder; empty: it has none
	FolderID   string
	Step       *sync.Step     // the step in the plan; nil: none
	Held       *sync.Held     // why it is held; nil: it is not
	Departed   *sync.Departed // why it has departed; nil: it has not
	By         *Basis
}

// Basis is what all companies of one look have in common. A service keeps a look
// at ten thousand companies for hours, so it keeps this once.
type Basis struct {
	Structure string // CWVAULT_FOLDER_STRUCTURE, the setting behind BelongsIn
	PlanID    string
}

// Where returns the path of its folder, or the path it should have if there is no
// folder yet.
func (c Company) Where() string {
	if c.Path == "" && c.Step != nil {
		return c.Step.To
	}
	return c.Path
}

// State returns the company's state.
func (c Company) State() CompanyState {
	switch {
	case c.Departed != nil:
		return CompanyDeparted
	case c.Held != nil:
		return CompanyHeld
	case c.Step != nil:
		return CompanyPending
	case c.LeftOut != "":
		return CompanyLeftOut
	}
	return CompanyInStep
}

// Facts explains where the company's folder is, where it should be, and why.
func (c Company) Facts() []Fact {
	var facts []Fact
	add := func(name, format string, args ...any) {
		facts = append(facts, Fact{name, fmt.Sprintf(format, args...)})
	}
	add("key", "%s", sync.CompanyKey(c.ID))
	if c.Listed {
		add("company", "%s (%s)", c.Name, c.Identifier)
		add("status", "%s", refText(c.Status))
		types := make([]string, len(c.Types))
		for i, t := range c.Types {
			types[i] = refText(t)
		}
		add("types", "%s", Or(strings.Join(types, ", "), "none"))
		if len(c.Types) > 1 && c.Chosen.ID != 0 {
			add("chosen type", "%s: first in CWVAULT_TYPE_PRIORITY, otherwise the lowest id", refText(c.Chosen))
		}
	}
	switch {
	case !c.Listed:
		add("company", "ConnectWise does not list it: deleted, or not visible to the API member")
	case c.LeftOut != "":
		add("left out", "%s", c.LeftOut)
	case c.BelongsIn != "":
		add("belongs in", "%s, by CWVAULT_FOLDER_STRUCTURE=%s", c.BelongsIn, c.By.Structure)
	}
	if c.FolderID != "" {
		add("folder", "%s (id %s)", c.Path, c.FolderID)
	} else {
		add("folder", "none")
	}
	return append(facts, c.next()...)
}

// next says what happens to the company's folder.
func (c Company) next() (facts []Fact) {
	if c.Step != nil {
		facts = append(facts, Fact{"next", fmt.Sprintf("%s to %s: %s", c.Step.Op, c.Step.To, c.Step.Reason)})
	}
	if h := c.Held; h != nil {
		facts = append(facts, Fact{"held", fmt.Sprintf("%s: %s", h.Code, h.Reason)}, Fact{"fix", HoldOf(h.Code).FixFor(c.By.PlanID, *h)})
	}
	if c.Departed != nil {
		facts = append(facts, Fact{"departed", c.Departed.Reason})
	}
	if facts == nil && c.FolderID != "" {
		facts = append(facts, Fact{"next", "nothing; the folder is where it should be"})
	}
	return facts
}

func refText(r sync.Ref) string {
	if r.ID == 0 {
		return "none"
	}
	return fmt.Sprintf("%s (%d)", r.Name, r.ID)
}

// Explain returns all companies in order of their names: those that ConnectWise
// lists, and those that it no longer lists but that still have a folder.
func Explain(s Situation) []Company {
	e := newExplainer(s)
	list := make([]Company, 0, len(s.Companies))
	listed := make(map[int]bool, len(s.Companies))
	for _, c := range s.Companies {
		listed[c.ID] = true
		list = append(list, e.listed(c))
	}
	for id := range e.folders {
		if !listed[id] {
			list = append(list, e.gone(id))
		}
	}
	slices.SortFunc(list, func(a, b Company) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	pack(list)
	return list
}

// pack puts the texts of all companies into one string. Each by itself would
// keep a piece of memory that everything around it has left.
func pack(list []Company) {
	each := func(do func(text *string)) {
		for i := range list {
			c := &list[i]
			do(&c.Identifier)
			do(&c.Name)
			do(&c.Path)
			do(&c.FolderID)
		}
	}
	size := 0
	each(func(text *string) { size += len(*text) })
	var b strings.Builder
	b.Grow(size)
	each(func(text *string) { b.WriteString(*text) })
	all := b.String()
	each(func(text *string) { *text, all = all[:len(*text)], all[len(*text):] })
}

// ExplainOne returns one company. The second result is false if ConnectWise does
// not list it and the vault has no folder of it.
func ExplainOne(s Situation, id int) (Company, bool) {
	e := newExplainer(s)
	if i := slices.IndexFunc(s.Companies, func(c sync.Company) bool { return c.ID == id }); i >= 0 {
		return e.listed(s.Companies[i]), true
	}
	_, found := e.folders[id]
	return e.gone(id), found
}

// explainer is a situation, indexed.
type explainer struct {
	Situation
	root     string
	folders  map[int]sync.Folder // by company, those that are ours
	paths    map[string]string   // by folder id
	steps    map[sync.Key]*sync.Step
	held     map[sync.Key]*sync.Held
	departed map[sync.Key]*sync.Departed

	// What many companies have in common is kept once.
	basis  *Basis
	groups map[string]string       // full paths of group folders
	refs   map[sync.Ref][]sync.Ref // each with itself alone, as a list of types
}

func newExplainer(s Situation) *explainer {
	e := &explainer{Situation: s, root: strings.TrimSuffix(s.Plan.Root, `\`), paths: Paths(s.Tree), folders: map[int]sync.Folder{},
		steps: map[sync.Key]*sync.Step{}, held: map[sync.Key]*sync.Held{}, departed: map[sync.Key]*sync.Departed{}, groups: map[string]string{}, refs: map[sync.Ref][]sync.Ref{},
		basis: &Basis{Structure: s.Structure.String(), PlanID: s.Plan.ID}}
	for _, f := range s.Tree.Folders {
		if id, ok := f.Mark.Key.CompanyID(); ok && f.Mark.Tenant == s.Plan.Tenant {
			e.folders[id] = f
		}
	}
	for i := range s.Plan.Steps {
		e.steps[s.Plan.Steps[i].Key] = &s.Plan.Steps[i]
	}
	for i := range s.Plan.Held {
		e.held[s.Plan.Held[i].Key] = &s.Plan.Held[i]
	}
	for i := range s.Plan.Departed {
		e.departed[s.Plan.Departed[i].Key] = &s.Plan.Departed[i]
	}
	return e
}

func (e *explainer) listed(c sync.Company) Company {
	choice, _ := e.Wanted.Explain(c.ID)
	out := e.gone(c.ID)
	out.Identifier, out.Name, out.Listed, out.Status, out.Types = c.Identifier, c.Name, true, e.once(c.Status)[0], e.types(c.Types)
	out.Chosen, out.LeftOut = e.once(choice.Type)[0], choice.Out
	if choice.Path != "" {
		if e.groups[choice.Path] == "" {
			e.groups[choice.Path] = e.root + choice.Path
		}
		out.BelongsIn = e.groups[choice.Path]
	}
	return out
}

// once returns a list of one entry of a setup table, which all companies that
// have it share.
func (e *explainer) once(r sync.Ref) []sync.Ref {
	if e.refs[r] == nil {
		e.refs[r] = []sync.Ref{r}
	}
	return e.refs[r]
}

// types returns a company's types. Most have one, and share it with others.
func (e *explainer) types(all []sync.Ref) []sync.Ref {
	switch len(all) {
	case 0:
		return nil
	case 1:
		return e.once(all[0])
	}
	types := make([]sync.Ref, len(all))
	for i, t := range all {
		types[i] = e.once(t)[0]
	}
	return types
}

// gone returns what the vault and the plan know about a company.
func (e *explainer) gone(id int) Company {
	key := sync.CompanyKey(id)
	c := Company{ID: id, By: e.basis, Step: e.steps[key], Held: e.held[key], Departed: e.departed[key]}
	if f, ok := e.folders[id]; ok {
		c.FolderID, c.Path, c.Name = f.ID, e.paths[f.ID], f.Name
	}
	if c.Departed != nil && c.Path == "" {
		c.Path = c.Departed.Path
		c.Name = c.Path[strings.LastIndex(c.Path, `\`)+1:]
	}
	return c
}

// Paths returns the full path of every folder by id.
func Paths(t sync.Tree) map[string]string {
	byID := make(map[string]sync.Folder, len(t.Folders))
	for _, f := range t.Folders {
		byID[f.ID] = f
	}
	root := strings.TrimSuffix(t.RootPath, `\`)
	paths := make(map[string]string, len(t.Folders))
	var pathOf func(f sync.Folder, depth int) string
	pathOf = func(f sync.Folder, depth int) string {
		if path, ok := paths[f.ID]; ok {
			return path
		}
		above := root
		// The planner refuses trees that go in circles; a check may see one.
		if parent, ok := byID[f.ParentID]; ok && depth <= len(t.Folders) {
			above = pathOf(parent, depth+1)
		}
		paths[f.ID] = above + `\` + f.Name
		return paths[f.ID]
	}
	for _, f := range t.Folders {
		pathOf(f, 0)
	}
	return paths
}
