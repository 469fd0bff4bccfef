package connectwisetest

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The tests of this file follow the simulator checklist of the facts, one for
// each of its points.

func TestChecklist01CompanyInfo(t *testing.T) {
	s := start(t, Options{Tenant: "acme", Codebase: "v2025_1/"})
	bare := func(path string) reply {
		return request{path: path, header: map[string]string{"Authorization": "", "clientId": ""}}.send(t, s)
	}
	host := strings.TrimPrefix(s.URL(), "http://")
	got := into[map[string]any](t, bare("/login/companyinfo/acme").want(t, 200))
	if diff := cmp.Diff(map[string]any{
		"CompanyName": "acme", "Codebase": "v2025_1/", "VersionCode": "v2025.1", "VersionNumber": "v4.6.77997",
		"CompanyID": "acme", "IsCloud": true, "SiteUrl": host, "AllowedOrigins": []any{"*.myconnectwise.net"},
	}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	bare("/login/companyinfo/nobody").want(t, 200, "null")

	s.Behave(func(b *Behaviour) { b.SiteURL = "api-na.example.com" })
	if got := into[map[string]any](t, bare("/login/companyinfo/acme")); got["SiteUrl"] != "api-na.example.com" {
		t.Errorf("SiteUrl %v", got["SiteUrl"])
	}
	s.Behave(func(b *Behaviour) { b.OldCompanyInfo = true })
	got = into[map[string]any](t, bare("/login/companyinfo/acme"))
	if _, there := got["SiteUrl"]; there || got["IsCloud"] != "True" {
		t.Errorf("old form: %v", got)
	}
	s.Behave(func(b *Behaviour) { b.OldCompanyInfo, b.SiteURL, b.Cloud = false, "", false })
	got = into[map[string]any](t, bare("/login/companyinfo/acme"))
	if got["IsCloud"] != false || got["Codebase"] != "v4_6_release/" {
		t.Errorf("on premises: %v", got)
	}
}

func TestChecklist02Codebases(t *testing.T) {
	s := start(t, Options{})
	const path = "/v2026_4/apis/3.0/company/companies/count"
	get(t, s, path).want(t, 200, `{"count":0}`)
	get(t, s, "/v4_6_release/apis/3.0/company/companies/count").want(t, 200, `{"count":0}`)

	s.MoveCodebase("v2027_1/")
	old := get(t, s, path).want(t, 404)
	if ct := old.header.Get("Content-Type"); ct != "text/html" || !strings.HasPrefix(old.body, "<!DOCTYPE html>") {
		t.Errorf("old codebase: %s %s", ct, old.body)
	}
	if got := old.header.Get("Server"); got != "Microsoft-IIS/8.5" {
		t.Errorf("Server %q", got)
	}
	get(t, s, "/v2027_1/apis/3.0/company/companies/count").want(t, 200)
	get(t, s, "/v4_6_release/apis/3.0/company/companies/count").want(t, 200)
	if got := into[map[string]any](t, get(t, s, "/login/companyinfo/acmeinc"))["Codebase"]; got != "v2027_1/" {
		t.Errorf("companyinfo says %v", got)
	}

	s.Behave(func(b *Behaviour) { b.OldCodebaseText = true })
	text := get(t, s, path).want(t, 400, "Cannot route. Codebase/company is invalid")
	if ct := text.header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
		t.Errorf("Content-Type %q", ct)
	}
	// A doubled path, an unknown codebase and a wrong company are the router's
	// business as well.
	for _, p := range []string{"/v4_6_release/apis/3.0/apis/3.0/company/companies", "/nonsense/apis/3.0/company/companies"} {
		get(t, s, p).want(t, 400, "Cannot route. Codebase/company is invalid")
	}
	request{path: "company/companies", user: "other+" + s.PublicKey()}.send(t, s).want(t, 400, "Cannot route. Codebase/company is invalid")

	// Unknown paths: JSON under v4_6_release, a web page under a dated codebase.
	get(t, s, "company/nonsense").want(t, 404, `{"code":"ConnectWiseApi","message":"The endpoint does not exist."}`)
	if r := get(t, s, "/v2027_1/apis/3.0/company/nonsense").want(t, 404); r.header.Get("Content-Type") != "text/html" {
		t.Errorf("Content-Type %q", r.header.Get("Content-Type"))
	}
	// On premises there is v4_6_release alone, and no router.
	s.Behave(func(b *Behaviour) { b.Cloud = false })
	get(t, s, "company/companies/count").want(t, 200)
	get(t, s, "/v2027_1/apis/3.0/company/companies/count").want(t, 404)
	request{path: "company/companies", user: "other+" + s.PublicKey()}.send(t, s).want(t, 401)
}

func TestChecklist03Authentication(t *testing.T) {
	s := start(t, Options{})
	const unauthenticated = `{"code":"ConnectWiseApi","message":"UserNotAuthenticated"}`
	noAuth := request{path: "company/companies", header: map[string]string{"Authorization": ""}}
	badKey := request{path: "company/companies", key: "wrong"}
	badUser := request{path: "company/companies", user: "acmeinc+wrong"}
	for _, r := range []request{noAuth, badKey, badUser} {
		r.send(t, s).want(t, 401, unauthenticated)
	}
	s.Behave(func(b *Behaviour) { b.BadKeyStatus = 404 })
	badKey.send(t, s).want(t, 404)
	badKey.path = "/v2026_4/apis/3.0/company/companies" // tells a bad key from a missing page
	badKey.send(t, s).want(t, 401, unauthenticated)
	get(t, s, "company/companies").want(t, 200)

	for _, status := range []int{400, 401, 403} {
		s.Behave(func(b *Behaviour) { b.BadClientIDStatus = status })
		request{path: "company/companies", header: map[string]string{"clientId": ""}}.send(t, s).want(t, status)
		request{path: "company/companies", header: map[string]string{"clientId": "other"}}.send(t, s).want(t, status)
	}
	request{path: "company/companies", header: map[string]string{"ClientID": s.ClientID()}}.send(t, s).want(t, 200)
}

func TestChecklist04OmittedValues(t *testing.T) {
	s := withTables(start(t, Options{Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6e8, time.UTC) }}))
	bare := s.AddCompany(Company{Name: "Bare"})
	r := get(t, s, fmt.Sprintf("company/companies/%d", bare)).want(t, 200)
	if strings.Contains(r.body, "null") {
		t.Errorf("nulls are sent: %s", r.body)
	}
	got := into[map[string]any](t, r)
	for _, absent := range []string{"status", "territory", "market", "parentCompany", "dateDeleted", "deletedBy", "city", "customFields", "lastUpdated"} {
		if v, there := got[absent]; there {
			t.Errorf("%s is sent: %v", absent, v)
		}
	}
	for name, want := range map[string]any{"phoneNumber": "", "annualRevenue": 0.0, "deletedFlag": false, "identifier": "C250", "types": []any{}} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	if !strings.Contains(r.body, `"annualRevenue":0.0,`) || !strings.Contains(r.body, `"lastUpdated":"2026-01-02T03:04:05Z"`) {
		t.Errorf("numbers and dates look different on the wire: %s", r.body)
	}

	text := s.AddCustomField(CustomField{Caption: "Owner"})
	s.AddCustomField(CustomField{ID: 9, Caption: "Monitored", Type: "Checkbox"})
	s.SetCustomField(bare, text, "Ann <&>")
	r = get(t, s, "company/companies", "fields", "customFields")
	r.want(t, 200, `[{"customFields":[{"id":1,"caption":"Owner","type":"Text","entryMethod":"EntryField","numberOfDecimals":0,"value":"Ann <&>"},`+
		`{"id":9,"caption":"Monitored","type":"Checkbox","entryMethod":"EntryField","numberOfDecimals":0}]}]`)

	trap := s.AddCompany(Company{Name: "Trap", DateDeleted: time.Date(2019, 11, 4, 16, 41, 20, 0, time.UTC)})
	get(t, s, fmt.Sprintf("company/companies/%d", trap), "fields", "deletedFlag,dateDeleted").
		want(t, 200, `{"deletedFlag":false,"dateDeleted":"2019-11-04T16:41:20Z"}`)
}

func TestChecklist05DeletedRows(t *testing.T) {
	s := start(t, Options{})
	kept, gone, purged := s.AddCompany(Company{Name: "Kept"}), s.AddCompany(Company{Name: "Gone"}), s.AddCompany(Company{Name: "Purged"})
	s.Delete(gone)
	s.Purge(purged)
	if diff := cmp.Diff([]int{kept, gone}, get(t, s, "company/companies").ids(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]int{kept}, get(t, s, "company/companies", "conditions", "deletedFlag=false").ids(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	get(t, s, "company/companies/count", "conditions", "deletedFlag=false").want(t, 200, `{"count":1}`)
	got := into[map[string]any](t, get(t, s, fmt.Sprintf("company/companies/%d", gone)).want(t, 200))
	if got["deletedFlag"] != true || got["dateDeleted"] == nil || got["deletedBy"] != "admin" {
		t.Errorf("deleted company: %v", got)
	}
	get(t, s, fmt.Sprintf("company/companies/%d", purged)).want(t, 404, fmt.Sprintf(`{"code":"NotFound","message":"company %d not found"}`, purged))
	s.Restore(gone)
	get(t, s, fmt.Sprintf("company/companies/%d", gone), "fields", "id,deletedFlag,dateDeleted").want(t, 200, fmt.Sprintf(`{"id":%d,"deletedFlag":false}`, gone))
	if next := s.AddCompany(Company{Name: "Next"}); next != purged+1 {
		t.Errorf("next id %d: a number was given twice", next)
	}
}

func addCompanies(s *Server, n int) (ids []int) {
	for i := range n {
		ids = append(ids, s.AddCompany(Company{Name: "Company " + strconv.Itoa(i)}))
	}
	return ids
}

func TestChecklist06Link(t *testing.T) {
	s := start(t, Options{})
	ids := addCompanies(s, 7)
	base := s.URL() + "/v4_6_release/apis/3.0/company/companies?"
	link := func(query, rel string) string { return "<" + base + query + `>; rel="` + rel + `"` }
	const size = "conditions=id%3E0&pageSize=3&"
	for page, want := range map[string]string{
		"1": link(size+"page=2", "next") + ", " + link(size+"page=3", "last"),
		"2": link(size+"page=1", "first") + ", " + link(size+"page=1", "prev") + ", " + link(size+"page=3", "next") + ", " + link(size+"page=3", "last"),
		"3": link(size+"page=1", "first") + ", " + link(size+"page=2", "prev"),
		"9": link(size+"page=1", "first") + ", " + link(size+"page=3", "prev"),
	} {
		r := get(t, s, "company/companies", "conditions", "id>0", "pageSize", "3", "page", page)
		if diff := cmp.Diff([]string{want}, r.header["Link"]); diff != "" {
			t.Errorf("page %s (-want +got)\n%s", page, diff)
		}
		if page == "9" {
			r.want(t, 200, "[]")
		}
	}
	if r := get(t, s, "company/companies"); r.header["Link"] != nil {
		t.Errorf("a single page has a Link: %v", r.header["Link"])
	}

	forward := func(query map[string]string) reply {
		return request{path: "company/companies", query: query, header: forwardOnly}.send(t, s)
	}
	// pageId is "after this id"; page is ignored; what is exactly full is the end.
	var seen []int
	pageID := "0"
	for n := 0; ; n++ {
		r := forward(map[string]string{"pageSize": "3", "pageId": pageID, "page": "5"})
		page := r.ids(t)
		seen = append(seen, page...)
		links := r.header["Link"]
		if len(page) != 3 && links[0] != "" {
			t.Fatalf("a page of 3 has %d rows", len(page))
		}
		if len(links) != 1 {
			t.Fatalf("there is not one Link: %q", links)
		}
		if links[0] == "" {
			break
		}
		pageID = strconv.Itoa(seen[len(seen)-1])
		if want := link("pageSize=3&pageId="+pageID, "next"); links[0] != want {
			t.Fatalf("Link %s\nwant %s", links[0], want)
		}
		if n > 3 {
			t.Fatal("no end")
		}
	}
	if diff := cmp.Diff(ids, seen); diff != "" {
		t.Errorf("forward-only (-want +got)\n%s", diff)
	}
	if r := forward(map[string]string{"pageSize": "7"}); len(r.ids(t)) != 7 || r.header.Get("Link") != "" {
		t.Errorf("exactly full page: %q", r.header["Link"])
	}
	forward(map[string]string{"orderBy": "id asc"}).want(t, 400)

	remove := s.AddFault(RepeatPageID())
	last := strconv.Itoa(ids[5])
	if got, want := forward(map[string]string{"pageSize": "3", "pageId": last}).header.Get("Link"), link("pageSize=3&pageId="+last, "next"); got != want {
		t.Errorf("RepeatPageID: %s, want %s", got, want)
	}
	remove()
	remove = s.AddFault(ForeignLink("https://SERVERNAME"))
	if got := forward(map[string]string{"pageSize": "3"}).header.Get("Link"); !strings.HasPrefix(got, "<https://SERVERNAME/v4_6_release/apis/3.0/company/companies?pageSize=3&pageId=") {
		t.Errorf("ForeignLink: %s", got)
	}
	remove()
	s.AddFault(NoLink())
	if r := forward(map[string]string{"pageSize": "3"}).want(t, 200); r.header["Link"] != nil {
		t.Errorf("NoLink: %v", r.header["Link"])
	}
}

func TestChecklist07PageSize(t *testing.T) {
	s := start(t, Options{})
	addCompanies(s, 1005)
	for size, want := range map[string]int{"": 25, "0": 25, "1": 1, "1000": 1000, "1001": 1000, "9999": 1000} {
		for _, header := range []map[string]string{nil, forwardOnly} {
			r := request{path: "company/companies", query: map[string]string{"pageSize": size}, header: header}.send(t, s)
			if n := len(r.ids(t)); n != want {
				t.Errorf("%v, pageSize %q: %d rows, want %d", header, size, n, want)
			}
		}
	}
	s.Behave(func(b *Behaviour) { b.PageCap = 10 })
	if n := len(get(t, s, "company/companies", "pageSize", "1000").ids(t)); n != 10 {
		t.Errorf("with a cap of 10: %d", n)
	}
	for _, bad := range []string{"x", "-1", "1.5"} {
		get(t, s, "company/companies", "pageSize", bad).want(t, 400)
	}
}

// The grammar has tables of its own in conditions_test.go; here it is seen
// from outside.
func TestChecklist08Conditions(t *testing.T) {
	s := withTables(start(t, Options{}))
	client, vendor := s.AddCompany(Company{Name: "A & B", Types: []int{1}, Status: 1}), s.AddCompany(Company{Name: "V", Types: []int{2}, Status: 1})
	if diff := cmp.Diff([]int{client}, get(t, s, "company/companies", "childConditions", `types/name="Client"`, "conditions", `status/name="Active"`).ids(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]int{client}, get(t, s, "company/companies", "conditions", `name like "%&%" and deletedFlag=False`).ids(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	get(t, s, "company/companies/count", "childConditions", `types/id = 2`).want(t, 200, `{"count":1}`)
	get(t, s, "company/companies", "conditions", "resources/identifier=1").
		want(t, 400, `{"code":"ApiFindCondition","message":"resources/identifier is not a recognized name."}`)
	get(t, s, "company/companies/count", "conditions", `types/name="Client"`).
		want(t, 400, `{"code":"ApiFindCondition","message":"types/name is not a recognized name."}`)
	get(t, s, "company/companies", "childConditions", `types/id in (1)`).want(t, 400)
	get(t, s, "service/tickets", "conditions", `severity = "Awful"`).
		want(t, 400, `{"code":"ApiFindCondition","message":"Enum value supplied was invalid"}`)
	s.AddCustomField(CustomField{ID: 4, Caption: "TomNumber"})
	s.SetCustomField(vendor, 4, "7")
	if diff := cmp.Diff([]int{vendor}, get(t, s, "company/companies", "customFieldConditions", `caption="TomNumber" AND value !=null`).ids(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	long := "id in (" + strings.Repeat("1,", 5000) + "1)"
	get(t, s, "company/companies", "conditions", long).want(t, 414)
}

func TestChecklist09ServerErrors(t *testing.T) {
	s := start(t, Options{})
	for name, c := range map[string]struct {
		fault  Fault
		status int
		body   string
		header http.Header
	}{
		"429": {TooManyRequests(30), 429, `{"error":"ConnectWiseAPI","message":"Too many requests. Please try again in 30 seconds."}`, http.Header{"Retry-After": {"30"}}},
		"500": {TimeoutBody(), 500, `{"code":"ConnectWiseApi","message":"A timeout has occured. Please try again."}`, http.Header{"Content-Type": {"application/json; charset=utf-8"}}},
		"504": {HTML(504), 504, webPage(504), http.Header{"Content-Type": {"text/html"}}},
		"200": {HTML(200), 200, webPage(200), http.Header{"Content-Type": {"text/html"}}},
		"302": {Redirect("http://127.0.0.1:1/"), 302, "", http.Header{"Location": {"http://127.0.0.1:1/"}}},
		"ssl": {SSLRequired(), 403, `{"code":"Security","message":"SSL is required.","errors":null}`, nil},
		"400": {CannotRoute(), 400, "Cannot route. Codebase/company is invalid", nil},
	} {
		c.fault.Times = 1
		s.AddFault(c.fault)
		r := get(t, s, "company/companies").want(t, c.status, c.body)
		for k, v := range c.header {
			if diff := cmp.Diff(v, r.header[k]); diff != "" {
				t.Errorf("%s: %s (-want +got)\n%s", name, k, diff)
			}
		}
		get(t, s, "company/companies").want(t, 200, "[]")
	}

	now := time.Now()
	s.rateClock = func() time.Time { return now }
	s.Behave(func(b *Behaviour) { b.RatePerMinute, b.RateWindow = 3, 2*time.Second })
	for range 3 {
		get(t, s, "company/companies").want(t, 200)
	}
	r := get(t, s, "company/companies").want(t, 429)
	after, err := strconv.Atoi(r.header.Get("Retry-After"))
	if err != nil || after != 2 || !strings.Contains(r.body, fmt.Sprintf("in %d seconds", after)) {
		t.Errorf("Retry-After %q, body %s", r.header.Get("Retry-After"), r.body)
	}
	now = now.Add(time.Duration(after) * time.Second)
	get(t, s, "company/companies").want(t, 200)
}

func TestChecklist10Create(t *testing.T) {
	s := withTables(start(t, Options{}))
	post := func(path, body string) reply { return request{method: "POST", path: path, body: body}.send(t, s) }
	made := post("company/companies", `{"identifier":"new","name":"New","site":{"name":"Main"},"types":[{"id":2},{"name":"client"}],"status":{"name":"Active"},"city":"Ghent"}`).want(t, 201)
	if id := into[struct{ ID int }](t, made).ID; id != 250 {
		t.Errorf("id %d", id)
	}
	want := []Company{{ID: 250, Identifier: "new", Name: "New", Types: []int{2, 1}, Status: 1, Fields: map[string]any{"city": "Ghent"}}}
	got := s.Companies()
	got[0].LastUpdated = time.Time{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	// The cloud's proxy saves and answers with a redirect to plain http.
	for _, status := range []int{301, 302, 307} {
		s.Behave(func(b *Behaviour) { b.CreatedStatus = status })
		r := post("company/companies", fmt.Sprintf(`{"identifier":"n%d","name":"New","site":{"name":"Main"}}`, status)).want(t, status, "")
		all := s.Companies()
		where := fmt.Sprintf("%s/v4_6_release/apis/3.0/company/companies/%d", s.URL(), all[len(all)-1].ID)
		if got := r.header.Get("Location"); got != where || all[len(all)-1].Identifier != fmt.Sprintf("n%d", status) {
			t.Errorf("Location %s, want %s", got, where)
		}
	}
	r := post("service/tickets", `{"summary":"x","company":{"id":250}}`).want(t, 301+6)
	if !strings.HasSuffix(r.header.Get("Location"), "/service/tickets/1") || len(s.Tickets()) != 1 {
		t.Errorf("Location %s, tickets %v", r.header.Get("Location"), s.Tickets())
	}
	s.Behave(func(b *Behaviour) { b.CreatedStatus = 201 })

	for body, want := range map[string]string{
		`{"identifier":"NEW","name":"x","site":{"name":"Main"}}`:                           "ObjectExists identifier",
		`{"identifier":"a","name":"x"}`:                                                    "MissingRequired site/name",
		`{"identifier":"a","name":" ","site":{"name":"Main"}}`:                             "MissingRequired name",
		`{"name":"x","site":{"name":"Main"}}`:                                              "MissingRequired identifier",
		`{"identifier":"a","name":"x","site":{"name":"Main"},"status":{"id":9}}`:           "NotFound status/id",
		`{"identifier":"a","name":"x","site":{"name":"Main"},"types":[{"id":9}]}`:          "NotFound types/id",
		`{"identifier":"a","name":"x","site":{"name":"Main"},"parentCompany":{"id":9}}`:    "NotFound parentCompany/id",
		`{"identifier":"a","name":"x","site":{"name":"Main"},"yearEstablished":19}`:        "OutOfRange yearEstablished",
		`{"identifier":"a","name":"x","site":{"name":"Main"},"dateAcquired":"1.2.2020"}`:   "InvalidFormat dateAcquired",
		`{"identifier":"a","name":"` + strings.Repeat("x", 157) + `","site":{"name":"M"}}`: "MaxLength name",
	} {
		got := into[struct {
			Code, Message string
			Errors        []struct{ Code, Resource, Field string }
		}](t, post("company/companies", body).want(t, 400))
		if got.Code != "InvalidObject" || got.Message != "company object is invalid" || len(got.Errors) != 1 ||
			got.Errors[0].Code+" "+got.Errors[0].Field != want || got.Errors[0].Resource != "company" {
			t.Errorf("%s: %+v, want %s", body, got, want)
		}
	}
	wrong := post("company/companies", `{"identifier":"a","nonsense":1}`).want(t, 400)
	if want := `Could not find member 'nonsense' on object of type 'Company'. Path 'nonsense', line 1, position 28.` + checkAccept; !strings.Contains(wrong.body, want) {
		t.Errorf("%s\nwant %s", wrong.body, want)
	}
	for _, bad := range []string{"[]", "{", `{"identifier":5}`, `{"status":7}`, `{"types":{}}`, `{} {}`} {
		post("company/companies", bad).want(t, 400)
	}
	if n := len(s.Companies()); n != 4 {
		t.Errorf("%d companies after refused creates, want 4", n)
	}
	request{method: "POST", path: "company/companies", body: "{}", header: map[string]string{"Content-Type": "text/xml"}}.send(t, s).want(t, 415)
	post("company/companies/250", "{}").want(t, 405)
}

func TestChecklist11Patch(t *testing.T) {
	s := withTables(start(t, Options{}))
	owner, seats := s.AddCustomField(CustomField{Caption: "Owner"}), s.AddCustomField(CustomField{Caption: "Seats", Type: "Number"})
	parent := s.AddCompany(Company{Name: "Parent"})
	id := s.AddCompany(Company{Identifier: "one", Name: "One", Types: []int{1}, Status: 1, Fields: map[string]any{"zip": "9000"}, CustomFields: map[int]any{seats: 5}})
	path := fmt.Sprintf("company/companies/%d", id)
	patch := func(body string) reply { return request{method: "PATCH", path: path, body: body}.send(t, s) }
	now := func() Company {
		for _, c := range s.Companies() {
			if c.ID == id {
				c.LastUpdated = time.Time{}
				return c
			}
		}
		t.Fatal("the company is gone")
		return Company{}
	}
	before := now()

	for body, message := range map[string]string{
		`{"op":"replace","path":"name","value":"x"}`:                                                         "expected array format",
		`[{"op":"replace","path":"types","value":[{"id":2}]}]`:                                               "typeIds can only be used when creating a new company.",
		`[{"op":"replace","path":"Name","value":"x"}]`:                                                       "The path 'Name'",
		`[{"op":"test","path":"name","value":"x"}]`:                                                          "'test' is not supported",
		`[{"op":"replace","path":"name"}]`:                                                                   "has no value",
		`[{"op":"remove","path":"name"}]`:                                                                    "The name field is required.",
		`[{"op":"replace","path":"name","value":7}]`:                                                         "The value of 'name'",
		`[{"op":"replace","path":"status","value":{"id":9}}]`:                                                "companyStatus 9 not found",
		`[{"op":"replace","path":"customFields","value":[{"id":1,"value":"a"}]}]`:                            "The custom field Seats is missing",
		`[{"op":"replace","path":"customFields","value":[{"id":1},{"id":2},{"id":3}]}]`:                      "customField 3 not found",
		`[{"op":"replace","path":"customFields","value":[{"id":1,"value":{}},{"id":2}]}]`:                    "custom field 1 is not valid",
		`[{"op":"replace","path":"name","value":"x"},{"op":"replace","path":"zip","value":"1234567890123"}]`: "zip must have at most 12",
	} {
		if r := patch(body).want(t, 400); !strings.Contains(r.body, message) {
			t.Errorf("%s: %s, want %s", body, r.body, message)
		}
	}
	// A part of a reference is accepted, and nothing happens.
	patch(`[{"op":"replace","path":"status/id","value":2},{"op":"replace","path":"parentCompany/identifier","value":"x"}]`).want(t, 200)
	if diff := cmp.Diff(before, now()); diff != "" {
		t.Fatalf("refused patches changed the company (-before +after)\n%s", diff)
	}

	patch(fmt.Sprintf(`[{"op":"replace","path":"name","value":"Uno"},{"op":"add","path":"/parentCompany","value":{"id":%d}},
		{"op":"remove","path":"status"},{"op":"replace","path":"customFields","value":[{"id":1,"caption":"Owner","value":"http://x/1"},{"id":2}]}]`, parent)).want(t, 200)
	if diff := cmp.Diff(Company{ID: id, Identifier: "one", Name: "Uno", Types: []int{1}, Parent: parent, Fields: map[string]any{"zip": "9000"}, CustomFields: map[int]any{owner: "http://x/1"}}, now()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	patch(`[{"op":"replace","path":"deletedFlag","value":true}]`).want(t, 200)
	if !now().Deleted {
		t.Error("deletedFlag was not set")
	}
	request{method: "PATCH", path: "company/companies/9999", body: "[]"}.send(t, s).want(t, 404)

	// Old bad data in fields that nobody touched.
	path = fmt.Sprintf("company/companies/%d", s.AddCompany(Company{Name: "Old", Fields: map[string]any{"yearEstablished": 19, "revenueYear": 0}}))
	patch(`[{"op":"replace","path":"city","value":"Ghent"}]`).want(t, 400, `{"code":"InvalidObject","message":"company object is invalid","errors":[`+
		`{"code":"OutOfRange","message":"The field yearEstablished must be between 1900 and 9999.","resource":"company","field":"yearEstablished"},`+
		`{"code":"OutOfRange","message":"The field revenueYear must be between 1900 and 9999.","resource":"company","field":"revenueYear"}]}`)
	path = fmt.Sprintf("company/companies/%d", s.AddCompany(Company{Name: "Older", Fields: map[string]any{"dateAcquired": "yesterday"}}))
	patch(`[{"op":"replace","path":"city","value":"Ghent"}]`).want(t, 500, `{"code":"ConnectWiseApi","message":"String was not recognized as a valid DateTime."}`)
	patch(`[{"op":"replace","path":"dateAcquired","value":"2020-01-02T03:04:05Z"}]`).want(t, 200)
}

func TestChecklist12ChangesBetweenPages(t *testing.T) {
	s := start(t, Options{})
	ids := addCompanies(s, 9)
	sweep := func(headers map[string]string) (seen []int) {
		s.AddFault(Fault{Match: On("GET", "/company/companies"), Skip: 1, Times: 1, Before: func() { s.Delete(ids[0]) }})
		defer s.ClearFaults()
		defer s.Restore(ids[0])
		for page := 1; page <= 3; page++ {
			q := map[string]string{"pageSize": "3", "conditions": "deletedFlag=false", "page": strconv.Itoa(page)}
			if len(seen) > 0 {
				q["pageId"] = strconv.Itoa(seen[len(seen)-1])
			}
			seen = append(seen, request{path: "company/companies", query: q, header: headers}.send(t, s).ids(t)...)
		}
		return seen
	}
	// By page number the fourth company slips back into a page already read.
	if diff := cmp.Diff(append(append([]int{}, ids[:3]...), ids[4:]...), sweep(nil)); diff != "" {
		t.Errorf("by number (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(ids, sweep(forwardOnly)); diff != "" {
		t.Errorf("forward-only (-want +got)\n%s", diff)
	}
}

func TestChecklist14TypeModels(t *testing.T) {
	s := withTables(start(t, Options{}))
	id := s.AddCompany(Company{Name: "Both", Types: []int{3, 1}})
	none := s.AddCompany(Company{Name: "None"})
	href := func(id int) string {
		return fmt.Sprintf(`"_info":{"type_href":"%s/v4_6_release/apis/3.0/company/companies/types/%d"}`, s.URL(), id)
	}
	for accept, want := range map[string]string{
		"version=2018.5": `[{"id":250,"type":{"id":3,"name":"Partner",` + href(3) + `}},{"id":251}]`,
		"version=2018.6": `[{"id":250,"typeIds":[3,1]},{"id":251,"typeIds":[]}]`,
		"version=2019.5": `[{"id":250,"typeIds":[3,1]},{"id":251,"typeIds":[]}]`,
		"version=2022.2": `[{"id":250,"types":[{"id":3,"name":"Partner",` + href(3) + `},{"id":1,"name":"Client",` + href(1) + `}]},{"id":251,"types":[]}]`,
		"":               `[{"id":250,"types":[{"id":3,"name":"Partner",` + href(3) + `},{"id":1,"name":"Client",` + href(1) + `}]},{"id":251,"types":[]}]`,
	} {
		header := map[string]string{"Accept": "application/vnd.connectwise.com+json; " + accept + ", application/json"}
		if accept == "" {
			header["Accept"] = "application/json"
		}
		r := request{path: "company/companies", query: map[string]string{"fields": "id,type,typeIds,types"}, header: header}.send(t, s).want(t, 200, want)
		mediaType := "application/vnd.connectwise.com+json; " + accept
		if accept == "" {
			mediaType = "application/json; charset=utf-8"
		}
		if got := r.header.Get("Content-Type"); got != mediaType {
			t.Errorf("%s: Content-Type %q", accept, got)
		}
	}
	for _, bad := range []string{"2027.1", "x", "2026.5"} {
		header := map[string]string{"Accept": "application/vnd.connectwise.com+json; version=" + bad}
		r := request{path: "company/companies", header: header}.send(t, s).want(t, 400)
		if !regexp.MustCompile(`Check your accept header to make sure you are using the correct version\."\}$`).MatchString(r.body) {
			t.Errorf("%s: %s", bad, r.body)
		}
	}
	for accept, body := range map[string]string{"2018.5": `"type":{"id":2}`, "2018.6": `"typeIds":[2]`, "2026.4": `"types":[{"id":2}]`} {
		header := map[string]string{"Accept": "application/vnd.connectwise.com+json; version=" + accept}
		whole := fmt.Sprintf(`{"identifier":"v%s","name":"x","site":{"name":"Main"},%s}`, accept, body)
		request{method: "POST", path: "company/companies", body: whole, header: header}.send(t, s).want(t, 201)
		all := s.Companies()
		if diff := cmp.Diff([]int{2}, all[len(all)-1].Types); diff != "" {
			t.Errorf("%s (-want +got)\n%s", accept, diff)
		}
	}
	old := request{path: "company/companies", query: map[string]string{"conditions": `type/name = "Partner"`},
		header: map[string]string{"Accept": "application/vnd.connectwise.com+json; version=2018.4"}}.send(t, s)
	if diff := cmp.Diff([]int{id}, old.ids(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	// Types of a company that exists change through associations alone.
	associations := fmt.Sprintf("company/companies/%d/typeAssociations", none)
	post := func(path, body string) reply { return request{method: "POST", path: path, body: body}.send(t, s) }
	first := into[struct{ ID int }](t, post(associations, `{"type":{"id":2}}`).want(t, 201)).ID
	post(associations, `{"type":{"id":2}}`).want(t, 400)
	post(associations, `{"type":{"id":22}}`).want(t, 400)
	post("company/companyTypeAssociations", fmt.Sprintf(`{"company":{"id":%d},"type":{"name":"Partner"}}`, none)).want(t, 201)
	get(t, s, "company/companyTypeAssociations/count", "conditions", fmt.Sprintf("company/id=%d", none)).want(t, 200, `{"count":2}`)
	if diff := cmp.Diff([]int{first, first + 1}, get(t, s, associations).ids(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	request{method: "DELETE", path: fmt.Sprintf("%s/%d", associations, first)}.send(t, s).want(t, 204)
	request{method: "DELETE", path: fmt.Sprintf("%s/%d", associations, first)}.send(t, s).want(t, 404)
	if diff := cmp.Diff([]int{3}, s.Companies()[1].Types); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	get(t, s, "company/companies/9999/typeAssociations").want(t, 404)
}
