package cli

import (
	"fmt"
	"io"

	"cwvault/sync"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

type explainCmd struct {
	Company string `arg:"" help:"Id or identifier of the company."`
}

func (explainCmd) help() ([]string, []int) {
	return []string{"cwvault explain 250"}, running()
}

// Run says where a company's folder is, where it should be, and why.
func (cmd explainCmd) Run(a *app) error {
	c, err := a.open(false)
	if err != nil {
		return err
	}
	defer c.close()
	runner := c.Runner()
	p, err := runner.Propose(a.ctx, run.Request{})
	if err != nil {
		return err
	}
	id, err := p.Find(cmd.Company)
	if err != nil {
		return err
	}
	company, _ := report.ExplainOne(p.Situation(p.Tree, p.Plan), id)
	last, err := runner.LastChange(a.ctx, sync.CompanyKey(id))
	if err != nil {
		return err
	}
	facts := append(company.Facts(), report.Fact{Name: "last change", Text: report.Or(lastText(last), "none")})
	_, err = io.WriteString(a.Stdout, report.FactText(facts))
	return err
}

// lastText describes the last change of a folder.
func lastText(c *run.Change) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%s %s in run %d, %s: %s", c.Op, c.Outcome, c.Run, c.Started.UTC().Format("2006-01-02 15:04"), c.To)
}
