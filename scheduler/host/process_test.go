package host

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// serviceManager stands for the service manager of Windows. It is used inside a
// bubble of package synctest, where nothing happens unseen: time passes only when nothing else can.
type serviceManager struct {
	t        *testing.T
	requests chan request
	ended    chan int

	mu      sync.Mutex
	reports []string
}

// start runs a command as a service whose pulse beats every 5 seconds.
func start(t *testing.T, run func(ctx context.Context, h Host) int) *serviceManager {
	m := &serviceManager{t: t, requests: make(chan request), ended: make(chan int, 1)}
	p := process{run: run, requests: m.requests, pulse: 5 * time.Second, report: func(s state, step uint32) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.reports = append(m.reports, fmt.Sprintf("%s %d", []string{"starting", "running", "stopping"}[s], step))
	}}
	go func() { m.ended <- p.execute(t.Context()) }()
	return m
}

// wantReports waits until nothing happens any more, and checks what the service
// has said since the last call.
func (m *serviceManager) wantReports(want ...string) {
	m.t.Helper()
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if diff := cmp.Diff(want, m.reports); diff != "" {
		m.t.Fatalf("reports (-want +got)\n%s", diff)
	}
	m.reports = nil
}

func (m *serviceManager) wantEnd(want int) {
	m.t.Helper()
	synctest.Wait()
	select {
	case code := <-m.ended:
		if code != want {
			m.t.Errorf("ended with %d, want %d", code, want)
		}
	default:
		m.t.Error("has not ended")
	}
}

// TestWindowsService goes through the life of a service.
func TestWindowsService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, stepEnded := make(chan struct{}), make(chan struct{})
		reloads := 0
		m := start(t, func(ctx context.Context, h Host) int {
			hangups, stop := h.Hangups()
			defer stop()
			n := h.Notifier(nil)
			<-begin
			n.Ready("")
			n.Ready("") // after a reload; the manager hears it once
			for {
				select {
				case <-hangups:
					reloads++
				case <-ctx.Done():
					<-stepEnded // the step under way
					return 0
				}
			}
		})
		m.wantReports("starting 1")
		m.requests <- requestState
		m.wantReports("starting 1")
		close(begin)
		m.wantReports("running 0")
		m.requests <- requestReload
		m.wantReports()
		if reloads != 1 {
			t.Errorf("settings were read again %d times, want once", reloads)
		}
		m.requests <- requestState
		m.wantReports("running 0")
		m.requests <- requestStop
		m.wantReports("stopping 1")
		m.requests <- requestStop // Windows shuts down meanwhile
		m.wantReports("stopping 1")
		if len(m.ended) > 0 {
			t.Fatalf("ended with %d before the step under way", <-m.ended)
		}
		close(stepEnded)
		m.wantEnd(0)
		m.wantReports()
	})
}

// TestWindowsServiceIsBusy: nobody reads the requests to reload, and the
// service answers all the same.
func TestWindowsServiceIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, func(ctx context.Context, h Host) int {
			h.Notifier(nil).Ready("")
			<-ctx.Done()
			if got := len(h.hangups); got != 1 {
				t.Errorf("%d reloads wait, want 1", got)
			}
			return 0
		})
		m.wantReports("starting 1", "running 0")
		for range 5 {
			m.requests <- requestReload
		}
		m.requests <- requestStop
		m.wantReports("stopping 1")
		m.wantEnd(0)
	})
}

// TestWindowsServiceIsSlow: starting and stopping may take long, which is not
// taken for a hang. While the service runs, it is silent.
func TestWindowsServiceIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, func(ctx context.Context, h Host) int {
			time.Sleep(17 * time.Second)
			h.Notifier(nil).Ready("")
			<-ctx.Done()
			time.Sleep(11 * time.Second)
			return 0
		})
		time.Sleep(16 * time.Second)
		m.wantReports("starting 1", "starting 2", "starting 3", "starting 4")
		time.Sleep(time.Hour)
		m.wantReports("running 0")
		m.requests <- requestStop
		m.wantReports("stopping 1")
		time.Sleep(10 * time.Second)
		m.wantReports("stopping 2", "stopping 3")
		m.requests <- requestStop
		m.wantReports("stopping 3") // an earlier step would look like a hang
		time.Sleep(time.Second)
		m.wantEnd(0)
	})
}

func TestWindowsServiceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, func(context.Context, Host) int { return 78 })
		m.wantReports("starting 1")
		m.wantEnd(78)
	})
}

func TestFolderOf(t *testing.T) {
	envFile := filepath.Join(t.TempDir(), "of cwvault", "cwvault.env")
	for _, args := range [][]string{Args(envFile), {"--env-file=" + envFile, "serve"}} {
		if got := folderOf(args); got != filepath.Dir(envFile) {
			t.Errorf("folder of %q is %q", args, got)
		}
	}
	for _, args := range [][]string{nil, {"serve"}, {"serve", "--env-file"}} {
		if got := folderOf(args); got != "" {
			t.Errorf("folder of %q is %q", args, got)
		}
	}
}
