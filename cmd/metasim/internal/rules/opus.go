package rules

import "errors"

var errOpus = errors.New("framing")

// OpusSamples is the length of an Opus packet at 48 kHz by its TOC (RFC 6716 section 3.1), with the checks of section 3.4 that need no
// decoder: R1, R2, R5 and the even length of code 1. Written for the judge alone, so that it shares no fault with what it judges.
func OpusSamples(b []byte) (int, error) {
	if len(b) == 0 { // R1
		return 0, errors.New("empty")
	}
	config, code := b[0]>>3, b[0]&3
	var frame int
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = []int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		frame = []int{480, 960}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = []int{120, 240, 480, 960}[config&3]
	}
	const longest = 1275 // R2
	switch code {
	case 0:
		if len(b)-1 > longest {
			return 0, errOpus
		}
		return frame, nil
	case 1:
		if len(b)%2 == 0 { // R3: an even number of bytes after the TOC
			return 0, errOpus
		}
		return 2 * frame, nil
	case 2:
		if len(b) < 2 {
			return 0, errOpus
		}
		return 2 * frame, nil
	}
	if len(b) < 2 { // R6
		return 0, errOpus
	}
	n := int(b[1] & 0x3f)
	if n == 0 || n*frame > 5760 { // R5: at most 120 ms
		return 0, errOpus
	}
	return n * frame, nil
}
