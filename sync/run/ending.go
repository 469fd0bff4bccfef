package run

import (
	"cmp"
	"slices"
	"time"

	"cwvault/sync"
	"cwvault/sync/report"
)

// Ending is how a run ended. It is a value: what follows from it (an exit code,
// a ticket, what a page shows) is decided elsewhere and without asking anybody.
type Ending struct {
	Request Request
	Trigger string
	Started time.Time
	// Number is the run's in the journal; 0: the journal knows nothing of it.
	Number int64
	// Proposal is what was to be done; nil: the run ended before that was known.
	Proposal *Proposal
	// Run is what was done; nil: the run ended before its first step.
	Run *report.Run
	// Err is why the run ended before its first step. With a Run, it can only be
	// that the lease was lost.
	Err error
	// Fix says what to do about Err; empty: Err says it, or nobody knows.
	Fix string
	// Lost says that another run took over, mostly while this one was paused.
	Lost error

	results []sync.Result
}

// Cause returns why the run ended before its first step, or lost its lease.
func (e Ending) Cause() Cause { return CauseOf(e.Err) }

// Outcome returns how the run ended in one word.
func (e Ending) Outcome() report.Outcome {
	if e.Run == nil {
		return report.Failed
	}
	return e.Run.Outcome
}

// Text returns what went wrong, in words; empty if nothing did.
func (e Ending) Text() string {
	switch {
	case e.Run != nil:
		return e.Run.Error
	case e.Err != nil:
		return withFix(e.Err, e.Fix)
	}
	return ""
}

func withFix(err error, fix string) string {
	if fix == "" {
		return err.Error()
	}
	return err.Error() + "; " + fix
}

// Inconclusive reports whether nothing follows from how the run went: it was
// stopped, another one took over, or it ended before its first step.
func (e Ending) Inconclusive() bool {
	return e.Run == nil || e.Lost != nil || e.Run.Outcome == report.Stopped
}

// Whole reports whether the run would have seen every problem there is, so that
// those it did not see are gone. One that takes back another has not looked.
func (e Ending) Whole() bool {
	return !e.Inconclusive() && !e.Request.Partial() && !IsUndo(e.Trigger)
}

// Tree returns the tree as the run left it: as it was read, with the steps that
// were made.
func (e Ending) Tree() sync.Tree {
	if e.Proposal == nil {
		return sync.Tree{}
	}
	t := e.Proposal.Tree
	if e.Run == nil {
		return t
	}
	t.Folders = slices.Clone(t.Folders)
	index := make(map[string]int, len(t.Folders))
	ids := map[sync.Key]string{}
	for i, f := range t.Folders {
		index[f.ID] = i
		if f.Mark.Tenant == e.Proposal.Tenant {
			ids[f.Mark.Key] = f.ID
		}
	}
	steps := e.Proposal.Steps
	for i, step := range steps {
		id := cmp.Or(step.FolderID, e.results[i].FolderID)
		if e.results[i].Status != sync.StatusDone || id == "" {
			continue
		}
		if step.Key == sync.RootKey {
			t.Root.ID = id
			continue
		}
		ids[step.Key] = id
		if _, ok := index[id]; !ok {
			index[id] = len(t.Folders)
			t.Folders = append(t.Folders, sync.Folder{ID: id})
		}
		t.Folders[index[id]].Mark = sync.Mark{Tenant: e.Proposal.Tenant, Key: step.Key}
	}
	ids[sync.RootKey] = t.Root.ID
	for i, step := range steps {
		if at, ok := index[ids[step.Key]]; ok && e.results[i].Status == sync.StatusDone {
			place := e.Proposal.Place(i)
			t.Folders[at].Name, t.Folders[at].ParentID = place.Name, ids[place.Parent]
		}
	}
	return t
}
