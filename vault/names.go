package vault

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold maps names that look the same to people to the same string: it ignores case (ß
// is ss), width and other compatibility forms (Ａ is a, ﬁ is fi), and the Unicode form
// of accents. It is the Fold of every vault's [sync.NameRules]. It is idempotent and
// may be called from several goroutines. A name of lower-case ASCII stays as it is.
//
// The result is only for comparisons and is never written anywhere.
func Fold(name string) string {
	upper := -1 // the first upper-case letter
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 0x80:
			return foldUnicode(name)
		case 'A' <= c && c <= 'Z' && upper < 0:
			upper = i
		}
	}
	if upper < 0 {
		return name
	}
	var short [64]byte
	lower := append(short[:0], name...)
	for i := upper; i < len(lower); i++ {
		if c := lower[i]; 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return string(lower)
}

func foldUnicode(name string) string {
	// A folded name may need normalising, and a normalised name folding: 𝐀 has no
	// lower case, but its compatibility form A has. Two rounds are enough for every
	// character of today's Unicode, and the third confirms it.
	name = Form(name)    // U+0345 folds to a letter, so marks must be in order before
	fold := cases.Fold() // goroutines must not share one
	for range 4 {
		// cases.Fold swaps the two cases of Cherokee instead of folding them,
		// hence ToLower, which leaves other folded text as it is.
		folded := norm.NFKC.String(strings.ToLower(fold.String(name)))
		if folded == name {
			break
		}
		name = folded
	}
	return name
}

// Form converts a name to Unicode normalisation form C, in which names are written:
// macOS and some web forms send é as e and a combining accent. It is the Form of every
// vault's [sync.NameRules].
func Form(name string) string { return norm.NFC.String(name) }
