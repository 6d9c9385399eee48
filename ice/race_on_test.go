//go:build race

package ice

// raceEnabled: the race detector's instrumentation allocates now and then where the plain build does not.
const raceEnabled = true
