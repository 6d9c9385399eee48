//go:build race

package secure_test

// raceEnabled: the race detector's instrumentation allocates now and then where the plain build does not.
const raceEnabled = true
