package connectwise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// anyRelease is a codebase that every server accepts. On premises it is the only one; on
// the cloud it leads to the tenant's current release (Developer Guide, "Cloud vs
// Premise").
const anyRelease = "v4_6_release"

var (
	plainCodebase = regexp.MustCompile(`^[A-Za-z0-9_.]*[A-Za-z0-9_]$`)
	plainHost     = regexp.MustCompile(`^[a-z0-9.-]+$`)
)

// site is the place of a ConnectWise API.
type site struct {
	root     string // scheme and host, and the path below which a proxy publishes the server
	codebase string // "v4_6_release", "v2020_4"
	cloud    bool
}

func (s site) base() string {
	if s.codebase == "" {
		return s.root + "/apis/3.0"
	}
	return s.root + "/" + s.codebase + "/apis/3.0"
}

// origin splits root into scheme and host.
func (s site) origin() (scheme, host string) {
	scheme, rest, _ := strings.Cut(s.root, "://")
	host, _, _ = strings.Cut(rest, "/")
	return scheme, host
}

// companyInfo is the part of GET /login/companyinfo/{company} that matters.
type companyInfo struct {
	Codebase string    `json:"Codebase"` // ends in a slash
	IsCloud  looseBool `json:"IsCloud"`
	SiteURL  string    `json:"SiteUrl"` // a host, despite its name; older servers do not send it
}

// looseBool is a truth value that servers write as true or as "True".
type looseBool bool

func (b *looseBool) UnmarshalJSON(text []byte) error {
	*b = looseBool(strings.EqualFold(strings.Trim(string(text), `"`), "true"))
	return nil
}

// place returns the place of the API according to a site's answer.
func (s site) place(info companyInfo, codebase string) site {
	scheme, host := s.origin()
	if api := apiHost(host, info.SiteURL); api != host {
		s.root = scheme + "://" + api
	}
	s.codebase = codebase
	s.cloud = s.cloud || bool(info.IsCloud)
	return s
}

// apiHost returns the host that gets the keys if the operator named one host and the
// server there named another. It follows the server only between hosts of ConnectWise
// itself.
func apiHost(given, named string) string {
	domain := vendorDomain(given)
	if domain == "" {
		return given
	}
	if host := bareHost(named); vendorDomain(host) == domain {
		return host
	}
	if !strings.HasPrefix(given, "api-") {
		return "api-" + given // the API's host on the cloud (Developer Guide, "Cloud vs Premise")
	}
	return given
}

// bareHost returns the host name in "host" or "https://host/", or "" if there is more.
func bareHost(address string) string {
	host := strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(address), "https://"), "/")
	if !plainHost.MatchString(host) {
		return ""
	}
	return host
}

// vendorDomain returns ConnectWise's own domain that contains host, or "".
func vendorDomain(host string) string {
	for _, domain := range [...]string{"myconnectwise.net", "connectwisedev.com"} {
		if strings.HasSuffix(host, "."+domain) {
			return domain
		}
	}
	return ""
}

// locate returns the place of the API. It asks the server once.
func (c *Client) locate(ctx context.Context) (site, error) {
	c.mu.Lock()
	at, located := c.site, c.located
	c.mu.Unlock()
	if located {
		return at, nil
	}
	info, err := c.companyInfo(ctx)
	if err != nil {
		return site{}, err
	}
	return c.setSite(info, anyRelease), nil
}

// relocate asks the server where the API is, after the place old answered that there is
// none.
func (c *Client) relocate(ctx context.Context, old site) (site, error) {
	info, err := c.companyInfo(ctx)
	if err != nil {
		return old, err
	}
	codebase := strings.Trim(info.Codebase, "/")
	if !plainCodebase.MatchString(codebase) {
		codebase = old.codebase
	}
	return c.setSite(info, codebase), nil
}

func (c *Client) setSite(info companyInfo, codebase string) site {
	at := c.given.place(info, codebase)
	if _, host := at.origin(); info.SiteURL != "" && bareHost(info.SiteURL) != host {
		c.log.Debug("the server names another host, which does not get the keys", "named", c.clean(info.SiteURL), "used", host)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.site, c.located = at, true
	return at
}

// companyInfo asks the site where its API is, without keys. A different answer is no
// error, because a proxy may publish only the API: then the client uses what the settings
// say. It fails if there is no answer at all.
func (c *Client) companyInfo(ctx context.Context) (companyInfo, error) {
	scheme, host := c.given.origin()
	address := scheme + "://" + host + "/login/companyinfo/" + url.PathEscape(c.company)
	var info *companyInfo
	err := c.send(ctx, request{url: address, accept: '{', limit: maxSmallBody}, func(body io.Reader, _ http.Header) error {
		info = nil
		return json.NewDecoder(body).Decode(&info)
	})
	var answer *Error
	switch {
	case errors.As(err, &answer) && answer.Status != 0:
		c.log.Debug("the site does not say where its API is", "error", err)
		return companyInfo{}, nil
	case err != nil:
		return companyInfo{}, err
	case info == nil:
		return companyInfo{}, fmt.Errorf("%w: there is no company id %q at %s", ErrUnauthorized, c.company, host)
	}
	return *info, nil
}
