package connectwisetest

import (
	"fmt"
	"strings"
	"time"
)

// token is one word of a conditions string.
type token struct {
	kind tokenKind
	text string // as written; without quotes or brackets for strings and dates
}

type tokenKind int

const (
	tokEnd tokenKind = iota
	tokWord
	tokString
	tokNumber
	tokDate
	tokOperator
	tokOpen
	tokClose
	tokComma
)

// literalHelp is the server's own explanation of literals; clients show it to
// people, so it is kept to the letter.
const literalHelp = "String values should be enclosed with double or single quotes; " +
	"DateTime values should be enclosed in square brackets; " +
	"numbers should consist of only digits, and optionally a decimal point and a negation sign; " +
	"boolean values should be indicated with the keywords true or false; " +
	"null values should be indicated by the keyword null."

// conditionError is a 400 with the code that the server gives to every
// complaint about conditions.
func conditionError(format string, args ...any) error {
	return &apiError{status: 400, code: "ApiFindCondition", message: fmt.Sprintf(format, args...)}
}

// lex splits a conditions string.
func lex(s string) ([]token, error) {
	var out []token
	for i := 0; i < len(s); {
		if strings.IndexByte(" \t\n\r", s[i]) >= 0 {
			i++
			continue
		}
		t, length, err := lexOne(s[i:])
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		i += length
	}
	return append(out, token{kind: tokEnd}), nil
}

// lexOne returns the token that s begins with, and how many bytes it takes.
func lexOne(s string) (t token, length int, err error) {
	switch c := s[0]; {
	case c == '(':
		return token{tokOpen, "("}, 1, nil
	case c == ')':
		return token{tokClose, ")"}, 1, nil
	case c == ',':
		return token{tokComma, ","}, 1, nil
	case c == '=':
		return token{tokOperator, "="}, 1, nil
	case c == '"' || c == '\'' || c == '[':
		return lexQuoted(s)
	case c == '!' || c == '<' || c == '>':
		n := 1
		if len(s) > 1 && s[1] == '=' {
			n = 2
		}
		if s[:n] == "!" {
			return token{}, 0, conditionError("%s is not a recognized operator.", s[:n])
		}
		return token{tokOperator, s[:n]}, n, nil
	case isDigit(c) || c == '-':
		n := 1 + span(s[1:], '.')
		if !isNumber(s[:n]) {
			return token{}, 0, conditionError("%s is not a number. %s", s[:n], literalHelp)
		}
		return token{tokNumber, s[:n]}, n, nil
	case isWordByte(c):
		n := 1 + span(s[1:], '/')
		return token{tokWord, s[:n]}, n, nil
	}
	return token{}, 0, conditionError("Unexpected text %q.", s)
}

// lexQuoted returns the string or date that s begins with. Quotes have no
// escape: no server text proves one, so a client must not count on it.
func lexQuoted(s string) (t token, length int, err error) {
	kind, what, closing := tokString, "string", s[0]
	if s[0] == '[' {
		kind, what, closing = tokDate, "date", ']'
	}
	end := strings.IndexByte(s[1:], closing)
	if end < 0 {
		return token{}, 0, conditionError("The %s %s is not closed. %s", what, s, literalHelp)
	}
	text := s[1 : 1+end]
	if kind == tokDate {
		text = strings.TrimSpace(text)
	}
	return token{kind, text}, end + 2, nil
}

// span counts the bytes of words, and this one more, that s begins with.
func span(s string, more byte) (n int) {
	for n < len(s) && (isWordByte(s[n]) || s[n] == more) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordByte(c byte) bool {
	return c == '_' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// isNumber reports whether s is digits with at most one decimal point inside
// and one negation sign in front.
func isNumber(s string) bool {
	whole, fraction, dotted := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return digits(whole) && (!dotted || digits(fraction))
}

// parseDate reads the forms of a date that clients are known to send: with Z,
// with an offset, naive, and the day alone. Naive ones are UTC.
func parseDate(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
