package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cwvault/sync"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

// journal checks the journal, and with it what the guards would say before a run.
func (k *inspection) journal(ctx context.Context, source sync.Source, tree sync.Tree, read bool) {
	const subject = "journal"
	if k.StateFile != "" && !k.stateFile() || k.Runner == nil {
		return
	}
	runner, err := k.Runner(ctx)
	if err != nil {
		k.fail(subject, err.Error(), "check CWVAULT_STATE", err)
		return
	}
	runs, err := runner.Journal.Runs(ctx, 1, 0)
	if err != nil {
		k.fail(subject, err.Error(), "check CWVAULT_STATE", err)
		return
	}
	switch {
	case len(runs) == 0:
		k.ok(subject, "no runs yet; nothing to compare with")
		return
	case runs[0].Outcome == "":
		k.ok(subject, "%s; run %d of %s is in progress, or was interrupted", k.State, runs[0].ID, report.Second(runs[0].Started))
	default:
		k.ok(subject, "%s; the last run was %d of %s: %s", k.State, runs[0].ID, report.Second(runs[0].Started), runs[0].Outcome)
	}
	if read {
		k.guard(ctx, runner, source, tree)
	}
}

// guard checks whether earlier runs would make the guards refuse a run.
func (k *inspection) guard(ctx context.Context, runner *run.Runner, source sync.Source, tree sync.Tree) {
	const subject = "journal guard"
	memory, err := runner.Journal.Recall(ctx)
	if err == nil {
		err = runner.SameInstallation(memory, tree)
	}
	judged := "tenant, vault and root fit"
	if err == nil && source.Count > 0 && memory.LastGood != nil {
		judged = "tenant, vault, root and number of companies fit"
		err = runner.TrustSource(memory, counted(min(source.Count, memory.LastGood.Companies)))
	}
	var other *run.MismatchError
	switch {
	case errors.As(err, &other):
		k.fail(subject, fmt.Sprintf("%s is %q, and %q in the runs that the journal %s knows", mismatchSetting(other), other.Is, other.Was, k.State),
			"for another installation use another CWVAULT_STATE", err)
	case err != nil:
		k.fail(subject, err.Error(), FixFor(err), err)
	default:
		k.ok(subject, "%s the runs before", judged)
	}
}

// mismatchSetting names the setting that does not fit the journal.
func mismatchSetting(e *run.MismatchError) string {
	return map[string]string{"tenant": "CWVAULT_CONNECTWISE_COMPANY_ID", "vault": "CWVAULT_VAULT_URL", "root": "CWVAULT_ROOT"}[e.What]
}

// counted returns n companies that have nothing but an id: the guard only needs
// their number.
func counted(n int) sync.Source {
	src := sync.Source{Companies: make([]sync.Company, n), Count: n}
	for i := range src.Companies {
		src.Companies[i].ID = i + 1
	}
	return src
}

// stateFile checks the journal's file and its directory without opening the file.
// It reports whether opening it makes sense.
func (k *inspection) stateFile() bool {
	const subject = "journal file"
	path := k.StateFile
	if abs, err := filepath.Abs(path); err == nil {
		path = abs // several files may have this name
	}
	need := []string{filepath.Dir(path)}
	_, err := os.Stat(path)
	if err == nil {
		need = append(need, path)
	}
	for _, p := range need {
		if err := k.Writable(p); err != nil {
			k.fail(subject, fmt.Sprintf("cannot write in %s: %v", p, err), "give the account that runs cwvault a place to write, or set CWVAULT_STATE to another",
				run.Settingsf("CWVAULT_STATE: %w", err))
			return false
		}
	}
	if err != nil {
		k.ok(subject, "%s, which the first resync makes", path)
		return true
	}
	n := len(k.found)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if f, ok := Private(subject, path+suffix); ok {
			k.add(f)
		}
	}
	if len(k.found) == n {
		k.ok(subject, "%s can be written, by this account alone", path)
	}
	return true
}
