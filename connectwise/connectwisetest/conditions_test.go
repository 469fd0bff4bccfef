package connectwisetest

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// sample is a world whose companies the condition tables speak about.
func sample() *world {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	w := newWorld(func() time.Time { return now })
	for _, n := range []string{"Active", "Inactive"} {
		w.addEntry(&w.statuses, "status", n)
	}
	for _, n := range []string{"Client", "Vendor", "Partner"} {
		w.addEntry(&w.kinds, "type", n)
	}
	w.addEntry(&w.territories, "territory", "East")
	w.customs = []CustomField{{1, "TomNumber", "Text", "EntryField"}, {2, "Seats", "Number", "EntryField"}}
	w.add(Company{ID: 1, Identifier: "alovet", Name: "Alovet, Inc.", Status: 1, Types: []int{1, 3}, Territory: 1})
	w.add(Company{ID: 2, Identifier: "AB", Name: `Bob's "Bar"`, Status: 2, Types: []int{2}, CustomFields: map[int]any{1: "T-7", 2: 12.0}})
	w.add(Company{ID: 3, Identifier: "C-3", Name: "[C] 50% off_", Fields: map[string]any{"numberOfEmployees": 40, "annualRevenue": 1.5, "dateAcquired": "2020-01-02T03:04:05Z"}})
	w.add(Company{ID: 4, Identifier: "ÄÖ", Name: "Ärzte", Status: 1, Parent: 1, Types: []int{1}})
	w.delete(w.company(3))
	now = now.Add(time.Hour)
	w.setTypes(w.company(4), []int{1, 2})
	w.changed(w.company(4), "updated")
	return w
}

// matching returns the ids of the sample's companies that meet the filter.
func matching(t testing.TB, param, conditions string) ([]int, error) {
	t.Helper()
	w := sample()
	f, err := parseFilters(map[string][]string{param: {conditions}}, typesModel(w))
	if err != nil {
		return nil, err
	}
	ids := []int{}
	for _, c := range w.companies {
		if f(c) {
			ids = append(ids, c.ID)
		}
	}
	return ids, nil
}

func TestConditions(t *testing.T) {
	for conditions, want := range map[string][]int{
		"":                    {1, 2, 3, 4},
		"   ":                 {1, 2, 3, 4},
		"id=2":                {2},
		"id = 2.0":            {2},
		"ID != 2":             {1, 3, 4},
		"id<2":                {1},
		"id <= 2":             {1, 2},
		"id > 3":              {4},
		"id >= 3":             {3, 4},
		"id > -1":             {1, 2, 3, 4},
		"id in (3, 2,4)":      {2, 3, 4},
		"id IN(1)":            {1},
		"id not in (3, 2, 4)": {1},

		"deletedFlag=false":              {1, 2, 4},
		"deletedFlag = True":             {3},
		"DeletedFlag != FALSE":           {3},
		"(deletedFlag=False and id > 1)": {2, 4},

		`name = "alovet, inc."`:     {1},
		`name = 'Alovet, Inc.'`:     {1},
		`name = 'Bob"s'`:            {},
		`name contains "Bob's"`:     {2},
		`name contains '"Bar"'`:     {2},
		`name contains "VET"`:       {1},
		`name not contains "vet"`:   {2, 3, 4},
		`name contains "%"`:         {3},
		`name contains "[[]C]"`:     {3},
		`name like "alo*"`:          {1},
		`name like "%inc%"`:         {1},
		`name like "*inc"`:          {},
		`name like "[[]c]*"`:        {3},
		`name like "ärz_e"`:         {4},
		`name like "[ab]*"`:         {1, 2},
		`name not like "%"`:         {},
		`name not like "A*"`:        {2, 3, 4},
		`name < "b"`:                {1, 3},
		`identifier in ("AB",'äö')`: {2, 4},

		`status/id = 1`:                            {1, 4},
		`Status/Name = "active"`:                   {1, 4},
		`status/id != 1`:                           {2}, // a company without a status is neither
		`status/id not in (1)`:                     {2},
		`status/id = null`:                         {3},
		`status/id != NULL`:                        {1, 2, 4},
		`parentCompany/identifier = "ALOVET"`:      {4},
		`territory/name = "East"`:                  {1},
		`territory/id != null or status/id = null`: {1, 3},

		`id = 1 or id = 2 and deletedFlag = true`:   {1},
		`(id = 1 or id = 3) and deletedFlag = true`: {3},
		`id=1 OR id=2 oR id=3 AND id=9`:             {1, 2},
		`((((id = 4))))`:                            {4},

		`lastUpdated > [2026-03-04T05:06:07Z]`:         {4},
		`lastUpdated >= [2026-03-04T05:06:07Z]`:        {1, 2, 3, 4},
		`lastupdated > [2026-03-04T06:06:07+01:00]`:    {4},
		`lastUpdated > [2026-03-04T05:06:07]`:          {4},
		`lastUpdated > [2026-03-04 05:06:07]`:          {4},
		`lastUpdated>[2026-03-04]`:                     {1, 2, 3, 4},
		`lastUpdated < [2026-03-04]`:                   {},
		`dateDeleted != null`:                          {3},
		`dateAcquired = [2020-01-02T03:04:05Z]`:        {3},
		`numberOfEmployees = 40 and annualRevenue<2`:   {3},
		`annualRevenue = 1.5`:                          {3},
		`annualRevenue = 0`:                            {1, 2, 4},
		`website = "" and site/name = "main" and id>3`: {4},
	} {
		got, err := matching(t, "conditions", conditions)
		if err != nil {
			t.Errorf("%s: %v", conditions, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", conditions, diff)
		}
	}
}

func TestChildConditions(t *testing.T) {
	for conditions, want := range map[string][]int{
		`types/name="Client"`:                         {1, 4},
		`types/id = 2`:                                {2, 4},
		`Types/Id = 2 or types/name like "part*"`:     {1, 2, 4},
		`types/name != "Client"`:                      {1, 2, 4}, // some type is another
		`types/id = 1 and types/name = "Vendor"`:      {},        // one type must meet all of it
		`(types/id=3 and types/name contains "Part")`: {1},
	} {
		got, err := matching(t, "childConditions", conditions)
		if err != nil {
			t.Errorf("%s: %v", conditions, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", conditions, diff)
		}
	}
}

func TestCustomFieldConditions(t *testing.T) {
	for conditions, want := range map[string][]int{
		`caption="TomNumber" AND value !=null`:  {2},
		`caption="TomNumber" AND value = null`:  {1, 3, 4},
		`caption="TomNumber" and value = "t-7"`: {2},
		`caption="Seats" and value > 11`:        {2},
		`caption="Seats" and value = "12"`:      {},
		`id = 2 and value like "T*"`:            {},
	} {
		got, err := matching(t, "customFieldConditions", conditions)
		if err != nil {
			t.Errorf("%s: %v", conditions, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", conditions, diff)
		}
	}
}

func TestConditionErrors(t *testing.T) {
	for _, c := range []struct{ param, conditions, message string }{
		{"conditions", "resources/identifier = 1", "resources/identifier is not a recognized name."},
		{"conditions", "Nope = 1", "Nope is not a recognized name."},
		{"conditions", "status/nope = 1", "status/nope is not a recognized name."},
		{"conditions", "status = 1", "status is not a recognized name."},
		{"conditions", "types = null", "types is not a recognized name."},
		{"conditions", "id/x = 1", "id/x is not a recognized name."},
		{"conditions", `types/name = "Client"`, "types/name is not a recognized name."},
		{"conditions", "types/id = 2", "types/id is not a recognized name."},
		{"conditions", `customFields/caption = "x"`, "customFields/caption is not a recognized name."},
		{"conditions", "_info/lastUpdated > [2020-01-01]", "_info/lastUpdated is not a recognized name."},
		{"conditions", "deletedFlag = 0", "Expected a boolean value, not a numeric. " + literalHelp},
		{"conditions", `id = "1"`, "Expected a numeric value, not a string. " + literalHelp},
		{"conditions", `id in (1, "2")`, "Expected a numeric value, not a string. " + literalHelp},
		{"conditions", `id in (1, null)`, "Expected a numeric value, not a null. " + literalHelp},
		{"conditions", "name = 5", "Expected a string value, not a numeric. " + literalHelp},
		{"conditions", `lastUpdated > "2026-01-01"`, "Expected a datetime value, not a string. " + literalHelp},
		{"conditions", "id > null", "Expected a numeric value, not a null. " + literalHelp},
		{"conditions", "lastUpdated > [yesterday]", "String was not recognized as a valid DateTime."},
		{"conditions", "id like 1", "The operator like is not supported for id."},
		{"conditions", "deletedFlag > false", "The operator > is not supported for deletedFlag."},
		{"conditions", "id ! 1", "! is not a recognized operator."},
		{"conditions", "id not = 1", "= is not a recognized operator."},
		{"conditions", "id is null", "is is not a recognized operator."},
		{"conditions", "not id = 1", "id is not a recognized operator."},
		{"conditions", "id = 5x", "5x is not a number. " + literalHelp},
		{"conditions", "id = 1.", "1. is not a number. " + literalHelp},
		{"conditions", "id = 1.2.3", "1.2.3 is not a number. " + literalHelp},
		{"conditions", "id = --1", "- is not a number. " + literalHelp},
		{"conditions", `name = "open`, `The string "open is not closed. ` + literalHelp},
		{"conditions", `name = "a\"b"`, ""}, // a backslash is no escape
		{"conditions", "lastUpdated > [2020", "The date [2020 is not closed. " + literalHelp},
		{"conditions", "id = abc", `Expected a value, not "abc". ` + literalHelp},
		{"conditions", "id =", `Expected a value, not "". ` + literalHelp},
		{"conditions", "id", " is not a recognized operator."},
		{"conditions", "id = 1 and", `Expected a field name, not "".`},
		{"conditions", "id = 1 id = 2", "Unexpected id after the condition."},
		{"conditions", "(id = 1", "A closing parenthesis is missing."},
		{"conditions", "id = 1)", "Unexpected ) after the condition."},
		{"conditions", "()", `Expected a field name, not ")".`},
		{"conditions", "id in 1", "Expected a list in parentheses after in."},
		{"conditions", "id in ()", `Expected a value, not ")". ` + literalHelp},
		{"conditions", "id in (1", "A closing parenthesis is missing."},
		{"conditions", "id in (1 2)", "A closing parenthesis is missing."},
		{"conditions", "id = 1; drop", `Unexpected text "; drop".`},
		{"conditions", strings.Repeat("(", 101) + "id=1" + strings.Repeat(")", 101), "The condition is nested too deeply."},
		{"childConditions", `name = "x"`, "name is not a recognized name."},
		{"childConditions", `types = 1`, "types is not a recognized name."},
		{"childConditions", `customFields/id = 1`, "customFields/id is not a recognized name."},
		{"childConditions", `types/id in (1, 2)`, "The operator in is not supported here."},
		{"childConditions", `types/id not in (1)`, "The operator in is not supported here."},
		{"customFieldConditions", `caption in ("a")`, "The operator in is not supported here."},
		{"customFieldConditions", `nope = "a"`, "nope is not a recognized name."},
		{"customFieldConditions", `value > null`, "Expected a string value, not a null. " + literalHelp},
	} {
		ids, err := matching(t, c.param, c.conditions)
		var e *apiError
		if !errors.As(err, &e) {
			t.Errorf("%s=%s: matched %v, want an error", c.param, c.conditions, ids)
			continue
		}
		if e.status != 400 || e.code != "ApiFindCondition" || !strings.HasPrefix(e.message, c.message) {
			t.Errorf("%s=%s: %d %s %q\nwant %q", c.param, c.conditions, e.status, e.code, e.message, c.message)
		}
	}
}

// TestLike compares the matcher with the regular expression of the same meaning.
func TestLike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*%_.]{0,8}`).Draw(t, "pattern")
		s := rapid.StringMatching(`[abAB._]{0,10}`).Draw(t, "text")
		re := "(?is)^" + strings.NewReplacer(`\*`, ".*", "%", ".*", "_", ".").Replace(regexp.QuoteMeta(pattern)) + "$"
		if got, want := likePattern(pattern)(s), regexp.MustCompile(re).MatchString(s); got != want {
			t.Fatalf("%q like %q is %v, want %v (%s)", s, pattern, got, want, re)
		}
	})
}

// show prints a parsed condition so that parsing it again gives the same tree.
func show(n node) string {
	switch n := n.(type) {
	case junction:
		var parts []string
		for _, k := range n.kids {
			s := show(k)
			if _, nested := k.(junction); nested {
				s = "(" + s + ")"
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, map[bool]string{true: " and ", false: " or "}[n.and])
	case comparison:
		var values []string
		for _, v := range n.values {
			switch v.kind {
			case litString:
				quote := `"`
				if strings.Contains(v.text, quote) {
					quote = "'"
				}
				values = append(values, quote+v.text+quote)
			case litNumber:
				values = append(values, strconv.FormatFloat(v.num, 'f', -1, 64))
			case litBoolean:
				values = append(values, strconv.FormatBool(v.flag))
			case litDate:
				values = append(values, "["+v.time.Format(time.RFC3339Nano)+"]")
			case litNull:
				values = append(values, "null")
			}
		}
		not := map[bool]string{true: " not "}[n.not]
		value := strings.Join(values, ", ")
		if n.op == "in" {
			value = "(" + value + ")"
		}
		return n.name + not + " " + n.op + " " + value
	}
	return ""
}

func FuzzConditions(f *testing.F) {
	for _, seed := range []string{
		"", "id=1", `name like "a*" and deletedFlag=false`, "status/id not in (1,2) or lastUpdated > [2020-01-01T00:00:00Z]",
		`(name contains 'x' or (id >= -1.5 and territory/name != null))`, `types/name="Client"`, `caption="x" AND value !=null`,
		`name = "[[]x]"`, `name = "open`, "((((", "id in (1", "[", "-", "!", "\x00", "id = 1 or or",
	} {
		f.Add(seed)
	}
	w := sample()
	fields := typesModel(w)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseConditions(s)
		var e *apiError
		if err != nil && (!errors.As(err, &e) || e.code != "ApiFindCondition" || e.message == "") {
			t.Fatalf("%q: %v is not the server's kind of error", s, err)
		}
		if err == nil && n != nil {
			again, err := parseConditions(show(n))
			if err != nil {
				t.Fatalf("%q parses, its own print %q does not: %v", s, show(n), err)
			}
			if diff := cmp.Diff(n, again, cmp.AllowUnexported(junction{}, comparison{}, literal{})); diff != "" {
				t.Fatalf("%q: (-first +again)\n%s", s, diff)
			}
		}
		for _, param := range []string{"conditions", "childConditions", "customFieldConditions"} {
			filter, err := parseFilters(map[string][]string{param: {s}}, fields)
			if err != nil {
				continue
			}
			for _, c := range w.companies {
				filter(c)
			}
		}
	})
}
