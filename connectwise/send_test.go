package connectwise

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
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestRetry(t *testing.T) {
	busy := func(after string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			answer(429, `{"error":"ConnectWiseAPI","message":"Too many requests."}`)(w, r)
		}
	}
	hangUp := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 2") // had nothing come, the transport itself would try again
	}
	cut := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "[%s,", row(1)) }
	type span struct{ least, most time.Duration }
	doubled := func(times int) span { return span{firstPause << times / 2, firstPause << times * 3 / 2} }
	asked := func(d time.Duration) span { return span{d, min(d*5/4+1, maxPause)} }
	tests := map[string]struct {
		bad    []http.HandlerFunc
		pauses []span
	}{
		"429 with seconds":         {[]http.HandlerFunc{busy("7")}, []span{asked(7 * time.Second)}},
		"429 with an hour":         {[]http.HandlerFunc{busy("3600")}, []span{asked(maxPause)}},
		"429 with a date":          {[]http.HandlerFunc{busy(time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))}, []span{asked(maxPause)}},
		"429 with a far date":      {[]http.HandlerFunc{busy("Fri, 31 Dec 9999 23:59:59 GMT")}, []span{asked(maxPause)}},
		"429 with a past date":     {[]http.HandlerFunc{busy("Mon, 02 Jan 2006 15:04:05 GMT")}, []span{asked(busyPause)}},
		"429 with nonsense":        {[]http.HandlerFunc{busy("soon")}, []span{asked(busyPause)}},
		"429 without":              {[]http.HandlerFunc{busy("")}, []span{asked(busyPause)}},
		"500 and 503 and 502":      {[]http.HandlerFunc{answer(500, "{}"), answer(503, ""), answer(502, "<html>")}, []span{doubled(0), doubled(1), doubled(2)}},
		"hanging up":               {[]http.HandlerFunc{hangUp}, []span{doubled(0)}},
		"a list that is truncated": {[]http.HandlerFunc{cut, cut}, []span{doubled(0), doubled(1)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, 1)
			s.on[companiesPath] = inTurn(append(test.bad, s.good(companiesPath))...)
			c, pauses := clientOf(t, s)
			src, err := c.Source(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			checkIDs(t, src, 1)
			if len(*pauses) != len(test.pauses) {
				t.Fatalf("pauses %v, want %d", *pauses, len(test.pauses))
			}
			for i, want := range test.pauses {
				if got := (*pauses)[i]; got < want.least || got > want.most {
					t.Errorf("pause %v, want from %v to %v", got, want.least, want.most)
				}
			}
		})
	}
}

func TestSlowServer(t *testing.T) {
	hang := func(r *http.Request) { <-r.Context().Done() }
	// Each calls hangs when it stops in the middle.
	for name, slow := range map[string]func(hangs func(*http.Request)) http.HandlerFunc{
		"header": func(hangs func(*http.Request)) http.HandlerFunc {
			return func(_ http.ResponseWriter, r *http.Request) { hangs(r) }
		},
		"body": func(hangs func(*http.Request)) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, "["+row(1)+strings.Repeat(" ", 1000))
				w.(http.Flusher).Flush()
				hangs(r)
			}
		},
	} {
		// The whole reading would be subject to the short limit too, so it is
		// one request that is sent.
		list := func(s *server, c *Client, limit time.Duration) error {
			c.tryTimeout = limit
			r := request{url: s.URL + "/v4_6_release/apis/3.0" + companiesPath, accept: '[', limit: maxListBody}
			return c.send(t.Context(), r, func(body io.Reader, _ http.Header) error {
				return decodeRows(body, func(*wireCompany) error { return nil })
			})
		}
		t.Run(name+" once", func(t *testing.T) {
			s := newServer(t, 1)
			s.on[companiesPath] = inTurn(slow(hang), s.good(companiesPath))
			c, pauses := clientOf(t, s)
			if err := list(s, c, 100*time.Millisecond); err != nil || len(*pauses) == 0 {
				t.Errorf("%v after %d pauses, want an answer after the slow one was abandoned", err, len(*pauses))
			}
		})
		t.Run(name+" always", func(t *testing.T) {
			s := newServer(t, 1)
			s.on[companiesPath] = slow(hang)
			c, pauses := clientOf(t, s)
			if err := list(s, c, 20*time.Millisecond); err == nil || !strings.Contains(err.Error(), "20ms") {
				t.Errorf("error %v, want one that names the limit of 20ms", err)
			}
			if len(*pauses) != maxTries-1 {
				t.Errorf("%d pauses, want %d", len(*pauses), maxTries-1)
			}
			if got := len(s.requests(companiesPath)); got > maxTries { // one that is abandoned early may not arrive
				t.Errorf("%d requests, want at most %d", got, maxTries)
			}
		})
		t.Run(name+", cancelled", func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			s := newServer(t, 1)
			s.on[companiesPath] = slow(func(r *http.Request) {
				cancel()
				hang(r)
			})
			c, pauses := clientOf(t, s)
			if _, err := c.Source(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want context.Canceled", err)
			}
			if len(*pauses) > 0 || len(s.requests(companiesPath)) != 1 {
				t.Errorf("retried after the context had ended: %d pauses", len(*pauses))
			}
		})
	}
}

// A pause ends when the context does: this one would take half a minute.
func TestCancelledInAPause(t *testing.T) {
	s := newServer(t, 1)
	s.on[companiesPath] = answer(429, `{}`)
	c, _ := clientOf(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	c.retry.Pause = func(d time.Duration) time.Duration {
		cancel()
		return d
	}
	_, err := c.Source(ctx)
	var failed *Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &failed) || !strings.HasSuffix(failed.URL, companiesPath) {
		t.Errorf("error %v, want context.Canceled, and what was asked", err)
	}
	if n := len(s.requests(companiesPath)); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// A reading leaves no connection open, and with it no goroutine.
func TestNothingLeftOpen(t *testing.T) {
	s := newServer(t, 2500)
	states := make(chan http.ConnState, 1000)
	tracked := httptest.NewUnstartedServer(s)
	tracked.Config.ConnState = func(_ net.Conn, state http.ConnState) { states <- state }
	tracked.Start()
	defer tracked.Close()
	c, _ := clientOf(t, s, func(cfg *Config) { cfg.URL = tracked.URL })
	if _, err := c.Source(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(s.requests("")) == 0 {
		t.Fatal("no requests")
	}
	opened, open := 0, 0
	for opened == 0 || open > 0 { // a connection that stays open ends the test by its time limit
		switch <-states {
		case http.StateNew:
			opened++
			open++
		case http.StateClosed:
			open--
		}
	}
}

func TestCertificates(t *testing.T) {
	s := newServer(t, 1)
	tls := httptest.NewUnstartedServer(s)
	tls.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshakes that shall fail
	tls.StartTLS()
	defer tls.Close()
	s.URL = tls.URL

	t.Run("unknown", func(t *testing.T) {
		c, pauses := clientOf(t, s)
		_, err := c.Source(context.Background())
		if err == nil || !strings.Contains(err.Error(), "certificate") || !strings.Contains(err.Error(), "CA file") {
			t.Errorf("error %v, want one about the certificate that names the CA file", err)
		}
		if len(*pauses) > 0 || len(s.requests("")) > 0 {
			t.Error("went on with a certificate that is not trusted")
		}
	})
	t.Run("from the CA file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "ca.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw})
		if err := os.WriteFile(file, block, 0o600); err != nil {
			t.Fatal(err)
		}
		c, _ := clientOf(t, s, func(cfg *Config) { cfg.CAFile = file })
		src, err := c.Source(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		checkIDs(t, src, 1)
	})
}

// Every request that reaches the server was told of, and which were repeats.
func TestSentTellsOfEveryRequest(t *testing.T) {
	s := newServer(t, 3)
	s.on[countPath] = inTurn(answer(429, ""), answer(500, ""), s.good(countPath))
	var first, repeats atomic.Int32
	c, _ := clientOf(t, s, func(c *Config) {
		c.Sent = func(retry bool) {
			if retry {
				repeats.Add(1)
			} else {
				first.Add(1)
			}
		}
	})
	if _, err := c.Source(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.requests("")); first.Load() != 5 || repeats.Load() != 2 || n != 7 {
		t.Errorf("told of %d and %d again of %d, want 5 and 2 of 7", first.Load(), repeats.Load(), n)
	}
}
