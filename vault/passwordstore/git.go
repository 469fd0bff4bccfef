package passwordstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	gosync "sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// gitTimeout limits everything that git does for one commit.
	gitTimeout = 10 * time.Minute
	maxCommits = 5 // tries of one commit
	// gitOutput limits one answer of git, which has about 100 bytes per file.
	gitOutput = 1 << 30
	// pendingFile, in git's own directory, lists the changes since the last commit,
	// so that the next run also commits those of a killed run.
	pendingFile = "cwvault-pending"
)

// repository is the git repository that contains the root folder.
type repository struct {
	log    hclog.Logger
	store  *os.Root
	below  string // the work tree, from the store: "" or a path that ends in a slash
	dir    string // the work tree, for git
	gitDir string
	env    []string
	err    error // why it cannot be used
	// pause is how long to wait after a failed try, counted from 1. Tests shorten
	// it.
	pause func(try int) time.Duration

	mu gosync.Mutex // guards the file of pending changes
}

// change is one change in the store: a directory moved from one path to another or, if
// from is empty, a file was written. Paths are relative to the top of the work tree.
type change struct{ from, to string }

// findRepository looks for the repository nearest to the root folder, but not above the
// store.
func (s *Store) findRepository() *repository {
	r := &repository{log: s.log, store: s.dir, pause: func(try int) time.Duration { return time.Duration(try) * 200 * time.Millisecond }}
	found := false
	below := ""
	for _, name := range append([]string{""}, s.root...) {
		if name != "" {
			below += name + "/"
		}
		if _, err := s.dir.Lstat(below + ".git"); err == nil {
			found, r.below = true, below
		}
	}
	if !found {
		return nil
	}
	r.dir = filepath.Join(s.dir.Name(), filepath.FromSlash(r.below))
	// Pass none of our variables, which may hold secrets, and none of git's, which
	// could redirect it; and no prompts.
	for _, name := range []string{"PATH", "HOME", "XDG_CONFIG_HOME", "USERPROFILE", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP"} {
		if value, ok := os.LookupEnv(name); ok {
			r.env = append(r.env, name+"="+value)
		}
	}
	r.env = append(r.env, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1", "GIT_CEILING_DIRECTORIES="+filepath.Dir(r.dir))
	ctx, cancel := context.WithTimeout(context.Background(), gitTimeout)
	defer cancel()
	out, err := r.git(ctx, nil, nil, "rev-parse", "--absolute-git-dir")
	r.gitDir = strings.TrimSuffix(string(out), "\n")
	if err == nil {
		var whole int64
		if _, whole, err = r.pending(); err == nil {
			err = os.Truncate(filepath.Join(r.gitDir, pendingFile), whole)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if r.err = err; err != nil {
		s.log.Warn("the store is under git, but cwvault cannot commit to it", "error", err)
	}
	return r
}

// git runs one git command. Its standard error becomes part of the error.
func (r *repository) git(ctx context.Context, stdin []byte, env []string, args ...string) ([]byte, error) {
	name := args[0]
	args = append([]string{
		"-c", "core.hooksPath=" + os.DevNull, "-c", "core.fsmonitor=false", "--literal-pathspecs",
	}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(slices.Clone(r.env), env...)
	cmd.Stdin = bytes.NewReader(stdin)
	stdout, stderr := limited{left: gitOutput}, limited{left: 4 << 10}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second // for processes that git may have started
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil && stdout.left < 0:
		err = errors.New("the answer is too long")
	}
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", name, err, strings.Join(strings.Fields(stderr.String()), " "))
	}
	return stdout.Bytes(), nil
}

// limited keeps the first bytes written to it and counts the rest.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:max(0, min(l.left, len(p)))])
	l.left -= len(p)
	return len(p), nil
}

// record records a change for the next commit. If that fails, the change stays and shows
// as uncommitted.
func (r *repository) record(from, to string) {
	if r == nil || r.err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err := func() error {
		f, err := os.OpenFile(filepath.Join(r.gitDir, pendingFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString(strings.TrimPrefix(from, r.below) + "\x00" + strings.TrimPrefix(to, r.below) + "\x00\n")
		return errors.Join(err, f.Close())
	}()
	if err != nil {
		r.log.Warn("the next commit will lack a change", "path", to, "error", err)
	}
}

// pending reads what record has written, except for a last line truncated by a power
// failure. It returns the length of the complete lines.
func (r *repository) pending() (changes []change, whole int64, err error) {
	f, err := os.Open(filepath.Join(r.gitDir, pendingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, gitOutput))
	if err != nil {
		return nil, 0, err
	}
	for rest := string(data); ; {
		line, next, ok := strings.Cut(rest, "\x00\n") // names may hold line breaks
		if !ok {
			return changes, int64(len(data) - len(rest)), nil
		}
		if from, to, ok := strings.Cut(line, "\x00"); ok {
			changes = append(changes, change{from, to})
		}
		rest = next
	}
}

// Commit makes one commit of the changes in the store by this run and by killed earlier
// runs, if the store or the root folder is in a git repository. Without changes it does
// nothing.
//
// The commit moves tracked files as git has them, and adds marks and recipients. People's
// uncommitted changes and files, also in a moved folder, stay uncommitted at their new
// place. Commit uses git's low-level commands, so it runs no hook, signs nothing and
// pushes nothing. If git has no name for the user, the author is cwvault.
func (s *Store) Commit(ctx context.Context, message string) error {
	s.mu.Lock() // no folder moves meanwhile
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil || s.git == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	if err := s.git.commit(ctx, message); err != nil {
		return fmt.Errorf("commit changes of the password store: %w", err)
	}
	return nil
}

func (r *repository) commit(ctx context.Context, message string) error {
	if r.err != nil {
		return r.err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	changes, _, err := r.pending()
	if err != nil || len(changes) == 0 {
		return err
	}
	temp, err := os.MkdirTemp("", "cwvault-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	for attempt := range maxCommits { // another process may use git, which locks but does not wait
		if attempt > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(r.pause(attempt)):
			}
		}
		if err = r.tryCommit(ctx, changes, message, filepath.Join(temp, "index")); err == nil {
			return os.Remove(filepath.Join(r.gitDir, pendingFile))
		}
	}
	return err
}

// tryCommit makes the changes in the index, which may hold people's staged changes, and
// then in a copy of the last commit, which becomes the next. In this order another
// process's commit in between includes our changes instead of undoing them.
func (r *repository) tryCommit(ctx context.Context, changes []change, message, tempIndex string) error {
	if err := r.stage(ctx, changes, nil); err != nil {
		return err
	}
	run := func(stdin string, env []string, args ...string) (string, error) {
		out, err := r.git(ctx, []byte(stdin), env, args...)
		return strings.TrimSpace(string(out)), err
	}
	env := []string{"GIT_INDEX_FILE=" + tempIndex}
	var before string
	commit := []string{"commit-tree", "-F", "-"}
	head, err := run("", nil, "rev-parse", "--quiet", "--verify", "HEAD^{commit}")
	if err == nil {
		commit = append(commit, "-p", head)
		if before, err = run("", nil, "rev-parse", "HEAD^{tree}"); err != nil {
			return err
		}
		_, err = run("", env, "read-tree", head)
	} else { // there is no commit yet
		head = ""
		_, err = run("", env, "read-tree", "--empty")
	}
	if err != nil {
		return err
	}
	if err := r.stage(ctx, changes, env); err != nil {
		return err
	}
	after, err := run("", env, "write-tree")
	if err != nil || after == before {
		return err
	}
	var who []string
	if _, err := run("", nil, "var", "GIT_COMMITTER_IDENT"); err != nil {
		who = []string{"GIT_AUTHOR_NAME=cwvault", "GIT_AUTHOR_EMAIL=cwvault@localhost", "GIT_COMMITTER_NAME=cwvault", "GIT_COMMITTER_EMAIL=cwvault@localhost"}
	}
	id, err := run(message, who, append(commit, after)...)
	if err != nil {
		return err
	}
	_, err = run("", who, "update-ref", "-m", "cwvault", "HEAD", id, head)
	return err
}

// stage makes the changes in an index.
func (r *repository) stage(ctx context.Context, changes []change, env []string) error {
	listing, err := r.git(ctx, nil, env, "ls-files", "--stage", "-z")
	if err != nil {
		return err
	}
	edits, written := r.replay(string(listing), changes)
	if edits != "" {
		if _, err := r.git(ctx, []byte(edits), env, "update-index", "-z", "--index-info"); err != nil {
			return err
		}
	}
	if written != "" {
		if _, err := r.git(ctx, []byte(written), env, "update-index", "--add", "-z", "--stdin"); err != nil {
			return err
		}
	}
	return nil
}

// entry is a file in an index.
type entry struct {
	what string // mode, object id and stage, as git lists them; empty for a file that we wrote
	was  string // its path in the index
}

// dirEntry is a directory of an index, or of its branches that changes touch.
type dirEntry struct {
	dirs  map[string]*dirEntry
	files map[string][]entry // several where a merge left several stages
}

// replay applies the changes to an index with this listing. It returns the input of
// update-index: entries to drop and to put, and paths to read from the work tree.
func (r *repository) replay(listing string, changes []change) (edits, written string) {
	top := &dirEntry{}
	drop := map[string]string{} // the input that drops files from their old paths
	for line := range strings.SplitSeq(listing, "\x00") {
		if what, path, ok := strings.Cut(line, "\t"); ok {
			dir, name := top.at(path)
			dir.files[name] = append(dir.files[name], entry{what, path})
			id := strings.Fields(what)[1]
			drop[path] = "0 " + strings.Repeat("0", len(id)) + "\t" + path + "\x00"
		}
	}
	for _, c := range changes {
		dir, name := top.at(c.to)
		if c.from == "" {
			dir.files[name] = []entry{{was: c.to}} // read from the work tree
			continue
		}
		old, oldName := top.at(c.from)
		if moved := old.dirs[oldName]; moved != nil {
			delete(old.dirs, oldName)
			dir.dirs[name] = moved.merge(dir.dirs[name])
		}
	}
	now := map[string][]entry{}
	top.list("", now)

	var put, read strings.Builder
	for path, entries := range now {
		for _, e := range entries {
			at := path
			// A person may have moved a folder back, or the record of a killed
			// run may be old: only use files that exist.
			if e.was != path && !r.exists(path) && r.exists(e.was) {
				at = e.was
			}
			delete(drop, at)
			if e.what == "" && r.exists(at) {
				read.WriteString(at + "\x00")
			} else if e.what != "" && e.was != at {
				put.WriteString(e.what + "\t" + at + "\x00")
			}
		}
	}
	return strings.Join(slices.Collect(maps.Values(drop)), "") + put.String(), read.String()
}

// exists reports whether the work tree has a file at this path.
func (r *repository) exists(path string) bool {
	info, err := r.store.Lstat(r.below + path)
	return err == nil && !info.IsDir()
}

// at returns the directory that holds path, which it makes if necessary, and the last
// name.
func (d *dirEntry) at(path string) (dir *dirEntry, name string) {
	for {
		if d.dirs == nil {
			d.dirs, d.files = map[string]*dirEntry{}, map[string][]entry{}
		}
		first, rest, deeper := strings.Cut(path, "/")
		if !deeper {
			return d, first
		}
		if d.dirs[first] == nil {
			d.dirs[first] = &dirEntry{}
		}
		d, path = d.dirs[first], rest
	}
}

// merge adds other's contents to d. other's files win, because they came later.
func (d *dirEntry) merge(other *dirEntry) *dirEntry {
	if other == nil {
		return d
	}
	if d.dirs == nil {
		return other
	}
	maps.Copy(d.files, other.files)
	for name, sub := range other.dirs {
		if d.dirs[name] != nil {
			sub = d.dirs[name].merge(sub)
		}
		d.dirs[name] = sub
	}
	return d
}

// list adds all files of d to all, by path.
func (d *dirEntry) list(prefix string, all map[string][]entry) {
	for name, entries := range d.files {
		all[prefix+name] = entries
	}
	for name, sub := range d.dirs {
		sub.list(prefix+name+"/", all)
	}
}
