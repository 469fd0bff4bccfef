package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"

	"cwvault/cmd/cwvault/demo"
	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
	"cwvault/vault/secretserver/secretservertest"
)

// vaultSite is a ConnectWise and a Secret Server for runs to work on.
type vaultSite struct {
	*site
	server demo.Server
}

func newVaultSite(t *testing.T) *vaultSite {
	t.Helper()
	cw, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cw.Close() })
	server, err := demo.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	dir := t.TempDir()
	s := &site{t: t, world: newScriptWorld(cw)}
	s.env = append(server.Settings(), runAsCwvault+"=1", "PATH="+os.Getenv("PATH"), "HOME="+dir,
		"CWVAULT_CONNECTWISE_URL="+cw.URL(), "CWVAULT_CONNECTWISE_COMPANY_ID="+cw.Tenant(),
		"CWVAULT_CONNECTWISE_PUBLIC_KEY="+cw.PublicKey(), "CWVAULT_CONNECTWISE_PRIVATE_KEY="+cw.PrivateKey(),
		"CWVAULT_CONNECTWISE_CLIENT_ID="+cw.ClientID(), "CWVAULT_STATE="+filepath.Join(dir, "cwvault.db"),
		"CWVAULT_LOG_LEVEL=warn", "CWVAULT_MAX_MOVES=off", "CWVAULT_MAX_RENAMES=off")
	return &vaultSite{s, server}
}

// inProcess runs cwvault without a process of its own.
func (s *vaultSite) inProcess(want int, args ...string) string {
	s.t.Helper()
	var out, errs bytes.Buffer
	if code := cwvault(s.t.Context(), args, s.env, &out, &errs); code != want {
		s.t.Fatalf("cwvault %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, &out, &errs)
	}
	return out.String()
}

// check expects a folder for each company at the path that want says, marked
// once, and nothing else below the root but what was there.
func (s *vaultSite) check(want map[string]string) {
	s.t.Helper()
	seen := map[string]string{}
	for _, f := range s.server.Folders() {
		if !strings.HasPrefix(f.Path, `\Clients\`) || strings.HasPrefix(f.Path, `\Clients\Our own office`) {
			continue
		}
		m, err := sync.ParseMark(f.Metadata["ConnectWise/Folder key"])
		if err != nil {
			s.t.Errorf("folder %s has no mark: %v", f.Path, err)
			continue
		}
		if other, twice := seen[string(m.Key)]; twice {
			s.t.Errorf("%s has two folders: %s and %s", m.Key, other, f.Path)
		}
		seen[string(m.Key)] = f.Path
	}
	for key, path := range want {
		if seen[key] != path {
			s.t.Errorf("%s is at %q, want %q", key, seen[key], path)
		}
	}
	for _, r := range s.server.Requests() {
		if r.Method == http.MethodDelete {
			s.t.Errorf("%s %s", r.Method, r.Path)
		}
	}
}

// killCompanies and killChanges are the two halves of the story that
// TestKilledAtEachRequest tells: creates, then moves and a swap of names.
func (s *vaultSite) killCompanies() {
	for i, name := range []string{"Alpha", "Beta", "Gamma", "Delta"} {
		s.world.add(101+i, name, "Prospect", "Active")
	}
}

func (s *vaultSite) killChanges() {
	s.world.Rename(101, "Beta")
	s.world.Rename(102, "Alpha")
	s.world.SetTypes(103, s.world.types["Customer"])
	s.world.add(105, "Epsilon", "Customer", "Active")
}

var (
	killFirst = map[string]string{
		"company/101": `\Clients\Prospect\Active\Alpha`, "company/102": `\Clients\Prospect\Active\Beta`,
		"company/103": `\Clients\Prospect\Active\Gamma`, "company/104": `\Clients\Prospect\Active\Delta`,
	}
	killLast = map[string]string{
		"company/101": `\Clients\Prospect\Active\Beta`, "company/102": `\Clients\Prospect\Active\Alpha`,
		"company/103": `\Clients\Customer\Active\Gamma`, "company/104": `\Clients\Prospect\Active\Delta`,
		"company/105": `\Clients\Customer\Active\Epsilon`,
	}
)

// TestKilledAtEachRequest kills a real process at every request that a run
// sends to Secret Server, before and after the server did the work, and lets
// the next run finish it.
func TestKilledAtEachRequest(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts some hundred processes, which -short asks not to")
	}
	for _, half := range []struct {
		name          string
		before, after func(*vaultSite)
		want          map[string]string
	}{
		{"creates", func(*vaultSite) {}, (*vaultSite).killCompanies, killFirst},
		{"moves", func(s *vaultSite) { s.killCompanies(); s.inProcess(exitOK, "resync") }, (*vaultSite).killChanges, killLast},
	} {
		t.Run(half.name, func(t *testing.T) {
			t.Parallel()
			boundaries := 0
			for _, done := range []bool{false, true} {
				for n := 1; ; n++ {
					s := newVaultSite(t)
					half.before(s)
					half.after(s)
					if !s.killAt(n, done) {
						break // the run has fewer requests: all were tried
					}
					boundaries++
					s.inProcess(exitOK, "resync")
					s.inProcess(exitOK, "plan", "--detailed-exitcode")
					s.check(half.want)
					if t.Failed() {
						t.Fatalf("killed at request %d, work done: %v", n, done)
					}
				}
			}
			t.Logf("%d request boundaries tried", boundaries)
			if boundaries < 20 {
				t.Errorf("only %d boundaries", boundaries)
			}
		})
	}
}

// killAt starts a resync and kills it when Secret Server gets its nth request.
// It returns false if there was none.
func (s *vaultSite) killAt(n int, done bool) bool {
	s.t.Helper()
	var out bytes.Buffer
	cmd := s.command(&out, "resync")
	var once gosync.Mutex
	seen, killed := 0, false
	started := make(chan struct{})
	s.server.AddFault(secretservertest.Fault{
		Match: func(*http.Request) bool {
			<-started
			once.Lock()
			defer once.Unlock()
			if seen++; seen < n {
				return false
			}
			if !killed {
				killed = true
				_ = cmd.Process.Kill() // it cannot have ended: it waits for this answer
			}
			return true // nothing that it sent at the same time is done either
		},
		Times: map[bool]int{true: 1}[done], CutBefore: !done, CutAfterWork: done,
	})
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	close(started)
	err := cmd.Wait()
	s.server.ClearFaults()
	once.Lock()
	defer once.Unlock()
	if !killed && err != nil {
		s.t.Fatalf("%v\n%s", err, &out)
	}
	return killed
}

// TestBadSecretServer is a run against a server that expires tokens, fails,
// cuts connections and loses answers all the time.
func TestBadSecretServer(t *testing.T) {
	t.Parallel()
	s := newVaultSite(t)
	server, err := secretservertest.New(secretservertest.Options{Username: demo.Account, Password: "x-y-z", TokenCalls: 20})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.Grant(server.AddFolder(-1, "Clients"), demo.Account, "Owner", "List")
	s.server = demo.Server{Server: server, Password: "x-y-z"}
	s.env = append(s.env, s.server.Settings()...)
	want := map[string]string{}
	const companies = 120
	for i := range companies {
		s.world.add(100+i, fmt.Sprintf("Company %03d", i), "Customer", "Active")
		want[fmt.Sprintf("company/%d", 100+i)] = fmt.Sprintf(`\Clients\Customer\Active\Company %03d`, i)
	}
	bad := func() {
		server.AddFault(secretservertest.Fault{Every: 10, Status: http.StatusInternalServerError})
		server.AddFault(secretservertest.Fault{Every: 50, CutBefore: true})
		server.AddFault(secretservertest.Fault{Every: 30, CutAfterWork: true})
	}
	bad()
	s.inProcess(exitOK, "resync")
	faults := 0
	for _, r := range server.Requests() {
		if r.Fault {
			faults++
		}
	}
	if faults < 20 {
		t.Errorf("only %d faults fired", faults)
	}
	s.check(want)
	for i := range companies { // pairs swap names
		s.world.Rename(100+i, fmt.Sprintf("Company %03d", i^1))
		want[fmt.Sprintf("company/%d", 100+i)] = fmt.Sprintf(`\Clients\Customer\Active\Company %03d`, i^1)
	}
	s.inProcess(exitOK, "resync")
	s.check(want)
	server.ClearFaults()
	s.inProcess(exitOK, "plan", "--detailed-exitcode")
}

// TestCallsPerRun asserts what a run costs Secret Server.
func TestCallsPerRun(t *testing.T) {
	t.Parallel()
	s := newVaultSite(t)
	const companies = 150
	for i := range companies {
		s.world.add(100+i, fmt.Sprintf("Company %03d", i), "Customer", "Active")
	}
	calls := func(args ...string) (reads, writes int) {
		t.Helper()
		s.server.ResetRequests()
		s.world.ResetRequests()
		s.inProcess(exitOK, args...)
		for _, r := range s.server.Requests() {
			if r.Method == http.MethodGet || strings.HasSuffix(r.Path, "/oauth2/token") {
				reads++
			} else {
				writes++
			}
		}
		if n := len(s.world.Requests()); n > 1+4 {
			t.Errorf("%d requests to ConnectWise for one page of companies", n)
		}
		return reads, writes
	}
	// 1 sign-in, 1 page of folders, 1 of marks, 4 others.
	const most = 1 + 1 + 1 + 4
	if reads, writes := calls("resync"); reads > most || writes != 2*(companies+2) {
		t.Errorf("%d creates: %d reads and %d writes, want at most %d and %d", companies+2, reads, writes, most, 2*(companies+2))
	}
	if reads, writes := calls("resync"); reads > most || writes != 0 {
		t.Errorf("nothing to do: %d reads, %d writes", reads, writes)
	}
	for i := range 20 {
		s.world.Rename(100+i, fmt.Sprintf("Renamed %03d", i))
	}
	if reads, writes := calls("resync"); reads > most || writes != 20 {
		t.Errorf("20 renames: %d reads, %d writes", reads, writes)
	}
	if _, writes := calls("plan"); writes != 0 {
		t.Errorf("plan: %d writes", writes)
	}
}

// TestBuiltinSyncRefused sees that cwvault does not work beside Secret Server's
// own synchronization.
func TestBuiltinSyncRefused(t *testing.T) {
	s := newVaultSite(t)
	s.world.add(1, "Acme", "Customer", "Active")
	root, ok := s.server.FolderByPath(`\Clients`)
	if !ok {
		t.Fatal("no root")
	}
	s.server.SetFolderSync(secretservertest.FolderSync{Method: "ApiIntegration", FolderID: root.ID, Structure: `$TYPE\$STATUS`})
	s.server.ResetRequests()
	s.inProcess(exitConfig, "resync")
	for _, r := range s.server.Requests() {
		if r.Method != http.MethodGet && !strings.HasSuffix(r.Path, "/oauth2/token") {
			t.Errorf("%s %s", r.Method, r.Path)
		}
	}
	s.server.SetFolderSync(secretservertest.FolderSync{Method: "None"})
	s.inProcess(exitOK, "resync")
}

// TestKeysFromVault reads the ConnectWise keys from a secret.
func TestKeysFromVault(t *testing.T) {
	s := newVaultSite(t)
	s.world.add(1, "Acme", "Customer", "Active")
	folder := s.server.AddFolder(-1, "Integration")
	s.server.Grant(folder, demo.Account, "View", "View")
	id := s.server.AddSecret(folder, "ConnectWise", "Password", map[string]string{"username": s.world.PublicKey(), "password": s.world.PrivateKey()})
	s.env = append(s.env, "CWVAULT_CONNECTWISE_PUBLIC_KEY=", "CWVAULT_CONNECTWISE_PRIVATE_KEY=", fmt.Sprintf("CWVAULT_CONNECTWISE_SECRET_ID=%d", id))
	s.inProcess(exitOK, "resync")
	s.check(map[string]string{"company/1": `\Clients\Customer\Active\Acme`})
	s.env = append(s.env, "CWVAULT_CONNECTWISE_SECRET_ID=999999")
	s.inProcess(exitConfig, "plan")
}

// TestCheckSecretServer sees that check says what the built-in synchronization
// was set to, and tells a good account from one without rights.
func TestCheckSecretServer(t *testing.T) {
	s := newVaultSite(t)
	s.world.add(1, "Acme", "Customer", "Active")
	root, ok := s.server.FolderByPath(`\Clients`)
	if !ok {
		t.Fatal("no root")
	}
	s.server.SetFolderSync(secretservertest.FolderSync{Method: "None", FolderID: root.ID, Structure: `$STATUS\$TYPE`, SiteURL: "cw.example.com", CompanyID: "acmeinc"})
	out := s.inProcess(exitOK, "check")
	for _, want := range []string{"vault sign-in", "as " + demo.Account, `CWVAULT_FOLDER_STRUCTURE='$STATUS\$TYPE' CWVAULT_CONNECTWISE_URL='cw.example.com'`, `CWVAULT_ROOT='\Clients'`} {
		if !strings.Contains(out, want) {
			t.Errorf("check does not say %q:\n%s", want, out)
		}
	}
	s.server.SetFolderSync(secretservertest.FolderSync{Method: "ApiIntegration", FolderID: root.ID, Structure: `$STATUS\$TYPE`, SiteURL: "cw.example.com", CompanyID: "acmeinc"})
	s.inProcess(exitConfig, "check")
	s.server.SetFolderSync(secretservertest.FolderSync{Method: "None"})
	s.server.SetRolePermissions(demo.Account, secretservertest.ViewFolders)
	s.inProcess(exitUnauthorized, "check")
	for _, r := range s.server.Requests() {
		if r.Method != http.MethodGet && !strings.HasSuffix(r.Path, "/oauth2/token") {
			t.Errorf("%s %s", r.Method, r.Path)
		}
	}
}

// TestNameRules sees that the rules for names, which the vendor does not state,
// can be set.
func TestNameRules(t *testing.T) {
	s := newVaultSite(t)
	s.world.add(1, "Alpha & Omega [East]", "Customer", "Active")
	s.world.add(2, strings.Repeat("long ", 20), "Customer", "Active")
	s.env = append(s.env, "CWVAULT_VAULT_NAME_LENGTH=40", "CWVAULT_VAULT_NAME_FORBIDDEN=[]&")
	s.inProcess(exitOK, "resync")
	s.check(map[string]string{
		"company/1": `\Clients\Customer\Active\Alpha - Omega -East-`,
		"company/2": `\Clients\Customer\Active\` + strings.Repeat("long ", 6) + "long (co2)",
	})
	s.inProcess(exitOK, "plan", "--detailed-exitcode")
}
