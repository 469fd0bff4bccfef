package connectwise

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	"cwvault/connectwise/connectwisetest"
)

// clock is a clock that tests set.
type clock struct {
	mu  gosync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// receiving returns a simulator with a company (250) and a callback (1), a
// client and its clock.
func receiving(t *testing.T) (*connectwisetest.Server, *Client, *clock) {
	t.Helper()
	s, c := simulated(t)
	if _, err := c.RegisterCallback(t.Context(), "http://127.0.0.1:1/?recordId=", ""); err != nil {
		t.Fatal(err)
	}
	now := &clock{now: time.Now()}
	c.now = now.Now
	s.ResetRequests()
	return s, c, now
}

// verify verifies a delivery and returns "yes", "forged" or "open".
func verify(t *testing.T, c *Client, body []byte, signature string) string {
	t.Helper()
	event, err := c.VerifyDelivery(t.Context(), body, signature)
	switch {
	case err == nil:
		if event.Company != 250 {
			t.Errorf("event %+v", event)
		}
		return "yes"
	case event != (Event{}):
		t.Errorf("%v, and event %+v", err, event)
	}
	if errors.Is(err, ErrForged) {
		return "forged"
	}
	return "open"
}

const keyPath = "/login/callbackkey/1"

func TestVerifyDelivery(t *testing.T) {
	s, c, now := receiving(t)
	fetched := func() int { return sentTo(s, "GET", keyPath) }
	for _, action := range []string{"added", "updated", "deleted"} {
		body := s.Delivery(1, 250, action)
		for range 2 { // a replay is genuine
			got, err := c.VerifyDelivery(t.Context(), body, s.Sign(1, body))
			if want := (Event{250, action}); got != want || err != nil {
				t.Errorf("%+v, %v, want %+v", got, err, want)
			}
		}
	}
	if n := fetched(); n != 1 {
		t.Errorf("the key was fetched %d times", n)
	}
	for _, r := range s.Requests() {
		if r.Authorized || r.ClientID {
			t.Errorf("%s went out with our keys", r.Path)
		}
	}
	body := s.Delivery(1, 250, "updated")
	sign := s.Sign(1, body)

	now.add(keyLife - time.Second)
	if got := verify(t, c, body, sign); got != "yes" || fetched() != 1 {
		t.Errorf("before an hour is over: %s, fetched %d times", got, fetched())
	}
	now.add(time.Second)
	if got := verify(t, c, body, sign); got != "yes" || fetched() != 2 {
		t.Errorf("after an hour: %s, fetched %d times", got, fetched())
	}

	// A key that changes is found out at once; what it did not sign stays forged.
	s.RotateKey(1)
	if got := verify(t, c, body, s.Sign(1, body)); got != "yes" || fetched() != 3 {
		t.Errorf("with a new key: %s, fetched %d times", got, fetched())
	}
	if got := verify(t, c, body, sign); got != "forged" || fetched() != 3 {
		t.Errorf("with the old key: %s, fetched %d times", got, fetched())
	}
	// Whatever is forged, the key is asked for again once a minute.
	for range 20 {
		if got := verify(t, c, body, sign); got != "forged" {
			t.Errorf("with the old key: %s", got)
		}
	}
	now.add(keyDoubt)
	for range 20 {
		if got := verify(t, c, body, sign); got != "forged" {
			t.Errorf("with the old key: %s", got)
		}
	}
	if fetched() != 4 {
		t.Errorf("fetched %d times, want 4", fetched())
	}
	// And a key that changes meanwhile is found out when the minute is over.
	s.RotateKey(1)
	if got := verify(t, c, body, s.Sign(1, body)); got != "forged" {
		t.Errorf("within the minute: %s", got)
	}
	now.add(keyDoubt)
	if got := verify(t, c, body, s.Sign(1, body)); got != "yes" || fetched() != 5 {
		t.Errorf("after the minute: %s, fetched %d times", got, fetched())
	}
}

// The signature is what the vendor's documentation says, computed here with
// nothing of the client's or the simulator's.
func TestVerifyDeliveryAlgorithm(t *testing.T) {
	s := newServer(t, 0)
	s.on[infoPath] = func(http.ResponseWriter, *http.Request) { t.Error("looked for the API") }
	const signingKey = "s3cret/+= key"
	s.codebase = "keys"
	s.on["/one"] = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "a=b&c=d%2Fe" {
			t.Errorf("query %q", r.URL.RawQuery)
		}
		answer(200, `{"signing_key":"`+signingKey+`"}`)(w, r)
	}
	c, _ := clientOf(t, s)
	body := []byte(`{"Action":"Updated","CompanyId":"AcmeInc","Entity":"{}","FromUrl":"x","ID":7,"MemberId":"y","Type":"Company",` +
		`"Metadata":{"key_url":"` + s.URL + `/keys/apis/3.0/one?c=d/e&a=b"}}`)
	key := sha256.Sum256([]byte(signingKey))
	mac := hmac.New(sha256.New, key[:])
	mac.Write(body)
	got, err := c.VerifyDelivery(t.Context(), body, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	if want := (Event{7, "updated"}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if len(s.requests("/one")) != 1 {
		t.Error("the key was not asked for")
	}
}

func TestVerifyDeliveryForged(t *testing.T) {
	s, c, _ := receiving(t)
	genuine := string(s.Delivery(1, 250, "updated"))
	keyURL := s.URL() + keyPath
	host := strings.TrimPrefix(s.URL(), "http://")
	change := func(old, to string) func() (string, string) {
		return func() (string, string) {
			body := strings.Replace(genuine, old, to, 1)
			if body == genuine {
				t.Errorf("%q is not in the delivery", old)
			}
			return body, s.Sign(1, []byte(body))
		}
	}
	keyAt := func(address string) func() (string, string) {
		return change(`"key_url":"`+keyURL+`"`, `"key_url":"`+address+`"`)
	}
	as := func(body string) func() (string, string) {
		return func() (string, string) { return body, s.Sign(1, []byte(body)) }
	}
	signed := func(signature string) func() (string, string) {
		return func() (string, string) { return genuine, signature }
	}
	good := s.Sign(1, []byte(genuine))
	for name, test := range map[string]struct {
		forge   func() (body, signature string)
		fetches int
	}{
		"no signature":            {signed(""), 0},
		"not base64":              {signed("!" + good[1:]), 0},
		"too short":               {signed(base64.StdEncoding.EncodeToString([]byte("short"))), 0},
		"too long":                {signed(base64.StdEncoding.EncodeToString(make([]byte, 33))), 0},
		"hex":                     {signed(fmt.Sprintf("%x", sha256.Sum256(nil))), 0},
		"wrong":                   {signed(base64.StdEncoding.EncodeToString(make([]byte, 32))), 1},
		"of another body":         {func() (string, string) { return genuine + " ", good }, 1},
		"another tenant":          {change(`"CompanyId":"acmeinc"`, `"CompanyId":"other"`), 0},
		"no tenant":               {change(`"CompanyId":"acmeinc"`, `"CompanyId":""`), 0},
		"another type":            {change(`"Type":"company"`, `"Type":"ticket"`), 0},
		"another action":          {change(`"Action":"updated"`, `"Action":"merged"`), 0},
		"no company":              {change(`"ID":250`, `"ID":0`), 0},
		"a negative company":      {change(`"ID":250`, `"ID":-250`), 0},
		"a fraction of a company": {change(`"ID":250`, `"ID":250.5`), 0},
		"a huge company":          {change(`"ID":250`, `"ID":99999999999999999999`), 0},
		"a company as text":       {change(`"ID":250`, `"ID":"250"`), 0},
		"a giant":                 {as(strings.Repeat(" ", maxDelivery) + genuine), 0},
		"nothing":                 {as(""), 0},
		"not JSON":                {as("<html>"), 0},
		"null":                    {as("null"), 0},
		"a list":                  {as("[" + genuine + "]"), 0},
		"two deliveries":          {as(genuine + genuine), 0},
		"deep":                    {as(strings.Repeat("[", 100_000)), 0},
		"no key":                  {keyAt(""), 0},
		"key elsewhere":           {keyAt("http://evil.example.com/key"), 0},
		"key by https elsewhere":  {keyAt("https://api-na.myconnectwise.net" + keyPath), 0},
		"key by https":            {keyAt("https://" + host + keyPath), 0},
		"key with a user":         {keyAt("http://user:password@" + host + keyPath), 0},
		"key behind a user":       {keyAt("http://" + host + "@evil.example.com" + keyPath), 0},
		"key with a fragment":     {keyAt(keyURL + "#x"), 0},
		"key at another port":     {keyAt("http://127.0.0.1:1" + keyPath), 0},
		"key without the port":    {keyAt("http://127.0.0.1" + keyPath), 0},
		"key by another name":     {keyAt(strings.Replace(keyURL, "127.0.0.1", "localhost", 1)), 0},
		"key by IPv6":             {keyAt(strings.Replace(keyURL, "127.0.0.1", "[::1]", 1)), 0},
		"key by mapped IPv6":      {keyAt(strings.Replace(keyURL, "127.0.0.1", "[::ffff:127.0.0.1]", 1)), 0},
		"key by a short address":  {keyAt(strings.Replace(keyURL, "127.0.0.1", "127.1", 1)), 0},
		"key in a file":           {keyAt("file:///etc/passwd"), 0},
		"key at no place":         {keyAt("login/callbackkey/1"), 0},
		"key at an odd address":   {keyAt("http://127.0.0.1:x/%zz"), 0},
		"key with control signs":  {keyAt(keyURL + `\r\nHost: evil.example.com`), 0},
		"key of a giant address":  {keyAt(keyURL + "?" + strings.Repeat("x", maxKeyURL)), 0},
		"key of no callback":      {change(keyPath, "/login/callbackkey/9"), 1},
		"key that is no key":      {change(keyPath, "/login/companyinfo/acmeinc"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			c.keys = signingKeys{}
			s.ResetRequests()
			body, signature := test.forge()
			if got := verify(t, c, []byte(body), signature); got != "forged" {
				t.Error(got)
			}
			if n := len(s.Requests()); n != test.fetches {
				t.Errorf("%d requests, want %d", n, test.fetches)
			}
			if got := verify(t, c, []byte(genuine), good); got != "yes" {
				t.Errorf("a genuine one after it: %s", got)
			}
		})
	}
}

// On ConnectWise's cloud every host of the domain may have the key, over https
// and at the usual port.
func TestKeyAddress(t *testing.T) {
	for _, test := range []struct{ given, key, want string }{
		{"na.myconnectwise.net", "https://api-na.myconnectwise.net/k", "https://api-na.myconnectwise.net/k"},
		{"na.myconnectwise.net", "https://NA.MyConnectWise.net:443/k", "https://na.myconnectwise.net/k"},
		{"na.myconnectwise.net", "http://na.myconnectwise.net/k", ""},
		{"na.myconnectwise.net", "https://na.myconnectwise.net:8443/k", ""},
		{"na.myconnectwise.net", "https://na.myconnectwise.net.evil.example.com/k", ""},
		{"na.myconnectwise.net", "https://evilmyconnectwise.net/k", ""},
		{"na.myconnectwise.net", "https://myconnectwise.net/k", ""},
		{"na.myconnectwise.net", "https://na.myconnectwise.net./k", ""},
		{"na.myconnectwise.net", "https://evil.example.com%2f.myconnectwise.net/k", ""},
		{"na.myconnectwise.net", `https://evil.example.com\.myconnectwise.net/k`, ""},
		{"na.myconnectwise.net", "https://evil.example.com?.myconnectwise.net/k", ""},
		{"na.myconnectwise.net", "https://evil.example.com#.myconnectwise.net/k", ""},
		{"na.myconnectwise.net", "https://a$b.myconnectwise.net/k", ""},
		{"na.myconnectwise.net", "https://x@na.myconnectwise.net/k", ""},
		{"na.myconnectwise.net", "https://staging.connectwisedev.com/k", ""},
		{"https://cw.example.com/v4_6_release/apis/3.0", "https://cw.example.com/k?x=1", "https://cw.example.com/k?x=1"},
		{"https://cw.example.com", "https://cw.example.com:443/k", "https://cw.example.com/k"},
		{"https://cw.example.com", "https://api-cw.example.com/k", ""},
		{"https://cw.example.com", "https://na.myconnectwise.net/k", ""},
		{"https://cw.example.com:8443", "https://cw.example.com:8443/k", "https://cw.example.com:8443/k"},
		{"https://cw.example.com:8443", "https://cw.example.com/k", ""},
		{"https://[::1]:8443", "https://[::1]:8443/k", "https://[::1]:8443/k"},
		{"https://[::1]:8443", "https://[::1]:8444/k", ""},
		{"http://[::1]:8080", "http://[::1]:8080/k", "http://[::1]:8080/k"},
		{"https://localhost", "http://localhost/k", ""},
	} {
		c, err := New(Config{URL: test.given, CompanyID: "a", PublicKey: "b", PrivateKey: "c", ClientID: "d"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.keyAddress(test.key)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("given %s, %s: %q, %v, want %q", test.given, test.key, got, err, test.want)
		}
	}
}

// What a server says when it is asked for a key.
func TestVerifyDeliveryKeyAnswers(t *testing.T) {
	s, c, now := receiving(t)
	body := s.Delivery(1, 250, "updated")
	sign := s.Sign(1, body)
	elsewhere := newServer(t, 0)
	elsewhere.elsewhere = answer(200, `{"signing_key":"of somebody else"}`)
	for name, test := range map[string]struct {
		fault connectwisetest.Fault
		want  string
	}{
		"500":             {connectwisetest.TimeoutBody(), "open"},
		"502":             {connectwisetest.HTML(502), "open"},
		"429":             {connectwisetest.TooManyRequests(600), "open"},
		"408":             {connectwisetest.Fault{Status: 408}, "open"},
		"a page":          {connectwisetest.HTML(200), "open"},
		"lost":            {connectwisetest.Lost(), "open"},
		"cut off":         {connectwisetest.Cut(5), "open"},
		"cut short":       {connectwisetest.Truncated(5), "open"},
		"giant":           {connectwisetest.Fault{Status: 200, Body: `{"x":"` + strings.Repeat("x", maxSmallBody) + `","signing_key":"x"}`}, "open"},
		"no answer":       {connectwisetest.Hang(), "open"},
		"404":             {connectwisetest.HTML(404), "forged"},
		"401":             {connectwisetest.Fault{Status: 401, Body: `{"code":"X","message":"Y"}`}, "forged"},
		"redirect":        {connectwisetest.Redirect(elsewhere.URL), "forged"},
		"null":            {connectwisetest.Fault{Status: 200, Body: `null`}, "forged"},
		"no key":          {connectwisetest.Fault{Status: 200, Body: `{"signing_key":""}`}, "forged"},
		"another key":     {connectwisetest.Fault{Status: 200, Body: `{"signing_key":"x"}`}, "forged"},
		"a key as number": {connectwisetest.Fault{Status: 200, Body: `{"signing_key":7}`}, "open"},
	} {
		t.Run(name, func(t *testing.T) {
			c.keys = signingKeys{}
			c.tryTimeout = 30 * time.Second
			if name == "no answer" {
				c.tryTimeout = 50 * time.Millisecond
			}
			s.ResetRequests()
			test.fault.Match = connectwisetest.On("GET", keyPath)
			remove := s.AddFault(test.fault)
			event, err := c.VerifyDelivery(t.Context(), body, sign)
			if event != (Event{}) || err == nil || errors.Is(err, ErrForged) != (test.want == "forged") {
				t.Errorf("%+v, %v, want %s", event, err, test.want)
			}
			if errors.Is(err, ErrUnauthorized) {
				t.Errorf("%v tells of our keys, which were not sent", err)
			}
			if n := len(s.Requests()); n != 1 {
				t.Errorf("%d requests", n)
			}
			remove()
			// The next one is decided; of a key that was known, five seconds later.
			if name == "another key" {
				if got := verify(t, c, body, sign); got != "yes" {
					t.Errorf("after that: %s", got)
				}
				return
			}
			if got := verify(t, c, body, sign); got != "yes" {
				t.Errorf("after that: %s", got)
			}
			now.add(keyLife)
			s.ResetRequests()
			remove = s.AddFault(test.fault)
			for range 5 {
				if got := verify(t, c, body, sign); got == "yes" {
					t.Error("a key that could not be had was believed")
				}
			}
			if n := len(s.Requests()); test.want == "open" && n != 1 {
				t.Errorf("%d requests within five seconds", n)
			}
			remove()
			now.add(keyRetry)
			if got := verify(t, c, body, sign); got != "yes" {
				t.Errorf("five seconds later: %s", got)
			}
		})
	}
	if len(elsewhere.requests("")) != 0 {
		t.Error("a redirect was followed")
	}
}

// The key comes over a connection as safe as all others.
func TestVerifyDeliveryTLS(t *testing.T) {
	s, err := connectwisetest.New(connectwisetest.Options{TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.AddCompany(connectwisetest.Company{Name: "Acme"})
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, s.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := checkConfig(s)
	careless, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.CAFile = file
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RegisterCallback(t.Context(), receiver, ""); err != nil {
		t.Fatal(err)
	}
	body := s.Delivery(1, 250, "updated")
	if got := verify(t, c, body, s.Sign(1, body)); got != "yes" {
		t.Error(got)
	}
	if got := verify(t, careless, body, s.Sign(1, body)); got != "open" {
		t.Errorf("a certificate that nobody trusts: %s", got)
	}
}

// A key that changes while ConnectWise is down is found out as soon as it is up.
func TestVerifyDeliveryNewKeyWhileDown(t *testing.T) {
	s, c, now := receiving(t)
	body := s.Delivery(1, 250, "updated")
	if got := verify(t, c, body, s.Sign(1, body)); got != "yes" {
		t.Fatal(got)
	}
	s.RotateKey(1)
	down := connectwisetest.HTML(503)
	down.Match = connectwisetest.On("GET", keyPath)
	up := s.AddFault(down)
	if got := verify(t, c, body, s.Sign(1, body)); got != "open" {
		t.Errorf("while it is down: %s", got)
	}
	up()
	now.add(keyRetry)
	if got := verify(t, c, body, s.Sign(1, body)); got != "yes" {
		t.Errorf("when it is up: %s", got)
	}
}

// The key of a callback that was removed is not asked for with each delivery.
func TestVerifyDeliveryRemovedCallback(t *testing.T) {
	s, c, now := receiving(t)
	body := s.Delivery(1, 250, "updated")
	sign := s.Sign(1, body)
	if got := verify(t, c, body, sign); got != "yes" {
		t.Fatal(got)
	}
	if err := c.RemoveCallback(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	now.add(keyLife)
	s.ResetRequests()
	for range 50 {
		if got := verify(t, c, body, sign); got == "yes" {
			t.Errorf("%s", got)
		}
	}
	if n := sentTo(s, "GET", keyPath); n == 0 || n > maxStrangers+1 {
		t.Errorf("the key was asked for %d times", n)
	}
}

// TestVerifyDeliveryFlood: deliveries that name ever other keys cost a few
// requests a minute, and neither memory nor what is known.
func TestVerifyDeliveryFlood(t *testing.T) {
	s, c, now := receiving(t)
	known := s.Delivery(1, 250, "updated")
	if got := verify(t, c, known, s.Sign(1, known)); got != "yes" {
		t.Fatal(got)
	}
	s.ResetRequests()
	counts := map[string]int{}
	for i := range 200 {
		body := []byte(strings.Replace(string(known), keyPath, fmt.Sprintf("%s%d", keyPath, i), 1))
		counts[verify(t, c, body, s.Sign(1, body))]++
	}
	// One of the ten was spent on the key that is known.
	if n := len(s.Requests()); n != maxStrangers-1 || counts["forged"] != n || counts["open"] != 200-n {
		t.Errorf("%d requests, %v", n, counts)
	}
	// The known one goes on, with its key young or old.
	for _, d := range []time.Duration{0, keyLife - 30*time.Second} {
		now.add(d)
		if got := verify(t, c, known, s.Sign(1, known)); got != "yes" {
			t.Errorf("the known one: %s", got)
		}
	}
	for range 2 * maxStrangers {
		body := []byte(strings.Replace(string(known), keyPath, keyPath+"0", 1))
		_ = verify(t, c, body, s.Sign(1, body))
	}
	now.add(31 * time.Second)
	if got := verify(t, c, known, s.Sign(1, known)); got != "yes" {
		t.Errorf("the known one with an old key: %s", got)
	}
}

// The keys that are kept are few, and the one that is in use stays.
func TestVerifyDeliveryKeysAreFew(t *testing.T) {
	s, c, now := receiving(t)
	for range 3 * maxKeys {
		if _, err := c.RegisterCallback(t.Context(), "http://127.0.0.1:1/", ""); err != nil {
			t.Fatal(err)
		}
	}
	s.ResetRequests()
	for id := 1; id <= 3*maxKeys; id++ {
		for _, id := range []int{1, id} {
			body := s.Delivery(id, 250, "updated")
			if got := verify(t, c, body, s.Sign(id, body)); got != "yes" {
				t.Errorf("callback %d: %s", id, got)
			}
			now.add(time.Second)
		}
		now.add(keyDoubt / maxStrangers)
		if len(c.keys.at) > maxKeys || len(c.keys.strangers) > maxStrangers {
			t.Fatalf("%d keys, %d strangers", len(c.keys.at), len(c.keys.strangers))
		}
	}
	if len(c.keys.at) != maxKeys {
		t.Errorf("%d keys, want %d", len(c.keys.at), maxKeys)
	}
	if n := sentTo(s, "GET", keyPath); n != 1 {
		t.Errorf("the key in use was fetched %d times", n)
	}
}

// Many deliveries at once ask for one key once.
func TestVerifyDeliveryAtOnce(t *testing.T) {
	s, c, _ := receiving(t)
	body := s.Delivery(1, 250, "updated")
	sign := s.Sign(1, body)
	arrived := make(chan struct{})
	answerIt := make(chan struct{})
	s.AddFault(connectwisetest.Fault{Match: connectwisetest.On("GET", keyPath), Before: func() { close(arrived); <-answerIt }, Times: 1})
	var yes atomic.Int32
	var work gosync.WaitGroup
	for range 50 {
		work.Go(func() {
			if _, err := c.VerifyDelivery(context.Background(), body, sign); err != nil {
				t.Error(err)
				return
			}
			yes.Add(1)
		})
	}
	<-arrived
	// Who cannot wait is not kept.
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.VerifyDelivery(short, body, sign); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(answerIt)
	work.Wait()
	if n := len(s.Requests()); n != 1 || yes.Load() != 50 {
		t.Errorf("%d requests, %d verified", n, yes.Load())
	}
}

func FuzzReadDelivery(f *testing.F) {
	for _, seed := range []string{"", "null", "[]", `{"Action":"updated","CompanyId":"acmeinc","ID":250,"Type":"company","Metadata":{"key_url":"http://127.0.0.1:80/"}}`,
		`{"id":1,"ID":2,"Type":"company","type":7}`, `{"Metadata":{"key_url":"http://[::1"}}`} {
		f.Add([]byte(seed))
	}
	c, err := New(Config{URL: "http://127.0.0.1:80", CompanyID: "acmeinc", PublicKey: "b", PrivateKey: "c", ClientID: "d"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		event, keyURL, err := c.readDelivery(body)
		if err == nil && (event.Company <= 0 || event.Action == "") {
			t.Errorf("%+v", event)
		}
		if address, err := c.keyAddress(keyURL); err == nil && !strings.HasPrefix(address, "http://127.0.0.1:80") {
			t.Errorf("%q", address)
		}
	})
}
