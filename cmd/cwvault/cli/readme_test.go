package cli

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestReadmeCommands: the README names every command.
func TestReadmeCommands(t *testing.T) {
	b, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for field := range reflect.TypeFor[commands]().Fields() {
		if _, ok := field.Tag.Lookup("cmd"); !ok {
			continue
		}
		seen++
		name := field.Tag.Get("name")
		if name == "" {
			name = strings.ToLower(field.Name)
		}
		if text := string(b); !strings.Contains(text, "cwvault "+name) {
			t.Errorf("README.md does not name cwvault %s", name)
		}
	}
	if seen < 10 {
		t.Errorf("only %d commands", seen)
	}
}
