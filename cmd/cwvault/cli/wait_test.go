package cli

import (
	"bytes"
	"strings"
	"testing"
)

// TestTakesItsTurn holds one run up in ConnectWise and starts another, which
// waits until the first is over and then finds its work done.
func TestTakesItsTurn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.world.add(1, "Acme", "Customer", "Active")
	entered, release, remove := s.world.holdReadings(t)
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
