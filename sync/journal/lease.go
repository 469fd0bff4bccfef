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
	// Start is when the process started, in the machine's own unit, so that
	// another process that got the same number is told apart. 0: unknown.
	Start int64
	// Boot identifies one uptime of one machine. Empty: unknown.
	Boot string
	// Space identifies where on the machine PID is valid: two containers may
	// both have a process 1. Empty: unknown.
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

// leaseRow is the lease as the database has it.
type leaseRow struct {
	fence          int64
	owner          Owner
	since, expires int64 // Unix milliseconds, by the clock of now
	uptime         int64 // milliseconds; what expires is on the uptime clock
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

// left is how long the lease lasts yet; not positive when nobody holds it.
func (j *Journal) left(r leaseRow) time.Duration {
	if r.expires == 0 {
		return 0
	}
	// A SQLite file has one machine, and while that stays up its uptime is a
	// clock that nobody sets.
	if up, boot := uptime(); j.dialect.clock == "" && r.uptime > 0 && up > 0 && boot == r.owner.Boot {
		return time.Duration(r.uptime-up) * time.Millisecond
	}
	return time.Duration(r.expires-r.now) * time.Millisecond
}

// Acquire takes the lease for owner, or fails with a [*HeldError] if another
// process (or another part of this one) has it. A lease is free when it was
// released, when it was not renewed for 30 seconds, or when its owner was
// a process of this machine that is certainly dead; then the machine must have
// the same name and uptime and the same space of process numbers.
//
// The lease is renewed in the background until Release or Close, whatever
// happens to ctx: a run that is being stopped still writes.
//
// # What holds when clocks jump
//
// The 30 seconds are measured by the database's clock for PostgreSQL. For
// SQLite, which cannot be shared between machines, they are measured by the
// machine's uptime, which nobody sets and which goes on in a suspended machine;
// where the system offers none (other than Linux), or the machine was started
// anew in between, by the wall clock. Should such a clock be set forward, a
// lease may be taken from a holder that lives. That, and a holder that slept
// through the 30 seconds, is what the fencing number is for: it grows with each
// holder and is compared inside the transaction of every write, so that the
// former holder can record no further intent and must not touch the vault
// without one. After an intent is recorded the lease has more than 20 seconds to
// run; only a call to the vault that the former holder began within that time
// and that takes longer may still arrive. When a clock is set back, a dead
// holder's lease is cut to 30 seconds by the first who asks for it.
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
		// Changes nothing, but makes others wait here until this transaction ends.
		if _, err := tx.ExecContext(ctx, `UPDATE cwvault_lease SET fence = fence`); err != nil {
			return err
		}
		r, err := j.readLease(ctx, tx)
		if err != nil {
			return err
		}
		if left := j.left(r); left > 0 && !dead(r.owner) {
			held = &HeldError{Owner: r.owner, Since: fromMillis(r.since), Expires: fromMillis(r.now).Add(min(left, j.life))}
			if left > j.life { // the clock was set back
				return j.writeLease(ctx, tx, r)
			}
			return nil
		}
		fence = r.fence + 1
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
	if former != nil { // expired, and nobody had noticed
		former.lose()
	}
	go l.keep(stop)
	return l, nil
}

// writeLease lets the lease in row r last for its whole life from now. It fails with
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

// fence fails with ErrLost unless this journal holds the lease, and renews it
// when a quarter of it has gone. The function it returns is to be
// called after the transaction was committed.
func (j *Journal) fence(ctx context.Context, tx *sql.Tx) (committed func(), err error) {
	l := j.held()
	if l == nil {
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
	if r.fence != l.fence || r.expires == 0 {
		l.lose()
		return nil, fmt.Errorf("%w to %s", ErrLost, r.owner)
	}
	// Less than this is left of an idle holder's at each renewal, and of a busy
	// one's, which renews with its intents, after 7.5 seconds.
	if left := j.left(r); j.life*3/4 < left && left <= j.life {
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
			// An error other than a lost lease may pass; expiry ends the wait.
			_ = l.Check(context.Background())
		}
	}
}

// Check returns nil if the lease is held at this moment, according to the
// database, and has more than 20 seconds to run. After a long pause it is what
// must be asked before the vault is changed; [Journal.Begin] asks it too.
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

// CheckLease returns nil while this journal holds the lease, and an error
// wrapping [ErrLost] if it does not. After any other error it is not known who
// holds it. Ask before each change to the vault; see [Lease.Check].
func (j *Journal) CheckLease(ctx context.Context) error {
	l := j.held()
	if l == nil {
		return ErrLost
	}
	return l.Check(ctx)
}

// Lost is closed when the lease was taken by another, or could not be renewed
// in time. The run must then stop changing the vault.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Release gives the lease back. It may be called more than once, and does
// nothing if the lease is lost. It works also when ctx has ended.
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
	if errors.Is(err, ErrLost) { // with the file
		return nil
	}
	return err
}
