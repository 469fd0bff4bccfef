package connectwise

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	api           = "/v4_6_release/apis/3.0"
	companiesPath = "/company/companies"
	countPath     = "/company/companies/count"
	statusesPath  = "/company/companies/statuses"
	typesPath     = "/company/companies/types"
	infoPath      = "/login/companyinfo/acmeinc"
)

// server is a ConnectWise of n companies with the ids from 1 up, which each
// test bends where it needs to.
type server struct {
	*httptest.Server
	n        int
	cap      int    // of the page size
	codebase string // the one it answers to
	info     string // body of companyinfo

	// link writes the Link header of a forward-only page: after is the page id
	// that was asked for, last the highest id on the page.
	link func(h http.Header, after, last int, more bool)

	// on replaces the answer at a path below the API, or at infoPath.
	on map[string]http.HandlerFunc

	// elsewhere answers at any other codebase.
	elsewhere http.HandlerFunc

	mu   gosync.Mutex
	seen []*http.Request
}

func newServer(t *testing.T, n int) *server {
	s := &server{
		n: n, cap: 1000, codebase: "v4_6_release", on: map[string]http.HandlerFunc{},
		elsewhere: answer(404, `<html>IIS</html>`),
		info:      `{"CompanyName":"Acme","Codebase":"v4_6_release/","CompanyID":"acmeinc","IsCloud":false}`,
	}
	s.link = func(h http.Header, after, last int, more bool) {
		h.Set("Link", "")
		if more {
			h.Set("Link", fmt.Sprintf(`<%s%s%s?pageSize=1000&pageId=%d>; rel="next"`, s.URL, api, companiesPath, last))
		}
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, r)
	s.mu.Unlock()

	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Cw-Request-Id", "req-1")
	if r.URL.Path == infoPath {
		if h := s.on[infoPath]; h != nil {
			h(w, r)
			return
		}
		fmt.Fprint(w, s.info)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/"+s.codebase+"/apis/3.0")
	if !ok {
		s.elsewhere(w, r)
		return
	}
	if h := s.on[path]; h != nil {
		h(w, r)
		return
	}
	s.plain(w, r, path)
}

// plain answers as ConnectWise does on a good day.
func (s *server) plain(w http.ResponseWriter, r *http.Request, path string) {
	switch path {
	case countPath:
		fmt.Fprintf(w, `{"count":%d}`, s.n)
	case statusesPath:
		fmt.Fprint(w, `[{"id":1,"name":"Active"},{"id":4,"name":"Imported"}]`)
	case typesPath:
		fmt.Fprint(w, `[{"id":1,"name":"Client"},{"id":7,"name":"Vendor"}]`)
	case companiesPath:
		s.companies(w, r)
	default:
		answer(404, `{"code":"ConnectWiseApi","message":"The endpoint does not exist."}`)(w, r)
	}
}

func (s *server) companies(w http.ResponseWriter, r *http.Request) {
	number := func(name string) int {
		n, _ := strconv.Atoi(r.URL.Query().Get(name))
		return n
	}
	size := min(number("pageSize"), s.cap)
	after := number("pageId")
	if r.Header.Get("pagination-type") != "forward-only" {
		after = size * (number("page") - 1)
	}
	last := max(min(after+size, s.n), after)
	if r.Header.Get("pagination-type") == "forward-only" {
		s.link(w.Header(), after, last, last < s.n)
	}
	var rows []string
	for id := after + 1; id <= last; id++ {
		rows = append(rows, row(id))
	}
	fmt.Fprintf(w, "[%s]", strings.Join(rows, ","))
}

func row(id int) string {
	return fmt.Sprintf(`{"id":%d,"identifier":"c%d","name":"Company %d","status":{"id":1,"name":"Active"},"types":[{"id":1,"name":"Client"}]}`, id, id, id)
}

// requests returns the requests so far to the path, or to all if it is empty.
func (s *server) requests(path string) []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*http.Request
	for _, r := range s.seen {
		if path == "" || r.URL.Path == path || r.URL.Path == "/"+s.codebase+"/apis/3.0"+path {
			found = append(found, r)
		}
	}
	return found
}

// answer is a handler that always says the same.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if strings.HasPrefix(body, "<") {
			w.Header().Set("Content-Type", "text/html")
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// inTurn uses one handler for each request, and the last one for the rest.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var mu gosync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handlers[0]
		if len(handlers) > 1 {
			handlers = handlers[1:]
		}
		mu.Unlock()
		h(w, r)
	}
}

// good answers as if the path had not been replaced.
func (s *server) good(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { s.plain(w, r, path) }
}

const (
	testPublic  = "PUBLICKEY-fRHh8RDG"
	testPrivate = "PRIVATEKEY-U2T9bK1x/+="
	testClient  = "5c1a9b1e-CLIENTID"
)

// keys are what must not be seen anywhere.
func keys() []string {
	escaped, _ := json.Marshal(testPrivate)
	basic, _ := http.NewRequest("GET", "/", nil)
	basic.SetBasicAuth("acmeinc+"+testPublic, testPrivate)
	return []string{testPublic, testPrivate, testClient, string(escaped), strings.TrimPrefix(basic.Header.Get("Authorization"), "Basic ")}
}

// clientOf returns a client of s, the pauses it makes (which take no time)
// and its log. The test fails if a key is in the log.
func clientOf(t *testing.T, s *server, change ...func(*Config)) (*Client, *[]time.Duration) {
	t.Helper()
	var log bytes.Buffer
	cfg := Config{
		URL: s.URL, CompanyID: "acmeinc", PublicKey: testPublic, PrivateKey: testPrivate, ClientID: testClient,
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &log, Mutex: &gosync.Mutex{}}),
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	pauses := new([]time.Duration)
	var mu gosync.Mutex
	c.retry.Pause = func(d time.Duration) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		*pauses = append(*pauses, d)
		return 0
	}
	t.Cleanup(func() {
		noKeys(t, "log", log.String())
		if log.Len() == 0 && len(s.requests("")) > 0 {
			t.Error("nothing was logged, so the log was not searched for keys")
		}
	})
	return c, pauses
}

func noKeys(t *testing.T, where, text string) {
	t.Helper()
	for _, key := range keys() {
		if strings.Contains(text, key) {
			t.Errorf("%s holds the key %q:\n%s", where, key, text)
		}
	}
}
