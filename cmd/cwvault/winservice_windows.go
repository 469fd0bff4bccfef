package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

const (
	serviceName = "cwvault"
	// serviceAccount is the account that the service runs as. Windows makes it
	// when it is named; it has no password and no more rights than are given to
	// it.
	serviceAccount = `NT SERVICE\` + serviceName
	// servicePulse is how often a service that starts or stops says that it
	// gets on with it.
	servicePulse = 5 * time.Second
)

// platformCommands adds the commands of this system alone.
func platformCommands() kong.Option {
	return kong.DynamicCommand("service", "Run cwvault serve as a Windows service.", "", &struct {
		Install serviceInstallCmd `cmd:"" help:"Make it a service that starts with Windows, with the settings of --env-file."`
		Remove  serviceRemoveCmd  `cmd:"" help:"Stop the service and remove it. Settings and journal stay."`
		Status  serviceStatusCmd  `cmd:"" help:"Say whether the service is there and runs."`
	}{})
}

// asService reports whether a service control manager has started this process,
// and if so, runs it until its end.
func asService() (code int, is bool) {
	is, err := svc.IsWindowsService()
	if err != nil || !is {
		return 0, false
	}
	// A service has nobody to tell but the event log; if that cannot be opened,
	// the exit code is all there is.
	var stderr io.Writer = io.Discard
	if log, err := eventlog.Open(serviceName); err == nil {
		defer log.Close()
		stderr = eventWriter(log)
	}
	if err := enterServiceFolder(); err != nil {
		fmt.Fprintf(stderr, "cwvault: error: %v\n", err)
		return exitConfig, true
	}
	h := &serviceHandler{stderr: stderr}
	if err := svc.Run(serviceName, h); err != nil {
		fmt.Fprintf(stderr, "cwvault: error: %v\n", err)
		return exitFailed, true
	}
	return h.code, true
}

// enterServiceFolder goes to where the settings are. What the Go runtime says
// when the process dies is written there, since a service has no screen.
func enterServiceFolder() error {
	folder := serviceFolder(os.Args[1:])
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

// serviceHandler connects a [serviceProcess] to the service control manager.
type serviceHandler struct {
	stderr io.Writer
	code   int
}

// Execute implements [svc.Handler].
func (h *serviceHandler) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (specific bool, code uint32) {
	controls := make(chan control)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case r := <-requests:
				c := controlTell
				switch r.Cmd {
				case svc.Stop, svc.Shutdown:
					c = controlStop
				case svc.ParamChange:
					c = controlReload
				}
				select {
				case controls <- c:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	h.code = serviceProcess{
		run: func(ctx context.Context, on host) int {
			return runOn(ctx, on, os.Args[1:], os.Environ(), io.Discard, h.stderr)
		},
		requests: controls,
		report:   func(state serviceState, step uint32) { status <- serviceStatus(state, step) },
		pulse:    servicePulse,
	}.execute(ctx)
	return h.code != 0, uint32(h.code)
}

func serviceStatus(state serviceState, step uint32) svc.Status {
	hint := uint32(4 * servicePulse / time.Millisecond)
	switch state {
	case serviceRunning:
		return svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown | svc.AcceptParamChange}
	case serviceStopping:
		return svc.Status{State: svc.StopPending, CheckPoint: step, WaitHint: hint}
	}
	return svc.Status{State: svc.StartPending, CheckPoint: step, WaitHint: hint}
}

// eventWriter writes the log to the event log of Windows, with the level of
// each entry.
func eventWriter(log *eventlog.Log) io.Writer {
	event := func(report func(id uint32, text string) error) io.Writer { return eventFunc(report) }
	return hclog.NewLeveledWriter(event(log.Error), map[hclog.Level]io.Writer{
		hclog.Trace: event(log.Info), hclog.Debug: event(log.Info), hclog.Info: event(log.Info), hclog.Warn: event(log.Warning),
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

type serviceInstallCmd struct{}

// Run installs the service. Settings that are wrong are refused now, and not
// when Windows starts the next time.
func (serviceInstallCmd) Run(a *app) error {
	if a.envFile == "" {
		return usagef("--env-file is missing: the service takes its settings from a file")
	}
	envFile, err := filepath.Abs(a.envFile)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Chdir(filepath.Dir(envFile)); err != nil { // as the service will do
		return err
	}
	c, err := a.load()
	if err != nil {
		return err
	}
	s, problems := a.openClients(c, nil)
	s.close()
	if len(problems) > 0 {
		return codeError{exitConfig, problems}
	}
	manager, err := mgr.Connect()
	if err != nil {
		return elevated(err)
	}
	defer manager.Disconnect()
	service, err := manager.CreateService(serviceName, program, mgr.Config{
		DisplayName:      "cwvault",
		Description:      "Keeps the folders of the vault in step with the customers in ConnectWise.",
		StartType:        mgr.StartAutomatic,
		DelayedAutoStart: true, // not before the network
		ErrorControl:     mgr.ErrorNormal,
		ServiceStartName: serviceAccount,
	}, serviceArgs(envFile)...)
	if err != nil {
		return elevated(err)
	}
	defer service.Close()
	if err := finishInstall(service); err != nil {
		return errors.Join(err, service.Delete())
	}
	folder := filepath.Dir(envFile)
	_, err = fmt.Fprintf(a.stdout, `Service %[1]s is installed, with the settings of %[2]s.
Let its account, and nobody else, use the folder of its settings and its journal:

    icacls "%[3]s" /inheritance:r /grant "%[4]s:(OI)(CI)M" "*S-1-5-32-544:(OI)(CI)F" "*S-1-5-18:(OI)(CI)F"

Then start it with: sc start %[1]s
`, serviceName, envFile, folder, serviceAccount)
	return err
}

// finishInstall sets what can be set only when a service exists.
func finishInstall(service *mgr.Service) error {
	restart := func(after time.Duration) mgr.RecoveryAction {
		return mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: after}
	}
	// The last one repeats. A day without a failure begins anew.
	actions := []mgr.RecoveryAction{restart(time.Minute), restart(5 * time.Minute), restart(15 * time.Minute)}
	if err := service.SetRecoveryActions(actions, 24*60*60); err != nil {
		return fmt.Errorf("set what follows a failure: %w", err)
	}
	// An exit code other than 0 is a failure too, not only a crash.
	if err := service.SetRecoveryActionsOnNonCrashFailures(true); err != nil {
		return fmt.Errorf("set what follows a failure: %w", err)
	}
	_ = eventlog.Remove(serviceName) // what an installation before has left
	if err := eventlog.InstallAsEventCreate(serviceName, eventlog.Info|eventlog.Warning|eventlog.Error); err != nil {
		return fmt.Errorf("register with the event log: %w", err)
	}
	return nil
}

type serviceRemoveCmd struct{}

// Run stops and removes the service.
func (serviceRemoveCmd) Run(a *app) error {
	manager, err := mgr.Connect()
	if err != nil {
		return elevated(err)
	}
	defer manager.Disconnect()
	service, err := manager.OpenService(serviceName)
	if err != nil {
		return elevated(err)
	}
	defer service.Close()
	if err := stopService(a.ctx, service); err != nil {
		return err
	}
	if err := service.Delete(); err != nil {
		return err
	}
	if err := eventlog.Remove(serviceName); err != nil && !errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
		return fmt.Errorf("the service is removed, but not its entry for the event log: %w", err)
	}
	_, err = fmt.Fprintf(a.stdout, "Service %s is removed. Its settings and its journal are where they were.\n", serviceName)
	return err
}

// stopService stops a service and waits for it, as long as one step may take.
func stopService(ctx context.Context, service *mgr.Service) error {
	_, err := service.Control(svc.Stop)
	if errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop the service: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		status, err := service.Query()
		if err != nil || status.State == svc.Stopped {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New("the service does not stop; nothing was removed")
		case <-time.After(200 * time.Millisecond):
		}
	}
}

type serviceStatusCmd struct{}

// Run tells how the service is. It needs no administrator.
func (serviceStatusCmd) Run(a *app) error {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return err
	}
	defer windows.CloseServiceHandle(manager)
	name, err := windows.UTF16PtrFromString(serviceName)
	if err != nil {
		return err
	}
	handle, err := windows.OpenService(manager, name, windows.SERVICE_QUERY_STATUS|windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return elevated(err)
	}
	service := &mgr.Service{Name: serviceName, Handle: handle}
	defer service.Close()
	status, err := service.Query()
	if err != nil {
		return err
	}
	config, err := service.Config()
	if err != nil {
		return err
	}
	state := map[svc.State]string{
		svc.Stopped: "stopped", svc.StartPending: "starting", svc.Running: "running", svc.StopPending: "stopping",
	}[status.State]
	_, err = fmt.Fprintf(a.stdout, "Service  %s\nState    %s\nProcess  %d\nExit     %d\nAccount  %s\nCommand  %s\n",
		serviceName, state, status.ProcessId, status.ServiceSpecificExitCode, plain(config.ServiceStartName), plain(config.BinaryPathName))
	return err
}

// elevated says what to do about the errors that a person meets first.
func elevated(err error) error {
	switch {
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return fmt.Errorf("%w; this needs a console that was opened with \"Run as administrator\"", err)
	case errors.Is(err, windows.ERROR_SERVICE_EXISTS):
		return fmt.Errorf("%w; for other settings: cwvault service remove, then install again", err)
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		return errors.New("there is no service cwvault; cwvault service install makes one")
	}
	return err
}
