package sync

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Plain makes foreign text safe to print on a terminal or in a log: it writes
// every character that is neither printable nor a plain space as \u and its
// number. So no control sequence, direction override, line end or invisible
// character remains. It does not make text safe for HTML or Markdown.
func Plain(s string) string {
	if strings.IndexFunc(s, notPlain) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case notPlain(r):
			b.WriteString(escaped(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// PlainJSON does the same to JSON. There such characters occur only inside
// strings, and \u is JSON's own notation, so the meaning stays the same.
func PlainJSON(text []byte) []byte {
	if bytes.IndexFunc(text, func(r rune) bool { return r != '\n' && notPlain(r) }) < 0 {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		if r != '\n' && notPlain(r) {
			b.WriteString(escaped(r))
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

func notPlain(r rune) bool { return !unicode.IsPrint(r) || invisible(r) }

// escaped writes a character as JSON does.
func escaped(r rune) string {
	if hi, lo := utf16.EncodeRune(r); r > 0xffff {
		return fmt.Sprintf(`\u%04x\u%04x`, hi, lo)
	}
	return fmt.Sprintf(`\u%04x`, r)
}
