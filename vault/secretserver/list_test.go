package secretserver

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	gosync "sync"
	"testing"

	"cwvault/vault"
)

// pager answers searches over n records with pages of at most limit.
type pager struct {
	n, limit int
	edit     func(call int, p *pagerAnswer) // what goes wrong

	mu   gosync.Mutex
	call int
}

type pagerAnswer struct {
	status     int
	from, to   int // records
	total      int
	hasNext    bool
	body       string // in place of all that
	skip, take int
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	skip, _ := strconv.Atoi(r.FormValue("skip"))
	take, err := strconv.Atoi(r.FormValue("take"))
	if err != nil {
		take = 10
	}
	a := pagerAnswer{status: 200, from: min(skip, p.n), to: min(skip+min(take, p.limit), p.n), total: p.n, skip: skip, take: take}
	a.hasNext = a.to < p.n
	p.mu.Lock()
	p.call++
	if p.edit != nil {
		p.edit(p.call, &a)
	}
	p.mu.Unlock()
	if a.body == "" {
		var records []string
		for id := a.from; id < a.to; id++ {
			records = append(records, fmt.Sprintf(`{"id":%d}`, id+1))
		}
		a.body = envelope(a.total, a.hasNext, records...)
	}
	reply(w, a.status, a.body)
}

func TestList(t *testing.T) {
	tests := map[string]struct {
		n, limit int
		edit     func(call int, a *pagerAnswer)
		want     int // records; -1: an error
		calls    int
		err      error
	}{
		"nothing":              {n: 0, limit: 500, want: 0, calls: 1},
		"nothing, as in Cloud": {limit: 500, edit: func(_ int, a *pagerAnswer) { a.status, a.body = 404, `{"message":"Not found"}` }, want: 0, calls: 1},
		"nothing, says nobody": {limit: 500, edit: func(_ int, a *pagerAnswer) { a.status, a.body = 404, `` }, want: 0, calls: 1},
		"nothing, says a proxy": {limit: 500, edit: func(_ int, a *pagerAnswer) { a.status, a.body = 404, `<html>` },
			want: -1, calls: 1},
		"one page":            {n: 500, limit: 500, want: 500, calls: 1},
		"two pages":           {n: 501, limit: 500, want: 501, calls: 2},
		"many pages":          {n: 4321, limit: 10000, want: 4321, calls: 9},
		"the server's limit":  {n: 950, limit: 100, want: 950, calls: 10},
		"less than the limit": {n: 1500, limit: 500, edit: func(call int, a *pagerAnswer) { a.short(call == 2, 100) }, want: 1500, calls: 4},
		"two records by two records": {n: 9, limit: 500, edit: func(_ int, a *pagerAnswer) { a.short(a.to-a.from > 2, a.to-a.from-2) },
			want: 9, calls: 5},
		"the total changes once": {n: 1200, limit: 500, edit: func(call int, a *pagerAnswer) {
			if call == 1 {
				a.total = 1201
			}
		}, want: 1200},
		"the total changes always": {n: 1200, limit: 500, edit: func(call int, a *pagerAnswer) { a.total += call },
			want: -1, err: vault.ErrUnavailable},
		"grows meanwhile": {n: 1200, limit: 500, edit: func(call int, a *pagerAnswer) {
			if call <= 3 && a.skip == 1000 {
				a.total, a.hasNext = 1201, true
			}
		}, want: 1200},
		"another total on a page in the middle": {n: 1200, limit: 500, edit: func(_ int, a *pagerAnswer) {
			if a.skip == 500 {
				a.total++
			}
		}, want: -1, err: vault.ErrUnavailable},
		"a record twice": {n: 1200, limit: 500, edit: func(_ int, a *pagerAnswer) {
			if a.skip == 500 {
				a.from, a.to = a.from-1, a.to-1
			}
		}, want: -1, calls: 6, err: vault.ErrUnavailable},
		"a page lost": {n: 1200, limit: 500, edit: func(_ int, a *pagerAnswer) {
			if a.skip == 500 {
				a.to = a.from
			}
		}, want: -1, err: vault.ErrUnavailable},
		"an early end": {n: 1200, limit: 500, edit: func(_ int, a *pagerAnswer) { a.hasNext = false },
			want: -1, calls: 2, err: vault.ErrUnavailable},
		"fewer than the total": {n: 400, limit: 500, edit: func(_ int, a *pagerAnswer) { a.total = 401 },
			want: -1, calls: 2, err: vault.ErrUnavailable},
		"a next page of nothing": {limit: 500, edit: func(_ int, a *pagerAnswer) { a.hasNext = true },
			want: -1, calls: 2, err: vault.ErrUnavailable},
		"a later page not found": {n: 1200, limit: 500, edit: func(_ int, a *pagerAnswer) {
			if a.skip == 1000 {
				a.status, a.body = 404, `{"message":"Not found"}`
			}
		}, want: -1, err: vault.ErrNotFound},
		"no records": {n: 5, limit: 500, edit: func(_ int, a *pagerAnswer) { a.body = `{"total":5,"hasNext":false}` },
			want: -1, calls: 2, err: vault.ErrUnavailable},
		"another answer": {n: 5, limit: 500, edit: func(_ int, a *pagerAnswer) { a.body = `{"message":"hello"}` },
			want: -1, calls: 2, err: vault.ErrUnavailable},
		"a failed search": {n: 5, limit: 500, edit: func(_ int, a *pagerAnswer) { a.body = `{"total":0,"success":false,"severity":"Fatal","records":[]}` },
			want: -1, calls: 2, err: vault.ErrUnavailable},
		"refused": {n: 5, limit: 500, edit: func(_ int, a *pagerAnswer) { a.status, a.body = 400, denied },
			want: -1, calls: 1, err: vault.ErrNotFound},
		"one 500": {n: 1200, limit: 500, edit: func(call int, a *pagerAnswer) {
			if call == 2 {
				a.status, a.body = 500, `{"message":"An error has occurred."}`
			}
		}, want: 1200, calls: 4},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, routes{"GET /v1/folders": (&pager{n: test.n, limit: test.limit, edit: test.edit}).ServeHTTP})
			records, err := list(t.Context(), f.open(), foldersPath, nil, func(f folder) int { return f.ID })
			if test.want < 0 {
				if err == nil || len(records) > 0 || test.err != nil && !errors.Is(err, test.err) {
					t.Errorf("%d records and %v, want none and %v", len(records), err, test.err)
				}
			} else if err != nil || len(records) != test.want {
				t.Errorf("%d records and %v, want %d", len(records), err, test.want)
			}
			for i, r := range records {
				if r.ID != i+1 {
					t.Fatalf("record %d has id %d", i, r.ID)
				}
			}
			calls := f.take()
			if test.calls > 0 && len(calls) != test.calls {
				t.Errorf("%d calls, want %d:\n%s", len(calls), test.calls, strings.Join(calls, "\n"))
			}
		})
	}
}

// short leaves out the last n records of a page.
func (a *pagerAnswer) short(really bool, n int) {
	if really {
		a.to -= n
		a.hasNext = true
	}
}

func TestPagesAreReadAtTheSameTime(t *testing.T) {
	var mu gosync.Mutex
	now, most := 0, 0
	all := make(chan struct{})
	pages := &pager{n: 2000, limit: 100}
	f := newFake(t, routes{"GET /v1/folders": func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("skip") != "0" {
			mu.Lock()
			if now++; now > most {
				if most = now; most == 4 {
					close(all)
				}
			}
			mu.Unlock()
			<-all // nobody goes on before four are here
			defer func() { mu.Lock(); now--; mu.Unlock() }()
		}
		pages.ServeHTTP(w, r)
	}})
	v := f.open(func(c *Config) { c.Workers = 4 })
	if records, err := list(t.Context(), v, foldersPath, nil, func(f folder) int { return f.ID }); err != nil || len(records) != 2000 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if most != 4 {
		t.Errorf("%d pages at the same time, want 4", most)
	}
}
