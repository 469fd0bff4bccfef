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
	"time"

	"cwvault/cmd/cwsim/simworld"
	"cwvault/sync"
	"cwvault/sync/synctest"
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

// NewStore makes a store with the folders of the world, under git where there
// is git.
func NewStore(ctx context.Context, dir string) (Store, error) {
	d := Store{dir}
	w, err := synctest.Parse(worldText)
	if err == nil {
		err = fill(dir, w.Vault)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, ".gpg-id"), []byte("demo@example.invalid\n"), 0o600)
	}
	if err != nil {
		return d, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"init", "-q"}, {"config", "user.name", "cwvault demo"}, {"config", "user.email", "demo@example.invalid"},
		{"config", "commit.gpgsign", "false"}, {"add", "."}, {"commit", "-q", "-m", "The store before cwvault"},
	} {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) {
			return d, nil // a store without git is as good
		}
		if err != nil {
			return d, fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(out))
		}
	}
	return d, nil
}

// fill makes a directory with drawn folders and their secrets. Whoever reads the
// store reads all of it.
func fill(dir string, in *synctest.Folder) error {
	err := os.MkdirAll(dir, 0o700)
	for _, name := range in.Secrets {
		err = errors.Join(err, putSecret(dir, Secret{name, rand.Text()}))
	}
	for _, f := range in.Folders {
		err = errors.Join(err, fill(filepath.Join(dir, f.Name), f))
	}
	return err
}

func putSecret(dir string, s Secret) error {
	return os.WriteFile(filepath.Join(dir, s.Name+".gpg"), []byte(s.Content), 0o600)
}

// Dir returns the directory of the store.
func (d Store) Dir() string { return d.dir }

// Settings implements [Vault].
func (d Store) Settings() []string { return []string{"CWVAULT_VAULT_URL=passwordstore:" + d.dir} }

// Describe implements [Vault].
func (d Store) Describe() string { return "a password store in " + d.dir }

// Close implements [Vault].
func (d Store) Close() {}

// Look implements [Vault].
func (d Store) Look() []string {
	lines := []string{fmt.Sprintf("%-52s the folders", "ls "+filepath.Join(d.dir, "Clients")+"/*")}
	if _, err := os.Stat(filepath.Join(d.dir, ".git")); err == nil {
		lines = append(lines, fmt.Sprintf("%-52s one commit for each run", "git -C "+d.dir+" log --oneline"))
	}
	return lines
}

// Companies calls f for every company folder of the store.
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

// Fill implements [Vault].
func (d Store) Fill(secrets func(sync.Key) []Secret) error {
	return d.Companies(func(dir string, company sync.Key) error {
		for _, s := range secrets(company) {
			if err := putSecret(dir, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// Each implements [Vault].
func (d Store) Each(f func(sync.Key, string) error) error {
	return d.Companies(func(dir string, company sync.Key) error {
		files := os.DirFS(dir)
		names, err := fs.Glob(files, "*.gpg")
		for _, name := range names {
			var content []byte
			if content, err = fs.ReadFile(files, name); err == nil {
				err = f(company, string(content))
			}
			if err != nil {
				break
			}
		}
		return err
	})
}

// Server is a built-in Secret Server.
type Server struct {
	*secretservertest.Server
	Password string
}

// Account is the account that cwvault uses there.
const Account = "svc-cwvault"

// NewServer starts a Secret Server with the folders of the world.
func NewServer() (Server, error) {
	w, err := synctest.Parse(worldText)
	if err != nil {
		return Server{}, err
	}
	password := rand.Text()
	s, err := secretservertest.New(secretservertest.Options{Username: Account, Password: password})
	if err != nil {
		return Server{}, err
	}
	vault := simworld.SecretServer{Server: s, Account: Account, Value: func(string) string { return rand.Text() }}
	if err := vault.Fill(w.Vault); err != nil {
		s.Close()
		return Server{}, err
	}
	return Server{s, password}, nil
}

// Settings implements [Vault].
func (d Server) Settings() []string {
	return []string{"CWVAULT_VAULT_URL=" + d.URL(), "CWVAULT_VAULT_USERNAME=" + Account, "CWVAULT_VAULT_PASSWORD=" + d.Password}
}

// Describe implements [Vault].
func (d Server) Describe() string {
	return "a Secret Server (built-in as well, at " + d.URL() + ")"
}

// Look implements [Vault].
func (d Server) Look() []string { return nil }

// Companies returns the company of every folder that has one, by folder.
func (d Server) Companies() map[int]sync.Key {
	vault := simworld.SecretServer{Server: d.Server}
	keys := map[int]sync.Key{}
	for _, f := range d.Folders() {
		m, _ := vault.MarkOf(f)
		if _, ok := m.Key.CompanyID(); ok {
			keys[f.ID] = m.Key
		}
	}
	return keys
}

// Fill implements [Vault].
func (d Server) Fill(secrets func(sync.Key) []Secret) error {
	for id, company := range d.Companies() {
		for _, s := range secrets(company) {
			d.AddSecret(id, s.Name, "Password", map[string]string{"password": s.Content})
		}
	}
	return nil
}

// Each implements [Vault].
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
