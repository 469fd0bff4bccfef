package cli

import "cwvault/sync/report"

type pauseCmd struct {
	Company string `arg:"" help:"Id or identifier of the company."`
	Reason  string `placeholder:"TEXT" help:"Reason to show in plans."`
}

func (pauseCmd) help() ([]string, []int) {
	return []string{`cwvault pause 250 --reason "merger under way"`}, running(exitLease)
}

// Run pauses a company.
func (cmd pauseCmd) Run(a *app) error {
	c, err := a.open(true)
	if err != nil {
		return err
	}
	defer c.close()
	key, err := c.Runner().Pause(a.ctx, cmd.Company, cmd.Reason)
	if err != nil {
		return err
	}
	return a.print("paused %s; its folder stays as it is until: cwvault unpause %s", key, report.Plain(cmd.Company))
}

type unpauseCmd struct {
	Company string `arg:"" help:"Id or identifier of the company."`
}

func (unpauseCmd) help() ([]string, []int) {
	return []string{"cwvault unpause 250"}, running(exitLease)
}

// Run unpauses a company.
func (cmd unpauseCmd) Run(a *app) error {
	c, err := a.open(true)
	if err != nil {
		return err
	}
	defer c.close()
	key, was, err := c.Runner().Unpause(a.ctx, cmd.Company)
	switch {
	case err != nil:
		return err
	case !was:
		return a.print("%s was not paused", key)
	}
	return a.print("unpaused %s; its folder follows ConnectWise from the next run on", key)
}
