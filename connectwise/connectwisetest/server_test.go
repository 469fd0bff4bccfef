package connectwisetest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"go/build"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOptions(t *testing.T) {
	s := start(t, Options{Tenant: "t", PublicKey: "pub", PrivateKey: "pri:v", ClientID: "c"})
	if got := []string{s.Tenant(), s.PublicKey(), s.PrivateKey(), s.ClientID()}; !slices.Equal(got, []string{"t", "pub", "pri:v", "c"}) {
		t.Errorf("%v", got)
	}
	get(t, s, "company/companies").want(t, 200, "[]")
	if _, err := New(Options{Codebase: "2026.4"}); err == nil {
		t.Error("a bad codebase was accepted")
	}
	if _, err := New(Options{Addr: s.ln.Addr().String()}); err == nil {
		t.Error("an address in use was accepted")
	}
}

func TestTLS(t *testing.T) {
	s := start(t, Options{TLS: true})
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.CertPEM()) {
		t.Fatal("no certificate")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	r := request{path: "company/companies", client: client}.send(t, s).want(t, 200)
	if !strings.HasPrefix(s.URL(), "https://") || r.header.Get("x-cw-request-id") == "" {
		t.Errorf("%s %v", s.URL(), r.header)
	}
	if r := get(t, s, "company/companies"); r.err == nil {
		t.Error("a client without the certificate was content")
	}
}

func TestFields(t *testing.T) {
	s := withTables(start(t, Options{}))
	parent := s.AddCompany(Company{Identifier: "p", Name: "Parent"})
	s.AddCompany(Company{Identifier: "c", Name: "Child", Types: []int{2}, Status: 1, Territory: s.AddTerritory("East"), Market: s.AddMarket("Health"), Parent: parent})
	base := s.URL() + "/v4_6_release/apis/3.0/"
	for fields, want := range map[string]string{
		"id":                           `{"id":251}`,
		" ID , Name ":                  `{"id":251,"name":"Child"}`,
		"nonsense,id,status/nonsense":  `{"id":251}`,
		"nonsense":                     `{}`,
		"status/id,status/name":        `{"status":{"id":1,"name":"Active"}}`,
		"status/name,status":           `{"status":{"id":1,"name":"Active","_info":{"status_href":"` + base + `company/companies/statuses/1"}}}`,
		"status,status/name":           `{"status":{"id":1,"name":"Active","_info":{"status_href":"` + base + `company/companies/statuses/1"}}}`,
		"types/name,market":            `{"market":{"id":1,"name":"Health"},"types":[{"name":"Vendor"}]}`,
		"territory/name,parentCompany": `{"territory":{"name":"East"},"parentCompany":{"id":250,"identifier":"p","name":"Parent","_info":{"company_href":"` + base + `company/companies/250"}}}`,
		"_info/sites_href":             `{"_info":{"sites_href":"` + base + `company/companies/251/sites"}}`,
	} {
		get(t, s, "company/companies/251", "fields", fields).want(t, 200, want)
		get(t, s, "company/companies", "fields", fields, "conditions", "id=251").want(t, 200, "["+want+"]")
	}
	if r := get(t, s, "company/companies/251").want(t, 200); !strings.Contains(r.body, `"lastUpdated"`) {
		t.Errorf("no _info without fields: %s", r.body)
	}
	if r := get(t, s, "company/companies/251", "fields", "id,name").want(t, 200); strings.Contains(r.body, "_info") {
		t.Errorf("_info without being asked for: %s", r.body)
	}
}

func TestOrderBy(t *testing.T) {
	s := withTables(start(t, Options{}))
	s.AddCompany(Company{Name: "b", Status: 2})
	s.AddCompany(Company{Name: "C", Status: 1})
	s.AddCompany(Company{Name: "a"})
	s.AddCompany(Company{Name: "B", Status: 1})
	for order, want := range map[string][]int{
		"":                               {250, 251, 252, 253},
		"id desc":                        {253, 252, 251, 250},
		"name":                           {252, 250, 253, 251},
		"Name ASC, id desc":              {252, 253, 250, 251},
		"status/name asc,name desc":      {252, 251, 253, 250},
		"lastUpdated desc,deletedFlag":   {250, 251, 252, 253},
		"annualRevenue, status/id, name": {252, 253, 251, 250},
	} {
		if diff := cmp.Diff(want, get(t, s, "company/companies", "orderBy", order).ids(t)); diff != "" {
			t.Errorf("%q (-want +got)\n%s", order, diff)
		}
	}
	if diff := cmp.Diff([]int{250}, get(t, s, "company/companies", "orderBy", "id desc", "page", "4", "pageSize", "1").ids(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, bad := range []string{"nope", "types/id", "name sideways", "name asc x"} {
		get(t, s, "company/companies", "orderBy", bad).want(t, 400)
	}
}

func TestSetupTables(t *testing.T) {
	s := withTables(start(t, Options{Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }}))
	id := s.AddCompany(Company{Name: "x", Status: 2, Types: []int{1}, Territory: s.AddTerritory("T"), Market: s.AddMarket("M")})
	s.RenameStatus(2, "Lost")
	s.RenameType(1, "Customer")
	s.RenameTerritory(1, "T2")
	s.RenameMarket(1, "M2")
	get(t, s, "company/companies/statuses").want(t, 200, `[{"id":1,"name":"Active","defaultFlag":true,"inactiveFlag":false,"notifyFlag":false,"disallowSavingFlag":false,"customNoteFlag":false,"cancelOpenTracksFlag":false,"_info":{"lastUpdated":"2026-01-02T03:04:05Z","updatedBy":"admin"}},`+
		`{"id":2,"name":"Lost","defaultFlag":false,"inactiveFlag":false,"notifyFlag":false,"disallowSavingFlag":false,"customNoteFlag":false,"cancelOpenTracksFlag":false,"_info":{"lastUpdated":"2026-01-02T03:04:05Z","updatedBy":"admin"}}]`)
	get(t, s, "company/companies/types", "fields", "id,name,vendorFlag", "conditions", `name like "*tom*"`).want(t, 200, `[{"id":1,"name":"Customer","vendorFlag":false}]`)
	get(t, s, "company/companies/statuses/count").want(t, 200, `{"count":2}`)
	get(t, s, "company/companies/types/count", "conditions", "id>1").want(t, 200, `{"count":2}`)
	get(t, s, "company/companies/statuses/2", "fields", "name").want(t, 200, `{"name":"Lost"}`)
	get(t, s, "company/companies/types/9").want(t, 404, `{"code":"NotFound","message":"companyType 9 not found"}`)
	get(t, s, "company/companies/info/types", "pageSize", "1").want(t, 200, `[{"id":1,"name":"Customer","isVendor":false}]`)
	get(t, s, "company/companies", "fields", "status/name,territory/name,market/name,types/name").
		want(t, 200, `[{"status":{"name":"Lost"},"territory":{"name":"T2"},"market":{"name":"M2"},"types":[{"name":"Customer"}]}]`)

	s.DeleteStatus(2)
	if c := s.Companies()[0]; c.ID != id || c.Status != 0 {
		t.Errorf("after the status was deleted: %+v", c)
	}
	if again := s.AddStatus("Lost"); again != 3 {
		t.Errorf("the new status has id %d", again)
	}
}

func TestEdits(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := withTables(start(t, Options{Now: func() time.Time { return now }}))
	parent, id := s.AddCompany(Company{ID: 5, Name: "Parent"}), s.AddCompany(Company{Name: "x", Fields: map[string]any{"city": "Ghent"}})
	territory, market, field := s.AddTerritory("T"), s.AddMarket("M"), s.AddCustomField(CustomField{Caption: "F"})
	for _, edit := range []struct {
		do     func()
		change func(*Company)
	}{
		{func() { s.Rename(id, "y") }, func(c *Company) { c.Name = "y" }},
		{func() { s.SetIdentifier(id, "why") }, func(c *Company) { c.Identifier = "why" }},
		{func() { s.SetTypes(id, 3, 1) }, func(c *Company) { c.Types = []int{3, 1} }},
		{func() { s.SetTypes(id, 1, 3, 2) }, func(c *Company) { c.Types = []int{1, 3, 2} }},
		{func() { s.SetTypes(id) }, func(c *Company) { c.Types = nil }},
		{func() { s.SetStatus(id, 2) }, func(c *Company) { c.Status = 2 }},
		{func() { s.SetStatus(id, 0) }, func(c *Company) { c.Status = 0 }},
		{func() { s.SetTerritory(id, territory) }, func(c *Company) { c.Territory = territory }},
		{func() { s.SetMarket(id, market) }, func(c *Company) { c.Market = market }},
		{func() { s.SetParent(id, parent) }, func(c *Company) { c.Parent = parent }},
		{func() { s.SetCustomField(id, field, true) }, func(c *Company) { c.CustomFields = map[int]any{field: true} }},
		{func() { s.SetCustomField(id, field, nil) }, func(c *Company) { c.CustomFields = map[int]any{} }},
		{func() { s.Delete(id) }, func(c *Company) { c.Deleted, c.DateDeleted, c.DeletedBy = true, now, "admin" }},
		{func() { s.Restore(id) }, func(c *Company) { c.Deleted, c.DateDeleted, c.DeletedBy = false, time.Time{}, "" }},
	} {
		want := s.Companies()
		now = now.Add(time.Hour)
		edit.do()
		edit.change(&want[1])
		want[1].LastUpdated = now
		if diff := cmp.Diff(want, s.Companies()); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
	}
	s.Purge(parent)
	if c := s.Companies(); len(c) != 1 || c[0].Parent != 0 {
		t.Errorf("after the parent's purge: %+v", c)
	}
	for name, wrong := range map[string]func(){
		"company": func() { s.Rename(99, "x") }, "status": func() { s.SetStatus(id, 99) }, "type": func() { s.SetTypes(id, 99) },
		"no type": func() { s.SetTypes(id, 0) }, "two types": func() { s.SetTypes(id, 1, 1) }, "parent": func() { s.SetParent(id, 99) },
		"id": func() { s.AddCompany(Company{ID: id}) }, "rename": func() { s.RenameStatus(0, "x") }, "codebase": func() { s.MoveCodebase("x") },
	} {
		func() {
			defer func() {
				if r := recover(); !strings.HasPrefix(fmt.Sprint(r), "connectwisetest: ") {
					t.Errorf("%s: recovered %v", name, r)
				}
			}()
			wrong()
			t.Errorf("%s: no panic", name)
		}()
	}
	s.Rename(id, "still at work")
	if far := s.AddCompany(Company{ID: 1000}); far != 1000 || s.AddCompany(Company{}) != 1001 {
		t.Error("the id after 1000 is not 1001")
	}
}

func TestMerge(t *testing.T) {
	s := start(t, Options{})
	from, into, other := s.AddCompany(Company{Name: "From"}), s.AddCompany(Company{Name: "Into"}), s.AddCompany(Company{Name: "Other"})
	request{method: "POST", path: "service/tickets", body: fmt.Sprintf(`{"summary":"x","company":{"id":%d}}`, from)}.send(t, s).want(t, 201)
	post := func(id, to int) reply {
		return request{method: "POST", path: fmt.Sprintf("company/companies/%d/merge", id), body: fmt.Sprintf(`{"toCompanyId":%d,"name":"To"}`, to)}.send(t, s)
	}
	post(from, 999).want(t, 400)
	post(from, from).want(t, 400)
	post(999, into).want(t, 404)
	if slices.ContainsFunc(s.Companies(), func(c Company) bool { return c.Deleted }) {
		t.Fatal("a refused merge deleted a company")
	}
	post(from, into).want(t, 200, `{"success":true,"message":"The companies were merged."}`)
	s.Merge(other, into)
	all := s.Companies()
	if !all[0].Deleted || all[1].Deleted || !all[2].Deleted || s.Tickets()[0].Company != into {
		t.Errorf("%+v, tickets %+v", all, s.Tickets())
	}
	if all[0].DeletedBy != s.PublicKey() || all[2].DeletedBy != "admin" {
		t.Errorf("deleted by %s and %s", all[0].DeletedBy, all[2].DeletedBy)
	}
	request{method: "DELETE", path: fmt.Sprintf("company/companies/%d", into)}.send(t, s).want(t, 204, "")
	if !s.Companies()[1].Deleted {
		t.Error("not deleted")
	}
	request{method: "DELETE", path: "company/companies/999"}.send(t, s).want(t, 404)
}

func TestRole(t *testing.T) {
	s := withTables(start(t, Options{}))
	seen, hidden := s.AddCompany(Company{Name: "Seen", Types: []int{1}}), s.AddCompany(Company{Name: "Hidden", Types: []int{1}})
	role := func(r Role) { s.Behave(func(b *Behaviour) { b.Role = r }) }
	for path, right := range map[string]Role{
		"company/companies": {NoCompanies: true}, "company/companies/count": {NoCompanies: true}, "company/companies/250": {NoCompanies: true},
		"company/companyTypeAssociations": {NoCompanies: true}, "company/companies/statuses": {NoTables: true}, "company/companies/types": {NoTables: true},
		"service/boards": {NoTables: true}, "service/priorities": {NoTables: true}, "service/tickets": {NoTickets: true}, "system/callbacks": {NoCallbacks: true},
	} {
		get(t, s, path).want(t, 200)
		role(right)
		if r := get(t, s, path).want(t, 403); !strings.Contains(r.body, `"message":`) {
			t.Errorf("%s: %s", path, r.body)
		}
		role(Role{})
	}
	for _, c := range []struct {
		method, path string
		right        Role
	}{
		{"POST", "company/companies", Role{NoCompanies: true}}, {"PATCH", "company/companies/250", Role{NoCompanies: true}},
		{"DELETE", "company/companies/250", Role{NoCompanies: true}}, {"POST", "company/companies/250/merge", Role{NoCompanies: true}},
		{"POST", "company/companyTypeAssociations", Role{NoCompanies: true}}, {"DELETE", "company/companyTypeAssociations/1", Role{NoCompanies: true}},
		{"POST", "service/tickets", Role{NoTickets: true}}, {"PATCH", "service/tickets/1", Role{NoTickets: true}}, {"POST", "service/tickets/1/notes", Role{NoTickets: true}},
		{"POST", "service/tickets", Role{NoTicketAdd: true}}, {"PATCH", "service/tickets/1", Role{NoTicketAdd: true}}, {"POST", "service/tickets/1/notes", Role{NoTicketAdd: true}},
		{"POST", "system/callbacks", Role{NoCallbacks: true}}, {"DELETE", "system/callbacks/1", Role{NoCallbacks: true}},
	} {
		role(c.right)
		request{method: c.method, path: c.path, body: "{}"}.send(t, s).want(t, 403)
	}

	role(Role{NoTicketAdd: true})
	get(t, s, "service/tickets").want(t, 200, "[]")

	role(Role{LimitedTables: true})
	get(t, s, "company/companies/statuses", "conditions", "id=1").want(t, 200, `[{"id":1,"name":"Active"}]`)

	// What the member cannot see is not an error; it is not there.
	role(Role{Visible: func(c Company) bool { return c.Name != "Hidden" }})
	if diff := cmp.Diff([]int{seen}, get(t, s, "company/companies").ids(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	get(t, s, "company/companies/count").want(t, 200, `{"count":1}`)
	get(t, s, "company/companyTypeAssociations/count").want(t, 200, `{"count":1}`)
	get(t, s, fmt.Sprintf("company/companies/%d", hidden)).want(t, 404)
	request{method: "DELETE", path: fmt.Sprintf("company/companies/%d", hidden)}.send(t, s).want(t, 404)
	request{method: "DELETE", path: "company/companyTypeAssociations/2"}.send(t, s).want(t, 404)
}

func TestSystemInfo(t *testing.T) {
	s := start(t, Options{})
	get(t, s, "system/info").want(t, 200, `{"cloudRegion":"NA","isCloud":true,"licenseBits":[{"activeFlag":true,"name":"CustomFields"}],"serverTimeZone":"Eastern Standard Time","version":"v2026.4.77997"}`)
	bare := request{path: "system/info", header: map[string]string{"Authorization": ""}}
	bare.send(t, s).want(t, 401)
	s.Behave(func(b *Behaviour) { b.OpenSystemInfo, b.Cloud = true, false })
	bare.send(t, s).want(t, 200, `{"isCloud":false,"serverTimeZone":"Eastern Standard Time","version":"v2026.4.77997"}`)
	bare.path = "company/companies"
	bare.send(t, s).want(t, 401)
}

func TestResponseHeaders(t *testing.T) {
	s := start(t, Options{})
	ids := map[string]bool{}
	for _, r := range []reply{get(t, s, "company/companies"), get(t, s, "company/nonsense"), get(t, s, "company/companies", "conditions", "x=1")} {
		ids[r.header.Get("x-cw-request-id")] = true
		if got := r.header.Get("api-current-version"); got != "2026.4" {
			t.Errorf("api-current-version %q", got)
		}
		if got := r.header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("Cache-Control %q", got)
		}
	}
	if len(ids) != 3 || ids[""] {
		t.Errorf("request ids %v", ids)
	}
	get(t, s, "/v4_6_release/apis/3.0//company/companies/").want(t, 200, "[]")
}

func TestTickets(t *testing.T) {
	s := start(t, Options{})
	alerts := s.AddBoard("Alerts", BoardStatus{Name: "Open"}, BoardStatus{Name: "Done", Closed: true})
	company := s.AddCompany(Company{Identifier: "ABC", Name: "Abc"})
	send := func(method, path, body string) reply {
		return request{method: method, path: path, body: body}.send(t, s)
	}

	get(t, s, "service/boards", "fields", "id,name").want(t, 200, `[{"id":1,"name":"Service Desk"},{"id":2,"name":"Alerts"}]`)
	get(t, s, fmt.Sprintf("service/boards/%d/statuses", alerts), "fields", "id,name,closedStatus,board/id,defaultFlag").
		want(t, 200, `[{"id":4,"name":"Open","board":{"id":2},"closedStatus":false,"defaultFlag":true},{"id":5,"name":"Done","board":{"id":2},"closedStatus":true,"defaultFlag":false}]`)
	get(t, s, "service/boards/9/statuses").want(t, 404, `{"code":"NotFound","message":"Service Board 9 not found"}`)
	get(t, s, "service/priorities", "conditions", `name like "%Normal%"`, "fields", "id,name,defaultFlag").
		want(t, 200, `[{"id":3,"name":"Priority 3 - Normal Response","defaultFlag":true}]`)

	made := send("POST", "service/tickets", `{"summary":"Minimal","company":{"identifier":"abc"}}`).want(t, 201)
	if strings.Contains(made.body, "initial") {
		t.Errorf("initial texts are answered: %s", made.body)
	}
	send("POST", "service/tickets", `{"summary":"Whole","recordType":"ServiceTicket","company":{"id":250},"board":{"name":"Alerts"},"status":{"name":"Open"},
		"priority":{"id":1},"severity":"High","impact":"Low","externalXRef":"cwvault/1","initialDescription":"first","initialInternalAnalysis":"second","initialResolution":""}`).want(t, 201)
	want := []Ticket{
		{ID: 1, Summary: "Minimal", Company: company, Board: "Service Desk", Status: "New", Priority: "Priority 3 - Normal Response", Severity: "Medium", Impact: "Medium"},
		{ID: 2, Summary: "Whole", Company: company, Board: "Alerts", Status: "Open", Priority: "Priority 1 - Emergency", Severity: "High", Impact: "Low",
			ExternalXRef: "cwvault/1", Notes: []string{"first", "second"}},
	}
	if diff := cmp.Diff(want, s.Tickets()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	get(t, s, "service/tickets", "conditions", `externalXRef = "cwvault/1" and closedFlag=false and severity in ("high")`, "fields", "id").want(t, 200, `[{"id":2}]`)
	get(t, s, "service/tickets/count", "conditions", `company/identifier="ABC" and Board/Id=1`).want(t, 200, `{"count":1}`)
	get(t, s, "service/tickets/1", "fields", "company/name,status/name,recordType").want(t, 200, `{"recordType":"ServiceTicket","status":{"name":"New"},"company":{"name":"Abc"}}`)
	get(t, s, "service/tickets/404").want(t, 404, `{"code":"NotFound","message":"Service Ticket 404 not found"}`)

	send("POST", "service/tickets", `{"summary":"x","company":{"id":19299}}`).want(t, 400, `{"code":"InvalidObject","message":"ticket object is invalid","errors":[`+
		`{"code":"NotFound","message":"company 19299 not found","resource":"ticket","field":"company/id"}]}`)
	send("POST", "service/tickets", `{"summary":"x","company":{"id":250},"board":{"id":2},"status":{"name":"New"}}`).want(t, 400, `{"code":"InvalidObject","message":"ticket object is invalid","errors":[`+
		`{"code":"NotFound","message":"Service Status New not found for Service Board 2","resource":"ticket","field":"status/id"}]}`)
	for body, field := range map[string]string{
		`{"company":{"id":250}}`: "summary",
		`{"summary":"x"}`:        `company"`,
		`{"summary":"` + strings.Repeat("x", 101) + `","company":{"id":250}}`:                    "summary",
		`{"summary":"` + strings.Repeat("x", 99) + `😀","company":{"id":250}}`:                    "summary", // two UTF-16 units
		`{"summary":"x","company":{"id":250},"externalXRef":"` + strings.Repeat("x", 101) + `"}`: "externalXRef",
		`{"summary":"x","company":{"id":250},"board":{"name":"Nope"}}`:                           "board/id",
		`{"summary":"x","company":{"id":250},"priority":{"id":9}}`:                               "priority/id",
		`{"summary":"x","company":{"id":250},"severity":"Awful"}`:                                "severity",
	} {
		if r := send("POST", "service/tickets", body).want(t, 400); !strings.Contains(r.body, `"field":"`+field) || strings.Count(r.body, `"field"`) != 1 {
			t.Errorf("%s: %s", body, r.body)
		}
	}
	send("POST", "service/tickets", `{"summary":"x","company":{"id":250},"nonsense":1}`).want(t, 400)
	send("POST", "service/tickets", `{"summary":"x","company":7}`).want(t, 400)

	send("POST", "service/tickets/2/notes", `{"text":"solved","resolutionFlag":true}`).want(t, 201)
	send("POST", "service/tickets/2/notes", `{"text":"no flag"}`).want(t, 400)
	send("POST", "service/tickets/9/notes", `{"text":"solved","resolutionFlag":true}`).want(t, 404)
	get(t, s, "service/tickets/2/notes", "fields", "text,resolutionFlag,ticketId").
		want(t, 200, `[{"ticketId":2,"text":"first","resolutionFlag":false},{"ticketId":2,"text":"second","resolutionFlag":false},{"ticketId":2,"text":"solved","resolutionFlag":true}]`)
	get(t, s, "service/tickets/9/notes").want(t, 404)

	send("PATCH", "service/tickets/2", `[{"op":"replace","path":"status","value":{"name":"Closed"}}]`).want(t, 400)
	send("PATCH", "service/tickets/2", `[{"op":"replace","path":"status/id","value":5}]`).want(t, 200) // the false 200
	send("PATCH", "service/tickets/2", `[{"op":"replace","path":"summary","value":""}]`).want(t, 400)
	send("PATCH", "service/tickets/2", `[{"op":"replace","path":"initialDescription","value":""}]`).want(t, 400)
	send("PATCH", "service/tickets/9", `[]`).want(t, 404)
	want[1].Notes = append(want[1].Notes, "solved")
	if diff := cmp.Diff(want, s.Tickets()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	send("PATCH", "service/tickets/2", `[{"op":"replace","path":"status","value":{"name":"Done"}}]`).want(t, 200)
	want[1].Status, want[1].Closed = "Done", true
	if diff := cmp.Diff(want, s.Tickets()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	send("PATCH", "service/tickets/2", `[{"op":"replace","path":"board","value":{"id":2}}]`).want(t, 200)
	if diff := cmp.Diff(want, s.Tickets()); diff != "" {
		t.Errorf("the same board (-want +got)\n%s", diff)
	}
	send("PATCH", "service/tickets/2", `[{"op":"replace","path":"board","value":{"id":1}}]`).want(t, 200)
	if got := s.Tickets()[1]; got.Board != "Service Desk" || got.Status != "New" {
		t.Errorf("on another board: %+v", got)
	}

	s.CloseTicket(1)
	if got := s.Tickets()[0]; got.Status != "Closed" || !got.Closed {
		t.Errorf("closed: %+v", got)
	}
	get(t, s, "service/tickets/1", "fields", "closedFlag").want(t, 200, `{"closedFlag":true}`)
	s.DeleteTicket(1)
	get(t, s, "service/tickets/1").want(t, 404)
	get(t, s, "service/tickets/1/notes").want(t, 404)
	if got := s.Tickets(); len(got) != 1 || got[0].ID != 2 {
		t.Errorf("after a ticket was deleted: %+v", got)
	}
}

func TestFaults(t *testing.T) {
	s := start(t, Options{})
	addCompanies(s, 3)
	path := "company/companies"
	whole := get(t, s, path).want(t, 200)

	s.AddFault(Fault{Match: On("GET", "/company/companies"), Skip: 1, Times: 2, Status: 503})
	s.AddFault(Fault{Match: On("", "/companies"), Times: 1, Status: 418}) // waits until the other one is used up
	var got []int
	for range 5 {
		got = append(got, get(t, s, path).status)
	}
	get(t, s, "company/companies/count").want(t, 200)
	if diff := cmp.Diff([]int{418, 503, 503, 200, 200}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	s.AddFault(Fault{Times: 1, Status: 502})
	s.AddFault(Fault{Times: 1, Status: 504})
	get(t, s, path).want(t, 502, "")
	get(t, s, path).want(t, 504, "")
	get(t, s, path).want(t, 200)

	for name, f := range map[string]Fault{"cut": Cut(10), "lost": Lost()} {
		remove := s.AddFault(f)
		r := get(t, s, path)
		remove()
		if r.err == nil {
			t.Errorf("%s: the exchange ended well: %+v", name, r)
		}
		if name == "cut" && (r.status != 200 || r.body != whole.body[:10]) {
			t.Errorf("cut: %d %q", r.status, r.body)
		}
	}
	remove := s.AddFault(Truncated(10))
	get(t, s, path).want(t, 200, whole.body[:10])
	remove()
	remove()

	s.AddFault(Lost()) // the work is done all the same
	if r := (request{method: "POST", path: "service/tickets", body: `{"summary":"x","company":{"id":250}}`}).send(t, s); r.err == nil || len(s.Tickets()) != 1 {
		t.Errorf("lost answer: %v, %d tickets", r.err, len(s.Tickets()))
	}
	s.ClearFaults()

	began := time.Now()
	remove = s.AddFault(Slow(50 * time.Millisecond))
	get(t, s, path).want(t, 200, whole.body)
	if d := time.Since(began); d < 50*time.Millisecond {
		t.Errorf("answered after %v", d)
	}
	remove()

	s.AddFault(Hang())
	impatient := &http.Client{Timeout: 50 * time.Millisecond}
	var timeout net.Error
	if r := (request{path: path, client: impatient}).send(t, s); !errors.As(r.err, &timeout) || !timeout.Timeout() {
		t.Errorf("hanging server: %+v", r)
	}
	s.ClearFaults()

	s.AddFault(EditRows(func(rows []json.RawMessage) []json.RawMessage { return append(rows[1:], rows[1]) }))
	s.AddFault(WrongCount(-1))
	if diff := cmp.Diff([]int{251, 252, 251}, get(t, s, path).ids(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	get(t, s, "company/companies/count").want(t, 200, `{"count":2}`)
	s.ClearFaults()

	s.AddFault(Fault{Status: 502, Body: "{}", ContentType: "application/json", Header: http.Header{"X-Odd": {"1"}}, Before: func() { s.Rename(250, "Before") }})
	if r := get(t, s, path).want(t, 502, "{}"); r.header.Get("X-Odd") != "1" || r.header.Get("Content-Type") != "application/json" || s.Companies()[0].Name != "Before" {
		t.Errorf("%+v", r)
	}
}

// TestCloseEndsAll closes a server in the middle of hanging requests and
// waiting callbacks.
func TestCloseEndsAll(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 10)
	receiver := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked <- struct{}{}; w.WriteHeader(429) }))
	request{method: "POST", path: "system/callbacks", body: `{"url":"` + receiver + `","objectId":1,"type":"company","level":"owner"}`}.send(t, s).want(t, 201)
	s.AddCompany(Company{Name: "x"})
	<-asked
	s.AddFault(Fault{Hang: true, Before: func() { asked <- struct{}{} }})
	answers := make(chan reply, 2)
	go func() { answers <- get(t, s, "company/companies") }()
	<-asked
	// The end of a request whose body nobody has read is not seen by net/http.
	go func() {
		answers <- request{method: "POST", path: "company/companies", body: strings.Repeat(" ", 1<<20)}.send(t, s)
	}()
	<-asked
	s.recordMu.Lock() // keeps the handlers from ending
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case <-closed:
		t.Error("Close does not wait for requests")
		closed <- nil
	case <-time.After(50 * time.Millisecond):
	}
	s.recordMu.Unlock()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	for range 2 {
		if r := <-answers; r.err == nil {
			t.Errorf("a request outlived the server: %+v", r)
		}
	}
	s.AddCompany(Company{Name: "after"}) // harmless
	if r := get(t, s, "company/companies"); r.err == nil {
		t.Error("a closed server answers")
	}
}

func TestRequestRecord(t *testing.T) {
	s := start(t, Options{})
	request{path: "company/companies", query: map[string]string{"conditions": "id>1"}, header: forwardOnly}.send(t, s).want(t, 200)
	request{path: "company/companies", key: "SECRET-KEY", header: map[string]string{"clientId": ""}}.send(t, s).want(t, 401)
	remove := s.AddFault(Cut(1))
	get(t, s, "company/companies")
	remove()
	request{method: "POST", path: "service/tickets", body: "{"}.send(t, s).want(t, 400)
	var got []string
	for _, r := range s.Requests() {
		if r.Time.IsZero() || r.UserAgent == "" {
			t.Errorf("%+v", r)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %s %v %v %d %v", r.Method, strings.TrimPrefix(r.Path, "/v4_6_release/apis/3.0/"), r.Query.Get("conditions"), r.PaginationType, r.ContentType, r.Authorized, r.ClientID, r.Status, r.Faulty))
	}
	if diff := cmp.Diff([]string{
		"GET company/companies id>1 forward-only  true true 200 false",
		"GET company/companies    false false 401 false",
		"GET company/companies    true true 200 true",
		"POST service/tickets   application/json true true 400 false",
	}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if all := fmt.Sprintf("%+v", s.Requests()); strings.Contains(all, "SECRET") || strings.Contains(all, s.PrivateKey()) {
		t.Error("a key is in the record")
	}
	if r := s.Requests(); r[0].Bytes != 2 || r[2].Bytes != 1 || r[0].Accept != "application/vnd.connectwise.com+json; version=2026.4" {
		t.Errorf("%+v", r)
	}
	s.ResetRequests()
	if len(s.Requests()) != 0 {
		t.Error("not reset")
	}
}

func TestBodyLimit(t *testing.T) {
	s := start(t, Options{})
	request{method: "POST", path: "company/companies", body: strings.Repeat(" ", maxBody+1)}.send(t, s).want(t, 413)
}

// TestEditsWhileListing sweeps while other goroutines edit: what nobody
// touches comes exactly once and in order. It is meant for -race.
func TestEditsWhileListing(t *testing.T) {
	s := withTables(start(t, Options{}))
	ids := addCompanies(s, 400)
	stop := make(chan struct{})
	var editors sync.WaitGroup
	for n := range 4 {
		editors.Go(func() {
			for i := n; ; i += 4 {
				select {
				case <-stop:
					return
				default:
				}
				id := ids[(2*i+1)%400] // odd places alone
				s.Rename(id, fmt.Sprint("Name ", i))
				s.SetTypes(id, 1+i%3)
				s.SetStatus(id, i%3)
				s.RenameStatus(1, fmt.Sprint("Active ", i))
				s.Delete(id)
				if i%8 < 4 {
					s.Restore(id)
				}
				s.Purge(s.AddCompany(Company{Name: "short-lived"}))
				s.Companies()
				time.Sleep(time.Millisecond)
			}
		})
	}
	for range 10 {
		var untouched []int
		pageID := 0
		for {
			r := request{path: "company/companies", header: forwardOnly, query: map[string]string{
				"pageSize": "50", "pageId": fmt.Sprint(pageID), "conditions": `deletedFlag=false and name like "%"`}}.send(t, s)
			for _, id := range r.ids(t) {
				if id <= pageID {
					t.Fatalf("%d after %d", id, pageID)
				}
				if pageID = id; id <= ids[399] && (id-ids[0])%2 == 0 {
					untouched = append(untouched, id)
				}
			}
			if r.header.Get("Link") == "" {
				break
			}
		}
		if len(untouched) != 200 {
			t.Fatalf("%d untouched companies were listed, want 200", len(untouched))
		}
	}
	close(stop)
	editors.Wait()
}

// TestShippable: the demo ships this package, so that nothing made for tests
// may come in.
func TestShippable(t *testing.T) {
	p, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.GoFiles) < 5 || len(p.Imports) < 5 {
		t.Fatalf("files %v, imports %v", p.GoFiles, p.Imports)
	}
	for _, path := range p.Imports {
		if path == "testing" || path == "net/http/httptest" || strings.Contains(path, ".") {
			t.Errorf("imports %s", path)
		}
	}
}

// companies100k is the size of the largest tenant that is planned for.
func companies100k(b *testing.B) *Server {
	s := withTables(start(b, Options{}))
	s.edit(func(w *world) {
		for i := range 100_000 {
			w.add(Company{Name: fmt.Sprint("Company ", i), Status: 1 + i%2, Types: []int{1 + i%3}, Deleted: i%10 == 0})
		}
	})
	return s
}

func benchmarkGet(b *testing.B, path, query string, header map[string]string) {
	s := companies100k(b)
	for b.Loop() {
		req, err := http.NewRequestWithContext(b.Context(), "GET", s.URL()+"/v4_6_release/apis/3.0/"+path+"?"+query, nil)
		if err != nil {
			b.Fatal(err)
		}
		req.SetBasicAuth(s.Tenant()+"+"+s.PublicKey(), s.PrivateKey())
		req.Header.Set("clientId", s.ClientID())
		for k, v := range header {
			req.Header.Set(k, v)
		}
		resp, err := plainClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(resp.StatusCode, err)
		}
		b.SetBytes(n)
	}
}

const lastPage = "pageSize=1000&conditions=deletedFlag%3Dfalse&"

func BenchmarkForwardPage(b *testing.B) {
	benchmarkGet(b, "company/companies", lastPage+"pageId=90000&fields=id,identifier,name,status,types,territory,market,parentCompany,deletedFlag", forwardOnly)
}

func BenchmarkForwardPageWhole(b *testing.B) {
	benchmarkGet(b, "company/companies", lastPage+"pageId=90000", forwardOnly)
}

func BenchmarkNumberedPage(b *testing.B) {
	benchmarkGet(b, "company/companies", lastPage+"page=90", nil)
}

func BenchmarkCount(b *testing.B) {
	benchmarkGet(b, "company/companies/count", "conditions=deletedFlag%3Dfalse+and+name+like+%22%25Company%25%22", nil)
}
