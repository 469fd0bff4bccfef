//go:build race

package cli

// raceEnabled: the race detector makes everything several times slower.
const raceEnabled = true
