package connectwise

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxTries = 5
	// requestTimeout bounds one request with all its tries and waits.
	requestTimeout = 5 * time.Minute
	// firstWait is doubled from try to try (Developer Guide, "Retry": 200 to
	// 500 ms).
	firstWait = 500 * time.Millisecond
	// maxWait caps what a server can ask for with Retry-After.
	maxWait = time.Minute
	// busyWait is for a 429 that does not say how long.
	busyWait = 30 * time.Second

	// A page has a thousand rows of about 1 KB; 5 KB with all fields.
	maxListBody  = 64 << 20
	maxSmallBody = 1 << 20
	maxErrorBody = 64 << 10
)

// request is one call.
type request struct {
	method string // empty: GET
	url    string
	query  url.Values
	header http.Header // besides the keys
	body   []byte      // JSON, or nil
	signed bool        // with the keys
	right  string      // what the role must allow for it; empty: to read companies
	accept byte        // with which the JSON begins that is due: '[' or '{'
	limit  int64       // of the answer, in bytes
}

// send sends r until it is answered, and hands the answer to read, which is
// called again when an answer breaks off. Everything that goes wrong is an
// *Error.
//
// A POST is sent again only where the server has surely not done it: it could
// not be connected to, or it answered 429.
func (c *Client) send(ctx context.Context, r request, read func(body io.Reader, header http.Header) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for try := 1; ; try++ {
		err := c.try(ctx, r, try > 1, read)
		if err == nil || r.method == http.MethodDelete && try > 1 && isGone(err) { // by the try before
			return nil
		}
		if !err.retry || r.method == http.MethodPost && !err.undone || try == maxTries || ctx.Err() != nil {
			return err
		}
		wait := backoff(err, try)
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return err
		}
		c.log.Warn("trying a request again", "try", try+1, "of", maxTries, "wait", wait.Round(time.Millisecond), "error", err)
		if ended := c.sleep(ctx, wait); ended != nil {
			return &Error{Method: err.Method, URL: err.URL, Err: ended, undone: err.undone}
		}
	}
}

// backoff says how long to wait after the try'th try.
func backoff(err *Error, try int) time.Duration {
	wait := max(firstWait<<(try-1), err.retryAfter)
	if err.Status == http.StatusTooManyRequests && err.retryAfter == 0 {
		wait = busyWait
	}
	wait = min(wait, maxWait)
	return min(wait+rand.N(wait/4), maxWait) // so that clients do not come back all at once
}

// retryAfter reads the header of that name, which holds seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
		return time.Duration(min(max(seconds, 0), 3600)) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}

// try sends r once; repeated says that it was sent before.
func (c *Client) try(ctx context.Context, r request, repeated bool, read func(io.Reader, http.Header) error) *Error {
	start := time.Now()
	tryCtx, cancel := context.WithTimeout(ctx, c.tryTimeout)
	defer cancel()
	connected := false
	tryCtx = httptrace.WithClientTrace(tryCtx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected = true },
	})

	e := &Error{Method: cmp.Or(r.method, http.MethodGet), URL: r.url}
	noAnswer := func(err error) *Error {
		e.undone = !connected
		if ctx.Err() != nil {
			e.Err = ctx.Err()
			return e
		}
		e.Err = errors.New(c.clean(err.Error())) // it may quote what came
		if tryCtx.Err() != nil {
			e.Err = fmt.Errorf("not answered within %v", c.tryTimeout)
		}
		var certificate *tls.CertificateVerificationError
		e.retry = !errors.As(err, &certificate)
		if !e.retry {
			e.Hint = "if the server's certificate is from an authority of your own, name that in the CA file"
		}
		return e
	}

	address := r.url
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(tryCtx, e.Method, address, bytes.NewReader(r.body))
	if err != nil {
		e.Err, e.undone = errors.New("not an address"), true
		return e
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "cwvault")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.signed {
		c.sign(req)
	}
	if c.sent != nil {
		c.sent(repeated)
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return noAnswer(err)
	}
	defer resp.Body.Close()
	e.Status = resp.StatusCode
	e.RequestID = c.clean(resp.Header.Get("X-Cw-Request-Id"))
	c.log.Debug("request", "method", e.Method, "url", r.url, "page", r.query.Get("page")+r.query.Get("pageId"),
		"status", e.Status, "id", e.RequestID, "took", time.Since(start).Round(time.Millisecond))

	switch {
	case e.Status == http.StatusOK, e.Status == http.StatusCreated && r.method == http.MethodPost:
	case e.Status == http.StatusNoContent && r.method == http.MethodDelete:
		return nil
	default:
		beginning, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		c.explain(e, r, resp.Header, beginning)
		return e
	}

	body := &watchedReader{r: http.MaxBytesReader(nil, resp.Body, r.limit)}
	buffered := bufio.NewReader(body)
	beginning, _ := buffered.Peek(512)
	if first := bytes.TrimLeft(beginning, " \t\r\n"); isHTML(first) || r.accept == '[' && bytes.HasPrefix(first, []byte("{")) {
		beginning, _ = io.ReadAll(io.LimitReader(buffered, maxErrorBody))
		c.quote(e, beginning)
		e.Hint = "check that the URL is the API's; on ConnectWise's cloud its host begins with api-"
		return e
	}
	err = read(buffered, resp.Header)
	var (
		tooLong *http.MaxBytesError
		syntax  *json.SyntaxError
		shape   *json.UnmarshalTypeError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(body.err, &tooLong):
		e.Err = fmt.Errorf("%w: the answer is longer than %d MiB", ErrIncomplete, tooLong.Limit>>20)
	case body.err != nil && ctx.Err() != nil:
		e.Err = ctx.Err()
	case body.err != nil && tryCtx.Err() != nil:
		e.Err, e.retry = fmt.Errorf("%w: the answer takes longer than %v", ErrIncomplete, c.tryTimeout), true
	case body.err != nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Err, e.retry = fmt.Errorf("%w: the answer breaks off", ErrIncomplete), true
	case errors.As(err, &syntax), errors.As(err, &shape):
		e.Err = fmt.Errorf("%w: the answer is garbled: %s", ErrIncomplete, c.clean(err.Error()))
	default:
		e.Err = err
	}
	return e
}

// watchedReader remembers why reading ended, unless it was the end.
type watchedReader struct {
	r   io.Reader
	err error
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func isHTML(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n\ufeff"), []byte("<"))
}
