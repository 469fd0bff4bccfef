package secretservertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// start runs a simulator for one test.
func start(t testing.TB, opt Options) *Server {
	t.Helper()
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// client speaks plain HTTP to a simulator. What passes is held against the
// vendor's document where that is present.
type client struct {
	t     testing.TB
	s     *Server
	http  *http.Client
	token string
	spec  *spec
}

func newClient(t testing.TB, s *Server) *client {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{t: t, s: s, http: &http.Client{Transport: tr, Timeout: 30 * time.Second}, spec: newSpec(t, s)}
}

// signedIn is a client with a token of the simulator's own account.
func signedIn(t testing.TB, s *Server) *client {
	t.Helper()
	return signedInAs(t, s, s.opt.Username, s.opt.Password)
}

func signedInAs(t testing.TB, s *Server, username, password string) *client {
	t.Helper()
	c := newClient(t, s)
	r := c.form("/oauth2/token", url.Values{"grant_type": {"password"}, "username": {username}, "password": {password}}, nil)
	if r.status != http.StatusOK {
		t.Fatalf("sign in as %s: %d %s", username, r.status, r.body)
	}
	c.token = r.field("access_token").(string)
	return c
}

type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

func (r reply) json() map[string]any {
	r.t.Helper()
	var m map[string]any
	if err := json.Unmarshal(r.body, &m); err != nil {
		r.t.Fatalf("answer %d %q: %v", r.status, r.body, err)
	}
	return m
}

func (r reply) field(name string) any {
	r.t.Helper()
	v, ok := r.json()[name]
	if !ok {
		r.t.Fatalf("answer %s has no %s", r.body, name)
	}
	return v
}

func (r reply) id() int {
	r.t.Helper()
	r.want(http.StatusOK)
	return int(r.field("id").(float64))
}

func (r reply) records() []map[string]any {
	r.t.Helper()
	r.want(http.StatusOK)
	var all []map[string]any
	for _, x := range r.field("records").([]any) {
		all = append(all, x.(map[string]any))
	}
	return all
}

// column is one field of all records.
func (r reply) column(name string) []any {
	r.t.Helper()
	all := []any{}
	for _, rec := range r.records() {
		all = append(all, rec[name])
	}
	return all
}

func (r reply) want(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("answered %d %s, want %d", r.status, r.body, status)
	}
	return r
}

// denied asserts the answer for a missing right, which is that for a missing thing.
func (r reply) denied() {
	r.t.Helper()
	r.want(http.StatusBadRequest)
	if string(r.body) != `{"message":"Access Denied","errorCode":"API_AccessDenied"}` {
		r.t.Fatalf("answered %s, want API_AccessDenied", r.body)
	}
}

// invalid asserts a refusal that is not about rights.
func (r reply) invalid(message string) {
	r.t.Helper()
	r.want(http.StatusBadRequest)
	if m := r.field("message").(string); r.json()["errorCode"] == "API_AccessDenied" || !strings.Contains(m, message) {
		r.t.Fatalf("answered %s, want one about %q", r.body, message)
	}
}

func (c *client) do(r *http.Request) (reply, error) {
	c.t.Helper()
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	if c.spec != nil {
		c.spec.check(c.t, r, sent, resp, body)
	}
	return reply{t: c.t, status: resp.StatusCode, header: resp.Header, body: body}, nil
}

func (c *client) request(method, path string, body any) *http.Request {
	c.t.Helper()
	var b io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		b = strings.NewReader(body)
	default:
		j, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		b = bytes.NewReader(j)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.s.URL()+path, b)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (c *client) call(method, path string, body any) reply {
	c.t.Helper()
	r, err := c.do(c.request(method, path, body))
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (c *client) get(path string, args ...any) reply {
	c.t.Helper()
	return c.call(http.MethodGet, fmt.Sprintf(path, args...), nil)
}

func (c *client) post(path string, body any) reply {
	c.t.Helper()
	return c.call(http.MethodPost, path, body)
}

// put sends a folder back as GET answered it, with these changes; a nil value
// leaves the field out.
func (c *client) put(id int, changes map[string]any) reply {
	c.t.Helper()
	m := c.get("/api/v1/folders/%d", id).want(http.StatusOK).json()
	for name, v := range changes {
		if v == nil {
			delete(m, name)
		} else {
			m[name] = v
		}
	}
	for _, extra := range []string{"childFolders", "secretTemplates"} { // null, which the document does not allow
		delete(m, extra)
	}
	return c.call(http.MethodPut, fmt.Sprintf("/api/v1/folders/%d", id), m)
}

func (c *client) form(path string, v url.Values, header http.Header) reply {
	c.t.Helper()
	r := c.request(http.MethodPost, path, v.Encode())
	for name := range header {
		r.Header.Set(name, header.Get(name))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := c.do(r)
	if err != nil {
		c.t.Fatalf("POST %s: %v", path, err)
	}
	return a
}

// newFolder is a whole create body.
func newFolder(parent int, name string) map[string]any {
	return map[string]any{
		"folderName": name, "folderTypeId": 1, "parentFolderId": parent, "inheritPermissions": true, "inheritSecretPolicy": true, "secretPolicyId": -1,
	}
}

// clients is a world with a root \Clients that the account owns.
func clients(t testing.TB, opt Options) (s *Server, c *client, root int) {
	t.Helper()
	s = start(t, opt)
	root = s.AddFolder(-1, "Clients")
	s.Grant(root, s.opt.Username, "Owner", "List")
	return s, signedIn(t, s), root
}

func mustPath(t testing.TB, s *Server, path string) Folder {
	t.Helper()
	f, ok := s.FolderByPath(path)
	if !ok {
		t.Fatalf("no folder %s", path)
	}
	return f
}
