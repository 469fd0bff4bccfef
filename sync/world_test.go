package sync_test

import (
	"fmt"
	"strings"

	"cwvault/sync"
	"cwvault/sync/synctest"
	"cwvault/vault"
	"cwvault/vault/vaulttest"
)

// Worlds are written as text in these tests, in the language of package
// synctest. Folders are drawn from below the root on; a folder's id is the
// number of its line.
//
// A plan is one line for each step, held item and departed folder, with paths
// below the root.
const (
	testTypes    = "1 Customer\n2 Prospect\n3 Vendor"
	testStatuses = "1 Active\n2 Inactive\n3 Lost"
	testTenant   = "acme"
)

// lines are those of a text that are not blank.
func lines(s string) []string {
	var list []string
	for line := range strings.SplitSeq(s, "\n") {
		if strings.TrimSpace(line) != "" {
			list = append(list, line)
		}
	}
	return list
}

func readSource(t tester, types, statuses, companies string) sync.Source {
	t.Helper()
	var w synctest.World
	var err error
	if w.Types, err = synctest.Table(types); err != nil {
		t.Fatal("types: ", err)
	}
	if w.Statuses, err = synctest.Table(statuses); err != nil {
		t.Fatal("statuses: ", err)
	}
	if w.Companies, err = synctest.Companies(companies, w.Tables); err != nil {
		t.Fatal("companies: ", err)
	}
	return w.Source()
}

func readVault(t tester, text string) *memVault {
	t.Helper()
	top, err := synctest.Folders(text)
	if err != nil {
		t.Fatal("vault: ", err)
	}
	return vaulttest.DrawnMemory(testTenant, top)
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
