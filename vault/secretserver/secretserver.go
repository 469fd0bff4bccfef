// Package secretserver keeps cwvault's folders in Delinea (Thycotic) Secret
// Server: on-premises, in Secret Server Cloud, or behind the Delinea Platform.
//
// Facts about the API come from the vendor's OpenAPI document 11.7.61, its
// PowerShell module, its Go and Python SDKs and its documentation. Where those
// say nothing, the comments here state what was assumed.
//
// # What a run costs
//
// A run sends one sign-in, one health check that tells Secret Server from the
// Platform, one look-up each of the root, of the metadata field and of the
// built-in Folder Synchronization, and the pages of folders and marks. A
// Platform that is recognised by its address needs a list of vaults instead of
// the health check. At an address of the customer's own it needs both health
// checks and the list.
//
// A rename or move is one PUT, a new folder two POSTs. What a PUT must send back
// comes from the listing. A folder is read again first only if the listing left
// out a field, because Secret Server takes an omitted inheritPermissions for
// true.
//
// # Access denied
//
// Secret Server answers "access denied" with status 400, both for a folder that
// does not exist and for one that the account may not see. A read by id that is
// refused so is [vault.ErrNotFound]: the account cannot see the folder, and
// nobody can tell whether it exists. A refused write is [vault.ErrNotAllowed]
// when the folder can still be read, and [vault.ErrNotFound] when it cannot.
//
// # What it never does
//
// It sends no DELETE. It reads no secret except the one that [Vault.ReadSecret]
// is called for.
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
	// Username and Password are those of a Secret Server account, or the
	// client id and secret of a Platform service user.
	Username, Password string
	// Domain is the directory domain of the account; empty for a local one. It
	// is not used with a Platform.
	Domain string
	// CAFile names a PEM file of authorities trusted beside the system's.
	CAFile string
	// Root is the path of the root folder, such as \Clients. A single
	// backslash is the whole vault but for personal folders.
	Root string
	// Access is CWVAULT_ACCESS: "inherit" (also when empty), "preserve" or
	// "hold". What is held is decided by the core, so that a move that gets
	// here is done as with "inherit".
	Access string
	// MarkFallback returns the journal's marks by folder id. It is asked when
	// the vault has no metadata field for the marks, or refuses to have it
	// read or made. Nil means that there is no journal.
	MarkFallback func(ctx context.Context) (map[string]sync.Mark, error)
	// MaxNameLength is the longest folder name, in UTF-16 units. The vendor
	// states no limit; zero means 255.
	MaxNameLength int
	// Forbidden are characters not to be used in folder names. The vendor
	// lists none; the backslash, which separates the parts of a path, is
	// always forbidden.
	Forbidden string
	// Workers is how many pages are read at once; zero means 8.
	Workers int
	// BeforeChange is called before each request that changes something, and
	// its error ends the call: whoever must not write any more, because another
	// process does now, finds that out between the requests of one change too.
	// It may be nil.
	BeforeChange func(context.Context) error
	// Sent, if not nil, is called for each request that is sent, from the
	// goroutine that sends it; retry says that the same request was sent before.
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
	records map[int]folder // as last seen: what a PUT sends back
	rootID  int            // 0 while not known
	marks   marks
}

var _ vault.Vault = (*Vault)(nil)

// New checks cfg and returns the vault that it describes. It does not use the
// network. The error is a [sync.Problems] with each field that is wrong.
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

// check returns what the fields stand for: the address, the names along the
// path of the root, and the authorities to trust. It names everything that is
// wrong.
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

// Close gives back the connections that wait to be used again. Its error is nil.
func (v *Vault) Close() error {
	v.client.http.CloseIdleConnections()
	return nil
}

// Names implements [vault.Vault].
func (v *Vault) Names() sync.NameRules { return v.names }

// nameRules gives the rules that New was asked for. The vendor states none: 255
// is the usual width of a name column, and SQL Server counts UTF-16 units.
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

// checkURL returns the address without a slash at its end. Its errors never
// repeat the address, which may hold a password.
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

// splitRoot returns the names along a path. A path written with slashes is
// understood when it has no backslash.
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
