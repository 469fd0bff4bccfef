package secretservertest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stamp writes a time as Secret Server does: without a zone.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") }

func isTrue(b *bool) bool { return b != nil && *b }

// query reads parameters, whose names are compared without case, and remembers
// the first one that is wrong.
type query struct {
	values map[string][]string
	wrong  string
}

func newQuery(r *http.Request) *query {
	q := &query{values: map[string][]string{}}
	// The vendor's Go SDK still puts "paging." before the names for secrets.
	old := strings.Contains(r.URL.Path, "/secrets")
	for name, v := range r.URL.Query() {
		name = strings.ToLower(name)
		if old {
			name = strings.TrimPrefix(name, "paging.")
		}
		q.values[name] = append(q.values[name], v...)
	}
	return q
}

// text is nil where the parameter is missing or empty.
func (q *query) text(name string) *string {
	v := q.values[strings.ToLower(name)]
	if len(v) == 0 || v[0] == "" {
		return nil
	}
	return &v[0]
}

func (q *query) number(name string) *int {
	t := q.text(name)
	if t == nil {
		return nil
	}
	n64, err := strconv.ParseInt(*t, 10, 32)
	if err != nil {
		q.blame(name, *t)
		return nil
	}
	n := int(n64)
	return &n
}

func (q *query) flag(name string) *bool {
	t := q.text(name)
	if t == nil {
		return nil
	}
	b := strings.EqualFold(*t, "true")
	if !b && !strings.EqualFold(*t, "false") {
		q.blame(name, *t)
		return nil
	}
	return &b
}

func (q *query) blame(name, value string) {
	if q.wrong == "" {
		q.wrong = fmt.Sprintf("The value '%s' is not valid for %s.", value, name)
	}
}

// problem refuses the request if any parameter read so far was wrong.
func (q *query) problem(s *Server) error {
	if q.wrong != "" {
		return s.invalid("%s", q.wrong)
	}
	return nil
}

const defaultTake = 10

type sortBy struct {
	Name      string `json:"name"`
	Direction string `json:"direction"`
	Priority  int    `json:"priority"`
}

type sortKey[E any] struct {
	compare  func(a, b E) int
	desc     bool
	priority int
}

// paging is what the paging parameters ask for.
type paging[E any] struct {
	skip, take int
	sortBy     []sortBy
	keys       []sortKey[E]
}

// readPaging reads the paging parameters of a list that can be sorted by these
// fields, named in lower case, and refuses the request if these or any
// parameter read before are wrong.
func readPaging[E any](s *Server, q *query, fields map[string]func(a, b E) int) (paging[E], error) {
	p := paging[E]{take: defaultTake, sortBy: []sortBy{}}
	if n := q.number("skip"); n != nil {
		p.skip = *n
	}
	if n := q.number("take"); n != nil {
		p.take = min(*n, s.quirks.MaxTake)
	}
	for i := 0; ; i++ {
		prefix := fmt.Sprintf("sortBy[%d].", i)
		name, direction, priority := q.text(prefix+"name"), q.text(prefix+"direction"), q.number(prefix+"priority")
		if name == nil {
			break
		}
		compare, ok := fields[strings.ToLower(*name)]
		if !ok {
			q.blame(prefix+"name", *name)
			break
		}
		by := sortBy{Name: *name, Direction: "Asc", Priority: i}
		if direction != nil {
			by.Direction = *direction
		}
		if priority != nil {
			by.Priority = *priority
		}
		switch strings.ToLower(by.Direction) {
		case "asc", "desc":
			p.keys = append(p.keys, sortKey[E]{compare, strings.EqualFold(by.Direction, "desc"), by.Priority})
		case "none":
		default:
			q.blame(prefix+"direction", by.Direction)
		}
		p.sortBy = append(p.sortBy, by)
	}
	slices.SortStableFunc(p.keys, func(a, b sortKey[E]) int { return cmp.Compare(a.priority, b.priority) })
	if p.skip < 0 || p.take < 1 {
		q.blame("skip or take", fmt.Sprintf("%d, %d", p.skip, p.take))
	}
	return p, q.problem(s)
}

// sort puts a list into the order asked for, or by id if none was.
func (p paging[E]) sort(s *Server, list []E, id func(E) int) {
	if len(p.keys) == 0 && s.quirks.Shuffled {
		scatter := func(e E) uint32 { return uint32(id(e)) * 2654435761 }
		slices.SortFunc(list, func(a, b E) int { return cmp.Compare(scatter(a), scatter(b)) })
		return
	}
	slices.SortFunc(list, func(a, b E) int {
		for _, k := range p.keys {
			if c := k.compare(a, b); c != 0 {
				if k.desc {
					return -c
				}
				return c
			}
		}
		return cmp.Compare(id(a), id(b))
	})
}

// envelope is the page around every list of the API.
type envelope[T any] struct {
	Filter      any      `json:"filter"`
	Skip        int      `json:"skip"`
	Take        int      `json:"take"`
	Total       int      `json:"total"`
	PageCount   int      `json:"pageCount"`
	CurrentPage int      `json:"currentPage"`
	BatchCount  int      `json:"batchCount"`
	PrevSkip    int      `json:"prevSkip"`
	NextSkip    int      `json:"nextSkip"`
	HasPrev     bool     `json:"hasPrev"`
	HasNext     bool     `json:"hasNext"`
	Records     []T      `json:"records"`
	SortBy      []sortBy `json:"sortBy"`
	Success     bool     `json:"success"`
	Severity    string   `json:"severity"`
}

func paginate[E, T any](p paging[E], filter any, list []E, show func(E) T) envelope[T] {
	total := len(list)
	pages := (total + p.take - 1) / p.take
	from := min(p.skip, total)
	to := min(from+p.take, total)
	e := envelope[T]{
		Filter: filter, Skip: p.skip, Take: p.take, Total: total, PageCount: pages, CurrentPage: p.skip/p.take + 1, BatchCount: pages,
		PrevSkip: max(p.skip-p.take, 0), NextSkip: p.skip + p.take, HasPrev: p.skip > 0, HasNext: to < total,
		Records: make([]T, 0, to-from), SortBy: p.sortBy, Success: true, Severity: "None",
	}
	for _, x := range list[from:to] {
		e.Records = append(e.Records, show(x))
	}
	return e
}

// cached keeps what a search found until anything changes, so that reading a
// long list in pages searches once. The key is all of the request but the page.
func cached[E any](s *Server, c *call, find func() []E) []E {
	if s.foundAt != s.world.generation || len(s.found) > 64 {
		clear(s.found)
		s.foundAt = s.world.generation
	}
	rest := url.Values(maps.Clone(c.query.values))
	rest.Del("skip")
	rest.Del("take")
	key := c.user.name + " " + c.request.URL.Path + "?" + rest.Encode()
	if list, ok := s.found[key].([]E); ok {
		return list
	}
	list := find()
	s.found[key] = list
	return list
}
