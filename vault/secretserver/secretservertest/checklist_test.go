package secretservertest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

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

// Checklist 3: PUT renames and moves; the paths of all folders below follow;
// siblings of one name, moves into itself and a root without Create Root
// Folders are refused.

func TestChecklist3RenameAndMove(t *testing.T) {
	s, c, root := clients(t, Options{})
	prospect, customer := s.AddFolder(root, "Prospect"), s.AddFolder(root, "Customer")
	acme := s.AddFolder(prospect, "Acme")
	deep := s.AddFolder(acme, "Servers")
	secret := s.AddSecret(deep, "root", "Unix", nil)

	r := c.put(acme, map[string]any{"folderName": "Acme Inc.", "parentFolderId": customer}).want(200)
	want := map[string]any{
		"id": float64(acme), "folderName": "Acme Inc.", "folderPath": `\Clients\Customer\Acme Inc.`, "parentFolderId": float64(customer), "folderTypeId": 1.0,
		"inheritPermissions": true, "inheritSecretPolicy": true, "secretPolicyId": -1.0, "childFolders": nil, "secretTemplates": nil,
	}
	if d := cmp.Diff(want, r.json()); d != "" {
		t.Errorf("answer (-want +got):\n%s", d)
	}
	if f := mustPath(t, s, `\Clients\Customer\Acme Inc.\Servers`); f.ID != deep {
		t.Errorf("Servers is now folder %d, want %d", f.ID, deep)
	}
	if got := c.get("/api/v1/folders/%d", deep).field("folderPath"); got != `\Clients\Customer\Acme Inc.\Servers` {
		t.Errorf("path of the folder below: %v", got)
	}
	if got := c.get("/api/v1/folders?filter.parentFolderId=%d", customer).column("folderPath"); !cmp.Equal(got, []any{`\Clients\Customer\Acme Inc.`, `\Clients\Customer\Acme Inc.\Servers`}) {
		t.Errorf("listed paths %v", got)
	}
	if got := s.Secrets(); len(got) != 1 || got[0].ID != secret || got[0].FolderID != deep {
		t.Errorf("secrets %+v", got)
	}
	c.post("/api/v1/folders", newFolder(prospect, "Acme")).want(200) // the old place is free
	actions := c.get("/api/v1/folders/%d/audit", acme).records()
	if len(actions) != 2 || actions[0]["action"] != "MOVE" || actions[0]["displayName"] != s.opt.Username ||
		actions[0]["notes"] != `\Clients\Prospect\Acme -> \Clients\Customer\Acme Inc.` {
		t.Errorf("audit %v", actions)
	}
}

func TestChecklist3PutRefusals(t *testing.T) {
	s, c, root := clients(t, Options{})
	a, b := s.AddFolder(root, "A"), s.AddFolder(root, "Acme")
	below := s.AddFolder(a, "Below")
	s.AddFolder(a, "ACME")
	before := s.Folders()
	for name, tt := range map[string]struct {
		id      int
		changes map[string]any
		message string
	}{
		"sibling of that name":           {a, map[string]any{"folderName": "Acme"}, "already exists"},
		"sibling but for case":           {a, map[string]any{"folderName": "aCME"}, "already exists"},
		"sibling but for width":          {a, map[string]any{"folderName": "Ａcme"}, "already exists"},
		"sibling but for trailing space": {a, map[string]any{"folderName": "Acme "}, "already exists"},
		"moved beside its like":          {b, map[string]any{"parentFolderId": a}, "already exists"},
		"into itself":                    {a, map[string]any{"parentFolderId": a}, "itself"},
		"into a folder below":            {a, map[string]any{"parentFolderId": below}, "itself"},
		"other id in the body":           {a, map[string]any{"id": b}, "id"},
		"no id in the body":              {a, map[string]any{"id": nil}, "id"},
		"no name":                        {a, map[string]any{"folderName": nil}, "name"},
		"no type":                        {a, map[string]any{"folderTypeId": nil}, "folderTypeId"},
		"type 9":                         {a, map[string]any{"folderTypeId": 9}, "folderTypeId"},
		"parent -2":                      {a, map[string]any{"parentFolderId": -2}, "parentFolderId"},
	} {
		t.Run(name, func(t *testing.T) {
			c.t = t
			c.put(tt.id, tt.changes).invalid(tt.message)
		})
	}
	c.t = t
	c.put(a, map[string]any{"parentFolderId": 4711}).denied()
	if d := cmp.Diff(before, s.Folders()); d != "" {
		t.Errorf("refused calls changed something (-before +after):\n%s", d)
	}
	c.put(b, map[string]any{"folderName": "ACME"}).want(200) // its own name in other case
	if got := mustPath(t, s, `\Clients\Acme`).Name; got != "ACME" {
		t.Errorf("name %q", got)
	}
}

func TestChecklist3CreateRefusesSiblingIgnoringCase(t *testing.T) {
	s, c, root := clients(t, Options{})
	c.post("/api/v1/folders", newFolder(root, "Straße")).want(200)
	c.post("/api/v1/folders", newFolder(root, "STRASSE")).invalid("already exists")
	c.post("/api/v1/folders", newFolder(root, "Cafe\u0301")).want(200)
	c.post("/api/v1/folders", newFolder(root, "CAFÉ")).invalid("already exists")
	other := c.post("/api/v1/folders", newFolder(root, " padded ")).want(200)
	if got := other.field("folderName"); got != " padded " { // stored as sent, as the vendor's clean-up script knows
		t.Errorf("name %q", got)
	}
	c.post("/api/v1/folders", newFolder(other.id(), "Straße")).want(200) // elsewhere it is free
	if n := len(s.Folders()); n != 5 {
		t.Errorf("%d folders", n)
	}
}

func TestChecklist3RootFolders(t *testing.T) {
	s, c, root := clients(t, Options{})
	a := s.AddFolder(root, "A")
	atRoot := func(name string, inherit any) map[string]any {
		m := newFolder(-1, name)
		if m["inheritPermissions"], m["inheritSecretPolicy"] = inherit, false; inherit == nil {
			delete(m, "inheritPermissions")
		}
		return m
	}
	c.post("/api/v1/folders", atRoot("New", false)).denied()
	c.put(a, map[string]any{"parentFolderId": -1, "inheritPermissions": false}).denied()

	s.SetRolePermissions(s.opt.Username, append(LeastRights(), CreateRootFolders)...)
	c.post("/api/v1/folders", atRoot("New", true)).denied()
	c.post("/api/v1/folders", atRoot("New", nil)).denied() // omitted is true
	r := c.post("/api/v1/folders", atRoot("New", false)).want(200)
	if f, _ := s.Folder(r.id()); !cmp.Equal(f.Permissions, []Permission{{Name: s.opt.Username, FolderRole: "Owner", SecretRole: "Owner"}}) {
		t.Errorf("a new root folder is open to %v, want its maker only", f.Permissions)
	}
	c.put(a, map[string]any{"parentFolderId": -1}).denied() // still inherits
	c.put(a, map[string]any{"parentFolderId": -1, "inheritPermissions": false}).want(200)
	if f, _ := s.Folder(a); f.Path != `\A` || f.ParentID != -1 || len(f.Permissions) != 2 {
		t.Errorf("moved to the root: %+v", f)
	}
	own := s.AddPersonalFolder(s.opt.Username)
	c.put(own, map[string]any{"parentFolderId": -1, "inheritPermissions": false}).invalid("personal")
}

// The trap: fields that a PUT leaves out are not kept.
func TestChecklist3OmittedFieldsTakeDefaults(t *testing.T) {
	s, c, root := clients(t, Options{})
	a := s.AddFolder(root, "A")
	prepare := func() {
		s.BreakInheritance(a)
		s.Grant(a, s.opt.Username, "Owner", "Owner")
		s.SetSecretPolicy(a, 3)
	}
	state := func() []any {
		f, _ := s.Folder(a)
		return []any{f.Inherits, f.InheritsPolicy, f.PolicyID, f.ParentID}
	}
	bare := map[string]any{"inheritPermissions": nil, "inheritSecretPolicy": nil, "secretPolicyId": nil, "parentFolderId": nil}

	prepare()
	c.put(a, map[string]any{"folderName": "B"}).want(200)
	if d := cmp.Diff([]any{false, false, 3, root}, state()); d != "" {
		t.Errorf("all sent back (-want +got):\n%s", d)
	}
	c.put(a, bare).want(200)
	if d := cmp.Diff([]any{true, true, -1, root}, state()); d != "" {
		t.Errorf("left out (-want +got):\n%s", d)
	}
	prepare()
	s.SetQuirks(func(q *Quirks) { q.KeepOmitted = true })
	c.put(a, bare).want(200)
	if d := cmp.Diff([]any{false, false, 3, root}, state()); d != "" {
		t.Errorf("left out with KeepOmitted (-want +got):\n%s", d)
	}
}

func TestChecklist3ExtraFieldsAreAccepted(t *testing.T) {
	s, c, root := clients(t, Options{})
	a := s.AddFolder(root, "A")
	c.spec = nil // null lists are not in the document, but the vendor's module sends them
	m := c.get("/api/v1/folders/%d", a).json()
	m["folderName"], m["colour"] = "B", "blue"
	m["InheritPermissions"] = m["inheritPermissions"] // the vendor's module writes it so
	delete(m, "inheritPermissions")
	c.call("PUT", fmt.Sprintf("/API/V1/Folders/%d", a), m).want(200) // paths are compared without case
	if f, _ := s.Folder(a); f.Name != "B" || !f.Inherits {
		t.Errorf("folder %+v", f)
	}
}

// Who may do what with a folder.
func TestChecklist3Rights(t *testing.T) {
	s, _, root := clients(t, Options{})
	target := s.AddFolder(root, "Target")
	s.AddUser("tess", "t", ViewFolders, AdministerFolders)
	s.AddUser("noah", "n", ViewFolders)
	s.AddUser("olaf", "o", AdministerFolders)
	s.AddGroup("Testers", "tess")
	c := signedInAs(t, s, "tess", "t")
	n := 0
	fresh := func(role, targetRole string) (id, into int) {
		n++
		id, into = s.AddFolder(root, fmt.Sprint("f", n)), s.AddFolder(target, fmt.Sprint("t", n))
		for f, r := range map[int]string{id: role, into: targetRole} {
			if r != "" {
				s.Grant(f, "Testers", r, "None") // through a group, as most are
			}
		}
		return id, into
	}
	rename := func(id, _ int) reply { return c.put(id, map[string]any{"folderName": fmt.Sprint("renamed ", id)}) }
	move := func(id, into int) reply { return c.put(id, map[string]any{"parentFolderId": into}) }
	unInherit := func(id, _ int) reply {
		return c.put(id, map[string]any{"inheritPermissions": true})
	}
	create := func(id, _ int) reply { return c.post("/api/v1/folders", newFolder(id, "sub")) }
	remove := func(id, _ int) reply { return c.call("DELETE", fmt.Sprintf("/api/v1/folders/%d", id), nil) }
	for _, tt := range []struct {
		what         string
		do           func(id, into int) reply
		role, target string
		allowed      bool
	}{
		{"rename", rename, "View", "", false},
		{"rename", rename, "Add Secret", "", false},
		{"rename", rename, "Edit", "", true},
		{"rename", rename, "Owner", "", true},
		{"move", move, "Edit", "Owner", false},
		{"move", move, "Owner", "", false},
		{"move", move, "Owner", "View", false},
		{"move", move, "Owner", "Add Secret", false},
		{"move", move, "Owner", "Edit", true},
		{"move", move, "Owner", "Owner", true},
		{"set inheritance", unInherit, "Edit", "", false},
		{"set inheritance", unInherit, "Owner", "", true},
		{"create", create, "View", "", false},
		{"create", create, "Add Secret", "", false},
		{"create", create, "Edit", "", true},
		{"delete", remove, "Edit", "", false},
		{"delete", remove, "Owner", "", true},
	} {
		t.Run(tt.what+" as "+tt.role+" "+tt.target, func(t *testing.T) {
			c.t = t
			id, into := fresh(tt.role, tt.target)
			if r := tt.do(id, into); tt.allowed {
				r.want(200)
			} else {
				r.denied()
			}
		})
	}
	c.t = t

	// The role permissions are needed besides.
	id, _ := fresh("Owner", "")
	s.Grant(id, "noah", "Owner", "None")
	s.Grant(id, "olaf", "Owner", "None")
	viewer := signedInAs(t, s, "noah", "n")
	viewer.get("/api/v1/folders/%d", id).want(200)
	viewer.put(id, map[string]any{"folderName": "x"}).denied()
	viewer.post("/api/v1/folders", newFolder(id, "x")).denied()
	viewer.call("DELETE", fmt.Sprintf("/api/v1/folders/%d", id), nil).denied()
	signedInAs(t, s, "olaf", "o").get("/api/v1/folders/%d", id).denied()

	// Who may only edit the parent cannot make a folder that does not inherit.
	id, _ = fresh("Edit", "")
	m := newFolder(id, "closed")
	m["inheritPermissions"] = false
	if r := c.post("/api/v1/folders", m).want(200); r.field("inheritPermissions") != true {
		t.Errorf("created as Edit: %s", r.body)
	}
	id, _ = fresh("Owner", "")
	m["parentFolderId"] = id
	if f, _ := s.Folder(c.post("/api/v1/folders", m).id()); f.Inherits || !cmp.Equal(f.Permissions, []Permission{{Name: "tess", FolderRole: "Owner", SecretRole: "Owner"}}) {
		t.Errorf("created as Owner without inheritance: %+v", f)
	}
}

func TestChecklist3PathLookup(t *testing.T) {
	s, c, root := clients(t, Options{})
	a := s.AddFolder(root, "Acme & Söhne")
	if got := c.get("/api/v1/folders/0?folderPath=%s", url.QueryEscape(`\clients\ACME & SÖHNE`)).id(); got != a {
		t.Errorf("found %d, want %d", got, a)
	}
	c.get("/api/v1/folders/0?folderPath=%s", url.QueryEscape(`\Clients\Nobody`)).denied()
	c.get("/api/v1/folders/0").denied()

	old, c, _ := clients(t, Options{Version: "10.9.000064"})
	c.get("/api/v1/folders/0?folderPath=%s", url.QueryEscape(`\Clients`)).denied()
	mustPath(t, old, `\Clients`)
}

func TestChecklist3ChildrenAndTemplates(t *testing.T) {
	s, c, root := clients(t, Options{})
	a := s.AddFolder(root, "A")
	s.AddFolder(a, "B")
	s.Revoke(s.AddFolder(root, "Hidden"), s.opt.Username)
	s.AddSecret(a, "x", "Web Password", nil)
	r := c.get("/api/v1/folders/%d?getAllChildren=true&includeAssociatedTemplates=true", root).want(200).json()
	children := r["childFolders"].([]any)
	if len(children) != 1 {
		t.Fatalf("children %v", children)
	}
	first := children[0].(map[string]any)
	if first["folderName"] != "A" || first["childFolders"].([]any)[0].(map[string]any)["folderPath"] != `\Clients\A\B` {
		t.Errorf("children %v", children)
	}
	if tpl := r["secretTemplates"].([]any); len(tpl) != 1 || tpl[0].(map[string]any)["name"] != "Web Password" {
		t.Errorf("templates %v", tpl)
	}
}

// Checklist 4: PATCH /v1/folder/{id} renames and cannot move.

func TestChecklist4PatchIgnoresParent(t *testing.T) {
	s, c, root := clients(t, Options{})
	a, b := s.AddFolder(root, "A"), s.AddFolder(root, "B")
	patch := func(data map[string]any) reply {
		return c.call("PATCH", fmt.Sprintf("/api/v1/folder/%d", a), map[string]any{"data": data})
	}
	set := func(v any) map[string]any { return map[string]any{"dirty": true, "value": v} }
	r := patch(map[string]any{"folderName": set("Acme"), "parentFolderId": set(b), "enableInheritSecretPolicy": map[string]any{"dirty": false, "value": false}}).want(200)
	want := map[string]any{
		"allowedTemplates": []any{}, "enableInheritPermissions": true, "enableInheritSecretPolicy": true, "folderName": "Acme", "hasEdit": true,
		"hasOwner": true, "isPersonalFolder": false, "parentFolderId": float64(root), "parentFolderPolicyName": "", "secretPolicies": []any{},
		"secretPolicy": nil, "secretTemplates": []any{},
	}
	if d := cmp.Diff(want, r.json()); d != "" {
		t.Errorf("answer (-want +got):\n%s", d)
	}
	if f, _ := s.Folder(a); f.Path != `\Clients\Acme` {
		t.Errorf("folder %+v", f)
	}
	patch(map[string]any{"folderName": set("b")}).invalid("already exists")
	patch(map[string]any{"folderName": map[string]any{"dirty": false, "value": "C"}}).want(200)
	patch(map[string]any{"enableInheritPermissions": set(false), "enableInheritSecretPolicy": set(false), "secretPolicy": set(3)}).want(200)
	if f, _ := s.Folder(a); f.Name != "Acme" || f.Inherits || f.InheritsPolicy || f.PolicyID != 3 || len(f.Permissions) != 2 {
		t.Errorf("folder %+v", f)
	}
	own := s.AddPersonalFolder(s.opt.Username)
	if r := c.call("PATCH", fmt.Sprintf("/api/v1/folder/%d", own), map[string]any{"data": map[string]any{}}).want(200); r.field("isPersonalFolder") != true {
		t.Errorf("personal folder: %s", r.body)
	}
}

// Checklist 5: a moved folder that inherits has its new parent's permissions.

func TestChecklist5PermissionsFollowTheMove(t *testing.T) {
	s, c, root := clients(t, Options{})
	s.AddUser("pia", "p", ViewFolders)
	s.AddGroup("Helpdesk", "pia")
	prospect, customer := s.AddFolder(root, "Prospect"), s.AddFolder(root, "Customer")
	s.Grant(customer, "Helpdesk", "View", "View")
	s.Revoke(customer, admin)
	me := Permission{Name: s.opt.Username, FolderRole: "Owner", SecretRole: "List"}
	boss := Permission{Name: admin, FolderRole: "Owner", SecretRole: "Owner"}
	helpdesk := Permission{Name: "Helpdesk", Group: true, FolderRole: "View", SecretRole: "View"}
	for name, tt := range map[string]struct {
		own, inherit, copyTarget bool
		want                     []Permission
	}{
		"inherits and goes on":            {false, true, false, []Permission{helpdesk, me}},
		"own list and keeps it":           {true, false, false, []Permission{boss, me}},
		"own list and inherits now":       {true, true, false, []Permission{helpdesk, me}},
		"inherits and stops":              {false, false, false, []Permission{boss, me}},
		"inherits and stops, CopyTarget":  {false, false, true, []Permission{helpdesk, me}},
		"own list and keeps, CopyTarget":  {true, false, true, []Permission{boss, me}},
		"inherits and goes on, quirk too": {false, true, true, []Permission{helpdesk, me}},
	} {
		t.Run(name, func(t *testing.T) {
			c.t = t
			s.SetQuirks(func(q *Quirks) { q.CopyTarget = tt.copyTarget })
			id := s.AddFolder(prospect, name)
			below := s.AddFolder(id, "below")
			if tt.own {
				s.BreakInheritance(id)
			}
			r := c.put(id, map[string]any{"parentFolderId": customer, "inheritPermissions": tt.inherit}).want(200)
			if r.field("inheritPermissions") != tt.inherit {
				t.Errorf("answer %s", r.body)
			}
			for _, id := range []int{id, below} {
				f, _ := s.Folder(id)
				if d := cmp.Diff(tt.want, f.Permissions); d != "" {
					t.Errorf("%s (-want +got):\n%s", f.Path, d)
				}
			}
		})
	}
	c.t = t
	pia := signedInAs(t, s, "pia", "p")
	if got := pia.get("/api/v1/folders?filter.parentFolderId=%d&filter.limitToDirectDescendents=true", customer).column("folderName"); len(got) != 4 {
		t.Errorf("pia sees %v", got)
	}
}

// Checklist 6: metadata is created or updated by field name, has a history and
// a list of fields.

func TestChecklist6MetadataCreateOrUpdate(t *testing.T) {
	s, c, root := clients(t, Options{})
	a, b := s.AddFolder(root, "A"), s.AddFolder(root, "B")
	path := func(id int) string { return fmt.Sprintf("/api/v1/metadata/Folder/%d", id) }
	first := c.post(path(a), mark("acmeinc company/250")).want(200)
	again := c.post(path(a), mark("acmeinc company/251")).want(200)
	other := c.post(path(b), mark("acmeinc company/7")).want(200)
	if first.field("metadataItemDataId") != again.field("metadataItemDataId") || first.field("metadataItemDataId") == other.field("metadataItemDataId") ||
		first.field("metadataFieldId") != other.field("metadataFieldId") {
		t.Errorf("ids: %s, %s, %s", first.body, again.body, other.body)
	}
	if d := cmp.Diff(map[string]string{"ConnectWise/Folder key": "acmeinc company/251"}, s.Metadata(a)); d != "" {
		t.Errorf("metadata (-want +got):\n%s", d)
	}
	field := int(first.field("metadataFieldId").(float64))
	byID := map[string]any{"data": map[string]any{"metadataFieldId": field, "valueString": "acmeinc company/252"}}
	c.post(path(a), byID).want(200)

	rec := c.get("/api/v1/metadata?filter.metadataType=Folder&filter.itemId=%d", a).records()
	delete(rec[0], "createDateTime")
	want := map[string]any{
		"metadataItemDataId": 1.0, "metadataType": "Folder", "metadataTypeName": nil, "itemId": float64(a), "metadataFieldSectionId": 1.0,
		"metadataFieldSectionName": "ConnectWise", "metadataFieldId": 1.0, "metadataFieldName": "Folder key", "metadataFieldDataType": "String",
		"metadataFieldTypeName": nil, "valueString": "acmeinc company/252", "valueBit": nil, "valueNumber": nil, "valueDateTime": nil, "valueInt": nil,
		"valueUserDisplayName": nil, "sortOrder": 0.0, "createUserId": 2.0, "createUserName": s.opt.Username, "containsPersonalInformation": false,
	}
	if d := cmp.Diff([]map[string]any{want}, rec); d != "" {
		t.Errorf("record (-want +got):\n%s", d)
	}
	history := c.get("/api/v1/metadata/history?filter.metadataType=Folder&filter.itemId=%d", a)
	if got := history.column("valueString"); !cmp.Equal(got, []any{"acmeinc company/250", "acmeinc company/251", "acmeinc company/252"}) {
		t.Errorf("history %v", got)
	}
	if got := history.column("metadataItemDataId"); !cmp.Equal(got, []any{1.0, 1.0, 1.0}) {
		t.Errorf("history of %v", got)
	}
	if got := c.get("/api/v1/metadata/fields").column("metadataFieldName"); !cmp.Equal(got, []any{"Folder key"}) {
		t.Errorf("fields %v", got)
	}
	sections := c.get("/api/v1/metadata/field-sections").records()
	if len(sections) != 1 || sections[0]["metadataFieldSectionName"] != "ConnectWise" || sections[0]["requiresEntityEdit"] != true {
		t.Errorf("sections %v", sections)
	}
	number := map[string]any{"data": map[string]any{"metadataFieldSectionName": "connectwise", "metadataFieldName": "CompanyId", "fieldDataType": "Number", "valueNumber": 250}}
	c.post(path(a), number).want(200)
	if got := s.Metadata(a)["ConnectWise/CompanyId"]; got != "250" {
		t.Errorf("number %q", got)
	}
}

func TestChecklist6MetadataOfMovedAndDeletedFolders(t *testing.T) {
	s, c, root := clients(t, Options{})
	a, b := s.AddFolder(root, "A"), s.AddFolder(root, "B")
	c.post(fmt.Sprintf("/api/v1/metadata/Folder/%d", a), mark("acmeinc company/1")).want(200)
	c.put(a, map[string]any{"parentFolderId": b, "folderName": "C"}).want(200)
	if got := c.get("/api/v1/metadata?filter.metaDataFieldId=1").column("itemId"); !cmp.Equal(got, []any{float64(a)}) {
		t.Errorf("after the move: %v", got)
	}
	s.DeleteFolder(b, "pia")
	if got := c.get("/api/v1/metadata?filter.metaDataFieldId=1").column("itemId"); len(got) != 0 {
		t.Errorf("after the deletion: %v", got)
	}
	if got := c.get("/api/v1/metadata/history?filter.metaDataFieldId=1").column("itemId"); len(got) != 0 {
		t.Errorf("history after the deletion: %v", got)
	}
}

func TestChecklist6MetadataSearch(t *testing.T) {
	s, c, root := clients(t, Options{})
	for i := range 25 {
		s.SetMetadata(s.AddFolder(root, fmt.Sprint(i)), "ConnectWise", "Folder key", fmt.Sprintf("acmeinc company/%d", i))
	}
	s.SetMetadata(s.AddFolder(-1, "Hidden"), "ConnectWise", "Folder key", "acmeinc company/99")
	s.SetMetadata(root, "ConnectWise", "Other", "x")

	seen := map[any]bool{}
	for skip := 0; ; skip += 10 {
		r := c.get("/api/v1/metadata?filter.metaDataFieldId=1&skip=%d", skip)
		for _, v := range r.column("valueString") {
			seen[v] = true
		}
		if r.field("total") != 25.0 {
			t.Fatalf("total %v, want the 25 that can be seen", r.field("total"))
		}
		if r.field("hasNext") == false {
			break
		}
	}
	if len(seen) != 25 {
		t.Errorf("%d values", len(seen))
	}
	if got := c.get("/api/v1/metadata?filter.metadataType=Folder&filter.itemId=%d&filter.metaDataFieldId=1", root).records(); len(got) != 0 {
		t.Errorf("records of the root: %v", got)
	}
	c.get("/api/v1/metadata").invalid("required")
	c.get("/api/v1/metadata?filter.itemId=%d", root).invalid("required")
	c.get("/api/v1/metadata?filter.metadataType=Folder&filter.metaDataFieldId=1").invalid("required")
	c.get("/api/v1/metadata?filter.metadataType=User&filter.itemId=1").denied()
	s.SetQuirks(func(q *Quirks) { q.NoFieldSearch = true })
	c.get("/api/v1/metadata?filter.metaDataFieldId=1").invalid("required")
	c.get("/api/v1/metadata?filter.metadataType=Folder&filter.itemId=%d", root).want(200)
}

func TestChecklist6MetadataRefusals(t *testing.T) {
	_, c, root := clients(t, Options{})
	path := fmt.Sprintf("/api/v1/metadata/Folder/%d", root)
	with := func(name string, v any) map[string]any {
		m := mark("acmeinc company/1")
		if m["data"].(map[string]any)[name] = v; v == nil {
			delete(m["data"].(map[string]any), name)
		}
		return m
	}
	c.post(path, with("metadataFieldSectionName", nil)).invalid("section")
	c.post(path, with("metadataFieldSectionId", 4711)).invalid("section")
	c.post(path, with("metadataFieldName", nil)).invalid("field")
	c.post(path, with("metadataFieldId", 4711)).invalid("field")
	c.post(path, with("fieldDataType", nil)).invalid("fieldDataType")
	c.post(path, with("fieldDataType", "Text")).invalid("fieldDataType")
	c.post(path, with("valueString", nil)).invalid("String")
	c.post(path, with("fieldDataType", "Number")).invalid("Number")
	c.post(strings.Replace(path, "Folder", "User", 1), mark("x company/1")).denied()
	if got := c.get("/api/v1/metadata/field-sections").records(); len(got) != 0 {
		t.Errorf("refused calls left sections %v", got)
	}
	if got := c.get("/api/v1/metadata/fields").records(); len(got) != 0 {
		t.Errorf("refused calls left fields %v", got)
	}
}

func TestChecklist6MetadataRights(t *testing.T) {
	s, c, root := clients(t, Options{Permissions: []string{ViewFolders, AdministerFolders}})
	path := fmt.Sprintf("/api/v1/metadata/Folder/%d", root)
	c.post(path, mark("acmeinc company/1")).denied() // would make a section
	s.SetMetadata(root, "ConnectWise", "Folder key", "acmeinc company/1")
	c.post(path, mark("acmeinc company/2")).want(200) // both are there now
	m := mark("x")
	m["data"].(map[string]any)["metadataFieldName"] = "Other"
	c.post(path, m).denied() // would make a field
	c.call("PATCH", "/api/v1/metadata/field-sections/1", map[string]any{"data": map[string]any{}}).denied()

	s.Grant(root, s.opt.Username, "Add Secret", "None")
	c.post(path, mark("acmeinc company/3")).denied() // the section asks for Edit
	patch := map[string]any{"data": map[string]any{"metadataItemDataId": 1, "valueString": map[string]any{"dirty": true, "value": "x"}}}
	c.call("PATCH", path, patch).denied()
	c.call("DELETE", path+"/1", nil).denied()

	s.SetRolePermissions(s.opt.Username, LeastRights()...)
	open := map[string]any{"data": map[string]any{"metadataFieldSectionRequiresEntityEdit": map[string]any{"dirty": true, "value": false}}}
	c.call("PATCH", "/api/v1/metadata/field-sections/1", open).want(200)
	c.post(path, mark("acmeinc company/4")).want(200)
	closed := map[string]any{"data": map[string]any{"metadataFieldSectionRequiresAdministerMetadata": map[string]any{"dirty": true, "value": true}}}
	c.call("PATCH", "/api/v1/metadata/field-sections/1", closed).want(200)
	s.SetRolePermissions(s.opt.Username, ViewFolders)
	c.post(path, mark("acmeinc company/5")).denied()
	if got := s.Metadata(root)["ConnectWise/Folder key"]; got != "acmeinc company/4" {
		t.Errorf("value %q", got)
	}
}

func TestChecklist6MetadataPatch(t *testing.T) {
	s, c, root := clients(t, Options{})
	other := s.AddFolder(root, "A")
	s.SetMetadata(root, "ConnectWise", "Folder key", "acmeinc company/1")
	patch := func(folder, data int, field string, v any) reply {
		return c.call("PATCH", fmt.Sprintf("/api/v1/metadata/Folder/%d", folder), map[string]any{"data": map[string]any{
			"metadataItemDataId": data, field: map[string]any{"dirty": true, "value": v}}})
	}
	if r := patch(root, 1, "valueString", "acmeinc company/2").want(200); r.field("valueString") != "acmeinc company/2" {
		t.Errorf("answer %s", r.body)
	}
	patch(other, 1, "valueString", "x").invalid("no such metadata")
	patch(root, 2, "valueString", "x").invalid("no such metadata")
	patch(root, 1, "valueNumber", 5).invalid("String")
	c.call("DELETE", fmt.Sprintf("/api/v1/metadata/Folder/%d/1", root), nil).want(200)
	if got := s.Metadata(root); got != nil {
		t.Errorf("after DELETE: %v", got)
	}
}

func TestChecklist6MetadataTypes(t *testing.T) {
	s, c, root := clients(t, Options{})
	path := fmt.Sprintf("/api/v1/metadata/Folder/%d", root)
	for _, tt := range []struct {
		dataType, field string
		value, next     any
		text            string
	}{
		{"String", "valueString", "x", "y", "y"},
		{"Boolean", "valueBit", true, false, "false"},
		{"Number", "valueNumber", 250.0, 2.5, "2.5"},
		{"DateTime", "valueDateTime", "2026-01-12T10:00:00", "2026-01-13T10:00:00", "2026-01-13T10:00:00"},
		{"User", "valueInt", 2.0, 1.0, "1"},
	} {
		t.Run(tt.dataType, func(t *testing.T) {
			c.t = t
			m := mark("")
			data := m["data"].(map[string]any)
			delete(data, "valueString")
			data["metadataFieldName"], data["fieldDataType"], data[tt.field] = tt.dataType, tt.dataType, tt.value
			r := c.post(path, m).want(200)
			if r.field(tt.field) != tt.value {
				t.Errorf("answered %s", r.body)
			}
			patch := map[string]any{"metadataItemDataId": r.field("metadataItemDataId"), tt.field: map[string]any{"dirty": true, "value": tt.next}}
			if r := c.call("PATCH", path, map[string]any{"data": patch}).want(200); r.field(tt.field) != tt.next {
				t.Errorf("answered %s", r.body)
			}
			if got := s.Metadata(root)["ConnectWise/"+tt.dataType]; got != tt.text {
				t.Errorf("text %q", got)
			}
			patch[tt.field] = map[string]any{"dirty": true, "value": nil}
			c.spec = nil // null is not in the document for text
			c.call("PATCH", path, map[string]any{"data": patch}).invalid(tt.dataType)
			c.spec = newSpec(t, s)
		})
	}
}

func TestChecklist6MetadataHistoryByDate(t *testing.T) {
	now := &clock{time.Date(2026, 1, 12, 10, 0, 0, 0, time.UTC)}
	s, c, root := clients(t, Options{Now: now.Now, TokenLife: 24 * time.Hour})
	for i := range 3 {
		s.SetMetadata(root, "ConnectWise", "Folder key", fmt.Sprint(i))
		now.now = now.now.Add(time.Hour)
	}
	const path = "/api/v1/metadata/history?filter.metaDataFieldId=1&sortBy[0].name=createDateTime&sortBy[0].direction=Desc"
	if got := c.get(path + "&filter.startDate=2026-01-12T10:00:00&filter.endDate=2026-01-12T13:00:00").column("valueString"); !cmp.Equal(got, []any{"2", "1"}) {
		t.Errorf("history %v", got)
	}
	c.get(path + "&filter.startDate=yesterday").invalid("startDate")
}

func TestChecklist6MetadataSections(t *testing.T) {
	s, c, root := clients(t, Options{})
	a := s.AddFolder(root, "A")
	s.SetMetadata(root, "ConnectWise", "Folder key", "x")
	s.SetMetadata(a, "Notes", "Text", "x")
	const path = "/api/v1/metadata/field-sections"
	name := func(query string, args ...any) []any {
		return c.get(path+query, args...).column("metadataFieldSectionName")
	}
	for _, tt := range []struct {
		got, want []any
	}{
		{name("?sortBy[0].name=metadataFieldSectionName&sortBy[0].direction=Desc"), []any{"Notes", "ConnectWise"}},
		{name("?filter.metadataType=Folder&filter.itemId=%d", a), []any{"Notes"}},
		{name("?filter.metadataSectionFilterId=1"), []any{"ConnectWise"}},
	} {
		if !cmp.Equal(tt.got, tt.want) {
			t.Errorf("sections %v, want %v", tt.got, tt.want)
		}
	}
	if got := c.get(path + "?filter.metadataSectionFilterId=1").records()[0]["actions"]; !cmp.Equal(got, any([]any{"EditSection", "AddField"})) {
		t.Errorf("actions %v", got)
	}
	if got := c.get(path+"?filter.metadataType=Folder&filter.itemId=%d", a).records()[0]["actions"]; !cmp.Equal(got, any([]any{"EditSection", "AddField", "EditItem", "DeleteItem"})) {
		t.Errorf("actions on an item %v", got)
	}
	c.get(path+"?filter.itemId=%d", a).invalid("required")
	rename := map[string]any{"data": map[string]any{"metadataFieldSectionName": map[string]any{"dirty": true, "value": "notes"}}}
	c.call("PATCH", path+"/1", rename).invalid("taken")
	c.call("PATCH", path+"/4711", rename).denied()
}

func TestChecklist6NoMetadataBefore10_9_64(t *testing.T) {
	_, c, root := clients(t, Options{Version: "10.9.000063"})
	c.get("/api/v1/metadata?filter.metadataType=Folder&filter.itemId=%d", root).want(404)
	c.get("/api/v1/metadata/fields").want(404)
	c.post(fmt.Sprintf("/api/v1/metadata/Folder/%d", root), mark("x company/1")).want(404)
	if got := c.get("/api/v1/version").field("version"); got != "10.9.000063" {
		t.Errorf("version %v", got)
	}
}

// Checklist 7: folder-details by role; tokens expire; refresh tokens work
// once; OTP.

func TestChecklist7FolderDetails(t *testing.T) {
	s, c, root := clients(t, Options{})
	a := s.AddFolder(root, "A")
	for _, tt := range []struct {
		role string
		want []any
	}{
		{"Owner", []any{"CreateSubfolder", "EditFolder", "AddSecret", "DeleteFolder", "MoveFolder"}},
		{"Edit", []any{"CreateSubfolder", "EditFolder", "AddSecret"}},
		{"Add Secret", []any{"AddSecret"}},
		{"View", []any{}},
	} {
		s.Grant(a, s.opt.Username, tt.role, "None")
		if got := c.get("/api/v1/folder-details/%d", a).want(200).field("actions"); !cmp.Equal(got, any(tt.want)) {
			t.Errorf("%s: %v, want %v", tt.role, got, tt.want)
		}
	}
	s.Grant(a, s.opt.Username, "Owner", "None")
	s.SetRolePermissions(s.opt.Username, ViewFolders)
	if got := c.get("/api/v1/folder-details/%d", a).field("actions"); !cmp.Equal(got, any([]any{"AddSecret"})) {
		t.Errorf("without Administer Folders: %v", got)
	}
	s.Revoke(a, s.opt.Username)
	c.get("/api/v1/folder-details/%d", a).denied()
	if got := c.get("/api/v1/folder-details/%d?returnEmptyInsteadOfNoAccessException=true", a).want(200).field("actions"); !cmp.Equal(got, any([]any{})) {
		t.Errorf("no access: %v", got)
	}
}

// clock is a time that the test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func TestChecklist7TokenExpiry(t *testing.T) {
	now := &clock{time.Date(2026, 1, 12, 10, 0, 0, 0, time.UTC)}
	s := start(t, Options{Now: now.Now})
	c := signedIn(t, s)
	now.now = now.now.Add(1200*time.Second - 1)
	c.get("/api/v1/version").want(200)
	now.now = now.now.Add(1)
	c.get("/api/v1/version").want(401)
	c = signedIn(t, s)
	c.get("/api/v1/version").want(200)
	s.ExpireTokens()
	c.get("/api/v1/version").want(401)
	c = signedIn(t, s)
	if r := c.post("/api/v1/oauth-expiration", nil).want(200); string(r.body) != "true" {
		t.Errorf("answered %s", r.body)
	}
	c.get("/api/v1/version").want(401)
}

func TestChecklist7TokenGoodForSoManyCalls(t *testing.T) {
	s := start(t, Options{TokenCalls: 3})
	c := signedIn(t, s)
	for range 3 {
		c.get("/api/v1/version").want(200)
	}
	c.get("/api/v1/version").want(401)
	c.get("/api/v1/version").want(401)
}

func TestChecklist7SignIn(t *testing.T) {
	s := start(t, Options{Username: "svc", Password: "p&w", Domain: "CORP", OTP: "123456", TokenLife: 90 * time.Second})
	s.AddUser("local", "l")
	c := newClient(t, s)
	password := func(user, password, domain string) url.Values {
		return url.Values{"grant_type": {"password"}, "username": {user}, "password": {password}, "domain": {domain}}
	}
	otp := http.Header{"Otp": {"123456"}}
	for name, tt := range map[string]struct {
		form   url.Values
		header http.Header
		ok     bool
	}{
		"right":                  {password("svc", "p&w", "corp"), otp, true},
		"name in other case":     {password("SVC", "p&w", "CORP"), otp, true},
		"local user":             {password("local", "l", ""), nil, true},
		"local user in a domain": {password("local", "l", "CORP"), nil, false},
		"wrong password":         {password("svc", "x", "CORP"), otp, false},
		"unknown user":           {password("nobody", "p&w", "CORP"), otp, false},
		"no domain":              {password("svc", "p&w", ""), otp, false},
		"no OTP":                 {password("svc", "p&w", "CORP"), nil, false},
		"wrong OTP":              {password("svc", "p&w", "CORP"), http.Header{"Otp": {"654321"}}, false},
		"admin cannot sign in":   {password("admin", "", ""), nil, false},
		"other grant":            {url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.t = t
			r := c.form("/oauth2/token", tt.form, tt.header)
			if tt.ok {
				r.want(200)
				if r.field("token_type") != "bearer" || r.field("expires_in") != 90.0 || r.json()["refresh_token"] != nil {
					t.Errorf("answered %s", r.body)
				}
				return
			}
			r.want(400).field("error")
		})
	}
	c.t = t
	c.post("/oauth2/token", `{"grant_type":"password"}`).want(400).field("error")
	c.get("/oauth2/token").want(405)
}

func TestChecklist7RefreshTokensWorkOnce(t *testing.T) {
	now := &clock{time.Date(2026, 1, 12, 10, 0, 0, 0, time.UTC)}
	s := start(t, Options{RefreshTokens: true, Now: now.Now})
	c := newClient(t, s)
	r := c.form("/oauth2/token", url.Values{"grant_type": {"password"}, "username": {DefaultUsername}, "password": {DefaultPassword}}, nil).want(200)
	refresh := func(r reply) reply {
		return c.form("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.field("refresh_token").(string)}}, nil)
	}
	c.token = r.field("refresh_token").(string)
	c.get("/api/v1/version").want(401) // not an access token
	c.token = ""
	second := refresh(r).want(200)
	refresh(r).want(400)
	c.token = second.field("access_token").(string)
	c.get("/api/v1/version").want(200)
	c.token = ""
	now.now = now.now.Add(35 * time.Minute)
	refresh(second).want(400)
}

func TestChecklist7HealthVersionAndUser(t *testing.T) {
	s := start(t, Options{})
	c := newClient(t, s)
	if r := c.get("/api/v1/healthcheck?noBus=true").want(200); r.field("healthy") != true || r.field("readOnlyMode") != false {
		t.Errorf("health %s", r.body)
	}
	c = signedIn(t, s)
	if got := c.get("/api/v1/version").field("version"); got != DefaultVersion {
		t.Errorf("version %v", got)
	}
	r := c.get("/api/v1/users/current").want(200)
	var names []any
	for _, p := range r.field("permissions").([]any) {
		names = append(names, p.(map[string]any)["name"])
	}
	if want := []any{AdministerFolders, AdministerMetadata, ViewConnectWiseIntegration, ViewFolders}; r.field("userName") != DefaultUsername || !cmp.Equal(names, want) {
		t.Errorf("user %s", r.body)
	}
	s.SetQuirks(func(q *Quirks) { q.VersionInModel, q.HealthText = true, true })
	c.spec = nil
	if got := c.get("/api/v1/version").field("model").(map[string]any)["version"]; got != DefaultVersion {
		t.Errorf("version %v", got)
	}
	if r := c.get("/api/v1/healthcheck").want(200); string(r.body) != "Healthy" {
		t.Errorf("health %s", r.body)
	}
}

// Checklist 8: the built-in Folder Synchronization's configuration.

func TestChecklist8FolderSynchronization(t *testing.T) {
	s, c, root := clients(t, Options{})
	const path = "/api/v1/configuration/folder-synchronization"
	secret := s.AddSecret(root, "ConnectWise (secretserver001)", "Web Password", nil)
	s.SetFolderSync(FolderSync{Method: "ApiIntegration", Minutes: 30, FolderID: root, SiteURL: "staging.connectwisedev.com", CompanyID: "acmeinc",
		Credentials: secret, Structure: `$TYPE\$STATUS`, DaysToKeepLogs: 30})
	want := map[string]any{
		"syncMethodType": "ApiIntegration", "intervalDays": 0.0, "intervalHours": 0.0, "intervalMinutes": 30.0, "syncAllFolders": false,
		"syncFolderId": float64(root), "siteUrl": "staging.connectwisedev.com", "companyId": "acmeinc", "integratorCredentials": float64(secret),
		"integratorCredentialsName": "ConnectWise (secretserver001)", "folderStructure": `$TYPE\$STATUS`, "sqlServerLocation": nil, "sqlUsername": nil,
		"sqlPassword": nil, "sqlCustomView": nil, "daysToKeepOperationalLogs": 30.0,
	}
	if d := cmp.Diff(want, c.get(path).want(200).json()); d != "" {
		t.Errorf("configuration (-want +got):\n%s", d)
	}
	set := func(fields map[string]any) reply {
		data := map[string]any{}
		for name, v := range fields {
			data[name] = map[string]any{"dirty": true, "value": v}
		}
		return c.call("PATCH", path, map[string]any{"data": data})
	}
	set(map[string]any{"syncMethodType": "None"}).denied() // may only look

	a := s.AddFolder(root, "A")
	c.call("DELETE", fmt.Sprintf("/api/v1/folders/%d", a), nil).invalid("synchroni")
	c.put(a, map[string]any{"folderName": "B"}).want(200)
	s.SetQuirks(func(q *Quirks) { q.SyncLocks = true })
	c.put(a, map[string]any{"folderName": "C"}).invalid("synchroni")

	s.SetRolePermissions(s.opt.Username, append(LeastRights(), AdministerConnectWiseIntegration)...)
	set(map[string]any{"syncMethodType": "Sometimes"}).invalid("syncMethodType")
	set(map[string]any{"companyId": ""}).invalid("Company ID")
	set(map[string]any{"intervalMinutes": 0}).invalid("interval")
	set(map[string]any{"daysToKeepOperationalLogs": 0}).invalid("Logs")
	set(map[string]any{"syncFolderId": 0}).invalid("folder")
	set(map[string]any{"syncFolderId": s.AddFolder(-1, "Hidden")}).denied()
	s.Revoke(root, s.opt.Username)
	set(map[string]any{"syncFolderId": 0, "syncMethodType": "None"}).denied() // it cannot see what is synchronized
	s.Grant(root, s.opt.Username, "Owner", "List")
	off := c.call("PATCH", path, map[string]any{"data": map[string]any{
		"syncMethodType": map[string]any{"dirty": true, "value": "None"}, "companyId": map[string]any{"dirty": false, "value": "other"}}}).want(200)
	if want["syncMethodType"] = "None"; !cmp.Equal(off.json(), want) {
		t.Errorf("after turning it off (-want +got):\n%s", cmp.Diff(want, off.json()))
	}
	c.put(a, map[string]any{"folderName": "C"}).want(200)
	c.call("DELETE", fmt.Sprintf("/api/v1/folders/%d", a), nil).want(200)

	s.SetRolePermissions(s.opt.Username, ViewFolders, AdministerFolders)
	c.get(path).denied()
	s.SetQuirks(func(q *Quirks) { q.NoFolderSync = true })
	c.get(path).want(404)
}
