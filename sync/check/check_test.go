package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/run"
	"cwvault/vault"
)

// checkedVault is a vault of which only what a check asks for is there.
type checkedVault struct {
	run.Vault
	tree    sync.Tree
	treeErr error
	read    bool // its tree was
}

func (v *checkedVault) Tree(context.Context) (sync.Tree, error) {
	v.read = true
	return v.tree, v.treeErr
}

// talkingVault can say more of itself.
type talkingVault struct {
	*checkedVault
	findings []sync.Finding
}

func (v talkingVault) Check(ctx context.Context) []sync.Finding {
	if _, ok := ctx.Deadline(); !ok {
		return []sync.Finding{{Subject: "test", Err: errors.New("no deadline")}}
	}
	return v.findings
}

// inspect returns an inspection of nothing yet, and lines that show it.
func inspect(parts Parts) (*inspection, func() []string) {
	parts.Tenant = "acmeinc"
	k := newInspection(parts)
	return k, func() (lines []string) {
		for _, f := range k.found {
			text := f.Text
			if f.Fix != "" {
				text += "; " + f.Fix
			}
			lines = append(lines, fmt.Sprintf("%s %s: %s", f.Level(), f.Subject, text))
		}
		return lines
	}
}

// causeOf returns the first cause that keeps a run from its first step.
func causeOf(found []sync.Finding) run.Cause {
	for _, f := range found {
		if f.Err != nil {
			return run.CauseOf(f.Err)
		}
	}
	return run.CauseNone
}

func TestCheckVault(t *testing.T) {
	clients := sync.Tree{RootPath: `\Clients`, Root: sync.Folder{ID: "1"}}
	for name, test := range map[string]struct {
		vault    *checkedVault
		findings []sync.Finding // nil: it cannot say anything
		want     []string
		code     run.Cause
		unread   bool
	}{
		"says nothing of itself": {vault: &checkedVault{tree: clients}, want: []string{
			`Ok vault root: \Clients, with 0 folders below it`,
			`Ok vault marks: 0 company folders and 0 group folders of acmeinc; beside them 0 that cwvault leaves alone`}},
		"says something": {vault: &checkedVault{tree: clients},
			findings: []sync.Finding{{Subject: "clock", Text: "agrees"}, {Subject: "account", Text: "may do too much", Fix: "take it away"}},
			want: []string{
				`Ok vault clock: agrees`,
				`Warn vault account: may do too much; take it away`,
				`Ok vault root: \Clients, with 0 folders below it`,
				`Ok vault marks: 0 company folders and 0 group folders of acmeinc; beside them 0 that cwvault leaves alone`}},
		"lacks a right": {vault: &checkedVault{tree: clients}, code: run.CauseUnauthorized,
			findings: []sync.Finding{{Subject: "account", Text: "may not move", Fix: "let it", Err: vault.ErrNotAllowed}},
			want: []string{
				`Fail vault account: may not move; let it`,
				`Ok vault root: \Clients, with 0 folders below it`,
				`Ok vault marks: 0 company folders and 0 group folders of acmeinc; beside them 0 that cwvault leaves alone`}},
		"cannot sign in": {vault: &checkedVault{tree: clients}, code: run.CauseUnauthorized, unread: true,
			findings: []sync.Finding{{Subject: "sign-in", Text: "refused", Fix: "check the password", Err: fmt.Errorf("x: %w", vault.ErrUnauthorized)}},
			want:     []string{`Fail vault sign-in: refused; check the password`}},
		"is not there": {vault: &checkedVault{tree: clients}, code: run.CauseFailed, unread: true,
			findings: []sync.Finding{{Subject: "server", Text: "gone", Fix: "start it", Err: vault.ErrUnavailable}},
			want:     []string{`Fail vault server: gone; start it`}},
		"sign-in fails with the folders": {vault: &checkedVault{treeErr: fmt.Errorf("list: %w", vault.ErrUnauthorized)}, code: run.CauseUnauthorized,
			want: []string{`Fail vault folders: list: not authorised; check CWVAULT_VAULT_USERNAME and CWVAULT_VAULT_PASSWORD`}},
		"hides folders": {vault: &checkedVault{treeErr: vault.ErrNotAllowed}, code: run.CauseUnauthorized,
			want: []string{`Fail vault folders: not allowed; give the account the right to see all folders below CWVAULT_ROOT`}},
		"does not answer": {vault: &checkedVault{treeErr: errors.New("list:\n\tno\x1b[31m")}, code: run.CauseFailed,
			want: []string{"Fail vault folders: list:\n\tno\x1b[31m; check CWVAULT_VAULT_URL and CWVAULT_ROOT"}},
		"has no root": {vault: &checkedVault{tree: sync.Tree{RootPath: `\Clients`}}, code: run.CauseSettings,
			want: []string{`Fail vault root: \Clients does not exist, or the account cannot see it; make it in the vault, correct CWVAULT_ROOT, or set CWVAULT_CREATE_ROOT=true`}},
	} {
		t.Run(name, func(t *testing.T) {
			parts := Parts{Vault: test.vault}
			if test.findings != nil {
				parts.Vault = talkingVault{test.vault, test.findings}
			}
			k, lines := inspect(parts)
			tree, read := k.vault(context.Background())
			if diff := cmp.Diff(test.want, lines()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := causeOf(k.found); got != test.code {
				t.Errorf("cause %q, want %q", got, test.code)
			}
			if test.vault.read == test.unread || read != (!test.unread && test.vault.treeErr == nil) || read && tree.RootPath != `\Clients` {
				t.Errorf("folders asked for: %v, read: %v, %v", test.vault.read, read, tree)
			}
		})
	}
}

func TestCheckMarks(t *testing.T) {
	ours := func(key string) sync.Mark { return sync.Mark{Tenant: "acmeinc", Key: sync.Key(key)} }
	k, lines := inspect(Parts{})
	k.marks(sync.Tree{RootPath: `\`, Root: sync.Folder{ID: "0"}, Folders: []sync.Folder{
		{ID: "1", ParentID: "0", Name: "Customer", Mark: ours("group/type:1")},
		{ID: "2", ParentID: "1", Name: "Acme", Mark: ours("company/1")},
		{ID: "3", ParentID: "2", Name: "of theirs"},
		{ID: "4", ParentID: "3", Name: "of theirs too"},
		{ID: "5", ParentID: "1", Name: "beside"},
		{ID: "6", ParentID: "0", Name: "bad", BadMark: true},
		{ID: "7", ParentID: "0", Name: "future", Mark: ours("region/1")},
		{ID: "8", ParentID: "0", Name: "d", Mark: sync.Mark{Tenant: "globex", Key: "company/1"}},
		{ID: "9", ParentID: "0", Name: "c", Mark: sync.Mark{Tenant: "globex", Key: "company/2"}},
		{ID: "10", ParentID: "0", Name: "b", Mark: sync.Mark{Tenant: "globex", Key: "company/3"}},
		{ID: "11", ParentID: "0", Name: "a", Mark: sync.Mark{Tenant: "globex", Key: "company/4"}},
		{ID: "12", ParentID: "13", Name: "in", Mark: sync.Mark{}}, // a circle
		{ID: "13", ParentID: "12", Name: "circles", Mark: sync.Mark{}},
		{ID: "14", ParentID: "6", Name: "copy", Mark: ours("group/type:1")},
	}})
	want := []string{
		`Ok vault marks: 1 company folder and 2 group folders of acmeinc; beside them 9 that cwvault leaves alone`,
		`Warn vault marks: 4 folders carry a mark by another tenant: \a (globex company/4), \b (globex company/3), \c (globex company/2) and 1 more; give each installation a root of its own`,
		`Warn vault marks: 2 folders carry a mark that cannot be read: \bad, \future; restore the mark from a backup, or remove it and let CWVAULT_ADOPT=path write it anew`,
		`Warn vault marks: the same mark on several folders, which are held: group/type:1 on \Customer and \bad\copy; remove the mark from the copy`,
	}
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Rights to write are told without writing. The tests may run as root, who may
// always, so the system's answer is replaced.
func TestCheckStoreRights(t *testing.T) {
	dir := t.TempDir()
	tree := sync.Tree{RootPath: `\Clients\MSP`, Root: sync.Folder{ID: "Clients/MSP"}, Folders: []sync.Folder{
		{ID: "1", ParentID: "Clients/MSP", Name: "Acme", Mark: sync.Mark{Tenant: "acmeinc", Key: "company/1"}},
		{ID: "2", ParentID: "1", Name: "theirs"},
		{ID: "3", ParentID: "Clients/MSP", Name: "Bolt", Mark: sync.Mark{Tenant: "acmeinc", Key: "company/2"}},
		{ID: "4", ParentID: "Clients/MSP", Name: "Globex", Mark: sync.Mark{Tenant: "globex", Key: "company/2"}},
	}}
	root := filepath.Join(dir, "Clients", "MSP")
	for name, test := range map[string]struct {
		tree  sync.Tree
		err   error // in Bolt
		asked []string
		want  string
		code  run.Cause
	}{
		"all": {tree, nil, []string{root, filepath.Join(root, "Acme"), filepath.Join(root, "Bolt")}, "Ok vault rights: can write in the root and in 2 managed folders", run.CauseNone},
		"not one": {tree, fs.ErrPermission, []string{root, filepath.Join(root, "Acme"), filepath.Join(root, "Bolt")},
			"Fail vault rights: cannot write in " + filepath.Join(root, "Bolt") + ": permission denied; give the account that runs cwvault write access to the whole of CWVAULT_ROOT", run.CauseUnauthorized},
		"read-only": {tree, errors.New("read-only file system"), []string{root, filepath.Join(root, "Acme"), filepath.Join(root, "Bolt")},
			"Fail vault rights: cannot write in " + filepath.Join(root, "Bolt") + ": read-only file system; give the account that runs cwvault write access to the whole of CWVAULT_ROOT", run.CauseFailed},
		"no root yet": {sync.Tree{RootPath: `\Clients\MSP`}, nil, []string{dir}, "Ok vault rights: can write in " + dir + ", where the root will be made", run.CauseNone},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			k, lines := inspect(Parts{StoreDir: dir, Writable: func(path string) error {
				asked = append(asked, path)
				if filepath.Base(path) == "Bolt" {
					return test.err
				}
				return nil
			}})
			k.storeRights(test.tree)
			if diff := cmp.Diff(test.asked, asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{strings.ReplaceAll(test.want, "permission denied", fs.ErrPermission.Error())}, lines()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := causeOf(k.found); got != test.code {
				t.Errorf("cause %q, want %q", got, test.code)
			}
		})
	}
}

func TestCheckStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cwvault.db")
	k, lines := inspect(Parts{StateFile: path, Writable: func(string) error { return fs.ErrPermission }})
	if k.stateFile() || causeOf(k.found) != run.CauseSettings {
		t.Errorf("%v", lines())
	}
	want := []string{"Fail journal file: cannot write in " + filepath.Dir(path) + ": " + fs.ErrPermission.Error() +
		"; give the account that runs cwvault a place to write, or set CWVAULT_STATE to another"}
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Another run is noted, and neither waited for nor disturbed.
func TestCheckRunUnderWay(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "cwvault.db")
	j, err := journal.Open(ctx, path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	lease, err := j.Acquire(ctx, journal.Self())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.StartRun(ctx, journal.Run{Trigger: "manual"}); err != nil {
		t.Fatal(err)
	}
	k, lines := inspect(Parts{State: "cwvault.db", StateFile: path, Runner: func(ctx context.Context) (*run.Runner, error) {
		j, err := journal.OpenReadOnly(ctx, path, journal.Options{})
		t.Cleanup(func() { j.Close() })
		return run.New(run.Options{Journal: j}), err
	}})
	k.journal(ctx, sync.Source{}, sync.Tree{}, false)
	got := lines()
	if len(got) != 2 || !strings.HasPrefix(got[0], "Ok journal file: ") || !strings.HasSuffix(got[1], " is in progress, or was interrupted") || causeOf(k.found) != run.CauseNone {
		t.Errorf("%q", got)
	}
	if err := lease.Check(ctx); err != nil {
		t.Error(err)
	}
}
