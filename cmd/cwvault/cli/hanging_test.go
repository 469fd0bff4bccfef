//go:build unix

package cli

import (
	"bytes"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cwvault/sync"
	"cwvault/sync/run"
	"cwvault/vault/secretserver/secretservertest"
)

// TestServeStoppedWhileVaultHangs has Secret Server answer nothing any more in the
// middle of a run. SIGTERM ends the service all the same, soon enough for those
// who would kill it, and the next run finishes the work.
func TestServeStoppedWhileVaultHangs(t *testing.T) {
	t.Parallel()
	s := newVaultSite(t)
	s.killCompanies()
	s.env = append(s.env, "CWVAULT_LISTEN=off", "CWVAULT_WORKERS=2")
	var posts atomic.Int32
	hanging := make(chan struct{})
	s.server.AddFault(secretservertest.Fault{Delay: time.Hour, Match: func(r *http.Request) bool {
		if r.Method == http.MethodPost && r.URL.Path == "/api/v1/folders" && posts.Add(1) == 3 {
			close(hanging)
		}
		return posts.Load() >= 3
	}})
	var out bytes.Buffer
	cmd := s.command(&out, "serve")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	<-hanging
	stopped := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if took := time.Since(stopped); took > run.StopGrace+10*time.Second || took < run.StopGrace/2 {
		t.Errorf("it took %v\n%s", took, &out)
	}
	s.server.ClearFaults()
	if text := s.inProcess(exitOK, "history"); !strings.Contains(text, "stopped") {
		t.Errorf("the history says\n%s", text)
	}
	if text := s.inProcess(exitOK, "plan"); strings.Contains(text, string(sync.HeldFailedBefore)) {
		t.Errorf("being stopped counts as a failure:\n%s", text)
	}
	s.inProcess(exitOK, "resync")
	s.check(killFirst)
}
