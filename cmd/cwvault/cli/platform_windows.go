package cli

import (
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"

	"cwvault/cmd/cwvault/settings"
	"cwvault/scheduler/host"
	"cwvault/sync/run"
)

// platformCommands adds the commands that only this system has.
func platformCommands() kong.Option {
	return kong.DynamicCommand("service", "Run cwvault serve as a Windows service.", "", &struct {
		Install serviceInstallCmd `cmd:"" help:"Install a service that starts with Windows and reads the settings of --env-file."`
		Remove  serviceRemoveCmd  `cmd:"" help:"Stop the service and remove it. Settings and journal stay."`
		Status  serviceStatusCmd  `cmd:"" help:"Show whether the service is installed and running."`
	}{})
}

type serviceInstallCmd struct{}

func (serviceInstallCmd) help() ([]string, []int) {
	return []string{`cwvault service install --env-file C:\ProgramData\cwvault\cwvault.env`}, []int{exitUsage, exitConfig}
}

// Run installs the service. It refuses wrong settings now, not at the next start of
// Windows.
func (serviceInstallCmd) Run(a *app) error {
	if a.env.File == "" {
		return run.Usagef("--env-file is missing: the service takes its settings from a file")
	}
	envFile, err := filepath.Abs(a.env.File)
	if err != nil {
		return err
	}
	folder := filepath.Dir(envFile)
	if err := os.Chdir(folder); err != nil { // as the service will do
		return err
	}
	s, err := a.load()
	if err != nil {
		return err
	}
	c, problems := s.Connect(a.log, settings.Hooks{})
	c.Close()
	if len(problems) > 0 {
		return &settings.SettingsError{Problems: problems}
	}
	if err := host.Install(envFile); err != nil {
		return err
	}
	return a.print(`Service %[1]s is installed, with the settings of %[2]s.
Give only its account access to the folder of its settings and journal:

    icacls "%[3]s" /inheritance:r /grant "%[4]s:(OI)(CI)M" "*S-1-5-32-544:(OI)(CI)F" "*S-1-5-18:(OI)(CI)F"

Then start it with: sc start %[1]s`, host.Name, envFile, folder, host.Account)
}

type serviceRemoveCmd struct{}

func (serviceRemoveCmd) help() ([]string, []int) { return []string{"cwvault service remove"}, nil }

// Run stops the service and removes it.
func (serviceRemoveCmd) Run(a *app) error {
	if err := host.Remove(a.ctx); err != nil {
		return err
	}
	return a.print("Service %s is removed. Its settings and its journal stay.", host.Name)
}

type serviceStatusCmd struct{}

func (serviceStatusCmd) help() ([]string, []int) { return []string{"cwvault service status"}, nil }

// Run prints the state of the service.
func (serviceStatusCmd) Run(a *app) error {
	s, err := host.Query()
	if err != nil {
		return err
	}
	return a.print("Service  %s\nState    %s\nProcess  %d\nExit     %d\nAccount  %s\nCommand  %s",
		host.Name, s.State, s.Process, s.Exit, s.Account, s.Command)
}
