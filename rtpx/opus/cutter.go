package opus

const (
	// maxOut is how many packets one Push can complete: 120 ms and the 17.5 ms that can be pending make six of 20 ms.
	maxOut = MaxSamples / FrameSamples
	// slotFrames is how many frames of 2.5 ms make 20 ms.
	slotFrames = FrameSamples / 120
	// headroom is kept in front of a slot's frames for the header of code 3 with a length of two bytes for each frame but the last.
	headroom = 2 + 2*(slotFrames-1)
	// firstScratch is what a Cutter allocates when it first has to rebuild a packet. It holds all that one datagram of 1500 bytes
	// can need on top of a full slot, so that a call allocates once at most.
	firstScratch = 3072
	// maxFrameBytes is more bytes of frames and framing than six packets and a slot can take, so one of them would be Oversize.
	maxFrameBytes = (maxOut + 1) * MaxPacket
)

// Cutter turns a stream of packets of any length into packets of 20 ms without decoding: packets of several frames are cut, frames of
// 2.5, 5 and 10 ms are joined, also across packets. A SILK frame of 40 or 60 ms cannot be cut and comes out as it is, alone.
//
// The zero value is ready. A Cutter is for one stream and one goroutine. It keeps no packet that it was given after the next Push, and
// does not change any. A stream of packets of one frame of 20 ms or more never allocates; any other allocates a scratch of 3 KB once
// (more only for packets that no datagram can hold).
//
// Time: the packets that a Push gives follow one another without a hole, and the first begins Lead samples before the pushed packet.
//
// Short frames wait until they fill 20 ms. What happens to waiting frames when the stream does not go on:
//
//   - after a loss, a jump or a new source, the caller says Reset: they are dropped;
//   - a packet that is refused leaves a hole of unknown length: they are dropped;
//   - frames of the same length but another coder, bandwidth or channel count (encoders change these at any time) cannot share a
//     packet with them. The 20 ms in which the change falls keep the old frames, and the new ones that fall into them are replaced by
//     empty frames, which ask the decoder for concealment. No time is lost or gained, and the 20 ms grid stays;
//   - frames of another length (the sender was reconfigured): they are dropped.
type Cutter struct {
	// Dropped and Concealed count samples of good packets: waiting frames that were dropped, and frames replaced by empty ones.
	Dropped, Concealed uint64

	whole   []byte // the pushed packet, when it goes out as it came
	buf     []byte // the packets to give, then the open slot
	outs    [maxOut]span
	count   uint8  // of outs, or 1 when whole is set
	next    uint8  // the one that Next gives
	samples uint16 // of each
	lead    uint16
	slot    slot
}

// span is a part of Cutter.buf, which is never as long as 64 KB.
type span struct{ from, to uint16 }

// slot is the 20 ms being filled: its frames lie one after the other in Cutter.buf, with headroom before the first.
type slot struct {
	toc    TOC
	frames uint8
	bytes  span
	sizes  [slotFrames]uint16
}

func (s *slot) samples() int { return int(s.frames) * s.toc.FrameSamples() }

// Push takes one packet; the packets it completes are then given by Next. On a fault there are none.
func (c *Cutter) Push(b []byte) Fault {
	c.whole, c.count, c.next, c.lead = nil, 0, 0, 0
	// Almost every packet there is: one frame of 20 ms. Only R2 can be broken.
	if len(b) > 0 && c.slot.frames == 0 {
		if t := TOC(b[0]); t.Code() == 0 && t.FrameSamples() >= FrameSamples {
			if len(b) > MaxPacket {
				return R2
			}
			c.pass(b, t.FrameSamples())
			return OK
		}
	}
	// A refused packet is not counted, whatever of it was taken before the fault was found.
	dropped, concealed := c.Dropped+uint64(c.slot.samples()), c.Concealed
	f := c.rebuild(b)
	if f != OK {
		c.Reset()
		c.Dropped, c.Concealed = dropped, concealed
	}
	return f
}

// Next gives the packets of the last Push in order, each of 20 ms, or of 40 or 60 ms when uncut is set. packet is at most MaxPacket
// bytes and valid until the next Push; it may be the pushed packet itself.
func (c *Cutter) Next() (packet []byte, samples int, uncut, ok bool) {
	if c.next == c.count {
		return nil, 0, false, false
	}
	packet = c.whole
	if packet == nil {
		out := c.outs[c.next]
		packet = c.buf[out.from:out.to:out.to]
	}
	c.next++
	return packet, int(c.samples), c.samples > FrameSamples, true
}

// Pending is how many samples wait for more.
func (c *Cutter) Pending() int { return c.slot.samples() }

// Lead is by how many samples the first packet of the last Push begins before the packet that was pushed: what was pending and was not
// dropped.
func (c *Cutter) Lead() int { return int(c.lead) }

// Reset drops what is pending and what Next has not given. The counters and the memory stay.
func (c *Cutter) Reset() {
	c.Dropped += uint64(c.slot.samples())
	c.whole, c.count, c.next, c.lead, c.slot.frames = nil, 0, 0, 0, 0
}

// pass gives the pushed packet as it is.
func (c *Cutter) pass(b []byte, samples int) {
	c.whole, c.count, c.samples = b, 1, uint16(samples)
}

// rebuild takes a packet apart. After a fault it may have taken some of it.
func (c *Cutter) rebuild(b []byte) Fault {
	var p Packet
	if f := Parse(b, &p); f != OK {
		return f
	}
	length := p.TOC.FrameSamples()
	if c.slot.frames > 0 && length != c.slot.toc.FrameSamples() {
		c.Reset()
	}
	single := length >= FrameSamples
	if c.slot.frames == 0 && p.Padding == 0 && len(b) <= MaxPacket && (p.Samples() == FrameSamples || single && p.Count == 1) {
		c.pass(b, p.Samples())
		return OK
	}
	size := len(b) - p.Padding
	if size > maxFrameBytes {
		return Oversize
	}
	c.lead = uint16(c.slot.samples())
	c.reserve(size)
	if single {
		c.separate(&p)
		return OK
	}
	c.samples = FrameSamples
	for _, frame := range p.Frames[:p.Count] {
		if f := c.add(p.TOC&streamMask, frame); f != OK {
			return f
		}
	}
	return OK
}

// reserve makes room for size bytes of frames with all their headers, and moves the open slot to the front.
func (c *Cutter) reserve(size int) {
	var open []byte
	if c.slot.frames > 0 {
		open = c.buf[c.slot.bytes.from:c.slot.bytes.to]
	}
	if need := (maxOut+1)*headroom + len(open) + size; need > len(c.buf) {
		c.buf = make([]byte, max(need, firstScratch))
	}
	c.slot.bytes = span{headroom, headroom + uint16(copy(c.buf[headroom:], open))}
}

// separate gives each frame a packet of its own.
func (c *Cutter) separate(p *Packet) {
	at := 0
	for _, frame := range p.Frames[:p.Count] {
		end := at + 1 + len(frame)
		c.buf[at] = byte(p.TOC & streamMask)
		copy(c.buf[at+1:end], frame)
		c.outs[c.count] = span{uint16(at), uint16(end)}
		c.count++
		at = end
	}
	c.samples = uint16(p.TOC.FrameSamples())
}

// add puts a short frame into the open slot, or opens one. When the slot has 20 ms, its header is written right in front of its frames.
func (c *Cutter) add(toc TOC, frame []byte) Fault {
	s := &c.slot
	if s.frames == 0 {
		s.toc = toc
	}
	if s.toc != toc {
		frame = nil
		c.Concealed += uint64(toc.FrameSamples())
	}
	if int(s.bytes.to-s.bytes.from)+len(frame) > MaxPacket {
		return Oversize
	}
	s.bytes.to += uint16(copy(c.buf[s.bytes.to:], frame))
	s.sizes[s.frames] = uint16(len(frame))
	s.frames++
	if s.samples() < FrameSamples {
		return OK
	}
	sizes := s.sizes[:s.frames]
	start := s.bytes.from - uint16(headerSize(sizes))
	if s.bytes.to-start > MaxPacket {
		return Oversize
	}
	appendHeader(c.buf[start:start], s.toc, sizes, false)
	c.outs[c.count] = span{start, s.bytes.to}
	c.count++
	s.frames = 0
	s.bytes.from = s.bytes.to + headroom
	s.bytes.to = s.bytes.from
	return OK
}
