package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"cwvault/sync"
	"cwvault/vault/secretserver/secretservertest"
)

// Vault is where the demo's technicians work. It goes round cwvault: what the
// demo claims is looked up on the other side.
type Vault interface {
	Settings() []string // the variables that make cwvault use it
	Describe() string
	// Fill puts secrets into every company folder.
	Fill(secrets func(company sync.Key) []Secret) error
	// Each calls f for every secret in a company folder.
	Each(f func(company sync.Key, content string) error) error
	// Look says where a person can look.
	Look() []string
	Close()
}

// Secret is a secret that a technician keeps.
type Secret struct{ Name, Content string }

var secretNames = []string{"domain-admin", "firewall", "office365"}

// Store is a password store on disk.
type Store struct{ dir string }

// NewStore makes a store with one folder of the operator's own, under git
// where there is git.
func NewStore(ctx context.Context, dir string) (Store, error) {
	d := Store{dir}
	own := filepath.Join(dir, "Clients", "Our own office")
	err := os.MkdirAll(own, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, ".gpg-id"), []byte("demo@example.invalid\n"), 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(own, "alarm.gpg"), []byte(rand.Text()), 0o600)
	}
	if err != nil {
		return d, err
	}
	git, err := exec.LookPath("git")
	if err != nil {
		return d, nil // then it is a store without git, which is as good
	}
	for _, args := range [][]string{
		{"init", "-q"}, {"config", "user.name", "cwvault demo"}, {"config", "user.email", "demo@example.invalid"},
		{"config", "commit.gpgsign", "false"}, {"add", "."}, {"commit", "-q", "-m", "The store before cwvault"},
	} {
		if err := runGit(ctx, git, dir, args); err != nil {
			return d, err
		}
	}
	return d, nil
}

func runGit(ctx context.Context, git, dir string, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, git, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

func (d Store) Settings() []string { return []string{"CWVAULT_VAULT_URL=passwordstore:" + d.dir} }

func (d Store) Describe() string { return "a password store in " + d.dir }

// Close implements [Vault].
func (d Store) Close() {}

func (d Store) Look() []string {
	lines := []string{fmt.Sprintf("%-52s the folders", "ls "+filepath.Join(d.dir, "Clients")+"/*")}
	if _, err := os.Stat(filepath.Join(d.dir, ".git")); err == nil {
		lines = append(lines, fmt.Sprintf("%-52s one commit for each run", "git -C "+d.dir+" log --oneline"))
	}
	return lines
}

// companies calls f for every company folder of the store.
func (d Store) Companies(f func(dir string, company sync.Key) error) error {
	return filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() != ".cwvault" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var mark struct{ Key sync.Key }
		if err := json.Unmarshal(b, &mark); err != nil {
			return err
		}
		if _, ok := mark.Key.CompanyID(); !ok {
			return nil
		}
		return f(filepath.Dir(path), mark.Key)
	})
}

func (d Store) Fill(secrets func(sync.Key) []Secret) error {
	return d.Companies(func(dir string, company sync.Key) error {
		for _, s := range secrets(company) {
			if err := os.WriteFile(filepath.Join(dir, s.Name+".gpg"), []byte(s.Content), 0o600); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d Store) Each(f func(sync.Key, string) error) error {
	return d.Companies(func(dir string, company sync.Key) error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".gpg") {
				continue
			}
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err == nil {
				err = f(company, string(b))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Server is a built-in Secret Server.
type Server struct {
	*secretservertest.Server
	Password string
}

// Account is the account that cwvault uses there.
const Account = "svc-cwvault"

func NewServer() (Server, error) {
	password := rand.Text()
	s, err := secretservertest.New(secretservertest.Options{Username: Account, Password: password})
	if err != nil {
		return Server{}, err
	}
	clients := s.AddFolder(-1, "Clients")
	s.Grant(clients, Account, "Owner", "List")
	s.AddGroup("Helpdesk")
	s.Grant(clients, "Helpdesk", "View", "View")
	s.AddSecret(s.AddFolder(clients, "Our own office"), "alarm", "Password", map[string]string{"password": rand.Text()})
	return Server{s, password}, nil
}

func (d Server) Settings() []string {
	return []string{"CWVAULT_VAULT_URL=" + d.URL(), "CWVAULT_VAULT_USERNAME=" + Account, "CWVAULT_VAULT_PASSWORD=" + d.Password}
}

func (d Server) Describe() string {
	return "a Secret Server (built-in as well, at " + d.URL() + ")"
}

func (d Server) Look() []string { return nil }

// companies returns the company of every folder that has one, by folder.
func (d Server) Companies() map[int]sync.Key {
	keys := map[int]sync.Key{}
	for _, f := range d.Folders() {
		m, err := sync.ParseMark(f.Metadata["ConnectWise/Folder key"])
		if err != nil {
			continue
		}
		if _, ok := m.Key.CompanyID(); ok {
			keys[f.ID] = m.Key
		}
	}
	return keys
}

func (d Server) Fill(secrets func(sync.Key) []Secret) error {
	for id, company := range d.Companies() {
		for _, s := range secrets(company) {
			d.AddSecret(id, s.Name, "Password", map[string]string{"password": s.Content})
		}
	}
	return nil
}

func (d Server) Each(f func(sync.Key, string) error) error {
	companies := d.Companies()
	if len(companies) == 0 {
		return errors.New("no folder is marked")
	}
	for _, s := range d.Secrets() {
		if company, ok := companies[s.FolderID]; ok {
			if err := f(company, s.Fields["password"]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Dir returns the directory of the store.
func (d Store) Dir() string { return d.dir }
