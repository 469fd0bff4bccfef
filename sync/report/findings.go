package report

import (
	"io"
	"strings"

	"cwvault/sync"
)

// CheckSchema names the JSON form of a check.
const CheckSchema = "cwvault.check/1"

// FindingsText writes findings for people, one per line.
func FindingsText(w io.Writer, found []sync.Finding, colour bool) error {
	p := &printer{Colour: colour}
	paint := map[sync.Level]func(string) string{sync.LevelOK: p.good, sync.LevelWarn: p.warning, sync.LevelFail: p.bad}
	subjects := make([]string, len(found))
	for i, f := range found {
		subjects[i] = Plain(f.Subject)
	}
	wide := width(subjects)
	for i, f := range found {
		text := f.Text
		if f.Fix != "" {
			text += "; " + f.Fix
		}
		level := f.Level()
		p.line("%s  %s  %s", paint[level](pad(string(level), 4)), pad(subjects[i], wide), Plain(strings.Join(strings.Fields(text), " ")))
	}
	return p.to(w)
}

// FindingsJSON writes findings for programs, with the exit code that they lead
// to.
func FindingsJSON(w io.Writer, found []sync.Finding, exitCode int) error {
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
	return WriteJSON(w, struct {
		Schema   string `json:"schema"`
		ExitCode int    `json:"exitCode"`
		Checks   []row  `json:"checks"`
	}{CheckSchema, exitCode, rows})
}
