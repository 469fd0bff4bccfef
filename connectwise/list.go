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
	// pageSize is the largest that servers allow. They silently reduce a larger
	// one, and may reduce this one.
	pageSize = 1000
	// maxRows is more than any tenant has. A server that lists more repeats itself.
	maxRows = 5_000_000
)

// listing describes a list endpoint to read from first row to last.
type listing struct {
	at         site
	path       string
	fields     string
	conditions string
	// total returns the expected number of rows, and may wait until that is known.
	// Nil if nobody counts.
	total    func() (int, error)
	progress func(read, total int) // may be nil
}

// list holds the rows read so far.
type list struct {
	rows     []sync.Company // not deleted
	received int            // how many, including deleted ones
}

// page is one answer of a list endpoint.
type page struct {
	list
	firstID, lastID int // lastID is the highest
	link            link
}

// companies reads l with forward-only paging: each page starts after the last id of the
// page before. So rows that come and go meanwhile do not shift or hide others, as they
// do with page numbers (Developer Guide, "Pagination").
//
// It ends when it has the expected number of rows, at an empty page, or when the Link
// header says so. The count comes first, because the header is unreliable: servers leave
// it empty at the end, repeat the last page id, or omit it, and a page in the middle can
// be short if a server reduces the page size. [disagreement] judges whether the list is
// complete.
func (c *Client) companies(ctx context.Context, l listing) (list, error) {
	var all list
	query := url.Values{}
	for after := 0; ; {
		p, err := c.page(ctx, l, query, http.Header{"Pagination-Type": {"forward-only"}})
		if err != nil {
			return list{}, err
		}
		done, err := l.add(&all, p)
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

// numbered reads l by page numbers in order of ids. Here the Link header is reliable: it
// has no "next" at the end.
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
			return all, nil // the server ignores page numbers too
		}
		done, err := l.add(&all, p)
		if err != nil || done {
			return all, err
		}
		if l.total == nil && !p.link.next() && (p.link.present || p.received < pageSize) {
			return all, nil
		}
		firstID = p.firstID
	}
}

// add adds p to all and reports whether all is complete.
func (l listing) add(all *list, p page) (done bool, err error) {
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
	// Do not compare received rows: if the list has deleted rows and the count does
	// not, more rows follow.
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

// count returns how many companies are not deleted, and the header of the answer.
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

// link is a Link header. Only the queries of its URLs are used: the URLs can name
// another host, which must not get the keys.
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

// number returns a number from the query of the next page's URL.
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
