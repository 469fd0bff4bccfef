package cli

import (
	"fmt"

	"cwvault/sync/report"
)

type callbacksListCmd struct {
	Format string `enum:"text,json" default:"text" help:"Format of the result: text or json."`
}

func (callbacksListCmd) help() ([]string, []int) {
	return []string{"cwvault callbacks list"}, []int{exitUsage, exitUnauthorized, exitConfig}
}

// Run lists all callbacks.
func (cmd callbacksListCmd) Run(a *app) error {
	site, done, err := a.site()
	if err != nil {
		return err
	}
	defer done()
	rows, err := site.Callbacks(a.ctx)
	switch {
	case err != nil:
		return err
	case cmd.Format == "json":
		return report.WriteJSON(a.Stdout, map[string]any{"callbacks": rows})
	case len(rows) == 0:
		return a.print("no callbacks; cwvault callbacks register makes one")
	}
	for _, row := range rows {
		state, about, whose := "active", "every company", "cwvault's"
		if !row.Active {
			state = "switched off"
		}
		if !row.AboutAll {
			about = fmt.Sprintf("%s, %s %d", row.Type, row.Level, row.ObjectID)
		}
		if !row.Ours {
			whose = "not cwvault's: " + row.Description
		}
		if err := a.print("%6d  %-12s  %-13s  %s  %s", row.ID, state, report.Plain(about), report.Plain(row.URL), report.Plain(whose)); err != nil {
			return err
		}
	}
	return nil
}
