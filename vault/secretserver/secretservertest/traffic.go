package secretservertest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	gosync "sync"
	"time"
)

// Request is one request that reached the simulator.
type Request struct {
	Time   time.Time
	Method string
	Path   string // below the base, such as /api/v1/folders/12
	Query  url.Values
	Body   string // passwords and tokens are replaced
	User   string // whose token it carried; empty where none is needed or it is not good
	// Status is the status answered, 0 when the connection was cut instead.
	Status int
	// Done tells whether the server carried the request out (or refused it by
	// its rules); it is false only for requests that a fault kept from it.
	Done bool
	// Fault tells whether a fault fired.
	Fault bool
}

// Fault is something that goes wrong with some requests.
type Fault struct {
	// Match chooses the requests, whose path is relative to the base; nil
	// for all. See [On]. It must not call the Server.
	Match func(*http.Request) bool
	Every int // fires on each n-th matching request; 0 or 1 for each one
	Times int // fires so often and then no more; 0 without limit

	Delay time.Duration // before anything else
	// Run is called before the work is done, for example to change something
	// by hand between two pages of a list.
	Run func()

	CutBefore    bool // the connection is cut before the work is done
	CutAfterWork bool // the work is done, then the connection is cut without an answer
	CutBody      bool // the work is done and the connection is cut in the middle of the body

	// Status is answered instead of doing the work. With AfterWork the work
	// is done first, as when a gateway loses patience.
	Status    int
	AfterWork bool
	// Body and ContentType go with Status; by default the shape that the
	// vendor gives errors of that status, as JSON.
	Body        string
	ContentType string
	Header      http.Header // added to the answer; with Status 0 the work is done

	HTML200 bool // answers 200 with a page, as proxies and some error paths do
}

// On matches requests by method and path, which is a pattern for path.Match
// ("/api/v1/folders/*"). An empty method or pattern matches any.
func On(method, pattern string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		if method != "" && method != r.Method {
			return false
		}
		ok, _ := path.Match(pattern, r.URL.Path) // a bad pattern matches nothing
		return pattern == "" || ok
	}
}

func (f *Fault) worksFirst() bool {
	return f.AfterWork || f.CutAfterWork || !f.HTML200 && f.Status == 0
}

// answer changes what the work answered.
func (f *Fault) answer(a answer) answer {
	switch {
	case f.HTML200:
		a = htmlAnswer(http.StatusOK, "Secret Server")
	case f.Status != 0 && f.Body == "":
		a = jsonAnswer(f.Status, errorBody(f.Status))
	case f.Status != 0:
		a = answer{status: f.Status, contentType: "application/json; charset=utf-8", body: []byte(f.Body)}
	}
	if f.ContentType != "" {
		a.contentType = f.ContentType
	}
	a.header = f.Header
	return a
}

type armedFault struct {
	Fault
	seen, fired int
}

// traffic is what passes: the record, the faults and the delay.
type traffic struct {
	mu       gosync.Mutex
	requests []*Request
	faults   []*armedFault
	delay    time.Duration
}

// AddFault arms a fault. Of several that match, the one added first fires.
func (s *Server) AddFault(f Fault) (remove func()) {
	t := &s.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	armed := &armedFault{Fault: f}
	t.faults = append(t.faults, armed)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.faults = slices.DeleteFunc(t.faults, func(o *armedFault) bool { return o == armed })
	}
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	s.traffic.faults = nil
}

// SetDelay makes every request take this much longer.
func (s *Server) SetDelay(d time.Duration) {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	s.traffic.delay = d
}

// Requests are the requests since the start or the last ResetRequests, in the
// order in which they came.
func (s *Server) Requests() []Request {
	t := &s.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Request, len(t.requests))
	for i, r := range t.requests {
		all[i] = *r
	}
	return all
}

// ResetRequests empties the record.
func (s *Server) ResetRequests() {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	s.traffic.requests = nil
}

func (t *traffic) begin(r *http.Request, body []byte, now time.Time) (*Request, time.Duration, *Fault) {
	query := r.URL.Query()
	redactValues(query)
	entry := &Request{
		Time: now, Method: r.Method, Path: r.URL.Path, Query: query,
		Body: redactBody(r.Header.Get("Content-Type"), body),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.requests = append(t.requests, entry)
	for _, f := range t.faults {
		if f.Match != nil {
			m := r.Clone(r.Context())
			m.Body = io.NopCloser(bytes.NewReader(body))
			if !f.Match(m) {
				continue
			}
		}
		f.seen++
		if f.Every > 1 && f.seen%f.Every != 0 || f.Times > 0 && f.fired >= f.Times {
			continue
		}
		f.fired++
		entry.Fault = true
		fired := f.Fault
		return entry, t.delay + f.Delay, &fired
	}
	return entry, t.delay, nil
}

func (t *traffic) done(entry *Request, username string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	entry.Done, entry.User = true, username
}

func (t *traffic) end(entry *Request, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	entry.Status = status
}

const redacted = "redacted"

func secretName(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "password") || strings.Contains(name, "token") || name == "client_secret"
}

func redactValues(v url.Values) {
	for name := range v {
		if secretName(name) {
			v[name] = []string{redacted}
		}
	}
}

// redactBody keeps a body for the record without what must not be kept. What
// it cannot read it does not keep.
func redactBody(contentType string, body []byte) string {
	switch {
	case len(body) == 0:
		return ""
	case strings.HasPrefix(contentType, "application/x-www-form-urlencoded"):
		v, err := url.ParseQuery(string(body))
		if err != nil {
			return redacted
		}
		redactValues(v)
		return v.Encode()
	}
	var v any
	if json.Unmarshal(body, &v) != nil {
		return redacted
	}
	if !redactJSON(v) {
		return string(body)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return redacted
	}
	return string(b)
}

func redactJSON(v any) (changed bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if secretName(name) {
				v[name], changed = redacted, true
			} else if redactJSON(inner) {
				changed = true
			}
		}
	case []any:
		for _, inner := range v {
			if redactJSON(inner) {
				changed = true
			}
		}
	}
	return changed
}
