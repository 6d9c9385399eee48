package ice

// Kind is what a datagram is, by its first bytes alone. Nothing is believed of it yet.
type Kind uint8

const (
	// Other is nothing that a call speaks: ZRTP, TURN channels, garbage, or too short to tell.
	Other Kind = iota
	// STUN (RFC 8489).
	STUN
	// DTLS (RFC 6347).
	DTLS
	// RTP or SRTP.
	RTP
	// RTCP or SRTCP.
	RTCP

	// Kinds is how many there are, for arrays indexed by Kind.
	Kinds = int(RTCP) + 1
)

func (k Kind) String() string {
	switch k {
	case STUN:
		return "stun"
	case DTLS:
		return "dtls"
	case RTP:
		return "rtp"
	case RTCP:
		return "rtcp"
	}
	return "other"
}

// Classify sorts a datagram by its first byte (RFC 7983 section 7) and tells RTCP from RTP by the second one (RFC 5761 section 4):
// packet types 192 to 223 are RTCP, which takes the RTP payload types 64 to 95 with the marker bit set.
func Classify(b []byte) Kind {
	if len(b) < 2 {
		return Other
	}
	switch c := b[0]; {
	case c <= 3:
		return STUN
	case c >= 20 && c <= 63:
		return DTLS
	case c >= 128 && c <= 191:
		if b[1] >= 192 && b[1] <= 223 {
			return RTCP
		}
		return RTP
	}
	return Other
}
