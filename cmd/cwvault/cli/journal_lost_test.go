package cli

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

// TestJournalLost kills a run on Secret Server and takes its journal away,
// damages it, or puts an old one in its place, before the next.
func TestJournalLost(t *testing.T) {
	t.Parallel()
	r := record(t)
	r.settings = append(r.settings, "CWVAULT_WORKERS=8")
	for _, test := range []struct {
		name string
		run  func(*recording)
	}{
		{"in a crash", (*recording).losesJournal},
		{"before a mark", (*recording).losesIntent},
		{"damaged", (*recording).refusesJournal},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.vaultSite.site.t = t
			test.run(r)
		})
	}
}

// losesJournal tries each loss with crashes all over the run. The next run
// finishes the work from the marks alone.
func (r *recording) losesJournal() {
	tried := 0
	for n, what := range slices.Sorted(maps.Keys(lostJournals)) {
		every := len(r.instants)
		if completely() {
			every = 15
		}
		for i, at := range r.instants {
			if i%every != (n+1)*len(r.instants)/(len(lostJournals)+1)%every {
				continue
			}
			for r.marksNext(at) { // see losesIntent
				at.request--
			}
			r.rewind(at.request, lostJournals[what](r.before, at.journal))
			r.inProcess(exitOK, "resync")
			if r.checkFinished(); r.t.Failed() {
				r.t.Fatalf("journal: %s; killed at request %d", what, i)
			}
			tried++
		}
	}
	r.t.Logf("%d crashes with %d kinds of loss: 0 duplicates, 0 lost, 0 unmarked", tried, len(lostJournals))
	if tried < len(lostJournals) {
		r.t.Error("not every loss was tried")
	}
}

// marksNext reports whether the request is the one that marks a new folder.
func (r *recording) marksNext(at instant) bool {
	q := r.requests[at.request]
	return q.Method == http.MethodPost && strings.Contains(q.Path, "/metadata/Folder/")
}

// losesIntent is the one crash after which the journal is needed: the folder is
// made, its mark is not written, and the intent is lost. For all that can be
// seen the folder is somebody else's. It is reported and not taken, and there is
// no second one; CWVAULT_ADOPT=path takes it.
func (r *recording) losesIntent() {
	for _, at := range r.instants {
		if !r.marksNext(at) {
			continue
		}
		r.rewind(at.request, nil)
		if out := r.inProcess(exitOK, "resync"); !strings.Contains(out, "unmanaged-folder") {
			r.t.Errorf("the folder is not reported:\n%s", out)
		}
		r.env = append(r.env, "CWVAULT_ADOPT=path")
		r.inProcess(exitOK, "resync")
		r.checkFinished()
		return
	}
	r.t.Error("no folder was marked")
}

// refusesJournal finds a journal that cannot be read. The run says what to do,
// changes nothing, and works once that is done.
func (r *recording) refusesJournal() {
	crash := r.instants[len(r.instants)/2]
	for r.marksNext(crash) {
		crash.request--
	}
	for _, what := range slices.Sorted(maps.Keys(damagedJournals)) {
		r.rewind(crash.request, damagedJournals[what](r.before))
		for _, command := range []string{"plan", "resync"} {
			var out, errs bytes.Buffer
			if code := cwvault(r.t.Context(), []string{command}, r.env, &out, &errs); code != exitFailed {
				r.t.Errorf("%s: %s: exit code %d", what, command, code)
			}
			for _, want := range []string{r.statePath(), "move it away", "-wal"} {
				if !strings.Contains(errs.String(), want) {
					r.t.Errorf("%s: %s does not say %q:\n%s", what, command, want, &errs)
				}
			}
		}
		if n := len(r.server.Requests()); n != 0 {
			r.t.Errorf("%s: %d requests to Secret Server", what, n)
		}
	}
	r.restore(nil) // moved away, with -wal and -shm
	r.inProcess(exitOK, "resync")
	r.checkFinished()
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
