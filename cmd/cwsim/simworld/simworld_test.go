package simworld_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/cmd/cwsim/simworld"
	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
	"cwvault/sync/synctest"
	"cwvault/vault/secretserver/secretservertest"
)

const text = `-- types --
1 Customer
4 Vendor
-- statuses --
2 Active
-- territories --
3 North
-- markets --
5 Dental
-- companies --
250  acme  Acme  Vendor,Customer  Active  territory=North  market=Dental  parent=251
251  bolt  "Bolt, Inc."  -  -
-- vault --
Clients
  Acme [company/250; readers: Ana, Everyone]
    * router
    Theirs [other company/1]
  Own [readers: team]
  Torn [unreadable mark]
Closed [readers: Ana]
`

func parse(t *testing.T, text string) synctest.World {
	t.Helper()
	w, err := synctest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func connectWise(t *testing.T) *connectwisetest.Server {
	t.Helper()
	s, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func secretServer(t *testing.T) *simworld.SecretServer {
	t.Helper()
	s, err := secretservertest.New(secretservertest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &simworld.SecretServer{
		Server: s, Account: secretservertest.DefaultUsername, Tenant: "acmeinc", Value: func(name string) string { return "value of " + name },
	}
}

func TestConnectWise(t *testing.T) {
	s := connectWise(t)
	if err := simworld.ConnectWise(s, parse(t, text)); err != nil {
		t.Fatal(err)
	}
	want := []connectwisetest.Company{
		{ID: 250, Identifier: "acme", Name: "Acme", Types: []int{4, 1}, Status: 2, Territory: 3, Market: 5, Parent: 251},
		{ID: 251, Identifier: "bolt", Name: "Bolt, Inc."},
	}
	got := s.Companies()
	for i := range got {
		got[i].LastUpdated = want[0].LastUpdated
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for world, want := range map[string]string{
		"-- companies --\n1 a A - - parent=9":            "company 1: there is no company 9, its parent",
		"-- companies --\n1 a A - - parent=\"#1 B\"":     `company 1: its parent 1 is named "B" here and "A" there`,
		"-- companies --\n1 a A - - territory=\"#9 X\"":  "company 1: there is no territory 9, or it is given twice",
		"-- types --\n1 Customer\n-- companies --":       "type 4 is missing; only statuses can be removed",
		"-- types --\n1 A\n4 B\n-- territories --\n3 N ": "market 5 is missing; only statuses can be removed",
	} {
		w := parse(t, world)
		if w.Territories == nil {
			w.Territories = []sync.Ref{{ID: 3, Name: "North"}}
		}
		if w.Markets == nil && want[:6] != "market" {
			w.Markets = []sync.Ref{{ID: 5, Name: "Dental"}}
		}
		if want[:4] == "comp" {
			w.Types = []sync.Ref{{ID: 1, Name: "Customer"}, {ID: 4, Name: "Vendor"}}
		}
		if err := simworld.ConnectWise(s, w); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", world, err, want)
		}
	}
}

func TestSecretServer(t *testing.T) {
	s := secretServer(t)
	w := parse(t, text)
	if err := s.Fill(w.Vault); err != nil {
		t.Fatal(err)
	}
	got, err := s.Drawing()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.Vault.String(), got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if x := s.Secrets(); len(x) != 1 || x[0].Fields["password"] != "value of router" {
		t.Errorf("secrets %+v", x)
	}
	f, _ := s.FolderByPath(`\Clients\Acme`)
	if f.Metadata["ConnectWise/Folder key"] != "acmeinc company/250" {
		t.Errorf("metadata %v", f.Metadata)
	}

	own := parse(t, "-- vault --\nB\n  C [own permissions]")
	if err := s.Fill(own.Vault); err != nil {
		t.Fatal(err)
	}
	if f, _ := s.FolderByPath(`\B\C`); f.Inherits {
		t.Error("a folder with its own permissions inherits")
	}
}

func TestSecretServerRefuses(t *testing.T) {
	for world, want := range map[string]string{
		"-- vault --\nA\n  B\n  b":              "line 4",
		"-- vault --\nA\n\na":                   "line 4",
		"-- vault --\n\"A\\\\B\"":               "line 2",
		"-- vault --\nA [readers: svc-cwvault]": "line 2",
		"-- vault --\nA [readers: Admin]":       "line 2",
		"-- vault --\n* secret":                 "",
	} {
		err := secretServer(t).Fill(parse(t, world).Vault)
		var at *synctest.Error
		if err == nil || errors.As(err, &at) != (want != "") || want != "" && err.Error()[:len(want)] != want {
			t.Errorf("%q: %v, want %s", world, err, want)
		}
	}
}
