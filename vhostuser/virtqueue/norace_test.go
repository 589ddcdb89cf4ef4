//go:build !race

package virtqueue_test

const raceEnabled = false
