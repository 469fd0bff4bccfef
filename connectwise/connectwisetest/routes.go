package connectwisetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// call is one request below the API base.
type call struct {
	s           *Server
	w           *world
	r           *http.Request
	body        []byte
	behaviour   Behaviour
	base        string // address of the API with its last slash
	path        string // below the base, without leading slash
	ids         []int  // the numbers in the path
	version     int    // of the model: 202604 for 2026.4
	contentType string
	forwardOnly bool
}

type handler func(c *call) (*Response, error)

type route struct {
	method  string
	pattern []string // "{}" is a number
	right   func(Role) bool
	handle  handler
}

// newRoutes returns the routes, which are tried in order, so that "statuses"
// goes before "{}".
func newRoutes() []route {
	var out []route
	add := func(right func(Role) bool, method, pattern string, h handler) {
		out = append(out, route{method, strings.Split(pattern, "/"), right, h})
	}
	addTable := func(path string, t *table) {
		add(t.right, "GET", path, t.list)
		add(t.right, "GET", path+"/count", t.count)
		add(t.right, "GET", path+"/{}", t.one)
	}
	addTable("company/companies/statuses", statusTable)
	addTable("company/companies/types", typeTable)
	add(typeInfoTable.right, "GET", "company/companies/info/types", typeInfoTable.list)

	companies := companyTable.right
	addTable("company/companies", companyTable)
	add(companies, "POST", "company/companies", createCompany)
	add(companies, "PATCH", "company/companies/{}", patchCompany)
	add(companies, "DELETE", "company/companies/{}", deleteCompany)
	add(companies, "POST", "company/companies/{}/merge", mergeCompany)
	addTable("company/companies/{}/typeAssociations", companyAssociations)
	add(companies, "POST", "company/companies/{}/typeAssociations", createAssociation)
	add(companies, "DELETE", "company/companies/{}/typeAssociations/{}", deleteAssociation)
	addTable("company/companyTypeAssociations", allAssociations)
	add(companies, "POST", "company/companyTypeAssociations", createAssociation)
	add(companies, "DELETE", "company/companyTypeAssociations/{}", deleteAssociation)

	add(func(Role) bool { return true }, "GET", "system/info", systemInfo)
	addTable("system/callbacks", callbackTable)
	add(callbackTable.right, "POST", "system/callbacks", createCallback)
	add(callbackTable.right, "DELETE", "system/callbacks/{}", deleteCallback)

	addTable("service/tickets", ticketTable)
	add(ticketAdd, "POST", "service/tickets", createTicket)
	add(ticketAdd, "PATCH", "service/tickets/{}", patchTicket)
	addTable("service/tickets/{}/notes", noteTable)
	add(ticketAdd, "POST", "service/tickets/{}/notes", createNote)
	addTable("service/boards", boardTable)
	addTable("service/boards/{}/statuses", boardStatusTable)
	addTable("service/priorities", priorityTable)
	return out
}

// match returns the numbers in the path when it has the route's form.
func (rt route) match(parts []string) (ids []int, ok bool) {
	if len(parts) != len(rt.pattern) {
		return nil, false
	}
	for i, p := range rt.pattern {
		if p != "{}" {
			if !strings.EqualFold(p, parts[i]) {
				return nil, false
			}
			continue
		}
		id, err := strconv.Atoi(parts[i])
		if err != nil || id < 0 {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

const (
	fixedCodebase   = "v4_6_release/"
	apiPath         = "apis/3.0/"
	companyInfoPath = "/login/companyinfo/"
	callbackKeyPath = "/login/callbackkey/"
)

// handle finds out what a request is for and lets it be answered under the
// lock of the world: shared for reading, alone for changing.
func (s *Server) handle(r *http.Request, body []byte) *Response {
	if r.Method == http.MethodGet {
		s.mu.RLock()
		defer s.mu.RUnlock()
	} else {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.world.updatedBy, s.world.selfCaused = s.opt.PublicKey, true
		defer func() {
			s.deliver(s.world)
			s.world.updatedBy, s.world.selfCaused = "admin", false
		}()
	}
	resp, err := s.dispatch(r, body)
	if err != nil {
		e, ok := err.(*apiError)
		if !ok {
			e = &apiError{status: http.StatusInternalServerError, code: "ConnectWiseApi", message: err.Error()}
		}
		resp = e.response()
		if e.html != "" {
			resp.Header.Set("Server", "Microsoft-IIS/8.5")
			resp.Header.Set("X-Cache", "Error from cloudfront")
		}
	}
	year, minor := s.currentVersion()
	resp.Header.Set("api-current-version", fmt.Sprintf("%d.%d", year, minor))
	return resp
}

// currentVersion is the newest model version that this server has.
func (s *Server) currentVersion() (year, minor int) {
	m := codebaseForm.FindStringSubmatch(s.codebase)
	year, _ = strconv.Atoi(m[1]) // digits, by the form
	minor, _ = strconv.Atoi(m[2])
	return year, minor
}

func (s *Server) dispatch(r *http.Request, body []byte) (*Response, error) {
	if id, ok := cutPrefixFold(r.URL.Path, companyInfoPath); ok {
		return s.companyInfo(r, id)
	}
	if id, ok := strings.CutPrefix(r.URL.Path, callbackKeyPath); ok {
		return s.callbackKey(id)
	}
	codebase, path, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), apiPath)
	dated := codebaseForm.MatchString(codebase)
	b := s.behaviour
	switch {
	case !ok || codebase != fixedCodebase && !dated:
		if b.Cloud && ok {
			return nil, cannotRoute()
		}
		return nil, htmlPage(http.StatusNotFound)
	case dated && (!b.Cloud || codebase != s.codebase):
		if b.Cloud && b.OldCodebaseText {
			return nil, cannotRoute()
		}
		return nil, htmlPage(http.StatusNotFound)
	case strings.HasPrefix(path, apiPath) && b.Cloud:
		return nil, cannotRoute()
	case len(r.URL.RequestURI()) > maxURL:
		return nil, htmlPage(http.StatusRequestURITooLong)
	}
	c := &call{
		s: s, w: s.world, r: r, body: body, behaviour: b,
		base:        s.scheme() + "://" + r.Host + "/" + codebase + apiPath,
		path:        strings.Trim(path, "/"), // the server's own links have a doubled slash at times
		forwardOnly: strings.EqualFold(r.Header.Get("pagination-type"), "forward-only"),
	}
	rt, err := c.route(dated)
	if err != nil {
		return nil, err
	}
	open := b.OpenSystemInfo && c.path == "system/info"
	if err := s.authenticate(r, dated); err != nil && !open {
		return nil, err
	}
	if err := c.negotiate(); err != nil {
		return nil, err
	}
	if !rt.right(b.Role) {
		return nil, forbidden()
	}
	return rt.handle(c)
}

func cutPrefixFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// route finds the route of the path.
func (c *call) route(dated bool) (route, error) {
	parts := strings.Split(c.path, "/")
	known := false
	for _, rt := range c.s.routes {
		ids, ok := rt.match(parts)
		if !ok {
			continue
		}
		if known = true; rt.method == c.r.Method {
			c.ids = ids
			return rt, nil
		}
	}
	switch {
	case known:
		return route{}, &apiError{status: http.StatusMethodNotAllowed, code: "ConnectWiseApi",
			message: "The requested resource does not support http method '" + c.r.Method + "'."}
	case dated:
		return route{}, htmlPage(http.StatusNotFound)
	}
	return route{}, noEndpoint()
}

// authenticate checks keys and client id.
func (s *Server) authenticate(r *http.Request, dated bool) error {
	b := s.behaviour
	if user, _, ok := r.BasicAuth(); ok && b.Cloud {
		if company, _, _ := strings.Cut(user, "+"); company != s.opt.Tenant {
			return cannotRoute()
		}
	}
	if !s.hasKeys(r) {
		if b.BadKeyStatus == http.StatusNotFound && !dated {
			return noEndpoint()
		}
		return &apiError{status: http.StatusUnauthorized, code: "ConnectWiseApi", message: "UserNotAuthenticated"}
	}
	if !s.hasClientID(r) {
		return &apiError{status: b.BadClientIDStatus, code: "ConnectWiseApi", message: "The clientId header is missing or not valid."}
	}
	return nil
}

var acceptVersion = regexp.MustCompile(`application/vnd\.connectwise\.com\+json\s*;\s*version\s*=\s*([^\s,;]+)`)

// negotiate reads the model version from the Accept header and checks the
// media type of the body.
func (c *call) negotiate() error {
	year, minor := c.s.currentVersion()
	c.version = year*100 + minor
	c.contentType = "application/json; charset=utf-8"
	if m := acceptVersion.FindStringSubmatch(c.r.Header.Get("Accept")); m != nil {
		parts := codebaseForm.FindStringSubmatch("v" + strings.Replace(m[1], ".", "_", 1) + "/")
		if parts == nil {
			return badVersion(m[1])
		}
		year, _ := strconv.Atoi(parts[1]) // digits, by the form
		minor, _ := strconv.Atoi(parts[2])
		if year*100+minor > c.version {
			return badVersion(m[1])
		}
		c.version = year*100 + minor
		c.contentType = "application/vnd.connectwise.com+json; version=" + m[1]
	}
	if c.r.Method == http.MethodPost || c.r.Method == http.MethodPatch {
		media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
		if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
			return &apiError{status: http.StatusUnsupportedMediaType, code: "ConnectWiseApi", message: "The media type of the request is not supported."}
		}
	}
	return nil
}

const checkAccept = "Check your accept header to make sure you are using the correct version."

func badVersion(v string) error {
	return badRequest("The version '%s' is not available.%s", v, checkAccept)
}

// reply returns a response with a body that the server made.
func (c *call) reply(status int, body []byte) *Response {
	return &Response{Status: status, Header: http.Header{"Content-Type": {c.contentType}}, Body: body}
}

// created answers a POST that has saved the row with this id.
func (c *call) created(t *table, path string, id int, row any) *Response {
	status := c.behaviour.CreatedStatus
	if status >= 300 && status < 400 {
		location := "http://" + c.r.Host + strings.TrimPrefix(c.base, c.s.scheme()+"://"+c.r.Host) + path + "/" + strconv.Itoa(id)
		return &Response{Status: status, Header: http.Header{"Location": {location}}}
	}
	return t.answer(c, status, row)
}

// members reads the body as one JSON object whose members must all be known,
// and returns them in the order sent.
func (c *call) members(resource string, known func(name string) bool) ([]member, error) {
	out, err := readObject(c.body)
	if err != nil {
		return nil, badRequest("The request body is not a valid %s object.", resource)
	}
	for _, m := range out {
		if !known(m.name) {
			return nil, badRequest("Could not find member '%s' on object of type '%s'. Path '%[1]s', line 1, position %[3]d.%[4]s",
				m.name, resource, m.offset, checkAccept)
		}
	}
	return out, nil
}

type member struct {
	name   string
	value  json.RawMessage
	offset int
}

// readObject reads one JSON object, keeping the order of its members.
func readObject(data []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("not an object")
	}
	var out []member
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: t.(string), offset: int(d.InputOffset())}
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("text after the object")
	}
	return out, nil
}

// companyInfo answers discovery, which needs no keys: null for a company that
// is not served here.
func (s *Server) companyInfo(r *http.Request, id string) (*Response, error) {
	h := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	if !strings.EqualFold(id, s.opt.Tenant) {
		return &Response{Status: http.StatusOK, Header: h, Body: []byte("null")}, nil
	}
	year, minor := s.currentVersion()
	info := map[string]any{
		"CompanyName":    s.opt.Tenant,
		"Codebase":       s.codebase,
		"VersionCode":    fmt.Sprintf("v%d.%d", year, minor),
		"VersionNumber":  "v4.6.77997",
		"CompanyID":      s.opt.Tenant,
		"IsCloud":        s.behaviour.Cloud,
		"SiteUrl":        r.Host,
		"AllowedOrigins": []string{"*.myconnectwise.net"},
	}
	if !s.behaviour.Cloud {
		info["Codebase"] = fixedCodebase
	}
	if s.behaviour.SiteURL != "" {
		info["SiteUrl"] = s.behaviour.SiteURL
	}
	if s.behaviour.OldCompanyInfo {
		info["IsCloud"] = map[bool]string{true: "True", false: "False"}[s.behaviour.Cloud]
		delete(info, "SiteUrl")
		delete(info, "AllowedOrigins")
	}
	body, err := json.Marshal(info)
	return &Response{Status: http.StatusOK, Header: h, Body: body}, err
}

// systemInfo is what clients read to test their keys.
func systemInfo(c *call) (*Response, error) {
	year, minor := c.s.currentVersion()
	info := map[string]any{
		"version":        fmt.Sprintf("v%d.%d.77997", year, minor),
		"isCloud":        c.behaviour.Cloud,
		"serverTimeZone": "Eastern Standard Time",
	}
	if c.behaviour.Cloud {
		info["licenseBits"] = []map[string]any{{"name": "CustomFields", "activeFlag": true}}
		info["cloudRegion"] = "NA"
	}
	body, err := json.Marshal(info)
	return c.reply(http.StatusOK, body), err
}

// wireDate parses a date in the only form that writes accept.
func wireDate(s string) bool {
	_, err := time.Parse(wireTime, s)
	return err == nil
}
