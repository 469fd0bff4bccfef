package report

import (
	"fmt"
	"io"
	"strings"

	"cwvault/sync"
)

// The styles of a terminal.
const (
	green  = "32"
	yellow = "33"
	blue   = "34"
	red    = "31"
	faint  = "2"
	bold   = "1"
)

// Printer collects lines of text, with colour for a terminal. The zero value prints
// without colour.
type Printer struct {
	Colour bool
	b      strings.Builder
}

// Paint returns s in a style, on a terminal with colours.
func (p *Printer) Paint(style, s string) string {
	if !p.Colour || s == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

// Good, Warning and Bad return s in the colour of its level.
func (p *Printer) Good(s string) string { return p.Paint(green, s) }

// Warning returns s in the colour of a warning.
func (p *Printer) Warning(s string) string { return p.Paint(yellow, s) }

// Bad returns s in the colour of a failure.
func (p *Printer) Bad(s string) string { return p.Paint(red, s) }

// Line adds a line.
func (p *Printer) Line(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

// To writes all lines.
func (p *Printer) To(w io.Writer) error {
	_, err := io.WriteString(w, p.b.String())
	return err
}

// Plan writes a plan in a format: text, json, markdown or html.
func Plan(w io.Writer, plan sync.Plan, format string, colour bool) error {
	switch format {
	case "json":
		b, err := plan.JSON()
		if err != nil {
			return err
		}
		_, err = w.Write(PlainJSON(b))
		return err
	case "markdown":
		return Markdown(w, plan)
	case "html":
		return HTML(w, plan)
	}
	return Text(w, plan, colour)
}

// Text writes a plan for people.
func Text(w io.Writer, plan sync.Plan, colour bool) error {
	p := &Printer{Colour: colour}
	p.Line("%s %s", p.Paint(bold, "Plan"), plan.ID)
	p.plan(plan, nil)
	p.Line("%s", Pending(plan.Counts))
	return p.To(w)
}

// RunText writes a run for people.
func RunText(w io.Writer, r Run, colour bool) error {
	p := &Printer{Colour: colour}
	outcome := p.Bad
	if r.Outcome == Done {
		outcome = p.Good
	}
	p.Line("%s %d: %s, plan %s", p.Paint(bold, "Run"), r.Number, outcome(string(r.Outcome)), r.ID)
	p.plan(r.Plan, r.Results)
	if r.Error != "" {
		p.Line("%s\n", p.Bad(Plain(r.Error)))
	}
	tail := ""
	if failed, skipped := r.Count(sync.StatusFailed), r.Count(sync.StatusSkipped); failed+skipped > 0 {
		tail = p.Bad(fmt.Sprintf("; %d failed, %d skipped", failed, skipped))
	}
	p.Line("%s%s", Past(r.Made()), tail)
	return p.To(w)
}

// Pending summarizes a plan in one line.
func Pending(c sync.Counts) string {
	return summary(c, func(o Operation) string { return "to " + string(o.Op) })
}

// Past summarizes in one line what was done.
func Past(c sync.Counts) string { return summary(c, func(o Operation) string { return o.Past }) }

func summary(c sync.Counts, word func(Operation) string) string {
	var parts []string
	for _, o := range operations {
		if n := *CountOf(&c, o.Op); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word(o)))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing to change")
	}
	parts = append(parts, fmt.Sprintf("%d held", c.Held), fmt.Sprintf("%d departed", c.Departed), fmt.Sprintf("%d unchanged", c.Unchanged))
	return strings.Join(parts, ", ")
}

func (p *Printer) plan(plan sync.Plan, results []StepResult) {
	p.Line("%s of %s, below %s", Plain(plan.Tenant), Plain(plan.Vault), Plain(plan.Root))
	for _, o := range operations {
		p.section(plan, results, o)
	}
	p.held(plan)
	if len(plan.Departed) > 0 {
		p.Line("\n%s", p.Paint(bold, "Departed, left where they are"))
		paths := make([]string, len(plan.Departed))
		for i, d := range plan.Departed {
			paths[i] = Plain(d.Path)
		}
		w := Width(paths)
		for i, d := range plan.Departed {
			p.Line("  - %s  %s", Pad(paths[i], w), p.Paint(faint, Plain(d.Reason)))
		}
	}
	p.Line("")
}

// held lists what is held, and then how to fix it, once for each code.
func (p *Printer) held(plan sync.Plan) {
	if len(plan.Held) == 0 {
		return
	}
	p.Line("\n%s", p.Paint(bold, "Held"))
	codes := make([]string, len(plan.Held))
	names := make([]string, len(plan.Held))
	for i, h := range plan.Held {
		codes[i], names[i] = string(h.Code), HeldName(h)
	}
	wc, wn := Width(codes), Width(names)
	for i, h := range plan.Held {
		p.Line("  %s %s  %s  %s", p.Bad("!"), Pad(codes[i], wc), Pad(names[i], wn), Plain(h.Reason))
		if h.Path != "" {
			p.Line("    %s", p.Paint(faint, Plain(h.Path)))
		}
	}
	for i, a := range AdviceOf(plan) {
		if i == 0 {
			p.Line("\n%s", p.Paint(bold, "What to do"))
		}
		p.Line("  %s  %s", Pad(string(a.Code), wc), a.Text())
	}
}

// HeldName names what is held, in plain text.
func HeldName(h sync.Held) string {
	if h.Company != nil {
		return fmt.Sprintf(`company %d "%s"`, h.Company.ID, Plain(h.Company.Name))
	}
	return Plain(string(h.Key))
}

// section lists the steps of one operation.
func (p *Printer) section(plan sync.Plan, results []StepResult, o Operation) {
	var steps []int
	var targets []string
	for i, s := range plan.Steps {
		if s.Op == o.Op {
			steps = append(steps, i)
			targets = append(targets, Plain(s.To))
		}
	}
	if len(steps) == 0 {
		return
	}
	p.Line("\n%s", p.Paint(bold, fmt.Sprintf("%s %s", o.Title, Count(len(steps), "folder"))))
	w := Width(targets)
	for n, i := range steps {
		p.step(plan.Steps[i], o, Pad(targets[n], w))
		if results != nil && results[i].Status != sync.StatusDone {
			p.Line("    %s", p.Bad(fmt.Sprintf("%s: %s", results[i].Status, Plain(results[i].Error))))
		}
	}
}

// step writes one step. target is the new path of its folder.
func (p *Printer) step(s sync.Step, o Operation, target string) {
	sign, why := p.Paint(o.style, o.Sign), p.Paint(faint, Plain(s.Reason))
	if s.Op == sync.OpCreate || s.Op == sync.OpAdopt {
		p.Line("  %s %s  %s", sign, target, why)
	} else {
		p.Line("  %s %s", sign, Plain(s.From))
		p.Line("    -> %s  %s", target, why)
		if s.Via != "" {
			p.Line("    %s", p.Paint(faint, "via "+Plain(s.Via)+", because folders exchange names or places"))
		}
	}
	if secrets := secretsText(s); secrets != "" {
		where := " along with it"
		if s.Op == sync.OpAdopt {
			where = " in it"
		}
		p.Line("    %s", p.Paint(faint, secrets+where))
	}
	if s.Access != nil {
		p.Line("    %s", p.Warning("access: "+accessText(*s.Access)))
	}
}

// secretsText says how many secrets a step takes along; empty if they were not counted,
// or if there are none.
func secretsText(s sync.Step) string {
	if s.Secrets == nil || *s.Secrets == 0 {
		return ""
	}
	return "at least " + Count(*s.Secrets, "secret")
}

// shortID is enough of a plan's id to tell it from others.
func shortID(id string) string { return id[:min(12, len(id))] }

func accessText(a sync.AccessChange) string {
	var parts []string
	if len(a.Gains) > 0 {
		parts = append(parts, "gains "+Plain(strings.Join(a.Gains, ", ")))
	}
	if len(a.Loses) > 0 {
		parts = append(parts, "loses "+Plain(strings.Join(a.Loses, ", ")))
	}
	return strings.Join(parts, "; ")
}
