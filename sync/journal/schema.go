package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// dialect holds the differences between the two databases once they are open. Both
// use $1 for a parameter and know ON CONFLICT.
type dialect struct {
	bytes  string // column type for bytes
	tables string // query for the names of all tables beside the journal's
	lock   string // statement that keeps other processes from migrating until the transaction ends
	clock  string // expression for the database's own clock in Unix milliseconds; empty: it has none
	alone  bool   // the database holds nothing but the journal
}

// migrations[i] turns layout i into layout i+1. Never edit a released one: a new
// layout is a new line, with a fixture of the layout before it in testdata.
// Commands that only read use any layout as it is, so their queries must work with
// all. BYTES stands for the dialect's type. Times are Unix milliseconds, 0 for
// none.
//
// The column gone of cwvault_place is always 0; nothing reads it.
var migrations = []string{`
CREATE TABLE cwvault_meta (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
);
CREATE TABLE cwvault_lease (
	id      BIGINT PRIMARY KEY CHECK (id = 1),
	fence   BIGINT NOT NULL, -- grows with each holder
	host    TEXT NOT NULL,
	pid     BIGINT NOT NULL,
	start   BIGINT NOT NULL,
	boot    TEXT NOT NULL,
	space   TEXT NOT NULL,
	since   BIGINT NOT NULL,
	expires BIGINT NOT NULL, -- 0 when nobody holds it
	uptime  BIGINT NOT NULL  -- the same on the machine's uptime clock, 0 when it was not to be had
);
INSERT INTO cwvault_lease VALUES (1, 0, '', 0, 0, '', '', 0, 0, 0);
CREATE TABLE cwvault_plan (
	hash TEXT PRIMARY KEY,
	body BYTES NOT NULL -- gzip
);
CREATE TABLE cwvault_run (
	id        BIGINT PRIMARY KEY,
	cause     TEXT NOT NULL,
	plan_id   TEXT NOT NULL,
	plan      TEXT REFERENCES cwvault_plan (hash),
	tenant    TEXT NOT NULL,
	vault     TEXT NOT NULL,
	root      TEXT NOT NULL,
	started   BIGINT NOT NULL,
	finished  BIGINT NOT NULL,
	outcome   TEXT NOT NULL, -- '' while it runs
	good      BIGINT NOT NULL,
	companies BIGINT NOT NULL,
	counts    TEXT NOT NULL,
	error     TEXT NOT NULL
);
CREATE TABLE cwvault_step (
	run       BIGINT NOT NULL REFERENCES cwvault_run (id) ON DELETE CASCADE,
	seq       BIGINT NOT NULL,
	op        TEXT NOT NULL,
	key       TEXT NOT NULL,
	folder_id TEXT NOT NULL,
	parent_id TEXT NOT NULL,
	name      TEXT NOT NULL,
	from_path TEXT NOT NULL,
	to_path   TEXT NOT NULL,
	status    TEXT NOT NULL, -- '' between intent and result
	error     TEXT NOT NULL,
	began     BIGINT NOT NULL,
	ended     BIGINT NOT NULL,
	PRIMARY KEY (run, seq)
);
CREATE INDEX cwvault_step_open ON cwvault_step (run) WHERE status = '';
CREATE TABLE cwvault_place (
	key        TEXT PRIMARY KEY,
	folder_id  TEXT NOT NULL,
	parent_key TEXT NOT NULL,
	name       TEXT NOT NULL,
	path       TEXT NOT NULL,
	gone       BIGINT NOT NULL
);
CREATE TABLE cwvault_used (
	plan_id TEXT PRIMARY KEY,
	at      BIGINT NOT NULL
);
CREATE TABLE cwvault_pause (
	key    TEXT PRIMARY KEY,
	reason TEXT NOT NULL,
	since  BIGINT NOT NULL
);
CREATE TABLE cwvault_failure (
	key   TEXT PRIMARY KEY,
	count BIGINT NOT NULL,
	first BIGINT NOT NULL,
	last  BIGINT NOT NULL,
	next  BIGINT NOT NULL,
	error TEXT NOT NULL
);
CREATE TABLE cwvault_want (
	key   TEXT PRIMARY KEY,
	place TEXT NOT NULL,
	since BIGINT NOT NULL
);
`, `
CREATE TABLE cwvault_ticket (
	problem TEXT PRIMARY KEY,
	ticket  BIGINT NOT NULL, -- 0 while there is none
	since   BIGINT NOT NULL,
	solved  BIGINT NOT NULL, -- 0 while it lasts
	seen    BIGINT NOT NULL,
	mark    TEXT NOT NULL,
	items   TEXT NOT NULL, -- JSON
	claimed BIGINT NOT NULL -- until when somebody works on it
);
`}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schemaVersion returns the layout's number, 0 for a database without a
// journal, or an error wrapping ErrVersion if it is beyond newest.
func schemaVersion(ctx context.Context, q querier, d dialect, newest int) (int, error) {
	rs, err := q.QueryContext(ctx, d.tables)
	if err != nil {
		return 0, err
	}
	defer rs.Close()
	found, others := false, false
	for rs.Next() {
		var name string
		if err := rs.Scan(&name); err != nil {
			return 0, err
		}
		found = found || name == "cwvault_meta"
		others = true
	}
	if err := rs.Err(); err != nil {
		return 0, err
	}
	if !found {
		if others && d.alone {
			return 0, errors.New("this is another program's database; set CWVAULT_STATE to a file that only cwvault uses")
		}
		return 0, nil
	}

	var text string
	if err := q.QueryRowContext(ctx, `SELECT value FROM cwvault_meta WHERE name = 'layout'`).Scan(&text); err != nil {
		return 0, fmt.Errorf("read its layout number: %w", err)
	}
	version, err := strconv.Atoi(text)
	if err != nil || version < 1 {
		return 0, fmt.Errorf("%w: layout %q", ErrVersion, text)
	}
	if version > newest {
		return 0, fmt.Errorf("%w: a newer cwvault made layout %d, this one knows layouts up to %d; use the newer cwvault, or set CWVAULT_STATE to another place",
			ErrVersion, version, newest)
	}
	return version, nil
}

// migrate brings the database to the layout after the last migration in list. On
// an error it changes nothing. If several processes try at once, one of them does
// it.
func migrate(ctx context.Context, db *sql.DB, d dialect, list []string) error {
	ctx, cancel := context.WithTimeout(ctx, longTimeout)
	defer cancel()
	if version, err := schemaVersion(ctx, db, d, len(list)); err != nil || version == len(list) {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	if d.lock != "" {
		if _, err := tx.ExecContext(ctx, d.lock); err != nil {
			return err
		}
	}
	version, err := schemaVersion(ctx, tx, d, len(list))
	if err != nil || version == len(list) {
		return err
	}
	for i := version; i < len(list); i++ {
		if _, err := tx.ExecContext(ctx, strings.ReplaceAll(list[i], "BYTES", d.bytes)); err != nil {
			return fmt.Errorf("migrate to layout %d: %w", i+1, err)
		}
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO cwvault_meta (name, value) VALUES ('layout', $1)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, strconv.Itoa(len(list))); err != nil {
		return err
	}
	return tx.Commit()
}
