package connectwise

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
)

// checkServer starts a simulator with three companies and a role that allows
// what cwvault needs and no more.
func checkServer(t *testing.T, opt connectwisetest.Options) *connectwisetest.Server {
	t.Helper()
	s, err := connectwisetest.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	customer, active := s.AddType("Customer"), s.AddStatus("Active")
	for _, name := range []string{"Acme", "Bolt", "Cobalt"} {
		s.AddCompany(connectwisetest.Company{Name: name, Types: []int{customer}, Status: active})
	}
	s.Delete(s.AddCompany(connectwisetest.Company{Name: "Gone"}))
	s.Behave(func(b *connectwisetest.Behaviour) { b.Role.NoTickets = true })
	for _, path := range []string{"/system/members", "/finance/agreements"} { // not modelled by the simulator
		s.AddFault(connectwisetest.Fault{Match: connectwisetest.On("GET", path), Status: 403, Body: `{"code":"SecurityError","message":"No."}`})
	}
	return s
}

func checkConfig(s *connectwisetest.Server) Config {
	return Config{URL: s.URL(), CompanyID: s.Tenant(), PublicKey: s.PublicKey(), PrivateKey: s.PrivateKey(), ClientID: s.ClientID()}
}

// shortPauses makes a client retry at once, unless a server asks for a longer
// pause than a step of a check may take: that ends the step.
func shortPauses(c *Client) {
	c.retry.Pause = func(d time.Duration) time.Duration {
		if d > stepTimeout {
			return d
		}
		return 0
	}
}

// brief lists findings as "level subject".
func brief(findings []sync.Finding) (list []string) {
	for _, f := range findings {
		list = append(list, strings.ToLower(string(f.Level()))+" "+f.Subject)
	}
	return list
}

var allGood = []string{"ok address", "ok keys", "ok client id", "ok companies", "ok statuses", "ok types", "ok model", "ok clock",
	"ok tickets", "ok members", "ok agreements"}

// but returns allGood with some lines replaced.
func but(lines ...string) []string {
	list := append([]string(nil), allGood...)
	for _, line := range lines {
		_, subject, _ := strings.Cut(line, " ")
		for i := range list {
			if strings.HasSuffix(list[i], " "+subject) {
				list[i] = line
			}
		}
	}
	return list
}

func TestCheckGood(t *testing.T) {
	s := checkServer(t, connectwisetest.Options{})
	c, err := New(checkConfig(s))
	if err != nil {
		t.Fatal(err)
	}
	report := c.Check(context.Background(), nil)
	want := []sync.Finding{
		{Subject: "address", Text: s.URL() + "/v4_6_release/apis/3.0"},
		{Subject: "keys", Text: "accepted for the company id acmeinc"},
		{Subject: "client id", Text: "accepted"},
		{Subject: "companies", Text: "3 can be read; these are all companies only if the role says Inquire = All and the member's location sees every customer"},
		{Subject: "statuses", Text: "1 can be read"},
		{Subject: "types", Text: "1 can be read"},
		{Subject: "model", Text: "2025.1; the server's newest is 2026.4"},
		{Subject: "clock", Text: "agrees with ConnectWise's"},
		{Subject: "tickets", Text: "cannot be read; cwvault does not need them"},
		{Subject: "members", Text: "cannot be read; cwvault does not need them"},
		{Subject: "agreements", Text: "cannot be read; cwvault does not need them"},
	}
	if diff := cmp.Diff(want, report.Findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	source := sync.Source{Count: 3, Statuses: report.Source.Statuses, Types: report.Source.Types}
	if diff := cmp.Diff(source, report.Source); diff != "" || source.Statuses[0].Name != "Active" || source.Types[0].Name != "Customer" {
		t.Errorf("source %+v:\n%s", report.Source, diff)
	}
	requests := s.Requests()
	if len(requests) != 8 {
		t.Errorf("%d requests, want 8", len(requests))
	}
	for _, r := range requests {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s", r.Method, r.Path)
		}
		if need := "/company/companies"; !strings.Contains(r.Path, need) && !strings.Contains(r.Path, "companyinfo") &&
			(r.Query.Get("fields") != "id" || r.Query.Get("pageSize") != "1") {
			t.Errorf("%s reads %v, more than one id", r.Path, r.Query)
		}
	}
}

func TestCheck(t *testing.T) {
	behave := func(change func(*connectwisetest.Behaviour)) func(*connectwisetest.Server) {
		return func(s *connectwisetest.Server) { s.Behave(change) }
	}
	// A fault goes before those of checkServer, which are for other paths.
	fault := func(path string, f connectwisetest.Fault) func(*connectwisetest.Server) {
		f.Match = connectwisetest.On("", path)
		return func(s *connectwisetest.Server) { s.AddFault(f) }
	}
	header := func(name, value string) connectwisetest.Fault {
		return connectwisetest.Fault{Edit: func(_ *http.Request, resp *connectwisetest.Response) {
			resp.Header.Set(name, value)
			if value == "" {
				resp.Header[name] = nil // or the HTTP server sets its own
			}
		}}
	}
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	noCompanies := func(b *connectwisetest.Behaviour) { b.Role.NoCompanies = true }
	noTables := func(b *connectwisetest.Behaviour) { b.Role.NoTables = true }
	wrongKey := func(c *Config) { c.PrivateKey = "wrong-private-key" }
	wrongClient := func(c *Config) { c.ClientID = "wrong-client-id" }
	wrongClientStatus := func(status int) func(*connectwisetest.Server) {
		return behave(func(b *connectwisetest.Behaviour) { b.BadClientIDStatus = status })
	}
	const count, list = "/company/companies/count", "/company/companies"

	for name, test := range map[string]struct {
		bend     func(*connectwisetest.Server)
		change   func(*Config)
		want     []string
		wantText string // of the first line that is not ok
		wantFix  string
		wantErr  error // of that line; nil: neither of the two
		requests int   // 0: any number
	}{
		"wrong keys":             {nil, wrongKey, []string{"fail keys"}, "401 Unauthorized: ConnectWiseApi: UserNotAuthenticated", "the public and private key", ErrUnauthorized, 2},
		"wrong keys, as 404":     {behave(func(b *connectwisetest.Behaviour) { b.BadKeyStatus = 404 }), wrongKey, []string{"fail keys"}, "401 Unauthorized", "the public and private key", ErrUnauthorized, 4},
		"wrong keys, always 404": {fault(count, connectwisetest.Fault{Status: 404, Body: `{"code":"X","message":"nothing"}`}), wrongKey, []string{"fail keys"}, "404 Not Found: X: nothing", "cloud gives this answer if they are wrong", ErrUnauthorized, 4},
		"wrong client id":        {nil, wrongClient, []string{"fail client id"}, "403 Forbidden", "check the client id", ErrUnauthorized, 2},
		"wrong client id, 400":   {wrongClientStatus(400), wrongClient, []string{"fail client id"}, "400 Bad Request", "check the client id", ErrUnauthorized, 2},
		"wrong client id, 401":   {wrongClientStatus(401), wrongClient, []string{"fail client id"}, "401 Unauthorized", "check the client id", ErrUnauthorized, 2},
		"unknown company id":     {nil, func(c *Config) { c.CompanyID = "other" }, []string{"fail company id"}, `there is no company id "other"`, "sign-in page", ErrUnauthorized, 1},
		"no right to companies":  {behave(noCompanies), nil, []string{"ok address", "ok keys", "ok client id", "fail companies", "ok statuses", "ok types", "ok tickets", "ok members", "ok agreements"}, "403", "Company Maintenance", ErrUnauthorized, 7},
		"no right to tables":     {behave(noTables), nil, but("fail statuses", "fail types"), "/company/companies/statuses: 403", "Table Setup", ErrUnauthorized, 8},
		"no right to anything":   {behave(func(b *connectwisetest.Behaviour) { noCompanies(b); noTables(b) }), nil, []string{"fail role"}, "403", "a missing client id can look like this too", ErrUnauthorized, 4},
		"more rights than needed": {func(s *connectwisetest.Server) {
			s.ClearFaults()
			s.Behave(func(b *connectwisetest.Behaviour) { b.Role.NoTickets = false })
			for _, path := range []string{"/system/members", "/finance/agreements"} {
				fault(path, connectwisetest.Fault{Status: 200, Body: "[]"})(s)
			}
		}, nil, but("warn tickets", "warn members", "warn agreements"), "does not need", "Service Desk > Service Tickets to Inquire = None", nil, 8},
		"rights not to be told": {func(s *connectwisetest.Server) {
			s.ClearFaults()
			fault("/system/members", connectwisetest.HTML(200))(s)
		}, nil, but("warn members"), "not need them): GET", "again", nil, 8},
		"no company visible": {behave(func(b *connectwisetest.Behaviour) {
			b.Role.Visible = func(connectwisetest.Company) bool { return false }
		}), nil, but("fail companies"), "counts 0 companies", "role", ErrIncomplete, 7},
		"absurdly many companies":    {fault(count, connectwisetest.WrongCount(maxRows)), nil, but("fail companies"), "counts 5000003", "", ErrIncomplete, 7},
		"fewer listed than counted":  {fault(count, connectwisetest.WrongCount(1)), nil, but("fail companies"), "counts 4 companies and lists 3", "check again", ErrIncomplete, 8},
		"more listed than counted":   {fault(count, connectwisetest.WrongCount(-1)), nil, but("fail companies"), "counts 2 companies and lists 3", "check again", ErrIncomplete, 8},
		"a garbled list":             {fault(list, connectwisetest.Fault{Status: 200, Body: `[{"id"=1}]`}), nil, but("fail companies"), "garbled", "again later", ErrIncomplete, 8},
		"fields refused":             {fault(list, connectwisetest.Fault{Times: 1, Status: 400, Body: `{"code":"X","message":"typeIds?"}`}), nil, allGood, "", "", nil, 9},
		"HTML":                       {fault(count, connectwisetest.HTML(200)), nil, []string{"fail address"}, "HTML page", "api-", nil, 2},
		"redirect":                   {fault(count, connectwisetest.Redirect("http://127.0.0.1:1/")), nil, []string{"fail address"}, "redirect to http://127.0.0.1:1/", "cwvault does not follow redirects", nil, 2},
		"plain http to the cloud":    {fault(count, connectwisetest.SSLRequired()), nil, []string{"fail address"}, "SSL is required", "api-", ErrUnauthorized, 2},
		"no route":                   {fault(count, connectwisetest.CannotRoute()), nil, []string{"fail address"}, "Cannot route", "check the URL", nil, 4},
		"an upgraded cloud":          {nil, func(c *Config) { c.URL += "/v2020_4/apis/3.0" }, but("warn address"), "no longer an API at", "the host alone", nil, 0},
		"a dated address":            {nil, func(c *Config) { c.URL += "/v2026_4/apis/3.0" }, allGood, "", "", nil, 7},
		"a model too new":            {nil, func(c *Config) { c.Version = "2027.1" }, []string{"fail model"}, "is not available", "model version", nil, 2},
		"an older newest model":      {fault(count, header("Api-Current-Version", "2024.11")), nil, but("warn model"), "2025.1 is requested, but the server's newest is 2024.11", "set the version to 2024.11", nil, 8},
		"an unknown newest model":    {fault(count, header("Api-Current-Version", "newest")), nil, allGood, "", "", nil, 8},
		"our clock is behind":        {fault(count, header("Date", at(time.Hour))), nil, but("warn clock"), "this machine's clock is 1h0m0s behind", "NTP", nil, 8},
		"our clock is ahead":         {fault(count, header("Date", at(-3*time.Minute))), nil, but("warn clock"), "3m0s ahead", "NTP", nil, 8},
		"our clock is a little slow": {fault(count, header("Date", at(100*time.Second))), nil, allGood, "", "", nil, 8},
		"no date":                    {fault(count, header("Date", "")), nil, but("warn clock"), "does not send", "NTP", nil, 8},
		"an empty table":             {fault("/types", connectwisetest.Fault{Status: 200, Body: "[]"}), nil, but("warn types"), "none can be read", "Company / Company Type", nil, 8},
		"rate limit":                 {fault(count, connectwisetest.TooManyRequests(30)), nil, []string{"fail API"}, "429 Too Many Requests", "again later", nil, 2},
		"hanging":                    {fault(count, connectwisetest.Hang()), nil, []string{"fail address"}, "not answered within 500ms", "check the URL", nil, 2},
		"a table that hangs":         {fault("/types", connectwisetest.Hang()), nil, but("fail types"), "not answered within 500ms", "again later", nil, 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := checkServer(t, connectwisetest.Options{})
			if test.bend != nil {
				test.bend(s)
			}
			cfg := checkConfig(s)
			if test.change != nil {
				test.change(&cfg)
			}
			c, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			limit := stepTimeout
			if strings.HasPrefix(name, "hanging") || strings.HasSuffix(name, "hangs") {
				limit = 500 * time.Millisecond
			}
			shortPauses(c)
			got := c.check(context.Background(), nil, limit).Findings
			if diff := cmp.Diff(test.want, brief(got)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%+v", diff, got)
			}
			if n := len(s.Requests()); test.requests > 0 && n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
			bad := 0
			for _, f := range got {
				if f.Err != nil && (f.Fix == "" || strings.Contains(f.Text, f.Fix)) {
					t.Errorf("%s says not once how to fix it: %q; %q", f.Subject, f.Text, f.Fix)
				}
				if strings.ContainsAny(f.Text+f.Fix, "\n\x1b") || strings.Contains(f.Text+f.Fix, cfg.PrivateKey) {
					t.Errorf("%s: %q; %q", f.Subject, f.Text, f.Fix)
				}
				if f.Level() == sync.LevelOK {
					continue
				}
				if bad++; bad > 1 {
					continue
				}
				if !strings.Contains(f.Text, test.wantText) || !strings.Contains(f.Fix, test.wantFix) {
					t.Errorf("%s: %q; %q, want %q; %q", f.Subject, f.Text, f.Fix, test.wantText, test.wantFix)
				}
				for _, sentinel := range []error{ErrUnauthorized, ErrIncomplete} {
					if errors.Is(f.Err, sentinel) != (sentinel == test.wantErr) {
						t.Errorf("errors.Is(%v, %v) = %v", f.Err, sentinel, errors.Is(f.Err, sentinel))
					}
				}
			}
			if (bad > 0) != (test.wantText != "") {
				t.Errorf("%d findings that are not ok", bad)
			}
		})
	}
}

// Nobody there, or nobody who can be trusted.
func TestCheckNoServer(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		s := newServer(t, 3)
		c, _ := clientOf(t, s)
		s.Close()
		got := c.Check(context.Background(), nil).Findings
		if diff := cmp.Diff([]string{"fail address"}, brief(got)); diff != "" || !strings.Contains(got[0].Text, "refused") {
			t.Errorf("%+v\n%s", got, diff)
		}
	})
	t.Run("unknown certificate", func(t *testing.T) {
		s := checkServer(t, connectwisetest.Options{TLS: true})
		c, err := New(checkConfig(s))
		if err != nil {
			t.Fatal(err)
		}
		got := c.Check(context.Background(), nil).Findings
		if diff := cmp.Diff([]string{"fail address"}, brief(got)); diff != "" || !strings.Contains(got[0].Fix, "CA file") {
			t.Errorf("%+v\n%s", got, diff)
		}
	})
}

// What a server echoes of the keys is not shown.
func TestCheckShowsNoKeys(t *testing.T) {
	for _, path := range []string{countPath, companiesPath, statusesPath, "/service/tickets"} {
		for _, status := range []int{200, 403, 409} {
			s := newServer(t, 3)
			s.on[path] = echo(status)
			c, _ := clientOf(t, s)
			findings := c.Check(context.Background(), nil).Findings
			if len(s.requests(path)) == 0 || len(findings) == 0 {
				t.Errorf("%s was not asked for: %v", path, brief(findings))
			}
			noKeys(t, path, fmt.Sprintf("%+v", findings))
		}
	}
}

// The model that the server has newest is compared as a number.
func TestModelNumber(t *testing.T) {
	order := []string{"2018.4", "2025.1", "2025.2", "2025.16", "2026.1"}
	for i := range order[1:] {
		if modelNumber(order[i]) >= modelNumber(order[i+1]) {
			t.Errorf("%s is not before %s", order[i], order[i+1])
		}
	}
}

func TestCheckTickets(t *testing.T) {
	role := func(change func(*connectwisetest.Role)) func(*connectwisetest.Server) {
		return func(s *connectwisetest.Server) {
			s.Behave(func(b *connectwisetest.Behaviour) { change(&b.Role) })
		}
	}
	fault := func(method, path string, f connectwisetest.Fault) func(*connectwisetest.Server) {
		f.Match = connectwisetest.On(method, path)
		return func(s *connectwisetest.Server) { s.AddFault(f) }
	}
	whole := TicketSettings{"c250", "service desk", "Priority 4 - Low"}
	good := []string{"ok tickets", "ok ticket company", "ok ticket board", "ok ticket priority"}
	var settings *sync.SettingsError
	for name, test := range map[string]struct {
		bend     func(*connectwisetest.Server)
		tickets  TicketSettings
		want     []string
		wantText string // of the first one that is not ok
		wantFix  string
		wantErr  any // nil, ErrUnauthorized or settings
		requests int
	}{
		"by name":                {nil, whole, good, "", "", nil, 12},
		"by id":                  {nil, TicketSettings{"250", "1", "4"}, good, "", "", nil, 12},
		"the server's defaults":  {nil, TicketSettings{Company: "c250"}, good[:2], "", "", nil, 10},
		"no right to add":        {role(func(r *connectwisetest.Role) { r.NoTicketAdd = true }), TicketSettings{Company: "c250"}, []string{"fail tickets", "ok ticket company"}, "POST", "Service Tickets: Add = My", ErrUnauthorized, 10},
		"no right to read":       {role(func(r *connectwisetest.Role) { r.NoTickets = true }), TicketSettings{Company: "c250"}, []string{"fail tickets", "ok ticket company"}, "GET", "Inquire = All", ErrUnauthorized, 9},
		"no such company":        {nil, TicketSettings{Company: "nobody"}, []string{"ok tickets", "fail ticket company"}, `no company "nobody"`, "correct the setting", settings, 10},
		"a deleted company":      {nil, TicketSettings{Company: "253"}, []string{"ok tickets", "fail ticket company"}, `no company "253"`, "correct the setting", settings, 10},
		"no such board":          {nil, TicketSettings{"250", "Service", ""}, []string{"ok tickets", "ok ticket company", "fail ticket board"}, `no board "Service"`, "correct the setting", settings, 11},
		"no such priority":       {nil, TicketSettings{"250", "", "9"}, []string{"ok tickets", "ok ticket company", "fail ticket priority"}, `no priority "9"`, "correct the setting", settings, 11},
		"one kind of quotes":     {nil, TicketSettings{Company: `a"b`}, []string{"ok tickets", "fail ticket company"}, "no company", "", settings, 10},
		"both kinds of quotes":   {nil, TicketSettings{Company: `a"b'c`}, []string{"ok tickets", "warn ticket company"}, "cannot tell", "use its id", nil, 9},
		"boards cannot be read":  {fault("GET", "/service/boards", connectwisetest.Fault{Status: 403, Body: `{"code":"X","message":"no"}`}), TicketSettings{"250", "1", ""}, []string{"ok tickets", "ok ticket company", "warn ticket board"}, "whether 1 exists: GET", "Service / Service Board", nil, 11},
		"conditions overlooked":  {fault("GET", "/service/boards", connectwisetest.Fault{Status: 200, Body: `[{"id":7,"name":"Another"}]`}), TicketSettings{"250", "1", ""}, []string{"ok tickets", "ok ticket company", "fail ticket board"}, "no board", "correct", settings, 11},
		"a ticket of nothing":    {fault("POST", "/service/tickets", connectwisetest.Fault{Status: 201, Body: `{"id":1}`}), TicketSettings{Company: "250"}, []string{"warn tickets", "ok ticket company"}, "created a ticket", "delete", nil, 10},
		"an answer that is none": {fault("POST", "/service/tickets", connectwisetest.HTML(502)), TicketSettings{Company: "250"}, []string{"fail tickets", "ok ticket company"}, "502", "again later", nil, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := checkServer(t, connectwisetest.Options{})
			s.Behave(func(b *connectwisetest.Behaviour) { b.Role.NoTickets = false })
			if test.bend != nil {
				test.bend(s)
			}
			c, err := New(checkConfig(s))
			if err != nil {
				t.Fatal(err)
			}
			shortPauses(c)
			got := c.Check(context.Background(), &test.tickets).Findings
			want := append(append(append([]string(nil), allGood[:8]...), test.want...), "ok members", "ok agreements")
			if diff := cmp.Diff(want, brief(got)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%+v", diff, got)
			}
			if n := len(s.Tickets()); n != 0 {
				t.Errorf("%d tickets were made", n)
			}
			if n := len(s.Requests()); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
			for _, f := range got {
				if f.Level() == sync.LevelOK {
					continue
				}
				if test.wantText == "" || !strings.Contains(f.Text, test.wantText) || !strings.Contains(f.Fix, test.wantFix) {
					t.Errorf("%s: %q; %q, want %q; %q", f.Subject, f.Text, f.Fix, test.wantText, test.wantFix)
				}
				var problems *sync.SettingsError
				if errors.Is(f.Err, ErrUnauthorized) != (test.wantErr == ErrUnauthorized) || errors.As(f.Err, &problems) != (test.wantErr == settings) {
					t.Errorf("%s: error %v, want %v", f.Subject, f.Err, test.wantErr)
				}
			}
		})
	}
}
