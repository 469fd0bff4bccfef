package main

import (
	"fmt"
	"html/template"
	"io"
	"strings"

	"cwvault/sync"
)

// renderMarkdown writes a plan as Markdown, for a ticket or a chat. What comes
// from ConnectWise or the vault is escaped, so that it is text and nothing else.
func renderMarkdown(w io.Writer, plan sync.Plan) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# cwvault plan %s\n\n%s of %s, below %s: %s.\n", plan.ID[:min(12, len(plan.ID))],
		markdown(plan.Tenant), markdown(plan.Vault), markdown(plan.Root), (&painter{}).summary(plan, "to "))
	for _, sec := range sections {
		first := true
		for _, s := range plan.Steps {
			if s.Op != sec.op {
				continue
			}
			if first {
				fmt.Fprintf(&b, "\n## %s\n\n| from | to | reason |\n|---|---|---|\n", sec.title)
				first = false
			}
			reason := markdown(s.Reason)
			if s.Via != "" {
				reason += "; via " + markdown(s.Via)
			}
			if s.Secrets != nil && *s.Secrets > 0 {
				reason += "; at least " + count(*s.Secrets, "secret")
			}
			if s.Access != nil {
				reason += "; **access " + markdown(accessText(*s.Access)) + "**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", markdown(s.From), markdown(s.To), reason)
		}
	}
	if len(plan.Held) > 0 {
		b.WriteString("\n## Held\n\n| code | what | reason |\n|---|---|---|\n")
		for _, h := range plan.Held {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", h.Code, markdown(heldName(h)), markdown(h.Reason))
		}
	}
	if len(plan.Departed) > 0 {
		b.WriteString("\n## Departed\n\n| folder | reason |\n|---|---|\n")
		for _, d := range plan.Departed {
			fmt.Fprintf(&b, "| %s | %s |\n", markdown(d.Path), markdown(d.Reason))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown escapes text so that it has no meaning in Markdown or HTML. Every
// ASCII punctuation mark may be escaped by a backslash (CommonMark); those of
// HTML become entities, for readers that take HTML before Markdown.
func markdown(s string) string {
	var b strings.Builder
	for _, r := range plain(s) {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '@' || r == ':': // no mentions, no links that make themselves
			fmt.Fprintf(&b, "&#%d;", r)
		case strings.ContainsRune("\\`*_{}[]()#+-!|~$^=\"'", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// planPage is a plan as one HTML page without scripts or outside parts.
var planPage = template.Must(template.New("plan").Funcs(template.FuncMap{
	"plain": plain, "short": func(id string) string { return id[:min(12, len(id))] }, "held": heldName,
	"summary": func(p sync.Plan) string { return (&painter{}).summary(p, "to ") },
	"access":  func(a *sync.AccessChange) string { return accessText(*a) },
	"secrets": func(n *int) string { return "at least " + count(*n, "secret") },
}).Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>cwvault plan {{short .Plan.ID}}</title>
<style>
:root { color-scheme: light dark }
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3em .6em; border-bottom: 1px solid #8886; overflow-wrap: anywhere }
td.path { font-family: ui-monospace, monospace; font-size: 13px; white-space: pre-wrap }
.access { font-weight: bold }
</style>
<h1>cwvault plan {{short .Plan.ID}}</h1>
<p>{{plain .Plan.Tenant}} of {{plain .Plan.Vault}}, below {{plain .Plan.Root}}: {{summary .Plan}}.</p>
{{range .Sections}}<h2>{{.Title}}</h2>
<table><tr><th scope="col">from<th scope="col">to<th scope="col">reason</tr>
{{range .Steps}}<tr><td class="path">{{plain .From}}<td class="path">{{plain .To}}<td>{{plain .Reason}}
{{- if .Via}}; via {{plain .Via}}{{end}}{{if .Secrets}}; {{secrets .Secrets}}{{end}}
{{- if .Access}} <span class="access">access {{access .Access}}</span>{{end}}</tr>
{{end}}</table>
{{end}}{{if .Plan.Held}}<h2>Held</h2>
<table><tr><th scope="col">code<th scope="col">what<th scope="col">reason</tr>
{{range .Plan.Held}}<tr><td>{{.Code}}<td>{{held .}}<td>{{plain .Reason}}</tr>
{{end}}</table>
{{end}}{{if .Plan.Departed}}<h2>Departed</h2>
<table><tr><th scope="col">folder<th scope="col">reason</tr>
{{range .Plan.Departed}}<tr><td class="path">{{plain .Path}}<td>{{plain .Reason}}</tr>
{{end}}</table>
{{end}}</html>
`))

func renderHTML(w io.Writer, plan sync.Plan) error {
	type section struct {
		Title string
		Steps []sync.Step
	}
	var list []section
	for _, sec := range sections {
		s := section{Title: sec.title}
		for _, step := range plan.Steps {
			if step.Op == sec.op {
				s.Steps = append(s.Steps, step)
			}
		}
		if len(s.Steps) > 0 {
			list = append(list, s)
		}
	}
	return planPage.Execute(w, struct {
		Plan     sync.Plan
		Sections []section
	}{plan, list})
}
