package settings

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReadmeSettings keeps the README and the program in step: every setting is
// documented with its default, and every documented setting exists.
func TestReadmeSettings(t *testing.T) {
	b, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	known := Names()
	if len(known) < 30 {
		t.Fatalf("only %d settings", len(known))
	}
	documented := map[string]bool{}
	for _, name := range regexp.MustCompile(`CWVAULT_[A-Z_]*[A-Z]`).FindAllString(string(b), -1) {
		documented[name] = true
		if base := strings.TrimSuffix(name, "_FILE"); !slices.Contains(known, name) && !slices.Contains(fromFile, base) {
			t.Errorf("README.md names %s, which is no setting", name)
		}
	}
	for _, name := range known {
		if !documented[name] {
			t.Errorf("README.md does not name %s", name)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| (`CWVAULT_[^|]*)\\| ([^|]*) \\|").FindAllStringSubmatch(string(b), -1)
	for i, name := range known { // in the order of the fields
		value := reflect.ValueOf(defaults).Field(i).String()
		if value != "" && !slices.ContainsFunc(rows, func(row []string) bool {
			return strings.Contains(row[1], "`"+name+"`") && strings.Contains(row[2], "`"+value+"`")
		}) {
			t.Errorf("README.md does not say that %s is %s by default", name, value)
		}
	}
}
