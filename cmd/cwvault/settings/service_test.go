package settings

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"cwvault/connectwise/connectwisetest"
	"cwvault/vault/secretserver/secretservertest"
)

// TestTicketsAfterKeysChange rotates the ConnectWise keys, which are a secret in the
// vault, and reloads the settings. Tickets need the keys of the moment, and a job that
// waited meanwhile must still reach its desk.
func TestTicketsAfterKeysChange(t *testing.T) {
	source, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	server, err := secretservertest.New(secretservertest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.AddFolder(-1, "Clients")
	folder := server.AddFolder(-1, "Integration")
	server.AddUser("svc-tickets", "wrench-and-spade", "View Secret")
	server.Grant(folder, "svc-tickets", "View", "View")
	secret := server.AddSecret(folder, "ConnectWise", "Password",
		map[string]string{"username": source.PublicKey(), "password": source.PrivateKey()})
	environment := Environment{Process: []string{
		"CWVAULT_CONNECTWISE_COMPANY_ID=" + source.Tenant(), "CWVAULT_CONNECTWISE_URL=" + source.URL(),
		"CWVAULT_CONNECTWISE_CLIENT_ID=" + source.ClientID(), fmt.Sprintf("CWVAULT_CONNECTWISE_SECRET_ID=%d", secret),
		"CWVAULT_VAULT_URL=" + server.URL(), "CWVAULT_VAULT_USERNAME=svc-tickets", "CWVAULT_VAULT_PASSWORD=wrench-and-spade",
		`CWVAULT_ROOT=\Clients`, "CWVAULT_STATE=" + filepath.Join(t.TempDir(), "journal.db"),
		"CWVAULT_TICKETS=on", "CWVAULT_TICKET_COMPANY=us", "CWVAULT_TICKET_BOARD=Help",
	}}
	s, err := Load(t.Context(), environment.Process, Times{})
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Service(environment, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	keysRead := func() bool {
		read := slices.ContainsFunc(server.Requests(), func(r secretservertest.Request) bool {
			return strings.HasSuffix(r.Path, fmt.Sprintf("/v2/secrets/%d", secret))
		})
		server.ResetRequests()
		return read
	}
	waiting := before.Clerk()
	for range 2 {
		if _, err := waiting.Desk(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !keysRead() {
			t.Error("the keys of before were used")
		}
	}
	after, err := before.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	before.Close()
	if _, err := waiting.Desk(t.Context()); err != nil || !keysRead() {
		t.Errorf("a job that waited: %v", err)
	}
}
