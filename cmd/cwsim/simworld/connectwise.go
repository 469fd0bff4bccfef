// Package simworld brings the simulators of ConnectWise and of Secret Server
// into the state that a world describes. cwsim and the scenarios share it.
package simworld

import (
	"fmt"

	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
	"cwvault/sync/synctest"
)

// ConnectWise brings a ConnectWise to the tables and companies of a world.
func ConnectWise(s *connectwisetest.Server, w synctest.World) error {
	if err := Tables(s, w.Tables); err != nil {
		return err
	}
	return Companies(s, w.Companies)
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
// out are deleted. Records that companies name and the tables do not have, and
// other names for those that they have, are refused: in a real ConnectWise both
// come from one place.
func Companies(s *connectwisetest.Server, list []sync.Company) error {
	companies := make([]connectwisetest.Company, len(list))
	names := map[int]string{}
	for _, c := range list {
		names[c.ID] = c.Name
	}
	for i, c := range list {
		companies[i] = connectwisetest.Company{
			ID: c.ID, Identifier: c.Identifier, Name: c.Name,
			Status: c.Status.ID, Territory: c.Territory.ID, Market: c.Market.ID, Parent: c.Parent.ID,
		}
		for _, r := range c.Types {
			companies[i].Types = append(companies[i].Types, r.ID)
		}
		if c.Parent.Name != names[c.Parent.ID] {
			return fmt.Errorf("company %d: its parent %d is named %q here and %q there", c.ID, c.Parent.ID, c.Parent.Name, names[c.Parent.ID])
		}
	}
	return s.SetCompanies(companies...)
}
