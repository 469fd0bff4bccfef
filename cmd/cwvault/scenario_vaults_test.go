package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cwvault/sync"
	"cwvault/vault/secretserver/secretservertest"
)

// tenant is the ConnectWise tenant of all scenarios. Its name is left out of
// the marks that they draw.
const tenant = "acmeinc"

// everybody can read what is in a vault unless a folder says otherwise.
const everybody = "team"

// scenarioVault is a vault as a person with all rights sees it, past cwvault.
// Folders have ids that they keep when they move.
type scenarioVault interface {
	settings() []string
	folders() ([]seen, error)
	// add makes a folder, with its mark, readers and secrets, without those in
	// it. An empty parent is the top.
	add(parent string, d *drawn) (id string, err error)
	setMark(id, mark string) error
	addSecret(id, name string) error
	move(id, parent, name string) error
	remove(id string) error
}

func drawnMark(m sync.Mark) string {
	if m.Tenant == tenant {
		return string(m.Key)
	}
	return m.String()
}

func parseDrawnMark(s string) sync.Mark {
	if other, key, ok := strings.Cut(s, " "); ok {
		return sync.Mark{Tenant: other, Key: sync.Key(key)}
	}
	return sync.Mark{Tenant: tenant, Key: sync.Key(s)}
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
	if err := os.WriteFile(filepath.Join(s.dir, ".gpg-id"), []byte(everybody+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scenarioStore) settings() []string {
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

func (s *scenarioStore) add(parent string, d *drawn) (string, error) {
	path := filepath.Join(s.paths[parent], d.name)
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	id := s.id(info)
	s.paths[id] = path
	if d.mark != "" {
		err = s.setMark(id, d.mark)
	}
	if err == nil && len(d.readers) > 0 {
		err = os.WriteFile(filepath.Join(path, ".gpg-id"), []byte(strings.Join(d.readers, "\n")+"\n"), 0o600)
	}
	for _, name := range d.secrets {
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
	demoServer
	groups map[string]bool
}

func newScenarioServer(t *testing.T) *scenarioServer {
	t.Helper()
	password := randomText()
	s, err := secretservertest.New(secretservertest.Options{Username: demoAccount, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &scenarioServer{demoServer{s, password}, map[string]bool{}}
}

func (s *scenarioServer) folders() ([]seen, error) {
	var list []seen
	at := map[int]int{}
	for _, f := range s.Folders() {
		one := seen{id: strconv.Itoa(f.ID), name: f.Name}
		if f.ParentID > 0 {
			one.parent = strconv.Itoa(f.ParentID)
		}
		if text, ok := f.Metadata["ConnectWise/Folder key"]; ok {
			m, err := sync.ParseMark(text)
			if one.mark = drawnMark(m); err != nil {
				one.mark = unreadable
			}
		}
		if !f.Inherits {
			for _, p := range f.Permissions {
				if p.Name != demoAccount && p.Name != "admin" {
					one.readers = append(one.readers, p.Name)
				}
			}
		}
		if f.ParentID <= 0 && slices.Equal(one.readers, []string{everybody}) {
			one.readers = nil
		}
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

func (s *scenarioServer) add(parent string, d *drawn) (string, error) {
	readers := d.readers
	folder := 0
	if parent == "" {
		folder = s.AddFolder(-1, d.name)
		s.Grant(folder, demoAccount, "Owner", "List")
		if readers == nil {
			readers = []string{everybody}
		}
	} else {
		n, err := strconv.Atoi(parent)
		if err != nil {
			return "", err
		}
		folder = s.AddFolder(n, d.name)
		if readers != nil {
			f, _ := s.Folder(folder)
			for _, p := range f.Permissions {
				if p.Name != demoAccount && p.Name != "admin" {
					s.Revoke(folder, p.Name)
				}
			}
		}
	}
	for _, name := range readers {
		if !s.groups[name] {
			s.AddGroup(name)
			s.groups[name] = true
		}
		s.Grant(folder, name, "View", "View")
	}
	id := strconv.Itoa(folder)
	var err error
	if d.mark != "" {
		err = s.setMark(id, d.mark)
	}
	for _, name := range d.secrets {
		err = errors.Join(err, s.addSecret(id, name))
	}
	return id, err
}

func (s *scenarioServer) setMark(id, mark string) error {
	folder, err := strconv.Atoi(id)
	text := "2 of a later version"
	if mark != unreadable {
		text = parseDrawnMark(mark).String()
	}
	if err == nil {
		s.SetMetadata(folder, "ConnectWise", "Folder key", text)
	}
	return err
}

func (s *scenarioServer) addSecret(id, name string) error {
	folder, err := strconv.Atoi(id)
	if err == nil {
		s.AddSecret(folder, name, "Password", map[string]string{"password": secretContent(name)})
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
