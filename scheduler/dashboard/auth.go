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

// read calls next for requests that may read; see the package comment.
func (h *handler) read(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, given := bearer(r)
		if !given {
			_, token, given = r.BasicAuth()
		}
		configured := h.Token()
		switch {
		case h.fromOtherSite(r):
			writeError(w, r, http.StatusForbidden, "pages of other sites must not read this")
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
				"CWVAULT_TOKEN is not set, so only this machine may read this: use an address such as localhost, without a proxy")
		default:
			challenge(w, r)
			writeError(w, r, http.StatusUnauthorized, "this needs a token")
		}
	}
}

// change calls next for requests that may change something: those with the token as
// a bearer. A request from this machine is not enough, because web pages that a
// person visits here can send one too.
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
		writeError(w, r, http.StatusForbidden, "CWVAULT_TOKEN is not set; set it to allow this")
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

// sameOrigin refuses requests that a browser sends for another site.
func (h *handler) sameOrigin(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h.origin.Check(r); err != nil {
			writeError(w, r, http.StatusForbidden, "other sites must not send requests here")
			return
		}
		next(w, r)
	}
}

// fromOtherSite reports whether a page of another site makes a browser read this.
// That page cannot see the answer, but it can measure its length and duration. A
// link that a person follows is fine.
func (h *handler) fromOtherSite(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" && !strings.HasPrefix(r.URL.Path, "/api/") {
		return false
	}
	// The check accepts every method that changes nothing.
	asChange := r.WithContext(r.Context())
	asChange.Method = http.MethodPost
	return h.origin.Check(asChange) != nil
}

// fromHere reports whether a request came from this machine, to an address of this
// machine, without a proxy.
func fromHere(r *http.Request) bool {
	for name := range r.Header {
		switch {
		case name == "Forwarded", name == "Via", name == "X-Real-Ip", strings.HasPrefix(name, "X-Forwarded-"):
			return false
		}
	}
	// By default nginx adds none of these and puts our address in Host, but it uses
	// a version of HTTP that no browser uses.
	if !r.ProtoAtLeast(1, 1) {
		return false
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() && namesHere(r.Host)
}

// namesHere reports whether host, with or without a port, can only mean this machine.
// The owner of any other name can point it here.
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

// bearer returns the token in a request's header.
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

// challenge says how to send the token. Basic makes browsers ask for it, which only
// helps where they show a page.
func challenge(w http.ResponseWriter, r *http.Request) {
	value := `Basic realm="cwvault", charset="UTF-8"`
	if r.URL.Path == "/metrics" || strings.HasPrefix(r.URL.Path, "/api/") {
		value = `Bearer realm="cwvault"`
	}
	w.Header().Set("WWW-Authenticate", value)
}

// refuse answers a wrong token, after a delay and only a few at a time. The right
// token never waits, so nobody can lock out its owner by guessing. The length of the
// token makes guessing hopeless.
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

// refusals counts wrong tokens, for one line in the log per minute.
type refusals struct {
	mu     gosync.Mutex
	n      int
	logged time.Time
}

// count counts one wrong token. At most once a minute it returns how many there were
// since the last time; otherwise it returns 0.
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
