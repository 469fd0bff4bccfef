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

// printer collects lines of text, with colour for a terminal. The zero value prints
// without colour.
type printer struct {
	Colour bool
	b      strings.Builder
}

// paint returns s in a style, on a terminal with colours.
func (p *printer) paint(style, s string) string {
	if !p.Colour || s == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

// good, warning and bad return s in the colour of its level.
func (p *printer) good(s string) string    { return p.paint(green, s) }
func (p *printer) warning(s string) string { return p.paint(yellow, s) }
func (p *printer) bad(s string) string     { return p.paint(red, s) }

// line adds a line.
func (p *printer) line(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

// to writes all lines.
func (p *printer) to(w io.Writer) error {
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
		_, err = w.Write(sync.PlainJSON(b))
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
	p := &printer{Colour: colour}
	p.line("%s %s", p.paint(bold, "Plan"), plan.ID)
	p.plan(plan, nil)
	p.line("%s", Pending(plan.Counts))
	return p.to(w)
}

// RunText writes a run for people.
func RunText(w io.Writer, r Run, colour bool) error {
	p := &printer{Colour: colour}
	outcome := p.bad
	if r.Outcome == Done {
		outcome = p.good
	}
	p.line("%s %d: %s, plan %s", p.paint(bold, "Run"), r.Number, outcome(string(r.Outcome)), r.ID)
	p.plan(r.Plan, r.Results)
	if r.Error != "" {
		p.line("%s\n", p.bad(Plain(r.Error)))
	}
	tail := ""
	if failed, skipped := r.Count(sync.StatusFailed), r.Count(sync.StatusSkipped); failed+skipped > 0 {
		tail = p.bad(fmt.Sprintf("; %d failed, %d skipped", failed, skipped))
	}
	p.line("%s%s", Past(r.Made()), tail)
	return p.to(w)
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
		if n := *countOf(&c, o.Op); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word(o)))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing to change")
	}
	parts = append(parts, fmt.Sprintf("%d held", c.Held), fmt.Sprintf("%d departed", c.Departed), fmt.Sprintf("%d unchanged", c.Unchanged))
	return strings.Join(parts, ", ")
}

func (p *printer) plan(plan sync.Plan, results []StepResult) {
	p.line("%s of %s, below %s", Plain(plan.Tenant), Plain(plan.Vault), Plain(plan.Root))
	for _, o := range operations {
		p.section(plan, results, o)
	}
	p.held(plan)
	if len(plan.Departed) > 0 {
		p.line("\n%s", p.paint(bold, "Departed, left where they are"))
		paths := make([]string, len(plan.Departed))
		for i, d := range plan.Departed {
			paths[i] = Plain(d.Path)
		}
		w := width(paths)
		for i, d := range plan.Departed {
			p.line("  - %s  %s", pad(paths[i], w), p.paint(faint, Plain(d.Reason)))
		}
	}
	p.line("")
}

// held lists what is held, and then how to fix it, once for each code.
func (p *printer) held(plan sync.Plan) {
	if len(plan.Held) == 0 {
		return
	}
	p.line("\n%s", p.paint(bold, "Held"))
	codes := make([]string, len(plan.Held))
	names := make([]string, len(plan.Held))
	for i, h := range plan.Held {
		codes[i], names[i] = string(h.Code), heldName(h)
	}
	wc, wn := width(codes), width(names)
	for i, h := range plan.Held {
		p.line("  %s %s  %s  %s", p.bad("!"), pad(codes[i], wc), pad(names[i], wn), Plain(h.Reason))
		if h.Path != "" {
			p.line("    %s", p.paint(faint, Plain(h.Path)))
		}
	}
	for i, a := range AdviceOf(plan) {
		if i == 0 {
			p.line("\n%s", p.paint(bold, "What to do"))
		}
		p.line("  %s  %s", pad(string(a.Code), wc), a.Text())
	}
}

// heldName names what is held, in plain text.
func heldName(h sync.Held) string {
	if h.Company != nil {
		return fmt.Sprintf(`company %d "%s"`, h.Company.ID, Plain(h.Company.Name))
	}
	return Plain(string(h.Key))
}

// section lists the steps of one operation.
func (p *printer) section(plan sync.Plan, results []StepResult, o Operation) {
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
	p.line("\n%s", p.paint(bold, fmt.Sprintf("%s %s", o.Title, Count(len(steps), "folder"))))
	w := width(targets)
	for n, i := range steps {
		p.step(plan.Steps[i], o, pad(targets[n], w))
		if results != nil && results[i].Status != sync.StatusDone {
			p.line("    %s", p.bad(fmt.Sprintf("%s: %s", results[i].Status, Plain(results[i].Error))))
		}
	}
}

// step writes one step. target is the new path of its folder.
func (p *printer) step(s sync.Step, o Operation, target string) {
	sign, why := p.paint(o.style, o.Sign), p.paint(faint, Plain(s.Reason))
	if s.Op == sync.OpCreate || s.Op == sync.OpAdopt {
		p.line("  %s %s  %s", sign, target, why)
	} else {
		p.line("  %s %s", sign, Plain(s.From))
		p.line("    -> %s  %s", target, why)
		if s.Via != "" {
			p.line("    %s", p.paint(faint, "via "+Plain(s.Via)+", because folders exchange names or places"))
		}
	}
	if secrets := secretsText(s); secrets != "" {
		where := " along with it"
		if s.Op == sync.OpAdopt {
			where = " in it"
		}
		p.line("    %s", p.paint(faint, secrets+where))
	}
	if s.Access != nil {
		p.line("    %s", p.warning("access: "+accessText(*s.Access)))
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
