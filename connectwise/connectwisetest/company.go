package connectwisetest

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"
)

// The type models: which member of a company names its types, by the version
// in the Accept header. The first versions of typeIds and types that are on
// record are 2018.6 and 2020 (the year of a recorded answer).
const (
	sinceTypeIDs = 201806
	sinceTypes   = 202001
	// sinceLongNames is where identifier grew from 30 and name from 50
	// characters to 156; the version between 2025.1 and 2026.4 is a guess.
	sinceLongNames = 202604
)

// plainField is a company field that the server only keeps.
type plainField struct {
	name    string
	kind    kind
	max     int // characters; 0: any number
	initial any // what an answer has where nothing was set; nil: nothing
}

var plainFields = []plainField{
	{"addressLine1", text, 50, nil},
	{"addressLine2", text, 50, nil},
	{"city", text, 50, nil},
	{"state", text, 50, nil},
	{"zip", text, 12, nil},
	{"phoneNumber", text, 30, ""},
	{"faxNumber", text, 30, ""},
	{"website", text, 255, ""},
	{"accountNumber", text, 41, ""},
	{"dateAcquired", moment, 0, nil},
	{"annualRevenue", number, 0, 0.0},
	{"numberOfEmployees", integer, 0, nil},
	{"yearEstablished", integer, 0, nil},
	{"revenueYear", integer, 0, nil},
	{"leadSource", text, 50, nil},
	{"leadFlag", boolean, 0, false},
	{"unsubscribeFlag", boolean, 0, false},
	{"userDefinedField1", text, 50, nil},
	{"userDefinedField2", text, 50, nil},
	{"userDefinedField3", text, 50, nil},
	{"userDefinedField4", text, 50, nil},
	{"userDefinedField5", text, 50, nil},
	{"userDefinedField6", text, 50, nil},
	{"userDefinedField7", text, 50, nil},
	{"userDefinedField8", text, 50, nil},
	{"userDefinedField9", text, 50, nil},
	{"userDefinedField10", text, 50, nil},
	{"vendorIdentifier", text, 0, ""},
	{"taxIdentifier", text, 0, ""},
	{"isVendorFlag", boolean, 0, false},
}

const companiesPath = "company/companies/"

func companyPath(c *company) string { return companiesPath + strconv.Itoa(c.ID) }

// customRow is one custom field of one company.
type customRow struct {
	CustomField
	value any
}

func customFieldsOf(w *world, c *company) []any {
	var out []any
	for _, f := range w.customs {
		out = append(out, customRow{f, c.CustomFields[f.ID]})
	}
	return out // nil, and so absent, when the tenant has none
}

// companyRef declares a reference {id, identifier, name, _info}.
func companyRef[R any](name string, get func(R) *company) field {
	of := func(f func(*company) any) func(R) any {
		return func(r R) any {
			if c := get(r); c != nil {
				return f(c)
			}
			return nil
		}
	}
	return field{name: name, kind: object, sub: []field{
		col("id", integer, of(func(c *company) any { return c.ID })),
		col("identifier", text, of(func(c *company) any { return c.Identifier })),
		col("name", text, of(func(c *company) any { return c.Name })),
		info(col("company_href", href, of(func(c *company) any { return companyPath(c) }))),
	}}
}

// companyFields builds the fields of one type model.
func companyFields(types field) func(w *world) []field {
	return func(w *world) []field {
		out := []field{
			col("id", integer, func(c *company) any { return c.ID }),
			col("identifier", text, func(c *company) any { return c.Identifier }),
			col("name", text, func(c *company) any { return c.Name }),
			refTo("status", func(c *company) *entry { return c.status }, "status_href", "company/companies/statuses"),
			refTo("territory", func(c *company) *entry { return c.territory }, "location_href", "system/locations"),
			refTo("market", func(c *company) *entry { return c.market }, "", ""),
			companyRef("parentCompany", func(c *company) *company { return c.parent }),
			col("deletedFlag", boolean, func(c *company) any { return c.Deleted }),
			col("dateDeleted", moment, func(c *company) any { return optional(c.DateDeleted) }),
			col("deletedBy", text, func(c *company) any { return optional(c.DeletedBy) }),
			col("mobileGuid", text, func(c *company) any { return fmt.Sprintf("00000000-0000-4000-8000-%012d", c.ID) }),
			types,
			{name: "site", kind: object, sub: []field{
				col("id", integer, func(c *company) any { return c.ID }),
				col("name", text, func(*company) any { return w.defaultSite }),
				info(link("site_href", func(c *company) string { return companyPath(c) + "/sites/" + strconv.Itoa(c.ID) })),
			}},
			{name: "lastUpdated", kind: moment, hidden: true, get: func(row any) any { return row.(*company).LastUpdated }},
		}
		for _, p := range plainFields {
			out = append(out, col(p.name, p.kind, func(c *company) any {
				v, set := c.Fields[p.name]
				if !set {
					return p.initial
				}
				if s, ok := v.(string); ok && p.kind == moment {
					if t, err := time.Parse(wireTime, s); err == nil {
						return t
					}
				}
				return v
			}))
		}
		return append(out,
			info(
				col("lastUpdated", moment, func(c *company) any { return c.LastUpdated }),
				col("updatedBy", text, func(c *company) any { return c.updatedBy }),
				col("dateEntered", moment, func(c *company) any { return c.entered }),
				col("enteredBy", text, func(*company) any { return "admin" }),
				link("contacts_href", func(c *company) string { return "company/contacts?conditions=company/id=" + strconv.Itoa(c.ID) }),
				link("tickets_href", func(c *company) string { return "service/tickets?conditions=company/id=" + strconv.Itoa(c.ID) }),
				link("sites_href", func(c *company) string { return companyPath(c) + "/sites" }),
				link("notes_href", func(c *company) string { return companyPath(c) + "/notes" }),
			),
			field{name: "customFields", kind: list, elems: func(row any) []any { return customFieldsOf(w, row.(*company)) }, sub: []field{
				col("id", integer, func(f customRow) any { return f.ID }),
				col("caption", text, func(f customRow) any { return f.Caption }),
				col("type", text, func(f customRow) any { return f.Type }),
				col("entryMethod", text, func(f customRow) any { return f.EntryMethod }),
				col("numberOfDecimals", integer, func(customRow) any { return 0 }),
				col("value", anything, func(f customRow) any { return f.value }),
			}})
	}
}

var (
	typesModel = companyFields(field{name: "types", kind: list,
		elems: func(row any) []any {
			out := []any{} // present when empty, unlike a null
			for _, a := range row.(*company).types {
				out = append(out, a)
			}
			return out
		},
		sub: refTo("", func(a *association) *entry { return a.kind }, "type_href", "company/companies/types").sub,
	})
	typeIDsModel = companyFields(field{name: "typeIds", kind: list, elems: func(row any) []any {
		out := []any{}
		for _, a := range row.(*company).types {
			out = append(out, a.kind.id)
		}
		return out
	}})
	typeModel = companyFields(refTo("type", func(c *company) *entry {
		if len(c.types) == 0 {
			return nil
		}
		return c.types[0].kind
	}, "type_href", "company/companies/types"))
)

func (c *call) companyFields() []field {
	switch {
	case c.version >= sinceTypes:
		return typesModel(c.w)
	case c.version >= sinceTypeIDs:
		return typeIDsModel(c.w)
	}
	return typeModel(c.w)
}

// companyTable holds the companies that the member's role can see.
var companyTable = &table{
	resource: "company",
	right:    func(r Role) bool { return !r.NoCompanies },
	fields:   (*call).companyFields,
	id:       func(row any) int { return row.(*company).ID },
	rows: func(c *call, after int) iter.Seq[any] {
		return func(yield func(any) bool) {
			for _, company := range c.w.companies[c.w.after(after):] {
				if c.sees(company) && !yield(company) {
					return
				}
			}
		}
	},
}

func (c *call) sees(company *company) bool {
	visible := c.behaviour.Role.Visible
	return visible == nil || visible(company.snapshot())
}

// visibleCompany returns the company with this id or a 404.
func (c *call) visibleCompany(id int) (*company, error) {
	if company := c.w.company(id); company != nil && c.sees(company) {
		return company, nil
	}
	return nil, notFound("company", id)
}

// setupTable declares a table of entries.
func setupTable(resource string, entries func(*world) []*entry, more ...field) *table {
	all := append([]field{
		col("id", integer, func(e *entry) any { return e.id }),
		col("name", text, func(e *entry) any { return e.name }),
	}, more...)
	return &table{
		resource: resource,
		right:    func(r Role) bool { return !r.NoTables },
		fields: func(c *call) []field {
			if c.behaviour.Role.LimitedTables {
				return all[:2]
			}
			return all
		},
		id: func(row any) int { return row.(*entry).id },
		rows: func(c *call, after int) iter.Seq[any] {
			return func(yield func(any) bool) {
				for _, e := range entries(c.w) { // small, and in order of id
					if e.id > after && !yield(e) {
						return
					}
				}
			}
		},
	}
}

func flag(name string, value bool) field {
	return col(name, boolean, func(*entry) any { return value })
}

var entryInfo = info(
	col("lastUpdated", moment, func(e *entry) any { return e.updated }),
	col("updatedBy", text, func(*entry) any { return "admin" }),
)

var (
	statusTable = setupTable("companyStatus", func(w *world) []*entry { return w.statuses },
		col("defaultFlag", boolean, func(e *entry) any { return e.id == 1 }),
		flag("inactiveFlag", false), flag("notifyFlag", false), flag("disallowSavingFlag", false),
		flag("customNoteFlag", false), flag("cancelOpenTracksFlag", false), entryInfo)
	typeTable = setupTable("companyType", func(w *world) []*entry { return w.kinds },
		col("defaultFlag", boolean, func(e *entry) any { return e.id == 1 }),
		flag("vendorFlag", false), flag("serviceAlertFlag", false), entryInfo)
	typeInfoTable = setupTable("companyType", func(w *world) []*entry { return w.kinds }, flag("isVendor", false))
)

// companyAssociations are the types of the company in the path, allAssociations
// those of every company.
var (
	companyAssociations = associationTable(func(c *call) []*association {
		return c.w.company(c.ids[0]).types // parent has checked it
	}, func(c *call) error {
		_, err := c.visibleCompany(c.ids[0])
		return err
	})
	allAssociations = associationTable(func(c *call) []*association {
		var out []*association
		for _, company := range c.w.companies {
			if c.sees(company) {
				out = append(out, company.types...)
			}
		}
		return out
	}, nil)
)

func associationTable(of func(*call) []*association, parent func(*call) error) *table {
	fields := []field{
		col("id", integer, func(a *association) any { return a.id }),
		refTo("type", func(a *association) *entry { return a.kind }, "type_href", "company/companies/types"),
		companyRef("company", func(a *association) *company { return a.company }),
	}
	return &table{
		resource: "companyTypeAssociation",
		right:    func(r Role) bool { return !r.NoCompanies },
		parent:   parent,
		fields:   func(*call) []field { return fields },
		id:       func(row any) int { return row.(*association).id },
		rows: func(c *call, after int) iter.Seq[any] {
			sorted := slices.SortedFunc(slices.Values(of(c)), func(a, b *association) int { return a.id - b.id })
			return func(yield func(any) bool) {
				for _, a := range sorted {
					if a.id > after && !yield(a) {
						return
					}
				}
			}
		},
	}
}
