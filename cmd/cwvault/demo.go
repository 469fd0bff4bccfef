package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"cwvault/connectwise/connectwisetest"
)

type demoCmd struct {
	Dir   string `default:"./cwvault-demo" help:"Directory to make for the demo."`
	Serve bool   `help:"Go on as a service afterwards, while things keep changing in ConnectWise. Stop with Ctrl-C."`
}

// demo is a run of the demo. All that it shows are runs of the real commands.
type demo struct {
	app   *app
	dir   string
	world *demoWorld
	env   []string
	step  int
	// secrets are the files that technicians put into company folders: what
	// each holds, by company.
	secrets map[string]string
}

// Run tells the story.
func (cmd demoCmd) Run(a *app) error {
	if entries, err := os.ReadDir(cmd.Dir); err == nil && len(entries) > 0 {
		return usagef("%s exists already; remove it, or choose another with --dir", cmd.Dir)
	}
	d := &demo{app: a, dir: cmd.Dir, secrets: map[string]string{}}
	if err := d.makeStore(); err != nil {
		return fmt.Errorf("make the store: %w", err)
	}
	server, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		return fmt.Errorf("start the built-in ConnectWise: %w", err)
	}
	defer server.Close()
	d.world = newDemoWorld(server)
	d.env = d.settings(server)
	if err := d.story(); err != nil {
		return err
	}
	if cmd.Serve {
		return d.serve()
	}
	return nil
}

func (d *demo) store() string { return filepath.Join(d.dir, "password-store") }

// makeStore makes a password store with one folder of the operator's own.
func (d *demo) makeStore() error {
	own := filepath.Join(d.store(), "Clients", "Our own office")
	if err := os.MkdirAll(own, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.store(), ".gpg-id"), []byte("demo@example.invalid\n"), 0o600); err != nil {
		return err
	}
	if err := d.putSecret(filepath.Join(own, "alarm.gpg"), "ours"); err != nil {
		return err
	}
	git, err := exec.LookPath("git")
	if err != nil {
		return nil // then the store is none of git's, which is as good
	}
	for _, args := range [][]string{
		{"init", "-q"}, {"config", "user.name", "cwvault demo"}, {"config", "user.email", "demo@example.invalid"},
		{"config", "commit.gpgsign", "false"}, {"add", "."}, {"commit", "-q", "-m", "The store before cwvault"},
	} {
		ctx, cancel := context.WithTimeout(d.app.ctx, time.Minute)
		c := exec.CommandContext(ctx, git, args...)
		c.Dir = d.store()
		out, err := c.CombinedOutput()
		cancel()
		if err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// putSecret writes a file that stands for an encrypted secret, with content
// that no other has, and notes whose it is.
func (d *demo) putSecret(path, owner string) error {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return err
	}
	content := hex.EncodeToString(b)
	d.secrets[content] = owner
	return os.WriteFile(path, []byte(content), 0o600)
}

// settings are the environment for the commands that the demo runs.
func (d *demo) settings(server *connectwisetest.Server) []string {
	var env []string
	for _, entry := range d.app.environ { // keep NO_COLOR and the like, drop the operator's real settings
		if !strings.HasPrefix(entry, "CWVAULT_") {
			env = append(env, entry)
		}
	}
	return append(env,
		"CWVAULT_CONNECTWISE_URL="+server.URL(),
		"CWVAULT_CONNECTWISE_COMPANY_ID="+server.Tenant(),
		"CWVAULT_CONNECTWISE_PUBLIC_KEY="+server.PublicKey(),
		"CWVAULT_CONNECTWISE_PRIVATE_KEY="+server.PrivateKey(),
		"CWVAULT_CONNECTWISE_CLIENT_ID="+server.ClientID(),
		"CWVAULT_VAULT_URL=passwordstore:"+d.store(),
		"CWVAULT_STATE="+filepath.Join(d.dir, "cwvault.db"),
		"CWVAULT_LOG_LEVEL=warn",
	)
}

func (d *demo) story() error {
	d.say("A service provider has %d companies in ConnectWise (a built-in one, listening on this machine only)\nand a password store in %s. What would cwvault do?", len(d.world.ids), d.store())
	if err := d.run("plan.txt", exitOK, "plan"); err != nil {
		return err
	}
	d.say("Nothing has changed so far. Now do it.")
	if err := d.run("resync.txt", exitOK, "resync"); err != nil {
		return err
	}
	n, err := d.fillFolders()
	if err != nil {
		return err
	}
	d.say("Technicians put %d secrets into the new folders. A month goes by in ConnectWise:", n)
	for _, line := range d.world.month() {
		d.print("  - %s\n", plain(line))
	}
	d.say("What does that mean for the store?")
	if err := d.run("month-plan.txt", exitPending, "plan", "--detailed-exitcode"); err != nil {
		return err
	}
	d.say("Each folder is found by its mark, so renames and moves take the secrets along.")
	if err := d.run("month-resync.txt", exitOK, "resync"); err != nil {
		return err
	}
	if n, err = d.checkSecrets(); err != nil {
		return err
	}
	d.say("All %d secrets were looked up on disk: each is still in the folder of its own company. One more plan:", n)
	if err := d.run("last-plan.txt", exitOK, "plan", "--detailed-exitcode"); err != nil {
		return err
	}
	d.say("Nothing is left to do. Have a look:")
	d.print("  ls %s/Clients/*                  the folders\n", d.store())
	d.print("  cat %s/month-plan.txt                   what the month changed, in full\n", d.dir)
	if _, err := os.Stat(filepath.Join(d.store(), ".git")); err == nil {
		d.print("  git -C %s log --stat -1   one commit for each run\n", d.store())
	}
	d.print("  %s/cwvault.db                           the journal of all runs\n", d.dir)
	d.print("\nThe README says how to point cwvault at your own ConnectWise and vault.\n")
	return nil
}

func (d *demo) print(format string, args ...any) { fmt.Fprintf(d.app.stdout, format, args...) }

func (d *demo) say(format string, args ...any) { d.print("\n"+format+"\n", args...) }

// shown is how many lines of a command's output the demo prints.
const shown = 24

// run runs a command of cwvault, keeps its output in a file and shows the
// beginning and the end of it.
func (d *demo) run(file string, want int, args ...string) error {
	d.step++
	d.print("\n$ cwvault %s\n", strings.Join(args, " "))
	var out bytes.Buffer
	code := run(d.app.ctx, args, d.env, &out, d.app.stderr)
	path := filepath.Join(d.dir, file)
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	for i, line := range lines {
		switch {
		case len(lines) <= shown+8 || i < shown || i >= len(lines)-4:
			d.print("  %s\n", line)
		case i == shown:
			d.print("  ... %d more lines in %s ...\n", len(lines)-shown-4, path)
		}
	}
	if code != want {
		return codeError{code, fmt.Errorf("cwvault %s ended with %d, not with %d", strings.Join(args, " "), code, want)}
	}
	return nil
}

// companyFolders calls f for every company folder of the store.
func (d *demo) companyFolders(f func(dir, key string) error) error {
	return filepath.WalkDir(d.store(), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() != ".cwvault" {
			return err
		}
		mark, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, key, _ := strings.Cut(string(mark), `"key":"`)
		key, _, _ = strings.Cut(key, `"`)
		if !strings.HasPrefix(key, "company/") {
			return nil
		}
		return f(filepath.Dir(path), key)
	})
}

// fillFolders puts secrets into every company folder.
func (d *demo) fillFolders() (n int, err error) {
	err = d.companyFolders(func(dir, key string) error {
		id, err := strconv.Atoi(strings.TrimPrefix(key, "company/"))
		if err != nil {
			return err
		}
		for _, name := range []string{"domain-admin.gpg", "firewall.gpg", "office365.gpg"}[:1+id%3] {
			if err := d.putSecret(filepath.Join(dir, name), key); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err == nil && n == 0 {
		err = errors.New("the first resync made no company folder")
	}
	return n, err
}

// checkSecrets sees that every secret is still there, in its company's folder.
func (d *demo) checkSecrets() (int, error) {
	left := maps.Clone(d.secrets)
	err := d.companyFolders(func(dir, key string) error {
		files, err := filepath.Glob(filepath.Join(globQuote(dir), "*.gpg"))
		if err != nil {
			return err
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if owner := left[string(b)]; owner != key {
				return fmt.Errorf("%s is in the folder of %s and belongs to %s", file, key, owner)
			}
			delete(left, string(b))
		}
		return nil
	})
	for _, owner := range left {
		if owner != "ours" && err == nil {
			err = fmt.Errorf("a secret of %s is gone", owner)
		}
	}
	return len(d.secrets) - len(left), err
}

// globQuote makes a path mean itself to filepath.Glob.
func globQuote(path string) string {
	return strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(path)
}

// serve runs the service while companies keep changing.
func (d *demo) serve() error {
	d.say("cwvault goes on as a service, every 10 seconds; a company changes every 5. Stop it with Ctrl-C.")
	ctx, cancel := context.WithCancel(d.app.ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				id := d.world.ids[(len(demoOdd)+7*n)%len(d.world.ids)]
				d.world.rename(id, d.world.names[id]+" "+strconv.Itoa(n+1))
			}
		}
	}()
	env := append(d.env, "CWVAULT_SCHEDULE=@every 10s", "CWVAULT_LOG_LEVEL=info")
	code := run(ctx, []string{"serve"}, env, io.Discard, d.app.stderr)
	cancel()
	<-ended
	if code != exitOK {
		return resultCode(code)
	}
	return nil
}
