package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

// Install makes this program a Windows service that runs [Args] as [Account]
// and starts with Windows. It does not start it now. envFile must be absolute;
// the caller has checked the settings in it.
func Install(envFile string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	manager, err := mgr.Connect()
	if err != nil {
		return explained(err)
	}
	defer manager.Disconnect()
	service, err := manager.CreateService(Name, program, mgr.Config{
		DisplayName:      "cwvault",
		Description:      "Keeps the folders of the vault in step with the customers in ConnectWise.",
		StartType:        mgr.StartAutomatic,
		DelayedAutoStart: true, // not before the network
		ErrorControl:     mgr.ErrorNormal,
		ServiceStartName: Account,
	}, Args(envFile)...)
	if err != nil {
		return explained(err)
	}
	defer service.Close()
	if err := finishInstall(service); err != nil {
		return errors.Join(err, service.Delete())
	}
	return nil
}

// finishInstall sets what can be set only when a service exists.
func finishInstall(service *mgr.Service) error {
	restart := func(after time.Duration) mgr.RecoveryAction {
		return mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: after}
	}
	// The last action repeats. After a day without a failure the first is next.
	actions := []mgr.RecoveryAction{restart(time.Minute), restart(5 * time.Minute), restart(15 * time.Minute)}
	if err := service.SetRecoveryActions(actions, 24*60*60); err != nil {
		return fmt.Errorf("set what follows a failure: %w", err)
	}
	// An exit code other than 0 is a failure too, not only a crash.
	if err := service.SetRecoveryActionsOnNonCrashFailures(true); err != nil {
		return fmt.Errorf("set what follows a failure: %w", err)
	}
	_ = eventlog.Remove(Name) // an earlier installation may have left its entry
	if err := eventlog.InstallAsEventCreate(Name, eventlog.Info|eventlog.Warning|eventlog.Error); err != nil {
		return fmt.Errorf("register with the event log: %w", err)
	}
	return nil
}

// Remove stops the Windows service, waits for its end for at most a minute, and
// removes it. Settings and journal stay where they are.
func Remove(ctx context.Context) error {
	manager, err := mgr.Connect()
	if err != nil {
		return explained(err)
	}
	defer manager.Disconnect()
	service, err := manager.OpenService(Name)
	if err != nil {
		return explained(err)
	}
	defer service.Close()
	if err := stop(ctx, service); err != nil {
		return err
	}
	if err := service.Delete(); err != nil {
		return err
	}
	if err := eventlog.Remove(Name); err != nil && !errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
		return fmt.Errorf("the service is removed, but not its entry for the event log: %w", err)
	}
	return nil
}

// stop stops a service and waits for it, as long as one step may take.
func stop(ctx context.Context, service *mgr.Service) error {
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

// Status is how the Windows service is installed, and what it does now.
type Status struct {
	State   string // stopped, starting, running, stopping
	Process uint32 // 0: none
	Exit    uint32 // the last exit code
	Account string
	Command string
}

// Query returns how the Windows service is. It needs no administrator.
func Query() (Status, error) {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return Status{}, err
	}
	defer windows.CloseServiceHandle(manager)
	name, err := windows.UTF16PtrFromString(Name)
	if err != nil {
		return Status{}, err
	}
	handle, err := windows.OpenService(manager, name, windows.SERVICE_QUERY_STATUS|windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return Status{}, explained(err)
	}
	service := &mgr.Service{Name: Name, Handle: handle}
	defer service.Close()
	status, err := service.Query()
	if err != nil {
		return Status{}, err
	}
	config, err := service.Config()
	if err != nil {
		return Status{}, err
	}
	states := map[svc.State]string{
		svc.Stopped: "stopped", svc.StartPending: "starting", svc.Running: "running", svc.StopPending: "stopping",
	}
	return Status{states[status.State], status.ProcessId, status.ServiceSpecificExitCode, config.ServiceStartName, config.BinaryPathName}, nil
}

// explained says what to do about the errors that a person meets first.
func explained(err error) error {
	switch {
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return fmt.Errorf("%w; open the console with \"Run as administrator\"", err)
	case errors.Is(err, windows.ERROR_SERVICE_EXISTS):
		return fmt.Errorf("%w; to change its settings file, run cwvault service remove and install it again", err)
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		return errors.New("there is no service cwvault; cwvault service install makes one")
	}
	return err
}
