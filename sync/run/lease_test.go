package run

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cwvault/sync"
	"cwvault/sync/journal"
)

// countingVault counts the changes that get through to it. An update goes on
// until its context ends, though not for ever.
type countingVault struct {
	sync.Vault
	calls    int
	updating chan struct{}
}

func (v *countingVault) CreateRoot(context.Context) (f sync.Folder, err error) {
	v.calls++
	return f, nil
}

func (v *countingVault) Create(context.Context, string, string, sync.Mark) (f sync.Folder, err error) {
	v.calls++
	return f, nil
}

func (v *countingVault) Mark(context.Context, string, sync.Mark) error {
	v.calls++
	return nil
}

func (v *countingVault) Update(ctx context.Context, _, _, _ string) (f sync.Folder, err error) {
	v.calls++
	close(v.updating)
	select {
	case <-ctx.Done():
		return f, context.Cause(ctx)
	case <-time.After(10 * time.Second):
		return f, errors.New("nobody has ended it")
	}
}

// expire makes the lease in a journal one that has run out.
func expire(t *testing.T, state string) {
	t.Helper()
	db, err := sql.Open("sqlite", state)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE cwvault_lease SET expires = 1, uptime = 1`); err != nil {
		t.Fatal(err)
	}
}

// TestFencedVault sees that every change asks for the lease, and that one under
// way ends when the lease is lost.
func TestFencedVault(t *testing.T) {
	state := filepath.Join(t.TempDir(), "cwvault.db")
	acquire := func() *journal.Lease {
		j, err := journal.Open(t.Context(), state, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { j.Close() })
		lease, err := j.Acquire(t.Context(), journal.Self())
		if err != nil {
			t.Fatal(err)
		}
		return lease
	}
	v := &countingVault{updating: make(chan struct{})}
	f := fencedVault{v, acquire(), t.Context()}
	changes := map[string]func() error{
		"create root": func() error { _, err := f.CreateRoot(t.Context()); return err },
		"create":      func() error { _, err := f.Create(t.Context(), "1", "x", sync.Mark{}); return err },
		"mark":        func() error { return f.Mark(t.Context(), "1", sync.Mark{}) },
	}
	for what, change := range changes {
		if err := change(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	changes["update"] = func() error { _, err := f.Update(t.Context(), "1", "1", "x"); return err }
	ended := make(chan error)
	go func() { ended <- changes["update"]() }()
	<-v.updating
	expire(t, state)
	acquire()
	for what, change := range changes {
		if err := change(); !errors.Is(err, journal.ErrLost) {
			t.Errorf("%s with the lease lost: %v", what, err)
		}
	}
	if err := <-ended; !errors.Is(err, journal.ErrLost) {
		t.Errorf("the update under way: %v", err)
	}
	if v.calls != len(changes) {
		t.Errorf("%d changes, want %d", v.calls, len(changes))
	}
}

// TestFencedVaultIsBounded sees that a stopped run that has had its time sends
// nothing any more, not even a question.
func TestFencedVaultIsBounded(t *testing.T) {
	j, err := journal.Open(t.Context(), filepath.Join(t.TempDir(), "cwvault.db"), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	lease, err := j.Acquire(t.Context(), journal.Self())
	if err != nil {
		t.Fatal(err)
	}
	late, cut := context.WithCancelCause(t.Context())
	cut(ErrCutOff)
	v := &countingVault{updating: make(chan struct{})}
	f := fencedVault{v, lease, late}
	_, created := f.Create(t.Context(), "1", "x", sync.Mark{})
	_, found := f.Find(t.Context(), "1", "x") // of countingVault, it would panic
	if !errors.Is(created, ErrCutOff) || !errors.Is(found, ErrCutOff) || v.calls != 0 {
		t.Errorf("%v, %v, %d calls", created, found, v.calls)
	}
}

// TestAfterStop gives a stopped run some time, and no more.
func TestAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		late, done := afterStop(ctx, time.Minute)
		time.Sleep(time.Hour)
		if late.Err() != nil {
			t.Error("it ends by itself")
		}
		stop()
		time.Sleep(59 * time.Second)
		if late.Err() != nil {
			t.Error("it ends too early")
		}
		time.Sleep(2 * time.Second)
		if !errors.Is(context.Cause(late), ErrCutOff) {
			t.Errorf("it ends with %v", context.Cause(late))
		}
		done()
	})
}

func TestAcquire(t *testing.T) {
	open := func(state string) *journal.Journal {
		j, err := journal.Open(t.Context(), state, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { j.Close() })
		return j
	}
	state := filepath.Join(t.TempDir(), "cwvault.db")
	mine, theirs := open(state), open(state)
	runnerOf := func(j *journal.Journal) *Runner { return New(Options{Journal: j}) }
	lease, err := runnerOf(theirs).acquire(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := runnerOf(mine).acquire(t.Context(), 0); !errors.Is(err, journal.ErrHeld) {
		t.Errorf("without waiting: %v", err)
	}
	began := time.Now()
	if _, err := runnerOf(mine).acquire(t.Context(), 700*time.Millisecond); !errors.Is(err, journal.ErrHeld) || time.Since(began) < 700*time.Millisecond {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := runnerOf(mine).acquire(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), journal.Self().String()) {
		t.Errorf("stopped while it waits: %v", err)
	}
	released := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() { released <- lease.Release(t.Context()) })
	lease, err = runnerOf(mine).acquire(t.Context(), time.Minute)
	if err != nil {
		t.Fatalf("when it is free: %v", err)
	}
	if err := errors.Join(<-released, lease.Release(t.Context())); err != nil {
		t.Error(err)
	}
}
