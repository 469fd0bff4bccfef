package httpclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// connectTimeout limits the connection and the TLS handshake, each. It is shorter
// than the system's own limit, so that the retry comes sooner.
const connectTimeout = 15 * time.Second

// Roots returns the system's certificate authorities and those in a PEM file. An
// empty name returns nil, which means the system's alone.
func Roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate; it must be in PEM form", file)
	}
	return pool, nil
}

// NewTransport returns a transport that trusts these authorities (nil: the
// system's), speaks TLS 1.2 or later and uses the environment's proxy.
func NewTransport(roots *x509.CertPool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = connectTimeout
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return t
}

// New returns a client that does not follow redirects, because a redirect could
// send tokens and passwords anywhere. It returns the redirecting answer instead.
func New(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Connected returns a context for one request and a function that reports whether
// that request got a connection. Without a connection the server cannot have seen
// the request.
func Connected(ctx context.Context) (context.Context, func() bool) {
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	return httptrace.WithClientTrace(ctx, trace), connected.Load
}

// Untrusted reports whether a request failed because the server's certificate is
// not trusted. A retry does not help.
func Untrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}

// LoopbackHost reports whether a host, without its port, can only be this
// machine. Plain http is safe there.
func LoopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// IsHTML reports whether a body looks like a web page, as proxies and sign-in pages
// send it in place of JSON.
func IsHTML(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n\ufeff"), []byte("<"))
}
