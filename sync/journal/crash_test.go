package journal

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"cwvault/sync"
)

// A killed process loses nothing that a method had returned from.
func TestKilledInTheMiddleOfSteps(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		begun, ended, open := 0, 0, 0
		const kills = 3
		for kill := range kills {
			p := startChild(t, "steps", state)
			run, err := strconv.ParseInt(p.line("run"), 10, 64)
			ok(t, err)
			said := map[string]bool{}
			for p.out.Scan() {
				if len(said) == 200+37*kill {
					ok(t, p.cmd.Process.Kill())
				}
				if strings.HasPrefix(p.out.Text(), "error:") {
					t.Fatal(p.out.Text())
				}
				said[p.out.Text()] = true
			}
			_ = p.cmd.Wait()
			j, l := mustHold(t, state, nil)
			letServerEnd(t, j)
			recorded := map[string]bool{}
			for s, err := range j.Steps(t.Context(), run) {
				ok(t, err)
				recorded[fmt.Sprint("begun ", s.Seq)] = true
				begun++
				if s.Status == "done" && s.FolderID == fmt.Sprint("f", s.Seq) {
					recorded[fmt.Sprint("ended ", s.Seq)] = true
					ended++
				}
			}
			for what := range said {
				if !recorded[what] && !partial(what) {
					t.Errorf("run %d: %q is lost", run, what)
				}
			}
			intents := recall(t, j).Intents
			var keys []sync.Key
			for _, i := range intents {
				if recorded[fmt.Sprint("ended ", i.Seq)] {
					t.Errorf("step %d has ended and is an intent", i.Seq)
				}
				open++
				keys = append(keys, i.Key)
			}
			mustConclude(t, j, run, Lessons{Settled: keys})
			if len(intents) > 8 {
				t.Errorf("%d intents of 8 workers", len(intents))
			}
			var check string
			if !strings.HasPrefix(state, "postgres") {
				ok(t, j.db.QueryRow(`PRAGMA integrity_check`).Scan(&check))
				if check != "ok" {
					t.Error(check)
				}
			}
			ok(t, l.Release(t.Context()))
		}
		if begun < 100*kills || begun != ended+open {
			t.Errorf("%d begun, %d ended, %d open", begun, ended, open)
		}
		t.Logf("%d kills: %d steps begun, %d ended, %d left open, none lost", kills, begun, ended, open)
	})
}

// letServerEnd waits until a server has done what a killed process sent it last:
// a step that was inserted is committed or not before the table can be locked.
func letServerEnd(t *testing.T, j *Journal) {
	t.Helper()
	if j.dialect.clock == "" {
		return
	}
	tx, err := j.db.Begin()
	ok(t, err)
	_, err = tx.Exec(`LOCK TABLE cwvault_step IN ACCESS EXCLUSIVE MODE`)
	ok(t, err)
	ok(t, tx.Rollback())
}

// partial reports whether a line may have been cut by the kill.
func partial(line string) bool {
	_, number, _ := strings.Cut(line, " ")
	_, err := strconv.Atoi(number)
	return err != nil
}
