package secretserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	gosync "sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"cwvault/sync"
	"cwvault/vault"
)

const firstMark = `POST /api/v1/metadata/Folder/77 {"data":{"metadataFieldName":"Folder key","metadataFieldSectionName":"ConnectWise",` +
	`"metadataFieldSectionDescription":"Written by cwvault: the ConnectWise record that a folder belongs to",` +
	`"metadataFieldSectionRequiresEntityEdit":true,"metadataFieldSectionRequiresAdministerMetadata":false,` +
	`"fieldDataType":"String","valueString":"acmeinc company/250","containsPersonalInformation":false}}`

func nextMark(item, company int) string {
	return fmt.Sprintf(`POST /api/v1/metadata/Folder/%d {"data":{"metadataFieldId":5,"metadataFieldSectionId":3,`+
		`"fieldDataType":"String","valueString":"acmeinc company/%d","containsPersonalInformation":false}}`, item, company)
}

func TestMarkMakesTheFieldOnce(t *testing.T) {
	f := newFake(t, routes{
		"POST /v1/metadata/Folder/77": answer(200, markJSON(1, 77, "acmeinc company/250")),
		"POST /v1/metadata/Folder/78": answer(200, markJSON(1, 78, "acmeinc company/251")),
	})
	v := f.open()
	for id, c := range map[string]int{"77": 250} {
		if err := v.Mark(t.Context(), id, company(c)); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Mark(t.Context(), "78", company(251)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{firstMark, nextMark(78, 251)}, f.take()); diff != "" {
		t.Error(diff)
	}
}

func TestManyFirstMarksMakeOneField(t *testing.T) {
	var mu gosync.Mutex
	byName, under := 0, 0
	f := newFake(t, routes{"POST /v1/metadata/Folder/{id}": func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		mu.Lock()
		if strings.Contains(body.String(), "metadataFieldName") {
			byName++
		}
		under++
		mu.Unlock()
		reply(w, 200, `{"metadataFieldId":5,"metadataFieldSectionId":3}`)
	}})
	v := f.open()
	var group gosync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if err := v.Mark(t.Context(), fmt.Sprint(100+i), company(1+i)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if byName != 1 || under != 20 {
		t.Errorf("%d marks by name of %d, want 1 of 20", byName, under)
	}
}

func TestMark(t *testing.T) {
	good := answer(200, markJSON(1, 77, "acmeinc company/250"))
	field := answer(200, envelope(1, false, fieldJSON))
	none := answer(200, noFields)
	there := answer(200, folderJSON(77, 12, `\Clients\x`, true))
	tests := map[string]struct {
		known  bool // the field, before
		post   http.HandlerFunc
		fields http.HandlerFunc
		folder http.HandlerFunc
		want   error
		posts  int
	}{
		"first, answer lost, field not made": {post: inTurn(cut, good), fields: none, posts: 2},
		"first, answer lost, field made":     {post: inTurn(cut, good), fields: field, posts: 2},
		"first, answer lost, cannot look":    {post: cut, fields: answer(400, denied), want: vault.ErrUnanswered, posts: 1},
		"first, 500 for ever":                {post: answer(500, ""), fields: none, want: vault.ErrUnanswered, posts: maxAttempts},
		"first, answer without ids":          {post: answer(200, `{"itemId":77}`), fields: field, posts: 1},
		"first, folder gone":                 {post: answer(400, denied), folder: answer(400, denied), want: vault.ErrNotFound, posts: 1},
		"answer lost":                        {known: true, post: inTurn(cut, answer(500, ""), good), posts: 3},
		"500 for ever":                       {known: true, post: answer(500, ""), want: vault.ErrUnanswered, posts: maxAttempts},
		"folder gone":                        {known: true, post: answer(400, denied), folder: answer(400, denied), want: vault.ErrNotFound, posts: 1},
		"folder may not be marked":           {known: true, post: answer(400, denied), want: vault.ErrNotAllowed, posts: 1},
		"another folder was marked":          {known: true, post: answer(200, markJSON(1, 78, "acmeinc company/250")), want: errAny, posts: 1},
		"cut short":                          {known: true, post: answer(200, markJSON(1, 77, "acmeinc comp")), want: errAny, posts: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all := routes{"POST /v1/metadata/Folder/77": test.post, "GET /v1/folders/77": there, "GET /v1/metadata/fields": field, "GET /v1/metadata": pageOf()}
			if test.folder != nil {
				all["GET /v1/folders/77"] = test.folder
			}
			if test.fields != nil {
				all["GET /v1/metadata/fields"] = test.fields
			}
			f := newFake(t, all)
			v := f.open(func(c *Config) { // which does not make up for a mark that others would miss
				c.MarkFallback = func(context.Context) (map[string]sync.Mark, error) { return nil, nil }
			})
			if test.known {
				if _, err := v.searchMarks(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			err := v.Mark(t.Context(), "77", company(250))
			if test.want == errAny && err == nil || test.want != errAny && !errors.Is(err, test.want) {
				t.Errorf("Mark = %v, want %v", err, test.want)
			}
			if n := count(f.take(), "POST"); n != test.posts {
				t.Errorf("%d POSTs, want %d", n, test.posts)
			}
			if test.want == nil && v.marks.field != 5 {
				t.Errorf("field %d afterwards, want 5", v.marks.field)
			}
		})
	}
}

// errAny stands for an error of no kind.
var errAny = errors.New("any error")

func TestField(t *testing.T) {
	other := func(id int, change ...string) string {
		return strings.NewReplacer(append(change, `"metadataFieldId":5`, fmt.Sprintf(`"metadataFieldId":%d`, id))...).Replace(fieldJSON)
	}
	many := make([]string, 30)
	for i := range many {
		many[i] = other(100+i, "Folder key", "Other")
	}
	tests := map[string]struct {
		fields http.HandlerFunc
		want   int
		err    error
		calls  int
	}{
		"one":              {fields: answer(200, envelope(1, false, fieldJSON)), want: 5, calls: 1},
		"two, the oldest":  {fields: answer(200, envelope(3, false, other(9), fieldJSON, other(7))), want: 5, calls: 1},
		"none":             {fields: answer(200, noFields), err: errNoField, calls: 1},
		"other section":    {fields: answer(200, envelope(1, false, other(5, "ConnectWise", "Other"))), err: errNoField, calls: 1},
		"other type":       {fields: answer(200, envelope(1, false, other(5, `"String"`, `"Number"`))), err: errNoField, calls: 1},
		"on a later page":  {fields: inTurn(answer(200, envelope(31, true, many[:10]...)), answer(200, envelope(31, false, append(many, fieldJSON)...))), want: 5, calls: 2},
		"found at once":    {fields: answer(200, envelope(31, true, append(many[:9], fieldJSON)...)), want: 5, calls: 1},
		"a message":        {fields: answer(200, `{"message":"hello"}`), err: vault.ErrUnavailable, calls: 1},
		"an older version": {fields: answer(404, ""), err: vault.ErrNotFound, calls: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, routes{"GET /v1/metadata/fields": test.fields})
			field, err := f.open().findField(t.Context())
			if field.ID != test.want || !errors.Is(err, test.err) || len(f.take()) != test.calls {
				t.Errorf("findField = %+v, %v", field, err)
			}
		})
	}
}

func TestCollect(t *testing.T) {
	for name, test := range map[string]struct {
		values []metadata
		want   found
	}{
		"good":             {[]metadata{{ItemID: 7, FieldID: 5, Value: "acmeinc company/1"}}, found{Mark: company(1)}},
		"not a mark":       {[]metadata{{ItemID: 7, FieldID: 5, Value: "company/1"}}, found{bad: true}},
		"empty":            {[]metadata{{ItemID: 7, FieldID: 5}}, found{}},
		"of a secret":      {[]metadata{{ItemID: 7, FieldID: 5, Type: "Secret", Value: "acmeinc company/1"}}, found{}},
		"another field":    {[]metadata{{ItemID: 7, FieldID: 6, Value: "acmeinc company/1"}}, found{}},
		"twice the same":   {[]metadata{{ItemID: 7, FieldID: 5, Value: "acmeinc company/1"}, {ItemID: 7, FieldID: 5, Value: "acmeinc company/1"}}, found{Mark: company(1)}},
		"twice, different": {[]metadata{{ItemID: 7, FieldID: 5, Value: "acmeinc company/1"}, {ItemID: 7, FieldID: 5, Value: "acmeinc company/2"}}, found{bad: true}},
	} {
		if got := collect(test.values, 5)[7]; got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

// TestWhereMarksComeFrom is the whole ladder: one search, the journal, one call
// for each folder.
func TestWhereMarksComeFrom(t *testing.T) {
	field := answer(200, envelope(1, false, fieldJSON))
	none := answer(200, noFields)
	// items answers searches for one folder's metadata.
	items := func(byField http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch item := r.FormValue("filter.itemId"); item {
			case "":
				byField(w, r)
			case "21":
				pageOf(markJSON(1, 21, "acmeinc company/1"))(w, r)
			default:
				pageOf()(w, r)
			}
		}
	}
	refused := answer(400, denied)
	vaults := sync.Mark{Tenant: "acmeinc", Key: "company/1"}
	journals := sync.Mark{Tenant: "acmeinc", Key: "company/2"}
	keys := map[string]sync.Mark{"21": journals, "4711": company(9)}
	tests := map[string]struct {
		fields, metadata http.HandlerFunc
		keys             map[string]sync.Mark // nil: no journal
		want             sync.Mark            // of folder 21
		calls            int                  // to the metadata API
		warns            bool
	}{
		"the vault has them":                    {field, items(pageOf(markJSON(1, 21, "acmeinc company/1"))), keys, vaults, 2, false},
		"the vault has none, nor the journal":   {field, items(pageOf()), map[string]sync.Mark{}, sync.Mark{}, 2, false},
		"no field yet, empty journal":           {none, nil, map[string]sync.Mark{}, sync.Mark{}, 1, false},
		"no field yet, no journal":              {none, nil, nil, sync.Mark{}, 1, false},
		"no field, but a journal":               {none, nil, keys, journals, 1, true},
		"no metadata API":                       {answer(404, ""), nil, keys, journals, 1, true},
		"no metadata API, says the web server":  {answer(404, "<html>"), nil, keys, journals, 1, true},
		"no metadata API, no journal":           {answer(404, ""), nil, nil, sync.Mark{}, 1, true},
		"metadata forbidden":                    {answer(403, `{"message":"no"}`), nil, keys, journals, 1, true},
		"search refused":                        {field, items(refused), keys, journals, 2, true},
		"search refused, empty journal":         {field, items(refused), map[string]sync.Mark{}, vaults, 4, true},
		"search refused, no journal":            {field, items(refused), nil, vaults, 4, true},
		"search and folders refused":            {field, refused, nil, sync.Mark{}, -1, true},
		"search finds none, but there are some": {field, items(pageOf()), keys, journals, 3, true},
		"a person took the last mark away":      {field, pageOf(), keys, sync.Mark{}, 3, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			all := routes{"GET /v1/folders/0": clients, "GET /v1/metadata/fields": test.fields,
				"GET /v1/folders": pageOf(folderJSON(21, 12, `\Clients\x`, true), folderJSON(22, 12, `\Clients\y`, true))}
			if test.metadata != nil {
				all["GET /v1/metadata"] = test.metadata
			}
			f := newFake(t, all)
			var log bytes.Buffer
			v := f.open(func(c *Config) {
				c.Logger = hclog.New(&hclog.LoggerOptions{Output: &log})
				if test.keys != nil {
					c.MarkFallback = func(context.Context) (map[string]sync.Mark, error) { return test.keys, nil }
				}
			})
			for range 2 {
				tree, err := v.Tree(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(tree.Folders) != 2 || tree.Folders[0].Mark != test.want || tree.Folders[1].Mark != (sync.Mark{}) || tree.Folders[0].BadMark {
					t.Errorf("folders %+v, want the first marked %q", tree.Folders, test.want)
				}
				if n := count(f.take(), "GET /api/v1/metadata"); n != test.calls && test.calls >= 0 {
					t.Errorf("%d calls, want %d", n, test.calls)
				}
			}
			warnings := strings.Count(log.String(), "[WARN]")
			if want := map[bool]int{true: 1}[test.warns]; warnings != want {
				t.Errorf("%d warnings, want %d:\n%s", warnings, want, log.String())
			}
		})
	}
	t.Run("the journal fails", func(t *testing.T) {
		f := newFake(t, routes{"GET /v1/folders/0": clients, "GET /v1/metadata/fields": answer(404, ""), "GET /v1/folders": pageOf(folderJSON(21, 12, `\Clients\x`, true))})
		v := f.open(func(c *Config) {
			c.MarkFallback = func(context.Context) (map[string]sync.Mark, error) { return nil, errors.New("disk full") }
		})
		if tree, err := v.Tree(t.Context()); err == nil || len(tree.Folders) != 0 {
			t.Errorf("Tree = %+v, %v", tree, err)
		}
	})
}

func TestWithoutMetadataRights(t *testing.T) {
	journal := map[string]sync.Mark{}
	var mu gosync.Mutex
	made := 0
	f := newFake(t, routes{
		"GET /v1/folders/0": clients, "GET /v1/metadata/fields": answer(200, noFields), "GET /v1/metadata": pageOf(),
		"GET /v1/folders": func(w http.ResponseWriter, r *http.Request) {
			var records []string
			mu.Lock()
			for i := range made {
				records = append(records, folderJSON(101+i, 12, fmt.Sprintf(`\Clients\c%d`, i+1), true))
			}
			mu.Unlock()
			pageOf(records...)(w, r)
		},
		"POST /v1/folders": func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			made++
			id := 100 + made
			mu.Unlock()
			echo(id)(w, r)
		},
		"POST /v1/metadata/Folder/{id}": answer(400, denied),
		"GET /v1/folders/{id}": func(w http.ResponseWriter, r *http.Request) {
			reply(w, 200, `{"id":`+r.PathValue("id")+`,"folderName":"x","parentFolderId":12}`)
		},
	})
	var log bytes.Buffer
	v := f.open(func(c *Config) {
		c.Logger = hclog.New(&hclog.LoggerOptions{Output: &log})
		c.MarkFallback = func(context.Context) (map[string]sync.Mark, error) { return journal, nil }
	})
	create := func(n int) {
		t.Helper()
		folder, err := v.Create(t.Context(), "12", fmt.Sprintf("c%d", n), company(n))
		if err != nil || folder.Mark != company(n) {
			t.Fatalf("Create = %+v, %v", folder, err)
		}
		journal[folder.ID] = folder.Mark
	}
	if _, err := v.Tree(t.Context()); err != nil {
		t.Fatal(err)
	}
	create(1)
	create(2)
	if n := count(f.take(), "POST /api/v1/metadata"); n != 1 {
		t.Errorf("%d marks tried, want 1", n)
	}
	// The next run reads what the journal holds.
	tree, err := v.Tree(t.Context())
	if err != nil || len(tree.Folders) != 2 || tree.Folders[0].Mark != company(1) || tree.Folders[1].Mark != company(2) {
		t.Errorf("Tree = %+v, %v", tree, err)
	}
	if got, err := v.Find(t.Context(), "12", "C2"); err != nil || got.Mark != company(2) {
		t.Errorf("Find = %+v, %v", got, err)
	}
	create(3)
	if n := strings.Count(log.String(), "[WARN]"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, log.String())
	}

	t.Run("and without a journal", func(t *testing.T) {
		folder, err := f.open().Create(t.Context(), "12", "c4", company(4))
		if !errors.Is(err, vault.ErrNotAllowed) || folder.ID == "" || folder.Mark != (sync.Mark{}) {
			t.Errorf("Create = %+v, %v: nobody would know whose it is", folder, err)
		}
	})
}
