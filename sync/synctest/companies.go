package synctest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cwvault/sync"
)

// Tables are the setup tables of a ConnectWise.
type Tables struct {
	Types, Statuses, Territories, Markets []sync.Ref
}

// DefaultTables are the tables of a world that does not list any: the types
// 1 Customer and 2 Prospect, the statuses 1 Active and 2 Inactive.
func DefaultTables() Tables {
	return Tables{
		Types:    []sync.Ref{{ID: 1, Name: "Customer"}, {ID: 2, Name: "Prospect"}},
		Statuses: []sync.Ref{{ID: 1, Name: "Active"}, {ID: 2, Name: "Inactive"}},
	}
}

// Table reads a setup table: on each line the number of a record and its name,
// which may be written as a Go string.
func Table(text string) ([]sync.Ref, error) {
	lines, err := Lines(text)
	if err != nil {
		return nil, err
	}
	var table []sync.Ref
	for _, l := range lines {
		number, name, _ := strings.Cut(strings.TrimSpace(l.Text), " ")
		id, err := strconv.Atoi(number)
		if err != nil || id <= 0 {
			return nil, l.errorf("%q is not the number of a record", number)
		}
		if name = strings.TrimSpace(name); name == "" {
			return nil, l.errorf("record %d has no name", id)
		}
		if name, err = unquote(name); err != nil {
			return nil, l.errorf("%w", err)
		}
		if slices.ContainsFunc(table, func(r sync.Ref) bool { return r.ID == id }) {
			return nil, l.errorf("number %d is given twice", id)
		}
		table = append(table, sync.Ref{ID: id, Name: name})
	}
	return table, nil
}

// unquote reads a name that may be written as a Go string.
func unquote(s string) (string, error) {
	if !strings.HasPrefix(s, `"`) {
		return s, nil
	}
	name, err := strconv.Unquote(s)
	if err != nil {
		return "", fmt.Errorf("%s is not a Go string", s)
	}
	return name, nil
}

// WriteTable is the inverse of [Table].
func WriteTable(table []sync.Ref) string {
	var b strings.Builder
	for _, r := range table {
		name := r.Name
		if needsQuotes(name) {
			name = quote(name)
		}
		fmt.Fprintf(&b, "%d %s\n", r.ID, name)
	}
	return b.String()
}

// Companies reads companies, one per line: number, identifier, name, types and
// status, then optionally territory=, market= and parent=. Words with blanks are
// written as Go strings.
//
//	250  alovet  "Alovet, Inc."  Customer,Vendor  Active  territory=North  parent=100
//
// Types are separated by commas; a dash means no type or no status. Types,
// statuses, territories and markets are written by name or by number, such as #3.
// A name that has a comma, begins with # or belongs to two records needs its
// number. A record that is not in its table, or has another name there, is written
// with both: territory="#3 North". The parent is the number of a company, in this
// text or not. Its name is the one in the text unless it is written too:
// parent="#100 An old name".
func Companies(text string, tables Tables) ([]sync.Company, error) {
	list, _, err := companies(text, tables)
	return list, err
}

// companies is Companies with the line of each company, by its number.
func companies(text string, tables Tables) (list []sync.Company, where map[int]int, err error) {
	lines, err := Lines(text)
	if err != nil {
		return nil, nil, err
	}
	at, where := map[int]int{}, map[int]int{}
	unnamed := map[int]bool{} // companies whose parent has no name yet
	for _, l := range lines {
		c, named, err := tables.company(l.Text)
		if err != nil {
			return nil, nil, l.errorf("%w", err)
		}
		if _, twice := at[c.ID]; twice {
			return nil, nil, l.errorf("company %d is given twice", c.ID)
		}
		at[c.ID], where[c.ID] = len(list), l.Number
		unnamed[len(list)] = !named
		list = append(list, c)
	}
	for i := range list {
		if parent, ok := at[list[i].Parent.ID]; ok && unnamed[i] {
			list[i].Parent.Name = list[parent].Name
		}
	}
	return list, where, nil
}

// company reads one company. named is false if the parent needs a name.
func (t Tables) company(line string) (c sync.Company, named bool, err error) {
	f, err := Words(line)
	if err != nil {
		return c, false, err
	}
	if len(f) < 5 {
		return c, false, fmt.Errorf("a company has a number, identifier, name, types and status, not only %q", f)
	}
	if c.ID, err = strconv.Atoi(f[0]); err != nil || c.ID <= 0 {
		return c, false, fmt.Errorf("%q is not the number of a company", f[0])
	}
	c.Identifier, c.Name = f[1], f[2]
	if f[3] != "-" {
		for name := range strings.SplitSeq(f[3], ",") {
			r, err := find(t.Types, "types", name)
			if err == nil && r.ID == 0 {
				err = fmt.Errorf("%q: a type is missing at a comma", f[3])
			}
			if err != nil {
				return c, false, err
			}
			c.Types = append(c.Types, r)
		}
	}
	if c.Status, err = find(t.Statuses, "statuses", f[4]); err != nil {
		return c, false, err
	}
	for _, field := range f[5:] {
		word, value, _ := strings.Cut(field, "=")
		switch word {
		case "territory":
			c.Territory, err = find(t.Territories, "territories", value)
		case "market":
			c.Market, err = find(t.Markets, "markets", value)
		case "parent":
			c.Parent, named, err = parent(value)
		default:
			err = fmt.Errorf("%q: what may follow is territory=, market= and parent=", field)
		}
		if err != nil {
			return c, false, err
		}
	}
	return c, named, nil
}

// find reads a reference to a record of a table.
func find(table []sync.Ref, title, s string) (sync.Ref, error) {
	if s == "-" || s == "" {
		return sync.Ref{}, nil
	}
	if s[0] == '#' {
		r, whole, err := numbered(s)
		if err != nil || whole {
			return r, err
		}
		if i := slices.IndexFunc(table, func(o sync.Ref) bool { return o.ID == r.ID }); i >= 0 {
			return table[i], nil
		}
		return r, fmt.Errorf("there is no %s among the %s", s, title)
	}
	named := slices.DeleteFunc(slices.Clone(table), func(r sync.Ref) bool { return r.Name != s })
	switch len(named) {
	case 0:
		return sync.Ref{}, fmt.Errorf("there is no %q among the %s", s, title)
	case 1:
		return named[0], nil
	}
	return sync.Ref{}, fmt.Errorf("%d records among the %s are named %q; write #%d", len(named), title, s, named[0].ID)
}

// numbered reads #3, or #3 and a name. whole reports whether it has a name.
func numbered(s string) (r sync.Ref, whole bool, err error) {
	number, name, whole := strings.Cut(strings.TrimPrefix(s, "#"), " ")
	id, err := strconv.Atoi(number)
	if err != nil || id <= 0 {
		return r, false, fmt.Errorf("%q is not the number of a record", s)
	}
	return sync.Ref{ID: id, Name: name}, whole, nil
}

func parent(s string) (r sync.Ref, named bool, err error) {
	if s == "-" || s == "" {
		return r, true, nil
	}
	return numbered(s)
}

// WriteCompanies is the inverse of [Companies].
func WriteCompanies(list []sync.Company, tables Tables) string {
	var b strings.Builder
	names := map[int]string{}
	for _, c := range list {
		names[c.ID] = c.Name
	}
	for _, c := range list {
		types := make([]string, len(c.Types))
		for i, r := range c.Types {
			types[i] = writeRef(tables.Types, r)
		}
		word := strings.Join(types, ",")
		if word == "" {
			word = "-"
		}
		fmt.Fprintf(&b, "%d  %s  %s  %s  %s", c.ID, writeWord(c.Identifier), writeWord(c.Name), writeWord2(word), writeWord2(writeRef(tables.Statuses, c.Status)))
		if c.Territory != (sync.Ref{}) {
			b.WriteString("  territory=" + writeWord2(writeRef(tables.Territories, c.Territory)))
		}
		if c.Market != (sync.Ref{}) {
			b.WriteString("  market=" + writeWord2(writeRef(tables.Markets, c.Market)))
		}
		switch p := c.Parent; {
		case p == sync.Ref{}:
		case p.Name == names[p.ID]:
			fmt.Fprintf(&b, "  parent=%d", p.ID)
		default:
			b.WriteString("  parent=" + quote(fmt.Sprintf("#%d %s", p.ID, p.Name)))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// writeRef writes a reference as find reads it.
func writeRef(table []sync.Ref, r sync.Ref) string {
	if r == (sync.Ref{}) {
		return "-"
	}
	inTable, same := false, 0
	for _, o := range table {
		inTable = inTable || o == r
		if o.Name == r.Name {
			same++
		}
	}
	switch {
	case !inTable:
		return fmt.Sprintf("#%d %s", r.ID, r.Name)
	case same > 1 || r.Name == "" || r.Name == "-" || r.Name[0] == '#' || strings.Contains(r.Name, ","):
		return fmt.Sprintf("#%d", r.ID)
	}
	return r.Name
}

// writeWord2 is writeWord for words after the first, which may begin with #.
func writeWord2(s string) string {
	if rest, ok := strings.CutPrefix(s, "#"); ok && !needsQuotes(rest) && !strings.Contains(rest, " ") {
		return s
	}
	return writeWord(s)
}
