package sync

import (
	"maps"
	"slices"
)

// AudienceFolders returns the ids of the folders whose audience must be known
// to tell what the plan's moves do to access, sorted. See [Plan.WithAccess].
func (p Plan) AudienceFolders() []string {
	ids := map[string]bool{}
	p.eachMove(func(_ *Step, from, to string) { ids[from], ids[to] = true, true })
	return slices.Sorted(maps.Keys(ids))
}

// WithAccess returns the plan with the change of audience that each move
// brings. audience holds, for each of [Plan.AudienceFolders], who can see what
// inherits from that folder.
func (p Plan) WithAccess(audience map[string][]string) (Plan, error) {
	p.Steps = slices.Clone(p.Steps)
	p.eachMove(func(s *Step, from, to string) {
		before, after := audience[from], audience[to]
		a := Access{Gains: without(after, before), Loses: without(before, after)}
		if len(a.Gains)+len(a.Loses) > 0 {
			s.Access = &a
		}
	})
	return p, p.sign()
}

// eachMove calls f for every step that may change its folder's audience, with
// the folders from which it inherits before and after.
func (p Plan) eachMove(f func(s *Step, from, to string)) {
	at := make(map[Key]int, len(p.Steps))
	for i, s := range p.Steps {
		at[s.Key] = i
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Op != OpMove && s.Op != OpArchive || !s.inherits {
			continue
		}
		above := s
		for above.parentID == "" { // a folder to be made inherits from the one above it
			j, ok := at[above.parentKey]
			if !ok {
				break
			}
			above = &p.Steps[j]
		}
		f(s, s.fromParent, above.parentID)
	}
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

// WithID returns the plan under another plan's id: that of the plan of which it
// is the part that the guards let through.
func (p Plan) WithID(id string) Plan {
	p.ID = id
	return p
}
