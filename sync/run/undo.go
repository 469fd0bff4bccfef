package run

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cwvault/sync"
	"cwvault/sync/journal"
)

// undoTrigger begins the trigger of runs that take back another.
const undoTrigger = "undo of run "

// IsUndo reports whether a run's trigger says that it takes back another.
func IsUndo(trigger string) bool { return strings.HasPrefix(trigger, undoTrigger) }

// ProposeUndo plans the inverse of a run's renames and moves, from the vault
// as it is and without asking ConnectWise. What the run created stays. It
// changes nothing, and needs no lease.
func (r *Runner) ProposeUndo(ctx context.Context, run int64) (*Proposal, error) {
	if _, err := r.Journal.Run(ctx, run); err != nil {
		return nil, err
	}
	p := &Proposal{Undoes: run, names: r.Vault.Names()}
	var err error
	p.Tree, err = r.readTree(ctx)
	r.Events.ReadAll()
	if err != nil {
		return nil, err
	}
	if p.memory, err = r.Journal.Recall(ctx); err != nil {
		return nil, err
	}
	if err := r.SameInstallation(p.memory, p.Tree); err != nil {
		return nil, err
	}
	var done []sync.Done
	for step, err := range r.Journal.Steps(ctx, run) {
		if err != nil {
			return nil, err
		}
		if step.Status != string(sync.StatusDone) {
			continue
		}
		switch sync.Op(step.Op) {
		case sync.OpRename, sync.OpMove, sync.OpArchive:
			done = append(done, sync.Done{Key: step.Key, From: step.From, To: step.To})
		case sync.OpCreate:
			p.Stays++
		}
	}
	world := sync.World{Tenant: r.Tenant, Vault: r.Installation.Vault, Tree: p.Tree}
	p.Program, err = sync.Undo(world, r.Vault.Names(), done, fmt.Sprint(undoTrigger, run))
	return p, err
}

// Undo takes back what a run renamed and moved, as far as the folders are still
// where it put them. The next run makes the changes again, unless ConnectWise
// or the settings change, or the companies are paused.
func (r *Runner) Undo(ctx context.Context, run int64, wait time.Duration) Ending {
	e := Ending{Trigger: fmt.Sprint(undoTrigger, run), Started: r.Clock()}
	e.Err = r.holdingLease(ctx, wait, func(ctx context.Context, lease *journal.Lease) (err error) {
		if e.Proposal, err = r.ProposeUndo(ctx, run); err != nil {
			return err
		}
		return r.apply(ctx, lease, &e)
	})
	e.Fix = r.fix(e.Err)
	return e
}
