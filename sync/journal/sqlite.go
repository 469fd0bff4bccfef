package journal

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// busyTimeout is how long a writer waits for another process's transaction. Our
// longest transaction writes all places and takes a few seconds.
const busyTimeout = 10 * time.Second

func (j *Journal) openSQLite(ctx context.Context, path string) error {
	j.name = path
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("journal %s: %w", path, err)
	}
	j.dialect = dialect{
		bytes:  "BLOB",
		tables: `SELECT name FROM sqlite_master WHERE type = 'table'`,
		alone:  true,
	}

	var parameters string
	if j.readOnly {
		mode, err := readMode(abs)
		if err != nil {
			return j.fail("open", err)
		}
		if mode == "" {
			return nil
		}
		parameters = mode
	} else {
		if err := createPrivate(abs); err != nil {
			return j.fail("open", err)
		}
		j.files = map[string]fs.FileInfo{abs: nil, abs + "-wal": nil, abs + "-shm": nil}
		// mode=rw: SQLite must not create the file, because it would choose the mode.
		parameters = "mode=rw&_txlock=immediate&_pragma=journal_mode(wal)&_pragma=synchronous(full)" +
			"&_pragma=foreign_keys(1)&_pragma=journal_size_limit(1048576)"
	}
	parameters += fmt.Sprintf("&_pragma=busy_timeout(%d)", busyTimeout.Milliseconds())
	slashed := filepath.ToSlash(abs)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // C:/...
	}
	j.db = sql.OpenDB(connector{"file://" + (&url.URL{Path: slashed}).EscapedPath() + "?" + parameters})
	// One connection: the process's writers queue in Go, which is fair, and not in
	// SQLite, which polls.
	j.db.SetMaxOpenConns(1)

	// The switch to write-ahead logging does not wait for another process that
	// switches at the same moment.
	for deadline := time.Now().Add(busyTimeout); ; {
		err = j.db.PingContext(ctx)
		if sqliteCode(err) != sqlite3.SQLITE_BUSY || time.Now().After(deadline) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	var verdict string
	if err == nil { // 40 ms for 100,000 places
		err = j.db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict)
	}
	if err == nil && verdict != "ok" {
		err = fmt.Errorf("%w (%s)", ErrCorrupt, verdict)
	}
	if err != nil {
		if isDenied(err) {
			err = fmt.Errorf("%w; the account that runs cwvault must own the file, its -wal and its -shm, and must be able to write to their directory", err)
		}
		return errors.Join(j.fail("open", err), j.db.Close())
	}
	return nil
}

// createPrivate creates the file if it is missing and removes other people's
// access to existing files. It never opens an existing file: closing it would drop
// the locks that SQLite may hold on it in this process.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; create the directory, or set CWVAULT_STATE to another place", err)
	case !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w; the account that runs cwvault must be able to write there, or set CWVAULT_STATE to another place", err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return errors.New("not a regular file; set CWVAULT_STATE to a file")
		case info.Mode().Perm()&0o077 == 0:
			continue
		}
		if err := os.Chmod(path+suffix, info.Mode().Perm()&^0o077); err != nil {
			return fmt.Errorf("%w; other users can read the file: give it mode 600, or make the account that runs cwvault its owner", err)
		}
	}
	return nil
}

// readMode returns the parameters for SQLite to open the file for reading without
// creating another file beside it, or "" if there is no journal.
func readMode(path string) (string, error) {
	size := func(suffix string) (int64, error) {
		info, err := os.Stat(path + suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return -1, nil
		case err != nil:
			return 0, err
		case !info.Mode().IsRegular():
			return 0, errors.New("not a regular file; set CWVAULT_STATE to a file")
		}
		return info.Size(), nil
	}
	db, err := size("")
	if err != nil {
		return "", err
	}
	wal, err := size("-wal")
	if err != nil {
		return "", err
	}
	shm, err := size("-shm")
	if err != nil {
		return "", err
	}
	switch {
	case db <= 0 && wal <= 0:
		return "", nil
	case wal > 0, wal == 0 && shm >= 0:
		return "mode=ro", nil
	}
	// A database without its log, for instance from a backup. A writer would have
	// created the log, so nobody is writing.
	return "mode=ro&immutable=1", nil
}

// connector opens connections that leave -wal and -shm in place when the last
// one closes; see readMode.
type connector struct{ name string }

func (c connector) Driver() driver.Driver { return &sqlite.Driver{} }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.name)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(sqlite.FileControl).FileControlPersistWAL("main", 1); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// isDamage reports whether SQLite says that the file is inconsistent or no
// database.
func isDamage(err error) bool {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}

// sqliteCode returns the primary result code, or SQLITE_OK if the error is not
// SQLite's.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return sqlite3.SQLITE_OK
	}
	return e.Code() & 0xff
}

// isDenied reports whether SQLite could not open the file or could not write to
// it.
func isDenied(err error) bool {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return true
	}
	return false
}

// removed reports whether the SQLite files were replaced or removed since they
// were opened. A run that still used them would not see the next run's lease, and
// the next run would not see its lease.
func (j *Journal) removed() bool {
	for path, opened := range j.files {
		if info, err := os.Stat(path); err != nil || !os.SameFile(info, opened) {
			return true
		}
	}
	return false
}
