package connectwise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cwvault/sync"
)

const (
	// stepTimeout limits each step of a check, with all its tries and pauses.
	stepTimeout = 25 * time.Second
	// maxSkew is how far clocks may differ without a warning.
	maxSkew = 2 * time.Minute
)

// Report is the result of [Client.Check].
type Report struct {
	// Findings have subjects such as "keys". Err is the error that [Client.Source]
	// would return; Text and Fix explain it.
	Findings []sync.Finding
	// Source holds the count of companies and the tables, each zero if it could
	// not be read. It holds no companies.
	Source sync.Source
}

// unneeded lists rights that the API member's role need not have. Check tries to read
// the id of one record, which a role without the right refuses.
var unneeded = []struct{ subject, path, right string }{
	{ticketSubject, ticketPath, "Service Desk > Service Tickets"},
	{"members", "/system/members", "System > Member Maintenance"},
	{"agreements", "/finance/agreements", "Finance > Agreements"},
}

// Check checks everything that a reading depends on, and whether the API member may
// read more than that. It sends eight requests, or a few more if the API has moved or a
// request is retried. If nothing can be read, it stops, so that it does not use wrong
// keys repeatedly.
//
// Unless tickets is nil, up to four more requests check whether tickets can be raised
// there. Only adding a ticket proves the right to add one. So Check sends a ticket
// without its two required fields: if ConnectWise complains about the fields, the role
// most likely allows tickets. Check misjudges a server that checks fields before
// rights.
//
// A role that shows only some companies (Inquire = My, or a location below the top)
// causes no error anywhere. Only the number of companies shows it.
func (c *Client) Check(ctx context.Context, tickets *TicketSettings) Report {
	return c.check(ctx, tickets, stepTimeout)
}

func (c *Client) check(ctx context.Context, tickets *TicketSettings, limit time.Duration) Report {
	defer c.transport.CloseIdleConnections()
	k := &checkup{c: c, tickets: tickets, limit: limit}
	k.run(ctx)
	return k.report
}

// checkup is a check under way.
type checkup struct {
	c       *Client
	tickets *TicketSettings // nil: not used
	limit   time.Duration
	at      site
	report  Report
}

func (k *checkup) run(ctx context.Context) {
	var header http.Header
	src := &k.report.Source
	countErr := k.step(ctx, func(ctx context.Context) error {
		return k.c.follow(ctx, func(at site) (err error) {
			k.at = at
			src.Count, header, err = k.c.count(ctx, at)
			return err
		})
	})
	received := time.Now()
	if countErr != nil && !isForbidden(countErr) {
		k.fail(blame(countErr), countErr)
		return
	}
	table := func(path string) (refs []sync.Ref, err error) {
		err = k.step(ctx, func(ctx context.Context) (err error) {
			refs, err = k.c.table(ctx, k.at, path)
			return err
		})
		return refs, err
	}
	var statusErr, typeErr error
	src.Statuses, statusErr = table("/company/companies/statuses")
	src.Types, typeErr = table("/company/companies/types")
	if countErr != nil && statusErr != nil && typeErr != nil {
		k.fail("role", countErr)
		return
	}

	k.address()
	k.ok("keys", "accepted for the company id %s", k.c.company)
	k.ok("client id", "accepted")
	if countErr != nil {
		k.fail("companies", countErr)
	} else {
		k.companies(ctx)
	}
	k.table("statuses", "Company / Company Status", src.Statuses, statusErr)
	k.table("types", "Company / Company Type", src.Types, typeErr)
	if countErr == nil {
		k.model(k.c.clean(header.Get("Api-Current-Version")))
		k.clock(header.Get("Date"), received)
	}
	if k.tickets != nil {
		k.ticketing(ctx, *k.tickets)
	}
	k.excess(ctx)
}

// step runs one step of the check within its time limit.
func (k *checkup) step(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, k.limit)
	defer cancel()
	return step(ctx)
}

func (k *checkup) add(f sync.Finding) { k.report.Findings = append(k.report.Findings, f) }

func (k *checkup) ok(subject, format string, args ...any) {
	k.add(sync.Finding{Subject: subject, Text: fmt.Sprintf(format, args...)})
}

func (k *checkup) warn(subject, text, fix string) {
	k.add(sync.Finding{Subject: subject, Text: text, Fix: fix})
}

func (k *checkup) fail(subject string, err error) {
	text, fix := k.words(subject, err)
	k.add(sync.Finding{Subject: subject, Text: text, Fix: fix, Err: err})
}

// words splits an error into its text and a possible fix.
func (k *checkup) words(subject string, err error) (text, fix string) {
	text = err.Error()
	var e *Error
	if errors.As(err, &e) {
		bare := *e
		bare.Hint = ""
		if errors.Is(bare.Err, context.DeadlineExceeded) {
			bare.Err = fmt.Errorf("not answered within %v", k.limit)
		}
		text, fix = bare.Error(), e.Hint
	}
	switch {
	case subject == "client id":
		fix = "check the client id"
	case subject == "keys" && e.Status == http.StatusNotFound:
		fix = "check the company id and the keys; ConnectWise's cloud gives this answer if they are wrong"
	case subject == "company id":
		fix = "set it to the company id of the ConnectWise sign-in page"
	case subject == "address" && (fix == "" || e.Status == http.StatusForbidden):
		fix = "check the URL, and that this machine can reach it; on ConnectWise's cloud the API's host begins with api-"
	case fix == "":
		fix = "check again later; give ConnectWise's support the request id, if there is one"
	}
	return text, fix
}

// blame returns what is most likely wrong if the very first answer is err.
func blame(err error) (subject string) {
	var e *Error
	if !errors.As(err, &e) {
		return "company id" // discovery itself can find nothing else wrong
	}
	text := strings.ToLower(e.Message)
	switch {
	case strings.Contains(text, "clientid"):
		return "client id"
	case strings.Contains(text, "accept header"):
		return "model"
	case strings.Contains(text, "ssl is required"):
		return "address"
	case e.Status == http.StatusForbidden:
		return "role"
	case errors.Is(err, ErrUnauthorized):
		return "keys"
	case e.Status < 400 && e.Err == nil, e.Status == 0, isMoved(err): // a page, a redirect; nobody there; nothing there
		return "address"
	}
	return "API"
}

// isForbidden reports whether err looks like a missing right. Other tables may still be
// readable.
func isForbidden(err error) bool { return err != nil && blame(err) == "role" }

func (k *checkup) address() {
	now, given := k.c.Site(), k.c.given
	if given.codebase != anyRelease && given.codebase != k.at.codebase {
		k.warn("address", fmt.Sprintf("%s; there is no longer an API at %s", now, given.base()),
			"set the URL to the host alone, so that cwvault looks the API up")
		return
	}
	k.ok("address", "%s", now)
}

// companies reads the first page and compares it with the count.
func (k *checkup) companies(ctx context.Context) {
	n := k.report.Source.Count
	const subject, role = "companies", "check the role of the API member, its location and its structure level"
	if n == 0 || n > maxRows {
		err := fmt.Errorf("%w: ConnectWise counts %d companies", ErrIncomplete, n)
		k.add(sync.Finding{Subject: subject, Text: err.Error(), Fix: role, Err: err})
		return
	}
	var first page
	err := k.step(ctx, func(ctx context.Context) (err error) {
		first, err = k.c.firstPage(ctx, k.at)
		return err
	})
	if err != nil {
		k.fail(subject, err)
		return
	}
	// [Client.Source] would find the same, as far as one page can tell.
	whole := first.link.present && first.link.text == ""
	if len(first.rows) > n || whole && first.received < n {
		err := fmt.Errorf("%w: ConnectWise counts %d companies and lists %d", ErrIncomplete, n, len(first.rows))
		k.add(sync.Finding{Subject: subject, Text: err.Error(), Fix: "check again; somebody may have just added or deleted a company", Err: err})
		return
	}
	k.ok(subject, "%d can be read; these are all companies only if the role says Inquire = All and the member's location sees every customer", n)
}

// firstPage reads the first page of companies, as a reading does.
func (c *Client) firstPage(ctx context.Context, at site) (page, error) {
	l := listing{at: at, path: "/company/companies", fields: allFields, conditions: notDeleted}
	forwardOnly := http.Header{"Pagination-Type": {"forward-only"}}
	first, err := c.page(ctx, l, url.Values{}, forwardOnly)
	if isBadRequest(err) {
		l.fields = currentFields
		first, err = c.page(ctx, l, url.Values{}, forwardOnly)
	}
	return first, err
}

func (k *checkup) table(subject, right string, refs []sync.Ref, err error) {
	switch {
	case err != nil:
		k.fail(subject, err)
	case len(refs) == 0:
		k.warn(subject, "none can be read", fmt.Sprintf("allow %q in the role, under System > Table Setup > customize", right))
	default:
		k.ok(subject, "%d can be read", len(refs))
	}
}

// model compares the requested model with the server's newest one.
func (k *checkup) model(newest string) {
	asked := k.c.version
	switch {
	case !plainVersion.MatchString(newest):
		k.ok("model", "%s; the server does not state its newest", asked)
	case modelNumber(asked) > modelNumber(newest):
		k.warn("model", fmt.Sprintf("%s is requested, but the server's newest is %s", asked, newest), "set the version to "+newest)
	default:
		k.ok("model", "%s; the server's newest is %s", asked, newest)
	}
}

// modelNumber makes model versions comparable: 202501 for "2025.1".
func modelNumber(version string) int {
	year, minor, _ := strings.Cut(version, ".")
	y, _ := strconv.Atoi(year) // plainVersion allows only digits
	m, _ := strconv.Atoi(minor)
	return 100*y + m
}

// clock compares this machine's clock with the date of an answer.
func (k *checkup) clock(date string, received time.Time) {
	const fix = "set this machine's clock by NTP; schedule, lease and history depend on it"
	server, err := http.ParseTime(date)
	if err != nil {
		k.warn("clock", "ConnectWise does not send its time", fix)
		return
	}
	ahead := received.Sub(server)
	switch {
	case ahead > maxSkew:
		k.warn("clock", fmt.Sprintf("this machine's clock is %v ahead of ConnectWise's", ahead.Round(time.Minute)), fix)
	case ahead < -maxSkew:
		k.warn("clock", fmt.Sprintf("this machine's clock is %v behind ConnectWise's", -ahead.Round(time.Minute)), fix)
	default:
		k.ok("clock", "agrees with ConnectWise's")
	}
}

// readable reads one id below path.
func (k *checkup) readable(ctx context.Context, path, right string) error {
	return k.step(ctx, func(ctx context.Context) error {
		one := request{
			url: k.at.base() + path, query: url.Values{"pageSize": {"1"}, "fields": {"id"}},
			signed: true, right: right, accept: '[', limit: maxSmallBody,
		}
		return k.c.send(ctx, one, func(io.Reader, http.Header) error { return nil })
	})
}

const ticketSubject = "tickets"

// ticketing checks whether tickets can be raised with the settings s.
func (k *checkup) ticketing(ctx context.Context, s TicketSettings) {
	err := k.readable(ctx, ticketPath, ticketRights)
	if err == nil {
		err = k.addable(ctx)
	}
	switch {
	case err == nil:
		k.ok(ticketSubject, "read access confirmed; create access looks right (not proven: no ticket was created)")
	case errors.Is(err, errTicketMade):
		k.warn(ticketSubject, err.Error(), "delete the newest ticket")
	default:
		k.fail(ticketSubject, err)
	}
	k.named(ctx, "ticket company", "/company/companies", "identifier", s.Company, " and deletedFlag=false", readingRights)
	const tableRights = `"Table Setup: Inquire = All" for Service / Service Board and Service / Priority`
	k.named(ctx, "ticket board", "/service/boards", "name", s.Board, " and inactiveFlag=false and projectFlag=false", tableRights)
	k.named(ctx, "ticket priority", "/service/priorities", "name", s.Priority, "", tableRights)
}

var errTicketMade = errors.New("ConnectWise created a ticket from an empty request")

// addable requests a ticket without any of its required fields.
func (k *checkup) addable(ctx context.Context) error {
	err := k.step(ctx, func(ctx context.Context) error {
		nothing := request{
			method: http.MethodPost, url: k.at.base() + ticketPath, body: []byte("{}"),
			signed: true, right: ticketRights, accept: '{', limit: maxSmallBody,
		}
		return k.c.send(ctx, nothing, func(io.Reader, http.Header) error { return nil })
	})
	switch {
	case err == nil:
		return errTicketMade
	case isBadRequest(err):
		return nil
	}
	return err
}

// named looks for the record that a setting names, if the setting is not empty.
func (k *checkup) named(ctx context.Context, subject, path, field, setting, more, right string) {
	if setting == "" {
		return
	}
	condition, id, ok := condition(field, setting)
	if !ok {
		k.warn(subject, fmt.Sprintf("cannot tell whether %s exists: ConnectWise cannot search for a name with both kinds of quotes", setting), "use its id")
		return
	}
	var found wireCompany // boards and priorities are the same, with fewer fields
	err := k.step(ctx, func(ctx context.Context) error {
		r := request{
			url: k.at.base() + path, query: url.Values{"conditions": {condition + more}, "fields": {"id,identifier,name"}, "pageSize": {"10"}},
			signed: true, right: right, accept: '[', limit: maxSmallBody,
		}
		return k.c.send(ctx, r, func(body io.Reader, _ http.Header) error {
			found = wireCompany{}
			return decodeRows(body, func(w *wireCompany) error {
				is := w.ID == id
				switch {
				case id != 0:
				case field == "identifier":
					is = strings.EqualFold(w.Identifier, setting)
				default:
					is = strings.EqualFold(w.Name, setting)
				}
				if is {
					found = *w
				}
				return nil
			})
		})
	})
	switch {
	case err != nil:
		text, fix := k.words(subject, err)
		k.warn(subject, fmt.Sprintf("cannot tell whether %s exists: %s", setting, text), fix)
	case found.ID == 0:
		problem := fmt.Sprintf("there is no %s %s that can be used, or the API member cannot see it", strings.TrimPrefix(subject, "ticket "), strconv.Quote(setting))
		k.add(sync.Finding{Subject: subject, Text: problem, Fix: "correct the setting, or the role", Err: &sync.SettingsError{Problems: []string{problem}}})
	default:
		k.ok(subject, "%s (%d)", k.c.clean(found.Name), found.ID)
	}
}

// condition returns the condition that finds the record of a setting, and the record's id
// if the setting is one.
func condition(field, setting string) (condition string, id int, ok bool) {
	if id, err := strconv.Atoi(setting); err == nil {
		return "id=" + strconv.Itoa(id), id, true
	}
	for _, quote := range []string{`"`, `'`} {
		if !strings.Contains(setting, quote) {
			return field + "=" + quote + setting + quote, 0, true
		}
	}
	return "", 0, false // no documentation says how to escape a quote
}

func (k *checkup) excess(ctx context.Context) {
	for _, u := range unneeded {
		if u.subject == ticketSubject && k.tickets != nil {
			continue
		}
		err := k.readable(ctx, u.path, u.right)
		var e *Error
		switch {
		case err == nil:
			k.warn(u.subject, "can be read, which cwvault does not need", fmt.Sprintf("set %s to Inquire = None in the API member's role", u.right))
		case errors.As(err, &e) && (e.Status == http.StatusForbidden || e.Status == http.StatusUnauthorized || e.Status == http.StatusNotFound):
			k.ok(u.subject, "cannot be read; cwvault does not need them")
		default:
			text, _ := k.words(u.subject, err)
			k.warn(u.subject, "cannot tell whether they can be read (cwvault does not need them): "+text, "check again later")
		}
	}
}
