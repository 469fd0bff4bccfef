package connectwise_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/connectwise"
	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
)

// world starts a simulator with n live companies among deleted ones and all
// that a record can lack.
func world(t *testing.T, n int, opt connectwisetest.Options) *connectwisetest.Server {
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
	var types, statuses []int
	for _, name := range []string{"Customer", "Prospect", "Vendor"} {
		types = append(types, s.AddType(name))
	}
	for _, name := range []string{"Active", "Inactive"} {
		statuses = append(statuses, s.AddStatus(name))
	}
	territory, market := s.AddTerritory("Süd / Ouest"), s.AddMarket("Legal & Tax")
	random := rand.New(rand.NewPCG(1, 2))
	var last int
	for i := range n {
		c := connectwisetest.Company{
			Identifier: fmt.Sprintf("c%d", i),
			Name:       fmt.Sprintf("Company “%d” & Söhne", i),
			Types:      []int{types[i%3]},
			Status:     statuses[i%2],
		}
		switch random.IntN(5) {
		case 0:
			c.Types = []int{types[2], types[0]}
			c.Territory, c.Market, c.Parent = territory, market, last
		case 1:
			c.Types, c.Status = nil, 0
		case 2:
			c.DateDeleted = time.Now() // though it is not deleted
		}
		last = s.AddCompany(c)
		if random.IntN(4) == 0 {
			s.Delete(s.AddCompany(connectwisetest.Company{Name: "Gone"}))
		}
	}
	s.ResetRequests()
	return s
}

func config(s *connectwisetest.Server) connectwise.Config {
	return connectwise.Config{URL: s.URL(), CompanyID: s.Tenant(), PublicKey: s.PublicKey(), PrivateKey: s.PrivateKey(), ClientID: s.ClientID()}
}

func source(t *testing.T, cfg connectwise.Config) (sync.Source, error) {
	t.Helper()
	c, err := connectwise.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	connectwise.NoPauses(c)
	return c.Source(context.Background())
}

// ids is a company as the simulator tells of it.
type ids struct {
	Identifier, Name                  string
	Types                             string // in any order
	Status, Territory, Market, Parent int
}

func live(s *connectwisetest.Server) map[int]ids {
	all := map[int]ids{}
	for _, c := range s.Companies() {
		if !c.Deleted {
			all[c.ID] = ids{c.Identifier, c.Name, typeSet(c.Types), c.Status, c.Territory, c.Market, c.Parent}
		}
	}
	return all
}

func typeSet(types []int) string {
	set := map[int]bool{}
	for _, id := range types {
		set[id] = true
	}
	return fmt.Sprint(set)
}

// check fails unless src is what the simulator holds.
func check(t *testing.T, s *connectwisetest.Server, src sync.Source) {
	t.Helper()
	got := map[int]ids{}
	for _, c := range src.Companies {
		var types []int
		for _, ref := range c.Types {
			types = append(types, ref.ID)
			if ref.Name == "" {
				t.Errorf("company %d: type %d has no name", c.ID, ref.ID)
			}
		}
		got[c.ID] = ids{c.Identifier, c.Name, typeSet(types), c.Status.ID, c.Territory.ID, c.Market.ID, c.Parent.ID}
	}
	if diff := cmp.Diff(live(s), got); diff != "" {
		t.Errorf("companies (-in ConnectWise +read):\n%s", diff)
	}
	if len(src.Companies) != len(got) || src.Count != len(got) {
		t.Errorf("%d companies, %d different ones, count %d", len(src.Companies), len(got), src.Count)
	}
	if len(src.Statuses) != 2 || len(src.Types) != 3 {
		t.Errorf("%d statuses and %d types, want 2 and 3", len(src.Statuses), len(src.Types))
	}
}

func TestSimulator(t *testing.T) {
	s := world(t, 2300, connectwisetest.Options{})
	src, err := source(t, config(s))
	if err != nil {
		t.Fatal(err)
	}
	check(t, s, src)
	requests := s.Requests()
	if want := 3 + 4; len(requests) != want {
		t.Errorf("%d requests, want %d", len(requests), want)
	}
	for _, r := range requests {
		if r.Method != http.MethodGet || r.Status != http.StatusOK {
			t.Errorf("%s %s: %d, want GET and 200", r.Method, r.Path, r.Status)
		}
		if info := strings.Contains(r.Path, "companyinfo"); r.Authorized == info || r.ClientID == info {
			t.Errorf("%s: sent with keys: %v", r.Path, r.Authorized)
		}
	}
}

// What the real servers are known to do, with the complete list all the same.
func TestSimulatorWhole(t *testing.T) {
	const next = "/company/companies"
	page := func(f connectwisetest.Fault) func(*connectwisetest.Server) {
		return func(s *connectwisetest.Server) {
			f.Match = connectwisetest.On("", next)
			s.AddFault(f)
		}
	}
	once := func(f connectwisetest.Fault) func(*connectwisetest.Server) {
		f.Times = 1
		return page(f)
	}
	behave := func(change func(*connectwisetest.Behaviour)) func(*connectwisetest.Server) {
		return func(s *connectwisetest.Server) { s.Behave(change) }
	}
	tests := map[string]struct {
		bend     func(*connectwisetest.Server)
		version  string
		codebase string // part of a whole API address
		requests int
	}{
		"a model with type":      {version: "2018.4", requests: 6},
		"a model with typeIds":   {version: "2019.4", requests: 6},
		"a model with types":     {version: "2026.4", requests: 6},
		"no Link":                {bend: page(connectwisetest.NoLink()), requests: 7},
		"repeated page id":       {bend: page(connectwisetest.RepeatPageID()), requests: 6},
		"Link with another host": {bend: page(connectwisetest.ForeignLink("http://127.0.0.1:1")), requests: 6},
		"small pages":            {bend: behave(func(b *connectwisetest.Behaviour) { b.PageCap = 300 }), requests: 4 + 4},
		"small pages, no Link": {bend: func(s *connectwisetest.Server) {
			s.Behave(func(b *connectwisetest.Behaviour) { b.PageCap = 300 })
			page(connectwisetest.NoLink())(s)
		}, requests: 1 + 4 + 4},
		"on premises":               {bend: behave(func(b *connectwisetest.Behaviour) { b.Cloud = false }), requests: 6},
		"old companyinfo":           {bend: behave(func(b *connectwisetest.Behaviour) { b.OldCompanyInfo = true }), requests: 6},
		"companyinfo names another": {bend: behave(func(b *connectwisetest.Behaviour) { b.SiteURL = "api-na.myconnectwise.net" }), requests: 6},
		"a whole address":           {codebase: "v2026_4", requests: 5},
		"an outdated address":       {codebase: "v2020_4", requests: -1},
		"an outdated address, text": {codebase: "v2020_4", bend: behave(func(b *connectwisetest.Behaviour) { b.OldCodebaseText = true }), requests: -1},
		"limited tables":            {bend: behave(func(b *connectwisetest.Behaviour) { b.Role.LimitedTables = true }), requests: 6},
		"rate limit once":           {bend: once(connectwisetest.TooManyRequests(1)), requests: 7},
		"timeout once":              {bend: once(connectwisetest.TimeoutBody()), requests: 7},
		"lost once":                 {bend: once(connectwisetest.Cut(20_000)), requests: 7},
		"truncated once":            {bend: once(connectwisetest.Truncated(20_000)), requests: 7},
		"a row less once":           {bend: once(connectwisetest.EditRows(func(rows []json.RawMessage) []json.RawMessage { return rows[1:] })), requests: -1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := world(t, 1200, connectwisetest.Options{})
			if test.bend != nil {
				test.bend(s)
			}
			cfg := config(s)
			cfg.Version = test.version
			if test.codebase != "" {
				cfg.URL += "/" + test.codebase + "/apis/3.0"
			}
			if test.version == "2018.4" {
				oneType(s)
			}
			src, err := source(t, cfg)
			if err != nil {
				t.Fatal(err)
			}
			check(t, s, src)
			if got := len(s.Requests()); test.requests > 0 && got != test.requests {
				t.Errorf("%d requests, want %d", got, test.requests)
			}
		})
	}
}

// oneType leaves each company one type: the oldest model has no more.
func oneType(s *connectwisetest.Server) {
	for _, c := range s.Companies() {
		if len(c.Types) > 1 {
			s.SetTypes(c.ID, c.Types[0])
		}
	}
}

func TestSimulatorChangesBetweenPages(t *testing.T) {
	s := world(t, 2300, connectwisetest.Options{})
	companies := s.Companies()
	s.AddFault(connectwisetest.Fault{
		Match: func(r *http.Request) bool { return r.URL.Query().Get("pageId") != "" },
		Times: 1,
		Before: func() {
			for _, c := range companies[:50] {
				if !c.Deleted {
					s.Delete(c.ID)
				}
			}
			s.AddCompany(connectwisetest.Company{Name: "New"})
		},
	})
	src, err := source(t, config(s))
	if err != nil {
		t.Fatal(err)
	}
	check(t, s, src)
}

func TestSimulatorRefusals(t *testing.T) {
	behave := func(change func(*connectwisetest.Behaviour)) func(*connectwisetest.Server) {
		return func(s *connectwisetest.Server) { s.Behave(change) }
	}
	wrongKey := func(cfg *connectwise.Config) { cfg.PrivateKey = "wrong" }
	wrongClient := func(cfg *connectwise.Config) { cfg.ClientID = "wrong" }
	tests := map[string]struct {
		bend   func(*connectwisetest.Server)
		change func(*connectwise.Config)
		want   error
	}{
		"wrong key":              {nil, wrongKey, connectwise.ErrUnauthorized},
		"wrong key as 404":       {behave(func(b *connectwisetest.Behaviour) { b.BadKeyStatus = 404 }), wrongKey, connectwise.ErrUnauthorized},
		"wrong client id":        {nil, wrongClient, connectwise.ErrUnauthorized},
		"wrong client id as 400": {behave(func(b *connectwisetest.Behaviour) { b.BadClientIDStatus = 400 }), wrongClient, connectwise.ErrUnauthorized},
		"wrong client id as 401": {behave(func(b *connectwisetest.Behaviour) { b.BadClientIDStatus = 401 }), wrongClient, connectwise.ErrUnauthorized},
		"unknown company id":     {nil, func(cfg *connectwise.Config) { cfg.CompanyID = "other" }, connectwise.ErrUnauthorized},
		"no right to companies":  {behave(func(b *connectwisetest.Behaviour) { b.Role.NoCompanies = true }), nil, connectwise.ErrUnauthorized},
		"no right to tables":     {behave(func(b *connectwisetest.Behaviour) { b.Role.NoTables = true }), nil, connectwise.ErrUnauthorized},
		"wrong count":            {func(s *connectwisetest.Server) { s.AddFault(connectwisetest.WrongCount(1)) }, nil, connectwise.ErrIncomplete},
		"a row twice": {func(s *connectwisetest.Server) {
			s.AddFault(connectwisetest.EditRows(func(rows []json.RawMessage) []json.RawMessage { return append(rows[:len(rows)-1:len(rows)-1], rows[0]) }))
		}, nil, connectwise.ErrIncomplete},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := world(t, 30, connectwisetest.Options{})
			cfg := config(s)
			if test.bend != nil {
				test.bend(s)
			}
			if test.change != nil {
				test.change(&cfg)
			}
			_, err := source(t, cfg)
			if !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

func TestSimulatorTLS(t *testing.T) {
	s := world(t, 30, connectwisetest.Options{TLS: true})
	cfg := config(s)
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(cfg.CAFile, s.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := source(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	check(t, s, src)
}

// A client lives through the upgrades of the cloud.
func TestSimulatorMovesBetweenReadings(t *testing.T) {
	s := world(t, 30, connectwisetest.Options{})
	cfg := config(s)
	cfg.URL += "/v2026_4/apis/3.0"
	c, err := connectwise.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, codebase := range []string{"v2026_4", "v2027_1", "v2027_2"} {
		s.MoveCodebase(codebase + "/")
		src, err := c.Source(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		check(t, s, src)
		if want := s.URL() + "/" + codebase + "/apis/3.0"; c.Site() != want {
			t.Errorf("Site() = %s, want %s", c.Site(), want)
		}
	}
}
