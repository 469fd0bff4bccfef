package secretserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"cwvault/vault"
)

// session is the address of the API and a token for it.
type session struct {
	base     string // Secret Server, without /api; empty until known
	platform bool
	token    string
	accepted bool      // the server accepted the token for some call, even if the call failed
	renew    time.Time // when to sign in again; zero: when the token is refused
	skew     time.Duration
}

// accept records that the server accepted a token.
func (c *client) accept(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session.accepted = c.session.accepted || c.session.token == token
}

func (c *client) neverAccepted(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.token == token && !c.session.accepted
}

// setClock records the difference between this machine's clock and the server's.
func (c *client) setClock(date string) {
	if at, err := http.ParseTime(date); err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.session.skew = time.Since(at)
	}
}

// connection is a session for one call.
type connection struct {
	session
	fresh bool // this call signed in
}

// connect returns a session. It signs in if there is none, if the token is about to expire,
// or if the token is the refused one.
func (c *client) connect(ctx context.Context, refused string) (connection, error) {
	if s, ok := c.current(refused); ok {
		return connection{session: s}, nil
	}
	select {
	case c.signIn <- struct{}{}:
		defer func() { <-c.signIn }()
	case <-ctx.Done():
		return connection{}, ctx.Err()
	}
	if s, ok := c.current(refused); ok {
		return connection{session: s}, nil
	}
	c.mu.Lock()
	s, refusal, since := c.session, c.refusal, time.Since(c.refused)
	c.mu.Unlock()
	if refusal != nil && since < time.Minute {
		return connection{}, refusal // a retry would only lock the account
	}
	s, err := c.open(ctx, s)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
	case errors.Is(err, vault.ErrUnauthorized):
		c.refused, c.refusal = time.Now(), fmt.Errorf("sign in: %w", err)
		return connection{}, c.refusal
	case errors.Is(err, vault.ErrUnavailable) || ctx.Err() != nil:
		return connection{}, fmt.Errorf("sign in: %w", err)
	default:
		// To the caller, kinds such as not found and invalid concern a folder.
		return connection{}, fmt.Errorf("sign in: %v", err)
	}
	s.skew = c.session.skew
	c.session, c.refusal = s, nil
	return connection{session: s, fresh: true}, nil
}

// current returns the session if it can be used and its token is not refused.
func (c *client) current(refused string) (session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.session
	usable := s.token != "" && s.token != refused && (s.renew.IsZero() || time.Now().Before(s.renew))
	return s, usable
}

// open finds the API, unless s has its address, and gets a token.
func (c *client) open(ctx context.Context, s session) (session, error) {
	if s.base == "" && !s.platform {
		var err error
		if s, err = c.detect(ctx); err != nil {
			return s, err
		}
	}
	r := request{method: http.MethodPost, again: true, base: s.base, path: "/oauth2/token"}
	if s.platform {
		r.base, r.path = c.address, "/identity/api/oauth2/token/xpmplatform"
		r.form = url.Values{"grant_type": {"client_credentials"}, "scope": {"xpmheadless"},
			"client_id": {c.username}, "client_secret": {c.password}}
	} else {
		r.form = url.Values{"grant_type": {"password"}, "username": {c.username}, "password": {c.password}}
		if c.domain != "" {
			r.form.Set("domain", c.domain)
		}
	}
	var answer struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"` // seconds
	}
	if err := c.do(ctx, r, &answer); err != nil {
		var failed *Error
		if errors.As(err, &failed) && failed.Status == http.StatusNotFound {
			return s, fmt.Errorf("there is no sign-in at this address; it should look like https://vault.example.com/SecretServer: %w", err)
		}
		return s, err
	}
	if answer.Token == "" {
		return s, &Error{Method: r.method, Path: r.path, Status: http.StatusOK, Message: "no access_token in the answer", kind: vault.ErrUnavailable}
	}
	s.token, s.accepted, s.renew = answer.Token, false, time.Time{}
	if life := time.Duration(answer.Expires) * time.Second; life > 0 {
		s.renew = time.Now().Add(life - min(life/5, time.Minute))
	}
	if s.platform && s.base == "" {
		base, err := c.defaultVault(ctx, s.token)
		if err != nil {
			return s, err
		}
		s.base = base
	}
	return s, nil
}

// platformDomain contains the tenants of the Delinea Platform. An address there needs no
// detection.
const platformDomain = ".delinea.app"

// detect distinguishes Secret Server from the Platform like the vendor's SDKs, by the health
// check that answers. If neither does (a proxy may hide them), it assumes Secret Server.
func (c *client) detect(ctx context.Context) (session, error) {
	if u, err := url.Parse(c.address); err == nil && strings.HasSuffix(u.Hostname(), platformDomain) {
		return session{platform: true}, nil
	}
	ok, _, err := c.healthy(ctx, c.address, healthPath)
	if err != nil {
		return session{}, err
	}
	if !ok {
		platform, _, err := c.healthy(ctx, c.address, "/health")
		if err != nil {
			return session{}, err
		}
		if platform {
			return session{platform: true}, nil
		}
	}
	return session{base: c.address}, nil
}

// readOnly asks the health check whether the server is in read-only mode. If the health check
// only says "Healthy", the refusal may say it.
func (c *client) readOnly(ctx context.Context, refusal error) bool {
	var failed *Error
	if errors.As(refusal, &failed) && saysReadOnly.MatchString(failed.Message) {
		return true
	}
	s, _ := c.current("")
	_, readOnly, err := c.healthy(ctx, s.base, healthPath)
	return err == nil && readOnly
}

var saysReadOnly = regexp.MustCompile(`(?i)read[- ]?only`)

const healthPath = "/api/v1/healthcheck"

// healthy reports whether a health check answers at path, and whether it says that the server
// is in read-only mode.
func (c *client) healthy(ctx context.Context, base, path string) (ok, readOnly bool, err error) {
	var body []byte
	r := read(path, nil)
	r.base, r.raw = base, true
	var failed *Error
	switch err := c.do(ctx, r, &body); {
	case errors.As(err, &failed) && failed.Status >= 300 && !failed.temporary:
		return false, false, nil // something else answers there
	case err != nil:
		return false, false, err
	}
	var health struct {
		Healthy  *bool `json:"healthy"`
		ReadOnly bool  `json:"readOnlyMode"`
	}
	if json.Unmarshal(body, &health) == nil && health.Healthy != nil {
		// An unhealthy server is still a Secret Server. Later calls show what is
		// wrong.
		return true, health.ReadOnly, nil
	}
	text := strings.Trim(strings.TrimSpace(string(body)), `"`)
	return strings.EqualFold(text, "healthy"), false, nil
}

// defaultVault asks the Platform for the address of its vault.
func (c *client) defaultVault(ctx context.Context, token string) (string, error) {
	var answer struct {
		Vaults []struct {
			Default    bool `json:"isDefault"`
			Active     bool `json:"isActive"`
			Connection struct {
				URL string `json:"url"`
			} `json:"connection"`
		} `json:"vaults"`
	}
	r := read("/vaultbroker/api/vaults", nil)
	r.base, r.token = c.address, token
	err := c.do(ctx, r, &answer)
	if errors.Is(err, vault.ErrNotAllowed) {
		err = fmt.Errorf("%w: %v", vault.ErrUnauthorized, err)
	}
	if err != nil {
		return "", fmt.Errorf("list the platform's vaults: %w", err)
	}
	for _, candidate := range answer.Vaults {
		if !candidate.Default || !candidate.Active {
			continue
		}
		address, err := checkURL(candidate.Connection.URL)
		if err != nil {
			return "", fmt.Errorf("address of the platform's default vault: %w", err)
		}
		if strings.HasPrefix(c.address, "https:") && !strings.HasPrefix(address, "https:") {
			return "", errors.New("address of the platform's default vault: not https")
		}
		return address, nil
	}
	return "", fmt.Errorf("none of the platform's %d vaults is the active default", len(answer.Vaults))
}
