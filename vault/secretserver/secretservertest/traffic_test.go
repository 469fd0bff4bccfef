package secretservertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRecord(t *testing.T) {
	now := &clock{time.Date(2026, 1, 12, 10, 0, 0, 0, time.UTC)}
	s := start(t, Options{Username: "svc", Password: "pass word", OTP: "123456", Now: now.Now})
	root := s.AddFolder(-1, "Clients")
	c := newClient(t, s)
	c.form("/oauth2/token", url.Values{"grant_type": {"password"}, "username": {"svc"}, "password": {"wrong"}}, nil).want(400)
	r := c.form("/oauth2/token", url.Values{"grant_type": {"password"}, "username": {"svc"}, "password": {"pass word"}}, http.Header{"Otp": {"123456"}})
	c.token = r.field("access_token").(string)
	c.get("/api/v1/folders?take=5&filter.searchText=x").want(200)
	c.call("PUT", fmt.Sprintf("/api/v1/folders/%d", root), map[string]any{"id": root}).denied()
	c.call("PATCH", "/api/v1/configuration/folder-synchronization", map[string]any{"data": map[string]any{
		"sqlPassword": map[string]any{"dirty": true, "value": "hunter2"}}}).denied()
	token := c.token
	c.token = "wrong"
	c.get("/api/v1/version").want(401)

	want := []Request{
		{Method: "POST", Path: "/oauth2/token", Body: "grant_type=password&password=redacted&username=svc", Status: 400},
		{Method: "POST", Path: "/oauth2/token", Body: "grant_type=password&password=redacted&username=svc", Status: 200},
		{Method: "GET", Path: "/api/v1/folders", Query: url.Values{"take": {"5"}, "filter.searchText": {"x"}}, User: "svc", Status: 200},
		{Method: "PUT", Path: "/api/v1/folders/1", Body: `{"id":1}`, User: "svc", Status: 400},
		{Method: "PATCH", Path: "/api/v1/configuration/folder-synchronization", Body: `{"data":{"sqlPassword":"redacted"}}`, User: "svc", Status: 400},
		{Method: "GET", Path: "/api/v1/version", Status: 401},
	}
	for i := range want {
		want[i].Time, want[i].Done = now.now, true
		if want[i].Query == nil {
			want[i].Query = url.Values{}
		}
	}
	got := s.Requests()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("record (-want +got):\n%s", d)
	}
	all, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"pass word", "pass+word", "hunter2", "123456", token, "wrong"} {
		if strings.Contains(string(all), secret) {
			t.Errorf("the record has %q", secret)
		}
	}
	s.ResetRequests()
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests after the reset", n)
	}
}

// What the client sees, what was done, and what the record says.
func TestFaultsThatCut(t *testing.T) {
	for name, tt := range map[string]struct {
		fault  Fault
		made   bool
		status int // in the record
	}{
		"before the work": {Fault{CutBefore: true}, false, 0},
		"after the work":  {Fault{CutAfterWork: true}, true, 0},
		"in the body":     {Fault{CutBody: true}, true, 200},
	} {
		t.Run(name, func(t *testing.T) {
			s, c, root := clients(t, Options{})
			tt.fault.Match = On("POST", "/api/v1/folders")
			s.AddFault(tt.fault)
			c.spec = nil
			if _, err := c.do(c.request("POST", "/api/v1/folders", newFolder(root, "A"))); err == nil {
				t.Error("an answer came")
			}
			if _, made := s.FolderByPath(`\Clients\A`); made != tt.made {
				t.Errorf("made: %v, want %v", made, tt.made)
			}
			all := s.Requests()
			if last := all[len(all)-1]; last.Status != tt.status || last.Done != tt.made || !last.Fault {
				t.Errorf("recorded %+v", last)
			}
			c.get("/api/v1/folders/%d", root).want(200)
		})
	}
}

func TestFaultsThatAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		fault       Fault
		made        bool
		status      int
		body        string
		contentType string
	}{
		"status":              {Fault{Status: 503}, false, 503, `{"message":"Service Unavailable"}`, "application/json; charset=utf-8"},
		"after the work":      {Fault{Status: 504, AfterWork: true}, true, 504, `{"message":"Gateway Timeout"}`, "application/json; charset=utf-8"},
		"own body":            {Fault{Status: 502, Body: "<h1>", ContentType: "text/html"}, false, 502, "<h1>", "text/html"},
		"page":                {Fault{HTML200: true}, false, 200, "<!DOCTYPE html><html><head><title>Secret Server</title></head><body><h1>Secret Server</h1></body></html>", "text/html; charset=utf-8"},
		"page after the work": {Fault{HTML200: true, AfterWork: true}, true, 200, "<!DOCTYPE html><html><head><title>Secret Server</title></head><body><h1>Secret Server</h1></body></html>", "text/html; charset=utf-8"},
	} {
		t.Run(name, func(t *testing.T) {
			s, c, root := clients(t, Options{})
			c.spec = nil
			remove := s.AddFault(tt.fault)
			r := c.post("/api/v1/folders", newFolder(root, "A")).want(tt.status)
			remove()
			if string(r.body) != tt.body || r.header.Get("Content-Type") != tt.contentType {
				t.Errorf("answered %s %s", r.header.Get("Content-Type"), r.body)
			}
			if _, made := s.FolderByPath(`\Clients\A`); made != tt.made {
				t.Errorf("made: %v, want %v", made, tt.made)
			}
			c.get("/api/v1/folders/%d", root).want(200)
		})
	}
}

func TestFaultsEveryAndTimes(t *testing.T) {
	s, c, _ := clients(t, Options{})
	run := func(n int) (statuses []int) {
		for range n {
			statuses = append(statuses, c.get("/api/v1/version").status)
		}
		return statuses
	}
	s.AddFault(Fault{Every: 3, Times: 2, Status: 500, Match: On("GET", "/api/*/version")})
	s.AddFault(Fault{Times: 1, Status: 403, Match: func(r *http.Request) bool { return r.Method == "GET" }})
	c.post("/api/v1/oauth-expiration", "").want(200) // not counted
	c = signedIn(t, s)
	if got, want := run(8), []int{403, 200, 500, 200, 200, 500, 200, 200}; !cmp.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
	s.AddFault(Fault{Status: 500})
	s.ClearFaults()
	if got := run(2); !cmp.Equal(got, []int{200, 200}) {
		t.Errorf("after clearing: %v", got)
	}
	var body []byte
	s.AddFault(Fault{Status: 500, Match: func(r *http.Request) bool {
		body, _ = io.ReadAll(r.Body)
		return strings.Contains(string(body), "Acme")
	}})
	c.spec = nil
	c.post("/api/v1/folders", newFolder(4711, "Beta")).denied()
	c.post("/api/v1/folders", newFolder(4711, "Acme")).want(500)
}

func TestFaultRunsSomethingFirst(t *testing.T) {
	s, c, root := clients(t, Options{})
	s.AddFault(Fault{Times: 1, Match: On("GET", "/api/v1/folders"), Run: func() { s.AddFolder(root, "Meanwhile") }})
	if got := c.get("/api/v1/folders").column("folderName"); !cmp.Equal(got, []any{"Clients", "Meanwhile"}) {
		t.Errorf("listed %v", got)
	}
}

func TestDelay(t *testing.T) {
	s, c, _ := clients(t, Options{})
	took := func() time.Duration {
		begin := time.Now()
		c.get("/api/v1/version").want(200)
		return time.Since(begin)
	}
	s.SetDelay(60 * time.Millisecond)
	if d := took(); d < 60*time.Millisecond {
		t.Errorf("took %v with a delay of 60ms", d)
	}
	s.AddFault(Fault{Delay: 60 * time.Millisecond, Times: 1})
	if d := took(); d < 120*time.Millisecond {
		t.Errorf("took %v with two delays of 60ms", d)
	}
	// Close does not wait for those who wait.
	s.SetDelay(time.Hour)
	done := make(chan error, 1)
	go func() {
		_, err := c.http.Do(c.request("GET", "/api/v1/version", nil))
		done <- err
	}()
	for len(s.Requests()) < 4 {
		time.Sleep(time.Millisecond)
	}
	s.Close()
	if err := <-done; err == nil {
		t.Error("an answer came after Close")
	}
	s.Close()
}

// TestRace does everything at once; it is for the race detector.
func TestRace(t *testing.T) {
	s, first, root := clients(t, Options{TokenCalls: 500})
	s.AddFault(Fault{Every: 7, Status: 500})
	first.spec = nil
	var wg gosync.WaitGroup
	for w := range 8 {
		c := *first
		wg.Go(func() {
			for i := range 20 {
				c.post("/api/v1/folders", newFolder(root, fmt.Sprintf("%d-%d", w, i)))
				c.get("/api/v1/folders?filter.parentFolderId=%d&take=1000", root)
				c.get("/api/v1/metadata?filter.metaDataFieldId=1")
				c.post(fmt.Sprintf("/api/v1/metadata/Folder/%d", root), mark(fmt.Sprint("x company/", w)))
			}
		})
		wg.Go(func() {
			for i := range 20 {
				id := s.AddFolder(root, fmt.Sprintf("by hand %d-%d", w, i))
				s.SetMetadata(id, "ConnectWise", "Folder key", "x company/1")
				s.Grant(id, DefaultUsername, "Owner", "Owner")
				if err := s.RenameFolder(id, fmt.Sprintf("again %d-%d", w, i), "pia"); err != nil {
					t.Error(err)
				}
				s.AddSecret(id, "x", "t", nil)
				s.Folders()
				s.Secrets()
				s.Requests()
				s.SetQuirks(func(q *Quirks) { q.Shuffled = !q.Shuffled })
				s.AddFault(Fault{Times: 1, CutBody: true, Match: On("DELETE", "")})()
			}
		})
	}
	wg.Wait()
	if n := len(s.Folders()); n < 8*20+2 {
		t.Errorf("%d folders", n)
	}
}
