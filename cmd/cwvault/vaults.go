package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"cwvault/sync"
	"cwvault/vault"
	"cwvault/vault/passwordstore"
	"cwvault/vault/secretserver"
)

// vaultHandle is a vault with what the reports want to know of it beside.
type vaultHandle interface {
	vault.Vault
	// Secrets counts the secrets in a folder and below it, at least.
	Secrets(ctx context.Context, folderID string) (int, error)
	// Audience returns who can see what inherits from a folder.
	Audience(ctx context.Context, folderID string) ([]string, error)
	// Commit is called when a run is over, with a line that describes it.
	Commit(ctx context.Context, message string) error
	Close() error
}

// openVault opens the vault that the settings name, and returns its address.
// Nothing is sent yet.
func (s *session) openVault() (vaultHandle, string, error) {
	c := s.cfg
	if c.VaultURL == "" {
		return nil, "", errors.New("CWVAULT_VAULT_URL: not set; https://vault.example.com/SecretServer, or passwordstore:/path/to/.password-store")
	}
	if dir, ok := strings.CutPrefix(c.VaultURL, "passwordstore:"); ok {
		return s.openPasswordStore(dir)
	}
	v, err := secretserver.New(secretserver.Config{
		URL: c.VaultURL, Username: c.VaultUsername, Password: string(c.VaultPassword), Domain: c.VaultDomain, CAFile: c.VaultCAFile,
		MaxNameLength: c.nameLength, Forbidden: c.NameForbidden,
		Root: c.Root, Access: c.environment.Access, MarkFallback: s.journalMarks, BeforeChange: s.mayChange, Workers: c.workers, Logger: s.app.log.Named("vault"), Sent: s.sent("vault"),
	})
	if err != nil {
		return nil, "", inSettings(vaultVariables, err)
	}
	return secretServer{v}, strings.TrimRight(c.VaultURL, "/"), nil
}

// vaultVariables names the variables that the fields of [secretserver.Config]
// and [passwordstore.Config] come from.
var vaultVariables = map[string]string{
	"URL": "CWVAULT_VAULT_URL", "Dir": "CWVAULT_VAULT_URL", "Username": "CWVAULT_VAULT_USERNAME", "Password": "CWVAULT_VAULT_PASSWORD",
	"CAFile": "CWVAULT_VAULT_CA_FILE", "Root": "CWVAULT_ROOT", "Access": "CWVAULT_ACCESS", "Workers": "CWVAULT_WORKERS",
	"MaxNameLength": "CWVAULT_VAULT_NAME_LENGTH", "Forbidden": "CWVAULT_NAME_FORBIDDEN",
}

func (s *session) openPasswordStore(dir string) (vaultHandle, string, error) {
	dir, err := filepath.Abs(dir) // the journal knows the vault by this address
	if err != nil {
		return nil, "", fmt.Errorf("CWVAULT_VAULT_URL: %w", err)
	}
	s.encrypted = true
	store, err := passwordstore.Open(passwordstore.Config{
		Dir: dir, Root: s.cfg.Root, Access: s.cfg.environment.Access, Logger: s.app.log.Named("vault"),
	})
	if err != nil {
		return nil, "", inSettings(vaultVariables, err)
	}
	return store, "passwordstore:" + dir, nil
}

// secretServer is Secret Server, where a run needs no end.
type secretServer struct{ *secretserver.Vault }

// Check says what the server and the account are like, and which settings the
// built-in synchronization has, ready to be used here.
func (v secretServer) Check(ctx context.Context) []finding {
	report, err := v.Preflight(ctx)
	if err != nil {
		return []finding{{Subject: "sign-in", Text: err.Error(), Mend: mendVault(err), Err: err}}
	}
	list := []finding{{Subject: "sign-in", Text: "as " + report.Account}}
	for _, f := range report.Findings {
		found := finding{Subject: f.Subject, Text: f.Text}
		switch f.Level {
		case secretserver.Warning:
			found.Mend = "see docs/SECRETSERVER.md"
		case secretserver.Problem:
			found.Mend = "see docs/SECRETSERVER.md"
			if found.Err = vault.ErrNotAllowed; f.Subject == "built-in Folder Synchronization" {
				found.Err = secretserver.ErrBuiltinSync
			}
		}
		if f.Subject != "root folder" || f.Level != secretserver.Problem || !strings.Contains(f.Text, "does not exist") {
			list = append(list, found) // that the root is missing is said by those who know whether it may be made
		}
	}
	if b := report.Builtin; b.Structure != "" || b.SiteURL != "" || b.CompanyID != "" {
		var settings []string
		for _, s := range []struct{ name, value string }{
			{"CWVAULT_FOLDER_STRUCTURE", b.Structure}, {"CWVAULT_CONNECTWISE_URL", b.SiteURL}, {"CWVAULT_CONNECTWISE_COMPANY_ID", b.CompanyID},
			{"CWVAULT_ROOT", report.BuiltinRoot},
		} {
			if s.value != "" {
				settings = append(settings, s.name+"="+shellQuote(s.value))
			}
		}
		list = append(list, finding{Subject: "built-in settings", Text: strings.Join(settings, " ")})
	}
	return list
}

// shellQuote writes a value so that a shell takes it as it is.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func (secretServer) Commit(context.Context, string) error { return nil }

// journalMarks is what the journal knows of the folders of a vault that cannot
// hold marks itself.
func (s *session) journalMarks(ctx context.Context) (map[string]sync.Mark, error) {
	places, err := s.journal.Places(ctx)
	if err != nil {
		return nil, err
	}
	marks := make(map[string]sync.Mark, len(places))
	for key, p := range places {
		if p.FolderID != "" {
			marks[p.FolderID] = sync.Mark{Tenant: s.cfg.ConnectWiseCompany, Key: key}
		}
	}
	return marks, nil
}

// The fields of the secret that CWVAULT_CONNECTWISE_SECRET_ID names, by the
// slugs that templates give them.
var (
	publicSlugs  = []string{"public-key", "publickey", "username"}
	privateSlugs = []string{"private-key", "privatekey", "password"}
)

// connect gets the ConnectWise keys from the vault where the settings say so.
func (s *session) connect(ctx context.Context) error {
	if s.cfg.secretID == 0 || s.connected {
		return nil
	}
	v, ok := s.vault.(interface {
		ReadSecret(ctx context.Context, id int) (map[string]string, error)
	})
	if !ok {
		return configf("CWVAULT_CONNECTWISE_SECRET_ID: this vault's secrets cannot be read; give the keys themselves")
	}
	fields, err := v.ReadSecret(ctx, s.cfg.secretID)
	if err != nil {
		err = fmt.Errorf("CWVAULT_CONNECTWISE_SECRET_ID: %w", err)
		return wrapCode(exitConfig, err, vault.ErrNotFound)
	}
	public, private := firstOf(fields, publicSlugs), firstOf(fields, privateSlugs)
	if public == "" || private == "" {
		return configf("CWVAULT_CONNECTWISE_SECRET_ID: secret %d has no fields for the public key (%s) and the private key (%s)",
			s.cfg.secretID, strings.Join(publicSlugs, ", "), strings.Join(privateSlugs, ", "))
	}
	cw, err := s.openConnectWise(public, private)
	if err != nil {
		return codeError{exitConfig, err}
	}
	s.cw, s.connected = cw, true
	return nil
}

// firstOf returns the first of the named fields that is not empty.
func firstOf(fields map[string]string, names []string) secret {
	for _, name := range names {
		if fields[name] != "" {
			return secret(fields[name])
		}
	}
	return ""
}
