package cli

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/cmd/cwvault/demo"
	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
	"cwvault/vault/secretserver/secretservertest"
)

// enduranceTime is how long TestServiceEndurance lasts, such as 10m.
const enduranceTime = "CWVAULT_TEST_ENDURE"

// TestServiceEndurance runs `cwvault serve` as a process of its own between
// servers that fail, hang and lie, while companies change, people read,
// attackers try, settings are read again, other processes run beside it and
// somebody kills it. Whenever that stops, everything comes right by itself.
func TestServiceEndurance(t *testing.T) {
	lasts := 20 * time.Second
	if text := os.Getenv(enduranceTime); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", enduranceTime, err)
		}
	}
	if testing.Short() || runtime.GOOS == "windows" {
		t.Skip("takes a minute, which -short asks not to, and needs signals, which Windows has not")
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
	release      atomic.Pointer[chan struct{}] // closed: hanging requests go on

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
		e.t.Errorf("the service goes on for %v after SIGTERM", within)
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

// trouble lets everything go wrong for some time. Only with kills, the service
// is stopped, killed and started.
func (e *endurance) trouble(lasts time.Duration, kills bool) {
	ctx, cancel := context.WithTimeout(e.t.Context(), lasts)
	defer cancel()
	var work gosync.WaitGroup
	actor := func(pause time.Duration, act func()) {
		work.Go(func() {
			for ctx.Err() == nil {
				act()
				select {
				case <-ctx.Done():
				case <-time.After(rand.N(2 * pause)):
				}
			}
		})
	}
	actor(50*time.Millisecond, e.change)
	actor(500*time.Millisecond, e.fault)
	actor(5*time.Second, e.calm)
	actor(time.Second, func() { e.operate(kills) })
	actor(500*time.Millisecond, func() { e.runBeside(ctx) })
	actor(20*time.Millisecond, e.attack)
	actor(5*time.Millisecond, e.read)
	actor(20*time.Millisecond, e.read)
	<-ctx.Done()
	e.calm()
	work.Wait()
	e.calm()
}

// change changes a company or more.
func (e *endurance) change() {
	w := e.world
	all := w.Companies()
	deleted := slices.DeleteFunc(slices.Clone(all), func(c connectwisetest.Company) bool { return !c.Deleted })
	c, other := all[1+rand.IntN(len(all)-1)], all[1+rand.IntN(len(all)-1)] // not our own
	switch rand.IntN(10) {
	case 0, 1:
		w.Rename(c.ID, fmt.Sprintf("Company %d, once more %d", c.ID, rand.IntN(1000)))
	case 2:
		w.Rename(c.ID, other.Name)
		w.Rename(other.ID, c.Name)
	case 3, 4:
		w.SetTypes(c.ID, w.types[[]string{"Customer", "Prospect"}[rand.IntN(2)]])
	case 5:
		w.SetTypes(c.ID)
	case 6:
		w.SetStatus(c.ID, w.statuses[[]string{"Active", "Inactive"}[rand.IntN(2)]])
	case 7: // no more at once than the guards believe
		switch {
		case len(deleted) >= 3:
			w.Restore(deleted[rand.IntN(len(deleted))].ID)
		case rand.IntN(2) == 0 && c.ID != other.ID:
			w.Merge(c.ID, other.ID)
		default:
			w.Delete(c.ID)
		}
	case 8:
		if len(all) < 60 {
			id := ownCompany + len(all)
			w.add(id, fmt.Sprintf("Company %d", id), "Prospect", "Active")
		}
	case 9:
		e.inactive = []string{"Inactive", "Former"}[rand.IntN(2)]
		w.RenameStatus(w.statuses["Inactive"], e.inactive)
	}
}

// fault lets something go wrong with the next requests.
func (e *endurance) fault() {
	hang := func() {
		patience := time.NewTimer(5 * time.Second)
		defer patience.Stop()
		select {
		case <-*e.release.Load():
		case <-patience.C:
		}
	}
	if e.secretServer == nil || rand.IntN(2) == 0 {
		faults := []connectwisetest.Fault{
			connectwisetest.TooManyRequests(1), {Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {time.Now().Add(time.Second).UTC().Format(http.TimeFormat)}}},
			connectwisetest.TimeoutBody(), connectwisetest.HTML(http.StatusBadGateway), connectwisetest.HTML(http.StatusOK),
			// Not a POST: a note that is made when its sender is long gone can come after the one that says that the problem is solved.
			{Match: connectwisetest.On(http.MethodGet, ""), Before: hang},
			connectwisetest.Cut(20), connectwisetest.Lost(), connectwisetest.Truncated(30), connectwisetest.RepeatPageID(), connectwisetest.NoLink(),
			connectwisetest.WrongCount(7), connectwisetest.WrongCount(-7), connectwisetest.CannotRoute(), connectwisetest.SSLRequired(),
			connectwisetest.Redirect("http://127.0.0.1:1/"), {Status: http.StatusOK, Body: `{"a":[1]}`}, {Status: http.StatusOK, Body: `[{"id":"x"}]`},
			connectwisetest.EditRows(func(rows []json.RawMessage) []json.RawMessage { return rows[:len(rows)/2] }),
			connectwisetest.EditRows(func(rows []json.RawMessage) []json.RawMessage { return append(rows, rows...) }),
			connectwisetest.EditRows(func([]json.RawMessage) []json.RawMessage { return []json.RawMessage{} }),
			{Status: http.StatusUnauthorized, Body: `{"code":"Unauthorized","message":"Unauthorized"}`}, {Status: http.StatusNotFound, Body: `{"code":"NotFound"}`},
		}
		f := faults[rand.IntN(len(faults))]
		f.Times = 1 + rand.IntN(3)
		e.world.AddFault(f)
		return
	}
	status := func(code int) secretservertest.Fault { return secretservertest.Fault{Status: code} }
	nothing := `{"skip":0,"take":1000,"total":0,"pageCount":0,"hasNext":false,"records":[],"success":true,"severity":"None"}`
	faults := []secretservertest.Fault{
		status(500), status(503), status(401), status(403), {Status: 429, Header: http.Header{"Retry-After": {"1"}}}, {HTML200: true}, {Status: 502, Body: "<html>", ContentType: "text/html"},
		{CutBefore: true}, {CutAfterWork: true}, {CutBody: true}, {Status: 504, AfterWork: true}, {Run: hang}, {Run: e.secretServer.ExpireTokens},
		{Status: 200, Body: `[]`}, {Status: 200, Body: `{"records":7}`}, {Status: 302, Header: http.Header{"Location": {"http://127.0.0.1:1/"}}},
		{Match: secretservertest.On(http.MethodGet, "/api/v1/folders"), Status: 200, Body: nothing},
		{Match: secretservertest.On(http.MethodGet, "/api/v1/metadata"), Status: 200, Body: nothing},
	}
	f := faults[rand.IntN(len(faults))]
	f.Times = 1 + rand.IntN(3)
	e.secretServer.AddFault(f)
}

// operate does what an administrator does.
func (e *endurance) operate(kills bool) {
	again := func() { e.process.Process.Signal(syscall.SIGHUP) }
	switch rand.IntN(7) {
	case 0:
		e.newToken("")
		again()
	case 1:
		again()
	case 2:
		e.newToken("CWVAULT_TOKEN_FILE=/nowhere\n")
		again()
	case 3:
		e.newToken([]string{"no setting\n", "CWVAULT_JITTER=soon\n", "CWVAULT_TIMEZONE=Nowhere\n", "CWVAULT_NOTHING=1\n"}[rand.IntN(4)])
		again()
	case 4:
		again()
		again()
	case 5, 6:
		if !kills {
			return
		}
		e.newToken("") // one that can be started with
		e.restarts.Add(1)
		e.end([]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[rand.IntN(2)], 30*time.Second)
		e.start()
		e.restarts.Add(1)
	}
}

// runBeside runs cwvault beside the service, as people and their scripts do.
func (e *endurance) runBeside(ctx context.Context) {
	e.mu.Lock()
	token := e.token
	e.mu.Unlock()
	commands := [][]string{{"resync"}, {"resync", "--wait", "5s"}, {"resync", "--company", "co120"}, {"plan"}, {"history"}, {"explain", "co120"},
		{"resync", "--remote", e.base}, {"resync", "--remote", e.base, "--company", "co110"}, {"resync", "--remote", e.base, "--approve", "0123456789abcdef"}}
	args := commands[rand.IntN(len(commands))]
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(slices.Clone(e.env), "CWVAULT_TOKEN="+token)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	e.count("cwvault "+strings.Join(args[:min(2, len(args))], " "), cmd.ProcessState.ExitCode())
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil && !slices.Contains([]int{exitFailed, exitPartial, exitHeld, exitSource, exitLease, exitUnauthorized}, exit.ExitCode()) &&
		!(exit.ExitCode() == exitUsage && bytes.Contains(out, []byte("no company"))) && // it is deleted
		!(exit.ExitCode() == exitConfig && bytes.Contains(out, []byte("CWVAULT_ROOT"))) { // the vault lists no folder
		e.t.Errorf("cwvault %v: %v\n%s", args, err, out)
	}
	e.noSecrets("the output of cwvault "+strings.Join(args, " "), out)
}

func (e *endurance) count(what string, result int) {
	n, _ := e.answers.LoadOrStore(fmt.Sprintf("%s %d", what, result), new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

// send sends a request and returns the status, 0 if the service was down.
func (e *endurance) send(req *http.Request, what string) int {
	restarts := e.restarts.Load()
	resp, err := e.client.Do(req)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err != nil {
		if now := e.restarts.Load(); restarts == now && now%2 == 0 && e.t.Context().Err() == nil {
			e.t.Errorf("%s: %v", what, err)
		}
		return 0
	}
	e.count(what, resp.StatusCode)
	if resp.StatusCode >= 500 && what != "/readyz" {
		e.t.Errorf("%s: %s %s", what, resp.Status, body)
	}
	e.noSecrets(what, body)
	return resp.StatusCode
}

// read reads a page.
func (e *endurance) read() {
	paths := []string{"/", "/?q=Company", "/companies/110", "/runs/1", "/api/runs", "/api/runs/1", "/api/runs?limit=1000", "/api/plan", "/api/companies?q=12", "/api/companies/120", "/metrics", "/healthz", "/readyz"}
	path := paths[rand.IntN(len(paths))]
	req, err := http.NewRequest(http.MethodGet, e.base+path, nil)
	if err != nil {
		e.t.Error(err)
		return
	}
	e.send(req, path)
}

// attack sends what must not be believed.
func (e *endurance) attack() {
	const callback = "/api/connectwise/callback"
	giant := bytes.Repeat([]byte("x"), 2<<20)
	genuine := e.world.Delivery(1, 110, "updated")
	signature := e.world.Sign(1, genuine)
	attacks := []struct {
		path, signature, authorization, origin string
		body                                   []byte
		want                                   []int
	}{
		{path: callback, body: genuine, signature: e.world.Sign(1, []byte("{}")), want: []int{403, 202, 429}},
		{path: callback, body: []byte(`{"ID":1}`), signature: signature, want: []int{400, 403, 202, 429}},
		{path: callback, body: genuine, want: []int{400, 403}},
		{path: callback, body: giant, signature: signature, want: []int{413}},
		{path: callback, body: genuine, signature: signature, want: []int{204, 202, 429, 403}}, // genuine once more; 403 when its key cannot be had
		{path: "/api/resync", want: []int{401, 429}},
		{path: "/api/resync", authorization: "Bearer wrong-wrong-wrong-wrong", want: []int{401, 429}},
		{path: "/api/resync", authorization: "Bearer wrong-wrong-wrong-wrong", origin: "https://evil.example", want: []int{401, 403, 429}},
		{path: "/api/resync", body: giant, want: []int{401, 413, 429}},
	}
	a := attacks[rand.IntN(len(attacks))]
	req, err := http.NewRequest(http.MethodPost, e.base+a.path, bytes.NewReader(a.body))
	if err != nil {
		e.t.Error(err)
		return
	}
	for name, value := range map[string]string{"x-content-signature": a.signature, "Authorization": a.authorization, "Origin": a.origin} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if status := e.send(req, "attack "+a.path); status != 0 && !slices.Contains(a.want, status) {
		e.t.Errorf("an attack on %s (signature %q, %q, %d bytes) is answered with %d", a.path, a.signature, a.authorization, len(a.body), status)
	}
}

// noSecrets sees that none is in a text.
func (e *endurance) noSecrets(where string, b []byte) {
	e.mu.Lock()
	secrets := append([]string{e.world.PrivateKey()}, e.tokens...)
	e.mu.Unlock()
	if server, ok := e.vault.(demo.Server); ok {
		secrets = append(secrets, server.Password)
	}
	for _, s := range secrets {
		if bytes.Contains(b, []byte(s)) {
			e.t.Errorf("%s shows a secret", where)
		}
	}
}

// settle waits until the service has put everything right, and checks that.
func (e *endurance) settle() {
	e.t.Helper()
	began := time.Now()
	for _, c := range e.world.Companies() { // nothing is left for a person
		e.world.Restore(c.ID)
		if len(c.Types) == 0 {
			e.world.SetTypes(c.ID, e.world.types["Customer"])
		}
	}
	e.passAnHour()
	e.eventually("ready", 3*time.Minute, func() error {
		resp, err := e.client.Get(e.base + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = errors.New(string(b))
		}
		return err
	})
	e.eventually("all folders are in their places", time.Minute, func() error {
		e.passAnHour()
		places, err := e.places()
		if err == nil {
			if diff := cmp.Diff(e.wanted(), places); diff != "" {
				err = fmt.Errorf("(-want +got):\n%s", diff)
			}
		}
		return err
	})
	e.eventually("nothing is left to be done", time.Minute, func() error {
		var out, errs bytes.Buffer
		if code := cwvault(e.t.Context(), []string{"plan", "--detailed-exitcode"}, e.env, &out, &errs); code != exitOK {
			return fmt.Errorf("exit code %d\n%s%s", code, &out, &errs)
		}
		return nil
	})
	e.eventually("all tickets are solved", 2*time.Minute, func() error {
		open := map[string]bool{}
		for _, ticket := range e.world.Tickets() {
			if open[ticket.ExternalXRef] {
				e.t.Errorf("two tickets for %s", ticket.ExternalXRef)
			}
			open[ticket.ExternalXRef] = true
			if last := ticket.Notes[len(ticket.Notes)-1]; !strings.HasPrefix(last, "Solved:") {
				return fmt.Errorf("%s: %q", ticket.Summary, last)
			}
		}
		return nil
	})
	left := maps.Clone(e.secrets)
	if err := e.vault.Each(func(company sync.Key, content string) error {
		if left[content] != company {
			return fmt.Errorf("a secret of %q is in the folder of %s", left[content], company)
		}
		delete(left, content)
		return nil
	}); err != nil || len(left) > 0 {
		e.t.Errorf("%d secrets are gone; %v", len(left), err)
	}
	e.t.Logf("settled after %v; %d companies, %d secrets, %d tickets", time.Since(began).Round(time.Millisecond), len(e.wanted()), len(e.secrets), len(e.world.Tickets()))
	if e.t.Failed() {
		e.t.FailNow()
	}
}

func (e *endurance) eventually(what string, patience time.Duration, try func() error) {
	e.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	e.t.Fatalf("never: %s: %v", what, err)
}

// passAnHour lets everything be tried again that rests because it has failed.
func (e *endurance) passAnHour() {
	e.t.Helper()
	db, err := sql.Open("sqlite", "file:"+e.statePath()+"?_pragma=busy_timeout(10000)")
	if err != nil {
		e.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE cwvault_failure SET next = 0`); err != nil {
		e.t.Logf("letting an hour pass: %v", err)
	}
}

// wanted returns where each company's folder is to be.
func (e *endurance) wanted() map[sync.Key]string {
	names := map[int]string{}
	for name, id := range e.world.types {
		names[id] = name
	}
	statuses := map[int]string{e.world.statuses["Active"]: "Active", e.world.statuses["Inactive"]: e.inactive}
	want := map[sync.Key]string{}
	for _, c := range e.world.Companies() {
		want[sync.CompanyKey(c.ID)] = strings.Join([]string{"Clients", names[c.Types[0]], statuses[c.Status], c.Name}, "/")
	}
	return want
}

// places returns where each company's folder is.
func (e *endurance) places() (map[sync.Key]string, error) {
	places := map[sync.Key]string{}
	add := func(company sync.Key, path string) error {
		if other, twice := places[company]; twice {
			return fmt.Errorf("%s is at %s and at %s", company, other, path)
		}
		places[company] = path
		return nil
	}
	switch v := e.vault.(type) {
	case demo.Store:
		return places, v.Companies(func(dir string, company sync.Key) error {
			path, err := filepath.Rel(v.Dir(), dir)
			return errors.Join(err, add(company, filepath.ToSlash(path)))
		})
	case demo.Server:
		companies := v.Companies()
		for _, f := range v.Folders() {
			if company, ok := companies[f.ID]; ok {
				if err := add(company, strings.ReplaceAll(strings.TrimPrefix(f.Path, `\`), `\`, "/")); err != nil {
					return nil, err
				}
			}
		}
	}
	return places, nil
}

// fill gives each company folder that has none a secret.
func (e *endurance) fill() {
	owners := map[sync.Key]bool{}
	for _, owner := range e.secrets {
		owners[owner] = true
	}
	if err := e.vault.Fill(func(company sync.Key) []demo.Secret {
		if owners[company] {
			return nil
		}
		s := demo.Secret{Name: "admin", Content: crand.Text()}
		e.secrets[s.Content] = company
		return []demo.Secret{s}
	}); err != nil {
		e.t.Fatal(err)
	}
}

// usage is what the service takes.
type usage struct{ files, goroutines, kib int }

// usage returns the least of what the service takes within some seconds, so
// that no run is counted.
func (e *endurance) usage() usage {
	if runtime.GOOS != "linux" {
		return usage{}
	}
	e.client.CloseIdleConnections()
	number := func(text []byte, pattern string) int {
		if m := regexp.MustCompile(pattern).FindSubmatch(text); m != nil {
			n, _ := strconv.Atoi(string(m[1]))
			return n
		}
		return 0
	}
	const most = 1 << 30
	least := usage{most, most, most}
	for range 40 {
		files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", e.process.Process.Pid))
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.process.Process.Pid))
		resp, err := e.client.Get(e.base + "/metrics")
		if err != nil {
			e.t.Fatal(err)
		}
		metrics, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		least.files = min(least.files, len(files))
		least.kib = min(least.kib, number(status, `VmRSS:\s+(\d+) kB`))
		least.goroutines = min(least.goroutines, number(metrics, `(?m)^go_goroutines (\d+)`))
		time.Sleep(100 * time.Millisecond)
	}
	return least
}

func (e *endurance) compare(before, after usage) {
	e.t.Logf("files %d, goroutines %d, memory %d KiB; before %d, %d, %d", after.files, after.goroutines, after.kib, before.files, before.goroutines, before.kib)
	if after.files > before.files+5 || after.goroutines > before.goroutines+10 || after.kib > before.kib+16<<10 && !raceEnabled {
		e.t.Errorf("the service has grown from %+v to %+v", before, after)
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
