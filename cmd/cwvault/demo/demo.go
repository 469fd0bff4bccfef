// Package demo tells the whole story of cwvault on built-in servers: a first
// plan, the first resync, a month of changes, and what follows from them.
//
// All that it shows are runs of the real commands. It checks each claim in the
// vault itself, without cwvault. It is the only part of cwvault that knows the
// simulators.
package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	gosync "sync"
	"time"

	"cwvault/cmd/cwsim/simworld"
	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
	"cwvault/sync/synctest"
)

// Exec runs a command of cwvault with an environment, writes its result to out,
// and returns its exit code.
type Exec func(ctx context.Context, args, environ []string, out io.Writer) int

// The exit codes that the story expects.
const (
	wantDone    = 0
	wantPending = 2
)

// Options say where the story is told.
type Options struct {
	Dir     string    // made for it; must not exist, or be empty
	Vault   string    // passwordstore or secretserver
	Serve   bool      // run as a service afterwards, while things keep changing
	Environ []string  // of the process
	Out     io.Writer // for what the story says
	Exec    Exec
}

// ErrExists says that the directory of the demo is in use.
var ErrExists = errors.New("exists already; remove it, or choose another with --dir")

// ExitError says that a command did not end as the story expects.
type ExitError struct {
	Command   string
	Got, Want int
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("cwvault %s ended with %d, not with %d", e.Command, e.Got, e.Want)
}

// demo is a run of the demo. All that it shows are runs of the real commands.
type demo struct {
	Options
	ctx         context.Context
	connectwise *connectwisetest.Server
	companies   []sync.Company // in it
	vault       Vault
	env         []string // for the commands
	// secrets are what technicians put into company folders: whose each is, by
	// its content.
	secrets map[string]sync.Key
}

// Run tells the story. With Serve it ends when ctx does.
func Run(ctx context.Context, opt Options) error {
	if entries, err := os.ReadDir(opt.Dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s %w", opt.Dir, ErrExists)
	}
	d := &demo{Options: opt, ctx: ctx, secrets: map[string]sync.Key{}}
	err := os.MkdirAll(opt.Dir, 0o700)
	if err != nil {
		return err
	}
	if opt.Vault == "secretserver" {
		d.vault, err = NewServer()
	} else {
		d.vault, err = NewStore(ctx, filepath.Join(opt.Dir, "password-store"))
	}
	if err != nil {
		return fmt.Errorf("make the vault: %w", err)
	}
	defer d.vault.Close()
	if d.connectwise, err = connectwisetest.New(connectwisetest.Options{}); err != nil {
		return fmt.Errorf("start the built-in ConnectWise: %w", err)
	}
	defer d.connectwise.Close()
	if err := d.bring(worldText); err != nil {
		return err
	}
	d.env = d.settings()
	if err := d.story(); err != nil {
		return err
	}
	if opt.Serve {
		return d.serve()
	}
	return nil
}

// bring brings ConnectWise to a world.
func (d *demo) bring(text string) error {
	w, err := synctest.Parse(text)
	if err != nil {
		return err
	}
	d.companies = w.Companies
	return simworld.ConnectWise(d.connectwise, w)
}

// settings are the environment for the commands that the demo runs.
func (d *demo) settings() []string {
	// Keep NO_COLOR and the like, drop the operator's real settings.
	env := slices.DeleteFunc(slices.Clone(d.Environ), func(entry string) bool { return strings.HasPrefix(entry, "CWVAULT_") })
	env = append(env, d.vault.Settings()...)
	return append(env,
		"CWVAULT_CONNECTWISE_URL="+d.connectwise.URL(),
		"CWVAULT_CONNECTWISE_COMPANY_ID="+d.connectwise.Tenant(),
		"CWVAULT_CONNECTWISE_PUBLIC_KEY="+d.connectwise.PublicKey(),
		"CWVAULT_CONNECTWISE_PRIVATE_KEY="+d.connectwise.PrivateKey(),
		"CWVAULT_CONNECTWISE_CLIENT_ID="+d.connectwise.ClientID(),
		"CWVAULT_STATE="+filepath.Join(d.Dir, "cwvault.db"),
		"CWVAULT_LOG_LEVEL=warn",
	)
}

func (d *demo) story() error {
	d.say("A service provider has %d companies in ConnectWise (a built-in one, listening on this machine only)\nand %s. What would cwvault do?", len(d.companies), d.vault.Describe())
	if err := d.run("plan.txt", wantDone, "plan"); err != nil {
		return err
	}
	d.say("Nothing has changed so far. Now do it.")
	if err := d.run("resync.txt", wantDone, "resync"); err != nil {
		return err
	}
	n, err := d.fillFolders()
	if err != nil {
		return err
	}
	d.say("Technicians put %d secrets into the new folders. A month goes by in ConnectWise:", n)
	if err := d.bring(monthText); err != nil {
		return err
	}
	for _, line := range month() {
		d.print("  - %s\n", line)
	}
	d.say("What does that mean for the vault?")
	if err := d.run("month-plan.txt", wantPending, "plan", "--detailed-exitcode"); err != nil {
		return err
	}
	d.say("Each folder is found by its mark, so renames and moves take the secrets along.")
	if err := d.run("month-resync.txt", wantDone, "resync"); err != nil {
		return err
	}
	if n, err = d.checkSecrets(); err != nil {
		return err
	}
	d.say("All %d secrets were looked up: each is still in the folder of its own company. One more plan:", n)
	if err := d.run("last-plan.txt", wantDone, "plan", "--detailed-exitcode"); err != nil {
		return err
	}
	d.say("Nothing is left to do. Have a look:")
	for _, line := range d.vault.Look() {
		d.print("  %s\n", line)
	}
	d.print("  %-52s what the month changed, in full\n", "cat "+filepath.Join(d.Dir, "month-plan.txt"))
	d.print("  %-52s the journal of all runs\n", filepath.Join(d.Dir, "cwvault.db"))
	d.print("\nThe README says how to point cwvault at your own ConnectWise and vault.\n")
	return nil
}

func (d *demo) print(format string, args ...any) { fmt.Fprintf(d.Out, format, args...) }

func (d *demo) say(format string, args ...any) { d.print("\n"+format+"\n", args...) }

// shown is how many lines of a command's output the demo prints.
const shown = 24

// run runs a command of cwvault, keeps its output in a file and shows the
// beginning and the end of it.
func (d *demo) run(file string, want int, args ...string) error {
	d.print("\n$ cwvault %s\n", strings.Join(args, " "))
	var out bytes.Buffer
	code := d.Exec(d.ctx, args, d.env, &out)
	path := filepath.Join(d.Dir, file)
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
		return &ExitError{strings.Join(args, " "), code, want}
	}
	return nil
}

// fillFolders lets technicians put secrets into every company folder.
func (d *demo) fillFolders() (n int, err error) {
	err = d.vault.Fill(func(company sync.Key) []Secret {
		id, _ := company.CompanyID()
		list := secretNames[:1+id%len(secretNames)]
		secrets := make([]Secret, len(list))
		for i, name := range list {
			secrets[i] = Secret{Name: name, Content: rand.Text()}
			d.secrets[secrets[i].Content] = company
			n++
		}
		return secrets
	})
	if err == nil && n == 0 {
		err = errors.New("the first resync made no company folder")
	}
	return n, err
}

// checkSecrets sees that every secret is still there, in its company's folder.
func (d *demo) checkSecrets() (int, error) {
	left := maps.Clone(d.secrets)
	err := d.vault.Each(func(company sync.Key, content string) error {
		if owner := left[content]; owner != company {
			return fmt.Errorf("a secret of %q is in the folder of %s", owner, company)
		}
		delete(left, content)
		return nil
	})
	for _, owner := range left {
		if err == nil {
			err = fmt.Errorf("a secret of %s is gone", owner)
		}
	}
	return len(d.secrets), err
}

// serve runs the service while companies keep changing.
func (d *demo) serve() error {
	env := append(d.env, "CWVAULT_SCHEDULE=@every 10s", "CWVAULT_LOG_LEVEL=info")
	listen := "127.0.0.1:8377"        // where the service listens unless told otherwise
	for _, entry := range d.Environ { // of the operator's settings, these two are not about a ConnectWise or a vault
		name, value, _ := strings.Cut(entry, "=")
		if value == "" || name != "CWVAULT_LISTEN" && name != "CWVAULT_TOKEN" {
			continue
		}
		env = append(env, entry)
		if name == "CWVAULT_LISTEN" {
			listen = value
		}
	}
	d.say("Now cwvault runs as a service: a run every 10 seconds, a changed company every 5. Open http://%s/. Ctrl-C stops it.", sync.Plain(listen))
	ctx, cancel := context.WithCancel(d.ctx)
	var changes gosync.WaitGroup
	changes.Go(func() { d.keepChanging(ctx, 5*time.Second) })
	code := d.Exec(ctx, []string{"serve"}, env, io.Discard)
	cancel()
	changes.Wait()
	if code != wantDone {
		return &ExitError{"serve", code, wantDone}
	}
	return nil
}

// keepChanging renames another company at each interval.
func (d *demo) keepChanging(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c := d.companies[(len(synctest.OddNames)+7*n)%len(d.companies)]
			d.connectwise.Rename(c.ID, fmt.Sprintf("%s %d", c.Name, n+1))
		}
	}
}
