package secretservertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestChangesByHand(t *testing.T) {
	s, c, root := clients(t, Options{})
	a, b := s.AddFolder(root, "A"), s.AddFolder(root, "B")
	below := s.AddFolder(a, "Below")
	s.BreakInheritance(a)
	if err := s.RenameFolder(a, "b", "pia"); err == nil {
		t.Error("renamed to a sibling's name")
	}
	if err := s.MoveFolder(a, below, "pia"); err == nil {
		t.Error("moved into itself")
	}
	if err := s.RenameFolder(a, "Acme", "pia"); err != nil {
		t.Error(err)
	}
	if err := s.MoveFolder(a, b, "pia"); err != nil {
		t.Error(err)
	}
	want := Folder{ID: a, ParentID: b, Name: "Acme", Path: `\Clients\B\Acme`, TypeID: 1, Inherits: true, InheritsPolicy: true, PolicyID: -1,
		Permissions: []Permission{{Name: admin, FolderRole: "Owner", SecretRole: "Owner"}, {Name: s.opt.Username, FolderRole: "Owner", SecretRole: "List"}}}
	got, ok := s.Folder(a)
	if d := cmp.Diff(want, got); d != "" || !ok {
		t.Errorf("folder (-want +got):\n%s", d)
	}
	audit := c.get("/api/v1/folders/%d/audit", a)
	if d := cmp.Diff([]any{"MOVE", "EDIT", "EDIT PERMISSIONS", "CREATE"}, audit.column("action")); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]any{"pia", "pia", admin, admin}, audit.column("displayName")); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
	s.DeleteFolder(b, "pia")
	if _, ok := s.Folder(below); ok || len(s.Folders()) != 1 {
		t.Errorf("folders after the deletion: %+v", s.Folders())
	}
	if err := s.MoveFolder(root, -1, "pia"); err != nil { // stays where it is
		t.Error(err)
	}
	if got := mustPath(t, s, `\clients\`); got.ID != root || got.Inherits {
		t.Errorf("root %+v", got)
	}
}

func TestInheritanceByHand(t *testing.T) {
	s, c, root := clients(t, Options{})
	a := s.AddFolder(root, "A")
	c.get("/api/v1/folders/%d", a).want(200)
	s.Revoke(a, s.opt.Username)
	c.get("/api/v1/folders/%d", a).denied()
	if got := c.get("/api/v1/folders").column("folderName"); !cmp.Equal(got, []any{"Clients"}) {
		t.Errorf("listed %v", got)
	}
	s.Inherit(a)
	c.get("/api/v1/folders/%d", a).want(200)
	s.Grant(a, "Everyone", "View", "None")
	s.Revoke(a, s.opt.Username)
	if got := c.get("/api/v1/folders/%d", a).field("inheritPermissions"); got != false {
		t.Errorf("inheritPermissions %v", got)
	}
}

func TestMistakesOfTheCallerPanic(t *testing.T) {
	s, _, root := clients(t, Options{})
	for name, f := range map[string]func(){
		"unknown parent":   func() { s.AddFolder(4711, "A") },
		"name taken":       func() { s.AddFolder(-1, "CLIENTS") },
		"unknown user":     func() { s.Grant(root, "nobody", "View", "View") },
		"unknown role":     func() { s.Grant(root, s.opt.Username, "Reader", "View") },
		"user taken":       func() { s.AddUser(s.opt.Username, "x") },
		"group taken":      func() { s.AddGroup("everyone") },
		"root inherits":    func() { s.Inherit(root) },
		"grant on no root": func() { s.Grant(-1, s.opt.Username, "View", "View") },
		"unknown secret":   func() { s.UpdateSecret(4711, func(*Secret) {}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
	if _, ok := s.Folder(root); !ok { // no lock is left behind
		t.Error("the root is gone")
	}
}

func TestPersonalFolders(t *testing.T) {
	s, c, _ := clients(t, Options{})
	s.AddUser("pia", "p", ViewFolders)
	mine := s.AddPersonalFolder(s.opt.Username)
	hers := s.AddPersonalFolder("pia")
	c.get("/api/v1/folders/%d", hers).denied()
	if got := c.get("/api/v1/folders/%d", mine).field("folderPath"); got != `\Personal Folders\`+s.opt.Username {
		t.Errorf("path %v", got)
	}
	if got := c.get("/api/v1/folders").column("folderName"); !cmp.Equal(got, []any{"Clients", "Personal Folders", s.opt.Username}) {
		t.Errorf("listed %v", got)
	}
}

func TestFolderPermissions(t *testing.T) {
	s, c, root := clients(t, Options{})
	helpdesk := s.AddGroup("Helpdesk")
	pia := s.AddUser("pia", "p")
	s.Grant(root, "Helpdesk", "View", "None")
	a := s.AddFolder(root, "A")

	list := func(query string) []any {
		return c.get("/api/v1/folder-permissions?filter.folderId=%d%s", a, query).column("knownAs")
	}
	for query, want := range map[string][]any{
		"":                                       {admin, s.opt.Username, "Helpdesk"},
		"&filter.excludeOwners=true":             {"Helpdesk"},
		"&filter.excludeViewers=true":            {admin, s.opt.Username},
		"&filter.excludeEditors=true&take=1":     {admin},
		"&filter.searchText=help":                {"Helpdesk"},
		fmt.Sprint("&filter.groupId=", helpdesk): {"Helpdesk"},
		fmt.Sprint("&filter.userId=", pia):       {},
		"&filter.domainId=-1&sortBy[0].name=knownAs&sortBy[0].direction=Desc": {s.opt.Username, admin, "Helpdesk"},
	} {
		if got := list(query); !cmp.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	rec := c.get("/api/v1/folder-permissions?filter.folderId=%d&filter.groupId=%d", a, helpdesk).records()[0]
	want := map[string]any{
		"domainName": nil, "folderAccessRoleId": 6.0, "folderAccessRoleName": "View", "folderId": float64(a), "groupId": float64(helpdesk),
		"groupName": "Helpdesk", "id": rec["id"], "knownAs": "Helpdesk", "secretAccessRoleId": nil, "secretAccessRoleName": "None", "userId": nil, "userName": nil,
	}
	if d := cmp.Diff(want, rec); d != "" {
		t.Errorf("record (-want +got):\n%s", d)
	}

	grant := map[string]any{"folderId": a, "userId": pia, "folderAccessRoleName": "Edit", "secretAccessRoleName": "Owner", "breakInheritance": false}
	post := func() reply { return c.post("/api/v1/folder-permissions", grant) }
	if r := post().want(400); r.field("message") != "API_PermissionsAreInherited" {
		t.Errorf("answered %s", r.body)
	}
	delete(grant, "breakInheritance") // true by default
	r := post().want(200)
	if r.field("folderAccessRoleId") != 7.0 || r.field("secretAccessRoleId") != 11.0 || r.field("groupId") != 0.0 || r.field("userName") != "pia" {
		t.Errorf("answered %s", r.body)
	}
	f, _ := s.Folder(a)
	if len(f.Permissions) != 4 || f.Inherits {
		t.Errorf("folder %+v", f)
	}
	post().invalid("already")
	grant["groupId"] = helpdesk
	post().invalid("One existing")
	delete(grant, "groupId")
	grant["userId"] = 4711
	post().invalid("One existing")
	grant["folderAccessRoleName"] = "Reader"
	post().invalid("folderAccessRoleName")
	id := r.id()
	c.call("PUT", fmt.Sprintf("/api/v1/folder-permissions/%d", id), map[string]any{"id": id + 1, "folderId": a, "folderAccessRoleName": "View", "secretAccessRoleName": "None"}).invalid("id")
	c.call("PUT", fmt.Sprintf("/api/v1/folder-permissions/%d", id), map[string]any{"id": id, "folderId": a, "folderAccessRoleName": "View", "secretAccessRoleName": "None"}).want(200)
	c.call("DELETE", fmt.Sprintf("/api/v1/folder-permissions/%d", id), nil).want(200)
	c.get("/api/v1/folder-permissions/%d", id).denied()

	// An inherited line is changed by breaking the inheritance of the folder named.
	b := s.AddFolder(root, "B")
	line := int(c.get("/api/v1/folder-permissions?filter.folderId=%d&filter.groupId=%d", b, helpdesk).records()[0]["id"].(float64))
	change := map[string]any{"id": line, "folderId": b, "folderAccessRoleName": "Owner", "secretAccessRoleName": "None", "breakInheritance": false}
	put := func() reply { return c.call("PUT", fmt.Sprintf("/api/v1/folder-permissions/%d", line), change) }
	if r := put().want(400); r.field("message") != "API_PermissionsAreInherited" {
		t.Errorf("answered %s", r.body)
	}
	change["breakInheritance"] = true
	put().want(200)
	role := func(id int) string {
		f, _ := s.Folder(id)
		return f.Permissions[slices.IndexFunc(f.Permissions, func(p Permission) bool { return p.Name == "Helpdesk" })].FolderRole
	}
	if role(b) != "Owner" || role(root) != "View" {
		t.Errorf("Helpdesk is %s below and %s above", role(b), role(root))
	}

	s.Grant(a, s.opt.Username, "Edit", "None")
	grant = map[string]any{"folderId": a, "userId": pia, "folderAccessRoleName": "Edit", "secretAccessRoleName": "Owner"}
	post().denied()
}

func TestPatchFolderPermissions(t *testing.T) {
	s, c, root := clients(t, Options{})
	helpdesk := s.AddGroup("Helpdesk")
	a := s.AddFolder(root, "A")
	patch := func(data map[string]any) reply {
		return c.call("PATCH", fmt.Sprintf("/api/v1/folder/%d/permissions", a), map[string]any{"data": data})
	}
	inherit := func(on bool) map[string]any { return map[string]any{"dirty": true, "value": on} }
	add := []any{map[string]any{"groupId": helpdesk, "folderAccessRoleId": 6, "secretAccessRoleId": 13}}
	if r := patch(map[string]any{"addOrUpdateItems": add}).want(400); r.field("message") != "API_PermissionsAreInherited" {
		t.Errorf("answered %s", r.body)
	}
	patch(map[string]any{"inheritPermissions": inherit(false), "addOrUpdateItems": add}).want(200)
	f, _ := s.Folder(a)
	if d := cmp.Diff(Permission{Name: "Helpdesk", Group: true, FolderRole: "View", SecretRole: "List"}, f.Permissions[0]); d != "" || f.Inherits || len(f.Permissions) != 3 {
		t.Errorf("folder %+v", f)
	}
	me := []any{map[string]any{"userId": 2}}
	patch(map[string]any{"removeItems": me}).invalid("own access")
	patch(map[string]any{"removeItems": []any{map[string]any{"userId": 4711}}}).invalid("no such user")
	patch(map[string]any{"addOrUpdateItems": []any{map[string]any{"groupId": helpdesk, "folderAccessRoleId": 99}}}).invalid("role")
	if g, _ := s.Folder(a); !cmp.Equal(f, g) {
		t.Errorf("refused calls changed the folder: %s", cmp.Diff(f, g))
	}
	patch(map[string]any{"inheritPermissions": inherit(true)}).want(200)
	if f, _ := s.Folder(a); !f.Inherits || len(f.Permissions) != 2 {
		t.Errorf("folder %+v", f)
	}
	patch(map[string]any{"inheritPermissions": inherit(false), "removeItems": me, "allowRemoveOwner": true}).want(200)
	c.get("/api/v1/folders/%d", a).denied()
}

func TestSecrets(t *testing.T) {
	s, c, root := clients(t, Options{})
	a := s.AddFolder(root, "A")
	hidden := s.AddFolder(root, "Hidden")
	s.Grant(hidden, s.opt.Username, "Owner", "None")
	plain := s.AddSecret(root, "Integrator", "Web Password", map[string]string{"username": "acmeinc+key", "password": "hunter2"})
	out := s.AddSecret(a, "Checked out", "Web Password", map[string]string{"password": "p"})
	s.UpdateSecret(out, func(x *Secret) { x.CheckOut = true })
	commented := s.AddSecret(a, "Commented", "Web Password", map[string]string{"password": "p"})
	s.UpdateSecret(commented, func(x *Secret) { x.RequiresComment = true })
	approved := s.AddSecret(a, "Approved", "Unix", map[string]string{"password": "p"})
	s.UpdateSecret(approved, func(x *Secret) { x.RequiresApproval = true })
	gone := s.AddSecret(a, "Gone", "Unix", map[string]string{"password": "p"})
	s.UpdateSecret(gone, func(x *Secret) { x.Inactive = true })
	s.AddSecret(hidden, "Secret", "Unix", nil)
	s.AddSecret(-1, "Loose", "Unix", nil)

	names := func(query string, args ...any) []any { return c.get("/api/v2/secrets?"+query, args...).column("name") }
	total := func(query string, args ...any) string {
		return string(c.get("/api/v2/secrets/search-total?"+query, args...).want(200).body)
	}
	for query, want := range map[string][]any{
		"":                              {"Integrator"},
		"filter.includeRestricted=true": {"Integrator", "Checked out", "Commented", "Approved"},
		"filter.includeInactive=true":   {"Integrator", "Gone"},
		"filter.includeInactive=true&filter.includeActive=false": {"Gone"},
		fmt.Sprintf("filter.folderId=%d", root):                  {"Integrator"},
		fmt.Sprintf("filter.folderId=%d&filter.includeSubFolders=true&filter.includeRestricted=true&filter.includeInactive=true", root): {
			"Integrator", "Checked out", "Commented", "Approved", "Gone"},
		"filter.permissionRequired=View":                                            {},
		"filter.searchText=INTEGR":                                                  {"Integrator"},
		"filter.searchText=" + url.QueryEscape("acmeinc+key"):                       {"Integrator"},
		"filter.searchText=hunter2":                                                 {},
		"filter.searchText=integ&filter.isExactMatch=true":                          {},
		"filter.searchText=acmeinc&filter.searchFieldSlug=username":                 {"Integrator"},
		"filter.includeRestricted=true&sortBy[0].name=name&sortBy[0].direction=Asc": {"Approved", "Checked out", "Commented", "Integrator"},
	} {
		if got := names("%s", query); !cmp.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
		if got := total("%s", query); got != fmt.Sprint(len(want)) {
			t.Errorf("%s: total %s, want %d", query, got, len(want))
		}
	}
	c.get("/api/v2/secrets?filter.siteId=1").invalid("filter.siteid")
	c.get("/api/v2/secrets?filter.permissionRequired=AddSecret").invalid("permissionRequired")

	// List is not enough to read one.
	c.get("/api/v2/secrets/%d", plain).denied()
	s.Grant(root, s.opt.Username, "Owner", "View")
	r := c.get("/api/v1/secrets/%d/fields/Password", plain).want(200)
	if string(r.body) != `"hunter2"` {
		t.Errorf("field %s", r.body)
	}
	c.get("/api/v1/secrets/%d/fields/notes", plain).invalid("notes")
	item := c.get("/api/v2/secrets/%d", plain).want(200).field("items").([]any)[0].(map[string]any)
	if item["slug"] != "password" || item["itemValue"] != "hunter2" || item["isPassword"] != true {
		t.Errorf("item %v", item)
	}
	s.SetQuirks(func(q *Quirks) { q.HidePasswords = true })
	item = c.get("/api/v2/secrets/%d", plain).field("items").([]any)[0].(map[string]any)
	if item["itemValue"] != nil {
		t.Errorf("hidden item %v", item)
	}
	if got := c.get("/api/v1/secrets/0?secretPath=%s", url.QueryEscape(`\Clients\integrator`)).id(); got != plain {
		t.Errorf("by path: %d", got)
	}
	c.get("/api/v1/secrets/0?secretPath=%s", url.QueryEscape(`\Nowhere\integrator`)).denied()

	field := "/api/v1/secrets/%d/fields/password"
	c.get(field, out).invalid("checked out")
	c.get(field+"?autoCheckout=true", out).want(200)
	c.get(field, out).want(200)
	if rec := c.get("/api/v2/secrets?filter.includeRestricted=true&filter.searchText=Checked").records()[0]; rec["checkedOut"] != true || rec["folderPath"] != `\Clients\A` {
		t.Errorf("summary %v", rec)
	}
	c.get(field, commented).invalid("comment")
	c.get(field+"?autoComment=cwvault", commented).want(200)
	c.get(field, approved).invalid("approval")
	c.get(field, gone).denied()
	c.get(field+"?includeInactive=true", gone).want(200)
}

func TestSecretWithOwnPermissions(t *testing.T) {
	s, c, root := clients(t, Options{})
	s.Grant(root, s.opt.Username, "Owner", "View")
	x := s.AddSecret(root, "x", "t", map[string]string{"password": "p"})
	s.UpdateSecret(x, func(x *Secret) { x.OwnPermissions = true })
	s.Grant(root, s.opt.Username, "Owner", "None")
	if rec := c.get("/api/v2/secrets").records(); len(rec) != 1 || rec[0]["inheritsPermissions"] != false {
		t.Errorf("listed %v", rec)
	}
	if got := s.Secrets(); len(got) != 1 || !got[0].OwnPermissions || got[0].Fields["password"] != "p" {
		t.Errorf("secrets %+v", got)
	}
}

// The Delinea Platform before the server.
func TestPlatform(t *testing.T) {
	s := start(t, Options{Platform: true, Username: "client", Password: "secret"})
	root := s.AddFolder(-1, "Clients")
	s.Grant(root, "client", "Owner", "None")
	c := newClient(t, s)
	c.spec = nil
	front := func(method, path string, v url.Values) reply {
		r := c.request(method, "", v.Encode())
		r.URL, _ = url.Parse(s.PlatformURL() + path)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		a, err := c.do(r)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if r := front("GET", "/api/v1/healthcheck", nil); r.status != 404 {
		t.Errorf("the Platform answers as a Secret Server: %d", r.status)
	}
	if r := front("GET", "/health", nil).want(200); r.field("healthy") != true {
		t.Errorf("health %s", r.body)
	}
	c.get("/health").want(404)
	form := func(id, secret, grant, scope string) url.Values {
		return url.Values{"client_id": {id}, "client_secret": {secret}, "grant_type": {grant}, "scope": {scope}}
	}
	const token = "/identity/api/oauth2/token/xpmplatform"
	for _, wrong := range []url.Values{
		form("client", "wrong", "client_credentials", "xpmheadless"),
		form("client", "secret", "password", "xpmheadless"),
		form("client", "secret", "client_credentials", ""),
	} {
		front("POST", token, wrong).want(400).field("error")
	}
	front("GET", "/vaultbroker/api/vaults", nil).want(401)
	c.token = front("POST", token, form("client", "secret", "client_credentials", "xpmheadless")).want(200).field("access_token").(string)
	found := ""
	vaults := front("GET", "/vaultbroker/api/vaults", nil).want(200).field("vaults").([]any)
	for _, v := range vaults {
		if v := v.(map[string]any); v["isDefault"] == true && v["isActive"] == true {
			found = v["connection"].(map[string]any)["url"].(string)
		}
	}
	if found != s.URL() || len(vaults) != 3 {
		t.Errorf("vaults %v", vaults)
	}
	c.get("/api/v1/folders/%d", root).want(200)
	if got := c.get("/api/v1/users/current").field("platformIntegrationType"); got != "Native" {
		t.Errorf("platformIntegrationType %v", got)
	}
	signIns := 0
	for _, r := range s.Requests() {
		if r.Path == token && r.Status == 200 {
			signIns++
			if want := "client_id=client&client_secret=redacted&grant_type=client_credentials&scope=xpmheadless"; r.Body != want {
				t.Errorf("recorded %q", r.Body)
			}
		}
	}
	if signIns != 1 {
		t.Errorf("%d sign-ins recorded", signIns)
	}
	if start(t, Options{}).PlatformURL() != "" {
		t.Error("a Platform nobody asked for")
	}
}

// certificate is a self-signed one for 127.0.0.1.
func certificate(t testing.TB) (cert tls.Certificate, roots *x509.CertPool, der []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if der, err = x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key); err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots, der
}

func TestTLS(t *testing.T) {
	cert, roots, _ := certificate(t)
	s := start(t, Options{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	c := newClient(t, s)
	c.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	c.get("/api/v1/healthcheck").want(200)
	if s.URL()[:8] != "https://" {
		t.Errorf("URL %s", s.URL())
	}
}

const many = 100_000

// manyFolders is a world as a large customer has it.
func manyFolders(b *testing.B) (*client, int) {
	s, c, root := clients(b, Options{})
	c.spec = nil
	for g := range 20 {
		group := s.AddFolder(root, fmt.Sprint("Group ", g))
		for i := range many / 20 {
			id := s.AddFolder(group, fmt.Sprintf("Company %d of %d, Inc.", i, g))
			s.SetMetadata(id, "ConnectWise", "Folder key", fmt.Sprintf("acmeinc company/%d", id))
		}
	}
	b.ResetTimer()
	return c, root
}

// BenchmarkFolderPage reads pages of 1,000 of 100,000 folders.
func BenchmarkFolderPage(b *testing.B) {
	c, root := manyFolders(b)
	for i := 0; b.Loop(); i++ {
		c.get("/api/v1/folders?filter.parentFolderId=%d&take=1000&skip=%d", root, i%100*1000).want(200)
	}
}

// BenchmarkFirstFolderPage is the page for which the search is done.
func BenchmarkFirstFolderPage(b *testing.B) {
	c, root := manyFolders(b)
	for b.Loop() {
		c.s.SetQuirks(func(*Quirks) {}) // as any change, makes the server search again
		c.get("/api/v1/folders?filter.parentFolderId=%d&take=1000", root).want(200)
	}
}

// BenchmarkMetadataPage reads pages of 1,000 of 100,000 marks.
func BenchmarkMetadataPage(b *testing.B) {
	c, _ := manyFolders(b)
	for i := 0; b.Loop(); i++ {
		c.get("/api/v1/metadata?filter.metaDataFieldId=1&take=1000&skip=%d", i%100*1000).want(200)
	}
}
