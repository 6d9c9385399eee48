package ogg

// crcTable is for the polynomial 0x04c11db7, most significant bit first, no inversion: RFC 3533 section 6, field 7. hash/crc32 is
// bit-reversed and cannot do it.
var crcTable = func() (t [256]uint32) {
	for i := range t {
		r := uint32(i) << 24
		for range 8 {
			if r&0x80000000 != 0 {
				r = r<<1 ^ 0x04c11db7
			} else {
				r <<= 1
			}
		}
		t[i] = r
	}
	return t
}()

// checksum goes on from crc over b. A page is summed with its own checksum field zero.
func checksum(crc uint32, b []byte) uint32 {
	for _, c := range b {
		crc = crc<<8 ^ crcTable[byte(crc>>24)^c]
	}
	return crc
}

// pageChecksum sums an encoded page as if its checksum field were zero.
func pageChecksum(b []byte) uint32 {
	crc := checksum(0, b[:22])
	crc = checksum(crc, []byte{0, 0, 0, 0})
	return checksum(crc, b[26:])
}
