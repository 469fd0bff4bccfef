package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"cwvault/scheduler/dashboard"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
)

type historyCmd struct {
	RunID  int64  `arg:"" optional:"" name:"run" help:"Show the steps of this run."`
	Format string `enum:"text,json" default:"text" help:"Form of the result: text or json."`
	Limit  int    `default:"20" help:"How many runs to list, the newest first."`
	Before int64  `help:"List runs before this one."`
}

// Run lists runs, or the steps of one.
func (cmd historyCmd) Run(a *app) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	if cmd.Limit < 1 || cmd.Limit > 1000 {
		return usagef("--limit: from 1 to 1000")
	}
	j, err := journal.OpenReadOnly(a.ctx, c.State, journal.Options{})
	if err != nil {
		return fmt.Errorf("CWVAULT_STATE: %w", err)
	}
	defer j.Close()
	if cmd.RunID != 0 {
		return cmd.steps(a, j)
	}
	runs, err := j.Runs(a.ctx, cmd.Limit, cmd.Before)
	if err != nil {
		return err
	}
	if cmd.Format == "json" {
		list := make([]dashboard.Run, len(runs))
		for i, r := range runs {
			list[i] = newRunRow(r)
		}
		return printJSON(a.stdout, map[string]any{"runs": list})
	}
	if len(runs) == 0 {
		_, err = fmt.Fprintln(a.stdout, "no runs yet")
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%6s  %-20s  %-9s  %-11s  %s\n", "run", "started (UTC)", "trigger", "outcome", "changes")
	for _, r := range runs {
		fmt.Fprintf(&b, "%6d  %-20s  %-9s  %-11s  %s\n", r.ID, r.Started.UTC().Format(time.RFC3339), plain(r.Trigger), orRunning(r.Outcome), changes(r))
	}
	_, err = io.WriteString(a.stdout, b.String())
	return err
}

// newRunRow is a run as lists have it.
func newRunRow(r journal.RunInfo) dashboard.Run {
	return dashboard.Run{Number: r.ID, Start: r.Started.UTC(), End: timeOrNil(r.Finished), Trigger: r.Trigger, Outcome: report.Outcome(orRunning(r.Outcome)),
		Plan: r.PlanID, Counts: r.Counts, Error: r.Error}
}

func orRunning(outcome string) string {
	if outcome == "" {
		return "running"
	}
	return outcome
}

// changes sums a run up in a few words.
func changes(r journal.RunInfo) string {
	var parts []string
	for _, op := range []string{"create", "adopt", "rename", "move", "archive", "held", "departed"} {
		if n := r.Counts[op]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, op))
		}
	}
	if r.Error != "" {
		line, _, _ := strings.Cut(r.Error, "\n")
		parts = append(parts, plain(line))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// steps prints one run with its steps, as they come from the journal.
func (cmd historyCmd) steps(a *app, j *journal.Journal) error {
	r, err := j.Run(a.ctx, cmd.RunID)
	if err != nil {
		return err
	}
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
	var rows []stepRow
	text := func(format string, args ...any) error { _, err := fmt.Fprintf(a.stdout, format, args...); return err }
	if cmd.Format == "text" {
		if err := text("run %d, %s, %s, %s: %s\n", r.ID, r.Started.UTC().Format(time.RFC3339), plain(r.Trigger), orRunning(r.Outcome), changes(r)); err != nil {
			return err
		}
	}
	for s, err := range j.Steps(a.ctx, cmd.RunID) {
		if err != nil {
			return err
		}
		if cmd.Format == "json" {
			rows = append(rows, stepRow{s.Op, string(s.Key), s.From, s.To, orRunning(s.Status), s.Error, s.Began.UTC(), timeOrNil(s.Ended)})
			continue
		}
		if err := text("  %-8s %-8s %s\n", orRunning(s.Status), s.Op, plain(s.To)); err != nil {
			return err
		}
		if s.From != "" && s.From != s.To {
			if err := text("      from %s\n", plain(s.From)); err != nil {
				return err
			}
		}
		if s.Error != "" {
			if err := text("      %s\n", plain(s.Error)); err != nil {
				return err
			}
		}
	}
	if cmd.Format == "json" {
		return printJSON(a.stdout, struct {
			dashboard.Run
			Steps []stepRow `json:"steps"`
		}{newRunRow(r), rows})
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(sync.PlainJSON(b))
	return err
}
