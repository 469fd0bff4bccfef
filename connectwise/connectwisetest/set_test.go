package connectwisetest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cwvault/connectwise/connectwisetest"
)

func TestSetCompanies(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s, err := connectwisetest.New(connectwisetest.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	set := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	set(s.SetTable(connectwisetest.Types, connectwisetest.Row{ID: 1, Name: "Customer"}, connectwisetest.Row{ID: 7, Name: "Vendor"}))
	set(s.SetTable(connectwisetest.Statuses, connectwisetest.Row{ID: 1, Name: "Active"}, connectwisetest.Row{ID: 3, Name: "Lost"}))
	set(s.SetTable(connectwisetest.Territories, connectwisetest.Row{ID: 2, Name: "North"}))
	set(s.SetTable(connectwisetest.Markets, connectwisetest.Row{ID: 5, Name: "Dental"}))
	if id := s.AddType("Partner"); id != 8 {
		t.Errorf("the next type has the number %d", id)
	}

	first := []connectwisetest.Company{
		{ID: 300, Identifier: "acme", Name: "Acme", Types: []int{7, 1}, Status: 1, Territory: 2, Market: 5, Parent: 301},
		{ID: 301, Identifier: "bolt", Name: "Bolt", Types: []int{1}, Status: 3},
		{ID: 302, Identifier: "cork", Name: "Cork"},
	}
	set(s.SetCompanies(first...))
	added := now
	now = now.Add(time.Hour)
	set(s.SetCompanies(first[0], connectwisetest.Company{ID: 302, Identifier: "cork", Name: "Cork", Parent: 301}))
	deleted := now
	now = now.Add(time.Hour)
	set(s.SetTable(connectwisetest.Statuses, connectwisetest.Row{ID: 1, Name: "In service"}))

	want := []connectwisetest.Company{first[0], first[1], first[2]}
	want[0].LastUpdated = added
	want[1].Status, want[1].LastUpdated, want[1].Deleted, want[1].DateDeleted, want[1].DeletedBy = 0, now, true, deleted, "admin"
	want[2].Parent, want[2].LastUpdated = 301, deleted
	if diff := cmp.Diff(want, s.Companies(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	set(s.SetCompanies(first[0], connectwisetest.Company{ID: 301, Identifier: "bolt", Name: "Bolt", Types: []int{1}}))
	if c := s.Companies()[1]; c.Deleted || c.LastUpdated != now {
		t.Errorf("not restored: %+v", c)
	}
}

// TestSetRefuses: what cannot be meant changes nothing.
func TestSetRefuses(t *testing.T) {
	s, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	customer, active := s.AddType("Customer"), s.AddStatus("Active")
	s.AddCompany(connectwisetest.Company{ID: 300, Name: "Acme", Types: []int{customer}, Status: active})
	before := s.Companies()
	for want, err := range map[string]error{
		`there is no table "board"`:                                s.SetTable("board"),
		"status 0: not a number, or given twice":                   s.SetTable(connectwisetest.Statuses, connectwisetest.Row{}),
		"type 1 is missing; only statuses can be removed":          s.SetTable(connectwisetest.Types),
		"company 0: not a number, or given twice":                  s.SetCompanies(connectwisetest.Company{Name: "Bolt"}),
		"company 4: there is no type 9, or it is given twice":      s.SetCompanies(connectwisetest.Company{ID: 4, Types: []int{9}}),
		"company 5: there is no type 1, or it is given twice":      s.SetCompanies(connectwisetest.Company{ID: 5, Types: []int{1, 1}}),
		"company 6: there is no status 9, or it is given twice":    s.SetCompanies(connectwisetest.Company{ID: 6, Status: 9}),
		"company 7: there is no territory 9, or it is given twice": s.SetCompanies(connectwisetest.Company{ID: 7, Territory: 9}),
		"company 8: there is no company 9, its parent":             s.SetCompanies(connectwisetest.Company{ID: 8, Parent: 9}),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if diff := cmp.Diff(before, s.Companies()); diff != "" {
		t.Errorf("the companies have changed (-want +got):\n%s", diff)
	}
}
