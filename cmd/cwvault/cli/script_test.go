package cli

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"cwvault/connectwise/connectwisetest"
)

// waitingTests are tests that wait for processes, disks and clocks more than they
// work: with two processors, too, six of them run side by side.
type waitingTests struct{ *testing.M }

func (m waitingTests) Run() int {
	const least = 6
	flag.Parse()
	if n := flag.Lookup("test.parallel"); n.Value.String() == n.DefValue && runtime.GOMAXPROCS(0) < least {
		if err := n.Value.Set(strconv.Itoa(least)); err != nil {
			panic(err)
		}
	}
	return m.M.Run()
}

func TestMain(m *testing.M) {
	if os.Getenv(runAsCwvault) != "" {
		cwvaultMain()
	}
	testscript.Main(waitingTests{m}, map[string]func(){"cwvault": cwvaultMain})
}

// TestScripts runs testdata/script: real processes against a ConnectWise
// simulator and a password store on disk.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cw":   cwCommand,
			"code": codeCommand,
			"has":  hasCommand,
			// planid FILE NAME sets a variable to the id of a plan.
			"planid": func(ts *testscript.TestScript, _ bool, args []string) {
				var plan struct{ ID string }
				ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &plan))
				ts.Setenv(args[1], plan.ID)
			},
		},
	})
}

type serverKey struct{}

// setupScript gives a script its own ConnectWise with three customers.
func setupScript(env *testscript.Env) error {
	s, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		return err
	}
	env.Defer(func() { s.Close() })
	env.Values[serverKey{}] = newScriptWorld(s)
	store := filepath.Join(env.WorkDir, "store")
	if err := os.MkdirAll(filepath.Join(store, "Clients"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(store, ".gpg-id"), []byte("team@example.invalid\n"), 0o600); err != nil {
		return err
	}
	for name, value := range map[string]string{
		"URL": s.URL(), "COMPANY_ID": s.Tenant(), "PUBLIC_KEY": s.PublicKey(), "PRIVATE_KEY": s.PrivateKey(), "CLIENT_ID": s.ClientID(),
	} {
		env.Setenv("CWVAULT_CONNECTWISE_"+name, value)
	}
	env.Setenv("CWVAULT_VAULT_URL", "passwordstore:"+store)
	env.Setenv("CWVAULT_STATE", filepath.Join(env.WorkDir, "cwvault.db"))
	env.Setenv("CWVAULT_LISTEN", "off")
	return nil
}

// scriptWorld is the ConnectWise of a script.
type scriptWorld struct {
	*connectwisetest.Server
	types, statuses map[string]int
}

func newScriptWorld(s *connectwisetest.Server) *scriptWorld {
	w := &scriptWorld{Server: s, types: map[string]int{}, statuses: map[string]int{}}
	for _, name := range []string{"Customer", "Prospect"} {
		w.types[name] = s.AddType(name)
	}
	for _, name := range []string{"Active", "Inactive"} {
		w.statuses[name] = s.AddStatus(name)
	}
	return w
}

// add makes a company with its id.
func (w *scriptWorld) add(id int, name, typ, status string) {
	c := connectwisetest.Company{ID: id, Identifier: "co" + strconv.Itoa(id), Name: name, Status: w.statuses[status]}
	if typ != "none" {
		c.Types = []int{w.types[typ]}
	}
	w.AddCompany(c)
}

// cwCommand edits ConnectWise or asks what it saw:
//
//	cw add ID NAME TYPE STATUS     TYPE may be none
//	cw rename ID NAME
//	cw type ID TYPE
//	cw status ID STATUS
//	cw rename-status OLD NEW
//	cw rename-all SUFFIX
//	cw delete ID
//	cw restore ID
//	cw fill N                      N customers, from id 1000
//	cw lose PERCENT                so many companies vanish from sight
//	cw fault html|truncated|count|repeat|none
//	cw tickets                     prints every ticket with its notes
//	cw close-ticket ID
//	cw requests METHODS            fail unless all requests so far had one of these methods
func cwCommand(ts *testscript.TestScript, neg bool, args []string) {
	w := ts.Value(serverKey{}).(*scriptWorld)
	if neg || len(args) == 0 {
		ts.Fatalf("usage: cw COMMAND ...")
	}
	id := func() int {
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		return n
	}
	switch args[0] {
	case "add":
		w.add(id(), args[2], args[3], args[4])
	case "rename":
		w.Rename(id(), args[2])
	case "type":
		w.SetTypes(id(), w.types[args[2]])
	case "status":
		w.SetStatus(id(), w.statuses[args[2]])
	case "rename-status":
		w.RenameStatus(w.statuses[args[1]], args[2])
	case "rename-all":
		for _, c := range w.Companies() {
			w.Rename(c.ID, c.Name+args[1])
		}
	case "delete":
		w.Delete(id())
	case "restore":
		w.Restore(id())
	case "fill":
		for i := range id() {
			w.add(1000+i, fmt.Sprintf("Customer %03d", i), "Customer", "Active")
		}
	case "lose":
		percent := id()
		w.Behave(func(b *connectwisetest.Behaviour) {
			b.Role.Visible = func(c connectwisetest.Company) bool { return c.ID%100 >= percent }
		})
	case "fault":
		w.ClearFaults()
		companies := connectwisetest.On(http.MethodGet, "/company/companies")
		var f connectwisetest.Fault
		switch args[1] {
		case "none":
			return
		case "html":
			f = connectwisetest.HTML(http.StatusOK)
		case "truncated":
			f = connectwisetest.Truncated(200)
		case "count":
			f = connectwisetest.WrongCount(-1)
			companies = connectwisetest.On(http.MethodGet, "/company/companies/count")
		case "repeat":
			f = connectwisetest.EditRows(func(rows []json.RawMessage) []json.RawMessage {
				if len(rows) > 1 {
					rows[1] = rows[0]
				}
				return rows
			})
		default:
			ts.Fatalf("unknown fault %s", args[1])
		}
		f.Match = companies
		w.AddFault(f)
	case "tickets":
		for _, t := range w.Tickets() {
			state := "open"
			if t.Closed {
				state = "closed"
			}
			fmt.Fprintf(ts.Stdout(), "%d %s: %s\n%s\n", t.ID, state, t.Summary, strings.Join(t.Notes, "\n--\n"))
		}
	case "close-ticket":
		w.CloseTicket(id())
	case "requests":
		n := 0
		for _, r := range w.Requests() {
			n++
			if !strings.Contains(args[1], r.Method) {
				ts.Fatalf("request %s %s", r.Method, r.Path)
			}
		}
		if n == 0 {
			ts.Fatalf("no requests at all")
		}
	default:
		ts.Fatalf("unknown: cw %s", args[0])
	}
}

// codeCommand runs a program and expects an exit code: code 5 cwvault plan.
func codeCommand(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		exit, ok := err.(interface{ ExitCode() int })
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if (got == want) == neg {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// hasCommand expects the store to hold exactly these folders below Clients,
// one a line of a file: has tree.txt.
func hasCommand(ts *testscript.TestScript, neg bool, args []string) {
	root := ts.MkAbs("store/Clients")
	var got []string
	ts.Check(filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() && path != root {
			rel, _ := filepath.Rel(root, path)
			got = append(got, filepath.ToSlash(rel))
		}
		return err
	}))
	have := strings.Join(got, "\n")
	want := strings.TrimSpace(ts.ReadFile(args[0]))
	if (have == want) == neg {
		ts.Fatalf("the store has\n%s\n\nwant\n%s", have, want)
	}
}
