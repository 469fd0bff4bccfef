package connectwisetest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Checklist 13: callbacks.

// delivered is a delivery as a receiver gets it.
type delivered struct {
	query url.Values
	sign  string
	body  []byte
}

// receiver gets deliveries. What it answers can be changed; at /slow it never
// does.
type receiver struct {
	t      *testing.T
	s      *Server
	url    string
	got    chan delivered
	status atomic.Int64
}

// receiving starts a simulator whose callbacks are retried at once, and a
// receiver for them.
func receiving(t *testing.T) (*Server, *receiver) {
	s := withTables(start(t, Options{}))
	s.Behave(func(b *Behaviour) { b.CallbackWaits = []time.Duration{time.Millisecond, 2 * time.Millisecond} })
	rc := &receiver{t: t, s: s, got: make(chan delivered, 100)}
	rc.status.Store(204)
	rc.url = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
			return
		}
		rc.got <- delivered{r.URL.Query(), r.Header.Get("x-content-signature"), body}
		w.Header().Set("Location", "/cw?redirected=yes")
		w.WriteHeader(int(rc.status.Load()))
	}))
	return s, rc
}

// register makes a callback to a path of the receiver, or to a whole address.
func (rc *receiver) register(to, level string, object int, more ...string) int {
	rc.t.Helper()
	if strings.HasPrefix(to, "/") {
		to = rc.url + to
	}
	body := fmt.Sprintf(`{"description":"test","url":%q,"objectId":%d,"type":"company","level":%q%s}`, to, object, level, strings.Join(more, ""))
	return into[struct{ ID int }](rc.t, request{method: "POST", path: "system/callbacks", body: body}.send(rc.t, rc.s).want(rc.t, 201)).ID
}

// next returns what was delivered next. The test's time limit bounds the wait.
func (rc *receiver) next() delivered { return <-rc.got }

// all returns the attempts since there were so many, once no delivery is on its
// way any more, and forgets what was received.
func (rc *receiver) all(before int) []Delivery {
	rc.s.sending.Wait()
	for len(rc.got) > 0 {
		<-rc.got
	}
	return rc.s.Deliveries()[before:]
}

func TestChecklist13Delivery(t *testing.T) {
	s, rc := receiving(t)
	owner := rc.register("/cw?recordId=", "owner", 1)
	id := s.AddCompany(Company{Identifier: "acme", Name: "Acme <Ünïted> & Co", Status: 1})
	d := rc.next()
	if diff := cmp.Diff(url.Values{"recordId": {"250"}, "id": {"250"}, "action": {"added"}}, d.query); diff != "" {
		t.Errorf("query (-want +got)\n%s", diff)
	}
	var body struct {
		Action, CompanyId, Entity, FromUrl, MemberId, Type string
		ID                                                 int
		Metadata                                           struct {
			KeyURL string `json:"key_url"`
		}
	}
	if err := json.Unmarshal(d.body, &body); err != nil {
		t.Fatal(err)
	}
	entity := into[struct {
		ID   int
		Name string
	}](t, reply{body: body.Entity})
	if body.Action != "added" || body.Type != "company" || body.ID != id || body.CompanyId != "acmeinc" || entity.ID != id || entity.Name != "Acme <Ünïted> & Co" ||
		!strings.Contains(string(d.body), "<Ünïted> & Co") {
		t.Errorf("body %s", d.body)
	}
	// The key comes without keys of one's own, and signs this very body.
	if want := signature(t, body.Metadata.KeyURL, d.body); d.sign != want {
		t.Errorf("signature %s, want %s", d.sign, want)
	}

	// Tests can make the same delivery themselves.
	if again := s.Delivery(owner, id, "added"); !bytes.Equal(again, d.body) || s.Sign(owner, again) != d.sign {
		t.Errorf("Delivery: %s\nwant %s", again, d.body)
	}
	s.RotateKey(owner)
	if s.Sign(owner, d.body) == d.sign {
		t.Error("the key is the same after it was rotated")
	}

	s.Rename(id, "Other")
	if a := rc.next().query.Get("action"); a != "updated" {
		t.Errorf("action %s", a)
	}
	s.Delete(id)
	if d := rc.next(); d.query.Get("action") != "deleted" || !strings.Contains(string(d.body), `"Entity":null`) {
		t.Errorf("delete: %s", d.body)
	}
	s.Restore(id)
	rc.next()
	if n := len(rc.all(0)); n != 4 {
		t.Errorf("%d deliveries", n)
	}
}

// signature is what the key at an address signs a body with.
func signature(t *testing.T, keyURL string, body []byte) string {
	t.Helper()
	resp, err := plainClient.Get(keyURL)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	signing := into[struct {
		Key string `json:"signing_key"`
	}](t, reply{body: string(raw)}).Key
	if signing == "" {
		t.Errorf("no key in %s", raw)
	}
	key := sha256.Sum256([]byte(signing))
	mac := hmac.New(sha256.New, key[:])
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// 404, 409, 419 and 429 are tried three times, anything else once.
func TestChecklist13Retries(t *testing.T) {
	s, rc := receiving(t)
	owner := rc.register("/cw", "owner", 1)
	id := s.AddCompany(Company{Identifier: "acme", Status: 1})
	for code, attempts := range map[int]int{404: 3, 409: 3, 419: 3, 429: 3, 500: 1, 400: 1, 302: 1, 200: 1} {
		before := len(rc.all(0))
		rc.status.Store(int64(code))
		s.Rename(id, "Tried "+strconv.Itoa(code))
		all := rc.all(before)
		if len(all) != attempts || all[attempts-1].Status != code || all[attempts-1].Attempt != attempts || all[0].Callback != owner {
			t.Errorf("status %d: %+v", code, all)
		}
	}
	before := len(rc.all(0))
	s.DisableCallback(owner)
	get(t, s, fmt.Sprintf("system/callbacks/%d", owner), "fields", "inactiveFlag").want(t, 200, `{"inactiveFlag":true}`)
	s.Rename(id, "Told to nobody")
	if all := rc.all(before); len(all) != 0 {
		t.Errorf("an inactive callback was told: %+v", all)
	}
	if waits := start(t, Options{}).behaviour; waits.CallbackTimeout != 5*time.Second ||
		!cmp.Equal(waits.CallbackWaits, []time.Duration{2 * time.Second, 4 * time.Second}) {
		t.Errorf("defaults: %v, %v", waits.CallbackTimeout, waits.CallbackWaits)
	}
}

// Changes through the API are told as well, but for one's own when they are
// suppressed; an inactive callback is never told.
func TestChecklist13Suppressed(t *testing.T) {
	s, rc := receiving(t)
	id := s.AddCompany(Company{Identifier: "acme", Status: 1})
	silent := rc.register("/silent", "owner", 1, `,"isSelfSuppressedFlag":true`)
	rc.register("/inactive", "owner", 1, `,"inactiveFlag":true`)
	plain := rc.register("/plain", "owner", 1)
	request{method: "PATCH", path: fmt.Sprintf("company/companies/%d", id), body: `[{"op":"replace","path":"name","value":"By API"}]`}.send(t, s).want(t, 200)
	s.Rename(id, "By hand")
	var told []int
	for _, d := range rc.all(0) {
		told = append(told, d.Callback)
	}
	slices.Sort(told)
	if diff := cmp.Diff([]int{silent, plain, plain}, told); diff != "" {
		t.Errorf("told (-want +got)\n%s", diff)
	}
	request{method: "DELETE", path: fmt.Sprintf("system/callbacks/%d", plain)}.send(t, s).want(t, 204)
	request{method: "DELETE", path: "system/callbacks/999"}.send(t, s).want(t, 404)
	if n := len(get(t, s, "system/callbacks").ids(t)); n != 2 {
		t.Errorf("%d callbacks, want 2", n)
	}
}

// Levels choose; a receiver that takes too long, and one that is not on this
// machine, are given up.
func TestChecklist13Levels(t *testing.T) {
	s, rc := receiving(t)
	id := s.AddCompany(Company{Identifier: "acme", Status: 1})
	rc.register("/status", "Status", 1)
	rc.register("/company?x=y&recordId=", "company", 999)
	s.SetStatus(id, 2)
	s.SetStatus(id, 1)
	if d := rc.next(); d.query.Get("id") != "250" {
		t.Errorf("levels: %v", d.query)
	}
	before := len(rc.all(0))
	if before != 1 {
		t.Errorf("%d deliveries, want one", before)
	}
	s.Behave(func(b *Behaviour) { b.CallbackTimeout = 20 * time.Millisecond })
	slow := rc.register("/slow", "type", 3)
	far := rc.register("http://192.0.2.1/x", "type", 3)
	s.SetTypes(id, 3)
	failed := map[int]error{}
	for _, d := range rc.all(before) {
		failed[d.Callback] = d.Err
	}
	if err := failed[slow]; err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("slow receiver: %v", err)
	}
	if err := failed[far]; err == nil || !strings.Contains(err.Error(), "loopback only") {
		t.Errorf("receiver beyond loopback: %v", err)
	}
}

func TestChecklist13BadCallbacks(t *testing.T) {
	s := start(t, Options{})
	for _, bad := range []string{
		`{}`, `{"url":"x","objectId":1,"type":"company","level":"owner"}`, `{"url":"http://x","type":"company","level":"owner"}`,
		`{"url":"http://x","objectId":1,"level":"owner"}`, `{"url":"http://x","objectId":1,"type":"company","level":"planet"}`,
		`{"url":"http://x","objectId":1,"type":"company","level":"owner","description":"` + strings.Repeat("x", 101) + `"}`,
	} {
		request{method: "POST", path: "system/callbacks", body: bad}.send(t, s).want(t, 400)
	}
	if n := len(get(t, s, "system/callbacks").ids(t)); n != 0 {
		t.Errorf("%d callbacks", n)
	}
}

// serve starts another server on loopback and returns its address.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return "http://" + ln.Addr().String()
}
