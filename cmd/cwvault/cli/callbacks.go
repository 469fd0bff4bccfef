package cli

import (
	"fmt"
	"net/url"

	"cwvault/cmd/cwvault/settings"
	"cwvault/scheduler/api"
	"cwvault/sync/report"
)

type callbacksCmd struct {
	List     callbacksListCmd     `cmd:"" help:"List ConnectWise's callbacks, cwvault's and others."`
	Register callbacksRegisterCmd `cmd:"" help:"Register a callback, so that ConnectWise reports every changed company to the service at this address."`
	Remove   callbacksRemoveCmd   `cmd:"" help:"Remove callbacks that cwvault registered, all or some."`
}

func (callbacksCmd) help() ([]string, []int) {
	return []string{"cwvault callbacks list", "cwvault callbacks register https://cwvault.example.com/api/connectwise/callback"},
		[]int{exitUsage, exitUnauthorized, exitConfig}
}

// site connects to ConnectWise only. The caller calls done.
func (a *app) site() (site *settings.Site, done func(), err error) {
	s, err := a.load()
	if err != nil {
		return nil, nil, err
	}
	c, problems := s.Connect(a.log, settings.Hooks{})
	if len(problems) > 0 {
		c.Close()
		return nil, nil, &settings.SettingsError{Problems: problems}
	}
	return c.Site(), c.Close, nil
}

type callbacksListCmd struct {
	Format string `enum:"text,json" default:"text" help:"Format of the result: text or json."`
}

func (callbacksListCmd) help() ([]string, []int) {
	return []string{"cwvault callbacks list"}, []int{exitUsage, exitUnauthorized, exitConfig}
}

// Run lists all callbacks.
func (cmd callbacksListCmd) Run(a *app) error {
	site, done, err := a.site()
	if err != nil {
		return err
	}
	defer done()
	rows, err := site.Callbacks(a.ctx)
	switch {
	case err != nil:
		return err
	case cmd.Format == "json":
		return report.WriteJSON(a.Stdout, map[string]any{"callbacks": rows})
	case len(rows) == 0:
		return a.print("no callbacks; cwvault callbacks register makes one")
	}
	for _, row := range rows {
		state, about, whose := "active", "every company", "cwvault's"
		if !row.Active {
			state = "switched off"
		}
		if !row.AboutAll {
			about = fmt.Sprintf("%s, %s %d", row.Type, row.Level, row.ObjectID)
		}
		if !row.Ours {
			whose = "not cwvault's: " + row.Description
		}
		if err := a.print("%6d  %-12s  %-13s  %s  %s", row.ID, state, report.Plain(about), report.Plain(row.URL), report.Plain(whose)); err != nil {
			return err
		}
	}
	return nil
}

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
