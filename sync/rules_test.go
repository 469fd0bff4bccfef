package sync_test

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ruledDirs are the packages whose rules docs/RULES.md lists.
var ruledDirs = []string{"sync", "sync/journal", "sync/run"}

// chapters are the rules that the markers belong to, by number.
var chapters = map[int][2]string{
	1:  {"Identity", "A folder belongs to a company by the mark that it carries, never by its name; renaming or moving a company renames or moves that folder."},
	2:  {"Structure", "The levels of the tree are text with tokens; group folders are known by the ids of the records that the tokens stand for, so a renamed status is one rename."},
	3:  {"Several types", "A company with several types is placed by the first one in the priority list, otherwise by the lowest type id, never by the order of a reply."},
	4:  {"Missing type or status", "A company that lacks what a level needs is held, unless the settings name a group for it."},
	5:  {"Names", "Names are made fit for the vault and compared folded; of two companies with one name in one folder the lower id has it, and the other gets a longer one."},
	6:  {"What is in the way", "An unmanaged folder in the way holds; it is adopted only where nothing else can be meant. Other installations' folders are never touched."},
	7:  {"Order", "Parents come before children and a place is vacated before it is taken; a circle is broken by one temporary name. Equal inputs give byte-equal plans."},
	8:  {"Drift", "A folder that a person moved or renamed is put back, or left, as the settings say."},
	9:  {"Gone", "A folder that has disappeared is held, and made again only when a person says so."},
	10: {"Departed", "The folder of a company that is not kept any more stays where it is and keeps its place, or moves to the archive."},
	11: {"Never", "No folder serves two companies, and nothing that a person made is taken for ours."},
	12: {"Access", "The plan says who gains and who loses access by a move; moves that the settings or the vault do not allow are held."},
	13: {"Guards", "A reading that cannot be the whole truth is refused; too many changes of one kind wait until a person approves exactly that plan."},
	14: {"One writer", "Only who holds the lease writes, and who has lost it learns so before the next change."},
	15: {"Failure of one is not failure of all", "A failed step skips what depends on it and nothing else; after a lost answer cwvault looks before it retries."},
	16: {"A second run", "A second run plans nothing, and after a crash the next run finishes the work with no duplicate and nothing lost."},
}

// marker is a comment such as "rule 5: trimmed" at the end of the line of code
// that keeps that rule.
type marker struct {
	chapter    int
	name       string
	dir, file  string
	line       int
	function   string
	code       string
	start, end int // of the line in the file
}

// rule is how the marker is named elsewhere: "5 trimmed".
func (m marker) rule() string { return strconv.Itoa(m.chapter) + " " + m.name }

var markerText = regexp.MustCompile(`rule (\d+): ([^;]+)`)

// markers reads the markers of all packages that have rules, below root.
func markers(t *testing.T, root string) []marker {
	t.Helper()
	var list []marker
	for _, dir := range ruledDirs {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				list = append(list, fileMarkers(t, dir, file)...)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b marker) int { return cmp.Or(cmp.Compare(a.chapter, b.chapter), cmp.Compare(a.name, b.name)) })
	for i := range list {
		if i > 0 && list[i].rule() == list[i-1].rule() {
			t.Fatalf("rule %s is marked twice: %s:%d and %s:%d", list[i].rule(), list[i-1].file, list[i-1].line, list[i].file, list[i].line)
		}
	}
	return list
}

func fileMarkers(t *testing.T, dir, file string) []marker {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var list []marker
	for _, group := range parsed.Comments {
		for _, c := range group.List {
			at := set.Position(c.Pos())
			for _, m := range markerText.FindAllStringSubmatch(c.Text, -1) {
				chapter, _ := strconv.Atoi(m[1])
				begin := at.Offset - at.Column + 1
				list = append(list, marker{
					chapter: chapter, name: strings.TrimSpace(m[2]), dir: dir, file: filepath.Base(file), line: at.Line,
					function: functionAt(parsed, c.Pos()), code: strings.TrimSpace(string(text[begin:at.Offset])), start: begin, end: at.Offset,
				})
			}
		}
	}
	return list
}

// functionAt names the function that a position is in.
func functionAt(file *ast.File, pos token.Pos) string {
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Pos() <= pos && pos <= f.End()+4 { // a marker may follow a function of one line
			return functionName(f)
		}
	}
	return ""
}

const rulesDoc = "../docs/RULES.md"

// rulesText is docs/RULES.md for these markers. failing is the test that fails
// when a rule is broken.
func rulesText(list []marker, failing map[string]string) []byte {
	var b bytes.Buffer
	b.WriteString(`# Rules

What cwvault must never get wrong, where the code sees to it, and the test that fails when that line is broken. The list is
generated: ` + "`make mutate`" + ` breaks every line on purpose and writes down the test that fails.
Code and tests refer to the rules by number.
`)
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	chapter := 0
	for _, m := range list {
		if m.chapter != chapter {
			chapter = m.chapter
			fmt.Fprintf(&b, "\n## %d. %s\n\n%s\n\n| rule | kept by | test that fails |\n|---|---|---|\n", chapter, chapters[chapter][0], chapters[chapter][1])
		}
		fmt.Fprintf(&b, "| %s | %s/%s, %s: `%s` | %s |\n", m.name, m.dir, m.file, m.function, cell(m.code), failing[m.rule()])
	}
	return b.Bytes()
}

var (
	chapterLine = regexp.MustCompile(`^## (\d+)\. `)
	ruleLine    = regexp.MustCompile(`^\| ([^|]+) \| .* \| (\w*) \|$`)
)

// recordedTests reads which tests fail from docs/RULES.md.
func recordedTests(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(rulesDoc)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	failing := map[string]string{}
	chapter := ""
	for line := range strings.SplitSeq(string(text), "\n") {
		if m := chapterLine.FindStringSubmatch(line); m != nil {
			chapter = m[1]
		} else if m := ruleLine.FindStringSubmatch(line); m != nil && m[1] != "rule" {
			failing[chapter+" "+m[1]] = m[2]
		}
	}
	return failing
}

// TestRules sees that docs/RULES.md, the markers in the code, the ways to break
// them and the tests agree. With CWVAULT_RULES=write it writes the document, with
// the tests that it named before.
func TestRules(t *testing.T) {
	list, failing := markers(t, ".."), recordedTests(t)
	broken := map[string]bool{}
	for _, m := range mutants {
		if broken[m.rule] {
			t.Errorf("rule %s is broken twice", m.rule)
		}
		broken[m.rule] = true
	}
	if len(list) < 100 {
		t.Errorf("only %d markers", len(list))
	}
	tests := map[string]map[string]bool{}
	for _, dir := range ruledDirs {
		tests[dir] = testsOf(t, dir)
	}
	for _, m := range list {
		if chapters[m.chapter][0] == "" {
			t.Errorf("rule %s has no chapter", m.rule())
		}
		if !broken[m.rule()] {
			t.Errorf("rule %s is marked, and no mutant breaks it", m.rule())
		}
		delete(broken, m.rule())
		if test := failing[m.rule()]; !tests[m.dir][test] {
			t.Errorf("rule %s is proved by %q, which is no test of %s; make mutate finds one", m.rule(), test, m.dir)
		}
	}
	for rule := range broken {
		t.Errorf("a mutant breaks rule %s, which no line of code is marked with", rule)
	}
	text := rulesText(list, failing)
	if os.Getenv("CWVAULT_RULES") == "write" {
		if err := os.WriteFile(rulesDoc, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(rulesDoc); err != nil || !bytes.Equal(have, text) {
		t.Errorf("%s is not what the code says, error %v; CWVAULT_RULES=write go test -run TestRules ./sync writes it", rulesDoc, err)
	}
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testsOf lists the test functions of a package.
func testsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunction.FindAllStringSubmatch(string(text), -1) {
			tests[m[1]] = true
		}
	}
	return tests
}
