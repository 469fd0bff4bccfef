package connectwisetest

import (
	"bytes"
	"fmt"
	"net/http"
)

// apiError is an answer other than the asked one, in the server's shape.
type apiError struct {
	status  int
	code    string
	message string
	errors  []fieldError
	// text and html replace the JSON by a plain or an HTML body: what a proxy
	// or the web server answers, and not the API.
	text string
	html string
}

// fieldError is one complaint about a record that was sent.
type fieldError struct{ code, message, resource, field string }

func (e *apiError) Error() string {
	return fmt.Sprintf("%d %s: %s%s", e.status, e.code, e.message, e.text)
}

func (e *apiError) response() *Response {
	h := http.Header{}
	switch {
	case e.html != "":
		h.Set("Content-Type", "text/html")
		return &Response{Status: e.status, Header: h, Body: []byte(e.html)}
	case e.text != "":
		h.Set("Content-Type", "text/plain; charset=utf-8")
		return &Response{Status: e.status, Header: h, Body: []byte(e.text)}
	}
	var b bytes.Buffer
	b.WriteString(`{"code":`)
	writeString(&b, e.code)
	b.WriteString(`,"message":`)
	writeString(&b, e.message)
	for i, f := range e.errors {
		b.WriteString([]string{`,"errors":[`, `,`}[min(i, 1)])
		b.WriteString(`{"code":`)
		writeString(&b, f.code)
		b.WriteString(`,"message":`)
		writeString(&b, f.message)
		b.WriteString(`,"resource":`)
		writeString(&b, f.resource)
		b.WriteString(`,"field":`)
		writeString(&b, f.field)
		b.WriteByte('}')
	}
	if len(e.errors) > 0 {
		b.WriteByte(']')
	}
	b.WriteByte('}')
	h.Set("Content-Type", "application/json; charset=utf-8")
	return &Response{Status: e.status, Header: h, Body: b.Bytes()}
}

func badRequest(format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, code: "ConnectWiseApi", message: fmt.Sprintf(format, args...)}
}

func notFound(resource string, id int) error {
	return &apiError{status: http.StatusNotFound, code: "NotFound", message: fmt.Sprintf("%s %d not found", resource, id)}
}

// forbidden: the reference knows the status and that the body has a message,
// not its text.
func forbidden() error {
	return &apiError{status: http.StatusForbidden, code: "SecurityError", message: "You do not have security permission to perform this action."}
}

func invalidObject(resource string, errs ...fieldError) error {
	return &apiError{status: http.StatusBadRequest, code: "InvalidObject", message: resource + " object is invalid", errors: errs}
}

// cannotRoute is the cloud router's answer to a wrong codebase or company.
func cannotRoute() *apiError {
	return &apiError{status: http.StatusBadRequest, text: "Cannot route. Codebase/company is invalid"}
}

func noEndpoint() *apiError {
	return &apiError{status: http.StatusNotFound, code: "ConnectWiseApi", message: "The endpoint does not exist."}
}

// webPage is the kind of body that a web server or gateway gives in place of
// the API's JSON.
func webPage(status int) string {
	return fmt.Sprintf("<!DOCTYPE html>\n<html><head><title>%d - %s</title></head>\n<body><h1>Server Error</h1><h2>%d - %[2]s</h2></body></html>\n",
		status, http.StatusText(status), status)
}

func htmlPage(status int) *apiError { return &apiError{status: status, html: webPage(status)} }
