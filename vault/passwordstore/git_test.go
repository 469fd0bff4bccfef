package passwordstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"cwvault/sync"
	"cwvault/vault/vaulttest"

	"github.com/google/go-cmp/cmp"
)

// gitStore is a store under git with one commit.
type gitStore struct {
	*testing.T
	dir string
}

func newGitStore(t *testing.T, format string, content map[string]string) gitStore {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed, and these stores are git repositories; package git")
	}
	t.Setenv("HOME", t.TempDir()) // whatever the user has set does not matter
	t.Setenv("XDG_CONFIG_HOME", "")
	g := gitStore{t, t.TempDir()}
	files(t, g.dir, content)
	g.git("init", "--quiet", "--initial-branch=main", "--object-format="+format)
	g.commitAll("first")
	return g
}

func (g gitStore) git(args ...string) string {
	g.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=P", "GIT_AUTHOR_EMAIL=p@example.com", "GIT_COMMITTER_NAME=P", "GIT_COMMITTER_EMAIL=p@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

func (g gitStore) commitAll(message string) {
	g.Helper()
	g.git("add", "--all")
	g.git("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--allow-empty", "--message", message)
}

// want fails the test unless git has these commits, latest first, and reports
// these uncommitted changes, in byte order.
func (g gitStore) want(log, status []string) {
	g.Helper()
	split := func(s string) []string {
		if s == "" {
			return nil
		}
		return strings.Split(s, "\n")
	}
	if diff := cmp.Diff(log, split(g.git("log", "--format=%s"))); diff != "" {
		g.Errorf("git log (-want +got):\n%s", diff)
	}
	got := split(g.git("-c", "core.quotepath=off", "status", "--porcelain", "--untracked-files=all"))
	slices.Sort(got)
	if diff := cmp.Diff(status, got); diff != "" {
		g.Errorf("git status (-want +got):\n%s", diff)
	}
	g.git("fsck", "--strict", "--no-dangling")
}

func (g gitStore) commit(s *Store, message string) {
	g.Helper()
	if err := s.Commit(g.Context(), message); err != nil {
		g.Fatalf("Commit: %v", err)
	}
}

// do returns the folder of a call to the vault that must succeed.
func do(f sync.Folder, err error) sync.Folder {
	if err != nil {
		panic(err)
	}
	return f
}

// tracked returns the files of the last commit with their contents.
func (g gitStore) tracked() map[string]string {
	g.Helper()
	all := map[string]string{}
	for line := range strings.SplitSeq(strings.TrimRight(g.git("ls-tree", "-r", "-z", "HEAD"), "\x00"), "\x00") {
		what, path, ok := strings.Cut(line, "\t")
		if !ok {
			g.Fatalf("git ls-tree: %q", line)
		}
		all[path] = g.git("cat-file", "blob", strings.Fields(what)[2])
	}
	return all
}

func markText(id int) string {
	return fmt.Sprintf(`{"cwvault":1,"tenant":"acmeinc","key":"company/%d"}`, id)
}

func TestCommit(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) { testCommit(t, format) })
	}
}

func testCommit(t *testing.T, format string) {
	g := newGitStore(t, format, map[string]string{
		".gpg-id": "AAAA", ".gitattributes": "*.gpg diff=gpg", "Clients/To/.gpg-id": "BBBB",
		"Clients/A/.cwvault": markText(1), "Clients/A/a.gpg": "a",
		"Clients/B/.cwvault": markText(2), "Clients/B/b.gpg": "b", "Clients/B/Deep/deep.gpg": "deep",
		"Clients/Empty/": "", "Clients/By hand/x.gpg": "x",
	})
	g.git("config", "user.useConfigOnly", "true") // and no name is configured
	s := open(t, g.dir, preserve)
	ctx := t.Context()
	g.commit(s, "nothing has changed")
	g.want([]string{"first"}, nil)

	paths := vaulttest.Paths(ctx, t, s)
	root, a, b := paths[""].ID, paths["A"].ID, paths["B"].ID
	group := do(s.Create(ctx, root, `Größe "*" & Co`, mark(5)))
	do(s.Update(ctx, a, root, "via")) // a swap
	do(s.Update(ctx, b, root, "A"))
	do(s.Update(ctx, a, root, "B"))
	c := do(s.Create(ctx, group.ID, "C", mark(3)))
	do(s.Update(ctx, b, c.ID, "B 2"))
	do(s.Update(ctx, c.ID, paths["To"].ID, "C 2")) // among other recipients
	if err := s.Mark(ctx, b, mark(22)); err != nil {
		t.Fatal(err)
	}
	if err := s.Mark(ctx, paths["By hand"].ID, mark(4)); err != nil {
		t.Fatal(err)
	}
	do(s.Update(ctx, paths["Empty"].ID, root, "Still empty"))
	vaulttest.Paths(ctx, t, s) // all ids are new from here on
	do(s.Update(ctx, "Clients/By hand", root, "Adopted"))
	if _, err := s.Update(ctx, "Clients/Adopted", root, "B"); err == nil {
		t.Fatal("the name was taken")
	}

	g.commit(s, "run 7\n\nmore of it")
	g.want([]string{"run 7", "first"}, nil)
	if diff := cmp.Diff(map[string]string{
		".gpg-id": "AAAA", ".gitattributes": "*.gpg diff=gpg", "Clients/To/.gpg-id": "BBBB",
		"Clients/B/.cwvault": markText(1), "Clients/B/a.gpg": "a",
		`Clients/Größe "*" & Co/.cwvault`: markText(5),
		"Clients/To/C 2/.cwvault":         markText(3), "Clients/To/C 2/.gpg-id": "AAAA",
		"Clients/To/C 2/B 2/.cwvault": markText(22), "Clients/To/C 2/B 2/b.gpg": "b", "Clients/To/C 2/B 2/Deep/deep.gpg": "deep",
		"Clients/Adopted/.cwvault": markText(4), "Clients/Adopted/x.gpg": "x",
	}, g.tracked()); diff != "" {
		t.Errorf("files in the commit (-want +got):\n%s", diff)
	}
	if got := g.git("log", "-1", "--format=%an <%ae> %cn%n%B"); got != "cwvault <cwvault@localhost> cwvault\nrun 7\n\nmore of it" {
		t.Errorf("the commit says %q", got)
	}
	g.commit(s, "nothing has changed")
	g.want([]string{"run 7", "first"}, nil)
	adopted := vaulttest.Paths(ctx, t, s)["Adopted"]
	do(s.Update(ctx, adopted.ID, adopted.ParentID, "There"))
	do(s.Update(ctx, adopted.ID, adopted.ParentID, "Adopted")) // and back
	g.commit(s, "nothing is different")
	g.want([]string{"run 7", "first"}, nil)
}

// What people have under way stays theirs, and stays what it was, also in a
// folder that moves.
func TestCommitLeavesOthersWork(t *testing.T) {
	g := newGitStore(t, "sha1", map[string]string{
		"mail.gpg": "1", "Clients/A/a.gpg": "1", "Clients/A/b.gpg": "1", "Clients/A/c.gpg": "1", "Clients/A/Deep/d.gpg": "1",
		"Clients/B/b.gpg": "1", "Clients/B/c.gpg": "1", ".gitignore": "*.tmp",
	})
	files(t, g.dir, map[string]string{
		"mail.gpg": "2", "new.gpg": "2", "Clients/A/a.gpg": "2", "Clients/A/b.gpg": "2", "Clients/A/new.gpg": "2", "Clients/A/staged.gpg": "2",
		"Clients/A/x.tmp": "2", "Clients/B/new.gpg": "2", "Clients/B/b.gpg": "2",
	})
	g.git("add", "Clients/A/b.gpg", "Clients/A/staged.gpg", "Clients/B/b.gpg")
	if err := errors.Join(os.Remove(filepath.Join(g.dir, "Clients/A/c.gpg")), os.Remove(filepath.Join(g.dir, "Clients/B/c.gpg"))); err != nil {
		t.Fatal(err)
	}
	before := []string{" D Clients/A/c.gpg", " D Clients/B/c.gpg", " M Clients/A/a.gpg", " M mail.gpg", "?? Clients/A/new.gpg", "?? Clients/B/new.gpg", "?? new.gpg",
		"A  Clients/A/staged.gpg", "M  Clients/A/b.gpg", "M  Clients/B/b.gpg"}
	g.want([]string{"first"}, before)

	s := open(t, g.dir)
	paths := vaulttest.Paths(t.Context(), t, s)
	do(s.Update(t.Context(), paths["A"].ID, paths[""].ID, "Moved"))
	if err := s.Mark(t.Context(), paths["B"].ID, mark(2)); err != nil {
		t.Fatal(err)
	}
	g.commit(s, "run")
	var after []string
	for _, line := range before {
		after = append(after, strings.Replace(line, "Clients/A/", "Clients/Moved/", 1))
	}
	slices.Sort(after)
	g.want([]string{"run", "first"}, after)
	if diff := cmp.Diff(map[string]string{
		"mail.gpg": "1", "Clients/Moved/a.gpg": "1", "Clients/Moved/b.gpg": "1", "Clients/Moved/c.gpg": "1", "Clients/Moved/Deep/d.gpg": "1",
		"Clients/B/b.gpg": "1", "Clients/B/c.gpg": "1", "Clients/B/.cwvault": markText(2), ".gitignore": "*.tmp",
	}, g.tracked()); diff != "" {
		t.Errorf("files in the commit (-want +got):\n%s", diff)
	}
}

// What a killed run did not commit is in the next commit, as far as it is
// still so.
func TestCommitAfterKill(t *testing.T) {
	g := newGitStore(t, "sha1", map[string]string{
		"Clients/A/a.gpg": "a", "Clients/A/Deep/a.gpg": "a", "Clients/B/b.gpg": "b", "Clients/C/c.gpg": "c", "Clients/D/d.gpg": "d",
	})
	killed := open(t, g.dir)
	paths := vaulttest.Paths(t.Context(), t, killed)
	root := paths[""].ID
	do(killed.Update(t.Context(), paths["A"].ID, root, "A 2"))
	do(killed.Update(t.Context(), paths["B"].ID, root, "B 2"))
	do(killed.Update(t.Context(), paths["C"].ID, root, "C 2"))
	do(killed.Create(t.Context(), root, "New", mark(1)))
	do(killed.Create(t.Context(), root, "Gone", mark(2)))

	// Meanwhile a person puts one back, removes one, and commits another.
	if err := errors.Join(os.Rename(filepath.Join(g.dir, "Clients/B 2"), filepath.Join(g.dir, "Clients/B")), os.RemoveAll(filepath.Join(g.dir, "Clients/Gone"))); err != nil {
		t.Fatal(err)
	}
	files(t, g.dir, map[string]string{"Clients/A 2/new.gpg": "new", "Clients/A 2/Deep/new.gpg": "new"})
	g.git("add", "--all", "Clients/C", "Clients/C 2", "Clients/A 2/new.gpg", "Clients/A 2/Deep/new.gpg")
	g.git("commit", "--quiet", "--message=by hand")

	pending, err := os.OpenFile(filepath.Join(g.dir, ".git", pendingFile), os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = pending.WriteString("Clients/A 2\x00Clients/torn") // the power failed in the middle of a line
	}
	if err = errors.Join(err, pending.Close()); err != nil {
		t.Fatal(err)
	}

	s := open(t, g.dir)
	paths = vaulttest.Paths(t.Context(), t, s)
	do(s.Update(t.Context(), paths["D"].ID, root, "D 2"))
	g.commit(s, "run")
	g.want([]string{"run", "by hand", "first"}, nil)
	if diff := cmp.Diff(map[string]string{
		"Clients/A 2/a.gpg": "a", "Clients/A 2/new.gpg": "new", "Clients/A 2/Deep/new.gpg": "new", "Clients/A 2/Deep/a.gpg": "a", "Clients/B/b.gpg": "b", "Clients/C 2/c.gpg": "c", "Clients/D 2/d.gpg": "d", "Clients/New/.cwvault": markText(1),
	}, g.tracked()); diff != "" {
		t.Errorf("files in the commit (-want +got):\n%s", diff)
	}
}

// Nothing that people have set up in the repository keeps us waiting, is asked
// for a secret, or gets to see one of ours.
func TestCommitIsOnItsOwn(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the hooks are shell scripts")
	}
	g := newGitStore(t, "sha1", map[string]string{"Clients/A/a.gpg": "a", ".gitattributes": ".cwvault filter=dump"})
	ran := filepath.Join(t.TempDir(), "ran")
	script := "#!/bin/sh\necho \"$0\" >>'" + ran + "'; exec sleep 60\n"
	for _, hook := range []string{"pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "reference-transaction", "post-index-change", "fsmonitor", "gpg"} {
		if err := os.WriteFile(filepath.Join(g.dir, ".git/hooks", hook), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	env := filepath.Join(t.TempDir(), "env")
	for name, value := range map[string]string{
		"commit.gpgSign": "true", "gpg.program": filepath.Join(g.dir, ".git/hooks/gpg"), "core.fsmonitor": filepath.Join(g.dir, ".git/hooks/fsmonitor"),
		"pass.signcommits": "true", "user.name": "Vault Bot", "user.email": "bot@example.com", "filter.dump.clean": "env >'" + env + "'; cat",
		"core.editor": filepath.Join(g.dir, ".git/hooks/gpg"),
	} {
		g.git("config", name, value)
	}
	t.Setenv("CWVAULT_VAULT_PASSWORD", "hunter2")
	t.Setenv("GIT_DIR", "/nonexistent")
	t.Setenv("GIT_INDEX_FILE", "/nonexistent")

	s := open(t, g.dir)
	root := vaulttest.Paths(t.Context(), t, s)[""].ID
	do(s.Create(t.Context(), root, "New", mark(1)))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Commit(ctx, "run"); err != nil {
		t.Fatal(err)
	}
	if hooks, err := os.ReadFile(ran); err == nil {
		t.Errorf("these were run:\n%s", hooks)
	}
	seen, err := os.ReadFile(env)
	if err != nil {
		t.Fatalf("the filter was to run: %v", err)
	}
	if strings.Contains(string(seen), "hunter2") || strings.Contains(string(seen), "nonexistent") {
		t.Errorf("git sees the environment:\n%s", seen)
	}
	os.Unsetenv("GIT_DIR")
	os.Unsetenv("GIT_INDEX_FILE")
	if err := os.RemoveAll(filepath.Join(g.dir, ".git/hooks")); err != nil {
		t.Fatal(err)
	}
	g.git("config", "core.fsmonitor", "false")
	g.want([]string{"run", "first"}, nil)
	if got := g.git("log", "-1", "--format=%an %ae %cn %G?"); got != "Vault Bot bot@example.com Vault Bot N" {
		t.Errorf("the commit is by %q", got)
	}
}

func TestCommitWaitsForOthers(t *testing.T) {
	g := newGitStore(t, "sha1", map[string]string{"Clients/A/a.gpg": "a"})
	s := open(t, g.dir)
	paths := vaulttest.Paths(t.Context(), t, s)
	do(s.Update(t.Context(), paths["A"].ID, paths[""].ID, "A 2"))
	lock := filepath.Join(g.dir, ".git/index.lock")
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pauses := 0
	s.git.pause = func(int) time.Duration { pauses++; return 0 }
	if err := s.Commit(t.Context(), "run"); err == nil || !strings.Contains(err.Error(), "index.lock") || pauses != maxCommits-1 {
		t.Errorf("Commit with the index locked: error %v after %d pauses", err, pauses)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, "Commit", s.Commit(cancelled, "run"), context.Canceled)
	s.git.pause = func(try int) time.Duration { // released while Commit waits
		if err := os.Remove(lock); err != nil || try != 1 {
			t.Errorf("pause after try %d: %v", try, err)
		}
		return 0
	}
	g.commit(s, "run")
	g.want([]string{"run", "first"}, nil)
	s.git.pause = func(int) time.Duration { return 5 * time.Millisecond }

	// People commit all the time.
	root := paths[""].ID
	done := make(chan struct{})
	go func() {
		defer close(done)
		for made := 0; made < 10; { // people try again when git is locked
			cmd := exec.Command("git", "-c", "user.name=P", "-c", "user.email=p@example.com", "commit", "--quiet", "--allow-empty", "--message=by hand")
			cmd.Dir = g.dir
			if cmd.Run() == nil {
				made++
			}
		}
	}()
	for i := range 3 {
		do(s.Create(t.Context(), root, fmt.Sprint(i), mark(i+1)))
		if err := s.Commit(t.Context(), "run"); err != nil {
			t.Log(err) // five times in a row somebody was faster
		}
	}
	<-done
	g.commit(s, "run")
	if got := len(g.tracked()); got != 4 {
		t.Errorf("%d files in the last commit", got)
	}
	if got := g.git("status", "--porcelain"); got != "" {
		t.Errorf("git status:\n%s", got)
	}
	g.git("fsck", "--strict")
	if log := g.git("log", "--format=%s"); strings.Count(log, "by hand") != 10 {
		t.Errorf("commits by hand are lost:\n%s", log)
	}
}

func TestCommitRepositories(t *testing.T) {
	// the first commit of all
	g := newGitStore(t, "sha1", map[string]string{"Clients/A/a.gpg": "a"})
	g.git("update-ref", "-d", "HEAD")
	g.git("rm", "--cached", "-r", "--quiet", ".")
	s := open(t, g.dir)
	root := vaulttest.Paths(t.Context(), t, s)[""].ID
	do(s.Create(t.Context(), root, "New", mark(1)))
	g.commit(s, "run")
	g.want([]string{"run"}, []string{"?? Clients/A/a.gpg"})

	// a second work tree, on no branch
	g.commitAll("all")
	second := gitStore{t, filepath.Join(t.TempDir(), "second")}
	g.git("worktree", "add", "--quiet", "--detach", second.dir)
	s = open(t, second.dir)
	paths := vaulttest.Paths(t.Context(), t, s)
	do(s.Update(t.Context(), paths["A"].ID, paths[""].ID, "A 2"))
	second.commit(s, "run 2")
	second.want([]string{"run 2", "all", "run"}, nil)
	g.want([]string{"all", "run"}, nil)

	// the root folder alone is a repository, in a store that is none
	g = newGitStore(t, "sha1", map[string]string{"A/a.gpg": "a"})
	store := t.TempDir()
	if err := os.Rename(g.dir, filepath.Join(store, "Clients")); err != nil {
		t.Fatal(err)
	}
	g.dir = filepath.Join(store, "Clients")
	s = open(t, store)
	paths = vaulttest.Paths(t.Context(), t, s)
	do(s.Update(t.Context(), paths["A"].ID, paths[""].ID, "A 2"))
	g.commit(s, "run")
	g.want([]string{"run", "first"}, nil)

	// the store is a part of somebody's repository, which is not ours
	g = newGitStore(t, "sha1", map[string]string{"store/Clients/A/a.gpg": "a"})
	s = open(t, filepath.Join(g.dir, "store"))
	paths = vaulttest.Paths(t.Context(), t, s)
	do(s.Update(t.Context(), paths["A"].ID, paths[""].ID, "A 2"))
	g.commit(s, "run")
	if log := g.git("log", "--format=%s"); log != "first" {
		t.Errorf("git log:\n%s", log)
	}
}

// A repository that is broken is not mistaken for the one it may lie in.
func TestCommitUnusable(t *testing.T) {
	g := newGitStore(t, "sha1", map[string]string{"store/.git/HEAD": "garbage", "store/Clients/": ""})
	s := open(t, filepath.Join(g.dir, "store"))
	root := vaulttest.Paths(t.Context(), t, s)[""].ID
	do(s.Create(t.Context(), root, "New", mark(1))) // works all the same
	if err := s.Commit(t.Context(), "run"); err == nil || !strings.Contains(err.Error(), "git rev-parse") {
		t.Errorf("Commit: error %v", err)
	}
}
