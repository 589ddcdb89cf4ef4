//go:build !race

package qce_test

const raceEnabled = false
