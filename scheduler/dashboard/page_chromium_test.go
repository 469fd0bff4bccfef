package dashboard

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"cwvault/scheduler/api"
	"cwvault/sync/report"
)

// TestChromium looks at the page in a real browser, where one is installed. All
// tests share the browser; each has a tab with a profile of its own.
func TestChromium(t *testing.T) {
	b := startChromium(t)
	for name, test := range map[string]func(*testing.T, *chromium){
		"Looks": testLooks, "Search": testSearch, "Keyboard": testKeyboard, "Live": testLive, "Offline": testOffline,
		"Hostile": testHostile, "WithoutScript": testWithoutScript, "Resync": testResync, "Times": testTimes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

// statesToShow are the states that a page must look well in.
func statesToShow() map[string]State {
	running := inStep()
	running.Scheduler.Running.Start, running.Scheduler.Running.Trigger = noon.Add(-time.Minute), "schedule"
	running.Progress = Progress{Run: 80, Done: 431, Total: 1200}
	waiting := inStep()
	waiting.VaultServer.Error = "connection refused"
	large := inStep()
	large.Look = largeLook(10000, 60)
	return map[string]State{
		"in-step": inStep(), "busy": busyDay(), "running": running, "waiting": waiting, "large": large,
		"fresh": {Now: noon, Version: "1.2.3", Tenant: "acmeinc", Vault: "passwordstore:/srv/store", Root: `\Clients`, Schedule: "@every 30m", TimeZone: "UTC"},
	}
}

// testLooks shows the pages on a phone and on a desk, in light and dark: nothing
// sticks out, all text can be read, and assistive technology is told what is what.
func testLooks(t *testing.T, b *chromium) {
	for name, state := range statesToShow() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, h := newWorld(t, state)
			if name == "fresh" {
				f.reports = nil
			}
			p := b.open(t, h)
			paths := map[string]string{"": "/"}
			if name == "busy" {
				paths = map[string]string{"": "/", "-run": "/runs/79", "-company": "/companies/250", "-search": "/?q=family"}
			}
			for suffix, path := range paths {
				p.visit(path)
				checkAccessible(p, path)
				for _, scheme := range []string{"light", "dark"} {
					for _, width := range []int64{360, 1280} {
						p.look(width, 900, scheme)
						if over := eval[int64](p, "document.documentElement.scrollWidth"); over > width {
							t.Errorf("%s at %d: %d pixels wide", path, width, over)
						}
						p.shoot(fmt.Sprintf("%s%s-%s-%d", name, suffix, scheme, width))
					}
					checkContrast(p, path+" in "+scheme)
				}
			}
		})
	}
	t.Run("print", func(t *testing.T) {
		_, h := newWorld(t, busyDay())
		p := b.open(t, h)
		p.look(800, 900, "light")
		p.visit("/")
		if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}); err != nil {
			t.Fatal(err)
		}
		if !eval[bool](p, `getComputedStyle(document.querySelector(".search")).display === "none" && getComputedStyle(document.querySelector("#plan")).display !== "none"`) {
			t.Error("what is of no use on paper is printed, or the plan is not")
		}
		p.shoot("print")
	})
	t.Run("motion", func(t *testing.T) {
		_, h := newWorld(t, inStep())
		p := b.open(t, h)
		p.visit("/")
		for value, want := range map[string]string{"no-preference": "0.15s", "reduce": "0s"} {
			if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: value}}}); err != nil {
				t.Fatal(err)
			}
			if got := eval[string](p, `getComputedStyle(document.querySelector(".skip")).transitionDuration`); got != want {
				t.Errorf("%s: transitions of %s, want %s", value, got, want)
			}
		}
	})
}

// contrastScript returns the texts of the page of which the contrast is below
// 4.5:1 (WCAG 2.2, 1.4.3), and how many it looked at.
const contrastScript = `(() => {
	const parse = c => { const m = c.match(/rgba?\(([^)]*)\)/); const v = m[1].split(/[ ,\/]+/).map(Number); return v.length < 4 ? [...v, 1] : v; };
	const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3])).concat(1);
	const light = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
	const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
	const backgrounds = e => {
		let stack = [[0, 0, 0, 0]];
		for (; e; e = e.parentElement) {
			const style = getComputedStyle(e), found = style.backgroundImage.match(/rgba?\([^)]*\)/g);
			if (found) return found.map(parse);
			const c = parse(style.backgroundColor);
			if (c[3] === 1) return [c];
		}
		return [[255, 255, 255, 1]];
	};
	const bad = []; let seen = 0;
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n; n = walker.nextNode();) {
		const e = n.parentElement;
		if (!n.data.trim() || !e.checkVisibility() || e.closest("svg")) continue;
		seen++;
		for (const bg of backgrounds(e)) {
			const r = ratio(over(parse(getComputedStyle(e).color), bg), bg);
			if (r < 4.5) bad.push(r.toFixed(2) + " " + n.data.trim().slice(0, 60));
		}
	}
	return {bad, seen};
})()`

func checkContrast(p *tab, what string) {
	p.t.Helper()
	got := eval[struct {
		Bad  []string
		Seen int
	}](p, contrastScript)
	if len(got.Bad) > 0 || got.Seen < 20 {
		p.t.Errorf("%s: of %d texts these are hard to read: %q", what, got.Seen, got.Bad)
	}
}

// checkAccessible looks at the page as a screen reader does.
func checkAccessible(p *tab, what string) {
	p.t.Helper()
	all, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		p.t.Fatal(err)
	}
	text := func(v *accessibility.Value) string {
		if v == nil {
			return ""
		}
		var s any
		if err := json.Unmarshal(v.Value, &s); err != nil {
			return ""
		}
		return fmt.Sprint(s)
	}
	roles := map[string]int{}
	level := 0
	for _, n := range all.Nodes {
		if n.Ignored {
			continue
		}
		role := text(n.Role)
		roles[role]++
		switch role {
		case "link", "button", "searchbox", "textbox", "radio", "progressbar", "table", "image", "region", "figure", "search":
			if strings.TrimSpace(text(n.Name)) == "" && role != "figure" {
				p.t.Errorf("%s: a %s without a name", what, role)
			}
		case "heading":
			for _, property := range n.Properties {
				if property.Name != "level" {
					continue
				}
				var next int
				if err := json.Unmarshal(property.Value.Value, &next); err != nil {
					p.t.Fatal(err)
				}
				if next > level+1 || next == 1 && level != 0 {
					p.t.Errorf("%s: heading %q of level %d follows one of level %d", what, text(n.Name), next, level)
				}
				level = next
			}
		}
	}
	for _, role := range []string{"banner", "main", "contentinfo", "search", "heading", "searchbox"} {
		if roles[role] == 0 {
			p.t.Errorf("%s: no %s among %v", what, role, roles)
		}
	}
}

func testSearch(t *testing.T, b *chromium) {
	_, h := newWorld(t, busyDay())
	p := b.open(t, h)
	p.visit("/")
	p.focus("q")
	p.press("f", "a", "m", "i", "l", "y")
	p.wait(`document.querySelectorAll("#suggestions a").length === 2`)
	p.shoot("suggestions")
	if said := eval[string](p, `document.getElementById("suggested").textContent`); !strings.Contains(said, "2 found") {
		t.Errorf("a screen reader is told %q", said)
	}
	p.press(kb.Escape)
	p.wait(`document.getElementById("suggestions").hidden && document.activeElement.id === "q"`)
	p.press(" ", "b")
	p.wait(`document.querySelectorAll("#suggestions a").length === 1`)
	p.press(kb.ArrowDown)
	p.wait(`document.activeElement.getAttribute("href") === "/companies/251"`)
	p.press(kb.ArrowDown)
	p.wait(`document.activeElement.id === "q"`)
	p.press(kb.ArrowUp, kb.Enter)
	p.wait(`location.pathname === "/companies/251" && document.querySelector("h1")?.textContent.includes("Bluestone Family Practice")`)

	p.focus("q")
	p.press("x", "y", "z")
	p.wait(`document.getElementById("suggestions").textContent === "no match"`)
	p.press(kb.Enter)
	p.wait(`location.search === "?q=xyz" && document.getElementById("found")`)

	p.visit("/")
	p.focus("q")
	p.paste("alovet") // letters one by one may be searched for one by one, and each answer replaces what is clicked
	p.wait(`document.querySelector("#suggestions a")?.getAttribute("href") === "/companies/250"`)
	p.click("#suggestions a")
	p.wait(`location.pathname === "/companies/250"`)
}

// testKeyboard goes through the whole page with the Tab key.
func testKeyboard(t *testing.T, b *chromium) {
	_, h := newWorld(t, busyDay())
	p := b.open(t, h)
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}}); err != nil {
		t.Fatal(err)
	}
	p.visit("/")
	p.press(kb.Tab)
	if !eval[bool](p, `document.activeElement.className === "skip"`) {
		t.Fatal("the first stop is not the link to the content")
	}
	p.wait(`document.activeElement.getBoundingClientRect().top >= 0`)
	p.press(kb.Enter)
	p.wait(`document.activeElement.id === "main"`)
	p.press(kb.Tab)
	if !eval[bool](p, `document.getElementById("main").contains(document.activeElement) && document.activeElement.id !== "main"`) {
		t.Errorf("the link to the content leads to %s", eval[string](p, `document.activeElement.outerHTML`))
	}

	p.visit("/")
	const stops = `[...document.querySelectorAll("a[href], button, input:not([type=hidden], [type=radio]:not(:checked))")].filter(e => e.checkVisibility())`
	n := eval[int](p, stops+".length")
	if n < 50 {
		t.Fatalf("only %d stops", n)
	}
	for i := range n {
		p.press(kb.Tab)
		problem := eval[string](p, fmt.Sprintf(`(() => {
			const e = document.activeElement, style = getComputedStyle(e);
			if (e !== %s[%d]) return "is not the next in the order of the page";
			if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) return "does not show that it has the focus";
			const box = e.getBoundingClientRect();
			if (box.bottom < 0 || box.top > innerHeight) return "cannot be seen";
			return "";
		})()`, stops, i))
		if problem != "" {
			t.Fatalf("stop %d of %d, %s, %s", i+1, n, eval[string](p, `document.activeElement.outerHTML`), problem)
		}
	}
}

// testLive leaves the page open while a run comes and goes.
func testLive(t *testing.T, b *chromium) {
	f, h := newWorld(t, inStep())
	p := b.open(t, h)
	p.look(1280, 500, "light")
	p.hasten()
	p.visit("/")
	p.wait(`document.getElementById("state-title").textContent.trim() === "In step"`)
	// Somebody is typing, far down on the page.
	p.focus("token")
	p.press("h", "a", "l", "f")
	p.do(chromedp.Evaluate[chromedp.Void](`window.sameDocument = true; document.getElementById("q").value = "alo"; document.getElementById("token").scrollIntoView()`))
	before := eval[float64](p, `document.getElementById("token").getBoundingClientRect().top`)

	f.set(func(s *State) {
		s.Scheduler.Running.Start, s.Scheduler.Running.Trigger = noon, "schedule"
		s.Progress = Progress{Run: 80, Done: 1, Total: 10}
	})
	p.wait(`document.getElementById("running").textContent.includes("1 of 10 steps")`)
	f.set(func(s *State) { s.Progress.Done = 9 })
	p.wait(`document.getElementById("progress").value === 9`)
	if !eval[bool](p, `window.delays.has(5000) && window.delays.has(2000)`) {
		t.Errorf("the page asks every %s ms", eval[string](p, `[...window.delays].join(", ")`))
	}
	f.set(func(s *State) {
		day := busyDay()
		day.Now, day.LastRun = noon.Add(time.Minute), 80
		*s = day
		end := noon.Add(time.Minute)
		f.reports = append([]report.Run{{Number: 80, Started: noon, Ended: end, Trigger: "schedule", Outcome: report.Partial}}, f.reports...)
	})
	p.wait(`document.title.startsWith("Not in step") && document.getElementById("state").className.includes("bad")`)
	p.wait(`document.querySelector("#runs tbody a").textContent === "80" && document.getElementById("running").textContent.trim() === ""`)
	p.wait(`document.getElementById("plan").textContent.includes("Alovet, Inc.")`)
	if !eval[bool](p, `document.querySelector("#state time").title.endsWith("UTC")`) {
		t.Error("a time that came later is not local")
	}

	if !eval[bool](p, `window.sameDocument`) {
		t.Error("the page was loaded anew")
	}
	if got := eval[string](p, `document.activeElement.id + " " + document.getElementById("token").value + " " + document.getElementById("q").value`); got != "token half alo" {
		t.Errorf("focus and what was typed: %q", got)
	}
	if after := eval[float64](p, `document.getElementById("token").getBoundingClientRect().top`); math.Abs(after-before) > 2 {
		t.Errorf("what somebody looks at went from %v to %v", before, after)
	}

	testChoiceStays(t, f, p)
}

// testChoiceStays: neither what somebody has chosen nor their focus is lost when
// the page changes.
func testChoiceStays(t *testing.T, f *fakeService, p *tab) {
	// They have chosen the plan that they have looked at.
	const choice = `document.querySelectorAll("#approve input")[1]`
	p.do(chromedp.Evaluate[chromedp.Void](choice + ".click()"))
	f.set(func(s *State) {
		look := *s.Look
		look.Pending.ID = "another plan"
		s.Look = &look
	})
	p.wait(`document.querySelector("#plan code").textContent === "another plan"`)
	if got := eval[string](p, choice+`.value + " " + `+choice+`.checked`); got != "3f9c0d5e7a11b2c4 true" {
		t.Errorf("what was chosen is now %q", got)
	}

	// The focus stays on a link that is replaced by its like.
	p.do(chromedp.Evaluate[chromedp.Void](`document.querySelector('#runs a[href="/runs/79"]').focus()`))
	f.set(func(s *State) {
		f.reports = append([]report.Run{{Number: 81, Started: noon, Outcome: report.Running}}, f.reports...)
	})
	p.wait(`document.querySelector("#runs tbody a").textContent === "81"`)
	if got := eval[string](p, `document.activeElement.getAttribute("href")`); got != "/runs/79" {
		t.Errorf("the focus is on %q", got)
	}

	// So does the page of the run itself.
	p.visit("/runs/81")
	p.wait(`document.querySelector("h1 .outcome.running")`)
	f.set(func(*State) { f.reports[0].Outcome = "done" })
	p.wait(`document.querySelector("h1 .outcome.done")`)
}

// testOffline: the page says when what it shows is old, and when it is not any more.
func testOffline(t *testing.T, b *chromium) {
	_, h := newWorld(t, inStep())
	var down atomic.Bool
	p := b.open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		h.ServeHTTP(w, r)
	}))
	p.expected = "502"
	p.hasten()
	p.visit("/")
	down.Store(true)
	p.wait(`document.getElementById("offline").textContent.includes("not been updated since")`)
	p.shoot("offline")
	checkContrast(p, "offline")
	down.Store(false)
	p.wait(`document.getElementById("offline").textContent === ""`)
}

// testHostile: names that are scripts are seen and do nothing.
func testHostile(t *testing.T, b *chromium) {
	f := newFake(t)
	name := hostile + `<svg onload="window.harmed=1"><a href="javascript:window.harmed=1">` + "\u2066\u0300" + strings.Repeat("W\u0301", 2500)
	look := f.state.Look
	look.Companies[0].Name, look.Companies[0].Identifier, look.Companies[0].Path = name, name, `\`+name
	look.Pending.Steps[1].To, look.Pending.Steps[1].Reason = `\Clients\`+name, name
	look.Failed["company/666"] = name
	look.Pending.Held[0].Company.Name, look.Pending.Held[0].Path, look.Pending.Held[0].Reason = name, name, name
	f.state.LastError, f.state.ConnectWise.Error, f.state.Vault = name, name, name
	p := b.open(t, newHandler(local(f), defaultLimits))
	harmless := func(where string) {
		t.Helper()
		said := eval[string](p, "document.body.innerText")
		if !strings.Contains(said, "<script>alert(1)</script>") || !strings.Contains(said, `\u202e`) {
			t.Errorf("%s does not show the name:\n%s", where, said)
		}
		if eval[bool](p, `window.harmed !== undefined || document.scripts.length !== 1 || document.querySelector("main svg[onload], main [onerror], [href^=javascript]") !== null`) {
			t.Errorf("%s is harmed", where)
		}
		for _, width := range []int64{360, 1280} {
			p.look(width, 900, "light")
			if over := eval[int64](p, "document.documentElement.scrollWidth"); over > width {
				t.Errorf("%s at %d: %d pixels wide", where, width, over)
			}
			p.shoot(fmt.Sprintf("hostile%s-%d", strings.ReplaceAll(where, "/", "-"), width))
		}
	}
	for _, path := range []string{"/runs/12", "/companies/666", "/"} {
		p.visit(path)
		harmless(path)
	}
	if full := eval[string](p, `fetch("/companies/666").then(r => r.text())`, chromedp.EvalAwaitPromise); !strings.Contains(full, strings.Repeat("W\u0301", 2500)) {
		t.Error("the company's page does not show all of its name")
	}
	p.focus("q")
	p.press("6", "6", "6")
	p.wait(`document.querySelectorAll("#suggestions a").length === 1`)
	harmless("/suggestions")
	if said := eval[string](p, `document.getElementById("suggestions").innerText`); !strings.Contains(said, "<script>alert(1)</script>") || !strings.Contains(said, `\u202e`) || len(said) > 2000 {
		t.Errorf("suggested: %s", said)
	}
}

// testWithoutScript does with the page what can be done without scripts: all of it.
func testWithoutScript(t *testing.T, b *chromium) {
	f, h := newWorld(t, busyDay())
	p := b.open(t, h)
	if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	says := func(want ...string) {
		t.Helper()
		said, err := chromedp.Run(p.ctx, chromedp.Text(chromedp.CSS("body")))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(said, w) {
				t.Errorf("no %q in\n%s", w, said)
			}
		}
	}
	submit := func(selector, text string) {
		t.Helper()
		if _, err := chromedp.RunResponse(p.ctx, chromedp.SendKeys(chromedp.CSS(selector), text+kb.Enter)); err != nil {
			t.Fatal(err)
		}
	}
	p.visit("/")
	says("Not in step since 2026-11-21 10:00 UTC", "Alovet, Inc.", "Updated 2026-11-22 12:00 UTC")
	p.shoot("without-script")
	submit("#q", "family")
	says("Companies for", "Bluestone Family Practice")
	if _, err := chromedp.RunResponse(p.ctx, chromedp.Click(chromedp.CSS("#found li:last-child a"))); err != nil {
		t.Fatal(err)
	}
	says("Bluestone Family Practice", "Why it is there", "belongs in")
	submit("#token", rightToken)
	says("Not in step since")
	if diff := cmp.Diff([]api.Request{{Companies: []string{"251"}}}, f.requests()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := chromedp.RunResponse(p.ctx, chromedp.Click(chromedp.CSS(`a[rel="next"]`))); err != nil {
		t.Fatal(err)
	}
	says("Runs before run 65")
}

// testResync asks for a run and watches it.
func testResync(t *testing.T, b *chromium) {
	f, h := newWorld(t, busyDay())
	p := b.open(t, h)
	p.expected = "401" // the browser tells of it as well
	p.hasten()
	p.visit("/")
	p.click(`input[type=radio][value="3f9c0d5e7a11b2c4"]`)
	p.focus("token")
	p.press("w", "r", "o", "n", "g", kb.Enter)
	p.wait(`document.querySelector(".asked").textContent === "wrong token"`)
	p.press(strings.Split(rightToken, "")...) // the wrong one is selected
	p.click("#resync button")
	says := func(text string) {
		t.Helper()
		p.wait(fmt.Sprintf(`document.querySelector(".asked").textContent === %q`, text))
	}
	set := func(a api.Asked) {
		f.mu.Lock()
		defer f.mu.Unlock()
		a.ID = "r1"
		f.asked["r1"] = a
	}
	says("Requested. Waiting for its turn.")
	if v := eval[string](p, `document.getElementById("token").value`); v != "" {
		t.Errorf("the token stays in its field: %q", v)
	}
	set(api.Asked{State: api.Running})
	says("Running: reading ConnectWise and the vault.")
	set(api.Asked{State: api.Running, Run: 80, Done: 3, Total: 10})
	says("Running: 3 of 10 steps.")
	set(api.Asked{State: api.Over, Run: 80, ExitCode: 3, Error: "run 80: some\u202e steps were not made"})
	says(`Finished: run 80: some\u202e steps were not made Run 80.`)
	if diff := cmp.Diff([]api.Request{{Approve: "3f9c0d5e7a11b2c4"}}, f.requests()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// testTimes: readers see the time of their place, and UTC when they ask.
func testTimes(t *testing.T, b *chromium) {
	_, h := newWorld(t, inStep())
	p := b.open(t, h)
	if _, err := chromedp.Call(p.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Kathmandu"}); err != nil {
		t.Fatal(err)
	}
	p.visit("/")
	p.wait(`document.querySelector("#facts time").title === "2026-11-22 12:20 UTC"`)
	if got := eval[string](p, `document.querySelector("#facts time").textContent`); !strings.Contains(got, "6:05") {
		t.Errorf("12:20 UTC in Kathmandu: %s", got)
	}
}
