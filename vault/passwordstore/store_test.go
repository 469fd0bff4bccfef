package passwordstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cwvault/sync"
	"cwvault/vault"
	"cwvault/vault/vaulttest"

	"github.com/google/go-cmp/cmp"
)

// open opens the store in dir with the root \Clients.
func open(t testing.TB, dir string, options ...func(*Config)) *Store {
	t.Helper()
	cfg := Config{Dir: dir, Root: `\Clients`}
	for _, o := range options {
		o(&cfg)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func preserve(cfg *Config) { cfg.Access = Preserve }

// mark is the mark of the company with this number.
func mark(id int) sync.Mark { return sync.Mark{Tenant: "acmeinc", Key: sync.CompanyKey(id)} }

// files writes a store: paths with their contents; those that end in a slash
// are directories.
func files(t testing.TB, dir string, content map[string]string) {
	t.Helper()
	for name, data := range content {
		path := filepath.Join(dir, filepath.FromSlash(name))
		parent := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			parent = path
		}
		err := os.MkdirAll(parent, 0o700)
		if err == nil && parent != path {
			err = os.WriteFile(path, []byte(data), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// snapshot returns what is in a directory: contents of files, "/" for empty
// directories, "-> target" for links.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case name == ".git":
			return fs.SkipDir
		case e.IsDir():
			entries, err := os.ReadDir(path)
			if len(entries) == 0 {
				all[name] = "/"
			}
			return err
		case e.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			all[name] = "-> " + target
			return err
		case !e.Type().IsRegular():
			all[name] = e.Type().String()
			return nil
		}
		data, err := os.ReadFile(path)
		all[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestContract(t *testing.T) {
	for _, root := range []string{`\Clients`, `\Team A\Customers/All`} {
		t.Run(root, func(t *testing.T) {
			vaulttest.Suite(t, func(t *testing.T) vaulttest.Harness { return harness(t, root) })
		})
	}
}

func harness(t *testing.T, root string) vaulttest.Harness {
	dir := newStore(t)
	s := open(t, dir, func(cfg *Config) { cfg.Root = root })
	top := filepath.Join(append([]string{dir}, s.root...)...)
	at := func(path string) string { return filepath.Join(top, strings.ReplaceAll(path, `\`, "/")) }
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	return vaulttest.Harness{
		Vault: s,
		Reopen: func(t *testing.T) vault.Vault {
			return open(t, dir, func(cfg *Config) { cfg.Root = root })
		},
		MakeFolder: func(t *testing.T, path string) { must(t, os.Mkdir(at(path), 0o755)) },
		MoveFolder: func(t *testing.T, from, to string) { must(t, os.Rename(at(from), at(to))) },
		PutSecret: func(t *testing.T, folder, name, value string) {
			must(t, os.WriteFile(filepath.Join(at(folder), name+".gpg"), []byte(value), 0o600))
		},
		Secrets: func(t *testing.T) map[string]string {
			secrets := map[string]string{}
			for name, data := range snapshot(t, dir) {
				if path, ok := strings.CutSuffix(name, ".gpg"); ok {
					path = strings.TrimPrefix(path, strings.Join(s.root, "/")+"/")
					secrets[strings.ReplaceAll(path, "/", `\`)] = data
				}
			}
			return secrets
		},
		SpoilMark: func(t *testing.T, folder string) {
			must(t, os.WriteFile(filepath.Join(at(folder), markFile), []byte(`{"cwvault":2,"tenant":"acmeinc","key":"company/1"}`+"\n"), 0o600))
		},
		Faults: faults(dir),
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{"store/": "", "file": "x"})
	if err := os.Symlink("store", filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	for name, tt := range map[string]struct {
		cfg   Config
		field string // that is wrong; none when empty
		text  string // part of what is said about it
	}{
		"plain":             {cfg: Config{Dir: "store", Root: "Clients"}},
		"slashes":           {cfg: Config{Dir: "store", Root: `/Team\Clients/`}},
		"linked":            {cfg: Config{Dir: "link", Root: `\Clients`}},
		"preserve":          {cfg: Config{Dir: "store", Root: `\Clients`, Access: Preserve}},
		"inherit":           {cfg: Config{Dir: "store", Root: `\Clients`, Access: Inherit}},
		"hold":              {cfg: Config{Dir: "store", Root: `\Clients`, Access: Hold}},
		"missing":           {Config{Dir: "nowhere", Root: `\Clients`}, "Dir", "nowhere\": not found"},
		"a file":            {Config{Dir: "file", Root: `\Clients`}, "Dir", "not a directory"},
		"no root":           {Config{Dir: "store", Root: `\`}, "Root", "below the store"},
		"dots":              {Config{Dir: "store", Root: `..\Clients`}, "Root", "begins with a dot"},
		"hidden":            {Config{Dir: "store", Root: `.git`}, "Root", "begins with a dot"},
		"access misspelled": {Config{Dir: "store", Root: `\Clients`, Access: "preserv"}, "Access", `access "preserv"`},
	} {
		t.Run(name, func(t *testing.T) {
			tt.cfg.Dir = filepath.Join(dir, tt.cfg.Dir)
			s, err := Open(tt.cfg)
			if err == nil {
				defer s.Close()
			}
			var problems sync.Problems
			errors.As(err, &problems)
			switch {
			case tt.field == "" && err == nil:
			case len(problems) != 1 || problems[0].Setting != tt.field || !strings.Contains(problems[0].Text, tt.text):
				t.Errorf("Open: error %#v, want %s: %s", err, tt.field, tt.text)
			}
		})
	}
	_, err := Open(Config{Dir: filepath.Join(dir, "nowhere"), Root: "..", Access: "maybe"})
	var problems sync.Problems
	if errors.As(err, &problems); len(problems) != 3 {
		t.Errorf("%v, want all three fields", err)
	}
	if s, err := Open(Config{Root: `\Clients`}); err == nil {
		s.Close()
		t.Error("Open without a directory: no error")
	}
}

// A store whose directory is moved or replaced while it is open stays the one
// that was opened.
func TestOpenIsResolvedOnce(t *testing.T) {
	base := t.TempDir()
	files(t, base, map[string]string{"a/Clients/": "", "b/Clients/": ""})
	link := filepath.Join(base, "link")
	if err := os.Symlink("a", link); err != nil {
		t.Skip(err)
	}
	s := open(t, link)
	if err := errors.Join(os.Remove(link), os.Symlink("b", link)); err != nil {
		t.Fatal(err)
	}
	root, err := s.CreateRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), root.ID, "Acme", mark(1)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{
		"link": "-> b", "b/Clients": "/",
		"a/Clients/Acme/.cwvault": `{"cwvault":1,"tenant":"acmeinc","key":"company/1"}` + "\n",
	}, snapshot(t, base)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestNameRules(t *testing.T) {
	for goos, want := range map[string]map[string]bool{
		"linux": {"Acme.gpg": true, "ACME.GPG": true, "x.age": true, "Acme.gpg (X)": false, "CON": false, "Acme.gpgx": false, ".age": true},
		"windows": {"Acme.gpg": true, "con": true, "COM1": true, "LPT³": true, "COM": false, "COM10": false, "CON (X)": false,
			"conin$": true, "Conrad": false, "Aux.": false},
	} {
		rules := nameRules(goos)
		for name, special := range want {
			if got := rules.Special(name); got != special {
				t.Errorf("on %s Special(%q) = %v", goos, name, got)
			}
		}
		if got := rules.Length("äö€"); got != 7 {
			t.Errorf("on %s Length counts %d, want bytes", goos, got)
		}
	}
}
