// Package simworld brings the simulators of ConnectWise and of Secret Server
// into the state that a world describes. cwsim and the scenarios share it.
package simworld

import (
	"fmt"
	"slices"

	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
	"cwvault/sync/synctest"
)

// ConnectWise brings a ConnectWise to the tables and companies of a world. An
// error about a company that cannot be is of type *[synctest.Error].
func ConnectWise(s *connectwisetest.Server, w synctest.World) error {
	refs := map[sync.Ref]bool{{}: true}
	for _, c := range w.Companies {
		refs[sync.Ref{ID: c.ID, Name: c.Name}] = true
	}
	for _, c := range w.Companies {
		err := possible(c, w.Tables)
		if err == nil && !refs[c.Parent] {
			err = fmt.Errorf("there is no company %d %q, which is to be the parent", c.Parent.ID, c.Parent.Name)
		}
		if err != nil {
			return &synctest.Error{Line: w.CompanyLines[c.ID], Err: err}
		}
	}
	if err := Tables(s, w.Tables); err != nil {
		return err
	}
	return Companies(s, w.Companies)
}

// possible reports why a ConnectWise cannot hold a company: in it, all that a
// company refers to exists and has one name. Texts for the core may differ.
func possible(c sync.Company, w synctest.Tables) error {
	for _, refs := range []struct {
		of    string
		refs  []sync.Ref
		table []sync.Ref
	}{
		{"types", c.Types, w.Types},
		{"statuses", []sync.Ref{c.Status}, w.Statuses},
		{"territories", []sync.Ref{c.Territory}, w.Territories},
		{"markets", []sync.Ref{c.Market}, w.Markets},
	} {
		for i, r := range refs.refs {
			if r != (sync.Ref{}) && !slices.Contains(refs.table, r) {
				return fmt.Errorf("there is no %d %q among the %s", r.ID, r.Name, refs.of)
			}
			if slices.Contains(refs.refs[:i], r) {
				return fmt.Errorf("%q is given twice", r.Name)
			}
		}
	}
	return nil
}

// Tables brings the setup tables of a ConnectWise to these. Only statuses can be
// removed.
func Tables(s *connectwisetest.Server, t synctest.Tables) error {
	for _, table := range []struct {
		name connectwisetest.Table
		refs []sync.Ref
	}{
		{connectwisetest.Types, t.Types},
		{connectwisetest.Statuses, t.Statuses},
		{connectwisetest.Territories, t.Territories},
		{connectwisetest.Markets, t.Markets},
	} {
		rows := make([]connectwisetest.Row, len(table.refs))
		for i, r := range table.refs {
			rows[i] = connectwisetest.Row{ID: r.ID, Name: r.Name}
		}
		if err := s.SetTable(table.name, rows...); err != nil {
			return err
		}
	}
	return nil
}

// Companies brings the companies of a ConnectWise to these; those that are left
// out are deleted. The names of records are those of the tables, whatever the
// companies say.
func Companies(s *connectwisetest.Server, list []sync.Company) error {
	companies := make([]connectwisetest.Company, len(list))
	for i, c := range list {
		companies[i] = connectwisetest.Company{
			ID: c.ID, Identifier: c.Identifier, Name: c.Name,
			Status: c.Status.ID, Territory: c.Territory.ID, Market: c.Market.ID, Parent: c.Parent.ID,
		}
		for _, r := range c.Types {
			companies[i].Types = append(companies[i].Types, r.ID)
		}
	}
	return s.SetCompanies(companies...)
}
