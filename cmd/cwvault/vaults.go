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

func (v secretServer) Check(ctx context.Context) []finding {
	var list []finding
	for _, f := range v.Vault.Check(ctx) {
		list = append(list, finding{f.Subject, f.Text, f.Fix, f.Err})
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
