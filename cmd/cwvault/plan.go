package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"cwvault/sync"
)

type planCmd struct {
	Format           string   `enum:"text,json,markdown,html" default:"text" help:"Form of the plan: text, json, markdown or html."`
	Out              string   `placeholder:"FILE" help:"Write the result to this file, readable by you alone, instead of standard output."`
	DetailedExitcode bool     `help:"End with 2 when changes are pending, with 4 when a guard holds some."`
	Company          []string `placeholder:"ID|IDENTIFIER" help:"Only these companies, with their group folders and what must make way for them."`
}

// Run shows what a resync would do.
func (cmd planCmd) Run(a *app) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.open(c, false)
	if err != nil {
		return err
	}
	defer s.close()
	p, err := s.propose(a.ctx, request{only: cmd.Company, count: true})
	if err != nil {
		return err
	}
	if err := cmd.print(a, p.Plan); err != nil {
		return err
	}
	switch {
	case !cmd.DetailedExitcode:
		return nil
	case p.HeldByGuard():
		return resultCode(exitHeld)
	case !p.Empty():
		return resultCode(exitPending)
	}
	return nil
}

func (cmd planCmd) print(a *app, plan sync.Plan) error {
	if cmd.Out == "" {
		return writePlan(a.stdout, plan, cmd.Format, a.colours(a.stdout))
	}
	var b bytes.Buffer
	if err := writePlan(&b, plan, cmd.Format, false); err != nil {
		return err
	}
	return writePrivate(cmd.Out, b.Bytes())
}

// writePlan writes a plan in one of the formats.
func writePlan(w io.Writer, plan sync.Plan, format string, colour bool) error {
	switch format {
	case "json":
		b, err := plan.JSON()
		if err != nil {
			return err
		}
		_, err = w.Write(sync.PlainJSON(b))
		return err
	case "markdown":
		return renderMarkdown(w, plan)
	case "html":
		return renderHTML(w, plan)
	}
	return renderPlan(w, plan, colour)
}

// writePrivate replaces a file at once, with a mode that keeps others out: a
// plan names customers.
func writePrivate(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".cwvault-*") // mode 0600
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	_, err = f.Write(b)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("--out: %w", err)
	}
	return nil
}
