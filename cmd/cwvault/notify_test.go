//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
)

// systemd is the receiving end of NOTIFY_SOCKET.
type systemd struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func newSystemd(t *testing.T) *systemd {
	t.Helper()
	// Not t.TempDir: the path of a socket has at most 107 bytes.
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &systemd{t: t, path: filepath.Join(dir, "s")}
	s.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	return s
}

// next returns the next message, or none when there is none within the time.
func (s *systemd) next(within time.Duration) (assignments []string, ok bool) {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		s.t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := s.conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, false
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Split(string(b[:n]), "\n"), true
}

// until returns the messages up to the one with an assignment.
func (s *systemd) until(assignment string) [][]string {
	s.t.Helper()
	var messages [][]string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		m, ok := s.next(time.Second)
		if !ok {
			continue
		}
		messages = append(messages, m)
		for _, a := range m {
			if a == assignment {
				return messages
			}
		}
	}
	s.t.Fatalf("no %s within a minute; messages: %q", assignment, messages)
	return nil
}

func TestNotifier(t *testing.T) {
	s := newSystemd(t)
	t.Setenv("NOTIFY_SOCKET", s.path)
	readies := 0
	n := (&app{log: hclog.NewNullLogger(), host: host{ready: func() { readies++ }}}).notifier()
	n.status("reading companies\nREADY=1\x1b[0m")
	n.ready("next run at 10:00")
	n.reloading()
	n.ready("settings read again")
	n.stopping("signal")
	var got [][]string
	for range 5 {
		m, ok := s.next(time.Minute)
		if !ok {
			t.Fatal("a message is missing")
		}
		got = append(got, m)
	}
	if usec := got[2][len(got[2])-1]; regexp.MustCompile(`^MONOTONIC_USEC=[1-9][0-9]+$`).MatchString(usec) {
		got[2][1] = "MONOTONIC_USEC"
	}
	want := [][]string{
		{`STATUS=reading companies\u000aREADY=1\u001b[0m`},
		{"READY=1", "STATUS=next run at 10:00"},
		{"RELOADING=1", "MONOTONIC_USEC"}, // Type=notify-reload needs the time
		{"READY=1", "STATUS=settings read again"},
		{"STOPPING=1", "STATUS=signal"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if readies != 2 {
		t.Errorf("the host was told %d times that the service is ready, want 2", readies)
	}
}

// TestNotifierWithoutSystemd: nothing is sent, and what cannot be sent is
// logged and does no harm.
func TestNotifierWithoutSystemd(t *testing.T) {
	for name, test := range map[string]struct {
		socket, usec string
		logged       string
	}{
		"not started by systemd": {"", "", ""},
		"the socket is gone":     {"/nowhere/notify", "", "the service manager was not told"},
		"no number":              {"", "soon", "no watchdog"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", test.socket)
			t.Setenv("WATCHDOG_USEC", test.usec)
			var log bytes.Buffer
			n := (&app{log: hclog.New(&hclog.LoggerOptions{Output: &log})}).notifier()
			n.ready("")
			n.watchdog(t.Context(), func() bool { t.Error("asked without a watchdog"); return true })
			if got := log.String(); !strings.Contains(got, test.logged) || (test.logged == "") != (got == "") {
				t.Errorf("log %q, want %q", got, test.logged)
			}
		})
	}
}

func TestWatchdog(t *testing.T) {
	const limit = 40 * time.Millisecond
	s := newSystemd(t)
	t.Setenv("NOTIFY_SOCKET", s.path)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(limit.Microseconds(), 10))
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var alive atomic.Bool
	alive.Store(true)
	asked := make(chan struct{}, 1000)
	ended := make(chan struct{})
	n := (&app{log: hclog.NewNullLogger()}).notifier()
	go func() {
		defer close(ended)
		n.watchdog(ctx, func() bool { asked <- struct{}{}; return alive.Load() })
	}()
	start := time.Now()
	for range 4 {
		if m, ok := s.next(time.Minute); !ok || !cmp.Equal(m, []string{"WATCHDOG=1"}) {
			t.Fatalf("message %q", m)
		}
	}
	// The first is sent at once, each of the others half the limit later.
	if took := time.Since(start); took < 3*limit/2-limit/4 {
		t.Errorf("four messages within %s", took)
	}
	alive.Store(false)
	for len(asked) > 0 {
		<-asked
	}
	<-asked // may have been begun before the service was stuck
	<-asked // sees that it is stuck, and its answer is taken before the next question
	<-asked
	for {
		if _, ok := s.next(time.Millisecond); !ok {
			break // what was sent before is read
		}
	}
	<-asked
	<-asked
	if m, ok := s.next(time.Millisecond); ok {
		t.Errorf("message %q of a service that is stuck", m)
	}
	alive.Store(true)
	s.until("WATCHDOG=1")
	cancel()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the watchdog does not end")
	}
}

// TestWatchdogOfAnother: a child must not answer for its parent.
func TestWatchdogOfAnother(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", newSystemd(t).path)
	t.Setenv("WATCHDOG_USEC", "1000")
	t.Setenv("WATCHDOG_PID", "1")
	(&app{log: hclog.NewNullLogger()}).notifier().watchdog(t.Context(), func() bool { t.Error("asked"); return true })
}

// TestServeUnderSystemd plays systemd for a real service: it is told when the
// service is ready, alive, reading its settings again and stopping; what the
// file of settings says then counts, unless it is wrong.
func TestServeUnderSystemd(t *testing.T) {
	t.Parallel()
	s, manager := newSite(t), newSystemd(t)
	s.world.add(1, "Acme", "Customer", "Active")
	envFile := writeEnvFile(t, 0o600, "CWVAULT_SCHEDULE=@yearly\n")
	rewrite := func(text string) {
		t.Helper()
		if err := os.WriteFile(envFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	cmd := s.command(&out, "serve", "--env-file", envFile)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+manager.path, "WATCHDOG_USEC=200000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended when all went well
	folder := func(name string) bool {
		_, err := os.Stat(filepath.Join(s.store, "Clients", "Customer", "Active", name, ".cwvault"))
		return err == nil
	}
	waitForFolder := func(name string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !folder(name); {
			if time.Now().After(deadline) {
				t.Fatalf("no folder %s within a minute", name)
			}
			manager.next(20 * time.Millisecond) // read on, or the service's words get stuck
		}
	}
	manager.until("READY=1")
	manager.until("WATCHDOG=1")
	waitForFolder("Acme")

	s.world.add(2, "Beta", "Customer", "Active")
	for _, text := range []string{"CWVAULT_SCHEDULE=never\n", "not a setting\n", "CWVAULT_SCHEDULE=@every 1s\n"} {
		if folder("Beta") {
			t.Error("a run without being asked for")
		}
		rewrite(text)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		manager.until("RELOADING=1")
		manager.until("READY=1")
	}
	waitForFolder("Beta")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	manager.until("STOPPING=1")
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("%v\n%s", err, out.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("the service does not end")
	}
	for _, want := range []string{"CWVAULT_SCHEDULE: schedule", "line 1: not of the form"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log does not say %q\n%s", want, out.String())
		}
	}
}
