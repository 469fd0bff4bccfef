package settings

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
	"cwvault/sync/run"
	"cwvault/vault"
)

// plainVault cannot read secrets.
type plainVault struct{ vaultClient }

// secretVault holds the ConnectWise keys.
type secretVault struct {
	vaultClient
	fields map[string]string
}

func (v secretVault) ReadSecret(_ context.Context, id int) (map[string]string, error) {
	if id != 7 {
		return nil, vault.ErrNotFound
	}
	return v.fields, nil
}

func TestCheckKeysInVault(t *testing.T) {
	server, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.AddCompany(connectwisetest.Company{Name: "Acme", Status: server.AddStatus("Active"), Types: []int{server.AddType("Customer")}})
	good := map[string]string{"username": server.PublicKey(), "password": server.PrivateKey()}
	for name, test := range map[string]struct {
		vault vaultClient
		id    string
		want  string
		cause run.Cause
	}{
		"there":             {secretVault{nil, good}, "7", "Ok keys: read from secret 7 of the vault", run.CauseNone},
		"not there":         {secretVault{nil, good}, "8", "Fail keys: CWVAULT_CONNECTWISE_SECRET_ID: not found; check the number", run.CauseSettings},
		"without keys":      {secretVault{nil, nil}, "7", "Fail keys: CWVAULT_CONNECTWISE_SECRET_ID: secret 7 has no fields", run.CauseSettings},
		"in no such vault":  {plainVault{}, "7", "Fail keys: CWVAULT_CONNECTWISE_SECRET_ID: cwvault cannot read secrets of this vault; set the keys themselves", run.CauseSettings},
		"vault is not open": {nil, "7", "", run.CauseNone},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Load(t.Context(), []string{"CWVAULT_CONNECTWISE_COMPANY_ID=" + server.Tenant(), "CWVAULT_CONNECTWISE_URL=" + server.URL(),
				"CWVAULT_CONNECTWISE_CLIENT_ID=" + server.ClientID(), "CWVAULT_CONNECTWISE_SECRET_ID=" + test.id}, Times{})
			if err != nil {
				t.Fatal(err)
			}
			c, _ := s.Connect(hclog.NewNullLogger(), Hooks{})
			c.vault = test.vault
			parts := c.CheckParts()
			if (parts.Source == nil) != (test.vault == nil) {
				t.Fatalf("source %v", parts.Source)
			}
			server.ResetRequests()
			if parts.Source == nil {
				return
			}
			found, source := parts.Source.Check(t.Context())
			if got := fmt.Sprintf("%s %s: %s; %s", found[0].Level(), found[0].Subject, found[0].Text, found[0].Fix); !strings.HasPrefix(got, test.want) || run.CauseOf(found[0].Err) != test.cause {
				t.Errorf("%s, cause %q, want %s, %q", got, run.CauseOf(found[0].Err), test.want, test.cause)
			}
			if there := name == "there"; (source.Count == 1) != there || (len(server.Requests()) > 0) != there {
				t.Errorf("%d companies, %d requests", source.Count, len(server.Requests()))
			}
		})
	}
}

func TestStateName(t *testing.T) {
	for state, want := range map[string]string{
		"cwvault.db":    "cwvault.db",
		`C:\cwvault.db`: `C:\cwvault.db`,
		"postgres://user:geheim@db.example.com:5432/cw?sslmode=require&password=geheim": "postgres://db.example.com:5432/cw",
		"postgres://user:ge%heim@db.example.com/cw":                                     "the database",
	} {
		got, file := stateName(state)
		if got != want || (file == "") != strings.HasPrefix(state, "postgres") {
			t.Errorf("%s: %q, file %q", state, got, file)
		}
	}
}

// TestProblemsKeepTheirFix: what is wrong and what to do are two fields of a finding,
// so that whoever reads JSON gets the remedy as such.
func TestProblemsKeepTheirFix(t *testing.T) {
	for setting, fix := range map[string]string{
		"CWVAULT_MAX_MOVES=x":             "use a percentage",
		`CWVAULT_FOLDER_STRUCTURE=\`:      "the usual one",
		"CWVAULT_FOLDER_STRUCTURE=$NOPE":  "valid are $TYPE",
		"CWVAULT_FOLDER_NAME=$NOPE":       "valid are $NAME",
		`CWVAULT_FOLDER_NAME=$NAME\$TYPE`: "remove the separator",
		"CWVAULT_FOLDER_NAME=x":           "use $NAME",
	} {
		s, err := Load(t.Context(), []string{setting}, Times{})
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(setting, "=")
		i := slices.IndexFunc(s.problems, func(p sync.Problem) bool { return p.Setting == name })
		if i < 0 {
			t.Errorf("%s: accepted", setting)
			continue
		}
		if p := s.problems[i]; !strings.HasPrefix(p.Fix, fix) || strings.Contains(p.Text, fix) || p.Text == "" {
			t.Errorf("%s: text %q, fix %q, want %q", setting, p.Text, p.Fix, fix)
		}
	}
}

// Without a token only this machine may reach the service.
func TestListen(t *testing.T) {
	for address, alone := range map[string]bool{
		"off": true, "127.0.0.1:8377": true, "[::1]:8377": true, "localhost:8377": true,
		"0.0.0.0:8377": false, ":8377": false, "[::]:8377": false, "192.0.2.1:8377": false, "cwvault.example.com:8377": false,
	} {
		for _, token := range []string{"", "CWVAULT_TOKEN=" + strings.Repeat("wrench-and-spade-", 3)} {
			s, err := Load(t.Context(), []string{"CWVAULT_LISTEN=" + address, token}, Times{})
			if err != nil {
				t.Fatal(err)
			}
			refused := slices.ContainsFunc(s.problems, func(p sync.Problem) bool { return p.Setting == "CWVAULT_LISTEN" })
			if want := !alone && token == ""; refused != want {
				t.Errorf("%s with %q: refused %t, want %t; %v", address, token, refused, want, s.problems)
			}
		}
	}
}
