// Command cwvault keeps the folder tree of a vault in step with the customers
// in ConnectWise PSA. See the README.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // for the time zones of schedules, which a bare system lacks

	"cwvault/cmd/cwvault/cli"
	"cwvault/scheduler/host"
)

var version = "" // set by release builds: make release VERSION=v1.2.3

func main() {
	process := cli.Process{Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr, Version: version}
	if code, is := host.AsService(func(ctx context.Context, h host.Host, events io.Writer) int {
		process.Host, process.Stdout, process.Stderr = h, io.Discard, events
		return cli.Run(ctx, process)
	}); is {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, process)
	stop()
	os.Exit(code)
}
