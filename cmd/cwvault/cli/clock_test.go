package cli

import (
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cwvault/vault/secretserver/secretservertest"
)

// inJournal changes the journal behind cwvault's back.
func (s *site) inJournal(statement string, args ...any) {
	s.t.Helper()
	db, err := sql.Open("sqlite", s.statePath())
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement, args...); err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
}

// journalTimes are the columns of the journal that hold times.
var journalTimes = map[string][]string{
	"cwvault_lease":   {"since", "expires"},
	"cwvault_run":     {"started", "finished"},
	"cwvault_step":    {"began", "ended"},
	"cwvault_used":    {"at"},
	"cwvault_pause":   {"since"},
	"cwvault_failure": {"first", "last", "next"},
	"cwvault_want":    {"since"},
	"cwvault_ticket":  {"since", "solved", "claimed"},
}

// jump makes the journal one that was written by a clock that was so much
// ahead of ours.
func (s *site) jump(ahead time.Duration) {
	s.t.Helper()
	for table, columns := range journalTimes {
		for _, column := range columns {
			s.inJournal(fmt.Sprintf(`UPDATE %s SET %s = %s + $1 WHERE %s <> 0`, table, column, column, column), ahead.Milliseconds())
		}
	}
}

// TestClockJumps sets the clock forth and back by more than a year between
// runs, with moves that wait to settle, a step that rests after failures, and a
// lease of a machine that was lost.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	const year = 400 * 24 * time.Hour
	for _, ahead := range []time.Duration{year, -year} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			s := newVaultSite(t)
			s.killCompanies()
			s.inProcess(exitOK, "resync")
			s.killChanges()
			s.env = append(s.env, "CWVAULT_SETTLE=1s")
			s.server.AddFault(secretservertest.Fault{Match: secretservertest.On(http.MethodPost, "/api/v1/folders"), Status: http.StatusForbidden})
			for _, held := range []string{"settling", ""} {
				if out := s.inProcess(exitPartial, "resync"); !strings.Contains(out, held) {
					t.Errorf("not %s:\n%s", held, out)
				}
			}
			s.server.ClearFaults()
			if out := s.inProcess(exitOK, "plan"); !strings.Contains(out, "failed-before") {
				t.Errorf("no step rests:\n%s", out)
			}

			s.inJournal(`UPDATE cwvault_lease SET fence = fence + 1, host = 'elsewhere', pid = 1, boot = 'another', expires = $1, uptime = 0`,
				time.Now().Add(10*time.Second).UnixMilli())
			s.jump(ahead)
			if ahead > 0 {
				s.inProcess(exitLease, "resync")
				var expires int64
				db, err := sql.Open("sqlite", s.statePath())
				if err == nil {
					err = db.QueryRow(`SELECT expires FROM cwvault_lease`).Scan(&expires)
				}
				if err != nil {
					t.Fatal(err)
				}
				db.Close()
				if left := time.Until(time.UnixMilli(expires)); left > 30*time.Second {
					t.Errorf("the lost machine's lease lasts for %s yet", left)
				}
				s.inJournal(`UPDATE cwvault_lease SET expires = 1`)
			}
			s.inProcess(exitOK, "resync")
			time.Sleep(1100 * time.Millisecond)
			s.inProcess(exitOK, "resync")
			s.inProcess(exitOK, "plan", "--detailed-exitcode")
			s.check(killLast)
			s.inProcess(exitOK, "history")
		})
	}
}
