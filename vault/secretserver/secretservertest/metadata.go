package secretservertest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metadataSince is the first version with a metadata API.
var metadataSince = version{10, 9, 64}

// The simulator keeps metadata of folders only.
const metadataOfFolders = "Folder"

type metaSection struct {
	id           int
	name         string
	description  string
	requiresEdit bool
	requiresRole bool // Administer Metadata
}

type metaField struct {
	id       int
	section  *metaSection
	name     string
	dataType string
	personal bool // contains personal information
}

var metaDataTypes = []string{"String", "Boolean", "Number", "DateTime", "User"}

// metaData is the value itself; the one that its field's type asks for is set.
type metaData struct {
	ValueBit      *bool    `json:"valueBit"`
	ValueDateTime *string  `json:"valueDateTime"`
	ValueInt      *int     `json:"valueInt"`
	ValueNumber   *float64 `json:"valueNumber"`
	ValueString   *string  `json:"valueString"`
}

// only drops all but the value of this type, and reports whether it is there.
func (d metaData) only(dataType string) (metaData, bool) {
	switch dataType {
	case "Boolean":
		return metaData{ValueBit: d.ValueBit}, d.ValueBit != nil
	case "DateTime":
		return metaData{ValueDateTime: d.ValueDateTime}, d.ValueDateTime != nil
	case "User":
		return metaData{ValueInt: d.ValueInt}, d.ValueInt != nil
	case "Number":
		return metaData{ValueNumber: d.ValueNumber}, d.ValueNumber != nil
	default:
		return metaData{ValueString: d.ValueString}, d.ValueString != nil
	}
}

func (d metaData) text() string {
	switch {
	case d.ValueBit != nil:
		return strconv.FormatBool(*d.ValueBit)
	case d.ValueDateTime != nil:
		return *d.ValueDateTime
	case d.ValueInt != nil:
		return strconv.Itoa(*d.ValueInt)
	case d.ValueNumber != nil:
		return strconv.FormatFloat(*d.ValueNumber, 'f', -1, 64)
	case d.ValueString != nil:
		return *d.ValueString
	}
	return ""
}

type metaValue struct {
	id     int
	folder *folder
	field  *metaField
	data   metaData
	at     time.Time
	by     *user
}

// metaHistory is a value as it was written once.
type metaHistory struct {
	id int
	metaValue
	of *metaValue
}

// The models of the vendor's document: a value as POST answers it, in a list,
// and in the history.
type (
	metaCommon struct {
		ContainsPersonalInformation bool    `json:"containsPersonalInformation"`
		CreateDateTime              string  `json:"createDateTime"`
		CreateUserID                int     `json:"createUserId"`
		CreateUserName              string  `json:"createUserName"`
		ItemID                      int     `json:"itemId"`
		MetadataFieldID             int     `json:"metadataFieldId"`
		MetadataFieldName           string  `json:"metadataFieldName"`
		MetadataFieldSectionID      int     `json:"metadataFieldSectionId"`
		MetadataFieldSectionName    string  `json:"metadataFieldSectionName"`
		MetadataFieldTypeName       *string `json:"metadataFieldTypeName"`
		MetadataItemDataID          int     `json:"metadataItemDataId"`
		MetadataTypeName            *string `json:"metadataTypeName"`
		SortOrder                   int     `json:"sortOrder"`
		ValueUserDisplayName        *string `json:"valueUserDisplayName"`
		metaData
	}
	metadataModel struct {
		metaCommon
		MetadataFieldTypeID *int `json:"metadataFieldTypeId"`
	}
	metadataSummary struct {
		metaCommon
		MetadataType          string `json:"metadataType"`
		MetadataFieldDataType string `json:"metadataFieldDataType"`
	}
	metadataHistorySummary struct {
		metadataSummary
		MetadataItemDataHistoryID int `json:"metadataItemDataHistoryId"`
	}
)

func (v *metaValue) common() metaCommon {
	return metaCommon{
		ContainsPersonalInformation: v.field.personal, CreateDateTime: stamp(v.at), CreateUserID: v.by.id, CreateUserName: v.by.name,
		ItemID: v.folder.id, MetadataFieldID: v.field.id, MetadataFieldName: v.field.name, MetadataFieldSectionID: v.field.section.id,
		MetadataFieldSectionName: v.field.section.name, MetadataItemDataID: v.id, metaData: v.data,
	}
}

func (v *metaValue) model() metadataModel { return metadataModel{metaCommon: v.common()} }

func (v *metaValue) summary() metadataSummary {
	return metadataSummary{metaCommon: v.common(), MetadataType: metadataOfFolders, MetadataFieldDataType: v.field.dataType}
}

func (h *metaHistory) summary() metadataHistorySummary {
	m := metadataHistorySummary{metadataSummary: h.metaValue.summary(), MetadataItemDataHistoryID: h.id}
	m.MetadataItemDataID = h.of.id
	return m
}

func (f *folder) metadataText() map[string]string {
	if len(f.metadata) == 0 {
		return nil
	}
	m := map[string]string{}
	for _, v := range f.metadata {
		m[v.field.section.name+"/"+v.field.name] = v.data.text()
	}
	return m
}

func (w *world) section(name string) *metaSection {
	for _, x := range w.sections {
		if strings.EqualFold(x.name, name) {
			return x
		}
	}
	return nil
}

func (w *world) field(in *metaSection, name string) *metaField {
	for _, x := range w.fields {
		if x.section == in && strings.EqualFold(x.name, name) {
			return x
		}
	}
	return nil
}

func (w *world) addSection(x metaSection) *metaSection {
	x.id = w.nextID("section")
	w.sections[x.id] = &x
	w.generation++
	return &x
}

func (w *world) addField(x metaField) *metaField {
	x.id = w.nextID("field")
	w.fields[x.id] = &x
	w.generation++
	return &x
}

// write sets the value of a field on a folder, and keeps the history.
func (w *world) write(f *folder, field *metaField, data metaData, by *user) *metaValue {
	v := f.metadata[field.id]
	if v == nil {
		v = &metaValue{id: w.nextID("metadata"), folder: f, field: field}
		if f.metadata == nil {
			f.metadata = map[int]*metaValue{}
		}
		f.metadata[field.id] = v
		w.values[v.id] = v
	}
	v.data, v.at, v.by = data, w.now(), by
	w.history = append(w.history, metaHistory{id: w.nextID("history"), metaValue: *v, of: v})
	w.generation++
	return v
}

// Metadata is the metadata of a folder by "section/field", nil for none.
func (s *Server) Metadata(folderID int) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.world.mustFolder(folderID).metadataText()
}

// SetMetadata writes a text value on a folder by hand. Section and field are
// made where they are missing, the section such that writing needs Edit.
func (s *Server) SetMetadata(folderID int, section, field, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &s.world
	in := w.section(section)
	if in == nil {
		in = w.addSection(metaSection{name: section, requiresEdit: true})
	}
	as := w.field(in, field)
	if as == nil {
		as = w.addField(metaField{section: in, name: field, dataType: "String"})
	}
	w.write(w.mustFolder(folderID), as, metaData{ValueString: &value}, w.admin())
}

// item is the folder that a metadata call names in its path.
func (s *Server) item(c *call) (*folder, error) {
	if !strings.EqualFold(c.vars["itemType"], metadataOfFolders) {
		return nil, denied()
	}
	return s.visibleVar(c, "itemId")
}

// writable refuses values of a section that the user may not write on f.
func writable(u *user, f *folder, in *metaSection) error {
	need := viewFolder
	if in.requiresEdit {
		need = editFolder
	}
	if u.role(f) < need || in.requiresRole && !u.may(AdministerMetadata) {
		return denied()
	}
	return nil
}

// newMetaData is what a call says about the field that it writes.
type newMetaData struct {
	ContainsPersonalInformation                    bool
	FieldDataType                                  *string
	MetadataFieldID                                *int
	MetadataFieldName                              string
	MetadataFieldSectionDescription                string
	MetadataFieldSectionID                         *int
	MetadataFieldSectionName                       string
	MetadataFieldSectionRequiresAdministerMetadata *bool
	MetadataFieldSectionRequiresEntityEdit         *bool
	metaData
}

func createMetadata(s *Server, c *call) (any, error) {
	f, err := s.item(c)
	if err != nil {
		return nil, err
	}
	args, err := decode[struct{ Data newMetaData }](s, c)
	if err != nil {
		return nil, err
	}
	d := args.Data

	// Everything is checked before anything is made, so that a refused call
	// leaves no empty section or field.
	section, field, err := s.namedField(d)
	if err != nil {
		return nil, err
	}
	newSection, newField := section == nil, field == nil
	if newSection {
		section = &metaSection{
			name: d.MetadataFieldSectionName, description: d.MetadataFieldSectionDescription,
			requiresEdit: isTrue(d.MetadataFieldSectionRequiresEntityEdit),
			requiresRole: isTrue(d.MetadataFieldSectionRequiresAdministerMetadata),
		}
	}
	if newField {
		if field, err = s.draftField(c, d); err != nil {
			return nil, err
		}
	}
	if err := writable(c.user, f, section); err != nil {
		return nil, err
	}
	data, ok := d.only(field.dataType)
	if !ok {
		return nil, s.invalid("A value of type %s is required.", field.dataType)
	}

	if newSection {
		section = s.world.addSection(*section)
	}
	if newField {
		field.section = section
		field = s.world.addField(*field)
	}
	return s.world.write(f, field, data, c.user).model(), nil
}

// namedField finds the section and the field that a call names, by id or by
// name. Each is nil where a name is new.
func (s *Server) namedField(d newMetaData) (*metaSection, *metaField, error) {
	if d.MetadataFieldID != nil {
		field := s.world.fields[*d.MetadataFieldID]
		if field == nil {
			return nil, nil, s.invalid("There is no such metadata field.")
		}
		return field.section, field, nil
	}
	var section *metaSection
	if d.MetadataFieldSectionID != nil {
		if section = s.world.sections[*d.MetadataFieldSectionID]; section == nil {
			return nil, nil, s.invalid("There is no such metadata section.")
		}
	} else if section = s.world.section(d.MetadataFieldSectionName); section == nil && strings.TrimSpace(d.MetadataFieldSectionName) == "" {
		return nil, nil, s.invalid("A metadata section is required.")
	}
	if section == nil {
		return nil, nil, nil
	}
	return section, s.world.field(section, d.MetadataFieldName), nil
}

// draftField checks a field that a call names for the first time.
func (s *Server) draftField(c *call, d newMetaData) (*metaField, error) {
	if strings.TrimSpace(d.MetadataFieldName) == "" {
		return nil, s.invalid("A metadata field is required.")
	}
	if d.FieldDataType == nil || !slices.Contains(metaDataTypes, *d.FieldDataType) {
		return nil, s.invalid("The fieldDataType must be one of %s.", strings.Join(metaDataTypes, ", "))
	}
	if !c.user.may(AdministerMetadata) {
		return nil, denied()
	}
	return &metaField{name: d.MetadataFieldName, dataType: *d.FieldDataType, personal: d.ContainsPersonalInformation}, nil
}

func patchMetadata(s *Server, c *call) (any, error) {
	f, err := s.item(c)
	if err != nil {
		return nil, err
	}
	args, err := decode[struct {
		Data struct {
			ContainsPersonalInformation *dirty[bool]
			MetadataItemDataID          int
			ValueBit                    *dirty[bool]
			ValueDateTime               *dirty[string]
			ValueInt                    *dirty[int]
			ValueNumber                 *dirty[float64]
			ValueString                 *dirty[string]
		}
	}](s, c)
	if err != nil {
		return nil, err
	}
	v := s.world.values[args.Data.MetadataItemDataID]
	if v == nil || v.folder != f {
		return nil, s.invalid("There is no such metadata.")
	}
	if err := writable(c.user, f, v.field.section); err != nil {
		return nil, err
	}
	data := v.data
	setOptional(args.Data.ValueBit, &data.ValueBit)
	setOptional(args.Data.ValueDateTime, &data.ValueDateTime)
	setOptional(args.Data.ValueInt, &data.ValueInt)
	setOptional(args.Data.ValueNumber, &data.ValueNumber)
	setOptional(args.Data.ValueString, &data.ValueString)
	if only, ok := data.only(v.field.dataType); !ok || only != data {
		return nil, s.invalid("A value of type %s is required.", v.field.dataType)
	}
	args.Data.ContainsPersonalInformation.set(&v.field.personal)
	return s.world.write(f, v.field, data, c.user).model(), nil
}

func setOptional[T any](d *dirty[T], to **T) {
	if d != nil && d.Dirty {
		*to = d.Value
	}
}

func deleteMetadata(s *Server, c *call) (any, error) {
	f, err := s.item(c)
	if err != nil {
		return nil, err
	}
	id, err := s.id(c, "metadataItemDataId")
	if err != nil {
		return nil, err
	}
	v := s.world.values[id]
	if v == nil || v.folder != f {
		return nil, s.invalid("There is no such metadata.")
	}
	if err := writable(c.user, f, v.field.section); err != nil {
		return nil, err
	}
	delete(s.world.values, id)
	delete(f.metadata, v.field.id)
	s.world.history = slices.DeleteFunc(s.world.history, func(h metaHistory) bool { return h.of == v })
	s.world.generation++
	return map[string]bool{"success": true}, nil
}

type metadataFilter struct {
	ItemID          *int    `json:"itemId"`
	MetaDataFieldID *int    `json:"metaDataFieldId"`
	MetadataType    *string `json:"metadataType"`
}

// readMetadataFilter also finds the folder that the filter names, if it does.
func (s *Server) readMetadataFilter(c *call) (filter metadataFilter, f *folder, err error) {
	q := c.query
	filter = metadataFilter{
		ItemID: q.number("filter.itemId"), MetaDataFieldID: q.number("filter.metaDataFieldId"), MetadataType: q.text("filter.metadataType"),
	}
	if err := q.problem(s); err != nil {
		return filter, nil, err
	}
	switch {
	case (filter.ItemID == nil) != (filter.MetadataType == nil):
		return filter, nil, s.invalid("ItemId and MetadataType are required together.")
	case filter.ItemID != nil:
		if !strings.EqualFold(*filter.MetadataType, metadataOfFolders) {
			return filter, nil, denied()
		}
		f, err = s.visible(c.user, *filter.ItemID)
		return filter, f, err
	case filter.MetaDataFieldID == nil || s.quirks.NoFieldSearch:
		return filter, nil, s.invalid("ItemId and MetadataType are required.")
	}
	return filter, nil, nil
}

func (filter metadataFilter) keeps(u *user, v *metaValue, f *folder) bool {
	return (f == nil || v.folder == f) && (filter.MetaDataFieldID == nil || v.field.id == *filter.MetaDataFieldID) && u.role(v.folder) >= viewFolder
}

func searchMetadata(s *Server, c *call) (any, error) {
	filter, f, err := s.readMetadataFilter(c)
	if err != nil {
		return nil, err
	}
	page, err := readPaging(s, c.query, map[string]func(a, b *metaValue) int{
		"metadataitemdataid": func(a, b *metaValue) int { return cmp.Compare(a.id, b.id) },
		"itemid":             func(a, b *metaValue) int { return cmp.Compare(a.folder.id, b.folder.id) },
	})
	if err != nil {
		return nil, err
	}
	found := cached(s, c, func() []*metaValue {
		candidates := s.world.values
		if f != nil {
			candidates = f.metadata
		}
		var found []*metaValue
		for _, v := range candidates {
			if filter.keeps(c.user, v, f) {
				found = append(found, v)
			}
		}
		page.sort(s, found, func(v *metaValue) int { return v.id })
		return found
	})
	return paginate(page, filter, found, (*metaValue).summary), nil
}

func metadataHistory(s *Server, c *call) (any, error) {
	filter, f, err := s.readMetadataFilter(c)
	if err != nil {
		return nil, err
	}
	var from, until time.Time
	for name, t := range map[string]*time.Time{"filter.startDate": &from, "filter.endDate": &until} {
		if text := c.query.text(name); text != nil {
			if *t, err = time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(*text, "Z")); err != nil {
				c.query.blame(name, *text)
			}
		}
	}
	page, err := readPaging(s, c.query, map[string]func(a, b *metaHistory) int{
		"createdatetime": func(a, b *metaHistory) int { return a.at.Compare(b.at) },
	})
	if err != nil {
		return nil, err
	}
	var found []*metaHistory
	for i := range s.world.history {
		h := &s.world.history[i]
		alive := s.world.values[h.of.id] == h.of
		if alive && filter.keeps(c.user, &h.metaValue, f) && h.at.After(from) && (until.IsZero() || h.at.Before(until)) {
			found = append(found, h)
		}
	}
	page.sort(s, found, func(h *metaHistory) int { return h.id })
	return paginate(page, filter, found, (*metaHistory).summary), nil
}

type metadataFieldSummary struct {
	ContainsPersonalInformation bool   `json:"containsPersonalInformation"`
	DefaultSortOrder            *int   `json:"defaultSortOrder"`
	FieldDataType               string `json:"fieldDataType"`
	MetadataFieldID             int    `json:"metadataFieldId"`
	MetadataFieldName           string `json:"metadataFieldName"`
	MetadataFieldSectionID      int    `json:"metadataFieldSectionId"`
	MetadataFieldSectionName    string `json:"metadataFieldSectionName"`
}

// metadataFields answers all fields at once: it has no paging parameters.
func metadataFields(s *Server, c *call) (any, error) {
	var fields []*metaField
	for _, x := range s.world.fields {
		fields = append(fields, x)
	}
	page := paging[*metaField]{take: max(defaultTake, len(fields)), sortBy: []sortBy{}}
	page.sort(s, fields, func(x *metaField) int { return x.id })
	return paginate(page, struct{}{}, fields, func(x *metaField) metadataFieldSummary {
		return metadataFieldSummary{
			ContainsPersonalInformation: x.personal, FieldDataType: x.dataType, MetadataFieldID: x.id, MetadataFieldName: x.name,
			MetadataFieldSectionID: x.section.id, MetadataFieldSectionName: x.section.name,
		}
	}), nil
}

type metadataSectionSummary struct {
	Actions                    []string `json:"actions"`
	Description                string   `json:"metadataFieldSectionDescription"`
	ID                         int      `json:"metadataFieldSectionId"`
	Name                       string   `json:"metadataFieldSectionName"`
	RequiresAdministerMetadata bool     `json:"requiresAdministerMetadata"`
	RequiresEntityEdit         bool     `json:"requiresEntityEdit"`
}

// summary says what u can do with the section on f, which may be nil.
func (x *metaSection) summary(u *user, f *folder) metadataSectionSummary {
	m := metadataSectionSummary{
		Actions: []string{}, Description: x.description, ID: x.id, Name: x.name,
		RequiresAdministerMetadata: x.requiresRole, RequiresEntityEdit: x.requiresEdit,
	}
	if u.may(AdministerMetadata) {
		m.Actions = append(m.Actions, "EditSection", "AddField")
	}
	if f != nil && writable(u, f, x) == nil {
		m.Actions = append(m.Actions, "EditItem", "DeleteItem")
	}
	return m
}

func metadataSections(s *Server, c *call) (any, error) {
	q := c.query
	itemID, sectionID, itemType := q.number("filter.itemId"), q.number("filter.metadataSectionFilterId"), q.text("filter.metadataType")
	page, err := readPaging(s, q, map[string]func(a, b *metaSection) int{
		"metadatafieldsectionname": func(a, b *metaSection) int { return strings.Compare(a.name, b.name) },
	})
	if err != nil {
		return nil, err
	}
	if (itemID == nil) != (itemType == nil) {
		return nil, s.invalid("ItemId and MetadataType are required together.")
	}
	var f *folder
	if itemID != nil {
		if f, err = s.visible(c.user, *itemID); err != nil {
			return nil, err
		}
	}
	var found []*metaSection
	for _, x := range s.world.sections {
		used := f == nil
		if f != nil {
			for _, v := range f.metadata {
				used = used || v.field.section == x
			}
		}
		if used && (sectionID == nil || x.id == *sectionID) {
			found = append(found, x)
		}
	}
	page.sort(s, found, func(x *metaSection) int { return x.id })
	filter := map[string]any{"itemId": itemID, "metadataType": itemType, "metadataSectionFilterId": sectionID}
	return paginate(page, filter, found, func(x *metaSection) metadataSectionSummary { return x.summary(c.user, f) }), nil
}

func patchSection(s *Server, c *call) (any, error) {
	id, err := s.id(c, "fieldSectionId")
	if err != nil {
		return nil, err
	}
	args, err := decode[struct {
		Data struct {
			MetadataFieldSectionDescription                *dirty[string]
			MetadataFieldSectionName                       *dirty[string]
			MetadataFieldSectionRequiresAdministerMetadata *dirty[bool]
			MetadataFieldSectionRequiresEntityEdit         *dirty[bool]
		}
	}](s, c)
	if err != nil {
		return nil, err
	}
	x := s.world.sections[id]
	if x == nil || !c.user.may(AdministerMetadata) {
		return nil, denied()
	}
	to := *x
	args.Data.MetadataFieldSectionDescription.set(&to.description)
	args.Data.MetadataFieldSectionName.set(&to.name)
	args.Data.MetadataFieldSectionRequiresAdministerMetadata.set(&to.requiresRole)
	args.Data.MetadataFieldSectionRequiresEntityEdit.set(&to.requiresEdit)
	if other := s.world.section(to.name); strings.TrimSpace(to.name) == "" || other != nil && other != x {
		return nil, s.invalid("The section name %q is empty or taken.", to.name)
	}
	*x = to
	s.world.generation++
	return x.summary(c.user, nil), nil
}
