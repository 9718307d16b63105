//go:build race

package gateway_test

// raceEnabled reports whether the race detector is on, which multiplies the memory in use.
const raceEnabled = true
