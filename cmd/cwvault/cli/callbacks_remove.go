package cli

import "cwvault/sync/report"

type callbacksRemoveCmd struct {
	ID []int `arg:"" optional:"" help:"Numbers of callbacks, from cwvault callbacks list. Without a number, all of cwvault's."`
}

func (callbacksRemoveCmd) help() ([]string, []int) {
	return []string{"cwvault callbacks remove", "cwvault callbacks remove 12"}, []int{exitUsage, exitUnauthorized, exitConfig}
}

// Run removes cwvault's callbacks, all or some.
func (cmd callbacksRemoveCmd) Run(a *app) error {
	site, done, err := a.site()
	if err != nil {
		return err
	}
	defer done()
	removed, err := site.RemoveCallbacks(a.ctx, cmd.ID)
	for _, c := range removed {
		if err := a.print("removed callback %d: %s", c.ID, report.Plain(c.URL)); err != nil {
			return err
		}
	}
	if err == nil && len(removed) == 0 {
		return a.print("there is no callback of cwvault's")
	}
	return err
}
