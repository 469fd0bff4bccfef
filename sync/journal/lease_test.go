package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOneHoldsTheLease(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx := t.Context()
		j, first := mustHold(t, state, nil)
		other := mustOpen(t, state, nil)

		_, err := other.Acquire(ctx, Self())
		var held *HeldError
		if !errors.As(err, &held) || !errors.Is(err, ErrHeld) {
			t.Fatalf("a second lease: %v", err)
		}
		if diff := cmp.Diff(Self(), held.Owner); diff != "" {
			t.Errorf("owner (-want +got):\n%s", diff)
		}
		if age := time.Since(held.Since); age < -time.Second || age > 5*time.Second {
			t.Errorf("held since %v", held.Since)
		}
		if left := time.Until(held.Expires); left < leaseLife-5*time.Second || left > leaseLife+time.Second {
			t.Errorf("expires in %v", left)
		}
		if text := err.Error(); !strings.Contains(text, "process "+strconv.Itoa(os.Getpid())+" on "+Self().Host) {
			t.Errorf("does not say who holds it: %s", text)
		}
		if _, err := j.Acquire(ctx, Self()); !errors.Is(err, ErrHeld) { // a page's button beside the schedule
			t.Errorf("a second lease of the same journal: %v", err)
		}
		ok(t, first.Check(ctx))

		// Without it nothing that belongs to a run is written.
		for name, err := range map[string]error{
			"StartRun": func() error { _, err := other.StartRun(ctx, Run{}); return err }(),
			"Begin":    other.Begin(ctx, mustStart(t, j), 0, StepRecord{}),
			"Conclude": other.Conclude(ctx, 1, Lessons{Finish: Finish{Outcome: "done"}, Places: []KnownPlace{{Key: "company/1"}}}),
		} {
			if !errors.Is(err, ErrLost) {
				t.Errorf("%s without the lease: %v", name, err)
			}
		}
		wantMemory(t, noMemory(), other)

		ended, cancel := context.WithCancel(ctx)
		cancel()
		ok(t, first.Release(ended)) // a signal ends the run
		ok(t, first.Release(ctx))
		second, err := other.Acquire(ctx, Self())
		ok(t, err)
		if second.fence <= first.fence {
			t.Errorf("fence %d after %d", second.fence, first.fence)
		}
		wantError(t, first.Check(ctx), ErrLost)
		ok(t, first.Release(ctx)) // not the other's
		ok(t, second.Check(ctx))
	})
}

// setLease changes the lease behind everybody's back.
func setLease(t *testing.T, j *Journal, assignments string, args ...any) {
	t.Helper()
	if _, err := j.db.Exec(`UPDATE cwvault_lease SET `+assignments, args...); err != nil {
		t.Fatal(err)
	}
}

// long ago on every clock, but not 0, which means that nobody holds it
const expired = `expires = 1, uptime = 1`

func TestStolenLeaseIsNoticed(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx := t.Context()
		j, l := mustHold(t, state, nil)
		run := mustStart(t, j)
		ok(t, j.Begin(ctx, run, 0, StepRecord{Op: "create", Key: "company/1"}))

		other := mustOpen(t, state, nil)
		setLease(t, other, expired)
		ok(t, l.Check(ctx)) // slept too long, but nobody came
		_, err := other.Acquire(ctx, Self())
		wantError(t, err, ErrHeld)

		setLease(t, other, expired)
		theirs, err := other.Acquire(ctx, Self())
		ok(t, err)
		wantError(t, j.Begin(ctx, run, 1, StepRecord{Op: "create", Key: "company/2"}), ErrLost)
		wantError(t, l.Check(ctx), ErrLost)
		select {
		case <-l.Lost():
		case <-time.After(5 * time.Second):
			t.Error("Lost is not closed")
		}
		// What had been begun is still recorded, and nothing else.
		ok(t, j.End(ctx, run, 0, "done", "70", ""))
		ok(t, j.FinishRun(ctx, run, Finish{Outcome: "failed"}))
		steps := 0
		for s, err := range other.Steps(ctx, run) {
			ok(t, err)
			if s.Seq != 0 || s.Status != "done" {
				t.Errorf("step %+v", s)
			}
			steps++
		}
		if steps != 1 {
			t.Errorf("%d steps, want 1", steps)
		}
		ok(t, l.Release(ctx))
		ok(t, theirs.Check(ctx))
	})
}

func TestCheckLease(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx := t.Context()
		j, other := mustOpen(t, state, nil), mustOpen(t, state, nil)
		wantError(t, j.CheckLease(ctx), ErrLost) // never had it
		l, err := j.Acquire(ctx, Self())
		ok(t, err)
		ok(t, j.CheckLease(ctx))
		wantError(t, other.CheckLease(ctx), ErrLost)

		setLease(t, other, expired)
		theirs, err := other.Acquire(ctx, Self())
		ok(t, err)
		wantError(t, j.CheckLease(ctx), ErrLost)
		ok(t, other.CheckLease(ctx))
		ok(t, l.Release(ctx))
		ok(t, theirs.Release(ctx))
		wantError(t, other.CheckLease(ctx), ErrLost)

		reader, err := OpenReadOnly(ctx, state, Options{})
		ok(t, err)
		defer reader.Close()
		wantError(t, reader.CheckLease(ctx), ErrLost)
	})
}

func TestLeaseTakenBetweenLookAndRenewal(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j, _ := mustHold(t, state, nil)
		tx, err := j.db.Begin()
		ok(t, err)
		defer tx.Rollback()
		r, err := j.readLease(t.Context(), tx)
		ok(t, err)
		ok(t, j.writeLease(t.Context(), tx, r))
		r.fence-- // what was read is no longer so
		wantError(t, j.writeLease(t.Context(), tx, r), ErrLost)
		ok(t, tx.Rollback())
	})
}

func TestIntentsRenewTheLease(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j, _ := mustHold(t, state, nil)
		run := mustStart(t, j)
		setLease(t, j, expired)
		ok(t, j.Begin(t.Context(), run, 0, StepRecord{}))
		_, err := mustOpen(t, state, nil).Acquire(t.Context(), Self())
		var held *HeldError
		if !errors.As(err, &held) || time.Until(held.Expires) < leaseLife*2/3 {
			t.Errorf("after an intent: %v", err)
		}
	})
}

func TestIdleLeaseIsRenewedUntilReleased(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		const life = time.Hour
		j, err := Open(t.Context(), state, Options{LeaseLife: life, LeaseRenewal: time.Millisecond})
		ok(t, err)
		defer j.Close()
		l, err := j.Acquire(t.Context(), Owner{Host: "elsewhere", PID: 1})
		ok(t, err)
		other, err := Open(t.Context(), state, Options{LeaseLife: life})
		ok(t, err)
		defer other.Close()
		for range 3 {
			setLease(t, other, expired)
			waitFor(t, "the renewal", func() bool {
				var expires int64
				ok(t, other.db.QueryRow(`SELECT expires FROM cwvault_lease`).Scan(&expires))
				return time.Until(time.UnixMilli(expires)) > life/2
			})
		}
		select {
		case <-l.Lost():
			t.Error("lost")
		default:
		}
		_, err = other.Acquire(t.Context(), Self())
		wantError(t, err, ErrHeld)
		ok(t, l.Release(t.Context()))
		_, err = other.Acquire(t.Context(), Self())
		ok(t, err)
	})
}

func TestLeaseTakenAgainByTheSameJournal(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j, first := mustHold(t, state, nil)
		setLease(t, j, expired)
		second, err := j.Acquire(t.Context(), Self())
		ok(t, err)
		wantError(t, first.Check(t.Context()), ErrLost)
		select {
		case <-first.Lost():
		default:
			t.Error("the former lease is not lost")
		}
		ok(t, first.Release(t.Context()))
		ok(t, second.Check(t.Context()))
	})
}

func TestLeaseThatCannotBeRenewedIsLost(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j, err := Open(t.Context(), state, Options{LeaseLife: 100 * time.Millisecond, LeaseRenewal: 10 * time.Millisecond})
		ok(t, err)
		defer j.Close()
		l, err := j.Acquire(t.Context(), Self())
		ok(t, err)
		// Somebody sits on the row.
		tx, err := mustOpen(t, state, nil).db.Begin()
		ok(t, err)
		defer tx.Rollback()
		_, err = tx.Exec(`UPDATE cwvault_lease SET fence = fence`)
		ok(t, err)
		select {
		case <-l.Lost():
		case <-time.After(writeTimeout / 2): // before the write that waits gives up
			t.Fatal("not noticed")
		}
		ok(t, tx.Rollback())
		wantError(t, l.Check(t.Context()), ErrLost)
		wantError(t, j.Begin(t.Context(), 1, 0, StepRecord{}), ErrLost)
	})
}

func TestKilledHolderIsReplacedAtOnce(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("which process is dead is known on Linux only; elsewhere the lease runs out, see doc of Acquire")
	}
	eachDatabase(t, func(t *testing.T, state string) {
		p := startChild(t, "hold", state)
		fence, err := strconv.ParseInt(p.line("held"), 10, 64)
		ok(t, err)
		j := mustOpen(t, state, nil)
		_, err = j.Acquire(t.Context(), Self())
		var held *HeldError
		if !errors.As(err, &held) || held.Owner.PID != p.cmd.Process.Pid {
			t.Fatalf("while it lives: %v", err)
		}
		ok(t, p.cmd.Process.Kill())
		_ = p.cmd.Wait()
		start := time.Now()
		l, err := j.Acquire(t.Context(), Self())
		ok(t, err)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if l.fence <= fence {
			t.Errorf("fence %d after %d", l.fence, fence)
		}
		ok(t, l.Check(t.Context()))
	})
}

func TestProcessesContend(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		const processes, rounds = 4, 10
		marker := filepath.Join(t.TempDir(), "inside")
		var all []*process
		for range processes { // all of them make the journal at once
			all = append(all, startChild(t, "contend", state, marker, strconv.Itoa(rounds)))
		}
		seen := map[string]bool{}
		for _, p := range all {
			for range rounds {
				fence := p.line("fence")
				if seen[fence] {
					t.Errorf("fence %s twice", fence)
				}
				seen[fence] = true
			}
			ok(t, p.cmd.Wait())
		}
		if len(seen) != processes*rounds {
			t.Errorf("%d leases, want %d", len(seen), processes*rounds)
		}
	})
}

func TestClockSetForwardLetsNobodyIn(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has an uptime clock here")
	}
	eachDatabase(t, func(t *testing.T, state string) {
		_, l := mustHold(t, state, nil)
		later := mustOpen(t, state, func() time.Time { return time.Now().Add(24 * time.Hour) })
		_, err := later.Acquire(t.Context(), Self())
		wantError(t, err, ErrHeld)
		ok(t, l.Check(t.Context()))
	})
}

func TestClockSetBackDoesNotKeepADeadHoldersLease(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j := mustOpen(t, state, nil)
		setLease(t, j, `fence = 7, host = 'elsewhere', pid = 1, boot = '', since = $1, expires = $1, uptime = 0`,
			time.Now().Add(48*time.Hour).UnixMilli())
		_, err := j.Acquire(t.Context(), Self())
		var held *HeldError
		if !errors.As(err, &held) || time.Until(held.Expires) > leaseLife+time.Second {
			t.Fatalf("first attempt: %v", err)
		}
		var expires int64
		ok(t, j.db.QueryRow(`SELECT expires FROM cwvault_lease`).Scan(&expires))
		if left := time.Until(time.UnixMilli(expires)); left > leaseLife+time.Second || left < leaseLife-5*time.Second {
			t.Errorf("the lease of the dead holder has %v to run", left)
		}
		// 30 seconds later
		setLease(t, j, `expires = $1`, time.Now().Add(-time.Second).UnixMilli())
		_, err = j.Acquire(t.Context(), Self())
		ok(t, err)
	})
}
