package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	gosync "sync"
	"sync/atomic"
	"syscall"
	"time"

	"cwvault/cmd/cwvault/demo"
	"cwvault/connectwise/connectwisetest"
	"cwvault/vault/secretserver/secretservertest"
)

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
