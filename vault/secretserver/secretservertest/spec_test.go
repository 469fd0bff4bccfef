package secretservertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	gosync "sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// The subset of the vendor's OpenAPI document, beside the repository.
var specFile = filepath.Join("..", "..", "..", "..", "shared", "reference", "secretserver.openapi.json")

// spec checks what passes against the vendor's document, with these
// adaptations:
//
//   - Text, lists and objects may be null in answers: the document declares
//     nearly none of them nullable, but captured answers are full of nulls
//     there, as a .NET server writes them.
//   - The servers are replaced by the simulator's address.
//   - Answers 401, 404, 405 and 415 are not in the document, and neither is
//     /api/v1/secrets, which the vendor's SDKs call: these are not checked.
//   - Requests are only checked when they were accepted.
type spec struct {
	base string // the simulator's address
	vendorDocument
	seen map[string]bool // operations that were answered with 200
}

type vendorDocument struct {
	doc    *openapi3.T
	router routers.Router
}

// documentBase stands for the simulator's address in the document.
const documentBase = "http://simulator"

var unspecified = []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType}

var readDocument = gosync.OnceValues(func() (vendorDocument, error) {
	raw, err := os.ReadFile(specFile)
	if err != nil {
		return vendorDocument{}, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return vendorDocument{}, err
	}
	for _, schema := range doc.Components.Schemas {
		for _, p := range schema.Value.Properties {
			if p.Ref == "" && p.Value.Type != nil && (p.Value.Type.Is("string") || p.Value.Type.Is("array") || p.Value.Type.Is("object")) {
				p.Value.Nullable = true
			}
		}
	}
	doc.Servers = openapi3.Servers{{URL: documentBase + "/api"}}
	doc.Paths.Find("/oauth2/token").Servers = openapi3.Servers{{URL: documentBase}}
	router, err := gorillamux.NewRouter(doc)
	return vendorDocument{doc, router}, err
})

// newSpec is nil where the document is not there.
func newSpec(t testing.TB, s *Server) *spec {
	t.Helper()
	d, err := readDocument()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return &spec{base: s.URL(), vendorDocument: d, seen: map[string]bool{}}
}

func (x *spec) check(t testing.TB, r *http.Request, sent []byte, resp *http.Response, body []byte) {
	t.Helper()
	if slices.Contains(unspecified, resp.StatusCode) || strings.Contains(r.URL.Path, "/api/v1/secrets") && !strings.Contains(r.URL.Path, "/fields/") {
		return
	}
	at := documentBase + strings.TrimPrefix(r.URL.String(), x.base)
	header := r.Header
	r, err := http.NewRequestWithContext(t.Context(), r.Method, at, bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	rt, vars, err := x.router.FindRoute(r)
	if err != nil {
		t.Fatalf("%s %s answered %d but is not in the document: %v", r.Method, r.URL, resp.StatusCode, err)
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: vars, Route: rt, Options: options}
	if resp.StatusCode == http.StatusOK {
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			t.Errorf("accepted %s %s %s: %v", r.Method, r.URL, sent, err)
		}
		for name := range r.URL.Query() {
			if rt.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
				t.Errorf("%s %s: the document has no parameter %s", r.Method, rt.Path, name)
			}
		}
		x.seen[rt.Operation.OperationID] = true
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)), Options: options,
	})
	if err != nil {
		t.Errorf("%s %s answered %d %s: %v", r.Method, r.URL, resp.StatusCode, body, err)
	}
	if resp.StatusCode == http.StatusOK {
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Errorf("%s %s answered %s: %v", r.Method, r.URL, body, err)
		}
		complete(t, rt.Path, rt.Operation.Responses.Status(http.StatusOK).Value.Content.Get("application/json").Schema.Value, v)
	}
}

// complete asserts that an answer has every field of its model, which the
// document itself does not require, and no other.
func complete(t testing.TB, where string, schema *openapi3.Schema, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			complete(t, where+"[]", schema.Items.Value, x)
		}
	case map[string]any:
		for name, p := range schema.Properties {
			x, ok := v[name]
			if !ok && name != "refresh_token" {
				t.Errorf("%s: the answer has no %s", where, name)
			}
			complete(t, where+"."+name, p.Value, x)
		}
		for name := range v {
			// Captured pages echo the filter; the document leaves that out.
			if schema.Properties[name] == nil && name != "filter" {
				t.Errorf("%s: the answer has %s, which is not in the document", where, name)
			}
		}
	}
}

// TestSpec calls every operation of the vendor's document once with success.
func TestSpec(t *testing.T) {
	s, c, root := clients(t, Options{Permissions: append(LeastRights(), AdministerConnectWiseIntegration)})
	if c.spec == nil {
		t.Skipf("the vendor's OpenAPI document is not beside the repository: %s", specFile)
	}
	group := s.AddGroup("Helpdesk")
	s.Grant(root, s.opt.Username, "Owner", "View")
	secret := s.AddSecret(root, "Integrator", "Web Password", map[string]string{"username": "u", "password": "p"})

	c.get("/api/v1/healthcheck?noBus=true").want(200)
	c.get("/api/v1/version").want(200)
	c.get("/api/v1/users/current").want(200)
	c.get("/api/v1/folders/stub").want(200)
	id := c.post("/api/v1/folders", newFolder(root, "Acme")).id()
	c.get("/api/v1/folders/%d?getAllChildren=true&includeAssociatedTemplates=true", root).want(200)
	c.get("/api/v1/folders/0?folderPath=%s", url.QueryEscape(`\Clients\Acme`)).want(200)
	c.get("/api/v1/folders?filter.parentFolderId=%d&filter.limitToDirectDescendents=true&filter.permissionRequired=Owner"+
		"&filter.searchText=a&filter.folderTypeId=1&skip=0&take=5&sortBy[0].name=folderName&sortBy[0].direction=Desc&sortBy[0].priority=0", root).want(200)
	c.get("/api/v1/folders/lookup?filter.onlyIncludeRootFolders=true").want(200)
	c.put(id, map[string]any{"folderName": "Acme Inc."}).want(200)
	c.call("PATCH", fmt.Sprintf("/api/v1/folder/%d", id), map[string]any{"data": map[string]any{
		"folderName": map[string]any{"dirty": true, "value": "Acme"}}}).want(200)
	c.get("/api/v1/folders/%d/audit?take=5", id).want(200)
	c.get("/api/v1/folder-details/%d", id).want(200)

	c.get("/api/v1/folder-permissions/stub?folderId=%d", id).want(200)
	p := c.post("/api/v1/folder-permissions", map[string]any{
		"folderId": id, "groupId": group, "folderAccessRoleName": "View", "secretAccessRoleName": "None", "breakInheritance": true}).id()
	c.get("/api/v1/folder-permissions?filter.folderId=%d", id).want(200)
	c.get("/api/v1/folder-permissions/%d", p).want(200)
	c.call("PUT", fmt.Sprintf("/api/v1/folder-permissions/%d", p), map[string]any{
		"id": p, "folderId": id, "folderAccessRoleName": "Edit", "secretAccessRoleName": "View"}).want(200)
	c.call("DELETE", fmt.Sprintf("/api/v1/folder-permissions/%d", p), nil).want(200)
	c.call("PATCH", fmt.Sprintf("/api/v1/folder/%d/permissions", id), map[string]any{"data": map[string]any{
		"inheritPermissions": map[string]any{"dirty": true, "value": true}}}).want(200)

	m := c.post(fmt.Sprintf("/api/v1/metadata/Folder/%d", id), mark("acmeinc company/250"))
	m.want(200)
	data, section := int(m.field("metadataItemDataId").(float64)), int(m.field("metadataFieldSectionId").(float64))
	c.call("PATCH", fmt.Sprintf("/api/v1/metadata/Folder/%d", id), map[string]any{"data": map[string]any{
		"metadataItemDataId": data, "valueString": map[string]any{"dirty": true, "value": "acmeinc company/251"}}}).want(200)
	c.get("/api/v1/metadata?filter.metadataType=Folder&filter.itemId=%d", id).want(200)
	c.get("/api/v1/metadata/fields").want(200)
	c.get("/api/v1/metadata/field-sections?filter.metadataType=Folder&filter.itemId=%d", id).want(200)
	c.call("PATCH", fmt.Sprintf("/api/v1/metadata/field-sections/%d", section), map[string]any{"data": map[string]any{
		"metadataFieldSectionDescription": map[string]any{"dirty": true, "value": "kept by cwvault"}}}).want(200)
	c.get("/api/v1/metadata/history?filter.metadataType=Folder&filter.itemId=%d", id).want(200)
	c.call("DELETE", fmt.Sprintf("/api/v1/metadata/Folder/%d/%d", id, data), nil).want(200)

	c.get("/api/v2/secrets?filter.folderId=%d&filter.includeSubFolders=true&filter.includeRestricted=true", root).want(200)
	c.get("/api/v2/secrets/search-total?filter.folderId=%d", root).want(200)
	c.get("/api/v2/secrets/%d", secret).want(200)
	c.get("/api/v1/secrets/%d/fields/username", secret).want(200)

	c.get("/api/v1/configuration/folder-synchronization").want(200)
	c.call("PATCH", "/api/v1/configuration/folder-synchronization", map[string]any{"data": map[string]any{
		"syncMethodType": map[string]any{"dirty": true, "value": "None"}}}).want(200)

	c.call("DELETE", fmt.Sprintf("/api/v1/folders/%d", id), nil).want(200)
	c.form("/oauth2/token", map[string][]string{"grant_type": {"password"}, "username": {s.opt.Username}, "password": {s.opt.Password}}, nil).want(200)
	c.post("/api/v1/oauth-expiration", nil).want(200)

	operations := 0
	for path, item := range c.spec.doc.Paths.Map() {
		for method, op := range item.Operations() {
			operations++
			if !c.spec.seen[op.OperationID] {
				t.Errorf("%s %s was not called", method, path)
			}
		}
	}
	if operations < 35 {
		t.Errorf("the document has %d operations only", operations)
	}
}

// mark is the body that writes a text into section ConnectWise, field Folder
// key, and makes both where they are missing.
func mark(value string) map[string]any {
	return map[string]any{"data": map[string]any{
		"metadataFieldSectionName": "ConnectWise", "metadataFieldSectionDescription": "", "metadataFieldSectionRequiresEntityEdit": true,
		"metadataFieldSectionRequiresAdministerMetadata": false, "metadataFieldName": "Folder key", "fieldDataType": "String",
		"valueString": value, "containsPersonalInformation": false,
	}}
}
