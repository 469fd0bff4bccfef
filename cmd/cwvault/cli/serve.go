package cli

import (
	"cwvault/scheduler/service"
)

type serveCmd struct{}

func (serveCmd) help() ([]string, []int) {
	return []string{"cwvault serve", "CWVAULT_SCHEDULE='*/15 * * * *' CWVAULT_LISTEN=127.0.0.1:8377 cwvault serve", "cwvault serve --env-file /etc/cwvault.env"},
		[]int{exitUsage, exitUnauthorized, exitConfig}
}

// Help implements [kong.HelpProvider].
func (serveCmd) Help() string {
	return `Besides the settings of every run, these matter for the service:

  CWVAULT_SCHEDULE      when runs start, cron or @every (default @every 30m)
  CWVAULT_TIMEZONE      time zone of the schedule (default UTC)
  CWVAULT_RUN_ON_START  whether a run starts with the service (default true)
  CWVAULT_LISTEN        address of page and API, or off (default 127.0.0.1:8377)
  CWVAULT_TOKEN         token to start runs; required to listen beyond loopback
  CWVAULT_TICKETS       on: raise ConnectWise tickets for problems (default off)
  CWVAULT_LOG_FORMAT    text or json (default text)

SIGHUP makes it read the settings file again. SIGTERM stops it after the step under way.`
}

// Run resyncs on the schedule and serves the page until a signal comes.
func (serveCmd) Run(a *app) error {
	s, err := a.load()
	if err != nil {
		return err
	}
	metrics := service.NewMetrics(a.version())
	backend, err := s.Service(a.env, a.log, service.CountRequests(metrics))
	if err != nil {
		return err
	}
	v, err := service.New(a.ctx, service.Options{
		Backend: backend, Log: a.log, Version: a.version(), Metrics: metrics, ExitCode: exitOf, Clock: a.Times.Clock,
		Host: a.Host.Notifier(a.log),
	})
	if err != nil {
		backend.Close()
		return err
	}
	return v.Serve(a.ctx)
}
