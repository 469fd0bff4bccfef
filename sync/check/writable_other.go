//go:build !unix

package check

// writable cannot be told here without trying.
func writable(string) error { return nil }
