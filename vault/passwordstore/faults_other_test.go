//go:build !linux

package passwordstore

import (
	"io/fs"
	"os"
	"testing"

	"cwvault/vault/vaulttest"
)

func newStore(t *testing.T) string { return t.TempDir() }

func faults(string) []vaulttest.Fault { return nil }

func makeFIFO(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("no pipes here"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func asNobody(t *testing.T, _ string, _ fs.FileMode, _ ...string) { t.Skip("only on Linux") }

func asOurselves(*testing.T, string) {}
