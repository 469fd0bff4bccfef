//go:build linux

package host

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
)

// listenAsSystemd makes the socket that NOTIFY_SOCKET names, and returns what
// reads the next message from it, as assignments.
func listenAsSystemd(t *testing.T) (next func() []string) {
	t.Helper()
	// Not t.TempDir: the path of a socket has at most 107 bytes.
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", socket)
	return func() []string {
		t.Helper()
		b := make([]byte, 4096)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(b[:n]), "\n")
	}
}

func TestNotifier(t *testing.T) {
	next := listenAsSystemd(t)
	readies := 0
	n := Host{ready: func() { readies++ }}.Notifier(nil)
	n.Status("reading companies\nREADY=1\x1b[0m\u202e é")
	n.Ready("next run at 10:00\n")
	n.Reloading()
	n.Ready("settings read again")
	n.Stopping("signal\r")
	var got [][]string
	for range 5 {
		got = append(got, next())
	}
	if usec := got[2][len(got[2])-1]; regexp.MustCompile(`^MONOTONIC_USEC=[1-9][0-9]+$`).MatchString(usec) {
		got[2][1] = "MONOTONIC_USEC"
	}
	want := [][]string{
		{`STATUS=reading companies\u000aREADY=1\u001b[0m\u202e é`},
		{"READY=1", `STATUS=next run at 10:00\u000a`},
		{"RELOADING=1", "MONOTONIC_USEC"}, // Type=notify-reload needs the time
		{"READY=1", "STATUS=settings read again"},
		{"STOPPING=1", `STATUS=signal\u000d`},
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
		"the socket is gone":     {"/nowhere/notify", "", "cannot notify the service manager"},
		"no number":              {"", "soon", "no watchdog"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", test.socket)
			t.Setenv("WATCHDOG_USEC", test.usec)
			var log bytes.Buffer
			n := Host{}.Notifier(hclog.New(&hclog.LoggerOptions{Output: &log}))
			n.Ready("")
			n.Watchdog(t.Context(), func() bool { t.Error("asked without a watchdog"); return true })
			if got := log.String(); !strings.Contains(got, test.logged) || (test.logged == "") != (got == "") {
				t.Errorf("log %q, want %q", got, test.logged)
			}
		})
	}
}

// TestWatchdog: systemd hears of the service at once and after each half of its
// limit, but not while the service is stuck.
func TestWatchdog(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "10000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var got []string
		note := func(what string) { got = append(got, fmt.Sprintf("%s after %v", what, time.Since(start))) }
		ctx, cancel := context.WithTimeout(t.Context(), 27*time.Second)
		defer cancel()
		n := Host{}.Notifier(nil)
		n.send = func(message string) error { note(message); return nil }
		asked := 0
		n.Watchdog(ctx, func() bool {
			asked++
			return asked != 3 && asked != 4
		})
		note("the end")
		want := []string{"WATCHDOG=1 after 0s", "WATCHDOG=1 after 5s", "WATCHDOG=1 after 20s", "WATCHDOG=1 after 25s", "the end after 27s"}
		if diff := cmp.Diff(want, got); diff != "" || asked != 6 {
			t.Errorf("asked %d times, want 6; (-want +got)\n%s", asked, diff)
		}
	})
}

// TestWatchdogOfAnother: a child must not answer for its parent.
func TestWatchdogOfAnother(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "1000")
	t.Setenv("WATCHDOG_PID", "1")
	Host{}.Notifier(nil).Watchdog(t.Context(), func() bool { t.Error("asked"); return true })
}

// TestHangups: SIGHUP asks for the settings to be read again, and does not end
// the process.
func TestHangups(t *testing.T) {
	hangups, stop := Host{}.Hangups()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	select {
	case <-hangups:
	case <-time.After(time.Minute):
		t.Fatal("no hangup")
	}
	stop()
	own := make(chan os.Signal)
	hangups, stop = Host{hangups: own}.Notifier(nil).Hangups()
	defer stop()
	if hangups != own {
		t.Error("the host's own hangups are not used")
	}
}
