package dashboard

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/scheduler/api"
)

const rightToken = "correct horse battery staple"

// quick are limits that tests need not wait for.
func quick() limits {
	lim := defaultLimits
	lim.wrong = time.Millisecond
	return lim
}

// local are the options of a service that only this machine can reach.
func local(f *fakeService) Options {
	return Options{Service: f, Metrics: NewMetrics("1.2.3"), Token: func() string { return rightToken }, Local: true}
}

// do sends a request from this machine, changed by changes, to h.
func do(h http.Handler, method, target, body string, changes ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "127.0.0.1:8377"
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func with(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func withBearer(token string) func(*http.Request) { return with("Authorization", "Bearer "+token) }

func fromAfar(r *http.Request) { r.RemoteAddr, r.Host = "192.0.2.7:50000", "vault.example.com:8377" }

func toHost(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }

func fromPeer(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }

// An endpoint is what can be asked for, by whom.
type endpoint struct {
	pattern        string
	method, target string
	class          string // open, api, page, change or callback
	status         int    // if allowed
}

var endpoints = []endpoint{
	{"GET /healthz", "GET", "/healthz", "open", 200},
	{"GET /readyz", "GET", "/readyz", "open", 200},
	{"GET /metrics", "GET", "/metrics", "page", 200},
	{"GET /api/runs", "GET", "/api/runs", "api", 200},
	{"GET /api/runs/{id}", "GET", "/api/runs/12", "api", 200},
	{"GET /api/plan", "GET", "/api/plan", "api", 200},
	{"GET /api/companies", "GET", "/api/companies?q=alovet", "api", 200},
	{"GET /api/companies/{id}", "GET", "/api/companies/250", "api", 200},
	{"GET /api/resync/{request}", "GET", "/api/resync/r0", "api", 200},
	{"POST /api/resync", "POST", "/api/resync", "change", 202},
	{"POST /api/connectwise/callback", "POST", "/api/connectwise/callback?recordId=1&id=250&action=updated", "callback", 204},
	{"GET /{$}", "GET", "/", "page", 200},
	{"GET /runs/{id}", "GET", "/runs/12", "page", 200},
	{"GET /companies/{id}", "GET", "/companies/250", "page", 200},
	{"GET /assets/", "GET", "/assets/favicon.svg", "page", 200},
}

// TestEndpointsAreAll compares the table above with what is registered.
func TestEndpointsAreAll(t *testing.T) {
	var registered []string
	for _, pattern := range newHandler(local(newFake(t)), quick()).patterns {
		if strings.HasPrefix(pattern, "GET /assets/") {
			pattern = "GET /assets/" // each file has a pattern, and all have the same rule
		}
		registered = append(registered, pattern)
	}
	var known []string
	for _, e := range endpoints {
		known = append(known, e.pattern)
	}
	slices.Sort(known)
	slices.Sort(registered)
	registered = slices.Compact(registered)
	if !slices.Equal(known, registered) {
		t.Errorf("registered %q\nin the table %q", registered, known)
	}
}

// verdict is, by class, the status if it is not what it is when allowed.
type verdict map[string]int

const yes = 0

func all(read, change int) verdict { return verdict{"api": read, "page": read, "change": change} }

var otherSite = verdict{"api": 403, "page": 403, "change": 403, "callback": 403}

var whoMay = []struct {
	name    string
	changes []func(*http.Request)
	query   string
	local   verdict // a token is set, and only this machine reaches the service
	public  verdict // a token is set, and all can reach it
	without verdict // no token is set, and only this machine reaches it
}{
	{"no token", nil, "", all(yes, 401), all(401, 401), all(yes, 403)},
	{"localhost", []func(*http.Request){toHost("LocalHost:8377")}, "", all(yes, 401), all(401, 401), all(yes, 403)},
	{"no port", []func(*http.Request){toHost("localhost")}, "", all(yes, 401), all(401, 401), all(yes, 403)},
	{"another loopback address", []func(*http.Request){toHost("127.8.9.10:80"), fromPeer("127.3.2.1:5")}, "", all(yes, 401), all(401, 401), all(yes, 403)},
	{"IPv6", []func(*http.Request){toHost("[::1]:8377"), fromPeer("[::1]:50000")}, "", all(yes, 401), all(401, 401), all(yes, 403)},
	{"IPv6 without a port", []func(*http.Request){toHost("[::1]"), fromPeer("[::1]:50000")}, "", all(yes, 401), all(401, 401), all(yes, 403)},
	{"IPv4 in IPv6", []func(*http.Request){fromPeer("[::ffff:127.0.0.1]:50000")}, "", all(yes, 401), all(401, 401), all(yes, 403)},

	{"from afar", []func(*http.Request){fromAfar}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"from afar, in the name of here", []func(*http.Request){fromPeer("192.0.2.7:1")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"from the same network, IPv6", []func(*http.Request){fromPeer("[fe80::1%eth0]:1")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"from nobody knows", []func(*http.Request){fromPeer("@")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"a name that was made to lead here", []func(*http.Request){toHost("evil.example.com:8377")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"a name like localhost", []func(*http.Request){toHost("localhost.evil.example.com")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"a name like an address", []func(*http.Request){toHost("127.0.0.1.evil.example.com:8377")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"a name before a port", []func(*http.Request){toHost("evil.example.com:127.0.0.1")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"no name", []func(*http.Request){toHost("")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"X-Forwarded-For", []func(*http.Request){with("X-Forwarded-For", "127.0.0.1")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"an empty X-Forwarded-For", []func(*http.Request){with("X-Forwarded-For", "")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"X-Forwarded-Host", []func(*http.Request){with("x-forwarded-host", "localhost")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"Forwarded", []func(*http.Request){with("Forwarded", "for=127.0.0.1")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"X-Real-IP", []func(*http.Request){with("X-Real-IP", "127.0.0.1")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"Via", []func(*http.Request){with("Via", "1.1 proxy")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"a proxy that does not say so", []func(*http.Request){func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0 }}, "", all(401, 401), all(401, 401), all(403, 403)},

	{"the token", []func(*http.Request){withBearer(rightToken)}, "", all(yes, yes), all(yes, yes), all(yes, 403)},
	{"the token, from afar", []func(*http.Request){fromAfar, withBearer(rightToken)}, "", all(yes, yes), all(yes, yes), all(403, 403)},
	{"the token, through a proxy", []func(*http.Request){fromAfar, withBearer(rightToken), with("X-Forwarded-For", "192.0.2.7")}, "", all(yes, yes), all(yes, yes), all(403, 403)},
	{"the token as bearer in lower case", []func(*http.Request){fromAfar, with("Authorization", "bearer  "+rightToken)}, "", all(yes, yes), all(yes, yes), all(403, 403)},
	{"a wrong token", []func(*http.Request){withBearer("wrong")}, "", all(401, 401), all(401, 401), all(yes, 403)},
	{"a wrong token, from afar", []func(*http.Request){fromAfar, withBearer("wrong")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"the beginning of the token", []func(*http.Request){fromAfar, withBearer(rightToken[:len(rightToken)-1])}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"more than the token", []func(*http.Request){fromAfar, withBearer(rightToken + "x")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"an empty token", []func(*http.Request){fromAfar, with("Authorization", "Bearer ")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"another scheme", []func(*http.Request){fromAfar, with("Authorization", "Digest "+rightToken)}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"Basic", []func(*http.Request){fromAfar, func(r *http.Request) { r.SetBasicAuth("me", rightToken) }}, "", all(yes, 401), all(yes, 401), all(403, 403)},
	{"Basic without a name", []func(*http.Request){fromAfar, func(r *http.Request) { r.SetBasicAuth("", rightToken) }}, "", all(yes, 401), all(yes, 401), all(403, 403)},
	{"Basic, wrong", []func(*http.Request){func(r *http.Request) { r.SetBasicAuth(rightToken, "wrong") }}, "", all(401, 401), all(401, 401), all(yes, 403)},
	{"Basic, malformed", []func(*http.Request){fromAfar, with("Authorization", "Basic !")}, "", all(401, 401), all(401, 401), all(403, 403)},
	{"the token in the query", []func(*http.Request){fromAfar}, "token=" + rightToken + "&access_token=" + rightToken, all(401, 401), all(401, 401), all(403, 403)},
	{"the token in a cookie", []func(*http.Request){fromAfar, with("Cookie", "token="+rightToken)}, "", all(401, 401), all(401, 401), all(403, 403)},

	{"a page of another site", []func(*http.Request){with("Sec-Fetch-Site", "cross-site"), with("Sec-Fetch-Mode", "no-cors"), withBearer(rightToken)}, "", otherSite, otherSite, otherSite},
	{"a page of another port", []func(*http.Request){with("Sec-Fetch-Site", "same-site"), with("Sec-Fetch-Mode", "cors"), withBearer(rightToken)}, "", otherSite, otherSite, otherSite},
	{"a frame of another site", []func(*http.Request){with("Sec-Fetch-Site", "cross-site"), with("Sec-Fetch-Mode", "navigate"), with("Sec-Fetch-Dest", "iframe")}, "", otherSite, otherSite, otherSite},
	{"another origin", []func(*http.Request){with("Origin", "https://evil.example.com"), withBearer(rightToken)}, "", otherSite, otherSite, otherSite},
	{"no origin that could be told", []func(*http.Request){with("Origin", "null"), withBearer(rightToken)}, "", otherSite, otherSite, otherSite},
	{"a link on another site", []func(*http.Request){with("Sec-Fetch-Site", "cross-site"), with("Sec-Fetch-Mode", "navigate"), with("Sec-Fetch-Dest", "document")}, "",
		verdict{"api": 403, "change": 403, "callback": 403}, verdict{"api": 403, "page": 401, "change": 403, "callback": 403}, verdict{"api": 403, "change": 403, "callback": 403}},
	{"our own page", []func(*http.Request){with("Sec-Fetch-Site", "same-origin"), with("Origin", "http://127.0.0.1:8377")}, "", all(yes, 401), all(401, 401), all(yes, 403)},
	{"our own page in an older browser", []func(*http.Request){with("Origin", "http://127.0.0.1:8377")}, "", all(yes, 401), all(401, 401), all(yes, 403)},
	{"typed", []func(*http.Request){with("Sec-Fetch-Site", "none"), with("Sec-Fetch-Mode", "navigate")}, "", all(yes, 401), all(401, 401), all(yes, 403)},
}

func TestWhoMay(t *testing.T) {
	for _, test := range whoMay {
		for service, want := range map[string]verdict{"local": test.local, "public": test.public, "without": test.without} {
			f := newFake(t)
			f.asked["r0"] = api.Asked{ID: "r0", State: api.Over}
			opt := local(f)
			opt.Local = service != "public"
			if service == "without" {
				opt.Token = nil
			}
			h := newHandler(opt, quick())
			for _, e := range endpoints {
				t.Run(fmt.Sprintf("%s/%s/%s", test.name, service, e.pattern), func(t *testing.T) {
					target := e.target
					if test.query != "" {
						sep := "?"
						if strings.Contains(target, "?") {
							sep = "&"
						}
						target += sep + strings.ReplaceAll(test.query, " ", "+")
					}
					changes := test.changes
					if e.class == "callback" {
						changes = append(slices.Clone(changes), with("X-Content-Signature", "c2lnbmF0dXJl"))
					}
					status := e.status
					if other := want[e.class]; other != yes {
						status = other
					}
					before := len(f.requests()) + len(f.deliveries())
					w := do(h, e.method, target, "", changes...)
					if w.Code != status {
						t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
					}
					checkAnswer(t, w, e.class, status)
					if acted := len(f.requests())+len(f.deliveries()) > before; acted != (e.method == "POST" && status == e.status) {
						t.Errorf("handed on to the service: %v", acted)
					}
				})
			}
		}
	}
}

// checkAnswer looks at what every answer must have.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder, class string, status int) {
	t.Helper()
	for name, value := range map[string]string{
		"Content-Security-Policy": contentPolicy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := w.Header().Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" && (class != "page" || got != "private, no-cache") {
		t.Errorf("Cache-Control: %q", got)
	}
	challenge := w.Header().Get("WWW-Authenticate")
	switch {
	case status != 401 && challenge != "":
		t.Errorf("status %d with WWW-Authenticate: %s", status, challenge)
	case status == 401 && !strings.HasPrefix(challenge, "Basic ") && !strings.HasPrefix(challenge, "Bearer "):
		t.Errorf("WWW-Authenticate: %q", challenge)
	case status == 401 && class != "page" && !strings.HasPrefix(challenge, "Bearer "):
		t.Errorf("a browser would ask for a password: %s", challenge)
	}
	if body := w.Body.String(); strings.Contains(body, rightToken) {
		t.Errorf("the answer holds the token: %s", body)
	}
	if status == 403 && class != "page" && !strings.HasPrefix(w.Body.String(), `{"error":"`) {
		t.Errorf("not an error of the API: %s", w.Body)
	}
}

func TestWithoutTokenSaysWhatToSet(t *testing.T) {
	opt := local(newFake(t))
	opt.Token = func() string { return "" }
	h := newHandler(opt, quick())
	for _, w := range []*httptest.ResponseRecorder{
		do(h, "POST", "/api/resync", ""), do(h, "POST", "/api/resync", "", withBearer("")), do(h, "GET", "/", "", fromAfar),
	} {
		if w.Code != 403 || !strings.Contains(w.Body.String(), "CWVAULT_TOKEN") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// TestTokenCanChange: SIGHUP puts another one in place.
func TestTokenCanChange(t *testing.T) {
	now := "old"
	opt := local(newFake(t))
	opt.Token = func() string { return now }
	h := newHandler(opt, quick())
	for _, test := range []struct {
		configured, given string
		status            int
	}{{"old", "old", 202}, {"new", "old", 401}, {"new", "new", 202}, {"", "new", 403}, {"", "", 403}} {
		now = test.configured
		if w := do(h, "POST", "/api/resync", "", withBearer(test.given)); w.Code != test.status {
			t.Errorf("%+v: %d", test, w.Code)
		}
	}
}

// TestGuessing: those who guess are kept waiting, few at a time, and the right
// token is answered at once meanwhile.
func TestGuessing(t *testing.T) {
	lim := defaultLimits
	lim.wrong, lim.guesses = time.Hour, 3
	var log bytes.Buffer
	opt := local(newFake(t))
	opt.Logger = hclog.New(&hclog.LoggerOptions{Output: &log})
	h := newHandler(opt, lim)

	waiting, cancel := withCancel(t)
	ended := make(chan int, lim.guesses)
	for range lim.guesses {
		go func() {
			ended <- do(h, "GET", "/api/plan", "", withBearer("guess"), waiting).Code
		}()
	}
	wait(t, "the guesses to be made", func() bool { return len(h.guesses) == lim.guesses })

	for range 20 {
		w := do(h, "GET", "/api/plan", "", withBearer("another"))
		if w.Code != 429 || w.Header().Get("Retry-After") == "" {
			t.Fatalf("one guess too many: %d", w.Code)
		}
		if w := do(h, "GET", "/api/plan", "", withBearer(rightToken)); w.Code != 200 {
			t.Fatalf("the right token: %d", w.Code)
		}
		if w := do(h, "POST", "/api/resync", "", withBearer(rightToken)); w.Code != 202 {
			t.Fatalf("the right token: %d", w.Code)
		}
		if w := do(h, "POST", "/api/resync", ""); w.Code != 401 {
			t.Fatalf("no token, which is no guess: %d", w.Code)
		}
	}
	cancel()
	for range lim.guesses {
		if code := <-ended; code != 401 {
			t.Errorf("a guess: %d", code)
		}
	}
	if lines := strings.Count(log.String(), "wrong token"); lines != 1 {
		t.Errorf("%d lines of the log about it, want 1 a minute:\n%s", lines, &log)
	}
	for _, never := range []string{"guess", rightToken} {
		if strings.Contains(log.String(), never) {
			t.Errorf("the log holds a token: %s", &log)
		}
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	var c refusals
	var got []int
	for _, after := range []time.Duration{0, 1, 59, 60, 61, 200} {
		got = append(got, c.count(noon.Add(after*time.Second)))
	}
	if want := []int{1, 0, 0, 3, 0, 2}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
