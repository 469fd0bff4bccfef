package cli

import (
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
	j, err := s.Journal(a.ctx, false)
	if err != nil {
		return err
	}
	defer j.Close()
	if cmd.RunID != 0 {
		row, steps, err := run.Steps(a.ctx, j, cmd.RunID)
		switch {
		case err != nil:
			return err
		case cmd.Format == "json":
			return report.StepsJSON(a.Stdout, row, steps)
		}
		return report.StepsText(a.Stdout, row, steps)
	}
	rows, err := run.History(a.ctx, j, cmd.Limit, cmd.Before)
	switch {
	case err != nil:
		return err
	case cmd.Format == "json":
		return report.WriteJSON(a.Stdout, map[string]any{"runs": rows})
	}
	return report.RowsText(a.Stdout, rows)
}
