package sync

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// NameRules says which folder names a vault can store. Every vault states its
// own rules; package vault has the parts they share.
type NameRules struct {
	// MaxLength is the length of the longest possible name, as Length counts
	// it. Zero means no limit.
	MaxLength int
	// Length measures a name in the vault's own unit (bytes, UTF-16 units).
	// Nil counts Unicode code points.
	Length func(name string) int
	// Forbidden holds characters that a name must not contain. They become '-'.
	// The backslash and control characters are always forbidden and need not be
	// listed.
	Forbidden string
	// Leading and Trailing hold characters with which no name may begin or end.
	// They are dropped there. White space is always dropped there.
	Leading, Trailing string
	// Special reports names that the vault reserves (".git", "CON") although
	// their characters are allowed. Nil: none. A name with " (IDENTIFIER)"
	// appended must not be special.
	Special func(name string) bool
	// Fold maps names that look the same to people to the same string: it ignores
	// case, width and Unicode form. It must be idempotent. Must not be nil.
	Fold func(name string) string
	// Form converts a name to the Unicode form in which it is written. It must be
	// idempotent. Must not be nil.
	Form func(name string) string
}

// replacement replaces a forbidden character.
const replacement = '-'

// Clean returns the name nearest to s that the vault can store, except for length
// and special names: it trims, collapses white space, drops control and invisible
// characters, and replaces forbidden ones. The result is empty if nothing is left.
// Clean is idempotent.
func (r NameRules) Clean(s string) string {
	if r.isClean(s) {
		return s
	}
	// Dropping a character can join characters that Form then composes, and the
	// other way round. Two rounds are enough for every known input; the limit
	// keeps a faulty Form from looping forever.
	for range 4 {
		formed := r.Form(s) // rule 5: one Unicode form
		next := r.trim(r.replace(formed))
		if next != formed {
			next = r.Form(next)
		}
		if next == s {
			break
		}
		s = next
	}
	return s
}

// isClean is the fast path: nearly all names are printable ASCII.
func (r NameRules) isClean(s string) bool {
	if s == "" {
		return true
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < ' ' || c >= 0x7f || c == '\\' || strings.IndexByte(r.Forbidden, c) >= 0 {
			return false
		}
		if c == ' ' && (i == 0 || i == len(s)-1 || s[i-1] == ' ') {
			return false
		}
	}
	return strings.IndexByte(r.Leading, s[0]) < 0 && strings.IndexByte(r.Trailing, s[len(s)-1]) < 0
}

func (r NameRules) replace(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, c := range strings.ToValidUTF8(s, "") {
		switch {
		case unicode.IsSpace(c):
			space = true
			continue
		case unicode.IsControl(c) || invisible(c): // rule 5: control characters dropped; rule 5: invisible characters dropped
			continue
		case c == '\\' || strings.ContainsRune(r.Forbidden, c): // rule 5: forbidden characters replaced; rule 5: never more than one level
			c = replacement
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(c)
	}
	return b.String()
}

func (r NameRules) trim(s string) string {
	return strings.TrimRight(strings.TrimLeft(s, " "+r.Leading), " "+r.Trailing) // rule 5: trimmed
}

// invisible reports characters that show nothing on a screen. Two names that
// differ only by them look the same. They are format characters (zero-width,
// bidirectional controls, the byte order mark) and those that Unicode lists as
// ignorable by default.
func invisible(c rune) bool {
	if c < 0x80 {
		return false
	}
	return unicode.In(c, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point, unicode.Zl, unicode.Zp) ||
		c == 0x2800 // the blank Braille pattern
}

func (r NameRules) length(s string) int {
	if r.Length != nil {
		return r.Length(s)
	}
	return utf8.RuneCountInString(s)
}

func (r NameRules) tooLong(s string) bool { return r.MaxLength > 0 && r.length(s) > r.MaxLength }

// usable reports whether a clean name can be used as it is.
func (r NameRules) usable(s string) bool {
	return s != "" && !r.tooLong(s) && (r.Special == nil || !r.Special(s)) // rule 5: special names are not used
}

// withSuffix appends suffix to name and shortens the name, never the suffix, to
// fit the vault.
func (r NameRules) withSuffix(name, suffix string) string {
	if !r.tooLong(name + suffix) {
		return r.Clean(name + suffix)
	}
	// Count from the front: a name may be far longer than any limit.
	end := 0
	for end < len(name) {
		_, n := utf8.DecodeRuneInString(name[end:])
		if r.tooLong(name[:end+n] + suffix) { // rule 5: cut to length
			break
		}
		end += n
	}
	// Do not separate a letter from its accents.
	for end > 0 {
		if c, _ := utf8.DecodeRuneInString(name[end:]); !unicode.Is(unicode.M, c) { // rule 5: no letter without its accents
			break
		}
		_, n := utf8.DecodeLastRuneInString(name[:end])
		end -= n
	}
	return r.Clean(name[:end] + suffix)
}

// leafNames returns the names that a company's folder may have, best first, at
// least one. s is its expanded template.
func (r NameRules) leafNames(s, identifier string, id int) []string {
	base, ident, number := r.Clean(s), r.Clean(identifier), r.Clean("#"+strconv.Itoa(id))
	if r.MaxLength > 0 && r.length(ident) > r.MaxLength/2 {
		ident = "" // would leave no room for the name
	}
	var names []string
	switch {
	case r.usable(base):
		names = append(names, base)
	case base == "" && r.usable(ident): // rule 5: what has nothing left is named by its identifier
		base, ident = ident, ""
		names = append(names, base)
	case base == "":
		return []string{number, r.withSuffix("", "("+number+")")}
	}
	if ident != "" {
		names = append(names, r.withSuffix(base, " ("+ident+")")) // rule 5: the identifier is kept
	}
	return append(names, r.withSuffix(base, " ("+number+")"))
}
