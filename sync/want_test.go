package sync_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// places writes where companies get folders in an empty vault, and who is held.
func (c text) places(t tester) string {
	t.Helper()
	p := c.plan(t, sync.Tree{Root: sync.Folder{ID: "root"}, RootPath: `\Clients`})
	var b strings.Builder
	for _, s := range p.Steps {
		if s.Kind == sync.KindCompany {
			fmt.Fprintf(&b, "%d %s\n", s.Company.ID, strings.TrimPrefix(s.To, p.Root+`\`))
		}
	}
	for _, h := range p.Held {
		fmt.Fprintf(&b, "%d %s\n", h.Company.ID, h.Code)
	}
	return b.String()
}

func TestWant(t *testing.T) {
	const four = `
		1 one Acme Customer Active
		2 two Bolt Customer,Vendor Inactive
		3 three Cork Prospect Active
		4 four Dent - -`
	for name, c := range map[string]struct {
		text
		want string
	}{
		"all": {text{companies: four}, `
			1 Customer\Active\Acme
			2 Customer\Inactive\Bolt
			3 Prospect\Active\Cork
			4 no-type`},
		"types by name, in any case, and by id": {text{companies: four, set: func(s *sync.Settings) { s.Types = []string{"CUSTOMER", "2"} }}, `
			1 Customer\Active\Acme
			2 Customer\Inactive\Bolt
			3 Prospect\Active\Cork`},
		"a type that is not selected does not place a company": {text{companies: four, set: func(s *sync.Settings) { s.Types = []string{"Vendor"} }}, `
			2 Vendor\Inactive\Bolt`},
		"exclusion wins": {text{companies: four, set: func(s *sync.Settings) { s.Types = []string{"Customer", "! Vendor"} }}, `
			1 Customer\Active\Acme`},
		"exclusion only": {text{companies: four, set: func(s *sync.Settings) { s.Types = []string{"!3"} }}, `
			1 Customer\Active\Acme
			3 Prospect\Active\Cork
			4 no-type`},
		"statuses": {text{companies: four, set: func(s *sync.Settings) { s.Statuses = []string{"Active"} }}, `
			1 Customer\Active\Acme
			3 Prospect\Active\Cork`},
		"statuses excluded": {text{companies: four, set: func(s *sync.Settings) { s.Statuses = []string{"!active"} }}, `
			2 Customer\Inactive\Bolt
			4 no-type`},
		"exclude by identifier, in any case, and by id": {text{companies: four, set: func(s *sync.Settings) { s.Exclude = []string{"ONE", "3", "unknown"} }}, `
			2 Customer\Inactive\Bolt
			1 excluded
			3 excluded
			4 no-type`},
		"priority": {text{companies: four, set: func(s *sync.Settings) { s.TypePriority = []string{"Prospect", "Vendor"} }}, `
			1 Customer\Active\Acme
			3 Prospect\Active\Cork
			2 Vendor\Inactive\Bolt
			4 no-type`},
		"priority of a type that is not selected": {text{companies: four, set: func(s *sync.Settings) { s.Types, s.TypePriority = []string{"Customer"}, []string{"Vendor"} }}, `
			1 Customer\Active\Acme
			2 Customer\Inactive\Bolt`},
		"missing": {text{companies: four, set: func(s *sync.Settings) { s.Missing = "None: yet" }}, `
			1 Customer\Active\Acme
			2 Customer\Inactive\Bolt
			4 None- yet\None- yet\Dent
			3 Prospect\Active\Cork`},
		"initials": {text{structure: "$COMPANYINITIAL", companies: `
			1 a (äpfel) - -
			2 b "Äpfel AG" - -
			3 c 日本 - -
			4 d 3M - -
			5 e & - -
			6 f ßen - -`}, `
			5 #\&
			4 3\3M
			6 S\ßen
			1 Ä\(äpfel)
			2 Ä\Äpfel AG
			3 日\日本`},
		"parents": {text{structure: "$PARENT", companies: `
			1 a Holding - - parent="#9 Bank"
			2 b Shop - - parent="#1 an old name"
			3 c "Other shop" - - parent="#1 another old name"
			4 d Branch - - parent="#9 The Bank"`}, `
			4 Bank\Branch
			1 Bank\Holding
			3 Holding\Other shop
			2 Holding\Shop`},
		"one parent of itself": {text{structure: "$PARENT", companies: `1 a Holding - - parent="#1 Holding"`}, `
			1 Holding\Holding`},
		"territory and market": {text{structure: "$TERRITORY - $MARKET", companies: `
			1 a Acme - - territory="#1 North" market="#2 Dental"
			2 b Bolt - - territory="#2 a/b\\c" market="#2 Dental"`}, `
			1 North - Dental\Acme
			2 a-b-c - Dental\Bolt`},
		"records that have no name": {text{structure: `$TYPE\$TERRITORY`, types: `7 ""`, companies: `
			1 a Acme - - territory="#1  .. "
			2 b Bolt #7 - territory="#1  .. "`, set: func(s *sync.Settings) { s.Missing = ".." }}, `
			1 type 0\territory 1\Acme
			2 type 7\territory 1\Bolt`},
		"groups with special and too long names": {text{structure: `con\$TYPE`, types: "1 " + strings.Repeat("n", 300), companies: `
			1 a Acme #1 -`}, `
			1 con (group)\` + strings.Repeat("n", 35) + ` (#1)\Acme`},
		"a long text": {text{structure: strings.Repeat("text ", 60), companies: `
			1 a Acme - -`}, `
			1 text text text text text text te (group)\Acme`},
		"names that mean something": {text{structure: "A", companies: `
			1 one ".." - -
			2 two "a/b\\c" - -
			3 three ".git" - -
			4 four "   " - -
			5 five con - -
			6 "" "\u202e" - -`}, `
			6 A\#6
			2 A\a-b-c
			5 A\con (five)
			4 A\four
			3 A\git
			1 A\one`},
		"name template": {text{structure: "A", name: "$IDENTIFIER - $NAME", companies: `
			1 one Acme - -
			2 "" "" - -
			3 "" Cork - -`}, `
			2 A\#2
			3 A\- Cork
			1 A\one - Acme`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tidy(c.want), c.places(t)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	c := text{companies: `
		7 one Acme Vendor,Customer Active
		8 two Bolt Prospect Active
		9 three Cork - Active`, set: func(s *sync.Settings) { s.Types = []string{"!Prospect"} }}
	src := c.source(t)
	w, err := sync.Want(src, c.settings(t), textRules)
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]sync.Choice{
		7: {Company: src.Companies[0], Type: sync.Ref{ID: 1, Name: "Customer"}, Path: `\Customer\Active`},
		8: {Out: "its types are filtered out"},
		9: {},
	}
	for id, choice := range want {
		got, ok := w.Explain(id)
		if diff := cmp.Diff(choice, got); diff != "" || !ok {
			t.Errorf("company %d, listed %t (-want +got):\n%s", id, ok, diff)
		}
	}
	if _, ok := w.Explain(10); ok {
		t.Error("company 10 is not listed")
	}
}

func TestSettingsError(t *testing.T) {
	c := text{companies: `1 one Acme Customer Active`, set: func(s *sync.Settings) {
		s.Types = []string{"Customer", "Customers", "!Vendors"}
		s.Statuses = []string{"4", "!"}
		s.TypePriority = []string{"!Customer"}
	}}
	const types = `"Customer" (1), "Prospect" (2), "Vendor" (3)`
	const statuses = `"Active" (1), "Inactive" (2), "Lost" (3)`
	want := []string{
		`unknown type "Customers", "Vendors"; ConnectWise has ` + types,
		`unknown status "4", ""; ConnectWise has ` + statuses,
		`unknown type "!Customer"; ConnectWise has ` + types,
	}
	_, err := sync.Want(c.source(t), c.settings(t), textRules)
	var problems *sync.SettingsError
	if !errors.As(err, &problems) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(want, problems.Problems); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if problems.Error() != strings.Join(want, "; ") {
		t.Errorf("got %s", problems)
	}

	many := sync.Source{}
	for i := range 40 {
		many.Types = append(many.Types, sync.Ref{ID: i + 1, Name: fmt.Sprintf("T%02d", i)})
	}
	_, err = sync.Want(many, sync.Settings{Types: []string{"x"}}, textRules)
	if err == nil || !strings.Contains(err.Error(), `"T29" (30), and 10 more`) {
		t.Errorf("got %v", err)
	}
	_, err = sync.Want(sync.Source{}, sync.Settings{Types: []string{"x"}}, textRules)
	if err == nil || !strings.HasSuffix(err.Error(), "ConnectWise has none") {
		t.Errorf("got %v", err)
	}
}

// TestNamesOfGoneRecords: a type or status that the setup tables do not list,
// but a company still refers to, is called what the reference calls it.
func TestNamesOfGoneRecords(t *testing.T) {
	c := text{companies: `1 one Acme Customer Active`}
	src := c.source(t)
	src.Types, src.Statuses = nil, src.Statuses[1:]
	wanted, err := sync.Want(src, c.settings(t), textRules)
	if err != nil {
		t.Fatal(err)
	}
	p, err := sync.MakePlan(wanted, sync.World{Tenant: testTenant, Tree: sync.Tree{Root: sync.Folder{ID: "root"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Steps[len(p.Steps)-1].To; got != `\Customer\Active\Acme` {
		t.Errorf("got %s", got)
	}
}

// TestPlanFromAnyOrder sees that no plan in the tables depends on the order of
// its input.
func TestPlanFromAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, c := range planCases {
		t.Run(name, func(t *testing.T) {
			tree := readVault(t, c.vault).Snapshot()
			want := planJSON(t, c.text.plan(t, tree))
			for range 20 {
				src := shuffled(r, c.source(t))
				wanted, err := sync.Want(src, c.settings(t), textRules)
				if err != nil {
					t.Fatal(err)
				}
				world := sync.World{Tenant: testTenant, Vault: "mem:", Tree: tree}
				if c.world != nil {
					c.world(&world)
				}
				world.Tree.Folders = shuffle(r, world.Tree.Folders)
				p, err := sync.MakePlan(wanted, world)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(planJSON(t, p))); diff != "" {
					t.Fatalf("another order, another plan:\n%s", diff)
				}
			}
		})
	}
}

func shuffle[T any](r *rand.Rand, list []T) []T {
	list = append([]T(nil), list...)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// shuffled returns the source with everything in it in another order.
func shuffled(r *rand.Rand, src sync.Source) sync.Source {
	src.Companies = shuffle(r, src.Companies)
	src.Types, src.Statuses = shuffle(r, src.Types), shuffle(r, src.Statuses)
	for i := range src.Companies {
		src.Companies[i].Types = shuffle(r, src.Companies[i].Types)
	}
	return src
}
