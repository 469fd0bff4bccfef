package secretserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	gosync "sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/sync/httpclient"
)

const (
	callTimeout   = 60 * time.Second // of one request
	changeTimeout = 5 * time.Minute  // of one change, with all its tries
	readTimeout   = 20 * time.Minute // of reading everything
	maxAttempts   = 6                // of one call
	maxRenewals   = 20               // of the token, within one call
	firstPause    = 250 * time.Millisecond
	maxPause      = time.Minute
	maxBody       = 32 << 20
)

// client sends requests: it signs in, reads answers and decides what to retry.
//
//	answer                         may be repeated     a change that may not
//	---------------------------    ----------------    ----------------------
//	no connection (nothing sent)   retry               retry
//	429                            retry               retry
//	401                            new token, retry    new token, retry
//	truncated, timeout, 5xx,       retry               ErrUnanswered
//	200 that is not JSON
//	other                          typed error         typed error
//
// 503 counts as "perhaps done", because proxies also send it if the server behind them
// fails in the middle.
type client struct {
	address                    string // as configured, without a slash at the end
	username, password, domain string
	http                       *http.Client
	log                        hclog.Logger
	retry                      httpclient.Retry
	beforeChange               func(context.Context) error
	sent                       func(retry bool) // may be nil

	// signIn is held during sign-in; other calls wait for the result.
	signIn chan struct{}

	mu      gosync.Mutex
	session session
	refused time.Time // when sign-in was last refused
	refusal error     // the error of that sign-in
}

// request is one call. Its answer is JSON.
type request struct {
	method string
	path   string
	query  url.Values
	body   any        // sent as JSON
	form   url.Values // sent as a form, in place of body
	again  bool       // may be repeated even if it may have been done
	base   string     // the address; empty: the API, signed in
	token  string     // with base
	raw    bool       // the answer goes into a *[]byte and need not be JSON
}

func read(path string, query url.Values) request {
	return request{method: http.MethodGet, path: path, query: query, again: true}
}

func change(method, path string, body any) request {
	return request{method: method, path: path, body: body}
}

// reads reports whether the request changes nothing. Sign-in changes nothing.
func (r *request) reads() bool { return r.method == http.MethodGet || r.form != nil }

// do sends r and decodes the answer into out. Its errors wrap an *[Error], except those of
// sign-in that concern neither the account nor the network.
func (c *client) do(ctx context.Context, r request, out any) error {
	k := call{c: c, r: r, out: out}
	try := func(int) error {
		failed, err := k.try(ctx)
		switch {
		case err != nil:
			return err
		case failed == nil:
			return nil
		case failed.temporary && (r.again || !failed.maybeDone):
			return httpclient.Again(failed, failed.retryAfter)
		}
		return failed
	}
	return c.retry.Do(ctx, try, func(n int, pause time.Duration, err error) {
		c.log.Debug("retrying a request", "method", r.method, "path", r.path, "attempt", n, "pause", pause, "error", err)
	})
}

// call is a request with all its tries.
type call struct {
	c        *client
	r        request
	out      any
	sent     bool   // it was sent before
	own      string // a token from this call's own sign-in
	renewals int
}

// try sends the call once, and again after each renewal of its token. err is the error of
// sign-in.
func (k *call) try(ctx context.Context) (failed *Error, err error) {
	for {
		base, token := k.r.base, k.r.token
		if base == "" {
			s, err := k.c.connect(ctx, "")
			if err != nil {
				return nil, err
			}
			base, token = s.base+"/api", s.token
		}
		failed = k.c.send(ctx, base, token, k.r, k.sent, k.out)
		k.sent = true
		if k.r.base != "" {
			return failed, nil
		}
		if failed == nil || failed.Status != 0 && !failed.expired {
			k.c.accept(token)
		}
		if failed == nil || !failed.expired {
			return failed, nil
		}
		if renewed, err := k.renew(ctx, token); !renewed {
			return failed, err
		}
	}
}

// renew signs in again after a token was refused. It reports false without an error if
// that would not help: another new token would be refused like one that was never
// accepted. A token that other calls have used or replaced may have expired.
func (k *call) renew(ctx context.Context, token string) (bool, error) {
	if token == k.own && k.c.neverAccepted(token) || k.renewals == maxRenewals {
		return false, nil
	}
	k.renewals++
	s, err := k.c.connect(ctx, token)
	if err != nil {
		return false, err
	}
	if s.fresh {
		k.own = s.token
	}
	return true, nil
}

// send sends r once. repeated means that it was sent before.
func (c *client) send(ctx context.Context, base, token string, r request, repeated bool, out any) *Error {
	failed := &Error{Method: r.method, Path: r.path}
	if !r.reads() && c.beforeChange != nil {
		if err := c.beforeChange(ctx); err != nil {
			failed.cause = err
			return failed
		}
	}
	attempt, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	attempt, connected := httpclient.Connected(attempt)
	req, err := r.make(attempt, base, token)
	if err != nil {
		failed.cause = err
		return failed
	}
	if c.sent != nil {
		c.sent(repeated)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return failed.broken(ctx, err, connected(), r.reads())
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	failed.Status = resp.StatusCode
	switch {
	case resp.StatusCode >= 300:
		failed.read(resp, answer, r.reads(), httpclient.NewRedactor(c.password, token))
		return failed
	case err != nil:
		return failed.broken(ctx, err, true, r.reads())
	case len(answer) > maxBody:
		failed.broken(ctx, fmt.Errorf("an answer longer than %d bytes", maxBody), true, r.reads())
		failed.temporary = false
		return failed
	}
	if r.form != nil {
		c.setClock(resp.Header.Get("Date"))
	}
	if err := r.decode(resp, answer, out); err != nil {
		return failed.broken(ctx, err, true, r.reads())
	}
	return nil
}

// make builds the HTTP request.
func (r *request) make(ctx context.Context, base, token string) (*http.Request, error) {
	var body io.Reader
	contentType := ""
	switch {
	case r.form != nil:
		body, contentType = strings.NewReader(r.form.Encode()), formType
	case r.body != nil:
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body, contentType = bytes.NewReader(encoded), "application/json"
	}
	address := base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, errors.New("cannot make the request") // err would repeat the address
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "cwvault")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

const formType = "application/x-www-form-urlencoded"

// decode reads a good answer into out.
func (r *request) decode(resp *http.Response, answer []byte, out any) error {
	if r.raw {
		*out.(*[]byte) = answer
		return nil
	}
	if json.Unmarshal(answer, out) == nil {
		return nil
	}
	if isHTML(resp, answer) {
		return errors.New(htmlAnswer)
	}
	return errors.New("not the expected JSON")
}
