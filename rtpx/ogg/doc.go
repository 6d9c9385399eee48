// Package ogg reads and writes Ogg pages (RFC 3533) and the two headers of Ogg Opus (RFC 7845). It knows no file: readers and
// writers are given to it.
//
// Words used here:
//
//   - page: up to 255 segments of up to 255 bytes behind a header with a checksum; the unit that is whole or lost.
//   - packet: what the codec sees. In files written here a packet is always whole on one page; a reader joins those that are not.
//   - granule: the position of the last sample of the last packet that ends on a page, in samples at 48 kHz, pre-skip included.
//   - damage: bytes where a page should be and is not, named by their offset.
package ogg

import "fmt"

const (
	// HeaderSize is the fixed part of a page's header (RFC 3533 section 6).
	HeaderSize = 27
	// MaxSegments is how many segments a page's table can name.
	MaxSegments = 255
	// MaxPage is the longest page that can exist.
	MaxPage = HeaderSize + MaxSegments + MaxSegments*255
	// MaxPacket bounds a packet, written or read: the longest one that RFC 7845 section 6 obliges a decoder of one stream to take
	// (61,440 bytes). It always fits on one page.
	MaxPacket = 61440
	// NoGranule says that no packet ends on the page.
	NoGranule int64 = -1
)

// Flags are the header type bits of a page.
type Flags uint8

const (
	// Continued: the first packet of the page began on an earlier one.
	Continued Flags = 1
	// First: the first page of a stream.
	First Flags = 2
	// Last: the last page of a stream.
	Last Flags = 4
)

// DamageError says where a stream is not what it should be. A Reader that returned one can be asked for the next page: it looks
// for the next whole one.
type DamageError struct {
	Offset int64 // of the first byte that is not part of a whole page, or of the page at fault
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("ogg: at byte %d: %s", e.Offset, e.Reason)
}
