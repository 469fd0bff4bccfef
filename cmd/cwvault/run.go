package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/term"

	"cwvault/sync"
)

// app is what every command gets: the world outside.
type app struct {
	ctx     context.Context
	process []string // the environment that the process was started with
	envFile string   // --env-file, or empty
	environ []string // process, and what the file adds to it
	warning string   // what is wrong with the file, for the log
	stdout  io.Writer
	stderr  io.Writer
	log     hclog.Logger
	host    host
	// unbooked are the problems that tickets were raised for while the journal
	// could not be had. One part of the program at a time raises tickets.
	unbooked map[string]bool
}

// commands is the command line.
type commands struct {
	EnvFile string `placeholder:"FILE" help:"Read settings from FILE, lines of NAME=VALUE. What the environment sets already wins."`

	Plan      planCmd      `cmd:"" help:"Show what a resync would change. Changes nothing."`
	Resync    resyncCmd    `cmd:"" help:"Bring the vault's folders in step with ConnectWise, now."`
	Serve     serveCmd     `cmd:"" help:"Resync on a schedule until stopped."`
	Check     checkCmd     `cmd:"" help:"Test both connections, the rights, the settings and the clock. Changes nothing."`
	Explain   explainCmd   `cmd:"" help:"Say where a company's folder is, where it should be, and why."`
	History   historyCmd   `cmd:"" help:"List the runs of the past, or the steps of one."`
	Undo      undoCmd      `cmd:"" help:"Take back what a run renamed and moved. What it created stays."`
	Callbacks callbacksCmd `cmd:"" help:"Let ConnectWise tell the service at once when a company changes."`
	Pause     pauseCmd     `cmd:"" help:"Keep a company's folder as it is until unpaused."`
	Unpause   unpauseCmd   `cmd:"" help:"Let a company's folder follow ConnectWise again."`
	Demo      demoCmd      `cmd:"" help:"Tell the whole story on a built-in ConnectWise and a password store on disk."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

const description = `cwvault keeps the folder tree of a vault in step with the customers in ConnectWise PSA.

It is set up by environment variables, or by a file of them; see the README. Standard output carries the result and nothing else.

Exit codes: 0 done, 1 failed, 2 changes pending (plan --detailed-exitcode), 3 some steps failed, 4 held by a guard,
5 the companies read are not to be trusted, 64 usage, 75 another run is under way, 77 not authorised, 78 settings.`

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) (code int) {
	return runOn(ctx, host{}, args, environ, stdout, stderr)
}

// runOn is run for a process that something else than a shell or systemd has
// started.
func runOn(ctx context.Context, on host, args, environ []string, stdout, stderr io.Writer) (code int) {
	var cli commands
	exited := -1
	parser, err := kong.New(&cli,
		kong.Name("cwvault"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}),
		platformCommands(),
	)
	if err != nil {
		panic("cwvault: internal error: " + err.Error())
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
		fmt.Fprintf(stderr, "cwvault: error: %s\ncwvault: hint: cwvault --help\n", plain(err.Error()))
		return exitUsage
	}
	a := &app{ctx: ctx, process: environ, envFile: cli.EnvFile, stdout: stdout, stderr: stderr, log: hclog.NewNullLogger(), host: on}
	if a.environ, err = a.reload(); err == nil {
		err = parsed.Run(a)
	}
	var result resultCode
	if errors.As(err, &result) {
		return int(result)
	}
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintf(stderr, "cwvault: error: %s\n", plain(line))
		}
		if h := hint(err); h != "" {
			fmt.Fprintf(stderr, "cwvault: hint: %s\n", h)
		}
		var panicked *sync.PanicError
		if errors.As(err, &panicked) {
			fmt.Fprintf(stderr, "%s\n", panicked.Stack)
		}
	}
	return exitCode(err)
}

// resultCode ends a command with a code and no message: its output said it all.
type resultCode int

func (c resultCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// load reads the settings and starts the log.
func (a *app) load() (*config, error) {
	c, err := loadConfig(a.ctx, a.environ)
	if err != nil {
		return nil, err
	}
	a.log = hclog.New(&hclog.LoggerOptions{
		Name: "cwvault", Level: c.logLevel, JSONFormat: c.logJSON, Output: a.stderr,
	})
	if a.warning != "" {
		a.log.Warn(a.warning, "file", plain(a.envFile))
	}
	for _, name := range unknownSettings(a.environ) {
		a.log.Warn("unknown setting, ignored", "name", plain(name))
	}
	return c, nil
}

// env returns a variable of the environment.
func (a *app) env(name string) string {
	for i := len(a.environ) - 1; i >= 0; i-- {
		if k, v, _ := strings.Cut(a.environ[i], "="); k == name {
			return v
		}
	}
	return ""
}

// isTerminal reports whether w is a terminal that a person looks at.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colours reports whether to use colour on w.
func (a *app) colours(w io.Writer) bool {
	return isTerminal(w) && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"
}
