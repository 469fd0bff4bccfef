package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// This file is what a Windows service does, without Windows, so that it is
// tested everywhere. winservice_windows.go connects it.

// serviceArgs is the command line of the service.
func serviceArgs(envFile string) []string { return []string{"serve", "--env-file", envFile} }

// serviceFolder returns the folder that a service works in, which is that of
// its file of settings: paths in there that are relative start from it. The
// system's own folder, where services begin, is not writable. Empty means that
// the arguments are not those of [serviceArgs].
func serviceFolder(args []string) string {
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

// control is what a service is asked for.
type control int

const (
	controlTell   control = iota // how are you?
	controlReload                // read the settings again
	controlStop                  // also when the machine shuts down
)

// serviceState is what a service is.
type serviceState int

const (
	serviceStarting serviceState = iota
	serviceRunning
	serviceStopping
)

// serviceProcess answers a service control manager while a command runs.
type serviceProcess struct {
	run      func(ctx context.Context, on host) (code int)
	requests <-chan control
	// report tells the manager the state. The step grows while the service
	// starts or stops, with each pulse; a manager takes one that does not grow
	// for a hang.
	report func(state serviceState, step uint32)
	pulse  time.Duration
}

// execute runs the command until it ends, and returns its exit code. After
// controlStop the command's context is done, and execute waits for its end.
func (p serviceProcess) execute(ctx context.Context) (code int) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hangups, ready, ended := make(chan os.Signal, 1), make(chan struct{}, 1), make(chan int, 1)
	on := host{hangups: hangups, ready: func() {
		select {
		case ready <- struct{}{}:
		default: // told already
		}
	}}
	go func() { ended <- p.run(ctx, on) }()

	state, step := serviceStarting, uint32(1)
	p.report(state, step)
	pulse := time.NewTicker(p.pulse)
	defer pulse.Stop()
	for {
		select {
		case code := <-ended:
			return code
		case <-ready:
			if state == serviceStarting {
				state, step = serviceRunning, 0
				p.report(state, step)
			}
		case <-pulse.C:
			if state != serviceRunning {
				step++
				p.report(state, step)
			}
		case request := <-p.requests:
			switch request {
			case controlTell:
				p.report(state, step)
			case controlReload:
				select {
				case hangups <- syscall.SIGHUP:
				default: // one is waiting already, and will see the newest settings
				}
			case controlStop:
				cancel()
				if state != serviceStopping {
					state, step = serviceStopping, 1
				}
				p.report(state, step)
			}
		}
	}
}
