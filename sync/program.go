package sync

import (
	"errors"
	"maps"
	"slices"
)

// Program is a plan that can be applied. Only [MakePlan], [Decide] and [Undo]
// make one. A [Plan] read from JSON lacks details that are not printed, so it can
// be read but not applied.
type Program struct {
	Plan
	// Whole is the plan before policies held parts of it. It has the same ID.
	Whole Plan `json:"-"`

	details   []detail // of each step
	learned   []KnownPlace
	managed   int  // company folders that existed before the plan; percentages of [Limits] refer to it
	encrypted bool // [World.Encrypted]
}

// detail is what Apply needs of a step but no reader does.
type detail struct {
	place      Place  // where the folder will be
	viaName    string // last element of Via
	parentID   string // of the folder that will hold it; empty if a step of this plan makes that
	fromParent string // id of the parent before
	fromName   string
	inherited  string // id of the folder whose audience it has now; empty: the account cannot see that folder
	inherits   string // id of the folder whose audience it gets; empty: it keeps its own
	above      Key    // of the nearest step among the folders above, which comes first
	mark       bool   // the folder has no mark yet and gets it first
	takesFrom  []Key  // folders that must leave this step's place first
}

// KnownPlace is the place of a managed folder.
type KnownPlace struct {
	Key      Key
	FolderID string
	Place    Place
}

// Place returns where the folder of a step will be, for a journal.
func (p Program) Place(step int) Place { return p.details[step].place }

// Learned returns the places of folders that are right but that [World.Known] does
// not have. A journal remembers them for the next run.
func (p Program) Learned() []KnownPlace { return p.learned }

// errNotMade is why a program cannot be applied.
var errNotMade = errors.New("this is no program of MakePlan, Decide or Undo")

// UnmarshalJSON always fails: only a [Plan] can be read from JSON.
func (*Program) UnmarshalJSON([]byte) error { return errNotMade }

// audienceFolders returns the sorted ids of the folders whose audience decides how
// the plan's moves change access. They also suffice for the plan that remains if
// policies hold some of the steps.
func (p Program) audienceFolders() []string {
	ids := map[string]bool{}
	for i := range p.Steps {
		d := &p.details[i]
		if d.inherits == "" {
			continue
		}
		ids[d.inherits] = true
		if d.inherited != "" {
			ids[d.inherited] = true
		}
		if d.parentID != "" {
			ids[d.parentID] = true // counts if that folder is held
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// withAccess returns the program with the change of access of each move, and its
// new id. audience says who can see the folders that inherit from each of the
// audienceFolders.
func (p Program) withAccess(audience map[string][]string) (Program, error) {
	p.Steps = slices.Clone(p.Steps)
	for i := range p.Steps {
		d := &p.details[i]
		if d.inherits == "" {
			continue
		}
		before, known := audience[d.inherited]
		after, too := audience[d.inherits]
		known = known || d.inherited == ""                                              // if the account cannot see it, everybody counts as new
		a := AccessChange{Gains: without(after, before), Loses: without(before, after)} // rule 12: who gains and who loses
		if known && too && len(a.Gains)+len(a.Loses) > 0 {
			p.Steps[i].Access = &a
		}
	}
	return p.signed()
}

// signed returns the program as a whole plan, with its id.
func (p Program) signed() (Program, error) {
	err := p.sign()
	p.Whole = p.Plan
	return p, err
}

// without returns the elements of a that are not in b, sorted, never nil.
func without(a, b []string) []string {
	rest := []string{}
	for _, x := range a {
		if !slices.Contains(b, x) && !slices.Contains(rest, x) {
			rest = append(rest, x)
		}
	}
	slices.Sort(rest)
	return rest
}
