package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// drawn is a folder as scenario files draw it, one a line, what is in it two
// spaces further in:
//
//	Active [group/type:1/status:1]
//	  Alovet [company/250; readers: Helpdesk]
//	    * alovet-admin
//
// In the brackets are its mark, if it has one, and who can read it, if that is
// its own affair. A line with a star is a secret.
type drawn struct {
	name, mark string
	readers    []string
	secrets    []string
	below      []*drawn
}

// unreadable stands for a mark that this version of cwvault cannot read.
const unreadable = "unreadable mark"

func parseTree(text string) (*drawn, error) {
	top := &drawn{}
	way := []*drawn{top}
	for _, line := range expand(text) {
		content := strings.TrimLeft(line, " ")
		depth := (len(line) - len(content)) / 2
		if depth >= len(way) {
			return nil, fmt.Errorf("%q is too far in", line)
		}
		way = way[:depth+1]
		parent := way[depth]
		if name, ok := strings.CutPrefix(content, "* "); ok {
			parent.secrets = append(parent.secrets, name)
			continue
		}
		d, err := parseDrawn(content)
		if err != nil {
			return nil, err
		}
		parent.below = append(parent.below, d)
		way = append(way, d)
	}
	return top, nil
}

func parseDrawn(s string) (*drawn, error) {
	d := &drawn{name: s}
	rest := ""
	if quoted, err := strconv.QuotedPrefix(s); err == nil {
		rest = strings.TrimSpace(s[len(quoted):])
		if d.name, err = strconv.Unquote(quoted); err != nil {
			return nil, err
		}
	} else if i := strings.LastIndex(s, " ["); i >= 0 && strings.HasSuffix(s, "]") {
		d.name, rest = s[:i], s[i+1:]
	}
	if rest == "" {
		return d, nil
	}
	inside, open := strings.CutPrefix(rest, "[")
	inside, closed := strings.CutSuffix(inside, "]")
	if !open || !closed {
		return nil, fmt.Errorf("%q is no folder", s)
	}
	for _, part := range strings.Split(inside, "; ") {
		if readers, ok := strings.CutPrefix(part, "readers: "); ok {
			d.readers = strings.Split(readers, ", ")
		} else {
			d.mark = part
		}
	}
	return d, nil
}

// write draws what is in d, folders in order of their names.
func (d *drawn) write(b *strings.Builder, indent string) {
	slices.Sort(d.secrets)
	for _, s := range d.secrets {
		fmt.Fprintf(b, "%s* %s\n", indent, s)
	}
	slices.SortFunc(d.below, func(a, b *drawn) int { return strings.Compare(a.name+"\x00"+a.mark, b.name+"\x00"+b.mark) })
	for _, f := range d.below {
		name := f.name
		if name == "" || strings.TrimSpace(name) != name || strings.ContainsAny(name, `[]"`) || name[0] == '*' ||
			strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			name = strconv.Quote(name)
		}
		var notes []string
		if f.mark != "" {
			notes = append(notes, f.mark)
		}
		if len(f.readers) > 0 {
			notes = append(notes, "readers: "+strings.Join(f.readers, ", "))
		}
		if len(notes) > 0 {
			name += " [" + strings.Join(notes, "; ") + "]"
		}
		fmt.Fprintf(b, "%s%s\n", indent, name)
		f.write(b, indent+"  ")
	}
}

func (d *drawn) String() string {
	var b strings.Builder
	d.write(&b, "")
	return b.String()
}

// seen is a folder as it is in a vault, looked at behind cwvault's back.
type seen struct {
	id, parent string // the parent is empty at the top
	name, mark string
	readers    []string
	secrets    []string
}

func drawSeen(folders []seen) string {
	at := map[string]*drawn{"": {}}
	for _, f := range folders {
		at[f.id] = &drawn{name: f.name, mark: f.mark, readers: f.readers, secrets: slices.Clone(f.secrets)}
	}
	for _, f := range folders {
		at[f.parent].below = append(at[f.parent].below, at[f.id])
	}
	return at[""].String()
}

// findSeen returns the folder with this path, such as \Clients\Customer.
func findSeen(folders []seen, path string) (seen, error) {
	at := seen{}
	for _, name := range strings.Split(strings.TrimPrefix(path, `\`), `\`) {
		i := slices.IndexFunc(folders, func(f seen) bool { return f.parent == at.id && f.name == name })
		if i < 0 {
			return seen{}, fmt.Errorf("there is no folder %s", path)
		}
		at = folders[i]
	}
	return at, nil
}

var rangeForm = regexp.MustCompile(`\{(\d+)\.\.(\d+)\}`)

// expand splits text into lines, without blank ones and remarks. A line with
// {1001..1040} stands for forty, in which {} is the same number again.
func expand(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		m := rangeForm.FindStringSubmatch(line)
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case m == nil:
			lines = append(lines, line)
		default:
			first, _ := strconv.Atoi(m[1])
			last, _ := strconv.Atoi(m[2])
			for n := first; n <= last; n++ {
				lines = append(lines, strings.NewReplacer(m[0], strconv.Itoa(n), "{}", strconv.Itoa(n)).Replace(line))
			}
		}
	}
	return lines
}

// words splits a line at spaces; what stands in quotes is one word.
func words(line string) ([]string, error) {
	var list []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			word, rest, _ := strings.Cut(line, " ")
			list, line = append(list, word), rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		list, line = append(list, word), line[len(quoted):]
	}
	return list, nil
}

// printed is a plan or a run as cwvault prints it in JSON.
type printed struct {
	Schema, ID, Outcome string
	Steps               []struct {
		Op, Key, From, To, Via, Reason, Status, Error string
		Secrets                                       *int
		Access                                        *struct{ Gains, Loses []string }
	}
	Held     []struct{ Code, Key, Path, Reason string }
	Departed []struct{ Key, Path, Reason string }
}

func parsePrinted(out string) (*printed, error) {
	p := &printed{}
	if err := json.Unmarshal([]byte(out), p); err != nil {
		return nil, fmt.Errorf("not a plan: %w\n%s", err, out)
	}
	if p.Schema != "cwvault.plan/1" && p.Schema != "cwvault.run/1" {
		return nil, fmt.Errorf("schema %q", p.Schema)
	}
	return p, nil
}

// item is one line of a plan. What is said of it stands in further lines: an
// expected plan must repeat the must of the real one, and may quote from the
// rest.
type item struct {
	line      string
	must, may []string
}

func (p *printed) items() []item {
	var list []item
	for _, s := range p.Steps {
		line := s.Op + " " + s.Key + " " + s.To
		if s.From != "" && s.Op != "adopt" {
			line = s.Op + " " + s.Key + " " + s.From + " -> " + s.To
		}
		it := item{line: line, may: []string{s.Reason}}
		if s.Via != "" {
			it.must = append(it.must, "via "+s.Via)
		}
		if s.Access != nil && len(s.Access.Gains) > 0 {
			it.must = append(it.must, "gains "+strings.Join(s.Access.Gains, ", "))
		}
		if s.Access != nil && len(s.Access.Loses) > 0 {
			it.must = append(it.must, "loses "+strings.Join(s.Access.Loses, ", "))
		}
		if s.Secrets != nil {
			it.may = append(it.may, fmt.Sprintf("%d secrets", *s.Secrets))
		}
		if s.Status != "" && s.Status != "done" {
			it.must = append(it.must, s.Status+": "+s.Error)
		}
		list = append(list, it)
	}
	for _, h := range p.Held {
		list = append(list, item{line: "held " + h.Code + " " + h.Key, may: []string{h.Reason, h.Path}})
	}
	for _, d := range p.Departed {
		list = append(list, item{line: "departed " + d.Key + " " + d.Path, may: []string{d.Reason}})
	}
	return list
}

var arrow = regexp.MustCompile(`\s+->\s+`)

// parseItems reads the lines of an expected plan.
func parseItems(text string) ([]item, error) {
	var list []item
	for _, line := range expand(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "(nothing)":
		case line != trimmed && len(list) == 0:
			return nil, fmt.Errorf("%q belongs to no line", line)
		case line != trimmed:
			last := &list[len(list)-1]
			last.must = append(last.must, trimmed)
		default:
			f := strings.Fields(line)
			if len(f) < 3 {
				return nil, fmt.Errorf("%q is no line of a plan", line)
			}
			_, rest, _ := strings.Cut(line, f[1])
			list = append(list, item{line: f[0] + " " + f[1] + " " + arrow.ReplaceAllString(strings.TrimSpace(rest), " -> ")})
		}
	}
	return list, nil
}

func itemLines(items []item) string {
	var b strings.Builder
	for _, it := range items {
		b.WriteString(it.line + "\n")
		for _, detail := range append(it.must, it.may...) {
			b.WriteString("    " + detail + "\n")
		}
	}
	return b.String()
}

// differ says how an item of a plan is not what was expected of it.
func (it item) differ(want item) error {
	if it.line != want.line {
		return fmt.Errorf("got  %s\nwant %s", it.line, want.line)
	}
	said := append(slices.Clone(it.must), it.may...)
	for _, w := range want.must {
		if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, w) }) {
			return fmt.Errorf("%s\nsays %q, not %q", it.line, said, w)
		}
	}
	for _, m := range it.must {
		if !slices.ContainsFunc(want.must, func(w string) bool { return strings.Contains(m, w) }) {
			return fmt.Errorf("%s\nsays also %q", it.line, m)
		}
	}
	return nil
}

// comparePlan compares a plan with the expected one, line by line.
func comparePlan(p *printed, text string) error {
	want, err := parseItems(text)
	if err != nil {
		return err
	}
	got := p.items()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			err = fmt.Errorf("missing: %s", want[i].line)
		case i >= len(want):
			err = fmt.Errorf("not expected: %s", got[i].line)
		default:
			err = got[i].differ(want[i])
		}
		if err != nil {
			return fmt.Errorf("the plan is another one:\n%w\nall of it:\n%s", err, itemLines(got))
		}
	}
	return nil
}
