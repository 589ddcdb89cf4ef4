//go:build race

package qce_test

// raceEnabled: the race detector keeps the compiler from leaving out
// allocations in Go's hashes.
const raceEnabled = true
