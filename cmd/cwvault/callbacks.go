package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"cwvault/connectwise"
)

type callbacksCmd struct {
	List     callbacksListCmd     `cmd:"" help:"List the callbacks of ConnectWise, cwvault's and others."`
	Register callbacksRegisterCmd `cmd:"" help:"Let ConnectWise tell the service at this address of every changed company."`
	Remove   callbacksRemoveCmd   `cmd:"" help:"Remove callbacks that cwvault has registered, all of them or some."`
}

const (
	// callbackPath is where the service takes callbacks.
	callbackPath = "/api/connectwise/callback"
	// recordID ends the address of a callback, as the vendor advises:
	// ConnectWise writes the id of the record behind it (Developer Guide,
	// "Callbacks").
	recordID = "recordId="
	// callbackDescription tells cwvault's callbacks from others, by its first
	// word.
	callbackDescription = "cwvault: folders follow the companies"
)

// callbackSite is what the commands need of ConnectWise. Its methods are those
// of [connectwise.Client].
type callbackSite interface {
	Callbacks(ctx context.Context) ([]connectwise.Callback, error)
	RegisterCallback(ctx context.Context, address, description string) (connectwise.Callback, error)
	RemoveCallback(ctx context.Context, id int) error
}

// withCallbacks calls f with ConnectWise and the callbacks that it has.
func (a *app) withCallbacks(f func(callbackSite, []connectwise.Callback) error) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	s, problems := a.openClients(c, nil)
	defer s.close()
	if len(problems) > 0 {
		return codeError{exitConfig, problems}
	}
	if err := s.connect(a.ctx); err != nil {
		return err
	}
	all, err := s.cw.Callbacks(a.ctx)
	if err != nil {
		return err
	}
	return f(s.cw, all)
}

// isOurs reports whether cwvault has registered a callback. What only looks like
// it is left alone.
func isOurs(c connectwise.Callback) bool {
	first, _, _ := strings.Cut(c.Description, ":")
	return first == "cwvault" && strings.EqualFold(c.Type, "company") && strings.HasSuffix(c.URL, recordID)
}

// aboutAll reports whether a callback is about every company.
func aboutAll(c connectwise.Callback) bool {
	return strings.EqualFold(c.Type, "company") && strings.EqualFold(c.Level, "owner") && c.ObjectID == 1
}

type callbacksListCmd struct {
	Format string `enum:"text,json" default:"text" help:"Form of the result: text or json."`
}

// Run lists all callbacks.
func (cmd callbacksListCmd) Run(a *app) error {
	return a.withCallbacks(func(_ callbackSite, all []connectwise.Callback) error {
		if cmd.Format == "json" {
			return printJSON(a.stdout, map[string]any{"callbacks": callbackRows(all)})
		}
		if len(all) == 0 {
			_, err := fmt.Fprintln(a.stdout, "no callbacks; cwvault callbacks register makes one")
			return err
		}
		var b strings.Builder
		for i, row := range callbackRows(all) {
			state, about, whose := "active", "every company", "cwvault's"
			if !row.Active {
				state = "switched off"
			}
			if !aboutAll(all[i]) {
				about = fmt.Sprintf("%s, %s %d", row.Type, row.Level, row.ObjectID)
			}
			if !row.Ours {
				whose = "not cwvault's: " + row.Description
			}
			fmt.Fprintf(&b, "%6d  %-12s  %-13s  %s  %s\n", row.ID, state, plain(about), plain(row.URL), plain(whose))
		}
		_, err := io.WriteString(a.stdout, b.String())
		return err
	})
}

// callbackRow is a callback in the list.
type callbackRow struct {
	ID          int    `json:"id"`
	Ours        bool   `json:"ours"`
	Active      bool   `json:"active"`
	URL         string `json:"url"`
	Description string `json:"description"`
	Type        string `json:"type"`
	Level       string `json:"level"`
	ObjectID    int    `json:"objectId"`
}

// callbackRows are shown. What follows the "?" in the address of somebody
// else's callback may be a password.
func callbackRows(all []connectwise.Callback) []callbackRow {
	rows := make([]callbackRow, len(all))
	for i, c := range all {
		ours := isOurs(c)
		if where, _, query := strings.Cut(c.URL, "?"); query && !ours {
			c.URL = where + "?…"
		}
		rows[i] = callbackRow{c.ID, ours, !c.Inactive, c.URL, c.Description, c.Type, c.Level, c.ObjectID}
	}
	return rows
}

type callbacksRegisterCmd struct {
	URL string `arg:"" help:"Where ConnectWise reaches the service, such as https://cwvault.example.com/api/connectwise/callback."`
}

// Run registers a callback, unless there is one that works.
func (cmd callbacksRegisterCmd) Run(a *app) error {
	address, err := callbackAddress(cmd.URL)
	if err != nil {
		return usagef("%w", err)
	}
	return a.withCallbacks(func(cw callbackSite, all []connectwise.Callback) error {
		return registerCallback(a, cw, all, address)
	})
}

// registerCallback sees that ConnectWise has one callback of ours for an
// address, and that it works.
func registerCallback(a *app, cw callbackSite, all []connectwise.Callback, address string) error {
	say := func(format string, args ...any) error {
		_, err := fmt.Fprintf(a.stdout, format+"\n", args...)
		return err
	}
	have := 0
	for _, c := range all {
		switch {
		case !isOurs(c):
		case c.URL != address:
			a.log.Warn("another callback of cwvault's delivers elsewhere; if nothing is there any more, remove it", "id", c.ID, "url", plain(c.URL))
		case have == 0 && !c.Inactive && aboutAll(c):
			have = c.ID
		default:
			why := "a second one for the same address"
			if c.Inactive {
				why = "switched off"
			} else if !aboutAll(c) {
				why = "not about all companies"
			}
			if err := cw.RemoveCallback(a.ctx, c.ID); err != nil {
				return err
			}
			if err := say("removed callback %d, which was %s", c.ID, why); err != nil {
				return err
			}
		}
	}
	if u, err := url.Parse(address); err == nil && u.Path != callbackPath {
		a.log.Warn("the service takes callbacks at another path; what stands before it must lead there", "path", callbackPath)
	}
	if have != 0 {
		return say("callback %d is there already: %s", have, plain(address))
	}
	made, err := cw.RegisterCallback(a.ctx, address, callbackDescription)
	if err != nil {
		return err
	}
	return say("registered callback %d: %s", made.ID, plain(address))
}

// callbackAddress checks the address of the service, and gives it the form that
// callbacks have. Errors do not repeat it: it may hold a password by mistake.
func callbackAddress(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("not an address; it looks like https://cwvault.example.com" + callbackPath)
	case u.User != nil || u.Fragment != "":
		return "", errors.New("the address holds a user or a fragment, of which ConnectWise makes no use; leave that out")
	case u.Scheme == "http" && !loopbackHost(u.Hostname()):
		return "", errors.New("plain http lets everybody on the way read what ConnectWise says of companies; use https")
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

type callbacksRemoveCmd struct {
	ID []int `arg:"" optional:"" help:"Numbers of callbacks, from cwvault callbacks list. Without any, all that are cwvault's."`
}

// Run removes callbacks of ours.
func (cmd callbacksRemoveCmd) Run(a *app) error {
	return a.withCallbacks(func(cw callbackSite, all []connectwise.Callback) error {
		return removeCallbacks(a, cw, all, cmd.ID)
	})
}

// removeCallbacks removes those of ours with these ids, or all of ours. If one
// is somebody else's, none is removed.
func removeCallbacks(a *app, cw callbackSite, all []connectwise.Callback, ids []int) error {
	var going []connectwise.Callback
	for _, c := range all {
		if isOurs(c) && (len(ids) == 0 || slices.Contains(ids, c.ID)) {
			going = append(going, c)
		}
	}
	for _, id := range ids {
		named := func(c connectwise.Callback) bool { return c.ID == id }
		switch {
		case slices.ContainsFunc(going, named):
		case slices.ContainsFunc(all, named):
			return usagef("callback %d is not cwvault's; if it is to go, remove it in ConnectWise", id)
		default:
			return fmt.Errorf("ConnectWise has no callback %d", id)
		}
	}
	if len(going) == 0 {
		_, err := fmt.Fprintln(a.stdout, "there is no callback of cwvault's")
		return err
	}
	for _, c := range going {
		if err := cw.RemoveCallback(a.ctx, c.ID); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(a.stdout, "removed callback %d: %s\n", c.ID, plain(c.URL)); err != nil {
			return err
		}
	}
	return nil
}
