package check

import (
	"fmt"
	"strings"
	"testing"

	"cwvault/sync"
	"cwvault/sync/run"
)

// TestFixFor names the setting for each error of a run that states only facts.
func TestFixFor(t *testing.T) {
	for _, test := range []struct {
		err   error
		names string
	}{
		{&run.NoRootError{Root: `\Nope`}, "CWVAULT_CREATE_ROOT"},
		{&run.MismatchError{What: "root"}, "CWVAULT_ROOT"},
		{&run.MismatchError{What: "vault"}, "CWVAULT_VAULT_URL"},
		{&run.MismatchError{What: "tenant"}, "CWVAULT_CONNECTWISE_COMPANY_ID"},
		{&sync.SettingsError{Problems: []string{"unknown type"}}, "CWVAULT_TYPES"},
		{&sync.SourceError{Dropped: true}, "CWVAULT_MAX_SOURCE_DROP"},
		{&sync.SourceError{}, ""},
		{sync.ErrUnanswered, ""},
	} {
		got := FixFor(fmt.Errorf("read: %w", test.err))
		if !strings.Contains(got, test.names) || (got == "") != (test.names == "") {
			t.Errorf("%T: %q, want it to name %q", test.err, got, test.names)
		}
	}
}
