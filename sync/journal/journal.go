// Package journal keeps what cwvault must remember between runs: the runs and
// their steps, the lease that lets one writer in, the last known place of each
// managed folder, pauses, failures, and the figures that the guards compare
// with. It lives in one SQLite file or in a PostgreSQL database.
//
// # An aid, not the truth
//
// The marks in the vault are the truth. A journal that is lost, empty or old
// costs history and the comparison with the last good run, never a customer's
// folder; only in a vault that cannot hold marks does it alone know the keys.
//
// # Guarantees
//
//   - What a method has written is on disk when it returns: it survives
//     kill -9 and, as far as the disk (and PostgreSQL's synchronous_commit)
//     keeps its word, a power cut.
//   - What a run writes is written under the lease, in the same transaction
//     that finds the lease still held; otherwise the method fails with
//     [ErrLost] and nothing has changed. See [Journal.Acquire].
//   - No error holds a password.
//
// # Choosing where
//
// SQLite needs a local disk: its write-ahead log does not work over a network
// file system. The file, its -wal and its -shm are readable by their owner
// only, and the latter two stay there while nobody has the journal open, so
// that reading it never has to make a file. Installations on several machines
// share a PostgreSQL database; a search_path parameter in the URL keeps two
// tenants in one database apart.
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

// What can be wrong, for errors.Is.
var (
	// ErrCorrupt: the SQLite file is not a database or is damaged.
	ErrCorrupt = errors.New("damaged; the journal is an aid and not the truth: move it away together with its -wal and -shm files " +
		"(or restore a backup, if the vault cannot hold marks) and the next run rebuilds it from the marks in the vault")
	// ErrVersion: the journal has a layout that this version of cwvault
	// cannot use, mostly because a newer version made it.
	ErrVersion = errors.New("unusable version")
	// ErrHeld: another run holds the lease; the error is a [*HeldError].
	ErrHeld = errors.New("another run holds the lease")
	// ErrLost: this journal does not hold the lease, or no longer. The run
	// must not change the vault any further.
	ErrLost = errors.New("the lease is lost")
	// ErrRemoved: the SQLite file, or the -wal or -shm beside it, was removed
	// or replaced since it was opened. It wraps ErrLost: another run may hold
	// the lease of the new file.
	ErrRemoved = fmt.Errorf("its files were removed or replaced while they were in use: %w", ErrLost)
	// ErrUsed: the plan has been used before.
	ErrUsed = errors.New("the plan has been used before; make a new one")
	// ErrNotFound: there is no such run or step.
	ErrNotFound = errors.New("not in the journal")
	// ErrReadOnly: the journal was opened with [OpenReadOnly].
	ErrReadOnly = errors.New("the journal was opened for reading only")
)

// Options are the things that a journal needs beside its place.
type Options struct {
	// Now is the clock that dates what is recorded. Nil means time.Now. The
	// lease does not depend on it where there is a better clock.
	Now func() time.Time
	// LeaseLife is how long a lease outlives its last renewal; 0 means 30
	// seconds. All who share a journal must agree on it. Shorter ones are for tests.
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

	files map[string]fs.FileInfo // of SQLite, as they were when they were opened; see removed

	life, renewal time.Duration // of the lease

	turn    chan struct{} // held by the one who commits; see write
	mu      gosync.Mutex
	pending []*write
	lease   *Lease
}

// Open opens the journal at state, a path or a postgres:// URL, and makes it or
// brings it up to date where necessary. The directory of the path must exist.
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

// OpenReadOnly opens the journal for commands that look: nothing is created or
// changed, and all methods that write fail with [ErrReadOnly]. Where there is
// no journal yet, all that is read is empty. A journal that an earlier version
// made is read as it is, so that one can look before the first run.
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
		err = errors.New("journal: no place given; CWVAULT_STATE is a path or a postgres:// URL")
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

// fail says which journal and which operation an error belongs to. Errors of
// this package's own that are complete by themselves pass as they are.
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
// taken while the caller looks at them.
func rows[T any](ctx context.Context, j *Journal, op string, scan func(func(...any) error) (T, error), statement string, args ...any) ([]T, error) {
	if j.db == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, longTimeout)
	defer cancel()
	all, err := query(ctx, j.db, scan, statement, args...)
	return all, j.fail(op, err)
}

// query reads all rows of a query. A nil querier has none.
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
