//go:build unix

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
	"cwvault/vault/secretserver/secretservertest"
)

// stoppedRun is what a run that a signal stopped says of itself.
type stoppedRun struct {
	Run     int64
	Outcome string
	Steps   []struct {
		Key, Op, To, Status, Error string
	}
}

// onChange calls f once, when Secret Server gets the nth request that changes
// something, and slows down all of them.
func (s *vaultSite) onChange(n int, f func()) {
	s.t.Helper()
	s.server.AddFault(secretservertest.Fault{
		Match: func(r *http.Request) bool {
			if r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, "/oauth2/token") {
				return false
			}
			if n--; n == 0 {
				f()
			}
			return true
		},
		Delay: 100 * time.Millisecond,
	})
}

// watched closes seen when a word is written. It passes everything on.
type watched struct {
	to   io.Writer
	word string
	seen chan struct{}
	text []byte
}

func (w *watched) Write(p []byte) (int, error) {
	before := bytes.Contains(w.text, []byte(w.word))
	w.text = append(w.text, p...)
	if !before && bytes.Contains(w.text, []byte(w.word)) {
		close(w.seen)
	}
	return w.to.Write(p)
}

// signalAt runs a process, sends it a signal when Secret Server gets the nth
// change, and returns its exit code. The change is answered when the process says that
// it stops, however late a busy machine lets it notice.
func (s *vaultSite) signalAt(n int, signal os.Signal, cmd *exec.Cmd) int {
	s.t.Helper()
	started := make(chan struct{})
	cmd.Env = append(cmd.Env, "CWVAULT_LOG_LEVEL=info")
	log := &watched{to: cmd.Stderr, word: "stopping: ", seen: make(chan struct{})}
	if cmd.Stdout == cmd.Stderr {
		cmd.Stdout = log
	}
	cmd.Stderr = log
	s.onChange(n, func() {
		<-started
		_ = cmd.Process.Signal(signal) // it waits for the answer
		select {
		case <-log.seen:
		case <-time.After(10 * time.Second):
			s.t.Error("the process does not say that it stops")
		}
	})
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	close(started)
	_ = cmd.Wait() // its error is the exit code
	s.server.ClearFaults()
	return cmd.ProcessState.ExitCode()
}

// TestSignals stops runs in the middle of their steps. Those under way are
// finished, recorded and reported, the others are not begun, and the next run
// makes them.
func TestSignals(t *testing.T) {
	t.Parallel()
	const workers = 2
	for _, test := range []struct {
		name   string
		signal syscall.Signal
		moves  bool
		at     int // which change is under way
	}{
		{"SIGTERM among creates", syscall.SIGTERM, false, 7},
		{"SIGINT among creates", syscall.SIGINT, false, 8},
		{"SIGTERM at the first change", syscall.SIGTERM, false, 1},
		{"SIGINT in a swap", syscall.SIGINT, true, 1},
		{"SIGTERM in a swap", syscall.SIGTERM, true, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newVaultSite(t)
			want := map[string]string{}
			for i := range 20 {
				s.world.add(100+i, fmt.Sprintf("Company %02d", i), "Customer", "Active")
				want[fmt.Sprintf("company/%d", 100+i)] = fmt.Sprintf(`\Clients\Customer\Active\Company %02d`, i)
			}
			if test.moves {
				s.inProcess(exitOK, "resync")
				for i := range 20 {
					s.world.Rename(100+i, fmt.Sprintf("Company %02d", i^1))
					want[fmt.Sprintf("company/%d", 100+i)] = fmt.Sprintf(`\Clients\Customer\Active\Company %02d`, i^1)
				}
			}
			s.env = append(s.env, fmt.Sprintf("CWVAULT_WORKERS=%d", workers))
			s.server.ResetRequests()
			var out, errs bytes.Buffer
			cmd := s.command(&out, "resync", "--format", "json")
			cmd.Stderr = &errs
			if code := s.signalAt(test.at, test.signal, cmd); code != exitPartial {
				t.Errorf("exit code %d, want %d\n%s", code, exitPartial, &errs)
			}
			changes := 0
			for _, q := range s.server.Requests() {
				if changing(q) {
					changes++
				}
			}
			// Each worker may have begun a step when the signal came, and a step
			// has two changes; with a swap goes the way back.
			if most := test.at + 2*workers; changes < test.at || changes > most {
				t.Errorf("%d changes, the signal came with number %d of them", changes, test.at)
			}

			var report stoppedRun
			if err := json.Unmarshal(out.Bytes(), &report); err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
			if report.Outcome != "stopped" {
				t.Errorf("outcome %q", report.Outcome)
			}
			count := map[string]int{}
			at := map[string]string{}
			for _, f := range s.server.Folders() {
				if m, err := sync.ParseMark(f.Metadata["ConnectWise/Folder key"]); err == nil {
					at[string(m.Key)] = f.Path
				} else if strings.HasPrefix(f.Path, `\Clients\Customer`) {
					t.Errorf("%s has no mark", f.Path)
				}
				if strings.Contains(f.Path, "(moving") {
					t.Errorf("%s was left at its temporary name", f.Path)
				}
			}
			for _, step := range report.Steps {
				count[step.Status]++
				if done := step.Status == string(sync.StatusDone); done != (at[step.Key] == step.To) {
					t.Errorf("%s is %s, and the folder is at %q", step.Key, step.Status, at[step.Key])
				}
			}
			if count["done"]+count["skipped"] != len(report.Steps) || count["skipped"] == 0 || !test.moves && count["done"] == 0 {
				t.Errorf("steps: %v", count)
			}
			s.checkRecorded(report)

			s.inProcess(exitOK, "resync")
			s.inProcess(exitOK, "plan", "--detailed-exitcode")
			s.check(want)
		})
	}
}

// checkRecorded expects the journal to say of each step what the report says.
func (s *vaultSite) checkRecorded(report stoppedRun) {
	s.t.Helper()
	var recorded struct {
		Steps []struct{ Key, Status string }
	}
	text := s.inProcess(exitOK, "history", "--format", "json", fmt.Sprint(report.Run))
	if err := json.Unmarshal([]byte(text), &recorded); err != nil {
		s.t.Fatal(err)
	}
	status := map[string]string{}
	for _, step := range recorded.Steps {
		status[step.Key] = step.Status
	}
	for _, step := range report.Steps {
		if status[step.Key] != step.Status {
			s.t.Errorf("%s is %s in the report and %q in the journal", step.Key, step.Status, status[step.Key])
		}
	}
	if !strings.Contains(s.inProcess(exitOK, "history"), "stopped") {
		s.t.Errorf("the history does not say that run %d was stopped", report.Run)
	}
}

// TestSignalWhileReading stops a run that has not begun to change anything. It
// ends at once.
func TestSignalWhileReading(t *testing.T) {
	t.Parallel()
	s := newVaultSite(t)
	s.killCompanies()
	var out bytes.Buffer
	cmd := s.command(&out, "resync")
	asked := make(chan struct{}, 10)
	s.world.AddFault(connectwisetest.Fault{
		Match: connectwisetest.On(http.MethodGet, "/company/companies"), Before: func() { asked <- struct{}{} }, Hang: true,
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	signalled := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its error is the exit code
	if code, took := cmd.ProcessState.ExitCode(), time.Since(signalled); code != exitFailed || took > 5*time.Second {
		t.Errorf("exit code %d after %s", code, took)
	}
	if !strings.Contains(out.String(), "stopped by a signal") {
		t.Errorf("it does not say why:\n%s", &out)
	}
	for _, q := range s.server.Requests() {
		if changing(q) {
			t.Errorf("%s %s", q.Method, q.Path)
		}
	}
	s.world.ClearFaults()
	s.inProcess(exitOK, "resync")
	s.check(killFirst)
}

// TestServeStoppedInRun stops the service in the middle of a run.
func TestServeStoppedInRun(t *testing.T) {
	t.Parallel()
	s := newVaultSite(t)
	s.killCompanies()
	s.env = append(s.env, "CWVAULT_LISTEN=off", "CWVAULT_WORKERS=1")
	var out bytes.Buffer
	if code := s.signalAt(5, syscall.SIGTERM, s.command(&out, "serve")); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &out)
	}
	folders := 0
	for mark := range s.folderIDs() {
		if mark != "" {
			folders++
		}
	}
	if folders != 3 { // two groups and a company, of which the mark was to come
		t.Errorf("%d marked folders", folders)
	}
	if text := s.inProcess(exitOK, "history"); !strings.Contains(text, "stopped") {
		t.Errorf("the history says\n%s", text)
	}
	s.inProcess(exitOK, "resync")
	s.check(killFirst)
}

// TestStopLeavesNothingRunning stops a run in this process and looks for
// goroutines of ours.
func TestStopLeavesNothingRunning(t *testing.T) {
	s := newVaultSite(t)
	s.killCompanies()
	ctx, cancel := context.WithCancel(t.Context())
	s.onChange(3, cancel)
	var out, errs bytes.Buffer
	if code := cwvault(ctx, []string{"resync"}, s.env, &out, &errs); code != exitPartial {
		t.Errorf("exit code %d\n%s", code, &errs)
	}
	ours := func() (stacks []string) {
		buf := make([]byte, 4<<20)
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			theirs := strings.Contains(stack, "testing.") || strings.Contains(stack, "wisetest.") || strings.Contains(stack, "servertest.")
			if strings.Contains(stack, "cwvault/") && !theirs {
				stacks = append(stacks, stack)
			}
		}
		return stacks
	}
	end := time.Now().Add(10 * time.Second)
	for len(ours()) > 0 && time.Now().Before(end) {
		time.Sleep(10 * time.Millisecond)
	}
	for _, stack := range ours() {
		t.Errorf("still there: %s", stack)
	}
}
