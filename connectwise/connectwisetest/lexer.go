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

// lex splits a conditions string. Quotes have no escape: no server text proves
// one, so a client must not count on it.
func lex(s string) ([]token, error) {
	var out []token
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '(':
			out = append(out, token{tokOpen, "("})
			i++
		case c == ')':
			out = append(out, token{tokClose, ")"})
			i++
		case c == ',':
			out = append(out, token{tokComma, ","})
			i++
		case c == '"' || c == '\'':
			end := strings.IndexByte(s[i+1:], c)
			if end < 0 {
				return nil, conditionError("The string %s is not closed. %s", s[i:], literalHelp)
			}
			out = append(out, token{tokString, s[i+1 : i+1+end]})
			i += end + 2
		case c == '[':
			end := strings.IndexByte(s[i:], ']')
			if end < 0 {
				return nil, conditionError("The date %s is not closed. %s", s[i:], literalHelp)
			}
			out = append(out, token{tokDate, strings.TrimSpace(s[i+1 : i+end])})
			i += end + 1
		case c == '=':
			out = append(out, token{tokOperator, "="})
			i++
		case c == '!' || c == '<' || c == '>':
			n := 1
			if i+1 < len(s) && s[i+1] == '=' {
				n = 2
			}
			op := s[i : i+n]
			if op == "!" {
				return nil, conditionError("%s is not a recognized operator.", op)
			}
			out = append(out, token{tokOperator, op})
			i += n
		case isDigit(c) || c == '-':
			n := 1
			for i+n < len(s) && (isWordByte(s[i+n]) || s[i+n] == '.') {
				n++
			}
			if !isNumber(s[i : i+n]) {
				return nil, conditionError("%s is not a number. %s", s[i:i+n], literalHelp)
			}
			out = append(out, token{tokNumber, s[i : i+n]})
			i += n
		case isWordByte(c):
			n := 1
			for i+n < len(s) && (isWordByte(s[i+n]) || s[i+n] == '/') {
				n++
			}
			out = append(out, token{tokWord, s[i : i+n]})
			i += n
		default:
			return nil, conditionError("Unexpected text %q.", s[i:])
		}
	}
	return append(out, token{kind: tokEnd}), nil
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
