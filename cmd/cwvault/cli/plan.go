package cli

import (
	"bytes"

	"cwvault/sync"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

type planCmd struct {
	Format           string   `enum:"text,json,markdown,html" default:"text" help:"Format of the plan: text, json, markdown or html."`
	Out              string   `placeholder:"FILE" help:"Write the plan to this file, which only you can read, instead of standard output."`
	DetailedExitcode bool     `help:"Exit with 2 if changes are pending, with 4 if a guard holds some."`
	Company          []string `placeholder:"ID|IDENTIFIER" help:"Plan only these companies, their group folders, and the folders that must leave their places."`
}

func (planCmd) help() ([]string, []int) {
	return []string{"cwvault plan", "cwvault plan --format json --out plan.json", "cwvault plan --company 250 --detailed-exitcode"},
		running(exitPending, exitHeld)
}

// Run shows what a resync would change.
func (cmd planCmd) Run(a *app) error {
	c, err := a.open(false)
	if err != nil {
		return err
	}
	defer c.close()
	p, err := c.Runner().Propose(a.ctx, run.Request{Companies: cmd.Company, Count: true})
	if err != nil {
		return err
	}
	if err := cmd.print(a, p.Plan); err != nil {
		return err
	}
	switch {
	case !cmd.DetailedExitcode:
		return nil
	case p.HeldByGuard():
		return resultCode(exitHeld)
	case !p.Empty():
		return resultCode(exitPending)
	}
	return nil
}

func (cmd planCmd) print(a *app, plan sync.Plan) error {
	if cmd.Out == "" {
		return report.Plan(a.Stdout, plan, cmd.Format, a.colours(a.Stdout))
	}
	var b bytes.Buffer
	if err := report.Plan(&b, plan, cmd.Format, false); err != nil {
		return err
	}
	return writePrivate(cmd.Out, b.Bytes())
}
