package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// serviceManager stands for the service control manager of Windows.
type serviceManager struct {
	t        *testing.T
	requests chan control
	reports  chan string
	ended    chan int
}

// startService runs a command as a service whose pulse hardly ever beats.
func startService(t *testing.T, pulse time.Duration, run func(ctx context.Context, on host) int) *serviceManager {
	m := &serviceManager{t: t, requests: make(chan control), reports: make(chan string, 1000), ended: make(chan int, 1)}
	p := serviceProcess{run: run, requests: m.requests, pulse: pulse, report: func(state serviceState, step uint32) {
		m.reports <- fmt.Sprintf("%s %d", []string{"starting", "running", "stopping"}[state], step)
	}}
	go func() { m.ended <- p.execute(t.Context()) }()
	return m
}

func (m *serviceManager) ask(c control) {
	m.t.Helper()
	select {
	case m.requests <- c:
	case <-time.After(time.Minute):
		m.t.Fatal("the service takes no request")
	}
}

func (m *serviceManager) wantReports(want ...string) {
	m.t.Helper()
	var got []string
	for range want {
		select {
		case r := <-m.reports:
			got = append(got, r)
		case <-time.After(time.Minute):
			m.t.Fatalf("only %q, want %q", got, want)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		m.t.Fatalf("reports (-want +got)\n%s", diff)
	}
}

func (m *serviceManager) wantEnd(want int) {
	m.t.Helper()
	select {
	case code := <-m.ended:
		if code != want {
			m.t.Errorf("ended with %d, want %d", code, want)
		}
	case <-time.After(time.Minute):
		m.t.Fatal("does not end")
	}
}

// TestWindowsService goes through the life of a service.
func TestWindowsService(t *testing.T) {
	t.Parallel()
	begin, stopped := make(chan struct{}), make(chan struct{})
	reloads := make(chan struct{}, 10)
	m := startService(t, time.Hour, func(ctx context.Context, on host) int {
		hangups, stop := (&app{host: on}).hangups()
		defer stop()
		<-begin
		on.ready()
		on.ready() // after a reload; the manager hears it once
		for {
			select {
			case <-hangups:
				reloads <- struct{}{}
			case <-ctx.Done():
				<-stopped // the step under way
				return 0
			}
		}
	})
	m.wantReports("starting 1")
	m.ask(controlTell)
	m.wantReports("starting 1")
	close(begin)
	m.wantReports("running 0")
	m.ask(controlReload)
	select {
	case <-reloads:
	case <-time.After(time.Minute):
		t.Fatal("the settings are not read again")
	}
	m.ask(controlTell)
	m.wantReports("running 0")
	m.ask(controlStop)
	m.wantReports("stopping 1")
	m.ask(controlStop) // Windows shuts down meanwhile
	m.wantReports("stopping 1")
	select {
	case code := <-m.ended:
		t.Fatalf("ended with %d before the step under way", code)
	default:
	}
	close(stopped)
	m.wantEnd(0)
	if len(m.reports) > 0 {
		t.Errorf("more reports: %q", <-m.reports)
	}
}

// TestWindowsServiceIsBusy: nobody reads the requests to reload, and the
// service answers all the same.
func TestWindowsServiceIsBusy(t *testing.T) {
	t.Parallel()
	m := startService(t, time.Hour, func(ctx context.Context, on host) int {
		on.ready()
		<-ctx.Done()
		if got := len(on.hangups); got != 1 {
			t.Errorf("%d reloads wait, want 1", got)
		}
		return 0
	})
	m.wantReports("starting 1", "running 0")
	for range 5 {
		m.ask(controlReload)
	}
	m.ask(controlStop)
	m.wantReports("stopping 1")
	m.wantEnd(0)
}

// TestWindowsServiceGetsOn: starting and stopping take their time without being
// taken for a hang, and what runs is not talked about.
func TestWindowsServiceGetsOn(t *testing.T) {
	t.Parallel()
	begin, end := make(chan struct{}), make(chan struct{})
	m := startService(t, time.Millisecond, func(ctx context.Context, on host) int {
		<-begin
		on.ready()
		<-ctx.Done()
		<-end
		return 0
	})
	m.wantReports("starting 1", "starting 2", "starting 3", "starting 4")
	close(begin)
	for r := range m.reports {
		if r == "running 0" {
			break
		}
	}
	m.ask(controlStop)
	m.wantReports("stopping 1", "stopping 2", "stopping 3")
	close(end)
	m.wantEnd(0)
}

func TestWindowsServiceFails(t *testing.T) {
	t.Parallel()
	m := startService(t, time.Hour, func(context.Context, host) int { return exitConfig })
	m.wantReports("starting 1")
	m.wantEnd(exitConfig)
}

// TestWindowsServiceServes runs the real command with the arguments that the
// installation writes down.
func TestWindowsServiceServes(t *testing.T) {
	t.Parallel()
	envFile := filepath.Join(t.TempDir(), "of cwvault", "cwvault.env")
	args := serviceArgs(envFile)
	if got := serviceFolder(args); got != filepath.Dir(envFile) {
		t.Errorf("folder %q", got)
	}
	if got := serviceFolder([]string{"--env-file=" + envFile, "serve"}); got != filepath.Dir(envFile) {
		t.Errorf("folder %q", got)
	}
	for _, args := range [][]string{nil, {"serve"}, {"serve", "--env-file"}} {
		if got := serviceFolder(args); got != "" {
			t.Errorf("folder of %q is %q", args, got)
		}
	}
	var stderr bytes.Buffer
	m := startService(t, time.Hour, func(ctx context.Context, on host) int {
		return runOn(ctx, on, args, nil, &stderr, &stderr)
	})
	m.wantEnd(exitConfig) // there is no such file
	if !bytes.Contains(stderr.Bytes(), []byte(envFile)) {
		t.Errorf("says %q", stderr.String())
	}
}
