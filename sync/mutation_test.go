package sync_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mutants break the rules of DESIGN section 3, one at a time. Each replaces a
// piece of text that stands once in a file of this package.
var mutants = []struct{ rule, file, old, new string }{
	{"1 a folder is found by its mark", "makeplan.go", `if f, ok := p.companyFolders[c.company.ID]; ok && f >= 0 {`, `if f, ok := p.companyFolders[c.company.ID+1]; ok && f >= 0 {`},
	{"1 only this tenant's marks count", "makeplan.go", `m.Tenant == p.world.Tenant && m.Key.Valid()`, `m.Key.Valid()`},
	{"1 a key twice is nobody's", "makeplan.go", `		m[k] = -1
`, ``},
	{"1 one spelling a key", "folder.go", `s[0] < '1'`, `s[0] < '0'`},
	{"2 an unknown token is an error", "template.go", `		if string(t) == name {`, `		if true {`},
	{"2 an empty level is an error", "template.go", `strings.Trim(level, ".") == ""`, `false`},
	{"2 groups are known by ids", "want.go", `strconv.AppendInt(append(append(key, keyWord[s.token]...), ':'), int64(s.id), 10)`, `append(append(append(key, keyWord[s.token]...), ':'), s.text...)`},
	{"2 a group without companies follows its record", "makeplan.go", `if !have[key] && f >= 0 {`, `if !have[key] && f < -1 {`},
	{"2 a record's own name beats copies of it", "want.go", `if st.uses(tokenParent) {`, `if false {`},
	{"3 the lowest type id", "want.go", `t.ID < typ.ID`, `t.ID > typ.ID`},
	{"3 the priority list first", "want.go", `if t.ID == id && f.allows(id) {`, `if t.ID == -id && f.allows(id) {`},
	{"3 a type that is not selected does not place", "want.go", `if f.allows(t.ID) && (typ.ID`, `if (typ.ID`},
	{"3 exclusion wins", "want.go", `		if f.exclude[t.ID] {`, `		if f.exclude[-t.ID] {`},
	{"4 a missing token holds", "want.go", `s.id == 0 && s.text == "" && b.w.settings.Missing == ""`, `false`},
	{"4 unless a group is named for it", "want.go", `name.WriteString(w.settings.Missing)`, `name.WriteString("none")`},
	{"4 a held company has not departed", "makeplan.go", `return out || !w.lists(id)`, `return out || !out`},
	{"5 trimmed", "names.go", `strings.TrimLeft(s, " "+r.Leading)`, `strings.TrimLeft(s, " ")`},
	{"5 control characters dropped", "names.go", `unicode.IsControl(c) || `, ``},
	{"5 invisible characters dropped", "names.go", `unicode.IsControl(c) || invisible(c)`, `unicode.IsControl(c)`},
	{"5 forbidden characters replaced", "names.go", `|| strings.ContainsRune(r.Forbidden, c):`, `:`},
	{"5 never more than one level", "names.go", `case c == '\\' || `, `case `},
	{"5 one Unicode form", "names.go", `		formed := r.Form(s)`, `		formed := s`},
	{"5 cut to length", "names.go", `		if r.tooLong(name[:end+n] + suffix) {`, `		if false {`},
	{"5 the identifier is kept", "names.go", `names = append(names, r.withSuffix(base, " ("+ident+")"))`, `_ = ident`},
	{"5 no letter without its accents", "names.go", `!unicode.Is(unicode.M, c)`, `!unicode.Is(unicode.Zs, c)`},
	{"5 special names are not used", "names.go", ` && (r.Special == nil || !r.Special(s))`, ``},
	{"5 what has nothing left is named by its identifier", "names.go", `case base == "" && r.usable(ident):`, `case false:`},
	{"5 compared folded", "settle.go", `	if n := &p.nodes[i]; n.folder < 0 || p.folders[n.folder].Name != n.name {`, `	if n := &p.nodes[i]; true {
		return n.name
	} else if n.folder < 0 {`},
	{"5 the lowest id keeps the name", "want.go", `cmp.Compare(a.ID, b.ID) })`, `cmp.Compare(b.ID, a.ID) })`},
	{"5 a held company keeps its claim", "settle.go", `	for i := first; i < end; i++ {
		n := &p.nodes[i]
		n.adopt = -1
`, `	for i := first; i < end; i++ {
		n := &p.nodes[i]
		n.adopt = -1
		if n.fixed {
			continue
		}
`},
	{"5 a change of case alone is a rename", "settle.go", `p.folders[n.folder].Name == n.name
}`, `p.w.names.Fold(p.folders[n.folder].Name) == p.w.names.Fold(n.name)
}`},
	{"6 unmanaged in the way holds", "settle.go", `	case !p.w.settings.Adopt:
`, `	case false:
`},
	{"6 unmanaged in the way of a folder that moves holds", "settle.go", `	case n.folder >= 0:
		p.hold(i, HeldUnmanagedFolder`, `	case n.folder >= 0 && false:
		p.hold(i, HeldUnmanagedFolder`},
	{"6 no adoption under another spelling", "settle.go", `	case f.Name != n.name:
`, `	case false:
`},
	{"6 no adoption of one of several folders", "settle.go", `	case others:
`, `	case false:
`},
	{"6 no adoption that two claim", "settle.go", `n := &p.nodes[i]; n.adopt >= 0 {`, `n := &p.nodes[i]; n.adopt >= 0 && false {`},
	{"6 no adoption that a company without a place may claim", "settle.go", `p.w.homeless[p.w.names.Fold(n.name)]`, `false`},
	{"6 a foreign mark holds", "settle.go", `	case f.Mark != Mark{}:
`, `	case false:
`},
	{"6 a torn mark holds", "settle.go", `	case f.BadMark:
`, `	case false:
`},
	{"7 the nearest step above comes first", "steps.go", `		waitFor(i, s.above, func`, `		waitFor(i, "", func`},
	{"7 not only the parent's step", "steps.go", `		for e := p.up(element{s.node, p.nodes[s.node].folder}); !e.atTop(); e = p.up(e) {
			if e.node >= 0 && has[e.node] {`, `		for e := p.up(element{s.node, p.nodes[s.node].folder}); !e.atTop(); e.node, e.folder = -1, -1 {
			if e.node >= 0 && has[e.node] {`},
	{"7 a place is vacated before it is taken", "steps.go", `			waitFor(i, k, func(s *pending) *[]int { return &s.vacate })`, `			waitFor(i, k[:0], func(s *pending) *[]int { return &s.vacate })`},
	{"7 applied in that order: above", "apply.go", `		before, ok := last[s.above]
		after(t, before, ok)
`, ``},
	{"7 applied in that order: places", "apply.go", `			before, ok := leave[k]
			after(t, before, ok)
`, `			_ = k
`},
	{"7 a temporary name is nobody's", "steps.go", `if _, taken := p.at[where]; taken || `, `if `},
	{"7 never under itself", "settle.go", `		if p.endsInside(int32(i)) {`, `		if false {`},
	{"7 equal inputs, equal plans: of several folders in the way", "settle.go", ` || p.ours(f) == p.ours(o) && p.folders[o].ID < p.folders[f].ID {`, ` {`},
	{"7 equal inputs, equal plans: held", "steps.go", `	slices.SortFunc(list, func(a, b Held) int { return compareKeys(a.Key, b.Key) })
`, ``},
	{"7 equal inputs, equal plans: departed", "makeplan.go", `	slices.SortFunc(list, func(a, b int32) int { return compareKeys(p.folders[a].Mark.Key, p.folders[b].Mark.Key) })
`, ``},
	{"7 a limited plan takes what must make way", "steps.go", `		for _, k := range steps[i].takesFrom {
			visit(k)
		}
`, ``},
	{"8 drift is put back, and said", "steps.go", `	drifted := p.drifted(i)
	switch {`, `	drifted := false
	switch {`},
	{"8 or left", "settle.go", `	if !p.w.settings.KeepDrift {`, `	if true {`},
	{"8 what ConnectWise wants elsewhere is no drift", "settle.go", ` || was.Parent != p.groupKey(i) {`, ` {`},
	{"9 what has disappeared is held", "makeplan.go", `		case n.folder < 0 && p.known(n.key) && !p.mayRecreate(n.key):`, `		case false:`},
	{"9 until a person says so", "makeplan.go", `return begun || p.world.Recreate[k]`, `return begun`},
	{"9 or has said so before a crash", "makeplan.go", `return begun || p.world.Recreate[k]`, `return p.world.Recreate[k] && (begun || true)`},
	{"10 departed folders keep their place", "settle.go", `		n.note = fmt.Sprintf("the name %q is taken by the folder of %s", f.Name, f.Mark.Key)
		return false`, `		return true`},
	{"10 departed folders are reported", "steps.go", `	plan.Departed = p.allDeparted()
`, ``},
	{"10 or archived", "makeplan.go", `	if p.w.settings.Archive != "" {`, `	if false {`},
	{"11 no folder for two companies", "settle.go", `	winner, taken := p.claims[claim]
	if !taken {`, `	winner, taken := p.claims[claim]
	if taken = false; !taken {`},
	{"11 no two companies at one place", "settle.go", `		if p.claimedAt[there] < 0 {`, `		if true {`},
	{"11 what a person put there meanwhile is not marked", "apply.go", `found.Mark == Mark{} && !found.BadMark && found.Name == name`, `true`},
	{"12 who gains and who loses", "access.go", `Gains: without(after, before)`, `Gains: without(before, after)`},
	{"12 a folder with permissions of its own keeps them", "steps.go", `	if f.Inherits && s.Op != OpRename {`, `	if s.Op != OpRename {`},
	{"12 a moved group brings its new audience", "steps.go", `			id = "" // it moves, and its audience changes with it
`, ``},
	{"12 moves that widen access wait", "check.go", `settings.Access == AccessHold && len(s.Access.Gains) > 0 && !passes`, `false`},
	{"12 no approval encrypts", "check.go", `		case settings.Access == AccessHoldAny:`, `		case settings.Access == AccessHoldAny && !passes:`},
	{"13 no companies", "check.go", `	if n == 0 {`, `	if false {`},
	{"13 ids repeated", "check.go", `		if seen[c.ID] {`, `		if false {`},
	{"13 count disagrees", "check.go", `	if src.Count != n {`, `	if false {`},
	{"13 too many gone", "check.go", `	if last != nil && maxDrop`, `	if false && maxDrop`},
	{"13 only above ten", "check.go", `len(keys) <= guardFloor || `, ``},
	{"13 each kind by itself", "check.go", `			if s.Op == guard.op {`, `			if s.Op != OpCreate {`},
	{"13 of the managed company folders", "settings.go", `return float64(n)*100 > l.n*float64(total)`, `return float64(n) > l.n`},
	{"13 exactly the approved plan", "check.go", `approved != "" && approved == plan.ID`, `approved != ""`},
	{"13 no approval of nothing", "check.go", `approved != "" && approved == plan.ID`, `approved == plan.ID`},
	{"13 what is held makes others wait", "settle.go", `w >= 0 && p.nodes[w].waits {`, `false && w >= 0 {`},
	{"15 a failed step skips what depends on it", "apply.go", `				if o.err != nil && t.skip == nil {`, `				if false {`},
	{"15 look before trying again", "apply.go", `		found, lookErr := a.look(ctx, parent, name)`, `		found, lookErr := Folder{}, error(nil)`},
	{"15 look also after a later refusal", "apply.go", `		lost = lost || unanswered`, `		lost = unanswered`},
	{"15 no sign-in, no further step", "apply.go", `	if a.stop != nil {`, `	if false {`},
	{"15 back from a temporary name", "apply.go", `	if err := a.update(ctx, s.FolderID, s.fromParent, s.fromName); err != nil {`, `	if err := error(nil); err != nil {`},
	{"15 a stop lets the step under way finish", "apply.go", `whole := context.WithoutCancel(ctx)`, `whole := ctx`},
	{"15 a stop begins no further step", "apply.go", `	if ctx.Err() != nil && !secondHalf {`, `	if false {`},
	{"15 no intent, no step", "apply.go", `			a.end(whole, tk.step, Result{Status: StatusFailed, Err: fmt.Errorf("record the intent: %w", err)})
			return waitedFor(s)
`, ``},
	{"16 an unmarked folder of ours is found", "makeplan.go", `		n.folder = p.unfinished(n.key)`, `		n.folder = -1`},
	{"16 unless two were to be made there", "makeplan.go", ` || p.intents[was] > 1 {`, ` {`},
	{"16 and marked where it lies", "steps.go", `		case p.inPlace(int32(i)) && !n.unmarked:`, `		case p.inPlace(int32(i)):`},
	{"16 before it goes elsewhere", "apply.go", `	if s.mark {`, `	if false {`},
	{"16 an intent stays open until its end is known", "apply.go", `		case tries == maxTries || !unanswered:
			return Result{Status: StatusFailed, Unsettled: true, Err: err}`, `		case tries == maxTries || !unanswered:
			return Result{Status: StatusFailed, Err: err}`},
	{"16 what was made and not marked is marked next time", "apply.go", `		return Result{Status: StatusFailed, FolderID: id, Unsettled: true,`, `		return Result{Status: StatusFailed, FolderID: id,`},
	{"16 a temporary name is no drift", "settle.go", `name != was.Name && stranded(name, n.key)`, `name != was.Name && stranded("", n.key)`},
}

// TestMutants shows for every mutant that a test of this package fails. It runs
// for minutes, and so only if CWVAULT_MUTATE is set; if that is other than 1,
// only the rules that begin with it are broken.
func TestMutants(t *testing.T) {
	only := os.Getenv("CWVAULT_MUTATE")
	if only == "" {
		t.Skip("CWVAULT_MUTATE is not set")
	}
	if only == "1" {
		only = ""
	}
	dir := copyModule(t)
	if out, err := testCopy(t, dir); err != nil {
		t.Fatalf("the tests fail before anything is broken: %v\n%s", err, out)
	}
	tried := 0
	for _, m := range mutants {
		if !strings.HasPrefix(m.rule, only) {
			continue
		}
		tried++
		t.Run(m.rule, func(t *testing.T) {
			file := filepath.Join(dir, "sync", m.file)
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(whole), m.old); n != 1 {
				t.Fatalf("%s has this %d times, not once:\n%s", m.file, n, m.old)
			}
			broken := strings.Replace(string(whole), m.old, m.new, 1)
			if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := os.WriteFile(file, whole, 0o600); err != nil {
					t.Fatal(err)
				}
			}()
			switch out, err := testCopy(t, dir); {
			case err == nil:
				t.Error("no test fails")
			case strings.Contains(out, "[build failed]"), strings.Contains(out, "[setup failed]"):
				t.Errorf("it does not compile:\n%s", out)
			}
		})
	}
	t.Logf("%d rules broken", tried)
	if tried == 0 {
		t.Errorf("no rule begins with %q", only)
	}
}

// copyModule copies what the tests of this package need.
func copyModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, pattern := range []string{"go.mod", "go.sum", "sync/*.go", "vault/*.go"} {
		files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(pattern)))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, error %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			to := filepath.Join(dir, filepath.Dir(filepath.FromSlash(pattern)), filepath.Base(file))
			if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// testCopy runs the tests that say what the core does; those of the layout, of
// speed, and this one have no part in it.
func testCopy(t *testing.T, dir string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-failfast", "-timeout=2m", "-skip=TestMutants|TestAdaptersAreApart|TestPlanCosts",
		"./sync", "-rapid.checks=500", "-rapid.nofailfile", "-rapid.shrinktime=1s")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CWVAULT_MUTATE=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
