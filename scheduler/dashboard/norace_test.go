//go:build !race

package dashboard

// raceEnabled: see race_test.go.
const raceEnabled = false
