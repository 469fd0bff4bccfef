package cli

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write docs/SCENARIOS.md anew")

const (
	scenarioDir      = "../../../testdata/scenarios"
	scenarioDoc      = "../../../docs/SCENARIOS.md"
	scenarios        = 52
	storeName        = "password store"
	secretServerName = "Secret Server"
)

var vaultNames = []string{storeName, secretServerName}

func vaultName(v scenarioVault) string {
	if _, ok := v.(*scenarioServer); ok {
		return secretServerName
	}
	return storeName
}

// scenario is one file of testdata/scenarios; the README there explains it.
type scenario struct {
	file   string
	number int
	title  string
	vaults []string // where it is played
	proofs []proof
	parts  []txtar.File
}

// proof is a test elsewhere that shows what no story can.
type proof struct{ dir, test, what string }

// TestScenarios plays every scenario on the vaults where it applies.
func TestScenarios(t *testing.T) {
	t.Parallel()
	all := readScenarios(t)
	for _, sc := range all {
		for _, p := range sc.proofs {
			if err := p.check(); err != nil {
				t.Errorf("%s: %v", sc.file, err)
			}
		}
		for _, vault := range sc.vaults {
			t.Run(strings.TrimSuffix(sc.file, ".txtar")+"/"+vault, func(t *testing.T) {
				t.Parallel()
				s := newStory(t, vault)
				if !slices.ContainsFunc(sc.parts, func(f txtar.File) bool { return f.Name == "vault before" }) {
					s.vaultBefore("Clients\n")
				}
				rounds := sc.rounds(t, vault)
				if len(rounds) == 0 {
					t.Fatal("nothing happens")
				}
				for _, r := range rounds {
					s.play(r)
				}
			})
		}
	}
	checkScenarioDoc(t, all)
}

func readScenarios(t *testing.T) []scenario {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(scenarioDir, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var all []scenario
	for _, path := range files {
		sc, err := readScenario(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, sc)
	}
	slices.SortFunc(all, func(a, b scenario) int { return cmp.Compare(a.number, b.number) })
	for i := range max(len(all), scenarios) {
		if i >= len(all) || i >= scenarios || all[i].number != i+1 {
			t.Fatalf("%d scenarios, want one for each number from 1 to %d; the first that is wrong is number %d", len(all), scenarios, i+1)
		}
	}
	return all
}

var (
	titleForm = regexp.MustCompile(`^(\d+)\. (.+)$`)
	fileForm  = regexp.MustCompile(`^(\d\d)-[a-z0-9-]+\.txtar$`)
	onlyForm  = regexp.MustCompile(`^(.*) \((` + storeName + `|` + secretServerName + `)\)$`)
)

func readScenario(path string) (scenario, error) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		return scenario{}, err
	}
	sc := scenario{file: filepath.Base(path), vaults: vaultNames}
	first, text, _ := strings.Cut(string(archive.Comment), "\n")
	title, file := titleForm.FindStringSubmatch(first), fileForm.FindStringSubmatch(sc.file)
	if title == nil || file == nil || len(strings.TrimSpace(text)) < 40 {
		return sc, fmt.Errorf("must be named like 04-renamed.txtar, begin with a line like %q, and tell the story", "4. A company is renamed")
	}
	sc.title = title[2]
	if sc.number, err = strconv.Atoi(title[1]); err != nil || fmt.Sprintf("%02d", sc.number) != file[1] {
		return sc, fmt.Errorf("the file's number is not that of its title %q", first)
	}
	for _, f := range archive.Files {
		switch f.Name {
		case "played on":
			sc.vaults = expand(string(f.Data))
			for _, v := range sc.vaults {
				if !slices.Contains(vaultNames, v) {
					return sc, fmt.Errorf("no vault %q", v)
				}
			}
		case "proved by":
			for _, line := range expand(string(f.Data)) {
				f := strings.Fields(line)
				if len(f) < 3 {
					return sc, fmt.Errorf("proof %q: directory, test, what it shows", line)
				}
				sc.proofs = append(sc.proofs, proof{f[0], f[1], strings.Join(f[2:], " ")})
			}
		default:
			sc.parts = append(sc.parts, f)
		}
	}
	switch {
	case len(sc.parts) == 0 && len(sc.proofs) == 0:
		return sc, fmt.Errorf("neither a story nor a proof")
	case len(sc.parts) == 0:
		sc.vaults = nil
	}
	return sc, nil
}

// rounds cuts a story into its rounds, each of which ends with what is
// expected. Sections for the other vault are left out.
func (sc scenario) rounds(t *testing.T, vault string) []round {
	t.Helper()
	var all []round
	r := round{expected: map[string]string{}}
	for _, f := range sc.parts {
		name := f.Name
		if m := onlyForm.FindStringSubmatch(name); m != nil {
			if name = m[1]; m[2] != vault {
				continue
			}
		}
		if !strings.HasPrefix(name, "expected ") && len(r.expected) > 0 {
			all = append(all, r)
			r = round{expected: map[string]string{}}
		}
		if r.at == "" {
			r.at = fmt.Sprintf("round %d, from section %q", len(all)+1, name)
		}
		text := string(f.Data)
		switch name {
		case "command":
			r.command = text
		case "expected plan", "expected vault", "expected exit code", "expected output":
			if _, twice := r.expected[name]; twice {
				t.Fatalf("%s: %q twice", r.at, name)
			}
			r.expected[name] = text
		default:
			if r.command != "" {
				t.Fatalf("%s: %q after the command", r.at, name)
			}
			r.changes = append(r.changes, change{name, text})
		}
	}
	if len(r.expected) == 0 {
		t.Fatal("the file ends without anything expected")
	}
	return append(all, r)
}

// check sees that the test exists and that nothing skips it outright.
func (p proof) check() error {
	err := fmt.Errorf("there is no test %s in or below %s", p.test, p.dir)
	walkErr := filepath.WalkDir(filepath.Join("../../..", p.dir), func(file string, _ fs.DirEntry, walkErr error) error {
		if walkErr != nil || !strings.HasSuffix(file, "_test.go") {
			return walkErr
		}
		parsed, parseErr := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if parseErr != nil {
			return parseErr
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == p.test {
				err = p.skipped(f.Body)
				return filepath.SkipAll
			}
		}
		return nil
	})
	if walkErr != nil {
		return walkErr
	}
	return err
}

func (p proof) skipped(body *ast.BlockStmt) error {
	for _, stmt := range body.List {
		if e, ok := stmt.(*ast.ExprStmt); ok {
			if call, ok := e.X.(*ast.CallExpr); ok {
				if f, ok := call.Fun.(*ast.SelectorExpr); ok && strings.HasPrefix(f.Sel.Name, "Skip") {
					return fmt.Errorf("%s in %s is skipped", p.test, p.dir)
				}
			}
		}
	}
	return nil
}

// checkScenarioDoc compares docs/SCENARIOS.md with the scenarios.
func checkScenarioDoc(t *testing.T, all []scenario) {
	t.Helper()
	var b strings.Builder
	b.WriteString("# What cwvault survives\n\n" +
		"Each scenario is a file that can be read without knowing Go, and that the tests play on the vaults named here. Made by\n" +
		"`go test ./cmd/cwvault/cli -run TestScenarios -update`; do not edit.\n\n" +
		"| # | scenario | played on | shown by tests as well |\n|---|---|---|---|\n")
	for _, sc := range all {
		var tests []string
		for _, p := range sc.proofs {
			tests = append(tests, fmt.Sprintf("`%s` %s: %s", p.dir, p.test, p.what))
		}
		fmt.Fprintf(&b, "| %d | [%s](../testdata/scenarios/%s) | %s | %s |\n",
			sc.number, sc.title, sc.file, cmp.Or(strings.Join(sc.vaults, ", "), "-"), strings.Join(tests, "; "))
	}
	if *update {
		if err := os.WriteFile(scenarioDoc, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(scenarioDoc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(b.String(), string(have)); diff != "" {
		t.Errorf("docs/SCENARIOS.md is out of date; run this test with -update (-want +got)\n%s", diff)
	}
}
