// Package opus reads, cuts and joins Opus packets (RFC 6716 section 3) without decoding them.
//
// The edge moves Opus between a phone, recordings, media servers and bots, and everything behind the data plane wants packets of
// 20 ms. A packet says in its first byte (the TOC) how long its frames are and in its framing where they lie, so packets of several
// frames are cut and short ones joined by moving bytes: see [Cutter]. What cannot be cut that way is one SILK frame of 40 or 60 ms.
//
// Everything here is pure: no clock, no lock, no I/O. Nothing in a packet is believed: a packet either satisfies requirements R1 to
// R7 of RFC 6716 section 3.4, or it is refused with a [Fault] that names the requirement.
//
// Padding (section 3.2.5) is never written. It carries no audio, and whoever sends us padding must not make our recordings grow.
package opus

// SampleRate is the unit of every length here: the RTP clock of Opus (RFC 7587 section 4.1), whatever rate the audio has.
const SampleRate = 48000

const (
	// FrameSamples is 20 ms.
	FrameSamples = 960
	// MaxSamples is 120 ms, the longest packet (R5).
	MaxSamples = 5760
	// MaxFrames is how many frames of 2.5 ms fit in 120 ms.
	MaxFrames = 48
	// MaxFrameSize is the longest frame in bytes (section 3.2.1; R2).
	MaxFrameSize = 1275
	// MaxPacket is the longest packet that a Cutter gives: one frame of the longest size. It is also 510 kbit/s in 20 ms, the most
	// that Opus is specified for, so joined short frames that are longer are not audio that anybody sends.
	MaxPacket = 1 + MaxFrameSize
)

// Fault says why a packet was refused. Its number is stable and small, so that it can index an array of counters.
type Fault uint8

const (
	// OK is no fault.
	OK Fault = iota
	// R1 to R7 are the requirements of RFC 6716 section 3.4 that the packet breaks, or, from Join, that the result would break.
	R1
	R2
	R3
	R4
	R5
	R6
	R7
	// Mixed: Join was given packets of more than one configuration or channel count; one TOC cannot describe them.
	Mixed
	// Oversize: short frames that belong together in 20 ms take more than MaxPacket bytes.
	Oversize
	// Undelimited: a length of the self-delimiting framing (appendix B) is missing, or reaches past the end.
	Undelimited
	// Faults is how many values Fault has.
	Faults
)

var faultNames = [Faults]string{
	OK:          "ok",
	R1:          "R1: packet is empty",
	R2:          "R2: implicit frame length over 1275 bytes",
	R3:          "R3: code 1 packet of even length",
	R4:          "R4: code 2 packet too short for its first frame",
	R5:          "R5: no frame, or more than 120 ms",
	R6:          "R6: code 3 CBR packet does not hold its padding and a whole number of bytes a frame",
	R7:          "R7: code 3 VBR packet too short for its header, frames and padding",
	Mixed:       "mixed: frames of different configurations cannot share a packet",
	Oversize:    "oversize: 20 ms of short frames over 1276 bytes",
	Undelimited: "appendix B: self-delimiting length missing or past the end",
}

// String names the fault; those of section 3.4 begin with the requirement's name and a colon.
func (f Fault) String() string {
	if f < Faults {
		return faultNames[f]
	}
	return "unknown"
}
