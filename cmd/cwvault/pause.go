package main

import (
	"context"
	"fmt"
	"strconv"

	"cwvault/sync"
	"cwvault/sync/journal"
)

type pauseCmd struct {
	Company string `arg:"" help:"Id or identifier of the company."`
	Reason  string `help:"Why, for those who read the plan."`
}

// Run keeps a company's folder as it is until unpaused.
func (cmd pauseCmd) Run(a *app) error {
	return a.withPause(cmd.Company, func(ctx context.Context, j *journal.Journal, key sync.Key) error {
		if err := j.Pause(ctx, key, cmd.Reason); err != nil {
			return err
		}
		_, err := fmt.Fprintf(a.stdout, "paused %s: its folder stays as it is until cwvault unpause %s\n", key, plain(cmd.Company))
		return err
	})
}

type unpauseCmd struct {
	Company string `arg:"" help:"Id or identifier of the company."`
}

// Run lets a company's folder follow ConnectWise again.
func (cmd unpauseCmd) Run(a *app) error {
	return a.withPause(cmd.Company, func(ctx context.Context, j *journal.Journal, key sync.Key) error {
		was, err := j.Unpause(ctx, key)
		if err != nil {
			return err
		}
		text := "was not paused"
		if was {
			text = "follows ConnectWise again from the next run on"
		}
		_, err = fmt.Fprintf(a.stdout, "%s %s\n", key, text)
		return err
	})
}

// withPause finds a company and calls f with its key and the journal, holding
// the lease.
func (a *app) withPause(company string, f func(context.Context, *journal.Journal, sync.Key) error) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.open(c, true)
	if err != nil {
		return err
	}
	defer s.close()
	id, err := s.findCompany(a.ctx, company)
	if err != nil {
		return err
	}
	lease, err := s.journal.Acquire(a.ctx, journal.Self())
	if err != nil {
		return err
	}
	err = f(a.ctx, s.journal, sync.CompanyKey(id))
	if releaseErr := lease.Release(context.WithoutCancel(a.ctx)); err == nil {
		err = releaseErr
	}
	return err
}

// findCompany returns the id of the company that a person means. A number is
// taken as an id without asking ConnectWise, so that it works for companies
// that are gone there.
func (s *session) findCompany(ctx context.Context, company string) (int, error) {
	if id, err := strconv.Atoi(company); err == nil && id > 0 {
		return id, nil
	}
	if err := s.connect(ctx); err != nil {
		return 0, err
	}
	src, err := s.cw.Source(ctx)
	s.bar.stop()
	if err != nil {
		return 0, wrap("read companies", err)
	}
	only, err := selectCompanies([]string{company}, src.Companies)
	if err != nil {
		return 0, err
	}
	if len(only) > 1 {
		return 0, usagef("%q names %d companies; use the id", company, len(only))
	}
	for id := range only {
		return id, nil
	}
	return 0, nil
}
