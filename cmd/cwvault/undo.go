package main

import (
	"context"
	"fmt"
	"time"

	"cwvault/sync"
)

type undoCmd struct {
	RunID  int64  `arg:"" name:"run" help:"Number of the run, from cwvault history."`
	DryRun bool   `help:"Only show the plan."`
	Format string `enum:"text,json" default:"text" help:"Form of the result: text or json."`
}

// onUndo begins the trigger of runs that take back another.
const onUndo = "undo of run "

// Run takes back what a run renamed and moved. What it created stays.
func (cmd undoCmd) Run(a *app) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.open(c, !cmd.DryRun)
	if err != nil {
		return err
	}
	defer s.close()
	if cmd.DryRun {
		p, created, err := s.proposeUndo(a.ctx, cmd.RunID)
		if err != nil {
			return err
		}
		cmd.say(a, created)
		return writePlan(a.stdout, p.Plan, cmd.Format, a.colours(a.stdout))
	}
	var report *runReport
	created := 0
	err = s.holdingLease(a.ctx, func(ctx context.Context) error {
		started := time.Now()
		var p *proposal
		if p, created, err = s.proposeUndo(ctx, cmd.RunID); err != nil {
			return err
		}
		report, err = s.apply(ctx, p, fmt.Sprint(onUndo, cmd.RunID), started)
		return err
	})
	if err != nil {
		return err
	}
	cmd.say(a, created)
	return a.printRun(report, cmd.Format)
}

// say warns of what an undo does not do.
func (cmd undoCmd) say(a *app, created int) {
	if created > 0 {
		fmt.Fprintf(a.stderr, "cwvault: %s that run %d made stay\n", count(created, "folder"), cmd.RunID)
	}
	fmt.Fprintf(a.stderr, "cwvault: the next run makes these changes again unless ConnectWise or the settings are changed; cwvault pause keeps a company as it is\n")
}

// proposeUndo plans the inverse of a run's renames and moves, from the vault
// as it is and without asking ConnectWise. It returns how many folders the run
// made, which stay.
func (s *session) proposeUndo(ctx context.Context, run int64) (p *proposal, created int, err error) {
	if _, err := s.journal.Run(ctx, run); err != nil {
		return nil, 0, err
	}
	p = &proposal{undo: true}
	if p.tree, err = s.vault.Tree(ctx); err != nil {
		return nil, 0, wrap("read folders", err)
	}
	if err := s.checkFingerprint(ctx, p); err != nil {
		return nil, 0, err
	}
	var done []sync.Done
	for step, err := range s.journal.Steps(ctx, run) {
		if err != nil {
			return nil, 0, err
		}
		if step.Status != string(sync.StatusDone) {
			continue
		}
		switch sync.Op(step.Op) {
		case sync.OpRename, sync.OpMove, sync.OpArchive:
			done = append(done, sync.Done{Key: step.Key, From: step.From, To: step.To})
		case sync.OpCreate:
			created++
		}
	}
	world := sync.World{Tenant: s.cfg.ConnectWiseCompany, Vault: s.address, Tree: p.tree}
	p.Program, err = sync.Undo(world, s.vault.Names(), done, fmt.Sprint(onUndo, run))
	return p, created, err
}
