package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	gosync "sync"
	"time"
)

// leaseLife is the default of [Options.LeaseLife].
const leaseLife = 30 * time.Second

// Owner says which process holds the lease.
type Owner struct {
	Host string
	PID  int
	// Start is when the process started, in the machine's own unit. It
	// distinguishes the process from a later one with the same number. 0: unknown.
	Start int64
	// Boot identifies one uptime of one machine. Empty: unknown.
	Boot string
	// Space identifies the process namespace in which PID is valid: two
	// containers on one machine may both have a process 1. Empty: unknown.
	Space string
}

func (o Owner) String() string { return fmt.Sprintf("process %d on %s", o.PID, o.Host) }

// HeldError says who holds the lease. errors.Is finds [ErrHeld] in it.
type HeldError struct {
	Owner   Owner
	Since   time.Time
	Expires time.Time // unless the holder renews it, which it does while it lives
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%v: %s, since %s, until %s unless renewed", ErrHeld, e.Owner,
		e.Since.Format(time.RFC3339), e.Expires.Format(time.RFC3339))
}

func (e *HeldError) Unwrap() error { return ErrHeld }

// Lease is the right to write, held by this process until Release.
type Lease struct {
	j       *Journal
	fence   int64
	expiry  *time.Timer
	lost    chan struct{}
	lose    func() // closes lost, once
	stop    func() // ends the renewal, once
	stopped chan struct{}
}

// leaseRow is the lease in the database.
type leaseRow struct {
	fence          int64
	owner          Owner
	since, expires int64 // Unix milliseconds, by the clock of now
	uptime         int64 // milliseconds; the same as expires, on the uptime clock
	now            int64 // the database's clock, or Options.Now for SQLite
}

func (j *Journal) readLease(ctx context.Context, tx *sql.Tx) (leaseRow, error) {
	clock := j.dialect.clock
	if clock == "" {
		clock = fmt.Sprint(j.now().UnixMilli())
	}
	var r leaseRow
	err := tx.QueryRowContext(ctx, `SELECT fence, host, pid, start, boot, space, since, expires, uptime, `+clock+` FROM cwvault_lease`).Scan(
		&r.fence, (*text)(&r.owner.Host), &r.owner.PID, &r.owner.Start, &r.owner.Boot, &r.owner.Space, &r.since, &r.expires, &r.uptime, &r.now)
	return r, err
}

// left is how long the lease still lasts; zero or less if nobody holds it.
func (j *Journal) left(r leaseRow) time.Duration {
	if r.expires == 0 {
		return 0
	}
	// A SQLite file belongs to one machine. Until it reboots, its uptime is a clock
	// that nobody sets.
	if up, boot := uptime(); j.dialect.clock == "" && r.uptime > 0 && up > 0 && boot == r.owner.Boot {
		return time.Duration(r.uptime-up) * time.Millisecond
	}
	return time.Duration(r.expires-r.now) * time.Millisecond
}

// Acquire takes the lease for owner. It fails with a [*HeldError] if another
// process, or another part of this one, holds it. It does not wait. A lease is
// free in three cases:
//
//   - It was released.
//   - It was not renewed for 30 seconds ([Options.LeaseLife]).
//   - Its owner is a process of this machine that is certainly dead: host name,
//     uptime and process namespace are the same, and the process is gone.
//
// The lease is renewed in the background until Release or Close. The end of ctx
// does not end it: a run that stops still writes.
//
// # When clocks jump
//
// With PostgreSQL the database's clock measures the 30 seconds. With SQLite, on
// Linux, the machine's uptime does: nobody sets it, and it continues while the
// machine is suspended. On other systems, and after a reboot, the wall clock
// does.
//
// If such a clock is set forward, a live holder may lose its lease to another. So
// may a holder that slept for 30 seconds. The fencing number protects from both.
// It grows with each holder, and the transaction of every write compares it. So
// the former holder cannot record another intent, and without an intent it must
// not change the vault. When an intent is recorded, the lease lasts for more than
// 20 seconds. Only a change that the former holder sent within that time, and
// that takes longer, can still arrive.
//
// If a clock is set back, the first process that asks for a dead holder's lease
// shortens it to 30 seconds.
func (j *Journal) Acquire(ctx context.Context, owner Owner) (*Lease, error) {
	if j.readOnly {
		return nil, ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var held *HeldError
	var fence int64
	started := time.Now()
	err := j.commit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) error {
		held = nil
		// Changes nothing, but others wait here until this transaction ends.
		if _, err := tx.ExecContext(ctx, `UPDATE cwvault_lease SET fence = fence`); err != nil {
			return err
		}
		r, err := j.readLease(ctx, tx)
		if err != nil {
			return err
		}
		if left := j.left(r); left > 0 && !dead(r.owner) { // rule 14: a lease that is held is not taken; rule 14: unless its holder is dead
			held = &HeldError{Owner: r.owner, Since: fromMillis(r.since), Expires: fromMillis(r.now).Add(min(left, j.life))}
			if left > j.life { // the clock was set back; rule 14: a clock that was set back does not keep it for ever
				return j.writeLease(ctx, tx, r)
			}
			return nil
		}
		fence = r.fence + 1 // rule 14: each holder has a number of its own
		if _, err := tx.ExecContext(ctx, `UPDATE cwvault_lease SET fence = $1, host = $2, pid = $3, start = $4, boot = $5, space = $6, since = $7`,
			fence, text(owner.Host), owner.PID, owner.Start, owner.Boot, owner.Space, r.now); err != nil {
			return err
		}
		r.fence, r.owner = fence, owner
		return j.writeLease(ctx, tx, r)
	}})
	switch {
	case err != nil:
		return nil, j.fail("take the lease", err)
	case held != nil:
		return nil, held
	}

	l := &Lease{j: j, fence: fence, lost: make(chan struct{}), stopped: make(chan struct{})}
	l.lose = gosync.OnceFunc(func() { close(l.lost) })
	l.expiry = time.AfterFunc(j.life-time.Since(started), l.lose)
	stop := make(chan struct{})
	l.stop = gosync.OnceFunc(func() { close(stop) })
	j.mu.Lock()
	former := j.lease
	j.lease = l
	j.mu.Unlock()
	if former != nil { // it expired unnoticed; rule 14: whoever lost the lease without noticing is told
		former.lose()
	}
	go l.keep(stop)
	return l, nil
}

// writeLease renews the lease in row r for its whole life from now. It fails with
// ErrLost if the row has another fence by now.
func (j *Journal) writeLease(ctx context.Context, tx *sql.Tx, r leaseRow) error {
	var up int64
	if now, boot := uptime(); now > 0 && boot == r.owner.Boot {
		up = now + j.life.Milliseconds()
	}
	result, err := tx.ExecContext(ctx, `UPDATE cwvault_lease SET expires = $1, uptime = $2 WHERE fence = $3`,
		r.now+j.life.Milliseconds(), up, r.fence)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(ErrLost, err)
	}
	return nil
}

func (j *Journal) held() *Lease {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lease
}

// fence fails with ErrLost unless this journal holds the lease. It renews the
// lease when a quarter of its life has passed. The caller calls committed after it
// has committed the transaction.
func (j *Journal) fence(ctx context.Context, tx *sql.Tx) (committed func(), err error) {
	l := j.held()
	if l == nil { // rule 14: no lease, no write
		return nil, ErrLost
	}
	select {
	case <-l.lost:
		return nil, ErrLost
	default:
	}
	started := time.Now()
	r, err := j.readLease(ctx, tx)
	if err != nil {
		return nil, err
	}
	if r.fence != l.fence || r.expires == 0 { // rule 14: another holder's number ends the own lease
		l.lose()
		return nil, fmt.Errorf("%w to %s", ErrLost, r.owner)
	}
	// An idle holder's lease has less than this left at each renewal. A busy
	// holder renews with its writes, at most every 7.5 seconds.
	if left := j.left(r); j.life*3/4 < left && left <= j.life { // rule 14: a busy holder renews the lease
		return func() {}, nil
	}
	return func() { l.expiry.Reset(j.life - time.Since(started)) }, j.writeLease(ctx, tx, r)
}

// keep renews the lease until it is lost or Release is called.
func (l *Lease) keep(stop <-chan struct{}) {
	defer close(l.stopped)
	tick := time.NewTicker(l.j.renewal)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-l.lost:
			return
		case <-tick.C:
			// Any error except a lost lease may be gone at the next tick. If not,
			// the lease expires.
			_ = l.Check(context.Background()) // rule 14: an idle holder renews it too
		}
	}
}

// Check returns nil if, according to the database, the lease is held now and lasts
// for more than 20 seconds. Call it before each change to the vault: the process
// may have been paused since the last one. [Journal.Begin] checks the same.
func (l *Lease) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.j.held() != l {
		return ErrLost
	}
	err := l.j.commit(ctx, &write{fenced: true, do: func(context.Context, *sql.Tx) error { return nil }})
	return l.j.fail("check the lease", err)
}

// CheckLease is [Lease.Check] for callers without a Lease. It returns nil while
// this journal holds the lease, and an error wrapping [ErrLost] if it does not.
// After any other error the holder is unknown; do not change the vault then either.
func (j *Journal) CheckLease(ctx context.Context) error {
	l := j.held()
	if l == nil {
		return ErrLost
	}
	return l.Check(ctx)
}

// Lost is closed when another holder has taken the lease, or when the lease
// could not be renewed in time. The run must then stop changing the vault.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Release gives the lease back. It may be called more than once. If the lease
// is lost, it does nothing. It also works after ctx has ended.
func (l *Lease) Release(ctx context.Context) error {
	l.stop()
	<-l.stopped
	l.expiry.Stop()
	l.j.mu.Lock()
	mine := l.j.lease == l
	if mine {
		l.j.lease = nil
	}
	l.j.mu.Unlock()
	if !mine {
		return nil
	}
	_, err := l.j.exec(ctx, "release the lease", false, `UPDATE cwvault_lease SET expires = 0, uptime = 0 WHERE fence = $1`, l.fence)
	if errors.Is(err, ErrLost) { // the file was removed
		return nil
	}
	return err
}
