package connectwise

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// TicketSettings say where to raise tickets. A number is an id. Anything else is a name:
// the identifier of a company, or the name of a board or priority. Board and Priority may
// be empty for the server's default.
type TicketSettings struct {
	Company, Board, Priority string
}

// Ticket is a service ticket.
type Ticket struct {
	ID      int
	Summary string
	XRef    string // externalXRef: the problem that it is about, as the creator named it
	Closed  bool
}

const (
	// maxSummary and maxXRef are the widths of the fields, in UTF-16 units
	// (OpenAPI: "Max length: 100").
	maxSummary = 100
	maxXRef    = 100
	// maxText limits a note: nobody reads more, and the API states no limit.
	maxText = 20_000

	ticketPath   = "/service/tickets"
	ticketRights = `"Service Desk > Service Tickets: Add = My" and "Inquire = All"`
	ticketFields = "id,summary,externalXRef,closedFlag"
)

// plainXRef matches an xref without characters that have a meaning in conditions.
var plainXRef = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,` + strconv.Itoa(maxXRef) + `}$`)

// CreateTicket raises a ticket. It keeps 100 characters of summary, on one line. details
// become the ticket's first note. [Client.OpenTicket] finds the ticket by xref, which has
// at most 100 letters, digits and ". _ : / -".
//
// The request is never retried blindly, because the API has no idempotency key. If the
// answer does not tell whether the ticket was created, CreateTicket looks for one by xref
// and returns it if it exists. The server may still create one after that, so call
// [Client.OpenTicket] before raising a ticket again.
func (c *Client) CreateTicket(ctx context.Context, s TicketSettings, summary, details, xref string) (Ticket, error) {
	body := map[string]any{
		"summary":            cut(oneLine(summary), maxSummary),
		"initialDescription": cut(manyLines(details), maxText),
		"externalXRef":       xref,
		"company":            reference(s.Company, "identifier"),
	}
	if s.Board != "" {
		body["board"] = reference(s.Board, "name")
	}
	if s.Priority != "" {
		body["priority"] = reference(s.Priority, "name")
	}
	if !plainXRef.MatchString(xref) {
		return Ticket{}, fmt.Errorf("raise a ticket: %q cannot be searched for", xref)
	}
	var made wireTicket
	err := c.create(ctx, ticketPath, ticketRights, body, decodeOne(&made), func() (bool, error) {
		t, found, err := c.OpenTicket(ctx, xref)
		made = wireTicket(t)
		return found, err
	})
	if err != nil {
		return Ticket{}, fmt.Errorf("raise a ticket: %w", err)
	}
	return Ticket(made), nil
}

// OpenTicket returns the newest ticket with this externalXRef that is not
// closed, and whether there is one.
func (c *Client) OpenTicket(ctx context.Context, xref string) (Ticket, bool, error) {
	if !plainXRef.MatchString(xref) {
		return Ticket{}, false, fmt.Errorf("look for a ticket: %q cannot be searched for", xref)
	}
	r := request{
		query: url.Values{
			"conditions": {`externalXRef="` + xref + `" and closedFlag=false`},
			"orderBy":    {"id desc"}, "pageSize": {"10"}, "fields": {ticketFields},
		},
		right: ticketRights, accept: '[', limit: maxSmallBody,
	}
	var newest wireTicket
	err := c.ask(ctx, ticketPath, r, func(body io.Reader, _ http.Header) error {
		newest = wireTicket{}
		return decodeRows(body, func(t *wireTicket) error {
			switch {
			case !strings.EqualFold(t.XRef, xref) || t.Closed:
				// Otherwise every run would raise the same ticket again.
				return fmt.Errorf("%w: the server ignored the conditions", ErrIncomplete)
			case t.XRef == xref && t.ID > newest.ID: // the server ignores case
				newest = *t
			}
			return nil
		})
	})
	if err != nil {
		return Ticket{}, false, fmt.Errorf("look for a ticket: %w", err)
	}
	return Ticket(newest), newest.ID != 0, nil
}

// Ticket returns the ticket with this id, and whether it still exists.
func (c *Client) Ticket(ctx context.Context, id int) (Ticket, bool, error) {
	var t wireTicket
	r := request{query: url.Values{"fields": {ticketFields}}, right: ticketRights, accept: '{', limit: maxSmallBody}
	err := c.ask(ctx, ticketPath+"/"+strconv.Itoa(id), r, decodeOne(&t))
	switch {
	case isGone(err):
		return Ticket{}, false, nil
	case err == nil && t.ID != id:
		err = fmt.Errorf("%w: ConnectWise answered a request for ticket %d with ticket %d", ErrIncomplete, id, t.ID)
	}
	if err != nil {
		return Ticket{}, false, fmt.Errorf("read a ticket: %w", err)
	}
	return Ticket(t), true, nil
}

// NoteTicket adds a note to the description of a ticket. It does not retry blindly: if the
// answer does not tell whether the note was added, NoteTicket looks for its text.
func (c *Client) NoteTicket(ctx context.Context, id int, text string) error {
	text = cut(manyLines(text), maxText)
	path := ticketPath + "/" + strconv.Itoa(id) + "/notes"
	var made wireNote
	err := c.create(ctx, path, ticketRights, map[string]any{"text": text, "detailDescriptionFlag": true}, decodeOne(&made), func() (found bool, err error) {
		r := request{
			query: url.Values{"orderBy": {"id desc"}, "pageSize": {"10"}, "fields": {"id,text"}},
			right: ticketRights, accept: '[', limit: maxSmallBody,
		}
		err = c.ask(ctx, path, r, func(body io.Reader, _ http.Header) error {
			found = false
			return decodeRows(body, func(n *wireNote) error {
				found = found || manyLines(n.Text) == text
				return nil
			})
		})
		return found, err
	})
	if err != nil {
		return fmt.Errorf("note on ticket %d: %w", id, err)
	}
	return nil
}

// create posts body as a new record. If the answer does not tell whether the record was
// created, look finds out.
func (c *Client) create(ctx context.Context, path, right string, body any, read reader, look func() (bool, error)) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r := request{method: http.MethodPost, body: encoded, right: right, accept: '{', limit: maxSmallBody}
	if err = c.ask(ctx, path, r, read); !isUnclear(err) {
		return err
	}
	c.log.Info("the answer does not tell whether ConnectWise created the record; looking for it", "path", path, "error", err)
	if ended := c.retry.Wait(ctx, firstPause); ended != nil { // the server may still create it
		return err
	}
	switch found, lookErr := look(); {
	case lookErr != nil:
		return fmt.Errorf("%w; it is unknown whether it was created: %w", err, lookErr)
	case found:
		return nil
	}
	return err
}

type wireTicket struct {
	ID      int    `json:"id"`
	Summary string `json:"summary"`
	XRef    string `json:"externalXRef"`
	Closed  bool   `json:"closedFlag"`
}

func (t *wireTicket) id() int { return t.ID }

type wireNote struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

func (n *wireNote) id() int { return n.ID }

// reference names a record for the API, by id or by name.
func reference(setting, name string) map[string]any {
	if id, err := strconv.Atoi(setting); err == nil {
		return map[string]any{"id": id}
	}
	return map[string]any{name: setting}
}

// oneLine puts text on one line, without control, formatting or other invisible
// characters.
func oneLine(text string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)), " ")
}

// manyLines does the same to each line and keeps the indentation.
func manyLines(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		lines[i] = line[:indent] + oneLine(line)
		if lines[i] == line[:indent] {
			lines[i] = ""
		}
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// cut returns at most limit UTF-16 units of text, the unit of ConnectWise's database. If it
// truncates the text, it ends with an ellipsis.
func cut(text string, limit int) string {
	units, end := 0, 0 // end: where the text must end if it is too long
	for i, r := range text {
		if units < limit {
			end = i
		}
		units++
		if r > 0xffff {
			units++
		}
	}
	if units <= limit {
		return text
	}
	return strings.TrimRight(text[:end], " \n") + "…"
}
