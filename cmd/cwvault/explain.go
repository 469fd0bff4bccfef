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
	text, err := s.explain(a, p, id)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.stdout, text)
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

func (s *session) explain(a *app, p *proposal, id int) (string, error) {
	key := sync.CompanyKey(id)
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-13s %s\n", what, plain(fmt.Sprintf(format, args...)))
	}
	choice, listed := p.wanted.Explain(id)
	line("key", "%s", key)
	for _, c := range p.source.Companies {
		if c.ID != id {
			continue
		}
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
		line("belongs in", "%s%s, by CWVAULT_FOLDER_STRUCTURE=%s", strings.TrimSuffix(p.Root, `\`), choice.Path, s.cfg.settings.Structure)
	}
	paths := treePaths(p.tree)
	found := false
	for _, f := range p.tree.Folders {
		if f.Mark.Tenant == p.Tenant && f.Mark.Key == key {
			line("folder", "%s (id %s)", paths[f.ID], f.ID)
			found = true
		}
	}
	if !found {
		line("folder", "none")
	}
	pending := false
	for _, step := range p.Steps {
		if step.Key == key {
			line("next", "%s to %s: %s", step.Op, step.To, step.Reason)
			pending = true
		}
	}
	for _, h := range p.Held {
		if h.Key == key {
			line("held", "%s: %s", h.Code, h.Reason)
			pending = true
		}
	}
	for _, d := range p.Departed {
		if d.Key == key {
			line("departed", "%s", d.Reason)
			pending = true
		}
	}
	if !pending && found {
		line("next", "nothing; the folder is where it should be")
	}
	last, err := s.lastChange(a, key)
	line("last change", "%s", orNone(last))
	return b.String(), err
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
