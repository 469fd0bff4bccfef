package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/scheduler/api"
	"cwvault/sync"
	"cwvault/sync/httpclient"
	"cwvault/sync/report"
)

const (
	// DefaultPatience is how long an unreachable service is asked again.
	DefaultPatience = 2 * time.Minute
	// The pauses between questions about a request. Each is a quarter longer than
	// the one before, and the first follows each change.
	firstPoll, longestPoll = 250 * time.Millisecond, 2 * time.Second
	// The pauses between retries.
	firstRetry, longestRetry = 250 * time.Millisecond, 5 * time.Second
)

// Options says which service to ask, and how.
type Options struct {
	// Address is that of the service, such as https://cwvault.example.com; a path
	// may follow. Plain http is for loopback addresses only.
	Address string
	// Token is the service's.
	Token string
	// Log gets how far a request is; nil: none.
	Log hclog.Logger
	// Progress, if not nil, is called with the steps done and all steps of a run,
	// at each answer of the service. With 0 and 0 it is called when there is
	// nothing to show, and before each log entry. All calls come from the
	// goroutine that called [Client.Resync].
	Progress func(done, total int)
	// Patience is how long a service that has stopped answering is asked again,
	// counted from the first failure; 0: [DefaultPatience].
	Patience time.Duration
	// Pause, if not nil, is given each pause and returns how long to wait
	// instead. Tests shorten pauses with it.
	Pause func(time.Duration) time.Duration
	// Transport sends requests; nil: one of package httpclient.
	Transport http.RoundTripper
}

// Client asks one service. It may be used for several requests, also at once if
// Progress can be called so.
type Client struct {
	base     string        // without a slash at the end
	token    func() string // a function, so that no formatting shows it
	http     *http.Client
	log      hclog.Logger
	progress func(done, total int)
	retry    httpclient.Retry
	pause    func(time.Duration) time.Duration
}

// New returns a client. It sends nothing.
func New(opt Options) (*Client, error) {
	base, err := baseOf(opt.Address)
	if err != nil {
		return nil, err
	}
	if opt.Token == "" {
		return nil, errors.New("the token of the service is missing")
	}
	c := &Client{base: base, token: func() string { return opt.Token }, log: opt.Log, progress: opt.Progress, pause: opt.Pause}
	if c.log == nil {
		c.log = hclog.NewNullLogger()
	}
	if c.progress == nil {
		c.progress = func(int, int) {}
	}
	if c.pause == nil {
		c.pause = func(d time.Duration) time.Duration { return d }
	}
	if opt.Transport == nil {
		opt.Transport = httpclient.NewTransport(nil)
	}
	c.http = httpclient.New(opt.Transport)
	if opt.Patience <= 0 {
		opt.Patience = DefaultPatience
	}
	c.retry = httpclient.Retry{First: firstRetry, Longest: longestRetry, Patience: opt.Patience, Pause: c.pause}
	return c, nil
}

// Close closes connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// CheckAddress returns an error if no service can have the address, or a token must
// not be sent to it. [New] checks it too. The error does not repeat the address, which
// may hold a password by mistake.
func CheckAddress(address string) error {
	_, err := baseOf(address)
	return err
}

// baseOf checks the address of a service.
func baseOf(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("not the address of a service; it looks like https://cwvault.example.com")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("the address contains a user, a query or a fragment; remove it. The token comes from CWVAULT_TOKEN")
	case u.Scheme == "http" && !httpclient.LoopbackHost(u.Hostname()):
		return "", errors.New("plain http shows the token to everybody on the way; use https")
	}
	return u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"), nil
}

// Result is what became of a request.
type Result struct {
	// Run is nil if the run failed before its first step.
	Run *report.Run
	// Asked is what the service said last. Its state is [api.Over], and ExitCode
	// and Error are the service's, unless the service was restarted after it made
	// the run: then it has forgotten the request, and Run alone tells how it ended.
	Asked api.Asked
}

// Resync asks for a run and follows it to its end. That a run went wrong is no
// error here, but part of the result.
//
// When ctx ends, Resync returns an error that wraps the context's; the service
// continues with the request. An answer that refuses the request, or none, is an
// [*Error].
func (c *Client) Resync(ctx context.Context, request api.Request) (Result, error) {
	defer c.progress(0, 0)
	asked, err := c.ask(ctx, request)
	if err != nil {
		return Result{}, err
	}
	asked, err = c.follow(ctx, asked)
	if statusOf(err) == http.StatusNotFound { // a service forgets its requests when it ends
		if run := c.madeAnyway(ctx, asked); run != nil {
			return Result{run, asked}, nil
		}
		c.say(hclog.Warn, "the service was restarted and has forgotten the request; asking again", "request", report.Plain(asked.ID))
		if asked, err = c.ask(ctx, request); err != nil {
			return Result{}, err
		}
		asked, err = c.follow(ctx, asked)
	}
	var run *report.Run
	if err == nil && asked.Run != 0 {
		run, err = c.run(ctx, asked.Run)
	}
	switch {
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("stopped following request %s; the service continues with it: %w", asked.ID, ctx.Err())
	case err != nil:
		return Result{}, err
	case run == nil && asked.ExitCode == 0:
		return Result{}, errors.New("the service reports the run as finished but gave no run number")
	}
	return Result{run, asked}, nil
}

// ask asks for a run. This is never retried: a request that was not answered may
// have been received.
func (c *Client) ask(ctx context.Context, request api.Request) (asked api.Asked, err error) {
	err = c.call(ctx, http.MethodPost, api.ResyncPath, request, &asked, small)
	if ctx.Err() != nil {
		err = fmt.Errorf("stopped before the service answered; it may have received the request: %w", ctx.Err())
	}
	if err == nil && asked.ID == "" {
		err = errors.New("the service accepted the request but gave it no id; is it cwvault?")
	}
	return asked, err
}

// follow returns when a request is over, and reports meanwhile how far it is.
// With an error it returns what was known last.
func (c *Client) follow(ctx context.Context, asked api.Asked) (api.Asked, error) {
	said, pause := "", firstPoll
	for {
		switch asked.State {
		case api.Over:
			return asked, nil
		case api.Waiting, api.Running:
		default:
			return asked, fmt.Errorf("the service says that the request is %q, which this version does not know", asked.State)
		}
		if now := stage(asked); now != said {
			said, pause = now, firstPoll
			c.say(hclog.Info, now, "request", report.Plain(asked.ID))
		}
		if asked.Total > 0 {
			c.progress(asked.Done, asked.Total)
		}
		if err := httpclient.Wait(ctx, c.pause(pause)); err != nil {
			return asked, err
		}
		pause = min(pause*5/4, longestPoll)
		err := c.patiently(ctx, func() error {
			var now api.Asked
			err := c.call(ctx, http.MethodGet, api.ResyncPath+"/"+url.PathEscape(asked.ID), nil, &now, small)
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
func stage(asked api.Asked) string {
	switch {
	case asked.State == api.Waiting:
		return "the request is waiting for its turn"
	case asked.Run == 0:
		return "the service is reading both sides"
	}
	return fmt.Sprintf("the service is applying run %d, %s", asked.Run, report.Count(asked.Total, "step"))
}

// madeAnyway returns the run of a request that the service has forgotten, if
// that run was made, and nil if it must be asked for again.
func (c *Client) madeAnyway(ctx context.Context, asked api.Asked) *report.Run {
	if asked.Run == 0 {
		return nil
	}
	run, err := c.run(ctx, asked.Run)
	if err != nil || run.Outcome != report.Done && run.Outcome != report.Partial {
		return nil
	}
	return run
}

// run fetches a run. Its texts with few possible values are made harmless;
// package report does that to the rest when it shows a run.
func (c *Client) run(ctx context.Context, number int64) (*report.Run, error) {
	var run report.Run
	err := c.patiently(ctx, func() error {
		run = report.Run{}
		return c.call(ctx, http.MethodGet, api.RunsPath+"/"+strconv.FormatInt(number, 10), nil, &run, large)
	})
	if err != nil {
		return nil, err
	}
	run.ID, run.Outcome = report.Plain(run.ID), report.Outcome(report.Plain(string(run.Outcome)))
	for i := range run.Results {
		run.Results[i].Status = sync.Status(report.Plain(string(run.Results[i].Status)))
	}
	for i := range run.Held {
		run.Held[i].Code = sync.HoldCode(report.Plain(string(run.Held[i].Code)))
	}
	return &run, nil
}

// patiently calls get until it works or fails for good. An unreachable service
// may be restarting, so that is a failure only when patience ends.
func (c *Client) patiently(ctx context.Context, get func() error) error {
	failed := false
	err := c.retry.Do(ctx, func(int) error {
		err := get()
		if mayPass(err) {
			return httpclient.Again(err, 0)
		}
		return err
	}, func(_ int, _ time.Duration, err error) {
		if !failed {
			failed = true
			c.say(hclog.Warn, "the service is unreachable; retrying", "at most", c.retry.Patience, "error", report.Plain(err.Error()))
		}
	})
	switch {
	case err == nil && failed:
		c.say(hclog.Info, "the service answers again")
	case mayPass(err):
		return fmt.Errorf("the service stayed unreachable; the run may still continue there: %w", err)
	}
	return err
}

// say logs, on a screen without progress.
func (c *Client) say(level hclog.Level, text string, args ...any) {
	c.progress(0, 0)
	c.log.Log(level, text, args...)
}
