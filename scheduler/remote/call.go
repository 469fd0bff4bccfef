package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"cwvault/scheduler/api"
	"cwvault/sync/httpclient"
)

// size bounds an answer, and how long it may take.
type size struct {
	bytes   int64
	timeout time.Duration
}

var (
	small = size{1 << 20, 15 * time.Second}
	large = size{256 << 20, 5 * time.Minute} // a run has a few hundred bytes a step
)

// Error is a request that the service refused or did not answer.
type Error struct {
	// Status is the HTTP status of the answer; 0: there was none, and Err says why.
	Status int
	// Request is the method and the path.
	Request string
	// Reason is why the service refused, in its words where it gave any: at most
	// 500 characters, not made harmless.
	Reason string
	// Fix says what to do about it; empty if that is not known.
	Fix string
	Err error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	text := fmt.Sprintf("%s: %d %s: %s", e.Request, e.Status, http.StatusText(e.Status), e.Reason)
	if e.Fix != "" {
		text += "; " + e.Fix
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// statusOf returns the status of a refusal, or 0.
func statusOf(err error) int {
	var failed *Error
	if errors.As(err, &failed) {
		return failed.Status
	}
	return 0
}

// mayPass reports whether the same question may be answered later.
func mayPass(err error) bool {
	var failed *Error
	if !errors.As(err, &failed) {
		return false
	}
	switch failed.Status {
	case 0, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// call sends one request and decodes the answer.
func (c *Client) call(ctx context.Context, method, path string, body, answer any, limit size) error {
	ctx, cancel := context.WithTimeout(ctx, limit.timeout)
	defer cancel()
	req, err := c.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	name := method + " " + req.URL.Path
	resp, err := c.http.Do(req)
	if err != nil {
		return &Error{Request: name, Err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
		return refusal(name, resp)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit.bytes+1))
	switch {
	case err != nil:
		return &Error{Request: name, Err: fmt.Errorf("%s: %w", name, err)}
	case int64(len(b)) > limit.bytes:
		return fmt.Errorf("%s: the answer is longer than %d bytes", name, limit.bytes)
	case httpclient.IsHTML(b):
		return fmt.Errorf("%s: %s", name, isPage)
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("%s: the answer is not in the form that cwvault uses: %w", name, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token())
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

const isPage = "an HTML page instead of JSON; check that the address is that of cwvault serve, and that no proxy in front of it asks for a sign-in of its own"

// refusal explains an answer that is an error.
func refusal(name string, resp *http.Response) error {
	const most, shown = 64 << 10, 500
	b, _ := io.ReadAll(io.LimitReader(resp.Body, most)) // a part of it will do
	var told api.Failure
	switch {
	case httpclient.IsHTML(b):
		told.Error = isPage
	case json.Unmarshal(b, &told) != nil:
		told.Error = "no reason given"
	}
	if words := []rune(told.Error); len(words) > shown {
		told.Error = string(words[:shown]) + "…"
	}
	return &Error{Status: resp.StatusCode, Request: name, Reason: told.Error, Fix: fixOf(resp.StatusCode)}
}

// fixOf says what a person can do about a status.
func fixOf(status int) string {
	switch {
	case status >= 300 && status < 400:
		return "redirects are not followed, because they would pass the token on; give the final address"
	case status == http.StatusUnauthorized:
		return "CWVAULT_TOKEN must be the token that the service has"
	case status == http.StatusNotFound:
		return "check the address"
	case status == http.StatusTooManyRequests:
		return "retry later"
	}
	return ""
}
