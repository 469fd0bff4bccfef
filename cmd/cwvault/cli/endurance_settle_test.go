package cli

import (
	"bytes"
	crand "crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"cwvault/cmd/cwvault/demo"
	"cwvault/sync"

	"github.com/google/go-cmp/cmp"
)

// settle waits until the service has put everything right, and checks that.
func (e *endurance) settle() {
	e.t.Helper()
	began := time.Now()
	for _, c := range e.world.Companies() { // nothing is left for a person
		e.world.Restore(c.ID)
		if len(c.Types) == 0 {
			e.world.SetTypes(c.ID, e.world.types["Customer"])
		}
	}
	e.passAnHour()
	e.eventually("ready", 3*time.Minute, func() error {
		resp, err := e.client.Get(e.base + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = errors.New(string(b))
		}
		return err
	})
	e.eventually("all folders are in their places", time.Minute, func() error {
		e.passAnHour()
		places, err := e.places()
		if err == nil {
			if diff := cmp.Diff(e.wanted(), places); diff != "" {
				err = fmt.Errorf("(-want +got):\n%s", diff)
			}
		}
		return err
	})
	e.eventually("nothing is left to be done", time.Minute, func() error {
		var out, errs bytes.Buffer
		if code := cwvault(e.t.Context(), []string{"plan", "--detailed-exitcode"}, e.env, &out, &errs); code != exitOK {
			return fmt.Errorf("exit code %d\n%s%s", code, &out, &errs)
		}
		return nil
	})
	e.eventually("all tickets are solved", 2*time.Minute, func() error {
		open := map[string]bool{}
		for _, ticket := range e.world.Tickets() {
			if open[ticket.ExternalXRef] {
				e.t.Errorf("two tickets for %s", ticket.ExternalXRef)
			}
			open[ticket.ExternalXRef] = true
			if last := ticket.Notes[len(ticket.Notes)-1]; !strings.HasPrefix(last, "Solved:") {
				return fmt.Errorf("%s: %q", ticket.Summary, last)
			}
		}
		return nil
	})
	left := maps.Clone(e.secrets)
	if err := e.vault.Each(func(company sync.Key, content string) error {
		if left[content] != company {
			return fmt.Errorf("a secret of %q is in the folder of %s", left[content], company)
		}
		delete(left, content)
		return nil
	}); err != nil || len(left) > 0 {
		e.t.Errorf("%d secrets are gone; %v", len(left), err)
	}
	e.t.Logf("settled after %v; %d companies, %d secrets, %d tickets", time.Since(began).Round(time.Millisecond), len(e.wanted()), len(e.secrets), len(e.world.Tickets()))
	if e.t.Failed() {
		e.t.FailNow()
	}
}

func (e *endurance) eventually(what string, patience time.Duration, try func() error) {
	e.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	e.t.Fatalf("never: %s: %v", what, err)
}

// passAnHour lets everything be tried again that rests because it has failed.
func (e *endurance) passAnHour() {
	e.t.Helper()
	db, err := sql.Open("sqlite", "file:"+e.statePath()+"?_pragma=busy_timeout(10000)")
	if err != nil {
		e.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE cwvault_failure SET next = 0`); err != nil {
		e.t.Logf("letting an hour pass: %v", err)
	}
}

// wanted returns where each company's folder is to be.
func (e *endurance) wanted() map[sync.Key]string {
	names := map[int]string{}
	for name, id := range e.world.types {
		names[id] = name
	}
	statuses := map[int]string{e.world.statuses["Active"]: "Active", e.world.statuses["Inactive"]: e.inactive}
	want := map[sync.Key]string{}
	for _, c := range e.world.Companies() {
		want[sync.CompanyKey(c.ID)] = strings.Join([]string{"Clients", names[c.Types[0]], statuses[c.Status], c.Name}, "/")
	}
	return want
}

// places returns where each company's folder is.
func (e *endurance) places() (map[sync.Key]string, error) {
	places := map[sync.Key]string{}
	add := func(company sync.Key, path string) error {
		if other, twice := places[company]; twice {
			return fmt.Errorf("%s is at %s and at %s", company, other, path)
		}
		places[company] = path
		return nil
	}
	switch v := e.vault.(type) {
	case demo.Store:
		return places, v.Companies(func(dir string, company sync.Key) error {
			path, err := filepath.Rel(v.Dir(), dir)
			return errors.Join(err, add(company, filepath.ToSlash(path)))
		})
	case demo.Server:
		companies := v.Companies()
		for _, f := range v.Folders() {
			if company, ok := companies[f.ID]; ok {
				if err := add(company, strings.ReplaceAll(strings.TrimPrefix(f.Path, `\`), `\`, "/")); err != nil {
					return nil, err
				}
			}
		}
	}
	return places, nil
}

// fill gives each company folder that has none a secret.
func (e *endurance) fill() {
	owners := map[sync.Key]bool{}
	for _, owner := range e.secrets {
		owners[owner] = true
	}
	if err := e.vault.Fill(func(company sync.Key) []demo.Secret {
		if owners[company] {
			return nil
		}
		s := demo.Secret{Name: "admin", Content: crand.Text()}
		e.secrets[s.Content] = company
		return []demo.Secret{s}
	}); err != nil {
		e.t.Fatal(err)
	}
}

// usage is what the service takes.
type usage struct{ files, goroutines, kib int }

// usage returns the least of what the service takes within some seconds, so
// that no run is counted.
func (e *endurance) usage() usage {
	if runtime.GOOS != "linux" {
		return usage{}
	}
	e.client.CloseIdleConnections()
	number := func(text []byte, pattern string) int {
		if m := regexp.MustCompile(pattern).FindSubmatch(text); m != nil {
			n, _ := strconv.Atoi(string(m[1]))
			return n
		}
		return 0
	}
	const most = 1 << 30
	least := usage{most, most, most}
	for range 40 {
		files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", e.process.Process.Pid))
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.process.Process.Pid))
		resp, err := e.client.Get(e.base + "/metrics")
		if err != nil {
			e.t.Fatal(err)
		}
		metrics, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		least.files = min(least.files, len(files))
		least.kib = min(least.kib, number(status, `VmRSS:\s+(\d+) kB`))
		least.goroutines = min(least.goroutines, number(metrics, `(?m)^go_goroutines (\d+)`))
		time.Sleep(100 * time.Millisecond)
	}
	return least
}

func (e *endurance) compare(before, after usage) {
	e.t.Logf("files %d, goroutines %d, memory %d KiB; before %d, %d, %d", after.files, after.goroutines, after.kib, before.files, before.goroutines, before.kib)
	if after.files > before.files+5 || after.goroutines > before.goroutines+10 || after.kib > before.kib+16<<10 && !raceEnabled {
		e.t.Errorf("the service has grown from %+v to %+v", before, after)
	}
}
