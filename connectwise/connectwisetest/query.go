package connectwisetest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// query is what a list request asks for.
type query struct {
	wanted   filter
	fields   []field
	show     []field // what the answer has of them
	order    []orderItem
	page     int
	pageSize int
	pageID   int
}

type orderItem struct {
	field *field
	desc  bool
}

const (
	defaultPageSize = 25
	maxPageSize     = 1000
	maxURL          = 10_000 // characters; above it the Developer Guide wants POST /search, which companies do not have
)

func (c *call) parseQuery(t *table) (query, error) {
	values := c.r.URL.Query()
	q := query{fields: t.fields(c)}
	q.show = parseProjection(values.Get("fields")).of(q.fields)
	var err error
	if q.wanted, err = parseFilters(values, q.fields); err != nil {
		return q, err
	}
	if q.order, err = parseOrder(values.Get("orderBy"), q.fields); err != nil {
		return q, err
	}
	if c.forwardOnly && len(q.order) > 0 {
		return q, badRequest("orderBy is not supported with forward-only pagination.")
	}
	for _, p := range []struct {
		name string
		into *int
	}{{"page", &q.page}, {"pageSize", &q.pageSize}, {"pageId", &q.pageID}} {
		s := values.Get(p.name)
		if s == "" {
			continue
		}
		if *p.into, err = strconv.Atoi(s); err != nil || *p.into < 0 {
			return q, badRequest("The value '%s' is not valid for %s.", s, p.name)
		}
	}
	q.page = max(q.page, 1)
	if q.pageSize == 0 {
		q.pageSize = defaultPageSize
	}
	q.pageSize = min(q.pageSize, c.behaviour.PageCap)
	return q, nil
}

// parseFilters joins conditions, childConditions and customFieldConditions.
// Each of the latter two holds when one element of the array meets all of it.
func parseFilters(values url.Values, fields []field) (filter, error) {
	compiled := func(param string, a allow) (filter, error) {
		n, err := parseConditions(values.Get(param))
		if err != nil || n == nil {
			return nil, err
		}
		return compile(n, a)
	}
	anyOf := func(array *field, f filter) filter {
		return func(row any) bool { return slices.ContainsFunc(array.elems(row), f) }
	}
	var all []filter
	f, err := compiled("conditions", allow{in: true, find: func(name string) *field { return find(fields, name) }})
	if err != nil {
		return nil, err
	}
	if f != nil {
		all = append(all, f)
	}
	var array *field
	if f, err = compiled("childConditions", allow{find: findIn(fields, &array)}); err != nil {
		return nil, err
	}
	if f != nil {
		all = append(all, anyOf(array, f))
	}
	custom := slices.IndexFunc(fields, func(f field) bool { return f.name == "customFields" })
	if f, err = compiled("customFieldConditions", allow{find: func(name string) *field {
		if custom < 0 {
			return nil
		}
		return find(fields[custom].sub, name)
	}}); err != nil {
		return nil, err
	}
	if f != nil {
		all = append(all, anyOf(&fields[custom], f))
	}
	return func(row any) bool {
		for _, f := range all {
			if !f(row) {
				return false
			}
		}
		return true
	}, nil
}

func parseOrder(s string, fields []field) ([]orderItem, error) {
	var out []orderItem
	for _, part := range strings.Split(s, ",") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		f := find(fields, words[0])
		if f == nil {
			return nil, conditionError("%s is not a recognized name.", words[0])
		}
		desc := len(words) == 2 && strings.EqualFold(words[1], "desc")
		if len(words) > 2 || len(words) == 2 && !desc && !strings.EqualFold(words[1], "asc") {
			return nil, badRequest("The value '%s' is not valid for orderBy.", s)
		}
		out = append(out, orderItem{f, desc})
	}
	return out, nil
}

func sortRows(rows []any, order []orderItem) {
	slices.SortStableFunc(rows, func(a, b any) int {
		for _, o := range order {
			c := compareValues(o.field.get(a), o.field.get(b))
			if o.desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
}

// compareValues orders two values of one field; a missing one comes first.
func compareValues(a, b any) int {
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			return cmp.Compare(strings.ToLower(a), strings.ToLower(b))
		}
	case int:
		if b, ok := b.(int); ok {
			return cmp.Compare(a, b)
		}
	case float64:
		if b, ok := b.(float64); ok {
			return cmp.Compare(a, b)
		}
	case bool:
		if b, ok := b.(bool); ok && a != b {
			if a {
				return 1
			}
			return -1
		}
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b)
		}
	}
	switch {
	case a == nil && b != nil:
		return -1
	case a != nil && b == nil:
		return 1
	}
	return 0
}

// list answers with a page of the table.
func (t *table) list(c *call) (*Response, error) {
	if err := t.admit(c); err != nil {
		return nil, err
	}
	q, err := c.parseQuery(t)
	if err != nil {
		return nil, err
	}
	var rows []any
	linkHeader, linked := "", true
	if c.forwardOnly {
		rows, linkHeader = t.forwardPage(c, q)
	} else {
		rows, linkHeader = t.numberedPage(c, q)
		linked = linkHeader != ""
	}
	var b bytes.Buffer
	b.WriteByte('[')
	for i, row := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		writeRow(&b, q.show, row, c.base)
	}
	b.WriteByte(']')
	resp := c.reply(http.StatusOK, b.Bytes())
	if linked {
		resp.Header["Link"] = []string{linkHeader}
	}
	return resp, nil
}

// forwardPage returns the rows after pageId and the Link header, which names
// the last id, or is empty when nothing follows.
func (t *table) forwardPage(c *call, q query) (rows []any, linkHeader string) {
	for row := range t.rows(c, q.pageID) {
		if !q.wanted(row) {
			continue
		}
		if len(rows) == q.pageSize {
			return rows, c.pageLink("pageId", t.id(rows[len(rows)-1]), "next")
		}
		rows = append(rows, row)
	}
	return rows, ""
}

func (t *table) numberedPage(c *call, q query) (rows []any, linkHeader string) {
	for row := range t.rows(c, 0) {
		if q.wanted(row) {
			rows = append(rows, row)
		}
	}
	sortRows(rows, q.order)
	last := max(1, (len(rows)+q.pageSize-1)/q.pageSize)
	var links []string
	if q.page > 1 {
		links = append(links, c.pageLink("page", 1, "first"), c.pageLink("page", min(q.page-1, last), "prev"))
	}
	if q.page < last {
		links = append(links, c.pageLink("page", q.page+1, "next"), c.pageLink("page", last, "last"))
	}
	if q.page > last {
		return nil, strings.Join(links, ", ")
	}
	from := (q.page - 1) * q.pageSize
	return rows[from:min(from+q.pageSize, len(rows))], strings.Join(links, ", ")
}

// pageLink returns one entry of a Link header: this request with another page,
// which is the last parameter, as clients' patterns expect.
func (c *call) pageLink(param string, value int, rel string) string {
	v := c.r.URL.Query()
	v.Del("page")
	v.Del("pageId")
	rest := v.Encode()
	if rest != "" {
		rest += "&"
	}
	return "<" + c.base + c.path + "?" + rest + param + "=" + strconv.Itoa(value) + `>; rel="` + rel + `"`
}

// count answers {"count":N} for the same filters.
func (t *table) count(c *call) (*Response, error) {
	if err := t.admit(c); err != nil {
		return nil, err
	}
	wanted, err := parseFilters(c.r.URL.Query(), t.fields(c))
	if err != nil {
		return nil, err
	}
	n := 0
	for row := range t.rows(c, 0) {
		if wanted(row) {
			n++
		}
	}
	return c.reply(http.StatusOK, []byte(`{"count":`+strconv.Itoa(n)+`}`)), nil
}

// one answers with the row whose id is the last one of the path.
func (t *table) one(c *call) (*Response, error) {
	if err := t.admit(c); err != nil {
		return nil, err
	}
	id := c.ids[len(c.ids)-1]
	for row := range t.rows(c, id-1) {
		if t.id(row) == id {
			return t.answer(c, http.StatusOK, row), nil
		}
		break
	}
	return nil, notFound(t.resource, id)
}

// answer returns a response with one row.
func (t *table) answer(c *call, status int, row any) *Response {
	var b bytes.Buffer
	writeRow(&b, parseProjection(c.r.URL.Query().Get("fields")).of(t.fields(c)), row, c.base)
	return c.reply(status, b.Bytes())
}

// admit checks the row that the rows belong to.
func (t *table) admit(c *call) error {
	if t.parent == nil {
		return nil
	}
	return t.parent(c)
}

// isObject reports whether raw is a JSON object.
func isObject(raw json.RawMessage) bool { return bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) }
