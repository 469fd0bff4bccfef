package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEnvFileFlag runs commands with the flag.
func TestEnvFileFlag(t *testing.T) {
	for name, test := range map[string]struct {
		mode   os.FileMode
		text   string
		code   int
		stderr []string
		not    string
	}{
		"settings are used":     {0o600, "CWVAULT_WORKERS=many", exitConfig, []string{`CWVAULT_WORKERS: "many" is not a number`}, "everybody"},
		"unknown ones are told": {0o600, "CWVAULT_ROOTS=x", exitConfig, []string{"unknown setting", "CWVAULT_ROOTS"}, "everybody"},
		"secrets for everybody": {0o644, "CWVAULT_TOKEN=hunter2", exitConfig, []string{"and CWVAULT_TOKEN is in it; use chmod o-r, or CWVAULT_TOKEN_FILE"}, "hunter2"},
		"secrets in an address": {0o644, "CWVAULT_STATE=postgres://u:hunter2@127.0.0.1:1/db", exitConfig,
			[]string{"everybody on this machine can read the settings file, and the password of CWVAULT_STATE is in it"}, "hunter2"},
		"secrets for a group":     {0o640, "CWVAULT_TOKEN=hunter2", exitConfig, nil, "everybody"},
		"no secrets":              {0o644, "CWVAULT_TOKEN_FILE=/nowhere", exitConfig, []string{"CWVAULT_TOKEN_FILE: open /nowhere"}, "everybody"},
		"a file out of shape":     {0o600, "x=hunter2", exitConfig, []string{"--env-file", "cwvault.env: line 1: not of the form"}, "hunter2"},
		"a file that is too long": {0o600, strings.Repeat("#", 1<<20+1), exitConfig, []string{"is larger than"}, "##"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			path := filepath.Join(t.TempDir(), "cwvault.env")
			if err := os.WriteFile(path, []byte(test.text), test.mode); err != nil {
				t.Fatal(err)
			}
			code := cwvault(t.Context(), []string{"plan", "--env-file", path}, nil, &stdout, &stderr)
			if code != test.code || stdout.Len() > 0 {
				t.Errorf("exit code %d, want %d; output %q", code, test.code, stdout.String())
			}
			for _, want := range test.stderr {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("no %q in\n%s", want, stderr.String())
				}
			}
			if strings.Contains(stderr.String(), test.not) {
				t.Errorf("%q in\n%s", test.not, stderr.String())
			}
		})
	}
	t.Run("before the command, and not there", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		missing := filepath.Join(t.TempDir(), "none.env")
		if code := cwvault(t.Context(), []string{"--env-file", missing, "plan"}, nil, &stdout, &stderr); code != exitConfig {
			t.Errorf("exit code %d\n%s", code, stderr.String())
		}
		if !strings.Contains(stderr.String(), missing) {
			t.Errorf("the file is not named in\n%s", stderr.String())
		}
	})
	t.Run("a directory", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		code := cwvault(t.Context(), []string{"--env-file", t.TempDir(), "plan"}, nil, &stdout, &stderr)
		if code != exitConfig || !strings.Contains(stderr.String(), "is a directory") {
			t.Errorf("exit code %d\n%s", code, stderr.String())
		}
	})
}
