package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"time"
	"weak"

	"cwvault/scheduler/api"
	"cwvault/sync"
	"cwvault/sync/report"
)

// These limit how much a page shows.
const (
	treeLines      = 150
	departedItems  = 20
	searchItems    = 20
	chartRuns      = 40
	listedRuns     = 15
	listedSteps    = 100
	listedTroubles = 50
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// pages shows people what the service knows.
type pages struct {
	h         *handler
	templates map[string]*template.Template

	mu      gosync.Mutex
	of      weak.Pointer[Look]
	derived *derived
}

// derived is what pages show of a look. It changes only from run to run.
type derived struct {
	Plan         sync.Plan // without its lists
	Tree         report.Tree
	Steps        int
	Held         []heldGroup
	HeldTotal    int
	Approvable   bool // something waits for approval of the plan
	Departed     []sync.Departed
	DepartedMore int
}

func (h *handler) registerPages() {
	p := &pages{h: h, templates: parseTemplates()}
	h.handle("GET /{$}", h.read(p.status))
	h.handle("GET /runs/{id}", h.read(h.oneOfFew(p.run)))
	h.handle("GET /companies/{id}", h.read(p.company))
	assets, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic("dashboard: " + err.Error()) // the files are part of the program
	}
	for _, a := range assets {
		h.handle("GET /assets/"+a.Name(), h.read(asset("assets/"+a.Name())))
	}
}

// asset serves a file of the program. Browsers cache it and ask whether it has changed.
func asset(name string) http.HandlerFunc {
	body, err := assetFiles.ReadFile(name)
	if err != nil {
		panic("dashboard: " + err.Error())
	}
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, no-cache")
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
	}
}

// parseTemplates returns a set of templates for each page: the layout, the parts and
// the page itself.
func parseTemplates() map[string]*template.Template {
	base := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"plain": plain, "short": short, "line": line, "prose": prose, "number": report.Number, "plural": report.Count,
		"duration": duration, "relative": relative, "took": took, "between": func(from, to time.Time) time.Duration { return max(0, to.Sub(from)) }, "stamp": stamp,
		"utc":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"changes": changeList,
		"class":   func(word any) string { return className(fmt.Sprint(word)) },
		"join":    func(list []string) string { return strings.Join(list, ", ") },
		"brief":   func(s string) string { return s[:min(12, len(s))] },
	}).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
	sets := map[string]*template.Template{}
	for _, name := range []string{"status.html", "run.html", "company.html", "message.html"} {
		sets[name] = template.Must(template.Must(base.Clone()).ParseFS(templateFiles, "templates/"+name))
	}
	return sets
}

// className makes a class for the style sheet from words such as "in step".
func className(word string) string {
	return strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			return '-'
		}
		return r
	}, word)
}

// frame is what all pages show around their content.
type frame struct {
	Title string // of the document, without the program's name
	State State
	Query string // in the search field
}

// show writes a page.
func (p *pages) show(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var b bytes.Buffer
	if err := p.templates[name].Execute(&b, data); err != nil {
		p.h.fail(w, r, fmt.Errorf("page %s: %w", name, err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // if it fails, nobody can receive an error
}

// message shows a page with only a title and a text.
func (p *pages) message(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	p.show(w, r, status, "message.html", struct {
		frame
		Text string
	}{frame{Title: title, State: p.h.Service.State()}, text})
}

// derive returns what pages show of a look, and caches it. It does not keep the look
// itself in memory.
func (p *pages) derive(look *Look) *derived {
	if look == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.derived == nil || p.of != weak.Make(look) {
		p.of, p.derived = weak.Make(look), deriveFrom(look)
	}
	return p.derived
}

func deriveFrom(look *Look) *derived {
	plan := look.Pending
	d := &derived{
		Plan: plan, Steps: len(plan.Steps), HeldTotal: len(plan.Held), Approvable: slices.ContainsFunc(plan.Held, approvable),
		Tree: report.MakeTree(look.remaining(), treeLines), Held: heldGroups(plan.Held, plan.ID, heldItems),
		Departed: slices.Clone(plan.Departed[:min(departedItems, len(plan.Departed))]),
	}
	d.DepartedMore = len(plan.Departed) - len(d.Departed)
	d.Plan.Steps, d.Plan.Held, d.Plan.Departed = nil, nil, nil
	return d
}

// statusPage is the first page.
type statusPage struct {
	frame
	Glance  glance
	Derived *derived // nil before the first look
	Runs    []api.Run
	Before  int64 // the page lists runs below this one; 0: the newest
	Older   int64 // Before of the next page; 0 if there is none
	Chart   chart
	Trouble string // why the runs cannot be shown
	Found   []report.Company
	More    bool // more were found than are shown
	Token   bool // a token is configured, so that runs can be asked for
}

// Look returns what the last run saw; nil before the first.
func (s statusPage) Look() *Look { return s.State.Look }

func (p *pages) status(w http.ResponseWriter, r *http.Request) {
	state := p.h.Service.State()
	query := r.URL.Query()
	page := statusPage{
		frame:  frame{State: state, Query: strings.TrimSpace(query.Get("q"))},
		Glance: glanceOf(state), Derived: p.derive(state.Look), Token: p.h.Token() != "",
	}
	page.Title = page.Glance.Title
	if before, err := strconv.ParseInt(query.Get("before"), 10, 64); err == nil && before > 0 {
		page.Before = before
	}
	if page.Query != "" && state.Look != nil {
		page.Found, page.More = Search(state.Look.Companies, page.Query, searchItems)
	}
	runs, err := p.h.Service.Runs(r.Context(), chartRuns, page.Before)
	if err != nil {
		page.Trouble = err.Error()
	}
	page.Chart = makeChart(runs)
	page.Runs = runs[:min(listedRuns, len(runs))]
	if len(runs) > listedRuns {
		page.Older = page.Runs[listedRuns-1].Number
	}
	p.show(w, r, http.StatusOK, "status.html", page)
}

// runPage is one run.
type runPage struct {
	frame
	Run         report.Run
	Counts      []report.TreeCount // the steps that were made
	Troubles    []stepLine         // those that were not made
	NotMade     int                // how many there are of them
	Steps       []stepLine
	First, Last int // numbers of the listed steps
	Total       int
	Earlier     string // links
	Later       string
	Held        []heldGroup
	HeldTotal   int
}

// stepLine is a step of a run.
type stepLine struct {
	N int // from 1
	report.Change
	To     string
	Status sync.Status
}

func (p *pages) run(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		p.message(w, r, http.StatusNotFound, "No such run", "Runs have numbers from 1.")
		return
	}
	run, err := p.h.Service.Run(r.Context(), id)
	switch {
	case errors.Is(err, api.ErrNotFound):
		p.message(w, r, http.StatusNotFound, "No such run", "Run "+strconv.FormatInt(id, 10)+" is not in the journal. The journal keeps runs for a limited time.")
		return
	case err != nil:
		p.h.fail(w, r, err)
		return
	}
	first, _ := strconv.Atoi(r.URL.Query().Get("from"))
	page := makeRunPage(run, first)
	page.frame = frame{Title: fmt.Sprintf("Run %d", id), State: p.h.Service.State()}
	p.show(w, r, http.StatusOK, "run.html", page)
}

// makeRunPage returns the page of a run, with its steps from number first on.
func makeRunPage(run report.Run, first int) runPage {
	total := len(run.Steps)
	first = max(1, min(first, total))
	first -= (first - 1) % listedSteps
	page := runPage{
		Run: run, First: first, Last: min(total, first+listedSteps-1), Total: total,
		Held: heldGroups(run.Held, run.ID, heldItems), HeldTotal: len(run.Held),
	}
	link := func(n int) string { return fmt.Sprintf("/runs/%d?from=%d#steps", run.Number, n) }
	if first > 1 {
		page.Earlier = link(first - listedSteps)
	}
	if page.Last < total {
		page.Later = link(page.Last + 1)
	}
	var made []report.Kind
	for i := range run.Steps {
		s, result := &run.Steps[i], run.Results[i]
		if result.Status == sync.StatusDone {
			made = append(made, report.KindOf(s.Op))
		}
		listed := i+1 >= page.First && i+1 <= page.Last
		trouble := result.Status != "" && result.Status != sync.StatusDone
		if !listed && !trouble {
			continue
		}
		line := lineOf(i+1, s, result)
		if listed {
			page.Steps = append(page.Steps, line)
		}
		if trouble {
			page.NotMade++
			if len(page.Troubles) < listedTroubles {
				page.Troubles = append(page.Troubles, line)
			}
		}
	}
	page.Counts = report.CountKinds(made)
	return page
}

func lineOf(n int, s *sync.Step, result report.StepResult) stepLine {
	line := stepLine{N: n, To: s.To, Status: result.Status, Change: report.Change{
		Kind: report.KindOf(s.Op), Reason: s.Reason, Access: s.Access, Error: result.Error,
	}}
	line.Company, _ = s.Key.CompanyID()
	if s.Secrets != nil {
		line.Secrets = *s.Secrets
	}
	if s.From != s.To {
		line.Other = s.From
	}
	return line
}

// companyPage is one company.
type companyPage struct {
	frame
	Company report.Company
	At      time.Time
	Step    *report.Change
	Held    []heldGroup
	Token   bool
}

func (p *pages) company(w http.ResponseWriter, r *http.Request) {
	state := p.h.Service.State()
	if state.Look == nil {
		p.message(w, r, http.StatusNotFound, "Nothing is known yet", "The service has just started. Its first run has not read the companies yet.")
		return
	}
	id, err := strconv.Atoi(r.PathValue("id"))
	i := -1
	if err == nil {
		i = slices.IndexFunc(state.Look.Companies, func(c report.Company) bool { return c.ID == id })
	}
	if i < 0 {
		p.message(w, r, http.StatusNotFound, "No such company", "The last run found no company with this number in ConnectWise or in the vault.")
		return
	}
	page := makeCompanyPage(state.Look, state.Look.Companies[i])
	page.frame, page.Token = frame{Title: short(page.Company.Name), State: state}, p.h.Token() != ""
	p.show(w, r, http.StatusOK, "company.html", page)
}

func makeCompanyPage(look *Look, c report.Company) companyPage {
	page := companyPage{Company: c, At: look.At}
	if c.Step != nil {
		page.Step = new(look.remaining().Change(c.Step))
	}
	if c.Held != nil {
		page.Held = heldGroups([]sync.Held{*c.Held}, c.By.PlanID, 1)
	}
	return page
}

// changeList puts into words what a run changed and held, and who has departed.
func changeList(counts map[string]int) []string {
	var list []string
	add := func(key, word string) {
		if n := counts[key]; n > 0 {
			list = append(list, report.Number(n)+" "+word)
		}
	}
	for _, o := range report.Operations() {
		add(string(o.Op), o.Past)
	}
	add("held", "held")
	add("departed", "departed")
	return list
}
