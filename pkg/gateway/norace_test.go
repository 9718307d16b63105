//go:build !race

package gateway_test

// raceEnabled is whether the race detector is on, which multiplies memory.
const raceEnabled = false
