package passwordstore

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"cwvault/sync"
	"cwvault/vault"
)

func TestEncodeMark(t *testing.T) {
	got, err := encodeMark(sync.Mark{Tenant: "acmeinc", Key: "company/250"})
	if want := `{"cwvault":1,"tenant":"acmeinc","key":"company/250"}` + "\n"; err != nil || string(got) != want {
		t.Errorf("encodeMark = %q, %v; want %q", got, err, want)
	}
	for _, m := range []sync.Mark{
		{}, {Tenant: "acmeinc"}, {Key: "company/1"}, {Tenant: "a b", Key: "company/1"}, {Tenant: "acmeinc", Key: "company/0x1"},
		{Tenant: "acmeinc", Key: "group/\xff"}, {Tenant: "acmeinc", Key: sync.Key("group/" + strings.Repeat("x", maxMark))},
	} {
		if data, err := encodeMark(m); !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("encodeMark(%.80q) = %.80q, %v; want an error that is %q", m, data, err, vault.ErrInvalid)
		}
	}
}

// badMarks are not marks, each for one reason.
var badMarks = map[string]string{
	"empty":            "",
	"white space":      " \n",
	"cut":              `{"cwvault":1,"tenant":"acmeinc","key":"comp`,
	"no end":           `{"cwvault":1,"tenant":"acmeinc","key":"company/250"`,
	"more after":       `{"cwvault":1,"tenant":"acmeinc","key":"company/250"}{}`,
	"text after":       `{"cwvault":1,"tenant":"acmeinc","key":"company/250"} x`,
	"next version":     `{"cwvault":2,"tenant":"acmeinc","key":"company/250"}`,
	"version as text":  `{"cwvault":"1","tenant":"acmeinc","key":"company/250"}`,
	"version 1.5":      `{"cwvault":1.5,"tenant":"acmeinc","key":"company/250"}`,
	"no version":       `{"tenant":"acmeinc","key":"company/250"}`,
	"unknown field":    `{"cwvault":1,"tenant":"acmeinc","key":"company/250","x":1}`,
	"field twice":      `{"cwvault":1,"tenant":"acmeinc","key":"company/1","key":"company/250"}`,
	"other case":       `{"cwvault":1,"tenant":"acmeinc","Key":"company/250"}`,
	"no tenant":        `{"cwvault":1,"key":"company/250"}`,
	"empty tenant":     `{"cwvault":1,"tenant":"","key":"company/250"}`,
	"tenant of two":    `{"cwvault":1,"tenant":"acme inc","key":"company/250"}`,
	"no key":           `{"cwvault":1,"tenant":"acmeinc"}`,
	"null key":         `{"cwvault":1,"tenant":"acmeinc","key":null}`,
	"unknown key":      `{"cwvault":1,"tenant":"acmeinc","key":"person/250"}`,
	"signed key":       `{"cwvault":1,"tenant":"acmeinc","key":"company/+250"}`,
	"zero":             `{"cwvault":1,"tenant":"acmeinc","key":"company/0"}`,
	"leading zero":     `{"cwvault":1,"tenant":"acmeinc","key":"company/0250"}`,
	"number too large": `{"cwvault":1,"tenant":"acmeinc","key":"company/99999999999999999999"}`,
	"nested":           `{"cwvault":1,"tenant":{"a":1},"key":"company/250"}`,
	"array inside":     `{"cwvault":1,"tenant":[1,2],"key":"company/250"}`,
	"array":            `["cwvault",1]`,
	"text":             `acmeinc company/250`,
	"not UTF-8":        "{\"cwvault\":1,\"tenant\":\"acme\xff\",\"key\":\"company/250\"}",
	"bom":              "\ufeff" + `{"cwvault":1,"tenant":"acmeinc","key":"company/250"}`,
	"huge":             `{"cwvault":1,"tenant":"acmeinc","key":"company/250"}` + strings.Repeat(" ", maxMark),
}

func TestDecodeMark(t *testing.T) {
	for _, data := range []string{
		`{"cwvault":1,"tenant":"acmeinc","key":"company/250"}` + "\n",
		"{\r\n  \"key\": \"company/250\",\r\n  \"tenant\": \"acmeinc\",\r\n  \"cwvault\": 1\r\n}\r\n", // as git and editors may leave it
	} {
		if m, err := decodeMark([]byte(data)); err != nil || m != mark(250) {
			t.Errorf("decodeMark(%q) = %v, %v", data, m, err)
		}
	}
	for name, data := range badMarks {
		if m, err := decodeMark([]byte(data)); !errors.Is(err, errBadMark) || m != (sync.Mark{}) {
			t.Errorf("%s: decodeMark = %v, %v; want an error", name, m, err)
		}
	}
}

func FuzzMark(f *testing.F) {
	for _, data := range badMarks {
		f.Add([]byte(data))
	}
	for _, m := range []sync.Mark{mark(1), mark(2147483647), {Tenant: "a", Key: `group/text:<&>"\` + "\u2028\n"}, {Tenant: "ä", Key: "group/status:4/initial:Ö"}} {
		data, err := encodeMark(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if quick, ok := asWritten(string(data)); ok && utf8.Valid(data) {
			if m, ok := parseMark(data); !ok || m != quick {
				t.Errorf("%q is read as %+v, and by JSON as %+v, %v", data, quick, m, ok)
			}
		}
		m, err := decodeMark(data)
		if err != nil {
			if m != (sync.Mark{}) {
				t.Errorf("decodeMark returned %v beside an error", m)
			}
			return
		}
		if m.Tenant == "" || !m.Key.Valid() {
			t.Errorf("decodeMark accepts %+v", m)
		}
		written, err := encodeMark(m)
		if err != nil {
			t.Fatalf("encodeMark(%+v): %v", m, err)
		}
		if again, err := decodeMark(written); err != nil || again != m {
			t.Errorf("%+v was written as %q and read as %+v, %v", m, written, again, err)
		}
	})
}
