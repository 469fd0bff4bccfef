package cli

import (
	"net/url"

	"cwvault/scheduler/api"
	"cwvault/sync/report"
)

type callbacksRegisterCmd struct {
	URL string `arg:"" help:"Address at which ConnectWise reaches the service, such as https://cwvault.example.com/api/connectwise/callback."`
}

func (callbacksRegisterCmd) help() ([]string, []int) {
	return []string{"cwvault callbacks register https://cwvault.example.com/api/connectwise/callback"}, []int{exitUsage, exitUnauthorized, exitConfig}
}

// Run registers a callback unless one exists that works.
func (cmd callbacksRegisterCmd) Run(a *app) error {
	site, done, err := a.site()
	if err != nil {
		return err
	}
	defer done()
	e, err := site.EnsureCallback(a.ctx, cmd.URL)
	for _, c := range e.Elsewhere {
		a.log.Warn("another callback of cwvault's delivers elsewhere; if no service is there, remove it", "id", c.ID, "url", report.Plain(c.URL))
	}
	for _, c := range e.Removed {
		if err := a.print("removed callback %d, which was %s", c.ID, c.Why); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	address := e.Callback.URL
	if u, err := url.Parse(address); err == nil && u.Path != api.CallbackPath {
		a.log.Warn("the service listens on another path; configure the reverse proxy to forward to it", "path", api.CallbackPath)
	}
	if !e.Made {
		return a.print("callback %d is there already: %s", e.Callback.ID, report.Plain(address))
	}
	return a.print("registered callback %d: %s", e.Callback.ID, report.Plain(address))
}
