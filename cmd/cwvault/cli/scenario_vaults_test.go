package cli

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cwvault/cmd/cwsim/simworld"
	"cwvault/cmd/cwvault/demo"
	"cwvault/sync"
	"cwvault/sync/synctest"
	"cwvault/vault/secretserver/secretservertest"
)

// tenant is the ConnectWise tenant of all scenarios. Its name is left out of
// the marks that they draw.
const tenant = "acmeinc"

// scenarioVault is a vault as a person with all rights sees it, past cwvault.
// Folders have ids that they keep when they move.
type scenarioVault interface {
	Settings() []string
	folders() ([]seen, error)
	// add makes a folder, with its mark, readers and secrets, without those in
	// it. An empty parent is the top.
	add(parent string, d *synctest.Folder) (id string, err error)
	setMark(id, mark string) error
	addSecret(id, name string) error
	move(id, parent, name string) error
	remove(id string) error
}

// drawnMark writes a mark as drawings have it.
func drawnMark(m sync.Mark) string {
	return synctest.WriteMark(synctest.WithoutTenant(tenant, m), false)
}

// parseDrawnMark reads one. A mark that cannot be read is none.
func parseDrawnMark(s string) sync.Mark {
	m, _, err := synctest.ParseMark(s)
	if err != nil {
		return sync.Mark{}
	}
	return synctest.Of(tenant, m)
}

// scenarioStore is a password store on disk.
type scenarioStore struct {
	dir   string
	found []os.FileInfo // every directory ever seen; its index is its id
	paths map[string]string
}

func newScenarioStore(t *testing.T) *scenarioStore {
	t.Helper()
	s := &scenarioStore{dir: filepath.Join(t.TempDir(), "store"), paths: map[string]string{}}
	s.paths[""] = s.dir
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, ".gpg-id"), []byte(simworld.Everybody+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scenarioStore) Settings() []string {
	return []string{"CWVAULT_VAULT_URL=passwordstore:" + s.dir}
}

func (s *scenarioStore) id(info os.FileInfo) string {
	i := slices.IndexFunc(s.found, func(f os.FileInfo) bool { return os.SameFile(f, info) })
	if i < 0 {
		i = len(s.found)
		s.found = append(s.found, info)
	}
	return strconv.Itoa(i)
}

func (s *scenarioStore) folders() ([]seen, error) {
	var list []seen
	var walk func(parent, dir string) error
	walk = func(parent, dir string) error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			path := filepath.Join(dir, e.Name())
			info, err := os.Lstat(path)
			if err != nil {
				return err
			}
			f := seen{id: s.id(info), parent: parent, name: e.Name()}
			s.paths[f.id] = path
			if err := f.readFrom(path); err != nil {
				return err
			}
			list = append(list, f)
			if err := walk(f.id, path); err != nil {
				return err
			}
		}
		return nil
	}
	return list, walk("", s.dir)
}

// readFrom adds what the files in a directory say of it.
func (f *seen) readFrom(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if file.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			return err
		}
		name, isSecret := strings.CutSuffix(file.Name(), ".gpg")
		switch {
		case file.Name() == ".gpg-id":
			f.readers = strings.Split(strings.TrimSpace(string(b)), "\n")
		case file.Name() == ".cwvault":
			var m struct {
				Tenant string
				Key    sync.Key
			}
			if err := json.Unmarshal(b, &m); err != nil {
				return err
			}
			if f.mark = drawnMark(sync.Mark{Tenant: m.Tenant, Key: m.Key}); m.Key == "" {
				f.mark = unreadable
			}
		case isSecret:
			f.secrets = append(f.secrets, name)
			if string(b) != secretContent(name) {
				return fmt.Errorf("the secret %s has changed", name)
			}
		}
	}
	return nil
}

func secretContent(name string) string { return "content-of-" + name }

func (s *scenarioStore) add(parent string, d *synctest.Folder) (string, error) {
	path := filepath.Join(s.paths[parent], d.Name)
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	id := s.id(info)
	s.paths[id] = path
	if mark := synctest.WriteMark(d.Mark, d.BadMark); mark != "" {
		err = s.setMark(id, mark)
	}
	if err == nil && len(d.Readers) > 0 {
		err = os.WriteFile(filepath.Join(path, ".gpg-id"), []byte(strings.Join(d.Readers, "\n")+"\n"), 0o600)
	}
	for _, name := range d.Secrets {
		if err == nil {
			err = s.addSecret(id, name)
		}
	}
	return id, err
}

func (s *scenarioStore) setMark(id, mark string) error {
	b := []byte(`{"cwvault":2}` + "\n")
	if mark != unreadable {
		m := parseDrawnMark(mark)
		b = fmt.Appendf(nil, `{"cwvault":1,"tenant":%q,"key":%q}`+"\n", m.Tenant, string(m.Key))
	}
	return os.WriteFile(filepath.Join(s.paths[id], ".cwvault"), b, 0o600)
}

func (s *scenarioStore) addSecret(id, name string) error {
	return os.WriteFile(filepath.Join(s.paths[id], name+".gpg"), []byte(secretContent(name)), 0o600)
}

func (s *scenarioStore) move(id, parent, name string) error {
	return os.Rename(s.paths[id], filepath.Join(s.paths[parent], name))
}

func (s *scenarioStore) remove(id string) error { return os.RemoveAll(s.paths[id]) }

// scenarioServer is a Secret Server.
type scenarioServer struct {
	*simworld.SecretServer
	password string
}

func newScenarioServer(t *testing.T) *scenarioServer {
	t.Helper()
	password := rand.Text()
	s, err := secretservertest.New(secretservertest.Options{Username: demo.Account, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &scenarioServer{&simworld.SecretServer{Server: s, Account: demo.Account, Tenant: tenant, Value: secretContent}, password}
}

func (s *scenarioServer) Settings() []string {
	return []string{"CWVAULT_VAULT_URL=" + s.URL(), "CWVAULT_VAULT_USERNAME=" + demo.Account, "CWVAULT_VAULT_PASSWORD=" + s.password}
}

func (s *scenarioServer) folders() ([]seen, error) {
	var list []seen
	at := map[int]int{}
	for _, f := range s.Folders() {
		one := seen{id: strconv.Itoa(f.ID), name: f.Name, readers: s.ReadersOf(f)}
		if f.ParentID > 0 {
			one.parent = strconv.Itoa(f.ParentID)
		}
		one.mark = synctest.WriteMark(s.MarkOf(f))
		at[f.ID] = len(list)
		list = append(list, one)
	}
	for _, secret := range s.Secrets() {
		list[at[secret.FolderID]].secrets = append(list[at[secret.FolderID]].secrets, secret.Name)
		if secret.Fields["password"] != secretContent(secret.Name) {
			return nil, fmt.Errorf("the secret %s has changed", secret.Name)
		}
	}
	return list, nil
}

func (s *scenarioServer) add(parent string, d *synctest.Folder) (string, error) {
	above := -1
	if parent != "" {
		var err error
		if above, err = strconv.Atoi(parent); err != nil {
			return "", err
		}
	}
	id, err := s.Add(above, d)
	return strconv.Itoa(id), err
}

func (s *scenarioServer) setMark(id, mark string) error {
	folder, err := strconv.Atoi(id)
	m, bad, err2 := synctest.ParseMark(mark)
	if err = errors.Join(err, err2); err == nil {
		s.SetMark(folder, m, bad)
	}
	return err
}

func (s *scenarioServer) addSecret(id, name string) error {
	folder, err := strconv.Atoi(id)
	if err == nil {
		s.PutSecret(folder, name)
	}
	return err
}

func (s *scenarioServer) move(id, parent, name string) error {
	folder, err := strconv.Atoi(id)
	to, err2 := strconv.Atoi(parent)
	if err = errors.Join(err, err2); err != nil {
		return err
	}
	if f, _ := s.Folder(folder); f.ParentID != to {
		if err := s.MoveFolder(folder, to, "admin"); err != nil {
			return err
		}
	}
	if f, _ := s.Folder(folder); f.Name != name {
		return s.RenameFolder(folder, name, "admin")
	}
	return nil
}

func (s *scenarioServer) remove(id string) error {
	folder, err := strconv.Atoi(id)
	if err == nil {
		s.DeleteFolder(folder, "admin")
	}
	return err
}
