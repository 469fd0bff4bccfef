package secretservertest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Checklist 1: 400 and API_AccessDenied for missing rights, 400 with code and
// message for validation, the shapes of 403 and 500, a page with status 200.

func TestChecklist1AccessDeniedLooksLikeMissing(t *testing.T) {
	s, c, _ := clients(t, Options{})
	hidden := s.AddFolder(-1, "Hidden")
	secret := s.AddSecret(hidden, "Root password", "Web Password", map[string]string{"password": "p"})
	for _, id := range []int{hidden, 4711, 0, -1} {
		c.get("/api/v1/folders/%d", id).denied()
		c.get("/api/v1/folders/%d/audit", id).denied()
		c.get("/api/v1/folder-details/%d", id).denied()
		c.get("/api/v1/folder-permissions?filter.folderId=%d", id).denied()
		c.get("/api/v1/folder-permissions/stub?folderId=%d", id).denied()
		c.get("/api/v1/metadata?filter.metadataType=Folder&filter.itemId=%d", id).denied()
		c.call("PUT", fmt.Sprintf("/api/v1/folders/%d", id), map[string]any{"id": id, "folderName": "x", "folderTypeId": 1}).denied()
		c.call("PATCH", fmt.Sprintf("/api/v1/folder/%d", id), map[string]any{"data": map[string]any{}}).denied()
		c.call("DELETE", fmt.Sprintf("/api/v1/folders/%d", id), nil).denied()
		c.post(fmt.Sprintf("/api/v1/metadata/Folder/%d", id), mark("x company/1")).denied()
		c.post("/api/v1/folders", newFolder(id, "x")).denied()
	}
	for _, id := range []int{secret, 4711} {
		c.get("/api/v1/secrets/%d", id).denied()
		c.get("/api/v2/secrets/%d", id).denied()
		c.get("/api/v1/secrets/%d/fields/password", id).denied()
	}
	if got := c.get("/api/v1/folders").column("folderName"); !cmp.Equal(got, []any{"Clients"}) {
		t.Errorf("listed %v", got)
	}
	if got := c.get("/api/v2/secrets").records(); len(got) != 0 {
		t.Errorf("listed %v", got)
	}
	s.AddUser("pia", "p", ViewFolders)
	s.Grant(hidden, "pia", "View", "List")
	pia := signedInAs(t, s, "pia", "p")
	for range 2 { // what one user searched for is not what the other finds
		if got := pia.get("/api/v1/folders").column("folderName"); !cmp.Equal(got, []any{"Hidden"}) {
			t.Errorf("pia sees %v", got)
		}
		if got := c.get("/api/v1/folders").column("folderName"); !cmp.Equal(got, []any{"Clients"}) {
			t.Errorf("the account sees %v", got)
		}
	}
	if f, ok := s.Folder(hidden); !ok || f.Name != "Hidden" {
		t.Errorf("the hidden folder is now %+v", f)
	}
}

func TestChecklist1ValidationErrors(t *testing.T) {
	s, c, root := clients(t, Options{})
	with := func(name string, v any) map[string]any {
		m := newFolder(root, "New")
		if m[name] = v; v == nil {
			delete(m, name)
		}
		return m
	}
	for name, tt := range map[string]struct {
		body    any
		message string
	}{
		"no name":          {with("folderName", nil), "Folder name is required"},
		"empty name":       {with("folderName", ""), "Folder name is required"},
		"blank name":       {with("folderName", "  "), "Folder name is required"},
		"path in the name": {with("folderName", `a\b`), "invalid characters"},
		"long name":        {with("folderName", strings.Repeat("x", 256)), "255"},
		"long in UTF-16":   {with("folderName", strings.Repeat("😀", 128)), "255"},
		"no type":          {with("folderTypeId", nil), "folderTypeId"},
		"type 0":           {with("folderTypeId", 0), "folderTypeId"},
		"type 4":           {with("folderTypeId", 4), "folderTypeId"},
		"no parent":        {with("parentFolderId", nil), "parentFolderId"},
		"parent -2":        {with("parentFolderId", -2), "parentFolderId"},
		"name is a number": {with("folderName", 5), "The request is invalid"},
		"not JSON":         {"{", "The request is invalid"},
		"empty body":       {"", "The request is invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			c.t = t
			c.post("/api/v1/folders", tt.body).invalid(tt.message)
		})
	}
	c.t = t
	c.post("/api/v1/folders", with("folderName", strings.Repeat("x", 255))).want(200)
	c.post("/api/v1/folders", with("folderName", strings.Repeat("😀", 127))).want(200)
	c.get("/api/v1/folders?take=0").invalid("take")
	c.get("/api/v1/folders?take=-1").invalid("take")
	c.get("/api/v1/folders?skip=-1").invalid("skip")
	c.get("/api/v1/folders?skip=ten").invalid("skip")
	c.get("/api/v1/folders?filter.parentFolderId=x").invalid("parentFolderId")
	c.get("/api/v1/folders?filter.limitToDirectDescendents=1").invalid("limitToDirect")
	c.get("/api/v1/folders?filter.permissionRequired=List").invalid("permissionRequired")
	c.get("/api/v1/folders?sortBy[0].name=colour").invalid("sortBy")
	c.get("/api/v1/folders/seven").invalid("seven")

	if code := c.post("/api/v1/folders", with("folderName", "")).json()["errorCode"]; code == nil {
		t.Error("no errorCode")
	}
	s.SetQuirks(func(q *Quirks) { q.NoValidationCode = true })
	if code := c.post("/api/v1/folders", with("folderName", "")).json()["errorCode"]; code != nil {
		t.Errorf("errorCode %v in spite of NoValidationCode", code)
	}
}

func TestChecklist1ErrorShapes(t *testing.T) {
	s, c, root := clients(t, Options{})
	for status, fields := range map[int][]string{
		400: {"message"},
		403: {"message"},
		500: {"exceptionMessage", "exceptionType", "message", "stackTrace"},
		429: {"message"},
		503: {"message"},
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			c := *c
			c.t = t
			if status == 429 || status == 503 {
				c.spec = nil // not in the document
			}
			remove := s.AddFault(Fault{Status: status, Header: http.Header{"Retry-After": {"2"}}})
			r := c.get("/api/v1/folders/%d", root).want(status)
			remove()
			if r.header.Get("Retry-After") != "2" || len(r.json()) != len(fields) {
				t.Errorf("answered %v %s", r.header, r.body)
			}
			for _, f := range fields {
				r.field(f)
			}
			c.get("/api/v1/folders/%d", root).want(200)
		})
	}
	c.token = "wrong"
	r := c.get("/api/v1/folders/%d", root).want(401)
	r.field("message")
	c.token = ""
	c.get("/api/v1/folders/%d", root).want(401)
	c.get("/api/v1/version").want(401)
	c.get("/api/v1/nothing").want(404).field("message")
	c.call("DELETE", "/api/v1/version", nil).want(405).field("message")
	c = signedIn(t, s)
	req := c.request("POST", "/api/v1/folders", newFolder(root, "x"))
	req.Header.Set("Content-Type", "text/plain")
	a, err := c.do(req)
	if err != nil {
		t.Fatal(err)
	}
	a.want(415).field("message")
}

func TestChecklist1HTMLWithStatus200(t *testing.T) {
	s, c, root := clients(t, Options{})
	c.spec = nil
	s.AddFault(Fault{HTML200: true, Match: On("GET", "/api/v1/folders/*")})
	r := c.get("/api/v1/folders/%d", root).want(200)
	if ct := r.header.Get("Content-Type"); !strings.HasPrefix(ct, "text/html") || !strings.Contains(string(r.body), "<html>") {
		t.Errorf("answered %s %s", ct, r.body)
	}
	c.get("/api/v1/folders").records()
}

// Checklist 2: take is 10 by default, the whole envelope with the filter
// echoed, 404 for an empty search as a switch.

func TestChecklist2EnvelopeAndDefaultTake(t *testing.T) {
	s, c, root := clients(t, Options{})
	for i := range 25 {
		s.AddFolder(root, fmt.Sprintf("Company %02d", i))
	}
	filter := func(more map[string]any) map[string]any {
		m := map[string]any{"searchText": nil, "folderTypeId": nil, "parentFolderId": float64(root), "limitToDirectDescendents": nil,
			"permissionRequired": nil, "onlyIncludeRootFolders": false}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	envelope := func(m map[string]any) map[string]any {
		m["success"], m["severity"] = true, "None"
		if m["sortBy"] == nil {
			m["sortBy"] = []any{}
		}
		return m
	}
	for _, tt := range []struct {
		name, query string
		want        map[string]any
		first       string
		records     int
	}{
		{"first page by default", "", envelope(map[string]any{"filter": filter(nil), "skip": 0.0, "take": 10.0, "total": 25.0, "pageCount": 3.0,
			"currentPage": 1.0, "batchCount": 3.0, "prevSkip": 0.0, "nextSkip": 10.0, "hasPrev": false, "hasNext": true}), "Company 00", 10},
		{"last page", "&skip=20", envelope(map[string]any{"filter": filter(nil), "skip": 20.0, "take": 10.0, "total": 25.0, "pageCount": 3.0,
			"currentPage": 3.0, "batchCount": 3.0, "prevSkip": 10.0, "nextSkip": 30.0, "hasPrev": true, "hasNext": false}), "Company 20", 5},
		{"only page", "&take=25", envelope(map[string]any{"filter": filter(nil), "skip": 0.0, "take": 25.0, "total": 25.0, "pageCount": 1.0,
			"currentPage": 1.0, "batchCount": 1.0, "prevSkip": 0.0, "nextSkip": 25.0, "hasPrev": false, "hasNext": false}), "Company 00", 25},
		{"past the end", "&skip=100", envelope(map[string]any{"filter": filter(nil), "skip": 100.0, "take": 10.0, "total": 25.0, "pageCount": 3.0,
			"currentPage": 11.0, "batchCount": 3.0, "prevSkip": 90.0, "nextSkip": 110.0, "hasPrev": true, "hasNext": false}), "", 0},
		{"searched and sorted", "&filter.searchText=COMPANY%%202&sortBy[0].name=folderName&sortBy[0].direction=Desc", envelope(map[string]any{
			"filter": filter(map[string]any{"searchText": "COMPANY 2"}), "skip": 0.0, "take": 10.0, "total": 5.0, "pageCount": 1.0, "currentPage": 1.0,
			"batchCount": 1.0, "prevSkip": 0.0, "nextSkip": 10.0, "hasPrev": false, "hasNext": false,
			"sortBy": []any{map[string]any{"name": "folderName", "direction": "Desc", "priority": 0.0}}}), "Company 24", 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.t = t
			r := c.get("/api/v1/folders?filter.parentFolderId=%d"+tt.query, root)
			if names := r.column("folderName"); len(names) != tt.records || tt.records > 0 && names[0] != tt.first {
				t.Errorf("records %v", names)
			}
			got := r.json()
			delete(got, "records")
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("envelope (-want +got):\n%s", d)
			}
		})
	}
}

func TestChecklist2TakeIsCapped(t *testing.T) {
	s, c, root := clients(t, Options{Quirks: Quirks{MaxTake: 100}})
	for i := range 250 {
		s.AddFolder(root, fmt.Sprint(i))
	}
	seen := map[any]bool{}
	pages := 0
	for skip, more := 0, true; more; pages++ {
		r := c.get("/api/v1/folders?filter.parentFolderId=%d&take=2147483647&skip=%d", root, skip)
		for _, id := range r.column("id") {
			seen[id] = true
		}
		if r.field("take") != 100.0 {
			t.Fatalf("take %v, want 100", r.field("take"))
		}
		skip += 100
		more = r.field("hasNext").(bool)
	}
	if len(seen) != 250 || pages != 3 {
		t.Errorf("%d folders in %d pages, want 250 in 3", len(seen), pages)
	}
}

func TestChecklist2EmptySearch(t *testing.T) {
	s, c, root := clients(t, Options{})
	empty := fmt.Sprintf("/api/v1/folders?filter.parentFolderId=%d", root)
	if r := c.get("%s", empty).want(200); r.field("total") != 0.0 || len(r.records()) != 0 {
		t.Errorf("answered %s", r.body)
	}
	s.SetQuirks(func(q *Quirks) { q.EmptySearch404 = true })
	c.get("%s", empty).want(404).field("message")
	c.get("/api/v1/folders").want(200) // finds something

	if got := c.get("/api/v1/folders?filter.parentFolderId=-1").column("folderName"); !cmp.Equal(got, []any{"Clients"}) {
		t.Errorf("below -1: %v", got)
	}
	s.SetQuirks(func(q *Quirks) { q.RootParent404 = true })
	c.get("/api/v1/folders?filter.parentFolderId=-1").want(404)
	if got := c.get("/api/v1/folders?filter.onlyIncludeRootFolders=true&filter.parentFolderId=-1").column("folderName"); !cmp.Equal(got, []any{"Clients"}) {
		t.Errorf("root folders: %v", got)
	}
}

func TestChecklist2Filters(t *testing.T) {
	s, c, root := clients(t, Options{})
	a := s.AddFolder(root, "Active")
	acme := s.AddFolder(a, "Acme")
	s.AddFolder(root, "Élan")
	archive := s.AddFolder(-1, "Archive")
	s.Grant(archive, s.opt.Username, "Edit", "None")
	other := s.AddFolder(archive, "Acme")
	s.Grant(other, s.opt.Username, "Add Secret", "None")
	q := url.QueryEscape
	for _, tt := range []struct {
		query string
		want  []any
	}{
		{"", []any{"Clients", "Active", "Acme", "Élan", "Archive", "Acme"}},
		{fmt.Sprintf("filter.parentFolderId=%d", root), []any{"Active", "Acme", "Élan"}},
		{fmt.Sprintf("filter.parentFolderId=%d&filter.limitToDirectDescendents=true", root), []any{"Active", "Élan"}},
		{fmt.Sprintf("filter.parentFolderId=%d", acme), []any{}},
		{"filter.parentFolderId=4711", []any{}},
		{fmt.Sprintf("filter.onlyIncludeRootFolders=true&filter.parentFolderId=%d", root), []any{"Clients", "Archive"}},
		{"filter.searchText=ac", []any{"Active", "Acme", "Acme"}},
		{"filter.searchText=" + q("éLAN"), []any{"Élan"}},
		{"filter.searchText=" + q(`Clients\`), []any{}}, // the name, not the path
		{"filter.permissionRequired=Owner", []any{"Clients", "Active", "Acme", "Élan"}},
		{"filter.permissionRequired=Edit", []any{"Clients", "Active", "Acme", "Élan", "Archive"}},
		{"filter.permissionRequired=AddSecret", []any{"Clients", "Active", "Acme", "Élan", "Archive", "Acme"}},
		{"filter.folderTypeId=2", []any{}},
		{"FILTER.SEARCHTEXT=elan&filter.parentfolderid=", []any{}},
		{"sortBy[0].name=folderPath", []any{"Archive", "Acme", "Clients", "Active", "Acme", "Élan"}},
		{"sortBy[0].name=folderName&sortBy[0].direction=Desc&sortBy[1].name=id&sortBy[1].direction=Desc",
			[]any{"Élan", "Clients", "Archive", "Active", "Acme", "Acme"}},
	} {
		t.Run(tt.query, func(t *testing.T) {
			c := *c
			c.t = t
			if strings.Contains(tt.query, "FILTER") || strings.Contains(tt.query, "sortBy[1]") {
				c.spec = nil // the server compares names without case and takes several sorts; the document shows neither
			}
			if got := c.get("/api/v1/folders?%s", tt.query).column("folderName"); !cmp.Equal(got, tt.want) {
				t.Errorf("folders %v, want %v", got, tt.want)
			}
			if got := c.get("/api/v1/folders/lookup?%s", tt.query).column("value"); !cmp.Equal(got, tt.want) {
				t.Errorf("lookup %v, want %v", got, tt.want)
			}
		})
	}
	s.SetQuirks(func(q *Quirks) { q.Shuffled = true })
	c.t = t
	ids := c.get("/api/v1/folders").column("id")
	if len(ids) != 6 || cmp.Equal(ids, []any{1.0, 2.0, 3.0, 4.0, 5.0, 6.0}) {
		t.Errorf("shuffled ids %v", ids)
	}
}
