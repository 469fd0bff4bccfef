package settings

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	gosync "sync"

	"github.com/hashicorp/go-hclog"

	"cwvault/connectwise"
	"cwvault/sync"
	"cwvault/sync/check"
	"cwvault/sync/journal"
	"cwvault/sync/run"
	"cwvault/vault"
	"cwvault/vault/passwordstore"
	"cwvault/vault/secretserver"
)

// Hooks are called for requests and readings. Any of them may be nil.
type Hooks struct {
	Events   run.Events
	Progress func(done, total int)               // companies read so far, of total
	Sent     func(server run.Server, retry bool) // a request was sent
}

// Connection holds the clients of both servers, and the journal if [Settings.Open]
// made it. It sends nothing by itself.
type Connection struct {
	settings *Settings
	hooks    Hooks
	log      hclog.Logger
	problems sync.Problems

	site    *Site // nil: the settings do not suffice
	vault   vaultClient
	address string
	journal *journal.Journal
}

// vaultClient is a vault for runs. It must be closed.
type vaultClient interface {
	vault.Vault
	run.Vault
	Close() error
}

// Connect makes the clients as far as the settings allow, and returns the problems
// of all settings. If there are any, parts of the connection may be missing. The
// caller must close it.
func (s *Settings) Connect(log hclog.Logger, hooks Hooks) (*Connection, sync.Problems) {
	c := &Connection{settings: s, hooks: hooks, log: log, problems: append(sync.Problems(nil), s.problems...)}
	public, private := s.env.ConnectWisePublic, s.env.ConnectWisePrivate
	if s.secretID != 0 {
		public, private = "in-the-vault", "in-the-vault" // so that the other fields can be checked now
	}
	if client, err := c.connectWise(public, private); err != nil {
		c.problems = append(c.problems, problemsOf(err, connectWiseVariables)...)
	} else {
		c.site = &Site{connection: c, client: client, ready: s.secretID == 0}
	}
	if err := c.openVault(); err != nil {
		c.problems = append(c.problems, problemsOf(err, vaultVariables)...)
	}
	return c, c.problems
}

// Open connects to both servers and the journal.
func (s *Settings) Open(ctx context.Context, log hclog.Logger, hooks Hooks, writable bool) (*Connection, error) {
	c, problems := s.Connect(log, hooks)
	var err error
	if len(problems) > 0 {
		err = &SettingsError{problems}
	} else {
		c.journal, err = s.Journal(ctx, writable)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the connection. It logs failures as warnings.
func (c *Connection) Close() {
	if c.vault != nil {
		if err := c.vault.Close(); err != nil {
			c.log.Warn("cannot close the vault", "error", err)
		}
	}
	if c.journal != nil {
		if err := c.journal.Close(); err != nil {
			c.log.Warn("cannot close the journal", "error", err)
		}
	}
}

// Runner returns a runner that uses the connection.
func (c *Connection) Runner() *run.Runner {
	opt := c.settings.options()
	opt.Source, opt.Vault, opt.Journal, opt.Log = c.site, c.vault, c.journal, c.log
	opt.Events, opt.Clock = c.hooks.Events, c.settings.times.Clock
	opt.Encrypted = c.storeDir() != ""
	opt.FixFor = check.FixFor
	opt.Installation = c.installation()
	return run.New(opt)
}

// installation is what the journal and tickets belong to.
func (c *Connection) installation() run.Installation {
	return run.Installation{Tenant: c.settings.Tenant(), Vault: c.address, Root: c.settings.Root()}
}

// storeDir returns the directory of a password store, or "".
func (c *Connection) storeDir() string {
	dir, _ := strings.CutPrefix(c.address, storeScheme)
	if dir == c.address {
		return ""
	}
	return dir
}

// Site returns ConnectWise, or nil if the settings for it do not suffice.
func (c *Connection) Site() *Site { return c.site }

// The variables behind the fields of the clients' configurations.
var (
	connectWiseVariables = map[string]string{
		"URL": "CWVAULT_CONNECTWISE_URL", "CompanyID": "CWVAULT_CONNECTWISE_COMPANY_ID", "PublicKey": "CWVAULT_CONNECTWISE_PUBLIC_KEY",
		"PrivateKey": "CWVAULT_CONNECTWISE_PRIVATE_KEY", "ClientID": "CWVAULT_CONNECTWISE_CLIENT_ID",
		"Version": "CWVAULT_CONNECTWISE_VERSION", "CAFile": "CWVAULT_CONNECTWISE_CA_FILE",
	}
	vaultVariables = map[string]string{
		"URL": "CWVAULT_VAULT_URL", "Dir": "CWVAULT_VAULT_URL", "Username": "CWVAULT_VAULT_USERNAME", "Password": "CWVAULT_VAULT_PASSWORD",
		"CAFile": "CWVAULT_VAULT_CA_FILE", "Root": "CWVAULT_ROOT", "Access": "CWVAULT_ACCESS", "Workers": "CWVAULT_WORKERS",
		"MaxNameLength": "CWVAULT_VAULT_NAME_LENGTH", "Forbidden": "CWVAULT_VAULT_NAME_FORBIDDEN", "Domain": "CWVAULT_VAULT_DOMAIN",
	}
)

// problemsOf returns the problems that a client found, by variable.
func problemsOf(err error, variables map[string]string) sync.Problems {
	var problems sync.Problems
	var one sync.Problem
	switch {
	case errors.As(err, &problems):
	case errors.As(err, &one):
		problems = sync.Problems{one}
	default:
		problems = sync.Problems{{Setting: "URL", Text: err.Error()}}
	}
	return problems.Named(variables)
}

// sent returns the function that a client calls for each request to its server.
func (c *Connection) sent(server run.Server) func(retry bool) {
	return func(retry bool) {
		if c.hooks.Sent != nil {
			c.hooks.Sent(server, retry)
		}
	}
}

// connectWise makes the client of ConnectWise.
func (c *Connection) connectWise(public, private Secret) (*connectwise.Client, error) {
	env := c.settings.env
	return connectwise.New(connectwise.Config{
		URL: env.ConnectWiseURL, CompanyID: env.ConnectWiseCompany,
		PublicKey: string(public), PrivateKey: string(private), ClientID: env.ConnectWiseClientID,
		Version: env.ConnectWiseVersion, CAFile: env.ConnectWiseCAFile,
		Logger: c.log.Named("connectwise"), Progress: c.hooks.Progress, Sent: c.sent(run.ConnectWise),
	})
}

// storeScheme begins the address of a password store.
const storeScheme = "passwordstore:"

// openVault opens the vault that the settings name.
func (c *Connection) openVault() error {
	env := c.settings.env
	const forms = "set it to an address such as https://vault.example.com/SecretServer or passwordstore:/path/to/.password-store"
	if env.VaultURL == "" {
		return sync.Problem{Setting: "URL", Text: "is not set", Fix: forms}
	}
	if dir, ok := strings.CutPrefix(env.VaultURL, storeScheme); ok {
		return c.openStore(dir)
	}
	if !strings.Contains(env.VaultURL, "://") { // perhaps the path of a store
		return sync.Problem{Setting: "URL", Text: "is not an address", Fix: forms}
	}
	v, err := secretserver.New(secretserver.Config{
		URL: env.VaultURL, Username: env.VaultUsername, Password: string(env.VaultPassword), Domain: env.VaultDomain, CAFile: env.VaultCAFile,
		MaxNameLength: c.settings.nameLength, Forbidden: env.NameForbidden, Root: env.Root, Access: env.Access,
		MarkFallback: c.journalMarks, BeforeChange: c.mayChange,
		Workers: c.settings.workers, Logger: c.log.Named("vault"), Sent: c.sent(run.VaultServer),
	})
	if err != nil {
		return err
	}
	c.vault, c.address = secretServer{v}, strings.TrimRight(env.VaultURL, "/")
	return nil
}

// secretServer is Secret Server. It needs no commit at the end of a run.
type secretServer struct{ *secretserver.Vault }

func (secretServer) Commit(context.Context, string) error { return nil }

func (c *Connection) openStore(dir string) error {
	dir, err := filepath.Abs(dir) // the journal identifies the vault by this address
	if err != nil {
		return err
	}
	store, err := passwordstore.Open(passwordstore.Config{
		Dir: dir, Root: c.settings.env.Root, Access: c.settings.env.Access, Logger: c.log.Named("vault"),
	})
	if err != nil {
		return err
	}
	c.vault, c.address = store, storeScheme+dir
	return nil
}

// mayChange returns an error unless the lease is held. Secret Server's client calls
// it before each request, because some changes take several.
func (c *Connection) mayChange(ctx context.Context) error {
	if c.journal == nil {
		return journal.ErrLost
	}
	return c.journal.CheckLease(ctx)
}

// journalMarks returns the marks that the journal remembers, for a vault that cannot
// store marks.
func (c *Connection) journalMarks(ctx context.Context) (map[string]sync.Mark, error) {
	if c.journal == nil { // it is not open yet
		return nil, nil
	}
	memory, err := c.journal.Recall(ctx)
	if err != nil {
		return nil, err
	}
	marks := make(map[string]sync.Mark, len(memory.Places))
	for key, p := range memory.Places {
		if p.FolderID != "" {
			marks[p.FolderID] = sync.Mark{Tenant: c.settings.Tenant(), Key: key}
		}
	}
	return marks, nil
}

// Site is the ConnectWise in the settings. If its keys are a secret in the vault, it
// reads them when it first needs them.
type Site struct {
	connection *Connection

	mu     gosync.Mutex
	client *connectwise.Client
	ready  bool
}

// Client returns the client with keys. An error about the keys is an error of the
// vault; see [run.ServerError].
func (s *Site) Client(ctx context.Context) (*connectwise.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready {
		return s.client, nil
	}
	client, err := s.connection.withKeys(ctx)
	if err != nil {
		return nil, &run.ServerError{Server: run.VaultServer, Err: err}
	}
	s.client, s.ready = client, true
	return client, nil
}

// Source implements [run.Source].
func (s *Site) Source(ctx context.Context) (sync.Source, error) {
	client, err := s.Client(ctx)
	if err != nil {
		return sync.Source{}, err
	}
	return client.Source(ctx)
}

// The fields of the secret in CWVAULT_CONNECTWISE_SECRET_ID, by their slugs in secret
// templates.
var (
	publicSlugs  = []string{"public-key", "publickey", "username"}
	privateSlugs = []string{"private-key", "privatekey", "password"}
)

// withKeys returns ConnectWise's client with the keys from the vault.
func (c *Connection) withKeys(ctx context.Context) (*connectwise.Client, error) {
	const setting = "CWVAULT_CONNECTWISE_SECRET_ID"
	id := c.settings.secretID
	v, ok := c.vault.(interface {
		ReadSecret(ctx context.Context, id int) (map[string]string, error)
	})
	if !ok {
		return nil, run.Settingsf("%s: cwvault cannot read secrets of this vault; set the keys themselves", setting)
	}
	fields, err := v.ReadSecret(ctx, id)
	if err != nil {
		err = &namedError{setting, err}
		if errors.Is(err, vault.ErrNotFound) {
			err = run.WithCause(run.CauseSettings, err)
		}
		return nil, err
	}
	public, private := firstOf(fields, publicSlugs), firstOf(fields, privateSlugs)
	if public == "" || private == "" {
		return nil, run.Settingsf("%s: secret %d has no fields for the public key (%s) and the private key (%s)",
			setting, id, strings.Join(publicSlugs, ", "), strings.Join(privateSlugs, ", "))
	}
	client, err := c.connectWise(public, private)
	if err != nil {
		return nil, &SettingsError{problemsOf(err, connectWiseVariables)}
	}
	return client, nil
}

// namedError is an error with the setting that caused it.
type namedError struct {
	setting string
	err     error
}

func (e *namedError) Error() string { return e.setting + ": " + e.err.Error() }
func (e *namedError) Unwrap() error { return e.err }

// firstOf returns the first of the named fields that is not empty.
func firstOf(fields map[string]string, names []string) Secret {
	for _, name := range names {
		if fields[name] != "" {
			return Secret(fields[name])
		}
	}
	return ""
}
