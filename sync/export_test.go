package sync

// LeafNames lets tests see all names that a company's folder may have.
func (r NameRules) LeafNames(s, identifier string, id int) []string {
	return r.leafNames(s, identifier, id)
}

// WithSuffix lets tests cut names.
func (r NameRules) WithSuffix(name, suffix string) string { return r.withSuffix(name, suffix) }

// ExceededBy lets tests see a limit at work.
func (l Limit) ExceededBy(n, total int) bool { return l.exceededBy(n, total) }

// Managed lets tests see what the percentages of limits refer to.
func (p Program) Managed() int { return p.managed }

// AudienceFolders and WithAccess let tests see the halves of what Decide does.
func (p Program) AudienceFolders() []string { return p.audienceFolders() }

func (p Program) WithAccess(audience map[string][]string) (Program, error) {
	return p.withAccess(audience)
}

// SettleCost returns how many nodes there are to settle, how many of them and of
// the folders are looked at for that, and in how many rounds.
func SettleCost(w Wanted, world World) (nodes, visits, rounds int) {
	v, err := index(world.Tree, world.Tenant, w.names)
	if err != nil {
		panic(err)
	}
	s := newSettler(match(w, world, v))
	s.settle()
	return len(s.nodes), s.visits, s.rounds
}

// PlanAgain makes the plan with turns that nobody needs and in any order:
// before each round, more is called with the number of nodes and returns the
// nodes that shall have another turn, and shuffle with the turns asked for.
func PlanAgain(w Wanted, world World, more func(nodes int) []int, shuffle func(n int, swap func(i, j int))) Plan {
	v, err := index(world.Tree, world.Tenant, w.names)
	if err != nil {
		panic(err)
	}
	s := newSettler(match(w, world, v))
	s.beforeRound = func() {
		for _, i := range more(len(s.nodes)) {
			if !s.nodes[i].anchor {
				s.later = append(s.later, s.turn(nodeAt(i), firstChoice))
			}
		}
		shuffle(len(s.later), func(i, j int) { s.later[i], s.later[j] = s.later[j], s.later[i] })
	}
	p, err := planOf(s.settle())
	if err != nil {
		panic(err)
	}
	return p.Plan
}
