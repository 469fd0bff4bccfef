package connectwisetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// BoardStatus is a status of a service board.
type BoardStatus struct {
	Name   string
	Closed bool
}

// Ticket is a service ticket as tests read it.
type Ticket struct {
	ID           int
	Summary      string
	Company      int
	Board        string
	Status       string
	Closed       bool
	Priority     string
	Severity     string
	Impact       string
	ExternalXRef string
	Notes        []string // the initial description is the first one
}

type board struct {
	entry
	statuses []*boardStatus // the first one is the default
}

type boardStatus struct {
	entry
	board  *board
	closed bool
}

type ticket struct {
	id               int
	summary          string
	company          *company
	board            *board
	status           *boardStatus
	priority         *entry
	severity, impact string
	xref             string
	entered, updated time.Time
	updatedBy        string
	notes            []*note
}

type note struct {
	id     int
	ticket *ticket
	text   string
	kind   string // the flag that is set: detailDescriptionFlag, ...
	made   time.Time
	by     string
}

func (w *world) addBoard(name string, statuses []BoardStatus) int {
	b := &board{entry: entry{id: w.nextID("board"), name: name, updated: w.clock()}}
	for _, s := range statuses {
		b.statuses = append(b.statuses, &boardStatus{
			entry:  entry{id: w.nextID("board status"), name: s.Name, updated: w.clock()},
			board:  b,
			closed: s.Closed,
		})
	}
	w.boards = append(w.boards, b)
	return b.id
}

// AddBoard adds a service board and returns its id. Its first status is what
// new tickets get. A new server has the board "Service Desk" with the statuses
// New, In Progress and Closed, which is the default board.
func (s *Server) AddBoard(name string, statuses ...BoardStatus) (id int) {
	s.edit(func(w *world) { id = w.addBoard(name, statuses) })
	return id
}

// Tickets returns all tickets in order of id.
func (s *Server) Tickets() []Ticket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Ticket, len(s.world.tickets))
	for i, t := range s.world.tickets {
		out[i] = Ticket{ID: t.id, Summary: t.summary, Company: t.company.ID, Board: t.board.name, Status: t.status.name,
			Closed: t.status.closed, Priority: t.priority.name, Severity: t.severity, Impact: t.impact, ExternalXRef: t.xref}
		for _, n := range t.notes {
			out[i].Notes = append(out[i].Notes, n.text)
		}
	}
	return out
}

// CloseTicket gives a ticket the first closed status of its board. The caller
// must name a ticket on a board that has one.
func (s *Server) CloseTicket(id int) {
	s.edit(func(w *world) {
		t := w.mustTicket(id)
		i := slices.IndexFunc(t.board.statuses, func(b *boardStatus) bool { return b.closed })
		t.status, t.updated, t.updatedBy = t.board.statuses[i], w.clock(), w.updatedBy
	})
}

// DeleteTicket removes a ticket with its notes: its id answers 404 from then on.
func (s *Server) DeleteTicket(id int) {
	s.edit(func(w *world) {
		gone := w.mustTicket(id)
		w.tickets = slices.DeleteFunc(w.tickets, func(t *ticket) bool { return t == gone })
	})
}

var (
	boardTable       = sliceTable("Service Board", tables, func(c *call) []*board { return c.w.boards }, boardFields, nil)
	boardStatusTable = sliceTable("Service Status", tables, func(c *call) []*boardStatus {
		return c.w.board(c.ids[0]).statuses // parent has checked it
	}, boardStatusFields, func(c *call) error {
		if c.w.board(c.ids[0]) == nil {
			return notFound("Service Board", c.ids[0])
		}
		return nil
	})
	priorityTable = setupTable("Service Priority", func(w *world) []*entry { return w.priorities },
		col("color", text, func(e *entry) any { return []string{"Red", "Orange", "Yellow", "White"}[(e.id-1)%4] }),
		col("sortOrder", integer, func(e *entry) any { return e.id }),
		col("defaultFlag", boolean, func(e *entry) any { return e.id == defaultPriority }),
		entryInfo)
	ticketTable = sliceTable("Service Ticket", tickets, func(c *call) []*ticket { return c.w.tickets }, ticketFields, nil)
	noteTable   = sliceTable("Service Note", tickets, func(c *call) []*note {
		return c.w.ticket(c.ids[0]).notes // parent has checked it
	}, noteFields, func(c *call) error {
		if c.w.ticket(c.ids[0]) == nil {
			return notFound("Service Ticket", c.ids[0])
		}
		return nil
	})
)

const defaultPriority = 3

func tables(r Role) bool  { return !r.NoTables }
func tickets(r Role) bool { return !r.NoTickets }

// ticketAdd is the right to add tickets and notes, and to change them.
func ticketAdd(r Role) bool { return tickets(r) && !r.NoTicketAdd }

// sliceTable declares a table of rows in a slice that is in order of the first
// field, the id.
func sliceTable[R any](resource string, right func(Role) bool, rows func(*call) []R, fields []field, parent func(*call) error) *table {
	id := func(row any) int { return fields[0].get(row).(int) }
	return &table{
		resource: resource,
		right:    right,
		parent:   parent,
		fields:   func(*call) []field { return fields },
		id:       id,
		rows: func(c *call, after int) iter.Seq[any] {
			return func(yield func(any) bool) {
				for _, row := range rows(c) {
					if id(row) > after && !yield(row) {
						return
					}
				}
			}
		},
	}
}

func place(name string) field {
	return field{name: name, kind: object, sub: []field{
		col("id", integer, func(*board) any { return 1 }),
		col("name", text, func(*board) any { return "Main" }),
	}}
}

var boardFields = []field{
	col("id", integer, func(b *board) any { return b.id }),
	col("name", text, func(b *board) any { return b.name }),
	place("location"),
	place("department"),
	col("inactiveFlag", boolean, func(*board) any { return false }),
	col("projectFlag", boolean, func(*board) any { return false }),
	info(col("lastUpdated", moment, func(b *board) any { return b.updated })),
}

var boardStatusFields = []field{
	col("id", integer, func(s *boardStatus) any { return s.id }),
	col("name", text, func(s *boardStatus) any { return s.name }),
	refTo("board", func(s *boardStatus) *entry { return &s.board.entry }, "board_href", "service/boards"),
	col("sortOrder", integer, func(s *boardStatus) any { return slices.Index(s.board.statuses, s) }),
	col("displayOnBoard", boolean, func(s *boardStatus) any { return !s.closed }),
	col("inactive", boolean, func(*boardStatus) any { return false }),
	col("closedStatus", boolean, func(s *boardStatus) any { return s.closed }),
	col("defaultFlag", boolean, func(s *boardStatus) any { return s.board.statuses[0] == s }),
	info(col("lastUpdated", moment, func(s *boardStatus) any { return s.updated })),
}

var levels = []string{"Low", "Medium", "High"}

var ticketFields = []field{
	col("id", integer, func(t *ticket) any { return t.id }),
	col("summary", text, func(t *ticket) any { return t.summary }),
	withValues([]string{"ProjectIssue", "ProjectTicket", "ServiceTicket"}, col("recordType", enum, func(*ticket) any { return "ServiceTicket" })),
	refTo("board", func(t *ticket) *entry { return &t.board.entry }, "board_href", "service/boards"),
	{name: "status", kind: object, sub: []field{
		col("id", integer, func(t *ticket) any { return t.status.id }),
		col("name", text, func(t *ticket) any { return t.status.name }),
		info(link("status_href", func(t *ticket) string {
			return fmt.Sprintf("service/boards/%d/statuses/%d", t.board.id, t.status.id)
		})),
	}},
	companyRef("company", func(t *ticket) *company { return t.company }),
	{name: "priority", kind: object, sub: []field{
		col("id", integer, func(t *ticket) any { return t.priority.id }),
		col("name", text, func(t *ticket) any { return t.priority.name }),
		col("sort", integer, func(t *ticket) any { return t.priority.id }),
		info(link("priority_href", func(t *ticket) string { return "service/priorities/" + strconv.Itoa(t.priority.id) })),
	}},
	withValues(levels, col("severity", enum, func(t *ticket) any { return t.severity })),
	withValues(levels, col("impact", enum, func(t *ticket) any { return t.impact })),
	col("externalXRef", text, func(t *ticket) any { return optional(t.xref) }),
	col("closedFlag", boolean, func(t *ticket) any { return t.status.closed }),
	{name: "lastUpdated", kind: moment, hidden: true, get: func(row any) any { return row.(*ticket).updated }},
	{name: "dateEntered", kind: moment, hidden: true, get: func(row any) any { return row.(*ticket).entered }},
	info(
		col("lastUpdated", moment, func(t *ticket) any { return t.updated }),
		col("updatedBy", text, func(t *ticket) any { return t.updatedBy }),
		col("dateEntered", moment, func(t *ticket) any { return t.entered }),
		link("notes_href", func(t *ticket) string { return fmt.Sprintf("service/tickets/%d/notes", t.id) }),
	),
}

func withValues(values []string, f field) field {
	f.values = values
	return f
}

// noteFlags say what kind of note it is; the initial texts of a ticket become
// the notes of the same kind.
var noteFlags = []string{"detailDescriptionFlag", "internalAnalysisFlag", "resolutionFlag"}

var noteFields = append([]field{
	col("id", integer, func(n *note) any { return n.id }),
	col("ticketId", integer, func(n *note) any { return n.ticket.id }),
	col("text", text, func(n *note) any { return n.text }),
	col("dateCreated", moment, func(n *note) any { return n.made }),
	col("createdBy", text, func(n *note) any { return n.by }),
}, noteFlagFields()...)

func noteFlagFields() (out []field) {
	for _, name := range noteFlags {
		out = append(out, col(name, boolean, func(n *note) any { return n.kind == name }))
	}
	return out
}

func (w *world) board(id int) *board {
	if i := slices.IndexFunc(w.boards, func(b *board) bool { return b.id == id }); i >= 0 {
		return w.boards[i]
	}
	return nil
}

func (w *world) ticket(id int) *ticket {
	if i := slices.IndexFunc(w.tickets, func(t *ticket) bool { return t.id == id }); i >= 0 {
		return w.tickets[i]
	}
	return nil
}

func (w *world) mustTicket(id int) *ticket {
	t := w.ticket(id)
	if t == nil {
		panic("connectwisetest: there is no ticket " + strconv.Itoa(id))
	}
	return t
}

func (w *world) addNote(t *ticket, kind, text string) *note {
	n := &note{id: w.nextID("note"), ticket: t, text: text, kind: kind, made: w.clock(), by: w.updatedBy}
	t.notes = append(t.notes, n)
	return n
}

var ticketMembers = []string{"id", "summary", "recordType", "board", "status", "company", "priority", "severity", "impact",
	"externalXRef", "initialDescription", "initialInternalAnalysis", "initialResolution", "processNotifications", "skipCallback", "_info"}

// ticketDraft is a copy of a ticket that is being written.
type ticketDraft struct {
	call   *call
	ticket *ticket
	status json.RawMessage // looked up last, among the board's
	errors []fieldError
}

func (d *ticketDraft) refuse(code, field, format string, args ...any) {
	d.errors = append(d.errors, fieldError{code, fmt.Sprintf(format, args...), "ticket", field})
}

// set writes one member; initial texts are left to createTicket.
func (d *ticketDraft) set(name string, raw json.RawMessage) error {
	t, w := d.ticket, d.call.w
	var err error
	switch name {
	case "summary":
		return decode(raw, name, &t.summary)
	case "severity":
		return decode(raw, name, &t.severity)
	case "impact":
		return decode(raw, name, &t.impact)
	case "externalXRef":
		return decode(raw, name, &t.xref)
	case "status":
		d.status = raw
	case "company":
		if t.company, err = d.call.resolveCompany(raw, name); err == nil && t.company == nil {
			d.refuse("NotFound", "company/id", "company %s not found", refText(raw))
		}
	case "board":
		entries := make([]*entry, len(w.boards))
		for i, b := range w.boards {
			entries[i] = &b.entry
		}
		e, err := resolve(raw, name, entries)
		if err != nil {
			return err
		}
		if e == nil {
			d.refuse("NotFound", "board/id", "Service Board %s not found", refText(raw))
			return nil
		}
		if b := w.board(e.id); b != t.board {
			t.board, t.status = b, b.statuses[0]
		}
	case "priority":
		if t.priority, err = resolve(raw, name, w.priorities); err == nil && t.priority == nil {
			d.refuse("NotFound", "priority/id", "Service Priority %s not found", refText(raw))
		}
	}
	return err
}

func (d *ticketDraft) check() error {
	t := d.ticket
	if d.status != nil {
		entries := make([]*entry, len(t.board.statuses))
		for i, s := range t.board.statuses {
			entries[i] = &s.entry
		}
		e, err := resolve(d.status, "status", entries)
		if err != nil {
			return err
		}
		if e == nil {
			d.refuse("NotFound", "status/id", "Service Status %s not found for Service Board %d", refText(d.status), t.board.id)
		} else {
			t.status = t.board.statuses[slices.Index(entries, e)]
		}
	}
	if strings.TrimSpace(t.summary) == "" {
		d.refuse("MissingRequired", "summary", "The summary field is required.")
	}
	if t.company == nil && !slices.ContainsFunc(d.errors, func(e fieldError) bool { return e.field == "company/id" }) {
		d.refuse("MissingRequired", "company", "The company field is required.")
	}
	for _, l := range []struct {
		field, value string
	}{{"summary", t.summary}, {"externalXRef", t.xref}} {
		if len(utf16.Encode([]rune(l.value))) > 100 {
			d.refuse("MaxLength", l.field, "The field %s must have at most 100 characters.", l.field)
		}
	}
	for _, l := range []struct {
		field, value string
	}{{"severity", t.severity}, {"impact", t.impact}} {
		if !slices.Contains(levels, l.value) {
			d.refuse("InvalidEnum", l.field, "The value '%s' is not valid for %s.", l.value, l.field)
		}
	}
	if len(d.errors) > 0 {
		return invalidObject("ticket", d.errors...)
	}
	return nil
}

func createTicket(c *call) (*Response, error) {
	members, err := c.members("Ticket", func(name string) bool { return slices.Contains(ticketMembers, name) })
	if err != nil {
		return nil, err
	}
	first := c.w.boards[0]
	t := &ticket{board: first, status: first.statuses[0], severity: "Medium", impact: "Medium"}
	t.priority = entryByID(c.w.priorities, "priority", defaultPriority)
	d := &ticketDraft{call: c, ticket: t}
	initial := make([]string, len(noteFlags))
	for _, m := range members {
		i := slices.Index([]string{"initialDescription", "initialInternalAnalysis", "initialResolution"}, m.name)
		if i >= 0 {
			err = decode(m.value, m.name, &initial[i])
		} else {
			err = d.set(m.name, m.value)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	t.id, t.entered, t.updated, t.updatedBy = c.w.nextID("ticket"), c.w.clock(), c.w.clock(), c.w.updatedBy
	for i, text := range initial {
		if text != "" {
			c.w.addNote(t, noteFlags[i], text)
		}
	}
	c.w.tickets = append(c.w.tickets, t)
	return c.created(ticketTable, "service/tickets", t.id, t), nil
}

func patchTicket(c *call) (*Response, error) {
	target := c.w.ticket(c.ids[0])
	if target == nil {
		return nil, notFound("Service Ticket", c.ids[0])
	}
	ops, err := c.patchOps()
	if err != nil {
		return nil, err
	}
	changed := *target
	d := &ticketDraft{call: c, ticket: &changed}
	for _, op := range ops {
		name, sub, _ := strings.Cut(op.Path, "/")
		if !slices.Contains(ticketMembers, name) || strings.HasPrefix(name, "initial") {
			return nil, badRequest("The path '%s' of the patch operation is not valid.", op.Path)
		}
		if sub != "" {
			continue // the false 200, as with companies
		}
		if err := d.set(name, op.Value); err != nil {
			return nil, err
		}
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	changed.updated, changed.updatedBy = c.w.clock(), c.w.updatedBy
	*target = changed
	return ticketTable.answer(c, http.StatusOK, target), nil
}

func createNote(c *call) (*Response, error) {
	t := c.w.ticket(c.ids[0])
	if t == nil {
		return nil, notFound("Service Ticket", c.ids[0])
	}
	members, err := c.members("TicketNote", func(name string) bool {
		return name == "text" || name == "id" || name == "ticketId" || slices.Contains(noteFlags, name)
	})
	if err != nil {
		return nil, err
	}
	body, kind := "", ""
	for _, m := range members {
		switch {
		case m.name == "text":
			err = decode(m.value, m.name, &body)
		case slices.Contains(noteFlags, m.name) && bytes.Equal(m.value, []byte("true")):
			kind = m.name
		}
		if err != nil {
			return nil, err
		}
	}
	if strings.TrimSpace(body) == "" || kind == "" {
		return nil, invalidObject("ticketNote", fieldError{"MissingRequired", "A note needs a text and one of its flags.", "ticketNote", "text"})
	}
	n := c.w.addNote(t, kind, body)
	t.updated, t.updatedBy = c.w.clock(), c.w.updatedBy
	return c.created(noteTable, fmt.Sprintf("service/tickets/%d/notes", t.id), n.id, n), nil
}
