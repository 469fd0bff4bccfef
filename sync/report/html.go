package report

import (
	"html/template"
	"io"

	"cwvault/sync"
)

// planPage is a plan as one HTML page that loads nothing and has no scripts.
var planPage = template.Must(template.New("plan").Funcs(template.FuncMap{
	"plain": Plain, "short": shortID, "held": heldName,
	"summary": func(p sync.Plan) string { return Pending(p.Counts) },
	"access":  func(a *sync.AccessChange) string { return accessText(*a) },
	"secrets": secretsText,
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
td.path, code { font-family: ui-monospace, monospace; font-size: 13px; white-space: pre-wrap }
.access { font-weight: bold }
</style>
<h1>cwvault plan {{short .Plan.ID}}</h1>
<p>{{plain .Plan.Tenant}} of {{plain .Plan.Vault}}, below {{plain .Plan.Root}}: {{summary .Plan}}.</p>
{{range .Sections}}<h2>{{.Title}}</h2>
<table><tr><th scope="col">from<th scope="col">to<th scope="col">reason</tr>
{{range .Steps}}<tr><td class="path">{{plain .From}}<td class="path">{{plain .To}}<td>{{plain .Reason}}
{{- if .Via}}; via {{plain .Via}}{{end}}{{with secrets .}}; {{.}}{{end}}
{{- if .Access}} <span class="access">access {{access .Access}}</span>{{end}}</tr>
{{end}}</table>
{{end}}{{if .Plan.Held}}<h2>Held</h2>
<table><tr><th scope="col">code<th scope="col">what<th scope="col">reason</tr>
{{range .Plan.Held}}<tr><td>{{plain (print .Code)}}<td>{{held .}}<td>{{plain .Reason}}</tr>
{{end}}</table>
{{end}}{{if .Advice}}<h2>What to do</h2>
<table><tr><th scope="col">code<th scope="col">what to do</tr>
{{range .Advice}}<tr><td>{{plain (print .Code)}}<td>
{{- range .Parts}}{{if .Code}}<code>{{.Text}}</code>{{else}}{{.Text}}{{end}}{{end}}</tr>
{{end}}</table>
{{end}}{{if .Plan.Departed}}<h2>Departed</h2>
<table><tr><th scope="col">folder<th scope="col">reason</tr>
{{range .Plan.Departed}}<tr><td class="path">{{plain .Path}}<td>{{plain .Reason}}</tr>
{{end}}</table>
{{end}}</html>
`))

// HTML writes a plan as one HTML page that loads nothing and has no scripts.
func HTML(w io.Writer, plan sync.Plan) error {
	type section struct {
		Title string
		Steps []sync.Step
	}
	var list []section
	for _, o := range operations {
		s := section{Title: o.Title}
		for _, step := range plan.Steps {
			if step.Op == o.Op {
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
		Advice   []Advice
	}{plan, list, AdviceOf(plan)})
}
