package sync_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
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
	walk(t, func(file string) {
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") && !tests {
			return
		}
		pkg := path.Join("cwvault", path.Dir(file))
		file = filepath.Join("..", file)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		if packages[pkg] == nil {
			packages[pkg] = map[string][]string{}
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			packages[pkg][name] = append(packages[pkg][name], file)
		}
	})
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
	// Of packages that can also do I/O or tell the time, only what does neither.
	for name, harmless := range map[string][]string{
		"context": {"Context", "WithoutCancel"},
		"fmt":     {"Errorf", "Fprintf", "Sprintf"},
		"time":    {"Duration", "Time"},
	} {
		for _, file := range imports[name] {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == name && !slices.Contains(harmless, sel.Sel.Name) {
						t.Errorf("%s uses %s.%s", file, name, sel.Sel.Name)
					}
				}
				return true
			})
		}
	}
}

// walls are all packages of the module, and which others of it each may import:
// CONTRIBUTING.md says what belongs where. Test files are free, but for those of
// the families below.
var walls = map[string][]string{
	"cwvault/sync":                {},
	"cwvault/sync/journal":        {"sync"},
	"cwvault/sync/report":         {"sync"},
	"cwvault/sync/run":            {"sync", "sync/journal", "sync/report"},
	"cwvault/sync/check":          {"sync", "sync/report", "sync/run"},
	"cwvault/sync/httpclient":     {},
	"cwvault/sync/synctest":       {"sync"},
	"cwvault/connectwise":         {"sync", "sync/httpclient"},
	"cwvault/vault":               {"sync"},
	"cwvault/vault/passwordstore": {"sync", "vault"},
	"cwvault/vault/secretserver":  {"sync", "sync/httpclient", "vault"},
	"cwvault/vault/vaulttest":     {"sync", "sync/synctest", "vault"},
	"cwvault/scheduler":           {},
	"cwvault/scheduler/api":       {"sync", "sync/report"},
	"cwvault/scheduler/dashboard": {"scheduler", "scheduler/api", "sync", "sync/report"},
	"cwvault/scheduler/tickets":   {"sync", "sync/journal", "sync/report", "sync/run"},
	"cwvault/scheduler/remote":    {"scheduler/api", "sync", "sync/httpclient", "sync/report"},
	"cwvault/scheduler/host":      {},
	"cwvault/scheduler/service": {"scheduler", "scheduler/api", "scheduler/dashboard", "scheduler/tickets",
		"sync", "sync/journal", "sync/report", "sync/run"},
	"cwvault/cmd/cwvault/settings": {"connectwise", "vault", "vault/passwordstore", "vault/secretserver", "scheduler", "scheduler/api",
		"scheduler/service", "scheduler/tickets", "sync", "sync/check", "sync/httpclient", "sync/journal", "sync/run"},
	"cwvault/cmd/cwvault/demo": {"cmd/cwsim/simworld", "sync", "sync/synctest", "connectwise/connectwisetest", "vault/secretserver/secretservertest"},
	"cwvault/cmd/cwvault/cli": {"cmd/cwvault/settings", "cmd/cwvault/demo", "scheduler/api", "scheduler/host", "scheduler/remote", "scheduler/service",
		"sync", "sync/check", "sync/report", "sync/run"},
	"cwvault/cmd/cwvault":        {"cmd/cwvault/cli", "scheduler/host"},
	"cwvault/cmd/cwsim":          {"cmd/cwsim/simworld", "sync/httpclient", "sync/synctest", "connectwise/connectwisetest", "vault/secretserver/secretservertest"},
	"cwvault/cmd/cwsim/simworld": {"sync", "sync/synctest", "connectwise/connectwisetest", "vault/secretserver/secretservertest"},

	"cwvault/connectwise/connectwisetest":         {},
	"cwvault/vault/secretserver/secretservertest": {},
}

// TestWalls keeps what is shipped in its rooms.
func TestWalls(t *testing.T) {
	seen := 0
	for pkg, imports := range imported(t, false) {
		allowed, known := walls[pkg]
		if !known {
			t.Errorf("package %s has no walls: name it in this test and in CONTRIBUTING.md", pkg)
		}
		for name, files := range imports {
			ours, inside := strings.CutPrefix(name, "cwvault/")
			if !inside {
				continue
			}
			seen++
			if !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s in %v", pkg, name, files)
			}
		}
	}
	if seen < 70 {
		t.Errorf("only %d imports were seen", seen)
	}
}

// TestSimulatorsStayOut: what runs beside people's secrets brings no server whose
// faults can be switched on, but for the demo, which says so.
func TestSimulatorsStayOut(t *testing.T) {
	mayHave := []string{"cwvault/cmd/cwvault/demo", "cwvault/cmd/cwsim", "cwvault/cmd/cwsim/simworld", "cwvault/vault/vaulttest"}
	seen := 0
	for pkg, imports := range imported(t, false) {
		for name, files := range imports {
			if !strings.HasPrefix(name, "cwvault/") || !strings.HasSuffix(name, "test") && name != "cwvault/cmd/cwsim/simworld" {
				continue
			}
			seen++
			if !slices.Contains(mayHave, pkg) {
				t.Errorf("%s imports %s in %v", pkg, name, files)
			}
		}
	}
	if seen < 3 {
		t.Errorf("only %d imports were seen", seen)
	}
}

// TestAdaptersAreApart: packages that talk to the outside know the core's and
// the vault's words, and not each other, in their tests either.
func TestAdaptersAreApart(t *testing.T) {
	families := []string{"cwvault/connectwise"}
	vaults, err := os.ReadDir("../vault")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range vaults {
		if d.IsDir() && d.Name() != "vaulttest" { // the contract of all vaults
			families = append(families, "cwvault/vault/"+d.Name())
		}
	}
	if len(families) < 3 {
		t.Errorf("only the families %v", families)
	}
	seen := map[string]int{}
	for pkg, imports := range imported(t, true) {
		for _, family := range families {
			if pkg != family && !strings.HasPrefix(pkg, family+"/") {
				continue
			}
			for name, files := range imports {
				seen[family]++
				for _, other := range append(families, "cwvault/cmd", "cwvault/scheduler") {
					if other != family && (name == other || strings.HasPrefix(name, other+"/")) {
						t.Errorf("%s imports %s in %v", pkg, name, files)
					}
				}
			}
		}
	}
	for _, family := range families {
		if seen[family] == 0 {
			t.Errorf("no package %s was seen", family)
		}
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
