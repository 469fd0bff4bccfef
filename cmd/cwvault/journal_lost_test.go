package main

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// lostJournals are what can become of the journal together with a crash: each
// makes of what it was when the run began, and at the crash, what the next run
// finds.
var lostJournals = map[string]func(before, crash journalFiles) journalFiles{
	"deleted":                func(_, _ journalFiles) journalFiles { return nil },
	"restored from a backup": func(before, _ journalFiles) journalFiles { return journalFiles{"": before[""]} },
	"an older copy of all":   func(before, _ journalFiles) journalFiles { return before },
	"log lost":               func(_, crash journalFiles) journalFiles { return journalFiles{"": crash[""]} },
	"log empty":              func(_, crash journalFiles) journalFiles { return journalFiles{"": crash[""], "-wal": nil} },
	"log torn": func(_, crash journalFiles) journalFiles {
		return journalFiles{"": crash[""], "-wal": crash["-wal"][:len(crash["-wal"])*2/3]}
	},
	"only the log left": func(_, crash journalFiles) journalFiles { return journalFiles{"-wal": crash["-wal"]} },
	"empty file":        func(_, _ journalFiles) journalFiles { return journalFiles{"": nil} },
}

// damagedJournals are files that SQLite cannot read.
var damagedJournals = map[string]func(before journalFiles) journalFiles{
	"another file": func(journalFiles) journalFiles {
		return journalFiles{"": []byte(strings.Repeat("This is no database.\n", 1000))}
	},
	"cut short": func(before journalFiles) journalFiles { return journalFiles{"": before[""][:len(before[""])/2]} },
	"zeroed in the middle": func(before journalFiles) journalFiles {
		b := bytes.Clone(before[""])
		clear(b[len(b)/3 : len(b)*2/3])
		return journalFiles{"": b}
	},
}

// TestJournalLostInCrash kills a run on Secret Server and takes its journal
// away, or puts an old one in its place, before the next.
func TestJournalLostInCrash(t *testing.T) {
	t.Parallel()
	r := record(t)
	r.env = append(r.env, "CWVAULT_WORKERS=8")
	tried := 0
	for _, what := range slices.Sorted(maps.Keys(lostJournals)) {
		n := 0
		for i, at := range r.instants {
			every := len(r.instants) / 3
			if completely() {
				every = 15
			}
			// While a new folder has no mark, the journal alone knows of it: see
			// TestJournalLostBeforeTheMark.
			if i%every != len(what)%every || r.marksNext(at) {
				continue
			}
			r.rewind(at.request, lostJournals[what](r.before, at.journal))
			r.inProcess(exitOK, "resync")
			r.checkFinished()
			r.inProcess(exitOK, "plan", "--detailed-exitcode")
			if t.Failed() {
				t.Fatalf("journal %s, killed at request %d", what, i)
			}
			n++
		}
		if n == 0 {
			t.Errorf("journal %s: not tried", what)
		}
		tried += n
	}
	t.Logf("%d crashes with %d kinds of loss: 0 duplicates, 0 lost, 0 unmarked", tried, len(lostJournals))
}

// marksNext reports whether the request is the one that marks a new folder.
func (r *recording) marksNext(at instant) bool {
	q := r.requests[at.request]
	return q.Method == http.MethodPost && strings.Contains(q.Path, "/metadata/Folder/")
}

// TestJournalLostBeforeTheMark is the one crash that needs the journal: the
// folder is made, its mark is not written, and the intent is lost. Then the
// folder might be anybody's. It is reported, not taken, and there is no second
// one; CWVAULT_ADOPT=path takes it.
func TestJournalLostBeforeTheMark(t *testing.T) {
	r := record(t)
	n := 0
	for _, at := range r.instants {
		if !r.marksNext(at) {
			continue
		}
		if n++; n > 3 {
			break
		}
		r.rewind(at.request, nil)
		if out := r.inProcess(exitOK, "resync"); !strings.Contains(out, "unmanaged-folder") {
			t.Errorf("it is not reported:\n%s", out)
		}
		r.env = append(r.env, "CWVAULT_ADOPT=path")
		r.inProcess(exitOK, "resync")
		r.checkFinished()
	}
	if n < 3 {
		t.Errorf("only %d marks", n)
	}
}

// TestJournalDamaged has a run refuse a journal that it cannot read, say what
// to do, change nothing, and work once that is done.
func TestJournalDamaged(t *testing.T) {
	r := record(t)
	crash := r.instants[len(r.instants)/2]
	for r.marksNext(crash) {
		crash.request--
	}
	for what, damage := range damagedJournals {
		t.Run(what, func(t *testing.T) {
			r.vaultSite.site.t = t
			r.rewind(crash.request, damage(r.before))
			for _, command := range []string{"plan", "resync"} {
				var out, errs bytes.Buffer
				if code := run(t.Context(), []string{command}, r.env, &out, &errs); code != exitFailed {
					t.Errorf("%s: exit code %d", command, code)
				}
				for _, want := range []string{r.statePath(), "move it away", "-wal"} {
					if !strings.Contains(errs.String(), want) {
						t.Errorf("%s does not say %q:\n%s", command, want, &errs)
					}
				}
			}
			if n := len(r.server.Requests()); n != 0 {
				t.Errorf("%d requests to Secret Server", n)
			}
			r.restore(nil) // moved away, with -wal and -shm
			r.inProcess(exitOK, "resync")
			r.checkFinished()
		})
	}
}

// TestStoreJournalLost does the same to runs on a password store, whose folders
// are made with their marks in them.
func TestStoreJournalLost(t *testing.T) {
	t.Parallel()
	s := newStoreStory(t, false)
	s.first()
	s.fill()
	for _, what := range slices.Sorted(maps.Keys(lostJournals)) {
		before := s.journalFiles(nil)
		s.change()
		s.kill()
		s.restore(lostJournals[what](before, s.journalFiles(nil)))
		var out bytes.Buffer
		cmd := s.command(&out, "resync")
		if err := cmd.Run(); err != nil {
			// A log that is lost while SQLite copies it into the database leaves a
			// damaged one behind.
			if what != "log lost" && what != "log empty" && what != "log torn" || !strings.Contains(out.String(), "move it away") {
				t.Fatalf("journal %s: %v\n%s", what, err, &out)
			}
			s.restore(nil)
			s.must(exitOK, "resync")
		}
		s.must(exitOK, "plan", "--detailed-exitcode")
		if s.check(); t.Failed() {
			t.Fatalf("journal %s", what)
		}
	}
	for what, damage := range damagedJournals {
		before := s.journalFiles(nil)
		s.change()
		s.kill()
		s.restore(damage(before))
		if out := s.must(exitFailed, "resync"); !strings.Contains(out, "move it away") {
			t.Errorf("journal %s: %s", what, out)
		}
		s.restore(nil)
		s.must(exitOK, "resync")
		if s.check(); t.Failed() {
			t.Fatalf("journal %s", what)
		}
	}
	t.Logf("%d runs were killed and lost their journals: 0 duplicates, 0 lost, 0 unmarked", s.kills)
}
