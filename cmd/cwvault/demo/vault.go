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

// demoVault is where the demo's technicians work. It goes round cwvault: what
// the demo claims is looked up on the other side.
type demoVault interface {
	settings() []string
	describe() string
	// fill puts secrets into every company folder.
	fill(secrets func(company sync.Key) []demoSecret) error
	// each calls f for every secret in a company folder.
	each(f func(company sync.Key, content string) error) error
	// look says where a person can look.
	look() []string
	close()
}

type demoSecret struct{ name, content string }

var demoSecretNames = []string{"domain-admin", "firewall", "office365"}

func randomText() string { return rand.Text() }

// demoStore is a password store on disk.
type demoStore struct{ dir string }

// newDemoStore makes a store with one folder of the operator's own, under git
// where there is git.
func newDemoStore(ctx context.Context, dir string) (demoStore, error) {
	d := demoStore{dir}
	own := filepath.Join(dir, "Clients", "Our own office")
	err := os.MkdirAll(own, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, ".gpg-id"), []byte("demo@example.invalid\n"), 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(own, "alarm.gpg"), []byte(randomText()), 0o600)
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

func (d demoStore) settings() []string { return []string{"CWVAULT_VAULT_URL=passwordstore:" + d.dir} }

func (d demoStore) describe() string { return "a password store in " + d.dir }

func (d demoStore) close() {}

func (d demoStore) look() []string {
	lines := []string{fmt.Sprintf("%-52s the folders", "ls "+filepath.Join(d.dir, "Clients")+"/*")}
	if _, err := os.Stat(filepath.Join(d.dir, ".git")); err == nil {
		lines = append(lines, fmt.Sprintf("%-52s one commit for each run", "git -C "+d.dir+" log --oneline"))
	}
	return lines
}

// companies calls f for every company folder of the store.
func (d demoStore) companies(f func(dir string, company sync.Key) error) error {
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

func (d demoStore) fill(secrets func(sync.Key) []demoSecret) error {
	return d.companies(func(dir string, company sync.Key) error {
		for _, s := range secrets(company) {
			if err := os.WriteFile(filepath.Join(dir, s.name+".gpg"), []byte(s.content), 0o600); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d demoStore) each(f func(sync.Key, string) error) error {
	return d.companies(func(dir string, company sync.Key) error {
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

// demoServer is a built-in Secret Server.
type demoServer struct {
	*secretservertest.Server
	password string
}

// demoAccount is the account that cwvault uses there.
const demoAccount = "svc-cwvault"

func newDemoServer() (demoServer, error) {
	password := randomText()
	s, err := secretservertest.New(secretservertest.Options{Username: demoAccount, Password: password})
	if err != nil {
		return demoServer{}, err
	}
	clients := s.AddFolder(-1, "Clients")
	s.Grant(clients, demoAccount, "Owner", "List")
	s.AddGroup("Helpdesk")
	s.Grant(clients, "Helpdesk", "View", "View")
	s.AddSecret(s.AddFolder(clients, "Our own office"), "alarm", "Password", map[string]string{"password": randomText()})
	return demoServer{s, password}, nil
}

func (d demoServer) settings() []string {
	return []string{"CWVAULT_VAULT_URL=" + d.URL(), "CWVAULT_VAULT_USERNAME=" + demoAccount, "CWVAULT_VAULT_PASSWORD=" + d.password}
}

func (d demoServer) describe() string {
	return "a Secret Server (built-in as well, at " + d.URL() + ")"
}

func (d demoServer) close() { d.Close() }

func (d demoServer) look() []string { return nil }

// companies returns the company of every folder that has one, by folder.
func (d demoServer) companies() map[int]sync.Key {
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

func (d demoServer) fill(secrets func(sync.Key) []demoSecret) error {
	for id, company := range d.companies() {
		for _, s := range secrets(company) {
			d.AddSecret(id, s.name, "Password", map[string]string{"password": s.content})
		}
	}
	return nil
}

func (d demoServer) each(f func(sync.Key, string) error) error {
	companies := d.companies()
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
