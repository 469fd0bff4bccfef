package cli

import (
	"context"
	"errors"
	"io"

	"cwvault/cmd/cwvault/demo"
	"cwvault/sync/run"
)

type demoCmd struct {
	Dir   string `default:"./cwvault-demo" help:"Directory to create for the demo."`
	Vault string `enum:"passwordstore,secretserver" default:"passwordstore" help:"The vault: a password store on disk, or a built-in Secret Server."`
	Serve bool   `help:"Then run as a service, while companies keep changing in ConnectWise. Stop it with Ctrl-C."`
}

func (demoCmd) help() ([]string, []int) {
	return []string{"cwvault demo", "cwvault demo --vault secretserver --dir /tmp/demo", "cwvault demo --serve"}, []int{exitUsage}
}

// Run runs the demo.
func (cmd demoCmd) Run(a *app) error {
	err := demo.Run(a.ctx, demo.Options{
		Dir: cmd.Dir, Vault: cmd.Vault, Serve: cmd.Serve, Environ: a.environ, Out: a.Stdout,
		Exec: func(ctx context.Context, args, environ []string, out io.Writer) int {
			p := a.Process
			p.Args, p.Environ, p.Stdout = args, environ, out
			return Run(ctx, p)
		},
	})
	var ended *demo.ExitError
	switch {
	case errors.Is(err, demo.ErrExists):
		return run.WithCause(run.CauseUsage, err)
	case errors.As(err, &ended) && ended.Command == "serve":
		return resultCode(ended.Got)
	}
	return err
}
