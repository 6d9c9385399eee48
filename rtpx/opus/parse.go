package opus

// The frame count byte of a code 3 packet (RFC 6716 section 3.2.5).
const (
	countVBR     = 0x80
	countPadding = 0x40
	countMask    = 0x3F
)

// Packet is a parsed packet. The zero value is ready; one value can be parsed into again and again. It is larger than a kilobyte:
// keep it on the stack or once per goroutine, not per call.
type Packet struct {
	TOC     TOC
	Count   int
	Padding int               // bytes at the end that are not audio, and those that tell how many
	Frames  [MaxFrames][]byte // the first Count; they alias the bytes parsed. A frame may be empty (DTX, or lost before it came to us)
}

// Samples is the length of the packet at 48 kHz.
func (p *Packet) Samples() int { return p.Count * p.TOC.FrameSamples() }

// Parse splits b into its frames. It checks R1 to R7; on a fault p has no frames. It does not allocate.
func Parse(b []byte, p *Packet) Fault {
	_, f := parse(b, p, false)
	return f
}

// ParseSelfDelimited splits the self-delimited packet (RFC 6716 appendix B) that b begins with, and returns how many bytes of b it
// takes. In a multistream packet every stream but the last is one of these.
func ParseSelfDelimited(b []byte, p *Packet) (n int, f Fault) {
	return parse(b, p, true)
}

func parse(b []byte, p *Packet, delimited bool) (n int, f Fault) {
	p.Count, p.Padding = 0, 0
	if len(b) == 0 {
		return 0, R1
	}
	p.TOC = TOC(b[0])
	body := b[1:]
	switch p.TOC.Code() {
	case 0:
		n, f = p.equal(body, 1, delimited)
	case 1:
		if !delimited && len(body)%2 != 0 {
			return 0, R3
		}
		n, f = p.equal(body, 2, delimited)
	case 2:
		n, f = p.different(body, 2, delimited, R4)
	case 3:
		n, f = p.counted(body, delimited)
	}
	if f != OK {
		p.Count, p.Padding = 0, 0
		return 0, f
	}
	return 1 + n, OK
}

// counted reads the rest of a code 3 packet: count byte, padding length, frames, padding.
func (p *Packet) counted(b []byte, delimited bool) (int, Fault) {
	if len(b) == 0 {
		return 0, R6
	}
	head := b[0]
	count := int(head & countMask)
	if count == 0 || count*p.TOC.FrameSamples() > MaxSamples {
		return 0, R5
	}
	vbr := head&countVBR != 0
	short := R6
	if vbr {
		short = R7
	}
	at, padding := 1, 0
	if head&countPadding != 0 {
		// 255 stands for 254 bytes and says that another length byte follows.
		for more := true; more; at++ {
			if at == len(b) {
				return 0, short
			}
			more = b[at] == 255
			padding += int(b[at])
			if more {
				padding--
			}
		}
		p.Padding = at - 1 + padding
	}
	if padding > len(b)-at {
		return 0, short
	}
	body := b[at : len(b)-padding]
	var n int
	var f Fault
	switch {
	case vbr:
		n, f = p.different(body, count, delimited, R7)
	case !delimited && len(body)%count != 0:
		return 0, R6
	default:
		n, f = p.equal(body, count, delimited)
	}
	return at + n + padding, f
}

// equal reads count frames of one size: what the packet has left, or what the length in front says.
func (p *Packet) equal(b []byte, count int, delimited bool) (int, Fault) {
	at, size := 0, len(b)/count
	if delimited {
		var ok bool
		if size, at, ok = length(b); !ok || size*count > len(b)-at {
			return 0, Undelimited
		}
	}
	if size > MaxFrameSize {
		return 0, R2
	}
	for i := range count {
		p.Frames[i] = b[at : at+size : at+size]
		at += size
	}
	p.Count = count
	return at, OK
}

// different reads count frames, each with its length in front; the last one has none unless delimited.
func (p *Packet) different(b []byte, count int, delimited bool, short Fault) (int, Fault) {
	var sizes [MaxFrames]int
	at, sum := 0, 0
	for i := range count - 1 {
		size, n, ok := length(b[at:])
		if !ok {
			return 0, short
		}
		at, sum, sizes[i] = at+n, sum+size, size
	}
	if delimited {
		size, n, ok := length(b[at:])
		if !ok || sum+size > len(b)-at-n {
			return 0, Undelimited
		}
		at, sizes[count-1] = at+n, size
	} else {
		if sum > len(b)-at {
			return 0, short
		}
		sizes[count-1] = len(b) - at - sum
		if sizes[count-1] > MaxFrameSize {
			return 0, R2
		}
	}
	for i, size := range sizes[:count] {
		p.Frames[i] = b[at : at+size : at+size]
		at += size
	}
	p.Count = count
	return at, OK
}

// length reads a frame length (section 3.2.1): one byte up to 251, or two. It cannot exceed MaxFrameSize.
func length(b []byte) (size, n int, ok bool) {
	switch {
	case len(b) == 0:
		return 0, 0, false
	case b[0] < 252:
		return int(b[0]), 1, true
	case len(b) == 1:
		return 0, 0, false
	}
	return int(b[0]) + 4*int(b[1]), 2, true
}
