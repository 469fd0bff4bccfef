package synctest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// maxLines limits how many lines a text with ranges such as {1..40} may have.
const maxLines = 1_000_000

// Line is one line of a text, with its number there, from 1.
type Line struct {
	Number int
	Text   string
}

// Error says what is wrong with a line.
type Error struct {
	Line int
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// errorf makes an [Error] for a line.
func (l Line) errorf(format string, args ...any) error {
	return &Error{l.Number, fmt.Errorf(format, args...)}
}

var rangeForm = regexp.MustCompile(`\{(\d+)\.\.(\d+)\}`)

// Lines splits a text into lines, without blank lines and comments. A line with a
// range is repeated, each time with the same number.
func Lines(text string) ([]Line, error) {
	var lines []Line
	for _, l := range plainLines(text) {
		var err error
		if lines, err = l.expand(lines); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// plainLines is Lines without ranges.
func plainLines(text string) (lines []Line) {
	number := 0
	for raw := range strings.SplitSeq(text, "\n") {
		number++
		l := Line{number, strings.TrimLeft(strings.TrimRight(raw, " \t\r"), "\t")}
		if strings.TrimSpace(l.Text) != "" && l.Text[0] != '#' {
			lines = append(lines, l)
		}
	}
	return lines
}

// expand appends the lines that l stands for.
func (l Line) expand(lines []Line) ([]Line, error) {
	m := rangeForm.FindStringSubmatch(l.Text)
	if m == nil {
		return append(lines, l), nil
	}
	first, err := strconv.Atoi(m[1])
	last, err2 := strconv.Atoi(m[2])
	if err != nil || err2 != nil || last < first || last-first >= maxLines-len(lines) {
		return nil, l.errorf("%s is not a range of at most %d numbers", m[0], maxLines)
	}
	for n := first; n <= last; n++ {
		text := strings.NewReplacer(m[0], strconv.Itoa(n), "{}", strconv.Itoa(n)).Replace(l.Text)
		lines = append(lines, Line{l.Number, text})
	}
	return lines, nil
}

// Words splits a line at blanks. A word with blanks is written as a Go string, and
// so is a value such as territory="New York".
func Words(line string) ([]string, error) {
	var list []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		end := strings.IndexByte(line, ' ')
		if end < 0 {
			end = len(line)
		}
		open := strings.IndexByte(line[:end], '"')
		if open < 0 || open > 0 && line[open-1] != '=' {
			list, line = append(list, line[:end]), line[end:]
			continue
		}
		quoted, err := strconv.QuotedPrefix(line[open:])
		if err != nil {
			return nil, fmt.Errorf("%s is not a Go string", line[open:])
		}
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", quoted, err)
		}
		list, line = append(list, line[:open]+value), line[open+len(quoted):]
		if line != "" && line[0] != ' ' {
			return nil, fmt.Errorf("a blank is missing between %s and %s", quoted, line)
		}
	}
	return list, nil
}

// quote writes s as a Go string that contains no range.
func quote(s string) string { return strings.ReplaceAll(strconv.Quote(s), "{", `\x7b`) }

// needsQuotes reports whether s needs quotes to be read back: it could be a
// comment, a title or a range, or be hard to see.
func needsQuotes(s string) bool {
	return s == "" || s != strings.TrimSpace(s) || s[0] == '#' || strings.HasPrefix(s, "-- ") || strings.ContainsAny(s, `"{`) ||
		strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

// writeWord writes a word as [Words] reads it.
func writeWord(s string) string {
	if needsQuotes(s) || strings.Contains(s, " ") {
		return quote(s)
	}
	return s
}
