package secretservertest

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"time"
)

// Defaults of [Options].
const (
	DefaultUsername  = "svc-cwvault"
	DefaultPassword  = "simulator"
	DefaultVersion   = "11.7.000061"
	DefaultTokenLife = 20 * time.Minute
)

// Role permissions that the simulator knows. A user has them through roles;
// they are not tied to a folder.
const (
	ViewFolders                      = "View Folders"
	AdministerFolders                = "Administer Folders"
	CreateRootFolders                = "Create Root Folders"
	AdministerMetadata               = "Administer Metadata"
	ViewConnectWiseIntegration       = "View ConnectWise Integration"
	AdministerConnectWiseIntegration = "Administer ConnectWise Integration"
)

// LeastRights are the role permissions of the account that cwvault asks for.
func LeastRights() []string {
	return []string{ViewFolders, AdministerFolders, AdministerMetadata, ViewConnectWiseIntegration}
}

// Options say which Secret Server is started. The zero value is an empty
// on-premises server of a current version with one account, [DefaultUsername].
type Options struct {
	Addr string      // listen address; default 127.0.0.1 and a free port
	TLS  *tls.Config // serve https with this; nil serves http
	Base string      // path of the application; default /SecretServer, "/" for the Cloud's none

	Username, Password string // the account, or client id and secret on the Platform
	Domain             string // the account's directory domain; empty for a local account
	OTP                string // one-time code that its sign-in needs; empty for none
	// Permissions are the account's role permissions; nil for [LeastRights].
	Permissions []string

	// Platform starts a Delinea Platform before the server, on a host (port)
	// of its own: see [Server.PlatformURL].
	Platform bool

	// Version is what the server reports. Before 10.9.000064 there is no
	// metadata API, before 11.0.000005 no look-up of a folder by path.
	Version string

	TokenLife     time.Duration // default [DefaultTokenLife]
	TokenCalls    int           // a token is good for so many calls; 0 for any number
	RefreshTokens bool          // sign-in hands out refresh tokens as well

	Quirks Quirks
	Now    func() time.Time // the server's clock; default time.Now
}

// Quirks are the points on which the public facts are silent or on which
// servers are said to differ. The zero value is the likely, strict reading.
type Quirks struct {
	// EmptySearch404: a folder search that finds nothing answers 404, as
	// reported of the Cloud, instead of an empty page.
	EmptySearch404 bool
	// RootParent404: filter.parentFolderId=-1 answers 404, as reported of the
	// Cloud, instead of all folders.
	RootParent404 bool
	// MaxTake is the largest page. A larger take is not refused but cut to
	// it, and the answer's take says so. Default 1000.
	MaxTake int
	// Shuffled: without sortBy, lists come in no useful order instead of by id.
	Shuffled bool
	// NoFieldSearch: metadata is only searched by item, so that a search by
	// metaDataFieldId alone is refused.
	NoFieldSearch bool
	// VersionInModel: GET /v1/version answers {"model":{"version":...}}, as
	// the vendor's PowerShell module reads it, instead of the spec's shape.
	VersionInModel bool
	// HealthText: the health checks answer the text Healthy, not JSON.
	HealthText bool
	// KeepOmitted: optional fields that a PUT of a folder leaves out keep
	// their value instead of taking the spec's default.
	KeepOmitted bool
	// CopyTarget: a PUT that moves a folder and turns its inheritance off
	// leaves it with the permissions of the new parent, not with those it had.
	CopyTarget bool
	// FullBodyOnly: a POST of a folder that leaves out any field is refused
	// with API_AccessDenied, as reported of the Cloud.
	FullBodyOnly bool
	// MaxName is the longest folder name in UTF-16 units. Default 255.
	MaxName int
	// ForbiddenInNames are characters that no folder name may have. Default
	// the backslash.
	ForbiddenInNames string
	// NoValidationCode: refused arguments come without an errorCode.
	NoValidationCode bool
	// HidePasswords: whole secrets are answered without the values of
	// password fields, as the spec's field text says.
	HidePasswords bool
	// NoFolderSync: there is no built-in Folder Synchronization, as in the
	// Cloud; its configuration answers 404.
	NoFolderSync bool
	// SyncLocks: folders below the root of a built-in Folder Synchronization
	// that is on can be neither renamed nor moved. Deleting is refused anyway.
	SyncLocks bool
	// ReadOnly: the server is in read-only mode; it says so in its health
	// check and refuses every change.
	ReadOnly bool
}

func (q *Quirks) setDefaults() {
	if q.MaxTake == 0 {
		q.MaxTake = 1000
	}
	if q.MaxName == 0 {
		q.MaxName = 255
	}
	if q.ForbiddenInNames == "" {
		q.ForbiddenInNames = `\`
	}
}

// Server is a running simulator. All its methods may be called while it serves.
type Server struct {
	opt     Options
	version version

	servers     []*http.Server
	serving     gosync.WaitGroup
	closed      chan struct{}
	closeOnce   gosync.Once
	url         string
	platformURL string
	traffic     traffic
	mu          gosync.Mutex // guards all that follows
	quirks      Quirks
	tokens      map[string]*token
	world       world
	foundAt     int            // the world's generation in which found was filled
	found       map[string]any // results of searches, so that paging does not search again
}

// New starts a simulator. The caller must Close it.
func New(opt Options) (*Server, error) {
	if opt.Addr == "" {
		opt.Addr = "127.0.0.1:0"
	}
	if opt.Base == "" {
		opt.Base = "/SecretServer"
	}
	opt.Base = strings.TrimRight(opt.Base, "/")
	if opt.Base != "" && path.Clean("/"+opt.Base) != opt.Base {
		return nil, fmt.Errorf("base %q: not a clean absolute path", opt.Base)
	}
	if opt.Username == "" {
		opt.Username = DefaultUsername
	}
	if opt.Password == "" {
		opt.Password = DefaultPassword
	}
	if opt.Permissions == nil {
		opt.Permissions = LeastRights()
	}
	if opt.Version == "" {
		opt.Version = DefaultVersion
	}
	if opt.TokenLife == 0 {
		opt.TokenLife = DefaultTokenLife
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.Quirks.setDefaults()
	v, err := parseVersion(opt.Version)
	if err != nil {
		return nil, err
	}

	s := &Server{
		opt:     opt,
		version: v,
		closed:  make(chan struct{}),
		quirks:  opt.Quirks,
		tokens:  map[string]*token{},
		world:   newWorld(opt.Now),
		found:   map[string]any{},
	}
	u := s.world.addUser(opt.Username, opt.Password, opt.Permissions)
	u.domain, u.otp = opt.Domain, opt.OTP

	if s.url, err = s.listen(opt.Addr, s.exchange(opt.Base, s.api)); err != nil {
		return nil, err
	}
	s.url += opt.Base
	if opt.Platform {
		host, _, _ := net.SplitHostPort(opt.Addr)
		if s.platformURL, err = s.listen(net.JoinHostPort(host, "0"), s.exchange("", s.platform)); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) listen(addr string, h http.Handler) (address string, err error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("start the Secret Server simulator: %w", err)
	}
	scheme := "http://"
	if s.opt.TLS != nil {
		scheme = "https://"
		ln = tls.NewListener(ln, s.opt.TLS)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	s.servers = append(s.servers, srv)
	s.serving.Go(func() { _ = srv.Serve(ln) }) // always ErrServerClosed: nothing else closes the listener
	return scheme + ln.Addr().String(), nil
}

// Close stops the server. Requests under way are cut.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		close(s.closed)
		for _, srv := range s.servers {
			_ = srv.Close() // closing a listener twice is its only error
		}
	})
	s.serving.Wait()
}

// URL is the base address of the Secret Server, usable as CWVAULT_VAULT_URL.
func (s *Server) URL() string { return s.url }

// PlatformURL is the address of the Delinea Platform before the server, usable
// as CWVAULT_VAULT_URL with the account's name and password as client id and
// secret. It is empty without [Options.Platform].
func (s *Server) PlatformURL() string { return s.platformURL }

// SetQuirks changes how the server behaves from the next request on.
func (s *Server) SetQuirks(change func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.quirks)
	s.quirks.setDefaults()
	s.world.generation++ // the order of lists may have changed
}

// version is a Secret Server version such as 10.9.000064.
type version [3]int

func parseVersion(text string) (version, error) {
	var v version
	parts := strings.Split(text, ".")
	if len(parts) != len(v) {
		return v, fmt.Errorf("version %q: want three numbers", text)
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return v, fmt.Errorf("version %q: want three numbers", text)
		}
		v[i] = n
	}
	return v, nil
}

func (v version) before(o version) bool { return slices.Compare(v[:], o[:]) < 0 }

// answer is one complete HTTP answer.
type answer struct {
	status      int
	contentType string
	header      http.Header
	body        []byte
}

func jsonAnswer(status int, body any) answer {
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("secretservertest: internal error: %v", err)) // every answer is a plain struct
	}
	return answer{status: status, contentType: "application/json; charset=utf-8", body: b}
}

func htmlAnswer(status int, title string) answer {
	return answer{status: status, contentType: "text/html; charset=utf-8",
		body: []byte("<!DOCTYPE html><html><head><title>" + title + "</title></head><body><h1>" + title + "</h1></body></html>")}
}

// The error bodies of the vendor's OpenAPI document.
type (
	badRequest struct {
		Message       string              `json:"message"`
		MessageDetail string              `json:"messageDetail,omitempty"`
		ErrorCode     string              `json:"errorCode,omitempty"`
		ModelState    map[string][]string `json:"modelState,omitempty"`
	}
	messageBody struct {
		Message string `json:"message"`
	}
	internalServerError struct {
		Message          string `json:"message"`
		ExceptionMessage string `json:"exceptionMessage"`
		ExceptionType    string `json:"exceptionType"`
		StackTrace       string `json:"stackTrace"`
	}
)

// errorBody is the shape that an error of this status has.
func errorBody(status int) any {
	switch status {
	case http.StatusBadRequest:
		return badRequest{Message: "The request is invalid."}
	case http.StatusForbidden:
		return messageBody{Message: "Authentication failed"}
	case http.StatusInternalServerError:
		return internalServerError{
			Message:          "An error has occurred.",
			ExceptionMessage: "Timeout expired. The timeout period elapsed prior to completion of the operation.",
			ExceptionType:    "System.Data.SqlClient.SqlException",
			StackTrace:       "   at Thycotic.Simulated.Fault()",
		}
	default:
		return map[string]string{"message": http.StatusText(status)}
	}
}

// refusal is an error that a handler answers with.
type refusal struct {
	status int
	body   any
}

func (r *refusal) Error() string {
	if b, ok := r.body.(badRequest); ok {
		return fmt.Sprintf("%d %s", r.status, b.Message)
	}
	return fmt.Sprintf("%d %+v", r.status, r.body)
}

// denied is how Secret Server answers for a missing right, and in the same
// words for a thing that is not there.
func denied() error {
	return &refusal{http.StatusBadRequest, badRequest{Message: "Access Denied", ErrorCode: "API_AccessDenied"}}
}

// invalid refuses an argument. The vendor's codes for that are not public, so
// clients must not tell errors of this kind apart by code or text.
func (s *Server) invalid(format string, args ...any) error {
	code := "API_ValidationFailed"
	if s.quirks.NoValidationCode {
		code = ""
	}
	return &refusal{http.StatusBadRequest, badRequest{Message: fmt.Sprintf(format, args...), ErrorCode: code}}
}

func notFound(message string) error {
	return &refusal{http.StatusNotFound, messageBody{Message: message}}
}

const maxBody = 8 << 20

// respond turns a handler's result into an answer.
func respond(v any, err error) answer {
	if r, ok := errors.AsType[*refusal](err); ok {
		return jsonAnswer(r.status, r.body)
	}
	if err != nil {
		panic("secretservertest: internal error: " + err.Error()) // handlers return refusals only
	}
	if a, ok := v.(answer); ok {
		return a
	}
	return jsonAnswer(http.StatusOK, v)
}

// call is one request to the API with what is known of it.
type call struct {
	request *http.Request
	body    []byte
	user    *user // nil where no token is needed
	token   string
	vars    map[string]string
	query   *query
}

type route struct {
	method  string
	pattern string // segments, {name} captures one
	since   version
	handle  func(*Server, *call) (any, error)
	open    bool // needs no token
}

// api answers one request to the Secret Server itself, whose path is relative
// to the base.
func (s *Server) api(r *http.Request, body []byte) (a answer, username string) {
	if len(r.RequestURI) > maxURL {
		// IIS request filtering, 404.14 and 404.15, before any of the application.
		return htmlAnswer(http.StatusNotFound, "404 - File or directory not found."), ""
	}
	segments := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	var match *route
	var vars map[string]string
	known := false
	for i := range routes {
		rt := &routes[i]
		if s.version.before(rt.since) {
			continue
		}
		v, ok := rt.match(segments)
		if !ok {
			continue
		}
		known = true
		if rt.method == r.Method {
			match, vars = rt, v
			break
		}
	}
	if match == nil {
		if known {
			return jsonAnswer(http.StatusMethodNotAllowed, messageBody{
				Message: "The requested resource does not support http method '" + r.Method + "'."}), ""
		}
		return jsonAnswer(http.StatusNotFound, messageBody{Message: "No HTTP resource was found that matches the request URI."}), ""
	}

	c := &call{request: r, body: body, vars: vars, query: newQuery(r)}
	s.mu.Lock()
	if !match.open {
		t, ok := s.authenticate(r)
		if !ok {
			s.mu.Unlock()
			return jsonAnswer(http.StatusUnauthorized, messageBody{Message: "Authentication failed or expired token."}), ""
		}
		c.user, c.token = t.user, t.text
		username = t.user.name
	}
	var v any
	var err error
	if s.quirks.ReadOnly && r.Method != http.MethodGet && !match.open {
		err = s.invalid("Secret Server is in read-only mode.")
	} else {
		v, err = match.handle(s, c)
	}
	s.mu.Unlock()
	return respond(v, err), username
}

const maxURL = 2048

// match compares without case, as ASP.NET routes do.
func (rt *route) match(segments []string) (vars map[string]string, ok bool) {
	want := strings.Split(rt.pattern, "/")
	if len(want) != len(segments) {
		return nil, false
	}
	for i, w := range want {
		if !strings.HasPrefix(w, "{") {
			if !strings.EqualFold(w, segments[i]) {
				return nil, false
			}
			continue
		}
		v, err := url.PathUnescape(segments[i])
		if err != nil || v == "" {
			return nil, false
		}
		if vars == nil {
			vars = map[string]string{}
		}
		vars[strings.Trim(w, "{}")] = v
	}
	return vars, true
}

// id is the number in the path.
func (s *Server) id(c *call, name string) (int, error) {
	n, err := strconv.ParseInt(c.vars[name], 10, 32)
	if err != nil {
		return 0, s.invalid("The value '%s' is not valid for %s.", c.vars[name], name)
	}
	return int(n), nil
}

// decode reads a JSON body. Names are compared without case and unknown ones
// are ignored, as the vendor's own clients rely on.
func decode[T any](s *Server, c *call) (args T, err error) {
	if ct, _, _ := strings.Cut(c.request.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(ct), "application/json") {
		return args, &refusal{http.StatusUnsupportedMediaType, messageBody{
			Message: "The request entity's media type is not supported for this resource."}}
	}
	if err := json.Unmarshal(c.body, &args); err != nil {
		return args, &refusal{http.StatusBadRequest, badRequest{Message: "The request is invalid.", ModelState: map[string][]string{"args": {err.Error()}}}}
	}
	return args, nil
}

// dirty is one field of a PATCH body: it is changed only when marked dirty.
type dirty[T any] struct {
	Dirty bool `json:"dirty"`
	Value *T   `json:"value"`
}

func (d *dirty[T]) set(to *T) {
	if d == nil || !d.Dirty {
		return
	}
	var zero T
	if d.Value != nil {
		zero = *d.Value
	}
	*to = zero
}

// exchange receives a request whole, lets faults at it, records it, and sends
// the answer. The base is taken off the path before anybody sees it.
func (s *Server) exchange(base string, serve func(*http.Request, []byte) (answer, string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			panic(http.ErrAbortHandler) // the client went away, or floods
		}
		inside := len(r.URL.Path) > len(base) && strings.EqualFold(r.URL.Path[:len(base)], base) && r.URL.Path[len(base)] == '/'
		if inside {
			r = r.Clone(r.Context())
			r.URL.Path = r.URL.Path[len(base):]
			if r.URL.RawPath != "" {
				r.URL.RawPath = r.URL.RawPath[len(base):] // EscapedPath checks it against Path
			}
		}
		entry, delay, fault := s.traffic.begin(r, body, s.opt.Now())
		if !s.wait(r, delay) {
			panic(http.ErrAbortHandler)
		}
		if fault != nil && fault.CutBefore {
			panic(http.ErrAbortHandler)
		}
		if fault != nil && fault.Run != nil {
			fault.Run()
		}
		var a answer
		if fault == nil || fault.worksFirst() {
			var username string
			if inside {
				a, username = serve(r, body)
			} else {
				a = htmlAnswer(http.StatusNotFound, "404 - File or directory not found.")
			}
			s.traffic.done(entry, username)
		}
		if fault != nil {
			if fault.CutAfterWork {
				panic(http.ErrAbortHandler)
			}
			a = fault.answer(a)
		}
		s.traffic.end(entry, a.status)
		maps.Copy(w.Header(), a.header)
		w.Header().Set("Content-Type", a.contentType)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		if fault != nil && fault.CutBody {
			_, _ = w.Write(a.body[:len(a.body)/2]) // the client may be gone: nothing to tell it
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(a.body)
	})
}

// wait reports false when the client or the server goes away meanwhile.
func (s *Server) wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
	case <-s.closed:
	}
	return false
}
