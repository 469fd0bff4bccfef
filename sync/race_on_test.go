//go:build race

package sync_test

// raceDetector says that the tests run some ten times slower.
const raceDetector = true
