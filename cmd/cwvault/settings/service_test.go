package settings

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/connectwise/connectwisetest"
	"cwvault/scheduler/service"
	"cwvault/sync/run"
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
	before, err := s.Service(environment, hclog.NewNullLogger(), nil)
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

// TestServiceCountsRequests: requests are counted whether or not a run sends them.
func TestServiceCountsRequests(t *testing.T) {
	source, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	store := t.TempDir()
	environment := Environment{Process: []string{
		"CWVAULT_CONNECTWISE_COMPANY_ID=" + source.Tenant(), "CWVAULT_CONNECTWISE_URL=" + source.URL(),
		"CWVAULT_CONNECTWISE_CLIENT_ID=" + source.ClientID(),
		"CWVAULT_CONNECTWISE_PUBLIC_KEY=" + source.PublicKey(), "CWVAULT_CONNECTWISE_PRIVATE_KEY=" + source.PrivateKey(),
		"CWVAULT_VAULT_URL=passwordstore:" + store, "CWVAULT_STATE=" + filepath.Join(t.TempDir(), "journal.db"),
		"CWVAULT_TICKETS=on", "CWVAULT_TICKET_COMPANY=us", "CWVAULT_TICKET_BOARD=Help",
	}}
	s, err := Load(t.Context(), environment.Process, Times{})
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	before, err := s.Service(environment, hclog.NewNullLogger(), func(server run.Server, _ bool) {
		if server == run.ConnectWise {
			counted++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	check := func(what string) {
		t.Helper()
		if sent := len(source.Requests()); counted != sent || sent == 0 {
			t.Errorf("%s: %d of %d requests are counted", what, counted, sent)
		}
		source.ResetRequests()
		counted = 0
	}
	tell := func(b service.Backend) {
		t.Helper()
		body := fmt.Sprintf(`{"Action":"updated","ID":1,"Type":"company","Entity":"{}","CompanyId":"%s","MemberId":"x","Metadata":{"key_url":"%s/v4_6_release/apis/3.0/system/callbacks/key/%d"}}`,
			source.Tenant(), source.URL(), time.Now().UnixNano())
		if _, err := b.Verify(t.Context(), []byte(body), base64.StdEncoding.EncodeToString(make([]byte, 32))); err == nil {
			t.Error("a forged callback is believed")
		}
		check("a callback")
		clerk := b.Clerk()
		clerk.TellUnopened(t.Context(), errors.New("out of order"))
		check("a ticket about no session")
		session, err := b.Open(t.Context(), nil) // as for a ticket about staleness
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		session.Clerk().TellStale(t.Context(), time.Now())
		check("a ticket about staleness")
	}
	tell(before)
	after, err := before.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	tell(after)
}
