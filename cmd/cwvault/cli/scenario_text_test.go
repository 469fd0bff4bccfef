package cli

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cwvault/sync/synctest"
)

// unreadable stands for a mark that this version of cwvault cannot read.
const unreadable = "unreadable mark"

// seen is a folder as it is in a vault, looked at behind cwvault's back.
type seen struct {
	id, parent string // the parent is empty at the top
	name, mark string
	readers    []string
	secrets    []string
}

func drawSeen(folders []seen) string {
	at := map[string]*synctest.Folder{"": {}}
	for _, f := range folders {
		d := &synctest.Folder{Name: f.name, Own: len(f.readers) > 0, Readers: f.readers, Secrets: f.secrets}
		if f.mark != "" {
			var err error
			if d.Mark, d.BadMark, err = synctest.ParseMark(f.mark); err != nil {
				return err.Error()
			}
		}
		at[f.id] = d
	}
	for _, f := range folders {
		at[f.parent].Folders = append(at[f.parent].Folders, at[f.id])
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

// expand splits a section into its lines.
func expand(text string) []string {
	lines, err := synctest.Lines(text)
	if err != nil {
		panic(err)
	}
	list := make([]string, len(lines))
	for i, l := range lines {
		list[i] = l.Text
	}
	return list
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
