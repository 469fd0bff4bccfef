package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"cwvault/cmd/cwvault/settings"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

type historyCmd struct {
	RunID  int64  `arg:"" optional:"" name:"run" help:"Number of a run; list its steps."`
	Format string `enum:"text,json" default:"text" help:"Format of the result: text or json."`
	Limit  int    `default:"20" help:"How many runs to list, newest first."`
	Before int64  `placeholder:"RUN" help:"List runs before this one."`
}

func (historyCmd) help() ([]string, []int) {
	return []string{"cwvault history", "cwvault history 17", "cwvault history --format json --limit 100"}, []int{exitUsage, exitConfig}
}

// Run lists runs, or the steps of one run.
func (cmd historyCmd) Run(a *app) error {
	s, err := a.load()
	if err != nil {
		return err
	}
	if cmd.Limit < 1 || cmd.Limit > 1000 {
		return run.Usagef("--limit must be from 1 to 1000")
	}
	if cmd.RunID != 0 {
		return cmd.steps(a, s)
	}
	j, err := s.Journal(a.ctx, false)
	if err != nil {
		return err
	}
	defer j.Close()
	rows, err := run.History(a.ctx, j, cmd.Limit, cmd.Before)
	switch {
	case err != nil:
		return err
	case cmd.Format == "json":
		return report.WriteJSON(a.Stdout, map[string]any{"runs": rows})
	case len(rows) == 0:
		return a.print("no runs yet")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%6s  %-20s  %-9s  %-11s  %s\n", "run", "started (UTC)", "trigger", "outcome", "changes")
	for _, r := range rows {
		fmt.Fprintf(&b, "%6d  %-20s  %-9s  %-11s  %s\n", r.Number, report.Second(r.Start), report.Plain(r.Trigger), r.Outcome, changes(r))
	}
	_, err = io.WriteString(a.Stdout, b.String())
	return err
}

// changes summarizes a run in a few words.
func changes(r report.Row) string {
	parts := report.Tally(r.Counts)
	if r.Error != "" {
		line, _, _ := strings.Cut(r.Error, "\n")
		parts = append(parts, report.Plain(line))
	}
	return report.Or(strings.Join(parts, ", "), "none")
}

// stepRow is a step in the JSON of a run.
type stepRow struct {
	Op     string     `json:"op"`
	Key    string     `json:"key"`
	From   string     `json:"from,omitempty"`
	To     string     `json:"to"`
	Status string     `json:"status"`
	Error  string     `json:"error,omitempty"`
	Start  time.Time  `json:"start"`
	End    *time.Time `json:"end,omitempty"`
}

// steps prints one run and its steps, one by one as the journal yields them.
func (cmd historyCmd) steps(a *app, s *settings.Settings) error {
	j, err := s.Journal(a.ctx, false)
	if err != nil {
		return err
	}
	defer j.Close()
	info, err := j.Run(a.ctx, cmd.RunID)
	if err != nil {
		return err
	}
	row := run.RowOf(info)
	if cmd.Format == "text" {
		if err := a.print("run %d, %s, %s, %s: %s", row.Number, report.Second(row.Start), report.Plain(row.Trigger), row.Outcome, changes(row)); err != nil {
			return err
		}
	}
	var rows []stepRow
	for s, err := range j.Steps(a.ctx, cmd.RunID) {
		if err != nil {
			return err
		}
		step := stepRow{s.Op, string(s.Key), s.From, s.To, report.Or(s.Status, string(report.Running)), s.Error, s.Began.UTC(), report.TimeOrNil(s.Ended)}
		if cmd.Format == "json" {
			rows = append(rows, step)
		} else if err := a.printStep(step); err != nil {
			return err
		}
	}
	if cmd.Format == "json" {
		return report.WriteJSON(a.Stdout, struct {
			report.Row
			Steps []stepRow `json:"steps"`
		}{row, rows})
	}
	return nil
}

func (a *app) printStep(s stepRow) error {
	err := a.print("  %-8s %-8s %s", s.Status, s.Op, report.Plain(s.To))
	if err == nil && s.From != "" && s.From != s.To {
		err = a.print("      from %s", report.Plain(s.From))
	}
	if err == nil && s.Error != "" {
		err = a.print("      %s", report.Plain(s.Error))
	}
	return err
}
