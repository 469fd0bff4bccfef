package connectwise

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

func TestNewRefuses(t *testing.T) {
	noCertificate := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noCertificate, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"no URL":                   {func(c *Config) { c.URL = "" }, `URL: is empty; write a host ("na.myconnectwise.net")`},
		"plain http":               {func(c *Config) { c.URL = "http://cw.example.com" }, "URL: is plain http, which exposes the keys to the network; use https"},
		"plain http by number":     {func(c *Config) { c.URL = "http://10.0.0.1" }, "URL: is plain http"},
		"plain http, look-alike":   {func(c *Config) { c.URL = "http://localhost.example.com" }, "URL: is plain http"},
		"other scheme":             {func(c *Config) { c.URL = "ftp://cw.example.com" }, "URL: is neither https nor http"},
		"a password":               {func(c *Config) { c.URL = "https://u:" + testPrivate + "@cw.example.com" }, "URL: "},
		"a user":                   {func(c *Config) { c.URL = "https://user@cw.example.com" }, "URL: holds a user"},
		"a query":                  {func(c *Config) { c.URL = "https://cw.example.com/?key=" + testPublic }, "URL: holds a user, a query"},
		"a fragment":               {func(c *Config) { c.URL = "https://cw.example.com/#x" }, "URL: holds a user, a query or a fragment"},
		"another path":             {func(c *Config) { c.URL = "https://cw.example.com/v4_6_release" }, "URL: has a path that does not end in /apis/3.0"},
		"no host":                  {func(c *Config) { c.URL = "https:///apis/3.0" }, "URL: is not an address"},
		"not a host":               {func(c *Config) { c.URL = "cw example" }, "URL: is not an address"},
		"no company id":            {func(c *Config) { c.CompanyID = "" }, "CompanyID: is empty; set it to the company id of the ConnectWise sign-in page"},
		"company id with colon":    {func(c *Config) { c.CompanyID = "a:b" }, "CompanyID: holds a colon"},
		"no public key":            {func(c *Config) { c.PublicKey = "" }, "PublicKey: is empty"},
		"public key with colon":    {func(c *Config) { c.PublicKey = testPublic + ":x" }, "PublicKey: holds a colon"},
		"no private key":           {func(c *Config) { c.PrivateKey = "" }, "PrivateKey: is empty; set it to the API member's private key"},
		"private key with line":    {func(c *Config) { c.PrivateKey = testPrivate + "\n" }, "PrivateKey: holds a space, line end or control character"},
		"no client id":             {func(c *Config) { c.ClientID = "" }, "ClientID: is empty"},
		"client id with a line":    {func(c *Config) { c.ClientID = testClient + "\r\nX: y" }, "ClientID: holds a space, line end"},
		"version":                  {func(c *Config) { c.Version = "v2025.1" }, `Version: "v2025.1" is not a model version; write it like 2025.1`},
		"version with a line":      {func(c *Config) { c.Version = "2025.1\r\nX: y" }, "Version: "},
		"no CA file":               {func(c *Config) { c.CAFile = "does-not-exist.pem" }, "CAFile: open does-not-exist.pem"},
		"CA file of text":          {func(c *Config) { c.CAFile = noCertificate }, "holds no certificate; it must be in PEM form"},
		"two problems, the second": {func(c *Config) { c.URL, c.ClientID = "", "" }, "\nClientID: is empty"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := Config{URL: "cw.example.com", CompanyID: "acmeinc", PublicKey: testPublic, PrivateKey: testPrivate, ClientID: testClient}
			if _, err := New(cfg); err != nil {
				t.Fatalf("the configuration is wrong before the change: %v", err)
			}
			test.change(&cfg)
			_, err := New(cfg)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want %q in it", err, test.want)
			}
			noKeys(t, "error", err.Error())
		})
	}
}

func TestSite(t *testing.T) {
	const dated = `{"Codebase":"v2020_4/","IsCloud":true,"SiteUrl":"api-na.myconnectwise.net"}`
	tests := map[string]struct{ url, before, info, after string }{
		"cloud":                  {"na.myconnectwise.net", "https://api-na.myconnectwise.net/v4_6_release/apis/3.0", dated, "https://api-na.myconnectwise.net/v4_6_release/apis/3.0"},
		"cloud, API host":        {"https://api-eu.myconnectwise.net/", "https://api-eu.myconnectwise.net/v4_6_release/apis/3.0", `{}`, "https://api-eu.myconnectwise.net/v4_6_release/apis/3.0"},
		"cloud, in capitals":     {"https://NA.MyConnectWise.net:443", "https://api-na.myconnectwise.net/v4_6_release/apis/3.0", `{"SiteUrl":"API-NA.myconnectwise.net"}`, "https://api-na.myconnectwise.net/v4_6_release/apis/3.0"},
		"cloud, site is address": {"na.myconnectwise.net", "https://api-na.myconnectwise.net/v4_6_release/apis/3.0", `{"SiteUrl":"https://api-aus.myconnectwise.net/"}`, "https://api-aus.myconnectwise.net/v4_6_release/apis/3.0"},
		"cloud, without prefix":  {"sandbox-na.myconnectwise.net", "https://api-sandbox-na.myconnectwise.net/v4_6_release/apis/3.0", `{"SiteUrl":"sandbox-na.myconnectwise.net"}`, "https://sandbox-na.myconnectwise.net/v4_6_release/apis/3.0"},
		"staging":                {"staging.connectwisedev.com", "https://api-staging.connectwisedev.com/v4_6_release/apis/3.0", `{"IsCloud":"True"}`, "https://api-staging.connectwisedev.com/v4_6_release/apis/3.0"},
		"on premises":            {"https://cw.example.com", "https://cw.example.com/v4_6_release/apis/3.0", `{"Codebase":"v4_6_release/","IsCloud":"False","SiteUrl":"cw.internal"}`, "https://cw.example.com/v4_6_release/apis/3.0"},
		"on premises, port":      {"cw.example.com:8443", "https://cw.example.com:8443/v4_6_release/apis/3.0", `{}`, "https://cw.example.com:8443/v4_6_release/apis/3.0"},
		"loopback":               {"http://127.0.0.1:81", "http://127.0.0.1:81/v4_6_release/apis/3.0", dated, "http://127.0.0.1:81/v4_6_release/apis/3.0"},
		"loopback, IPv6":         {"http://[::1]:81/", "http://[::1]:81/v4_6_release/apis/3.0", `{}`, "http://[::1]:81/v4_6_release/apis/3.0"},
		"loopback, name":         {"http://localhost:81", "http://localhost:81/v4_6_release/apis/3.0", `{}`, "http://localhost:81/v4_6_release/apis/3.0"},

		// The keys stay where the operator wanted them.
		"foreign site":              {"na.myconnectwise.net", "https://api-na.myconnectwise.net/v4_6_release/apis/3.0", `{"SiteUrl":"api-na.example.com"}`, "https://api-na.myconnectwise.net/v4_6_release/apis/3.0"},
		"foreign site, look-alike":  {"na.myconnectwise.net", "https://api-na.myconnectwise.net/v4_6_release/apis/3.0", `{"SiteUrl":"api-na.evilmyconnectwise.net"}`, "https://api-na.myconnectwise.net/v4_6_release/apis/3.0"},
		"foreign site, suffix":      {"na.myconnectwise.net", "https://api-na.myconnectwise.net/v4_6_release/apis/3.0", `{"SiteUrl":"myconnectwise.net.example.com"}`, "https://api-na.myconnectwise.net/v4_6_release/apis/3.0"},
		"foreign site, hidden":      {"na.myconnectwise.net", "https://api-na.myconnectwise.net/v4_6_release/apis/3.0", `{"SiteUrl":"example.com/.myconnectwise.net"}`, "https://api-na.myconnectwise.net/v4_6_release/apis/3.0"},
		"foreign site, user":        {"na.myconnectwise.net", "https://api-na.myconnectwise.net/v4_6_release/apis/3.0", `{"SiteUrl":"example.com@x.myconnectwise.net"}`, "https://api-na.myconnectwise.net/v4_6_release/apis/3.0"},
		"foreign site, plain":       {"na.myconnectwise.net", "https://api-na.myconnectwise.net/v4_6_release/apis/3.0", `{"SiteUrl":"http://api-na.myconnectwise.net"}`, "https://api-na.myconnectwise.net/v4_6_release/apis/3.0"},
		"the vendor's other domain": {"na.myconnectwise.net", "https://api-na.myconnectwise.net/v4_6_release/apis/3.0", `{"SiteUrl":"api-staging.connectwisedev.com"}`, "https://api-na.myconnectwise.net/v4_6_release/apis/3.0"},
		"cloud's word, own host":    {"cw.example.com", "https://cw.example.com/v4_6_release/apis/3.0", dated, "https://cw.example.com/v4_6_release/apis/3.0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := New(Config{URL: test.url, CompanyID: "a", PublicKey: "b", PrivateKey: "c", ClientID: "d"})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Site(); got != test.before {
				t.Errorf("before discovery %s, want %s", got, test.before)
			}
			var info companyInfo
			if err := json.Unmarshal([]byte(test.info), &info); err != nil {
				t.Fatal(err)
			}
			c.setSite(info, anyRelease)
			if got := c.Site(); got != test.after {
				t.Errorf("after discovery %s, want %s", got, test.after)
			}
		})
	}
}

func TestWholeAddress(t *testing.T) {
	for address, want := range map[string]string{
		"https://api-na.myconnectwise.net/v2020_4/apis/3.0/": "https://api-na.myconnectwise.net/v2020_4/apis/3.0",
		"cw.example.com/v4_6_release/apis/3.0":               "https://cw.example.com/v4_6_release/apis/3.0",
		"https://gateway.example.com/psa/v2020_4/apis/3.0":   "https://gateway.example.com/psa/v2020_4/apis/3.0",
		"http://127.0.0.1:8080/apis/3.0":                     "http://127.0.0.1:8080/apis/3.0",
	} {
		s, full, err := parseURL(address)
		if err != nil || !full || s.base() != want {
			t.Errorf("parseURL(%q) = %s, %v, %v; want %s", address, s.base(), full, err, want)
		}
	}
}

// New names the field of each problem, so that callers can say which variable
// it comes from.
func TestNewReturnsProblems(t *testing.T) {
	_, err := New(Config{URL: "http://cw.example.com", CompanyID: "a:b", Version: "one", CAFile: "does-not-exist.pem"})
	problems, ok := errors.AsType[sync.Problems](err)
	if !ok || !errors.Is(err, sync.ErrConfigured) {
		t.Fatalf("%#v, want sync.Problems", err)
	}
	var fields []string
	for _, p := range problems {
		fields = append(fields, p.Setting)
	}
	want := []string{"URL", "CompanyID", "PublicKey", "PrivateKey", "ClientID", "Version", "CAFile"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if p := problems[0]; p.Text != "is plain http, which exposes the keys to the network" || p.Fix != "use https" {
		t.Errorf("%+v", p)
	}
}

// A placeholder for a key does not garble errors, and a short key that is really
// in them does not leak.
func TestShortKeys(t *testing.T) {
	s := newServer(t, 1)
	s.on[companiesPath] = answer(400, `{"code":"x","message":"Bad request by key, pwd7: not a company"}`)
	c, err := New(Config{URL: s.URL, CompanyID: "acmeinc", PublicKey: "a", PrivateKey: "pwd7", ClientID: "key"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Source(t.Context())
	if want := "Bad request by key, [redacted]: not a company"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q in it", err, want)
	}
}
