package secretserver

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/vault"
)

func TestNewNamesEveryFieldThatIsWrong(t *testing.T) {
	_, err := New(Config{URL: "ftp://svc:hunter2@vault.example.com", Root: `\Clients\\x`, Access: "maybe", MaxNameLength: -1, Workers: -1, CAFile: "no/such/file"})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"URL:", "Username:", "Password:", "Root:", "Access:", "MaxNameLength:", "Workers:", "CAFile:"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %q", field, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the password of the URL is in %q", err)
	}
}

func TestURL(t *testing.T) {
	for given, want := range map[string]string{
		"https://vault.example.com/SecretServer":    "https://vault.example.com/SecretServer",
		"https://vault.example.com/SecretServer/":   "https://vault.example.com/SecretServer",
		"https://tenant.secretservercloud.eu":       "https://tenant.secretservercloud.eu",
		"http://127.0.0.1:8080/SecretServer":        "http://127.0.0.1:8080/SecretServer",
		"http://[::1]:8080":                         "http://[::1]:8080",
		"http://localhost":                          "http://localhost",
		"http://vault.example.com":                  "",
		"http://127.0.0.1.example.com":              "",
		"vault.example.com":                         "",
		"https://":                                  "",
		"https://svc:pw@vault.example.com":          "",
		"https://vault.example.com/?x=y":            "",
		"https://vault.example.com/#here":           "",
		"https://vault.example.com/\x7fcontrolling": "",
	} {
		got, err := checkURL(given)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("checkURL(%q) = %q, %v, want %q", given, got, err, want)
		}
	}
}

func TestRootSetting(t *testing.T) {
	for given, want := range map[string][]string{
		`\Clients`: {"Clients"}, `Clients\`: {"Clients"}, `\MSP\Clients`: {"MSP", "Clients"}, "/MSP/Clients": {"MSP", "Clients"},
		`\A/B`: {"A/B"}, `\`: nil, "/": nil, "\\Mu\u0308ller": {"Müller"},
	} {
		if got, err := splitRoot(given); err != nil || !cmp.Equal(got, want) {
			t.Errorf("splitRoot(%q) = %q, %v, want %q", given, got, err, want)
		}
	}
	for _, given := range []string{"", `\a\\b`, `\a\ \b`} {
		if got, err := splitRoot(given); err == nil {
			t.Errorf("splitRoot(%q) = %q, want an error", given, got)
		}
	}
}

func TestSignIn(t *testing.T) {
	tests := map[string]struct {
		routes routes
		domain string
		want   []string // calls without a token
	}{
		"local account": {nil, "", []string{
			"GET /api/v1/healthcheck",
			"POST /oauth2/token grant_type=password&password=pa%24%24word&username=svc"}},
		"directory account": {nil, "corp", []string{
			"GET /api/v1/healthcheck",
			"POST /oauth2/token domain=corp&grant_type=password&password=pa%24%24word&username=svc"}},
		"health in words": {routes{"GET /v1/healthcheck": answer(200, `"Healthy"`)}, "", []string{
			"GET /api/v1/healthcheck",
			"POST /oauth2/token grant_type=password&password=pa%24%24word&username=svc"}},
		"not well, but Secret Server": {routes{"GET /v1/healthcheck": answer(200, `{"healthy":false}`)}, "", []string{
			"GET /api/v1/healthcheck",
			"POST /oauth2/token grant_type=password&password=pa%24%24word&username=svc"}},
		"no health check to be seen": {routes{"GET /v1/healthcheck": answer(404, `<html>`), "GET /health": answer(200, `<html>`)}, "", []string{
			"GET /api/v1/healthcheck", "GET /health",
			"POST /oauth2/token grant_type=password&password=pa%24%24word&username=svc"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all := routes{"GET /v2/secrets/search-total": answer(200, "12")}
			for pattern, h := range test.routes {
				all[pattern] = h
			}
			f := newFake(t, all)
			v := f.open(func(c *Config) { c.Domain = test.domain })
			for range 2 { // the second time signed in already
				if n, err := v.Secrets(t.Context(), "7"); err != nil || n != 12 {
					t.Fatalf("Secrets = %d, %v", n, err)
				}
			}
			if diff := cmp.Diff(test.want, f.others); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlatform(t *testing.T) {
	server := newFake(t, routes{"GET /v2/secrets/search-total": answer(200, "12")})
	server.valid = "platform-token"
	vaults := fmt.Sprintf(`{"vaults":[
		{"isDefault":false,"isActive":true,"connection":{"url":"https://other.example.com"}},
		{"isDefault":true,"isActive":false,"connection":{"url":"https://old.example.com"}},
		{"isDefault":true,"isActive":true,"connection":{"url":"%s/"}}]}`, server.URL)
	platform := newFake(t, routes{
		"GET /v1/healthcheck": answer(404, ``),
		"GET /health":         answer(200, "Healthy"),
		"POST /identity/api/oauth2/token/xpmplatform": answer(200, `{"access_token":"platform-token","expires_in":3600}`),
		"GET /vaultbroker/api/vaults":                 answer(200, vaults),
	})
	v := platform.open()
	for range 2 {
		if n, err := v.Secrets(t.Context(), "7"); err != nil || n != 12 {
			t.Fatalf("Secrets = %d, %v", n, err)
		}
	}
	want := []string{"GET /api/v1/healthcheck", "GET /health",
		"POST /identity/api/oauth2/token/xpmplatform client_id=svc&client_secret=pa%24%24word&grant_type=client_credentials&scope=xpmheadless"}
	if diff := cmp.Diff(want, platform.others); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"GET /vaultbroker/api/vaults"}, platform.take()); diff != "" {
		t.Error(diff)
	}
	if len(server.others) != 0 || len(server.take()) != 2 {
		t.Errorf("Secret Server saw %q and its calls; it needs no sign-in", server.others)
	}
}

func TestPlatformIsKnownByItsAddress(t *testing.T) {
	c := client{address: "https://acme.delinea.app"}
	if s, err := c.detect(t.Context()); err != nil || !s.platform {
		t.Errorf("detect = %+v, %v", s, err)
	}
}

func TestPlatformVaultAddress(t *testing.T) {
	vaultAt := func(address string, flags string) string {
		return `{"vaults":[{` + flags + `,"connection":{"url":"` + address + `"}}]}`
	}
	const good = `"isDefault":true,"isActive":true`
	for name, body := range map[string]string{
		"plain http elsewhere": vaultAt("http://vault.example.com", good),
		"plain http here":      vaultAt("http://127.0.0.1:1", good), // a platform on https does not name a vault on this machine
		"not the default":      vaultAt("https://vault.example.com", `"isDefault":false,"isActive":true`),
		"not active":           vaultAt("https://vault.example.com", `"isDefault":true,"isActive":false`),
		"none":                 `{"vaults":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/health":
					reply(w, 200, "Healthy")
				case "/identity/api/oauth2/token/xpmplatform":
					reply(w, 200, `{"access_token":"t","expires_in":3600}`)
				case "/vaultbroker/api/vaults":
					reply(w, 200, body)
				default:
					reply(w, 404, "")
				}
			}))
			defer f.Close()
			ca := filepath.Join(t.TempDir(), "ca.pem")
			if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}), 0o600); err != nil {
				t.Fatal(err)
			}
			v, err := New(Config{URL: f.URL, Username: "id", Password: "secret", Root: `\Clients`, CAFile: ca})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Secrets(t.Context(), "7"); err == nil || !strings.Contains(err.Error(), "default") || errors.Is(err, vault.ErrUnavailable) {
				t.Errorf("Secrets = %v, want an error about the platform's default vault", err)
			}
		})
	}
}

func TestUntrustedCertificate(t *testing.T) {
	asked := 0
	f := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	var connections atomic.Int32
	f.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	f.StartTLS()
	defer f.Close()
	v, err := New(Config{URL: f.URL, Username: "id", Password: "secret", Root: `\Clients`})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Secrets(t.Context(), "7")
	if !errors.Is(err, vault.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") || asked != 0 {
		t.Errorf("Secrets = %v after %d requests", err, asked)
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("it was tried %d times, which cannot help", n)
	}
}

func TestTokenRenewedBeforeItExpires(t *testing.T) {
	f := newFake(t, routes{"GET /v2/secrets/search-total": answer(200, "1")})
	v := f.open()
	call := func() {
		t.Helper()
		if _, err := v.Secrets(t.Context(), "7"); err != nil {
			t.Fatal(err)
		}
	}
	call()
	if left := time.Until(v.client.session.renew); left > 1140*time.Second || left < 1130*time.Second {
		t.Errorf("a token for 1200 s is renewed after %s, want one minute before", left)
	}
	v.client.session.renew = time.Now().Add(-time.Second)
	call()
	if f.signIns() != 2 || count(f.take(), "GET") != 2 {
		t.Errorf("%d sign-ins, want 2 and no refused call", f.signIns())
	}
}

func TestTokenRenewedOnceWhenRefused(t *testing.T) {
	f := newFake(t, routes{"GET /v2/secrets/search-total": answer(200, "1"), "PUT /v1/folders/7": answer(200, `{}`)})
	v := f.open()
	if _, err := v.Secrets(t.Context(), "7"); err != nil {
		t.Fatal(err)
	}
	f.take()
	for n, r := range []request{read("/v2/secrets/search-total", nil), change("PUT", "/v1/folders/7", struct{}{})} {
		f.mu.Lock()
		f.valid = "another"
		f.mu.Unlock()
		var out any
		if err := v.client.do(t.Context(), r, &out); err != nil {
			t.Fatal(err)
		}
		if calls := f.take(); len(calls) != 2 || f.signIns() != n+2 {
			t.Errorf("%s: calls %q, %d sign-ins", r.method, calls, f.signIns())
		}
	}
}

func TestTokenRefusedForGood(t *testing.T) {
	f := newFake(t, routes{"GET /v2/secrets/search-total": answer(401, `{"message":"no"}`)})
	_, err := f.open().Secrets(t.Context(), "7")
	if !errors.Is(err, vault.ErrUnauthorized) || f.signIns() != 2 || len(f.take()) != 2 {
		t.Errorf("%v after %d sign-ins", err, f.signIns())
	}
}

func TestOneSignInForAllWorkers(t *testing.T) {
	f := newFake(t, routes{"GET /v2/secrets/search-total": answer(200, "1")})
	v := f.open()
	all := func() {
		t.Helper()
		var group gosync.WaitGroup
		for range 20 {
			group.Go(func() {
				if _, err := v.Secrets(t.Context(), "7"); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	all()
	if f.signIns() != 1 {
		t.Errorf("%d sign-ins at first", f.signIns())
	}
	f.mu.Lock()
	f.valid = "another"
	f.mu.Unlock()
	all()
	if f.signIns() != 2 {
		t.Errorf("%d sign-ins after the token was refused to all", f.signIns())
	}
}

// Every request that reaches the server was told of: the health check, sign-in,
// and each time that a call is sent again.
func TestSentTellsOfEveryRequest(t *testing.T) {
	tries := 0
	f := newFake(t, routes{"GET /v1/folders/7": func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries < 3 {
			reply(w, 503, "")
			return
		}
		reply(w, 200, `{"id":7,"folderName":"x"}`)
	}})
	var first, repeats atomic.Int32
	v := f.open(func(c *Config) {
		c.Sent = func(retry bool) {
			if retry {
				repeats.Add(1)
			} else {
				first.Add(1)
			}
		}
	})
	call := func() {
		t.Helper()
		var out struct{ ID int }
		if err := v.client.do(t.Context(), read("/v1/folders/7", nil), &out); err != nil || out.ID != 7 {
			t.Errorf("%v, %v", out, err)
		}
	}
	call()
	if first.Load() != 3 || repeats.Load() != 2 {
		t.Errorf("told of %d and %d again, want 3 and 2", first.Load(), repeats.Load())
	}
	f.mu.Lock()
	f.valid = "another" // the token has run out
	f.mu.Unlock()
	call()
	if first.Load() != 5 || repeats.Load() != 3 {
		t.Errorf("told of %d and %d again, want 5 and 3: the call, sign-in, and the call again", first.Load(), repeats.Load())
	}
	if n := len(f.take()) + len(f.others); n != int(first.Load()+repeats.Load()) {
		t.Errorf("%d requests came", n)
	}
}

func TestWrongPasswordIsTriedOnce(t *testing.T) {
	f := newFake(t, routes{"POST /oauth2/token": answer(400, `{"error":"Login failed for pa$$word."}`)})
	v := f.open()
	for range 10 {
		_, err := v.Secrets(t.Context(), "7")
		if !errors.Is(err, vault.ErrUnauthorized) || !strings.Contains(err.Error(), "Login failed") || strings.Contains(err.Error(), "pa$$word") {
			t.Fatal(err)
		}
	}
	if n := count(f.others, "POST /oauth2/token"); n != 1 {
		t.Errorf("%d attempts, which may lock the account", n)
	}
}

func TestNothingToSignInTo(t *testing.T) {
	for _, body := range []string{"<html>Not found", `{"message":"Not found"}`, ""} {
		f := newFake(t, routes{"POST /oauth2/token": answer(404, body), "GET /v1/healthcheck": answer(404, "")})
		v := f.open()
		_, err := v.Secrets(t.Context(), "7")
		if err == nil || anyKind(err) || !strings.Contains(err.Error(), "/SecretServer") {
			t.Errorf("Secrets = %v", err)
		}
		// "Not found" is about sign-in: nothing is known of the root.
		if tree, err := v.Tree(t.Context()); err == nil || errors.Is(err, vault.ErrNotFound) {
			t.Errorf("Tree = %+v, %v", tree, err)
		}
		if err := v.Ready(t.Context()); err == nil {
			t.Error("ready for a run")
		}
	}
}

func TestPlatformWithoutTheRightToItsVaults(t *testing.T) {
	f := newFake(t, routes{
		"GET /v1/healthcheck": answer(404, ``), "GET /health": answer(200, "Healthy"),
		"POST /identity/api/oauth2/token/xpmplatform": answer(200, `{"access_token":"t","expires_in":3600}`),
		"GET /vaultbroker/api/vaults":                 answer(403, `{"message":"Forbidden"}`),
	})
	if _, err := f.open().Tree(t.Context()); !errors.Is(err, vault.ErrUnauthorized) {
		t.Errorf("Tree = %v", err)
	}
}

// TestAnswers goes through the table at the top of client.go.
func TestAnswers(t *testing.T) {
	html := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			fmt.Fprint(w, "<html>Sorry</html>")
		}
	}
	half := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"id":`)
	}
	tests := map[string]struct {
		answer      http.HandlerFunc
		read, write error // of package vault; nil: another error
		again, both bool  // repeated when it may be; also when it may not
	}{
		"cut off":            {cut, vault.ErrUnavailable, vault.ErrUnanswered, true, false},
		"half an answer":     {half, vault.ErrUnavailable, vault.ErrUnanswered, true, false},
		"html":               {html(200), vault.ErrUnavailable, vault.ErrUnanswered, true, false},
		"not json":           {answer(200, "yes"), vault.ErrUnavailable, vault.ErrUnanswered, true, false},
		"no body":            {answer(200, ""), vault.ErrUnavailable, vault.ErrUnanswered, true, false},
		"500":                {answer(500, `{"message":"An error has occurred.","exceptionMessage":"deadlock"}`), vault.ErrUnavailable, vault.ErrUnanswered, true, false},
		"503 html":           {html(503), vault.ErrUnavailable, vault.ErrUnanswered, true, false},
		"429":                {answer(429, `{"message":"slow down"}`), vault.ErrUnavailable, vault.ErrUnavailable, true, true},
		"400 access denied":  {answer(400, denied), vault.ErrNotFound, vault.ErrNotAllowed, false, false},
		"400 validation":     {answer(400, `{"message":"The request is invalid.","modelState":{"x":["y"]}}`), vault.ErrInvalid, vault.ErrInvalid, false, false},
		"400 html":           {html(400), nil, nil, false, false},
		"403":                {answer(403, `{"message":"Forbidden"}`), vault.ErrNotAllowed, vault.ErrNotAllowed, false, false},
		"403 from a proxy":   {html(403), nil, nil, false, false},
		"404":                {answer(404, `{"message":"Not found"}`), vault.ErrNotFound, vault.ErrNotFound, false, false},
		"404 without a body": {answer(404, ""), vault.ErrNotFound, vault.ErrNotFound, false, false},
		"404 from a proxy":   {html(404), nil, nil, false, false},
		"409":                {answer(409, `{"message":"conflict"}`), vault.ErrNameTaken, vault.ErrNameTaken, false, false},
		"redirect":           {http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP, nil, nil, false, false},
	}
	sentinels := []error{vault.ErrUnavailable, vault.ErrUnanswered, vault.ErrNotFound, vault.ErrNotAllowed, vault.ErrInvalid, vault.ErrNameTaken, vault.ErrUnauthorized, vault.ErrReadOnly}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, routes{"GET /v1/x": test.answer, "PUT /v1/x": test.answer, "POST /v1/x": test.answer})
			v := f.open()
			repeatable := change("POST", "/v1/x", nil)
			repeatable.again = true
			for _, c := range []struct {
				r     request
				want  error
				again bool
			}{
				{read("/v1/x", nil), test.read, test.again},
				{change("PUT", "/v1/x", nil), test.write, test.both},
				{change("POST", "/v1/x", nil), test.write, test.both},
				{repeatable, test.write, test.again},
			} {
				var out struct{ ID int }
				err := v.client.do(t.Context(), c.r, &out)
				if err == nil {
					t.Fatalf("%s: no error", c.r.method)
				}
				for _, sentinel := range sentinels {
					if errors.Is(err, sentinel) != (sentinel == c.want) {
						t.Errorf("%s: %v is (or is not) %v, want %v", c.r.method, err, sentinel, c.want)
					}
				}
				want := 1
				if c.again {
					want = maxAttempts
				}
				got := len(f.take())
				if name == "cut off" && c.r.method == "GET" && got == want+1 {
					got = want // net/http itself repeats a GET on a connection that it had kept
				}
				if got != want {
					t.Errorf("%s (again %t): sent %d times, want %d", c.r.method, c.r.again, got, want)
				}
			}
			if count(f.others, "GET /elsewhere") > 0 {
				t.Error("followed a redirect")
			}
		})
	}
}

func TestTroubleThatPasses(t *testing.T) {
	f := newFake(t, routes{"GET /v2/secrets/search-total": inTurn(answer(500, ""), cut, answer(429, ""), answer(503, ""), answer(200, "<html>"), answer(200, "3"))})
	if n, err := f.open().Secrets(t.Context(), "7"); n != 3 || err != nil {
		t.Errorf("Secrets = %d, %v", n, err)
	}
}

func TestNobodyListens(t *testing.T) {
	f := newFake(t, nil)
	v := f.open()
	if _, err := v.client.connect(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	f.Close()
	v.client.http.CloseIdleConnections()
	err := v.client.do(t.Context(), change("POST", "/v1/folders", nil), new(any))
	if !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrUnanswered) {
		t.Errorf("%v, want unavailable: nothing was sent", err)
	}
}

func TestTooLongAnAnswer(t *testing.T) {
	chunk := strings.Repeat(" ", 1<<20)
	var sent atomic.Int64
	f := newFake(t, routes{"GET /v2/secrets/search-total": func(w http.ResponseWriter, _ *http.Request) {
		for sent.Load() < 1<<30 {
			sent.Add(int64(len(chunk)))
			if _, err := fmt.Fprint(w, chunk); err != nil {
				return
			}
		}
	}})
	v := f.open()
	_, err := v.Secrets(t.Context(), "7")
	if !errors.Is(err, vault.ErrUnavailable) || sent.Load() > maxBody+16<<20 {
		t.Errorf("%v after %d bytes", err, sent.Load())
	}
}

func TestCancelledInTheMiddle(t *testing.T) {
	for method, unanswered := range map[string]bool{"GET": false, "POST": true} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := newFake(t, routes{method + " /v1/x": func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		}})
		err := f.open().client.do(ctx, request{method: method, path: "/v1/x", again: true}, new(any))
		if !errors.Is(err, context.Canceled) || errors.Is(err, vault.ErrUnanswered) != unanswered || errors.Is(err, vault.ErrUnavailable) {
			t.Errorf("%s: %v", method, err)
		}
		if n := len(f.take()); n != 1 {
			t.Errorf("%s: sent %d times", method, n)
		}
	}
}

func TestForbidden(t *testing.T) {
	for name, test := range map[string]struct {
		message string
		signIns int
	}{
		"the right is missing":  {"You do not have the Administer Folders permission", 1},
		"the token has expired": {"Authentication failed", 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, routes{"GET /v1/x": answer(403, `{"message":"`+test.message+`"}`)})
			err := f.open().client.do(t.Context(), read("/v1/x", nil), new(any))
			if !errors.Is(err, vault.ErrNotAllowed) || f.signIns() != test.signIns {
				t.Errorf("%v after %d sign-ins, want %d", err, f.signIns(), test.signIns)
			}
		})
	}
}

func TestErrorTellsNoSecret(t *testing.T) {
	f := newFake(t, routes{"GET /v1/x": answer(400, `{"message":"bad token-1 for pa$$word\u001b[2J\nand so on `+strings.Repeat("x", 1000)+`","errorCode":"API_X"}`)})
	err := f.open().client.do(t.Context(), read("/v1/x", url.Values{"folderPath": {`\Clients\Secret Customer`}}), new(any))
	want := "GET /v1/x: 400 API_X bad [redacted] for [redacted] [2J and so on xxx"
	if err == nil || !strings.HasPrefix(err.Error(), want) || len(err.Error()) > 400 {
		t.Errorf("%v, want %s...", err, want)
	}
}

// What a server asks for with Retry-After is waited, and bounded.
func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]struct{ least, most time.Duration }{
		"3":    {3 * time.Second, 4 * time.Second},
		"3600": {maxPause, maxPause},
		"":     {firstPause / 2, firstPause * 3 / 2},
		"soon": {firstPause / 2, firstPause * 3 / 2},
	} {
		f := newFake(t, routes{"GET /v1/x": inTurn(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			reply(w, 429, "")
		}, answer(200, "{}"))})
		v := f.open()
		var pauses []time.Duration
		v.client.retry.Pause = func(d time.Duration) time.Duration {
			pauses = append(pauses, d)
			return 0
		}
		if err := v.client.do(t.Context(), read("/v1/x", nil), new(any)); err != nil {
			t.Fatal(err)
		}
		if len(pauses) != 1 || pauses[0] < want.least || pauses[0] > want.most {
			t.Errorf("Retry-After %q: pauses %v, want one from %v to %v", header, pauses, want.least, want.most)
		}
	}
}

// countedConn is a connection that tells when it is closed.
type countedConn struct {
	net.Conn
	closed func()
}

func (c countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

// Who opens a vault for each run keeps no connections of earlier ones.
func TestCloseLeavesNoConnections(t *testing.T) {
	v := newFake(t, nil).open()
	opened := 0
	var open gosync.WaitGroup
	transport := v.client.http.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		opened++
		open.Add(1)
		return countedConn{c, gosync.OnceFunc(open.Done)}, nil
	}
	if _, err := v.client.connect(t.Context(), ""); err != nil || opened == 0 {
		t.Fatalf("%v, %d connections", err, opened)
	}
	v.Close()
	open.Wait() // a connection that stays open ends the test by its time limit
}
