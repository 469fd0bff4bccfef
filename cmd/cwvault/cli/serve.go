package cli

import (
	"cwvault/scheduler/service"
)

type serveCmd struct{}

func (serveCmd) help() ([]string, []int) {
	return []string{"cwvault serve", "CWVAULT_SCHEDULE='*/15 * * * *' CWVAULT_LISTEN=127.0.0.1:8377 cwvault serve", "cwvault serve --env-file /etc/cwvault.env"},
		[]int{exitUsage, exitUnauthorized, exitConfig}
}

// Run resyncs on the schedule, and shows how that goes, until a signal comes.
func (serveCmd) Run(a *app) error {
	s, err := a.load()
	if err != nil {
		return err
	}
	backend, err := s.Service(a.env, a.log)
	if err != nil {
		return err
	}
	v, err := service.New(a.ctx, service.Options{
		Backend: backend, Log: a.log, Version: a.version(), ExitCode: exitOf, Clock: a.Times.Clock,
		Host: a.Host.Notifier(a.log),
	})
	if err != nil {
		backend.Close()
		return err
	}
	return v.Serve(a.ctx)
}
