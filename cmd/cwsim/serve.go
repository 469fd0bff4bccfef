package main

import (
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"cwvault/cmd/cwsim/simworld"
	"cwvault/connectwise/connectwisetest"
	"cwvault/sync/httpclient"
	"cwvault/sync/synctest"
	"cwvault/vault/secretserver/secretservertest"
)

//go:embed sample.txtar
var sample string

// account is the one that cwvault gets on Secret Server, unless the world names
// another.
const account = secretservertest.DefaultUsername

type connectwiseCmd struct{ flags }

// Run serves a ConnectWise.
func (c connectwiseCmd) Run(p *process) error {
	w, err := c.read()
	if err != nil {
		return err
	}
	s, err := connectwisetest.New(connectwisetest.Options{
		Addr: c.Listen, Tenant: named(w, "CWVAULT_CONNECTWISE_COMPANY_ID", ""), ClientID: named(w, "CWVAULT_CONNECTWISE_CLIENT_ID", ""),
		PublicKey:  named(w, "CWVAULT_CONNECTWISE_PUBLIC_KEY", rand.Text()),
		PrivateKey: named(w, "CWVAULT_CONNECTWISE_PRIVATE_KEY", rand.Text()),
	})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := simworld.ConnectWise(s, w); err != nil {
		return c.inWorld(err)
	}
	if err := c.addFaults(func(text string) error {
		return parseFaults(text, connectwiseFaults, connectwiseOptions, addConnectwise(s))
	}); err != nil {
		return err
	}
	return p.serve([][2]string{
		{"CWVAULT_CONNECTWISE_URL", s.URL()},
		{"CWVAULT_CONNECTWISE_COMPANY_ID", s.Tenant()},
		{"CWVAULT_CONNECTWISE_PUBLIC_KEY", s.PublicKey()},
		{"CWVAULT_CONNECTWISE_PRIVATE_KEY", s.PrivateKey()},
		{"CWVAULT_CONNECTWISE_CLIENT_ID", s.ClientID()},
	})
}

type secretserverCmd struct{ flags }

// Run serves a Secret Server.
func (c secretserverCmd) Run(p *process) error {
	w, err := c.read()
	if err != nil {
		return err
	}
	root := named(w, "CWVAULT_ROOT", `\Clients`)
	if w.Vault == nil {
		top, _, _ := strings.Cut(strings.Trim(root, `\`), `\`)
		if top == "" {
			return usagef("--world: %s: CWVAULT_ROOT=%s names no folder", c.World, root)
		}
		w.Vault = &synctest.Folder{Folders: []*synctest.Folder{{Name: top}}}
	} else if _, given := w.Setting("CWVAULT_ROOT"); !given && len(w.Vault.Folders) > 0 {
		root = `\` + w.Vault.Folders[0].Name
	}
	username, password := named(w, "CWVAULT_VAULT_USERNAME", account), named(w, "CWVAULT_VAULT_PASSWORD", rand.Text())
	s, err := secretservertest.New(secretservertest.Options{Addr: c.Listen, Username: username, Password: password})
	if err != nil {
		return err
	}
	defer s.Close()
	vault := &simworld.SecretServer{
		Server: s, Account: username, Tenant: named(w, "CWVAULT_CONNECTWISE_COMPANY_ID", "acmeinc"),
		Value: func(string) string { return rand.Text() },
	}
	if err := vault.Fill(w.Vault); err != nil {
		return c.inWorld(err)
	}
	if err := c.addFaults(func(text string) error {
		return parseFaults(text, secretserverFaults(s), secretserverOptions, addSecretserver(s))
	}); err != nil {
		return err
	}
	return p.serve([][2]string{
		{"CWVAULT_VAULT_URL", s.URL()},
		{"CWVAULT_VAULT_USERNAME", username},
		{"CWVAULT_VAULT_PASSWORD", password},
		{"CWVAULT_ROOT", root},
	})
}

// named returns the value of a setting that the world names, or the usual one.
func named(w synctest.World, name, usual string) string {
	if v, ok := w.Setting(name); ok && v != "" {
		return v
	}
	return usual
}

// read checks the address and reads the world.
func (f flags) read() (synctest.World, error) {
	if err := loopback(f.Listen); err != nil {
		return synctest.World{}, usagef("--listen %s: %w", f.Listen, err)
	}
	text := sample
	if f.World != "" {
		b, err := os.ReadFile(f.World)
		if err != nil {
			return synctest.World{}, usagef("--world: %w", err)
		}
		text = string(b)
	}
	w, err := synctest.Parse(text)
	if err != nil {
		return w, f.inWorld(err)
	}
	return w, nil
}

// inWorld says in which file an error is.
func (f flags) inWorld(err error) error { return inFile("--world", f.World, err) }

func inFile(flag, file string, err error) error {
	var at *synctest.Error
	if errors.As(err, &at) {
		if err = at.Err; at.Line > 0 { // no line draws a root that a setting names
			return usagef("%s: %s:%d: %w", flag, file, at.Line, err)
		}
	}
	return usagef("%s: %s: %w", flag, file, err)
}

// addFaults reads the file of faults, if there is one.
func (f flags) addFaults(parse func(text string) error) error {
	if f.Faults == "" {
		return nil
	}
	b, err := os.ReadFile(f.Faults)
	if err != nil {
		return usagef("--faults: %w", err)
	}
	if err := parse(string(b)); err != nil {
		return inFile("--faults", f.Faults, err)
	}
	return nil
}

// loopback refuses addresses that other machines can reach: what a simulator
// serves is protected by nothing but test keys.
func loopback(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("want a host and a port, such as 127.0.0.1:8080: %w", err)
	}
	if !httpclient.LoopbackHost(host) {
		return errors.New("a simulator is for this machine alone and has no other protection; use a loopback address such as 127.0.0.1:8080")
	}
	return nil
}

// serve prints the settings for cwvault and waits until it is stopped.
func (p *process) serve(settings [][2]string) error {
	for _, s := range settings {
		value := s[1]
		if value != strings.TrimSpace(value) || strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "'") {
			value = `"` + value + `"` // an env file takes one pair of quotes off, and blanks
		}
		if _, err := fmt.Fprintf(p.stdout, "%s=%s\n", s[0], value); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(p.stdout, "ready"); err != nil {
		return err
	}
	<-p.ctx.Done()
	return nil
}
