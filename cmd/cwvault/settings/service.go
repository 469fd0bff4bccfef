package settings

import (
	"context"
	"errors"

	"github.com/hashicorp/go-hclog"

	"cwvault/connectwise"
	"cwvault/scheduler/api"
	"cwvault/scheduler/service"
	"cwvault/scheduler/tickets"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/run"
	"cwvault/vault"
)

// Clerk returns the clerk that raises tickets for problems; nil: tickets are off.
// unbooked outlives connections.
func (c *Connection) Clerk(unbooked *tickets.Unbooked) *tickets.Clerk {
	if !c.settings.tickets {
		return nil
	}
	clerk := &tickets.Clerk{
		Installation: c.installation(), Log: c.log.Named("tickets"), Clock: c.settings.times.Clock, Unbooked: unbooked, Fold: vault.Fold,
	}
	if c.journal != nil {
		clerk.Book = c.journal
	}
	if c.site != nil {
		clerk.Desk = c.desk
	}
	return clerk
}

// TellUnopened raises a ticket for a run whose connection could not even be opened,
// if tickets are on.
func (s *Settings) TellUnopened(ctx context.Context, log hclog.Logger, err error) {
	c, _ := s.Connect(log, Hooks{})
	defer c.Close()
	if clerk := c.Clerk(nil); clerk != nil {
		clerk.TellUnopened(ctx, err)
	}
}

// desk returns the service desk for tickets.
func (c *Connection) desk(ctx context.Context) (tickets.Desk, error) {
	client, err := c.site.Client(ctx)
	if err != nil {
		return nil, err
	}
	return &desk{client, c.settings.ticketSettings()}, nil
}

func (s *Settings) ticketSettings() connectwise.TicketSettings {
	return connectwise.TicketSettings{Company: s.env.TicketCompany, Board: s.env.TicketBoard, Priority: s.env.TicketPriority}
}

// desk is ConnectWise's client, with the settings for tickets.
type desk struct {
	client   *connectwise.Client
	settings connectwise.TicketSettings
}

func (d *desk) CreateTicket(ctx context.Context, summary, details, xref string) (tickets.Ticket, error) {
	t, err := d.client.CreateTicket(ctx, d.settings, summary, details, xref)
	return ticketOf(t), err
}

func (d *desk) OpenTicket(ctx context.Context, xref string) (tickets.Ticket, bool, error) {
	t, found, err := d.client.OpenTicket(ctx, xref)
	return ticketOf(t), found, err
}

func (d *desk) Ticket(ctx context.Context, id int) (tickets.Ticket, bool, error) {
	t, found, err := d.client.Ticket(ctx, id)
	return ticketOf(t), found, err
}

func (d *desk) NoteTicket(ctx context.Context, id int, text string) error {
	return d.client.NoteTicket(ctx, id, text)
}

func ticketOf(t connectwise.Ticket) tickets.Ticket { return tickets.Ticket{ID: t.ID, Closed: t.Closed} }

// Service returns the backend of `cwvault serve`. A reload reads the environment
// again. sent, which may be nil, is called for each request to a server, whatever the
// request is for.
func (s *Settings) Service(env Environment, log hclog.Logger, sent func(server run.Server, retry bool)) (service.Backend, error) {
	c, problems := s.Connect(log, Hooks{Sent: sent})
	if len(problems) > 0 {
		c.Close()
		return nil, &SettingsError{problems}
	}
	return &backend{settings: s, environment: env, log: log, sent: sent, idle: c, verifier: c.site.client, unbooked: &tickets.Unbooked{}}, nil
}

// backend gives a service what it needs of the settings.
type backend struct {
	settings    *Settings
	environment Environment
	log         hclog.Logger
	sent        func(server run.Server, retry bool)
	idle        *Connection // no run uses it
	// verifier survives a reload, because it remembers the keys that sign
	// deliveries.
	verifier *connectwise.Client
	unbooked *tickets.Unbooked
}

// Config implements [service.Backend].
func (b *backend) Config() service.Config {
	s := b.settings
	listen := s.env.Listen
	if listen == "off" {
		listen = ""
	}
	return service.Config{
		Tenant: s.Tenant(), Vault: b.idle.address, Root: s.Root(),
		Schedule: s.schedule, ScheduleText: s.env.Schedule, TimeZone: s.env.TimeZone, Jitter: s.jitter, RunOnStart: s.runOnStart,
		Gather: s.gather, Listen: listen, ListenLocal: s.listenLocal, Token: string(s.env.Token), Tickets: s.tickets, LogLevel: s.logLevel,
	}
}

// Open implements [service.Backend].
func (b *backend) Open(ctx context.Context, events run.Events) (service.Session, error) {
	c, err := b.settings.Open(ctx, b.log, Hooks{Events: events, Sent: b.sent}, true)
	if err != nil {
		return nil, err
	}
	return &session{c, b.unbooked}, nil
}

type session struct {
	*Connection
	unbooked *tickets.Unbooked
}

func (s *session) Clerk() *tickets.Clerk { return s.Connection.Clerk(s.unbooked) }

// Clerk implements [service.Backend].
func (b *backend) Clerk() *tickets.Clerk {
	clerk := b.idle.Clerk(b.unbooked) // without a book, because idle has no journal
	if clerk != nil && clerk.Desk != nil {
		clerk.Desk = b.desk
	}
	return clerk
}

// desk returns a desk with the keys of this moment. The idle connection lasts as long as
// the service, and would keep the keys that it read first.
func (b *backend) desk(ctx context.Context) (tickets.Desk, error) {
	c, problems := b.settings.Connect(b.log, Hooks{Sent: b.sent})
	defer c.Close()
	if len(problems) > 0 {
		return nil, &SettingsError{problems}
	}
	return c.desk(ctx)
}

// Journal implements [service.Backend].
func (b *backend) Journal(ctx context.Context) (*journal.Journal, error) {
	return b.settings.Journal(ctx, false)
}

// Verify implements [service.Backend].
func (b *backend) Verify(ctx context.Context, body []byte, signature string) (service.Event, error) {
	event, err := b.verifier.VerifyDelivery(ctx, body, signature)
	if errors.Is(err, connectwise.ErrForged) {
		err = &forgedError{err}
	}
	return service.Event{Company: event.Company, Action: event.Action}, err
}

// forgedError is the error of ConnectWise's client about a forged delivery.
type forgedError struct{ err error }

func (e *forgedError) Error() string   { return e.err.Error() }
func (e *forgedError) Unwrap() []error { return []error{e.err, api.ErrForged} }

// Close implements [service.Backend].
func (b *backend) Close() { b.idle.Close() }

// Reload implements [service.Backend].
func (b *backend) Reload(ctx context.Context) (service.Backend, error) {
	environ, _, err := b.environment.Read()
	if err != nil {
		return nil, err
	}
	s, err := Load(ctx, environ, b.settings.times)
	if err != nil {
		return nil, err
	}
	was, is := b.settings.env, s.env
	for _, fixed := range []struct{ name, was, is string }{
		{"CWVAULT_LISTEN", was.Listen, is.Listen},
		{"CWVAULT_STATE", was.State, is.State},
		{"CWVAULT_LOG_FORMAT", was.LogFormat, is.LogFormat},
		{"CWVAULT_CONNECTWISE_URL", was.ConnectWiseURL, is.ConnectWiseURL},
		{"CWVAULT_CONNECTWISE_COMPANY_ID", was.ConnectWiseCompany, is.ConnectWiseCompany},
		{"CWVAULT_VAULT_URL", was.VaultURL, is.VaultURL},
		{"CWVAULT_ROOT", was.Root, is.Root},
	} {
		if fixed.was != fixed.is {
			s.problems = append(s.problems, sync.Problem{Setting: fixed.name, Text: "has changed; that needs a restart"})
		}
	}
	now, err := s.Service(b.environment, b.log, b.sent)
	if err != nil {
		return nil, err
	}
	next := now.(*backend)
	next.verifier, next.unbooked = b.verifier, b.unbooked
	return next, nil
}
