package connectwisetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestNPMClient lets the npm client connectwise-rest, which none of us wrote,
// work with the simulator. CI runs "npm ci" in testdata/npmclient first.
func TestNPMClient(t *testing.T) {
	const dir = "testdata/npmclient"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skipf("node is not here: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "connectwise-rest")); errors.Is(err, fs.ErrNotExist) {
		t.Skip("connectwise-rest is not here: run npm ci in " + dir)
	}
	s := withTables(start(t, Options{}))
	for i := range 1234 {
		s.AddCompany(Company{Name: fmt.Sprintf("Company %d & Söhne", i), Status: i % 3, Types: []int{1 + i%2}, Deleted: i%7 == 0})
	}
	one := s.AddCompany(Company{Name: "The one <ünd> \"only\""})

	type delivery struct{ body, signature string }
	got := make(chan delivery, 1)
	receiver := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- delivery{string(body), r.Header.Get("x-content-signature")}
	}))
	request{method: "POST", path: "system/callbacks", body: fmt.Sprintf(`{"url":%q,"objectId":%d,"type":"company","level":"company"}`, receiver, one)}.send(t, s).want(t, 201)
	s.SetStatus(one, 1)
	var d delivery
	select {
	case d = <-got:
	case <-time.After(10 * time.Second):
		t.Fatal("no delivery")
	}
	signingKey := s.world.callbacks[0].signingKey

	input, err := json.Marshal(map[string]any{
		"url": s.URL(), "tenant": s.Tenant(), "publicKey": s.PublicKey(), "privateKey": s.PrivateKey(), "clientId": s.ClientID(),
		"pageSize": 100, "one": one, "delivery": d.body, "signature": d.signature, "signingKey": signingKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"projected": []any{map[string]any{"id": float64(one), "name": "The one <ünd> \"only\""}},
		"statuses":  []any{"Active", "Inactive"},
		"types":     []any{"Client", "Vendor", "Partner"},
		"badName":   map[string]any{"status": 400.0, "data": map[string]any{"code": "ApiFindCondition", "message": "nonsense is not a recognized name."}},
		"missing":   map[string]any{"status": 404.0, "data": map[string]any{"code": "NotFound", "message": "company 1 not found"}},
		"ticket":    1.0,
		"renamed":   "Renamed by npm",
		"verified":  true,
		"forged":    false,
	}
	all, live, clients := []any{}, []any{}, []any{}
	for _, c := range s.Companies() {
		id := float64(c.ID)
		all = append(all, id)
		if !c.Deleted {
			live = append(live, id)
			if c.Status == 1 && slices.Contains(c.Types, 1) {
				clients = append([]any{id}, clients...)
			}
		}
	}
	if len(all) != 1235 || len(live) < 1000 || len(clients) < 100 {
		t.Fatalf("the world is not the intended one: %d, %d, %d", len(all), len(live), len(clients))
	}
	want["all"], want["live"], want["clients"] = all, live, clients
	want["count"] = map[string]any{"count": float64(len(live))}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "list.mjs")
	cmd.Dir = dir
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.Bytes())
	}
	if diff := cmp.Diff(want, into[map[string]any](t, reply{body: string(stdout)})); diff != "" {
		t.Errorf("(-want +got)\n%s\n%s", diff, stderr.Bytes())
	}
	if tickets := s.Tickets(); len(tickets) != 1 || tickets[0].Summary != "from npm" || tickets[0].Company != one {
		t.Errorf("tickets %+v", tickets)
	}
	pages := 0
	for _, r := range s.Requests() {
		if r.UserAgent != "Go-http-client/1.1" && !(r.Authorized && r.ClientID) {
			t.Errorf("a request without the right keys: %+v", r)
		}
		if r.Query.Get("pageSize") == "100" && r.Query.Get("conditions") == "" {
			pages++
		}
	}
	if pages != 13 {
		t.Errorf("%d pages of all companies, want 13", pages)
	}
}
