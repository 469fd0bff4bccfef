// Package connectwise reads companies, their types and their statuses from
// ConnectWise PSA (formerly Manage) over its REST API. On request it also
// raises tickets, and registers and verifies callbacks.
//
// # Guarantees
//
//   - Reading sends only GETs. Only [Client.CreateTicket], [Client.NoteTicket],
//     [Client.RegisterCallback] and [Client.RemoveCallback] change anything:
//     they add tickets, notes and callbacks, and remove callbacks. No company
//     is ever written.
//   - A POST is never retried blindly. It is retried if the server has certainly not
//     done it. If that is unclear, the client looks for the record instead.
//   - [Client.Check] sends one POST if it is asked about tickets. That POST
//     cannot succeed.
//   - The keys go to the host that the operator named. If ConnectWise runs that host,
//     they may also go to another host of the same ConnectWise domain. They never go
//     anywhere else: the client follows no redirects, and uses only a number from the
//     URLs in a Link header.
//   - The client fetches the signing key of a delivery only from such a host, and
//     without the API keys, because a delivery may claim anything.
//   - A reading is complete or it is an error. The client compares rows with the count
//     endpoint and never mistakes a truncated list for a short one.
//   - Errors and log lines contain no key, whatever the server answers. A key of less
//     than 4 characters counts as a placeholder.
//
// "Developer Guide" in the comments is ConnectWise's own.
package connectwise

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	gosync "sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"cwvault/sync"
	"cwvault/sync/httpclient"
)

// readingTimeout limits one whole reading: a hundred thousand companies are a hundred
// pages of a few seconds each.
const readingTimeout = time.Hour

// Client talks to one ConnectWise tenant. Its methods may be called from
// several goroutines at once.
type Client struct {
	// transport replaces an http.Client, which would follow redirects with the
	// keys. ConnectWise's cloud is known to redirect to plain http.
	transport *http.Transport
	log       hclog.Logger
	progress  func(read, total int)
	sent      func(retry bool) // may be nil
	company   string
	version   string // of the model that is asked for
	given     site   // as the operator gave it
	secrets   httpclient.Redactor

	// sign adds the keys to a request. A closure, so that printing a Client
	// does not print them.
	sign func(*http.Request)

	// Tests replace these.
	tryTimeout time.Duration
	retry      httpclient.Retry
	now        func() time.Time // for the keys of deliveries

	fetching chan struct{} // held while fetching the key of a delivery

	mu      gosync.Mutex
	site    site
	located bool // site is discovered, or the operator gave it in full
	keys    signingKeys
}

// Site returns the address of the API in use, such as
// "https://api-na.myconnectwise.net/v4_6_release/apis/3.0", for reports. Before the
// first reading it is the address to try unless discovery finds another.
func (c *Client) Site() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.site.base()
}

// Source reads everything once: the companies that are not deleted, how many
// there should be, and the tables of statuses and types. It sends one request
// for each thousand companies and at most four others.
//
// If rows and count still differ after a second reading, or an id is listed twice, it
// returns what it read and an error wrapping [ErrIncomplete]. With any other error the
// Source is empty. An error wraps [ErrUnauthorized] if the keys, the client id, the
// company id or the role are wrong.
func (c *Client) Source(ctx context.Context) (sync.Source, error) {
	ctx, cancel := context.WithTimeout(ctx, readingTimeout)
	defer cancel()
	defer c.transport.CloseIdleConnections()

	src, err := c.find(ctx)
	if err != nil {
		return sync.Source{}, err
	}
	if doubt := disagreement(src); doubt != nil {
		// Somebody probably added or deleted a company meanwhile.
		c.log.Info("reading the companies again", "because", doubt)
		if src, err = c.find(ctx); err != nil {
			return sync.Source{}, err
		}
		if doubt = disagreement(src); doubt != nil {
			return src, doubt
		}
	}
	return src, nil
}

// find makes one reading at the API's current place.
func (c *Client) find(ctx context.Context) (src sync.Source, err error) {
	err = c.follow(ctx, func(at site) (err error) {
		src, err = c.read(ctx, at)
		return err
	})
	return src, err
}

// follow calls ask with the place of the API. If the API has moved, it calls ask once
// more with the new place.
func (c *Client) follow(ctx context.Context, ask func(site) error) error {
	at, err := c.locate(ctx)
	if err != nil {
		return fmt.Errorf("find the ConnectWise API: %w", err)
	}
	if err = ask(at); !isMoved(err) {
		return err
	}
	// Cloud upgrades change the codebase. The whole reading starts again there,
	// because part of it may be from before the upgrade.
	now, moveErr := c.relocate(ctx, at)
	if errors.Is(moveErr, ErrUnauthorized) {
		return fmt.Errorf("find the ConnectWise API: %w", moveErr)
	}
	if moveErr == nil && now.base() != at.base() {
		c.log.Info("the ConnectWise API has moved", "from", at.base(), "to", now.base())
		err = ask(now)
	}
	if now.cloud {
		err = hiddenUnauthorized(err)
	}
	return err
}

// ask sends r to a path of the API at its current place. An error for which [isGone]
// returns true is about the record, not about the API.
func (c *Client) ask(ctx context.Context, path string, r request, read reader) error {
	defer c.transport.CloseIdleConnections()
	r.signed = true
	var gone *Error
	err := c.follow(ctx, func(at site) error {
		r.url = at.base() + path
		err := c.send(ctx, r, read)
		if gone = nil; isGone(err) && errors.As(err, &gone) {
			gone.Hint = ""
			return nil // follow would look for the API elsewhere
		}
		return err
	})
	if err == nil && gone != nil {
		return gone
	}
	return err
}

// disagreement says why src is not one complete reading, or returns nil.
func disagreement(src sync.Source) error {
	if len(src.Companies) != src.Count {
		return fmt.Errorf("%w: ConnectWise counts %d companies and lists %d", ErrIncomplete, src.Count, len(src.Companies))
	}
	seen := make(map[int]struct{}, len(src.Companies))
	for _, company := range src.Companies {
		if _, again := seen[company.ID]; again {
			return fmt.Errorf("%w: ConnectWise lists company %d twice", ErrIncomplete, company.ID)
		}
		seen[company.ID] = struct{}{}
	}
	return nil
}

// The requested fields. Models up to 2018.5 have one "type", up to 2019.5 "typeIds",
// later ones "types". A server may answer in another model than the one in the Accept
// header, so the client requests all three.
const (
	currentFields = "id,identifier,name,status,types,territory,market,parentCompany,deletedFlag"
	allFields     = currentFields + ",type,typeIds"
	notDeleted    = "deletedFlag=false"
)

// read makes one reading of the API at a place. It reads the four lists at the same
// time, because they do not depend on each other. It reads the pages of companies one
// by one, because they do.
func (c *Client) read(ctx context.Context, at site) (sync.Source, error) {
	var (
		src     sync.Source
		all     list
		total   int
		counted = make(chan struct{})
	)
	group, ctx := errgroup.WithContext(ctx)
	reads := func(what string, read func() error) {
		group.Go(sync.Recovered(func() error {
			if err := read(); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		}))
	}
	reads("count companies", func() (err error) {
		if total, _, err = c.count(ctx, at); err == nil {
			close(counted)
		}
		return err
	})
	reads("list companies", func() (err error) {
		all, err = c.companiesAt(ctx, at, func() (int, error) {
			select {
			case <-counted:
				return total, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		})
		return err
	})
	reads("list company statuses", func() (err error) {
		src.Statuses, err = c.table(ctx, at, "/company/companies/statuses")
		return err
	})
	reads("list company types", func() (err error) {
		src.Types, err = c.table(ctx, at, "/company/companies/types")
		return err
	})
	if err := group.Wait(); err != nil {
		return sync.Source{}, err
	}

	src.Companies, src.Count = all.rows, total
	if all.received > len(all.rows) && all.received == total {
		// The server ignored the filter, in the list and in the count: then the
		// count includes the deleted rows that were dropped.
		src.Count = len(all.rows)
	}
	nameRefs(src)
	return src, nil
}

// companiesAt lists the companies. total waits for their count.
func (c *Client) companiesAt(ctx context.Context, at site, total func() (int, error)) (list, error) {
	l := listing{at: at, path: "/company/companies", fields: allFields, conditions: notDeleted, total: total, progress: c.progress}
	all, err := c.companies(ctx, l)
	if isBadRequest(err) {
		// Most servers ignore names in "fields" that the model does not have;
		// some refuse them.
		l.fields = currentFields
		all, err = c.companies(ctx, l)
	}
	return all, err
}

// nameRefs sets the names of statuses and types in companies to those in the tables: a
// company may have only their ids, and one read before a rename has the old name.
func nameRefs(src sync.Source) {
	byID := func(table []sync.Ref) map[int]string {
		names := make(map[int]string, len(table))
		for _, ref := range table {
			names[ref.ID] = ref.Name
		}
		return names
	}
	statuses, types := byID(src.Statuses), byID(src.Types)
	for i := range src.Companies {
		company := &src.Companies[i]
		if name := statuses[company.Status.ID]; name != "" {
			company.Status.Name = name
		}
		for j := range company.Types {
			if name := types[company.Types[j].ID]; name != "" {
				company.Types[j].Name = name
			}
		}
	}
}
