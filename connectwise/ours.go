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
	// recordID ends the address of a callback, as the vendor recommends:
	// ConnectWise appends the id of the record (Developer Guide, "Callbacks").
	recordID = "recordId="
	// ourDescription marks cwvault's callbacks by its first word.
	ourDescription = "cwvault: folders follow the companies"
)

// Ours reports whether cwvault registered the callback, judged by description, type and
// address together.
func (c Callback) Ours() bool {
	first, _, _ := strings.Cut(c.Description, ":")
	return first == "cwvault" && strings.EqualFold(c.Type, "company") && strings.HasSuffix(c.URL, recordID)
}

// AboutAll reports whether the callback reports every company.
func (c Callback) AboutAll() bool {
	return strings.EqualFold(c.Type, "company") && strings.EqualFold(c.Level, "owner") && c.ObjectID == 1
}

// CallbackAddress checks the address of a service and returns it in the form of a
// callback's. Errors are of kind [sync.ErrUsage] and do not repeat the address, which
// may contain a password by mistake.
func CallbackAddress(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", sync.ErrorOf(sync.ErrUsage, "the address of the callback must look like https://cwvault.example.com/api/connectwise/callback")
	case u.User != nil || u.Fragment != "":
		return "", sync.ErrorOf(sync.ErrUsage, "the address holds a user or a fragment, which ConnectWise does not use; remove it")
	case u.Scheme == "http" && !httpclient.LoopbackHost(u.Hostname()):
		return "", sync.ErrorOf(sync.ErrUsage, "the address is plain http, so others could read what ConnectWise sends; use https")
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

// callbackSite stores callbacks: a [Client], or a test.
type callbackSite interface {
	Callbacks(ctx context.Context) ([]Callback, error)
	RegisterCallback(ctx context.Context, address, description string) (Callback, error)
	RemoveCallback(ctx context.Context, id int) error
}

// Ensured says what [Client.EnsureCallback] found and did.
type Ensured struct {
	Callback  Callback // the one that works
	Made      bool     // it was registered now
	Removed   []Removed
	Elsewhere []Callback // ours for other addresses; EnsureCallback keeps them
}

// Removed is a callback that was removed, and why.
type Removed struct {
	Callback
	Why string // "switched off"
}

// EnsureCallback makes sure that ConnectWise has exactly one callback of ours for an
// address from [CallbackAddress], and that it works. It removes ours for the same address
// that do not work or are redundant. With an error the result says what was done before.
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

// RemoveOurCallbacks removes our callbacks with these ids, or all of ours if there are no
// ids. If one is somebody else's, it removes none. With an error the result has those
// that were removed before.
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
