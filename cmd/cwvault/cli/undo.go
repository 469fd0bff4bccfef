package cli

import (
	"fmt"

	"cwvault/sync/report"
	"cwvault/sync/run"
)

type undoCmd struct {
	RunID  int64  `arg:"" name:"run" help:"Number of the run, from cwvault history."`
	DryRun bool   `help:"Show the plan and change nothing."`
	Format string `enum:"text,json" default:"text" help:"Format of the result: text or json."`
}

func (undoCmd) help() ([]string, []int) {
	return []string{"cwvault undo 17 --dry-run", "cwvault undo 17"}, running(exitPartial, exitLease)
}

// Run undoes the renames and moves of a run. Folders that it created stay.
func (cmd undoCmd) Run(a *app) error {
	c, err := a.open(!cmd.DryRun)
	if err != nil {
		return err
	}
	defer c.close()
	if cmd.DryRun {
		p, err := c.Runner().ProposeUndo(a.ctx, cmd.RunID)
		if err != nil {
			return err
		}
		cmd.warn(a, p)
		return report.Plan(a.Stdout, p.Plan, cmd.Format, a.colours(a.Stdout))
	}
	e := c.Runner().Undo(a.ctx, cmd.RunID, 0)
	if e.Run != nil {
		cmd.warn(a, e.Proposal)
	}
	return a.printRun(e, cmd.Format)
}

// warn prints what an undo does not do.
func (cmd undoCmd) warn(a *app, p *run.Proposal) {
	if p.Stays > 0 {
		stay := "stay"
		if p.Stays == 1 {
			stay = "stays"
		}
		fmt.Fprintf(a.Stderr, "cwvault: %s that run %d made %s\n", report.Count(p.Stays, "folder"), cmd.RunID, stay)
	}
	fmt.Fprintf(a.Stderr, "cwvault: the next run makes these changes again unless ConnectWise or the settings change; cwvault pause keeps a company as it is\n")
}
