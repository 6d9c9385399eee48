package rtpx

// Fault says why a datagram is not what it claims to be. Each has a name, for a counter: nothing is dropped without one.
type Fault uint8

const (
	// OK is no fault.
	OK Fault = iota
	// Short: fewer bytes than the fixed header.
	Short
	// Version: not 2.
	Version
	// CSRCOverrun: the CSRC list reaches past the end.
	CSRCOverrun
	// ExtensionOverrun: the header extension reaches past the end.
	ExtensionOverrun
	// PaddingZero: there is padding of 0 bytes, and the count itself is one.
	PaddingZero
	// PaddingOverrun: there is more padding than payload.
	PaddingOverrun
	// PaddingInside: RTCP; a packet other than the last of a compound is padded (RFC 3550 section 6.4.1).
	PaddingInside
	// LengthOverrun: RTCP; a length field reaches past the end.
	LengthOverrun
	// CountOverrun: RTCP; more report blocks or sources than the packet has room for.
	CountOverrun
	// Oversize: RTCP; longer than MaxRTCP.
	Oversize

	// FaultCount is how many there are, OK included: the size of an array of counters.
	FaultCount
)

var faultNames = [FaultCount]string{
	"ok", "short", "version", "csrc_overrun", "extension_overrun", "padding_zero", "padding_overrun",
	"padding_inside", "length_overrun", "count_overrun", "oversize",
}

// String is the name that counters use.
func (f Fault) String() string {
	if f < FaultCount {
		return faultNames[f]
	}
	return "unknown"
}
