package connectwise

import (
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"

	"cwvault/sync"
	"cwvault/sync/httpclient"
)

// DefaultVersion is the model version to request unless the operator names another. The
// parts of a company that cwvault reads are the same at least from 2022.2 to 2026.4. It
// is not the newest version: a server refuses versions newer than its own, and servers
// on premises lag behind.
const DefaultVersion = "2025.1"

var plainVersion = regexp.MustCompile(`^20[0-9]{2}\.[0-9]{1,2}$`)

// Config says which tenant to read, and as whom.
type Config struct {
	// URL is the site ("na.myconnectwise.net", "https://cw.example.com") or the
	// whole address of the API ("https://host/v4_6_release/apis/3.0"), which is used
	// as it is. Plain http is only allowed for loopback addresses.
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
	// Progress, if not nil, is called after each page of companies, from the
	// goroutine that reads, with the number read so far and the expected number.
	// If a reading is repeated, it starts again from the first page.
	Progress func(read, total int)
	// Sent, if not nil, is called for each request, from the goroutine that sends
	// it. retry means that the same request was sent before.
	Sent func(retry bool)
}

// New checks cfg and returns a client. It sends nothing. The error is a [sync.Problems]
// that lists each wrong field.
func New(cfg Config) (*Client, error) {
	given, full, roots, err := cfg.check()
	if err != nil {
		return nil, err
	}
	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	start := given
	if !full {
		start = given.place(companyInfo{}, anyRelease)
	}
	version := cmp.Or(cfg.Version, DefaultVersion)
	user := cfg.CompanyID + "+" + cfg.PublicKey
	return &Client{
		transport: newTransport(roots),
		retry:     httpclient.Retry{First: firstPause, Longest: maxPause, Tries: maxTries},
		log:       log,
		progress:  cfg.Progress,
		sent:      cfg.Sent,
		company:   cfg.CompanyID,
		version:   version,
		given:     given,
		secrets: httpclient.NewRedactor(
			base64.StdEncoding.EncodeToString([]byte(user+":"+cfg.PrivateKey)), cfg.PrivateKey, cfg.PublicKey, cfg.ClientID),
		sign: func(req *http.Request) {
			req.SetBasicAuth(user, cfg.PrivateKey)
			req.Header.Set("clientId", cfg.ClientID)
			req.Header.Set("Accept", "application/vnd.connectwise.com+json; version="+version)
		},
		tryTimeout: 30 * time.Second,
		now:        time.Now,
		fetching:   make(chan struct{}, 1),
		site:       start,
		located:    full,
	}, nil
}

// check returns what the fields mean: the site, whether the URL is the whole address of
// the API, and the authorities to trust. The error lists every problem.
func (cfg Config) check() (given site, full bool, roots *x509.CertPool, err error) {
	var problems sync.Problems
	given, full, err = parseURL(cfg.URL)
	problems.Note("URL", err)
	for _, f := range []struct{ name, value, what string }{
		{"CompanyID", cfg.CompanyID, "the company id of the ConnectWise sign-in page"},
		{"PublicKey", cfg.PublicKey, "the API member's public key"},
		{"PrivateKey", cfg.PrivateKey, "the API member's private key"},
		{"ClientID", cfg.ClientID, "the client id from developer.connectwise.com"},
	} {
		switch {
		case f.value == "":
			problems.Add(f.name, "is empty", "set it to "+f.what)
		case strings.ContainsFunc(f.value, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
			problems.Add(f.name, "holds a space, line end or control character", "set it to "+f.what+" alone")
		case strings.Contains(f.value, ":") && (f.name == "CompanyID" || f.name == "PublicKey"):
			// The colon ends the user name of Basic authentication.
			problems.Add(f.name, "holds a colon", "set it to "+f.what+" alone")
		}
	}
	if cfg.Version != "" && !plainVersion.MatchString(cfg.Version) {
		problems.Add("Version", fmt.Sprintf("%.20q is not a model version", cfg.Version), "write it like "+DefaultVersion)
	}
	roots, err = httpclient.Roots(cfg.CAFile)
	problems.Note("CAFile", err)
	return given, full, roots, problems.Err()
}

// parseURL reads the forms of a site that an operator may write. full means that it is
// the whole address of the API. The error is a [sync.Problem] that does not repeat raw,
// which may contain a password by mistake.
func parseURL(raw string) (s site, full bool, err error) {
	const forms = `write a host ("na.myconnectwise.net"), an address ("https://cw.example.com") or a whole API address ("https://host/v4_6_release/apis/3.0")`
	wrong := func(text, fix string) (site, bool, error) {
		return site{}, false, sync.Problem{Text: text, Fix: fix}
	}
	if raw == "" {
		return wrong("is empty", forms)
	}
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return wrong("is not an address", forms)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return wrong("holds a user, a query or a fragment", forms)
	}
	switch u.Scheme {
	case "https":
	case "http":
		if !httpclient.LoopbackHost(u.Hostname()) {
			return wrong("is plain http, which exposes the keys to the network", "use https")
		}
	default:
		return wrong("is neither https nor http", forms)
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
		return wrong("has a path that does not end in /apis/3.0", forms)
	}
	cut := strings.LastIndexByte(above, '/')
	s.codebase = above[cut+1:]
	s.root += above[:max(cut, 0)]
	return s, true, nil
}

func newTransport(roots *x509.CertPool) *http.Transport {
	t := httpclient.NewTransport(roots)
	t.ResponseHeaderTimeout = 20 * time.Second
	t.MaxIdleConnsPerHost = 4 // as many requests as one reading sends at once
	return t
}
