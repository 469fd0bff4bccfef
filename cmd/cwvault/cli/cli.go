// Package cli is cwvault's command line: commands and flags, where output goes, and
// which cause ends a command with which exit code. Each command has a file. The
// work is done in other packages.
//
// # Adding a command
//
// In a new file, write a struct with its flags, a Run method of a few lines, and a
// help method with an example and the exit codes (see [helper]). Name it in the struct
// commands (cli.go). Document it in the README, and write a script in testdata/script.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/hashicorp/go-hclog"

	"cwvault/cmd/cwvault/settings"
	"cwvault/scheduler/host"
	"cwvault/sync"
	"cwvault/sync/report"
)

// Process is what the system gives to a process.
type Process struct {
	Args, Environ  []string
	Stdout, Stderr io.Writer
	Host           host.Host // what started it, if that is the Windows service manager
	Version        string    // of a release; empty: what the build says
	Times          settings.Times
}

// app is what every command gets to work with.
type app struct {
	Process
	ctx     context.Context
	env     settings.Environment
	environ []string // the process's environment, and what the file adds to it
	warning string   // what is wrong with the file, for the log
	log     hclog.Logger
	unwatch func() // ends the watch for a signal; nil: none
}

// commands is the command line.
type commands struct {
	EnvFile string `placeholder:"FILE" help:"Read settings from FILE, in lines of NAME=VALUE. Variables in the environment win."`

	Plan      planCmd      `cmd:"" help:"Show what a resync would change. This command changes nothing."`
	Resync    resyncCmd    `cmd:"" help:"Bring the vault's folders in step with ConnectWise now."`
	Serve     serveCmd     `cmd:"" help:"Run as a service: resync on a schedule until stopped, and show the state on a page."`
	Check     checkCmd     `cmd:"" help:"Test both connections, rights, settings and clock. This command changes nothing."`
	Explain   explainCmd   `cmd:"" help:"Say where a company's folder is, where it should be, and why."`
	History   historyCmd   `cmd:"" help:"List past runs, or the steps of one run."`
	Undo      undoCmd      `cmd:"" help:"Undo the renames and moves of a run. Folders that it created stay."`
	Callbacks callbacksCmd `cmd:"" help:"List, register or remove callbacks, by which ConnectWise reports changed companies to the service."`
	Pause     pauseCmd     `cmd:"" help:"Keep a company's folder as it is until you unpause it."`
	Unpause   unpauseCmd   `cmd:"" help:"Let a company's folder follow ConnectWise again."`
	Demo      demoCmd      `cmd:"" help:"Demonstrate cwvault with a built-in ConnectWise and a password store on disk."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

const description = `cwvault keeps the folder tree of a vault in step with the customers in ConnectWise PSA.

Settings are environment variables or lines of a file (--env-file). The README lists them; "cwvault check" says what is missing or wrong. Results go to standard output, logs to standard error.`

// Run runs a command and returns its exit code.
func Run(ctx context.Context, p Process) (code int) {
	var words commands
	exited := -1
	parser, err := kong.New(&words,
		kong.Name("cwvault"), kong.Description(description), kong.Writers(p.Stdout, p.Stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}), kong.Help(printHelp),
		platformCommands(),
	)
	if err != nil {
		panic("cwvault: internal error: " + err.Error())
	}
	args := p.Args
	if len(args) == 0 {
		args = []string{"--help"}
		defer func() { code = exitUsage }()
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // kong has printed the help
		return exited
	}
	if err != nil {
		fmt.Fprintf(p.Stderr, "cwvault: error: %s\ncwvault: hint: cwvault --help\n", report.Plain(err.Error()))
		return exitUsage
	}
	a := &app{Process: p, ctx: ctx, env: settings.Environment{Process: p.Environ, File: words.EnvFile}, log: hclog.NewNullLogger()}
	if a.environ, a.warning, err = a.env.Read(); err == nil {
		err = parsed.Run(a)
	}
	if a.unwatch != nil {
		a.unwatch()
	}
	return a.end(err)
}

// end prints an error with its hint and returns the exit code.
func (a *app) end(err error) int {
	var result resultCode
	if errors.As(err, &result) {
		return int(result)
	}
	if err == nil {
		return exitOK
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(a.Stderr, "cwvault: error: %s\n", report.Plain(line))
	}
	if h := hint(err); h != "" {
		fmt.Fprintf(a.Stderr, "cwvault: hint: %s\n", h)
	}
	var panicked *sync.PanicError
	if errors.As(err, &panicked) {
		fmt.Fprintf(a.Stderr, "%s\n", panicked.Stack)
	}
	return exitCode(err)
}

// resultCode ends a command with an exit code and no message, because its output
// says everything.
type resultCode int

func (c resultCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// load reads the settings and starts the log.
func (a *app) load() (*settings.Settings, error) {
	s, err := settings.Load(a.ctx, a.environ, a.Times)
	if err != nil {
		return nil, err
	}
	opt := s.LogOptions()
	opt.Output = a.Stderr
	a.log = hclog.New(opt)
	a.unwatch = a.watchSignal()
	if a.warning != "" {
		a.log.Warn(a.warning, "file", report.Plain(a.env.File))
	}
	for _, name := range s.Unknown() {
		a.log.Warn("unknown setting, ignored", "name", report.Plain(name))
	}
	return s, nil
}

// watchSignal logs the signal that ends ctx, when it comes: the steps in progress may
// take a while. The result ends the watch. It waits for a line that is being written.
func (a *app) watchSignal() func() {
	logged := make(chan struct{})
	stop := context.AfterFunc(a.ctx, func() {
		defer close(logged)
		a.log.Info("stopping: what is in progress ends, nothing else begins")
	})
	return func() {
		if !stop() {
			<-logged
		}
	}
}

// open prepares the connection to both servers and opens the journal. It sends
// nothing yet. The caller closes the connection.
func (a *app) open(writable bool) (*connection, error) {
	s, err := a.load()
	if err != nil {
		return nil, err
	}
	bar := a.newProgress()
	c, err := s.Open(a.ctx, a.log, settings.Hooks{Events: bar, Progress: bar.read}, writable)
	if err != nil {
		bar.stop()
		return nil, &openError{s, err}
	}
	return &connection{c, bar}, nil
}

// openError says that a command could not connect, with settings that could be
// read.
type openError struct {
	settings *settings.Settings
	err      error
}

func (e *openError) Error() string { return e.err.Error() }
func (e *openError) Unwrap() error { return e.err }

// connection is a connection with a progress bar.
type connection struct {
	*settings.Connection
	bar *progress
}

func (c *connection) close() {
	c.bar.stop()
	c.Close()
}
