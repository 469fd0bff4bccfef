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

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// TestChromium looks at the page in a real browser, where one is installed.
func TestChromium(t *testing.T) {
	b := startChromium(t)
	t.Run("Looks", func(t *testing.T) { testLooks(t, b) })
}

// chromium is a browser.
type chromium struct {
	ctx   context.Context
	shots string // directory for screenshots
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
		t.Skip("no Chromium is installed")
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
	if b.shots == "" {
		b.shots = t.TempDir()
	}
	return b
}

// tab is a page of a browser that must show what a test wants within a time,
// and complain about nothing.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string
	b   *chromium

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
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
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
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.complaints {
			t.Error(c)
		}
	})
	return p
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
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// wait waits until an expression is true.
func (p *tab) wait(expression string) {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !eval[bool](p, "Boolean("+expression+")"); {
		if time.Now().After(deadline) {
			p.t.Fatalf("still not %s; the page says:\n%s", expression, eval[string](p, "document.body.innerText"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// look emulates a window and a colour scheme.
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
}

// shoot keeps a picture of the whole page.
func (p *tab) shoot(name string) {
	p.t.Helper()
	picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.b.shots, name+".png"), picture, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func testLooks(t *testing.T, b *chromium) {
	running := inStep()
	running.Scheduler.Running.Start, running.Scheduler.Running.Trigger = noon.Add(-time.Minute), "schedule"
	running.Progress = Progress{Run: 80, Done: 431, Total: 1200}
	fresh := State{Now: noon, Version: "1.2.3", Tenant: "acmeinc", Vault: "passwordstore:/srv/store", Root: `\Clients`, Schedule: "@every 30m", TimeZone: "UTC"}
	for name, state := range map[string]State{"in-step": inStep(), "busy": busyDay(), "running": running, "fresh": fresh} {
		f, h := newWorld(t, state)
		if name == "fresh" {
			f.reports = nil
		}
		p := b.open(t, h)
		for _, path := range []string{"/", "/runs/79", "/companies/250", "/?q=family"} {
			if name != "busy" && path != "/" {
				continue
			}
			p.visit(path)
			for _, scheme := range []string{"light", "dark"} {
				for _, width := range []int64{360, 1280} {
					p.look(width, 900, scheme)
					if over := eval[int64](p, "document.documentElement.scrollWidth"); over > width {
						t.Errorf("%s %s at %d: %d pixels wide", name, path, width, over)
					}
					p.shoot(fmt.Sprintf("%s%s-%s-%d", name, strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(strings.TrimSuffix(path, "/")), scheme, width))
				}
			}
		}
	}
}
