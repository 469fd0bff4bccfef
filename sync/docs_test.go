package sync_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/sync/report"
)

// The tests in this file compare the documents with the code. With
// CWVAULT_DOCS=write they write the tables that the code knows.

// table is a table of a document, without its header.
type table struct {
	file       string
	start, end int // of the rows, in the text
	rows       [][]string
}

// readTable reads the table with this header.
func readTable(t *testing.T, file, header string) table {
	t.Helper()
	text := readDoc(t, file)
	_, rest, found := strings.Cut(text, "\n"+header+"\n")
	_, rest, line := strings.Cut(rest, "\n") // the line below the header
	if !found || !line {
		t.Fatalf("%s has no table %q", file, header)
	}
	tab := table{file: file, start: len(text) - len(rest)}
	tab.end = tab.start
	for row := range strings.Lines(rest) {
		if !strings.HasPrefix(row, "| ") {
			break
		}
		tab.end += len(row)
		cells := strings.Split(strings.Trim(row, "|\n"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		tab.rows = append(tab.rows, cells)
	}
	return tab
}

// compare sees that the table has the rows that the code knows, or writes them.
func (tab table) compare(t *testing.T, want [][]string) {
	t.Helper()
	diff := cmp.Diff(want, tab.rows)
	if diff == "" {
		return
	}
	if os.Getenv("CWVAULT_DOCS") != "write" {
		t.Errorf("%s (-want +got); CWVAULT_DOCS=write go test -run %s ./sync writes it:\n%s", tab.file, t.Name(), diff)
		return
	}
	text := readDoc(t, tab.file)
	var rows strings.Builder
	for _, cells := range want {
		rows.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	if err := os.WriteFile(filepath.Join("..", tab.file), []byte(text[:tab.start]+rows.String()+text[tab.end:]), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readDoc(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestContributing: CONTRIBUTING.md says of every package where its lines belong
// and what it may import.
func TestContributing(t *testing.T) {
	tab := readTable(t, "CONTRIBUTING.md", "| package | it owns | not there | may import |")
	missing := map[string]bool{}
	for pkg := range imported(t, false) {
		missing[pkg] = true
	}
	var want [][]string
	for _, row := range tab.rows {
		pkg := "cwvault/" + strings.Trim(row[0], "`")
		allowed, ok := walls[pkg]
		if len(row) != 4 || row[1] == "" || row[2] == "" || !ok || !missing[pkg] {
			t.Fatalf("the row of %s: it is twice, is not complete, or has no walls: %q", pkg, row)
		}
		delete(missing, pkg)
		imports := "none of ours"
		if len(allowed) > 0 {
			imports = "`" + strings.Join(slices.Sorted(slices.Values(allowed)), "`, `") + "`"
		}
		want = append(want, []string{row[0], row[1], row[2], imports})
	}
	for pkg := range missing {
		t.Errorf("no row for %s", pkg)
	}
	tab.compare(t, want)
}

// TestFormats: docs/FORMATS.md lists every hold code and every path of the API.
func TestFormats(t *testing.T) {
	const file = "docs/FORMATS.md"
	yes := map[bool]string{true: "yes", false: "no"}
	var want [][]string
	for _, code := range sync.HoldCodes() {
		want = append(want, []string{"`" + string(code) + "`", report.HoldOf(code).Means, yes[code.NeedsPerson()], yes[code.Approvable()]})
	}
	readTable(t, file, "| code | what it means | needs a person | approving can help |").compare(t, want)

	text := readDoc(t, file)
	paths := regexp.MustCompile(`(?m)^\t\w+Path += "(/api/.*?)"`).FindAllStringSubmatch(readDoc(t, "scheduler/api/api.go"), -1)
	if len(paths) < 5 {
		t.Errorf("only the paths %q", paths)
	}
	for _, m := range paths {
		if !strings.Contains(text, m[1]+"`") {
			t.Errorf("%s does not name %s", file, m[1])
		}
	}
	for _, schema := range []string{sync.PlanSchema, report.RunSchema} {
		if !strings.Contains(text, "`"+schema+"`") {
			t.Errorf("%s does not name %s", file, schema)
		}
	}
}

// TestExitCodes: the documents list the exit codes that the command line has.
func TestExitCodes(t *testing.T) {
	matches := regexp.MustCompile(`(?m)^\texit\w+ += (\d+)$`).FindAllStringSubmatch(readDoc(t, "cmd/cwvault/cli/exit.go"), -1)
	var codes []string
	for _, m := range matches {
		codes = append(codes, m[1])
	}
	if len(codes) < 10 {
		t.Fatalf("only the codes %q", codes)
	}
	for file, header := range map[string]string{
		"README.md":      "| code | meaning |",
		"docs/DEPLOY.md": "| code | meaning | what a supervisor should do |",
	} {
		var have []string
		for _, row := range readTable(t, file, header).rows {
			have = append(have, row[0])
		}
		if diff := cmp.Diff(codes, have); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// TestDependencies: docs/DEPENDENCIES.md gives a reason for each module that
// go.mod requires for its own sake, and for no other.
func TestDependencies(t *testing.T) {
	const file = "docs/DEPENDENCIES.md"
	text, mod := readDoc(t, file), readDoc(t, "go.mod")
	required := 0
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(mod, -1) {
		required++
		if name := strings.TrimPrefix(m[1], "github.com/"); !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s does not name %s", file, name)
		}
	}
	if required < 15 {
		t.Errorf("only %d modules", required)
	}
	for _, row := range readTable(t, file, "| module | for | why not our own |").rows {
		for name := range strings.SplitSeq(row[0], ", ") {
			if !strings.Contains(mod, strings.Trim(name, "`")+" v") {
				t.Errorf("%s names %s, which go.mod does not require", file, name)
			}
		}
	}
}

var (
	docLink = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	docFile = regexp.MustCompile("`([\\w.-]+(?:/[\\w.-]+)+\\.go)(?::([\\w.]+))?`")
	docTest = regexp.MustCompile(`\bTest[A-Z]\w*`)
)

// TestDocsNameWhatExists: the files, functions and tests that the documents name
// are there.
func TestDocsNameWhatExists(t *testing.T) {
	files, tests := map[string]map[string]bool{}, map[string]bool{}
	var docs []string
	walk(t, func(file string) {
		switch {
		case strings.HasSuffix(file, ".md"):
			docs = append(docs, file)
		case strings.HasSuffix(file, ".go"):
			files[file] = functions(t, file)
			if strings.HasSuffix(file, "_test.go") {
				maps.Copy(tests, files[file])
			}
		}
	})
	links := 0
	for _, doc := range docs {
		text := readDoc(t, doc)
		for _, m := range docLink.FindAllStringSubmatch(text, -1) {
			links++
			if _, err := os.Stat(filepath.Join("..", filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s: a link to nowhere: %v", doc, err)
			}
		}
		for _, m := range docFile.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "NAME") {
				continue
			}
			links++
			if known := files[m[1]]; known == nil || m[2] != "" && !known[m[2]] {
				t.Errorf("%s names %s, which is not there", doc, m[0])
			}
		}
		for _, name := range docTest.FindAllString(text, -1) {
			if !tests[name] && !startsATest(tests, name) {
				t.Errorf("%s names %s, which is no test", doc, name)
			}
		}
	}
	if len(docs) < 12 || links < 60 {
		t.Errorf("only %d documents, and %d links in them", len(docs), links)
	}
}

// startsATest: in "TestService(Soak|Memory)" only the beginning is a word.
func startsATest(tests map[string]bool, name string) bool {
	for test := range tests {
		if strings.HasPrefix(test, name) {
			return true
		}
	}
	return false
}

// walk calls f for each file of the module, by its path from the top.
func walk(t *testing.T, f func(file string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name == "node_modules" || len(name) > 2 && name[0] == '.' {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel("..", file)
		if err == nil {
			f(path.Clean(filepath.ToSlash(rel)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// functions lists the functions of a file, methods as Type.Method.
func functions(t *testing.T, file string) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", file), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			known[functionName(f)] = true
		}
	}
	return known
}

func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	return fmt.Sprintf("%v.%s", typ, f.Name.Name)
}
