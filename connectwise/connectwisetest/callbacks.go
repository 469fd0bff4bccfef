package connectwisetest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type callback struct {
	id          int
	description string
	url         string
	objectID    int
	kind        string // "company", ...
	level       string
	inactive    bool
	selfSilent  bool // says nothing of changes that the member made itself
	signingKey  string
}

// event is a change of a company that callbacks may want to know of.
type event struct {
	company    *company
	action     string
	selfCaused bool
}

// Delivery is one attempt to deliver a callback.
type Delivery struct {
	Time     time.Time
	Callback int
	URL      string
	Attempt  int // from 1
	Status   int // 0 when there was no answer
	Err      error
}

var callbackTable = sliceTable("callback", func(r Role) bool { return !r.NoCallbacks },
	func(c *call) []*callback { return c.w.callbacks }, []field{
		col("id", integer, func(b *callback) any { return b.id }),
		col("description", text, func(b *callback) any { return optional(b.description) }),
		col("url", text, func(b *callback) any { return b.url }),
		col("objectId", integer, func(b *callback) any { return b.objectID }),
		col("type", text, func(b *callback) any { return b.kind }),
		col("level", text, func(b *callback) any { return b.level }),
		col("memberId", integer, func(*callback) any { return 1 }),
		col("inactiveFlag", boolean, func(b *callback) any { return b.inactive }),
		col("isSelfSuppressedFlag", boolean, func(b *callback) any { return b.selfSilent }),
	}, nil)

// companyLevels are the levels of a company callback (Developer Guide).
var companyLevels = []string{"Owner", "Status", "Type", "Territory", "Company", "IntegratorTag"}

func createCallback(c *call) (*Response, error) {
	members, err := c.members("CallbackEntry", func(name string) bool {
		return slices.Contains([]string{"id", "description", "url", "objectId", "type", "level", "memberId", "payloadVersion",
			"inactiveFlag", "isSoapCallbackFlag", "isSelfSuppressedFlag", "_info"}, name)
	})
	if err != nil {
		return nil, err
	}
	b := &callback{signingKey: rand.Text()}
	object := -1
	for _, m := range members {
		switch m.name {
		case "description":
			err = decode(m.value, m.name, &b.description)
		case "url":
			err = decode(m.value, m.name, &b.url)
		case "objectId":
			err = decode(m.value, m.name, &object)
		case "type":
			err = decode(m.value, m.name, &b.kind)
		case "level":
			err = decode(m.value, m.name, &b.level)
		case "inactiveFlag":
			err = decode(m.value, m.name, &b.inactive)
		case "isSelfSuppressedFlag":
			err = decode(m.value, m.name, &b.selfSilent)
		}
		if err != nil {
			return nil, err
		}
	}
	var errs []fieldError
	refuse := func(code, field, message string) {
		errs = append(errs, fieldError{code, message, "callback", field})
	}
	if u, err := url.Parse(b.url); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		refuse("MissingRequired", "url", "The url field must be an absolute address.")
	}
	if object < 0 {
		refuse("MissingRequired", "objectId", "The objectId field is required.")
	}
	if b.kind == "" {
		refuse("MissingRequired", "type", "The type field is required.")
	}
	if !slices.ContainsFunc(companyLevels, func(s string) bool { return strings.EqualFold(s, b.level) }) &&
		(b.level == "" || strings.EqualFold(b.kind, "company")) {
		refuse("MissingRequired", "level", "The level field is not valid for this type.")
	}
	if len([]rune(b.description)) > 100 {
		refuse("MaxLength", "description", "The field description must have at most 100 characters.")
	}
	if len(errs) > 0 {
		return nil, invalidObject("callback", errs...)
	}
	b.id, b.objectID = c.w.nextID("callback"), object
	c.w.callbacks = append(c.w.callbacks, b)
	return c.created(callbackTable, "system/callbacks", b.id, b), nil
}

func deleteCallback(c *call) (*Response, error) {
	n := len(c.w.callbacks)
	c.w.callbacks = slices.DeleteFunc(c.w.callbacks, func(b *callback) bool { return b.id == c.ids[0] })
	if len(c.w.callbacks) == n {
		return nil, notFound("callback", c.ids[0])
	}
	return c.reply(http.StatusNoContent, nil), nil
}

// callbackKey serves the key with which the deliveries of a callback are
// signed; its address is in every delivery.
func (s *Server) callbackKey(id string) (*Response, error) {
	for _, b := range s.world.callbacks {
		if strconv.Itoa(b.id) == id {
			h := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
			return &Response{Status: http.StatusOK, Header: h, Body: []byte(`{"signing_key":"` + b.signingKey + `"}`)}, nil
		}
	}
	return nil, htmlPage(http.StatusNotFound)
}

// callback returns a callback. One that does not exist is a mistake in the
// caller.
func (w *world) callback(id int) *callback {
	i := slices.IndexFunc(w.callbacks, func(b *callback) bool { return b.id == id })
	if i < 0 {
		panic("connectwisetest: there is no callback " + strconv.Itoa(id))
	}
	return w.callbacks[i]
}

// RotateKey gives a callback another signing key.
func (s *Server) RotateKey(callback int) {
	s.edit(func(w *world) { w.callback(callback).signingKey = rand.Text() })
}

// DisableCallback makes a callback inactive, as days without a delivery that
// succeeds do.
func (s *Server) DisableCallback(callback int) {
	s.edit(func(w *world) { w.callback(callback).inactive = true })
}

// Delivery returns the body that the callback would deliver if the action
// ("added", "updated", "deleted") happened to the company now. Together with
// [Server.Sign] that is for tests that deliver themselves: what is forged, and
// what is genuine once more.
func (s *Server) Delivery(callback, company int, action string) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.payload(s.world, s.world.callback(callback), event{company: s.world.mustCompany(company), action: action})
}

// Sign returns the x-content-signature that the callback's present key gives a
// body.
func (s *Server) Sign(callback int, body []byte) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return sign(s.world.callback(callback).signingKey, body)
}

// wants reports whether the callback is about this change.
func (b *callback) wants(e event) bool {
	if b.inactive || !strings.EqualFold(b.kind, "company") || b.selfSilent && e.selfCaused {
		return false
	}
	is := func(r *entry) bool { return r != nil && r.id == b.objectID }
	switch strings.ToLower(b.level) {
	case "owner":
		return true
	case "company":
		return e.company.ID == b.objectID
	case "status":
		return is(e.company.status)
	case "territory":
		return is(e.company.territory)
	case "type":
		return slices.ContainsFunc(e.company.types, func(a *association) bool { return is(a.kind) })
	}
	return false
}

func (w *world) notify(c *company, action string) {
	if len(w.callbacks) > 0 {
		w.events = append(w.events, event{c, action, w.selfCaused})
	}
}

// deliver starts the delivery of what has changed. The caller holds s.mu, so
// that no delivery starts after Close has begun to wait.
func (s *Server) deliver(w *world) {
	events := w.events
	w.events = nil
	if s.ctx.Err() != nil {
		return
	}
	for _, e := range events {
		for _, b := range w.callbacks {
			if b.wants(e) {
				body := s.payload(w, b, e)
				to := b.address(e)
				timeout, waits := s.behaviour.CallbackTimeout, slices.Clone(s.behaviour.CallbackWaits)
				id, key := b.id, b.signingKey
				s.sending.Add(1)
				s.work.Go(func() {
					defer s.sending.Done()
					s.send(id, to, sign(key, body), body, timeout, waits)
				})
			}
		}
	}
}

// payload is the body of a delivery. Entity is the record as a JSON string,
// null when it was deleted.
func (s *Server) payload(w *world, b *callback, e event) []byte {
	base := s.URL()
	var entity, out bytes.Buffer
	if e.action == "deleted" {
		entity.WriteString("null")
	} else {
		var record bytes.Buffer
		writeRow(&record, projection(nil).of(typesModel(w)), e.company, base+"/"+fixedCodebase+apiPath)
		writeString(&entity, record.String())
	}
	fmt.Fprintf(&out, `{"Action":"%s","CompanyId":`, e.action)
	writeString(&out, s.opt.Tenant)
	fmt.Fprintf(&out, `,"Entity":%s,"FromUrl":"%s","ID":%d,"MemberId":`, entity.Bytes(), s.ln.Addr(), e.company.ID)
	writeString(&out, w.updatedBy)
	fmt.Fprintf(&out, `,"Metadata":{"key_url":"%s%s%d"},"Type":"company"}`, base, callbackKeyPath, b.id)
	return out.Bytes()
}

// address appends record id and action to the callback's URL, which ends in
// "recordId=" when its owner followed the vendor's tip.
func (b *callback) address(e event) string {
	id := strconv.Itoa(e.company.ID)
	u := b.url
	if strings.HasSuffix(u, "=") {
		u += id
	}
	separator := "?"
	if strings.Contains(u, "?") {
		separator = "&"
	}
	return u + separator + "id=" + id + "&action=" + e.action
}

// sign returns the x-content-signature of a body: the key of the HMAC is the
// hash of the signing key.
func sign(signingKey string, body []byte) string {
	key := sha256.Sum256([]byte(signingKey))
	m := hmac.New(sha256.New, key[:])
	m.Write(body)
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// maxSenders is how many deliveries are on their way at a time.
const maxSenders = 8

// newSender returns a client that reaches loopback and nothing else, whatever
// address somebody has registered, and follows no redirect.
func newSender() http.Client {
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		if to, err := netip.ParseAddrPort(address); err != nil || !to.Addr().Unmap().IsLoopback() {
			return errors.New("the simulator delivers callbacks to loopback only")
		}
		return nil
	}}
	return http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send delivers one callback. Only 404, 409, 419 and 429 are retried
// (Developer Guide).
func (s *Server) send(id int, to, signature string, body []byte, timeout time.Duration, waits []time.Duration) {
	select {
	case s.sendSlot <- struct{}{}:
		defer func() { <-s.sendSlot }()
	case <-s.ctx.Done():
		return
	}
	for attempt := 1; ; attempt++ {
		d := Delivery{Time: time.Now(), Callback: id, URL: to, Attempt: attempt}
		d.Status, d.Err = s.post(to, signature, body, timeout)
		s.recordMu.Lock()
		if len(s.deliveries) >= keptRequests {
			s.deliveries = slices.Clone(s.deliveries[keptRequests/10:])
		}
		s.deliveries = append(s.deliveries, d)
		s.recordMu.Unlock()
		again := slices.Contains([]int{404, 409, 419, 429}, d.Status)
		if !again || attempt > len(waits) || !s.pause(s.ctx, waits[attempt-1]) {
			return
		}
	}
}

func (s *Server) post(to, signature string, body []byte, timeout time.Duration) (int, error) {
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header["x-content-signature"] = []string{signature}
	resp, err := s.sender.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, err
}

// Deliveries returns every attempt to deliver a callback so far.
func (s *Server) Deliveries() []Delivery {
	s.recordMu.Lock()
	defer s.recordMu.Unlock()
	return slices.Clone(s.deliveries)
}
