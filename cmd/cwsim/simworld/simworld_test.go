package simworld_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/cmd/cwsim/simworld"
	"cwvault/connectwise/connectwisetest"
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
}

func TestConnectWiseRefuses(t *testing.T) {
	for world, want := range map[string]string{
		"-- companies --\n\n1 a A - - parent=9":                      `line 3: there is no company 9 "", which is to be the parent`,
		"-- companies --\n1 a A - - parent=\"#1 B\"":                 `line 2: there is no company 1 "B", which is to be the parent`,
		"-- companies --\n1 a A - - territory=\"#9 X\"":              `line 2: there is no 9 "X" among the territories`,
		"-- companies --\n1 a A \"#1 Client\" -":                     `line 2: there is no 1 "Client" among the types`,
		"-- companies --\n1 a A Customer,Customer -":                 `line 2: "Customer" is given twice`,
		"-- companies --\n{1..2} a A - -\n3 c C - - market=\"#1 M\"": `line 3: there is no 1 "M" among the markets`,
	} {
		err := simworld.ConnectWise(connectWise(t), parse(t, world))
		var at *synctest.Error
		if !errors.As(err, &at) || err.Error() != want {
			t.Errorf("%q: %v, want %s", world, err, want)
		}
	}
	s := connectWise(t)
	s.AddMarket("Dental")
	if err := simworld.ConnectWise(s, parse(t, "-- companies --")); err == nil {
		t.Error("a market was removed")
	}
}

// drawing draws the whole server. It fails when the folders are not a tree.
func drawing(s *simworld.SecretServer) (*synctest.Folder, error) {
	at := map[int]*synctest.Folder{-1: {}}
	folders := s.Folders()
	for _, f := range folders {
		d := &synctest.Folder{Name: f.Name, Own: !f.Inherits, Readers: s.ReadersOf(f)}
		d.Mark, d.BadMark = s.MarkOf(f)
		if f.ParentID < 0 && len(d.Readers) == 0 {
			d.Own = false
		}
		at[f.ID] = d
	}
	for _, f := range folders {
		above := at[f.ParentID]
		if above == nil {
			return nil, errors.New("a folder is in none")
		}
		above.Folders = append(above.Folders, at[f.ID])
	}
	for _, x := range s.Secrets() {
		if d := at[x.FolderID]; d != nil {
			d.Secrets = append(d.Secrets, x.Name)
		}
	}
	return at[-1], nil
}

func TestSecretServer(t *testing.T) {
	s := secretServer(t)
	w := parse(t, text)
	if err := s.Fill(w.Vault); err != nil {
		t.Fatal(err)
	}
	got, err := drawing(s)
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
