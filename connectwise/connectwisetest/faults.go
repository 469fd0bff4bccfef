package connectwisetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Response is an answer on its way out.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Fault is something that goes wrong with requests. Every fault that matches a
// request acts on it, in the order in which they were added; of those that
// answer in the server's place (Status, Hang) the first one does, and the
// others wait for another request.
type Fault struct {
	Match func(*http.Request) bool // nil: every request
	Skip  int                      // lets this many matching requests pass first
	Times int                      // acts on this many; 0: until removed

	// Before runs when the request has arrived and nothing is done yet: the
	// place to change data between two pages.
	Before func()
	Delay  time.Duration

	// Status, unless 0, is answered without looking at the request.
	Status      int
	Body        string
	ContentType string // "" with a Body: "application/json; charset=utf-8"
	Header      http.Header
	// Hang leaves the request without an answer until the client gives up or
	// the server is closed.
	Hang bool

	// Edit changes the finished answer.
	Edit func(r *http.Request, resp *Response)
	// CutAfter breaks the connection after this many bytes of the body; below
	// 0 before the first byte of the answer. The server has done its work then.
	CutAfter int
}

type activeFault struct {
	Fault
	seen, done int
}

// AddFault switches a fault on until it is used up or remove is called.
func (s *Server) AddFault(f Fault) (remove func()) {
	a := &activeFault{Fault: f}
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	s.faults = append(s.faults, a)
	return func() {
		s.faultMu.Lock()
		defer s.faultMu.Unlock()
		for i, other := range s.faults {
			if other == a {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
				return
			}
		}
	}
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	s.faults = nil
}

// faultsFor returns the faults that act on r and counts them as used.
func (s *Server) faultsFor(r *http.Request) []Fault {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	var out []Fault
	answered := false
	for _, f := range s.faults {
		answers := f.Status != 0 || f.Hang
		if f.Times > 0 && f.done == f.Times || answers && answered || f.Match != nil && !f.Match(r) {
			continue
		}
		if f.seen++; f.seen > f.Skip {
			f.done++
			answered = answered || answers
			out = append(out, f.Fault)
		}
	}
	return out
}

// On returns a Match for requests with this method ("" is any) whose path ends
// in suffix, such as "/company/companies".
func On(method, suffix string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return (method == "" || r.Method == method) && strings.HasSuffix(r.URL.Path, suffix)
	}
}

// TooManyRequests is the API's 429 with this Retry-After in seconds.
func TooManyRequests(retryAfter int) Fault {
	resp := tooManyRequests(retryAfter)
	return Fault{Status: resp.Status, Body: string(resp.Body), Header: resp.Header}
}

func tooManyRequests(seconds int) *Response {
	return &Response{
		Status: http.StatusTooManyRequests,
		Header: http.Header{"Retry-After": {strconv.Itoa(seconds)}, "Content-Type": {"application/json; charset=utf-8"}},
		Body:   fmt.Appendf(nil, `{"error":"ConnectWiseAPI","message":"Too many requests. Please try again in %d seconds."}`, seconds),
	}
}

// TimeoutBody is the API's 500 for a query that took too long.
func TimeoutBody() Fault {
	return Fault{Status: http.StatusInternalServerError, Body: `{"code":"ConnectWiseApi","message":"A timeout has occured. Please try again."}`}
}

// HTML answers with a web page in place of JSON: a gateway's 502 or 504, or
// the 200 of the screens' own host.
func HTML(status int) Fault {
	return Fault{Status: status, Body: webPage(status), ContentType: "text/html"}
}

// Redirect answers 302 to location, which must never be followed.
func Redirect(location string) Fault {
	return Fault{Status: http.StatusFound, Header: http.Header{"Location": {location}}}
}

// CannotRoute is the cloud router's plain-text 400.
func CannotRoute() Fault {
	resp := cannotRoute().response()
	return Fault{Status: resp.Status, Body: string(resp.Body), Header: resp.Header}
}

// SSLRequired is the answer to plain http, or to a cloud host without "api-".
// Its status is a guess.
func SSLRequired() Fault {
	return Fault{Status: http.StatusForbidden, Body: `{"code":"Security","message":"SSL is required.","errors":null}`}
}

// Hang never answers.
func Hang() Fault { return Fault{Hang: true} }

// Slow answers late.
func Slow(d time.Duration) Fault { return Fault{Delay: d} }

// Lost does the work and then breaks the connection without an answer.
func Lost() Fault { return Fault{CutAfter: -1} }

// Cut breaks the connection after n bytes of the body.
func Cut(n int) Fault { return Fault{CutAfter: n} }

// Truncated sends the first n bytes of the body as if they were all of it.
func Truncated(n int) Fault {
	return Fault{Edit: func(_ *http.Request, resp *Response) { resp.Body = resp.Body[:min(n, len(resp.Body))] }}
}

// NoLink drops the Link header: an endpoint without forward-only paging.
func NoLink() Fault {
	return Fault{Edit: func(_ *http.Request, resp *Response) { resp.Header.Del("Link") }}
}

// RepeatPageID puts in the place of the empty Link, which ends a forward-only
// run, one with the pageId of the request itself: followed blindly, the last
// page repeats for ever.
func RepeatPageID() Fault {
	return Fault{Edit: func(r *http.Request, resp *Response) {
		if link := resp.Header["Link"]; len(link) == 1 && link[0] == "" {
			q := r.URL.Query()
			id := q.Get("pageId")
			q.Del("pageId")
			scheme := "http://"
			if r.TLS != nil {
				scheme = "https://"
			}
			resp.Header.Set("Link", "<"+scheme+r.Host+r.URL.Path+"?"+q.Encode()+"&pageId="+url.QueryEscape(id)+`>; rel="next"`)
		}
	}}
}

var linkHost = regexp.MustCompile(`<https?://[^/>]+`)

// ForeignLink puts another scheme and host into the Link header, as servers
// behind a proxy do.
func ForeignLink(base string) Fault {
	return Fault{Edit: func(_ *http.Request, resp *Response) {
		if link := resp.Header.Get("Link"); link != "" {
			resp.Header.Set("Link", linkHost.ReplaceAllLiteralString(link, "<"+strings.TrimSuffix(base, "/")))
		}
	}}
}

// EditRows changes the rows of list answers: drops, doubles or reorders them.
func EditRows(f func(rows []json.RawMessage) []json.RawMessage) Fault {
	return Fault{Edit: func(_ *http.Request, resp *Response) {
		var rows []json.RawMessage
		if json.Unmarshal(resp.Body, &rows) != nil {
			return
		}
		resp.Body = append(append([]byte{'['}, bytes.Join(rawBytes(f(rows)), []byte{','})...), ']')
	}}
}

func rawBytes(rows []json.RawMessage) [][]byte {
	out := make([][]byte, len(rows))
	for i, r := range rows {
		out[i] = r
	}
	return out
}

// WrongCount adds delta to the answers of count endpoints.
func WrongCount(delta int) Fault {
	return Fault{
		Match: On(http.MethodGet, "/count"),
		Edit: func(_ *http.Request, resp *Response) {
			var body struct {
				Count *int `json:"count"`
			}
			if json.Unmarshal(resp.Body, &body) == nil && body.Count != nil {
				resp.Body = []byte(`{"count":` + strconv.Itoa(*body.Count+delta) + `}`)
			}
		},
	}
}
