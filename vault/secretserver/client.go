package secretserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	gosync "sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/vault"
)

const (
	callTimeout   = 60 * time.Second // of one request
	changeTimeout = 5 * time.Minute  // of one change, with all that is tried again
	readTimeout   = 20 * time.Minute // of reading everything
	maxAttempts   = 6                // of one call
	maxRenewals   = 20               // of the token, within one call
	maxBackoff    = 10 * time.Second
	maxRetryAfter = time.Minute
	maxBody       = 32 << 20
)

// client sends requests: it signs in, reads answers and decides what may be
// sent again.
//
//	answer                         may be repeated     a change that may not
//	---------------------------    ----------------    ----------------------
//	no connection (nothing sent)   again               again
//	429                            again               again
//	401                            new token, again    new token, again
//	cut off, timeout, 5xx,         again               ErrUnanswered
//	200 that is not JSON
//	other                          typed error         typed error
//
// 503 counts as "perhaps done": proxies send it also when the server behind
// them broke off in the middle.
type client struct {
	address                    string // as configured, without a slash at the end
	username, password, domain string
	http                       *http.Client
	log                        hclog.Logger
	retry                      time.Duration // first pause
	beforeChange               func(context.Context) error
	sent                       func(retry bool) // may be nil

	// signIn is held by whoever signs in; the others wait for the result.
	signIn chan struct{}

	mu      gosync.Mutex
	session session
	refused time.Time // when sign-in was last refused,
	refusal error     // and what was said
}

// session is where the API is and the token for it.
type session struct {
	base     string // Secret Server, without /api; empty until known
	platform bool
	token    string
	accepted bool      // the token was, by some call
	renew    time.Time // when to sign in again; zero: when the token is refused
	skew     time.Duration
}

// request is one call. Its answer is JSON.
type request struct {
	method string
	path   string
	query  url.Values
	body   any        // sent as JSON
	form   url.Values // sent as a form, in place of body
	again  bool       // may be sent again when it may have been done
	base   string     // where; empty: the API, signed in
	token  string     // with base
	raw    bool       // the answer, into a *[]byte, need not be JSON
}

func read(path string, query url.Values) request {
	return request{method: http.MethodGet, path: path, query: query, again: true}
}

func change(method, path string, body any) request {
	return request{method: method, path: path, body: body}
}

// do sends r and decodes the answer into out. Its errors wrap an *[Error], but
// for those of sign-in that are about neither the account nor the network.
func (c *client) do(ctx context.Context, r request, out any) error {
	own := "" // a token that this call signed in for
	renewals := 0
	repeated := false
	for attempt := 1; ; attempt++ {
		base, token := r.base, r.token
		if base == "" {
			s, err := c.connect(ctx, "")
			if err != nil {
				return err
			}
			base, token = s.base+"/api", s.token
		}
		failed := c.try(ctx, base, token, r, repeated, out)
		repeated = true
		if r.base == "" && (failed == nil || failed.Status != 0 && !failed.expired) {
			c.mu.Lock()
			c.session.accepted = c.session.accepted || c.session.token == token
			c.mu.Unlock()
		}
		if failed == nil {
			return nil
		}
		if failed.expired && r.base == "" {
			// A new token that was never accepted is refused for good. One that
			// others have used, or have replaced, may have run out since.
			if token == own && c.neverAccepted(token) || renewals == maxRenewals {
				return failed
			}
			renewals++
			s, err := c.connect(ctx, token)
			if err != nil {
				return err
			}
			if s.fresh {
				own = s.token
			}
			attempt-- // nothing was wrong with the request
			continue
		}
		if attempt == maxAttempts || !failed.temporary || failed.maybeDone && !r.again {
			return failed
		}
		pause := c.pause(attempt, failed.retryAfter)
		c.log.Debug("trying again", "method", r.method, "path", r.path, "attempt", attempt, "pause", pause, "error", failed)
		if err := sleep(ctx, pause); err != nil {
			failed.cause = err
			return failed
		}
	}
}

func (c *client) neverAccepted(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.token == token && !c.session.accepted
}

// pause is how long to wait after the attempt with this number.
func (c *client) pause(attempt int, retryAfter time.Duration) time.Duration {
	d := min(c.retry<<(attempt-1), maxBackoff)
	d = d/2 + rand.N(d/2+1) // workers that failed together do not come back together
	return max(d, min(retryAfter, maxRetryAfter))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// try sends r once; repeated says that it was sent before.
func (c *client) try(ctx context.Context, base, token string, r request, repeated bool, out any) *Error {
	failed := &Error{Method: r.method, Path: r.path}
	read := r.method == http.MethodGet || r.form != nil
	if !read && c.beforeChange != nil {
		if err := c.beforeChange(ctx); err != nil {
			failed.cause = err
			return failed
		}
	}

	attempt, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var connected bool
	attempt = httptrace.WithClientTrace(attempt, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected = true },
	})
	var body io.Reader
	switch {
	case r.form != nil:
		body = strings.NewReader(r.form.Encode())
	case r.body != nil:
		encoded, err := json.Marshal(r.body)
		if err != nil {
			failed.cause = err
			return failed
		}
		body = bytes.NewReader(encoded)
	}
	address := base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(attempt, r.method, address, body)
	if err != nil {
		failed.cause = errors.New("cannot make the request")
		return failed
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "cwvault")
	if r.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}

	if c.sent != nil {
		c.sent(repeated)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return failed.broken(ctx, err, connected, read)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	failed.Status = resp.StatusCode
	if resp.StatusCode < 300 && err != nil {
		return failed.broken(ctx, err, true, read)
	}
	if resp.StatusCode < 300 && len(answer) > maxBody {
		failed.broken(ctx, fmt.Errorf("an answer longer than %d bytes", maxBody), true, read)
		failed.temporary = false
		return failed
	}
	if resp.StatusCode >= 300 {
		failed.read(resp, answer, read, c.secrets(token))
		return failed
	}
	if r.raw {
		*out.(*[]byte) = answer
		return nil
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil && r.form != nil {
		c.mu.Lock()
		c.session.skew = time.Since(date)
		c.mu.Unlock()
	}
	if err := json.Unmarshal(answer, out); err != nil {
		what := "not the JSON that was expected"
		if isHTML(resp, answer) {
			what = "an HTML page where JSON was due"
		}
		return failed.broken(ctx, errors.New(what), true, read)
	}
	return nil
}

// secrets lists what must not be repeated from a server's message.
func (c *client) secrets(token string) []string { return []string{c.password, token} }

func isHTML(resp *http.Response, body []byte) bool {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return media == "text/html" || bytes.HasPrefix(bytes.TrimLeft(body, "\ufeff \t\r\n"), []byte("<"))
}

// connection is a session as one caller got it.
type connection struct {
	session
	fresh bool // this call signed in
}

// connect returns a session, signing in when there is none, when its token is
// about to expire, or when its token is the one that was refused.
func (c *client) connect(ctx context.Context, refused string) (connection, error) {
	if s, ok := c.current(refused); ok {
		return connection{session: s}, nil
	}
	select {
	case c.signIn <- struct{}{}:
		defer func() { <-c.signIn }()
	case <-ctx.Done():
		return connection{}, ctx.Err()
	}
	if s, ok := c.current(refused); ok {
		return connection{session: s}, nil
	}
	c.mu.Lock()
	s, refusal, since := c.session, c.refusal, time.Since(c.refused)
	c.mu.Unlock()
	if refusal != nil && since < time.Minute {
		return connection{}, refusal // asking again would only lock the account
	}
	s, err := c.open(ctx, s)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
	case errors.Is(err, vault.ErrUnauthorized):
		c.refused, c.refusal = time.Now(), fmt.Errorf("sign in: %w", err)
		return connection{}, c.refusal
	case errors.Is(err, vault.ErrUnavailable) || ctx.Err() != nil:
		return connection{}, fmt.Errorf("sign in: %w", err)
	default:
		// Not found, invalid and the like mean a folder to the caller.
		return connection{}, fmt.Errorf("sign in: %v", err)
	}
	s.skew = c.session.skew
	c.session, c.refusal = s, nil
	return connection{session: s, fresh: true}, nil
}

// current returns the session if it can be used and its token is not refused.
func (c *client) current(refused string) (session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.session
	usable := s.token != "" && s.token != refused && (s.renew.IsZero() || time.Now().Before(s.renew))
	return s, usable
}

// open finds out where the API is, unless s says it, and gets a token.
func (c *client) open(ctx context.Context, s session) (session, error) {
	if s.base == "" && !s.platform {
		var err error
		if s, err = c.detect(ctx); err != nil {
			return s, err
		}
	}
	r := request{method: http.MethodPost, again: true, base: s.base, path: "/oauth2/token"}
	if s.platform {
		r.base, r.path = c.address, "/identity/api/oauth2/token/xpmplatform"
		r.form = url.Values{"grant_type": {"client_credentials"}, "scope": {"xpmheadless"},
			"client_id": {c.username}, "client_secret": {c.password}}
	} else {
		r.form = url.Values{"grant_type": {"password"}, "username": {c.username}, "password": {c.password}}
		if c.domain != "" {
			r.form.Set("domain", c.domain)
		}
	}
	var answer struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"` // seconds
	}
	if err := c.do(ctx, r, &answer); err != nil {
		var failed *Error
		if errors.As(err, &failed) && failed.Status == http.StatusNotFound {
			return s, fmt.Errorf("nothing to sign in to at this address; it should be like https://vault.example.com/SecretServer: %w", err)
		}
		return s, err
	}
	if answer.Token == "" {
		return s, &Error{Method: r.method, Path: r.path, Status: http.StatusOK, Message: "no access_token in the answer", kind: vault.ErrUnavailable}
	}
	s.token, s.accepted, s.renew = answer.Token, false, time.Time{}
	if life := time.Duration(answer.Expires) * time.Second; life > 0 {
		s.renew = time.Now().Add(life - min(life/5, time.Minute))
	}
	if s.platform && s.base == "" {
		base, err := c.defaultVault(ctx, s.token)
		if err != nil {
			return s, err
		}
		s.base = base
	}
	return s, nil
}

// platformDomain is under which tenants of the Delinea Platform live: an
// address there needs no detection.
const platformDomain = ".delinea.app"

// detect tells Secret Server from the Platform as the vendor's SDKs do, by
// which of the two health checks answers. Where neither does (a proxy may hide
// them) it is taken for Secret Server.
func (c *client) detect(ctx context.Context) (session, error) {
	if u, err := url.Parse(c.address); err == nil && strings.HasSuffix(u.Hostname(), platformDomain) {
		return session{platform: true}, nil
	}
	ok, _, err := c.healthy(ctx, c.address, healthPath)
	if err != nil {
		return session{}, err
	}
	if !ok {
		platform, _, err := c.healthy(ctx, c.address, "/health")
		if err != nil {
			return session{}, err
		}
		if platform {
			return session{platform: true}, nil
		}
	}
	return session{base: c.address}, nil
}

// readOnly asks the health check whether the server is in read-only mode. A
// refusal may say so itself, where the health check is the word "Healthy" alone.
func (c *client) readOnly(ctx context.Context, refusal error) bool {
	var failed *Error
	if errors.As(refusal, &failed) && saysReadOnly.MatchString(failed.Message) {
		return true
	}
	s, _ := c.current("")
	_, readOnly, err := c.healthy(ctx, s.base, healthPath)
	return err == nil && readOnly
}

var saysReadOnly = regexp.MustCompile(`(?i)read[- ]?only`)

const healthPath = "/api/v1/healthcheck"

// healthy reports whether a health check answers there, and whether it says
// that the server is in read-only mode.
func (c *client) healthy(ctx context.Context, base, path string) (ok, readOnly bool, err error) {
	var body []byte
	r := read(path, nil)
	r.base, r.raw = base, true
	var failed *Error
	switch err := c.do(ctx, r, &body); {
	case errors.As(err, &failed) && failed.Status >= 300 && !failed.temporary:
		return false, false, nil // something else is there
	case err != nil:
		return false, false, err
	}
	var health struct {
		Healthy  *bool `json:"healthy"`
		ReadOnly bool  `json:"readOnlyMode"`
	}
	if json.Unmarshal(body, &health) == nil && health.Healthy != nil {
		// A server that is not well is still a Secret Server; what is wrong
		// with it shows in the calls that follow.
		return true, health.ReadOnly, nil
	}
	text := strings.Trim(strings.TrimSpace(string(body)), `"`)
	return strings.EqualFold(text, "healthy"), false, nil
}

// defaultVault asks the Platform for the address of its vault.
func (c *client) defaultVault(ctx context.Context, token string) (string, error) {
	var answer struct {
		Vaults []struct {
			Default    bool `json:"isDefault"`
			Active     bool `json:"isActive"`
			Connection struct {
				URL string `json:"url"`
			} `json:"connection"`
		} `json:"vaults"`
	}
	r := read("/vaultbroker/api/vaults", nil)
	r.base, r.token = c.address, token
	err := c.do(ctx, r, &answer)
	if errors.Is(err, vault.ErrNotAllowed) {
		err = fmt.Errorf("%w: %v", vault.ErrUnauthorized, err)
	}
	if err != nil {
		return "", fmt.Errorf("list the platform's vaults: %w", err)
	}
	for _, candidate := range answer.Vaults {
		if !candidate.Default || !candidate.Active {
			continue
		}
		address, err := checkURL(candidate.Connection.URL)
		if err != nil {
			return "", fmt.Errorf("address of the platform's default vault: %w", err)
		}
		if strings.HasPrefix(c.address, "https:") && !strings.HasPrefix(address, "https:") {
			return "", errors.New("address of the platform's default vault: not https")
		}
		return address, nil
	}
	return "", fmt.Errorf("none of the platform's %d vaults is active and the default", len(answer.Vaults))
}

// Error is an answer of Secret Server that is not what was asked for, or its
// absence. It holds no query and no secret.
type Error struct {
	Method, Path string
	Status       int    // 0 when no answer came
	Code         string // the server's errorCode, such as API_AccessDenied
	Message      string // the server's message

	cause      error
	kind       error // of package vault; nil where none fits
	temporary  bool  // the same call may succeed later
	maybeDone  bool  // it may have been carried out
	expired    bool  // the token was refused
	retryAfter time.Duration
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s:", e.Method, e.Path)
	if e.Status != 0 {
		fmt.Fprintf(&b, " %d", e.Status)
	}
	for _, s := range []string{e.Code, e.Message} {
		if s != "" {
			b.WriteString(" " + s)
		}
	}
	if e.cause != nil {
		fmt.Fprintf(&b, " %v", e.cause)
	}
	if e.kind != nil {
		fmt.Fprintf(&b, " (%v)", e.kind)
	}
	return b.String()
}

func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.kind, e.cause} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// statusOf returns the HTTP status that an error is about, or 0.
func statusOf(err error) int {
	var failed *Error
	if errors.As(err, &failed) {
		return failed.Status
	}
	return 0
}

// turnedDown reports an answer that is not about the moment: a missing right,
// or an API that the server does not have.
func turnedDown(err error) bool {
	status := statusOf(err)
	return status >= 400 && status < 500 && status != http.StatusTooManyRequests && !errors.Is(err, vault.ErrUnauthorized)
}

// denied reports the answer for a missing right, or for a folder that is not there.
func (e *Error) denied() bool {
	return e.Status == http.StatusBadRequest && e.Code == "API_AccessDenied" ||
		e.Status == http.StatusForbidden || e.Status == http.StatusNotFound
}

// broken fills in e for a request without a usable answer.
func (e *Error) broken(ctx context.Context, err error, sent, read bool) *Error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err // what it wraps repeats the whole URL
	}
	e.cause = err
	e.temporary = true
	e.maybeDone = sent
	e.kind = vault.ErrUnavailable
	if sent && !read {
		e.kind = vault.ErrUnanswered
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) || ctx.Err() != nil {
		e.temporary = false
	}
	if ctx.Err() != nil {
		e.cause = ctx.Err()
		if e.kind == vault.ErrUnavailable && errors.Is(e.cause, context.Canceled) {
			e.kind = nil // nothing is wrong with the vault
		}
	}
	return e
}

// read fills in e from an answer that is not a success.
func (e *Error) read(resp *http.Response, body []byte, read bool, secrets []string) {
	var answer struct {
		Message   string          `json:"message"`
		Detail    string          `json:"messageDetail"`
		Code      string          `json:"errorCode"`
		Exception string          `json:"exceptionMessage"`
		Error     json.RawMessage `json:"error"` // sign-in
	}
	html := isHTML(resp, body)
	switch {
	case html:
		e.Message = "an HTML page where JSON was due"
	case json.Unmarshal(body, &answer) == nil:
		var signIn string
		_ = json.Unmarshal(answer.Error, &signIn) // other than a string: nothing we know
		e.Code = clean(answer.Code, secrets)
		e.Message = clean(strings.Join([]string{answer.Message, answer.Detail, answer.Exception, signIn}, " "), secrets)
	default:
		e.Message = clean(string(body), secrets)
	}

	signIn := resp.Request.Header.Get("Content-Type") == "application/x-www-form-urlencoded"
	switch status := resp.StatusCode; {
	case status < 400:
		e.Message = "a redirect, which is not followed; is the address right?"
	case status == http.StatusTooManyRequests:
		e.temporary, e.kind = true, vault.ErrUnavailable
	case status >= 500:
		e.temporary, e.maybeDone, e.kind = true, true, vault.ErrUnavailable
		if !read {
			e.kind = vault.ErrUnanswered
		}
	case signIn && status != http.StatusNotFound && !html:
		e.kind = vault.ErrUnauthorized
	case status == http.StatusUnauthorized:
		e.expired, e.kind = true, vault.ErrUnauthorized
	case html:
		// A proxy or the web server, not the API: nothing it says is about folders.
	case status == http.StatusForbidden:
		// The specification has no 401 and calls its 403 "authentication
		// failed"; servers are known to refuse rights with it as well.
		e.kind, e.expired = vault.ErrNotAllowed, tokenRefused.MatchString(e.Message)
	case status == http.StatusNotFound:
		e.kind = vault.ErrNotFound
	case status == http.StatusConflict:
		e.kind = vault.ErrNameTaken
	case e.denied():
		e.kind = vault.ErrNotAllowed
		if read {
			e.kind = vault.ErrNotFound
		}
	default:
		e.kind = vault.ErrInvalid
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.retryAfter = time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(resp.Header.Get("Retry-After")); err == nil {
		e.retryAfter = time.Until(at)
	}
}

// tokenRefused tells a 403 about the token from one about rights. Where it is
// wrong, a call is repeated with a new token in vain, or fails as not allowed.
var tokenRefused = regexp.MustCompile(`(?i)authenticat|token`)

// clean makes a server's text fit for an error: one line, short, no secret.
func clean(s string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[redacted]")
		}
	}
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "..."
	}
	return s
}
