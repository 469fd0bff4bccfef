package connectwise

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"
)

// DefaultVersion is the model version that is asked for unless the operator
// names another. The model of a company that cwvault reads has been the same
// from 2022.2 to 2026.4 at least. A server refuses a version newer than its
// own, and servers on premises lag behind, so this is not the newest.
const DefaultVersion = "2025.1"

var plainVersion = regexp.MustCompile(`^20[0-9]{2}\.[0-9]{1,2}$`)

// Config says which tenant to read, and as whom.
type Config struct {
	// URL is the site ("na.myconnectwise.net", "https://cw.example.com") or the
	// whole address of the API ("https://host/v4_6_release/apis/3.0"), which is
	// then used as it is. Plain http is for loopback addresses only.
	URL string
	// CompanyID is the company id of the sign-in page.
	CompanyID string
	// PublicKey and PrivateKey are an API member's, ClientID is from
	// ConnectWise's developer site.
	PublicKey, PrivateKey, ClientID string
	// Version pins the model, such as "2025.1"; DefaultVersion when empty.
	Version string
	// CAFile names a PEM file of certificates to trust besides the system's.
	CAFile string
	// Logger may be nil.
	Logger hclog.Logger
	// Progress, if not nil, is called after each page of companies with the
	// number read so far and the number there should be, from the goroutine
	// that reads. It starts from the first page when a reading is repeated.
	Progress func(read, total int)
	// Sent, if not nil, is called for each request that is sent, from the
	// goroutine that sends it; retry says that the same request was sent before.
	Sent func(retry bool)
}

// New checks cfg and returns a client. It sends nothing. An error names each
// field that is wrong and what to do about it, on a line of its own.
func New(cfg Config) (*Client, error) {
	var problems []error
	bad := func(field, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: "+format, append([]any{field}, args...)...))
	}

	given, full, err := parseURL(cfg.URL)
	if err != nil {
		bad("URL", "%w", err)
	}
	for _, f := range []struct{ name, value, what string }{
		{"CompanyID", cfg.CompanyID, "the company id of the ConnectWise sign-in page"},
		{"PublicKey", cfg.PublicKey, "the API member's public key"},
		{"PrivateKey", cfg.PrivateKey, "the API member's private key"},
		{"ClientID", cfg.ClientID, "the client id from developer.connectwise.com"},
	} {
		switch {
		case f.value == "":
			bad(f.name, "is empty; set it to %s", f.what)
		case strings.ContainsFunc(f.value, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
			bad(f.name, "holds a space, line end or control character; set it to %s alone", f.what)
		case strings.Contains(f.value, ":") && (f.name == "CompanyID" || f.name == "PublicKey"):
			// The colon ends the user name of Basic authentication.
			bad(f.name, "holds a colon; set it to %s alone", f.what)
		}
	}
	version := cfg.Version
	if version == "" {
		version = DefaultVersion
	}
	if !plainVersion.MatchString(version) {
		bad("Version", "%.20q is not a model version; write it like %s", version, DefaultVersion)
	}
	var roots *x509.CertPool
	if cfg.CAFile != "" {
		if roots, err = readRoots(cfg.CAFile); err != nil {
			bad("CAFile", "%w", err)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}

	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	user := cfg.CompanyID + "+" + cfg.PublicKey
	start := given
	if !full {
		start = given.place(companyInfo{}, anyRelease)
	}
	return &Client{
		transport: newTransport(roots),
		log:       log,
		progress:  cfg.Progress,
		sent:      cfg.Sent,
		company:   cfg.CompanyID,
		version:   version,
		given:     given,
		redact: strings.NewReplacer(
			base64.StdEncoding.EncodeToString([]byte(user+":"+cfg.PrivateKey)), "[redacted]",
			cfg.PrivateKey, "[redacted]",
			cfg.PublicKey, "[redacted]",
			cfg.ClientID, "[redacted]",
		),
		sign: func(req *http.Request) {
			req.SetBasicAuth(user, cfg.PrivateKey)
			req.Header.Set("clientId", cfg.ClientID)
			req.Header.Set("Accept", "application/vnd.connectwise.com+json; version="+version)
		},
		tryTimeout: 30 * time.Second,
		sleep:      sleep,
		now:        time.Now,
		fetching:   make(chan struct{}, 1),
		site:       start,
		located:    full,
	}, nil
}

// parseURL reads the forms of a site that an operator may write. full tells
// that it is the whole address of the API. Errors do not repeat raw, which may
// hold a password by mistake.
func parseURL(raw string) (s site, full bool, err error) {
	const forms = `write a host ("na.myconnectwise.net"), an address ("https://cw.example.com") or a whole API address ("https://host/v4_6_release/apis/3.0")`
	if raw == "" {
		return site{}, false, errors.New("is empty; " + forms)
	}
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return site{}, false, errors.New("is not an address; " + forms)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return site{}, false, errors.New("holds a user, a query or a fragment; " + forms)
	}
	switch u.Scheme {
	case "https":
	case "http":
		if !isLoopback(u.Hostname()) {
			return site{}, false, errors.New("is plain http, which shows the keys to the network; use https")
		}
	default:
		return site{}, false, errors.New("is neither https nor http; " + forms)
	}

	s = site{
		root:     u.Scheme + "://" + strings.TrimSuffix(strings.ToLower(u.Host), ":443"),
		codebase: anyRelease,
		cloud:    vendorDomain(u.Hostname()) != "",
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if path == "" {
		return s, false, nil
	}
	above, ok := strings.CutSuffix(path, "/apis/3.0")
	if !ok {
		return site{}, false, errors.New("has a path that does not end in /apis/3.0; " + forms)
	}
	cut := strings.LastIndexByte(above, '/')
	s.codebase = above[cut+1:]
	s.root += above[:max(cut, 0)]
	return s, true, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func readRoots(file string) (*x509.CertPool, error) {
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

func newTransport(roots *x509.CertPool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	t.ResponseHeaderTimeout = 20 * time.Second
	t.MaxIdleConnsPerHost = 4 // as many as one reading has under way
	return t
}

// sleep waits for d or until ctx ends, whichever comes first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
