package connectwise

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Callback is an address to which ConnectWise delivers changes.
type Callback struct {
	ID          int
	Description string
	URL         string
	Type        string // of the records it reports: "company"
	Level       string // how the records are chosen: "owner" means all
	ObjectID    int    // of the object that chooses them
	Inactive    bool   // ConnectWise switches a callback off when deliveries fail for three days
}

const (
	callbackPath = "/system/callbacks"
	// callbackRights names no particular right, because the vendor does not say
	// which one it is.
	callbackRights = "the right to callbacks"
	// maxCallbacks is more than any tenant has.
	maxCallbacks = 10_000
	// maxDescription is the width of that field.
	maxDescription = 100
)

// Callbacks returns all callbacks of the tenant, in order of their ids.
func (c *Client) Callbacks(ctx context.Context) ([]Callback, error) {
	var all []Callback
	for page := 1; ; page++ {
		r := request{
			query: url.Values{"orderBy": {"id asc"}, "page": {strconv.Itoa(page)}, "pageSize": {strconv.Itoa(pageSize)}},
			right: callbackRights, accept: '[', limit: maxListBody,
		}
		var rows []Callback
		var link link
		err := c.ask(ctx, callbackPath, r, func(body io.Reader, header http.Header) error {
			rows, link = nil, parseLink(header)
			return decodeRows(body, func(w *wireCallback) error {
				rows = append(rows, w.callback())
				return nil
			})
		})
		if err != nil {
			return nil, fmt.Errorf("list callbacks: %w", err)
		}
		if len(rows) == 0 || len(all) > 0 && rows[0].ID <= all[len(all)-1].ID {
			return all, nil // there are no more, or the server ignores page numbers
		}
		all = append(all, rows...)
		if !link.next() && (link.present || len(rows) < pageSize) {
			return all, nil
		}
		if len(all) > maxCallbacks {
			return nil, fmt.Errorf("list callbacks: %w: the list does not end", ErrIncomplete)
		}
	}
}

// RegisterCallback asks ConnectWise to deliver every change of a company to address.
// description is for people and has at most 100 characters. The request is not retried
// blindly: if the answer does not tell whether the callback was created,
// RegisterCallback looks for it and returns it if it exists.
func (c *Client) RegisterCallback(ctx context.Context, address, description string) (Callback, error) {
	body := map[string]any{
		"url": address, "description": cut(oneLine(description), maxDescription),
		"type": "company", "level": "Owner", "objectId": 1,
	}
	var made wireCallback
	err := c.create(ctx, callbackPath, callbackRights, body, decodeOne(&made), func() (found bool, err error) {
		all, err := c.Callbacks(ctx)
		for _, has := range all {
			if has.URL == address && has.ObjectID == 1 && !has.Inactive &&
				strings.EqualFold(has.Type, "company") && strings.EqualFold(has.Level, "owner") {
				made, found = wireCallback(has), true
			}
		}
		return found, err
	})
	if err != nil {
		return Callback{}, fmt.Errorf("register a callback: %w", err)
	}
	return made.callback(), nil
}

// RemoveCallback removes a callback, which ends its deliveries.
func (c *Client) RemoveCallback(ctx context.Context, id int) error {
	r := request{method: http.MethodDelete, right: callbackRights, limit: maxSmallBody}
	err := c.ask(ctx, callbackPath+"/"+strconv.Itoa(id), r, func(io.Reader, http.Header) error { return nil })
	if err != nil {
		return fmt.Errorf("remove callback %d: %w", id, err)
	}
	return nil
}

type wireCallback struct {
	ID          int    `json:"id"`
	Description string `json:"description"`
	URL         string `json:"url"`
	Type        string `json:"type"`
	Level       string `json:"level"`
	ObjectID    int    `json:"objectId"`
	Inactive    bool   `json:"inactiveFlag"`
}

func (w *wireCallback) id() int            { return w.ID }
func (w *wireCallback) callback() Callback { return Callback(*w) }
