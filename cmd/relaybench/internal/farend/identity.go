//go:build linux

package farend

import "encoding/binary"

// A payload that the relay takes for speech and that comes back with its name: the relay gives packets new sequence numbers and timestamps,
// so a packet is known again by its payload only.
//
//	0      1       5       9        13
//	| TOC  | magic | phone | number | filler ... |
//
// TOC 0x48 is SILK wide band, 20 ms, mono, one frame of any bytes (RFC 6716 section 3.1): nothing in the payload is decoded on the way.
const (
	toc      = 0x48
	markSize = 13

	// MinPayload is the shortest payload that has room for the name.
	MinPayload = 16
	// MaxPayload keeps the packet under the MTU with all headers and tags.
	MaxPayload = 1200

	magic = 0x6f6e656c
)

// putMark writes the name of a packet into a payload of at least MinPayload bytes.
func putMark(payload []byte, phone, number uint32) {
	payload[0] = toc
	binary.BigEndian.PutUint32(payload[1:], magic)
	binary.BigEndian.PutUint32(payload[5:], phone)
	binary.BigEndian.PutUint32(payload[9:], number)
}

// mark reads the name. ok is false for what we did not send, such as the relay's own silence.
func mark(payload []byte) (phone, number uint32, ok bool) {
	if len(payload) < markSize || payload[0] != toc || binary.BigEndian.Uint32(payload[1:]) != magic {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(payload[5:]), binary.BigEndian.Uint32(payload[9:]), true
}
