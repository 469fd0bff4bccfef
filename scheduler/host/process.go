package host

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// This file is what a Windows service does, without Windows, so that it is
// tested everywhere. service_windows.go connects it.

const (
	// Name is the name of the Windows service.
	Name = "cwvault"
	// Account is the account that the Windows service runs as. Windows makes it
	// when it is named; it has no password, and no rights but those it is given.
	Account = `NT SERVICE\` + Name
)

// Run runs the command of a service and returns its exit code. It ends soon
// after ctx does. What it writes to events, each Write one entry, goes to the
// event log; a service has no other place to write to.
type Run func(ctx context.Context, h Host, events io.Writer) (code int)

// Args returns the command line of the Windows service, without the program.
func Args(envFile string) []string { return []string{"serve", "--env-file", envFile} }

// folderOf returns the folder that a service works in, which is that of its
// file of settings: paths in there that are relative start from it. The folder
// where Windows starts services is not writable. Empty means that the arguments
// are not those of [Args].
func folderOf(args []string) string {
	for i, arg := range args {
		if path, ok := strings.CutPrefix(arg, "--env-file="); ok {
			return filepath.Dir(path)
		}
		if arg == "--env-file" && i+1 < len(args) {
			return filepath.Dir(args[i+1])
		}
	}
	return ""
}

// request is what the service manager asks of a service.
type request int

const (
	requestState  request = iota // how are you?
	requestReload                // read the settings again
	requestStop                  // also when the machine shuts down
)

// state is what a service is.
type state int

const (
	starting state = iota
	running
	stopping
)

// process answers the service manager while a command runs.
type process struct {
	run      func(ctx context.Context, h Host) (code int)
	requests <-chan request
	// report tells the manager the state. The step grows with each pulse while
	// the service starts or stops; the manager takes a service whose step stays
	// the same for hung.
	report func(s state, step uint32)
	pulse  time.Duration
}

// execute runs the command until it ends, and returns its exit code. After
// requestStop the command's context is done, and execute waits for its end.
func (p process) execute(ctx context.Context) (code int) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hangups, ready, ended := make(chan os.Signal, 1), make(chan struct{}, 1), make(chan int, 1)
	h := Host{hangups: hangups, ready: func() {
		select {
		case ready <- struct{}{}:
		default: // told already
		}
	}}
	go func() { ended <- p.run(ctx, h) }()

	now, step := starting, uint32(1)
	p.report(now, step)
	pulse := time.NewTicker(p.pulse)
	defer pulse.Stop()
	for {
		select {
		case code := <-ended:
			return code
		case <-ready:
			if now == starting {
				now, step = running, 0
				p.report(now, step)
			}
		case <-pulse.C:
			if now != running {
				step++
				p.report(now, step)
			}
		case r := <-p.requests:
			switch r {
			case requestState:
				p.report(now, step)
			case requestReload:
				select {
				case hangups <- syscall.SIGHUP:
				default: // one is waiting already, and will see the newest settings
				}
			case requestStop:
				cancel()
				if now != stopping {
					now, step = stopping, 1
				}
				p.report(now, step)
			}
		}
	}
}
