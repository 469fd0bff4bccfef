package sync

import (
	"cmp"
	"slices"
)

// Choice says which folder a company should have, and why.
type Choice struct {
	Company Company
	Type    Ref    // the one of the company's types that places it; zero when none does
	Path    string // of the group folder that should hold its folder, below the root
	Out     string // why the company is left out; empty if it is not
}

// Explain returns what the companies alone decide for one company, before the
// vault is read. ok is false if ConnectWise does not list it.
func (w Wanted) Explain(company int) (c Choice, ok bool) {
	if !w.lists(company) {
		return Choice{}, false
	}
	at, there := slices.BinarySearchFunc(w.companies, company, func(c wanted, id int) int { return cmp.Compare(c.company.ID, id) })
	if !there {
		return Choice{Out: w.out[company]}, true
	}
	wanted := w.companies[at]
	c = Choice{Company: *wanted.company}
	if w.settings.Structure.uses(tokenType) {
		c.Type = wanted.typ
	}
	for g := wanted.group; g >= 0; g = w.groups[g].parent {
		c.Path = `\` + w.groups[g].name + c.Path
	}
	return c, true
}
