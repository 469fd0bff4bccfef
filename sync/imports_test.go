package sync_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// imported returns what each package of the module imports, by its path, and
// the files that say so. Packages are named as in import statements.
func imported(t *testing.T, tests bool) map[string]map[string][]string {
	t.Helper()
	packages := map[string]map[string][]string{}
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
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") && !tests {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("..", filepath.Dir(file))
		if err != nil {
			return err
		}
		pkg := path.Join("cwvault", filepath.ToSlash(rel))
		if packages[pkg] == nil {
			packages[pkg] = map[string][]string{}
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			packages[pkg][name] = append(packages[pkg][name], file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// TestCoreIsPure keeps the core free of I/O, logging, clocks, randomness and
// environment: it may import only what has none of these.
func TestCoreIsPure(t *testing.T) {
	allowed := []string{
		"bytes", "cmp", "container/heap", "context", "crypto/sha256", "encoding/hex", "encoding/json", "errors", "fmt",
		"maps", "math", "runtime/debug", "slices", "strconv", "strings", "sync", "time", "unicode", "unicode/utf16", "unicode/utf8",
	}
	imports := imported(t, false)["cwvault/sync"]
	for _, name := range slices.Sorted(maps.Keys(imports)) {
		if !slices.Contains(allowed, name) {
			t.Errorf("package sync imports %s in %v", name, imports[name])
		}
	}
	for _, name := range []string{"context", "crypto/sha256", "slices"} { // that the test has seen the package
		if len(imports[name]) == 0 {
			t.Errorf("package sync does not import %s", name)
		}
	}
	for _, file := range imports["time"] { // for its types: the core is told what time it is
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" && sel.Sel.Name != "Time" && sel.Sel.Name != "Duration" {
				t.Errorf("%s uses time.%s", file, sel.Sel.Name)
			}
			return true
		})
	}
}

// TestAdaptersAreApart: packages that talk to the outside know the core's and
// the vault's words, and not each other. Only cmd knows everybody.
func TestAdaptersAreApart(t *testing.T) {
	families := map[string][]string{ // and which others they may know
		"cwvault/connectwise":         {"cwvault/sync", "cwvault/httpclient"},
		"cwvault/httpclient":          {},
		"cwvault/vault/passwordstore": {"cwvault/sync", "cwvault/vault", "cwvault/vault/vaulttest"},
		"cwvault/vault/secretserver":  {"cwvault/sync", "cwvault/httpclient", "cwvault/vault", "cwvault/vault/vaulttest"},
		"cwvault/vault/vaulttest":     {"cwvault/sync", "cwvault/sync/synctest", "cwvault/vault"},
		"cwvault/sync/journal":        {"cwvault/sync"},
		"cwvault/sync/synctest":       {"cwvault/sync"},
		"cwvault/scheduler":           {},
		"cwvault/scheduler/api":       {"cwvault/sync", "cwvault/sync/report"},
		"cwvault/scheduler/dashboard": {"cwvault/scheduler", "cwvault/scheduler/api", "cwvault/sync", "cwvault/sync/report"},
		"cwvault/scheduler/tickets":   {"cwvault/sync", "cwvault/sync/journal", "cwvault/sync/report", "cwvault/sync/run"},
		"cwvault/scheduler/host":      {},
		"cwvault/scheduler/remote":    {"cwvault/httpclient", "cwvault/scheduler/api", "cwvault/sync", "cwvault/sync/report"},
	}
	seen := map[string]int{}
	for pkg, imports := range imported(t, true) {
		for family, others := range families {
			if pkg != family && !strings.HasPrefix(pkg, family+"/") || families[pkg] != nil && pkg != family {
				continue
			}
			for name, files := range imports {
				seen[family]++
				if !strings.HasPrefix(name, "cwvault/") || name == family || strings.HasPrefix(name, family+"/") || slices.Contains(others, name) {
					continue
				}
				t.Errorf("%s imports %s in %v", pkg, name, files)
			}
		}
		for name, files := range imports {
			if strings.HasPrefix(name, "cwvault/cmd/") && !strings.HasPrefix(pkg, "cwvault/cmd/") {
				t.Errorf("%s imports %s in %v", pkg, name, files)
			}
		}
	}
	for family := range families {
		if seen[family] == 0 {
			t.Errorf("no package %s was seen", family)
		}
	}
	words := imported(t, false)["cwvault/vault"]
	for name := range words {
		if strings.HasPrefix(name, "cwvault/") && name != "cwvault/sync" {
			t.Errorf("package vault imports %s", name)
		}
	}
	if len(words["cwvault/sync"]) == 0 {
		t.Error("package vault was not seen")
	}
}

// TestSimulatorsAreApart: the simulators are written from the facts about the
// real servers, without a look at the clients that they test. Worlds as text
// are for tests and for cwsim; what runs at an operator's does not read them.
func TestSimulatorsAreApart(t *testing.T) {
	shipped := imported(t, false)
	for _, pkg := range []string{"cwvault/connectwise/connectwisetest", "cwvault/vault/secretserver/secretservertest"} {
		if len(shipped[pkg]["net/http"]) == 0 {
			t.Errorf("package %s was not seen", pkg)
		}
		for name, files := range shipped[pkg] {
			if strings.HasPrefix(name, "cwvault/") {
				t.Errorf("%s imports %s in %v", pkg, name, files)
			}
		}
	}
	readers := 0
	for pkg, imports := range shipped {
		if len(imports["cwvault/sync/synctest"]) == 0 {
			continue
		}
		if readers++; pkg != "cwvault/vault/vaulttest" && !strings.HasPrefix(pkg, "cwvault/cmd/cwsim") {
			t.Errorf("%s imports sync/synctest in %v", pkg, imports["cwvault/sync/synctest"])
		}
	}
	if readers == 0 {
		t.Error("nobody was seen who reads worlds")
	}
}

// TestGoroutinesRecover: a panic in a goroutine ends the process, whoever waits
// for it. What runs in an errgroup, in all packages that a run goes through, is
// wrapped.
func TestGoroutinesRecover(t *testing.T) {
	wrapped := 0
	for pkg, imports := range imported(t, false) {
		for _, file := range imports["golang.org/x/sync/errgroup"] {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				method, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || method.Sel.Name != "Go" && method.Sel.Name != "TryGo" {
					return true
				}
				wrapper, ok := call.Args[0].(*ast.CallExpr)
				if ok {
					name, isName := wrapper.Fun.(*ast.SelectorExpr)
					ok = isName && name.Sel.Name == "Recovered"
				}
				if !ok {
					t.Errorf("%s: %s: a function is given to a group without sync.Recovered", pkg, file)
				}
				wrapped++
				return true
			})
		}
	}
	if wrapped < 8 {
		t.Errorf("only %d were seen", wrapped)
	}
}
