package host

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
)

// Exit codes of a process that could not start as a service. They are those of
// the command line for the same errors.
const (
	exitFailed = 1
	exitConfig = 78
)

// pulse is how often a service that starts or stops says that it makes progress.
const pulse = 5 * time.Second

// AsService reports whether the service manager of Windows has started this
// process, and if so, runs it until its end.
func AsService(run Run) (code int, is bool) {
	is, err := svc.IsWindowsService()
	if err != nil || !is {
		return 0, false
	}
	// If the event log cannot be opened, the exit code is all there is.
	events := io.Discard
	if log, err := eventlog.Open(Name); err == nil {
		defer log.Close()
		events = eventWriter(log)
	}
	if err := enterFolder(); err != nil {
		fmt.Fprintf(events, "cwvault: error: %v\n", err)
		return exitConfig, true
	}
	h := &handler{run: run, events: events}
	if err := svc.Run(Name, h); err != nil {
		fmt.Fprintf(events, "cwvault: error: %v\n", err)
		return exitFailed, true
	}
	return h.code, true
}

// enterFolder goes to where the settings are. What the Go runtime says when the
// process dies is written there, since a service has no screen.
func enterFolder() error {
	folder := folderOf(os.Args[1:])
	if folder == "" {
		return nil
	}
	if err := os.Chdir(folder); err != nil {
		return err
	}
	crashes, err := os.OpenFile("cwvault-crash.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil // the folder is not writable when the journal is elsewhere
	}
	defer crashes.Close() // the runtime keeps its own handle
	return debug.SetCrashOutput(crashes, debug.CrashOptions{})
}

// handler connects a [process] to the service manager.
type handler struct {
	run    Run
	events io.Writer
	code   int
}

// Execute implements [svc.Handler].
func (h *handler) Execute(_ []string, changes <-chan svc.ChangeRequest, status chan<- svc.Status) (specific bool, code uint32) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	requests := make(chan request)
	go forward(ctx, changes, requests)
	h.code = process{
		run:      func(ctx context.Context, on Host) int { return h.run(ctx, on, h.events) },
		requests: requests,
		report:   func(s state, step uint32) { status <- statusOf(s, step) },
		pulse:    pulse,
	}.execute(ctx)
	return h.code != 0, uint32(h.code)
}

// forward hands on what the service manager asks, until ctx ends.
func forward(ctx context.Context, changes <-chan svc.ChangeRequest, requests chan<- request) {
	for {
		select {
		case <-ctx.Done():
			return
		case change := <-changes:
			r := requestState
			switch change.Cmd {
			case svc.Stop, svc.Shutdown:
				r = requestStop
			case svc.ParamChange:
				r = requestReload
			}
			select {
			case requests <- r:
			case <-ctx.Done():
				return
			}
		}
	}
}

func statusOf(s state, step uint32) svc.Status {
	hint := uint32(4 * pulse / time.Millisecond)
	switch s {
	case running:
		return svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown | svc.AcceptParamChange}
	case stopping:
		return svc.Status{State: svc.StopPending, CheckPoint: step, WaitHint: hint}
	}
	return svc.Status{State: svc.StartPending, CheckPoint: step, WaitHint: hint}
}

// eventWriter writes to the event log, with the level of each entry.
func eventWriter(log *eventlog.Log) io.Writer {
	return hclog.NewLeveledWriter(eventFunc(log.Error), map[hclog.Level]io.Writer{
		hclog.Trace: eventFunc(log.Info), hclog.Debug: eventFunc(log.Info),
		hclog.Info: eventFunc(log.Info), hclog.Warn: eventFunc(log.Warning),
	})
}

// eventFunc writes events; each Write is one.
type eventFunc func(id uint32, text string) error

func (report eventFunc) Write(p []byte) (int, error) {
	const most = 30_000 // an event holds 31,839 characters
	text := strings.TrimRight(string(p), "\r\n")
	if len(text) > most {
		text = text[:most] + "..."
	}
	// EventCreate.exe, which gives the events their form, knows ids from 1 to 1000.
	if err := report(1, text); err != nil {
		return 0, err
	}
	return len(p), nil
}
