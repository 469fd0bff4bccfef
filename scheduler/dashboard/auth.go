package dashboard

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
	gosync "sync"
	"time"
)

// read lets next answer those who may read; see the package comment.
func (h *handler) read(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, given := bearer(r)
		if !given {
			_, token, given = r.BasicAuth()
		}
		configured := h.Token()
		switch {
		case h.fromOtherSite(r):
			writeError(w, r, http.StatusForbidden, "pages of other sites cannot read this")
		case given && configured != "":
			if !same(token, configured) {
				h.refuse(w, r)
				return
			}
			next(w, r)
		case h.Local && fromHere(r):
			next(w, r)
		case configured == "":
			writeError(w, r, http.StatusForbidden,
				"no CWVAULT_TOKEN is configured, so only this machine can read this: by a name such as localhost, and not through a proxy")
		default:
			challenge(w, r)
			writeError(w, r, http.StatusUnauthorized, "this needs a token")
		}
	}
}

// change lets next answer those who may change something: who bring the token
// as a bearer. Coming from this machine is never enough, because web pages that
// a person here visits do that too.
func (h *handler) change(next http.HandlerFunc) http.HandlerFunc {
	return h.sameOrigin(func(w http.ResponseWriter, r *http.Request) {
		if token, _ := bearer(r); h.mayChange(w, r, token) {
			next(w, r)
		}
	})
}

// mayChange reports whether token is the right one, and answers if it is not.
func (h *handler) mayChange(w http.ResponseWriter, r *http.Request, token string) bool {
	configured := h.Token()
	switch {
	case configured == "":
		writeError(w, r, http.StatusForbidden, "no token is configured; set CWVAULT_TOKEN to allow this")
	case token == "":
		challenge(w, r)
		writeError(w, r, http.StatusUnauthorized, "this needs a token")
	case !same(token, configured):
		h.refuse(w, r)
	default:
		return true
	}
	return false
}

// sameOrigin refuses what a browser sends on behalf of another site.
func (h *handler) sameOrigin(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h.origin.Check(r); err != nil {
			writeError(w, r, http.StatusForbidden, "requests from other sites are refused")
			return
		}
		next(w, r)
	}
}

// fromOtherSite reports whether a page of another site makes a browser read
// this. It could not see the answer, but measure how long it takes or is. A
// link that somebody follows is fine.
func (h *handler) fromOtherSite(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" && !strings.HasPrefix(r.URL.Path, "/api/") {
		return false
	}
	// The check passes every method that changes nothing.
	asChange := r.WithContext(r.Context())
	asChange.Method = http.MethodPost
	return h.origin.Check(asChange) != nil
}

// fromHere reports whether a request was made on this machine, to this machine,
// and not through a proxy.
func fromHere(r *http.Request) bool {
	for name := range r.Header {
		switch {
		case name == "Forwarded", name == "Via", name == "X-Real-Ip", strings.HasPrefix(name, "X-Forwarded-"):
			return false
		}
	}
	// nginx, unless told to, adds none of these and puts our address in Host, but
	// speaks a version of HTTP that no browser does.
	if !r.ProtoAtLeast(1, 1) {
		return false
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() && namesHere(r.Host)
}

// namesHere reports whether host, with or without a port, can mean only this
// machine. Any other name may be made to lead here by whoever owns it.
func namesHere(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// bearer returns the token that a request brings in its header.
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// same compares in constant time.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// challenge says how to bring the token. Browsers ask for it when they are told
// of Basic, which is of use only where they show a page.
func challenge(w http.ResponseWriter, r *http.Request) {
	value := `Basic realm="cwvault", charset="UTF-8"`
	if r.URL.Path == "/metrics" || strings.HasPrefix(r.URL.Path, "/api/") {
		value = `Bearer realm="cwvault"`
	}
	w.Header().Set("WWW-Authenticate", value)
}

// refuse answers a wrong token, after a delay and only a few at a time. The right
// token never waits, so nobody can lock its owner out by guessing. What makes
// guessing hopeless is the length of the token.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request) {
	if n := h.refused.count(time.Now()); n > 0 {
		h.Logger.Warn("wrong token", "peer", r.RemoteAddr, "times", n)
	}
	select {
	case h.guesses <- struct{}{}:
		defer func() { <-h.guesses }()
	default:
		w.Header().Set("Retry-After", "5")
		writeError(w, r, http.StatusTooManyRequests, "too many wrong tokens")
		return
	}
	wait := time.NewTimer(h.lim.wrong)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-r.Context().Done():
	}
	challenge(w, r)
	writeError(w, r, http.StatusUnauthorized, "wrong token")
}

// refusals counts wrong tokens, to be logged once a minute.
type refusals struct {
	mu     gosync.Mutex
	n      int
	logged time.Time
}

// count returns how many there were since it last said so; 0 if that was less
// than a minute ago.
func (c *refusals) count(now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if now.Sub(c.logged) < time.Minute {
		return 0
	}
	n := c.n
	c.n, c.logged = 0, now
	return n
}
