package secretserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"cwvault/sync"
)

// fake is a server with just the handlers that a test gives it, and a health
// check and sign-in. What it has no handler for is answered with 404.
type fake struct {
	*httptest.Server
	t  *testing.T
	mu gosync.Mutex
	// Signed-in calls, like "GET /api/v1/folders/7?x=y {body}".
	calls  []string
	others []string // health checks and sign-ins, likewise
	tokens int      // sign-ins
	valid  string   // the token that is accepted; empty: any
}

type routes map[string]http.HandlerFunc

// newFake starts a server with these handlers, by patterns like "GET /v1/folders".
func newFake(t *testing.T, r routes) *fake {
	f := &fake{t: t}
	mux := http.NewServeMux()
	for pattern, h := range r {
		method, path, _ := strings.Cut(pattern, " ")
		if path[:3] == "/v1" || path[:3] == "/v2" {
			path = "/api" + path
		}
		mux.HandleFunc(method+" "+path, h)
	}
	if _, given := r["GET /v1/healthcheck"]; !given {
		mux.HandleFunc("GET /api/v1/healthcheck", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, `{"healthy":true}`) })
	}
	if _, given := r["POST /oauth2/token"]; !given {
		mux.HandleFunc("POST /oauth2/token", f.token)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { reply(w, 404, `{"message":"nothing here"}`) })
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		line := strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), body))
		f.mu.Lock()
		bearer := r.Header.Get("Authorization")
		refused := f.valid != "" && bearer != "" && bearer != "Bearer "+f.valid
		if bearer == "" {
			f.others = append(f.others, line)
		} else {
			f.calls = append(f.calls, line)
		}
		f.mu.Unlock()
		if refused {
			reply(w, 401, `{"message":"Authentication failed"}`)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// token hands out token-1, token-2 and so on; the latest is the valid one.
func (f *fake) token(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.tokens++
	f.valid = fmt.Sprintf("token-%d", f.tokens)
	token := f.valid
	f.mu.Unlock()
	reply(w, 200, `{"access_token":"`+token+`","token_type":"bearer","expires_in":1200}`)
}

// take returns the signed-in calls so far and forgets them.
func (f *fake) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

func (f *fake) signIns() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tokens
}

// open returns the vault for the server, patient for milliseconds only.
func (f *fake) open(edit ...func(*Config)) *Vault {
	f.t.Helper()
	cfg := Config{URL: f.URL, Username: "svc", Password: "pa$$word", Root: `\Clients`}
	for _, e := range edit {
		e(&cfg)
	}
	v, err := New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	v.client.retry.Pause = func(time.Duration) time.Duration { return 0 }
	f.t.Cleanup(v.client.http.CloseIdleConnections)
	return v
}

func reply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// answer makes a handler that always answers the same.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { reply(w, status, body) }
}

// inTurn makes a handler that uses each of these once and the last for ever.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var mu gosync.Mutex
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handlers[min(n, len(handlers)-1)]
		n++
		mu.Unlock()
		h(w, r)
	}
}

// cut breaks the connection off without an answer.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// pageOf makes a handler for a search that finds these records, all on one page.
func pageOf(records ...string) http.HandlerFunc {
	return answer(200, envelope(len(records), false, records...))
}

func envelope(total int, hasNext bool, records ...string) string {
	return fmt.Sprintf(`{"total":%d,"hasNext":%t,"success":true,"severity":"None","records":[%s]}`, total, hasNext, strings.Join(records, ","))
}

const denied = `{"errorCode":"API_AccessDenied","message":"Access Denied"}`

// folderJSON is a folder as a listing gives it.
func folderJSON(id, parent int, path string, inherits bool) string {
	name := path[strings.LastIndex(path, `\`)+1:]
	b, _ := json.Marshal(map[string]any{"id": id, "folderName": name, "folderPath": path, "parentFolderId": parent, "folderTypeId": 1,
		"secretPolicyId": -1, "inheritSecretPolicy": true, "inheritPermissions": inherits})
	return string(b)
}

func markJSON(id, item int, value string) string {
	b, _ := json.Marshal(map[string]any{"metadataItemDataId": id, "metadataType": "Folder", "itemId": item, "metadataFieldSectionId": 3,
		"metadataFieldSectionName": "ConnectWise", "metadataFieldId": 5, "metadataFieldName": "Folder key", "valueString": value})
	return string(b)
}

const fieldJSON = `{"metadataFieldId":5,"metadataFieldName":"Folder key","metadataFieldSectionId":3,"metadataFieldSectionName":"ConnectWise","fieldDataType":"String"}`

func company(id int) sync.Mark { return sync.Mark{Tenant: "acmeinc", Key: sync.CompanyKey(id)} }

// count returns how many of the calls begin so.
func count(calls []string, prefix string) int {
	return len(slices.DeleteFunc(slices.Clone(calls), func(c string) bool { return !strings.HasPrefix(c, prefix) }))
}
