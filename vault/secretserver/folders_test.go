package secretserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/vault"
)

// clients is the root as the look-up by path gives it.
var clients = answer(200, folderJSON(12, -1, `\Clients`, false))

const noFields = `{"total":0,"hasNext":false,"records":[]}`

func TestTree(t *testing.T) {
	f := newFake(t, routes{
		"GET /v1/folders/0": clients,
		"GET /v1/folders": pageOf(
			folderJSON(20, 12, `\Clients\Customer`, true),
			folderJSON(21, 20, `\Clients\Customer\Active`, true),
			folderJSON(22, 21, `\Clients\Customer\Active\Alovet`, false),
			folderJSON(30, 99, `\Clients\Hidden\Seen`, false)),
		"GET /v1/metadata/fields": answer(200, envelope(1, false, fieldJSON)),
		"GET /v1/metadata": pageOf(
			markJSON(1, 21, "acmeinc group/type:1/status:4"),
			markJSON(2, 22, "acmeinc company/250"),
			markJSON(3, 20, "written by somebody"),
			markJSON(4, 30, ""),
			markJSON(5, 4711, "acmeinc company/9")),
	})
	got, err := f.open().Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := sync.Tree{RootPath: `\Clients`, Root: sync.Folder{ID: "12", ParentID: "-1", Name: "Clients"}, Folders: []sync.Folder{
		{ID: "20", ParentID: "12", Name: "Customer", BadMark: true, Inherits: true},
		{ID: "21", ParentID: "20", Name: "Active", Mark: sync.Mark{Tenant: "acmeinc", Key: "group/type:1/status:4"}, Inherits: true},
		{ID: "22", ParentID: "21", Name: "Alovet", Mark: company(250)},
		{ID: "30", ParentID: "99", Name: "Seen"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	wantCalls := []string{
		"GET /api/v1/folders/0?folderPath=%5CClients",
		"GET /api/v1/folders?filter.parentFolderId=12&skip=0&take=500",
		"GET /api/v1/metadata/fields",
		"GET /api/v1/metadata?filter.metaDataFieldId=5&skip=0&take=500",
	}
	calls := f.take()
	for _, call := range wantCalls {
		if count(calls, call) != 1 {
			t.Errorf("no call %s", call)
		}
	}
	if len(calls) != len(wantCalls) {
		t.Errorf("calls: %q", calls)
	}
}

func TestRoot(t *testing.T) {
	top := pageOf(folderJSON(5, -1, `\Other`, false), folderJSON(13, -1, `\clients`, false), folderJSON(12, -1, `\Clients`, false))
	below := pageOf(folderJSON(40, 12, `\Clients\MSP`, true), folderJSON(41, 40, `\Clients\MSP\MSP`, true))
	search := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.FormValue("filter.onlyIncludeRootFolders") == "true":
			top(w, r)
		case r.FormValue("filter.parentFolderId") == "12" && r.FormValue("filter.limitToDirectDescendents") == "true":
			below(w, r)
		default:
			pageOf()(w, r)
		}
	}
	tests := map[string]struct {
		root   string
		byPath http.HandlerFunc
		id     string // of the root
		path   string
	}{
		"by path":                      {`\Clients`, clients, "12", `\Clients`},
		"by path, written otherwise":   {`\CLIENTS`, clients, "12", `\Clients`},
		"by walking: unknown id":       {`\Clients`, answer(400, denied), "12", `\Clients`},
		"by walking: no such call":     {`\Clients`, answer(404, ""), "12", `\Clients`},
		"by walking: 500":              {`\Clients`, answer(500, ""), "12", `\Clients`},
		"by walking: another folder":   {`\Clients`, answer(200, folderJSON(1, -1, `\Personal Folders`, false)), "12", `\Clients`},
		"by walking, the exact name":   {`\clients`, answer(400, denied), "13", `\clients`},
		"by walking, the oldest":       {`\CLIENTS`, answer(400, denied), "12", `\Clients`},
		"by walking, two levels":       {`\Clients\msp`, answer(400, denied), "40", `\Clients\MSP`},
		"none":                         {`\Customers`, answer(400, denied), "", `\Customers`},
		"none below one that is there": {`\Clients\Nobody`, answer(404, ""), "", `\Clients\Nobody`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, routes{"GET /v1/folders/0": test.byPath, "GET /v1/folders": search, "GET /v1/metadata/fields": answer(200, noFields)})
			v := f.open(func(c *Config) { c.Root = test.root })
			tree, err := v.Tree(t.Context())
			if err != nil || tree.Root.ID != test.id || tree.RootPath != test.path || len(tree.Folders) != 0 {
				t.Errorf("Tree = %+v, %v", tree, err)
			}
		})
	}
	t.Run("cannot be looked for", func(t *testing.T) {
		f := newFake(t, routes{"GET /v1/folders/0": answer(200, "<html>"), "GET /v1/folders": search, "GET /v1/metadata/fields": answer(200, noFields)})
		if _, err := f.open().Tree(t.Context()); !errors.Is(err, vault.ErrUnavailable) {
			t.Errorf("Tree = %v", err)
		}
	})
}

func TestWholeVaultLeavesPersonalFoldersOut(t *testing.T) {
	personal := strings.Replace(folderJSON(50, 5, `\Other\Theirs`, false), "{", `{"isPersonalFolder":true,`, 1)
	f := newFake(t, routes{
		"GET /v1/folders": pageOf(
			folderJSON(1, -1, `\Personal Folders`, false), folderJSON(2, 1, `\Personal Folders\jo`, false), folderJSON(3, 2, `\Personal Folders\jo\x`, true),
			folderJSON(5, -1, `\Other`, false), personal, folderJSON(51, 50, `\Other\Theirs\y`, true),
			folderJSON(52, 5, `\Other\Personal Folders`, true)),
		"GET /v1/metadata/fields": answer(200, noFields),
	})
	v := f.open(func(c *Config) { c.Root = `\` })
	tree, err := v.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []sync.Folder{{ID: "5", ParentID: "-1", Name: "Other"}, {ID: "52", ParentID: "5", Name: "Personal Folders", Inherits: true}}
	if diff := cmp.Diff(want, tree.Folders); diff != "" || tree.Root.ID != "-1" || tree.RootPath != `\` {
		t.Errorf("root %+v, folders (-want +got):\n%s", tree.Root, diff)
	}
	if calls := f.take(); count(calls, "GET /api/v1/folders?skip=0&take=500") != 1 {
		t.Errorf("calls %q", calls)
	}
}

func TestTreeNeverShorter(t *testing.T) {
	good := pageOf(folderJSON(20, 12, `\Clients\Customer`, true))
	marks := routes{"GET /v1/metadata/fields": answer(200, envelope(1, false, fieldJSON)), "GET /v1/metadata": pageOf()}
	for name, change := range map[string]routes{
		"root":                    {"GET /v1/folders/0": answer(503, "")},
		"folders":                 {"GET /v1/folders": answer(500, "")},
		"a folder with no parent": {"GET /v1/folders": pageOf(`{"id":20,"folderName":"x"}`)},
		"a folder with no id":     {"GET /v1/folders": pageOf(`{"folderName":"x","parentFolderId":12}`)},
		"field":                   {"GET /v1/metadata/fields": cut},
		"marks":                   {"GET /v1/metadata": answer(200, "<html>")},
		"incomplete marks":        {"GET /v1/metadata": answer(200, envelope(2, false, markJSON(1, 20, "acmeinc company/1")))},
	} {
		t.Run(name, func(t *testing.T) {
			all := routes{"GET /v1/folders/0": clients, "GET /v1/folders": good}
			for _, more := range []routes{marks, change} {
				for pattern, h := range more {
					all[pattern] = h
				}
			}
			if tree, err := newFake(t, all).open().Tree(t.Context()); !errors.Is(err, vault.ErrUnavailable) || tree.Root.ID != "" || len(tree.Folders) != 0 {
				t.Errorf("Tree = %+v, %v", tree, err)
			}
		})
	}
}

// echo answers a PUT or POST with the folder that it describes.
func echo(id int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var m map[string]any
		body, _ := io.ReadAll(r.Body)
		if json.Unmarshal(body, &m) != nil {
			reply(w, 400, `{"message":"not json"}`)
			return
		}
		if id > 0 {
			m["id"] = id
		}
		m["folderPath"] = `\somewhere\` + m["folderName"].(string)
		out, _ := json.Marshal(m)
		reply(w, 200, string(out))
	}
}

func TestUpdateIsOnePutThatSendsEverythingBack(t *testing.T) {
	list := func(fields string) string {
		return `{"id":21,"folderName":"Old","folderPath":"\\Clients\\Old","parentFolderId":12` + fields + `}`
	}
	const rest = `,"folderTypeId":1,"secretPolicyId":-1,"inheritSecretPolicy":true,"inheritPermissions":true`
	tests := map[string]struct {
		listed string
		want   string // sent body
		reads  int
		read   string // what a reading anew gives
	}{
		"inherits": {listed: list(rest),
			want: `{"id":21,"folderName":"New","parentFolderId":30,"folderTypeId":1,"inheritPermissions":true,"inheritSecretPolicy":true,"secretPolicyId":-1}`},
		"has its own permissions and policy": {listed: list(`,"folderTypeId":3,"secretPolicyId":7,"inheritSecretPolicy":false,"inheritPermissions":false`),
			want: `{"id":21,"folderName":"New","parentFolderId":30,"folderTypeId":3,"inheritPermissions":false,"inheritSecretPolicy":false,"secretPolicyId":7}`},
		"policy null": {listed: list(`,"folderTypeId":2,"secretPolicyId":null,"inheritSecretPolicy":true,"inheritPermissions":false`),
			want: `{"id":21,"folderName":"New","parentFolderId":30,"folderTypeId":2,"inheritPermissions":false,"inheritSecretPolicy":true,"secretPolicyId":null}`},
		"inheritance left out of the list": {listed: list(`,"folderTypeId":1,"secretPolicyId":-1,"inheritSecretPolicy":true`), reads: 1,
			read: list(`,"folderTypeId":1,"secretPolicyId":-1,"inheritSecretPolicy":true,"inheritPermissions":false`),
			want: `{"id":21,"folderName":"New","parentFolderId":30,"folderTypeId":1,"inheritPermissions":false,"inheritSecretPolicy":true,"secretPolicyId":-1}`},
		"policy left out everywhere": {listed: list(`,"folderTypeId":1,"inheritSecretPolicy":true,"inheritPermissions":true`), reads: 1,
			read: list(`,"folderTypeId":1,"inheritSecretPolicy":true,"inheritPermissions":true`),
			want: `{"id":21,"folderName":"New","parentFolderId":30,"folderTypeId":1,"inheritPermissions":true,"inheritSecretPolicy":true}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, routes{
				"GET /v1/folders/0": clients, "GET /v1/metadata/fields": answer(200, noFields),
				"GET /v1/folders":    pageOf(folderJSON(30, 12, `\Clients\Target`, true), test.listed),
				"GET /v1/folders/21": answer(200, test.read),
				"PUT /v1/folders/21": echo(0),
			})
			v := f.open()
			if _, err := v.Tree(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.take()
			got, err := v.Update(t.Context(), "21", "30", "New")
			if err != nil || got.ID != "21" || got.ParentID != "30" || got.Name != "New" || got.Inherits != strings.Contains(test.want, `"inheritPermissions":true`) {
				t.Errorf("Update = %+v, %v", got, err)
			}
			calls := f.take()
			if len(calls) != test.reads+1 || calls[test.reads] != "PUT /api/v1/folders/21 "+test.want {
				t.Errorf("calls %q, want %d readings and PUT %s", calls, test.reads, test.want)
			}
			// The answer of the PUT is what the next one sends back.
			if _, err := v.Update(t.Context(), "21", "12", "Again"); err != nil {
				t.Fatal(err)
			}
			if calls := f.take(); count(calls, "PUT") != 1 || len(calls) != test.reads+1 && len(calls) != 1 {
				t.Errorf("the second time: %q", calls)
			}
		})
	}
	t.Run("inheritance nowhere to be read", func(t *testing.T) {
		f := newFake(t, routes{"GET /v1/folders/21": answer(200, list(`,"folderTypeId":1`)), "PUT /v1/folders/21": echo(0)})
		if _, err := f.open().Update(t.Context(), "21", "30", "New"); err == nil || count(f.take(), "PUT") != 0 {
			t.Errorf("Update = %v, and a PUT that may open the folder to others", err)
		}
	})
}

func TestUpdateErrors(t *testing.T) {
	const invalid = `{"message":"The request is invalid."}`
	there := answer(200, folderJSON(21, 12, `\Clients\Old`, true))
	put := func(old, new string) http.HandlerFunc {
		return answer(200, strings.Replace(folderJSON(21, 30, `\Clients\Target\New`, true), old, new, 1))
	}
	tests := map[string]struct {
		put      http.HandlerFunc
		folder   http.HandlerFunc // GET of the folder
		parent   http.HandlerFunc // GET of the new parent
		siblings http.HandlerFunc // there
		want     error            // nil: an error of no kind
		done     bool             // no error
		puts     int
	}{
		"name taken, by looking":   {put: answer(400, invalid), siblings: pageOf(folderJSON(33, 30, `\Clients\Target\NEW`, true)), want: vault.ErrNameTaken, puts: 1},
		"name taken, in words":     {put: answer(400, `{"message":"A folder with the same name already exists."}`), want: vault.ErrNameTaken, puts: 1},
		"name taken by itself":     {put: answer(400, invalid), siblings: pageOf(folderJSON(21, 30, `\Clients\Target\new`, true)), want: vault.ErrInvalid, puts: 1},
		"invalid":                  {put: answer(400, invalid), want: vault.ErrInvalid, puts: 1},
		"denied":                   {put: answer(400, denied), want: vault.ErrNotAllowed, puts: 1},
		"403":                      {put: answer(403, `{"message":"no"}`), want: vault.ErrNotAllowed, puts: 1},
		"folder gone":              {put: answer(400, denied), folder: answer(400, denied), want: vault.ErrNotFound, puts: 1},
		"folder gone, 404":         {put: answer(404, ""), folder: answer(404, ""), want: vault.ErrNotFound, puts: 1},
		"parent gone":              {put: answer(400, invalid), parent: answer(400, denied), want: vault.ErrNotFound, puts: 1},
		"429 for ever":             {put: answer(429, ""), siblings: pageOf(folderJSON(33, 30, `\Clients\Target\NEW`, true)), want: vault.ErrUnavailable, puts: maxAttempts},
		"answer lost, done":        {put: cut, folder: answer(200, folderJSON(21, 30, `\Clients\Target\New`, true)), done: true, puts: 1},
		"500, not done, then done": {put: inTurn(answer(500, ""), cut, put("", "")), folder: there, done: true, puts: 3},
		"500 for ever":             {put: answer(500, ""), folder: there, want: vault.ErrUnanswered, puts: maxAttempts},
		"answer lost, moved but inherits otherwise": {put: inTurn(cut, put("", "")), folder: answer(200, folderJSON(21, 30, `\Clients\Target\New`, false)), done: true, puts: 2},
		"parent not changed":                        {put: put(`"parentFolderId":30`, `"parentFolderId":12`), puts: 1},
		"name not changed":                          {put: put(`"New"`, `"Old"`), puts: 1},
		"inheritance turned off":                    {put: put(`"inheritPermissions":true`, `"inheritPermissions":false`), puts: 1},
		"another folder":                            {put: put(`"id":21`, `"id":22`), puts: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all := routes{
				"GET /v1/folders/0": clients, "GET /v1/metadata/fields": answer(200, noFields), "PUT /v1/folders/21": test.put,
				"GET /v1/folders/21": there, "GET /v1/folders/30": answer(200, folderJSON(30, 12, `\Clients\Target`, true)),
				"GET /v1/folders": inTurn(pageOf(folderJSON(21, 12, `\Clients\Old`, true), folderJSON(30, 12, `\Clients\Target`, true)), pageOf()),
			}
			if test.folder != nil {
				all["GET /v1/folders/21"] = test.folder
			}
			if test.parent != nil {
				all["GET /v1/folders/30"] = test.parent
			}
			f := newFake(t, all)
			v := f.open()
			if _, err := v.Tree(t.Context()); err != nil {
				t.Fatal(err)
			}
			if test.siblings != nil {
				f.Config.Handler = overriding(f.Config.Handler, "/api/v1/folders", test.siblings)
			}
			_, err := v.Update(t.Context(), "21", "30", "New")
			if (err == nil) != test.done || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("Update = %v, want %v", err, test.want)
			}
			if test.want == nil && !test.done && anyKind(err) {
				t.Errorf("Update = %v, want an error that promises nothing", err)
			}
			if got := count(f.take(), "PUT"); got != test.puts {
				t.Errorf("%d PUTs, want %d", got, test.puts)
			}
		})
	}
}

func overriding(h http.Handler, path string, with http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path && r.Method == "GET" {
			with(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func anyKind(err error) bool {
	for _, kind := range []error{vault.ErrNotFound, vault.ErrNameTaken, vault.ErrNotAllowed, vault.ErrReadOnly, vault.ErrUnavailable, vault.ErrInvalid, vault.ErrUnauthorized, vault.ErrUnanswered} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func TestNotBelowItself(t *testing.T) {
	f := newFake(t, routes{"GET /v1/folders/0": clients, "GET /v1/metadata/fields": answer(200, noFields),
		"GET /v1/folders": pageOf(folderJSON(20, 12, `\Clients\A`, true), folderJSON(21, 20, `\Clients\A\B`, true), folderJSON(22, 21, `\Clients\A\B\C`, true))})
	v := f.open()
	if _, err := v.Tree(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.take()
	for _, parent := range []string{"20", "21", "22"} {
		if _, err := v.Update(t.Context(), "20", parent, "A"); !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("into %s: %v", parent, err)
		}
	}
	if _, err := v.Update(t.Context(), "12", "99", "Clients"); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("the root into another folder: %v", err)
	}
	if calls := f.take(); len(calls) != 0 {
		t.Errorf("calls %q", calls)
	}
}

func TestIdsThatNameNoFolder(t *testing.T) {
	f := newFake(t, nil)
	v := f.open()
	for _, id := range []string{"", "0", "-1", "-7", "7.0", "+7", "07", " 7", "7/../8", "99999999999999999999"} {
		_, update := v.Update(t.Context(), id, "12", "x")
		_, move := v.Update(t.Context(), "12", id, "x")
		_, create := v.Create(t.Context(), id, "x", company(1))
		_, find := v.Find(t.Context(), id, "x")
		for what, err := range map[string]error{"update": update, "move": move, "create": create, "find": find, "mark": v.Mark(t.Context(), id, company(1))} {
			if !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("%s with id %q: %v", what, id, err)
			}
		}
	}
	if calls := f.take(); len(calls) != 0 {
		t.Errorf("calls %q", calls)
	}
}

func TestCreateIsTwoPosts(t *testing.T) {
	f := newFake(t, routes{"POST /v1/folders": echo(77), "POST /v1/metadata/Folder/77": answer(200, markJSON(1, 77, "acmeinc company/250"))})
	got, err := f.open().Create(t.Context(), "21", "Alovet, Inc.", company(250))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sync.Folder{ID: "77", ParentID: "21", Name: "Alovet, Inc.", Mark: company(250), Inherits: true}, got); diff != "" {
		t.Error(diff)
	}
	calls := f.take()
	if len(calls) != 2 || calls[0] != `POST /api/v1/folders {"folderName":"Alovet, Inc.","parentFolderId":21,"folderTypeId":1,"inheritPermissions":true,"inheritSecretPolicy":true,"secretPolicyId":-1}` ||
		count(calls, "POST /api/v1/metadata/Folder/77 ") != 1 {
		t.Errorf("calls %q", calls)
	}
}

func TestCreateErrors(t *testing.T) {
	const invalid = `{"message":"The request is invalid."}`
	mine := folderJSON(77, 30, `\Clients\New`, true)
	tests := map[string]struct {
		post     http.HandlerFunc
		parent   http.HandlerFunc
		siblings http.HandlerFunc
		mark     http.HandlerFunc
		want     error
		folder   bool // comes with the error
		posts    int
	}{
		"name taken":        {post: answer(400, invalid), siblings: pageOf(folderJSON(33, 30, `\Clients\new`, true)), want: vault.ErrNameTaken, posts: 1},
		"invalid":           {post: answer(400, invalid), want: vault.ErrInvalid, posts: 1},
		"denied":            {post: answer(400, denied), want: vault.ErrNotAllowed, posts: 1},
		"parent gone":       {post: answer(400, denied), parent: answer(400, denied), want: vault.ErrNotFound, posts: 1},
		"lost, made":        {post: cut, siblings: pageOf(mine), want: vault.ErrUnanswered, posts: 1},
		"lost, cannot look": {post: cut, siblings: answer(400, denied), want: vault.ErrUnanswered, posts: 1},
		"lost, not made":    {post: inTurn(cut, answer(500, ""), echo(77)), posts: 3},
		"lost, made late":   {post: inTurn(cut, answer(400, `{"message":"same name"}`)), want: vault.ErrUnanswered, posts: 2},
		"500 for ever":      {post: answer(500, ""), want: vault.ErrUnanswered, posts: maxAttempts},
		"html":              {post: answer(200, "<html>"), siblings: pageOf(mine), want: vault.ErrUnanswered, posts: 1},
		"no id":             {post: answer(200, "{}"), siblings: pageOf(mine), want: vault.ErrUnanswered, posts: 1},
		"429":               {post: inTurn(answer(429, ""), echo(77)), posts: 2},
		"mark refused":      {post: echo(77), mark: answer(400, denied), want: vault.ErrNotAllowed, folder: true, posts: 1},
		"mark unanswered":   {post: echo(77), mark: answer(500, ""), want: vault.ErrUnavailable, folder: true, posts: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all := routes{"POST /v1/folders": test.post, "GET /v1/folders": pageOf(), "GET /v1/metadata/fields": answer(200, noFields),
				"GET /v1/folders/30": answer(200, folderJSON(30, 12, `\Clients`, true)), "GET /v1/folders/77": answer(200, mine),
				"POST /v1/metadata/Folder/77": answer(200, markJSON(1, 77, "acmeinc company/250"))}
			if test.parent != nil {
				all["GET /v1/folders/30"] = test.parent
			}
			if test.siblings != nil {
				all["GET /v1/folders"] = test.siblings
			}
			if test.mark != nil {
				all["POST /v1/metadata/Folder/77"] = test.mark
			}
			f := newFake(t, all)
			got, err := f.open().Create(t.Context(), "30", "New", company(250))
			if !errors.Is(err, test.want) {
				t.Errorf("Create = %v, want %v", err, test.want)
			}
			if test.want == nil && (err != nil || got.Mark != company(250)) || test.want != nil && (got.ID != "") != test.folder || test.folder && (got.Mark != sync.Mark{}) {
				t.Errorf("Create = %+v, %v", got, err)
			}
			if test.folder && errors.Is(err, vault.ErrUnanswered) {
				t.Errorf("%v sounds as if the folder might not exist", err)
			}
			if n := count(f.take(), "POST /api/v1/folders "); n != test.posts {
				t.Errorf("%d POSTs, want %d", n, test.posts)
			}
		})
	}
}

func TestFind(t *testing.T) {
	children := pageOf(folderJSON(31, 30, `\Clients\ACME`, true), folderJSON(32, 30, `\Clients\Acme`, false), folderJSON(33, 30, `\Clients\Zürich`, true),
		folderJSON(34, 31, `\Clients\ACME\Deeper`, true))
	f := newFake(t, routes{"GET /v1/folders": children,
		"GET /v1/metadata": func(w http.ResponseWriter, r *http.Request) {
			item := r.FormValue("filter.itemId")
			if r.FormValue("filter.metadataType") != "Folder" || item != "32" {
				pageOf()(w, r)
				return
			}
			pageOf(markJSON(1, 32, "acmeinc company/9"), `{"metadataItemDataId":2,"itemId":32,"metadataFieldId":6,"metadataFieldName":"Other","valueString":"x"}`)(w, r)
		}})
	v := f.open()
	for name, want := range map[string]sync.Folder{
		"Acme":         {ID: "32", ParentID: "30", Name: "Acme", Mark: company(9)},
		"acme":         {ID: "31", ParentID: "30", Name: "ACME", Inherits: true},
		"ZU\u0308RICH": {ID: "33", ParentID: "30", Name: "Zürich", Inherits: true},
	} {
		got, err := v.Find(t.Context(), "30", name)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Find %s: %v\n%s", name, err, diff)
		}
	}
	for _, name := range []string{"Acm", "Deeper", "Nobody"} {
		if got, err := v.Find(t.Context(), "30", name); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("Find %s = %+v, %v", name, got, err)
		}
	}
	calls := f.take()
	if n := count(calls, "GET /api/v1/folders?filter.limitToDirectDescendents=true&filter.parentFolderId=30&filter.searchText="); n != 6 {
		t.Errorf("%d searches for the name, want 6: %q", n, calls)
	}
	if n := count(calls, "GET /api/v1/folders?filter.limitToDirectDescendents=true&filter.parentFolderId=30&skip=0&take=500"); n != 3 {
		t.Errorf("%d looks at all children, want 3 for the names not found: %q", n, calls)
	}
}

func TestFindWhatTheServerTakesForAnotherName(t *testing.T) {
	f := newFake(t, routes{"GET /v1/metadata": pageOf(), "GET /v1/folders": func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.FormValue("filter.searchText"), "["):
			reply(w, 400, `{"message":"The request is invalid."}`)
		case r.FormValue("filter.searchText") != "":
			pageOf()(w, r)
		default:
			pageOf(folderJSON(31, 30, `\Clients\Ａcme`, true), folderJSON(32, 30, `\Clients\[x]`, true))(w, r)
		}
	}})
	v := f.open()
	for name, id := range map[string]string{"Acme": "31", "[X]": "32"} {
		if got, err := v.Find(t.Context(), "30", name); err != nil || got.ID != id {
			t.Errorf("Find(%s) = %+v, %v", name, got, err)
		}
	}
}

// TestFindWhileTheListGrows: a run's other workers make folders meanwhile.
func TestFindWhileTheListGrows(t *testing.T) {
	grown := 0
	f := newFake(t, routes{"GET /v1/metadata": pageOf(), "GET /v1/folders": func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("filter.searchText") != "" {
			pageOf()(w, r)
			return
		}
		grown++
		skip, _ := strconv.Atoi(r.FormValue("skip"))
		var records []string
		for id := 100 + skip; id < 103+skip; id++ {
			records = append(records, folderJSON(id, 30, fmt.Sprintf(`\Clients\%d`, id), true))
		}
		reply(w, 200, envelope(10+grown, skip < 9, records...))
	}})
	v := f.open()
	if got, err := v.Find(t.Context(), "30", "109"); err != nil || got.ID != "109" {
		t.Errorf("Find = %+v, %v", got, err)
	}
	if got, err := v.Find(t.Context(), "30", "Nobody"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("Find = %+v, %v", got, err)
	}
	endless := newFake(t, routes{"GET /v1/folders": answer(200, envelope(10, true))})
	if _, err := endless.open().Find(t.Context(), "30", "109"); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("Find = %v", err)
	}
}

func TestSearchTextFitsIntoAURL(t *testing.T) {
	for _, name := range []string{"Acme", strings.Repeat("x", 255), strings.Repeat("株", 255), strings.Repeat("🦊", 127)} {
		got := searchText(name)
		if n := len(url.QueryEscape(got)); got == "" || !strings.HasPrefix(name, got) || n > 1000 || n < 900 && got != name {
			t.Errorf("searchText(%s) = %s, %d characters", name, got, n)
		}
	}
}

func TestCreateRoot(t *testing.T) {
	made := map[string]int{} // by name
	handler := func(lose map[string]bool) routes {
		clear(made)
		return routes{
			"GET /v1/folders": func(w http.ResponseWriter, r *http.Request) {
				parent := "-1"
				if r.FormValue("filter.onlyIncludeRootFolders") != "true" {
					parent = r.FormValue("filter.parentFolderId")
				}
				switch {
				case parent == "-1":
					pageOf(folderJSON(3, -1, `\msp`, false))(w, r)
				case parent == "3" && made["Clients"] > 0:
					pageOf(folderJSON(40, 3, `\msp\Clients`, true))(w, r)
				case parent == "40" && made["Ours"] > 0:
					pageOf(folderJSON(41, 40, `\msp\Clients\Ours`, true))(w, r)
				default:
					reply(w, 404, `{"message":"Not found"}`)
				}
			},
			"POST /v1/folders": func(w http.ResponseWriter, r *http.Request) {
				var args folderArgs
				body, _ := io.ReadAll(r.Body)
				_ = json.Unmarshal(body, &args)
				made[args.Name]++
				if lose[args.Name] {
					cut(w, r)
				}
				reply(w, 200, folderJSON(map[string]int{"Clients": 40, "Ours": 41}[args.Name], args.ParentID, `\`+args.Name, args.InheritPermissions))
			},
		}
	}
	for name, lose := range map[string]map[string]bool{"no faults": nil, "answers lost": {"Clients": true, "Ours": true}} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, handler(lose))
			v := f.open(func(c *Config) { c.Root = `\MSP\Clients\Ours` })
			for range 2 {
				got, err := v.CreateRoot(t.Context())
				if diff := cmp.Diff(sync.Folder{ID: "41", ParentID: "40", Name: "Ours", Inherits: true}, got); diff != "" || err != nil {
					t.Fatalf("CreateRoot: %v\n%s", err, diff)
				}
			}
			if diff := cmp.Diff(map[string]int{"Clients": 1, "Ours": 1}, made); diff != "" {
				t.Errorf("made:\n%s", diff)
			}
		})
	}
	t.Run("at the top without inheritance", func(t *testing.T) {
		f := newFake(t, routes{"GET /v1/folders": pageOf(), "POST /v1/folders": echo(12)})
		if got, err := f.open().CreateRoot(t.Context()); err != nil || got.ID != "12" || got.Inherits {
			t.Fatalf("CreateRoot = %+v, %v", got, err)
		}
		if calls := f.take(); len(calls) != 3 || calls[2] != `POST /api/v1/folders {"folderName":"Clients","parentFolderId":-1,"folderTypeId":1,"inheritPermissions":false,"inheritSecretPolicy":false,"secretPolicyId":-1}` {
			t.Errorf("calls %q", calls)
		}
	})
}

func TestNameRules(t *testing.T) {
	names := newFake(t, nil).open().Names()
	if names.MaxLength != 255 || names.Length("aü😀") != 4 || names.Fold("ＡCME") != "acme" || names.Form("u\u0308") != "ü" || names.Forbidden != "" {
		t.Errorf("%+v", names)
	}
	names = newFake(t, nil).open(func(c *Config) { c.MaxNameLength, c.Forbidden = 50, "/:" }).Names()
	if names.MaxLength != 50 || names.Forbidden != "/:" {
		t.Errorf("%+v", names)
	}
}
