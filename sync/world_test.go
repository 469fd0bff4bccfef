package sync_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cwvault/sync"
	"cwvault/vault"
)

// Worlds are written as text in these tests.
//
// Companies, one a line; of several types each is named, territory, market and
// parent follow where they matter:
//
//	250 alovet: Alovet, Inc. [Customer+Vendor, Active, territory 3 North]
//
// The vault, indented by two blanks a level, each folder with its mark if it
// has one: a key of this tenant, another tenant's mark, or ? for one that
// cannot be read. The folder's id is the number of its line.
//
//	Customer = group/type:1
//	  Active = group/type:1/status:1
//	    Alovet = company/250
//	    Bolt = company/7 !inherit
//	    Notes
//	    Theirs = other company/3
//
// A plan, one line for each step, held item and departed folder, with paths
// below the root.
//
// A name in any of them may be written as a Go string.
const (
	testTypes    = "1 Customer, 2 Prospect, 3 Vendor"
	testStatuses = "1 Active, 2 Inactive, 3 Lost"
	testTenant   = "acme"
)

func lines(s string) []string {
	var list []string
	for line := range strings.SplitSeq(s, "\n") {
		if strings.TrimSpace(line) != "" {
			list = append(list, line)
		}
	}
	return list
}

// readName reads a name that may be written as a Go string.
func readName(t tester, s string) string {
	t.Helper()
	if !strings.HasPrefix(s, `"`) {
		return s
	}
	name, err := strconv.Unquote(s)
	if err != nil {
		t.Fatal(s, err)
	}
	return name
}

// writeName is its inverse: it quotes what would not be read back as it is.
func writeName(s string) string {
	if s != strings.TrimSpace(s) || s == "" || strings.ContainsAny(s, "\"=[]") || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

func readRef(t tester, s string) sync.Ref {
	t.Helper()
	id, name, _ := strings.Cut(strings.TrimSpace(s), " ")
	n, err := strconv.Atoi(id)
	if err != nil {
		t.Fatal("not a record: ", s)
	}
	return sync.Ref{ID: n, Name: readName(t, name)}
}

func readTable(t tester, s string) []sync.Ref {
	t.Helper()
	var list []sync.Ref
	for one := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(one) != "" {
			list = append(list, readRef(t, one))
		}
	}
	return list
}

func readSource(t tester, types, statuses, companies string) sync.Source {
	t.Helper()
	src := sync.Source{Types: readTable(t, types), Statuses: readTable(t, statuses)}
	find := func(table []sync.Ref, name string) sync.Ref {
		i := slices.IndexFunc(table, func(r sync.Ref) bool { return r.Name == name || "#"+strconv.Itoa(r.ID) == name })
		if i < 0 {
			t.Fatal("no record is named ", name)
		}
		return table[i]
	}
	for _, line := range lines(companies) {
		head, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		open := strings.LastIndex(rest, "[")
		if !ok || open < 0 || !strings.HasSuffix(rest, "]") {
			t.Fatal("not a company: ", line)
		}
		ref := readRef(t, head)
		c := sync.Company{ID: ref.ID, Identifier: ref.Name, Name: readName(t, strings.TrimSpace(rest[:open]))}
		for i, attr := range strings.Split(strings.TrimSuffix(rest[open+1:], "]"), ",") {
			attr = strings.TrimSpace(attr)
			switch word, value, _ := strings.Cut(attr, " "); {
			case attr == "":
			case i == 0:
				for name := range strings.SplitSeq(attr, "+") {
					c.Types = append(c.Types, find(src.Types, name))
				}
			case i == 1:
				c.Status = find(src.Statuses, attr)
			case word == "territory":
				c.Territory = readRef(t, value)
			case word == "market":
				c.Market = readRef(t, value)
			case word == "parent":
				c.Parent = readRef(t, value)
			default:
				t.Fatal("not an attribute: ", attr)
			}
		}
		src.Companies = append(src.Companies, c)
	}
	src.Count = len(src.Companies)
	return src
}

func readVault(t tester, text string) *memVault {
	t.Helper()
	v := newMemVault()
	above := []string{v.root}
	for _, line := range lines(text) {
		line = strings.ReplaceAll(line, "\t", "")
		level := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		if level >= len(above) {
			t.Fatal("indented too far: ", line)
		}
		line, own := strings.CutSuffix(line, " !inherit")
		name, mark, _ := strings.Cut(strings.TrimSpace(line), " = ")
		f := v.make(above[level], readName(t, name), sync.Mark{})
		f.Inherits = !own
		switch tenant, key, two := strings.Cut(mark, " "); {
		case mark == "?":
			f.BadMark = true
		case two:
			f.Mark = sync.Mark{Tenant: tenant, Key: sync.Key(key)}
		case mark != "":
			f.Mark = sync.Mark{Tenant: testTenant, Key: sync.Key(mark)}
		}
		above = append(above[:level+1], f.ID)
	}
	return v
}

// String writes the vault as readVault reads it, siblings by name.
func (v *memVault) String() string {
	var b strings.Builder
	var write func(parent, indent string)
	write = func(parent, indent string) {
		var list []*sync.Folder
		for _, f := range v.folders {
			if f.ParentID == parent {
				list = append(list, f)
			}
		}
		slices.SortFunc(list, func(a, b *sync.Folder) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
		for _, f := range list {
			b.WriteString(indent + writeName(f.Name))
			switch {
			case f.BadMark:
				b.WriteString(" = ?")
			case f.Mark.Tenant == testTenant:
				b.WriteString(" = " + string(f.Mark.Key))
			case f.Mark != sync.Mark{}:
				b.WriteString(" = " + f.Mark.String())
			}
			if !f.Inherits {
				b.WriteString(" !inherit")
			}
			b.WriteByte('\n')
			write(f.ID, indent+"  ")
		}
	}
	write(v.root, "")
	return b.String()
}

// writePlan writes a plan as text. Only paths below the root are shown.
func writePlan(p sync.Plan) string {
	var b strings.Builder
	below := func(path string) string { return strings.TrimPrefix(path, p.Root) }
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%s %s", s.Op, s.Key)
		if s.From != "" && s.Op != sync.OpAdopt {
			b.WriteString(" " + below(s.From) + " ->")
		}
		b.WriteString(" " + below(s.To))
		if s.Via != "" {
			b.WriteString(" via " + below(s.Via))
		}
		b.WriteString(": " + s.Reason + "\n")
	}
	for _, h := range p.Held {
		fmt.Fprintf(&b, "held %s %s", h.Code, h.Key)
		if h.Path != "" {
			b.WriteString(" " + below(h.Path))
		}
		b.WriteString(": " + h.Reason + "\n")
	}
	for _, d := range p.Departed {
		fmt.Fprintf(&b, "departed %s %s: %s\n", d.Key, below(d.Path), d.Reason)
	}
	return b.String()
}

// textRules are a vault's rules as these texts assume them.
var textRules = sync.NameRules{
	MaxLength: 40, Forbidden: `/:*?"<>|`, Leading: ".",
	Special: func(s string) bool { return strings.EqualFold(s, "con") },
	Fold:    vault.Fold, Form: vault.Form,
}

// text is a world in text form, with the settings that differ from the usual.
type text struct {
	types, statuses, companies, vault string
	structure, name                   string
	set                               func(*sync.Settings)
	world                             func(*sync.World)
}

func (c text) settings(t tester) sync.Settings {
	t.Helper()
	orElse := func(s, usual string) string {
		if s == "" {
			return usual
		}
		return s
	}
	st, err := sync.ParseStructure(orElse(c.structure, `$TYPE\$STATUS`))
	if err != nil {
		t.Fatal(err)
	}
	nt, err := sync.ParseNameTemplate(orElse(c.name, "$NAME"))
	if err != nil {
		t.Fatal(err)
	}
	s := sync.Settings{Structure: st, Name: nt}
	if c.set != nil {
		c.set(&s)
	}
	return s
}

func (c text) source(t tester) sync.Source {
	t.Helper()
	types, statuses := c.types, c.statuses
	if types == "" {
		types = testTypes
	}
	if statuses == "" {
		statuses = testStatuses
	}
	return readSource(t, types, statuses, c.companies)
}

// plan makes the plan for a vault.
func (c text) plan(t tester, tree sync.Tree) sync.Program {
	t.Helper()
	return c.decide(t, tree, nil)
}

// decide makes the plan for a vault that is left when policies were asked.
func (c text) decide(t tester, tree sync.Tree, audience sync.Audience, policies ...sync.Policy) sync.Program {
	t.Helper()
	wanted, err := sync.Want(c.source(t), c.settings(t), textRules)
	if err != nil {
		t.Fatal(err)
	}
	world := sync.World{Tenant: testTenant, Vault: "mem:", Tree: tree}
	if c.world != nil {
		c.world(&world)
	}
	p, err := sync.Decide(wanted, world, audience, policies...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tidy removes the indentation that a text has in the source of a test.
func tidy(s string) string {
	var b strings.Builder
	common := -1
	for _, line := range lines(s) {
		if n := len(line) - len(strings.TrimLeft(line, "\t")); common < 0 || n < common {
			common = n
		}
	}
	for _, line := range lines(s) {
		b.WriteString(strings.TrimRight(line[common:], " ") + "\n")
	}
	return b.String()
}

func TestWorldText(t *testing.T) {
	const tree = `
		Customer = group/type:1
		  Active = group/type:1/status:1
		    " odd" = company/7 !inherit
		    Notes
		    Theirs = other company/3
		    Torn = ?`
	if got := readVault(t, tree).String(); got != tidy(tree) {
		t.Errorf("read and written again:\n%s\nwant:\n%s", got, tidy(tree))
	}
}
