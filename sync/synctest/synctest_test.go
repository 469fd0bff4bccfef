package synctest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cwvault/sync"
	"cwvault/sync/synctest"
)

const wholeWorld = `A provider with three companies.

-- types --
1 Customer
2 "A, B"
3 Customer
-- territories --
4 New York
-- companies before --
# a remark
250  alovet  "Alovet, Inc."  #1,#2  Active  territory="New York"  parent=251
251  ""      Bolt            -      -       market="#7 Dental"  parent="#9 The \"Bank\""
{300..301}  c{}  "Cork {}"  "#9 Gone"  #2  parent=250
-- settings --
CWVAULT_ROOT=\Clients
CWVAULT_NAME={1..2}
-- vault before (password store) --
Other
-- vault before --
Clients
  "Bolt [EU]" [group/text:All of them; readers: Ana, Help desk]
    * "#1"
    * router
    Alovet [company/250; own permissions]
  "*" ["other group/text:a; b"]
  Cork {1..2} [company/{}]
  Torn [unreadable mark]
-- companies after --
cwvault plan
-- companies --
nonsense
-- nonsense --
`

func TestParse(t *testing.T) {
	got, err := synctest.Parse(wholeWorld)
	if err != nil {
		t.Fatal(err)
	}
	customer, both, gone := sync.Ref{ID: 1, Name: "Customer"}, sync.Ref{ID: 2, Name: "A, B"}, sync.Ref{ID: 9, Name: "Gone"}
	active, inactive := sync.Ref{ID: 1, Name: "Active"}, sync.Ref{ID: 2, Name: "Inactive"}
	alovet := sync.Ref{ID: 250, Name: "Alovet, Inc."}
	newYork := sync.Ref{ID: 4, Name: "New York"}
	want := synctest.World{
		Tables: synctest.Tables{
			Types: []sync.Ref{customer, both, {ID: 3, Name: "Customer"}}, Statuses: []sync.Ref{active, inactive}, Territories: []sync.Ref{newYork},
		},
		Companies: []sync.Company{
			{ID: 250, Identifier: "alovet", Name: "Alovet, Inc.", Types: []sync.Ref{customer, both}, Status: active, Territory: newYork, Parent: sync.Ref{ID: 251, Name: "Bolt"}},
			{ID: 251, Name: "Bolt", Market: sync.Ref{ID: 7, Name: "Dental"}, Parent: sync.Ref{ID: 9, Name: `The "Bank"`}},
			{ID: 300, Identifier: "c300", Name: "Cork 300", Types: []sync.Ref{gone}, Status: inactive, Parent: alovet},
			{ID: 301, Identifier: "c301", Name: "Cork 301", Types: []sync.Ref{gone}, Status: inactive, Parent: alovet},
		},
		Settings: []string{`CWVAULT_ROOT=\Clients`, "CWVAULT_NAME={1..2}"},
		Vault: &synctest.Folder{Folders: []*synctest.Folder{{Name: "Clients", Folders: []*synctest.Folder{
			{
				Name: "Bolt [EU]", Mark: sync.Mark{Key: "group/text:All of them"}, Own: true, Readers: []string{"Ana", "Help desk"}, Secrets: []string{"#1", "router"},
				Folders: []*synctest.Folder{{Name: "Alovet", Mark: sync.Mark{Key: "company/250"}, Own: true}},
			},
			{Name: "*", Mark: sync.Mark{Tenant: "other", Key: "group/text:a; b"}},
			{Name: "Cork 1", Mark: sync.Mark{Key: "company/1"}},
			{Name: "Cork 2", Mark: sync.Mark{Key: "company/2"}},
			{Name: "Torn", BadMark: true},
		}}}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(synctest.Folder{}, "Line"), cmpopts.IgnoreFields(synctest.World{}, "CompanyLines")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	torn := got.Vault.Folders[0].Folders[4]
	if line := strings.Split(wholeWorld, "\n")[torn.Line-1]; line != "  Torn [unreadable mark]" {
		t.Errorf("a folder is said to be in line %d, %q", torn.Line, line)
	}
	if line := strings.Split(wholeWorld, "\n")[got.CompanyLines[301]-1]; !strings.HasPrefix(line, "{300..301}") {
		t.Errorf("a company is said to be in line %d, %q", got.CompanyLines[301], line)
	}
	if s := got.Source(); s.Count != 4 || len(s.Companies) != 4 || len(s.Types) != 3 || len(s.Statuses) != 2 {
		t.Errorf("source %+v", s)
	}
	if v, ok := got.Setting("CWVAULT_ROOT"); v != `\Clients` || !ok {
		t.Errorf("setting %q %v", v, ok)
	}
	if v, ok := got.Setting("CWVAULT_RO"); ok {
		t.Errorf("setting %q", v)
	}
}

func TestWrite(t *testing.T) {
	world, err := synctest.Parse(wholeWorld)
	if err != nil {
		t.Fatal(err)
	}
	const want = `-- types --
1 Customer
2 A, B
3 Customer
-- statuses --
1 Active
2 Inactive
-- territories --
4 New York
-- companies --
250  alovet  "Alovet, Inc."  #1,#2  Active  territory="New York"  parent=251
251  ""  Bolt  -  -  market="#7 Dental"  parent="#9 The \"Bank\""
300  c300  "Cork 300"  "#9 Gone"  Inactive  parent=250
301  c301  "Cork 301"  "#9 Gone"  Inactive  parent=250
-- vault --
Clients
  "*" ["other group/text:a; b"]
  "Bolt [EU]" [group/text:All of them; readers: Ana, Help desk]
    * "#1"
    * router
    Alovet [company/250; own permissions]
  Cork 1 [company/1]
  Cork 2 [company/2]
  Torn [unreadable mark]
-- settings --
CWVAULT_ROOT=\Clients
CWVAULT_NAME={1..2}
`
	if diff := cmp.Diff(want, world.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                  "line 1: there is no section, such as -- companies --",
		"-- compani --":                                     `line 1: there is no section "compani"; a world has types, statuses, territories, markets, companies, vault, settings`,
		"-- vault --\n\n-- vault --":                        `line 3: there is a second section about vault, "vault"`,
		"story\n-- types --\nx Customer":                    `line 3: "x" is not the number of a record`,
		"-- types --\n1":                                    "line 2: record 1 has no name",
		"-- types --\n1 A\n1 B":                             "line 3: number 1 is given twice",
		"-- types --\n1 \"A":                                `line 2: "A is not a Go string`,
		"-- companies --\n\n1 a A":                          `line 3: a company has a number, identifier, name, types and status, not only ["1" "a" "A"]`,
		"-- companies --\na a A - -":                        `line 2: "a" is not the number of a company`,
		"-- companies --\n1 a A - -\n1 b B - -":             "line 3: company 1 is given twice",
		"-- companies --\n1 a A Client -":                   `line 2: there is no "Client" among the types`,
		"-- companies --\n1 a A Customer, -":                `line 2: "Customer,": a type is missing at a comma`,
		"-- companies --\n1 a A - #3":                       "line 2: there is no #3 among the statuses",
		"-- companies --\n1 a A - #x":                       `line 2: "#x" is not the number of a record`,
		"-- companies --\n1 a A - - parents=1":              `line 2: "parents=1": what may follow is territory=, market= and parent=`,
		"-- companies --\n1 a A - - parent=x":               `line 2: "x" is not the number of a record`,
		"-- companies --\n1 a \"A - -":                      `line 2: "A - - is not a Go string`,
		"-- companies --\n1 a \"A\"B - -":                   `line 2: a blank is missing between "A" and B - -`,
		"-- companies --\n{2..1} a A - -":                   "line 2: {2..1} is not a range of at most 1000000 numbers",
		"-- companies --\n{1..9999999} a A - -":             "line 2: {1..9999999} is not a range of at most 1000000 numbers",
		"-- types --\n-- command --\n-- types --\n":         "",
		"-- types --\n1 A\n2 A\n-- companies --\n1 a A A -": `line 5: 2 records among the types are named "A"; write #1`,
		"-- vault --\nA\n    B":                             `line 3: "B" is 4 blanks further in; it must be two more than the folder that holds it`,
		"-- vault --\nA\n B":                                `line 3: "B" is 1 blanks further in; it must be two more than the folder that holds it`,
		"-- vault --\nA [company/x]":                        `line 2: "company/x" is not a mark such as company/250, group/type:1, other company/250 or unreadable mark`,
		"-- vault --\nA [company/1; company/2]":             `line 2: "company/2" is a second mark`,
		"-- vault --\nA [company/1; unreadable mark]":       `line 2: "unreadable mark" is a second mark`,
		"-- vault --\nA [readers: ]":                        `line 2: "" is not a reader`,
		"-- vault --\n\"A\" company/1":                      `line 2: "\"A\" company/1" is not a folder`,
		"-- vault --\n\"A":                                  `line 2: "A does not begin with a Go string`,
		"-- vault --\nA [\"company/1\" x]":                  `line 2: "x" follows a mark`,
		"-- vault --\n* \"x":                                `line 2: "x is not a Go string`,
		"-- settings --\nROOT=x":                            `line 2: "ROOT=x" is not a setting such as CWVAULT_ROOT=\Clients`,
	} {
		_, err := synctest.Parse(text)
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		var at *synctest.Error
		if !errors.As(err, &at) || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestScenarios sees that every scenario that plays is a world.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("../../testdata/scenarios/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	played := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		world, err := synctest.Parse(string(b))
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
		if len(world.Companies) > 0 {
			played++
		}
		again, err := synctest.Parse(world.String())
		if err != nil || again.String() != world.String() {
			t.Errorf("%s: written and read again (%v): %s", filepath.Base(file), err, cmp.Diff(world.String(), again.String()))
		}
	}
	if played < 40 {
		t.Errorf("only %d scenarios have companies", played)
	}
}

func TestMarks(t *testing.T) {
	own, other := sync.Mark{Key: "company/1"}, sync.Mark{Tenant: "other", Key: "company/1"}
	acme := sync.Mark{Tenant: "acme", Key: "company/1"}
	if got := synctest.Of("acme", own); got != acme {
		t.Errorf("own mark: %v", got)
	}
	if got := synctest.WithoutTenant("acme", acme); got != own {
		t.Errorf("own mark without tenant: %v", got)
	}
	for _, m := range []sync.Mark{other, {}} {
		if synctest.Of("acme", m) != m || synctest.WithoutTenant("acme", m) != m {
			t.Errorf("mark %v changes", m)
		}
	}
}

// FuzzParse sees that what can be read is written so that the same is read again.
func FuzzParse(f *testing.F) {
	f.Add(wholeWorld)
	f.Add("-- vault --\n\"-- x --\" [\"readers: company/1\"; readers: a]\n  \"{1..2}\"\n  * \xff\n")
	f.Add("-- types --\n1 -\n2 #\n3 a,b\n-- companies --\n1 \"\" \"\\n\" #1,#2,#3 - parent=1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if text != wholeWorld && strings.Contains(text, "..") && len(text) > 300 {
			t.Skip("ranges of ranges take long and show nothing more")
		}
		world, err := synctest.Parse(text)
		if err != nil {
			return
		}
		written := world.String()
		again, err := synctest.Parse(written)
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		if diff := cmp.Diff(written, again.String()); diff != "" {
			t.Fatal(diff)
		}
		world.Vault, again.Vault, world.CompanyLines, again.CompanyLines = nil, nil, nil, nil // elsewhere in the text
		if diff := cmp.Diff(world, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
