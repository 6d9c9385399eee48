// Package dtmf reads and writes the sixteen DTMF digits as RFC 4733 telephone events. It has no clock: the time is an argument.
//
// The timestamps of the events are on the clock of the audio that they share an SSRC with; the durations in them count 8 kHz units.
package dtmf

import "time"

const (
	// PayloadSize is the length of an event (RFC 4733 section 2.3).
	PayloadSize = 4
	// clockRate is the unit of the duration field: what Meta's SDP, and everyone else's, calls telephone-event/8000.
	clockRate = 8000
	// maxDuration is the longest duration that the field holds, 8.2 s.
	maxDuration = 0xffff
)

// runes are the digits in the order of their event codes (RFC 4733 section 3.2).
const runes = "0123456789*#ABCD"

// Digit is a key that was pressed.
type Digit struct {
	Rune     byte          // one of 0-9 * # A-D
	Duration time.Duration // how long, as far as was heard
}

// Event gives the event code of a digit; ok is false if r is none of 0-9 * # A-D.
func Event(r byte) (event byte, ok bool) {
	for i := range len(runes) {
		if runes[i] == r {
			return byte(i), true
		}
	}
	return 0, false
}
