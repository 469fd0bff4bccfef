package cli

import (
	"errors"
	"os"
	"time"

	"cwvault/sync"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

type resyncCmd struct {
	Format   string     `enum:"text,json" default:"text" help:"Format of the result: text or json."`
	Company  []string   `placeholder:"ID|IDENTIFIER" help:"Resync only these companies, their group folders, and the folders that must leave their places."`
	Plan     string     `placeholder:"FILE" help:"Apply exactly the plan in this file, or nothing. Make it with: cwvault plan --format json --out FILE"`
	Approve  string     `placeholder:"ID" help:"Approve the plan with this id and no other, so that no guard holds it."`
	Recreate []sync.Key `placeholder:"KEY" help:"Make the folder with this key again, such as company/250, if it has disappeared from the vault."`
	DryRun   bool       `help:"Show the plan and change nothing."`

	Remote *string       `placeholder:"URL" help:"Let the service at this address make the run, and show it. The only setting it needs is CWVAULT_TOKEN."`
	Wait   time.Duration `default:"0s" placeholder:"DURATION" help:"How long to wait for another run to end, such as 10m."`
}

func (resyncCmd) help() ([]string, []int) {
	return []string{"cwvault resync", "cwvault resync --company 250 --dry-run", "cwvault resync --plan plan.json", "cwvault resync --remote https://cwvault.example.com"},
		running(exitPartial, exitHeld, exitLease)
}

// Run makes one run now.
func (cmd resyncCmd) Run(a *app) error {
	for _, key := range cmd.Recreate {
		if !key.Valid() {
			return run.Usagef("--recreate %q: not a key; it looks like company/250", key)
		}
	}
	if cmd.Wait < 0 {
		return run.Usagef("--wait: %v is negative", cmd.Wait)
	}
	if cmd.Remote != nil {
		return cmd.remote(a)
	}
	c, err := a.open(!cmd.DryRun)
	var unopened *openError
	if errors.As(err, &unopened) && !cmd.DryRun {
		unopened.settings.TellUnopened(a.ctx, a.log, err)
	}
	if err != nil {
		return err
	}
	defer c.close()
	req := run.Request{Companies: cmd.Company, Recreate: cmd.Recreate, Approve: cmd.Approve, Wait: cmd.Wait, Count: cmd.DryRun}
	if cmd.DryRun {
		p, err := c.Runner().Propose(a.ctx, req)
		if err != nil {
			return err
		}
		return report.Plan(a.Stdout, p.Plan, cmd.Format, a.colours(a.Stdout))
	}
	if cmd.Plan != "" {
		if req.Saved, err = readSaved(cmd.Plan); err != nil {
			return err
		}
	}
	e := c.Runner().Run(a.ctx, req, "manual")
	err = a.printRun(e, cmd.Format)
	c.Clerk(nil).Tell(a.ctx, e)
	return err
}

func readSaved(path string) (*run.SavedPlan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, run.Usagef("--plan: %w", err)
	}
	defer f.Close()
	p, err := run.ReadSaved(f)
	if err != nil {
		return nil, run.Usagef("--plan %s: %w", path, err)
	}
	return p, nil
}
