package report

import (
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// StepRow is one step in the history of a run.
type StepRow struct {
	Op     string     `json:"op"`
	Key    string     `json:"key"`
	From   string     `json:"from,omitempty"`
	To     string     `json:"to"`
	Status string     `json:"status"`
	Error  string     `json:"error,omitempty"`
	Start  time.Time  `json:"start"`
	End    *time.Time `json:"end,omitempty"`
}

// RowsText writes a list of runs for people.
func RowsText(w io.Writer, rows []Row) error {
	p := &printer{}
	if len(rows) == 0 {
		p.line("no runs yet")
		return p.to(w)
	}
	p.line("%6s  %-20s  %-9s  %-11s  %s", "run", "started (UTC)", "trigger", "outcome", "changes")
	for _, r := range rows {
		p.line("%6d  %-20s  %-9s  %-11s  %s", r.Number, Second(r.Start), Plain(r.Trigger), r.Outcome, r.changes())
	}
	return p.to(w)
}

// changes summarizes a run in a few words.
func (r Row) changes() string {
	parts := tallied(r.Counts)
	if r.Error != "" {
		line, _, more := strings.Cut(r.Error, "\n")
		if more {
			line = strings.TrimSuffix(line, " Since then:") + " …"
		}
		parts = append(parts, Plain(line))
	}
	return Or(strings.Join(parts, ", "), "none")
}

// StepsText writes one run and its steps for people, each step as it comes.
func StepsText(w io.Writer, r Row, steps iter.Seq2[StepRow, error]) error {
	_, err := fmt.Fprintf(w, "run %d, %s, %s, %s: %s\n", r.Number, Second(r.Start), Plain(r.Trigger), r.Outcome, r.changes())
	if err != nil {
		return err
	}
	for s, err := range steps {
		if err != nil {
			return err
		}
		p := &printer{}
		p.line("  %-8s %-8s %s", s.Status, s.Op, Plain(s.To))
		if s.From != "" && s.From != s.To {
			p.line("      from %s", Plain(s.From))
		}
		if s.Error != "" {
			p.line("      %s", Plain(s.Error))
		}
		if err := p.to(w); err != nil {
			return err
		}
	}
	return nil
}

// StepsJSON writes one run and its steps as JSON.
func StepsJSON(w io.Writer, r Row, steps iter.Seq2[StepRow, error]) error {
	var rows []StepRow
	for s, err := range steps {
		if err != nil {
			return err
		}
		rows = append(rows, s)
	}
	return WriteJSON(w, struct {
		Row
		Steps []StepRow `json:"steps"`
	}{r, rows})
}
