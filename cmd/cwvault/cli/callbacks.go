package cli

import (
	"cwvault/cmd/cwvault/settings"
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
