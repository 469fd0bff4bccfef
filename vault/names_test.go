package vault

import (
	gosync "sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFold(t *testing.T) {
	for name, tt := range map[string]struct {
		names []string // that fold to want
		want  string
	}{
		"lower ascii":               {[]string{"acme, inc. 24/7"}, "acme, inc. 24/7"},
		"case":                      {[]string{"Acme", "ACME", "aCmE"}, "acme"},
		"accent forms":              {[]string{"Café", "Cafe\u0301", "CAFÉ", "CAFE\u0301"}, "café"},
		"sharp s":                   {[]string{"Straße", "STRASSE", "STRAẞE"}, "strasse"},
		"final sigma":               {[]string{"ΟΔΟΣ", "οδος", "οδοσ"}, "οδοσ"},
		"full width":                {[]string{"ＡＢＣ１", "abc1"}, "abc1"},
		"half width":                {[]string{"ｶﾞ", "ガ", "カ\u3099"}, "ガ"},
		"ligature":                  {[]string{"ﬁsh", "FISH"}, "fish"},
		"kelvin":                    {[]string{"\u212a", "K"}, "k"},
		"bold capital":              {[]string{"𝐀𝐜𝐦𝐞", "acme"}, "acme"},
		"circled capital":           {[]string{"Ⓐ", "ⓐ", "A"}, "a"},
		"no-break space":            {[]string{"a\u00a0b", "A b"}, "a b"},
		"mark order":                {[]string{"a\u0323\u0302", "a\u0302\u0323", "Ậ"}, "ậ"},
		"cherokee":                  {[]string{"Ꭰ", "ꭰ"}, "ꭰ"},
		"cyrillic":                  {[]string{"ООО Ромашка", "ооо ромашка"}, "ооо ромашка"},
		"empty":                     {[]string{""}, ""},
		"cyrillic а is not latin a": {[]string{"а"}, "а"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range tt.names {
				if diff := cmp.Diff(tt.want, Fold(n)); diff != "" {
					t.Errorf("Fold(%+q) (-want +got):\n%s", n, diff)
				}
			}
		})
	}
}

func TestForm(t *testing.T) {
	for in, want := range map[string]string{
		"Cafe\u0301":   "Café",
		"Café":         "Café",
		"plain":        "plain",
		"ＡＢＣ ﬁ":        "ＡＢＣ ﬁ", // another look is not another form
		"bad \xff end": "bad \xff end",
	} {
		if got := Form(in); got != want {
			t.Errorf("Form(%+q) = %+q, want %+q", in, got, want)
		}
	}
}

func TestFoldAllocates(t *testing.T) {
	for name, want := range map[string]float64{"alovet, inc.": 0, "Alovet, Inc.": 1} {
		if got := testing.AllocsPerRun(100, func() { Fold(name) }); got > want {
			t.Errorf("Fold(%q) allocates %v times, want at most %v", name, got, want)
		}
	}
}

// Meant for -race.
func TestFoldConcurrently(t *testing.T) {
	var wg gosync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if got := Fold("STRASSE ÄÖÜ 𝐀"); got != "strasse äöü a" {
					t.Errorf("Fold = %q", got)
					return
				}
			}
		})
	}
	wg.Wait()
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"", "Acme", "Café", "Cafe\u0301", "İstanbul", "ŉ", "ΐ", "ᾳ\u0345", "𝐀", "ﷺ", "\u0345\u0323",
		"ẞß", "\xff\xfe", "a\xcc", "\u1e9e\u0307", "ǰ\u0323", "㋿", "\u03f4", "ᏸ", "Ꭰ", "\U0001f130", "\u2126\u212a\u212b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		folded := Fold(s)
		if again := Fold(folded); again != folded {
			t.Errorf("Fold(%+q) = %+q, folded again %+q", s, folded, again)
		}
		if formed := Form(s); Form(formed) != formed {
			t.Errorf("Form(%+q) = %+q, formed again %+q", s, formed, Form(formed))
		} else if got := Fold(formed); got != folded {
			t.Errorf("Fold(%+q) = %+q, but in form C %+q", s, folded, got)
		}
	})
}

// Every character on its own and beside what combines with it: the rounds of
// foldUnicode end and nothing is left to fold. Above U+2FFFF nothing has a
// case or another form.
func TestFoldEveryCharacter(t *testing.T) {
	for r := rune(0); r <= 0x2ffff; r++ {
		for _, s := range []string{string(r), "e" + string(r) + "\u0345\u0301"} {
			folded := Fold(s)
			if again := Fold(folded); again != folded {
				t.Fatalf("Fold(%+q) = %+q, folded again %+q", s, folded, again)
			}
		}
	}
}

func BenchmarkFold(b *testing.B) {
	for _, name := range []string{"alovet, inc.", "Alovet, Inc.", "Grün & Söhne GmbH", "株式会社アロベット"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Fold(name)
			}
		})
	}
}
