package cli

import (
	"bytes"
	"strings"
	"testing"
)

// TestFailedRunSaysWhatToDo makes a run fail and looks wherever a person reads of it.
// An error states a fact. Which setting is to be corrected must stand beside it
// everywhere, for most readers are not at the command that failed.
func TestFailedRunSaysWhatToDo(t *testing.T) {
	t.Parallel()
	site := newVaultSite(t)
	site.world.add(1, "Acme", "Customer", "Active")
	site.env = append(site.env, `CWVAULT_ROOT=\Nope`)
	const fact, fix = `the root \Nope does not exist`, "CWVAULT_CREATE_ROOT=true"
	read := map[string]string{}

	var errs bytes.Buffer
	if code := cwvault(t.Context(), []string{"resync"}, site.env, &bytes.Buffer{}, &errs); code != exitConfig {
		t.Fatalf("exit code %d\n%s", code, &errs)
	}
	read["standard error"] = errs.String()
	read["history"] = site.inProcess(exitOK, "history", "1")
	read["history as JSON"] = site.inProcess(exitOK, "history", "1", "--format", "json")

	s := serveHere(t, site.env)
	var out bytes.Buffer
	if code := cwvault(t.Context(), []string{"resync", "--remote", s.base}, []string{"CWVAULT_TOKEN=" + serviceToken}, &out, &out); code != exitConfig {
		t.Errorf("exit code %d\n%s", code, &out)
	}
	read["resync --remote"] = out.String()
	_, read["the page"] = s.get("/")
	s.eventually("the log of the run", func() bool { return strings.Contains(s.log.String(), "Nope") })
	read["the log"] = s.log.String()

	for where, text := range read {
		text = strings.ReplaceAll(text, `\\`, `\`) // JSON
		if !strings.Contains(text, fact) || !strings.Contains(text, fix) {
			t.Errorf("%s does not say what to do:\n%s", where, text)
		}
	}
}
