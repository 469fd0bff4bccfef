package sync

import (
	"maps"
	"slices"
)

// AudienceFolders returns the ids of the folders whose audience must be known
// to tell what the plan's moves do to access, sorted. They are enough also for
// the plan that is left when [Check] holds some of the steps. See
// [Plan.WithAccess].
func (p Plan) AudienceFolders() []string {
	ids := map[string]bool{}
	p.eachMove(func(s *Step, from, to string) {
		ids[to] = true
		if from != "" {
			ids[from] = true
		}
		if s.parentID != "" {
			ids[s.parentID] = true // the one that counts when it does not move itself
		}
	})
	return slices.Sorted(maps.Keys(ids))
}

// WithAccess returns the plan with the change of audience that each move
// brings, and its id with it. audience holds, for each of
// [Plan.AudienceFolders], who can see what inherits from that folder. Of
// folders that it lacks nothing is said.
func (p Plan) WithAccess(audience map[string][]string) (Plan, error) {
	p.Steps = slices.Clone(p.Steps)
	p.eachMove(func(s *Step, from, to string) {
		before, known := audience[from]
		after, too := audience[to]
		known = known || from == "" // then everybody counts as new
		a := Access{Gains: without(after, before), Loses: without(before, after)}
		if known && too && len(a.Gains)+len(a.Loses) > 0 {
			s.Access = &a
		}
	})
	return p, p.sign()
}

// eachMove calls f for every step that may change its folder's audience, with
// the folders whose audience it has before and after.
func (p Plan) eachMove(f func(s *Step, from, to string)) {
	for i := range p.Steps {
		if s := &p.Steps[i]; s.inherits != "" {
			f(s, s.inherited, s.inherits)
		}
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
