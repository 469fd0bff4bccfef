package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	gosync "sync"
	"syscall"
	"testing"
	"time"

	"cwvault/connectwise/connectwisetest"
	"cwvault/vault/secretserver/secretservertest"
)

const (
	// runAsCwvault makes the test binary behave as cwvault itself.
	runAsCwvault = "CWVAULT_TEST_RUN"
	// testLease is how long its leases last, so that no test waits for a real one.
	testLease = "CWVAULT_TEST_LEASE"
)

func cwvaultMain() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := Process{Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr}
	if text := os.Getenv(testLease); text != "" {
		var err error
		if p.Times.LeaseLife, err = time.ParseDuration(text); err != nil {
			panic(err)
		}
	}
	code := Run(ctx, p)
	stop()
	os.Exit(code)
}

// site is a ConnectWise and a password store for processes to work on.
type site struct {
	t     *testing.T
	world *scriptWorld
	store string
	env   []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	server, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	dir := t.TempDir()
	s := &site{t: t, world: newScriptWorld(server), store: filepath.Join(dir, "store")}
	if err := os.MkdirAll(filepath.Join(s.store, "Clients"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.env = []string{
		runAsCwvault + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + dir,
		"CWVAULT_CONNECTWISE_URL=" + server.URL(), "CWVAULT_CONNECTWISE_COMPANY_ID=" + server.Tenant(),
		"CWVAULT_CONNECTWISE_PUBLIC_KEY=" + server.PublicKey(), "CWVAULT_CONNECTWISE_PRIVATE_KEY=" + server.PrivateKey(),
		"CWVAULT_CONNECTWISE_CLIENT_ID=" + server.ClientID(), "CWVAULT_VAULT_URL=passwordstore:" + s.store,
		"CWVAULT_STATE=" + filepath.Join(dir, "cwvault.db"), "CWVAULT_LISTEN=off", "CWVAULT_LOG_LEVEL=info",
	}
	return s
}

// command prepares a process of cwvault; its output goes to out.
func (s *site) command(out *bytes.Buffer, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = s.env
	cmd.Stdout, cmd.Stderr = out, out
	return cmd
}

// must runs cwvault and expects an exit code.
func (s *site) must(code int, args ...string) string {
	s.t.Helper()
	var out bytes.Buffer
	err := s.command(&out, args...).Run()
	var exit *exec.ExitError
	if got := 0; err != nil {
		if !errors.As(err, &exit) {
			s.t.Fatal(err)
		}
		if got = exit.ExitCode(); got != code {
			s.t.Fatalf("cwvault %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out.String())
		}
	} else if code != 0 {
		s.t.Fatalf("cwvault %s: exit code 0, want %d\n%s", strings.Join(args, " "), code, out.String())
	}
	return out.String()
}

// marks returns the directory of every marked folder by key, and fails if two
// have the same.
func (s *site) marks() map[string]string {
	s.t.Helper()
	marks := map[string]string{}
	err := filepath.WalkDir(s.store, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir // what a kill left half made
		case e.Name() != ".cwvault":
			return nil
		}
		var mark struct{ Key string }
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, &mark)
		}
		if err != nil {
			return err
		}
		if other, twice := marks[mark.Key]; twice {
			s.t.Errorf("%s is marked twice: %s and %s", mark.Key, other, filepath.Dir(path))
		}
		marks[mark.Key] = filepath.Dir(path)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return marks
}

// holdReadings holds whoever reads the companies, until release is called or the test
// ends; entered gets a value for each. After remove, readers that come later pass.
func (w *scriptWorld) holdReadings(t *testing.T) (entered <-chan struct{}, release, remove func()) {
	came, released := make(chan struct{}, 100), make(chan struct{})
	release = gosync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	remove = w.AddFault(connectwisetest.Fault{
		Match:  connectwisetest.On(http.MethodGet, "/company/companies"),
		Before: func() { came <- struct{}{}; <-released },
	})
	return came, release, remove
}

// TestTwoAtOnce holds one run up in ConnectWise and starts another, which has
// to say who is there and leave.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.world.add(1, "Acme", "Customer", "Active")
	entered, release, _ := s.world.holdReadings(t)
	var out bytes.Buffer
	first := s.command(&out, "resync")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-entered
	text := s.must(exitLease, "resync")
	if !strings.Contains(text, fmt.Sprintf("process %d", first.Process.Pid)) {
		t.Errorf("the second run does not name the first (%d):\n%s", first.Process.Pid, text)
	}
	release()
	if err := first.Wait(); err != nil {
		t.Errorf("the first run: %v\n%s", err, out.String())
	}
	if len(s.marks()) != 3 {
		t.Errorf("marks %v", s.marks())
	}
}

// TestServe runs the service: it works at once and on schedule, survives a
// failed run, answers for its health, and ends on SIGTERM.
func TestServe(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.world.add(1, "Acme", "Customer", "Active")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s.env = append(s.env, "CWVAULT_SCHEDULE=@every 1s", "CWVAULT_LISTEN="+address)
	var out bytes.Buffer
	cmd := s.command(&out, "serve")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	eventually := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				cmd.Process.Kill()
				cmd.Wait()
				t.Fatalf("never: %s\n%s", what, out.String())
			}
		}
	}
	folder := func(name string) func() bool {
		return func() bool {
			_, err := os.Stat(filepath.Join(s.store, "Clients", "Customer", "Active", name, ".cwvault"))
			return err == nil
		}
	}
	eventually("the run at the start", folder("Acme"))
	var health struct {
		Status string
		LastOK *bool
	}
	healthy := func() bool {
		resp, err := http.Get("http://" + address + "/healthz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return json.NewDecoder(resp.Body).Decode(&health) == nil && health.Status == "alive" && health.LastOK != nil
	}
	eventually("health", func() bool { return healthy() && *health.LastOK })
	s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodGet, "/company/companies/count"), Status: http.StatusForbidden, Body: "{}", ContentType: "application/json"})
	eventually("a failed run", func() bool { return healthy() && !*health.LastOK })
	s.world.ClearFaults()
	s.world.add(2, "Bolt", "Customer", "Active")
	eventually("a run after the failed one", folder("Bolt"))
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, out.String())
	}
	if _, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		t.Error("somebody still listens")
	}
}

// TestReadsTogether sees that companies and folders are read at the same time:
// each side answers only when the other has been asked.
func TestReadsTogether(t *testing.T) {
	t.Parallel()
	s := newVaultSite(t)
	s.world.add(1, "Acme", "Customer", "Active")
	companies, folders := make(chan struct{}), make(chan struct{})
	var once [2]gosync.Once
	wait := func(mine, other chan struct{}, i int) {
		once[i].Do(func() { close(mine) })
		select {
		case <-other:
		case <-time.After(20 * time.Second):
			t.Error("one side was read after the other")
		}
	}
	s.world.AddFault(connectwisetest.Fault{Match: connectwisetest.On(http.MethodGet, "/company/companies"), Before: func() { wait(companies, folders, 0) }})
	s.server.AddFault(secretservertest.Fault{Match: secretservertest.On(http.MethodGet, "/api/v1/folders"), Run: func() { wait(folders, companies, 1) }})
	s.inProcess(exitOK, "plan")
	select {
	case <-companies:
		<-folders
	default:
		t.Error("no companies were asked for")
	}
}
