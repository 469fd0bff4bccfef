package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/cmd/cwsim/simworld"
	"cwvault/connectwise/connectwisetest"
	"cwvault/sync/synctest"
)

// story plays one scenario on one vault.
type story struct {
	t      *testing.T
	dir    string // for the journal and saved plans
	cw     *connectwisetest.Server
	vault  scenarioVault
	env    []string
	tables synctest.Tables // of ConnectWise
	planID string          // of the last plan that was shown

	// For the next command only.
	troubles []string
	ended    []func()     // what puts an end to them
	killable bool         // it runs in a process of its own
	mu       gosync.Mutex // guards what follows, which faults use
	stop     func()       // stops the command as SIGTERM does
	kill     func()       // as kill -9 does
}

func newStory(t *testing.T, vault string) *story {
	t.Helper()
	cw, err := connectwisetest.New(connectwisetest.Options{Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cw.Close() })
	s := &story{t: t, dir: t.TempDir(), cw: cw}
	s.vault = s.newVault(vault)
	s.env = append(s.vault.Settings(),
		runAsCwvault+"=1", "CWVAULT_LOG_LEVEL=warn", "CWVAULT_STATE="+s.journal())
	s.connectTo(cw)
	s.tables = synctest.DefaultTables()
	s.check(simworld.Tables(cw, s.tables))
	return s
}

func (s *story) newVault(kind string) scenarioVault {
	if kind == secretServerName {
		return newScenarioServer(s.t)
	}
	return newScenarioStore(s.t)
}

func (s *story) connectTo(cw *connectwisetest.Server) {
	s.env = append(s.env, "CWVAULT_CONNECTWISE_URL="+cw.URL(), "CWVAULT_CONNECTWISE_COMPANY_ID="+cw.Tenant(),
		"CWVAULT_CONNECTWISE_PUBLIC_KEY="+cw.PublicKey(), "CWVAULT_CONNECTWISE_PRIVATE_KEY="+cw.PrivateKey(),
		"CWVAULT_CONNECTWISE_CLIENT_ID="+cw.ClientID())
}

func (s *story) journal() string { return filepath.Join(s.dir, "cwvault.db") }

func (s *story) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// change plays one section that changes the world.
func (s *story) change(name, text string) {
	s.t.Helper()
	word, _, _ := strings.Cut(name, " ")
	switch {
	case word == "companies":
		s.companies(text)
	case slices.Contains([]string{"types", "statuses", "territories", "markets"}, word):
		s.table(word, text)
	case word == "settings":
		s.settings(text)
	case name == "vault before":
		s.vaultBefore(text)
	case name == "by hand":
		for _, line := range expand(text) {
			s.do(handwork, line)
		}
	case name == "trouble":
		s.troubles = expand(text)
	default:
		s.t.Fatalf("there is no section %q", name)
	}
}

// companies brings ConnectWise to these companies. Others are deleted.
func (s *story) companies(text string) {
	s.t.Helper()
	list, err := synctest.Companies(text, s.tables)
	s.check(err)
	s.check(simworld.Companies(s.cw, list))
}

// table brings a setup table of ConnectWise to these ids and names.
func (s *story) table(table, text string) {
	s.t.Helper()
	refs, err := synctest.Table(text)
	s.check(err)
	switch table {
	case "types":
		s.tables.Types = refs
	case "statuses":
		s.tables.Statuses = refs
	case "territories":
		s.tables.Territories = refs
	case "markets":
		s.tables.Markets = refs
	}
	s.check(simworld.Tables(s.cw, s.tables))
}

// These values of CWVAULT_VAULT_URL are another, empty vault, and the one that
// the story plays on.
const (
	anotherVault = "CWVAULT_VAULT_URL=<another vault>"
	thisVault    = "CWVAULT_VAULT_URL=<this vault>"
)

func (s *story) settings(text string) {
	s.t.Helper()
	for _, line := range expand(text) {
		switch {
		case line == anotherVault:
			other := s.newVault(vaultName(s.vault))
			_, err := other.add("", &synctest.Folder{Name: "Clients"})
			s.check(err)
			s.env = append(s.env, other.Settings()...)
		case line == thisVault:
			s.env = append(s.env, s.vault.Settings()...)
		case !strings.HasPrefix(line, "CWVAULT_"):
			s.t.Fatalf("%q is no setting", line)
		default:
			s.env = append(s.env, line)
		}
	}
}

// vaultBefore makes folders and secrets. If some are marked as cwvault's, it
// runs once, to know the vault in which it finds everything as it left it.
func (s *story) vaultBefore(text string) {
	s.t.Helper()
	top, err := synctest.Folders(text)
	s.check(err)
	ours := false
	ids := map[*synctest.Folder]string{}
	s.check(top.Walk(func(in, f *synctest.Folder) (err error) {
		ours = ours || f.Mark.Key != "" && synctest.Of(tenant, f.Mark).Tenant == tenant
		ids[f], err = s.vault.add(ids[in], f)
		return err
	}))
	if got := drawSeen(s.folders()); got != top.String() {
		s.t.Fatalf("the vault is not as drawn:\n%s", cmp.Diff(top.String(), got))
	}
	if ours {
		s.play(round{at: "vault before", expected: map[string]string{"expected plan": "(nothing)", "expected exit code": "0"}, loose: true})
	}
}

func (s *story) folders() []seen {
	s.t.Helper()
	list, err := s.vault.folders()
	s.check(err)
	return list
}

// outcome is what a command ended with.
type outcome struct {
	code      string
	out, errs string
	plan      *printed // nil if it printed none
}

// round is one command, with what is done before it and expected of it.
type round struct {
	at       string // the section where it begins
	changes  []change
	command  string
	expected map[string]string
	loose    bool // held and departed items need not be expected
}

type change struct{ name, text string }

// play plays one round: it changes the world, runs the command, and compares.
func (s *story) play(r round) {
	s.t.Helper()
	for _, c := range r.changes {
		s.change(c.name, c.text)
	}
	args := strings.Fields(r.command)
	if len(args) == 0 {
		args = []string{"cwvault", "resync"}
	}
	if args[0] != "cwvault" {
		s.t.Fatalf("%s: the command must be cwvault", r.at)
	}
	for i := range args {
		args[i] = strings.NewReplacer("$PLAN_ID", s.planID, "$PLAN_FILE", filepath.Join(s.dir, "plan.json")).Replace(args[i])
	}
	args = args[1:]

	var dry outcome
	resync := args[0] == "resync"
	if resync && len(s.troubles) == 0 {
		dry = s.run(append(slices.Clone(args), "--dry-run"))
	}
	before := s.folders()
	for _, line := range s.troubles {
		s.do(troubles, line)
	}
	got := s.run(args)
	for _, end := range s.ended {
		end()
	}
	s.ended, s.killable, s.troubles = nil, false, nil
	after := s.folders()

	s.compare(r, got, drawSeen(before), drawSeen(after))
	s.checkKept(before, after)
	if got.plan == nil {
		return
	}
	s.planID = got.plan.ID
	if dry.plan != nil && (dry.plan.ID != got.plan.ID || len(dry.plan.Steps) != len(got.plan.Steps)) {
		s.t.Fatalf("%s: the dry run showed another plan:\n%s", r.at, cmp.Diff(itemLines(dry.plan.items()), itemLines(got.plan.items())))
	}
	if resync && got.plan.Outcome == "done" && !slices.Contains(args, "--company") {
		// What was just done must be all that there is to do.
		if again := s.run([]string{"plan"}); again.plan == nil || len(again.plan.Steps) > 0 {
			s.t.Fatalf("%s: another plan right after it is not empty: %+v", r.at, again)
		}
	}
}

func (s *story) compare(r round, got outcome, before, after string) {
	s.t.Helper()
	fail := func(what string) {
		s.t.Helper()
		s.t.Fatalf("%s: %s\nexit code %s\n%s%s", r.at, what, got.code, got.out, got.errs)
	}
	if want := strings.TrimSpace(r.expected["expected exit code"]); got.code != want {
		fail("want exit code " + want)
	}
	want, ok := r.expected["expected plan"]
	switch {
	case ok && got.plan == nil:
		fail("no plan")
	case !ok && got.plan != nil:
		fail("a plan that the scenario says nothing of")
	case ok:
		if r.loose {
			got.plan.Held, got.plan.Departed = nil, nil
		}
		if err := comparePlan(got.plan, want); err != nil {
			s.t.Fatalf("%s: %v\n%s", r.at, err, got.errs)
		}
	}
	for _, line := range expand(r.expected["expected output"]) {
		text, not := strings.CutPrefix(line, "not: ")
		if strings.Contains(got.out+got.errs, text) == not {
			fail("output: " + line)
		}
	}
	want, ok = before, true
	if drawing, changed := r.expected["expected vault"]; changed {
		top, err := synctest.Folders(drawing)
		s.check(err)
		want = top.String()
	}
	if after != want {
		s.t.Fatalf("%s: the vault is another one:\n%s\n%s", r.at, cmp.Diff(strings.Split(want, "\n"), strings.Split(after, "\n")), got.errs)
	}
}

// checkKept sees that a command has deleted nothing, kept every secret in its
// folder and every key on its folder, and changed nothing of folders that are
// not its own but perhaps the mark.
func (s *story) checkKept(before, after []seen) {
	s.t.Helper()
	now := map[string]seen{}
	keys := map[string]int{}
	for _, f := range after {
		now[f.id] = f
		keys[f.mark]++
	}
	for _, was := range before {
		is, ok := now[was.id]
		switch {
		case !ok:
			s.t.Fatalf("folder %q is gone", was.name)
		case !cmp.Equal(was.secrets, is.secrets):
			s.t.Fatalf("folder %q had the secrets %q and has %q", is.name, was.secrets, is.secrets)
		case was.mark != "" && was.mark != is.mark:
			s.t.Fatalf("folder %q was marked %q and is marked %q", is.name, was.mark, is.mark)
		case parseDrawnMark(was.mark).Tenant == tenant && was.mark != "" && was.mark != unreadable:
		case was.name != is.name || was.parent != is.parent || !cmp.Equal(was.readers, is.readers):
			s.t.Fatalf("folder %q is not cwvault's and has changed: it is %q", was.name, is.name)
		}
	}
	for _, f := range after {
		if key := parseDrawnMark(f.mark); key.Key.Valid() && keys[f.mark] > 1 && !slices.ContainsFunc(before, func(b seen) bool { return b.id == f.id }) {
			s.t.Fatalf("a second folder is marked %s: %q", f.mark, f.name)
		}
	}
}

// run runs cwvault and watches what must hold for every command.
func (s *story) run(args []string) outcome {
	s.t.Helper()
	command := args[0]
	saved := ""
	if i := slices.Index(args, "--out"); i >= 0 {
		saved = args[i+1]
	}
	if (command == "plan" || command == "resync") && !slices.Contains(args, "--format") {
		args = append(slices.Clone(args), "--format", "json")
	}
	looks := command != "resync" || slices.Contains(args, "--dry-run")
	writable := !looks || command == "pause" || command == "unpause"
	server, _ := s.vault.(*scenarioServer)
	if server != nil {
		server.ResetRequests()
	}
	s.cw.ResetRequests()
	_, noJournal := os.Stat(s.journal())
	before := s.folders()

	var out, errs bytes.Buffer
	got := outcome{code: s.start(args, &out, &errs)}
	got.out, got.errs = out.String(), errs.String()

	for _, r := range s.cw.Requests() {
		if r.Method != http.MethodGet {
			s.t.Errorf("ConnectWise got %s %s", r.Method, r.Path)
		}
	}
	if server != nil {
		for _, r := range server.Requests() {
			write := r.Method != http.MethodGet && r.Path != "/oauth2/token"
			secret := strings.Contains(r.Path, "/secrets") && !strings.HasSuffix(r.Path, "/search-total")
			if r.Method == http.MethodDelete || secret || write && looks {
				s.t.Errorf("cwvault %s: Secret Server got %s %s", command, r.Method, r.Path)
			}
		}
	}
	if looks && !cmp.Equal(before, s.folders(), cmp.AllowUnexported(seen{})) {
		s.t.Errorf("cwvault %s changed the vault", command)
	}
	if _, err := os.Stat(s.journal()); !writable && noJournal != nil && err == nil {
		s.t.Errorf("cwvault %s made a journal", command)
	}
	hidden := []string{s.cw.PrivateKey(), "content-of-"}
	if server != nil {
		hidden = append(hidden, server.password)
	}
	for _, f := range before {
		hidden = append(hidden, f.secrets...)
	}
	for _, text := range hidden {
		if strings.Contains(got.out+got.errs, text) {
			s.t.Errorf("cwvault %s prints %q", command, text)
		}
	}
	if saved != "" && got.out == "" {
		b, err := os.ReadFile(saved)
		s.check(err)
		got.out = string(b)
	}
	if (command == "plan" || command == "resync") && got.out != "" {
		var err error
		got.plan, err = parsePrinted(got.out)
		s.check(err)
	}
	return got
}

// start runs cwvault in this process, or in one that can be killed.
func (s *story) start(args []string, out, errs *bytes.Buffer) string {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	set := func(stop, kill func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stop, s.kill = stop, kill
	}
	if !s.killable {
		set(cancel, nil)
		return strconv.Itoa(cwvault(ctx, args, s.env, out, errs))
	}
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.env, out, errs
	s.check(cmd.Start())
	set(nil, func() { _ = cmd.Process.Kill() }) // it cannot have ended: it waits for an answer
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && !exit.Exited() {
		return "killed"
	}
	s.check(err)
	return fmt.Sprint(cmd.ProcessState.ExitCode())
}
