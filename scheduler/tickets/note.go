package tickets

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf16"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

const (
	// maxSummary is ConnectWise's limit, in its characters (UTF-16).
	maxSummary = 100
	// maxListed bounds the items that one note lists.
	maxListed = 20
	// maxLine bounds the line of one item, in UTF-16 units.
	maxLine = 400
)

// summary is the summary of the ticket of an installation, of at most 100 UTF-16
// units.
func (p Problem) summary(in run.Installation) string {
	return cut(fmt.Sprintf("cwvault: %s (%s %s)", p.Title, report.Plain(in.Tenant), report.Plain(in.Root)), maxSummary)
}

// xref is the external reference by which the ticket of a problem is found
// again, also when the journal was lost. Another root or vault of the same
// tenant has other references. It has at most 100 characters. Its form never
// changes. fold maps the ways to write one path to one.
func xref(in run.Installation, fold func(string) string, problem string) string {
	root := strings.Trim(strings.ReplaceAll(in.Root, "/", `\`), `\`)
	sum := sha256.Sum256([]byte(strings.Join([]string{in.Tenant, in.Vault, fold(root)}, "\n")))
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, strings.ToLower(in.Tenant))
	return fmt.Sprintf("cwvault/%.40s/%x/%s", name, sum[:6], problem)
}

// firstNote is the first note of a ticket: everything there is to say. The run
// is 0 if it has no number.
func (p Problem) firstNote(in run.Installation, since time.Time, run int64) string {
	var b strings.Builder
	p.write(&b, "", p.Items)
	fmt.Fprintf(&b, "\nFirst seen %s", report.Minute(since))
	if run > 0 {
		fmt.Fprintf(&b, " in run %d", run)
	}
	fmt.Fprintf(&b, ", by cwvault for %s below %s.\ncwvault adds a note here when this problem grows and when it is solved. It never closes a ticket.", in.Tenant, in.Root)
	return clean(b.String())
}

// grownNote lists what the problem affects since the last note.
func (p Problem) grownNote(added []Item) string {
	var b strings.Builder
	fmt.Fprintf(&b, "This now affects %s, %s of them new since the last note.\n", report.Count(len(p.Items), "item"), report.Number(len(added)))
	list(&b, added)
	p.writeFix(&b)
	return clean(b.String())
}

// foundNote is for a ticket that the journal did not know.
func (p Problem) foundNote() string {
	var b strings.Builder
	p.write(&b, "cwvault found this open ticket, which its journal did not know, and uses it from now on. The problem now:", p.Items)
	return clean(b.String())
}

// backNote is for a problem that came back while its ticket stayed open.
func (p Problem) backNote(t journal.Ticket) string {
	var b strings.Builder
	p.write(&b, fmt.Sprintf("This is back. cwvault had noted it as solved on %s. The problem now:", report.Minute(t.Solved)), p.Items)
	return clean(b.String())
}

// solvedNote is for a problem that is gone, as a run found.
func solvedNote(run int64) string {
	return fmt.Sprintf("Solved: run %d no longer found this problem. If there is nothing else to do, you can close this ticket.", run)
}

// write writes the whole problem, after an introduction.
func (p Problem) write(b *strings.Builder, intro string, items []Item) {
	if intro != "" {
		fmt.Fprintf(b, "%s\n\n", intro)
	}
	fmt.Fprintf(b, "%s\n", p.What)
	if p.Means != "" {
		fmt.Fprintf(b, "%s\n", p.Means)
	}
	if p.Reason != "" { // indented, so that no line of it passes for one of ours
		fmt.Fprintf(b, "Reason: %s\n", strings.ReplaceAll(p.Reason, "\n", "\n    "))
	}
	list(b, items)
	p.writeFix(b)
}

func (p Problem) writeFix(b *strings.Builder) {
	fmt.Fprintf(b, "\nWhat to do: %s\n", p.Fix)
	for _, c := range p.Commands {
		fmt.Fprintf(b, "`%s` %s.\n", c.Line, c.Does)
	}
}

// list writes the first items, one a line.
func list(b *strings.Builder, items []Item) {
	if len(items) == 0 {
		return
	}
	b.WriteByte('\n')
	for i, item := range items {
		if i == maxListed {
			fmt.Fprintf(b, "- and %d more\n", len(items)-maxListed)
			return
		}
		fmt.Fprintf(b, "- %s\n", cut(report.Plain(strings.Join(strings.Fields(item.line()), " ")), maxLine))
	}
}

// line describes an item: "move to \Clients\X (company 1 "X"): failed: no".
func (i Item) line() string {
	subject := i.Name
	switch {
	case i.Op != "":
		subject = string(i.Op)
		if i.Op != sync.OpCreate && i.Op != sync.OpAdopt {
			subject += " to"
		}
		subject += " " + i.Path
		if i.Name != "" {
			subject += " (" + i.Name + ")"
		}
	case i.Path != "":
		subject += " at " + i.Path
	}
	for _, more := range []string{string(i.Status), i.Text} {
		if more != "" {
			subject += ": " + more
		}
	}
	return subject
}

// userinfo finds user and password in a URL.
var userinfo = regexp.MustCompile(`(://)[^/\s@"']*@`)

// clean makes a note harmless, whatever ConnectWise and the vault have put into
// it: of what does not print, only its own line ends remain, and passwords in
// URLs are cut out.
func clean(note string) string {
	lines := strings.Split(strings.TrimSuffix(note, "\n"), "\n")
	for i, line := range lines {
		lines[i] = userinfo.ReplaceAllString(report.Plain(line), "$1")
	}
	return strings.Join(lines, "\n")
}

// cut shortens s to at most n UTF-16 units, at the end of a character.
func cut(s string, n int) string {
	if len(utf16.Encode([]rune(s))) <= n {
		return s
	}
	used := 1 // for the dots
	for i, r := range s {
		if used += utf16.RuneLen(r); used > n {
			return s[:i] + "…"
		}
	}
	return s
}
