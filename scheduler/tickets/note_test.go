package tickets

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

var acme = run.Installation{Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Clients`}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// everyProblem is one of each kind.
func everyProblem() []Problem {
	list := []Problem{Stale(time.Time{}), repeat(done()), stepsFail(done(), nil)}
	for _, code := range append(sync.HoldCodes(), "moon") {
		list = append(list, holds(report.HoldOf(code), []sync.Held{{Code: code, Key: "company/1"}}, "beef"))
	}
	for _, server := range []run.Server{"", run.ConnectWise, run.VaultServer} {
		for _, err := range []error{sync.ErrNotAllowed, &sync.SourceError{}, run.Settingsf("x"), errors.New("x")} {
			list = append(list, Unopened(&run.ServerError{Server: server, Err: err})...)
		}
	}
	return list
}

func TestSummaries(t *testing.T) {
	long := strings.Repeat("Ünternehmen😀", 30)
	for _, p := range everyProblem() {
		for _, in := range []run.Installation{acme, {Tenant: long, Root: `\` + long + "\x1b[31m"}} {
			summary, ref := p.summary(in), xref(in, strings.ToLower, p.Key)
			if n := len(utf16.Encode([]rune(summary))); n > 100 || !strings.HasPrefix(summary, "cwvault: "+p.Title) || strings.Contains(summary, "\x1b") {
				t.Errorf("summary of %d: %q", n, summary)
			}
			if !regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,100}$`).MatchString(ref) {
				t.Errorf("reference %q", ref)
			}
		}
	}
}

func TestReferences(t *testing.T) {
	one := xref(acme, strings.ToLower, "steps")
	if want := "cwvault/acmeinc/12962999a937/steps"; one != want { // open tickets have it
		t.Errorf("the reference is %s, and has always been %s", one, want)
	}
	with := func(change func(*run.Installation)) string {
		in := acme
		change(&in)
		return xref(in, strings.ToLower, "steps")
	}
	if got := with(func(in *run.Installation) { in.Root = "/clients/" }); got != one {
		t.Errorf("the same root written in another way has the reference %s, not %s", got, one)
	}
	for what, other := range map[string]string{
		"tenant":  with(func(in *run.Installation) { in.Tenant = "acme" }),
		"vault":   with(func(in *run.Installation) { in.Vault = "https://vault2.example.com" }),
		"root":    with(func(in *run.Installation) { in.Root = `\Clients\EMEA` }),
		"problem": xref(acme, strings.ToLower, "stale"),
	} {
		if strings.EqualFold(one, other) {
			t.Errorf("another %s has the same reference, %s", what, one)
		}
	}
}

func TestNotesAreClean(t *testing.T) {
	got := clean("see postgres://user:p%40ss@db/x and https://vault.example.com/a@b\nbell\x07 \u202eesrever\n")
	if want := "see postgres://db/x and https://vault.example.com/a@b\nbell\\u0007 \\u202eesrever"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLists(t *testing.T) {
	items := []Item{{Key: "a", Name: "one\ntwo\x1b"}, {Key: "b", Text: strings.Repeat("é", 1000)}}
	for i := range 30 {
		items = append(items, Item{Key: fmt.Sprint(i), Name: "more"})
	}
	var b strings.Builder
	list(&b, items)
	want := "\n- one two\\u001b\n- : " + strings.Repeat("é", 397) + "…\n" + strings.Repeat("- more\n", 18) + "- and 12 more\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for in, want := range map[string]string{"a😀😀": "a😀…", "abcd": "abcd", "abcde": "abc…", "": ""} {
		if got := cut(in, 4); got != want {
			t.Errorf("cut %q: %q, want %q", in, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	for want, item := range map[string]Item{
		`company 1 "A" at \X\A: no type`:                           {Name: `company 1 "A"`, Path: `\X\A`, Text: "no type"},
		`group/customer`:                                           {Name: "group/customer"},
		`the end of the run: commit: no`:                           {Name: "the end of the run", Text: "commit: no"},
		`create \X\A (company 1 "A"): failed: 403`:                 {Op: sync.OpCreate, Name: `company 1 "A"`, Path: `\X\A`, Status: sync.StatusFailed, Text: "403"},
		`adopt \X\A (company 1 "A"): its name`:                     {Op: sync.OpAdopt, Name: `company 1 "A"`, Path: `\X\A`, Text: "its name"},
		`move to \X\A (company 1 "A"): skipped: its parent failed`: {Op: sync.OpMove, Name: `company 1 "A"`, Path: `\X\A`, Status: sync.StatusSkipped, Text: "its parent failed"},
		`rename to \X: type renamed`:                               {Op: sync.OpRename, Path: `\X`, Text: "type renamed"},
	} {
		if got := item.line(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Names and errors that try to be something else do no harm.
func TestHostileNames(t *testing.T) {
	names := []string{"\x1b[31mred\x07", "two\r\nWhat to do: pay", "\u202eesrever", strings.Repeat("long ", 50), "<script>alert(1)</script>", "``` | @all",
		"\U0001f600 company", "nul\x00", "https://user:hunter2@example.com", "%s%d {plan} {key}"}
	e := done()
	for i, name := range names {
		e.Run.Held = append(e.Run.Held, sync.Held{Code: sync.HeldNoType, Key: sync.CompanyKey(10 + i), Company: &sync.PlanCompany{ID: 10 + i, Name: name}, Reason: name})
	}
	problems := append(Problems(e), Unopened(errors.New(strings.Join(names, "\n")))...)
	if len(problems) != 2 {
		t.Fatal(problems)
	}
	for _, p := range problems {
		note := p.firstNote(acme, noon, 1)
		for _, r := range note {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%U in %q", r, note)
			}
		}
		if strings.Count(note, "\nWhat to do:") != 1 || strings.Contains(note, "hunter2") || strings.Count(note, "\n- ") != len(p.Items) {
			t.Errorf("the note is not ours alone:\n%s", note)
		}
	}
}

// TestNotes shows every note in full.
func TestNotes(t *testing.T) {
	p := Problems(done(held(sync.HeldNoType, 2, 4)...))[0]
	body := `These changes are on hold until someone fixes the cause.
The folder structure needs a type to place them.

- company 2 "Customer 2" at \Clients\Customer 2: because
- company 4 "Customer 4" at \Clients\Customer 4: because
`
	fix := `
What to do: Give the company a type in ConnectWise, or name a group for companies without one with CWVAULT_MISSING.
` + "`cwvault explain 2` explains one company."
	for name, note := range map[string]struct{ got, want string }{
		"first": {p.firstNote(acme, noon, 12), body + fix + `

First seen 2026-03-01 12:00 UTC in run 12, by cwvault for acmeinc below \Clients.
cwvault adds a note here when this problem grows and when it is solved. It never closes a ticket.`},
		"grown": {p.grownNote(p.Items[1:]), `This now affects 2 items, 1 of them new since the last note.

- company 4 "Customer 4" at \Clients\Customer 4: because
` + fix},
		"found": {p.foundNote(), `cwvault found this open ticket, which its journal did not know, and uses it from now on. The problem now:

` + body + fix},
		"back": {p.backNote(journal.Ticket{Solved: noon}), `This is back. cwvault had noted it as solved on 2026-03-01 12:00 UTC. The problem now:

` + body + fix},
		"solved": {solvedNote(13), "Solved: run 13 no longer found this problem. If there is nothing else to do, you can close this ticket."},
		"of an error": {Unopened(errors.New("open the journal: no\ndisk full"))[0].firstNote(acme, noon, 0), `A run ended before its first step; nothing in the vault was changed.
Reason: open the journal: no
    disk full

What to do: If a server was unreachable, the next run may succeed by itself. Otherwise fix the reason given above.
` + "`cwvault check` tests both connections and the journal.\n`cwvault history` lists the runs." + `

First seen 2026-03-01 12:00 UTC, by cwvault for acmeinc below \Clients.
cwvault adds a note here when this problem grows and when it is solved. It never closes a ticket.`},
	} {
		if diff := cmp.Diff(note.want, note.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// docs/TICKETS.md quotes what is written.
func TestDocumentedNotes(t *testing.T) {
	doc, err := os.ReadFile("../../docs/TICKETS.md")
	if err != nil {
		t.Fatal(err)
	}
	e := done()
	for _, c := range []sync.PlanCompany{{ID: 2, Name: "Acme"}, {ID: 4, Name: "Drake"}} {
		e.Run.Held = append(e.Run.Held, sync.Held{Code: sync.HeldNoType, Key: sync.CompanyKey(c.ID), Company: &c,
			Reason: "the company has no type, and no group is named for that"})
	}
	second := Problems(e)[0]
	first := second.only([]string{"company/2"})
	want := strings.Join([]string{first.summary(acme) + "\n\n" + first.firstNote(acme, noon, 1), second.grownNote(second.Items[1:]), solvedNote(5)}, "\n--\n")
	want = strings.ReplaceAll("    "+strings.ReplaceAll(want, "\n", "\n    "), "\n    \n", "\n\n")
	if !strings.Contains(string(doc), want) {
		t.Errorf("docs/TICKETS.md does not have:\n%s", want)
	}
}
