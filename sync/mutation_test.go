package sync_test

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// mutation is a way to break the line that a marker stands on.
type mutation struct{ kind, old, new string }

var (
	never  = mutation{kind: "never"}  // the condition of the if or case is false
	always = mutation{kind: "always"} // or true
	drop   = mutation{kind: "drop"}   // the statement is left out
)

// becomes replaces a piece of the line.
func becomes(old, new string) mutation { return mutation{"text", old, new} }

// mutants break the rules, one at a time. The marker "rule 5: trimmed" in a
// comment says which line keeps the rule, wherever that is.
var mutants = []struct {
	rule string
	mutation
}{
	{"1 a folder is found by its mark", becomes(`[c.company.ID]`, `[c.company.ID+1]`)},
	{"1 only this tenant's marks count", becomes(`m.Tenant == v.tenant && `, ``)},
	{"1 a key twice is nobody's", drop},
	{"1 one spelling a key", becomes(`s[0] < '1'`, `s[0] < '0'`)},
	{"2 an unknown token is an error", always},
	{"2 an empty level is an error", becomes(`strings.Trim(level, ".") == ""`, `false`)},
	{"2 groups are known by ids", becomes(`strconv.AppendInt(append(append(key, keyWord[s.token]...), ':'), int64(s.id), 10)`, `append(append(append(key, keyWord[s.token]...), ':'), s.text...)`)},
	{"2 a group without companies follows its record", never},
	{"2 a record's own name beats copies of it", never},
	{"3 the lowest type id", becomes(`t.ID < typ.ID`, `t.ID > typ.ID`)},
	{"3 the priority list first", never},
	{"3 a type that is not selected does not place", becomes(`f.allows(t.ID) && `, ``)},
	{"3 exclusion wins", never},
	{"4 a missing token holds", never},
	{"4 unless a group is named for it", becomes(`w.settings.Missing`, `"none"`)},
	{"4 a held company has not departed", becomes(`!w.lists(id)`, `!out`)},
	{"5 trimmed", becomes(`" "+r.Leading`, `" "`)},
	{"5 control characters dropped", becomes(`unicode.IsControl(c) || `, ``)},
	{"5 invisible characters dropped", becomes(` || invisible(c)`, ``)},
	{"5 forbidden characters replaced", becomes(` || strings.ContainsRune(r.Forbidden, c)`, ``)},
	{"5 never more than one level", becomes(`c == '\\' || `, ``)},
	{"5 one Unicode form", becomes(`r.Form(s)`, `s`)},
	{"5 cut to length", never},
	{"5 the identifier is kept", drop},
	{"5 no letter without its accents", becomes(`unicode.M`, `unicode.Zs`)},
	{"5 special names are not used", becomes(` && (r.Special == nil || !r.Special(s))`, ``)},
	{"5 what has nothing left is named by its identifier", never},
	{"5 compared folded", becomes(`s.names.Fold(s.outcomes[i].name)`, `s.outcomes[i].name`)},
	{"5 the lowest id keeps the name", becomes(`cmp.Compare(a.ID, b.ID)`, `cmp.Compare(b.ID, a.ID)`)},
	{"5 a held company keeps its name", becomes(`s.bid(slot) != i`, `!o.stays && s.bid(slot) != i`)},
	{"5 a change of case alone is a rename", becomes(`s.folders[f].Name == s.outcomes[i].name`, `s.names.Fold(s.folders[f].Name) == s.names.Fold(s.outcomes[i].name)`)},
	{"5 a hold gives whoever wants the place another turn", drop},
	{"5 a hold gives the children another turn", drop},
	{"5 a name given up is offered to the next", drop},
	{"5 whoever loses a name gets another turn", drop},
	{"5 a held company keeps also a second name", drop},
	{"6 unmanaged in the way holds", never},
	{"6 unmanaged in the way of a folder that moves holds", never},
	{"6 no adoption under another spelling", never},
	{"6 no adoption of one of several folders", never},
	{"6 no adoption that two claim", never},
	{"6 no adoption that a company without a place may claim", never},
	{"6 a foreign mark holds", never},
	{"6 a torn mark holds", never},
	{"7 the nearest step above comes first", becomes(`waitFor(i, s.above,`, `waitFor(i, "",`)},
	{"7 not only the parent's step", becomes(`e = s.up(e) {`, `e = top {`)},
	{"7 a place is vacated before it is taken", becomes(`waitFor(i, k,`, `waitFor(i, k[:0],`)},
	{"7 applied in that order, parents", becomes(`last[s.above]`, `last[s.above[:0]]`)},
	{"7 applied in that order, places", becomes(`leave[k]`, `leave[k[:0]]`)},
	{"7 a temporary name is nobody's", becomes(`_, taken := o.settled.at[where]; taken || `, ``)},
	{"7 never under itself", never},
	{"7 equal inputs, equal plans, of several folders in the way", becomes(` || s.ours(f) == s.ours(o) && s.folders[o].ID < s.folders[f].ID`, ``)},
	{"7 equal inputs, equal plans, held", drop},
	{"7 equal inputs, equal plans, departed", drop},
	{"7 a limited plan takes what must make way", drop},
	{"7 a plan that was read cannot be applied", never},
	{"8 drift is put back, and said", becomes(`d.drifted(i)`, `false`)},
	{"8 or left", always},
	{"8 what ConnectWise wants elsewhere is no drift", becomes(` || was.Parent != s.groupKey(i)`, ``)},
	{"9 what has disappeared is held", never},
	{"9 until a person says so", becomes(` || m.world.Recreate[k]`, ``)},
	{"9 or has said so before a crash", becomes(`begun ||`, `begun && false ||`)},
	{"10 departed folders keep their place", becomes(`return false`, `return true`)},
	{"10 departed folders are reported", drop},
	{"10 or archived", never},
	{"11 no folder for two companies", always},
	{"11 no two companies at one place", always},
	{"11 what a person put there meanwhile is not marked", becomes(`found.Mark == Mark{} && !found.BadMark && found.Name == name`, `true`)},
	{"12 who gains and who loses", becomes(`Gains: without(after, before)`, `Gains: without(before, after)`)},
	{"12 a folder with permissions of its own keeps them", becomes(`f.Inherits && `, ``)},
	{"12 a moved group brings its new audience", drop},
	{"12 moves that widen access wait", never},
	{"12 no approval encrypts", becomes(`p.encrypted &&`, `p.encrypted && !p.approvedBy(approved) &&`)},
	{"13 no companies", never},
	{"13 ids repeated", never},
	{"13 count disagrees", never},
	{"13 too many gone", never},
	{"13 only above ten", becomes(`len(keys) <= guardFloor || `, ``)},
	{"13 each kind by itself", becomes(`s.Op == guard.op`, `s.Op != OpCreate`)},
	{"13 of the managed company folders", becomes(`float64(n)*100 > l.n*float64(total)`, `float64(n) > l.n`)},
	{"13 exactly the approved plan", becomes(` && id == p.ID`, ``)},
	{"13 no approval of nothing", becomes(`id != "" && `, ``)},
	{"13 what is held makes others wait", never},
	{"13 the first policy's reason is shown", always},
	{"13 what the world holds beats every policy", drop},
	{"13 the rest has the id of the whole", drop},
	{"13 a changed layout waits for approval", always},
	{"13 a move settles first", never},
	{"13 another installation is refused", never},
	{"13 no root is made unasked", never},
	{"13 a reading is compared with the last good run", never},
	{"13 a new layout counts when it is approved", becomes(`p.migrationHeld || `, ``)},
	{"13 and as a whole", becomes(` || r.relaid(p) && req.Partial()`, ``)},
	{"13 exactly the saved plan", never},
	{"13 a stale approval stops the run", never},
	{"13 a saved plan is used once", never},
	{"13 and counts as used when it is done", becomes(` && e.Run.Outcome == report.Done`, ``)},
	{"13 a run of some companies is no measure for others", becomes(`!p.Request.Partial()`, `true`)},
	{"13 a move has settled since it was wanted first", becomes(`w.Since`, `now`)},
	{"13 a migration that waits does not begin the wait anew", becomes(` || p.migrationHeld`, ``)},
	{"13 a run of some companies forgets no other move", becomes(` && !p.Request.Partial()`, ``)},
	{"13 a paused company stays as it is", becomes(`w.Hold[key]`, `w.Hold[key+"0"]`)},
	{"14 a lease that is held is not taken", never},
	{"14 unless its holder is dead", becomes(` && !dead(r.owner)`, ``)},
	{"14 a clock that was set back does not keep it for ever", never},
	{"14 each holder has a number of its own", becomes(`r.fence + 1`, `r.fence`)},
	{"14 whoever lost the lease without noticing is told", never},
	{"14 no lease, no write", never},
	{"14 another holder's number ends the own lease", never},
	{"14 a busy holder renews the lease", always},
	{"14 an idle holder renews it too", drop},
	{"14 the holder is compared in the same transaction", never},
	{"14 nothing is written to a journal that was removed", never},
	{"14 no run begins without the lease", becomes(`fenced: true`, `fenced: false`)},
	{"14 no intent is recorded without the lease", becomes(`ctx, true,`, `ctx, false,`)},
	{"14 no run is concluded without the lease", becomes(`fenced: true`, `fenced: false`)},
	{"14 the lease is asked before each change", never},
	{"14 a change under way ends with the lease", drop},
	{"14 whoever lost the lease leaves nothing to the next", never},
	{"15 a failed step skips what depends on it", never},
	{"15 look before a retry", becomes(`a.look(ctx, parent, name)`, `Folder{}, error(nil)`)},
	{"15 look also after a later refusal", becomes(`lost || unanswered`, `unanswered`)},
	{"15 no sign-in, no further step", never},
	{"15 back from a temporary name", becomes(`a.update(ctx, s.FolderID, s.fromParent, s.fromName)`, `error(nil)`)},
	{"15 a stop lets the step under way finish", becomes(`context.WithoutCancel(ctx)`, `ctx`)},
	{"15 a stop begins no further step", never},
	{"15 no intent, no step", never},
	{"15 a stop cuts off what does not end", drop},
	{"15 a stopped run that has had its time sends nothing", never},
	{"15 a run that was stopped has not failed", never},
	{"15 a step that was cut off counts against nobody", becomes(` && !cutOff`, ``)},
	{"15 nor does a sign-in that failed", becomes(` && !errors.Is(result.Err, sync.ErrUnauthorized)`, ``)},
	{"15 what failed again and again rests", never},
	{"16 an unmarked folder of ours is found", becomes(`m.begun(n.key)`, `noFolder`)},
	{"16 unless two were to be made there", becomes(` || m.creates[was] > 1`, ``)},
	{"16 and marked where it lies", becomes(` && !d.nodes[i].unfinished`, ``)},
	{"16 before it goes elsewhere", never},
	{"16 an intent stays open until its end is known", becomes(`Unsettled: true, `, ``)},
	{"16 what was made and not marked is marked next time", becomes(` Unsettled: true,`, ``)},
	{"16 an intent stays open in the journal", never},
	{"16 an intent of a run before tells what was begun", becomes(`w.Unfinished[in.Key]`, `w.Unfinished[in.Key+"0"]`)},
	{"16 an intent ends when its folder is seen", never},
	{"16 and it is ours", becomes(` && f.Mark.Tenant == p.Tenant`, ``)},
	{"16 or when it is made now", never},
	{"16 what a crash kept from the journal is learned", becomes(`p.Learned()`, `p.Learned()[:0]`)},
	{"16 a temporary name is no drift", becomes(`stranded(name, n.key)`, `stranded("", n.key)`)},
}

// apply returns a file with the marked line broken.
func (m mutation) apply(file []byte, at marker) ([]byte, error) {
	replace := func(start, end int, by string) []byte {
		return bytes.Join([][]byte{file[:start], []byte(by), file[end:]}, nil)
	}
	if m.kind == "text" {
		line := string(file[at.start:at.end])
		if n := strings.Count(line, m.old); n != 1 {
			return nil, fmt.Errorf("line %d has %q %d times, not once: %s", at.line, m.old, n, line)
		}
		return replace(at.start, at.end, strings.Replace(line, m.old, m.new, 1)), nil
	}
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, at.file, file, 0)
	if err != nil {
		return nil, err
	}
	var broken []byte
	offset := func(p token.Pos) int { return set.Position(p).Offset }
	condition := func(e ast.Expr) {
		before := map[string]string{"never": "false && (", "always": "true || ("}[m.kind]
		broken = replace(offset(e.Pos()), offset(e.End()), before+string(file[offset(e.Pos()):offset(e.End())])+")")
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if n == nil || broken != nil || set.Position(n.Pos()).Line != at.line {
			return broken == nil
		}
		switch n := n.(type) {
		case *ast.IfStmt:
			if m.kind != "drop" {
				condition(n.Cond)
			}
		case *ast.CaseClause:
			if m.kind != "drop" && len(n.List) == 1 {
				condition(n.List[0])
			}
		}
		if s, ok := n.(ast.Stmt); ok && m.kind == "drop" {
			broken = replace(offset(s.Pos()), offset(s.End()), "")
		}
		return broken == nil
	})
	if broken == nil {
		return nil, fmt.Errorf("line %d: nothing there for %q", at.line, m.kind)
	}
	return broken, nil
}

// TestMutants shows for every rule that a test of its package fails when the
// rule is broken, and writes down which in docs/RULES.md. It runs for minutes,
// and so only if CWVAULT_MUTATE is set; if that is other than 1, only the rules
// that begin with it, or with one of several beginnings between commas.
func TestMutants(t *testing.T) {
	only := os.Getenv("CWVAULT_MUTATE")
	if only == "" {
		t.Skip("breaks the core on purpose, rule by rule, which takes long: make mutate runs it")
	}
	if only == "1" {
		only = ""
	}
	chosen := func(rule string) bool {
		return slices.ContainsFunc(strings.Split(only, ","), func(prefix string) bool { return strings.HasPrefix(rule, prefix) })
	}
	dir := copyModule(t)
	for _, pkg := range ruledDirs {
		if test, out, err := testCopy(t, dir, pkg, ""); err != nil || test != "" {
			t.Fatalf("%s: %s fails before anything is broken: %v\n%s", pkg, test, err, out)
		}
	}
	at := map[string]marker{}
	for _, m := range markers(t, dir) {
		at[m.rule()] = m
	}
	failing := recordedTests(t)
	tried := 0
	for _, m := range mutants {
		if !chosen(m.rule) {
			continue
		}
		tried++
		t.Run(m.rule, func(t *testing.T) {
			where, ok := at[m.rule]
			if !ok {
				t.Fatal("no line of code is marked with this rule")
			}
			file := filepath.Join(dir, filepath.FromSlash(where.dir), where.file)
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			broken, err := m.apply(whole, where)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := os.WriteFile(file, whole, 0o600); err != nil {
					t.Fatal(err)
				}
			}()
			if err := os.WriteFile(file, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			test, out, err := testCopy(t, dir, where.dir, failing[m.rule])
			switch {
			case err != nil:
				t.Errorf("%v\n%s", err, out)
			case test == "":
				t.Error("no test fails")
			default:
				failing[m.rule] = test
				t.Log(test)
			}
		})
	}
	t.Logf("%d rules broken", tried)
	if tried == 0 {
		t.Errorf("no rule begins with one of %q", only)
	}
	if err := os.WriteFile(rulesDoc, rulesText(markers(t, ".."), failing), 0o600); err != nil {
		t.Error(err)
	}
}

// copyModule copies what the tests of these packages need.
func copyModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	copyFile := func(name string) error {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o600)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := copyFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, tree := range []string{"sync", "vault"} {
		err := filepath.WalkDir(filepath.Join("..", tree), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name, err := filepath.Rel("..", path)
			if err != nil {
				return err
			}
			return copyFile(name)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var (
	failedTest  = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)
	runningTest = regexp.MustCompile(`(?m)^\t(Test\w+)`)                   // when time is up
	tracedTest  = regexp.MustCompile(`(?m)^cwvault/[\w/]+\.(Test\w+)[.(]`) // when the process dies, as of a stack that is too deep
)

// apart returns the tests that have no part in this: of the layout of the whole
// module, of documents, of speed, and of the rules themselves.
func apart(t *testing.T) []string {
	t.Helper()
	names := []string{"TestMutants", "TestRules", "TestPlanCosts"}
	for _, file := range []string{"imports_test.go", "docs_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunction.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// testCopy returns a test of the package that fails, or "": first it tries the
// one that did before, then all with few random worlds, then with many. The
// error says that the package cannot be built.
func testCopy(t *testing.T, dir, pkg, before string) (test, output string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	bin := filepath.Join(dir, "tests")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-o", bin, "./"+pkg)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return "", string(out), fmt.Errorf("it does not compile: %w", err)
	}
	all := [][]string{{"-test.short"}}
	if pkg == "sync" {
		all = [][]string{{"-test.short", "-rapid.checks=250"}, {"-rapid.checks=500"}}
	}
	var tries [][]string
	if before != "" {
		tries = append(tries, append([]string{"-test.run=^" + before + "$"}, all[len(all)-1]...))
	}
	for _, args := range append(tries, all...) {
		args = append(args, "-test.failfast", "-test.timeout=2m", "-test.skip="+strings.Join(apart(t), "|"))
		if pkg == "sync" {
			args = append(args, "-rapid.nofailfile", "-rapid.shrinktime=1s")
		}
		cmd := exec.CommandContext(ctx, bin, args...)
		cmd.Dir = filepath.Join(dir, filepath.FromSlash(pkg))
		cmd.Env = append(os.Environ(), "CWVAULT_MUTATE=")
		out, err := cmd.CombinedOutput()
		if err == nil {
			continue
		}
		for _, re := range []*regexp.Regexp{failedTest, runningTest, tracedTest} {
			if m := re.FindSubmatch(out); m != nil {
				return string(m[1]), string(out), nil
			}
		}
		return "", string(out), fmt.Errorf("the tests end without saying which failed: %w", err)
	}
	return "", "", nil
}
