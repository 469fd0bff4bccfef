package secretservertest

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What else is kept: limits, read-only mode, partial bodies.

func TestLongURLsAreRefusedByIIS(t *testing.T) {
	_, c, _ := clients(t, Options{})
	path := "/api/v1/folders?filter.searchText="
	whole := len("/SecretServer" + path)
	c.get("%s", path+strings.Repeat("x", maxURL-whole)).want(200)
	r := c.get("%s", path+strings.Repeat("x", maxURL-whole+1)).want(404)
	if !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
		t.Errorf("answered %v", r.header)
	}
}

func TestBase(t *testing.T) {
	cloud := start(t, Options{Base: "/"})
	if c := newClient(t, cloud); c.get("/api/v1/healthcheck").status != 200 || strings.Contains(cloud.URL()[8:], "/") {
		t.Errorf("cloud base %s", cloud.URL())
	}
	s := start(t, Options{})
	if !strings.HasSuffix(s.URL(), "/SecretServer") {
		t.Errorf("on-premises base %s", s.URL())
	}
	resp, err := http.Get(strings.TrimSuffix(s.URL(), "/SecretServer") + "/api/v1/healthcheck")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 404 || !strings.Contains(string(body), "<html>") {
		t.Errorf("outside the base: %d %s", resp.StatusCode, body)
	}
	for _, opt := range []Options{{Base: "SecretServer"}, {Base: "/a/../b"}, {Version: "11"}, {Version: "a.b.c"}, {Addr: "nowhere"}} {
		if s, err := New(opt); err == nil {
			s.Close()
			t.Errorf("New(%+v) succeeded", opt)
		}
	}
}

func TestReadOnlyMode(t *testing.T) {
	s, c, root := clients(t, Options{Quirks: Quirks{ReadOnly: true}})
	c.post("/api/v1/folders", newFolder(root, "A")).invalid("read-only")
	if c.get("/api/v1/healthcheck").field("readOnlyMode") != true {
		t.Error("the health check does not say so")
	}
	c.get("/api/v1/folders/%d", root).want(200)
	signedIn(t, s)
}

func TestFullBodyOnly(t *testing.T) {
	s, c, root := clients(t, Options{})
	bare := map[string]any{"folderName": "A", "folderTypeId": 1, "parentFolderId": root}
	r := c.post("/api/v1/folders", bare).want(200)
	if r.field("inheritPermissions") != true || r.field("inheritSecretPolicy") != true {
		t.Errorf("defaults: %s", r.body)
	}
	s.SetQuirks(func(q *Quirks) { q.FullBodyOnly = true })
	bare["folderName"] = "B"
	c.post("/api/v1/folders", bare).denied()
	c.post("/api/v1/folders", newFolder(root, "B")).want(200)
}

func TestSecretPolicyIsInherited(t *testing.T) {
	s, c, root := clients(t, Options{})
	s.SetSecretPolicy(root, 3)
	r := c.post("/api/v1/folders", newFolder(root, "A")).want(200)
	if r.field("secretPolicyId") != 3.0 || r.field("inheritSecretPolicy") != true {
		t.Errorf("answered %s", r.body)
	}
}

func TestDelete(t *testing.T) {
	s, c, root := clients(t, Options{})
	a := s.AddFolder(root, "A")
	b := s.AddFolder(a, "B")
	secret := s.AddSecret(b, "x", "t", nil)
	remove := func(id int) reply { return c.call("DELETE", fmt.Sprintf("/api/v1/folders/%d", id), nil) }
	remove(a).invalid("not empty")
	remove(b).invalid("not empty")
	s.DeleteFolder(b, "pia")
	if got := s.Secrets(); len(got) != 0 {
		t.Errorf("secret %d outlived its folder", secret)
	}
	r := remove(a).want(200)
	if d := cmp.Diff(map[string]any{"id": float64(a), "objectType": "Folder", "responseCodes": []any{}}, r.json()); d != "" {
		t.Errorf("answer (-want +got):\n%s", d)
	}
	n := 0
	for _, r := range s.Requests() {
		if r.Method == http.MethodDelete {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d DELETE recorded, want 3", n)
	}
	c.get("/api/v1/folders/%d", a).denied()
}

// The simulator is part of the shipped program.
func TestNoTestingPackagesAreShipped(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "net/http") {
		t.Fatalf("go list said %s", out)
	}
	for _, p := range []string{"testing", "net/http/httptest", "cwvault/vault/secretserver"} {
		if slices.Contains(deps, p) {
			t.Errorf("the simulator imports %s", p)
		}
	}
}
