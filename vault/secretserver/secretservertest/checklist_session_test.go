package secretservertest

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
