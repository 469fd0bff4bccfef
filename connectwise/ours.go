package connectwise

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"cwvault/sync"
	"cwvault/sync/httpclient"
)

const (
	// recordID ends the address of a callback, as the vendor advises:
	// ConnectWise writes the id of the record behind it (Developer Guide,
	// "Callbacks").
	recordID = "recordId="
	// ourDescription tells cwvault's callbacks from others, by its first word.
	ourDescription = "cwvault: folders follow the companies"
)

// Ours reports whether cwvault has registered the callback. What only looks like
// it is left alone.
func (c Callback) Ours() bool {
	first, _, _ := strings.Cut(c.Description, ":")
	return first == "cwvault" && strings.EqualFold(c.Type, "company") && strings.HasSuffix(c.URL, recordID)
}

// AboutAll reports whether the callback is about every company.
func (c Callback) AboutAll() bool {
	return strings.EqualFold(c.Type, "company") && strings.EqualFold(c.Level, "owner") && c.ObjectID == 1
}

// CallbackAddress checks the address of a service, and gives it the form that
// callbacks have. Errors are of kind [sync.ErrUsage] and do not repeat the
// address, which may hold a password by mistake.
func CallbackAddress(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", sync.ErrorOf(sync.ErrUsage, "not an address; it looks like https://cwvault.example.com/api/connectwise/callback")
	case u.User != nil || u.Fragment != "":
		return "", sync.ErrorOf(sync.ErrUsage, "the address holds a user or a fragment, which ConnectWise does not use; remove it")
	case u.Scheme == "http" && !httpclient.LoopbackHost(u.Hostname()):
		return "", sync.ErrorOf(sync.ErrUsage, "plain http lets everybody on the way read what ConnectWise says of companies; use https")
	}
	u.Host = strings.ToLower(u.Host)
	if !strings.HasSuffix(u.RawQuery, recordID) {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += recordID
	}
	return u.String(), nil
}

// callbackSite is what keeps callbacks: a [Client], or a test.
type callbackSite interface {
	Callbacks(ctx context.Context) ([]Callback, error)
	RegisterCallback(ctx context.Context, address, description string) (Callback, error)
	RemoveCallback(ctx context.Context, id int) error
}

// Ensured is what [Client.EnsureCallback] found and did.
type Ensured struct {
	Callback  Callback // the one that works
	Made      bool     // it was registered now
	Removed   []Removed
	Elsewhere []Callback // of ours, for other addresses; they are left alone
}

// Removed is a callback that was removed, and why.
type Removed struct {
	Callback
	Why string // "switched off"
}

// EnsureCallback makes sure that ConnectWise has one callback of ours for an
// address as [CallbackAddress] returns it, and that it works. Those of ours for
// the same address that do not, or that are one too many, are removed. With an
// error the result says what was done before it.
func (c *Client) EnsureCallback(ctx context.Context, address string) (Ensured, error) {
	return ensureCallback(ctx, c, address)
}

func ensureCallback(ctx context.Context, site callbackSite, address string) (e Ensured, err error) {
	all, err := site.Callbacks(ctx)
	if err != nil {
		return e, err
	}
	found := false
	for _, c := range all {
		switch {
		case !c.Ours():
		case c.URL != address:
			e.Elsewhere = append(e.Elsewhere, c)
		case !found && !c.Inactive && c.AboutAll():
			e.Callback, found = c, true
		default:
			why := "a second one for the same address"
			if c.Inactive {
				why = "switched off"
			} else if !c.AboutAll() {
				why = "not about all companies"
			}
			if err := site.RemoveCallback(ctx, c.ID); err != nil {
				return e, err
			}
			e.Removed = append(e.Removed, Removed{c, why})
		}
	}
	if !found {
		e.Callback, err = site.RegisterCallback(ctx, address, ourDescription)
		e.Made = err == nil
	}
	return e, err
}

// RemoveOurCallbacks removes those of ours with these ids, or all of ours if
// there are no ids. If one is somebody else's, none is removed. With an error
// the result has those that were removed before it.
func (c *Client) RemoveOurCallbacks(ctx context.Context, ids []int) ([]Callback, error) {
	return removeOurs(ctx, c, ids)
}

func removeOurs(ctx context.Context, site callbackSite, ids []int) (removed []Callback, err error) {
	all, err := site.Callbacks(ctx)
	if err != nil {
		return nil, err
	}
	ours := slices.DeleteFunc(slices.Clone(all), func(c Callback) bool {
		return !c.Ours() || len(ids) > 0 && !slices.Contains(ids, c.ID)
	})
	for _, id := range ids {
		named := func(c Callback) bool { return c.ID == id }
		switch {
		case slices.ContainsFunc(ours, named):
		case slices.ContainsFunc(all, named):
			return nil, sync.ErrorOf(sync.ErrUsage, fmt.Sprintf("callback %d is not cwvault's; remove it in ConnectWise if nobody needs it", id))
		default:
			return nil, fmt.Errorf("ConnectWise has no callback %d", id)
		}
	}
	for _, c := range ours {
		if err := site.RemoveCallback(ctx, c.ID); err != nil {
			return removed, err
		}
		removed = append(removed, c)
	}
	return removed, nil
}
