// Package secretserver manages folders in Delinea (Thycotic) Secret Server: on-premises, in
// Secret Server Cloud, or behind the Delinea Platform. It implements [vault.Vault].
//
// Facts about the API come from the vendor's OpenAPI document 11.7.61, its
// PowerShell module, its Go and Python SDKs and its documentation. If those say nothing, the
// comments here state the assumption.
//
// # What a run costs
//
// A run sends one sign-in, one health check that distinguishes Secret Server from the
// Platform, one look-up each of the root, of the metadata field and of the built-in Folder
// Synchronization, and requests the pages of folders and marks. A Platform with a known
// address needs a list of vaults instead of the health check. At an address of the
// customer's own it needs both health checks and the list.
//
// A rename or move is one PUT, a new folder two POSTs. The fields of a PUT come from the
// listing. Only if the listing lacks a field is the folder read first, because Secret Server
// treats an omitted inheritPermissions as true.
//
// # Access denied
//
// Secret Server answers "access denied" with status 400, both for a folder that does not
// exist and for one that the account may not see. For a read by id this is
// [vault.ErrNotFound]: the account cannot see the folder, whether it exists or not. For a
// write it is [vault.ErrNotAllowed] if the folder can still be read, and otherwise
// [vault.ErrNotFound].
//
// # What it never does
//
// It sends no DELETE. It reads no secret except those that [Vault.ReadSecret] is called for.
package secretserver

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	gosync "sync"
	"unicode/utf16"

	"github.com/hashicorp/go-hclog"

	"cwvault/sync"
	"cwvault/sync/httpclient"
	"cwvault/vault"
)

// Config is what [New] needs. URL, Username, Password and Root are required.
type Config struct {
	// URL is the address of Secret Server without "/api", such as
	// https://vault.example.com/SecretServer or
	// https://TENANT.secretservercloud.com, or that of a Delinea Platform.
	// Plain http is accepted for a loopback address only.
	URL string
	// Username and Password belong to a Secret Server account, or are the client id
	// and secret of a Platform service user.
	Username, Password string
	// Domain is the directory domain of the account; empty for a local one. It
	// is not used with a Platform.
	Domain string
	// CAFile names a PEM file of authorities to trust besides the system's.
	CAFile string
	// Root is the path of the root folder, such as \Clients. A single backslash is
	// the whole vault except personal folders.
	Root string
	// Access is CWVAULT_ACCESS: "inherit" (also if empty), "preserve" or "hold". The
	// core decides what to hold, so here "hold" moves folders like "inherit".
	Access string
	// MarkFallback returns the journal's marks by folder id. It is called if the
	// vault has no metadata field for the marks, or refuses to let the account read
	// or create it. Nil means that there is no journal.
	MarkFallback func(ctx context.Context) (map[string]sync.Mark, error)
	// MaxNameLength is the longest folder name, in UTF-16 units. The vendor
	// states no limit; zero means 255.
	MaxNameLength int
	// Forbidden are characters that folder names must not contain. The vendor lists
	// none. The backslash, which separates the parts of a path, is always forbidden.
	Forbidden string
	// Workers is how many pages are read at once; zero means 8.
	Workers int
	// BeforeChange is called before each request that changes something. Its error
	// ends the call. So a process that has lost the lease stops even between the
	// requests of one change. It may be nil.
	BeforeChange func(context.Context) error
	// Sent, if not nil, is called for each request, from the goroutine that sends
	// it. retry means that the same request was sent before.
	Sent func(retry bool)
	// Logger may be nil.
	Logger hclog.Logger
}

// Vault is a Secret Server. Its methods may be called from several goroutines.
type Vault struct {
	client   client
	root     []string // names of the folders from the top to the root; empty for the whole vault
	preserve bool
	fallback func(ctx context.Context) (map[string]sync.Mark, error)
	names    sync.NameRules
	workers  int
	log      hclog.Logger

	mu      gosync.Mutex
	records map[int]folder // as last seen, for PUT to send back
	rootID  int            // 0 while unknown
	marks   marks
}

var _ vault.Vault = (*Vault)(nil)

// New checks cfg and returns its vault. It does not use the network. The error is a
// [sync.Problems] that lists each wrong field.
func New(cfg Config) (*Vault, error) {
	address, root, roots, err := cfg.check()
	if err != nil {
		return nil, err
	}
	workers := cmp.Or(cfg.Workers, 8)
	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	transport := httpclient.NewTransport(roots)
	transport.MaxIdleConnsPerHost = workers + 2
	transport.ResponseHeaderTimeout = callTimeout
	return &Vault{
		client: client{
			address: address, username: cfg.Username, password: cfg.Password, domain: cfg.Domain,
			http: httpclient.New(transport), log: log,
			retry:  httpclient.Retry{First: firstPause, Longest: maxPause, Tries: maxAttempts},
			signIn: make(chan struct{}, 1), beforeChange: cfg.BeforeChange, sent: cfg.Sent,
		},
		root: root, preserve: cfg.Access == "preserve", fallback: cfg.MarkFallback,
		names: nameRules(cfg), workers: workers, log: log,
		records: map[int]folder{},
		marks:   marks{making: make(chan struct{}, 1)},
	}, nil
}

// check returns what the fields mean: the address, the names in the path of the root, and
// the authorities to trust. The error lists every problem.
func (cfg Config) check() (address string, root []string, roots *x509.CertPool, err error) {
	var problems sync.Problems
	address, err = checkURL(cfg.URL)
	problems.Note("URL", err)
	if cfg.Username == "" {
		problems.Note("Username", errMissing)
	}
	if cfg.Password == "" {
		problems.Note("Password", errMissing)
	}
	root, err = splitRoot(cfg.Root)
	problems.Note("Root", err)
	if !slices.Contains([]string{"", "inherit", "preserve", "hold"}, cfg.Access) {
		problems.Note("Access", fmt.Errorf("%q is not inherit, preserve or hold", cfg.Access))
	}
	if cfg.MaxNameLength < 0 {
		problems.Note("MaxNameLength", errors.New("negative"))
	}
	if cfg.Workers < 0 {
		problems.Note("Workers", errors.New("negative"))
	}
	roots, err = httpclient.Roots(cfg.CAFile)
	problems.Note("CAFile", err)
	return address, root, roots, problems.Err()
}

var errMissing = errors.New("missing")

// Close closes idle connections. Its error is nil.
func (v *Vault) Close() error {
	v.client.http.CloseIdleConnections()
	return nil
}

// Names implements [vault.Vault].
func (v *Vault) Names() sync.NameRules { return v.names }

// nameRules returns the rules in cfg. The vendor states none: 255 is the usual width of a
// name column, and SQL Server counts UTF-16 units.
func nameRules(cfg Config) sync.NameRules {
	rules := sync.NameRules{
		MaxLength: cfg.MaxNameLength,
		Length: func(name string) (n int) {
			for _, r := range name {
				n += utf16.RuneLen(r)
			}
			return n
		},
		Forbidden: cfg.Forbidden,
		Fold:      vault.Fold,
		Form:      vault.Form,
	}
	if rules.MaxLength == 0 {
		rules.MaxLength = 255
	}
	return rules
}

// checkURL returns the address without a slash at its end. Its errors never repeat the
// address, which may contain a password.
func checkURL(s string) (string, error) {
	if s == "" {
		return "", errMissing
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", errors.New("not a URL")
	case u.User != nil:
		return "", errors.New("must not hold a user name or password")
	case u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("must look like https://vault.example.com/SecretServer")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("must begin with https://")
	case u.Scheme == "http" && !httpclient.LoopbackHost(u.Hostname()):
		return "", errors.New("plain http is accepted for a loopback address only")
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// splitRoot returns the names in a path. If the path has no backslash, slashes separate the
// names.
func splitRoot(path string) ([]string, error) {
	if path == "" {
		return nil, errMissing
	}
	if !strings.Contains(path, `\`) {
		path = strings.ReplaceAll(path, "/", `\`)
	}
	path = strings.Trim(path, `\`)
	if path == "" {
		return nil, nil
	}
	names := strings.Split(path, `\`)
	for i, name := range names {
		names[i] = vault.Form(strings.TrimSpace(name))
		if names[i] == "" {
			return nil, errors.New("the path has a folder without a name")
		}
	}
	return names, nil
}
