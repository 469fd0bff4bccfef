package sync_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/vault"
)

func TestClean(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"plain":                        {"Alovet, Inc.", "Alovet, Inc."},
		"nothing":                      {"", ""},
		"only spaces":                  {" \u00a0\t\u2003 ", ""},
		"spaces around and inside":     {"  Alovet \u00a0  Inc ", "Alovet Inc"},
		"tab, newline, line separator": {"A\tB\r\nC\u2028D\u0085E", "A B C D E"},
		"control characters":           {"A\x00B\x1b[31mC\x7fD\u009bE", "AB[31mCDE"},
		"only control characters":      {"\x00\x01\u200b", ""},
		"invisible":                    {"A\u200bB\u00adC\ufeffD\u2060E\u3164F\ufe0fG\u2800H\U000e0041I", "ABCDEFGHI"},
		"bidirectional controls":       {"\u202egnp.exe\u202c\u2066x\u2069\u061c\u200f", "gnp.exex"},
		"joiners":                      {"\U0001f468\u200d\U0001f469 Ltd", "\U0001f468\U0001f469 Ltd"},
		"backslash":                    {`a/b\c`, `a-b-c`},
		"forbidden":                    {`<a>:"b"|c?*`, `-a---b--c--`},
		"dots":                         {"..", ""},
		"a dot file":                   {".git", "git"},
		"dots and spaces":              {" . .. Acme", "Acme"},
		"a dot behind":                 {"Acme Inc.", "Acme Inc."},
		"composed and not":             {"Bolt & So\u0308hne", "Bolt & Söhne"},
		"brought together by dropping": {"o\u200b\u0308", "ö"},
		"combining marks stay":         {"Z\u0351\u036b", "Z\u0351\u036b"},
		"width stays":                  {"Ｗｉｄｅ", "Ｗｉｄｅ"},
		"not Latin":                    {"日本語 株式会社", "日本語 株式会社"},
		"ideographic space":            {"日本\u3000語", "日本 語"},
		"not UTF-8":                    {"A\xffB\xc3", "AB"},
		"a solidus overlay":            {"a<\u0338b", "a≮b"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := textRules.Clean(c.in); got != c.want {
				t.Errorf("Clean(%+q) = %+q, want %+q", c.in, got, c.want)
			}
		})
	}
}

func TestLeafNames(t *testing.T) {
	long := strings.Repeat("n", 300)
	utf16 := textRules
	utf16.Length = func(s string) (n int) {
		for _, r := range s {
			n += 1 + int(r>>16&1)
		}
		return n
	}
	bytes := textRules
	bytes.Length = func(s string) int { return len(s) }
	small := textRules
	small.MaxLength = 12
	hash := textRules
	hash.Forbidden += "#"
	unlimited := textRules
	unlimited.MaxLength = 0

	for name, c := range map[string]struct {
		rules       sync.NameRules
		name, ident string
		want        []string
	}{
		"plain":                         {textRules, "Acme", "acme", []string{"Acme", "Acme (acme)", "Acme (#7)"}},
		"no identifier":                 {textRules, "Acme", " ", []string{"Acme", "Acme (#7)"}},
		"identifier to be cleaned":      {textRules, "Acme", "a/b\\\u200bc", []string{"Acme", "Acme (a-b-c)", "Acme (#7)"}},
		"nothing left":                  {textRules, " .. ", "acme", []string{"acme", "acme (#7)"}},
		"nothing left at all":           {textRules, "", "..", []string{"#7", "(#7)"}},
		"nothing left, and # forbidden": {hash, "", "", []string{"-7", "(-7)"}},
		"special":                       {textRules, "CON", "acme", []string{"CON (acme)", "CON (#7)"}},
		"special by cleaning":           {textRules, ".con.", "", []string{"con.", "con. (#7)"}},
		"identifier special":            {textRules, "", "con", []string{"#7", "(#7)"}},
		"300 letters":                   {textRules, long, "acme", []string{long[:33] + " (acme)", long[:35] + " (#7)"}},
		"300 letters, no limit":         {unlimited, long, "acme", []string{long, long + " (acme)", long + " (#7)"}},
		"just fits":                     {textRules, long[:40], "acme", []string{long[:40], long[:33] + " (acme)", long[:35] + " (#7)"}},
		"cut at a space":                {small, "Acme Systems", "a", []string{"Acme Systems", "Acme Sys (a)", "Acme Sy (#7)"}},
		"cut behind a space":            {small, "Acmesys stems", "a", []string{"Acmesys (a)", "Acmesys (#7)"}},
		"identifier too long":           {small, "Acme Systems Ltd", "acmesystems", []string{"Acme Sy (#7)"}},
		"an accent is not cut off":      {small, "abcdefgx\u0301\u0302yzabc", "a", []string{"abcdefg (a)", "abcdefg (#7)"}},
		"only accents":                  {small, strings.Repeat("\u0301", 20), "a", []string{"(a)", "(#7)"}},
		"UTF-16 units":                  {utf16, strings.Repeat("\U0001f600", 30), "a", []string{strings.Repeat("\U0001f600", 18) + " (a)", strings.Repeat("\U0001f600", 17) + " (#7)"}},
		"bytes":                         {bytes, strings.Repeat("ö", 30), "a", []string{strings.Repeat("ö", 18) + " (a)", strings.Repeat("ö", 17) + " (#7)"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.rules.LeafNames(c.name, c.ident, 7)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestCutsLongNamesQuickly sees that a name of a megabyte, which only a broken
// or hostile server sends, costs no more than its length.
func TestCutsLongNamesQuickly(t *testing.T) {
	calls := 0
	r := textRules
	r.Length = func(s string) int { calls++; return utf8.RuneCountInString(s) }
	if got := r.WithSuffix(strings.Repeat("ö", 1<<20), " (#7)"); utf8.RuneCountInString(got) != r.MaxLength {
		t.Errorf("cut to %q", got)
	}
	if calls > 2*r.MaxLength {
		t.Errorf("measured %d times", calls)
	}
}

// fuzzRules are the rules by which names are fuzzed: a password store's, more
// or less, and stricter ones.
var fuzzRules = []sync.NameRules{textRules, testRules, {MaxLength: 20, Length: func(s string) int { return len(s) }, Forbidden: `/()`, Fold: vault.Fold, Form: vault.Form}}

func FuzzName(f *testing.F) {
	for _, n := range names {
		f.Add(n, "ID")
	}
	for _, n := range []string{"\u0338<", "\u202e", "con", "con.", " .con", "ﬁ", "ǆ", "İ", "\xff", strings.Repeat("e\u0301", 200), "a\u0344\u200b\u0301", "\u1e9b\u0323", "가\u11a8", `\\?\C:`} {
		f.Add(n, n)
	}
	f.Fuzz(func(t *testing.T, name, ident string) {
		for _, r := range fuzzRules {
			clean := r.Clean(name)
			if again := r.Clean(clean); again != clean {
				t.Fatalf("Clean(%+q) = %+q, and of that %+q", name, clean, again)
			}
			all := r.LeafNames(name, ident, 1234567)
			if len(all) == 0 {
				t.Fatalf("no name for %+q", name)
			}
			for _, n := range append(all, clean) {
				checkName(t, r, n, n == clean)
			}
			if fits(r, clean) && all[0] != clean {
				t.Fatalf("%+q became %+q, and %+q was good", name, all[0], clean)
			}
			if !slices.Equal(all, r.LeafNames(clean, r.Clean(ident), 1234567)) {
				t.Fatalf("the names of %+q are not those of %+q", name, clean)
			}
		}
	})
}

// checkName sees that a vault can hold a name, on one level. Cleaning alone
// leaves length and special names aside, and may leave nothing.
func checkName(t *testing.T, r sync.NameRules, n string, cleanOnly bool) {
	t.Helper()
	bad := func(what string) { t.Helper(); t.Fatalf("name %+q %s", n, what) }
	if n == "" && !cleanOnly {
		bad("is empty")
	}
	if !utf8.ValidString(n) {
		bad("is not UTF-8")
	}
	if strings.ContainsAny(n, `\`+r.Forbidden) {
		bad("has a forbidden character")
	}
	if n != strings.TrimSpace(n) || strings.Contains(n, "  ") {
		bad("has space around it, or twice")
	}
	if n != strings.TrimLeft(n, r.Leading) || n != strings.TrimRight(n, r.Trailing) {
		bad("begins or ends with a character with which none may")
	}
	if i := strings.IndexFunc(n, func(c rune) bool { return !unicode.IsGraphic(c) && !unicode.In(c, unicode.Co, unicode.Cn) }); i >= 0 {
		bad(fmt.Sprintf("has an invisible character at %d", i))
	}
	if r.Form(n) != n {
		bad("is not in the vault's form")
	}
	if !cleanOnly && !fits(r, n) {
		bad("is too long, or special")
	}
}

// fits reports whether a clean name can be used as it is.
func fits(r sync.NameRules, n string) bool {
	length := utf8.RuneCountInString(n)
	if r.Length != nil {
		length = r.Length(n)
	}
	return n != "" && length <= r.MaxLength && (r.Special == nil || !r.Special(n))
}
