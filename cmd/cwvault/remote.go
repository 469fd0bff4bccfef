package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/scheduler/dashboard"
	"cwvault/sync"
)

// remote is a service somewhere else that is asked for a run.
type remote struct {
	base   string // without a slash at the end
	token  secret
	client *http.Client
	log    hclog.Logger
	bar    *progress
	// patience is how long a service that has stopped answering is asked again:
	// it may be starting anew.
	patience time.Duration
}

const (
	remotePatience = 2 * time.Minute
	// askTimeout bounds a small request, reportTimeout that of a report.
	askTimeout    = 15 * time.Second
	reportTimeout = 5 * time.Minute
	// maxAnswer bounds a small answer. A report has a few hundred bytes a step.
	maxAnswer = 1 << 20
	maxReport = 256 << 20
)

// openRemote returns the service at an address. Of the settings it needs the
// token alone.
func (a *app) openRemote(address string) (*remote, error) {
	base, err := remoteBase(address)
	if err != nil {
		return nil, usagef("--remote: %w", err)
	}
	c, err := a.load()
	if err != nil {
		return nil, err
	}
	for _, problem := range c.problems {
		if strings.HasPrefix(problem, "CWVAULT_TOKEN") {
			return nil, codeError{exitConfig, errors.New(problem)}
		}
	}
	if c.Token == "" {
		return nil, configf("CWVAULT_TOKEN: not set; --remote needs the token of the service")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	return &remote{base: base, token: c.Token, log: a.log, bar: a.newProgress(), patience: remotePatience, client: &http.Client{
		Transport: transport,
		// A redirect would take the token to wherever it leads.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// remoteBase checks the address of a service. Errors do not repeat it: it may
// hold a password by mistake.
func remoteBase(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("not the address of a service; it looks like https://cwvault.example.com")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("the address holds a user, a query or a fragment; leave that out. The token comes from CWVAULT_TOKEN")
	case u.Scheme == "http" && !loopbackHost(u.Hostname()):
		return "", errors.New("plain http shows the token to everybody on the way; use https")
	}
	return u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"), nil
}

// loopbackHost reports whether a host can only be this machine.
func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// remote asks a service for the run, and shows it as if it had been made here.
func (cmd resyncCmd) remote(a *app) error {
	if cmd.Plan != "" || cmd.DryRun || cmd.Wait != 0 {
		return usagef("--remote cannot go with --plan, --dry-run or --wait; the service takes its turn anyway")
	}
	r, err := a.openRemote(*cmd.Remote)
	if err != nil {
		return err
	}
	defer r.client.CloseIdleConnections()
	report, end, err := r.resync(a.ctx, dashboard.Request{Companies: cmd.Company, Approve: cmd.Approve, Recreate: cmd.Recreate})
	r.bar.stop()
	if err != nil {
		return err
	}
	if report != nil {
		if err := a.showRun(report, cmd.Format); err != nil {
			return err
		}
	}
	return end
}

// resync asks for a run and follows it to its end. The report is nil if the run
// failed before its first step. End is what such a run ends the command with.
func (r *remote) resync(ctx context.Context, request dashboard.Request) (report *runReport, end, err error) {
	asked, err := r.ask(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	asked, err = r.follow(ctx, asked)
	if statusOf(err) == http.StatusNotFound { // a service knows requests until it ends
		if asked.Run != 0 {
			report, err := r.report(ctx, asked.Run)
			if err == nil && (report.Outcome == outcomeDone || report.Outcome == outcomePartial) {
				return report, report.code(), nil
			}
		}
		r.log.Warn("the service was started anew and has forgotten the request; asking again", "request", asked.ID)
		if asked, err = r.ask(ctx, request); err != nil {
			return nil, nil, err
		}
		asked, err = r.follow(ctx, asked)
	}
	if err == nil && asked.Run != 0 {
		report, err = r.report(ctx, asked.Run)
	}
	switch {
	case ctx.Err() != nil:
		return nil, nil, fmt.Errorf("stopped following request %s; what was asked for goes on at the service: %w", asked.ID, ctx.Err())
	case err != nil:
		return nil, nil, err
	case report == nil && asked.ExitCode == exitOK:
		return nil, nil, errors.New("the service says that the run is over, and not which it was")
	}
	return report, endOf(asked, report), nil
}

// endOf returns what a command ends with whose run was made elsewhere.
func endOf(asked dashboard.Asked, report *runReport) error {
	code := asked.ExitCode
	switch {
	case code == exitOK:
		return nil
	case code < 0 || code > 125: // none that a program can end with
		code = exitFailed
	}
	if asked.Error == "" || report != nil && report.Error == asked.Error { // it has been said
		return resultCode(code)
	}
	return codeError{code, errors.New(asked.Error)}
}

// ask asks for a run. It is not tried again: what was not answered may have been
// heard.
func (r *remote) ask(ctx context.Context, request dashboard.Request) (asked dashboard.Asked, err error) {
	err = r.call(ctx, http.MethodPost, "/api/resync", request, &asked, askTimeout, maxAnswer)
	if ctx.Err() != nil {
		err = fmt.Errorf("stopped before the service answered; it may have heard what was asked for: %w", ctx.Err())
	}
	if err == nil && asked.ID == "" {
		err = errors.New("the service has taken the request and not named it; is it cwvault?")
	}
	return asked, err
}

// follow returns when a request is over, and says meanwhile what is going on.
// With an error it returns what was known last.
func (r *remote) follow(ctx context.Context, asked dashboard.Asked) (dashboard.Asked, error) {
	const first, longest = 250 * time.Millisecond, 2 * time.Second
	said, pause := "", first
	for {
		switch asked.State {
		case "over":
			return asked, nil
		case "waiting", "running":
		default:
			return asked, fmt.Errorf("the service says that the request is %q, which this version does not know", asked.State)
		}
		if now := r.stage(asked); now != said {
			said, pause = now, first
			r.bar.stop()
			r.log.Info(now, "request", plain(asked.ID))
		}
		if asked.Total > 0 {
			r.bar.applied(asked.Done, asked.Total)
		}
		if err := wait(ctx, pause); err != nil {
			return asked, err
		}
		pause = min(pause*5/4, longest)
		err := r.patiently(ctx, func() error {
			var now dashboard.Asked
			err := r.call(ctx, http.MethodGet, "/api/resync/"+url.PathEscape(asked.ID), nil, &now, askTimeout, maxAnswer)
			if err == nil {
				now.ID = asked.ID // whatever the service calls it now
				asked = now
			}
			return err
		})
		if err != nil {
			return asked, err
		}
	}
}

// stage says in words how far a request is.
func (r *remote) stage(asked dashboard.Asked) string {
	switch {
	case asked.State == "waiting":
		return "the request waits for its turn at the service"
	case asked.Run == 0:
		return "the service reads both sides"
	}
	return fmt.Sprintf("the service makes run %d, of %s", asked.Run, count(asked.Total, "step"))
}

// report fetches a run. What people are shown of it is made harmless.
func (r *remote) report(ctx context.Context, run int64) (*runReport, error) {
	var report runReport
	err := r.patiently(ctx, func() error {
		report = runReport{}
		return r.call(ctx, http.MethodGet, "/api/runs/"+strconv.FormatInt(run, 10), nil, &report, reportTimeout, maxReport)
	})
	if err != nil {
		return nil, err
	}
	report.ID, report.Outcome = plain(report.ID), plain(report.Outcome)
	for i := range report.Results {
		report.Results[i].Status = sync.Status(plain(string(report.Results[i].Status)))
	}
	for i := range report.Held {
		report.Held[i].Code = sync.HoldCode(plain(string(report.Held[i].Code)))
	}
	return &report, nil
}

// patiently calls get until it works or fails for good. A service that cannot
// be asked may be starting anew, so that is for good only after some time.
func (r *remote) patiently(ctx context.Context, get func() error) error {
	const first, longest = 250 * time.Millisecond, 5 * time.Second
	var since time.Time
	for pause := first; ; pause = min(2*pause, longest) {
		err := get()
		var failed *remoteError
		switch {
		case err == nil && !since.IsZero():
			r.log.Info("the service answers again")
			return nil
		case !errors.As(err, &failed) || !failed.passes() || ctx.Err() != nil:
			return err
		case since.IsZero():
			since = time.Now()
			r.bar.stop()
			r.log.Warn("the service cannot be asked; trying on", "at most", r.patience, "error", plain(err.Error()))
		case time.Since(since) >= r.patience:
			return fmt.Errorf("the service cannot be asked for %v; what was asked for may go on there: %w", r.patience, err)
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

// wait lets time pass, unless ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remoteError is a request that was not answered as it should have been.
type remoteError struct {
	status int // 0: there was no answer
	err    error
}

func (e *remoteError) Error() string { return e.err.Error() }
func (e *remoteError) Unwrap() error { return e.err }

// passes reports whether it may be otherwise in a while.
func (e *remoteError) passes() bool {
	switch e.status {
	case 0, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func statusOf(err error) int {
	var failed *remoteError
	if errors.As(err, &failed) {
		return failed.status
	}
	return 0
}

// call sends one request and decodes the answer, of at most limit bytes.
func (r *remote) call(ctx context.Context, method, path string, body, answer any, timeout time.Duration, limit int64) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, content)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+string(r.token))
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return &remoteError{0, err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
		return refusal(resp)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return &remoteError{0, fmt.Errorf("%s %s: %w", method, path, err)}
	case int64(len(b)) > limit:
		return fmt.Errorf("%s %s: the answer is longer than %d bytes", method, path, limit)
	case isPage(b):
		return fmt.Errorf("%s %s: %w", method, path, errPage)
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("%s %s: the answer is not what cwvault says: %w", method, path, err)
	}
	return nil
}

var errPage = errors.New("an HTML page instead of JSON; check that the address is that of cwvault serve, and that nothing before it asks for a sign-in of its own")

func isPage(b []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(b), []byte("<")) }

// refusal explains an answer that is none, in the service's words if there are
// any, and says what may mend it.
func refusal(resp *http.Response) error {
	const most, shown = 64 << 10, 500
	b, _ := io.ReadAll(io.LimitReader(resp.Body, most)) // what there is of it will do
	var told struct{ Error string }
	if isPage(b) {
		told.Error = errPage.Error()
	} else if json.Unmarshal(b, &told) != nil {
		told.Error = "no word of why"
	}
	if words := []rune(told.Error); len(words) > shown {
		told.Error = string(words[:shown]) + "…"
	}
	code, mend := exitFailed, ""
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		mend = "redirects are not followed, because they would take the token along; give the final address"
	case resp.StatusCode == http.StatusUnauthorized:
		code, mend = exitUnauthorized, "CWVAULT_TOKEN must be the one that the service has"
	case resp.StatusCode == http.StatusForbidden:
		code = exitUnauthorized
	case resp.StatusCode == http.StatusBadRequest:
		code = exitUsage
	case resp.StatusCode == http.StatusNotFound:
		mend = "check the address"
	case resp.StatusCode == http.StatusTooManyRequests:
		mend = "try again later"
	}
	if mend != "" {
		mend = "; " + mend
	}
	return codeError{code, &remoteError{resp.StatusCode, fmt.Errorf("%s %s: %d %s: %s%s", resp.Request.Method, resp.Request.URL.Path,
		resp.StatusCode, http.StatusText(resp.StatusCode), told.Error, mend)}}
}
