package cli

import (
	"cwvault/cmd/cwvault/settings"
	"cwvault/sync/check"
	"cwvault/sync/report"
)

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
		err = report.FindingsJSON(a.Stdout, found, worst(found))
	} else {
		err = report.FindingsText(a.Stdout, found, a.colours(a.Stdout))
	}
	if code := worst(found); err == nil && code != exitOK {
		err = resultCode(code)
	}
	return err
}
