package connectwisetest

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
	"strings"
	"time"
)

// kind is what a field holds.
type kind int

const (
	text kind = iota
	integer
	number
	boolean
	moment
	enum
	anything // a custom field's value
	href     // a path below the API base; in _info only
	object   // sub holds its fields, which take the same row
	list     // elems gives the elements, sub their fields (none: plain values)
)

// literal is the kind of literal that a field of kind k is compared with.
func (k kind) literal() literalKind {
	switch k {
	case integer, number:
		return litNumber
	case boolean:
		return litBoolean
	case moment:
		return litDate
	}
	return litString
}

// field is one name of a resource. The same declaration serves the answers,
// the projection, the conditions and the order.
type field struct {
	name   string
	kind   kind
	get    func(row any) any // string, int, float64, bool, time.Time; nil where the row has none
	sub    []field
	elems  func(row any) []any
	values []string // of an enum
	hidden bool     // a name for conditions and orderBy that no answer shows
}

// col declares a plain field of rows of type R.
func col[R any](name string, k kind, get func(R) any) field {
	return field{name: name, kind: k, get: func(row any) any { return get(row.(R)) }}
}

// info declares the _info member, which conditions do not know.
func info(sub ...field) field { return field{name: "_info", kind: object, sub: sub} }

// link declares an _info entry with the address of something related.
func link[R any](name string, path func(R) string) field {
	return col(name, href, func(r R) any { return path(r) })
}

// optional returns nil for the zero value: the server leaves nulls out.
func optional[V comparable](v V) any {
	var zero V
	if v == zero {
		return nil
	}
	return v
}

// refTo declares a reference {id, name, _info} to a row of a setup table.
func refTo[R any](name string, get func(R) *entry, hrefName, path string) field {
	of := func(f func(*entry) any) func(R) any {
		return func(r R) any {
			if e := get(r); e != nil {
				return f(e)
			}
			return nil
		}
	}
	fields := []field{
		col("id", integer, of(func(e *entry) any { return e.id })),
		col("name", text, of(func(e *entry) any { return e.name })),
	}
	if path != "" {
		fields = append(fields, info(col(hrefName, href, of(func(e *entry) any { return path + "/" + strconv.Itoa(e.id) }))))
	}
	return field{name: name, kind: object, sub: fields}
}

// table is a resource: its fields and its rows.
type table struct {
	resource string // as error texts call it
	right    func(Role) bool
	fields   func(c *call) []field
	// rows yields the rows with an id above after, in order of id.
	rows func(c *call, after int) iter.Seq[any]
	id   func(row any) int
	// parent checks the id in the path that the rows belong to; may be nil.
	parent func(c *call) error
}

// find returns the field of this path ("status/name", any case) that
// conditions and orderBy may use, or nil. Arrays are not among them.
func find(fields []field, path string) *field {
	head, rest, nested := strings.Cut(path, "/")
	for i := range fields {
		f := &fields[i]
		if !strings.EqualFold(f.name, head) {
			continue
		}
		switch {
		case f.name == "_info" || f.kind == list || f.kind == href:
			return nil
		case f.kind == object && nested:
			return find(f.sub, rest)
		case f.kind == object || nested:
			return nil
		}
		return f
	}
	return nil
}

// findIn returns the lookup for childConditions: names below an array.
func findIn(fields []field, array **field) func(string) *field {
	return func(path string) *field {
		head, rest, _ := strings.Cut(path, "/")
		for i := range fields {
			f := &fields[i]
			if f.kind == list && f.name != "customFields" && strings.EqualFold(f.name, head) && (*array == nil || *array == f) {
				if found := find(f.sub, rest); found != nil {
					*array = f
					return found
				}
			}
		}
		return nil
	}
}

// projection is a parsed fields parameter: the wanted names in lower case and
// below each what of it is wanted. Nil wants everything.
type projection map[string]projection

func parseProjection(s string) projection {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	top := projection{}
	for _, path := range strings.Split(s, ",") {
		at := top
		parts := strings.Split(strings.ToLower(strings.TrimSpace(path)), "/")
		for i, part := range parts {
			below, known := at[part]
			if known && below == nil {
				break // already wanted whole
			}
			if i == len(parts)-1 {
				at[part] = nil
				break
			}
			if below == nil {
				below = projection{}
				at[part] = below
			}
			at = below
		}
	}
	return top
}

// of returns those of the fields that answers show and the projection wants.
func (p projection) of(fields []field) []field {
	out := make([]field, 0, len(fields))
	for _, f := range fields {
		below, wanted := p[strings.ToLower(f.name)]
		if f.hidden || p != nil && !wanted {
			continue
		}
		if f.sub != nil {
			f.sub = below.of(f.sub)
		}
		out = append(out, f)
	}
	return out
}

// writeRow appends a row as a JSON object. base is the address of the API.
func writeRow(b *bytes.Buffer, fields []field, row any, base string) {
	b.WriteByte('{')
	empty := true
	for i := range fields {
		f := &fields[i]
		start := b.Len()
		if !empty {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(f.name)
		b.WriteString(`":`)
		if writeField(b, f, row, base) {
			empty = false
		} else {
			b.Truncate(start)
		}
	}
	b.WriteByte('}')
}

// writeField appends the value of a field and reports whether there is one.
func writeField(b *bytes.Buffer, f *field, row any, base string) bool {
	switch f.kind {
	case object:
		start := b.Len()
		writeRow(b, f.sub, row, base)
		return b.Len() > start+len("{}")
	case list:
		elems := f.elems(row)
		if elems == nil {
			return false
		}
		b.WriteByte('[')
		for i, e := range elems {
			if i > 0 {
				b.WriteByte(',')
			}
			if f.sub == nil {
				writeValue(b, e)
			} else {
				writeRow(b, f.sub, e, base)
			}
		}
		b.WriteByte(']')
		return true
	}
	v := f.get(row)
	if v == nil {
		return false
	}
	if s, ok := v.(string); ok && f.kind == href {
		v = base + s
	}
	writeValue(b, v)
	return true
}

// wireTime is how dates look on the wire: UTC, whole seconds.
const wireTime = "2006-01-02T15:04:05Z"

func writeValue(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case string:
		writeString(b, v)
	case int:
		b.WriteString(strconv.Itoa(v))
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case float64:
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		b.WriteString(s)
	case time.Time:
		b.WriteString(v.UTC().Format(`"` + wireTime + `"`))
	}
}

// writeString appends a JSON string without the escapes that encoding/json
// adds for browsers: the server has none either.
func writeString(b *bytes.Buffer, s string) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			e := json.NewEncoder(b)
			e.SetEscapeHTML(false)
			if e.Encode(s) == nil { // a string cannot fail
				b.Truncate(b.Len() - len("\n"))
			}
			return
		}
	}
	b.WriteByte('"')
	b.WriteString(s)
	b.WriteByte('"')
}
