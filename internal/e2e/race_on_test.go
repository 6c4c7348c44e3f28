//go:build unix && race

package e2e

// raceDetector says whether the tests, and so the program, run with the race detector.
const raceDetector = true
