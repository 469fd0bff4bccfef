package journal

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// childEnv names the variable that makes the test binary play another process.
const childEnv = "CWVAULT_JOURNAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childEnv); role != "" {
		child(role, os.Args[1:])
		return
	}
	code := m.Run()
	stopPostgres()
	os.Exit(code)
}

// serverEnv names the variable with the URL of a server for the tests.
const serverEnv = "CWVAULT_TEST_POSTGRES"

// eachDatabase runs the test on a new SQLite file and in a new schema of
// PostgreSQL, beside other tests.
func eachDatabase(t *testing.T, test func(t *testing.T, state string)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newSQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, newPostgres(t))
	})
}

func newSQLite(t testing.TB) string { return filepath.Join(t.TempDir(), "cwvault.db") }

var schemas atomic.Int64

func newPostgres(t testing.TB) string {
	t.Helper()
	server, err := startPostgres()
	if errors.Is(err, errNoPostgres) {
		t.Skip(err)
	}
	ok(t, err)
	schema := fmt.Sprintf("journal_test_%d_%d", os.Getpid(), schemas.Add(1))
	sqlExec(t, server, `CREATE SCHEMA `+schema)
	if os.Getenv(serverEnv) != "" { // otherwise it ends with the server
		t.Cleanup(func() { sqlExec(t, server, `DROP SCHEMA `+schema+` CASCADE`) })
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

func sqlExec(t testing.TB, server, query string) {
	t.Helper()
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

var errNoPostgres = errors.New("no PostgreSQL: apt-get install postgresql, or set " + serverEnv + " to the URL of a server")

var (
	postgresStdin io.Closer
	postgresDone  chan struct{}
)

// startPostgres returns the URL of the server that CWVAULT_TEST_POSTGRES
// names, or of a cluster of its own that listens only on a socket in a private
// directory and ends with this process, however that ends.
var startPostgres = gosync.OnceValues(func() (string, error) {
	if server := os.Getenv(serverEnv); server != "" {
		return server, nil
	}
	bin := ""
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path)
		if err != nil {
			return "", err
		}
		bin = filepath.Dir(path)
	} else if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) > 0 {
		bin = filepath.Dir(found[len(found)-1])
	} else {
		return "", errNoPostgres
	}
	dir, err := os.MkdirTemp("", "cwvault-pg")
	if err != nil {
		return "", err
	}
	fsync := "off" // no test turns the machine off, but benchmarks measure what a run has to wait for
	if f := flag.Lookup("test.bench"); f != nil && f.Value.String() != "" {
		fsync = "on"
	}
	cmd := exec.Command("sh", "-c", `
		"$0/initdb" -D "$1/data" -A trust -U cwvault -E UTF8 --no-locale --no-sync >"$1/log" 2>&1 || exit
		"$0/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c fsync="$2" >>"$1/log" 2>&1 & pid=$!
		cat
		kill -QUIT $pid
		wait $pid
		rm -rf "$1"`, bin, dir, fsync)
	cmd.Dir = "/"
	if os.Getuid() == 0 { // which PostgreSQL refuses to run as
		name := "postgres"
		if _, err := user.Lookup(name); err != nil {
			name = "nobody"
		}
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			return "", err
		}
		runAs(cmd, uint32(uid), uint32(gid))
	}
	if postgresStdin, err = cmd.StdinPipe(); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	postgresDone = make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(postgresDone)
	}()

	server := "postgres:///postgres?" + url.Values{"host": {dir}, "user": {"cwvault"}}.Encode()
	db, err := sql.Open("pgx", server)
	if err != nil {
		return "", err
	}
	defer db.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if err = db.PingContext(context.Background()); err == nil {
			return server, nil
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			return "", fmt.Errorf("PostgreSQL does not start: %w\n%s", err, log)
		}
	}
})

func stopPostgres() {
	if postgresDone == nil {
		return
	}
	_ = postgresStdin.Close()
	<-postgresDone
}

// clock is a clock that tests set.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time      { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) add(d time.Duration) { c.ns.Add(int64(d)) }

func mustOpen(t testing.TB, state string, now func() time.Time) *Journal {
	t.Helper()
	j, err := Open(t.Context(), state, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return j
}

// mustHold opens the journal and takes the lease.
func mustHold(t testing.TB, state string, now func() time.Time) (*Journal, *Lease) {
	t.Helper()
	j := mustOpen(t, state, now)
	l, err := j.Acquire(t.Context(), Self())
	if err != nil {
		t.Fatal(err)
	}
	return j, l
}

func mustStart(t testing.TB, j *Journal) int64 {
	t.Helper()
	id, err := j.StartRun(t.Context(), Run{Trigger: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// waitFor looks until there is what the test cannot go on without.
func waitFor(t testing.TB, what string, there func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !there(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}
