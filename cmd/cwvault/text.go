package main

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// plain makes remote text harmless for a terminal or a log: everything that is
// not a printing character or a simple space is written as \u and its number,
// so that no control sequence, direction override or invisible character gets
// through.
func plain(s string) string {
	if strings.IndexFunc(s, notPlain) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case notPlain(r):
			writeEscape(&b, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func notPlain(r rune) bool { return !unicode.IsPrint(r) }

// writeEscape writes a character as JSON does, which readers of both know.
func writeEscape(b interface{ WriteString(string) (int, error) }, r rune) {
	if r > 0xffff {
		hi, lo := utf16.EncodeRune(r)
		fmt.Fprintf(writer{b}, `\u%04x\u%04x`, hi, lo)
		return
	}
	fmt.Fprintf(writer{b}, `\u%04x`, r)
}

type writer struct {
	w interface{ WriteString(string) (int, error) }
}

func (w writer) Write(p []byte) (int, error) { return w.w.WriteString(string(p)) }

// plainJSON escapes in JSON what plain escapes in text. The result means the
// same: such characters can only stand inside strings.
func plainJSON(b []byte) []byte {
	if bytes.IndexFunc(b, func(r rune) bool { return r != '\n' && notPlain(r) }) < 0 {
		return b
	}
	var out bytes.Buffer
	for _, r := range string(b) {
		if r != '\n' && notPlain(r) {
			writeEscape(&out, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

// count writes "1 folder", "2 folders".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	switch {
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
