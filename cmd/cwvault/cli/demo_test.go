package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDemo runs the whole demo on each vault. It checks itself: every command
// in it must end as foretold, and every secret is looked up at the end.
func TestDemo(t *testing.T) {
	t.Parallel()
	for _, vault := range []string{"passwordstore", "secretserver"} {
		t.Run(vault, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "demo")
			var out, errs bytes.Buffer
			if code := cwvault(t.Context(), []string{"demo", "--vault", vault, "--dir", dir}, []string{"CWVAULT_ROOT=ignored"}, &out, &errs); code != exitOK {
				t.Fatalf("exit code %d\n%s\n%s", code, &out, &errs)
			}
			month, err := os.ReadFile(filepath.Join(dir, "month-plan.txt"))
			if err != nil {
				t.Fatal(err)
			}
			for want, in := range map[string]string{
				"331 created": out.String(), "swapped names": out.String(), "nothing to change": out.String(),
				"status renamed from Inactive to Former": string(month), "type changed from Prospect to Customer": string(month),
				"    via \\Clients": string(month), "at least 2 secrets along with it": string(month),
			} {
				if !strings.Contains(in, want) {
					t.Errorf("the story does not say %q", want)
				}
			}
			if errs.Len() > 0 {
				t.Errorf("standard error: %s", &errs)
			}
			if code := cwvault(t.Context(), []string{"demo", "--vault", vault, "--dir", dir}, nil, &out, &errs); code != exitUsage {
				t.Errorf("a second demo in the same place: exit code %d", code)
			}
		})
	}
}
