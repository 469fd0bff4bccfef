package connectwisetest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// start starts a server that ends with the test.
func start(t testing.TB, opt Options) *Server {
	t.Helper()
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// tables adds the statuses Active (1), Inactive (2) and the types Client (1),
// Vendor (2), Partner (3).
func withTables(s *Server) *Server {
	s.AddStatus("Active")
	s.AddStatus("Inactive")
	s.AddType("Client")
	s.AddType("Vendor")
	s.AddType("Partner")
	return s
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of the exchange or of reading the body
}

var plainClient = &http.Client{
	Timeout:       20 * time.Second,
	Transport:     &http.Transport{Proxy: nil},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// request is one request to be sent; the zero value of every field is right.
type request struct {
	method string // "" is GET
	path   string // below the API base, or absolute with a slash
	query  map[string]string
	body   string
	header map[string]string // "" removes one
	user   string
	key    string
	client *http.Client
}

func (r request) send(t testing.TB, s *Server) reply {
	t.Helper()
	u := s.URL() + "/v4_6_release/apis/3.0/" + r.path
	if strings.HasPrefix(r.path, "/") {
		u = s.URL() + r.path
	}
	values := url.Values{}
	for k, v := range r.query {
		values.Set(k, v)
	}
	if len(values) > 0 {
		u += "?" + values.Encode()
	}
	method := r.method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(t.Context(), method, u, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if r.user == "" {
		r.user = s.Tenant() + "+" + s.PublicKey()
	}
	if r.key == "" {
		r.key = s.PrivateKey()
	}
	req.SetBasicAuth(r.user, r.key)
	req.Header.Set("clientId", s.ClientID())
	req.Header.Set("Accept", "application/vnd.connectwise.com+json; version=2026.4")
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range r.header {
		if req.Header.Set(k, v); v == "" {
			req.Header.Del(k)
		}
	}
	client := r.client
	if client == nil {
		client = plainClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body), err}
}

// get sends a GET with alternating names and values of query parameters.
func get(t testing.TB, s *Server, path string, query ...string) reply {
	t.Helper()
	q := map[string]string{}
	for i := 0; i+1 < len(query); i += 2 {
		q[query[i]] = query[i+1]
	}
	return request{path: path, query: q}.send(t, s)
}

// want fails the test unless the answer has this status and, where given,
// exactly this body.
func (r reply) want(t testing.TB, status int, body ...string) reply {
	t.Helper()
	if r.err != nil {
		t.Fatalf("no answer: %v", r.err)
	}
	if r.status != status {
		t.Fatalf("status %d, want %d; body %s", r.status, status, r.body)
	}
	if len(body) > 0 && r.body != body[0] {
		t.Errorf("body %s\nwant %s", r.body, body[0])
	}
	return r
}

// into decodes the body.
func into[V any](t testing.TB, r reply) V {
	t.Helper()
	var v V
	d := json.NewDecoder(bytes.NewReader([]byte(r.body)))
	if err := d.Decode(&v); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	return v
}

// ids returns the ids of a list answer.
func (r reply) ids(t testing.TB) []int {
	t.Helper()
	out := []int{}
	for _, row := range into[[]struct{ ID int }](t, r.want(t, http.StatusOK)) {
		out = append(out, row.ID)
	}
	return out
}

var forwardOnly = map[string]string{"pagination-type": "forward-only"}
