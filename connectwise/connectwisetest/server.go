package connectwisetest

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options say what server to start. Every empty field has a default.
type Options struct {
	Tenant     string // login company id; "acmeinc"
	PublicKey  string
	PrivateKey string
	ClientID   string
	Codebase   string           // dated codebase with its slash; "v2026_4/"
	Addr       string           // address to listen on; "127.0.0.1:0"
	TLS        bool             // serve https with a certificate of its own, see CertPEM
	Now        func() time.Time // clock of the records; time.Now
}

// Behaviour holds the switches that change how the server behaves for good;
// what goes wrong now and then is a [Fault].
type Behaviour struct {
	// Cloud: wrong codebase, company or doubled path is refused by the router,
	// as 400 in plain text. Off, the server is one on premises, and only
	// v4_6_release exists. On by default.
	Cloud bool
	// OldCodebaseText makes a dated codebase that is not the current one a 400
	// in plain text instead of a 404 in HTML. Both have been recorded.
	OldCodebaseText bool
	// BadKeyStatus is the answer to missing or wrong keys: 401 by default, or
	// 404, which the cloud gives under v4_6_release; the dated codebase still
	// says 401 then.
	BadKeyStatus int
	// BadClientIDStatus is the answer to a missing or wrong clientId: 403 by
	// default; 400 and 401 are reported too.
	BadClientIDStatus int
	// OldCompanyInfo gives companyinfo the shape of the Developer Guide:
	// IsCloud as a string, no SiteUrl.
	OldCompanyInfo bool
	// SiteURL replaces this server's own host in companyinfo.
	SiteURL string
	// OpenSystemInfo lets anybody read system/info; reports disagree.
	OpenSystemInfo bool
	// PageCap is the largest page; a larger pageSize is cut silently. 1000.
	PageCap int
	// CreatedStatus is the answer to a POST that has saved: 201 by default. A
	// 3xx comes with a Location on plain http and no body, as the cloud's proxy
	// has answered since 2024.
	CreatedStatus int
	// RatePerMinute, unless 0, is the number of requests in RateWindow (a
	// minute by default) after which the rest of it is answered 429.
	RatePerMinute int
	RateWindow    time.Duration
	// CallbackTimeout is how long a receiver of callbacks may take (5 s), and
	// CallbackWaits how long the server waits before each retry (2 s, 4 s).
	CallbackTimeout time.Duration
	CallbackWaits   []time.Duration
	Role            Role
}

// Role is what the API member's security role takes away.
type Role struct {
	NoCompanies   bool // 403 for companies
	NoTables      bool // 403 for setup tables: statuses, types, boards, priorities
	LimitedTables bool // setup tables show id and name alone
	NoTickets     bool
	NoTicketAdd   bool // tickets and notes can be read and not added or changed
	NoCallbacks   bool
	// Visible, unless nil, says which companies exist for this member; there
	// is no error for the others. It must not call the server.
	Visible func(Company) bool
}

// Server is a ConnectWise PSA server on loopback.
type Server struct {
	opt     Options
	ln      net.Listener
	http    *http.Server
	certPEM []byte
	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	work    sync.WaitGroup // serving, requests and callbacks under way

	mu        sync.RWMutex
	world     *world
	codebase  string
	behaviour Behaviour

	faultMu sync.Mutex
	faults  []*activeFault

	recordMu    sync.Mutex
	record      []*Request
	deliveries  []Delivery
	windowStart time.Time
	windowCount int
	rateClock   func() time.Time

	routes   []route
	sender   http.Client
	sendSlot chan struct{}  // one place for each delivery on its way
	sending  sync.WaitGroup // deliveries that are not over
}

var codebaseForm = regexp.MustCompile(`^v(\d{4})_(\d{1,2})/$`)

// New starts a server with no companies, statuses and types, one service board
// and four priorities. The caller must Close it.
func New(opt Options) (*Server, error) {
	opt = opt.orDefaults()
	if !codebaseForm.MatchString(opt.Codebase) {
		return nil, fmt.Errorf("codebase %q is not of the form v2026_4/", opt.Codebase)
	}
	s := &Server{
		opt:      opt,
		world:    newWorld(opt.Now),
		codebase: opt.Codebase,
		behaviour: Behaviour{
			Cloud:             true,
			BadKeyStatus:      http.StatusUnauthorized,
			BadClientIDStatus: http.StatusForbidden,
			PageCap:           maxPageSize,
			CreatedStatus:     http.StatusCreated,
			RateWindow:        time.Minute,
			CallbackTimeout:   5 * time.Second,
			CallbackWaits:     []time.Duration{2 * time.Second, 4 * time.Second},
		},
		routes:   newRoutes(),
		sender:   newSender(),
		sendSlot: make(chan struct{}, maxSenders),

		rateClock: time.Now,
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      10 * time.Minute, // a fault may delay or hang
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	s.work.Go(func() { _ = s.http.Serve(s.ln) }) // ErrServerClosed, or the listener failed and every client sees it
	return s, nil
}

// orDefaults fills in what is not set.
func (opt Options) orDefaults() Options {
	opt.Tenant = cmp.Or(opt.Tenant, "acmeinc")
	opt.PublicKey = cmp.Or(opt.PublicKey, "publickey")
	opt.PrivateKey = cmp.Or(opt.PrivateKey, "privatekey")
	opt.ClientID = cmp.Or(opt.ClientID, "00000000-0000-4000-8000-00000000c1d0")
	opt.Codebase = cmp.Or(opt.Codebase, "v2026_4/")
	opt.Addr = cmp.Or(opt.Addr, "127.0.0.1:0")
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return opt
}

// listen opens the listener, with a certificate of its own if TLS is asked for.
func (s *Server) listen() error {
	ln, err := net.Listen("tcp", s.opt.Addr)
	if err != nil {
		return fmt.Errorf("start ConnectWise simulator: %w", err)
	}
	s.ln = ln
	if !s.opt.TLS {
		return nil
	}
	cert, certPEM, err := newCertificate()
	if err != nil {
		return errors.Join(fmt.Errorf("make certificate: %w", err), ln.Close())
	}
	s.certPEM = certPEM
	s.ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	return nil
}

// Close ends the server at once, requests and callbacks under way included,
// and returns when all its goroutines have ended.
func (s *Server) Close() error {
	s.mu.Lock() // nothing may enter s.work any more
	s.stop()
	s.mu.Unlock()
	err := s.http.Close()
	s.work.Wait()
	return err
}

// URL is the address of the server without a path, "http://127.0.0.1:43210".
func (s *Server) URL() string { return s.scheme() + "://" + s.ln.Addr().String() }

// Tenant is the login company id.
func (s *Server) Tenant() string { return s.opt.Tenant }

// PublicKey is the public key of the API member.
func (s *Server) PublicKey() string { return s.opt.PublicKey }

// PrivateKey is the private key of the API member.
func (s *Server) PrivateKey() string { return s.opt.PrivateKey }

// ClientID is the client id that requests must carry.
func (s *Server) ClientID() string { return s.opt.ClientID }

// CertPEM is the certificate to trust, or nil without TLS.
func (s *Server) CertPEM() []byte { return s.certPEM }

// Behave changes the server's behaviour.
func (s *Server) Behave(change func(*Behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.behaviour)
}

// MoveCodebase moves the server to another dated codebase, as an upgrade of
// the cloud does; the old one stops working at once.
func (s *Server) MoveCodebase(codebase string) {
	if !codebaseForm.MatchString(codebase) {
		panic(fmt.Sprintf("connectwisetest: codebase %q is not of the form v2026_4/", codebase))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codebase = codebase
}

func (s *Server) scheme() string {
	if s.opt.TLS {
		return "https"
	}
	return "http"
}

// hasKeys reports whether the request carries company+publicKey:privateKey.
func (s *Server) hasKeys(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	right := subtle.ConstantTimeCompare([]byte(user), []byte(s.opt.Tenant+"+"+s.opt.PublicKey)) &
		subtle.ConstantTimeCompare([]byte(password), []byte(s.opt.PrivateKey))
	return ok && right == 1
}

func (s *Server) hasClientID(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("clientId"), s.opt.ClientID)
}

// enter adds a request to s.work unless the server is being closed.
func (s *Server) enter() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.work.Add(1)
	return true
}

// serve answers one request: faults, the real answer, faults again.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.work.Done()
	finish := s.note(r)
	faults := s.faultsFor(r)
	status, sent := 0, 0
	defer func() { finish(status, sent, len(faults) > 0) }()

	resp := s.instead(r, faults)
	if resp == nil {
		resp = s.limited()
	}
	if resp == nil {
		resp = s.answer(w, r)
	}
	cut := 0
	for _, f := range faults {
		if f.Edit != nil {
			f.Edit(r, resp)
		}
		if f.CutAfter != 0 {
			cut = f.CutAfter
		}
	}
	if cut < 0 {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), resp.Header)
	body := resp.Body
	if resp.Status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	if cut > 0 {
		body = body[:min(cut, len(body))]
	}
	w.WriteHeader(resp.Status)
	status = resp.Status
	sent, _ = w.Write(body) // the client may be gone
	if cut > 0 {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// instead does what faults say before the request is looked at: it waits, hangs
// up, and returns the answer that the last of them gives, or nil.
func (s *Server) instead(r *http.Request, faults []Fault) (resp *Response) {
	for _, f := range faults {
		if f.Before != nil {
			f.Before()
		}
		if f.Delay > 0 && !s.pause(r.Context(), f.Delay) || f.Hang && !s.pause(r.Context(), -1) {
			panic(http.ErrAbortHandler)
		}
		if f.Status == 0 {
			continue
		}
		resp = &Response{Status: f.Status, Header: http.Header{}, Body: []byte(f.Body)}
		if f.Body != "" {
			resp.Header.Set("Content-Type", "application/json; charset=utf-8")
		}
		maps.Copy(resp.Header, f.Header)
		if f.ContentType != "" {
			resp.Header.Set("Content-Type", f.ContentType)
		}
	}
	return resp
}

// pause waits for d, or without end below 0, and reports whether to go on.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	var over <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-over:
		return true
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return false
}

// limited counts the request and returns a 429 when there are too many.
func (s *Server) limited() *Response {
	s.mu.RLock()
	limit, window := s.behaviour.RatePerMinute, s.behaviour.RateWindow
	s.mu.RUnlock()
	if limit == 0 {
		return nil
	}
	s.recordMu.Lock()
	defer s.recordMu.Unlock()
	now := s.rateClock()
	if now.Sub(s.windowStart) >= window {
		s.windowStart, s.windowCount = now, 0
	}
	if s.windowCount++; s.windowCount <= limit {
		return nil
	}
	left := window - now.Sub(s.windowStart)
	return tooManyRequests(int((left + time.Second - 1) / time.Second))
}

// maxBody bounds the body of a request.
const maxBody = 4 << 20

// answer gives the real answer, with the headers that all of them have.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) *Response {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var resp *Response
	if err != nil {
		resp = (&apiError{status: http.StatusRequestEntityTooLarge, html: webPage(http.StatusRequestEntityTooLarge)}).response()
	} else {
		resp = s.handle(r, body)
	}
	resp.Header.Set("Cache-Control", "no-cache")
	resp.Header.Set("Pragma", "no-cache")
	resp.Header.Set("x-cw-request-id", newGUID())
	resp.Header.Set("x-server-name", "SIMULATOR")
	return resp
}

func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
