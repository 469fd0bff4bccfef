//go:build unix

package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	gosync "sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/cmd/cwvault/settings"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/run"
	"cwvault/vault/secretserver/secretservertest"
)

// pausedRun is a resync that was stopped, as a suspended machine stops it,
// while it waited for Secret Server's answer.
type pausedRun struct {
	*vaultSite
	cmd    *exec.Cmd
	out    bytes.Buffer
	answer func() // lets Secret Server do what was asked, and answer
}

// pause starts a resync and stops it when Secret Server gets the nth request
// whose method is this and whose path and body contain these texts.
func (s *vaultSite) pause(n int, method, path, text string) *pausedRun {
	s.t.Helper()
	p := &pausedRun{vaultSite: s}
	arrived, release := make(chan struct{}), make(chan struct{})
	p.answer = gosync.OnceFunc(func() { close(release) })
	s.t.Cleanup(p.answer)
	s.server.AddFault(secretservertest.Fault{
		Match: func(r *http.Request) bool {
			body, err := io.ReadAll(r.Body)
			if err != nil || r.Method != method || !strings.Contains(r.URL.Path, path) || !strings.Contains(string(body), text) {
				return false
			}
			n--
			return n == 0
		},
		Run: func() { close(arrived); <-release },
	})
	p.cmd = s.command(&p.out, "resync")
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // unless it has ended
	select {
	case <-arrived:
	case <-time.After(time.Minute):
		s.t.Fatalf("%s %s never came\n%s", method, path, &p.out)
	}
	p.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	for !status.Stopped() {
		if _, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil {
			s.t.Fatal(err)
		}
	}
	return p
}

func (p *pausedRun) signal(signal syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
}

// wake lets the process continue, and returns its exit code and what it asks
// Secret Server to change from then on.
func (p *pausedRun) wake() (code int, changes []string) {
	p.t.Helper()
	p.server.ResetRequests()
	p.signal(syscall.SIGCONT)
	_ = p.cmd.Wait() // its error is the exit code
	for _, q := range p.server.Requests() {
		if changing(q) {
			changes = append(changes, fmt.Sprintf("%s %s %s", q.Method, q.Path, q.Body))
		}
	}
	return p.cmd.ProcessState.ExitCode(), changes
}

// TestPausedForTooLong stops runs in the middle of a step until their leases
// have expired, lets another run do the work, and wakes them. They must not ask
// for another change. What Secret Server had been asked before the pause may
// still be done, at worst after the other run; the next one puts that right.
func TestPausedForTooLong(t *testing.T) {
	t.Parallel()
	type paused struct {
		*pausedRun
		name string
		late bool
		want map[string]string
	}
	var runs []paused
	for _, test := range []struct {
		name         string
		moves        bool // it is the second run, which moves and renames
		n            int
		method, path string
		text         string
	}{
		{"reading", true, 1, http.MethodGet, "/v1/folders", ""},
		{"making a folder", false, 2, http.MethodPost, "/v1/folders", ""},
		{"marking it", false, 2, http.MethodPost, "/v1/metadata/Folder/", ""},
		{"moving", true, 1, http.MethodPut, "/v1/folders/", "Gamma"},
		{"taking a temporary name", true, 1, http.MethodPut, "/v1/folders/", "(moving"},
		{"swapping names", true, 1, http.MethodPut, "/v1/folders/", "Alpha"},
	} {
		for _, late := range []bool{false, true} {
			s := newVaultSite(t)
			s.env = append(s.env, "CWVAULT_WORKERS=1")
			s.killCompanies()
			want := killFirst
			if test.moves {
				s.inProcess(exitOK, "resync")
				s.killChanges()
				want = killLast
			}
			p := paused{s.pause(test.n, test.method, test.path, test.text), test.name, late, want}
			if p.late {
				p.name += ", done after the other run"
			} else {
				p.answer()
			}
			runs = append(runs, p)
		}
	}

	for _, p := range runs {
		if out := p.must(exitLease, "resync"); !strings.Contains(out, fmt.Sprintf("process %d ", p.cmd.Process.Pid)) {
			t.Errorf("%s: the second run does not name the first (%d):\n%s", p.name, p.cmd.Process.Pid, out)
		}
	}
	for _, p := range runs { // a suspended machine's timers do not run either
		p.inJournal(`UPDATE cwvault_lease SET expires = 1, uptime = 1`)
	}

	for _, p := range runs {
		t.Run(p.name, func(t *testing.T) {
			p.site.t = t
			p.inProcess(exitOK, "resync")
			if p.answer(); p.late {
				p.answered()
			}
			code, changes := p.wake()
			if code != exitLease || !strings.Contains(p.out.String(), "error: journal "+p.statePath()+": check the lease: the lease is lost") {
				t.Errorf("exit code %d, want %d, and a word about the lease", code, exitLease)
			}
			for _, c := range changes {
				t.Errorf("after the pause: %s", c)
			}
			p.inProcess(exitOK, "resync")
			p.inProcess(exitOK, "plan", "--detailed-exitcode")
			if p.check(p.want); t.Failed() {
				t.Logf("it said:\n%s", &p.out)
			}
		})
	}
}

// TestPausedUntilItExpires lets a lease expire by itself, a short one: another
// run waits for that, and the one that was stopped finds its lease lost.
func TestPausedUntilItExpires(t *testing.T) {
	t.Parallel()
	const life = 2 * time.Second
	s := newVaultSite(t)
	s.env = append(s.env, "CWVAULT_WORKERS=1", testLease+"="+life.String())
	s.killCompanies()
	p := s.pause(2, http.MethodPost, "/v1/folders", "")
	p.answer()
	var out bytes.Buffer
	other := Process{Args: []string{"resync", "--wait", "1m"}, Environ: s.env, Stdout: &out, Stderr: &out, Times: settings.Times{LeaseLife: life}}
	if code := Run(t.Context(), other); code != exitOK {
		t.Fatalf("the run that waits: exit code %d\n%s", code, &out)
	}
	code, changes := p.wake()
	if code != exitLease || len(changes) > 0 {
		t.Errorf("exit code %d, want %d; changes after the pause: %q\n%s", code, exitLease, changes, &p.out)
	}
	s.inProcess(exitOK, "plan", "--detailed-exitcode")
	s.check(killFirst)
}

// answered waits until Secret Server has answered all requests.
func (s *vaultSite) answered() {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		open := 0
		for _, q := range s.server.Requests() {
			if q.Status == 0 {
				open++
			}
		}
		if open == 0 {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%d requests are not answered", open)
		}
	}
}

// robbedVault loses the run's lease to another run during the first update.
type robbedVault struct {
	run.Vault
	rob     func()
	updates int
}

func (v *robbedVault) Update(ctx context.Context, id, parentID, name string) (sync.Folder, error) {
	if v.updates++; v.updates == 1 {
		v.rob()
	}
	return v.Vault.Update(ctx, id, parentID, name)
}

// TestLeaseLostInSwap loses the lease between the two halves of a swap in a
// password store. The first folder must not even be given its old name back.
func TestLeaseLostInSwap(t *testing.T) {
	s := newSite(t)
	s.world.add(1, "Alpha", "Customer", "Active")
	s.world.add(2, "Beta", "Customer", "Active")
	s.must(exitOK, "resync")
	s.world.Rename(1, "Beta")
	s.world.Rename(2, "Alpha")

	set, err := settings.Load(t.Context(), s.env, settings.Times{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := set.Open(t.Context(), hclog.NewNullLogger(), settings.Hooks{}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	runner := first.Runner()
	v := &robbedVault{Vault: runner.Vault, rob: func() {
		s.inJournal(`UPDATE cwvault_lease SET expires = 1, uptime = 1`)
		j, err := journal.Open(t.Context(), s.statePath(), journal.Options{})
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := j.Acquire(t.Context(), journal.Self()); err != nil {
			t.Error(err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}}
	runner.Vault = v
	e := runner.Run(t.Context(), run.Request{}, "manual")
	if code := exitOf(e); code != exitLease || e.Run == nil {
		t.Errorf("exit code %d, want %d; %+v", code, exitLease, e.Err)
	}
	if v.updates != 1 {
		t.Errorf("%d updates, want only the one under way", v.updates)
	}
	s.must(exitOK, "resync")
	if dir := s.marks()["company/1"]; filepath.Base(dir) != "Beta" {
		t.Errorf("company 1 is at %s", dir)
	}
}
