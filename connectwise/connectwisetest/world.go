package connectwisetest

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"time"
)

// Company is a company record as tests write and read it.
type Company struct {
	ID         int // 0 in AddCompany: the next free one
	Identifier string
	Name       string
	Types      []int // in the order in which answers list them
	Status     int   // 0: none, as for every reference
	Territory  int
	Market     int
	Parent     int
	// Fields holds further plain fields by their API names, such as "city",
	// "website" or "yearEstablished", with string, int, float64 or bool values.
	// They are not validated here, so that a record may hold the old bad data
	// that makes every PATCH of it fail.
	Fields map[string]any
	// CustomFields holds values by the ids that AddCustomField gave.
	CustomFields map[int]any

	Deleted bool
	// DateDeleted may be set on a company that is not deleted: real records
	// have been seen so.
	DateDeleted time.Time
	DeletedBy   string
	// LastUpdated is set by the server.
	LastUpdated time.Time
}

// CustomField is a custom field that the tenant has defined: every company
// lists it, with a value or without.
type CustomField struct {
	ID          int // 0 in AddCustomField: the next free one
	Caption     string
	Type        string // "" is "Text"
	EntryMethod string // "" is "EntryField"
}

// entry is a row of a setup table.
type entry struct {
	id      int
	name    string
	updated time.Time
}

type association struct {
	id      int
	company *company
	kind    *entry
}

type company struct {
	Company   // Types, Status, Territory, Market and Parent are unused
	types     []*association
	status    *entry
	territory *entry
	market    *entry
	parent    *company
	entered   time.Time
	updatedBy string
}

// world is everything that the server knows. Server.mu guards it.
type world struct {
	statuses, kinds, territories, markets []*entry

	companies   []*company // by id
	customs     []CustomField
	boards      []*board
	priorities  []*entry
	tickets     []*ticket
	callbacks   []*callback
	lastID      map[string]int // of each kind of record; no number is given twice
	events      []event        // changes not yet told to the callbacks
	now         func() time.Time
	updatedBy   string // who edits now
	selfCaused  bool   // whether the API member edits now
	defaultSite string
}

func newWorld(now func() time.Time) *world {
	w := &world{lastID: map[string]int{"company": 249}, now: now, updatedBy: "admin", defaultSite: "Main"}
	w.addBoard("Service Desk", []BoardStatus{{Name: "New"}, {Name: "In Progress"}, {Name: "Closed", Closed: true}})
	for _, name := range []string{"Priority 1 - Emergency", "Priority 2 - Quick Response", "Priority 3 - Normal Response", "Priority 4 - Low"} {
		w.addEntry(&w.priorities, "priority", name)
	}
	return w
}

func (w *world) nextID(of string) int {
	w.lastID[of]++
	return w.lastID[of]
}

func (w *world) clock() time.Time { return w.now().UTC().Truncate(time.Second) }

func (w *world) addEntry(table *[]*entry, of, name string) int {
	e := &entry{id: w.nextID(of), name: name, updated: w.clock()}
	*table = append(*table, e)
	return e.id
}

// entryByID returns the entry, or nil for id 0.
func entryByID(table []*entry, of string, id int) *entry {
	if id == 0 {
		return nil
	}
	i := slices.IndexFunc(table, func(e *entry) bool { return e.id == id })
	if i < 0 {
		panic(fmt.Sprintf("connectwisetest: there is no %s %d", of, id))
	}
	return table[i]
}

func (w *world) rename(table []*entry, of string, id int, name string) {
	e := entryByID(table, of, id)
	if e == nil {
		panic("connectwisetest: there is no " + of + " 0")
	}
	e.name, e.updated = name, w.clock()
}

// after returns the place of the first company with an id above id.
func (w *world) after(id int) int {
	return sort.Search(len(w.companies), func(i int) bool { return w.companies[i].ID > id })
}

// company returns the company with this id, or nil.
func (w *world) company(id int) *company {
	if i := w.after(id - 1); i < len(w.companies) && w.companies[i].ID == id {
		return w.companies[i]
	}
	return nil
}

func (w *world) mustCompany(id int) *company {
	c := w.company(id)
	if c == nil {
		panic("connectwisetest: there is no company " + strconv.Itoa(id))
	}
	return c
}

func (w *world) add(in Company) *company {
	c := &company{Company: in}
	if c.ID == 0 {
		c.ID = w.nextID("company")
	} else if w.company(c.ID) != nil {
		panic(fmt.Sprintf("connectwisetest: there is a company %d already", c.ID))
	}
	w.lastID["company"] = max(w.lastID["company"], c.ID)
	if c.Identifier == "" {
		c.Identifier = "C" + strconv.Itoa(c.ID)
	}
	c.Fields, c.CustomFields = maps.Clone(in.Fields), maps.Clone(in.CustomFields)
	c.status = entryByID(w.statuses, "status", in.Status)
	c.territory = entryByID(w.territories, "territory", in.Territory)
	c.market = entryByID(w.markets, "market", in.Market)
	if in.Parent != 0 {
		c.parent = w.mustCompany(in.Parent)
	}
	w.setTypes(c, in.Types)
	c.entered = w.clock()
	w.companies = slices.Insert(w.companies, w.after(c.ID), c)
	w.changed(c, "added")
	return c
}

// setTypes keeps the associations that stay, with their ids.
func (w *world) setTypes(c *company, ids []int) {
	var types []*association
	for _, id := range ids {
		k := entryByID(w.kinds, "type", id)
		if k == nil {
			panic("connectwisetest: there is no type 0")
		}
		if slices.ContainsFunc(types, func(a *association) bool { return a.kind == k }) {
			panic(fmt.Sprintf("connectwisetest: type %d is given twice", id))
		}
		i := slices.IndexFunc(c.types, func(a *association) bool { return a.kind == k })
		if i >= 0 {
			types = append(types, c.types[i])
		} else {
			types = append(types, &association{id: w.nextID("association"), company: c, kind: k})
		}
	}
	c.types = types
}

// changed stamps a company and notes the change for the callbacks.
func (w *world) changed(c *company, action string) {
	c.LastUpdated, c.updatedBy = w.clock(), w.updatedBy
	w.notify(c, action)
}

func (w *world) delete(c *company) {
	if !c.Deleted {
		c.Deleted, c.DateDeleted, c.DeletedBy = true, w.clock(), w.updatedBy
		w.changed(c, "deleted")
	}
}

func (w *world) restore(c *company) {
	if c.Deleted {
		c.Deleted, c.DateDeleted, c.DeletedBy = false, time.Time{}, ""
		w.changed(c, "updated")
	}
}

// merge puts from in the recycle bin and gives its tickets to into. Nothing
// in the source record names the target (the reference knows no such field).
func (w *world) merge(from, into *company) {
	for _, t := range w.tickets {
		if t.company == from {
			t.company = into
		}
	}
	w.delete(from)
	w.changed(into, "updated")
}

func (c *company) snapshot() Company {
	out := c.Company
	out.Fields, out.CustomFields = maps.Clone(c.Fields), maps.Clone(c.CustomFields)
	out.Types = nil
	for _, a := range c.types {
		out.Types = append(out.Types, a.kind.id)
	}
	id := func(e *entry) int {
		if e == nil {
			return 0
		}
		return e.id
	}
	out.Status, out.Territory, out.Market, out.Parent = id(c.status), id(c.territory), id(c.market), 0
	if c.parent != nil {
		out.Parent = c.parent.ID
	}
	return out
}

// edit runs f on the world as a person at the screen would, and then tells
// the callbacks.
func (s *Server) edit(f func(w *world)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.world)
	s.deliver(s.world)
}

func (s *Server) change(id int, f func(w *world, c *company)) {
	s.edit(func(w *world) {
		c := w.mustCompany(id)
		f(w, c)
		w.changed(c, "updated")
	})
}

func (s *Server) addEntry(table func(*world) *[]*entry, of, name string) (id int) {
	s.edit(func(w *world) { id = w.addEntry(table(w), of, name) })
	return id
}

// Edits of the world. They may be made while requests are served. An id that
// does not exist is a mistake in the caller and panics; names are not checked,
// as a real system holds much that its own forms would refuse today.

// AddStatus adds a company status and returns its id. The first one is the default.
func (s *Server) AddStatus(name string) int {
	return s.addEntry(func(w *world) *[]*entry { return &w.statuses }, "status", name)
}

// RenameStatus changes the name of a company status.
func (s *Server) RenameStatus(id int, name string) {
	s.edit(func(w *world) { w.rename(w.statuses, "status", id, name) })
}

// DeleteStatus removes a company status. Companies that had it have none.
func (s *Server) DeleteStatus(id int) {
	s.edit(func(w *world) { w.deleteStatus(entryByID(w.statuses, "status", id)) })
}

func (w *world) deleteStatus(gone *entry) {
	w.statuses = slices.DeleteFunc(w.statuses, func(e *entry) bool { return e == gone })
	for _, c := range w.companies {
		if c.status == gone && gone != nil {
			c.status = nil
			w.changed(c, "updated")
		}
	}
}

// AddType adds a company type and returns its id.
func (s *Server) AddType(name string) int {
	return s.addEntry(func(w *world) *[]*entry { return &w.kinds }, "type", name)
}

// RenameType changes the name of a company type.
func (s *Server) RenameType(id int, name string) {
	s.edit(func(w *world) { w.rename(w.kinds, "type", id, name) })
}

// AddTerritory adds a territory, which is a system location, and returns its id.
func (s *Server) AddTerritory(name string) int {
	return s.addEntry(func(w *world) *[]*entry { return &w.territories }, "territory", name)
}

// RenameTerritory changes the name of a territory.
func (s *Server) RenameTerritory(id int, name string) {
	s.edit(func(w *world) { w.rename(w.territories, "territory", id, name) })
}

// AddMarket adds a market and returns its id.
func (s *Server) AddMarket(name string) int {
	return s.addEntry(func(w *world) *[]*entry { return &w.markets }, "market", name)
}

// RenameMarket changes the name of a market.
func (s *Server) RenameMarket(id int, name string) {
	s.edit(func(w *world) { w.rename(w.markets, "market", id, name) })
}

// AddCustomField defines a custom field of companies and returns its id.
func (s *Server) AddCustomField(f CustomField) int {
	s.edit(func(w *world) {
		if f.ID == 0 {
			f.ID = w.lastID["custom field"] + 1
		}
		w.lastID["custom field"] = max(w.lastID["custom field"], f.ID)
		if f.Type == "" {
			f.Type = "Text"
		}
		if f.EntryMethod == "" {
			f.EntryMethod = "EntryField"
		}
		w.customs = append(w.customs, f)
	})
	return f.ID
}

// AddCompany adds a company and returns its id. The first id given is 250, and
// none is given twice. Without an identifier the company gets "C" and its id.
func (s *Server) AddCompany(c Company) (id int) {
	s.edit(func(w *world) { id = w.add(c).ID })
	return id
}

// Rename changes a company's name.
func (s *Server) Rename(id int, name string) {
	s.change(id, func(_ *world, c *company) { c.Name = name })
}

// SetIdentifier changes a company's identifier, the "Company ID" of the screens.
func (s *Server) SetIdentifier(id int, identifier string) {
	s.change(id, func(_ *world, c *company) { c.Identifier = identifier })
}

// SetTypes replaces a company's types; answers list them in this order.
func (s *Server) SetTypes(id int, types ...int) {
	s.change(id, func(w *world, c *company) { w.setTypes(c, types) })
}

// SetStatus changes a company's status; 0 takes it away.
func (s *Server) SetStatus(id, status int) {
	s.change(id, func(w *world, c *company) { c.status = entryByID(w.statuses, "status", status) })
}

// SetTerritory changes a company's territory; 0 takes it away.
func (s *Server) SetTerritory(id, territory int) {
	s.change(id, func(w *world, c *company) { c.territory = entryByID(w.territories, "territory", territory) })
}

// SetMarket changes a company's market; 0 takes it away.
func (s *Server) SetMarket(id, market int) {
	s.change(id, func(w *world, c *company) { c.market = entryByID(w.markets, "market", market) })
}

// SetParent changes a company's parent company; 0 takes it away.
func (s *Server) SetParent(id, parent int) {
	s.change(id, func(w *world, c *company) {
		c.parent = nil
		if parent != 0 {
			c.parent = w.mustCompany(parent)
		}
	})
}

// SetCustomField sets one custom field of a company; a nil value empties it.
func (s *Server) SetCustomField(id, field int, value any) {
	s.change(id, func(_ *world, c *company) {
		if c.CustomFields == nil {
			c.CustomFields = map[int]any{}
		}
		c.CustomFields[field] = value
		if value == nil {
			delete(c.CustomFields, field)
		}
	})
}

// Delete puts a company in the recycle bin: it stays listed, with deletedFlag.
func (s *Server) Delete(id int) { s.edit(func(w *world) { w.delete(w.mustCompany(id)) }) }

// Restore takes a company out of the recycle bin.
func (s *Server) Restore(id int) { s.edit(func(w *world) { w.restore(w.mustCompany(id)) }) }

// Purge removes a company for good: its id answers 404 from then on.
func (s *Server) Purge(id int) {
	s.edit(func(w *world) {
		gone := w.mustCompany(id)
		w.companies = slices.DeleteFunc(w.companies, func(c *company) bool { return c == gone })
		for _, c := range w.companies {
			if c.parent == gone {
				c.parent = nil
			}
		}
		w.notify(gone, "deleted")
	})
}

// Merge merges the company from into the company into, as Mass Maintenance
// does: from goes to the recycle bin, and nothing says where it went.
func (s *Server) Merge(from, into int) {
	s.edit(func(w *world) { w.merge(w.mustCompany(from), w.mustCompany(into)) })
}

// Companies returns all companies in order of id, deleted ones included.
func (s *Server) Companies() []Company {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Company, len(s.world.companies))
	for i, c := range s.world.companies {
		out[i] = c.snapshot()
	}
	return out
}
