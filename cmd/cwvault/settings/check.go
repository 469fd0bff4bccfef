package settings

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"cwvault/connectwise"
	"cwvault/sync"
	"cwvault/sync/check"
	"cwvault/sync/run"
)

// CheckParts returns the parts that a check needs.
func (c *Connection) CheckParts() check.Parts {
	s := c.settings
	parts := check.Parts{
		Problems: c.problems, Settings: s.findings(), StoreDir: c.storeDir(),
		Tenant: s.Tenant(), Rules: s.rules, CreateRoot: s.createRoot,
		Runner: func(ctx context.Context) (*run.Runner, error) {
			j, err := s.Journal(ctx, false)
			if err != nil {
				return nil, errors.Unwrap(err) // the fix names the setting
			}
			c.journal = j // closed with the connection
			return c.Runner(), nil
		},
	}
	parts.State, parts.StateFile = stateName(s.env.State)
	if c.site != nil && (s.secretID == 0 || c.vault != nil) {
		parts.Source = c.site
	}
	if c.vault != nil {
		parts.Vault = c.vault
	}
	return parts
}

// findings returns the warnings about settings that are not wrong.
func (s *Settings) findings() (list []sync.Finding) {
	for _, name := range s.Unknown() {
		list = append(list, sync.Finding{Subject: name, Text: "there is no such setting", Fix: "remove it, or correct its name"})
	}
	for _, name := range fromFile {
		if path := s.lookup(name + "_FILE"); path != "" {
			if f, ok := check.Private(name+"_FILE", path); ok {
				list = append(list, f)
			}
		}
	}
	return list
}

// lookup returns a variable of the environment. If it occurs twice, the last one
// counts.
func (s *Settings) lookup(name string) string {
	for _, entry := range slices.Backward(s.environ) {
		if k, v, _ := strings.Cut(entry, "="); k == name {
			return v
		}
	}
	return ""
}

// stateName returns CWVAULT_STATE without its password, and its path if it is a
// file.
func stateName(state string) (name, file string) {
	if !strings.Contains(state, "://") {
		return state, state
	}
	if u, err := url.Parse(state); err == nil {
		return u.Scheme + "://" + u.Host + u.EscapedPath(), ""
	}
	return "the database", ""
}

// Check implements [check.Source].
func (s *Site) Check(ctx context.Context) (findings []sync.Finding, src sync.Source) {
	set := s.connection.settings
	client, err := s.Client(ctx)
	if err != nil {
		return []sync.Finding{{Subject: "keys", Text: err.Error(), Fix: "check the number of the secret, and that the vault's account may view it", Err: err}}, src
	}
	if set.secretID != 0 {
		findings = append(findings, sync.Finding{Subject: "keys", Text: "read from secret " + set.env.SecretID + " of the vault"})
	}
	var tickets *connectwise.TicketSettings
	if set.tickets {
		tickets = new(set.ticketSettings())
	}
	report := client.Check(ctx, tickets)
	return append(findings, report.Findings...), report.Source
}
