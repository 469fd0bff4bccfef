package connectwise

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"cwvault/sync/httpclient"
)

const (
	maxTries = 5
	// requestTimeout limits one request with all its tries and pauses.
	requestTimeout = 5 * time.Minute
	// firstPause doubles from try to try (Developer Guide, "Retry": 200 to 500 ms).
	firstPause = 500 * time.Millisecond
	// maxPause limits what a server can ask for with Retry-After.
	maxPause = time.Minute
	// busyPause is for a 429 that does not say how long.
	busyPause = 30 * time.Second

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
	right  string      // the right that it needs; empty: to read companies
	accept byte        // the JSON's first character: '[' or '{'
	limit  int64       // of the answer, in bytes
}

// reader reads the body of an answer.
type reader func(body io.Reader, header http.Header) error

// send sends r, with retries, and passes the answer to read, which is called again if an
// answer is truncated. Every failure wraps an *Error.
//
// A POST is retried only if the server has certainly not done it: there was no
// connection, or it answered 429.
func (c *Client) send(ctx context.Context, r request, read reader) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	try := func(n int) error {
		failed := c.try(ctx, r, n > 1, read)
		switch {
		case failed == nil:
			return nil
		case r.method == http.MethodDelete && n > 1 && isGone(failed): // an earlier try removed it
			return nil
		case failed.retry && (r.method != http.MethodPost || failed.undone):
			return httpclient.Again(failed, failed.retryAfter)
		}
		return failed
	}
	return c.retry.Do(ctx, try, func(n int, pause time.Duration, err error) {
		c.log.Warn("retrying a request", "try", n+1, "of", maxTries, "wait", pause.Round(time.Millisecond), "error", err)
	})
}

// try sends r once. repeated means that it was sent before.
func (c *Client) try(ctx context.Context, r request, repeated bool, read reader) *Error {
	start := time.Now()
	tryCtx, cancel := context.WithTimeout(ctx, c.tryTimeout)
	defer cancel()
	tryCtx, connected := httpclient.Connected(tryCtx)

	e := &Error{Method: cmp.Or(r.method, http.MethodGet), URL: r.url}
	req, err := c.newRequest(tryCtx, r)
	if err != nil {
		e.Err, e.undone = errors.New("not an address"), true
		return e
	}
	if c.sent != nil {
		c.sent(repeated)
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		e.undone = !connected()
		c.unanswered(ctx, tryCtx, e, err)
		return e
	}
	defer resp.Body.Close()
	e.Status = resp.StatusCode
	e.RequestID = c.clean(resp.Header.Get("X-Cw-Request-Id"))
	c.log.Debug("request", "method", e.Method, "url", r.url, "page", r.query.Get("page")+r.query.Get("pageId"),
		"status", e.Status, "id", e.RequestID, "took", time.Since(start).Round(time.Millisecond))

	switch {
	case e.Status == http.StatusOK, e.Status == http.StatusCreated && r.method == http.MethodPost:
		return c.readAnswer(ctx, tryCtx, e, r, resp, read)
	case e.Status == http.StatusNoContent && r.method == http.MethodDelete:
		return nil
	}
	beginning, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // as much as arrived
	c.explain(e, r, resp.Header, beginning)
	return e
}

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	address := r.url
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
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
	return req, nil
}

// unanswered fills in e for a request without an answer. ctx is the caller's, tryCtx that
// of this try.
func (c *Client) unanswered(ctx, tryCtx context.Context, e *Error, err error) {
	switch {
	case ctx.Err() != nil:
		e.Err = ctx.Err()
		return
	case tryCtx.Err() != nil:
		e.Err = fmt.Errorf("not answered within %v", c.tryTimeout)
	default:
		e.Err = errors.New(c.clean(err.Error())) // it may quote the answer
	}
	e.retry = !httpclient.Untrusted(err)
	if !e.retry {
		e.Hint = "if your own authority issued the server's certificate, add that authority's certificate to the CA file"
	}
}

// readAnswer passes the body of a good answer to read. It returns nil, or e with the
// problem of the body.
func (c *Client) readAnswer(ctx, tryCtx context.Context, e *Error, r request, resp *http.Response, read reader) *Error {
	body := &watchedReader{r: http.MaxBytesReader(nil, resp.Body, r.limit)}
	buffered := bufio.NewReader(body)
	beginning, _ := buffered.Peek(512)
	first := bytes.TrimLeft(beginning, " \t\r\n")
	if httpclient.IsHTML(first) || r.accept == '[' && bytes.HasPrefix(first, []byte("{")) {
		beginning, _ = io.ReadAll(io.LimitReader(buffered, maxErrorBody))
		c.quote(e, beginning)
		e.Hint = "check that the URL is the API's; on ConnectWise's cloud its host begins with api-"
		return e
	}
	err := read(buffered, resp.Header)
	if err == nil {
		return nil
	}
	var (
		tooLong *http.MaxBytesError
		syntax  *json.SyntaxError
		shape   *json.UnmarshalTypeError
	)
	switch {
	case errors.As(body.err, &tooLong):
		e.Err = fmt.Errorf("%w: the answer is longer than %d MiB", ErrIncomplete, tooLong.Limit>>20)
	case body.err != nil && ctx.Err() != nil:
		e.Err = ctx.Err()
	case body.err != nil && tryCtx.Err() != nil:
		e.Err, e.retry = fmt.Errorf("%w: the answer takes longer than %v", ErrIncomplete, c.tryTimeout), true
	case body.err != nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Err, e.retry = fmt.Errorf("%w: the answer is truncated", ErrIncomplete), true
	case errors.As(err, &syntax), errors.As(err, &shape):
		e.Err = fmt.Errorf("%w: the answer is garbled: %s", ErrIncomplete, c.clean(err.Error()))
	default:
		e.Err = err
	}
	return e
}

// watchedReader remembers the error that ended reading, except io.EOF.
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
