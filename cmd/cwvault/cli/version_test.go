package cli

import (
	"bytes"
	"regexp"
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := cwvault(t.Context(), []string{"version"}, nil, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	want := regexp.MustCompile(`^cwvault \S+ commit \S+ go1\.\S+ \w+/\w+\n$`)
	if !want.Match(stdout.Bytes()) {
		t.Errorf("%q does not match %s", stdout.String(), want)
	}
}

func TestCommit(t *testing.T) {
	for name, test := range map[string]struct {
		settings []debug.BuildSetting
		want     string
	}{
		"not from a checkout": {nil, "unknown"},
		"clean":               {[]debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"}}, "abc"},
		"with changes":        {[]debug.BuildSetting{{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "abc"}}, "abc+modified"},
	} {
		if got := commitOf(&debug.BuildInfo{Settings: test.settings}); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
