package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"cwvault/connectwise/connectwisetest"
	"cwvault/sync/synctest"
	"cwvault/vault/secretserver/secretservertest"
)

// faultWord is a fault that a file can name.
type faultWord[F any] struct {
	name     string
	argument string // what follows the name, in capitals; empty for nothing
	means    string
	make     func(argument string) (F, error)
}

// when says which requests a fault concerns.
type when struct {
	method, path       string
	skip, times, every int
}

// parseFaults reads faults, one a line, such as
//
//	status 503  method=GET  path=/company/companies  times=2
//
// and calls add for each. Options are the names that may stand before a "=".
func parseFaults[F any](text string, words []faultWord[F], options []string, add func(F, when)) error {
	lines, err := synctest.Lines(text)
	if err != nil {
		return err
	}
	for _, l := range lines {
		f, w, err := parseFault(l.Text, words, options)
		if err != nil {
			return &synctest.Error{Line: l.Number, Err: err}
		}
		add(f, w)
	}
	return nil
}

func parseFault[F any](line string, words []faultWord[F], options []string) (f F, at when, err error) {
	fields, err := synctest.Words(line)
	if err != nil {
		return f, at, err
	}
	i := slices.IndexFunc(words, func(w faultWord[F]) bool { return w.name == fields[0] })
	if i < 0 {
		return f, at, fmt.Errorf("there is no fault %q; see --help", fields[0])
	}
	argument, fields := "", fields[1:]
	if words[i].argument != "" {
		if len(fields) == 0 {
			return f, at, fmt.Errorf("%s: %s is missing", words[i].name, words[i].argument)
		}
		argument, fields = fields[0], fields[1:]
	}
	if f, err = words[i].make(argument); err != nil {
		return f, at, fmt.Errorf("%s: %w", words[i].name, err)
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, "=")
		if !slices.Contains(options, name) {
			return f, at, fmt.Errorf("%q: what may follow a fault is %s=", field, strings.Join(options, "=, "))
		}
		if err := at.set(name, value); err != nil {
			return f, at, fmt.Errorf("%s: %w", name, err)
		}
	}
	return f, at, nil
}

func (w *when) set(name, value string) (err error) {
	switch name {
	case "method":
		if !slices.Contains(methods, value) {
			err = fmt.Errorf("%q is none of %s", value, strings.Join(methods, ", "))
		}
		w.method = value
	case "path":
		if _, err = path.Match(value, ""); err != nil || !strings.HasPrefix(value, "/") {
			err = fmt.Errorf("%q is not a path such as /company/companies", value)
		}
		w.path = value
	case "skip":
		w.skip, err = number(value)
	case "times":
		w.times, err = positive(value)
	case "every":
		w.every, err = positive(value)
	}
	return err
}

// methods are those that the simulators answer.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

func number(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return n, nil
}

func positive(s string) (int, error) {
	n, err := number(s)
	if err == nil && n == 0 {
		err = fmt.Errorf("%q is not a number above 0", s)
	}
	return n, err
}

func status(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 200 || n > 599 {
		return 0, fmt.Errorf("%q is not an HTTP status", s)
	}
	return n, nil
}

func integer(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return n, nil
}

func duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a duration such as 2s", s)
	}
	return d, nil
}

// plain makes a word without an argument.
func plain[F any](f func() F) func(string) (F, error) {
	return func(string) (F, error) { return f(), nil }
}

// with makes a word whose argument is read by read.
func with[T, F any](read func(string) (T, error), f func(T) F) func(string) (F, error) {
	return func(argument string) (fault F, err error) {
		value, err := read(argument)
		if err != nil {
			return fault, err
		}
		return f(value), nil
	}
}

func text(s string) (string, error) { return s, nil }

// rowEdits are what may happen to the rows of a list.
var rowEdits = map[string]func([]json.RawMessage) []json.RawMessage{
	"none": func(rows []json.RawMessage) []json.RawMessage { return rows[:0] },
	"half": func(rows []json.RawMessage) []json.RawMessage { return rows[:len(rows)/2] },
	"reversed": func(rows []json.RawMessage) []json.RawMessage {
		slices.Reverse(rows)
		return rows
	},
	"doubled": func(rows []json.RawMessage) []json.RawMessage { return append(rows, rows...) },
}

var connectwiseOptions = []string{"method", "path", "skip", "times"}

var connectwiseFaults = []faultWord[connectwisetest.Fault]{
	{"status", "CODE", "answers with this status and nothing else", with(status, func(n int) connectwisetest.Fault { return connectwisetest.Fault{Status: n} })},
	{"too-many-requests", "SECONDS", "answers 429 and asks to wait", with(number, connectwisetest.TooManyRequests)},
	{"timeout", "", "answers 500, as for a query that takes too long", plain(connectwisetest.TimeoutBody)},
	{"html", "CODE", "answers with a web page", with(status, connectwisetest.HTML)},
	{"redirect", "URL", "answers 302 to another address", with(text, connectwisetest.Redirect)},
	{"cannot-route", "", "answers 400, as the cloud's router does", plain(connectwisetest.CannotRoute)},
	{"ssl-required", "", "answers 403, as to plain http", plain(connectwisetest.SSLRequired)},
	{"hang", "", "never answers", plain(connectwisetest.Hang)},
	{"slow", "DURATION", "answers late, such as 2s", with(duration, connectwisetest.Slow)},
	{"lost", "", "does the work and breaks the connection without an answer", plain(connectwisetest.Lost)},
	{"cut", "BYTES", "breaks the connection after so much of the body", with(positive, connectwisetest.Cut)},
	{"truncated", "BYTES", "sends so much of the body as if it were all", with(number, connectwisetest.Truncated)},
	{"no-link", "", "leaves out the Link header: no forward-only paging", plain(connectwisetest.NoLink)},
	{"repeat-page-id", "", "lets the last page name itself as the next", plain(connectwisetest.RepeatPageID)},
	{"foreign-link", "URL", "puts another host into the Link header", with(text, connectwisetest.ForeignLink)},
	{"wrong-count", "DELTA", "counts so many more (-1: one fewer) than there are", with(integer, connectwisetest.WrongCount)},
	{"rows", "EDIT", "edits lists: none, half, reversed or doubled", func(s string) (connectwisetest.Fault, error) {
		edit := rowEdits[s]
		if edit == nil {
			return connectwisetest.Fault{}, fmt.Errorf("%q: none, half, reversed or doubled", s)
		}
		return connectwisetest.EditRows(edit), nil
	}},
}

// addConnectwise switches a fault on.
func addConnectwise(s *connectwisetest.Server) func(connectwisetest.Fault, when) {
	return func(f connectwisetest.Fault, w when) {
		f.Skip, f.Times = w.skip, w.times
		if w.method != "" || w.path != "" || f.Match == nil {
			f.Match = connectwisetest.On(w.method, w.path)
		}
		s.AddFault(f)
	}
}

var secretserverOptions = []string{"method", "path", "every", "times"}

// secretserverFaults are those of this server, which is nil for their help.
func secretserverFaults(s *secretservertest.Server) []faultWord[secretservertest.Fault] {
	type fault = secretservertest.Fault
	return []faultWord[fault]{
		{"status", "CODE", "answers with this status and does nothing", with(status, func(n int) fault { return fault{Status: n} })},
		{"late-status", "CODE", "does the work and answers with this status, as a gateway does", with(status, func(n int) fault { return fault{Status: n, AfterWork: true} })},
		{"too-many-requests", "SECONDS", "answers 429 and asks to wait", with(number, func(n int) fault {
			return fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {strconv.Itoa(n)}}}
		})},
		{"html", "", "answers 200 with a web page", plain(func() fault { return fault{HTML200: true} })},
		{"slow", "DURATION", "answers late, such as 2s", with(duration, func(d time.Duration) fault { return fault{Delay: d} })},
		{"refused", "", "breaks the connection before the work is done", plain(func() fault { return fault{CutBefore: true} })},
		{"lost", "", "does the work and breaks the connection without an answer", plain(func() fault { return fault{CutAfterWork: true} })},
		{"cut", "", "does the work and breaks the connection in the middle of the body", plain(func() fault { return fault{CutBody: true} })},
		{"expire-tokens", "", "forgets every sign-in, then does the work", plain(func() fault { return fault{Run: s.ExpireTokens} })},
	}
}

// addSecretserver switches a fault on.
func addSecretserver(s *secretservertest.Server) func(secretservertest.Fault, when) {
	return func(f secretservertest.Fault, w when) {
		f.Every, f.Times = w.every, w.times
		f.Match = secretservertest.On(w.method, w.path)
		s.AddFault(f)
	}
}
