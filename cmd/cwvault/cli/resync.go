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
	Format   string     `enum:"text,json" default:"text" help:"Form of the result: text or json."`
	Company  []string   `placeholder:"ID|IDENTIFIER" help:"Only these companies, with their group folders and what must make way for them."`
	Plan     string     `placeholder:"FILE" help:"Apply exactly the plan in this file (from plan --format json --out FILE), or nothing."`
	Approve  string     `placeholder:"ID" help:"Approve the plan with this id, and no other: the guards let it through."`
	Recreate []sync.Key `placeholder:"KEY" help:"Make the folder with this key again though it has disappeared from the vault."`
	DryRun   bool       `help:"Only show the plan."`

	Remote *string       `placeholder:"URL" help:"Ask the service at this address for the run, and show it. Needs CWVAULT_TOKEN, and no other setting."`
	Wait   time.Duration `default:"0s" placeholder:"DURATION" help:"While another run is under way, wait this long for it to end, such as 10m."`
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

// printRun writes a run's report, and ends with the exit code that it asks for.
func (a *app) printRun(e run.Ending, format string) error {
	if e.Run == nil {
		return e.Err
	}
	if err := a.showRun(*e.Run, format); err != nil {
		return err
	}
	if e.Err != nil {
		return e.Err
	}
	if code := exitOf(e); code != exitOK {
		return resultCode(code)
	}
	return nil
}

func (a *app) showRun(r report.Run, format string) error {
	if format == "json" {
		return report.WriteJSON(a.Stdout, r)
	}
	return report.RunText(a.Stdout, r, a.colours(a.Stdout))
}
