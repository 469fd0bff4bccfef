package secretserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"cwvault/vault/secretserver/secretservertest"
)

// specTransport holds every request against the vendor's OpenAPI document. It
// is stricter than the document: a body has no field that its schema does not
// name, a query no parameter that the operation does not name.
type specTransport struct {
	t      *testing.T
	base   string
	router routers.Router
	next   http.RoundTripper

	mu   gosync.Mutex
	seen map[string]bool // operations
}

func newSpecTransport(t *testing.T, base string, next http.RoundTripper) *specTransport {
	t.Helper()
	file := filepath.Join("..", "..", "..", "shared", "reference", "secretserver.openapi.json")
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the vendor's OpenAPI document is not beside the repository")
	}
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	no := false
	for _, schema := range doc.Components.Schemas {
		if len(schema.Value.Properties) > 0 {
			schema.Value.AdditionalProperties.Has = &no
		}
	}
	doc.Servers = openapi3.Servers{{URL: "http://server/api"}}
	doc.Paths.Find("/oauth2/token").Servers = openapi3.Servers{{URL: "http://server"}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &specTransport{t: t, base: base, router: router, next: next, seen: map[string]bool{}}
}

func (s *specTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	if err := s.check(r, sent); err != nil {
		s.t.Errorf("%s %s %s: %v", r.Method, r.URL, sent, err)
	}
	return s.next.RoundTrip(r)
}

func (s *specTransport) check(r *http.Request, sent []byte) error {
	c, err := http.NewRequestWithContext(r.Context(), r.Method, "http://server"+strings.TrimPrefix(r.URL.String(), s.base), bytes.NewReader(sent))
	if err != nil {
		return err
	}
	c.Header = r.Header
	route, params, err := s.router.FindRoute(c)
	if err != nil {
		return err
	}
	for name := range c.URL.Query() {
		if route.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
			return fmt.Errorf("no parameter %s", name)
		}
	}
	s.mu.Lock()
	s.seen[route.Method+" "+route.Path] = true
	s.mu.Unlock()
	return openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{Request: c, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}})
}

func TestRequestsAreThoseOfTheSpecification(t *testing.T) {
	s := newSimulator(t, secretservertest.Options{})
	root := clientsFolder(s)
	group := s.AddFolder(root, "Group")
	secret := s.AddSecret(group, "ConnectWise", "Password", map[string]string{"username": "pub", "password": "priv"})
	s.Grant(root, secretservertest.DefaultUsername, "Owner", "View")
	v := openSimulator(t, s, func(c *Config) { c.Access = "preserve" })
	spec := newSpecTransport(t, s.URL(), v.client.http.Transport)
	v.client.http.Transport = spec

	ctx, id := t.Context(), fmt.Sprint(group)
	_, first := v.Tree(ctx)
	f, create := v.Create(ctx, id, "Acme", company(1))
	_, second := v.Create(ctx, id, "Other", company(2))
	_, move := v.Update(ctx, f.ID, fmt.Sprint(root), "Acme, Inc.")
	_, tree := v.Tree(ctx)
	_, find := v.Find(ctx, id, "other")
	_, again := v.CreateRoot(ctx)
	_, count := v.Secrets(ctx, id)
	_, audience := v.Audience(ctx, id)
	_, read := v.ReadSecret(ctx, secret)
	_, preflight := v.preflight(ctx)
	for what, err := range map[string]error{"preflight": preflight, "first tree": first, "create": create, "second": second, "move": move, "tree": tree, "find": find,
		"root": again, "secrets": count, "audience": audience, "secret": read, "ready": v.Ready(ctx)} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, operation := range []string{"POST /oauth2/token", "GET /v1/healthcheck", "GET /v1/version", "GET /v1/users/current", "GET /v1/folder-details/{id}",
		"GET /v1/folders", "GET /v1/folders/{id}", "POST /v1/folders", "PUT /v1/folders/{id}", "GET /v1/metadata", "GET /v1/metadata/fields", "GET /v1/metadata/field-sections",
		"POST /v1/metadata/{itemType}/{itemId}", "GET /v1/folder-permissions", "GET /v1/configuration/folder-synchronization",
		"GET /v2/secrets/search-total", "GET /v2/secrets/{id}", "GET /v1/secrets/{id}/fields/{slug}"} {
		if !spec.seen[operation] {
			t.Errorf("%s was not used, so it was not checked", operation)
		}
	}
}
