package secretservertest

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
