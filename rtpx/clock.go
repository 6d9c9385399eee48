package rtpx

import "time"

// ClockRate is the RTP clock of Opus (RFC 7587 section 4.1), which audio, and the timestamps of DTMF on the same SSRC, run on.
const ClockRate = 48000

// FrameSamples is a frame of 20 ms.
const FrameSamples = ClockRate / 50

// ticks converts a time to the clock, rounded towards zero. 48000/10^9 is 6/125000: exact, and far from overflow for 48 years.
func ticks(d time.Duration) int64 { return int64(d) * 6 / 125000 }

// ntpEpoch is the Unix epoch in NTP's seconds since 1900 (RFC 868).
const ntpEpoch = 2208988800

// NTP converts a wall-clock time to the 64 bits of a sender report (RFC 3550 section 4): 32 of seconds, 32 of fraction.
func NTP(wall time.Time) uint64 {
	return uint64(wall.Unix()+ntpEpoch)<<32 | uint64(wall.Nanosecond())<<32/1e9
}
