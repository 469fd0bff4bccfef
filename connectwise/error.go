package connectwise

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cwvault/sync"
	"cwvault/sync/httpclient"
)

// The kinds of errors, for errors.Is.
var (
	// ErrUnauthorized: the keys, the client id, the company id or the API member's
	// role are wrong. No call can succeed until that is fixed.
	ErrUnauthorized = sync.ErrUnauthorized
	// ErrIncomplete: the data read may not be complete. A list is truncated or
	// garbled, has a row twice or without an id, or has a different number of rows
	// than ConnectWise counts.
	ErrIncomplete = sync.ErrIncomplete
)

// Error is a request that failed. Texts from the server are truncated, and contain no
// keys and no control, formatting or other invisible characters.
type Error struct {
	Method    string
	URL       string // without its query
	Status    int    // HTTP status; 0 when there was no answer
	Code      string // the server's own code, such as "ApiFindCondition"
	Message   string // the server's own words
	RequestID string // x-cw-request-id, which ConnectWise's support asks for
	Hint      string // a possible fix, in our words
	Err       error  // the kind or the cause of the error; may be nil

	retry      bool          // the same request may succeed later
	undone     bool          // the server has certainly not carried out the request
	retryAfter time.Duration // the pause that the server asks for; 0 if it does not say
}

// Error describes the request, the answer and a possible fix.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Method, e.URL)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d %s", e.Status, http.StatusText(e.Status))
	}
	for _, text := range []string{e.Code, e.Message} {
		if text != "" {
			b.WriteString(": " + text)
		}
	}
	if e.Err != nil && e.Err != ErrUnauthorized { // the status says that already
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// KeysRefused reports whether ConnectWise rejects the keys, so that no other request can
// succeed either.
func (e *Error) KeysRefused() bool { return e.Status == http.StatusUnauthorized }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// readingRights are the rights that reading needs.
const readingRights = `"Company Maintenance: Inquire = All" and "Table Setup: Inquire = All" for Company / Company Status and Company / Company Type`

// explain fills in e from the answer to r. body is the beginning of the answer.
func (c *Client) explain(e *Error, r request, header http.Header, body []byte) {
	c.quote(e, body)
	text := strings.ToLower(e.Message)
	switch {
	case e.Status >= 300 && e.Status < 400:
		e.Message = "redirect to " + c.clean(withoutQuery(header.Get("Location")))
		e.Hint = "cwvault does not follow redirects, because they could expose the keys; set the URL to the final address"
	case e.Status == http.StatusUnauthorized:
		e.Err = ErrUnauthorized
		e.Hint = "check the company id, the public and private key and the client id"
	case e.Status == http.StatusForbidden:
		e.Err = ErrUnauthorized
		e.Hint = "the API member's role needs " + cmp.Or(r.right, readingRights) + "; a missing client id can look like this too"
	case e.Status == http.StatusBadRequest && strings.Contains(text, "clientid"):
		// Servers answer a missing client id with different statuses, but all
		// known answers have its name in the text.
		e.Err = ErrUnauthorized
		e.Hint = "check the client id"
	case e.Status == http.StatusBadRequest && strings.Contains(text, "accept header"):
		e.Hint = "the server may be older than the requested model version; set the version to the server's"
	case e.Status == http.StatusBadRequest && strings.Contains(text, "cannot route"),
		e.Status == http.StatusNotFound:
		e.Hint = "check the URL and the company id"
	case e.Status == http.StatusTooManyRequests, e.Status >= 500:
		e.retry, e.undone = true, e.Status == http.StatusTooManyRequests
		e.retryAfter = httpclient.RetryAfter(header, time.Now())
		if e.undone && e.retryAfter == 0 {
			e.retryAfter = busyPause
		}
	}
}

// quote sets code and message from the body of a failed answer.
func (c *Client) quote(e *Error, body []byte) {
	if httpclient.IsHTML(body) {
		e.Message = "an HTML page instead of JSON"
		return
	}
	var answer struct {
		Code    string `json:"code"`
		Error   string `json:"error"` // instead of code, when there were too many requests
		Message string `json:"message"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"` // what is wrong with a record that was sent
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Code+answer.Error+answer.Message == "" {
		e.Message = c.clean(string(body))
		return
	}
	message := answer.Message
	for _, problem := range answer.Errors {
		message += ": " + problem.Message
	}
	e.Code, e.Message = c.clean(answer.Code+answer.Error), c.clean(message)
}

// clean makes remote text safe to show: short, on one line, without keys and invisible
// characters.
func (c *Client) clean(text string) string { return c.secrets.Clean(text) }

func withoutQuery(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return address
}

// isMoved reports whether err is the answer of an address without an API, which a cloud
// upgrade leaves behind: a page of the web server, or the router's text.
func isMoved(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusNotFound ||
		e.Status == http.StatusBadRequest && strings.Contains(strings.ToLower(e.Message), "cannot route"))
}

// isGone reports whether err says that the record does not exist, rather than that there
// is no API.
func isGone(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound && strings.EqualFold(e.Code, "NotFound")
}

// isUnclear reports whether the server may have carried out the request although it did
// not say so: there was no answer, the answer was truncated, or the server failed. A
// redirect is unclear too: the cloud's proxy is known to send one after it has saved the
// record.
func isUnclear(err error) bool {
	var e *Error
	return errors.As(err, &e) && !e.undone && (e.Status < 400 || e.Status == http.StatusRequestTimeout || e.Status >= 500)
}

// isBadRequest reports whether the server rejected the query itself.
func isBadRequest(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusBadRequest && e.Err == nil && !isMoved(err)
}

// hiddenUnauthorized marks a 404 from the cloud as [ErrUnauthorized], because wrong keys
// are the likely cause (Developer Guide). The lists that are read exist on every server.
func hiddenUnauthorized(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return fmt.Errorf("%w: %w; ConnectWise's cloud also gives this answer if the keys are wrong", ErrUnauthorized, err)
	}
	return err
}
