package cli

import (
	"bytes"
	crand "crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cwvault/cmd/cwvault/demo"
	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
	"cwvault/vault/secretserver/secretservertest"
)

// enduranceTime is how long TestServiceEndurance lasts, such as 10m. Where it is
// set, what the service takes is measured as well.
const enduranceTime = "CWVAULT_TEST_ENDURE"

// TestServiceEndurance runs `cwvault serve` as a process of its own between
// servers that fail, hang and lie, while companies change, people read,
// attackers try, settings are read again, other processes run beside it and
// somebody kills it. Whenever that stops, everything comes right by itself.
func TestServiceEndurance(t *testing.T) {
	t.Parallel()
	lasts := 2 * time.Second
	if text := os.Getenv(enduranceTime); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", enduranceTime, err)
		}
	}
	if testing.Short() || runtime.GOOS == "windows" {
		t.Skip("starts many processes, which -short asks not to, and needs signals, which Windows has not")
	}
	for _, kind := range []string{"passwordstore", "secretserver"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			e := newEndurance(t, kind)
			e.lasts = lasts
			e.start()
			e.settle()
			e.fill()
			e.must(exitOK, "callbacks", "register", e.base+"/api/connectwise/callback")
			end := time.Now().Add(lasts)
			for cycle := 1; time.Now().Before(end); cycle++ {
				if os.Getenv(enduranceTime) == "" {
					e.trouble(lasts, true)
					e.settle()
					break
				}
				before, process := e.usage(), e.process
				e.trouble(min(lasts/2, 40*time.Second), cycle%2 == 0)
				e.settle()
				if after := e.usage(); e.process == process {
					e.compare(before, after)
				}
				e.fill()
			}
			e.stopWhileHanging()
			e.checkLog()
		})
	}
}

// endurance is the service with everything around it.
type endurance struct {
	*site
	vault        demo.Vault
	secretServer *secretservertest.Server // nil: it is a password store
	secrets      map[string]sync.Key      // by content, whose they are
	inactive     string                   // the present name of the status Inactive
	lasts        time.Duration
	base         string
	envFile      string
	logFile      string
	client       *http.Client
	release      atomic.Pointer[chan struct{}] // closed: hanging requests continue

	mu       gosync.Mutex
	token    string // what the service has now, as far as is known
	tokens   []string
	process  *exec.Cmd
	ended    chan error // of process
	restarts atomic.Int64

	answers gosync.Map // "path status" -> *atomic.Int64
	slowest time.Duration
	stops   int
}

const ownCompany = 101 // which tickets are for

func newEndurance(t *testing.T, kind string) *endurance {
	cw, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cw.Close() })
	cw.Behave(func(b *connectwisetest.Behaviour) { b.CallbackWaits = []time.Duration{200 * time.Millisecond} })
	dir := t.TempDir()
	e := &endurance{site: &site{t: t, world: newScriptWorld(cw)}, secrets: map[string]sync.Key{}, inactive: "Inactive",
		envFile: filepath.Join(dir, "cwvault.env"), logFile: filepath.Join(dir, "log"), client: &http.Client{Timeout: 20 * time.Second}}
	if kind == "passwordstore" {
		e.vault, err = demo.NewStore(t.Context(), filepath.Join(dir, "store"))
	} else {
		var server demo.Server
		server, err = demo.NewServer()
		e.vault, e.secretServer = server, server.Server
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.vault.Close)
	e.calm()
	for id := ownCompany; id < ownCompany+40; id++ {
		e.world.add(id, fmt.Sprintf("Company %d", id), "Customer", "Active")
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	e.base = "http://" + address
	e.env = append(e.vault.Settings(), runAsCwvault+"=1", "PATH="+os.Getenv("PATH"), "HOME="+dir,
		"CWVAULT_CONNECTWISE_URL="+cw.URL(), "CWVAULT_CONNECTWISE_COMPANY_ID="+cw.Tenant(),
		"CWVAULT_CONNECTWISE_PUBLIC_KEY="+cw.PublicKey(), "CWVAULT_CONNECTWISE_PRIVATE_KEY="+cw.PrivateKey(),
		"CWVAULT_CONNECTWISE_CLIENT_ID="+cw.ClientID(), "CWVAULT_STATE="+filepath.Join(dir, "cwvault.db"),
		"CWVAULT_LISTEN="+address, "CWVAULT_SCHEDULE=@every 1s", "CWVAULT_GATHER=300ms", "CWVAULT_DEPARTED=archive",
		"CWVAULT_MAX_MOVES=off", "CWVAULT_MAX_RENAMES=off", "CWVAULT_TICKETS=on", "CWVAULT_TICKET_COMPANY="+strconv.Itoa(ownCompany))
	e.newToken("")
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(e.logFile)
			t.Logf("the end of the log:\n%s", b[max(0, len(b)-8000):])
		}
		if e.process != nil {
			e.process.Process.Kill()
			<-e.ended
		}
	})
	return e
}

// newToken writes another token, and what more is given, into the settings.
func (e *endurance) newToken(more string) {
	token := crand.Text()
	e.mu.Lock()
	e.tokens = append(e.tokens, token)
	if more == "" {
		e.token = token
	}
	e.mu.Unlock()
	next := e.envFile + ".next" // so that the service never reads half of it
	if err := errors.Join(os.WriteFile(next, []byte("CWVAULT_TOKEN="+token+"\n"+more), 0o600), os.Rename(next, e.envFile)); err != nil {
		e.t.Error(err)
	}
}

// start starts the service and waits until it answers.
func (e *endurance) start() {
	log, err := os.OpenFile(e.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		e.t.Error(err)
		return
	}
	defer log.Close()
	cmd := exec.Command(os.Args[0], "serve", "--env-file", e.envFile)
	cmd.Env, cmd.Stdout, cmd.Stderr = e.env, log, log
	if err := cmd.Start(); err != nil {
		e.t.Error(err)
		return
	}
	ended := make(chan error, 1)
	e.process, e.ended = cmd, ended
	go func() { ended <- cmd.Wait() }()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		resp, err := e.client.Get(e.base + "/healthz")
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(end) {
			e.t.Errorf("the service does not start: %v", err)
			return
		}
	}
}

// end ends the service with a signal.
func (e *endurance) end(signal syscall.Signal, within time.Duration) {
	began := time.Now()
	e.process.Process.Signal(signal)
	select {
	case err := <-e.ended:
		if signal == syscall.SIGTERM && err != nil {
			e.t.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(within):
		e.t.Errorf("the service still runs %v after SIGTERM", within)
		e.process.Process.Signal(syscall.SIGQUIT) // its goroutines, for the log
		<-e.ended
	}
	e.ended <- nil // for who waits again
	if signal == syscall.SIGTERM {
		e.slowest, e.stops = max(e.slowest, time.Since(began)), e.stops+1
	}
}

// calm ends all faults.
func (e *endurance) calm() {
	e.world.ClearFaults()
	if e.secretServer != nil {
		e.secretServer.ClearFaults()
	}
	fresh := make(chan struct{})
	if hanging := e.release.Swap(&fresh); hanging != nil {
		close(*hanging)
	}
}

// stopWhileHanging ends the service while ConnectWise does not answer.
func (e *endurance) stopWhileHanging() {
	asked := make(chan struct{}, 100)
	e.world.AddFault(connectwisetest.Fault{Hang: true, Before: func() { asked <- struct{}{} }})
	select {
	case <-asked:
	case <-time.After(time.Minute):
		e.t.Error("ConnectWise is not asked")
	}
	e.end(syscall.SIGTERM, 5*time.Second)
	e.t.Logf("stopped %d times, within %v at most", e.stops, e.slowest.Round(time.Millisecond))
}

// checkLog sees that the log has no secrets and no accidents in it, and that
// it is no flood.
func (e *endurance) checkLog() {
	log, err := os.ReadFile(e.logFile)
	if err != nil {
		e.t.Fatal(err)
	}
	e.noSecrets("the log", log)
	for _, bad := range []string{"DATA RACE", "panic", "goroutine ", "a mistake in cwvault"} {
		if i := bytes.Index(log, []byte(bad)); i >= 0 {
			e.t.Errorf("in the log: %s", log[i:min(len(log), i+2000)])
		}
	}
	var lines []string
	e.answers.Range(func(key, n any) bool {
		lines = append(lines, fmt.Sprintf("%s: %d", key, n.(*atomic.Int64).Load()))
		return true
	})
	slices.Sort(lines)
	mets := []string{"run over"}
	if e.lasts >= time.Minute { // what comes by chance has come by then
		mets = append(mets, "trigger=callback", "a callback was refused", "run failed", "trying a request again", "going on with those before", "ticket raised", "problem solved", "waiting for another run")
	}
	for _, met := range mets {
		if !bytes.Contains(log, []byte(met)) {
			e.t.Errorf("the log says nothing of %q", met)
		}
	}
	runs := bytes.Count(log, []byte("run started"))
	e.t.Logf("%d runs, %d lines and %d KiB of log; answers and exit codes:\n%s", runs, bytes.Count(log, []byte("\n")), len(log)>>10, strings.Join(lines, "\n"))
	if n := bytes.Count(log, []byte("\n")); n > 200*(runs+1) {
		e.t.Errorf("%d lines of log for %d runs", n, runs)
	}
}
