// Package journal stores what cwvault must remember between runs: the runs and
// their steps, the lease that admits one writer, the last known place of each
// managed folder, pauses, failures, and the figures that the guards compare
// with. It uses one SQLite file or a PostgreSQL database.
//
// # The life of a run
//
// A run takes the lease with [Journal.Acquire], reads the memory of earlier runs
// with [Journal.Recall], and calls [Journal.StartRun]. It records each step twice:
// with [Journal.Begin] before it changes the vault, and with [Journal.End] after.
// At the end [Journal.Conclude] records all that the next run must know, in one
// transaction.
//
// # An aid, not the truth
//
// The marks in the vault are the truth. A lost, empty or old journal costs the
// history and the comparison with the last good run, but never a customer's
// folder. Only if a vault cannot store marks does the journal alone know the keys.
//
// # Guarantees
//
//   - When a method returns, what it has written is on disk. It survives
//     kill -9. It survives a power cut if the disk, or PostgreSQL with its
//     synchronous_commit, does not lie about what it has written.
//   - A run writes under the lease: the transaction that writes also verifies
//     that the lease is still held. Otherwise the method fails with [ErrLost] and
//     changes nothing. See [Journal.Acquire].
//   - No error contains a password.
//
// # Where to keep it
//
// SQLite needs a local disk: its write-ahead log does not work over a network
// file system. Only their owner can read the file, its -wal and its -shm. The
// latter two stay when nobody has the journal open, so that a reader never has to
// create a file. Installations on several machines share a PostgreSQL database; a
// search_path parameter in the URL separates two tenants in one database.
package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	gosync "sync"
	"time"
)

// The errors of this package, for errors.Is.
var (
	// ErrCorrupt: the SQLite file is not a database or is damaged.
	ErrCorrupt = errors.New("the file is damaged; move it away together with its -wal and -shm files, " +
		"and the next run rebuilds the journal from the marks in the vault (if the vault cannot hold marks, restore a backup instead)")
	// ErrVersion: this version of cwvault cannot use the journal's layout, usually
	// because a newer version made it.
	ErrVersion = errors.New("unsupported version")
	// ErrHeld: another run holds the lease; the error is a [*HeldError].
	ErrHeld = errors.New("another run holds the lease")
	// ErrLost: this journal does not hold the lease, or no longer does. The run
	// must stop changing the vault.
	ErrLost = errors.New("the lease is lost")
	// ErrRemoved: the SQLite file, or the -wal or -shm beside it, was removed
	// or replaced since it was opened. It wraps ErrLost: another run may hold
	// the lease of the new file.
	ErrRemoved = fmt.Errorf("its files were removed or replaced while they were in use: %w", ErrLost)
	// ErrUsed: the plan has been used before; see [Journal.PlanUsed].
	ErrUsed = errors.New("the plan has been used before; make a new one")
	// ErrNotFound: there is no such run or step.
	ErrNotFound = errors.New("not in the journal")
	// ErrReadOnly: the journal was opened with [OpenReadOnly].
	ErrReadOnly = errors.New("the journal is open for reading only")
)

// Options are what a journal needs besides its place. The zero value is right
// except for tests.
type Options struct {
	// Now is the clock for the times in records. Nil means time.Now. The lease
	// uses a better clock if there is one.
	Now func() time.Time
	// LeaseLife is how long a lease outlives its last renewal; 0 means 30
	// seconds. All who share a journal must use the same. It must be longer than
	// any transaction takes, and a transaction may take 20 seconds.
	LeaseLife time.Duration
	// LeaseRenewal is how often an idle holder renews its lease; 0 means three
	// times in LeaseLife.
	LeaseRenewal time.Duration
}

// Journal is an open journal. Its methods may be called from several
// goroutines at once.
type Journal struct {
	name     string  // for errors: the path, or the URL without user and password
	db       *sql.DB // nil when opened for reading and there is no journal yet
	dialect  dialect
	now      func() time.Time
	readOnly bool

	files map[string]fs.FileInfo // SQLite's files when they were opened; see removed

	life, renewal time.Duration // of the lease

	turn    chan struct{} // held by the caller that commits; see write
	mu      gosync.Mutex
	pending []*write
	lease   *Lease
}

// Open opens the journal at state, a path or a postgres:// URL. It creates or
// updates the journal if necessary. The directory of the path must exist.
func Open(ctx context.Context, state string, opt Options) (*Journal, error) {
	j, err := open(ctx, state, opt, false)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, j.db, j.dialect, migrations); err != nil {
		return nil, errors.Join(j.fail("open", err), j.Close())
	}
	for path := range j.files {
		if j.files[path], err = os.Stat(path); err != nil {
			return nil, errors.Join(j.fail("open", err), j.Close())
		}
	}
	return j, nil
}

// OpenReadOnly opens the journal for commands that only read. It creates and
// changes nothing, and all methods that write fail with [ErrReadOnly]. If there
// is no journal yet, all reads are empty. It reads a journal of an earlier version
// as it is.
func OpenReadOnly(ctx context.Context, state string, opt Options) (*Journal, error) {
	j, err := open(ctx, state, opt, true)
	if err != nil || j.db == nil {
		return j, err
	}
	version, err := schemaVersion(ctx, j.db, j.dialect, len(migrations))
	switch {
	case err != nil:
		return nil, errors.Join(j.fail("open", err), j.Close())
	case version == 0:
		err = j.Close()
		j.db = nil
		return j, err
	}
	return j, nil
}

func open(ctx context.Context, state string, opt Options, readOnly bool) (*Journal, error) {
	j := &Journal{now: opt.Now, readOnly: readOnly, life: opt.LeaseLife, renewal: opt.LeaseRenewal, turn: make(chan struct{}, 1)}
	if j.now == nil {
		j.now = time.Now
	}
	if j.life <= 0 {
		j.life = leaseLife
	}
	if j.renewal <= 0 {
		j.renewal = j.life / 3
	}
	var err error
	scheme, _, isURL := strings.Cut(state, "://")
	switch {
	case state == "":
		err = errors.New("journal: CWVAULT_STATE is empty; set it to a path or a postgres:// URL")
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		err = j.openPostgres(ctx, state)
	case isURL || strings.HasPrefix(state, "file:") || state == ":memory:":
		err = errors.New("journal: CWVAULT_STATE must be a plain path or a postgres:// URL")
	default:
		err = j.openSQLite(ctx, state)
	}
	if err != nil {
		return nil, err
	}
	return j, nil
}

// Close releases the lease if it is held, and closes the journal.
func (j *Journal) Close() error {
	if j.db == nil {
		return nil
	}
	var released error
	if l := j.held(); l != nil {
		released = l.Release(context.Background())
	}
	return errors.Join(released, j.fail("close", j.db.Close()))
}

// fail adds to an error which journal and which operation it belongs to.
func (j *Journal) fail(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case isDamage(err):
		return fmt.Errorf("journal %s: %s: %w (%v)", j.name, op, ErrCorrupt, err)
	}
	return fmt.Errorf("journal %s: %s: %w", j.name, op, err)
}

// rows reads all rows of a query into memory, so that no connection stays
// busy while the caller works with them.
func rows[T any](ctx context.Context, j *Journal, op string, scan func(func(...any) error) (T, error), statement string, args ...any) ([]T, error) {
	if j.db == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, longTimeout)
	defer cancel()
	all, err := query(ctx, j.db, scan, statement, args...)
	return all, j.fail(op, err)
}

// query reads all rows of a query. A nil querier has no rows.
func query[T any](ctx context.Context, q querier, scan func(func(...any) error) (T, error), statement string, args ...any) ([]T, error) {
	if q == nil {
		return nil, nil
	}
	rs, err := q.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	var all []T
	for rs.Next() {
		one, err := scan(rs.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rs.Err()
}
