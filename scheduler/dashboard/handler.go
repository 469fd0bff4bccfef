package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	gosync "sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/scheduler/api"
)

// Options are what [Serve] needs.
type Options struct {
	Service Service
	// Metrics are the metrics that /metrics shows besides the state of the
	// service; nil: none.
	Metrics *Metrics
	// Token returns the token of the moment; nil or empty: there is none, and
	// nothing can be changed.
	Token func() string
	// Local says that the listener can be reached from this machine only.
	Local bool
	// Logger gets failures and requests for runs, and never a token, a body or
	// a query. Nil: nothing is logged.
	Logger hclog.Logger
}

// limits limit what one client, or all clients together, can use.
type limits struct {
	header, body, write, idle time.Duration // of a connection
	work                      time.Duration // of a handler
	wrong                     time.Duration // the wait after a wrong token
	shutdown                  time.Duration
	conns                     int // connections at a time
	heavy                     int // long answers at a time
	strangers                 int // bodies from unknown senders read at a time
	guesses                   int // requests with a wrong token that wait at a time
}

var defaultLimits = limits{
	header: 5 * time.Second, body: 5 * time.Second, write: 30 * time.Second, idle: time.Minute,
	work: 10 * time.Second, wrong: 500 * time.Millisecond, shutdown: 5 * time.Second,
	conns: 256, heavy: 4, strangers: 32, guesses: 16,
}

// handler answers all requests.
type handler struct {
	Options
	lim       limits
	mux       *http.ServeMux
	patterns  []string // registered with mux
	origin    *http.CrossOriginProtection
	heavy     chan struct{}
	strangers chan struct{}
	guesses   chan struct{}
	refused   refusals
}

func newHandler(opt Options, lim limits) *handler {
	if opt.Logger == nil {
		opt.Logger = hclog.NewNullLogger()
	}
	if opt.Token == nil {
		opt.Token = func() string { return "" }
	}
	h := &handler{
		Options: opt, lim: lim, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection(),
		heavy: make(chan struct{}, lim.heavy), strangers: make(chan struct{}, lim.strangers), guesses: make(chan struct{}, lim.guesses),
	}
	h.handle("GET /healthz", h.healthz)
	h.handle("GET /readyz", h.readyz)
	h.handle("GET /metrics", h.read(h.oneOfFew(h.metrics)))
	h.registerAPI()
	h.registerPages()
	return h
}

// handle registers a handler.
func (h *handler) handle(pattern string, answer http.HandlerFunc) {
	h.patterns = append(h.patterns, pattern)
	h.mux.HandleFunc(pattern, answer)
}

// contentPolicy allows a page to use files of this service and nothing else: no inline
// script or style, and no frame around it.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func secure(header http.Header) {
	header.Set("Content-Security-Policy", contentPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Cache-Control", "no-store")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	// With "no-referrer" browsers send "Origin: null" with the page's own form, and
	// over plain http nothing else identifies it. This policy tells other sites as
	// little.
	header.Set("Referrer-Policy", "same-origin")
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	ctx, cancel := context.WithTimeout(r.Context(), h.lim.work)
	defer cancel()
	r = r.WithContext(ctx)
	a := &answer{ResponseWriter: w}
	defer h.recovered(a, r)
	if r.ContentLength != 0 {
		// For the body only: the server clears it when the body has ended. A writer
		// that cannot set deadlines has no connection that a client could block.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.lim.body))
	}
	h.route(a, r)
}

func (h *handler) route(w http.ResponseWriter, r *http.Request) {
	// The mux would redirect to the clean path. None of our links need that.
	if r.URL.Path != path.Clean(r.URL.Path) {
		writeError(w, r, http.StatusNotFound, "no such page")
		return
	}
	found, pattern := h.mux.Handler(r)
	if pattern != "" {
		h.mux.ServeHTTP(w, r)
		return
	}
	var status statusOnly
	found.ServeHTTP(&status, r)
	if status.code == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", status.Header().Get("Allow"))
		writeError(w, r, status.code, "this path does not accept "+methodName(r.Method))
		return
	}
	writeError(w, r, http.StatusNotFound, "no such page")
}

// methodName is a request's method, safe to show.
func methodName(method string) string {
	if len(method) > 10 {
		return "that method"
	}
	return method
}

// statusOnly records the status with which the mux answers a request without a handler.
type statusOnly struct {
	header http.Header
	code   int
}

func (s *statusOnly) Header() http.Header {
	if s.header == nil {
		s.header = http.Header{}
	}
	return s.header
}
func (s *statusOnly) WriteHeader(code int)        { s.code = code }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }

// answer records whether any part of it was sent.
type answer struct {
	http.ResponseWriter
	begun bool
}

func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// recovered turns a panic in a handler into a failed request. It logs the place but not
// the value, which may contain the client's data.
func (h *handler) recovered(a *answer, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	cause := fmt.Sprintf("%T", v)
	if err, ok := v.(runtime.Error); ok {
		cause = err.Error()
	}
	h.Logger.Error("a request panicked", "method", methodName(r.Method), "pattern", r.Pattern, "cause", cause, "stack", string(debug.Stack()))
	if a.begun {
		panic(http.ErrAbortHandler) // half an answer must not look complete
	}
	writeError(a, r, http.StatusInternalServerError, "internal error; see the service's log")
}

// writeError answers with an error: JSON in the API, text for people.
func writeError(w http.ResponseWriter, r *http.Request, status int, message string) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		writeJSON(w, status, api.Failure{Error: message})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, message)
}

// fail answers with an error of [Service].
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, api.ErrNotFound):
		writeError(w, r, http.StatusNotFound, "not found")
	case errors.Is(err, api.ErrInvalid):
		writeError(w, r, http.StatusBadRequest, err.Error())
	case errors.Is(err, api.ErrTooMany):
		busy(w, r, http.StatusTooManyRequests)
	case r.Context().Err() != nil:
		busy(w, r, http.StatusServiceUnavailable)
	default:
		h.Logger.Error("a request failed", "method", r.Method, "pattern", r.Pattern, "error", plain(err.Error()))
		writeError(w, r, http.StatusInternalServerError, "internal error; see the service's log")
	}
}

func busy(w http.ResponseWriter, r *http.Request, status int) {
	w.Header().Set("Retry-After", "5")
	writeError(w, r, status, "the service is busy; retry in a few seconds")
}

// oneOfFew limits how many answers that need much memory are made at a time.
func (h *handler) oneOfFew(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case h.heavy <- struct{}{}:
			defer func() { <-h.heavy }()
			next(w, r)
		case <-r.Context().Done():
			busy(w, r, http.StatusServiceUnavailable)
		}
	}
}

// Serve answers on l until ctx is done, gives open requests five seconds to end,
// closes l and returns nil. If it cannot serve, it returns the reason.
func Serve(ctx context.Context, l net.Listener, opt Options) error {
	return serve(ctx, l, newHandler(opt, defaultLimits))
}

func serve(ctx context.Context, l net.Listener, h *handler) error {
	// Open requests may outlive ctx; they are cancelled when this returns.
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	peers := &crowd{limit: h.lim.conns, since: map[net.Conn]time.Time{}, active: map[net.Conn]bool{}}
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: h.lim.header,
		ReadTimeout:       h.lim.header + h.lim.body,
		WriteTimeout:      h.lim.write,
		IdleTimeout:       h.lim.idle,
		MaxHeaderBytes:    16 << 10,
		ConnState:         peers.changed,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          h.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		// "OPTIONS *" gets the same answer as every other unknown request.
		DisableGeneralOptionsHandler: true,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		server.Close()
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	peers.closeWaiting()
	grace, cancel := context.WithTimeout(requests, h.lim.shutdown)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		h.Logger.Debug("open requests were cancelled at the end", "error", err)
		server.Close()
	}
	<-ended
	return nil
}

// crowd limits how many connections are open. If there is one too many, it closes the
// connection that has been idle longest. So clients that are slow on purpose displace
// each other, and no client that sends a request.
type crowd struct {
	limit int

	mu     gosync.Mutex
	since  map[net.Conn]time.Time // the last change
	active map[net.Conn]bool      // a whole request has arrived
}

// changed records the state of a connection. The server calls it before it reads from
// a new one.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.since, conn)
		delete(c.active, conn)
		return
	case http.StateNew:
		if len(c.since) >= c.limit {
			c.closeOne()
		}
	default:
		if _, ok := c.since[conn]; !ok {
			return // we closed it, but the server does not know yet
		}
	}
	c.since[conn] = time.Now()
	c.active[conn] = state == http.StateActive
}

// closeWaiting closes connections without a request. Browsers keep some in reserve, and
// the shutdown must not wait for them.
func (c *crowd) closeWaiting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.since {
		if !c.active[conn] {
			conn.Close()
		}
	}
}

// closeOne closes the oldest connection without a request, or the oldest of all if
// every one has a request.
func (c *crowd) closeOne() {
	var oldest net.Conn
	for conn, since := range c.since {
		if oldest == nil || c.active[oldest] && !c.active[conn] ||
			c.active[oldest] == c.active[conn] && since.Before(c.since[oldest]) {
			oldest = conn
		}
	}
	delete(c.since, oldest)
	delete(c.active, oldest)
	oldest.Close()
}
