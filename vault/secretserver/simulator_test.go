package secretserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/vault"
	"cwvault/vault/secretserver/secretservertest"
	"cwvault/vault/vaulttest"
)

func newSimulator(t testing.TB, opt secretservertest.Options) *secretservertest.Server {
	t.Helper()
	s, err := secretservertest.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	t.Cleanup(func() {
		for _, r := range s.Requests() {
			if r.Method == http.MethodDelete {
				t.Errorf("a DELETE was sent: %s", r.Path)
			}
		}
	})
	return s
}

func openSimulator(t testing.TB, s *secretservertest.Server, edit ...func(*Config)) *Vault {
	t.Helper()
	cfg := Config{URL: s.URL(), Username: secretservertest.DefaultUsername, Password: secretservertest.DefaultPassword, Root: `\Clients`}
	for _, e := range edit {
		e(&cfg)
	}
	v, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	v.client.retry.Pause = func(time.Duration) time.Duration { return 0 }
	t.Cleanup(v.client.http.CloseIdleConnections)
	return v
}

// clientsFolder makes the root \Clients, which the account owns.
func clientsFolder(s *secretservertest.Server) int {
	id := s.AddFolder(-1, "Clients")
	s.Grant(id, secretservertest.DefaultUsername, "Owner", "List")
	return id
}

func TestContract(t *testing.T) {
	servers := map[string]struct {
		opt    secretservertest.Options
		config func(*secretservertest.Server, *Config)
	}{
		"on-premises": {},
		"cloud": {opt: secretservertest.Options{Base: "/", Quirks: secretservertest.Quirks{
			EmptySearch404: true, RootParent404: true, FullBodyOnly: true, NoFolderSync: true, HidePasswords: true, MaxTake: 100, NoValidationCode: true, HealthText: true}}},
		"platform": {opt: secretservertest.Options{Platform: true, TokenCalls: 20},
			config: func(s *secretservertest.Server, c *Config) { c.URL = s.PlatformURL() }},
		"before look-up by path": {opt: secretservertest.Options{Version: "10.9.000064", Quirks: secretservertest.Quirks{MaxTake: 7}}},
		"no search by field":     {opt: secretservertest.Options{Quirks: secretservertest.Quirks{NoFieldSearch: true}}},
	}
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vaulttest.Suite(t, func(t *testing.T) vaulttest.Harness {
				opt := server.opt
				opt.Permissions = append(secretservertest.LeastRights(), secretservertest.CreateRootFolders)
				s := newSimulator(t, opt)
				return harness(s, func(t *testing.T) *Vault {
					return openSimulator(t, s, func(c *Config) {
						if server.config != nil {
							server.config(s, c)
						}
					})
				}, t)
			})
		})
	}
}

func harness(s *secretservertest.Server, open func(t *testing.T) *Vault, t *testing.T) vaulttest.Harness {
	const user = secretservertest.DefaultUsername
	at := func(t *testing.T, path string) secretservertest.Folder {
		t.Helper()
		f, ok := s.FolderByPath(strings.TrimRight(`\Clients\`+path, `\`))
		if !ok {
			t.Fatalf("no folder %q", path)
		}
		return f
	}
	split := func(path string) (parent, name string) {
		i := strings.LastIndex(path, `\`)
		return path[:max(i, 0)], path[i+1:]
	}
	var remove func()
	fault := func(name string, want error, reads bool, f secretservertest.Fault) vaulttest.Fault {
		return vaulttest.Fault{Name: name, Want: want, Reads: reads,
			On: func(*testing.T) { remove = s.AddFault(f) }, Off: func(*testing.T) { remove() }}
	}
	api := func(r *http.Request) bool {
		return strings.HasPrefix(r.URL.Path, "/api/v1/f") || strings.HasPrefix(r.URL.Path, "/api/v1/m")
	}
	writes := func(r *http.Request) bool { return api(r) && r.Method != http.MethodGet }
	return vaulttest.Harness{
		Vault:  open(t),
		Reopen: func(t *testing.T) vault.Vault { return open(t) },
		MakeFolder: func(t *testing.T, path string) {
			parent, name := split(path)
			s.AddFolder(at(t, parent).ID, name)
		},
		MoveFolder: func(t *testing.T, from, to string) {
			f := at(t, from)
			parent, name := split(to)
			_, wasName := split(from)
			if err := s.MoveFolder(f.ID, at(t, parent).ID, "admin"); err != nil && parent != above(from) {
				t.Fatal(err)
			}
			if name != wasName {
				if err := s.RenameFolder(f.ID, name, "admin"); err != nil {
					t.Fatal(err)
				}
			}
		},
		PutSecret: func(t *testing.T, folder, name, value string) {
			s.AddSecret(at(t, folder).ID, name, "Password", map[string]string{"password": value})
		},
		Secrets: func(t *testing.T) map[string]string {
			paths := map[int]string{}
			for _, f := range s.Folders() {
				paths[f.ID] = f.Path
			}
			secrets := map[string]string{}
			for _, x := range s.Secrets() {
				secrets[strings.TrimPrefix(paths[x.FolderID]+`\`+x.Name, `\Clients\`)] = x.Fields["password"]
			}
			return secrets
		},
		SpoilMark: func(t *testing.T, folder string) {
			s.SetMetadata(at(t, folder).ID, sectionName, fieldName, "company/1, I think")
		},
		Faults: []vaulttest.Fault{
			fault("busy", vault.ErrUnavailable, true, secretservertest.Fault{Match: api, Status: 429}),
			fault("forbidden", vault.ErrNotAllowed, false, secretservertest.Fault{Match: writes, Status: 403}),
			{Name: "read-only", Want: vault.ErrReadOnly,
				On:  func(*testing.T) { s.SetQuirks(func(q *secretservertest.Quirks) { q.ReadOnly = true }) },
				Off: func(*testing.T) { s.SetQuirks(func(q *secretservertest.Quirks) { q.ReadOnly = false }) }},
			{Name: "not owner", Want: vault.ErrNotAllowed,
				On:  func(t *testing.T) { s.Grant(at(t, "").ID, user, "View", "List") },
				Off: func(t *testing.T) { s.Grant(at(t, "").ID, user, "Owner", "List") }},
		},
		// The answer is lost and the folder cannot be read either: the adapter
		// looks by itself where it can.
		LoseAnswer: func(t *testing.T) {
			s.AddFault(secretservertest.Fault{Match: writes, Times: 1, CutAfterWork: true})
			s.AddFault(secretservertest.Fault{Match: secretservertest.On("GET", "/api/v1/folders/[1-9]*"), Times: maxAttempts, Status: 503})
		},
	}
}

func above(path string) string { return path[:max(strings.LastIndex(path, `\`), 0)] }

// world is a tree of folders in the simulator, all marked, made by hand.
func world(s *secretservertest.Server, groups, companies int) (root int) {
	root = clientsFolder(s)
	for g := range groups {
		group := s.AddFolder(root, fmt.Sprintf("Group %d", g))
		s.SetMetadata(group, sectionName, fieldName, fmt.Sprintf("acmeinc group/type:%d", g+1))
		for c := range companies {
			n := g*companies + c + 1
			id := s.AddFolder(group, fmt.Sprintf("Company %d", n))
			s.SetMetadata(id, sectionName, fieldName, company(n).String())
		}
	}
	return root
}

// calls sorts the requests since the last reset into sign-ins, pages of folders,
// pages of marks, writes and others.
func calls(s *secretservertest.Server) map[string]int {
	n := map[string]int{}
	for _, r := range s.Requests() {
		switch {
		case strings.Contains(r.Path, "oauth2/token"):
			n["sign-in"]++
		case r.Path == "/api/v1/folders" && r.Method == http.MethodGet:
			n["folders"]++
		case r.Path == "/api/v1/metadata" && r.Method == http.MethodGet:
			n["marks"]++
		case r.Method != http.MethodGet:
			n["write"]++
		default:
			n["other"]++
		}
	}
	s.ResetRequests()
	return n
}

func TestCallsOfARun(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opt  secretservertest.Options
		want map[string]int
	}{
		"pages of 500":         {secretservertest.Options{}, map[string]int{"sign-in": 1, "folders": 3, "marks": 3, "other": 4}},
		"the server gives 100": {secretservertest.Options{Quirks: secretservertest.Quirks{MaxTake: 100}}, map[string]int{"sign-in": 1, "folders": 13, "marks": 13, "other": 4}},
		"in no useful order":   {secretservertest.Options{Quirks: secretservertest.Quirks{Shuffled: true}}, map[string]int{"sign-in": 1, "folders": 3, "marks": 3, "other": 4}},
		// Two calls find the platform and two its vault and the marks' field;
		// its address alone (see platformDomain) saves the first two.
		"behind the platform": {secretservertest.Options{Platform: true}, map[string]int{"sign-in": 1, "folders": 3, "marks": 3, "other": 6}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSimulator(t, test.opt)
			root := world(s, 10, 120) // 1,210 folders
			v := openSimulator(t, s, func(c *Config) {
				if test.opt.Platform {
					c.URL = s.PlatformURL()
				}
			})
			if err := v.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			tree, err := v.Tree(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			unmarked := 0
			for _, f := range tree.Folders {
				if f.Mark == (sync.Mark{}) {
					unmarked++
				}
			}
			if len(tree.Folders) != 1210 || unmarked > 0 || tree.Root.ID != fmt.Sprint(root) {
				t.Errorf("%d folders, %d without a mark, root %s", len(tree.Folders), unmarked, tree.Root.ID)
			}
			if diff := cmp.Diff(test.want, calls(s)); diff != "" {
				t.Errorf("calls without changes (-want +got):\n%s", diff)
			}

			group, leaf := tree.Folders[0], tree.Folders[1]
			change := func(what string, want int, err error) {
				t.Helper()
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if diff := cmp.Diff(map[string]int{"write": want}, calls(s)); diff != "" {
					t.Errorf("calls of a %s (-want +got):\n%s", what, diff)
				}
			}
			_, err = v.Update(t.Context(), leaf.ID, leaf.ParentID, "Renamed")
			change("rename", 1, err)
			_, err = v.Update(t.Context(), leaf.ID, tree.Root.ID, "Renamed again")
			change("rename and move", 1, err)
			made, err := v.Create(t.Context(), group.ID, "New", company(5000))
			change("create", 2, err)
			_, err = v.Update(t.Context(), made.ID, tree.Root.ID, "Newer")
			change("move of a new folder", 1, err)
			change("mark", 1, v.Mark(t.Context(), leaf.ID, company(5001)))
		})
	}
}

// TestBadDay is a run of 8 workers against a server on which everything goes
// wrong now and then. As the core does, creates look before they are repeated,
// and what can be said twice is said again when it was not answered: several
// faults can hit one request.
func TestBadDay(t *testing.T) {
	t.Parallel()
	perWorker := 60
	if testing.Short() {
		perWorker = 20
	}
	s := newSimulator(t, secretservertest.Options{TokenCalls: 20})
	clientsFolder(s)
	writes := func(r *http.Request) bool {
		return r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "oauth2")
	}
	s.AddFault(secretservertest.Fault{Every: 10, Status: 500})
	s.AddFault(secretservertest.Fault{Every: 50, CutBefore: true})
	s.AddFault(secretservertest.Fault{Match: writes, Every: 30, CutAfterWork: true})
	v := openSimulator(t, s)
	tree, err := v.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again := func(call func() error) error {
		err := call()
		for tries := 1; tries < 3 && errors.Is(err, vault.ErrUnanswered); tries++ {
			err = call()
		}
		return err
	}
	mark := func(id string, m sync.Mark) error {
		return again(func() error { return v.Mark(t.Context(), id, m) })
	}
	create := func(parent, name string, m sync.Mark) (sync.Folder, error) {
		for {
			f, err := v.Create(t.Context(), parent, name, m)
			switch {
			case err == nil:
				return f, nil
			case f.ID != "":
				return f, mark(f.ID, m)
			case !errors.Is(err, vault.ErrUnanswered):
				return f, err
			}
			found, err := v.Find(t.Context(), parent, name)
			if err == nil && found.Mark == (sync.Mark{}) {
				return found, mark(found.ID, m)
			}
			if !errors.Is(err, vault.ErrNotFound) {
				return found, err
			}
		}
	}
	groups := make([]string, 3)
	for i := range groups {
		f, err := create(tree.Root.ID, fmt.Sprintf("Group %d", i), sync.Mark{Tenant: "acmeinc", Key: sync.Key(fmt.Sprintf("group/type:%d", i+1))})
		if err != nil {
			t.Fatal(err)
		}
		groups[i] = f.ID
	}
	want := map[string]sync.Mark{}
	for i := range groups {
		want[fmt.Sprintf("Group %d", i)] = sync.Mark{Tenant: "acmeinc", Key: sync.Key(fmt.Sprintf("group/type:%d", i+1))}
	}
	var workers gosync.WaitGroup
	for w := range 8 {
		for i := range perWorker {
			want[fmt.Sprintf(`Group %d\Company %d-%d, Inc.`, i%3, w, i)] = company(1000*w + i + 1)
		}
		workers.Go(func() {
			for i := range perWorker {
				name := fmt.Sprintf("Company %d-%d", w, i)
				f, err := create(groups[(i+1)%3], name, company(1000*w+i+1))
				if err != nil {
					t.Errorf("create %s: %v", name, err)
					continue
				}
				err = again(func() error {
					_, err := v.Update(t.Context(), f.ID, groups[i%3], name+", Inc.")
					return err
				})
				if err != nil {
					t.Errorf("move %s: %v", name, err)
				}
			}
		})
	}
	workers.Wait()

	faults := map[int]int{} // by status
	for _, r := range s.Requests() {
		if r.Fault || r.Status == http.StatusUnauthorized {
			faults[r.Status]++
		}
	}
	if faults[500] < perWorker || faults[401] < perWorker || faults[0] < perWorker/2 {
		t.Errorf("the day was not bad: %v", faults)
	}
	s.ClearFaults()
	got := map[string]sync.Mark{}
	for path, f := range vaulttest.Paths(t.Context(), t, openSimulator(t, s)) {
		if path != "" {
			got[path] = f.Mark
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

// audience is who has which roles on a folder, as the simulator has it.
func audience(t *testing.T, s *secretservertest.Server, id int) (lines []string) {
	t.Helper()
	f, ok := s.Folder(id)
	if !ok {
		t.Fatalf("no folder %d", id)
	}
	for _, p := range f.Permissions {
		lines = append(lines, fmt.Sprintf("%s %s/%s", p.Name, p.FolderRole, p.SecretRole))
	}
	slices.Sort(lines)
	return lines
}

func TestAccess(t *testing.T) {
	for _, copyTarget := range []bool{false, true} {
		for access, kept := range map[string]bool{"inherit": false, "hold": false, "preserve": true} {
			t.Run(fmt.Sprintf("%s, copy target %t", access, copyTarget), func(t *testing.T) {
				s := newSimulator(t, secretservertest.Options{Quirks: secretservertest.Quirks{CopyTarget: copyTarget}})
				root := clientsFolder(s)
				s.AddGroup("Helpdesk")
				s.AddGroup("Sales")
				from, to := s.AddFolder(root, "Customer"), s.AddFolder(root, "Prospect")
				s.Grant(from, "Helpdesk", "View", "View")
				s.Grant(to, "Sales", "View", "View")
				acme := s.AddFolder(from, "Acme")
				inside := s.AddFolder(acme, "Inside")
				s.AddSecret(inside, "router", "Password", map[string]string{"password": "x"})
				v := openSimulator(t, s, func(c *Config) { c.Access = access })
				if _, err := v.Tree(t.Context()); err != nil {
					t.Fatal(err)
				}
				before, target := audience(t, s, acme), audience(t, s, to)
				if slices.Equal(before, target) || len(before) < 2 {
					t.Fatalf("audiences %q and %q do not tell", before, target)
				}
				for id, want := range map[int]string{from: "Helpdesk (View)", to: "Sales (View)", acme: "Helpdesk (View)"} {
					got, err := v.Audience(t.Context(), fmt.Sprint(id))
					if err != nil || !slices.Contains(got, want) || len(got) != len(before) {
						t.Errorf("Audience(%d) = %q, %v", id, got, err)
					}
				}
				if n, err := v.Secrets(t.Context(), fmt.Sprint(acme)); err != nil || n != 1 {
					t.Errorf("Secrets = %d, %v", n, err)
				}

				moved, err := v.Update(t.Context(), fmt.Sprint(acme), fmt.Sprint(to), "Acme, Inc.")
				if err != nil {
					t.Fatal(err)
				}
				want := target
				if kept {
					want = before
				}
				for _, id := range []int{acme, inside} {
					if diff := cmp.Diff(want, audience(t, s, id)); diff != "" {
						t.Errorf("who has access to folder %d (-want +got):\n%s", id, diff)
					}
				}
				if moved.Inherits == kept {
					t.Errorf("moved %+v", moved)
				}
			})
		}
	}
}

// TestWithoutMetadata is a server, or an account, that keeps no marks: two runs
// with nothing but a journal.
func TestWithoutMetadata(t *testing.T) {
	for name, opt := range map[string]secretservertest.Options{
		"old server": {Version: "10.9.000063"},
		"no rights":  {Permissions: []string{secretservertest.ViewFolders, secretservertest.AdministerFolders}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSimulator(t, opt)
			root := fmt.Sprint(clientsFolder(s))
			journal := map[string]sync.Mark{}
			open := func() *Vault {
				return openSimulator(t, s, func(c *Config) {
					c.MarkFallback = func(context.Context) (map[string]sync.Mark, error) { return maps.Clone(journal), nil }
				})
			}
			for run := range 2 {
				v := open()
				if _, err := v.Tree(t.Context()); err != nil {
					t.Fatal(err)
				}
				for i := range 3 {
					n := 10*run + i + 1
					f, err := v.Create(t.Context(), root, fmt.Sprintf("Company %d", n), company(n))
					if err != nil || f.Mark != company(n) {
						t.Fatalf("Create = %+v, %v", f, err)
					}
					journal[f.ID] = f.Mark
				}
				if n := calls(s)["write"]; n > 4 {
					t.Errorf("%d writes for 3 folders", n)
				}
			}
			got := map[string]sync.Mark{}
			for _, f := range vaulttest.Paths(t.Context(), t, open()) {
				if f.ID != root {
					got[f.ID] = f.Mark
				}
			}
			if diff := cmp.Diff(journal, got); diff != "" || len(got) != 6 {
				t.Errorf("marks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPreflightOnTheSimulator(t *testing.T) {
	s := newSimulator(t, secretservertest.Options{Quirks: secretservertest.Quirks{VersionInModel: true}})
	root := world(s, 1, 2)
	report, err := openSimulator(t, s).preflight(t.Context())
	if err != nil || report.Version != secretservertest.DefaultVersion || report.Account != secretservertest.DefaultUsername {
		t.Fatalf("preflight = %+v, %v", report, err)
	}
	for _, f := range report.Findings {
		if f.Level() != sync.LevelOK {
			t.Errorf("%+v", f)
		}
	}
	if n := calls(s); n["write"] > 0 {
		t.Errorf("it changed something: %v", n)
	}
	s.SetFolderSync(secretservertest.FolderSync{Method: "ApiIntegration", FolderID: root, Structure: `$TYPE\$STATUS`, CompanyID: "acmeinc"})
	v := openSimulator(t, s)
	if err := v.Ready(t.Context()); !errors.Is(err, ErrBuiltinSync) {
		t.Errorf("Ready = %v", err)
	}
	if report, err := v.preflight(t.Context()); err != nil || !report.Builtin.On || report.Builtin.CompanyID != "acmeinc" {
		t.Errorf("preflight = %+v, %v", report, err)
	}
}

func TestReadSecretOnTheSimulator(t *testing.T) {
	for _, hide := range []bool{false, true} {
		s := newSimulator(t, secretservertest.Options{Quirks: secretservertest.Quirks{HidePasswords: hide}})
		id := s.AddSecret(clientsFolder(s), "ConnectWise", "Password", map[string]string{"username": "pub", "password": "priv"})
		s.Grant(1, secretservertest.DefaultUsername, "Owner", "View")
		v := openSimulator(t, s)
		got, err := v.ReadSecret(t.Context(), id)
		if err != nil || got["username"] != "pub" || got["password"] != "priv" {
			t.Errorf("hidden %t: %v, %v", hide, got, err)
		}
		s.UpdateSecret(id, func(x *secretservertest.Secret) { x.RequiresApproval = true })
		if got, err := v.ReadSecret(t.Context(), id); err == nil || strings.Contains(err.Error(), "priv") {
			t.Errorf("a restricted secret: %v, %v", got, err)
		}
	}
}

// BenchmarkCreate makes folders on a server that takes 50 ms for each call, and
// reports how much longer that takes than the calls themselves.
func BenchmarkCreate(b *testing.B) {
	const delay = 50 * time.Millisecond
	for _, bench := range []struct{ workers, folders int }{{8, 1000}, {1, 100}} {
		b.Run(fmt.Sprintf("workers=%d", bench.workers), func(b *testing.B) {
			folders := bench.folders
			if testing.Short() {
				folders /= 10
			}
			for b.Loop() {
				s := newSimulator(b, secretservertest.Options{})
				clientsFolder(s)
				v := openSimulator(b, s)
				tree, err := v.Tree(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				s.SetDelay(delay)
				start := time.Now()
				next := make(chan int)
				var workers gosync.WaitGroup
				for range bench.workers {
					workers.Go(func() {
						for n := range next {
							if _, err := v.Create(b.Context(), tree.Root.ID, fmt.Sprintf("Company %d", n), company(n)); err != nil {
								b.Error(err)
							}
						}
					})
				}
				for n := range folders {
					next <- n + 1
				}
				close(next)
				workers.Wait()
				ideal := time.Duration(folders) * 2 * delay / time.Duration(bench.workers)
				b.ReportMetric(float64(time.Since(start))/float64(ideal), "x-ideal")
				b.ReportMetric(float64(folders)/time.Since(start).Seconds(), "folders/s")
			}
		})
	}
}
