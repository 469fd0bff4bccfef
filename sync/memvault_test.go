package sync_test

import (
	"context"
	"maps"
	gosync "sync"

	"cwvault/sync"
	"cwvault/vault/vaulttest"
)

// The vault of these tests, and short names for what may go wrong with it.
type (
	memVault = vaulttest.Memory
	fault    = vaulttest.Failure
)

const (
	noFault           = vaulttest.NoFailure
	faultRefused      = vaulttest.FailRefused
	faultUnauthorized = vaulttest.FailUnauthorized
	faultCut          = vaulttest.FailCut
	faultLost         = vaulttest.FailLost
	faultHalfLost     = vaulttest.FailHalfLost
	faultNoMark       = vaulttest.FailNoMark
	faultStopped      = vaulttest.FailStopped
	faultDied         = vaulttest.FailDied
	faultHalfDied     = vaulttest.FailHalfDied
)

// newMemVault returns a vault that has a root and nothing in it.
func newMemVault() *memVault {
	v := vaulttest.NewMemory(testTenant)
	v.Root = "root"
	return v
}

// memJournal is what the real journal does for the core: it keeps the intents
// of creates until their end is known, and learns places when a run is over.
type memJournal struct {
	mu         gosync.Mutex
	vault      *memVault // when it is dead, so is the process
	known      map[sync.Key]sync.Place
	unfinished map[sync.Key]sync.Place
}

func newMemJournal(v *memVault) *memJournal {
	return &memJournal{vault: v, known: map[sync.Key]sync.Place{}, unfinished: map[sync.Key]sync.Place{}}
}

func (j *memJournal) clone(v *memVault) *memJournal {
	return &memJournal{vault: v, known: maps.Clone(j.known), unfinished: maps.Clone(j.unfinished)}
}

// write does something unless the process is dead.
func (j *memJournal) write(do func()) error {
	if j.vault.IsDead() {
		return vaulttest.ErrDead
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	do()
	return nil
}

func (j *memJournal) Begin(_ context.Context, _ int, s sync.Step, to sync.Place) error {
	return j.write(func() {
		if s.Op == sync.OpCreate && s.Key != sync.RootKey {
			j.unfinished[s.Key] = to
		}
	})
}

func (j *memJournal) End(_ context.Context, _ int, s sync.Step, _ sync.Place, r sync.Result) error {
	return j.write(func() {
		if !r.Unsettled && r.Status != sync.StatusSkipped {
			delete(j.unfinished, s.Key)
		}
	})
}

// close is the end of a run.
func (j *memJournal) close(p sync.Program, r sync.Report) {
	_ = j.write(func() { // a dead process does not come here
		for _, k := range p.Learned() {
			j.known[k.Key] = k.Place
		}
		for i, s := range p.Steps {
			if r.Results[i].Status == sync.StatusDone {
				j.known[s.Key] = p.Place(i)
				delete(j.unfinished, s.Key)
			}
		}
	})
}

// noRecord is a Recorder that keeps nothing.
type noRecord struct{}

func (noRecord) Begin(context.Context, int, sync.Step, sync.Place) error            { return nil }
func (noRecord) End(context.Context, int, sync.Step, sync.Place, sync.Result) error { return nil }
