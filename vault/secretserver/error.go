package secretserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"cwvault/sync/httpclient"
	"cwvault/vault"
)

// Error is a failed request to Secret Server. It holds no query and no secret.
type Error struct {
	Method, Path string
	Status       int    // 0 when no answer came
	Code         string // the server's errorCode, such as API_AccessDenied
	Message      string // the server's message

	cause      error
	kind       error // an error of package vault; nil if none fits
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

// turnedDown reports a permanent refusal: a missing right, or an API that the server does
// not have.
func turnedDown(err error) bool {
	status := statusOf(err)
	return status >= 400 && status < 500 && status != http.StatusTooManyRequests && !errors.Is(err, vault.ErrUnauthorized)
}

// denied reports the answer to a missing right or a missing folder.
func (e *Error) denied() bool {
	return e.Status == http.StatusBadRequest && e.Code == "API_AccessDenied" ||
		e.Status == http.StatusForbidden || e.Status == http.StatusNotFound
}

// broken fills in e for a request without a usable answer.
func (e *Error) broken(ctx context.Context, err error, sent, read bool) *Error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err // inURL would repeat the whole URL
	}
	e.cause = err
	e.temporary = true
	e.maybeDone = sent
	e.kind = vault.ErrUnavailable
	if sent && !read {
		e.kind = vault.ErrUnanswered
	}
	if httpclient.Untrusted(err) || ctx.Err() != nil {
		e.temporary = false
	}
	if ctx.Err() != nil {
		e.cause = ctx.Err()
		if e.kind == vault.ErrUnavailable && errors.Is(e.cause, context.Canceled) {
			e.kind = nil // the caller ended it, not the vault
		}
	}
	return e
}

// htmlAnswer is the message for a web page.
const htmlAnswer = "an HTML page instead of JSON"

func isHTML(resp *http.Response, body []byte) bool {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return media == "text/html" || httpclient.IsHTML(body)
}

// read fills in e from an answer that is not a success.
func (e *Error) read(resp *http.Response, body []byte, read bool, secrets httpclient.Redactor) {
	html := isHTML(resp, body)
	e.quote(body, html, secrets)
	e.retryAfter = httpclient.RetryAfter(resp.Header, time.Now())
	signIn := resp.Request.Header.Get("Content-Type") == formType
	switch status := resp.StatusCode; {
	case status < 400:
		e.Message = "a redirect, which cwvault does not follow; check the address"
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
		// From a proxy or the web server, not the API: it says nothing about folders.
	default:
		e.refused(read)
	}
}

// quote takes code and message from the body.
func (e *Error) quote(body []byte, html bool, secrets httpclient.Redactor) {
	var answer struct {
		Message   string          `json:"message"`
		Detail    string          `json:"messageDetail"`
		Code      string          `json:"errorCode"`
		Exception string          `json:"exceptionMessage"`
		Error     json.RawMessage `json:"error"` // sign-in
	}
	switch {
	case html:
		e.Message = htmlAnswer
	case json.Unmarshal(body, &answer) == nil:
		var signIn string
		_ = json.Unmarshal(answer.Error, &signIn) // anything but a string is unknown
		e.Code = secrets.Clean(answer.Code)
		e.Message = secrets.Clean(strings.Join([]string{answer.Message, answer.Detail, answer.Exception, signIn}, " "))
	default:
		e.Message = secrets.Clean(string(body))
	}
}

// refused fills in e for an answer of the API about the request itself.
func (e *Error) refused(read bool) {
	switch {
	case e.Status == http.StatusForbidden:
		// The specification has no 401 and calls its 403 "authentication failed".
		// Servers are known to use 403 for missing rights too.
		e.kind, e.expired = vault.ErrNotAllowed, tokenRefused.MatchString(e.Message)
	case e.Status == http.StatusNotFound:
		e.kind = vault.ErrNotFound
	case e.Status == http.StatusConflict:
		e.kind = vault.ErrNameTaken
	case e.denied():
		e.kind = vault.ErrNotAllowed
		if read {
			e.kind = vault.ErrNotFound
		}
	default:
		e.kind = vault.ErrInvalid
	}
}

// tokenRefused distinguishes a 403 about the token from one about rights. If it is wrong, a
// call is repeated in vain with a new token, or fails as not allowed.
var tokenRefused = regexp.MustCompile(`(?i)authenticat|token`)

// clean makes a server's text safe to show, if it cannot contain a secret.
func clean(text string) string { return httpclient.Redactor{}.Clean(text) }
