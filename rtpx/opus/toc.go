package opus

// TOC is the first byte of every packet (RFC 6716 section 3.1): configuration, stereo flag, frame count code.
type TOC byte

// Mode is the coder that a configuration uses.
type Mode uint8

const (
	SILK Mode = iota
	Hybrid
	CELT
)

// String gives the name as in RFC 6716.
func (m Mode) String() string {
	switch m {
	case SILK:
		return "SILK"
	case Hybrid:
		return "Hybrid"
	}
	return "CELT"
}

// Bandwidth is the audio bandwidth of a configuration, in rising order.
type Bandwidth uint8

const (
	Narrowband    Bandwidth = iota // 4 kHz
	Mediumband                     // 6 kHz, SILK only
	Wideband                       // 8 kHz
	SuperWideband                  // 12 kHz
	Fullband                       // 20 kHz
)

// String gives the abbreviation of RFC 6716 table 1.
func (b Bandwidth) String() string {
	return [...]string{"NB", "MB", "WB", "SWB", "FB"}[min(b, Fullband)]
}

const (
	codeMask   = 0x03
	stereoMask = 0x04
	// streamMask keeps what frames must share to lie in one packet: configuration and stereo flag.
	streamMask = 0xFC
)

// Config is the configuration number, 0 to 31 (RFC 6716 table 2).
func (t TOC) Config() uint8 { return uint8(t >> 3) }

// Stereo tells whether the frames have two channels.
func (t TOC) Stereo() bool { return t&stereoMask != 0 }

// Code is the frame count code: 0 one frame, 1 two of equal size, 2 two of different sizes, 3 a signalled count.
func (t TOC) Code() int { return int(t & codeMask) }

// Mode is the coder.
func (t TOC) Mode() Mode {
	switch c := t.Config(); {
	case c < 12:
		return SILK
	case c < 16:
		return Hybrid
	}
	return CELT
}

// Bandwidth is the audio bandwidth.
func (t TOC) Bandwidth() Bandwidth {
	switch c := t.Config(); {
	case c < 12:
		return Bandwidth(c / 4)
	case c < 16:
		return SuperWideband + Bandwidth(c-12)/2
	case c < 20:
		return Narrowband
	default: // CELT has no medium band
		return Wideband + Bandwidth(c-20)/4
	}
}

// FrameSamples is the length of each frame at 48 kHz: 120 (2.5 ms) to 2880 (60 ms).
func (t TOC) FrameSamples() int {
	switch c := t.Config(); {
	case c < 12:
		return [4]int{480, 960, 1920, 2880}[c%4]
	case c < 16:
		return [2]int{480, 960}[c%2]
	default:
		return 120 << (c % 4)
	}
}

// in20 is the TOC of one 20 ms frame (code 0) of the same coder, bandwidth and channel count.
func (t TOC) in20() TOC {
	c := t.Config()
	switch {
	case c < 12:
		c = c&^3 | 1
	case c < 16:
		c |= 1
	default:
		c |= 3
	}
	return TOC(c)<<3 | t&stereoMask
}

// Samples is the length of a packet at 48 kHz. It looks at the first two bytes only: OK means that the length is known and lawful,
// not that the packet is valid, which Parse tells.
func Samples(b []byte) (int, Fault) {
	if len(b) == 0 {
		return 0, R1
	}
	t := TOC(b[0])
	switch t.Code() {
	case 0:
		return t.FrameSamples(), OK
	case 1, 2:
		return 2 * t.FrameSamples(), OK
	}
	if len(b) < 2 {
		return 0, R6
	}
	n := int(b[1]&countMask) * t.FrameSamples()
	if n == 0 || n > MaxSamples {
		return 0, R5
	}
	return n, OK
}
