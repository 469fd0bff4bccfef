package journal

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

func (j *Journal) openPostgres(ctx context.Context, state string) error {
	// The parser's error may quote part of a password that was not encoded, so
	// none of it is shown.
	malformed := errors.New("journal: CWVAULT_STATE is not a valid postgres:// URL; percent-encode characters such as @ / # ? in user and password, " +
		"and check sslmode and the certificate files")
	_, rest, _ := strings.Cut(state, "://")
	authority := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority = rest[:i]
	}
	u, err := url.Parse(state)
	// Parsers disagree about a stray @: one reads a host where another reads the
	// end of the password.
	if err != nil || strings.Contains(rest, "#") || strings.Count(rest, "@") > strings.Count(authority, "@") || strings.Count(authority, "@") > 1 {
		return malformed
	}
	config, err := pgx.ParseConfig(state)
	if err != nil {
		return malformed
	}
	j.name = "postgres://" + u.Host + u.EscapedPath()
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "cwvault"
	}
	j.dialect = dialect{
		bytes:  "BYTEA",
		tables: `SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()`,
		lock:   `SELECT pg_advisory_xact_lock(4857142135)`, // any number, the same in all versions
		clock:  `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`,
	}
	j.db = stdlib.OpenDB(*config)
	j.db.SetMaxOpenConns(4)
	ctx, cancel := context.WithTimeout(ctx, longTimeout)
	defer cancel()
	if err := j.db.PingContext(ctx); err != nil {
		return errors.Join(j.fail("open", err), j.db.Close())
	}
	return nil
}
