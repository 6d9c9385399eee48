package rtpx

import "encoding/binary"

// HeaderSize is the length of an RTP header without CSRC and extension (RFC 3550 section 5.1).
const HeaderSize = 12

// Packet is a parsed RTP packet. Payload aliases the datagram that was parsed, without its padding: the owner of the datagram owns
// the bytes. Extensions and CSRC are stepped over; nothing that the edge does may depend on them.
type Packet struct {
	PayloadType uint8
	Marker      bool
	Sequence    uint16
	Timestamp   uint32
	SSRC        uint32
	Payload     []byte
	Padding     int // bytes of padding behind Payload
	HeaderLen   int // bytes in front of Payload: header, CSRC, extension; 0 in a packet that comes out of a Window
}

// Parse reads b into p. On a fault p is left as it was. It does not allocate and it keeps nothing but p.Payload.
func Parse(b []byte, p *Packet) Fault {
	if len(b) < HeaderSize {
		return Short
	}
	if b[0]>>6 != 2 {
		return Version
	}
	at := HeaderSize + 4*int(b[0]&0x0f)
	if at > len(b) {
		return CSRCOverrun
	}
	if b[0]&0x10 != 0 { // section 5.3.1: 16 bits of profile, then the length in words, these four bytes not counted
		if at+4 > len(b) {
			return ExtensionOverrun
		}
		at += 4 + 4*int(binary.BigEndian.Uint16(b[at+2:]))
		if at > len(b) {
			return ExtensionOverrun
		}
	}
	padding := 0
	if b[0]&0x20 != 0 { // the last byte counts the padding and itself
		if at == len(b) {
			return PaddingOverrun
		}
		padding = int(b[len(b)-1])
		if padding == 0 {
			return PaddingZero
		}
		if padding > len(b)-at {
			return PaddingOverrun
		}
	}
	end := len(b) - padding
	*p = Packet{
		PayloadType: b[1] & 0x7f,
		Marker:      b[1]&0x80 != 0,
		Sequence:    binary.BigEndian.Uint16(b[2:]),
		Timestamp:   binary.BigEndian.Uint32(b[4:]),
		SSRC:        binary.BigEndian.Uint32(b[8:]),
		Payload:     b[at:end:end],
		Padding:     padding,
		HeaderLen:   at,
	}
	return OK
}

// PutHeader writes the HeaderSize bytes that every packet of ours starts with: version 2, no padding, no extension, no CSRC. It
// panics when b is shorter.
func PutHeader(b []byte, payloadType uint8, marker bool, seq uint16, ts, ssrc uint32) {
	_ = b[HeaderSize-1]
	b[0] = 2 << 6
	b[1] = payloadType & 0x7f
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], ssrc)
}
