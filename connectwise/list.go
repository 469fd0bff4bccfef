package connectwise

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"cwvault/sync"
)

const (
	// pageSize is the largest that servers allow. They cap a larger one
	// silently, and may cap this one.
	pageSize = 1000
	// maxRows is more than any tenant has: a server that lists more goes in
	// circles.
	maxRows = 5_000_000
)

// listing is a list endpoint to be read from its first row to its last.
type listing struct {
	at         site
	path       string
	fields     string
	conditions string
	// total returns how many rows there should be; it may wait for that to be
	// known. Nil if nobody counts.
	total    func() (int, error)
	progress func(read, total int) // may be nil
}

// list holds what was read of a listing so far.
type list struct {
	rows     []sync.Company // that are not deleted
	received int            // with the deleted ones
}

// page is one answer of a list endpoint.
type page struct {
	list
	firstID, lastID int // lastID is the highest
	link            link
}

// companies reads l with forward-only paging: each page starts after the last
// id of the one before, so that rows which come and go meanwhile neither shift
// nor hide others, as they do with page numbers (Developer Guide,
// "Pagination").
//
// The end is reached when there are as many rows as there should be, at an
// empty page, or when the Link header says so. The count comes first, because
// the header cannot be relied on: servers leave it empty at the end, repeat the
// last page id, or leave it out, and a page can be short in the middle where a
// server caps its size. Whether the end is where it should be, [disagreement]
// judges.
func (c *Client) companies(ctx context.Context, l listing) (list, error) {
	var all list
	query := url.Values{}
	for after := 0; ; {
		p, err := c.page(ctx, l, query, http.Header{"Pagination-Type": {"forward-only"}})
		if err != nil {
			return list{}, err
		}
		done, err := l.take(&all, p)
		if err != nil || done {
			return all, err
		}
		if p.link.present && p.link.text == "" {
			return all, nil
		}
		next, ok := p.link.number("pageId")
		if !ok && after == 0 {
			c.log.Info("the server has no forward-only paging; using page numbers", "path", l.path)
			return c.numbered(ctx, l)
		}
		if next <= after {
			next = p.lastID // the page id means "ids above this one"
		}
		if next <= after {
			return all, nil
		}
		after = next
		query.Set("pageId", strconv.Itoa(after))
	}
}

// numbered reads l by page numbers, in the order of ids. Here the Link header
// is reliable: it has no "next" at the end.
func (c *Client) numbered(ctx context.Context, l listing) (list, error) {
	var all list
	query := url.Values{"orderBy": {"id asc"}}
	for n, firstID := 1, 0; ; n++ {
		query.Set("page", strconv.Itoa(n))
		p, err := c.page(ctx, l, query, nil)
		if err != nil {
			return list{}, err
		}
		if n > 1 && p.firstID == firstID {
			return all, nil // the server knows no page numbers either
		}
		done, err := l.take(&all, p)
		if err != nil || done {
			return all, err
		}
		if l.total == nil && !p.link.next() && (p.link.present || p.received < pageSize) {
			return all, nil
		}
		firstID = p.firstID
	}
}

// take adds p to all and reports whether that is all there should be.
func (l listing) take(all *list, p page) (done bool, err error) {
	if p.received == 0 {
		return true, nil
	}
	all.rows = append(all.rows, p.rows...)
	all.received += p.received
	if all.received > maxRows {
		return false, fmt.Errorf("%w: the list does not end", ErrIncomplete)
	}
	if l.total == nil {
		return false, nil
	}
	total, err := l.total()
	if err != nil {
		return false, err
	}
	if l.progress != nil {
		l.progress(len(all.rows), total)
	}
	// Rows received do not suffice: where the list has deleted rows and the
	// count does not, others are still to come.
	return len(all.rows) >= total, nil
}

func (c *Client) page(ctx context.Context, l listing, query url.Values, header http.Header) (page, error) {
	query.Set("fields", l.fields)
	query.Set("pageSize", strconv.Itoa(pageSize))
	if l.conditions != "" {
		query.Set("conditions", l.conditions)
	}
	r := request{url: l.at.base() + l.path, query: query, header: header, signed: true, accept: '[', limit: maxListBody}
	var p page
	err := c.send(ctx, r, func(body io.Reader, header http.Header) error {
		p = page{link: parseLink(header)}
		return decodeRows(body, func(w *wireCompany) error {
			if p.received == 0 {
				p.firstID = w.ID
			}
			p.received++
			p.lastID = max(p.lastID, w.ID)
			if !w.Deleted {
				p.rows = append(p.rows, w.company())
			}
			return nil
		})
	})
	return p, err
}

// table reads a setup table.
func (c *Client) table(ctx context.Context, at site, path string) ([]sync.Ref, error) {
	all, err := c.numbered(ctx, listing{at: at, path: path, fields: "id,name"})
	if err != nil {
		return nil, err
	}
	refs := make([]sync.Ref, len(all.rows))
	for i, row := range all.rows {
		refs[i] = sync.Ref{ID: row.ID, Name: row.Name}
	}
	return refs, nil
}

// count asks how many companies there are that are not deleted. It returns the
// header of the answer too.
func (c *Client) count(ctx context.Context, at site) (int, http.Header, error) {
	var answer struct {
		Count *int `json:"count"`
	}
	var header http.Header
	r := request{
		url: at.base() + "/company/companies/count", query: url.Values{"conditions": {notDeleted}},
		signed: true, accept: '{', limit: maxSmallBody,
	}
	err := c.send(ctx, r, func(body io.Reader, h http.Header) error {
		answer.Count, header = nil, h
		if err := json.NewDecoder(body).Decode(&answer); err != nil {
			return err
		}
		if answer.Count == nil || *answer.Count < 0 {
			return fmt.Errorf("%w: the answer holds no count", ErrIncomplete)
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return *answer.Count, header, nil
}

// link is a Link header. Of the URLs in it only the query is looked at: they
// can name another host, which must not get the keys.
type link struct {
	present bool
	text    string
}

var linkEntry = regexp.MustCompile(`<([^<>]*)>\s*;\s*rel="?next\b`)

func parseLink(header http.Header) link {
	values, present := header["Link"]
	return link{present: present, text: strings.TrimSpace(strings.Join(values, ","))}
}

// next reports whether there is a next page.
func (l link) next() bool { return linkEntry.MatchString(l.text) }

// number returns the number that the address of the next page has under name.
func (l link) number(name string) (int, bool) {
	entry := linkEntry.FindStringSubmatch(l.text)
	if entry == nil {
		return 0, false
	}
	_, query, _ := strings.Cut(entry[1], "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return 0, false
	}
	n, err := strconv.Atoi(values.Get(name))
	return n, err == nil
}
