package sync_test

import (
	"strings"
	"testing"

	"cwvault/sync"
)

func TestKey(t *testing.T) {
	for key, want := range map[sync.Key]struct {
		id             int
		company, group bool
	}{
		"company/250":                 {250, true, false},
		"company/9223372036854775807": {9223372036854775807, true, false},
		"company/9223372036854775808": {},
		"company/0":                   {},
		"company/-1":                  {},
		"company/+1":                  {},
		"company/01":                  {},
		"company/1x":                  {},
		"company/１":                   {},
		"company/":                    {},
		"company":                     {},
		"Company/1":                   {},
		"group/type:1/status:4":       {0, false, true},
		"group/":                      {},
		"group":                       {},
		sync.RootKey:                  {},
		"":                            {},
	} {
		id, company := key.CompanyID()
		if company && id != want.id || company != want.company || key.IsGroup() != want.group || key.Valid() != (want.company || want.group) {
			t.Errorf("%q: id %d, company %t, group %t, valid %t", key, id, company, key.IsGroup(), key.Valid())
		}
		if want.company && sync.CompanyKey(want.id) != key {
			t.Errorf("CompanyKey(%d) = %q", want.id, sync.CompanyKey(want.id))
		}
	}
}

func TestParseMark(t *testing.T) {
	for in, want := range map[string]sync.Mark{
		"acmeinc company/250":            {Tenant: "acmeinc", Key: "company/250"},
		"acmeinc group/text:Our Clients": {Tenant: "acmeinc", Key: "group/text:Our Clients"},
	} {
		if m, err := sync.ParseMark(in); m != want || err != nil || m.String() != in {
			t.Errorf("ParseMark(%q) = %+v, %v; written %q", in, m, err, m)
		}
	}
	for _, in := range []string{"", " ", "acmeinc", "acmeinc ", " company/250", "acmeinc company/0", "acmeinc  company/250", "acmeinc root", "company/250"} {
		if m, err := sync.ParseMark(in); err == nil || m != (sync.Mark{}) {
			t.Errorf("ParseMark(%q) = %+v, %v; want an error", in, m, err)
		}
	}
	if s := (sync.Mark{}).String(); s != "" {
		t.Errorf("no mark is written %q", s)
	}
}

// FuzzMark sees that no two texts are the same mark, and that none is read that
// cwvault would not have written.
func FuzzMark(f *testing.F) {
	for _, s := range []string{"acme company/250", "acme group/type:1/status:4", "acme group/text:a b", "", " ", "acme company/0250", "a\x00 company/1", "acme group/initial:É", "acme root"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := sync.ParseMark(s)
		if err != nil {
			if m != (sync.Mark{}) {
				t.Fatalf("%q is no mark, and %+v", s, m)
			}
			return
		}
		if m.String() != s {
			t.Fatalf("%q is read as %+v, which is written %q", s, m, m)
		}
		if m.Tenant == "" || strings.Contains(m.Tenant, " ") || !m.Key.Valid() {
			t.Fatalf("%q is read as %+v", s, m)
		}
		if id, ok := m.Key.CompanyID(); ok && sync.CompanyKey(id) != m.Key {
			t.Fatalf("%q names company %d, whose key is %s", s, id, sync.CompanyKey(id))
		}
	})
}
