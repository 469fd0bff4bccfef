package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"cwvault/sync"
)

// runSchema names the JSON form of a run.
const runSchema = "cwvault.run/1"

// runReport is a plan that was applied and how that went.
type runReport struct {
	sync.Plan
	Run     int64
	Trigger string
	Outcome string
	Error   string
	lost    error // set when the lease was
	Started time.Time
	Ended   time.Time
	Results []stepResult // one for each step

	lookAgain bool // the service has made another plan since
}

// made is how many steps were made.
func (r runReport) made() (n int) {
	for _, result := range r.Results {
		if result.Status == sync.StatusDone {
			n++
		}
	}
	return n
}

// stepResult is how one step went, and when.
type stepResult struct {
	Status sync.Status
	Error  string
	Began  time.Time // zero for a step that was skipped
	Ended  time.Time

	folderID string // of a folder that was made, in the process that made it
}

// wireRun is a run in its JSON form: the plan, with what was done added to it.
type wireRun struct {
	Schema   string          `json:"schema"`
	Run      int64           `json:"run"`
	Trigger  string          `json:"trigger"`
	Outcome  string          `json:"outcome"`
	Error    string          `json:"error,omitempty"`
	Start    time.Time       `json:"start"`
	End      time.Time       `json:"end,omitzero"`
	ID       string          `json:"id"`
	Tenant   string          `json:"tenant"`
	Vault    string          `json:"vault"`
	Root     string          `json:"root"`
	Steps    []wireStep      `json:"steps"`
	Held     []sync.Held     `json:"held"`
	Departed []sync.Departed `json:"departed"`
	Counts   sync.Counts     `json:"counts"`
}

type wireStep struct {
	sync.Step
	Status sync.Status `json:"status"`
	Error  string      `json:"error,omitempty"`
	Start  *time.Time  `json:"start,omitempty"`
	End    *time.Time  `json:"end,omitempty"`
}

// MarshalJSON writes a [wireRun].
func (r runReport) MarshalJSON() ([]byte, error) {
	p := r.Plan
	w := wireRun{runSchema, r.Run, r.Trigger, r.Outcome, r.Error, r.Started.UTC(), r.Ended.UTC(),
		p.ID, p.Tenant, p.Vault, p.Root, make([]wireStep, len(p.Steps)), p.Held, p.Departed, p.Counts}
	for i, s := range p.Steps {
		result := r.Results[i]
		w.Steps[i] = wireStep{s, result.Status, result.Error, timeOrNil(result.Began), timeOrNil(result.Ended)}
	}
	return marshal(w)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *runReport) UnmarshalJSON(b []byte) error {
	var w wireRun
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	if w.Schema != runSchema {
		return fmt.Errorf("it is a %q, not a %s; was another version of cwvault at work?", w.Schema, runSchema)
	}
	*r = runReport{
		Plan: sync.Plan{Schema: sync.PlanSchema, ID: w.ID, Tenant: w.Tenant, Vault: w.Vault, Root: w.Root,
			Steps: make([]sync.Step, len(w.Steps)), Held: w.Held, Departed: w.Departed, Counts: w.Counts},
		Run: w.Run, Trigger: w.Trigger, Outcome: w.Outcome, Error: w.Error, Started: w.Start, Ended: w.End,
		Results: make([]stepResult, len(w.Steps)),
	}
	for i, s := range w.Steps {
		r.Steps[i] = s.Step
		r.Results[i] = stepResult{Status: s.Status, Error: s.Error, Began: timeOrZero(s.Start), Ended: timeOrZero(s.End)}
	}
	return nil
}

func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// marshal is json.Marshal without the escapes that are for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}

// painter writes the text report, in colour on a terminal.
type painter struct {
	b      strings.Builder
	colour bool
}

const (
	green  = "32"
	yellow = "33"
	blue   = "34"
	red    = "31"
	faint  = "2"
	bold   = "1"
)

func (p *painter) paint(style, s string) string {
	if !p.colour || s == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

func (p *painter) line(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

// sections are the operations in the order of the report.
var sections = []struct {
	op          sync.Op
	title, sign string
	style       string
}{
	{sync.OpCreate, "Create", "+", green},
	{sync.OpAdopt, "Adopt", "=", green},
	{sync.OpRename, "Rename", "~", yellow},
	{sync.OpMove, "Move", ">", blue},
	{sync.OpArchive, "Archive", "v", faint},
}

// renderPlan writes a plan for people.
func renderPlan(w io.Writer, plan sync.Plan, colour bool) error {
	p := &painter{colour: colour}
	p.line("%s %s", p.paint(bold, "Plan"), plan.ID)
	p.plan(plan, nil)
	p.line("%s", p.summary(plan, "to "))
	_, err := io.WriteString(w, p.b.String())
	return err
}

// renderRun writes a run for people.
func renderRun(w io.Writer, r runReport, colour bool) error {
	p := &painter{colour: colour}
	p.line("%s %d: %s, plan %s", p.paint(bold, "Run"), r.Run, p.outcome(r.Outcome), r.ID)
	p.plan(r.Plan, r.Results)
	failed, skipped := 0, 0
	made := r.Plan // with the counts of what was really done
	for i, s := range r.Results {
		switch s.Status {
		case sync.StatusFailed:
			failed++
		case sync.StatusSkipped:
			skipped++
		}
		if s.Status != sync.StatusDone {
			*countOf(&made.Counts, r.Steps[i].Op)--
		}
	}
	if r.Error != "" {
		p.line("%s\n", p.paint(red, plain(r.Error)))
	}
	tail := ""
	if failed+skipped > 0 {
		tail = p.paint(red, fmt.Sprintf("; %d failed, %d skipped", failed, skipped))
	}
	p.line("%s%s", p.summary(made, ""), tail)
	_, err := io.WriteString(w, p.b.String())
	return err
}

func (p *painter) outcome(o string) string {
	if o == "done" {
		return p.paint(green, o)
	}
	return p.paint(red, o)
}

func (p *painter) plan(plan sync.Plan, results []stepResult) {
	p.line("%s of %s, below %s", plain(plan.Tenant), plain(plan.Vault), plain(plan.Root))
	for _, sec := range sections {
		p.section(plan, results, sec.op, sec.title, p.paint(sec.style, sec.sign))
	}
	if len(plan.Held) > 0 {
		p.line("\n%s", p.paint(bold, "Held"))
		codes := make([]string, len(plan.Held))
		names := make([]string, len(plan.Held))
		for i, h := range plan.Held {
			codes[i], names[i] = string(h.Code), heldName(h)
		}
		wc, wn := width(codes), width(names)
		for i, h := range plan.Held {
			p.line("  %s %s  %s  %s", p.paint(red, "!"), pad(codes[i], wc), pad(names[i], wn), plain(h.Reason))
			if h.Path != "" {
				p.line("    %s", p.paint(faint, plain(h.Path)))
			}
		}
	}
	if len(plan.Departed) > 0 {
		p.line("\n%s", p.paint(bold, "Departed, left where they are"))
		paths := make([]string, len(plan.Departed))
		for i, d := range plan.Departed {
			paths[i] = plain(d.Path)
		}
		w := width(paths)
		for i, d := range plan.Departed {
			p.line("  - %s  %s", pad(paths[i], w), p.paint(faint, plain(d.Reason)))
		}
	}
	p.line("")
}

func heldName(h sync.Held) string {
	if h.Company != nil {
		return fmt.Sprintf(`company %d "%s"`, h.Company.ID, plain(h.Company.Name))
	}
	return plain(string(h.Key))
}

// section lists the steps of one operation.
func (p *painter) section(plan sync.Plan, results []stepResult, op sync.Op, title, sign string) {
	var steps []int
	var targets []string
	for i, s := range plan.Steps {
		if s.Op == op {
			steps = append(steps, i)
			targets = append(targets, plain(s.To))
		}
	}
	if len(steps) == 0 {
		return
	}
	p.line("\n%s", p.paint(bold, fmt.Sprintf("%s %s", title, count(len(steps), "folder"))))
	w := width(targets)
	for n, i := range steps {
		s := plan.Steps[i]
		why := p.paint(faint, plain(s.Reason))
		if op == sync.OpCreate || op == sync.OpAdopt {
			p.line("  %s %s  %s", sign, pad(targets[n], w), why)
		} else {
			p.line("  %s %s", sign, plain(s.From))
			p.line("    -> %s  %s", pad(targets[n], w), why)
			if s.Via != "" {
				p.line("    %s", p.paint(faint, "via "+plain(s.Via)+", because the two swap names or places"))
			}
		}
		if s.Secrets != nil && *s.Secrets > 0 {
			where := " along with it"
			if s.Op == sync.OpAdopt {
				where = " in it"
			}
			p.line("    %s", p.paint(faint, "at least "+count(*s.Secrets, "secret")+where))
		}
		if s.Access != nil {
			p.line("    %s", p.paint(yellow, "access: "+accessText(*s.Access)))
		}
		if results != nil && results[i].Status != sync.StatusDone {
			p.line("    %s", p.paint(red, fmt.Sprintf("%s: %s", results[i].Status, plain(results[i].Error))))
		}
	}
}

func accessText(a sync.AccessChange) string {
	var parts []string
	if len(a.Gains) > 0 {
		parts = append(parts, "gains "+plain(strings.Join(a.Gains, ", ")))
	}
	if len(a.Loses) > 0 {
		parts = append(parts, "loses "+plain(strings.Join(a.Loses, ", ")))
	}
	return strings.Join(parts, "; ")
}

// summary is the one line that says it all.
func (p *painter) summary(plan sync.Plan, to string) string {
	c := plan.Counts
	var parts []string
	for _, part := range []struct {
		n    int
		word string
	}{
		{c.Create, "create"}, {c.Adopt, "adopt"}, {c.Rename, "rename"}, {c.Move, "move"}, {c.Archive, "archive"},
	} {
		if part.n > 0 {
			word := to + part.word
			if to == "" {
				word = pastOf[part.word]
			}
			parts = append(parts, fmt.Sprintf("%d %s", part.n, word))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing to change")
	}
	parts = append(parts, fmt.Sprintf("%d held", c.Held), fmt.Sprintf("%d departed", c.Departed), fmt.Sprintf("%d unchanged", c.Unchanged))
	return strings.Join(parts, ", ")
}

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

var pastOf = map[string]string{"create": "created", "adopt": "adopted", "rename": "renamed", "move": "moved", "archive": "archived"}

// maxPad keeps one very long path from pushing every reason off the screen.
const maxPad = 64

func width(list []string) int {
	w := 0
	for _, s := range list {
		if n := utf8.RuneCountInString(s); n <= maxPad {
			w = max(w, n)
		}
	}
	return w
}

func pad(s string, w int) string {
	if n := w - utf8.RuneCountInString(s); n > 0 {
		return s + strings.Repeat(" ", n)
	}
	return s
}
