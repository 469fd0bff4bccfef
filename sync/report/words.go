package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"github.com/mattn/go-runewidth"

	"cwvault/sync"
)

// Operation is one of the five things that a step can do, in words.
type Operation struct {
	Op    sync.Op
	Title string // of a section: Create
	Sign  string // one character: +
	Past  string // created
	State string // of the folder afterwards: new
	style string
}

// operations lists them in the order of reports.
var operations = []Operation{
	{sync.OpCreate, "Create", "+", "created", "new", green},
	{sync.OpAdopt, "Adopt", "=", "adopted", "adopted", green},
	{sync.OpRename, "Rename", "~", "renamed", "renamed", yellow},
	{sync.OpMove, "Move", ">", "moved", "moved", blue},
	{sync.OpArchive, "Archive", "v", "archived", "archived", faint},
}

// Operations returns the table of operations, in the order of reports.
func Operations() []Operation { return slices.Clone(operations) }

// countOf returns the count that an operation adds to.
func countOf(c *sync.Counts, op sync.Op) *int {
	switch op {
	case sync.OpAdopt:
		return &c.Adopt
	case sync.OpRename:
		return &c.Rename
	case sync.OpMove:
		return &c.Move
	case sync.OpArchive:
		return &c.Archive
	}
	return &c.Create
}

// CountMap returns the counts of a plan by their names in JSON.
func CountMap(c sync.Counts) map[string]int {
	m := map[string]int{"held": c.Held, "departed": c.Departed, "unchanged": c.Unchanged}
	for _, o := range operations {
		m[string(o.Op)] = *countOf(&c, o.Op)
	}
	return m
}

// tallied puts counts into words: "2 create", "1 held". It omits zero counts.
func tallied(counts map[string]int) []string {
	var parts []string
	add := func(name string) {
		if n := counts[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", Number(n), name))
		}
	}
	for _, o := range operations {
		add(string(o.Op))
	}
	add("held")
	add("departed")
	return parts
}

// Count writes "1 folder", "2 folders", "1,200 companies".
func Count(n int, noun string) string {
	return humanize.Comma(int64(n)) + " " + english.PluralWord(n, noun, "")
}

// Number writes 1234567 as 1,234,567.
func Number(n int) string { return humanize.Comma(int64(n)) }

// Plain makes foreign text safe for a terminal or a log; see [sync.Plain].
func Plain(s string) string { return sync.Plain(s) }

// Minute writes a time to the minute, in UTC.
func Minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Second writes a time to the second, in UTC (RFC 3339).
func Second(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// quote quotes a value for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Or returns s, or otherwise if s is empty.
func Or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// maxPad keeps one very long path from pushing every reason off the screen.
const maxPad = 64

// width returns how many columns of a terminal the widest text takes. It ignores
// texts that are too wide for a column.
func width(texts []string) int {
	widest := 0
	for _, s := range texts {
		if n := runewidth.StringWidth(s); n <= maxPad {
			widest = max(widest, n)
		}
	}
	return widest
}

// pad fills a text with blanks to a width in columns.
func pad(s string, width int) string { return runewidth.FillRight(s, width) }

// CountSteps counts a plan's steps, and what is held and departed. It leaves
// Unchanged at 0, which a plan does not list.
func CountSteps(p sync.Plan) sync.Counts {
	c := sync.Counts{Held: len(p.Held), Departed: len(p.Departed)}
	for _, s := range p.Steps {
		*countOf(&c, s.Op)++
	}
	return c
}
