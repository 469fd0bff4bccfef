package connectwisetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// draft is a copy of a company that is being written; nothing is kept of it
// when a single member is refused.
type draft struct {
	call     *call
	company  *company
	kinds    []int
	creating bool
	errors   []fieldError
}

func (d *draft) refuse(code, field, format string, args ...any) {
	d.errors = append(d.errors, fieldError{code, fmt.Sprintf(format, args...), "company", field})
}

// typesMember is the name of the member that holds the types in this model.
func (c *call) typesMember() string {
	switch {
	case c.version >= sinceTypes:
		return "types"
	case c.version >= sinceTypeIDs:
		return "typeIds"
	}
	return "type"
}

// companyMember reports whether a company has a member of this name that can
// be sent. Real members that the simulator does not model are refused with
// the unknown ones, and not dropped in silence.
func (c *call) companyMember(name string) bool {
	switch name {
	case "id", "identifier", "name", "status", "territory", "market", "parentCompany", "site", "deletedFlag", "customFields", "_info":
		return true
	case c.typesMember():
		return true
	}
	return slices.ContainsFunc(plainFields, func(p plainField) bool { return p.name == name })
}

// set writes one member of the body. raw is "null" to remove it.
func (d *draft) set(name string, raw json.RawMessage) error {
	c, w := d.company, d.call.w
	switch name {
	case "id", "_info", "site": // read-only, or checked in createCompany
		return nil
	case "identifier":
		return decode(raw, name, &c.Identifier)
	case "name":
		return decode(raw, name, &c.Name)
	case "deletedFlag":
		return d.deleted(name, raw)
	case "status":
		return d.reference(name, "companyStatus", raw, w.statuses, &c.status)
	case "territory":
		return d.reference(name, "location", raw, w.territories, &c.territory)
	case "market":
		return d.reference(name, "marketDescription", raw, w.markets, &c.market)
	case "parentCompany":
		return d.parent(name, raw)
	case "types", "typeIds", "type":
		return d.types(name, raw)
	case "customFields":
		return d.customFields(raw)
	}
	return d.plain(name, raw)
}

// isNull reports whether a member is to be removed.
func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

func (d *draft) deleted(name string, raw json.RawMessage) error {
	var deleted bool
	if err := decode(raw, name, &deleted); err != nil {
		return err
	}
	c, w := d.company, d.call.w
	if deleted == c.Deleted {
		return nil
	}
	c.Deleted, c.DateDeleted, c.DeletedBy = deleted, time.Time{}, ""
	if deleted {
		c.DateDeleted, c.DeletedBy = w.clock(), w.updatedBy
	}
	return nil
}

func (d *draft) parent(name string, raw json.RawMessage) error {
	d.company.parent = nil
	if isNull(raw) {
		return nil
	}
	parent, err := d.call.resolveCompany(raw, name)
	if parent == nil && err == nil {
		d.refuse("NotFound", name+"/id", "company %s not found", refText(raw))
	}
	d.company.parent = parent
	return err
}

// plain writes a member that stands for itself.
func (d *draft) plain(name string, raw json.RawMessage) error {
	c := d.company
	i := slices.IndexFunc(plainFields, func(p plainField) bool { return p.name == name })
	p := plainFields[i] // companyMember accepts only known names
	if isNull(raw) {
		delete(c.Fields, name)
		return nil
	}
	var v any
	var err error
	switch p.kind {
	case integer:
		v, err = decoded[int](raw, name)
	case number:
		v, err = decoded[float64](raw, name)
	case boolean:
		v, err = decoded[bool](raw, name)
	default:
		v, err = decoded[string](raw, name)
	}
	if err != nil {
		return err
	}
	if s, ok := v.(string); ok && p.kind == moment && !wireDate(s) {
		d.refuse("InvalidFormat", name, "String was not recognized as a valid DateTime.")
	}
	if c.Fields == nil {
		c.Fields = map[string]any{}
	}
	c.Fields[name] = v
	return nil
}

func decode[V any](raw json.RawMessage, name string, into *V) error {
	v, err := decoded[V](raw, name)
	*into = v
	return err
}

func decoded[V any](raw json.RawMessage, name string) (V, error) {
	var v V
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, badRequest("The value of '%s' is not valid.%s", name, checkAccept)
	}
	return v, nil
}

// reference is the body's form of a reference: by id, identifier or name.
type reference struct {
	ID         *int    `json:"id"`
	Identifier *string `json:"identifier"`
	Name       *string `json:"name"`
}

// refText is what an error text says was not found.
func refText(raw json.RawMessage) string {
	var ref reference
	_ = json.Unmarshal(raw, &ref) // a reference that was read before
	switch {
	case ref.ID != nil:
		return strconv.Itoa(*ref.ID)
	case ref.Identifier != nil:
		return *ref.Identifier
	case ref.Name != nil:
		return *ref.Name
	}
	return ""
}

// resolve finds the entry that a reference means; nil when there is none.
func resolve(raw json.RawMessage, name string, entries []*entry) (*entry, error) {
	ref, err := decoded[reference](raw, name)
	if err != nil || !isObject(raw) {
		return nil, badRequest("The value of '%s' is not a reference.", name)
	}
	for _, e := range entries {
		if ref.ID != nil && e.id == *ref.ID || ref.ID == nil && ref.Name != nil && strings.EqualFold(e.name, *ref.Name) {
			return e, nil
		}
	}
	return nil, nil
}

func (c *call) resolveCompany(raw json.RawMessage, name string) (*company, error) {
	ref, err := decoded[reference](raw, name)
	if err != nil || !isObject(raw) {
		return nil, badRequest("The value of '%s' is not a reference.", name)
	}
	for _, company := range c.w.companies {
		switch {
		case ref.ID != nil && company.ID != *ref.ID,
			ref.ID == nil && (ref.Identifier == nil || !strings.EqualFold(company.Identifier, *ref.Identifier)),
			!c.sees(company):
		default:
			return company, nil
		}
	}
	return nil, nil
}

func (d *draft) reference(name, resource string, raw json.RawMessage, entries []*entry, into **entry) error {
	*into = nil
	if string(raw) == "null" {
		return nil
	}
	e, err := resolve(raw, name, entries)
	if err != nil {
		return err
	}
	if e == nil {
		d.refuse("NotFound", name+"/id", "%s %s not found", resource, refText(raw))
	}
	*into = e
	return nil
}

// types reads the types of a new company in the form of this model.
func (d *draft) types(name string, raw json.RawMessage) error {
	if !d.creating {
		return badRequest("typeIds can only be used when creating a new company.")
	}
	var refs []json.RawMessage
	switch name {
	case "type":
		refs = []json.RawMessage{raw}
	default:
		if err := decode(raw, name, &refs); err != nil {
			return err
		}
	}
	d.kinds = nil
	for _, ref := range refs {
		if name == "typeIds" {
			ref = fmt.Appendf(nil, `{"id":%s}`, ref)
		}
		k, err := resolve(ref, name, d.call.w.kinds)
		if err != nil {
			return err
		}
		if k == nil {
			d.refuse("NotFound", name+"/id", "companyType %s not found", refText(ref))
			continue
		}
		if !slices.Contains(d.kinds, k.id) {
			d.kinds = append(d.kinds, k.id)
		}
	}
	return nil
}

// customFields takes the array of all custom fields; a single one cannot be
// written (Developer Guide). That an incomplete array is refused is a guess,
// the choice that harms no data.
func (d *draft) customFields(raw json.RawMessage) error {
	var sent []struct {
		ID    int `json:"id"`
		Value any `json:"value"`
	}
	if err := decode(raw, "customFields", &sent); err != nil {
		return err
	}
	values := map[int]any{}
	for _, f := range sent {
		if !slices.ContainsFunc(d.call.w.customs, func(c CustomField) bool { return c.ID == f.ID }) {
			d.refuse("NotFound", "customFields", "customField %d not found", f.ID)
		}
		switch v := f.Value.(type) {
		case nil:
			values[f.ID] = nil
		case string, bool, float64:
			values[f.ID] = v
		default:
			d.refuse("InvalidFormat", "customFields", "The value of custom field %d is not valid.", f.ID)
		}
	}
	for _, f := range d.call.w.customs {
		if _, there := values[f.ID]; !there && !d.creating {
			d.refuse("MissingRequired", "customFields", "The custom field %s is missing; send all of them.", f.Caption)
		}
	}
	maps.DeleteFunc(values, func(_ int, v any) bool { return v == nil })
	d.company.CustomFields = values
	return nil
}

// check validates the whole record, stored values included: one that went bad
// long ago makes every write fail.
func (d *draft) check() error {
	c, w := d.company, d.call.w
	nameMax, identifierMax := 50, 30
	if d.call.version >= sinceLongNames {
		nameMax, identifierMax = 156, 156
	}
	for _, m := range []struct {
		field, value string
		max          int
	}{{"identifier", c.Identifier, identifierMax}, {"name", c.Name, nameMax}} {
		if strings.TrimSpace(m.value) == "" {
			d.refuse("MissingRequired", m.field, "The %s field is required.", m.field)
		}
		d.checkLength(m.field, m.value, m.max)
	}
	if slices.ContainsFunc(w.companies, func(o *company) bool { return o.ID != c.ID && strings.EqualFold(o.Identifier, c.Identifier) }) {
		d.refuse("ObjectExists", "identifier", "A company with the identifier %s exists already.", c.Identifier)
	}
	for _, p := range plainFields {
		v, set := c.Fields[p.name]
		if s, ok := v.(string); ok {
			if p.kind == moment && !wireDate(s) && len(d.errors) == 0 {
				return &apiError{status: http.StatusInternalServerError, code: "ConnectWiseApi", message: "String was not recognized as a valid DateTime."}
			}
			d.checkLength(p.name, s, p.max)
		}
		if set && (p.name == "yearEstablished" || p.name == "revenueYear") {
			if n, ok := v.(int); !ok || n < 1900 || n > 9999 {
				d.refuse("OutOfRange", p.name, "The field %s must be between 1900 and 9999.", p.name)
			}
		}
	}
	if len(d.errors) > 0 {
		return invalidObject("company", d.errors...)
	}
	return nil
}

func (d *draft) checkLength(field, value string, limit int) {
	if n := len([]rune(value)); limit > 0 && n > limit {
		d.refuse("MaxLength", field, "The field %s must have at most %d characters.", field, limit)
	}
}

func createCompany(c *call) (*Response, error) {
	members, err := c.members("Company", c.companyMember)
	if err != nil {
		return nil, err
	}
	d := &draft{call: c, company: &company{}, creating: true}
	site := ""
	for _, m := range members {
		if m.name == "site" {
			var ref reference
			if err := decode(m.value, m.name, &ref); err != nil {
				return nil, err
			}
			if ref.Name != nil {
				site = *ref.Name
			}
		}
		if m.name == "deletedFlag" {
			continue // nothing is created deleted
		}
		if err := d.set(m.name, m.value); err != nil {
			return nil, err
		}
	}
	if site == "" {
		d.refuse("MissingRequired", "site/name", "Company Site name is required.")
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	in := d.company.snapshot()
	in.Types = d.kinds
	made := c.w.add(in)
	return c.created(companyTable, "company/companies", made.ID, made), nil
}

// patchOp is one operation of the PATCH dialect.
type patchOp struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

// patchOps reads the body, which must be an array of operations. A path is the
// bare, case-sensitive name of a member; a slash in front is tolerated.
func (c *call) patchOps() ([]patchOp, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(c.body), []byte("[")) {
		return nil, badRequest("The request body was not in the expected array format.")
	}
	var ops []patchOp
	if err := json.Unmarshal(c.body, &ops); err != nil {
		return nil, badRequest("The request body is not a valid list of patch operations.")
	}
	for i := range ops {
		op := &ops[i]
		op.Path = strings.TrimPrefix(op.Path, "/")
		switch op.Op {
		case "add", "replace":
			if op.Value == nil {
				return nil, badRequest("The patch operation on '%s' has no value.", op.Path)
			}
		case "remove":
			op.Value = json.RawMessage("null")
		default:
			return nil, badRequest("The patch operation '%s' is not supported.", op.Op)
		}
	}
	return ops, nil
}

func patchCompany(c *call) (*Response, error) {
	target, err := c.visibleCompany(c.ids[0])
	if err != nil {
		return nil, err
	}
	ops, err := c.patchOps()
	if err != nil {
		return nil, err
	}
	changed := *target
	changed.Fields = maps.Clone(target.Fields)
	d := &draft{call: c, company: &changed}
	for _, op := range ops {
		name, sub, _ := strings.Cut(op.Path, "/")
		if !c.companyMember(name) {
			return nil, badRequest("The path '%s' of the patch operation is not valid.", op.Path)
		}
		if sub != "" {
			continue // the false 200: a part of a reference is accepted and not changed
		}
		if err := d.set(name, op.Value); err != nil {
			return nil, err
		}
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	action := "updated"
	if changed.Deleted && !target.Deleted {
		action = "deleted"
	}
	*target = changed
	c.w.changed(target, action)
	return companyTable.answer(c, http.StatusOK, target), nil
}

func deleteCompany(c *call) (*Response, error) {
	target, err := c.visibleCompany(c.ids[0])
	if err != nil {
		return nil, err
	}
	c.w.delete(target)
	return c.reply(http.StatusNoContent, nil), nil
}

// mergeCompany merges the company of the path into toCompanyId. The choices
// which record's value to keep are taken, and the target's are kept always.
func mergeCompany(c *call) (*Response, error) {
	from, err := c.visibleCompany(c.ids[0])
	if err != nil {
		return nil, err
	}
	var body struct {
		ToCompanyID int `json:"toCompanyId"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil {
		return nil, badRequest("The request body is not a valid CompanyMerge object.")
	}
	into := c.w.company(body.ToCompanyID)
	if into == nil || into == from || !c.sees(into) {
		return nil, invalidObject("companyMerge", fieldError{"NotFound", fmt.Sprintf("company %d not found", body.ToCompanyID), "companyMerge", "toCompanyId"})
	}
	c.w.merge(from, into)
	return c.reply(http.StatusOK, []byte(`{"success":true,"message":"The companies were merged."}`)), nil
}

// createAssociation gives a company one more type. The company is in the path
// or in the body.
func createAssociation(c *call) (*Response, error) {
	members, err := c.members("CompanyTypeAssociation", func(name string) bool {
		return name == "id" || name == "type" || name == "company" || name == "_info"
	})
	if err != nil {
		return nil, err
	}
	var target *company
	var kind *entry
	if len(c.ids) > 0 {
		if target, err = c.visibleCompany(c.ids[0]); err != nil {
			return nil, err
		}
	}
	for _, m := range members {
		switch {
		case m.name == "type":
			kind, err = resolve(m.value, m.name, c.w.kinds)
		case m.name == "company" && target == nil:
			target, err = c.resolveCompany(m.value, m.name)
		}
		if err != nil {
			return nil, err
		}
	}
	const resource = "companyTypeAssociation"
	switch {
	case target == nil:
		return nil, invalidObject(resource, fieldError{"NotFound", "company not found", resource, "company/id"})
	case kind == nil:
		return nil, invalidObject(resource, fieldError{"NotFound", "companyType not found", resource, "type/id"})
	case slices.ContainsFunc(target.types, func(a *association) bool { return a.kind == kind }):
		return nil, invalidObject(resource, fieldError{"ObjectExists", "The company has this type already.", resource, "type/id"})
	}
	made := &association{id: c.w.nextID("association"), company: target, kind: kind}
	target.types = append(target.types, made)
	c.w.changed(target, "updated")
	return c.created(allAssociations, "company/companyTypeAssociations", made.id, made), nil
}

func deleteAssociation(c *call) (*Response, error) {
	id := c.ids[len(c.ids)-1]
	for _, company := range c.w.companies {
		i := slices.IndexFunc(company.types, func(a *association) bool { return a.id == id })
		if i < 0 || len(c.ids) == 2 && company.ID != c.ids[0] || !c.sees(company) {
			continue
		}
		company.types = slices.Delete(slices.Clone(company.types), i, i+1)
		c.w.changed(company, "updated")
		return c.reply(http.StatusNoContent, nil), nil
	}
	return nil, notFound("companyTypeAssociation", id)
}
