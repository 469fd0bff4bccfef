package dashboard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"cwvault/scheduler/api"
)

func TestMethods(t *testing.T) {
	f := newFake(t)
	f.asked["r0"] = api.Asked{ID: "r0", State: api.Over}
	h := newHandler(local(f), quick())
	for _, e := range endpoints {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "EVERYTHING-THERE-IS"} {
			w := do(h, method, e.target, "", withBearer(rightToken), with("X-Content-Signature", "c2ln"))
			allowed := method == e.method || method == "HEAD" && e.method == "GET"
			switch allow := w.Header().Get("Allow"); {
			case allowed && w.Code != e.status:
				t.Errorf("%s %s: %d", method, e.target, w.Code)
			case !allowed && (w.Code != 405 || !strings.Contains(allow, e.method)):
				t.Errorf("%s %s: %d, Allow: %s", method, e.target, w.Code, allow)
			case !allowed:
				checkAnswer(t, w, e.class, w.Code)
			}
		}
	}
	if n := len(f.requests()) + len(f.deliveries()); n != 2 {
		t.Errorf("%d were handed on, want those of the 2 right methods", n)
	}
}

// TestHead: the same as GET, but for the body, which the server leaves out.
func TestHead(t *testing.T) {
	f := newFake(t)
	f.asked["r0"] = api.Asked{ID: "r0"}
	h := newHandler(local(f), quick())
	for _, e := range endpoints {
		if e.method != "GET" {
			continue
		}
		get, head := do(h, "GET", e.target, ""), do(h, "HEAD", e.target, "")
		if diff := cmp.Diff(get.Header(), head.Header()); get.Code != head.Code || diff != "" {
			t.Errorf("%s: %d and %d (-GET +HEAD)\n%s", e.target, get.Code, head.Code, diff)
		}
	}
}

func TestPaths(t *testing.T) {
	h := newHandler(local(newFake(t)), quick())
	for _, target := range []string{
		"//", "//healthz", "/healthz/", "/healthz//", "/./healthz", "/api/../healthz", "/api/%2e%2e/healthz", "/%2e%2e/healthz", "/..%2fhealthz",
		"/api/runs/12/", "/api//runs", "/api/runs/12/..", "/api/runs/12%2f..%2f..%2fplan", "//evil.example.com/%2e%2e", "/api/runs/..;/plan", "/api/plan%00",
		"/healthz%20", "/HEALTHZ", "/api/plan.json", "/metrics/..", "/assets/../page.go", "/assets/%2e%2e/page.go", "/assets/..%5cpage.go", "/assets", "/assets/",
		"/debug/pprof/", "/debug/vars", "/.git/config", "/favicon.ico", "/api/resync/", "/api/connectwise", `/\evil.example.com`,
	} {
		w := do(h, "GET", target, "")
		if w.Code != 404 {
			t.Errorf("%s: %d %s", target, w.Code, w.Header().Get("Location"))
		}
		checkAnswer(t, w, "page", w.Code)
		if strings.Contains(w.Body.String(), "evil") {
			t.Errorf("%s is repeated: %s", target, w.Body)
		}
	}
}

// TestPanic: a panic is one failed request, and its value, which may be made of
// what was sent, stays out of the log.
func TestPanic(t *testing.T) {
	const sent = "sent-in-confidence"
	var none *fakeService
	tests := map[string]struct {
		handle http.HandlerFunc
		status int // 0: the connection is cut
		log    string
	}{
		"with what was sent": {func(_ http.ResponseWriter, r *http.Request) {
			panic("cannot deal with " + r.Header.Get("Authorization"))
		}, 500, "cause=string"},
		"with an error":    {func(_ http.ResponseWriter, r *http.Request) { panic(errors.New(r.URL.RawQuery)) }, 500, `cause="*errors.errorString"`},
		"of the runtime":   {func(http.ResponseWriter, *http.Request) { none.reports[0].Error = "" }, 500, "nil pointer"},
		"in mid answer":    {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "half"); panic(sent) }, 0, "cause=string"},
		"after the header": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic(sent) }, 0, "cause=string"},
		"on purpose":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			opt := local(newFake(t))
			opt.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Trace})
			h := newHandler(opt, quick())
			h.mux.HandleFunc("GET /api/broken/{id}", test.handle)

			var w *httptest.ResponseRecorder
			cut := func() (cut any) {
				defer func() { cut = recover() }()
				w = do(h, "GET", "/api/broken/"+sent+"?q="+sent, "", withBearer(sent))
				return nil
			}()
			if (cut == http.ErrAbortHandler) != (test.status == 0) { //nolint:errorlint // exactly this value is the contract
				t.Fatalf("panicked with %v", cut)
			}
			if test.status != 0 {
				if w.Code != test.status || !strings.HasPrefix(w.Body.String(), `{"error":"`) {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				checkAnswer(t, w, "api", w.Code)
			}
			if test.log == "" {
				if log.Len() > 0 {
					t.Errorf("logged: %s", &log)
				}
				return
			}
			if strings.Contains(log.String(), sent) {
				t.Errorf("the log holds what was sent: %s", &log)
			}
			for _, want := range []string{test.log, "GET /api/broken/{id}", "handler_test.go"} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log does not hold %q: %s", want, &log)
				}
			}
			if w := do(h, "GET", "/healthz", ""); w.Code != 200 {
				t.Errorf("afterwards: %d", w.Code)
			}
		})
	}
}

// TestFewLongAnswers: more than a few at a time wait for their turn, and not
// longer than anything may take.
func TestFewLongAnswers(t *testing.T) {
	lim := quick()
	lim.heavy = 2
	h := newHandler(local(newFake(t)), lim)
	going, release := make(chan struct{}, 10), make(chan struct{})
	h.mux.HandleFunc("GET /slow", h.oneOfFew(func(w http.ResponseWriter, _ *http.Request) {
		going <- struct{}{}
		<-release
		w.WriteHeader(204)
	}))
	codes := make(chan int, 10)
	for range 3 {
		go func() { codes <- do(h, "GET", "/slow", "").Code }()
	}
	<-going
	<-going
	impatient, cancel := withCancel(t)
	cancel()
	for _, target := range []string{"/slow", "/api/plan", "/api/runs/12", "/metrics"} {
		w := do(h, "GET", target, "", impatient)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s while others are made: %d", target, w.Code)
		}
	}
	if w := do(h, "GET", "/api/runs", ""); w.Code != 200 {
		t.Errorf("a short answer meanwhile: %d", w.Code)
	}
	if len(going) > 0 {
		t.Error("a third one is being made")
	}
	close(release)
	if got := []int{<-codes, <-codes, <-codes}; !slices.Equal(got, []int{204, 204, 204}) {
		t.Errorf("got %v", got)
	}
}

// TestRequestsEnd: a service that hangs does not hang the request.
func TestRequestsEnd(t *testing.T) {
	lim := quick()
	lim.work = 1
	h := newHandler(local(newFake(t)), lim)
	h.mux.HandleFunc("GET /hangs", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		h.fail(w, r, context.Cause(r.Context()))
	})
	if w := do(h, "GET", "/hangs", ""); w.Code != 503 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
