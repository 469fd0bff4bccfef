package cli

import (
	"cwvault/scheduler/api"
	"cwvault/scheduler/remote"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

// remote requests the run from a service and shows it like a run of this process.
// The only setting that it needs is the token.
func (cmd resyncCmd) remote(a *app) error {
	if cmd.Plan != "" || cmd.DryRun || cmd.Wait != 0 {
		return run.Usagef("--remote cannot go with --plan, --dry-run or --wait; the service queues its runs anyway")
	}
	if err := remote.CheckAddress(*cmd.Remote); err != nil { // before the settings: a wrong word on the command line comes first
		return run.Usagef("--remote: %w", err)
	}
	client, bar, err := cmd.client(a)
	if err != nil {
		return err
	}
	defer client.Close()
	result, err := client.Resync(a.ctx, api.Request{Companies: cmd.Company, Approve: cmd.Approve, Recreate: cmd.Recreate})
	bar.stop()
	if err != nil {
		return err
	}
	if result.Run != nil {
		if err := a.showRun(*result.Run, cmd.Format); err != nil {
			return err
		}
	}
	return endOf(result)
}

func (cmd resyncCmd) client(a *app) (*remote.Client, *progress, error) {
	s, err := a.load()
	if err != nil {
		return nil, nil, err
	}
	token, err := s.Token()
	switch {
	case err != nil:
		return nil, nil, err
	case token == "":
		return nil, nil, run.Settingsf("CWVAULT_TOKEN: not set; --remote needs the token of the service")
	}
	bar := a.newProgress()
	client, err := remote.New(remote.Options{Address: *cmd.Remote, Token: string(token), Log: a.log, Progress: func(done, total int) {
		if total == 0 {
			bar.stop()
		} else {
			bar.Applied(0, done, total)
		}
	}})
	return client, bar, err
}

// endOf returns the error or exit code of a command whose run a service made.
func endOf(r remote.Result) error {
	code, text := r.Asked.ExitCode, r.Asked.Error
	if r.Asked.State != api.Over { // the service has forgotten the request, not the run
		code, text = exitOf(run.Ending{Run: r.Run}), ""
	}
	switch {
	case code == exitOK:
		return nil
	case code < 0 || code > 125: // no program exits with such a code
		code = exitFailed
	}
	if text == "" || r.Run != nil && r.Run.Error == text { // it has been said
		return resultCode(code)
	}
	return &serviceError{code, report.Plain(text)}
}

// serviceError is the exit code and error of a run, as a service reports them.
type serviceError struct {
	code int
	text string
}

func (e *serviceError) Error() string { return e.text }
