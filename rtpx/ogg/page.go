package ogg

import "encoding/binary"

// bodyStart is where the body lies in a Page's buffer: the header and its segment table, whose length is known only at the end, are
// written right in front of it, so that a page is encoded without copying its body.
const bodyStart = HeaderSize + MaxSegments

// Page is a page being filled. The zero value is ready; it is for one goroutine. Its buffer grows with what is added and is kept
// over Reset.
type Page struct {
	buf      []byte
	table    [MaxSegments]byte
	segments int
	packets  int
}

// Add puts a whole packet on the page. It returns false, and changes nothing, when the packet does not fit.
func (p *Page) Add(packet []byte) bool {
	need := len(packet)/255 + 1
	if p.segments+need > MaxSegments {
		return false
	}
	if len(p.buf) < bodyStart {
		p.buf = append(p.buf[:0], make([]byte, bodyStart)...)
	}
	for range need - 1 {
		p.table[p.segments] = 255
		p.segments++
	}
	p.table[p.segments] = byte(len(packet) % 255)
	p.segments++
	p.packets++
	p.buf = append(p.buf, packet...)
	return true
}

// Packets is how many packets are on the page.
func (p *Page) Packets() int { return p.packets }

// Size is the length of the page as it would be encoded now.
func (p *Page) Size() int {
	return HeaderSize + p.segments + max(0, len(p.buf)-bodyStart)
}

// Reset empties the page.
func (p *Page) Reset() {
	p.buf = p.buf[:min(len(p.buf), bodyStart)]
	p.segments, p.packets = 0, 0
}

// Encode returns the page with header and checksum. The bytes belong to the Page and are valid until its next method call; the
// page can be encoded again with other fields.
func (p *Page) Encode(flags Flags, granule int64, serial, sequence uint32) []byte {
	if len(p.buf) < bodyStart {
		p.buf = append(p.buf[:0], make([]byte, bodyStart)...)
	}
	b := p.buf[MaxSegments-p.segments:]
	copy(b, "OggS\x00")
	b[5] = byte(flags)
	binary.LittleEndian.PutUint64(b[6:], uint64(granule))
	binary.LittleEndian.PutUint32(b[14:], serial)
	binary.LittleEndian.PutUint32(b[18:], sequence)
	b[26] = byte(p.segments)
	copy(b[HeaderSize:], p.table[:p.segments])
	binary.LittleEndian.PutUint32(b[22:], pageChecksum(b))
	return b
}

// SetLast marks an encoded page as the last of its stream and sums it anew. It changes no other field and no length.
func SetLast(page []byte) {
	page[5] |= byte(Last)
	binary.LittleEndian.PutUint32(page[22:], pageChecksum(page))
}
