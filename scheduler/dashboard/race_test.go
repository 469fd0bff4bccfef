//go:build race

package dashboard

// raceEnabled: the race detector makes everything several times slower.
const raceEnabled = true
