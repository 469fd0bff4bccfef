package passwordstore

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cwvault/sync"
	"cwvault/vault"
	"cwvault/vault/vaulttest"

	"github.com/google/go-cmp/cmp"
)

// passStore is a store that the real pass has made, with keys without
// passphrases for Alice and Bob.
type passStore struct {
	gitStore
	env []string
}

func newPassStore(t *testing.T) passStore {
	for _, tool := range []string{"pass", "gpg", "git", "tree"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	// A short path: gpg-agent listens on a socket in its home directory.
	home, err := os.MkdirTemp("", "cw")
	if err != nil {
		t.Fatal(err)
	}
	p := passStore{gitStore{t, filepath.Join(t.TempDir(), "store")}, []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GNUPGHOME=" + home, "LC_ALL=C.UTF-8", "TERM=dumb",
	}}
	p.env = append(p.env, "PASSWORD_STORE_DIR="+p.dir)
	t.Setenv("HOME", home)
	t.Setenv("GNUPGHOME", home)
	t.Cleanup(func() {
		p.run("", "gpgconf", "--kill", "all")
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"alice@example.com", "bob@example.com"} {
		p.run("", "gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", name, "future-default", "default", "never")
	}
	p.run("", "git", "config", "--global", "user.name", "Alice")
	p.run("", "git", "config", "--global", "user.email", "alice@example.com")
	p.run("", "pass", "init", "alice@example.com")
	p.run("", "pass", "git", "init", "--quiet")
	return p
}

func (p passStore) run(stdin, name string, args ...string) string {
	p.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = p.env
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// insert puts a secret, whose value is its first place, into the store.
func (p passStore) insert(paths ...string) {
	p.Helper()
	for _, path := range paths {
		p.run("value of "+path+"\n", "pass", "insert", "--multiline", path)
	}
}

// shows fails the test unless pass decrypts the secrets at these places to the
// values that they were given at those.
func (p passStore) shows(places map[string]string) {
	p.Helper()
	for path, first := range places {
		if got, want := p.run("", "pass", "show", path), "value of "+first+"\n"; got != want {
			p.Errorf("pass show %q = %q, want %q", path, got, want)
		}
	}
}

// colours are in the output of tree.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// The real pass sees what cwvault did, and nothing else.
func TestPass(t *testing.T) {
	p := newPassStore(t)
	p.insert("mail", "Clients/Prospect/Alovet/router", "Clients/Prospect/Alovet/Site 1/wifi", "Clients/Prospect/Babel/router", "Clients/Lost/old")
	commits := strings.Count(p.git("log", "--format=%h"), "\n") + 1

	s := open(t, p.dir)
	ctx := t.Context()
	paths := vaulttest.Paths(ctx, t, s)
	for path, m := range map[string]sync.Mark{
		"Prospect": {Tenant: "acmeinc", Key: "group/type:2"}, `Prospect\Alovet`: mark(250), `Prospect\Babel`: mark(251),
	} {
		if err := s.Mark(ctx, paths[path].ID, m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Commit(ctx, "cwvault: adopt 3 folders"); err != nil {
		t.Fatal(err)
	}
	root := paths[""].ID
	customer := do(s.Create(ctx, root, "Customer", sync.Mark{Tenant: "acmeinc", Key: "group/type:1"}))
	do(s.Create(ctx, customer.ID, "Zülpich & Söhne", mark(252)))
	do(s.Update(ctx, paths[`Prospect\Alovet`].ID, customer.ID, "Alovet, Inc."))
	do(s.Update(ctx, paths[`Prospect\Babel`].ID, paths["Prospect"].ID, "Babel $HOME"))
	if err := s.Commit(ctx, "cwvault: create 2, rename 1, move 1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, "cwvault: nothing"); err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(`Clients
├── Customer
│   ├── Alovet, Inc.
│   │   ├── Site 1
│   │   │   └── wifi
│   │   └── router
│   └── Zülpich & Söhne
├── Lost
│   └── old
└── Prospect
    └── Babel $HOME
        └── router
`, strings.ReplaceAll(colours.ReplaceAllString(p.run("", "pass", "ls", "Clients"), ""), "\u00a0", " ")); diff != "" {
		t.Errorf("pass ls (-want +got):\n%s", diff)
	}
	moved := map[string]string{
		"mail": "mail", "Clients/Lost/old": "Clients/Lost/old",
		"Clients/Customer/Alovet, Inc./router":      "Clients/Prospect/Alovet/router",
		"Clients/Customer/Alovet, Inc./Site 1/wifi": "Clients/Prospect/Alovet/Site 1/wifi",
		"Clients/Prospect/Babel $HOME/router":       "Clients/Prospect/Babel/router",
	}
	p.shows(moved)
	log := strings.Split(p.git("log", "--format=%an: %s"), "\n")
	if diff := cmp.Diff([]string{"Alice: cwvault: create 2, rename 1, move 1", "Alice: cwvault: adopt 3 folders"}, log[:len(log)-commits]); diff != "" {
		t.Errorf("git log (-want +got):\n%s", diff)
	}
	clean := func() {
		t.Helper()
		if status := p.git("status", "--porcelain"); status != "" {
			t.Errorf("git status:\n%s", status)
		}
	}
	clean()

	// And people go on with pass where cwvault left.
	p.insert("Clients/Customer/Zülpich & Söhne/firewall")
	p.run("", "pass", "mv", "Clients/Customer/Alovet, Inc./Site 1", "Clients/Customer/Alovet, Inc./Site 2")
	moved["Clients/Customer/Zülpich & Söhne/firewall"] = "Clients/Customer/Zülpich & Söhne/firewall"
	moved["Clients/Customer/Alovet, Inc./Site 2/wifi"] = moved["Clients/Customer/Alovet, Inc./Site 1/wifi"]
	delete(moved, "Clients/Customer/Alovet, Inc./Site 1/wifi")
	p.shows(moved)
	clean()
	paths = vaulttest.Paths(ctx, t, s)
	if n, err := s.Secrets(ctx, paths[`Customer\Alovet, Inc.`].ID); err != nil || n != 2 {
		t.Errorf("Secrets = %d, %v; want 2", n, err)
	}
	for path, want := range map[string]sync.Mark{`Customer\Alovet, Inc.`: mark(250), `Customer\Zülpich & Söhne`: mark(252), `Prospect\Babel $HOME`: mark(251)} {
		if got := paths[path].Mark; got != want {
			t.Errorf("mark of %q is %v, want %v", path, got, want)
		}
	}
}

// Two places with different recipients: the second lock holds, and what
// preserve promises is true in the eyes of GnuPG.
func TestPassRecipients(t *testing.T) {
	p := newPassStore(t)
	p.run("", "pass", "init", "--path=Clients/Leads", "alice@example.com", "bob@example.com")
	p.insert("Clients/Team/Acme/router", "Clients/Leads/Babel/router")
	recipients := func(path string) int { // how many keys a secret is encrypted to
		return strings.Count(p.run("", "gpg", "--batch", "--list-only", "--list-packets", filepath.Join(p.dir, path)), ":pubkey enc packet:")
	}
	if a, b := recipients("Clients/Team/Acme/router.gpg"), recipients("Clients/Leads/Babel/router.gpg"); a != 1 || b != 2 {
		t.Fatalf("encrypted to %d and %d keys, want 1 and 2", a, b)
	}
	ctx := t.Context()

	s := open(t, p.dir)
	paths := vaulttest.Paths(ctx, t, s)
	for path, want := range map[string][]string{`Team\Acme`: {"alice@example.com"}, `Leads\Babel`: {"alice@example.com", "bob@example.com"}} {
		if got, err := s.Audience(ctx, paths[path].ID); err != nil || !cmp.Equal(got, want) {
			t.Errorf("Audience(%q) = %q, %v; want %q", path, got, err, want)
		}
	}
	before := snapshot(t, p.dir)
	_, err := s.Update(ctx, paths[`Team\Acme`].ID, paths["Leads"].ID, "Acme")
	wantError(t, "Update", err, vault.ErrNotAllowed)
	if diff := cmp.Diff(before, snapshot(t, p.dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}

	s = open(t, p.dir, preserve)
	paths = vaulttest.Paths(ctx, t, s)
	do(s.Update(ctx, paths[`Team\Acme`].ID, paths["Leads"].ID, "Acme"))
	do(s.Update(ctx, paths[`Leads\Babel`].ID, paths["Team"].ID, "Babel"))
	if err := s.Commit(ctx, "cwvault: move 2"); err != nil {
		t.Fatal(err)
	}
	p.insert("Clients/Leads/Acme/new", "Clients/Team/Babel/new") // to whom it has always been
	if a, b := recipients("Clients/Leads/Acme/new.gpg"), recipients("Clients/Team/Babel/new.gpg"); a != 1 || b != 2 {
		t.Errorf("new secrets are encrypted to %d and %d keys, want 1 and 2", a, b)
	}
	p.shows(map[string]string{
		"Clients/Leads/Acme/router": "Clients/Team/Acme/router", "Clients/Team/Babel/router": "Clients/Leads/Babel/router",
		"Clients/Leads/Acme/new": "Clients/Leads/Acme/new", "Clients/Team/Babel/new": "Clients/Team/Babel/new",
	})
	if status := p.git("status", "--porcelain"); status != "" {
		t.Errorf("git status:\n%s", status)
	}
}
