package cli

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cwvault/cmd/cwsim/simworld"
	"cwvault/cmd/cwvault/demo"
	"cwvault/connectwise/connectwisetest"
	"cwvault/sync/journal"
	"cwvault/sync/synctest"
	"cwvault/vault/secretserver/secretservertest"
)

// phrase is a sentence that scenario files may use, and what it means.
type phrase struct {
	form string // a regular expression
	mean func(s *story, w []string) error
}

// do finds the meaning of a line.
func (s *story) do(phrases []phrase, line string) {
	s.t.Helper()
	for _, p := range phrases {
		if m := regexp.MustCompile("^" + p.form + "$").FindStringSubmatch(line); m != nil {
			if err := p.mean(s, m[1:]); err != nil {
				s.t.Fatalf("%s: %v", line, err)
			}
			return
		}
	}
	s.t.Fatalf("nobody knows what this means: %s", line)
}

// split cuts a path into the folder that holds it and its last name.
func (s *story) split(path string) (parent seen, name string, err error) {
	i := strings.LastIndexByte(path, '\\')
	if i <= 0 {
		return seen{}, path[i+1:], nil
	}
	parent, err = findSeen(s.folders(), path[:i])
	return parent, path[i+1:], err
}

// journalFiles are the journal and what SQLite keeps beside it.
func (s *story) journalFiles() []string {
	return []string{s.journal(), s.journal() + "-wal", s.journal() + "-shm"}
}

// handwork is what people do between two runs of cwvault.
var handwork = []phrase{
	{`move (\\.*) into (\\.*)`, func(s *story, w []string) error {
		f, err := findSeen(s.folders(), w[0])
		to, err2 := findSeen(s.folders(), w[1])
		if err = errors.Join(err, err2); err != nil {
			return err
		}
		return s.vault.move(f.id, to.id, f.name)
	}},
	{`rename (\\.*) to (.*)`, func(s *story, w []string) error {
		f, err := findSeen(s.folders(), w[0])
		if err != nil {
			return err
		}
		return s.vault.move(f.id, f.parent, w[1])
	}},
	{`delete (\\.*)`, func(s *story, w []string) error {
		f, err := findSeen(s.folders(), w[0])
		if err != nil {
			return err
		}
		return s.vault.remove(f.id)
	}},
	{`make (\\.*)`, func(s *story, w []string) error {
		parent, last, err := s.split(w[0])
		if err != nil {
			return err
		}
		d, err := synctest.ParseFolder(last)
		if err != nil {
			return err
		}
		_, err = s.vault.add(parent.id, d)
		return err
	}},
	{`mark (\\.*) as (.*)`, func(s *story, w []string) error {
		f, err := findSeen(s.folders(), w[0])
		if err != nil {
			return err
		}
		return s.vault.setMark(f.id, w[1])
	}},
	{`put the secret (.*) into (\\.*)`, func(s *story, w []string) error {
		f, err := findSeen(s.folders(), w[1])
		if err != nil {
			return err
		}
		return s.vault.addSecret(f.id, w[0])
	}},
	{`hide (\\.*) from cwvault`, func(s *story, w []string) error {
		f, err := findSeen(s.folders(), w[0])
		id, err2 := strconv.Atoi(f.id)
		if err = errors.Join(err, err2); err == nil {
			s.vault.(*scenarioServer).Revoke(id, demo.Account)
		}
		return err
	}},
	{`show (\\.*) to cwvault`, func(s *story, w []string) error {
		f, err := findSeen(s.folders(), w[0])
		id, err2 := strconv.Atoi(f.id)
		if err = errors.Join(err, err2); err == nil {
			s.vault.(*scenarioServer).Inherit(id)
		}
		return err
	}},
	{`merge company (\d+) into (\d+)`, func(s *story, w []string) error {
		from, err := strconv.Atoi(w[0])
		into, err2 := strconv.Atoi(w[1])
		if err = errors.Join(err, err2); err == nil {
			s.cw.Merge(from, into)
		}
		return err
	}},
	{`the journal is lost`, func(s *story, _ []string) error {
		var errs []error
		for _, name := range s.journalFiles() {
			if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}},
	{`a backup of the journal is made`, func(s *story, _ []string) error { return s.copyJournal("", ".backup") }},
	{`the backup of the journal is put back`, func(s *story, _ []string) error { return s.copyJournal(".backup", "") }},
	{`cwvault is pointed at the ConnectWise of (\S+), which has the same companies`, func(s *story, w []string) error {
		cw, err := connectwisetest.New(connectwisetest.Options{Tenant: w[0]})
		if err != nil {
			return err
		}
		s.t.Cleanup(func() { cw.Close() })
		if err := simworld.Tables(cw, s.tables); err != nil {
			return err
		}
		for _, c := range s.cw.Companies() {
			cw.AddCompany(c)
		}
		s.connectTo(cw)
		return nil
	}},
}

// copyJournal copies the journal's files from one suffix to another.
func (s *story) copyJournal(from, to string) error {
	for _, name := range s.journalFiles() {
		b, err := os.ReadFile(name + from)
		switch {
		case errors.Is(err, os.ErrNotExist):
			if err := os.Remove(name + to); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			continue
		case err != nil:
			return err
		}
		if err := os.WriteFile(name+to, b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// troubles is what goes wrong while one command runs. A sentence about Secret
// Server concerns only stories that play there.
var troubles = []phrase{
	{`ConnectWise lists no companies`, listFault(nil, func(rows []json.RawMessage) []json.RawMessage { return rows[:0] })},
	{`ConnectWise lists half of the companies`, listFault(nil, func(rows []json.RawMessage) []json.RawMessage { return rows[:len(rows)/2] })},
	{`ConnectWise lists the companies in reverse order`, listFault(nil, func(rows []json.RawMessage) []json.RawMessage {
		slices.Reverse(rows)
		return rows
	})},
	{`ConnectWise lists the first company again in place of the second`, listFault(nil, func(rows []json.RawMessage) []json.RawMessage {
		if len(rows) > 1 {
			rows[1] = rows[0]
		}
		return rows
	})},
	{`ConnectWise has (\d+) companies on a page and loses the second page`, func(s *story, w []string) error {
		n, err := strconv.Atoi(w[0])
		s.cw.Behave(func(b *connectwisetest.Behaviour) { b.PageCap = n })
		s.until(func() { s.cw.Behave(func(b *connectwisetest.Behaviour) { b.PageCap = 1000 }) })
		return errors.Join(err, listFault(func(r *http.Request) bool { return r.URL.Query().Get("pageId") != "" },
			func(rows []json.RawMessage) []json.RawMessage { return rows[:0] })(s, nil))
	}},
	{`ConnectWise counts one company fewer than it lists`, cwFault("/company/companies/count", connectwisetest.WrongCount(-1))},
	{`ConnectWise breaks off once in the middle of the list`, cwFault("/company/companies", once(connectwisetest.Truncated(200)))},
	{`ConnectWise answers with a web page`, cwFault("/company/companies", connectwisetest.HTML(http.StatusOK))},
	{`ConnectWise says once that there were too many requests, and to wait a second`,
		cwFault("/company/companies", once(connectwisetest.TooManyRequests(1)))},
	{`ConnectWise shows the API member no companies above (\d+)`, func(s *story, w []string) error {
		most, err := strconv.Atoi(w[0])
		s.cw.Behave(func(b *connectwisetest.Behaviour) {
			b.Role.Visible = func(c connectwisetest.Company) bool { return c.ID <= most }
		})
		s.until(func() { s.cw.Behave(func(b *connectwisetest.Behaviour) { b.Role.Visible = nil }) })
		return err
	}},

	{`Secret Server forgets every sign-in when it is to make folder (\d+)`, atFolder(func(s *story, v *scenarioServer, f *secretservertest.Fault) {
		f.Run = v.ExpireTokens
	})},
	{`Secret Server makes folder (\d+), but the answer is lost`, atFolder(func(s *story, v *scenarioServer, f *secretservertest.Fault) {
		f.CutAfterWork = true
	})},
	{`Secret Server refuses every change of (\\.*)`, func(s *story, w []string) error {
		v, ok := s.vault.(*scenarioServer)
		if !ok {
			return nil
		}
		f, err := findSeen(s.folders(), w[0])
		if err == nil {
			s.until(v.AddFault(secretservertest.Fault{Match: secretservertest.On(http.MethodPut, "/api/v1/folders/"+f.id), Status: http.StatusForbidden}))
		}
		return err
	}},
	{`a file lies in the password store at (\\.*)`, func(s *story, w []string) error {
		v, ok := s.vault.(*scenarioStore)
		if !ok {
			return nil
		}
		parent, name, err := s.split(w[0])
		if err != nil {
			return err
		}
		path := filepath.Join(v.paths[parent.id], name)
		s.until(func() { s.check(os.Remove(path)) })
		return os.WriteFile(path, nil, 0o600)
	}},
	{`cwvault is killed after Secret Server has made folder (\d+)`, atFolder(func(s *story, v *scenarioServer, f *secretservertest.Fault) {
		s.killable = true
		f.CutAfterWork = true
		f.Run = func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.kill()
		}
	})},
	{`cwvault is told to stop when Secret Server is to make folder (\d+)`, atFolder(func(s *story, v *scenarioServer, f *secretservertest.Fault) {
		f.Run = func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.stop()
		}
	})},
	{`another run holds the lease`, func(s *story, _ []string) error {
		j, err := journal.Open(s.t.Context(), s.journal(), journal.Options{})
		if err != nil {
			return err
		}
		s.until(func() { s.check(j.Close()) })
		_, err = j.Acquire(s.t.Context(), journal.Self())
		return err
	}},
}

// until notes what puts an end to a trouble.
func (s *story) until(end func()) { s.ended = append(s.ended, end) }

func once(f connectwisetest.Fault) connectwisetest.Fault {
	f.Times = 1
	return f
}

func cwFault(path string, f connectwisetest.Fault) func(*story, []string) error {
	return func(s *story, _ []string) error {
		f.Match = connectwisetest.On(http.MethodGet, path)
		s.until(s.cw.AddFault(f))
		return nil
	}
}

// listFault edits the rows of the list of companies.
func listFault(match func(*http.Request) bool, edit func([]json.RawMessage) []json.RawMessage) func(*story, []string) error {
	return func(s *story, _ []string) error {
		f := connectwisetest.EditRows(edit)
		f.Match = func(r *http.Request) bool {
			return connectwisetest.On(http.MethodGet, "/company/companies")(r) && (match == nil || match(r))
		}
		s.until(s.cw.AddFault(f))
		return nil
	}
}

// atFolder makes a fault that strikes when Secret Server makes the nth folder
// of a command.
func atFolder(strike func(*story, *scenarioServer, *secretservertest.Fault)) func(*story, []string) error {
	return func(s *story, w []string) error {
		v, ok := s.vault.(*scenarioServer)
		if !ok {
			return nil
		}
		n, err := strconv.Atoi(w[0])
		made := 0
		f := secretservertest.Fault{Times: 1, Match: func(r *http.Request) bool {
			if !secretservertest.On(http.MethodPost, "/api/v1/folders")(r) {
				return false
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			made++
			return made == n
		}}
		strike(s, v, &f)
		s.until(v.AddFault(f))
		return err
	}
}
