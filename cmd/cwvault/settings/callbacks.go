package settings

import (
	"context"
	"strings"

	"cwvault/connectwise"
)

// Callback is a callback of ConnectWise's in a list.
type Callback struct {
	ID          int    `json:"id"`
	Ours        bool   `json:"ours"`
	Active      bool   `json:"active"`
	URL         string `json:"url"`
	Description string `json:"description"`
	Type        string `json:"type"`
	Level       string `json:"level"`
	ObjectID    int    `json:"objectId"`
	AboutAll    bool   `json:"-"` // companies
}

// Callbacks lists all callbacks. It leaves out the query in the address of somebody
// else's callback, which may contain a password.
func (s *Site) Callbacks(ctx context.Context) ([]Callback, error) {
	client, err := s.Client(ctx)
	if err != nil {
		return nil, err
	}
	all, err := client.Callbacks(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]Callback, len(all))
	for i, c := range all {
		if where, _, query := strings.Cut(c.URL, "?"); query && !c.Ours() {
			c.URL = where + "?…"
		}
		rows[i] = Callback{c.ID, all[i].Ours(), !c.Inactive, c.URL, c.Description, c.Type, c.Level, c.ObjectID, c.AboutAll()}
	}
	return rows, nil
}

// EnsureCallback is [connectwise.Client.EnsureCallback] for an address that a person
// typed.
func (s *Site) EnsureCallback(ctx context.Context, raw string) (connectwise.Ensured, error) {
	address, err := connectwise.CallbackAddress(raw)
	if err != nil {
		return connectwise.Ensured{}, err
	}
	client, err := s.Client(ctx)
	if err != nil {
		return connectwise.Ensured{}, err
	}
	return client.EnsureCallback(ctx, address)
}

// RemoveCallbacks is [connectwise.Client.RemoveOurCallbacks].
func (s *Site) RemoveCallbacks(ctx context.Context, ids []int) ([]connectwise.Callback, error) {
	client, err := s.Client(ctx)
	if err != nil {
		return nil, err
	}
	return client.RemoveOurCallbacks(ctx, ids)
}
