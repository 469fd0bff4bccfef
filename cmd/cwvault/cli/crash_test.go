package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/cmd/cwvault/demo"
	"cwvault/vault/secretserver/secretservertest"
)

// testAll asks for the complete sets of which tests otherwise take samples.
const testAll = "CWVAULT_TEST_ALL"

func completely() bool { return os.Getenv(testAll) != "" }

// recording is a run whose every instant can be gone back to, to see what the
// next run makes of a process that was killed there.
//
// The run is a real process with one worker. While a request of it waits for
// Secret Server, the process does nothing else, so that the journal's files at
// that moment are those that kill -9 leaves behind, whether the server then
// does the work or not. By the time somebody goes back, the process is dead, as
// its lease in the journal says it should be.
type recording struct {
	*vaultSite // its server changes with each rewind
	settings   []string
	front      atomic.Pointer[httputil.ReverseProxy] // gives all servers one address, by which the journal knows the vault

	requests []secretservertest.Request // of both runs, since the vault was empty
	started  int                        // how many of them were before the run
	instants []instant
	before   journalFiles           // when the run began
	ids      map[string]int         // of the folders that were there before the run, by mark
	after    map[string]vaultFolder // what the run left, by path
	want     map[string]string      // where the companies should be
}

// instant is the arrival of a request.
type instant struct {
	request int // its index
	journal journalFiles
}

// journalFiles is what the journal's files hold, by the end of their names.
type journalFiles map[string][]byte

var journalSuffixes = []string{"", "-wal", "-shm"}

// record lets people work in ConnectWise after a first run, and records the
// second.
func record(t *testing.T, settings ...string) *recording {
	t.Helper()
	r := &recording{vaultSite: newVaultSite(t), want: map[string]string{}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.front.Load().ServeHTTP(w, req) }))
	t.Cleanup(front.Close)
	t.Cleanup(func() { r.server.Close() })
	r.settings = append(r.env, "CWVAULT_VAULT_URL="+front.URL+"/SecretServer", "CWVAULT_WORKERS=1", "CWVAULT_LOG_LEVEL=off")
	r.settings = append(r.settings, settings...)
	r.serve(r.server)

	r.people(crashSize())
	r.inProcess(exitOK, "resync")
	r.before = r.journalFiles(nil)
	r.started = len(r.server.Requests())
	r.ids = r.folderIDs()
	r.changes(crashSize())
	var last journalFiles
	at := r.started
	r.server.AddFault(secretservertest.Fault{Match: func(*http.Request) bool {
		last = r.journalFiles(last)
		r.instants = append(r.instants, instant{at, last})
		at++
		return false
	}})
	r.must(exitOK, "resync")
	r.server.ClearFaults()
	r.requests = r.server.Requests()
	r.after = r.folders()
	r.check(r.want)
	if t.Failed() {
		t.Fatal("the run that nobody disturbed")
	}
	return r
}

// serve puts a server behind the front.
func (r *recording) serve(d demo.Server) {
	r.server = d
	r.env = append(append(d.Settings(), r.settings...), "CWVAULT_VAULT_PASSWORD="+d.Password)
	target, err := url.Parse(d.URL())
	if err != nil {
		r.t.Fatal(err)
	}
	target.Path = ""
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	r.front.Store(proxy)
}

// crashSize is how many companies there are at first: with the complete set,
// enough for a run of 200 steps.
func crashSize() int {
	if completely() {
		return 160
	}
	return 40
}

// people enters the first companies.
func (r *recording) people(n int) {
	for i := range n {
		typ := "Customer"
		if i >= n*3/8 && i < n*3/4 {
			typ = "Prospect"
		}
		r.world.add(100+i, fmt.Sprintf("Company %03d", i), typ, "Active")
	}
}

// changes is what people do next: something of every kind.
func (r *recording) changes(n int) {
	company := func(i int) string { return fmt.Sprintf("Company %03d", i) }
	rename := func(i int, name string) {
		r.world.Rename(100+i, name)
		r.want[fmt.Sprintf("company/%d", 100+i)] = `\Clients\Customer\Live\` + name
	}
	for i := range n {
		rename(i, company(i))
	}
	swaps := n / 8 * 2
	for i := range swaps {
		rename(i, company(i^1))
	}
	rename(swaps, company(swaps+1)) // three in a circle
	rename(swaps+1, company(swaps+2))
	rename(swaps+2, company(swaps))
	rename(swaps+3, company(swaps+4)) // and three in a row
	rename(swaps+4, company(swaps+5))
	rename(swaps+5, company(swaps+5)+" Holdings")
	for i := n * 3 / 8; i < n*3/4; i++ {
		r.world.SetTypes(100+i, r.world.types["Customer"]) // moves
	}
	for i := n * 5 / 8; i < n*15/16; i++ {
		rename(i, fmt.Sprintf("Renamed %03d", i)) // some of those that move, too
	}
	r.world.RenameStatus(r.world.statuses["Active"], "Live") // two group folders
	for i := n; i < n*3/2; i++ {
		name := fmt.Sprintf("New %03d", i)
		r.world.add(100+i, name, "Customer", "Inactive") // in a new group
		r.want[fmt.Sprintf("company/%d", 100+i)] = `\Clients\Customer\Inactive\` + name
	}
}

// journalFiles reads the journal's files. What did not change since an earlier
// look shares its memory, and what only grew mostly does.
func (s *site) journalFiles(before journalFiles) journalFiles {
	files := journalFiles{}
	for _, suffix := range journalSuffixes {
		b, err := os.ReadFile(s.statePath() + suffix)
		if err != nil {
			s.t.Error(err)
		}
		if was := before[suffix]; bytes.HasPrefix(b, was) {
			b = append(was, b[len(was):]...)
		}
		files[suffix] = b
	}
	return files
}

func (s *site) statePath() string {
	a := app{environ: s.env}
	return a.getenv("CWVAULT_STATE")
}

// restore puts the journal's files back as they were; those that are not among
// them are removed.
func (s *site) restore(files journalFiles) {
	s.t.Helper()
	for _, suffix := range journalSuffixes {
		path := s.statePath() + suffix
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
		if b, ok := files[suffix]; ok {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// rewind goes back to when Secret Server had done what was asked for in the
// first requests, and no more.
func (r *recording) rewind(requests int, files journalFiles) {
	r.t.Helper()
	r.server.Close()
	d, err := demo.NewServer()
	if err != nil {
		r.t.Fatal(err)
	}
	r.serve(d)
	r.restore(files)

	client := http.Client{Timeout: time.Minute}
	send := func(req *http.Request, err error) (int, []byte) {
		r.t.Helper()
		if err != nil {
			r.t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			r.t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			r.t.Fatal(err)
		}
		return resp.StatusCode, b
	}
	form := url.Values{"grant_type": {"password"}, "username": {demo.Account}, "password": {d.Password}}
	req, err := http.NewRequest(http.MethodPost, d.URL()+"/oauth2/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, b := send(req, err)
	var signedIn struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(b, &signedIn); err != nil {
		r.t.Fatal(err)
	}
	for _, q := range r.requests[:requests] {
		if !changing(q) {
			continue
		}
		req, err := http.NewRequest(q.Method, d.URL()+q.Path+"?"+q.Query.Encode(), strings.NewReader(q.Body))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+signedIn.Token)
		if status, b := send(req, err); status != q.Status {
			r.t.Fatalf("%s %s: %d, in the recording %d\n%s", q.Method, q.Path, status, q.Status, b)
		}
	}
	d.ResetRequests()
}

// changing reports whether a request may change the vault.
func changing(q secretservertest.Request) bool {
	return q.Method != http.MethodGet && !strings.HasSuffix(q.Path, "/oauth2/token")
}

// vaultFolder is what there is to a folder beside its path and its id.
type vaultFolder struct {
	Mark        string
	Inherits    bool
	Permissions []secretservertest.Permission
}

func (s *vaultSite) folders() map[string]vaultFolder {
	all := map[string]vaultFolder{}
	for _, f := range s.server.Folders() {
		all[f.Path] = vaultFolder{f.Metadata["ConnectWise/Folder key"], f.Inherits, f.Permissions}
	}
	return all
}

// folderIDs returns the id of each marked folder by its mark.
func (s *vaultSite) folderIDs() map[string]int {
	ids := map[string]int{}
	for _, f := range s.server.Folders() {
		if mark := f.Metadata["ConnectWise/Folder key"]; mark != "" {
			ids[mark] = f.ID
		}
	}
	return ids
}

// checkFinished expects the vault as the undisturbed run left it: each folder
// once, marked, and those that were there before still the same ones, with all
// that is in them.
func (r *recording) checkFinished() {
	r.t.Helper()
	r.check(r.want)
	if diff := cmp.Diff(r.after, r.folders()); diff != "" {
		r.t.Errorf("not what the undisturbed run left (-want +got):\n%s", diff)
	}
	now := r.folderIDs()
	for mark, id := range r.ids {
		if now[mark] != id {
			r.t.Errorf("%s was folder %d and is folder %d", mark, id, now[mark])
		}
	}
}

// TestCrashAtEveryRequest stops a run at every request to Secret Server, before
// and after the server did the work, and lets the next run finish it.
func TestCrashAtEveryRequest(t *testing.T) {
	t.Parallel()
	for _, done := range []bool{false, true} {
		t.Run(map[bool]string{false: "before the work", true: "after the work"}[done], func(t *testing.T) {
			t.Parallel()
			r := record(t)
			steps := r.steps()
			if completely() && steps < 200 {
				t.Errorf("a run of only %d steps", steps)
			}
			r.rewind(len(r.requests), nil)
			if diff := cmp.Diff(r.after, r.folders()); diff != "" {
				t.Fatalf("rewinding does not lead to the same vault (-recorded +rewound):\n%s", diff)
			}
			r.env = append(r.env, "CWVAULT_WORKERS=8")
			tried := 0
			for _, at := range r.sample(8) {
				requests := at.request
				if done {
					requests++
				}
				r.rewind(requests, at.journal)
				r.inProcess(exitOK, "resync")
				r.checkFinished()
				r.inProcess(exitOK, "plan", "--detailed-exitcode")
				if t.Failed() {
					q := r.requests[at.request]
					t.Fatalf("killed at request %d of %d, %s %s, work done: %v", at.request-r.started, len(r.instants), q.Method, q.Path, done)
				}
				tried++
			}
			t.Logf("a run of %d steps, %d of %d request boundaries tried: 0 duplicates, 0 lost, 0 unmarked", steps, tried, len(r.instants))
		})
	}
}

// TestKilledAmongWorkers kills the same run with eight workers, each of which is
// in the middle of something.
func TestKilledAmongWorkers(t *testing.T) {
	t.Parallel()
	r := record(t)
	random := rand.New(rand.NewPCG(7, 11))
	tries, kills := 6, 0
	if completely() {
		tries = 40
	}
	for range tries {
		n, done := 1+random.IntN(len(r.instants)), random.IntN(2) == 0
		r.rewind(r.started, r.before)
		r.env = append(r.env, "CWVAULT_WORKERS=8")
		if r.killAt(n, done) {
			kills++
		}
		r.inProcess(exitOK, "resync")
		r.checkFinished()
		r.inProcess(exitOK, "plan", "--detailed-exitcode")
		if t.Failed() {
			t.Fatalf("killed at request %d, work done: %v", n, done)
		}
	}
	t.Logf("%d processes were killed: 0 duplicates, 0 lost, 0 unmarked", kills)
	if kills < tries/2 {
		t.Errorf("only %d processes were killed", kills)
	}
}

// steps returns how many steps the recorded run had.
func (r *recording) steps() int {
	var history struct {
		Runs []struct{ Counts map[string]int }
	}
	if err := json.Unmarshal([]byte(r.inProcess(exitOK, "history", "--format", "json")), &history); err != nil {
		r.t.Fatal(err)
	}
	n := 0
	for _, op := range []string{"create", "rename", "move"} {
		c := history.Runs[0].Counts[op]
		if c == 0 {
			r.t.Errorf("the run has no %s", op)
		}
		n += c
	}
	return n
}

// sample returns some of the instants, or all: those at which a run turns from
// one kind of request to another, and n others.
func (r *recording) sample(n int) []instant {
	if completely() {
		return r.instants
	}
	var some []instant
	seen := map[string]bool{}
	for i, at := range r.instants {
		q := r.requests[at.request]
		kind := q.Method + " " + strings.TrimRight(q.Path, "0123456789")
		every := len(r.instants) / n
		if i%every == every/2 || changing(q) && !seen[kind] {
			some = append(some, at)
		}
		seen[kind] = true
	}
	return some
}
