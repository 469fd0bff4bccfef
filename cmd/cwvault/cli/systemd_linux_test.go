package cli

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cwvault/scheduler/host"
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

// TestServeUnderSystemd plays systemd for a real service: it is told when the
// service is ready, alive, reading its settings again and stopping; what the
// file of settings says then counts, unless it is wrong.
func TestServeUnderSystemd(t *testing.T) {
	t.Parallel()
	s, manager := newSite(t), newSystemd(t)
	s.world.add(1, "Acme", "Customer", "Active")
	envFile := filepath.Join(t.TempDir(), "cwvault.env")
	rewrite := func(text string) {
		t.Helper()
		if err := os.WriteFile(envFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rewrite("CWVAULT_SCHEDULE=@yearly\n")
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

// TestServiceArguments: what the installation of a Windows service writes down
// is a command line of ours.
func TestServiceArguments(t *testing.T) {
	var out bytes.Buffer
	envFile := filepath.Join(t.TempDir(), "of cwvault", "cwvault.env")
	if code := cwvault(t.Context(), host.Args(envFile), nil, &out, &out); code != exitConfig || !strings.Contains(out.String(), envFile) {
		t.Errorf("exit code %d for a file that is not there: %s", code, &out)
	}
}
