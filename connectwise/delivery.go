package connectwise

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ErrForged: a delivery is not from ConnectWise, or not about this tenant's
// companies.
var ErrForged = errors.New("not signed by ConnectWise")

// Event is a change of a company, as a delivery reports it.
type Event struct {
	Company int    // its id
	Action  string // "added", "updated" or "deleted"
}

const (
	// maxDelivery is far more than one company with all its fields needs.
	maxDelivery = 1 << 20
	maxKeyURL   = 2000

	// keyTimeout limits one request for a key.
	keyTimeout = 5 * time.Second
	// keyLife is how long a key is cached.
	keyLife = time.Hour
	// keyDoubt is how long a cached key stays after it did not fit, so that forged
	// deliveries cause only one request in that time.
	keyDoubt = time.Minute
	// keyRetry is the pause before a retry at a server that gave no key.
	keyRetry = 5 * time.Second
	// maxKeys limits the cached keys. There is one for each callback.
	maxKeys = 16
	// maxStrangers is how many keys without a genuine delivery may be requested
	// within keyDoubt.
	maxStrangers = 10
)

// VerifyDelivery returns the event in body if ConnectWise signed it. signature is the
// header x-content-signature. An error wraps [ErrForged], or says why the signature
// cannot be checked yet. Then the same delivery may be verified later.
//
// The signature is an HMAC of body. body names the address of its key (Developer Guide,
// "Callbacks"). The client accepts that address only on the host that the operator
// named, or on another host of the same ConnectWise domain, with https, or with http if
// the operator's URL has it. The request for the key carries no API keys and follows no
// redirects. Keys are cached for an hour, so one Client should verify all deliveries.
// Forged deliveries cause at most one request at a time and a few per minute.
//
// A signature has no date, so anybody can replay old deliveries. On ConnectWise's cloud
// it does not say whose callback signed: another customer of ConnectWise could sign a
// delivery that names this tenant. So an event only proves that it is worth reading the
// company again.
func (c *Client) VerifyDelivery(ctx context.Context, body []byte, signature string) (Event, error) {
	event, keyURL, err := c.readDelivery(body)
	if err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrForged, err)
	}
	mac, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || len(mac) != sha256.Size {
		return Event{}, fmt.Errorf("%w: the signature is malformed", ErrForged)
	}
	address, err := c.keyAddress(keyURL)
	if err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrForged, err)
	}
	fits := func(key [sha256.Size]byte) bool {
		want := hmac.New(sha256.New, key[:])
		want.Write(body)
		return hmac.Equal(want.Sum(nil), mac)
	}

	if key, known := c.keyAt(address); known && fits(key) {
		c.proveKey(address)
		return event, nil
	}
	select {
	case c.fetching <- struct{}{}:
		defer func() { <-c.fetching }()
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
	key, known := c.keyAt(address) // somebody else may have fetched it meanwhile
	if !known || !fits(key) {
		if err := c.mayFetch(address, known); err != nil {
			return Event{}, err
		}
		if key, err = c.fetchKey(ctx, address); err != nil {
			return Event{}, err
		}
	}
	if !fits(key) {
		return Event{}, fmt.Errorf("%w: the signature is wrong", ErrForged)
	}
	c.proveKey(address)
	return event, nil
}

// readDelivery returns the event of a delivery and the address of its key. Its errors
// say what is wrong with the delivery.
func (c *Client) readDelivery(body []byte) (event Event, keyURL string, err error) {
	if len(body) > maxDelivery {
		return Event{}, "", fmt.Errorf("it is longer than %d bytes", maxDelivery)
	}
	var payload struct {
		Action    string
		CompanyID string `json:"CompanyId"` // the tenant's
		ID        int    // the record's
		Type      string
		Metadata  struct {
			KeyURL string `json:"key_url"`
		}
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		return Event{}, "", errors.New("it is not a delivery")
	}
	event = Event{Company: payload.ID, Action: strings.ToLower(payload.Action)}
	switch {
	case !strings.EqualFold(payload.CompanyID, c.company):
		err = errors.New("it is for another tenant")
	case !strings.EqualFold(payload.Type, "company"):
		err = errors.New("it is not about a company")
	case payload.ID <= 0:
		err = errors.New("it names no company")
	case event.Action != "added" && event.Action != "updated" && event.Action != "deleted":
		err = errors.New("it names no known action")
	}
	return event, payload.Metadata.KeyURL, err
}

// keyAddress checks the address of a key.
func (c *Client) keyAddress(raw string) (address string, err error) {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxKeyURL || u.Host == "" || u.User != nil || u.Fragment != "" {
		return "", errors.New("the address of its key is malformed")
	}
	scheme, given := c.given.origin()
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	}
	if vendor := vendorDomain(given); vendor != "" && plainHost.MatchString(host) && vendorDomain(host) == vendor {
		given = host
	}
	if u.Scheme != scheme || host != given {
		return "", fmt.Errorf("its key is at %s, not at %s://%s", c.clean(u.Scheme+"://"+u.Host), scheme, given)
	}
	address = scheme + "://" + host + u.EscapedPath()
	if query := u.Query().Encode(); query != "" {
		address += "?" + query
	}
	return address, nil
}

// signingKeys are the keys of callbacks, by their addresses. [Client].mu guards
// them.
type signingKeys struct {
	at        map[string]*signingKey
	strangers []time.Time // when keys without a genuine delivery were requested
}

type signingKey struct {
	key     [sha256.Size]byte // for the HMAC: the hash of what ConnectWise serves
	fetched time.Time
	doubted time.Time // when it was last requested again because it did not fit
	failed  time.Time // when a request for it last failed
	proven  time.Time // when it last fitted; zero: never
}

// keyAt returns the key of an address if it is cached and not too old.
func (c *Client) keyAt(address string) (key [sha256.Size]byte, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.keys.at[address]
	if k == nil || c.now().Sub(k.fetched) >= keyLife {
		return key, false
	}
	return k.key, true
}

// proveKey records that the key of an address signed a genuine delivery.
func (c *Client) proveKey(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.keys.at[address]; k != nil {
		k.proven = c.now()
	}
}

// mayFetch returns an error if the key of an address must not be fetched now. mismatch
// means that the cached key does not fit.
func (c *Client) mayFetch(address string, mismatch bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	k := c.keys.at[address]
	if mismatch {
		if now.Sub(k.doubted) < keyDoubt {
			return fmt.Errorf("%w: the signature is wrong", ErrForged)
		}
		k.doubted = now
	}
	if k != nil && now.Sub(k.failed) < keyRetry {
		return fmt.Errorf("the key of the delivery could not be fetched %v ago; too early to retry", now.Sub(k.failed).Round(time.Millisecond))
	}
	if k != nil && !k.proven.IsZero() {
		return nil
	}
	recent := c.keys.strangers[:0]
	for _, t := range c.keys.strangers {
		if now.Sub(t) < keyDoubt {
			recent = append(recent, t)
		}
	}
	if c.keys.strangers = recent; len(recent) >= maxStrangers {
		return fmt.Errorf("too many deliveries with unknown keys (%d within %v); retry later", len(recent), keyDoubt)
	}
	c.keys.strangers = append(recent, now)
	return nil
}

// fetchKey fetches the key at an address, once and without our own keys.
func (c *Client) fetchKey(ctx context.Context, address string) (key [sha256.Size]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	defer c.transport.CloseIdleConnections()
	where, rawQuery, _ := strings.Cut(address, "?")
	query, _ := url.ParseQuery(rawQuery) // of [Client.keyAddress], so it can be parsed
	var answer struct {
		Key string `json:"signing_key"`
	}
	failure := c.try(ctx, request{url: where, query: query, accept: '{', limit: maxSmallBody}, false, func(body io.Reader, _ http.Header) error {
		if err := json.NewDecoder(body).Decode(&answer); err != nil {
			return err
		}
		if answer.Key == "" {
			return errNoKey
		}
		return nil
	})
	if failure != nil {
		return key, c.noKey(address, failure)
	}
	key = sha256.Sum256([]byte(answer.Key))
	c.keepKey(address, key)
	return key, nil
}

var errNoKey = errors.New("the answer holds no key")

// noKey says why there is no key: it does not exist, or it cannot be read now.
func (c *Client) noKey(address string, failure *Error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	failure.Hint = "" // hints are for requests with keys
	refused := failure.Status >= 300 && failure.Status < 500 &&
		failure.Status != http.StatusRequestTimeout && failure.Status != http.StatusTooManyRequests
	if refused || errors.Is(failure, errNoKey) {
		delete(c.keys.at, address)
		return fmt.Errorf("%w: its key does not exist: %v", ErrForged, failure)
	}
	if k := c.keys.at[address]; k != nil {
		k.failed, k.doubted = c.now(), time.Time{}
	}
	return fmt.Errorf("fetch the key of a delivery: %v", failure)
}

// keepKey caches a key. If there are too many, it drops the key that was never proven or
// was proven the longest ago.
func (c *Client) keepKey(address string, key [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.keys.at[address]; k != nil {
		k.key, k.fetched, k.failed = key, c.now(), time.Time{}
		return
	}
	if c.keys.at == nil {
		c.keys.at = map[string]*signingKey{}
	}
	if len(c.keys.at) >= maxKeys {
		oldest := ""
		for at, k := range c.keys.at {
			if oldest == "" || k.proven.Before(c.keys.at[oldest].proven) {
				oldest = at
			}
		}
		delete(c.keys.at, oldest)
	}
	c.keys.at[address] = &signingKey{key: key, fetched: c.now()}
}
