package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"cwvault/connectwise/connectwisetest"
	"cwvault/sync/synctest"
	"cwvault/vault/secretserver/secretservertest"
)

// TestDocs: the worlds and faults of docs/CWSIM.md are served, and its table
// names every fault.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../../docs/CWSIM.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]int{}
	for _, m := range regexp.MustCompile("(?s)```([a-z ]+)\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		blocks[m[1]]++
		switch m[1] {
		case "world":
			if _, err := synctest.Parse(m[2]); err != nil {
				t.Error(err)
			}
			file := writeFile(t, "world", m[2])
			start(t, "connectwise", "--world", file)
			start(t, "secretserver", "--world", file)
		case "faults of connectwise":
			start(t, "connectwise", "--faults", writeFile(t, "faults", m[2]))
		}
	}
	if blocks["world"] == 0 || blocks["faults of connectwise"] == 0 {
		t.Errorf("examples: %v", blocks)
	}
	checkFaultTable(t, string(b), "connectwise", connectwiseFaults)
	checkFaultTable(t, string(b), "secretserver", secretserverFaults(nil))
}

// checkFaultTable compares a table of the documentation with the faults.
func checkFaultTable[F connectwisetest.Fault | secretservertest.Fault](t *testing.T, doc, of string, words []faultWord[F]) {
	t.Helper()
	want := "| fault of `" + of + "` | |\n|---|---|\n"
	for _, w := range words {
		want += fmt.Sprintf("| `%s` | %s |\n", strings.TrimSpace(w.name+" "+w.argument), w.means)
	}
	if !strings.Contains(doc, want+"\n") {
		t.Errorf("docs/CWSIM.md has another table than\n%s", want)
	}
}
