package opus

// silentFrame is a CELT frame whose first range-coded symbol is the silence flag (RFC 6716 section 4.3.1): digital silence in every
// bandwidth, frame size and channel count.
const silentFrame = "\xFF\xFE"

// Silence20 is a packet of 20 ms of digital silence: CELT, full band, mono. It is shared: read it only.
var Silence20 = []byte("\xF8" + silentFrame)

// SilenceLike appends 20 ms of digital silence with toc's channel count and, as near as can be, its bandwidth. SILK has no frame that
// decodes to zeros whatever came before, so silence is always CELT; decoders fade over the change of mode. Medium band, which CELT
// lacks, becomes wide band (as RFC 7845 section 4.1 has it).
func SilenceLike(dst []byte, toc TOC) []byte {
	config := TOC(31)
	switch toc.Bandwidth() {
	case Narrowband:
		config = 19
	case Mediumband, Wideband:
		config = 23
	case SuperWideband:
		config = 27
	}
	dst = append(dst, byte(config<<3|toc&stereoMask))
	return append(dst, silentFrame...)
}

// PLC appends 20 ms in which a decoder conceals: one empty frame (RFC 7845 section 4.1) of the coder, bandwidth and channel count of
// toc, so that decoding goes on from the same state.
func PLC(dst []byte, toc TOC) []byte {
	return append(dst, byte(toc.in20()))
}

// IsDTX tells whether a valid packet has no audio: every frame is empty or one byte, which decoders answer with comfort noise or
// concealment. A packet of one frame is DTX when it has one or two bytes.
func IsDTX(packet []byte) bool {
	switch {
	case len(packet) == 0:
		return false
	case len(packet) <= 2:
		return true
	case packet[0]&codeMask == 0:
		return false
	}
	var p Packet
	if Parse(packet, &p) != OK {
		return false
	}
	for _, f := range p.Frames[:p.Count] {
		if len(f) > 1 {
			return false
		}
	}
	return true
}
