package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/connectwise/connectwisetest"
	"cwvault/sync/journal"
)

// TestTakesItsTurn holds one run up in ConnectWise and starts another, which
// waits until the first is over and then finds its work done.
func TestTakesItsTurn(t *testing.T) {
	s := newSite(t)
	s.world.add(1, "Acme", "Customer", "Active")
	entered := make(chan struct{}, 10)
	released := make(chan struct{})
	release := gosync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	remove := s.world.AddFault(connectwisetest.Fault{
		Match:  connectwisetest.On(http.MethodGet, "/company/companies"),
		Before: func() { entered <- struct{}{}; <-released },
	})
	var firstOut bytes.Buffer
	first := s.command(&firstOut, "resync")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-entered
	remove()

	var stdout bytes.Buffer
	second := s.command(&stdout, "resync", "--wait", "60s")
	second.Stderr = nil
	stderr, err := second.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	b := make([]byte, 1<<10)
	for !strings.Contains(said.String(), "waiting for another run to end") {
		n, err := stderr.Read(b)
		if said.Write(b[:n]); err != nil {
			t.Fatalf("it did not wait: %v\n%s", err, said.String())
		}
	}
	release()
	if err := first.Wait(); err != nil {
		t.Errorf("the first run: %v\n%s", err, firstOut.String())
	}
	if err := second.Wait(); err != nil {
		t.Errorf("the second run: %v\n%s%s", err, said.String(), stdout.String())
	}
	if text := stdout.String(); !strings.HasPrefix(text, "Run 2: done") || !strings.Contains(text, "nothing to change, 0 held, 0 departed, 3 unchanged") {
		t.Errorf("the second run says\n%s", text)
	}
}

func TestAcquire(t *testing.T) {
	open := func(state string) *journal.Journal {
		j, err := journal.Open(t.Context(), state, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { j.Close() })
		return j
	}
	state := filepath.Join(t.TempDir(), "cwvault.db")
	mine, theirs := open(state), open(state)
	log := hclog.NewNullLogger()
	lease, err := acquire(t.Context(), theirs, 0, log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := acquire(t.Context(), mine, 0, log); !errors.Is(err, journal.ErrHeld) {
		t.Errorf("without waiting: %v", err)
	}
	began := time.Now()
	if _, err := acquire(t.Context(), mine, 700*time.Millisecond, log); !errors.Is(err, journal.ErrHeld) || time.Since(began) < 700*time.Millisecond {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := acquire(ctx, mine, time.Hour, log); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), journal.Self().String()) {
		t.Errorf("stopped while it waits: %v", err)
	}
	released := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() { released <- lease.Release(t.Context()) })
	lease, err = acquire(t.Context(), mine, time.Minute, log)
	if err != nil {
		t.Fatalf("when it is free: %v", err)
	}
	if err := errors.Join(<-released, lease.Release(t.Context())); err != nil {
		t.Error(err)
	}
}
