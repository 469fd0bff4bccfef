package sync

// LeafNames lets tests see all names that a company's folder may have.
func (r NameRules) LeafNames(s, identifier string, id int) []string {
	return r.leafNames(s, identifier, id)
}

// WithSuffix lets tests cut names.
func (r NameRules) WithSuffix(name, suffix string) string { return r.withSuffix(name, suffix) }

// ExceededBy lets tests see a limit at work.
func (l Limit) ExceededBy(n, total int) bool { return l.exceededBy(n, total) }

// AudienceFolders and WithAccess let tests see the halves of what Decide does.
func (p Program) AudienceFolders() []string { return p.audienceFolders() }

func (p Program) WithAccess(audience map[string][]string) (Program, error) {
	return p.withAccess(audience)
}
