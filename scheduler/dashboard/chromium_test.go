package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// chromium is a browser.
type chromium struct {
	ctx   context.Context
	shots string // directory for screenshots; empty: none are taken
}

// startChromium starts a browser that ends with the test.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium is installed; package chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WSURLReadTimeout(time.Minute))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to make one for root
	}
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	b := &chromium{ctx: ctx, shots: os.Getenv("CWVAULT_TEST_SCREENSHOTS")}
	return b
}

// tab is a page of a browser that must show what a test wants within a time,
// and complain about nothing.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string
	b   *chromium

	expected   string // what complaints may be about
	mu         gosync.Mutex
	complaints []string
}

// open serves h and opens a tab on it. At the end of the test nothing may have
// been said on the console, no script failed, no policy refused anything, and
// no dialog was shown.
func (b *chromium) open(t *testing.T, h http.Handler) *tab {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	place := chromedp.WithNewBrowserContext()
	if b.shots == "" { // what is in no window cannot be drawn
		place = chromedp.WithTargetID(b.hidden(t))
	}
	ctx, cancel := chromedp.NewContext(b.ctx, place)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx, url: server.URL, b: b}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			p.complain("console: %s %v", e.Type, e.Args)
		case *runtime.EventExceptionThrown:
			p.complain("exception: %s", e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			p.complain("log: %s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		case *page.EventJavascriptDialogOpening:
			p.complain("dialog: %s", e.Message)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	// Tabs are looked at side by side, and each must think that it has the focus.
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		t.Fatal(err)
	}
	p.look(1280, 900, "light")
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.complaints {
			if p.expected == "" || !strings.Contains(c, p.expected) {
				t.Error(c)
			}
		}
	})
	return p
}

// hidden makes a page in a profile of its own and in no window: the frame of a
// window is made of pages too, which cost more than all that is looked at here.
func (b *chromium) hidden(t *testing.T) target.ID {
	t.Helper()
	browser := chromedp.FromContext(b.ctx).Browser
	yes := true
	profile, err := cdp.Call(b.ctx, browser, target.CreateBrowserContext, target.CreateBrowserContextParams{DisposeOnDetach: &yes})
	if err != nil {
		t.Fatal(err)
	}
	made, err := cdp.Call(b.ctx, browser, target.CreateTarget, target.CreateTargetParams{
		URL: "about:blank", BrowserContextID: profile.BrowserContextID, Hidden: &yes, Background: &yes})
	if err != nil {
		t.Fatal(err)
	}
	return made.TargetID
}

// hasten makes the page wait for 50 ms at most, however long it means to. What it
// meant is in window.delays.
func (p *tab) hasten() {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `(() => {
		const timeout = window.setTimeout;
		window.delays = new Set();
		window.setTimeout = (then, ms, ...rest) => { window.delays.add(ms); return timeout(then, Math.min(ms, 50), ...rest); };
	})()`})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) complain(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.complaints = append(p.complaints, fmt.Sprintf(format, args...))
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// visit loads a path.
func (p *tab) visit(path string) {
	p.t.Helper()
	p.do(chromedp.Navigate(p.url + path))
}

// eval returns the value of an expression in the page.
func eval[T any](p *tab, expression string, options ...chromedp.EvaluateOption) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, options...))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// wait waits until an expression is true. While the page is left for another one
// there is nothing to ask: chromium answers with an error, and it is asked again.
func (p *tab) wait(expression string) {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		is, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if is {
			return
		}
		if time.Now().After(deadline) || p.ctx.Err() != nil {
			p.t.Fatalf("still not %s (%v); the page says:\n%s", expression, err, eval[string](p, "document.body.innerText"))
		}
	}
}

// focus gives the focus to the element of an id.
func (p *tab) focus(id string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("document.readyState === 'complete' && document.getElementById(%q)", id))
	p.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.getElementById(%q).focus()", id)))
}

// click clicks with the mouse on what a selector finds, once it is there.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("document.readyState === 'complete' && document.querySelector(%q)", selector))
	at := eval[[]float64](p, fmt.Sprintf(`(() => {
		const e = document.querySelector(%q);
		e.scrollIntoView({ block: "center", behavior: "instant" });
		const box = e.getClientRects()[0];
		return [box.left + box.width / 2, box.top + box.height / 2];
	})()`, selector))
	p.do(chromedp.MouseClickXY(at[0], at[1]))
}

// press presses keys, one after the other, wherever the focus is.
func (p *tab) press(keys ...string) {
	p.t.Helper()
	for _, k := range keys {
		p.do(chromedp.KeyEvent(k))
	}
}

// paste enters a text at once, wherever the focus is.
func (p *tab) paste(text string) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		p.t.Fatal(err)
	}
}

// look emulates a window and a colour scheme, and waits until the page has both: what
// is measured in a window of another width says nothing.
func (p *tab) look(width, height int64, scheme string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500})
	if err == nil {
		_, err = chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.wait(fmt.Sprintf(`matchMedia("(width: %dpx) and (prefers-color-scheme: %s)").matches`, width, scheme))
}

// shoot keeps a picture of the whole page, for people.
func (p *tab) shoot(name string) {
	p.t.Helper()
	if p.b.shots == "" {
		return
	}
	picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.b.shots, name+".png"), picture, 0o600); err != nil {
		p.t.Fatal(err)
	}
}
