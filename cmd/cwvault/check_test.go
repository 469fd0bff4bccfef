package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"cwvault/connectwise"
	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/vault"
)

// checkedVault is a vault of which only what a check asks for is there.
type checkedVault struct {
	vaultHandle
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
	findings []finding
}

func (v talkingVault) Check(ctx context.Context) []finding {
	if _, ok := ctx.Deadline(); !ok {
		return []finding{{Subject: "test", Err: errors.New("no deadline")}}
	}
	return v.findings
}

// inspect returns an inspection of nothing yet, and lines that show it.
func inspect(t *testing.T, environ ...string) (*inspection, func() []string) {
	t.Helper()
	c, err := loadConfig(context.Background(), append(environ, "CWVAULT_CONNECTWISE_COMPANY_ID=acmeinc"))
	if err != nil {
		t.Fatal(err)
	}
	a := &app{ctx: context.Background(), environ: environ, log: hclog.NewNullLogger()}
	k := newInspection(a, c)
	return k, func() []string {
		var b bytes.Buffer
		if err := writeCheck(&b, k.found, false); err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	}
}

func TestCheckVault(t *testing.T) {
	clients := sync.Tree{RootPath: `\Clients`, Root: sync.Folder{ID: "1"}}
	for name, test := range map[string]struct {
		vault    *checkedVault
		findings []finding // nil: it cannot say anything
		want     []string
		code     int
		unread   bool
	}{
		"says nothing of itself": {vault: &checkedVault{tree: clients}, want: []string{
			`Ok    vault root   \Clients, with 0 folders below it`,
			`Ok    vault marks  0 company folders and 0 group folders of acmeinc; beside them 0 that cwvault leaves alone`}},
		"says something": {vault: &checkedVault{tree: clients},
			findings: []finding{{Subject: "clock", Text: "agrees"}, {Subject: "account", Text: "may do too much", Mend: "take it away"}},
			want: []string{
				`Ok    vault clock    agrees`,
				`Warn  vault account  may do too much; take it away`,
				`Ok    vault root     \Clients, with 0 folders below it`,
				`Ok    vault marks    0 company folders and 0 group folders of acmeinc; beside them 0 that cwvault leaves alone`}},
		"lacks a right": {vault: &checkedVault{tree: clients}, code: exitUnauthorized,
			findings: []finding{{Subject: "account", Text: "may not move", Mend: "let it", Err: vault.ErrNotAllowed}},
			want: []string{
				`Fail  vault account  may not move; let it`,
				`Ok    vault root     \Clients, with 0 folders below it`,
				`Ok    vault marks    0 company folders and 0 group folders of acmeinc; beside them 0 that cwvault leaves alone`}},
		"cannot sign in": {vault: &checkedVault{tree: clients}, code: exitUnauthorized, unread: true,
			findings: []finding{{Subject: "sign-in", Text: "refused", Mend: "check the password", Err: fmt.Errorf("x: %w", vault.ErrUnauthorized)}},
			want:     []string{`Fail  vault sign-in  refused; check the password`}},
		"is not there": {vault: &checkedVault{tree: clients}, code: exitFailed, unread: true,
			findings: []finding{{Subject: "server", Text: "gone", Mend: "start it", Err: vault.ErrUnavailable}},
			want:     []string{`Fail  vault server  gone; start it`}},
		"sign-in fails with the folders": {vault: &checkedVault{treeErr: fmt.Errorf("list: %w", vault.ErrUnauthorized)}, code: exitUnauthorized,
			want: []string{`Fail  vault folders  list: not authorised; check CWVAULT_VAULT_USERNAME and CWVAULT_VAULT_PASSWORD`}},
		"hides folders": {vault: &checkedVault{treeErr: vault.ErrNotAllowed}, code: exitUnauthorized,
			want: []string{`Fail  vault folders  not allowed; give the account the right to see all folders below CWVAULT_ROOT`}},
		"does not answer": {vault: &checkedVault{treeErr: errors.New("list:\n\tno\x1b[31m")}, code: exitFailed,
			want: []string{`Fail  vault folders  list: no\u001b[31m; check CWVAULT_VAULT_URL and CWVAULT_ROOT`}},
		"has no root": {vault: &checkedVault{tree: sync.Tree{RootPath: `\Clients`}}, code: exitConfig,
			want: []string{`Fail  vault root  \Clients does not exist, or the account cannot see it; make it in the vault, or set CWVAULT_CREATE_ROOT=true`}},
	} {
		t.Run(name, func(t *testing.T) {
			k, lines := inspect(t)
			s := &session{vault: test.vault, address: "https://vault.example.com"}
			if test.findings != nil {
				s.vault = talkingVault{test.vault, test.findings}
			}
			tree, read := k.vault(context.Background(), s)
			if diff := cmp.Diff(test.want, lines()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := worstCode(k.found); got != test.code {
				t.Errorf("exit code %d, want %d", got, test.code)
			}
			if test.vault.read == test.unread || read != (!test.unread && test.vault.treeErr == nil) || read && tree.RootPath != `\Clients` {
				t.Errorf("folders asked for: %v, read: %v, %v", test.vault.read, read, tree)
			}
		})
	}
}

func TestCheckMarks(t *testing.T) {
	ours := func(key string) sync.Mark { return sync.Mark{Tenant: "acmeinc", Key: sync.Key(key)} }
	k, lines := inspect(t)
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
		`Ok    vault marks  1 company folder and 2 group folders of acmeinc; beside them 9 that cwvault leaves alone`,
		`Warn  vault marks  4 folders carry a mark by another tenant: \a (globex company/4), \b (globex company/3), \c (globex company/2) and 1 more; give each installation a root of its own`,
		`Warn  vault marks  2 folders carry a mark that cannot be read: \bad, \future; restore the mark from a backup, or remove it and let CWVAULT_ADOPT=path write it anew`,
		`Warn  vault marks  the same mark on several folders, which are held: group/type:1 on \Customer and \bad\copy; remove the mark from the copy`,
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
		code  int
	}{
		"all": {tree, nil, []string{root, filepath.Join(root, "Acme"), filepath.Join(root, "Bolt")}, "Ok    vault rights  can write in the root and in 2 managed folders", 0},
		"not one": {tree, fs.ErrPermission, []string{root, filepath.Join(root, "Acme"), filepath.Join(root, "Bolt")},
			"Fail  vault rights  cannot write in " + filepath.Join(root, "Bolt") + ": permission denied; give the account that runs cwvault write access to the whole of CWVAULT_ROOT", exitUnauthorized},
		"read-only": {tree, errors.New("read-only file system"), []string{root, filepath.Join(root, "Acme"), filepath.Join(root, "Bolt")},
			"Fail  vault rights  cannot write in " + filepath.Join(root, "Bolt") + ": read-only file system; give the account that runs cwvault write access to the whole of CWVAULT_ROOT", exitFailed},
		"no root yet": {sync.Tree{RootPath: `\Clients\MSP`}, nil, []string{dir}, "Ok    vault rights  can write in the root and in 0 managed folders", 0},
	} {
		t.Run(name, func(t *testing.T) {
			k, lines := inspect(t)
			var asked []string
			k.writable = func(path string) error {
				asked = append(asked, path)
				if filepath.Base(path) == "Bolt" {
					return test.err
				}
				return nil
			}
			k.storeRights(dir, test.tree)
			if diff := cmp.Diff(test.asked, asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{strings.ReplaceAll(test.want, "permission denied", fs.ErrPermission.Error())}, lines()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := worstCode(k.found); got != test.code {
				t.Errorf("exit code %d, want %d", got, test.code)
			}
		})
	}
}

func TestCheckStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cwvault.db")
	k, lines := inspect(t, "CWVAULT_STATE="+path)
	k.writable = func(string) error { return fs.ErrPermission }
	if k.stateFile() || worstCode(k.found) != exitConfig {
		t.Errorf("%v", lines())
	}
	want := []string{"Fail  journal file  cannot write in " + filepath.Dir(path) + ": " + fs.ErrPermission.Error() +
		"; give the account that runs cwvault a place to write, or set CWVAULT_STATE to another"}
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// secretVault holds the ConnectWise keys.
type secretVault struct {
	*checkedVault
	fields map[string]string
}

func (v secretVault) ReadSecret(_ context.Context, id int) (map[string]string, error) {
	if id != 7 {
		return nil, vault.ErrNotFound
	}
	return v.fields, nil
}

func TestCheckKeysInVault(t *testing.T) {
	server, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.AddCompany(connectwisetest.Company{Name: "Acme", Status: server.AddStatus("Active"), Types: []int{server.AddType("Customer")}})
	good := map[string]string{"username": server.PublicKey(), "password": server.PrivateKey()}
	for name, test := range map[string]struct {
		vault vaultHandle
		id    string
		want  string
		code  int
	}{
		"there":             {secretVault{&checkedVault{}, good}, "7", "Ok    ConnectWise keys        read from secret 7 of the vault", 0},
		"not there":         {secretVault{&checkedVault{}, good}, "8", "Fail  ConnectWise keys  CWVAULT_CONNECTWISE_SECRET_ID: not found; check the number", exitConfig},
		"without keys":      {secretVault{&checkedVault{}, nil}, "7", "Fail  ConnectWise keys  CWVAULT_CONNECTWISE_SECRET_ID: secret 7 has no fields", exitConfig},
		"in no such vault":  {&checkedVault{}, "7", "Fail  ConnectWise keys  CWVAULT_CONNECTWISE_SECRET_ID: this vault's secrets cannot be read; give the keys themselves", exitConfig},
		"vault is not open": {nil, "7", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			k, lines := inspect(t, "CWVAULT_CONNECTWISE_URL="+server.URL(), "CWVAULT_CONNECTWISE_CLIENT_ID="+server.ClientID(), "CWVAULT_CONNECTWISE_SECRET_ID="+test.id)
			s := &session{app: k.app, cfg: k.cfg, vault: test.vault}
			var err error
			if s.cw, err = s.openConnectWise("in-the-vault", "in-the-vault"); err != nil {
				t.Fatal(err)
			}
			server.ResetRequests()
			source := k.connectWise(context.Background(), s)
			if got := lines(); !strings.HasPrefix(got[0], test.want) || worstCode(k.found) != test.code {
				t.Errorf("%v, exit code %d, want %s, %d", got, worstCode(k.found), test.want, test.code)
			}
			if there := name == "there"; (source.Count == 1) != there || (len(server.Requests()) > 0) != there {
				t.Errorf("%d companies, %d requests", source.Count, len(server.Requests()))
			}
		})
	}
}

func TestWorstCode(t *testing.T) {
	settings, refused, source, other := configf("x"), error(vault.ErrNotAllowed), error(connectwise.ErrIncomplete), errors.New("x")
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
		var found []finding
		for _, err := range test.errs {
			found = append(found, finding{Mend: "x", Err: err}) // warnings do not count
		}
		if got := worstCode(found); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestStateName(t *testing.T) {
	for state, want := range map[string]string{
		"cwvault.db":    "cwvault.db",
		`C:\cwvault.db`: `C:\cwvault.db`,
		"postgres://user:geheim@db.example.com:5432/cw?sslmode=require&password=geheim": "postgres://db.example.com:5432/cw",
		"postgres://user:ge%heim@db.example.com/cw":                                     "the database",
	} {
		got, isFile := stateName(state)
		if got != want || isFile == strings.HasPrefix(state, "postgres") {
			t.Errorf("%s: %q, file %v", state, got, isFile)
		}
	}
}

// A check that is stopped says nothing of what it found.
func TestCheckStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"check"}, []string{"CWVAULT_STATE=" + filepath.Join(t.TempDir(), "cwvault.db")}, &stdout, &stderr); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if stdout.Len() > 0 || !strings.Contains(stderr.String(), "stopped by a signal") {
		t.Errorf("%q, %q", &stdout, &stderr)
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
	k, lines := inspect(t, "CWVAULT_STATE="+path)
	s := &session{app: k.app, cfg: k.cfg}
	k.journal(ctx, s, sync.Source{}, sync.Tree{}, false)
	defer s.close()
	got := lines()
	if len(got) != 2 || !strings.HasPrefix(got[0], "Ok    journal file  ") || !strings.HasSuffix(got[1], " is under way, or was cut off") || worstCode(k.found) != exitOK {
		t.Errorf("%q", got)
	}
	if err := lease.Check(ctx); err != nil {
		t.Error(err)
	}
}
