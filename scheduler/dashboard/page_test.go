package dashboard

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/sync/report"

	"cwvault/scheduler/api"
)

func TestShortened(t *testing.T) {
	if got := prose(" a\nb\tc\n"); got != "a\nb\\u0009c" {
		t.Errorf("prose: %q", got)
	}
	if got := prose(strings.Repeat("x", 801)); got != strings.Repeat("x", 800)+"…" {
		t.Errorf("prose: %q", got)
	}
	if got := line("a\tb\nc"); got != `a\u0009b …` {
		t.Errorf("line: %q", got)
	}
	if got := short(strings.Repeat("ä", 161)); got != strings.Repeat("ä", 160)+"…" {
		t.Errorf("short: %q", got)
	}
	if long := strings.Repeat("ä", 160); short(long) != long {
		t.Errorf("short: %q", short(long))
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "under 1 s", 999 * time.Millisecond: "under 1 s", time.Second: "1 s", 59 * time.Second: "59 s", time.Minute: "1 min",
		95 * time.Second: "1 min 35 s", time.Hour: "1 h", 3661 * time.Second: "1 h 1 min", 3601 * time.Second: "1 h",
		25 * time.Hour: "1 d 1 h", 24*time.Hour + time.Minute: "1 d", 999 * 24 * time.Hour: "999 d",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%v) = %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "just now", 59 * time.Second: "within a minute", -59 * time.Second: "just now", 61 * time.Second: "in 1 min", -90 * time.Minute: "1 h 30 min ago",
		-119 * time.Second: "1 min ago",
	} {
		if got := relative(noon.Add(d), noon); got != want {
			t.Errorf("relative(%v) = %q, want %q", d, got, want)
		}
	}
}

const broken = "connection refused"

var glanceTests = map[string]struct {
	change func(*State)
	class  string
	title  string
	since  time.Time
	labels []string
}{
	"in step":       {func(*State) {}, "ok", "In step", time.Time{}, nil},
	"after a start": {func(s *State) { s.Look = nil }, "ok", "In step", time.Time{}, nil},
	"nothing yet":   {func(s *State) { *s = State{Now: noon} }, "none", "Nothing is known yet", time.Time{}, []string{""}},
	"first run failed": {func(s *State) {
		*s = State{Now: noon, LastAttempt: noon, NotInStep: noon, LastError: broken, ConnectWise: Reach{noon, broken}}
	}, "bad", "Not in step", noon, []string{"Last run", "ConnectWise"}},
	"no good run ever": {func(s *State) { *s = State{Now: noon, LastAttempt: noon, LastError: broken} },
		"bad", "No run has succeeded yet", time.Time{}, []string{"Last run"}},
	"ConnectWise is down":     {func(s *State) { s.ConnectWise.Error = broken }, "warn", "In step", time.Time{}, []string{"ConnectWise"}},
	"the vault is down":       {func(s *State) { s.VaultServer.Error = broken }, "warn", "In step", time.Time{}, []string{"Vault"}},
	"another holds the lease": {func(s *State) { s.Lease = "pid 7 on host b" }, "warn", "In step", time.Time{}, []string{"Lease"}},
	"stale":                   {func(s *State) { s.Stale = noon }, "bad", "Out of date", noon, []string{"Stale"}},
	"not stale yet":           {func(s *State) { s.Stale = noon.Add(1) }, "ok", "In step", time.Time{}, nil},
	"a guard holds": {func(s *State) {
		s.NotInStep, s.Look = noon, newLook(newStep(sync.OpMove, "company/1", `\Clients\A\A`, `\Clients\B\A`, ""))
		s.Look.Blocked["company/1"] = true
		s.Look.Pending.Held = []sync.Held{{Approvable: true, Code: sync.HeldGuardMoves, Key: "company/1"}}
	}, "warn", "Not in step", noon, []string{"Approval"}},
	"something else holds": {func(s *State) {
		s.NotInStep, s.Look = noon, newLook(newStep(sync.OpMove, "company/1", `\Clients\A\A`, `\Clients\B\A`, ""))
		s.Look.Blocked["company/1"] = true
		s.Look.Pending.Held = []sync.Held{{Code: sync.HeldAccessWidens, Key: "company/1"}}
	}, "warn", "Not in step", noon, []string{"Held"}},
	"steps are left": {func(s *State) {
		s.NotInStep, s.Look = noon, newLook(newStep(sync.OpMove, "company/1", `\Clients\A\A`, `\Clients\B\A`, ""))
	}, "warn", "Not in step", noon, []string{"Pending"}},
	"steps are left, and the service has not noticed": {func(s *State) {
		s.Look = newLook(newStep(sync.OpMove, "company/1", `\Clients\A\A`, `\Clients\B\A`, ""))
	}, "warn", "Not in step", noon.Add(-10 * time.Minute), []string{"Pending"}},
	"a step failed": {func(s *State) {
		s.NotInStep, s.Look = noon, newLook(newStep(sync.OpMove, "company/1", `\Clients\A\A`, `\Clients\B\A`, ""))
		s.Look.Failed["company/1"] = broken
	}, "bad", "Not in step", noon, []string{"Failed"}},
	"all at once": {func(s *State) { *s = busyDay(); s.Lease = "x"; s.ConnectWise.Error = broken }, "bad", "Not in step", busyDay().NotInStep,
		[]string{"Last run", "Failed", "Approval", "Pending", "Lease", "ConnectWise", "Vault", "Stale"}},
}

func TestGlance(t *testing.T) {
	for name, test := range glanceTests {
		t.Run(name, func(t *testing.T) {
			s := inStep()
			test.change(&s)
			g := glanceOf(s)
			var labels []string
			for _, r := range g.Reasons {
				labels = append(labels, r.Label)
			}
			if g.Class != test.class || g.Title != test.title || !g.Since.Equal(test.since) {
				t.Errorf("%s, %q since %v", g.Class, g.Title, g.Since)
			}
			if diff := cmp.Diff(test.labels, labels); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestStoredRunShowsGuards: a run from the journal does not say of each thing held
// whether approving lifts the hold. Its page marks what a guard held all the same.
func TestStoredRunShowsGuards(t *testing.T) {
	f, h := newWorld(t, inStep())
	f.reports[0].Held = []sync.Held{{Code: sync.HeldGuardMoves, Key: "company/1"}, {Code: sync.HeldNoType, Key: "company/2"}, {Code: sync.HeldPaused, Key: "company/3"}}
	body := do(h, "GET", fmt.Sprintf("/runs/%d", f.reports[0].Number), "").Body.String()
	for _, want := range []string{`<section class="group urgent" aria-labelledby="held-guard-moves">`, `<code>guard-moves</code> <span class="chip warn">needs a person</span>`} {
		if strings.Count(body, want) != 1 {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if strings.Count(body, "group urgent") != 1 || strings.Contains(body, "waits for approval</span>") {
		t.Errorf("more is marked:\n%s", body)
	}
}

func TestHeldGroups(t *testing.T) {
	held := []sync.Held{
		{Code: sync.HeldSettling, Key: "company/5", Reason: "wait"},
		{Code: "from-the-future", Key: "company/6", Reason: "why not"},
		{Code: sync.HeldNoType, Key: "company/3", Company: &sync.PlanCompany{ID: 3, Name: "Three"}, Reason: "no type"},
		{Code: sync.HeldNoType, Key: "group/type:1", Path: `\A`, Reason: "another"},
	}
	for i := range 4 {
		held = append(held, sync.Held{Approvable: true, Code: sync.HeldGuardMoves, Key: sync.CompanyKey(10 + i), Reason: "4 folders of 5"})
	}
	held[len(held)-1].Approvable = true
	held = append(held, sync.Held{Code: sync.HeldAccessWidens, Key: "company/8"}, sync.Held{Code: sync.HeldAccessWidens, Key: "company/9", Approvable: true})
	got := heldGroups(held, "0badc0de", 3)
	group := func(code sync.HoldCode, g heldGroup) heldGroup {
		h := report.HoldOf(code)
		g.Code, g.Title, g.Means, g.Fix = code, strings.ToUpper(h.Title[:1])+h.Title[1:], h.Means, h.FixFor("0badc0de", sync.Held{})
		return g
	}
	want := []heldGroup{
		group(sync.HeldGuardMoves, heldGroup{Approvable: true, Urgent: true, N: 4, Reason: "4 folders of 5", More: 1, Items: []heldItem{
			{Company: 10, Name: "company/10"}, {Company: 11, Name: "company/11"}, {Company: 12, Name: "company/12"}}}),
		group(sync.HeldAccessWidens, heldGroup{Approvable: true, Urgent: true, N: 2, Items: []heldItem{{Company: 8, Name: "company/8"}, {Company: 9, Name: "company/9"}}}),
		group(sync.HeldNoType, heldGroup{N: 2, Items: []heldItem{
			{Company: 3, Name: "Three", Reason: "no type"}, {Name: "group/type:1", Path: `\A`, Reason: "another"}}}),
		group(sync.HeldSettling, heldGroup{N: 1, Items: []heldItem{{Company: 5, Name: "company/5", Reason: "wait"}}}),
		group("from-the-future", heldGroup{N: 1, Items: []heldItem{{Company: 6, Name: "company/6", Reason: "why not"}}}),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestApprovalIsOffered only where it helps: some vaults hold what no approval
// lets through.
func TestApprovalIsOffered(t *testing.T) {
	step := newStep(sync.OpMove, "company/1", `\Clients\A\Alpha`, `\Clients\B\Alpha`, "")
	for name, test := range map[string]struct {
		held sync.Held
		want bool
	}{
		"too many moves":              {sync.Held{Approvable: true, Code: sync.HeldGuardMoves, Key: step.Key}, true},
		"wider access":                {sync.Held{Code: sync.HeldAccessWidens, Key: step.Key, Approvable: true}, true},
		"wider access, but encrypted": {sync.Held{Code: sync.HeldAccessWidens, Key: step.Key}, false},
		"no type":                     {sync.Held{Code: sync.HeldNoType, Key: step.Key}, false},
	} {
		t.Run(name, func(t *testing.T) {
			state := inStep()
			state.Look, state.NotInStep = newLook(step), noon
			state.Look.Blocked[step.Key] = true
			state.Look.Pending.Held = []sync.Held{test.held}
			_, h := newWorld(t, state)
			w := do(h, "GET", "/", "")
			form := strings.Contains(w.Body.String(), `name="approve" value="3f9c0d5e7a11b2c4"`)
			chip := strings.Contains(text(w), string(test.held.Code)+" waits for approval")
			head := strings.Contains(text(w), "1 step waiting for a person to approve the plan")
			if form != test.want || chip != test.want || head != test.want {
				t.Errorf("offered in the form: %v, at what is held: %v, at the top: %v; want %v", form, chip, head, test.want)
			}
		})
	}
}

func TestRunPage(t *testing.T) {
	run := report.Run{Number: 7}
	for i := range 250 {
		s := newStep(sync.OpCreate, sync.CompanyKey(i+1), "", fmt.Sprintf(`\Clients\%d`, i+1), "")
		result := report.StepResult{Status: sync.StatusDone}
		switch {
		case i >= 240:
			result = report.StepResult{Status: sync.StatusFailed, Error: "no right"}
		case i >= 150 && i < 210:
			result.Status = sync.StatusSkipped
		}
		run.Steps, run.Results = append(run.Steps, s), append(run.Results, result)
	}
	for from, want := range map[int]string{
		-5: "1-100 |/runs/7?from=101#steps", 0: "1-100 |/runs/7?from=101#steps", 100: "1-100 |/runs/7?from=101#steps",
		101: "101-200 /runs/7?from=1#steps|/runs/7?from=201#steps", 250: "201-250 /runs/7?from=101#steps|", 1 << 40: "201-250 /runs/7?from=101#steps|",
	} {
		p := makeRunPage(run, from)
		got := fmt.Sprintf("%d-%d %s|%s", p.First, p.Last, p.Earlier, p.Later)
		if got != want || len(p.Steps) != p.Last-p.First+1 || p.Steps[0].N != p.First || p.Steps[len(p.Steps)-1].N != p.Last {
			t.Errorf("from %d: %s, want %s; %d steps", from, got, want, len(p.Steps))
		}
		if len(p.Troubles) != 50 || p.NotMade != 70 || p.Troubles[0].N != 151 {
			t.Errorf("%d troubles of %d", len(p.Troubles), p.NotMade)
		}
		if diff := cmp.Diff([]report.TreeCount{{Kind: report.KindCreate, N: 180}}, p.Counts); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	if p := makeRunPage(report.Run{}, 3); len(p.Steps) != 0 || p.Total != 0 || p.Earlier+p.Later != "" {
		t.Errorf("a run without steps: %+v", p)
	}
}

// text is what a page says, without its markup.
func text(w *httptest.ResponseRecorder) string {
	visible := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(w.Body.String(), " ")
	return strings.Join(strings.Fields(html.UnescapeString(visible)), " ")
}

// checkMarkup looks for what the policy would refuse, and for what came from
// elsewhere as markup.
func checkMarkup(t *testing.T, body string) {
	t.Helper()
	if n := strings.Count(body, "<script"); n != 1 || !strings.Contains(body, `<script src="/assets/page.js" defer></script>`) {
		t.Errorf("%d scripts", n)
	}
	for _, tag := range regexp.MustCompile(`<[^>]*>`).FindAllString(body, -1) {
		bare := regexp.MustCompile(`="[^"]*"`).ReplaceAllString(tag, "=")
		if regexp.MustCompile(`(?i)\s(style|on\w+)\s*=|<(style|iframe|object|embed|base|meta http|img src=x)|"`).MatchString(bare) {
			t.Errorf("markup that is not ours: %s", tag)
		}
		if m := regexp.MustCompile(`(?:src|href|action)="([^"]*)"`).FindStringSubmatch(tag); m != nil && !strings.HasPrefix(m[1], "/") && !strings.HasPrefix(m[1], "#") {
			t.Errorf("a link elsewhere: %s", tag)
		}
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(`\sid="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if ids[m[1]] {
			t.Errorf("two elements have the id %q", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?:aria-labelledby|for|href="#)="?([^" >]*)"`).FindAllStringSubmatch(body, -1) {
		if !ids[m[1]] {
			t.Errorf("nothing has the id %q", m[1])
		}
	}
}

func runningState() State {
	s := inStep()
	s.Scheduler.Running.Start, s.Scheduler.Running.Trigger = noon.Add(-time.Minute), "schedule"
	s.Scheduler.Waiting = "api"
	return s
}

func countedState() State {
	s := runningState()
	s.Progress = Progress{Run: 80, Done: 431, Total: 1200}
	return s
}

func failedState() State {
	s := inStep()
	s.NotInStep, s.LastError = noon.Add(-time.Hour), "list companies: 503\ntried 5 times"
	return s
}

func staleState() State {
	s := inStep()
	s.Stale = noon.Add(-time.Hour)
	return s
}

func largeState() State {
	s := inStep()
	s.Look, s.NotInStep = largeLook(10000, 7), noon
	for _, step := range s.Look.Pending.Steps {
		s.Look.Blocked[step.Key] = true
		s.Look.Pending.Held = append(s.Look.Pending.Held, sync.Held{Approvable: true, Code: sync.HeldGuardMoves, Key: step.Key, Company: step.Company, Path: step.From, Reason: "too many"})
		s.Look.Pending.Departed = append(s.Look.Pending.Departed, sync.Departed{Key: step.Key, Path: step.From, Reason: "gone"})
	}
	s.Look.Pending.Counts.Departed = 10000
	return s
}

var pageTests = map[string]struct {
	state State
	path  string
	code  int
	want  []string
}{
	"before the first look": {State{Now: noon, Tenant: "acmeinc"}, "/", 200, []string{"Nothing is known yet", "The first run has not started yet", "none scheduled", "not contacted yet"}},
	"in step": {inStep(), "/", 200, []string{"In step", "as of 2026-11-22 11:50 UTC", "Next run 2026-11-22 12:20 UTC in 20 min", "@every 30m Europe/Berlin",
		"327 in ConnectWise", "Nothing to do", "Nothing is held", "Runs 40 to 79", "Older runs", "Updated 2026-11-22 12:00 UTC"}},
	"reading": {runningState(), "/", 200, []string{"A run is in progress", "by schedule", "reading ConnectWise and the vault", "at once (api), then"}},
	"running": {countedState(), "/", 200, []string{"run 80", "431 of 1,200 steps"}},
	"failed":  {failedState(), "/", 200, []string{"Not in step since 2026-11-22 11:00 UTC", "list companies: 503 tried 5 times"}},
	"stale":   {staleState(), "/", 200, []string{"Out of date since 2026-11-22 11:00 UTC", "more than three intervals of the schedule old"}},
	"a busy day": {busyDay(), "/", 200, []string{"12 steps waiting for a person to approve the plan", "1 step failed", "Vault: the last request failed", "connection refused",
		"Too many departures wait for approval 12", "What to do: Review the plan (cwvault plan). If it is right, approve it: cwvault resync --approve 3f9c0d5e7a11b2c4.", "and 2 more", "Nobody Knows What This Is",
		"Former renamed from Inactive", "Alovet, Inc. moved from Prospect\\Active\\Alovet", "at least 12 secrets in it", "gives access to Helpdesk (View), Field engineers (Edit)",
		"via the temporary name Copperfield Insurance (moving #33)", "403 Access denied", "2 scheduled runs since the start", "I have reviewed plan 3f9c0d5e7a11 and approve it"}},
	"10,000 steps":        {largeState(), "/", 200, []string{"Pending plan 10,000", "Held 10,000", "Departed 10,000", "more here", "The whole plan as JSON", "and 9,990 more", "and 9,980 more"}},
	"search":              {busyDay(), "/?q=family", 200, []string{"Companies for “ family ”", "Alder Family Practice", "Bluestone Family Practice"}},
	"search for nothing":  {busyDay(), "/?q=xyzzy", 200, []string{"Companies for “ xyzzy ”", "No match."}},
	"search too early":    {State{Now: noon}, "/?q=family", 200, []string{"has not read the companies yet"}},
	"search for much":     {largeState(), "/?q=company", 200, []string{"There are more"}},
	"older runs":          {inStep(), "/?before=50", 200, []string{"Runs before run 50", "Newest runs", "Older runs", "Runs 10 to 49"}},
	"the oldest runs":     {inStep(), "/?before=2", 200, []string{"1 run before run 2, newest first", "Newest runs"}},
	"no older runs":       {inStep(), "/?before=1", 200, []string{"None before run 1", "Newest runs"}},
	"before nonsense":     {inStep(), "/?before=x", 200, []string{"Runs 40 to 79"}},
	"a run":               {busyDay(), "/runs/79", 200, []string{"Run 79 partial", "Took 4 s", "Not completed 2", "403 Access denied", "Steps 16", "Held in this run 15", "7 new"}},
	"a run of many steps": {largeState(), "/runs/79?from=1", 200, []string{"Steps 0 None."}},
	"a run without steps": {inStep(), "/runs/74", 200, []string{"Run 74 failed", "503 Service Unavailable tried 5 times", "Steps 0 None."}},
	"no such run":         {inStep(), "/runs/4711", 404, []string{"No such run"}},
	"no number of a run":  {inStep(), "/runs/-1", 404, []string{"Runs have numbers"}},
	"a company": {busyDay(), "/companies/250", 200, []string{"Alovet, Inc. pending", "c250 #250", "Pending", "belongs in", `CWVAULT_FOLDER_STRUCTURE=$TYPE\$STATUS`,
		"cwvault explain 250", "Resync this company"}},
	"a held company":    {busyDay(), "/companies/272", 200, []string{"Nobody Knows What This Is held", "Companies without a type have no place 1", "Give the company a type"}},
	"no such company":   {busyDay(), "/companies/4711", 404, []string{"No such company"}},
	"no company id":     {busyDay(), "/companies/x", 404, []string{"No such company"}},
	"company too early": {State{Now: noon}, "/companies/1", 404, []string{"Nothing is known yet"}},
}

// TestPagesOfEveryState asks for each page in each state of a service.
func TestPagesOfEveryState(t *testing.T) {
	for name, test := range pageTests {
		t.Run(name, func(t *testing.T) {
			_, h := newWorld(t, test.state)
			w := do(h, "GET", test.path, "")
			if w.Code != test.code || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Fatalf("%d %s %s", w.Code, w.Header(), w.Body)
			}
			checkMarkup(t, w.Body.String())
			said := text(w)
			for _, want := range test.want {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in\n%s", want, said)
				}
			}
			if n := w.Body.Len(); n > 200<<10 {
				t.Errorf("%d bytes", n)
			}
			if w.Body.Len() != 0 && strings.Contains(w.Body.String(), rightToken) {
				t.Error("the page holds the token")
			}
		})
	}
}

// TestHostileNamesOnPages: what comes from elsewhere is text on every page, and shows
// what it hides.
func TestHostileNamesOnPages(t *testing.T) {
	f := newFake(t)
	h := newHandler(local(f), defaultLimits)
	f.state.Tenant, f.state.Vault, f.state.Root, f.state.Lease = hostile, hostile, `\`+hostile, hostile
	f.state.ConnectWise.Error, f.state.LastError, f.state.Schedule, f.state.TimeZone, f.state.Version = hostile, hostile, hostile, hostile, hostile
	f.state.Scheduler.Running.Start, f.state.Scheduler.Running.Trigger, f.state.Scheduler.Waiting = noon, hostile, hostile
	f.reports[0].Trigger, f.reports[0].Outcome, f.reports[0].ID = hostile, hostile, hostile
	plan := &f.state.Look.Pending
	for i := range plan.Steps {
		s := &plan.Steps[i]
		s.From, s.To, s.Reason, s.Via = `\`+hostile, `\`+hostile+strconv.Itoa(i), hostile, `\`+hostile
		s.Access = &sync.AccessChange{Gains: []string{hostile}, Loses: []string{hostile}}
	}
	for i := range plan.Held {
		plan.Held[i].Path, plan.Held[i].Reason = hostile, hostile
	}
	plan.Departed[0].Path, plan.Departed[0].Reason = hostile, hostile
	for i := range f.state.Look.Companies {
		c := &f.state.Look.Companies[i]
		c.Identifier, c.Name, c.Path, c.FolderID, c.LeftOut, c.Types = hostile, hostile, hostile, hostile, hostile, []sync.Ref{{ID: 1, Name: hostile}}
	}
	for _, path := range []string{"/", "/?q=script", "/?q=" + "%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE%22", "/runs/12", "/companies/666", "/companies/250"} {
		w := do(h, "GET", path, "")
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		checkMarkup(t, w.Body.String())
		if !strings.Contains(text(w), `alert(1)`) || !strings.Contains(text(w), `\u202e`) {
			t.Errorf("%s does not show the name:\n%s", path, text(w))
		}
		// What was searched for stays in its field as it is.
		shown := regexp.MustCompile(`<input id="q"[^>]*>`).ReplaceAllString(w.Body.String(), "")
		if i := strings.IndexFunc(shown, func(r rune) bool { return r != '\n' && plain(string(r)) != string(r) }); i >= 0 {
			t.Errorf("%s: something invisible at %q", path, shown[i:min(i+80, len(shown))])
		}
	}
}

// TestPagesWithoutHistory: a journal that cannot be read does not take the state
// away.
func TestPagesWithoutHistory(t *testing.T) {
	f, h := newWorld(t, inStep())
	f.runsErr = errors.New("journal: disk I/O error")
	w := do(h, "GET", "/", "")
	if said := text(w); w.Code != 200 || !strings.Contains(said, "In step") || !strings.Contains(said, "Cannot read the history: journal: disk I/O error") {
		t.Errorf("%d %s", w.Code, said)
	}
	if w := do(h, "GET", "/runs/79", ""); w.Code != 500 || strings.Contains(w.Body.String(), "disk") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPageWithoutToken(t *testing.T) {
	f, _ := newWorld(t, busyDay())
	opt := local(f)
	opt.Token = nil
	h := newHandler(opt, defaultLimits)
	for _, path := range []string{"/", "/companies/250"} {
		w := do(h, "GET", path, "")
		if said := text(w); !strings.Contains(said, "CWVAULT_TOKEN is not set") || strings.Contains(w.Body.String(), "password") {
			t.Errorf("%s: %s", path, said)
		}
	}
}

// TestFormsAsk sends what the page's forms send, field by field.
func TestFormsAsk(t *testing.T) {
	f, h := newWorld(t, busyDay())
	page := do(h, "GET", "/", "").Body.String()
	for _, field := range []string{`name="token" type="password" autocomplete="off"`, `name="approve" value="3f9c0d5e7a11b2c4"`, `<form action="/api/resync" method="post"`} {
		if !strings.Contains(page, field) {
			t.Errorf("no %s", field)
		}
	}
	if company := do(h, "GET", "/companies/250", "").Body.String(); !strings.Contains(company, `name="companies" value="250"`) {
		t.Error("no companies in the company's form")
	}
	form := with("Content-Type", "application/x-www-form-urlencoded")
	secret := "token=" + strings.ReplaceAll(rightToken, " ", "+")
	for _, body := range []string{secret + "&approve=3f9c0d5e7a11b2c4", secret + "&companies=250"} {
		if w := do(h, "POST", "/api/resync", body, form); w.Code != 303 || w.Header().Get("Location") != "/" {
			t.Errorf("%d %s %s", w.Code, w.Header(), w.Body)
		}
	}
	want := []api.Request{{Approve: "3f9c0d5e7a11b2c4"}, {Companies: []string{"250"}}}
	if diff := cmp.Diff(want, f.requests()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAssets(t *testing.T) {
	_, h := newWorld(t, inStep())
	for path, kind := range map[string]string{"/assets/page.css": "text/css; charset=utf-8", "/assets/page.js": "text/javascript; charset=utf-8", "/assets/favicon.svg": "image/svg+xml"} {
		w := do(h, "GET", path, "")
		tag := w.Header().Get("ETag")
		if w.Code != 200 || w.Header().Get("Content-Type") != kind || tag == "" || w.Body.Len() < 100 {
			t.Errorf("%s: %d %s", path, w.Code, w.Header())
		}
		if w := do(h, "GET", path, "", with("If-None-Match", tag)); w.Code != 304 || w.Body.Len() != 0 {
			t.Errorf("%s again: %d", path, w.Code)
		}
		// What is outside of the program must not be asked for.
		if regexp.MustCompile(`https?://`).MatchString(strings.ReplaceAll(w.Body.String(), "http://www.w3.org/2000/svg", "")) {
			t.Errorf("%s refers to another site", path)
		}
	}
}

// TestDerivedOnce: what follows from a look is worked out once, and neither
// that nor the pages keep the look in memory when the service has let go of it.
func TestDerivedOnce(t *testing.T) {
	p := &pages{}
	look := busyDay().Look
	first := p.derive(look)
	if p.derive(look) != first {
		t.Error("worked out twice")
	}
	if p.derive(nil) != nil {
		t.Error("something follows from nothing")
	}
	gone := make(chan bool)
	runtime.AddCleanup(look, func(gone chan bool) { close(gone) }, gone)
	look = nil
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		runtime.GC()
		select {
		case <-gone:
		case <-ctx.Done():
			t.Fatal("the look is still in memory")
		case <-time.After(10 * time.Millisecond):
			continue
		}
		break
	}
	if other := busyDay().Look; p.derive(other) == first {
		t.Error("another look is taken for the first")
	}
}

// TestPagesAtOnce: many read while runs come and go.
func TestPagesAtOnce(t *testing.T) {
	f, h := newWorld(t, inStep())
	var readers gosync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for _, path := range []string{"/", "/runs/79", "/?q=family", "/companies/1", "/"} {
				if w := do(h, "GET", path, ""); w.Code != 200 && path != "/companies/1" {
					t.Errorf("%s: %d", path, w.Code)
				}
			}
		})
	}
	for i := range 20 {
		state := inStep()
		if i%2 == 0 {
			state = busyDay()
		}
		f.set(func(s *State) { *s = state })
	}
	readers.Wait()
}

// BenchmarkPage renders the first page with 10,000 companies and a pending plan
// of 10,000 steps: as it is with a look that was seen before, and with a new one.
func BenchmarkPage(b *testing.B) {
	state := inStep()
	state.Look = largeLook(10000, 40)
	f := &fakeService{asked: map[string]api.Asked{}, reports: manyRuns(79), state: state}
	h := newHandler(local(f), defaultLimits)
	get := func(b *testing.B, path string) {
		if w := do(h, "GET", path, ""); w.Code != 200 || w.Body.Len() < 10000 {
			b.Fatal(w.Code, w.Body.Len())
		}
	}
	b.Run("Seen", func(b *testing.B) {
		for b.Loop() {
			get(b, "/")
		}
	})
	b.Run("New", func(b *testing.B) {
		for b.Loop() {
			look := *state.Look
			f.set(func(s *State) { s.Look = &look })
			get(b, "/")
		}
	})
	b.Run("Search", func(b *testing.B) {
		for b.Loop() {
			get(b, "/?q=company+9999")
		}
	})
	b.Run("Company", func(b *testing.B) {
		for b.Loop() {
			if w := do(h, "GET", "/companies/10000", ""); w.Code != 200 {
				b.Fatal(w.Code)
			}
		}
	})
}
