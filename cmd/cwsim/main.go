// Command cwsim serves a simulated ConnectWise PSA or Secret Server on this
// machine, with the companies and folders of a file. See docs/CWSIM.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitFailed = 1  // it cannot serve
	exitUsage  = 64 // the command line, the world or the faults are wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// commands is the command line.
type commands struct {
	Connectwise  connectwiseCmd  `cmd:"" name:"connectwise" help:"Serve a ConnectWise PSA with the companies of the world."`
	Secretserver secretserverCmd `cmd:"" name:"secretserver" help:"Serve a Secret Server with the folders of the world."`
}

// flags are those of both commands.
type flags struct {
	World  string `placeholder:"FILE" help:"Companies and folders; docs/CWSIM.md describes the language. Without it, a small sample."`
	Listen string `placeholder:"ADDR" default:"127.0.0.1:0" help:"Loopback address to listen on. Default ${default}, a free port."`
	Faults string `placeholder:"FILE" help:"What goes wrong with requests; by default nothing."`
}

const description = `cwsim serves a simulated ConnectWise PSA or Secret Server on this machine, to try cwvault, or any other client, without the real ones.

It prints the settings that make cwvault talk to it, then "ready", and serves until it is stopped. One world can be given to both.`

// process is what a command gets.
type process struct {
	ctx    context.Context
	stdout io.Writer
}

// usageError is an error of the person who called cwsim.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	var cli commands
	exited := -1
	parser, err := kong.New(&cli,
		kong.Name("cwsim"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}), kong.Help(printHelp),
	)
	if err != nil {
		panic("cwsim: internal error: " + err.Error())
	}
	if len(args) == 0 {
		args = []string{"--help"}
		defer func() { code = exitUsage }()
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help was asked for and printed
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "cwsim: error: %v\ncwsim: hint: cwsim --help\n", err)
		return exitUsage
	}
	err = parsed.Run(&process{ctx, stdout})
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "cwsim: error: %v\n", err)
	if usage := (usageError{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}
