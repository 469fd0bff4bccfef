package secretservertest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
