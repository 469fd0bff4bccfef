package cli

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"cwvault/connectwise"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/run"
	"cwvault/vault"
)

func TestWorst(t *testing.T) {
	settings, refused, source, other := run.Settingsf("x"), error(vault.ErrNotAllowed), error(connectwise.ErrIncomplete), errors.New("x")
	for name, test := range map[string]struct {
		errs []error
		want int
	}{
		"nothing":        {nil, exitOK},
		"all good":       {[]error{nil, nil}, exitOK},
		"other":          {[]error{nil, other, nil}, exitFailed},
		"lease":          {[]error{journal.ErrHeld}, exitFailed},
		"source":         {[]error{other, source, other}, exitSource},
		"refused":        {[]error{source, refused, other}, exitUnauthorized},
		"settings":       {[]error{refused, settings, source, other}, exitConfig},
		"settings first": {[]error{settings, refused}, exitConfig},
	} {
		var found []sync.Finding
		for _, err := range test.errs {
			found = append(found, sync.Finding{Fix: "x", Err: err}) // warnings do not count
		}
		if got := worst(found); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// A check that is stopped says nothing of what it found.
func TestCheckStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := cwvault(ctx, []string{"check"}, []string{"CWVAULT_STATE=" + filepath.Join(t.TempDir(), "cwvault.db")}, &stdout, &stderr); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if stdout.Len() > 0 || !strings.Contains(stderr.String(), "stopped by a signal") {
		t.Errorf("%q, %q", &stdout, &stderr)
	}
}
