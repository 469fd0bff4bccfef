package connectwisetest

import (
	"fmt"
	"slices"
)

// Table names a setup table that companies refer to.
type Table string

// The setup tables of companies.
const (
	Types       Table = "type"
	Statuses    Table = "status"
	Territories Table = "territory"
	Markets     Table = "market"
)

// Row is a row of a setup table.
type Row struct {
	ID   int
	Name string
}

// rows returns a setup table; nil if there is none of that name.
func (w *world) rows(t Table) *[]*entry {
	switch t {
	case Types:
		return &w.kinds
	case Statuses:
		return &w.statuses
	case Territories:
		return &w.territories
	case Markets:
		return &w.markets
	}
	return nil
}

// SetTable brings a setup table to exactly these rows, adding and renaming. A
// row that is left out is removed, which only statuses can be: companies that
// had it have none. When it fails nothing has changed.
func (s *Server) SetTable(t Table, rows ...Row) (err error) {
	s.edit(func(w *world) {
		if err = w.checkTable(t, rows); err == nil {
			w.setTable(t, rows)
		}
	})
	return err
}

func (w *world) checkTable(t Table, rows []Row) error {
	table := w.rows(t)
	if table == nil {
		return fmt.Errorf("there is no table %q", t)
	}
	ids := map[int]bool{}
	for _, r := range rows {
		if r.ID <= 0 || ids[r.ID] {
			return fmt.Errorf("%s %d: not a number, or given twice", t, r.ID)
		}
		ids[r.ID] = true
	}
	for _, e := range *table {
		if !ids[e.id] && t != Statuses {
			return fmt.Errorf("%s %d is missing; only statuses can be removed", t, e.id)
		}
	}
	return nil
}

func (w *world) setTable(t Table, rows []Row) {
	table := w.rows(t)
	for _, r := range rows {
		i := slices.IndexFunc(*table, func(e *entry) bool { return e.id == r.ID })
		switch {
		case i < 0:
			*table = append(*table, &entry{id: r.ID, name: r.Name, updated: w.clock()})
			w.lastID[string(t)] = max(w.lastID[string(t)], r.ID)
		case (*table)[i].name != r.Name:
			w.rename(*table, string(t), r.ID, r.Name)
		}
	}
	for _, e := range slices.Clone(*table) {
		if !slices.ContainsFunc(rows, func(r Row) bool { return r.ID == e.id }) {
			w.deleteStatus(e)
		}
	}
}

// SetCompanies brings the companies to exactly these: it adds those that are
// missing and takes others out of the recycle bin, gives each its identifier,
// name, types, status, territory, market and parent, and puts companies that
// are left out into the recycle bin. When it fails nothing has changed.
func (s *Server) SetCompanies(list ...Company) (err error) {
	s.edit(func(w *world) {
		if err = w.checkCompanies(list); err == nil {
			w.setCompanies(list)
		}
	})
	return err
}

func (w *world) checkCompanies(list []Company) error {
	listed := map[int]bool{}
	for _, c := range list {
		if c.ID <= 0 || listed[c.ID] {
			return fmt.Errorf("company %d: not a number, or given twice", c.ID)
		}
		listed[c.ID] = true
	}
	for _, c := range list {
		refs := map[Table][]int{Types: c.Types, Statuses: {c.Status}, Territories: {c.Territory}, Markets: {c.Market}}
		for _, t := range []Table{Types, Statuses, Territories, Markets} {
			for i, id := range refs[t] {
				there := slices.ContainsFunc(*w.rows(t), func(e *entry) bool { return e.id == id })
				if !there && (id != 0 || t == Types) || slices.Contains(refs[t][:i], id) {
					return fmt.Errorf("company %d: there is no %s %d, or it is given twice", c.ID, t, id)
				}
			}
		}
		if c.Parent != 0 && !listed[c.Parent] && w.company(c.Parent) == nil {
			return fmt.Errorf("company %d: there is no company %d, its parent", c.ID, c.Parent)
		}
	}
	return nil
}

func (w *world) setCompanies(list []Company) {
	added, listed := map[int]bool{}, map[int]bool{}
	for _, c := range list {
		listed[c.ID] = true
		if old := w.company(c.ID); old != nil {
			w.restore(old)
			continue
		}
		added[c.ID] = true
		orphan := c
		orphan.Parent = 0 // the parent may come later
		w.add(orphan)
	}
	for _, to := range list {
		c := w.company(to.ID)
		before := c.snapshot()
		c.Identifier, c.Name = to.Identifier, to.Name
		w.setTypes(c, to.Types)
		c.status = entryByID(w.statuses, "status", to.Status)
		c.territory = entryByID(w.territories, "territory", to.Territory)
		c.market = entryByID(w.markets, "market", to.Market)
		if c.parent = nil; to.Parent != 0 {
			c.parent = w.mustCompany(to.Parent)
		}
		if !added[c.ID] && !sameCompany(before, c.snapshot()) {
			w.changed(c, "updated")
		}
	}
	for _, c := range w.companies {
		if !listed[c.ID] {
			w.delete(c)
		}
	}
}

func sameCompany(a, b Company) bool {
	return a.Identifier == b.Identifier && a.Name == b.Name && slices.Equal(a.Types, b.Types) &&
		a.Status == b.Status && a.Territory == b.Territory && a.Market == b.Market && a.Parent == b.Parent
}
