package secretserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"cwvault/sync"
	"cwvault/sync/httpclient"
	"cwvault/vault"
)

// The mark is object metadata of the folder, which Secret Server has since 10.9.000064: a
// text field in a section of ours. Accounts that may edit a folder may write it; accounts
// that may only see the folder may not.
const (
	sectionName  = "ConnectWise"
	fieldName    = "Folder key"
	metadataPath = "/v1/metadata"
)

// marks is what is known about the metadata field. Vault.mu guards it, except making.
type marks struct {
	making  chan struct{} // held while the first mark creates the field
	field   int           // metadataFieldId; 0 while unknown
	section int           // metadataFieldSectionId
	// journal is why the journal's keys replace marks that cannot be read; nil if
	// they can be read.
	journal error
	// refused is why cwvault no longer writes marks; nil if it does.
	refused error
	warned  bool
}

// found is the content of a folder's mark field.
type found struct {
	sync.Mark
	bad bool
}

// reading is the outcome of reading all marks in one search.
type reading struct {
	marks map[int]found
	why   error // why the vault has no answer; nil if it has
}

// errNoField: nobody has made the field yet, so no folder has a mark.
var errNoField = errors.New("the vault has no metadata field " + sectionName + "/" + fieldName)

// metadataField is a field's definition.
type metadataField struct {
	ID        int    `json:"metadataFieldId"`
	Name      string `json:"metadataFieldName"`
	SectionID int    `json:"metadataFieldSectionId"`
	Section   string `json:"metadataFieldSectionName"`
	Type      string `json:"fieldDataType"`
}

// metadata is one value of a field, on one object.
type metadata struct {
	ID        int    `json:"metadataItemDataId"`
	Type      string `json:"metadataType"`
	ItemID    int    `json:"itemId"`
	FieldID   int    `json:"metadataFieldId"`
	Field     string `json:"metadataFieldName"`
	SectionID int    `json:"metadataFieldSectionId"`
	Section   string `json:"metadataFieldSectionName"`
	Value     string `json:"valueString"`
}

// findField looks up our field. The error is errNoField if there is none. turnedDown
// recognizes it if the server does not say.
func (v *Vault) findField(ctx context.Context) (metadataField, error) {
	// The specification gives this call no paging, though its answer is a page.
	const path = metadataPath + "/fields"
	var first page[metadataField]
	if err := v.client.do(ctx, read(path, nil), &first); err != nil {
		return metadataField{}, err
	}
	if err := first.check(path); err != nil {
		return metadataField{}, fmt.Errorf("%w (%w)", err, vault.ErrUnavailable)
	}
	field, ok := ourField(*first.Records)
	if !ok && first.HasNext {
		all, err := list(ctx, v, path, nil, func(f metadataField) int { return f.ID })
		if err != nil {
			return metadataField{}, err
		}
		field, ok = ourField(all)
	}
	if !ok {
		return metadataField{}, errNoField
	}
	return field, nil
}

// ourField returns the oldest field with our name. Two installations may have created two at
// the same moment; then both use the same one.
func ourField(all []metadataField) (field metadataField, ok bool) {
	for _, f := range all {
		if f.ID > 0 && f.Name == fieldName && f.Section == sectionName && (f.Type == "" || f.Type == "String") && (!ok || f.ID < field.ID) {
			field, ok = f, true
		}
	}
	return field, ok
}

// searchMarks reads the marks of all folders by searching for the field.
func (v *Vault) searchMarks(ctx context.Context) (reading, error) {
	field, err := v.findField(ctx)
	v.mu.Lock()
	v.marks.field, v.marks.section, v.marks.refused = field.ID, field.SectionID, nil
	v.mu.Unlock()
	if errors.Is(err, errNoField) || turnedDown(err) {
		return reading{why: err}, nil
	}
	if err != nil {
		return reading{}, err
	}
	values, err := list(ctx, v, metadataPath, url.Values{"filter.metaDataFieldId": {strconv.Itoa(field.ID)}},
		func(m metadata) int { return m.ID })
	if turnedDown(err) {
		return reading{why: err}, nil
	}
	if err != nil {
		return reading{}, err
	}
	return reading{marks: collect(values, field.ID)}, nil
}

// collect returns the marks among values, by folder. If field is 0, it finds the field by
// name.
func collect(values []metadata, field int) map[int]found {
	marks := make(map[int]found, len(values))
	for _, m := range values {
		ours := m.FieldID == field || field == 0 && m.Field == fieldName && m.Section == sectionName
		if !ours || m.Type != "" && m.Type != "Folder" || m.Value == "" {
			continue
		}
		mark, err := sync.ParseMark(m.Value)
		f := found{Mark: mark, bad: err != nil}
		if other, twice := marks[m.ItemID]; twice && other != f {
			f = found{bad: true} // two values: either could be right
		}
		marks[m.ItemID] = f
	}
	return marks
}

// marksOf returns the marks of these folders: from the search, otherwise from the journal,
// otherwise by one call for each folder.
func (v *Vault) marksOf(ctx context.Context, folders []folder, r reading) (map[int]found, error) {
	var known []folder // to the journal
	var keys map[int]found
	if r.why != nil || len(r.marks) == 0 {
		var err error
		if keys, err = v.journal(ctx); err != nil {
			return nil, err
		}
		known = slices.DeleteFunc(slices.Clone(folders), func(f folder) bool { _, ok := keys[f.ID]; return !ok })
	}
	if r.why == nil && len(known) > 0 {
		// No mark anywhere, but the journal knows some: this server may not search
		// by field alone, which the specification leaves open.
		one, err := v.itemMark(ctx, known[0].ID)
		if err != nil && !turnedDown(err) {
			return nil, err
		}
		if one != (found{}) {
			r.why = errors.New("the server does not find marks by their field")
		}
	}
	if errors.Is(r.why, errNoField) && len(known) == 0 {
		r.why = nil // the first mark creates it
	}
	v.mu.Lock()
	v.marks.journal = r.why
	field := v.marks.field
	v.mu.Unlock()
	switch {
	case r.why == nil:
		return r.marks, nil
	case len(known) > 0 || field == 0:
		v.warn("cannot read marks from the vault; using the journal's", r.why)
		return keys, nil
	}
	v.warn("cannot read marks from the vault in one search; reading them folder by folder", r.why)
	return v.eachMark(ctx, folders)
}

// eachMark reads the marks of these folders one by one. If the server refuses that too, there
// are none.
func (v *Vault) eachMark(ctx context.Context, folders []folder) (map[int]found, error) {
	each := make([]found, len(folders))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(v.workers)
	for i, f := range folders {
		group.Go(sync.Recovered(func() (err error) {
			each[i], err = v.itemMark(ctx, f.ID)
			return err
		}))
	}
	if err := group.Wait(); turnedDown(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	marks := make(map[int]found, len(folders))
	for i, f := range folders {
		marks[f.ID] = each[i]
	}
	return marks, nil
}

// warn logs once where marks are read or written.
func (v *Vault) warn(text string, why error) {
	v.mu.Lock()
	warned := v.marks.warned
	v.marks.warned = true
	v.mu.Unlock()
	if !warned {
		v.log.Warn(text, "reason", why)
	}
}

// journal returns the journal's marks by folder.
func (v *Vault) journal(ctx context.Context) (map[int]found, error) {
	if v.fallback == nil {
		return nil, nil
	}
	keys, err := v.fallback(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the journal: %w", err)
	}
	marks := make(map[int]found, len(keys))
	for id, m := range keys {
		if n, err := number(id); err == nil && m != (sync.Mark{}) {
			marks[n] = found{Mark: m}
		}
	}
	return marks, nil
}

// itemMark reads the mark of one folder.
func (v *Vault) itemMark(ctx context.Context, id int) (found, error) {
	values, err := list(ctx, v, metadataPath, url.Values{"filter.metadataType": {"Folder"}, "filter.itemId": {strconv.Itoa(id)}},
		func(m metadata) int { return m.ID })
	if err != nil {
		return found{}, err
	}
	v.mu.Lock()
	field := v.marks.field
	v.mu.Unlock()
	return collect(values, field)[id], nil
}

// readMark reads the mark of one folder, from the vault or the journal.
func (v *Vault) readMark(ctx context.Context, id int) (found, error) {
	v.mu.Lock()
	elsewhere := v.marks.journal != nil || v.marks.refused != nil
	v.mu.Unlock()
	f, err := v.itemMark(ctx, id)
	if err != nil && !turnedDown(err) || f != (found{}) || err == nil && !elsewhere {
		return f, err
	}
	keys, err := v.journal(ctx)
	return keys[id], err
}

// Mark implements [vault.Vault].
func (v *Vault) Mark(ctx context.Context, id string, m sync.Mark) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	n, err := number(id)
	if err != nil {
		return err
	}
	if err := checkMark(m); err != nil {
		return err
	}
	return v.writeMark(ctx, n, m)
}

// checkMark refuses a mark that nobody could read back.
func checkMark(m sync.Mark) error {
	if back, err := sync.ParseMark(m.String()); err != nil || back != m {
		return fmt.Errorf("%+v is not a valid mark: %w", m, vault.ErrInvalid)
	}
	return nil
}

// markArgs is the body that writes a mark: by the field's id, or by name, which creates the
// field and its section if they are missing.
type markArgs struct {
	FieldID      int    `json:"metadataFieldId,omitempty"`
	SectionID    int    `json:"metadataFieldSectionId,omitempty"`
	Field        string `json:"metadataFieldName,omitempty"`
	Section      string `json:"metadataFieldSectionName,omitempty"`
	Description  string `json:"metadataFieldSectionDescription,omitempty"`
	EntityEdit   *bool  `json:"metadataFieldSectionRequiresEntityEdit,omitempty"`
	Administer   *bool  `json:"metadataFieldSectionRequiresAdministerMetadata,omitempty"`
	Type         string `json:"fieldDataType"`
	Value        string `json:"valueString"`
	PersonalData bool   `json:"containsPersonalInformation"`
}

// writeMark writes a mark, or leaves it to the journal if the vault accepts none.
func (v *Vault) writeMark(ctx context.Context, id int, m sync.Mark) (err error) {
	defer func() {
		if err == nil {
			v.marked(id, m)
		}
	}()
	field, refused := v.field()
	if field.FieldID == 0 && refused == nil {
		// One at a time until the field exists: two marks at once might create it
		// twice.
		select {
		case v.marks.making <- struct{}{}:
			defer func() { <-v.marks.making }()
		case <-ctx.Done():
			return ctx.Err()
		}
		if field, refused = v.field(); field.FieldID == 0 && refused == nil {
			return v.writeFirstMark(ctx, id, m)
		}
	}
	if refused != nil {
		return v.withoutMark(refused)
	}
	return v.postMark(ctx, id, m, field)
}

// marked remembers the mark that a folder now has.
func (v *Vault) marked(id int, m sync.Mark) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f, ok := v.records[id]; ok {
		f.mark = found{Mark: m}
		v.records[id] = f
	}
}

// field returns how to name the field, without id if that is unknown, and why cwvault writes
// no marks.
func (v *Vault) field() (markArgs, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return markArgs{FieldID: v.marks.field, SectionID: v.marks.section}, v.marks.refused
}

// withoutMark is the result of a mark that the vault does not accept: the journal holds it,
// if there is one.
func (v *Vault) withoutMark(why error) error {
	if v.fallback == nil {
		return fmt.Errorf("the vault accepts no marks, and there is no journal: %w", why)
	}
	v.warn("cannot store marks in the vault; only the journal holds them", why)
	return nil
}

// writeFirstMark writes a mark by the field's name, which creates the field, and learns the
// field's id.
func (v *Vault) writeFirstMark(ctx context.Context, id int, m sync.Mark) error {
	yes, no := true, false
	args := markArgs{Field: fieldName, Section: sectionName, Description: "Written by cwvault: the ConnectWise record that a folder belongs to",
		EntityEdit: &yes, Administer: &no}
	return v.client.retry.Do(ctx, func(int) error {
		err := v.postMark(ctx, id, m, args)
		if !errors.Is(err, vault.ErrUnanswered) {
			return err
		}
		field, lookErr := v.findField(ctx)
		switch {
		case errors.Is(lookErr, errNoField):
			return httpclient.Again(err, 0)
		case lookErr != nil:
			return err
		}
		v.mu.Lock()
		v.marks.field, v.marks.section = field.ID, field.SectionID
		v.mu.Unlock()
		return v.postMark(ctx, id, m, markArgs{FieldID: field.ID, SectionID: field.SectionID})
	}, nil)
}

// postMark sends one mark. With the field's id it may be repeated, because the call creates
// or updates.
func (v *Vault) postMark(ctx context.Context, id int, m sync.Mark, args markArgs) error {
	args.Type, args.Value = "String", m.String()
	r := change(http.MethodPost, metadataPath+"/Folder/"+strconv.Itoa(id), map[string]any{"data": args})
	r.again = args.FieldID != 0
	var written metadata
	err := v.client.do(ctx, r, &written)
	if turnedDown(err) {
		return v.markRefused(ctx, id, args, err)
	}
	if err != nil {
		return err
	}
	if written.ItemID != 0 && written.ItemID != id || written.Value != "" && written.Value != args.Value {
		return fmt.Errorf("POST %s: the server wrote %q on folder %d", r.path, written.Value, written.ItemID)
	}
	if args.FieldID == 0 && written.FieldID == 0 {
		field, err := v.findField(ctx)
		if err != nil {
			return fmt.Errorf("look up the new metadata field: %w", err)
		}
		written.FieldID, written.SectionID = field.ID, field.SectionID
	}
	if args.FieldID == 0 {
		v.mu.Lock()
		v.marks.field, v.marks.section = written.FieldID, written.SectionID
		v.mu.Unlock()
	}
	return nil
}

// markRefused distinguishes a folder that must not be marked from a vault that accepts no
// marks. It is the vault if the field could not be created or read either: then the journal
// holds the marks of this run and the next. If the field can be read, the next run would miss
// a mark that is only in the journal.
func (v *Vault) markRefused(ctx context.Context, id int, args markArgs, err error) error {
	if v.client.readOnly(ctx, err) {
		return fmt.Errorf("%w: %v", vault.ErrReadOnly, err)
	}
	if _, lookErr := v.fetch(ctx, id); lookErr != nil {
		if errors.Is(lookErr, vault.ErrNotFound) {
			return fmt.Errorf("folder %d cannot be seen: %w", id, lookErr)
		}
		return err
	}
	v.mu.Lock()
	whole := args.FieldID == 0 || v.marks.journal != nil
	if whole {
		v.marks.refused = err
	}
	v.mu.Unlock()
	if whole {
		return v.withoutMark(err)
	}
	var failed *Error
	if errors.As(err, &failed) && failed.denied() {
		changed := *failed
		changed.kind = vault.ErrNotAllowed
		return &changed
	}
	return err
}
