package cli

import (
	"io"
	"strings"

	"cwvault/cmd/cwvault/settings"
	"cwvault/sync"
	"cwvault/sync/check"
	"cwvault/sync/report"
)

// checkSchema names the JSON form of a check.
const checkSchema = "cwvault.check/1"

type checkCmd struct {
	Format string `enum:"text,json" default:"text" help:"Format of the result: text or json."`
}

func (checkCmd) help() ([]string, []int) {
	return []string{"cwvault check", "cwvault check --format json"}, running()
}

// Run checks everything that a run depends on, one line each, and changes nothing.
func (cmd checkCmd) Run(a *app) error {
	s, err := a.load()
	if err != nil {
		return err
	}
	c, _ := s.Connect(a.log, settings.Hooks{}) // its problems are findings
	defer c.Close()
	found := check.Inspect(a.ctx, c.CheckParts())
	if err := a.ctx.Err(); err != nil { // the findings would only say that
		return err
	}
	if cmd.Format == "json" {
		err = writeFindingsJSON(a.Stdout, found)
	} else {
		err = writeFindings(a.Stdout, found, a.colours(a.Stdout))
	}
	if code := worst(found); err == nil && code != exitOK {
		err = resultCode(code)
	}
	return err
}

// writeFindings writes findings for people, one per line.
func writeFindings(w io.Writer, found []sync.Finding, colour bool) error {
	p := &report.Printer{Colour: colour}
	paint := map[sync.Level]func(string) string{sync.LevelOK: p.Good, sync.LevelWarn: p.Warning, sync.LevelFail: p.Bad}
	subjects := make([]string, len(found))
	for i, f := range found {
		subjects[i] = report.Plain(f.Subject)
	}
	wide := report.Width(subjects)
	for i, f := range found {
		text := f.Text
		if f.Fix != "" {
			text += "; " + f.Fix
		}
		level := f.Level()
		p.Line("%s  %s  %s", paint[level](report.Pad(string(level), 4)), report.Pad(subjects[i], wide), report.Plain(strings.Join(strings.Fields(text), " ")))
	}
	return p.To(w)
}

// writeFindingsJSON writes findings for programs.
func writeFindingsJSON(w io.Writer, found []sync.Finding) error {
	type row struct {
		Level  string `json:"level"` // ok, warn or fail
		What   string `json:"what"`
		Detail string `json:"detail"`
		Fix    string `json:"fix,omitempty"`
	}
	rows := make([]row, len(found))
	for i, f := range found {
		rows[i] = row{strings.ToLower(string(f.Level())), f.Subject, f.Text, f.Fix}
	}
	return report.WriteJSON(w, struct {
		Schema   string `json:"schema"`
		ExitCode int    `json:"exitCode"`
		Checks   []row  `json:"checks"`
	}{checkSchema, worst(found), rows})
}
