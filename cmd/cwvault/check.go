package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"cwvault/connectwise"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/vault"
)

// checkSchema names the JSON form of a check.
const checkSchema = "cwvault.check/1"

const (
	// vaultCheckTimeout bounds what a vault says of itself.
	vaultCheckTimeout = 2 * time.Minute
	// treeTimeout bounds the reading of all folders.
	treeTimeout = 10 * time.Minute
)

// finding is one thing that was looked at. It is good with neither Mend nor
// Err, a warning with Mend alone, and with Err a reason why a run would fail:
// with the exit code of that error.
type finding struct {
	Subject string // what was looked at
	Text    string // what was found
	Mend    string // what to do about it
	Err     error
}

// level is what the finding amounts to.
func (f finding) level() string {
	switch {
	case f.Err != nil:
		return "Fail"
	case f.Mend != "":
		return "Warn"
	}
	return "Ok"
}

// vaultChecker is a vault that can say more of itself than its folders show:
// sign-in, version, role, clock.
type vaultChecker interface {
	// Check looks at all that a run needs besides reading the folders, and at
	// rights that it does not need. It changes nothing and ends with ctx. Where
	// sign-in fails or the vault does not answer, Err of a finding wraps
	// [vault.ErrUnauthorized] or [vault.ErrUnavailable], and nobody asks on.
	Check(ctx context.Context) []finding
}

type checkCmd struct {
	Format string `enum:"text,json" default:"text" help:"Form of the result: text or json."`
}

// Run looks at everything that a run depends on, one line each, and changes
// nothing.
func (cmd checkCmd) Run(a *app) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	found := newInspection(a, c).run()
	if err := a.ctx.Err(); err != nil { // what was found then is only that
		return err
	}
	if cmd.Format == "json" {
		err = writeCheckJSON(a.stdout, found)
	} else {
		err = writeCheck(a.stdout, found, a.colours(a.stdout))
	}
	if code := worstCode(found); err == nil && code != exitOK {
		err = resultCode(code)
	}
	return err
}

// inspection is a check under way.
type inspection struct {
	app   *app
	cfg   *config
	found []finding
	// writable reports whether this process may write at a path, without
	// trying to.
	writable func(path string) error
}

func newInspection(a *app, c *config) *inspection {
	return &inspection{app: a, cfg: c, writable: writable}
}

func (k *inspection) ok(subject, format string, args ...any) {
	k.found = append(k.found, finding{Subject: subject, Text: fmt.Sprintf(format, args...)})
}

func (k *inspection) warn(subject, text, mend string) {
	k.found = append(k.found, finding{Subject: subject, Text: text, Mend: mend})
}

// fail notes an error. What follows a semicolon in it is what mends it; mend is
// for those that have none.
func (k *inspection) fail(subject, text, mend string, err error) {
	if what, how, ok := strings.Cut(text, "; "); ok {
		text, mend = what, how
	}
	k.found = append(k.found, finding{Subject: subject, Text: text, Mend: mend, Err: err})
}

// add takes over what one side has found of itself.
func (k *inspection) add(side string, f finding) {
	f.Subject = side + " " + f.Subject
	k.found = append(k.found, f)
}

func (k *inspection) run() []finding {
	ctx := k.app.ctx
	s, problems := k.app.openClients(k.cfg, nil)
	defer s.close()
	k.settings(problems)
	source := k.connectWise(ctx, s)
	tree, read := k.vault(ctx, s)
	k.journal(ctx, s, source, tree, read)
	return k.found
}

// openClients makes the clients of both servers, as far as the settings allow,
// without sending anything; the journal is an empty one. Of a session with
// problems, which are those of all settings, parts may be nil.
func (a *app) openClients(c *config, bar *progress) (s *session, problems configError) {
	own := *c // a vault may narrow what its settings allow
	s = &session{app: a, cfg: &own, journal: new(journal.Journal), bar: bar}
	problems = c.problems
	public, private := c.ConnectWisePublic, c.ConnectWisePrivate
	if c.secretID != 0 {
		public, private = "in-the-vault", "in-the-vault" // so that the other fields are checked now; see connect
	}
	var err error
	if s.cw, err = s.openConnectWise(public, private); err != nil {
		problems = append(problems, strings.Split(err.Error(), "\n")...)
	}
	if s.vault, s.address, err = s.openVault(); err != nil {
		problems = append(problems, strings.Split(err.Error(), "\n")...)
	}
	return s, problems
}

// settings lists what is wrong with the settings by themselves.
func (k *inspection) settings(problems configError) {
	for _, p := range problems {
		name, text, ok := strings.Cut(p, ": ")
		if !ok {
			name, text, _ = strings.Cut(p, " ")
		}
		k.fail(name, text, "see Settings in the README", codeError{exitConfig, errors.New(p)})
	}
	if len(problems) == 0 {
		k.ok("settings", "all understood")
	}
	for _, name := range unknownSettings(k.app.environ) {
		k.warn(name, "there is no such setting", "remove it, or correct its name")
	}
	for _, name := range fromFile {
		if path := k.app.env(name + "_FILE"); path != "" {
			k.private(name+"_FILE", path)
		}
	}
}

// private warns of a file that holds secrets and that others may read or
// change.
func (k *inspection) private(subject, path string) {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" { // which has no such modes
		return
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		k.warn(subject, fmt.Sprintf("the mode of %s is %#o, so others have access to it", path, mode), "chmod 600 it, for the account that runs cwvault alone")
	}
}

// connectWise asks the client, and holds the settings against what ConnectWise
// has. It returns the count of companies, if that could be read.
func (k *inspection) connectWise(ctx context.Context, s *session) sync.Source {
	if s.cw == nil {
		return sync.Source{}
	}
	if s.cfg.secretID != 0 {
		if s.vault == nil {
			return sync.Source{}
		}
		if err := s.connect(ctx); err != nil {
			k.fail("ConnectWise keys", err.Error(), "check the number of the secret, and that the vault's account may view it", err)
			return sync.Source{}
		}
		k.ok("ConnectWise keys", "read from secret %d of the vault", s.cfg.secretID)
	}
	var tickets *connectwise.TicketSettings
	if c := s.cfg; c.tickets {
		tickets = &connectwise.TicketSettings{Company: c.TicketCompany, Board: c.TicketBoard, Priority: c.TicketPriority}
	}
	report := s.cw.Check(ctx, tickets)
	for _, f := range report.Findings {
		k.add("ConnectWise", finding{f.Subject, f.Text, f.Fix, f.Err})
	}
	set := k.cfg.settings
	if report.Source.Statuses == nil || report.Source.Types == nil || len(set.Types)+len(set.Statuses)+len(set.TypePriority) == 0 {
		return report.Source
	}
	_, err := sync.Want(sync.Source{Statuses: report.Source.Statuses, Types: report.Source.Types}, set, sync.NameRules{Fold: vault.Fold, Form: vault.Form})
	var unknown *sync.SettingsError
	if errors.As(err, &unknown) {
		for _, p := range unknown.Problems {
			k.fail("ConnectWise names", p, "", err)
		}
	} else {
		k.ok("ConnectWise names", "it has all types and statuses that the settings name")
	}
	return report.Source
}

// vault asks the vault itself, if it can answer, and reads its folders.
func (k *inspection) vault(ctx context.Context, s *session) (tree sync.Tree, read bool) {
	if s.vault == nil {
		return sync.Tree{}, false
	}
	if v, ok := s.vault.(vaultChecker); ok {
		lost := false
		short, cancel := context.WithTimeout(ctx, vaultCheckTimeout)
		for _, f := range v.Check(short) {
			k.add("vault", f)
			lost = lost || errors.Is(f.Err, vault.ErrUnauthorized) || errors.Is(f.Err, vault.ErrUnavailable)
		}
		cancel()
		if lost {
			return sync.Tree{}, false
		}
	}
	ctx, cancel := context.WithTimeout(ctx, treeTimeout)
	defer cancel()
	tree, err := s.vault.Tree(ctx)
	switch {
	case err != nil:
		k.fail("vault folders", err.Error(), mendVault(err), err)
		return sync.Tree{}, false
	case tree.Root.ID == "" && k.cfg.createRoot:
		k.ok("vault root", "%s, which the first resync makes", tree.RootPath)
	case tree.Root.ID == "":
		k.fail("vault root", fmt.Sprintf("%s does not exist, or the account cannot see it; make it in the vault, or set CWVAULT_CREATE_ROOT=true", tree.RootPath),
			"", configf("CWVAULT_ROOT: %s does not exist", tree.RootPath))
	default:
		k.ok("vault root", "%s, with %s below it", tree.RootPath, count(len(tree.Folders), "folder"))
		k.marks(tree)
	}
	if dir, ok := strings.CutPrefix(s.address, "passwordstore:"); ok {
		k.storeRights(dir, tree)
	}
	return tree, true
}

func mendVault(err error) string {
	switch {
	case errors.Is(err, vault.ErrUnauthorized):
		return "check CWVAULT_VAULT_USERNAME and CWVAULT_VAULT_PASSWORD"
	case errors.Is(err, vault.ErrNotAllowed):
		return "give the account the right to see all folders below CWVAULT_ROOT"
	}
	return "check CWVAULT_VAULT_URL and CWVAULT_ROOT"
}

// marks counts whose the folders are.
func (k *inspection) marks(tree sync.Tree) {
	const subject = "vault marks"
	tenant := k.cfg.ConnectWiseCompany
	paths := treePaths(tree)
	inside := insideCompanies(tree)
	var companies, groups, unmanaged int
	var unreadable, foreign []string
	ours := map[sync.Key][]string{}
	for _, f := range tree.Folders {
		_, company := f.Mark.Key.CompanyID()
		switch {
		case f.BadMark, f.Mark != (sync.Mark{}) && !f.Mark.Key.Valid():
			unreadable = append(unreadable, paths[f.ID])
			continue
		case f.Mark == (sync.Mark{}):
			if !inside[f.ID] {
				unmanaged++
			}
			continue
		case f.Mark.Tenant != tenant:
			foreign = append(foreign, fmt.Sprintf("%s (%s)", paths[f.ID], f.Mark))
			continue
		case company:
			companies++
		default:
			groups++
		}
		ours[f.Mark.Key] = append(ours[f.Mark.Key], paths[f.ID])
	}
	k.ok(subject, "%s and %s of %s; beside them %d that cwvault leaves alone",
		count(companies, "company folder"), count(groups, "group folder"), tenant, unmanaged+len(foreign)+len(unreadable))
	if len(foreign) > 0 {
		k.warn(subject, fmt.Sprintf("%s by another tenant: %s", carry(len(foreign), "a mark"), someOf(foreign)), "give each installation a root of its own")
	}
	if len(unreadable) > 0 {
		k.warn(subject, fmt.Sprintf("%s that cannot be read: %s", carry(len(unreadable), "a mark"), someOf(unreadable)),
			"restore the mark from a backup, or remove it and let CWVAULT_ADOPT=path write it anew")
	}
	var twice []string
	for key, where := range ours {
		if len(where) > 1 {
			slices.Sort(where)
			twice = append(twice, fmt.Sprintf("%s on %s", key, strings.Join(where, " and ")))
		}
	}
	if len(twice) > 0 {
		k.warn(subject, "the same mark on several folders, which are held: "+someOf(twice), "remove the mark from the copy")
	}
}

// carry writes "1 folder carries a mark", "2 folders carry a mark".
func carry(n int, what string) string {
	verb := "carry"
	if n == 1 {
		verb = "carries"
	}
	return fmt.Sprintf("%s %s %s", count(n, "folder"), verb, what)
}

// someOf lists the first few of many, in order.
func someOf(list []string) string {
	const most = 3
	slices.Sort(list)
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

// insideCompanies returns the folders somewhere below a marked company folder,
// which belong to people.
func insideCompanies(tree sync.Tree) map[string]bool {
	byID := make(map[string]sync.Folder, len(tree.Folders))
	for _, f := range tree.Folders {
		byID[f.ID] = f
	}
	inside := map[string]bool{}
	for _, f := range tree.Folders {
		up, ok := byID[f.ParentID]
		for level := 0; ok && level < 1000; level++ { // a tree that goes in circles is refused elsewhere
			if _, company := up.Mark.Key.CompanyID(); company {
				inside[f.ID] = true
				break
			}
			up, ok = byID[up.ParentID]
		}
	}
	return inside
}

// storeRights looks whether this process may write in the root and in the
// managed folders of a password store: who moves a directory must be able to
// write in it.
func (k *inspection) storeRights(dir string, tree sync.Tree) {
	const subject = "vault rights"
	at := func(path string) string {
		return filepath.Join(dir, filepath.FromSlash(strings.ReplaceAll(path, `\`, "/")))
	}
	root := at(tree.RootPath)
	for tree.Root.ID == "" && root != dir { // the nearest folder that exists
		if _, err := os.Lstat(root); err == nil {
			break
		}
		root = filepath.Dir(root)
	}
	dirs := []string{root}
	paths := treePaths(tree)
	for _, f := range tree.Folders {
		if f.Mark.Tenant == k.cfg.ConnectWiseCompany {
			dirs = append(dirs, at(paths[f.ID]))
		}
	}
	var closed []string
	var reason error
	for _, d := range dirs {
		if err := k.writable(d); err != nil {
			closed, reason = append(closed, d), err
		}
	}
	if reason != nil {
		kind := vault.ErrReadOnly
		if errors.Is(reason, fs.ErrPermission) {
			kind = vault.ErrNotAllowed
		}
		k.fail(subject, fmt.Sprintf("cannot write in %s: %v", someOf(closed), reason),
			"give the account that runs cwvault write access to the whole of CWVAULT_ROOT", fmt.Errorf("%w: %w", kind, reason))
		return
	}
	k.ok(subject, "can write in the root and in %s", count(len(dirs)-1, "managed folder"))
}

// journal looks at the journal, and with it at what the guards would say before
// a run.
func (k *inspection) journal(ctx context.Context, s *session, source sync.Source, tree sync.Tree, read bool) {
	const subject = "journal"
	name, isFile := stateName(k.cfg.State)
	if isFile && !k.stateFile() {
		return
	}
	j, err := journal.OpenReadOnly(ctx, k.cfg.State, journal.Options{})
	if err != nil {
		k.fail(subject, err.Error(), "check CWVAULT_STATE", err)
		return
	}
	s.journal = j // closed with the session
	runs, err := j.Runs(ctx, 1, 0)
	if err != nil {
		k.fail(subject, err.Error(), "check CWVAULT_STATE", err)
		return
	}
	switch {
	case len(runs) == 0:
		k.ok(subject, "no runs yet, and so none that this one must fit")
		return
	case runs[0].Outcome == "":
		k.ok(subject, "%s; run %d of %s is under way, or was cut off", name, runs[0].ID, runs[0].Started.UTC().Format(time.RFC3339))
	default:
		k.ok(subject, "%s; the last run was %d of %s: %s", name, runs[0].ID, runs[0].Started.UTC().Format(time.RFC3339), runs[0].Outcome)
	}
	if !read {
		return
	}
	judged := "tenant, vault, root and number of companies fit"
	if source.Count == 0 {
		judged = "tenant, vault and root fit"
	}
	if source, err = countedOnly(ctx, j, source.Count); err == nil {
		err = s.checkSource(ctx, &proposal{source: source, tree: tree})
	}
	if err != nil {
		k.fail("journal guard", err.Error(), "", err)
		return
	}
	k.ok("journal guard", "%s the runs before", judged)
}

// countedOnly returns as many companies as were counted, without anything else
// about them: the guard judges by their number. Where none could be counted, or
// more than in the last good run, there is no drop to judge.
func countedOnly(ctx context.Context, j *journal.Journal, n int) (sync.Source, error) {
	last, _, err := j.LastGood(ctx)
	if n == 0 || n > last.Companies {
		n = max(last.Companies, 1)
	}
	src := sync.Source{Companies: make([]sync.Company, n), Count: n}
	for i := range src.Companies {
		src.Companies[i].ID = i + 1
	}
	return src, err
}

// stateName returns what CWVAULT_STATE may be shown as, and whether it is a
// file.
func stateName(state string) (name string, isFile bool) {
	if !strings.Contains(state, "://") {
		return state, true
	}
	if u, err := url.Parse(state); err == nil {
		return u.Scheme + "://" + u.Host + u.EscapedPath(), false
	}
	return "the database", false
}

// stateFile looks at the journal's file from outside, and at the directory that
// it is in. It reports whether opening it makes sense.
func (k *inspection) stateFile() bool {
	const subject = "journal file"
	path := k.cfg.State
	if abs, err := filepath.Abs(path); err == nil {
		path = abs // says which of several files of this name it is
	}
	need := []string{filepath.Dir(path)}
	_, err := os.Stat(path)
	if err == nil {
		need = append(need, path)
	}
	for _, p := range need {
		if err := k.writable(p); err != nil {
			k.fail(subject, fmt.Sprintf("cannot write in %s: %v", p, err), "give the account that runs cwvault a place to write, or set CWVAULT_STATE to another",
				configf("CWVAULT_STATE: %w", err))
			return false
		}
	}
	if err != nil {
		k.ok(subject, "%s, which the first resync makes", path)
		return true
	}
	n := len(k.found)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		k.private(subject, path+suffix)
	}
	if len(k.found) == n {
		k.ok(subject, "%s can be written, by this account alone", path)
	}
	return true
}

// worstCode is the exit code for what was found: what the operator must mend
// first.
func worstCode(found []finding) int {
	rank := []int{exitOK, exitFailed, exitSource, exitUnauthorized, exitConfig}
	worst := 0
	for _, f := range found {
		if f.Err != nil {
			worst = max(worst, 1, slices.Index(rank, exitCode(f.Err)))
		}
	}
	return rank[worst]
}

// writeCheck writes findings for people, one a line.
func writeCheck(w io.Writer, found []finding, colour bool) error {
	p := &painter{colour: colour}
	style := map[string]string{"Ok": green, "Warn": yellow, "Fail": red}
	subjects := make([]string, len(found))
	for i, f := range found {
		subjects[i] = plain(f.Subject)
	}
	wide := width(subjects)
	for i, f := range found {
		text := f.Text
		if f.Mend != "" {
			text += "; " + f.Mend
		}
		p.line("%s  %s  %s", p.paint(style[f.level()], pad(f.level(), 4)), pad(subjects[i], wide), plain(strings.Join(strings.Fields(text), " ")))
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// writeCheckJSON writes findings for programs.
func writeCheckJSON(w io.Writer, found []finding) error {
	type row struct {
		Level  string `json:"level"` // ok, warn or fail
		What   string `json:"what"`
		Detail string `json:"detail"`
		Mend   string `json:"mend,omitempty"`
	}
	rows := make([]row, len(found))
	for i, f := range found {
		rows[i] = row{strings.ToLower(f.level()), f.Subject, f.Text, f.Mend}
	}
	return printJSON(w, struct {
		Schema   string `json:"schema"`
		ExitCode int    `json:"exitCode"`
		Checks   []row  `json:"checks"`
	}{checkSchema, worstCode(found), rows})
}
