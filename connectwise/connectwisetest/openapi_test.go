package connectwisetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// specFile is the vendor's OpenAPI description of the API. It is not ours to
// ship; where it lies beside the repository, tests compare with it.
const specFile = "../../../shared/reference/connectwise.openapi.json"

// loadSpec reads the specification and makes it stricter: an object has the
// members that are listed and no others.
//
// One thing is adapted: a custom field's value is specified as an object and
// is text, a number or a flag on every server.
func loadSpec(t *testing.T) *openapi3.T {
	t.Helper()
	if _, err := os.Stat(specFile); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the vendor's OpenAPI document is not beside the repository: %v", err)
	}
	doc, err := openapi3.NewLoader().LoadFromFile(specFile)
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	for _, s := range doc.Components.Schemas {
		if len(s.Value.Properties) > 0 {
			s.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &closed}
		}
	}
	doc.Components.Schemas["CustomFieldValue"].Value.Properties["value"] = &openapi3.SchemaRef{Value: openapi3.NewSchema()}
	return doc
}

// TestOpenAPI sends one request for every operation that both the vendor's
// specification and the simulator have, and validates the answer.
func TestOpenAPI(t *testing.T) {
	doc := loadSpec(t)
	s := withTables(start(t, Options{}))
	s.AddCustomField(CustomField{Caption: "Owner"})
	s.AddCustomField(CustomField{Caption: "Hidden", Type: "Checkbox"})
	parent := s.AddCompany(Company{Name: "Parent"})
	full := s.AddCompany(Company{
		Identifier: "full", Name: "Full", Types: []int{1, 2}, Status: 1, Territory: s.AddTerritory("East"), Market: s.AddMarket("Health"), Parent: parent,
		Fields: map[string]any{"addressLine1": "1 Main St", "city": "Ghent", "yearEstablished": 1999, "dateAcquired": "2020-01-02T03:04:05Z",
			"annualRevenue": 12.5, "leadFlag": true, "userDefinedField3": "x", "website": "www.example.com"},
		CustomFields: map[int]any{1: "Ann", 2: true},
	})
	s.Delete(s.AddCompany(Company{Name: "Deleted", DateDeleted: time.Now()}))
	ticket := `{"summary":"x","company":{"id":251},"externalXRef":"y"}`
	request{method: "POST", path: "service/tickets", body: ticket}.send(t, s).want(t, 201)

	used := map[string]bool{}
	check := func(method, template, path, body string, status int, header map[string]string) {
		t.Helper()
		used[method+" "+template] = true
		item := doc.Paths.Value(template)
		if item == nil || item.GetOperation(method) == nil {
			t.Fatalf("the specification has no %s %s", method, template)
		}
		r := request{method: method, path: path, body: body, header: header}.send(t, s).want(t, status)
		responses := item.GetOperation(method).Responses
		response := responses.Status(status)
		if response == nil {
			response = responses.Default()
		}
		if response == nil {
			t.Fatalf("the specification has no answer %d for %s %s", status, method, template)
		}
		if status == 204 {
			return
		}
		for mediaType, content := range response.Value.Content {
			if status < 300 && !strings.HasPrefix(path, "/") && r.header.Get("Content-Type") != mediaType {
				t.Errorf("%s %s: Content-Type %q, want %q", method, path, r.header.Get("Content-Type"), mediaType)
			}
			if err := content.Schema.Value.VisitJSON(into[any](t, r), openapi3.MultiErrors()); err != nil {
				t.Errorf("%s %s: %v\n%s", method, path, err, r.body)
			}
		}
		if len(response.Value.Content) != 1 {
			t.Errorf("%s %s has %d media types", method, template, len(response.Value.Content))
		}
	}

	check("GET", "/login/companyinfo/{companyId}", "/login/companyinfo/acmeinc", "", 200, nil)
	check("GET", "/login/companyinfo/{companyId}", "/login/companyinfo/other", "", 200, nil)
	check("GET", "/system/info", "system/info", "", 200, nil)
	check("POST", "/system/callbacks", "system/callbacks", `{"url":"http://127.0.0.1:1/?recordId=","objectId":1,"type":"company","level":"owner","description":"d"}`, 201, nil)
	for table, id := range map[string]int{
		"/company/companies": full, "/company/companies/statuses": 1, "/company/companies/types": 1, "/company/companyTypeAssociations": 1,
		"/service/tickets": 1, "/service/boards": 1, "/service/priorities": 1, "/system/callbacks": 1,
	} {
		path := strings.TrimPrefix(table, "/")
		check("GET", table, path, "", 200, nil)
		check("GET", table, path, "", 200, forwardOnly)
		check("GET", table, path+"?conditions=nonsense=1", "", 400, nil)
		check("GET", table+"/count", path+"/count", "", 200, nil)
		check("GET", table+"/{id}", fmt.Sprintf("%s/%d", path, id), "", 200, nil)
		check("GET", table+"/{id}", path+"/9999", "", 404, nil)
	}
	check("GET", "/service/boards/{parentId}/statuses", "service/boards/1/statuses", "", 200, nil)
	check("GET", "/company/companies/{parentId}/typeAssociations", "company/companies/251/typeAssociations", "", 200, nil)
	check("GET", "/company/companies/{parentId}/typeAssociations/count", "company/companies/251/typeAssociations/count", "", 200, nil)
	check("GET", "/company/companies/{parentId}/typeAssociations/{id}", "company/companies/251/typeAssociations/2", "", 200, nil)

	for _, method := range []string{"GET", "POST"} {
		for _, header := range []map[string]string{{"Authorization": ""}, {"clientId": ""}} {
			status := map[string]int{"Authorization": 401, "clientId": 403}
			for k := range header {
				check(method, "/company/companies", "company/companies", "", status[k], header)
			}
		}
	}
	check("POST", "/company/companies", "company/companies", `{"identifier":"a","name":"A","site":{"name":"Main"},"types":[{"id":1}],"customFields":[{"id":1,"value":"x"}]}`, 201, nil)
	check("POST", "/company/companies", "company/companies", `{"identifier":"a","name":"A"}`, 400, nil)
	check("PATCH", "/company/companies/{id}", "company/companies/251", `[{"op":"replace","path":"name","value":"B"}]`, 200, nil)
	check("PATCH", "/company/companies/{id}", "company/companies/251", `[{"op":"replace","path":"name","value":""}]`, 400, nil)
	check("POST", "/company/companies/{parentId}/typeAssociations", "company/companies/251/typeAssociations", `{"type":{"id":3}}`, 201, nil)
	check("DELETE", "/company/companies/{parentId}/typeAssociations/{id}", "company/companies/251/typeAssociations/2", "", 204, nil)
	check("POST", "/company/companyTypeAssociations", "company/companyTypeAssociations", `{"type":{"id":3},"company":{"id":250}}`, 201, nil)
	check("DELETE", "/company/companyTypeAssociations/{id}", "company/companyTypeAssociations/1", "", 204, nil)
	check("POST", "/company/companies/{id}/merge", "company/companies/250/merge", `{"toCompanyId":251}`, 200, nil)
	check("DELETE", "/company/companies/{id}", "company/companies/251", "", 204, nil)
	check("GET", "/company/companies/{id}", "company/companies/251", "", 200, nil)
	check("POST", "/service/tickets", "service/tickets", ticket, 201, nil)
	check("PATCH", "/service/tickets/{id}", "service/tickets/1", `[{"op":"replace","path":"status","value":{"name":"Closed"}}]`, 200, nil)
	check("DELETE", "/system/callbacks/{id}", "system/callbacks/1", "", 204, nil)

	// What of the specification nobody checked is what the simulator leaves out.
	left := map[string]bool{
		"PUT /company/companies/{id}": true, "PUT /company/companyTypeAssociations/{id}": true, "PATCH /company/companyTypeAssociations/{id}": true,
		"PUT /company/companies/{parentId}/typeAssociations/{id}": true, "PATCH /company/companies/{parentId}/typeAssociations/{id}": true,
		"PUT /system/callbacks/{id}": true, "PATCH /system/callbacks/{id}": true,
	}
	for template, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			op := method + " " + template
			if outside := strings.HasPrefix(template, "/system/links") || strings.HasPrefix(template, "/system/userDefinedFields"); !used[op] && !left[op] && !outside {
				t.Errorf("%s is neither checked nor known to be left out", op)
			}
		}
	}
}

// TestOpenAPICatches shows that the validation can fail.
func TestOpenAPICatches(t *testing.T) {
	company := loadSpec(t).Components.Schemas["Company"].Value
	for _, body := range []string{`{"identifier":"a"}`, `{"identifier":"a","name":"b","nonsense":1}`, `{"identifier":"a","name":7}`,
		`{"identifier":"a","name":"b","types":{}}`, `{"identifier":"a","name":"b","status":{"id":"1"}}`, `{"identifier":"a","name":"b","_info":{"x":1}}`,
		`{"identifier":"a","name":"b","customFields":[{"type":"Nonsense"}]}`} {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		if company.VisitJSON(v) == nil {
			t.Errorf("%s is valid", body)
		}
	}
}
