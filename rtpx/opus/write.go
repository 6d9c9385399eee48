package opus

// Join appends one packet with the frames of all packets, which must share configuration and channel count and be at most 120 ms
// together. The result uses code 0 for one frame, 1 or 2 for two and 3 for more, as short as they can be. On a fault, which is that of
// the first packet that is not valid or what the result would break, dst comes back as it was. dst must not overlap packets.
func Join(dst []byte, packets ...[]byte) ([]byte, Fault) {
	var all, one Packet
	for i, b := range packets {
		if f := Parse(b, &one); f != OK {
			return dst, f
		}
		if i == 0 {
			all.TOC = one.TOC & streamMask
		}
		if one.TOC&streamMask != all.TOC {
			return dst, Mixed
		}
		if all.Samples()+one.Samples() > MaxSamples {
			return dst, R5
		}
		all.Count += copy(all.Frames[all.Count:], one.Frames[:one.Count])
	}
	if all.Count == 0 {
		return dst, R1
	}
	return all.append(dst, false), OK
}

// AppendSelfDelimited appends packet in the self-delimiting framing of RFC 6716 appendix B: the form of every stream but the last in a
// multistream packet (RFC 7845 section 3). On a fault dst comes back as it was. dst must not overlap packet.
func AppendSelfDelimited(dst, packet []byte) ([]byte, Fault) {
	var p Packet
	if f := Parse(packet, &p); f != OK {
		return dst, f
	}
	return p.append(dst, true), OK
}

// append writes the packet in its shortest form, without padding. It needs at least one frame.
func (p *Packet) append(dst []byte, delimited bool) []byte {
	var sizes [MaxFrames]uint16
	for i, f := range p.Frames[:p.Count] {
		sizes[i] = uint16(len(f))
	}
	dst = appendHeader(dst, p.TOC, sizes[:p.Count], delimited)
	for _, f := range p.Frames[:p.Count] {
		dst = append(dst, f...)
	}
	return dst
}

// appendHeader writes everything in front of the first frame for frames of the given sizes (RFC 6716 section 3.2, appendix B).
func appendHeader(dst []byte, toc TOC, sizes []uint16, delimited bool) []byte {
	n := len(sizes)
	same := allEqual(sizes)
	toc &= streamMask
	switch {
	case n == 1:
		dst = append(dst, byte(toc))
	case n == 2 && same:
		dst = append(dst, byte(toc|1))
	case n == 2:
		dst = append(dst, byte(toc|2))
	case same:
		dst = append(dst, byte(toc|3), byte(n))
	default:
		dst = append(dst, byte(toc|3), countVBR|byte(n))
	}
	if !same {
		for _, s := range sizes[:n-1] {
			dst = appendLength(dst, s)
		}
	}
	if delimited {
		// The last length of all, or the one length of frames of equal size.
		dst = appendLength(dst, sizes[n-1])
	}
	return dst
}

// headerSize is how many bytes appendHeader writes without self-delimiting.
func headerSize(sizes []uint16) int {
	n := 1
	if len(sizes) > 2 {
		n = 2
	}
	if allEqual(sizes) {
		return n
	}
	for _, s := range sizes[:len(sizes)-1] {
		n++
		if s >= 252 {
			n++
		}
	}
	return n
}

func allEqual(sizes []uint16) bool {
	for _, s := range sizes[1:] {
		if s != sizes[0] {
			return false
		}
	}
	return true
}

// appendLength writes a frame length (section 3.2.1): 252 + n%4 and the rest in units of 4 when it is over 251.
func appendLength(dst []byte, size uint16) []byte {
	if size < 252 {
		return append(dst, byte(size))
	}
	first := 252 + size&3
	return append(dst, byte(first), byte((size-first)>>2))
}
