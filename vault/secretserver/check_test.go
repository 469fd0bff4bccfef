package secretserver

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cwvault/sync"
	"cwvault/vault"
)

const configPath = "GET /v1/configuration/folder-synchronization"

func syncJSON(method string, all bool, folder string) string {
	return fmt.Sprintf(`{"syncMethodType":%q,"intervalDays":0,"intervalHours":1,"intervalMinutes":30,"syncAllFolders":%t,"syncFolderId":%s,
		"siteUrl":"na.myconnectwise.net","companyId":"acmeinc","integratorCredentials":45,"integratorCredentialsName":"x","folderStructure":"$TYPE\\$STATUS"}`, method, all, folder)
}

func TestBuiltinSync(t *testing.T) {
	f := newFake(t, routes{configPath: answer(200, syncJSON("ApiIntegration", false, "12"))})
	got, err := f.open().builtinSync(t.Context())
	want := builtinSync{On: true, FolderID: "12", Structure: `$TYPE\$STATUS`, SiteURL: "na.myconnectwise.net",
		CompanyID: "acmeinc"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestReadyRefusesTwoWriters(t *testing.T) {
	tests := map[string]struct {
		root    string
		setting http.HandlerFunc
		folder  http.HandlerFunc // 12, which it works on
		want    error
		calls   int
	}{
		"off":                             {`\Clients`, answer(200, syncJSON("None", false, "12")), nil, nil, 1},
		"never set":                       {`\Clients`, answer(200, `{"syncMethodType":"None","syncAllFolders":true,"syncFolderId":null}`), nil, nil, 1},
		"on for the root":                 {`\Clients`, answer(200, syncJSON("ApiIntegration", false, "12")), clients, ErrBuiltinSync, 2},
		"the old method":                  {`\clients`, answer(200, syncJSON("LegacyDatabaseIntegration", false, "12")), clients, ErrBuiltinSync, 2},
		"on for all":                      {`\Clients`, answer(200, syncJSON("ApiIntegration", true, "null")), nil, ErrBuiltinSync, 1},
		"on for the top":                  {`\Clients`, answer(200, syncJSON("ApiIntegration", false, "-1")), nil, ErrBuiltinSync, 1},
		"on for no folder":                {`\Clients`, answer(200, syncJSON("ApiIntegration", false, "null")), nil, nil, 1},
		"on above":                        {`\Clients\MSP`, answer(200, syncJSON("ApiIntegration", false, "12")), clients, ErrBuiltinSync, 2},
		"on below":                        {`\Clients`, answer(200, syncJSON("ApiIntegration", false, "12")), answer(200, folderJSON(12, 3, `\Clients\Customer`, true)), ErrBuiltinSync, 2},
		"on elsewhere":                    {`\Clients`, answer(200, syncJSON("ApiIntegration", false, "12")), answer(200, folderJSON(12, -1, `\Clients2`, true)), nil, 2},
		"on where it cannot be seen":      {`\Clients`, answer(200, syncJSON("ApiIntegration", false, "12")), answer(400, denied), nil, 2},
		"on, unseen, perhaps above":       {`\MSP\Clients`, answer(200, syncJSON("ApiIntegration", false, "12")), answer(400, denied), ErrBuiltinSync, 2},
		"the whole vault":                 {`\`, answer(200, syncJSON("ApiIntegration", false, "12")), nil, ErrBuiltinSync, 1},
		"the setting may not be seen":     {`\Clients`, answer(400, denied), nil, nil, 1},
		"no such setting":                 {`\Clients`, answer(404, ""), nil, nil, 1},
		"the setting cannot be read now":  {`\Clients`, answer(500, ""), nil, vault.ErrUnavailable, maxAttempts},
		"its folder cannot be read now":   {`\Clients`, answer(200, syncJSON("ApiIntegration", false, "12")), answer(500, ""), vault.ErrUnavailable, 1 + maxAttempts},
		"its folder has a name like ours": {`\Clients`, answer(200, syncJSON("ApiIntegration", false, "12")), answer(200, folderJSON(12, -1, `\Client`, true)), nil, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all := routes{configPath: test.setting}
			if test.folder != nil {
				all["GET /v1/folders/12"] = test.folder
			}
			f := newFake(t, all)
			err := f.open(func(c *Config) { c.Root = test.root }).Ready(t.Context())
			if !errors.Is(err, test.want) || errors.Is(err, ErrBuiltinSync) != (test.want == ErrBuiltinSync) {
				t.Errorf("Ready = %v, want %v", err, test.want)
			}
			if n := len(f.take()); n != test.calls {
				t.Errorf("%d calls, want %d", n, test.calls)
			}
		})
	}
	t.Run("sign-in", func(t *testing.T) {
		f := newFake(t, routes{"POST /oauth2/token": answer(400, `{"error":"Login failed."}`)})
		if err := f.open().Ready(t.Context()); !errors.Is(err, vault.ErrUnauthorized) {
			t.Errorf("Ready = %v", err)
		}
	})
}

func TestPreflight(t *testing.T) {
	role := func(names ...string) http.HandlerFunc {
		return answer(200, `{"userName":"svc","permissions":[{"name":"`+strings.Join(names, `"},{"name":"`)+`"}]}`)
	}
	section := func(edit, administer bool) http.HandlerFunc {
		return answer(200, envelope(1, false, fmt.Sprintf(`{"metadataFieldSectionId":3,"metadataFieldSectionName":"ConnectWise","requiresEntityEdit":%t,"requiresAdministerMetadata":%t}`, edit, administer)))
	}
	good := routes{
		"GET /v1/version":                 answer(200, `{"version":"11.7.000061"}`),
		"GET /v1/users/current":           role("View Folders", "Administer Folders", "Administer Metadata"),
		"GET /v1/folders/0":               clients,
		"GET /v1/folder-details/12":       answer(200, `{"actions":["CreateSubfolder","EditFolder","AddSecret","DeleteFolder","MoveFolder"]}`),
		"GET /v1/metadata/fields":         answer(200, envelope(1, false, fieldJSON)),
		"GET /v1/metadata/field-sections": section(true, false),
		"GET /v1/metadata":                pageOf(markJSON(1, 21, "acmeinc company/1")),
		configPath:                        answer(200, syncJSON("None", false, "null")),
		"GET /v1/folders":                 pageOf(),
	}
	type finding struct {
		level         sync.Level
		kind          error
		subject, text string // text is part of the text
	}
	tests := map[string]struct {
		change routes
		want   finding
	}{
		"all is well":              {nil, finding{}},
		"version as a model":       {routes{"GET /v1/version": answer(200, `{"model":{"version":"11.7.000061"}}`)}, finding{}},
		"old":                      {routes{"GET /v1/version": answer(200, `{"version":"10.9.000063"}`)}, finding{sync.LevelWarn, nil, "server", "10.9.000063"}},
		"no version":               {routes{"GET /v1/version": answer(403, `{"message":"no"}`)}, finding{sync.LevelWarn, nil, "server", "does not state"}},
		"read-only":                {routes{"GET /v1/healthcheck": answer(200, `{"healthy":true,"readOnlyMode":true}`)}, finding{sync.LevelFail, vault.ErrNotAllowed, "server", "read-only"}},
		"role lacks a right":       {routes{"GET /v1/users/current": role("View Folders")}, finding{sync.LevelFail, vault.ErrNotAllowed, "account", "lacks Administer Folders"}},
		"role has too many":        {routes{"GET /v1/users/current": role("Administer Folders", "Administer Users", "Delete Secret", "Create Root Folders")}, finding{sync.LevelWarn, nil, "account", "Administer Users, Delete Secret, Create Root Folders"}},
		"role not to be seen":      {routes{"GET /v1/users/current": answer(403, `{"message":"no"}`)}, finding{sync.LevelWarn, nil, "account", "does not state"}},
		"no root, no right for it": {routes{"GET /v1/folders/0": answer(400, denied)}, finding{sync.LevelFail, vault.ErrNotAllowed, "account", "lacks Create Root Folders"}},
		"not owner of the root":    {routes{"GET /v1/folder-details/12": answer(200, `{"actions":["CreateSubfolder","EditFolder"]}`)}, finding{sync.LevelFail, vault.ErrNotAllowed, "root folder", "lacks MoveFolder"}},
		"rights not to be seen":    {routes{"GET /v1/folder-details/12": answer(400, denied)}, finding{sync.LevelWarn, nil, "root folder", "does not state"}},
		"no field yet":             {routes{"GET /v1/metadata/fields": answer(200, noFields)}, finding{sync.LevelOK, nil, "marks", "does not exist yet"}},
		"no metadata":              {routes{"GET /v1/metadata/fields": answer(404, "")}, finding{sync.LevelWarn, nil, "marks", "only the journal"}},
		"marks not to be searched": {routes{"GET /v1/metadata": answer(400, denied)}, finding{sync.LevelWarn, nil, "marks", "refuses a search"}},
		"marks open to viewers":    {routes{"GET /v1/metadata/field-sections": section(false, false)}, finding{sync.LevelWarn, nil, "marks", "anyone who can see"}},
		"marks for administrators": {routes{"GET /v1/metadata/field-sections": section(true, true)}, finding{sync.LevelWarn, nil, "marks", "requires Administer Metadata"}},
		"built-in on":              {routes{configPath: answer(200, syncJSON("ApiIntegration", true, "null"))}, finding{sync.LevelFail, ErrBuiltinSync, "built-in Folder Synchronization", "None"}},
		"built-in on elsewhere":    {routes{configPath: answer(200, syncJSON("ApiIntegration", false, "13")), "GET /v1/folders/13": answer(200, folderJSON(13, -1, `\Other`, true))}, finding{sync.LevelOK, nil, "built-in Folder Synchronization", "other folders"}},
		"built-in not to be seen":  {routes{configPath: answer(400, denied)}, finding{sync.LevelWarn, nil, "built-in Folder Synchronization", "make sure"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all := routes{}
			for _, more := range []routes{good, test.change} {
				for pattern, h := range more {
					all[pattern] = h
				}
			}
			f := newFake(t, all)
			report, err := f.open().preflight(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			met := false
			for _, got := range report.Findings {
				if got.Level() != sync.LevelOK && test.want == (finding{}) {
					t.Errorf("%+v", got)
				}
				met = met || got.Level() == test.want.level && errors.Is(got.Err, test.want.kind) && got.Subject == test.want.subject && strings.Contains(got.Text, test.want.text)
			}
			if test.want != (finding{}) && !met {
				t.Errorf("no finding like %+v in %+v", test.want, report.Findings)
			}
			if missing := test.change["GET /v1/folders/0"] != nil; strings.Contains(fmt.Sprint(report.Findings), "root folder") == missing {
				t.Errorf("the root is missing: %t, findings %+v", missing, report.Findings)
			}
			if len(report.Findings) < 4 || report.Server != f.URL {
				t.Errorf("report %+v", report)
			}
			for _, call := range f.take() {
				if !strings.HasPrefix(call, "GET ") {
					t.Errorf("it changes something: %s", call)
				}
			}
		})
	}
	t.Run("fails when nothing can be said", func(t *testing.T) {
		for pattern := range good {
			if strings.HasSuffix(pattern, "/folders") || strings.HasSuffix(pattern, "/0") {
				continue // covered by the other one; a 500 there means an old server
			}
			all := routes{}
			for p, h := range good {
				all[p] = h
			}
			all[pattern] = answer(503, "")
			if _, err := newFake(t, all).open().preflight(t.Context()); !errors.Is(err, vault.ErrUnavailable) {
				t.Errorf("%s: preflight = %v", pattern, err)
			}
		}
	})
}

// Check says it all in findings: nobody has to translate them.
func TestCheck(t *testing.T) {
	f := newFake(t, routes{
		"GET /v1/users/current": answer(200, `{"userName":"svc","permissions":[{"name":"Administer Folders"}]}`), "GET /v1/folders/0": clients,
		"GET /v1/folder-details/12": answer(200, `{"actions":["CreateSubfolder"]}`), "GET /v1/metadata/fields": answer(200, noFields),
		configPath: answer(200, strings.Replace(syncJSON("None", false, "12"), "acmeinc", "o'hara", 1)), "GET /v1/folders/12": clients,
	})
	want := []sync.Finding{
		{Subject: "sign-in", Text: "as svc"},
		{Subject: "clock", Text: "agrees with the server's"},
		{Subject: "server", Text: "Secret Server at " + f.URL + " does not state its version", Fix: seeDocs},
		{Subject: "account", Text: "the role of svc has the necessary rights"},
		{Subject: "root folder", Text: `on \Clients the account lacks EditFolder, MoveFolder; it needs to be Owner there`, Fix: seeDocs, Err: vault.ErrNotAllowed},
		{Subject: "marks", Text: "the metadata field ConnectWise/Folder key does not exist yet; the first folder creates it, which needs the right Administer Metadata"},
		{Subject: "built-in Folder Synchronization", Text: "off"},
		{Subject: "built-in settings", Text: `CWVAULT_FOLDER_STRUCTURE='$TYPE\$STATUS' CWVAULT_CONNECTWISE_URL='na.myconnectwise.net' CWVAULT_CONNECTWISE_COMPANY_ID='o'\''hara' CWVAULT_ROOT='\Clients'`},
	}
	if diff := cmp.Diff(want, f.open().Check(t.Context()), cmpopts.EquateErrors()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	f = newFake(t, routes{"POST /oauth2/token": answer(400, `{"error":"Login failed."}`)})
	got := f.open().Check(t.Context())
	if len(got) != 1 || !errors.Is(got[0].Err, vault.ErrUnauthorized) || !strings.Contains(got[0].Fix, "PASSWORD") || !strings.Contains(got[0].Text, "Login failed.") {
		t.Errorf("with a wrong password: %+v", got)
	}
}

func TestClock(t *testing.T) {
	f := newFake(t, routes{"POST /oauth2/token": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		reply(w, 200, `{"access_token":"t","expires_in":1200}`)
	}, "GET /v1/folders": pageOf(), "GET /v1/metadata/fields": answer(200, noFields)})
	report, err := f.open().preflight(t.Context())
	if err != nil || !strings.Contains(fmt.Sprint(report.Findings), "differs from the server's by 1h0m") {
		t.Errorf("%v, %v", report.Findings, err)
	}
}

func TestReadSecret(t *testing.T) {
	const secret = `{"id":45,"items":[{"slug":"username","itemValue":"integrator","isPassword":false},
		{"slug":"password","itemValue":"*** Not Valid For Display ***","isPassword":true},{"slug":"key-file","itemValue":"x","isFile":true},{"slug":"notes","itemValue":null}]}`
	f := newFake(t, routes{"GET /v2/secrets/45": answer(200, secret), "GET /v1/secrets/45/fields/password": answer(200, `"s3cret"`)})
	got, err := f.open().ReadSecret(t.Context(), 45)
	if diff := cmp.Diff(map[string]string{"username": "integrator", "password": "s3cret", "notes": ""}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	want := []string{"GET /api/v2/secrets/45?noAutoCheckout=true", "GET /api/v1/secrets/45/fields/password?noAutoCheckout=true"}
	if diff := cmp.Diff(want, f.take()); diff != "" {
		t.Error(diff)
	}
	for name, handler := range map[string]http.HandlerFunc{
		"restricted":     answer(400, `{"errorCode":"API_SecretRequiresApproval","message":"needs approval"}`),
		"another secret": answer(200, strings.Replace(secret, "45", "46", 1)),
		"html":           answer(200, "<html>"),
	} {
		if got, err := newFake(t, routes{"GET /v2/secrets/45": handler}).open().ReadSecret(t.Context(), 45); err == nil || len(got) > 0 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	f = newFake(t, routes{"GET /v2/secrets/45": answer(200, secret), "GET /v1/secrets/45/fields/password": answer(200, `s3cret`)})
	if got, err := f.open().ReadSecret(t.Context(), 45); err == nil || len(got) > 0 || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a value that is not JSON: %v, %v", got, err)
	}
}
