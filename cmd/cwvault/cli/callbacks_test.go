package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/connectwise/connectwisetest"
)

const testCallback = "https://cwvault.example.com/api/connectwise/callback?recordId="

// TestCallbacksOfOthers sees that others' callbacks are listed, without what
// may be a password and harmless, and left alone; and that one of ours which
// ConnectWise has switched off is replaced.
func TestCallbacksOfOthers(t *testing.T) {
	s := newVaultSite(t)
	add := func(fields map[string]any) {
		t.Helper()
		for name, value := range map[string]any{"type": "company", "level": "Owner", "objectId": 1} {
			if _, set := fields[name]; !set {
				fields[name] = value
			}
		}
		body, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.world.URL()+"/v4_6_release/apis/3.0/system/callbacks", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(s.world.Tenant()+"+"+s.world.PublicKey(), s.world.PrivateKey())
		req.Header.Set("clientId", s.world.ClientID())
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			t.Fatal(resp.Status)
		}
	}
	add(map[string]any{"url": "https://desk.example.com/hook?key=hunter2", "type": "ticket", "level": "Board", "objectId": 3, "description": "desk\x1b[2J"})
	add(map[string]any{"url": testCallback, "description": "cwvault: folders follow the companies", "inactiveFlag": true})

	list := s.inProcess(exitOK, "callbacks", "list")
	want := "" +
		"     1  active        ticket, Board 3  https://desk.example.com/hook?…  not cwvault's: desk\\u001b[2J\n" +
		"     2  switched off  every company  " + testCallback + "  cwvault's\n"
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if text := s.inProcess(exitOK, "callbacks", "list", "--format", "json"); strings.Contains(text, "hunter2") || strings.Contains(text, "\x1b") {
		t.Errorf("list as JSON:\n%s", text)
	}
	text := s.inProcess(exitOK, "callbacks", "register", testCallback)
	if want := "removed callback 2, which was switched off\nregistered callback 3: " + testCallback + "\n"; text != want {
		t.Errorf("register: %s", text)
	}
	s.inProcess(exitUsage, "callbacks", "remove", "1")
	s.inProcess(exitOK, "callbacks", "remove")
	if list := s.inProcess(exitOK, "callbacks", "list"); strings.Count(list, "\n") != 1 || !strings.Contains(list, "desk") {
		t.Errorf("in the end:\n%s", list)
	}
}

// TestCallbacksNeedARight sees that a role without the right is told so.
func TestCallbacksNeedARight(t *testing.T) {
	s := newVaultSite(t)
	s.world.Behave(func(b *connectwisetest.Behaviour) { b.Role.NoCallbacks = true })
	for _, args := range [][]string{{"list"}, {"register", testCallback}, {"remove"}} {
		var out, errs bytes.Buffer
		code := cwvault(t.Context(), append([]string{"callbacks"}, args...), s.env, &out, &errs)
		if code != exitUnauthorized || out.Len() != 0 || !strings.Contains(errs.String(), "the API member's role needs the right to callbacks") {
			t.Errorf("%v: exit code %d\n%s%s", args, code, &out, &errs)
		}
	}
}
