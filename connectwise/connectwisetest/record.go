package connectwisetest

import (
	"net/http"
	"net/url"
	"time"
)

// Request is the record of one request. The Authorization header is never
// kept: Authorized says whether it was the right one.
type Request struct {
	Time           time.Time
	Method         string
	Path           string
	Query          url.Values
	Accept         string
	ContentType    string
	UserAgent      string
	PaginationType string
	ClientID       bool // whether the clientId header was the right one
	Authorized     bool
	Status         int // 0 while there is no answer, or when none was sent
	Bytes          int // of the body that were sent
	Faulty         bool
}

// keptRequests bounds the record; the oldest ones go.
const keptRequests = 100_000

// Requests returns the record of every request so far, in order of arrival,
// those under way included.
func (s *Server) Requests() []Request {
	s.recordMu.Lock()
	defer s.recordMu.Unlock()
	out := make([]Request, len(s.record))
	for i, r := range s.record {
		out[i] = *r
	}
	return out
}

// ResetRequests empties the record.
func (s *Server) ResetRequests() {
	s.recordMu.Lock()
	defer s.recordMu.Unlock()
	s.record = nil
}

// note adds a request to the record and returns a function that completes it.
func (s *Server) note(r *http.Request) (finish func(status, bytes int, faulty bool)) {
	rec := &Request{
		Time:           time.Now(),
		Method:         r.Method,
		Path:           r.URL.Path,
		Query:          r.URL.Query(),
		Accept:         r.Header.Get("Accept"),
		ContentType:    r.Header.Get("Content-Type"),
		UserAgent:      r.UserAgent(),
		PaginationType: r.Header.Get("Pagination-Type"),
		ClientID:       s.hasClientID(r),
		Authorized:     s.hasKeys(r),
	}
	s.recordMu.Lock()
	defer s.recordMu.Unlock()
	if len(s.record) >= keptRequests {
		s.record = append([]*Request(nil), s.record[keptRequests/10:]...)
	}
	s.record = append(s.record, rec)
	return func(status, bytes int, faulty bool) {
		s.recordMu.Lock()
		defer s.recordMu.Unlock()
		rec.Status, rec.Bytes, rec.Faulty = status, bytes, faulty
	}
}
