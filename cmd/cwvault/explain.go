package main

import (
	"fmt"
	"io"
	"strings"

	"cwvault/sync"
)

type explainCmd struct {
	Company string `arg:"" help:"Id or identifier of the company."`
}

// Run says where a company's folder is, where it should be, and why.
func (cmd explainCmd) Run(a *app) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.open(c, false)
	if err != nil {
		return err
	}
	defer s.close()
	p, err := s.propose(a.ctx, request{})
	if err != nil {
		return err
	}
	id, err := cmd.find(p)
	if err != nil {
		return err
	}
	last, err := s.lastChange(a, sync.CompanyKey(id))
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.stdout, newExplainer(p, p.Plan, s.cfg.settings.Structure).text(id)+explainLine("last change", orNone(last)))
	return err
}

// find returns the company that a person means: one that ConnectWise lists, or
// by its id one that has a folder still.
func (cmd explainCmd) find(p *proposal) (int, error) {
	only, err := selectCompanies([]string{cmd.Company}, p.source.Companies)
	if err == nil && len(only) > 1 {
		return 0, usagef("%q names %d companies; use the id", cmd.Company, len(only))
	}
	for id := range only {
		return id, nil
	}
	for _, f := range p.tree.Folders {
		if id, ok := f.Mark.Key.CompanyID(); ok && fmt.Sprint(id) == cmd.Company && f.Mark.Tenant == p.Tenant {
			return id, nil
		}
	}
	return 0, err
}

// explainer explains companies from what was read and planned.
type explainer struct {
	wanted    sync.Wanted
	structure sync.Structure
	root      string
	companies map[int]sync.Company
	folders   map[int]sync.Folder // by company, those that are ours
	paths     map[string]string
	steps     map[sync.Key]sync.Step
	held      map[sync.Key]sync.Held
	departed  map[sync.Key]sync.Departed
}

// newExplainer explains by a plan that was made from p, or a part of it.
func newExplainer(p *proposal, plan sync.Plan, structure sync.Structure) *explainer {
	e := &explainer{
		wanted: p.wanted, structure: structure, root: strings.TrimSuffix(plan.Root, `\`), paths: treePaths(p.tree),
		companies: make(map[int]sync.Company, len(p.source.Companies)), folders: map[int]sync.Folder{},
		steps: map[sync.Key]sync.Step{}, held: map[sync.Key]sync.Held{}, departed: map[sync.Key]sync.Departed{},
	}
	for _, c := range p.source.Companies {
		e.companies[c.ID] = c
	}
	for _, f := range p.tree.Folders {
		if id, ok := f.Mark.Key.CompanyID(); ok && f.Mark.Tenant == plan.Tenant {
			e.folders[id] = f
		}
	}
	for _, step := range plan.Steps {
		e.steps[step.Key] = step
	}
	for _, h := range plan.Held {
		e.held[h.Key] = h
	}
	for _, d := range plan.Departed {
		e.departed[d.Key] = d
	}
	return e
}

// explainLine is one line of an explanation.
func explainLine(what, text string) string { return fmt.Sprintf("%-13s %s\n", what, plain(text)) }

// text says where a company's folder is, where it should be, and why.
func (e *explainer) text(id int) string {
	key := sync.CompanyKey(id)
	var b strings.Builder
	line := func(what, format string, args ...any) { b.WriteString(explainLine(what, fmt.Sprintf(format, args...))) }
	choice, listed := e.wanted.Explain(id)
	line("key", "%s", key)
	if c, ok := e.companies[id]; ok {
		line("company", "%s (%s)", c.Name, c.Identifier)
		line("status", "%s", refText(c.Status))
		types := make([]string, len(c.Types))
		for i, t := range c.Types {
			types[i] = refText(t)
		}
		line("types", "%s", orNone(strings.Join(types, ", ")))
		if len(c.Types) > 1 && choice.Type.ID != 0 {
			line("chosen type", "%s: first in CWVAULT_TYPE_PRIORITY, otherwise the lowest id", refText(choice.Type))
		}
	}
	switch {
	case !listed:
		line("company", "ConnectWise does not list it: deleted, or not visible to the API member")
	case choice.Out != "":
		line("left out", "%s", choice.Out)
	case choice.Path != "":
		line("belongs in", "%s%s, by CWVAULT_FOLDER_STRUCTURE=%s", e.root, choice.Path, e.structure)
	}
	folder, found := e.folders[id]
	if found {
		line("folder", "%s (id %s)", e.paths[folder.ID], folder.ID)
	} else {
		line("folder", "none")
	}
	step, pending := e.steps[key]
	if pending {
		line("next", "%s to %s: %s", step.Op, step.To, step.Reason)
	}
	if h, ok := e.held[key]; ok {
		line("held", "%s: %s", h.Code, h.Reason)
		pending = true
	}
	if d, ok := e.departed[key]; ok {
		line("departed", "%s", d.Reason)
		pending = true
	}
	if !pending && found {
		line("next", "nothing; the folder is where it should be")
	}
	return b.String()
}

// lastChange finds the newest step for a key in the runs that the journal keeps.
func (s *session) lastChange(a *app, key sync.Key) (string, error) {
	for before := int64(0); ; {
		runs, err := s.journal.Runs(a.ctx, 100, before)
		if err != nil || len(runs) == 0 {
			return "", err
		}
		for _, r := range runs {
			for step, err := range s.journal.Steps(a.ctx, r.ID) {
				if err != nil {
					return "", err
				}
				if step.Key == key {
					return fmt.Sprintf("%s %s in run %d, %s: %s", step.Op, orRunning(step.Status), r.ID, r.Started.UTC().Format("2006-01-02 15:04"), step.To), nil
				}
			}
			before = r.ID
		}
	}
}

// treePaths returns the full path of every folder by id.
func treePaths(t sync.Tree) map[string]string {
	parent := make(map[string]sync.Folder, len(t.Folders))
	for _, f := range t.Folders {
		parent[f.ID] = f
	}
	paths := make(map[string]string, len(t.Folders))
	for _, f := range t.Folders {
		path := ""
		up, ok := f, true
		for range len(t.Folders) { // the planner has refused trees that go in circles
			if !ok {
				break
			}
			path = `\` + up.Name + path
			up, ok = parent[up.ParentID]
		}
		paths[f.ID] = strings.TrimSuffix(t.RootPath, `\`) + path
	}
	return paths
}

func refText(r sync.Ref) string {
	if r.ID == 0 {
		return "none"
	}
	return fmt.Sprintf("%s (%d)", r.Name, r.ID)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
