package httpclient

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// longSecret is from how many characters on a secret is found inside other
	// words too. A shorter one may be a word, or a part of many.
	longSecret = 8
	// shortSecret is how many characters a secret has at least. Anything shorter
	// is a placeholder: to hide it would hide letters, and tell which.
	shortSecret = 4

	redacted = "[redacted]"
	// maxText bounds a server's text in characters.
	maxText = 300
)

// Redactor removes secrets from texts that people will see. The zero value knows
// no secrets. Printing a Redactor does not print them.
type Redactor struct {
	secrets func() []string // longest first; a function, so that no formatting shows them
}

// NewRedactor returns a Redactor for these secrets. It removes a secret of 8 or
// more characters everywhere, and one of 4 to 7 only as a whole word, so that
// texts stay readable. It ignores shorter ones.
func NewRedactor(secrets ...string) Redactor {
	known := slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return utf8.RuneCountInString(s) < shortSecret })
	slices.SortStableFunc(known, func(a, b string) int { return len(b) - len(a) })
	return Redactor{func() []string { return known }}
}

// Redact returns text with "[redacted]" in place of each secret.
func (r Redactor) Redact(text string) string {
	if r.secrets == nil {
		return text
	}
	known := r.secrets()
	var b strings.Builder
	for at := 0; at < len(text); {
		secret := secretAt(text, at, known)
		if secret != "" {
			b.WriteString(redacted)
			at += len(secret)
			continue
		}
		_, size := utf8.DecodeRuneInString(text[at:])
		b.WriteString(text[at : at+size])
		at += size
	}
	return b.String()
}

// secretAt returns the first of the known secrets that begins at a position in
// text, or "".
func secretAt(text string, at int, known []string) string {
	for _, secret := range known {
		if !strings.HasPrefix(text[at:], secret) {
			continue
		}
		if utf8.RuneCountInString(secret) >= longSecret || isWord(text, at, at+len(secret)) {
			return secret
		}
	}
	return ""
}

// isWord reports whether neither a letter nor a digit touches text[start:end].
func isWord(text string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:start])
	after, _ := utf8.DecodeRuneInString(text[end:])
	inWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	return !inWord(before) && !inWord(after)
}

// Clean makes a server's text safe to show: on one line, without secrets and
// invisible characters, and at most 300 characters long.
func (r Redactor) Clean(text string) string {
	text = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, r.Redact(text))
	text = strings.Join(strings.Fields(text), " ")
	if short := []rune(text); len(short) > maxText {
		text = string(short[:maxText]) + "…"
	}
	return text
}
