package connectwise

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
)

// A site that does not say where its API is gets asked at the usual place.
func TestDiscoveryUnusable(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"404":       answer(404, "<html>IIS</html>"),
		"HTML":      answer(200, "<html>Sign in</html>"),
		"403":       answer(403, "no"),
		"redirect":  http.RedirectHandler("/login", http.StatusFound).ServeHTTP,
		"garbled":   answer(200, "{"),
		"a list":    answer(200, "[]"),
		"nothing":   answer(200, "{}"),
		"odd types": answer(200, `{"IsCloud":"yes","Codebase":null,"SiteUrl":null}`),
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, 3)
			s.on[infoPath] = handler
			c, _ := clientOf(t, s)
			src, err := c.Source(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			checkIDs(t, src, 3)
		})
	}
}

func TestUnknownCompany(t *testing.T) {
	s := newServer(t, 3)
	s.info = "null"
	c, _ := clientOf(t, s)
	_, err := c.Source(context.Background())
	if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), `there is no company id "acmeinc" at 127.0.0.1`) {
		t.Errorf("error %v, want ErrUnauthorized that names the company id", err)
	}
	if got := len(s.requests("")); got != 1 {
		t.Errorf("%d requests, want companyinfo alone", got)
	}
}

func TestNoServer(t *testing.T) {
	s := newServer(t, 3)
	c, waits := clientOf(t, s)
	s.Close()
	_, err := c.Source(context.Background())
	if err == nil || errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v, want one that says refused", err)
	}
	if len(*waits) != maxTries-1 {
		t.Errorf("waited %d times, want %d", len(*waits), maxTries-1)
	}
}

func TestMoved(t *testing.T) {
	const router = "Cannot route. Codebase/company is invalid"
	info := func(codebase string) string { return `{"Codebase":"` + codebase + `","IsCloud":true}` }
	whole := func(codebase string) func(*server, *Config) {
		return func(s *server, cfg *Config) { cfg.URL = s.URL + "/" + codebase + "/apis/3.0" }
	}
	site := func(*server, *Config) {}
	tests := map[string]struct {
		url      func(*server, *Config)
		answers  string // the codebase that there is
		info     string
		wantErr  error
		wantText string
		wantInfo int // requests to companyinfo
	}{
		"a dated address":                    {whole("v2020_4"), "v2025_1", info("v2025_1/"), nil, "", 1},
		"the usual codebase does not answer": {site, "v2025_1", info("v2025_1/"), nil, "", 2},
		"not moved at all":                   {whole("v2020_4"), "v2025_1", info("v2020_4/"), ErrUnauthorized, "also gives this answer if the keys are wrong", 1},
		"moved to nowhere":                   {whole("v2020_4"), "v2025_1", info("v2024_1/"), ErrUnauthorized, "v2024_1/apis/3.0", 1},
		"company gone":                       {whole("v2020_4"), "v2025_1", "null", ErrUnauthorized, "there is no company id", 1},
		"no word of it":                      {whole("v2020_4"), "v2025_1", "<html>", nil, "404 Not Found", 1},
		"a codebase that is a path":          {whole("v2020_4"), "v2025_1", info("../v2025_1/"), ErrUnauthorized, "v2020_4/apis/3.0", 1},
	}
	for name, test := range tests {
		for _, how := range []string{"404", "cannot route"} {
			t.Run(name+", "+how, func(t *testing.T) {
				s := newServer(t, 3)
				s.codebase, s.info = test.answers, test.info
				if how != "404" {
					s.elsewhere = answer(400, router)
				}
				c, _ := clientOf(t, s, func(cfg *Config) { test.url(s, cfg) })
				src, err := c.Source(context.Background())
				if got := len(s.requests(infoPath)); got != test.wantInfo {
					t.Errorf("%d requests to companyinfo, want %d", got, test.wantInfo)
				}
				if test.wantText == "" {
					if err != nil {
						t.Fatal(err)
					}
					checkIDs(t, src, 3)
					if want := s.URL + "/" + test.answers + "/apis/3.0"; c.Site() != want {
						t.Errorf("Site() = %s, want %s", c.Site(), want)
					}
					// It stays there.
					if _, err := c.Source(context.Background()); err != nil || len(s.requests(infoPath)) != test.wantInfo {
						t.Errorf("second reading: %v, %d requests to companyinfo", err, len(s.requests(infoPath)))
					}
					return
				}
				if err == nil {
					t.Fatal("no error")
				}
				if how != "404" { // the router's text does not speak of keys
					var typed *Error
					if errors.As(err, &typed) && typed.Message != router {
						t.Errorf("error %v, want the router's text", err)
					}
					return
				}
				if !strings.Contains(err.Error(), test.wantText) || errors.Is(err, ErrUnauthorized) != (test.wantErr != nil) {
					t.Errorf("error %v, want %v with %q", err, test.wantErr, test.wantText)
				}
			})
		}
	}
}

// On the cloud wrong keys can look as if nothing were there.
func TestWrongKeysAs404(t *testing.T) {
	for _, cloud := range []bool{true, false} {
		s := newServer(t, 3)
		if cloud {
			s.info = `{"Codebase":"v2025_1/","IsCloud":"True"}`
		}
		s.elsewhere = answer(401, `{"code":"Unauthorized","message":"No such member"}`) // the dated codebase is more honest
		for _, path := range []string{companiesPath, countPath, typesPath, statusesPath} {
			s.on[path] = answer(404, `{"code":"NotFound","message":"nothing here"}`)
		}
		c, _ := clientOf(t, s)
		_, err := c.Source(context.Background())
		want := "check the URL and the company id"
		if cloud {
			want = "401 Unauthorized: Unauthorized: No such member"
		}
		if err == nil || errors.Is(err, ErrUnauthorized) != cloud || !strings.Contains(err.Error(), want) {
			t.Errorf("cloud %v: error %v, want %q", cloud, err, want)
		}
	}
}

func TestParseLink(t *testing.T) {
	tests := map[string]struct {
		values  []string
		present bool
		next    bool
		pageID  int // 0: none
	}{
		"none":                  {nil, false, false, 0},
		"empty":                 {[]string{""}, true, false, 0},
		"forward-only":          {[]string{`<https://h/v2020_4/apis/3.0/company/companies?pageSize=1000&pageId=17>; rel="next"`}, true, true, 17},
		"page id first":         {[]string{`<https://h/x?pageId=17&conditions=name%3D%22a%2Cb%22>; rel="next"`}, true, true, 17},
		"without quotes":        {[]string{`<https://h/x?pageId=17>;rel=next`}, true, true, 17},
		"by number":             {[]string{`<https://h/x?pageSize=50&page=2>; rel="next", <https://h/x?pageSize=50&page=4>; rel="last"`}, true, true, 0},
		"last page by number":   {[]string{`<https://h/x?page=3>; rel="prev", <https://h/x?page=1>; rel="first"`}, true, false, 0},
		"next is second":        {[]string{`<https://h/x?pageId=1>; rel="first", <https://h/x?pageId=17>; rel="next"`}, true, true, 17},
		"in two headers":        {[]string{`<https://h/x?pageId=1>; rel="first"`, `<https://h/x?pageId=17>; rel="next"`}, true, true, 17},
		"number too long":       {[]string{`<https://h/x?pageId=99999999999999999999>; rel="next"`}, true, true, 0},
		"not a number":          {[]string{`<https://h/x?pageId=1;drop>; rel="next"`}, true, true, 0},
		"nonsense":              {[]string{`nonsense`}, true, false, 0},
		"a relation named like": {[]string{`<https://h/x?pageId=17>; rel="nextcloud"`}, true, false, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			if test.values != nil {
				header["Link"] = test.values
			}
			l := parseLink(header)
			id, ok := l.number("pageId")
			if l.present != test.present || l.next() != test.next || ok != (test.pageID != 0) || ok && id != test.pageID {
				t.Errorf("present %v, next %v, page id %d %v; want %+v", l.present, l.next(), id, ok, test)
			}
		})
	}
}
