package httpclient

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// get asks for a page, and tells whether there was a connection.
func get(t *testing.T, c *http.Client, url string) (status int, connected bool, err error) {
	t.Helper()
	ctx, trace := Connected(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, trace(), err
	}
	return resp.StatusCode, trace(), resp.Body.Close()
}

func TestCertificates(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that shall fail
	s.StartTLS()
	defer s.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"": 0, file: http.StatusNotFound} {
		roots, err := Roots(name)
		if err != nil {
			t.Fatal(err)
		}
		c := New(NewTransport(roots))
		status, connected, err := get(t, c, s.URL)
		if status != want || Untrusted(err) != (want == 0) || connected != (want != 0) {
			t.Errorf("file %q: status %d, connected %v, %v", name, status, connected, err)
		}
		c.CloseIdleConnections()
	}
}

func TestRootsRefused(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{text: "holds no certificate; it must be in PEM form", text + "-none": "no such file"} {
		if _, err := Roots(file); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	seen := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen++
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer s.Close()
	c := New(NewTransport(nil))
	defer c.CloseIdleConnections()
	if status, connected, err := get(t, c, s.URL); status != http.StatusFound || !connected || err != nil || seen != 1 {
		t.Errorf("status %d, %v, after %d requests", status, err, seen)
	}
}

func TestConnectedWithoutServer(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	if _, connected, err := get(t, New(NewTransport(nil)), s.URL); connected || err == nil || Untrusted(err) {
		t.Errorf("connected %v, %v", connected, err)
	}
	if Untrusted(context.Canceled) || Untrusted(nil) {
		t.Error("other errors count as certificates")
	}
}

func TestLoopbackHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true,
		"": false, "localhost.example.com": false, "10.0.0.1": false, "127.0.0.1.example.com": false, "0.0.0.0": false,
	} {
		if got := LoopbackHost(host); got != want {
			t.Errorf("LoopbackHost(%q) = %v", host, got)
		}
	}
}

func TestIsHTML(t *testing.T) {
	for body, want := range map[string]bool{
		"<html>": true, "\ufeff \r\n<!doctype html>": true, "": false, `{"a":"<b>"}`: false, "Healthy": false,
	} {
		if got := IsHTML([]byte(body)); got != want {
			t.Errorf("IsHTML(%q) = %v", body, got)
		}
	}
}
