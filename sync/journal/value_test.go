package journal

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "Alovet, Inc.", "\x01", "\x01ff", "\x01zz", "\xff", "a\x00b", odd} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := text(s).Value()
		ok(t, err)
		kept := v.(string)
		if !utf8.ValidString(kept) || strings.Contains(kept, "\x00") {
			t.Errorf("%q is kept as %q", s, kept)
		}
		var back text
		ok(t, back.Scan(kept))
		if string(back) != s {
			t.Errorf("%q comes back as %q", s, back)
		}
	})
}
