package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"cwvault/scheduler/api"
	"cwvault/sync"
	"cwvault/sync/report"
)

// How large bodies and lists can be.
const (
	maxResync   = 64 << 10
	maxCallback = 1 << 20 // a real ConnectWise sends some tens of KB for a company
	maxList     = 1000
	maxQuery    = 200 // of a search; no name is longer
)

func (h *handler) registerAPI() {
	h.handle("GET "+api.RunsPath, h.read(h.runs))
	h.handle("GET "+api.RunsPath+"/{id}", h.read(h.oneOfFew(h.run)))
	h.handle("GET "+api.PlanPath, h.read(h.oneOfFew(h.plan)))
	h.handle("GET "+api.CompaniesPath, h.read(h.companies))
	h.handle("GET "+api.CompaniesPath+"/{id}", h.read(h.company))
	h.handle("POST "+api.ResyncPath, h.resync)
	h.handle("GET "+api.ResyncPath+"/{request}", h.read(h.asked))
	h.handle("POST "+api.CallbackPath, h.sameOrigin(h.callback))
}

// runs lists runs: ?limit=20&before=0.
func (h *handler) runs(w http.ResponseWriter, r *http.Request) {
	limit, ok := number(w, r, "limit", 20, 1, maxList)
	if !ok {
		return
	}
	before, ok := number(w, r, "before", 0, 0, math.MaxInt64)
	if !ok {
		return
	}
	runs, err := h.Service.Runs(r.Context(), int(limit), before)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, api.Runs{Runs: append([]api.Run{}, runs...)})
}

// number returns a number from the query, or answers with an error.
func number(w http.ResponseWriter, r *http.Request, name string, unset, low, high int64) (int64, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return unset, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low || n > high {
		writeError(w, r, http.StatusBadRequest, fmt.Sprintf("%s must be a number from %d to %d", name, low, high))
		return 0, false
	}
	return n, true
}

// run answers with one run, as cwvault.run/1.
func (h *handler) run(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		h.fail(w, r, api.ErrNotFound)
		return
	}
	run, err := h.Service.Run(r.Context(), id)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	text, err := run.MarshalJSON()
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeRaw(w, http.StatusOK, text)
}

var errNoLook = fmt.Errorf("%w: no run has compared the two sides since the service started", api.ErrNotFound)

// plan answers with what remains of the plan after the last run, as cwvault.plan/1.
func (h *handler) plan(w http.ResponseWriter, r *http.Request) {
	look := h.Service.State().Look
	if look == nil {
		writeError(w, r, http.StatusNotFound, errNoLook.Error())
		return
	}
	text, err := look.Pending.JSON()
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Last-Modified", look.At.UTC().Format(http.TimeFormat))
	writeRaw(w, http.StatusOK, text)
}

// companies searches: ?q=&limit=20.
func (h *handler) companies(w http.ResponseWriter, r *http.Request) {
	limit, ok := number(w, r, "limit", 20, 1, maxList)
	if !ok {
		return
	}
	look := h.Service.State().Look
	if look == nil {
		writeError(w, r, http.StatusNotFound, errNoLook.Error())
		return
	}
	found, more := Search(look.Companies, r.URL.Query().Get("q"), int(limit))
	body := api.Companies{Companies: make([]api.Company, len(found)), More: more}
	for i, c := range found {
		body.Companies[i] = api.NewCompany(c)
	}
	writeJSON(w, http.StatusOK, body)
}

// company answers with one company and its explanation.
func (h *handler) company(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	look := h.Service.State().Look
	if err != nil || look == nil {
		h.fail(w, r, api.ErrNotFound)
		return
	}
	i := slices.IndexFunc(look.Companies, func(c report.Company) bool { return c.ID == id })
	if i < 0 {
		h.fail(w, r, api.ErrNotFound)
		return
	}
	body := api.NewCompany(look.Companies[i])
	body.Explain = report.FactText(look.Companies[i].Facts())
	writeJSON(w, http.StatusOK, body)
}

// Search returns the first companies that match query, at most limit, and whether
// there are more. Every word of the query must occur in the name, the identifier or
// the path, ignoring case, or be the id. A company whose id or identifier is the
// whole query comes first; the others keep their order. A query without words
// matches all companies.
func Search(companies []report.Company, query string, limit int) (found []report.Company, more bool) {
	words := strings.Fields(strings.ToLower(query))
	if len(query) > maxQuery {
		return nil, false
	}
	limit = max(limit, 0)
	var others []report.Company
	for i := range companies {
		c := &companies[i]
		switch exact, ok := matches(c, words); {
		case exact:
			found = append(found, *c)
		case ok && len(others) <= limit:
			others = append(others, *c)
		}
	}
	found = append(found, others...)
	return found[:min(limit, len(found))], len(found) > limit
}

// matches reports whether c matches all words, which are in lower case, and whether
// a single word is its id or identifier.
func matches(c *report.Company, words []string) (exact, ok bool) {
	if len(words) == 0 {
		return false, true
	}
	var digits [20]byte
	id := strconv.AppendInt(digits[:0], int64(c.ID), 10)
	if len(words) == 1 && (words[0] == string(id) || strings.EqualFold(words[0], c.Identifier)) {
		return true, true
	}
	text := strings.ToLower(c.Identifier + "\n" + c.Name + "\n" + c.Where())
	for _, word := range words {
		if word != string(id) && !strings.Contains(text, word) {
			return false, false
		}
	}
	return false, true
}

// resync requests a run. With a bearer token it accepts JSON or an empty body and
// answers with JSON. From the page's form it accepts the token as a field and
// redirects the browser to the page.
func (h *handler) resync(w http.ResponseWriter, r *http.Request) {
	if _, ok := bearer(r); !ok && contentType(r) == "application/x-www-form-urlencoded" {
		h.sameOrigin(h.resyncForm)(w, r)
		return
	}
	h.change(h.resyncJSON)(w, r)
}

func contentType(r *http.Request) string {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

func (h *handler) resyncJSON(w http.ResponseWriter, r *http.Request) {
	body, ok := h.body(w, r, maxResync)
	if !ok {
		return
	}
	var request api.Request
	if len(bytes.TrimSpace(body)) > 0 {
		if contentType(r) != "application/json" {
			writeError(w, r, http.StatusUnsupportedMediaType, "the body must be JSON, with Content-Type: application/json")
			return
		}
		if err := strictJSON(body, &request); err != nil {
			writeError(w, r, http.StatusBadRequest, "invalid request: "+err.Error())
			return
		}
	}
	asked, ok := h.ask(w, r, request)
	if !ok {
		return
	}
	w.Header().Set("Location", "/api/resync/"+url.PathEscape(asked.ID))
	writeJSON(w, http.StatusAccepted, asked)
}

// strictJSON reads one JSON value that has no unknown fields.
func strictJSON(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text follows the JSON value")
	}
	return nil
}

// resyncForm reads the fields token, companies (ids or identifiers, separated by
// commas), approve and recreate (keys, separated by commas).
func (h *handler) resyncForm(w http.ResponseWriter, r *http.Request) {
	body, ok := h.strangersBody(w, r, maxResync)
	if !ok {
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		writeError(w, r, http.StatusBadRequest, "the body is not a form")
		return
	}
	if !h.mayChange(w, r, form.Get("token")) {
		return
	}
	request := api.Request{Companies: list(form["companies"]), Approve: strings.TrimSpace(form.Get("approve"))}
	for _, key := range list(form["recreate"]) {
		request.Recreate = append(request.Recreate, sync.Key(key))
	}
	if _, ok := h.ask(w, r, request); ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// list splits values at their commas.
func list(values []string) []string {
	var all []string
	for _, value := range values {
		for entry := range strings.SplitSeq(value, ",") {
			if entry = strings.TrimSpace(entry); entry != "" {
				all = append(all, entry)
			}
		}
	}
	return all
}

// ask passes a request to the service. If the service refuses it, ask answers.
func (h *handler) ask(w http.ResponseWriter, r *http.Request, request api.Request) (api.Asked, bool) {
	asked, err := h.Service.Resync(r.Context(), request)
	if err != nil {
		h.fail(w, r, err)
		return api.Asked{}, false
	}
	h.Logger.Info("resync requested", "request", asked.ID, "peer", r.RemoteAddr, "companies", len(request.Companies), "approve", request.Approve != "")
	return asked, true
}

// asked answers with the state of a request.
func (h *handler) asked(w http.ResponseWriter, r *http.Request) {
	asked, err := h.Service.Asked(r.PathValue("request"))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, asked)
}

// callback accepts a delivery from ConnectWise. Its answers say little, because
// anybody can call it. ConnectWise retries after 429 but not after 5xx (developer
// guide, "Callbacks").
func (h *handler) callback(w http.ResponseWriter, r *http.Request) {
	signature := r.Header.Get("X-Content-Signature")
	if signature == "" {
		writeError(w, r, http.StatusForbidden, api.ErrForged.Error())
		return
	}
	body, ok := h.strangersBody(w, r, maxCallback)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	switch err := h.Service.Callback(ctx, body, signature); {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, api.ErrUndecided):
		w.WriteHeader(http.StatusAccepted)
	case errors.Is(err, api.ErrForged):
		writeError(w, r, http.StatusForbidden, api.ErrForged.Error())
	case errors.Is(err, api.ErrInvalid):
		writeError(w, r, http.StatusBadRequest, "the body is not a callback")
	case ctx.Err() != nil:
		busy(w, r, http.StatusTooManyRequests)
	default:
		h.fail(w, r, err)
	}
}

// strangersBody reads a body from an unknown sender. It reads only a few at a time,
// so that strangers cannot fill the memory.
func (h *handler) strangersBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, bool) {
	select {
	case h.strangers <- struct{}{}:
		defer func() { <-h.strangers }()
		return h.body(w, r, limit)
	default:
		busy(w, r, http.StatusTooManyRequests)
		return nil, false
	}
}

// body reads the body, or answers with an error.
func (h *handler) body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, bool) {
	var body []byte
	var err error = &http.MaxBytesError{Limit: limit}
	if r.ContentLength <= limit {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		writeError(w, r, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", limit))
		return nil, false
	case err != nil:
		writeError(w, r, http.StatusRequestTimeout, "the body did not arrive in time")
		return nil, false
	}
	return body, true
}

// writeJSON answers with v as JSON.
func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic("dashboard: internal error: " + err.Error())
	}
	writeRaw(w, status, append(text, '\n'))
}

func writeRaw(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// If the client is gone, nobody can receive an error.
	_, _ = w.Write(sync.PlainJSON(text))
}
