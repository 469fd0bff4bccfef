package secretservertest

import (
	"crypto/rand"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// refreshExtra is how much longer than the session a refresh token lives.
const refreshExtra = 15 * time.Minute

type token struct {
	text    string
	user    *user
	expires time.Time
	calls   int // how many more it is good for; not counted without TokenCalls
	refresh bool
}

type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

func loginFailed(text string) error {
	return &refusal{http.StatusBadRequest, map[string]string{"error": text}}
}

func (s *Server) newToken(u *user, life time.Duration, refresh bool) *token {
	t := &token{text: rand.Text(), user: u, expires: s.opt.Now().Add(life), calls: s.opt.TokenCalls, refresh: refresh}
	s.tokens[t.text] = t
	return t
}

func (s *Server) grantToken(u *user) tokenResponse {
	r := tokenResponse{
		AccessToken: s.newToken(u, s.opt.TokenLife, false).text,
		TokenType:   "bearer",
		ExpiresIn:   int(s.opt.TokenLife / time.Second),
	}
	if s.opt.RefreshTokens {
		r.RefreshToken = s.newToken(u, s.opt.TokenLife+refreshExtra, true).text
	}
	return r
}

// authenticate finds the token of a request and counts the call.
func (s *Server) authenticate(r *http.Request) (*token, bool) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	t, ok := s.tokens[text]
	if !ok || !strings.EqualFold(scheme, "bearer") || t.refresh || !s.opt.Now().Before(t.expires) {
		return nil, false
	}
	if s.opt.TokenCalls > 0 {
		if t.calls == 0 {
			return nil, false
		}
		t.calls--
	}
	return t, true
}

// ExpireTokens makes every token handed out so far worthless.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// form reads a form body; a body of another type has no fields.
func form(c *call) url.Values {
	if ct, _, _ := mime.ParseMediaType(c.request.Header.Get("Content-Type")); ct != "application/x-www-form-urlencoded" {
		return nil
	}
	v, err := url.ParseQuery(string(c.body))
	if err != nil {
		return nil
	}
	return v
}

// checkUser finds the user of these credentials, and is nil for wrong ones.
func (s *Server) checkUser(name, password string) *user {
	u := s.world.users[strings.ToLower(name)]
	if u == nil || u.password == "" || u.password != password {
		return nil
	}
	return u
}

func signIn(s *Server, c *call) (any, error) {
	f := form(c)
	switch f.Get("grant_type") {
	case "password":
		u := s.checkUser(f.Get("username"), f.Get("password"))
		switch {
		case u == nil, !strings.EqualFold(u.domain, f.Get("domain")):
			return nil, loginFailed("Login failed.")
		case u.otp != "" && c.request.Header.Get("OTP") != u.otp:
			return nil, loginFailed("Two factor authentication is required.")
		}
		return s.grantToken(u), nil
	case "refresh_token":
		t, ok := s.tokens[f.Get("refresh_token")]
		if !ok || !t.refresh || !s.opt.Now().Before(t.expires) {
			return nil, loginFailed("invalid_grant")
		}
		delete(s.tokens, t.text)
		return s.grantToken(t.user), nil
	}
	return nil, loginFailed("unsupported_grant_type")
}

func signOut(s *Server, c *call) (any, error) {
	delete(s.tokens, c.token)
	return true, nil
}

type healthCheckModel struct {
	DatabaseHealthy           bool    `json:"databaseHealthy"`
	DatabaseMismatch          bool    `json:"databaseMismatch"`
	Healthy                   bool    `json:"healthy"`
	Now                       string  `json:"now"`
	ProvisionDeletionDateTime *string `json:"provisionDeletionDateTime"`
	ReadOnlyMode              bool    `json:"readOnlyMode"`
	ScheduledForDeletion      *bool   `json:"scheduledForDeletion"`
	ServiceBusHealthy         bool    `json:"serviceBusHealthy"`
	StorageAccountHealthy     bool    `json:"storageAccountHealthy"`
	UTCNow                    string  `json:"utcNow"`
}

func healthCheck(s *Server, c *call) (any, error) {
	if s.quirks.HealthText {
		return answer{status: http.StatusOK, contentType: "text/plain; charset=utf-8", body: []byte("Healthy")}, nil
	}
	now := stamp(s.opt.Now())
	return healthCheckModel{
		DatabaseHealthy: true, Healthy: true, Now: now, ReadOnlyMode: s.quirks.ReadOnly,
		ServiceBusHealthy: true, StorageAccountHealthy: true, UTCNow: now,
	}, nil
}

type versionSummary struct {
	Version string `json:"version"`
}

func getVersion(s *Server, c *call) (any, error) {
	v := versionSummary{s.opt.Version}
	if s.quirks.VersionInModel {
		return struct {
			Model versionSummary `json:"model"`
		}{v}, nil
	}
	return v, nil
}

type rolePermission struct {
	Name string `json:"name"`
}

type currentUserModel struct {
	DateOptionID            int              `json:"dateOptionId"`
	DisplayName             string           `json:"displayName"`
	EmailAddress            string           `json:"emailAddress"`
	ID                      int              `json:"id"`
	Permissions             []rolePermission `json:"permissions"`
	PlatformIntegrationType string           `json:"platformIntegrationType"`
	TimeOptionID            int              `json:"timeOptionId"`
	UserLcid                int              `json:"userLcid"`
	UserName                string           `json:"userName"`
	UserTheme               string           `json:"userTheme"`
}

func currentUser(s *Server, c *call) (any, error) {
	m := currentUserModel{
		DateOptionID: none, DisplayName: c.user.name, ID: c.user.id, Permissions: []rolePermission{},
		PlatformIntegrationType: "None", TimeOptionID: none, UserLcid: 1033, UserName: c.user.name, UserTheme: "default",
	}
	if s.opt.Platform {
		m.PlatformIntegrationType = "Native"
	}
	for p := range c.user.permissions {
		m.Permissions = append(m.Permissions, rolePermission{p})
	}
	slices.SortFunc(m.Permissions, func(a, b rolePermission) int { return strings.Compare(a.Name, b.Name) })
	return m, nil
}

// The Delinea Platform: sign-in by client credentials, and the list of vaults
// that says where the Secret Server is. Its token is good there too.

type platformVault struct {
	VaultID         string          `json:"vaultId"`
	Name            string          `json:"name"`
	Type            string          `json:"type"`
	IsDefault       bool            `json:"isDefault"`
	IsGlobalDefault bool            `json:"isGlobalDefault"`
	IsActive        bool            `json:"isActive"`
	Connection      vaultConnection `json:"connection"`
}

type vaultConnection struct {
	URL            string `json:"url"`
	OAuthProfileID string `json:"oAuthProfileId"`
}

func (s *Server) platform(r *http.Request, body []byte) (answer, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &call{request: r, body: body}
	switch r.Method + " " + r.URL.Path {
	case "GET /health":
		if s.quirks.HealthText {
			return respond(healthCheck(s, c)), ""
		}
		return jsonAnswer(http.StatusOK, map[string]bool{"healthy": true}), ""
	case "POST /identity/api/oauth2/token/xpmplatform":
		return respond(s.clientCredentials(c)), ""
	case "GET /vaultbroker/api/vaults":
		t, ok := s.authenticate(r)
		if !ok {
			return jsonAnswer(http.StatusUnauthorized, errorBody(http.StatusUnauthorized)), ""
		}
		return respond(s.vaults(), nil), t.user.name
	}
	return htmlAnswer(http.StatusNotFound, "Delinea Platform"), ""
}

func (s *Server) clientCredentials(c *call) (any, error) {
	f := form(c)
	u := s.checkUser(f.Get("client_id"), f.Get("client_secret"))
	switch {
	case f.Get("grant_type") != "client_credentials":
		return nil, loginFailed("unsupported_grant_type")
	case f.Get("scope") != "xpmheadless":
		return nil, loginFailed("invalid_scope")
	case u == nil:
		return nil, loginFailed("invalid_client")
	}
	return s.grantToken(u), nil
}

// vaults lists, besides the right one, such as a client must pass over: one
// that is not the default, and a default that is not active.
func (s *Server) vaults() any {
	vault := func(n, name, url string, isDefault, isActive bool) platformVault {
		return platformVault{
			VaultID: "00000000-0000-0000-0000-00000000000" + n, Name: name, Type: "SecretServer",
			IsDefault: isDefault, IsGlobalDefault: isDefault, IsActive: isActive, Connection: vaultConnection{URL: url},
		}
	}
	return map[string][]platformVault{"vaults": {
		vault("1", "Other", s.url+"/other", false, true),
		vault("2", "Retired", s.url+"/retired", true, false),
		vault("3", "Default", s.url, true, true),
	}}
}
