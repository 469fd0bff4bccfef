package secretserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"golang.org/x/sync/errgroup"

	"cwvault/sync"
	"cwvault/vault"
)

// pageSize is how many records one page requests. The vendor states no limit; 100 to 10,000
// are in use. If a server sends fewer, that becomes the page size.
const pageSize = 500

// page is one answer of a search.
type page[T any] struct {
	Total   int   `json:"total"`
	HasNext bool  `json:"hasNext"`
	Success *bool `json:"success"`
	Records *[]T  `json:"records"`
}

// errIncomplete marks a list whose pages contradict each other.
var errIncomplete = errors.New("the list is incomplete or changed while it was read")

// list reads all records of a search: the first page, then the others in parallel. id
// identifies a record. If the pages disagree about the total, do not add up to it or repeat
// a record, it reads the list once more. If that happens again, the error wraps
// [vault.ErrUnavailable].
func list[T any](ctx context.Context, v *Vault, path string, query url.Values, id func(T) int) ([]T, error) {
	records, err := listOnce(ctx, v, path, query, id)
	if errors.Is(err, errIncomplete) {
		records, err = listOnce(ctx, v, path, query, id)
	}
	if errors.Is(err, errIncomplete) {
		err = fmt.Errorf("GET %s: %w (%w)", path, err, vault.ErrUnavailable)
	}
	return records, err
}

func listOnce[T any](ctx context.Context, v *Vault, path string, query url.Values, id func(T) int) ([]T, error) {
	first, err := readPage[T](ctx, v, path, query, 0, pageSize)
	if notFound(err, path) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	total, size := first.Total, len(*first.Records)
	records := *first.Records
	if first.HasNext {
		if size == 0 || total <= size {
			return nil, fmt.Errorf("%w: %d of %d records, but the server announces more", errIncomplete, size, total)
		}
		blocks := make([][]T, (total-1)/size) // those after the first page
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(v.workers)
		for i := range blocks {
			group.Go(sync.Recovered(func() (err error) {
				start := (i + 1) * size
				blocks[i], err = readBlock[T](ctx, v, path, query, start, min(start+size, total), total)
				return err
			}))
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		for _, block := range blocks {
			records = append(records, block...)
		}
	}
	if len(records) != total {
		return nil, fmt.Errorf("%w: %d of %d records", errIncomplete, len(records), total)
	}
	seen := make(map[int]bool, len(records))
	for _, r := range records {
		if n := id(r); seen[n] {
			return nil, fmt.Errorf("%w: record %d twice", errIncomplete, n)
		} else {
			seen[n] = true
		}
	}
	return records, nil
}

// scan reads a search page by page. It may see records made meanwhile twice or not at all.
// It sees all others, unless records before them disappear. It is for a look-up while the
// list grows: then no two pages would agree, and list would always fail.
func scan[T any](ctx context.Context, v *Vault, path string, query url.Values, each func(T)) error {
	for skip := 0; ; {
		p, err := readPage[T](ctx, v, path, query, skip, pageSize)
		if notFound(err, path) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, record := range *p.Records {
			each(record)
		}
		n := len(*p.Records)
		if !p.HasNext {
			return nil
		}
		if n == 0 {
			return fmt.Errorf("GET %s: %w: an empty page, but the server announces more (%w)", path, errIncomplete, vault.ErrUnavailable)
		}
		skip += n
	}
}

// notFound reports Secret Server Cloud's answer to a search without results.
func notFound(err error, path string) bool {
	return errors.Is(err, vault.ErrNotFound) && statusOf(err) == http.StatusNotFound && path != permissionsPath
}

// readBlock reads the records from start to before end, in several pages if the server sends
// fewer than requested.
func readBlock[T any](ctx context.Context, v *Vault, path string, query url.Values, start, end, total int) ([]T, error) {
	var block []T
	for start < end {
		p, err := readPage[T](ctx, v, path, query, start, end-start)
		if err != nil {
			return nil, err
		}
		n := len(*p.Records)
		start += n
		if n == 0 || start > end || p.Total != total || p.HasNext != (start < total) {
			return nil, fmt.Errorf("%w: %d records up to %d, total %d and before %d", errIncomplete, n, start, p.Total, total)
		}
		block = append(block, *p.Records...)
	}
	return block, nil
}

func readPage[T any](ctx context.Context, v *Vault, path string, query url.Values, skip, take int) (page[T], error) {
	q := maps.Clone(query)
	if q == nil {
		q = url.Values{}
	}
	q.Set("skip", strconv.Itoa(skip))
	q.Set("take", strconv.Itoa(take))
	var p page[T]
	if err := v.client.do(ctx, read(path, q), &p); err != nil {
		return p, err
	}
	return p, p.check(path)
}

func (p *page[T]) check(path string) error {
	switch {
	case p.Success != nil && !*p.Success:
		return fmt.Errorf("GET %s: %w: the server says that the search failed", path, errIncomplete)
	case p.Records == nil && p.Total == 0:
		return fmt.Errorf("GET %s: %w: no records in the answer", path, errIncomplete)
	case p.Records == nil:
		return fmt.Errorf("GET %s: %w: no records of %d", path, errIncomplete, p.Total)
	}
	return nil
}
