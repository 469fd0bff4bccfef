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

// What can be wrong, for errors.Is.
var (
	// ErrUnauthorized: the keys, the client id, the company id or the role of
	// the API member are at fault. No call can succeed until that is fixed.
	ErrUnauthorized = sync.ErrUnauthorized
	// ErrIncomplete: what was read may not be everything. A list is truncated or
	// garbled, has a row without an id or a row twice, or does not have as many
	// rows as ConnectWise counts.
	ErrIncomplete = sync.ErrIncomplete
)

// Error is a request that was not answered as it should have been. Texts from
// the server are cut to a reasonable length, hold no keys and no control,
// formatting or other invisible characters.
type Error struct {
	Method    string
	URL       string // without its query
	Status    int    // HTTP status; 0 when there was no answer
	Code      string // the server's own code, such as "ApiFindCondition"
	Message   string // the server's own words
	RequestID string // x-cw-request-id, which ConnectWise's support asks for
	Hint      string // what may fix it, in our words
	Err       error  // what the error counts as or comes from; may be nil

	retry      bool          // the same request may succeed later
	undone     bool          // the server has surely not done what it was asked for
	retryAfter time.Duration // how long the server wants to be left alone; 0 if it does not say
}

// Error describes what was asked, what came back and what may fix it.
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
	if e.Err != nil && e.Err != ErrUnauthorized { // the status has said so
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

// KeysRefused reports whether ConnectWise does not accept the keys at all, so
// that no other request can succeed either.
func (e *Error) KeysRefused() bool { return e.Status == http.StatusUnauthorized }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// readingRights is what the role must allow for reading.
const readingRights = `"Company Maintenance: Inquire = All" and "Table Setup: Inquire = All" for Company / Company Status and Company / Company Type`

// explain fills e from the answer to r: body is its beginning.
func (c *Client) explain(e *Error, r request, header http.Header, body []byte) {
	c.quote(e, body)
	text := strings.ToLower(e.Message)
	switch {
	case e.Status >= 300 && e.Status < 400:
		e.Message = "redirect to " + c.clean(withoutQuery(header.Get("Location")))
		e.Hint = "redirects are not followed, because they would take the keys along; give the final address as the URL"
	case e.Status == http.StatusUnauthorized:
		e.Err = ErrUnauthorized
		e.Hint = "check the company id, the public and private key and the client id"
	case e.Status == http.StatusForbidden:
		e.Err = ErrUnauthorized
		e.Hint = "the API member's role needs " + cmp.Or(r.right, readingRights) + "; a missing client id can look like this too"
	case e.Status == http.StatusBadRequest && strings.Contains(text, "clientid"):
		// Which status a missing client id has differs by server; that its
		// name is in the text is what reports of it agree on.
		e.Err = ErrUnauthorized
		e.Hint = "check the client id"
	case e.Status == http.StatusBadRequest && strings.Contains(text, "accept header"):
		e.Hint = "the server may be older than the model version asked for; set the version to the server's"
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

// quote takes code and message from the body of an answer that is not what was
// asked for.
func (c *Client) quote(e *Error, body []byte) {
	if httpclient.IsHTML(body) {
		e.Message = "an HTML page instead of JSON"
		return
	}
	var told struct {
		Code    string `json:"code"`
		Error   string `json:"error"` // instead of code, when there were too many requests
		Message string `json:"message"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"` // what is wrong with a record that was sent
	}
	if err := json.Unmarshal(body, &told); err != nil || told.Code+told.Error+told.Message == "" {
		e.Message = c.clean(string(body))
		return
	}
	message := told.Message
	for _, problem := range told.Errors {
		message += ": " + problem.Message
	}
	e.Code, e.Message = c.clean(told.Code+told.Error), c.clean(message)
}

// clean makes remote text fit to be shown: without keys, on one line, without
// invisible characters, and short.
func (c *Client) clean(text string) string { return c.secrets.Clean(text) }

func withoutQuery(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return address
}

// isMoved reports whether err is an answer as if nothing were at the address:
// what a cloud upgrade leaves behind, as a page of the web server or as the
// router's text.
func isMoved(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusNotFound ||
		e.Status == http.StatusBadRequest && strings.Contains(strings.ToLower(e.Message), "cannot route"))
}

// isGone reports whether err is the answer that there is no record of that
// number, and not that there is no API.
func isGone(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound && strings.EqualFold(e.Code, "NotFound")
}

// isUnclear reports whether the server may have done what it was asked for,
// although it did not say so: there was no answer, or a truncated one, or the
// server failed on the way. So may a redirect: the cloud's proxy has been seen
// to answer with one after the record was saved.
func isUnclear(err error) bool {
	var e *Error
	return errors.As(err, &e) && !e.undone && (e.Status < 400 || e.Status == http.StatusRequestTimeout || e.Status >= 500)
}

// isBadRequest reports whether err is the server's complaint about the query
// itself.
func isBadRequest(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusBadRequest && e.Err == nil && !isMoved(err)
}

// hiddenUnauthorized marks a 404 from the cloud as what it most likely is:
// wrong keys (Developer Guide). Every list that is read exists on every server.
func hiddenUnauthorized(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return fmt.Errorf("%w: %w; ConnectWise's cloud also answers so to wrong keys", ErrUnauthorized, err)
	}
	return err
}
