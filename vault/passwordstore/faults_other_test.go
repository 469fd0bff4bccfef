//go:build !linux

package passwordstore

import (
	"testing"

	"cwvault/vault/vaulttest"
)

func newStore(t *testing.T) string { return t.TempDir() }

func faults(string) []vaulttest.Fault { return nil }
