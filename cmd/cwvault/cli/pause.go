package cli

import "cwvault/sync/report"

type pauseCmd struct {
	Company string `arg:"" help:"Id or identifier of the company."`
	Reason  string `help:"Why, for those who read the plan."`
}

func (pauseCmd) help() ([]string, []int) {
	return []string{`cwvault pause 250 --reason "merger under way"`}, running(exitLease)
}

// Run keeps a company's folder as it is until unpaused.
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
	return a.print("paused %s: its folder stays as it is until cwvault unpause %s", key, report.Plain(cmd.Company))
}

type unpauseCmd struct {
	Company string `arg:"" help:"Id or identifier of the company."`
}

func (unpauseCmd) help() ([]string, []int) {
	return []string{"cwvault unpause 250"}, running(exitLease)
}

// Run lets a company's folder follow ConnectWise again.
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
	return a.print("%s follows ConnectWise again from the next run on", key)
}
