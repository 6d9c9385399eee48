package rtpx

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
)

const (
	// MaxRTCP is the longest compound that is read: what fits into one datagram of an Ethernet path.
	MaxRTCP = 1500
	// MaxBlocks is how many report blocks fit into a report: its count has five bits.
	MaxBlocks = 31

	blockSize = 24
	cname     = 1 // the SDES item (RFC 3550 section 6.5.1)
)

// RTCP packet types (RFC 3550 section 12.1).
const (
	typeSR   = 200
	typeRR   = 201
	typeSDES = 202
	typeBye  = 203
)

// Sender keeps the counters of what we send. The zero value is ready.
type Sender struct {
	at       time.Duration // when the last packet went out
	ts       uint32        // and its timestamp
	packets  uint32
	octets   uint32
	reported [2]uint32 // packets at the last report and at the one before it
}

// Sent counts an RTP packet with a payload of n bytes that went out at now.
func (s *Sender) Sent(now time.Duration, ts uint32, n int) {
	s.at, s.ts = now, ts
	s.packets++
	s.octets += uint32(n)
}

// Report fills a report for now, which is ntp on the wall clock. It is a sender report if a packet went out since the report before
// the last one, as RFC 3550 section 6.4 says.
func (s *Sender) Report(now time.Duration, ntp uint64, ssrc uint32, cname string) SenderReport {
	r := SenderReport{
		SSRC: ssrc, CNAME: cname, Sending: s.packets != s.reported[1], NTP: ntp,
		Timestamp: s.ts + uint32(ticks(now-s.at)), Packets: s.packets, Octets: s.octets,
	}
	s.reported = [2]uint32{s.packets, s.reported[0]}
	return r
}

// SenderReport is what we say in a compound packet.
type SenderReport struct {
	SSRC      uint32
	CNAME     string // at most 255 bytes of it are sent
	Sending   bool   // SR, else RR; what follows is in an SR only
	NTP       uint64
	Timestamp uint32 // the RTP clock at NTP
	Packets   uint32
	Octets    uint32
	Bye       bool // the last one
}

// AppendReport appends a compound packet to b: SR or RR with the blocks (the first MaxBlocks of them), SDES with the CNAME, and BYE if
// that is asked for (RFC 3550 section 6.1). It allocates only if b has no room.
func AppendReport(b []byte, s SenderReport, blocks ...rtcp.ReceptionReport) []byte {
	blocks = blocks[:min(len(blocks), MaxBlocks)]
	be, start := binary.BigEndian, len(b)
	kind := byte(typeRR)
	if s.Sending {
		kind = typeSR
	}
	b = append(b, 2<<6|byte(len(blocks)), kind, 0, 0)
	b = be.AppendUint32(b, s.SSRC)
	if s.Sending {
		b = be.AppendUint64(b, s.NTP)
		b = be.AppendUint32(b, s.Timestamp)
		b = be.AppendUint32(b, s.Packets)
		b = be.AppendUint32(b, s.Octets)
	}
	for i := range blocks {
		b = appendBlock(b, &blocks[i])
	}
	setLength(b, start)

	start = len(b)
	name := s.CNAME[:min(len(s.CNAME), 255)]
	b = append(b, 2<<6|1, typeSDES, 0, 0)
	b = be.AppendUint32(b, s.SSRC)
	b = append(b, cname, byte(len(name)))
	b = append(b, name...)
	b = append(b, 0) // the end of the items, then zeros to the next word
	for len(b[start:])%4 != 0 {
		b = append(b, 0)
	}
	setLength(b, start)

	if s.Bye {
		start = len(b)
		b = append(b, 2<<6|1, typeBye, 0, 0)
		b = be.AppendUint32(b, s.SSRC)
		setLength(b, start)
	}
	return b
}

func appendBlock(b []byte, r *rtcp.ReceptionReport) []byte {
	be := binary.BigEndian
	b = be.AppendUint32(b, r.SSRC)
	b = be.AppendUint32(b, uint32(r.FractionLost)<<24|r.TotalLost&0xffffff)
	b = be.AppendUint32(b, r.LastSequenceNumber)
	b = be.AppendUint32(b, r.Jitter)
	b = be.AppendUint32(b, r.LastSenderReport)
	return be.AppendUint32(b, r.Delay)
}

// setLength writes the length of the packet that begins at start and ends with b: in words, less one.
func setLength(b []byte, start int) {
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b[start:])/4-1))
}

// Reports is what a compound packet of the peer's says that is of use to us.
type Reports struct {
	HasSender bool   // there was an SR: NTP, Timestamp, Packets and Octets are its
	HasBlock  bool   // there was a block about us, Block
	Bye       bool   // there was a BYE; it ends nothing by itself
	SSRC      uint32 // the reporter's
	NTP       uint64
	Timestamp uint32
	Packets   uint32
	Octets    uint32
	Block     rtcp.ReceptionReport
}

// Lost is the cumulative loss of Block, with its sign.
func (r *Reports) Lost() int64 { return int64(int32(r.Block.TotalLost<<8) >> 8) }

// Jitter is that of Block.
func (r *Reports) Jitter() time.Duration {
	return time.Duration(r.Block.Jitter) * time.Second / ClockRate
}

// ParseRTCP reads a compound packet for what it says to ours, our SSRC. Of several reports the last one counts. Each step goes ahead by
// four bytes at least and looks only at the fixed parts of SR, RR and BYE; what else there is (SDES, XR, feedback) is stepped over. A
// compound with a fault in it says nothing at all. It need not begin with a report: feedback may come alone (RFC 5506).
func ParseRTCP(b []byte, ours uint32) (Reports, Fault) {
	var r Reports
	if len(b) > MaxRTCP {
		return Reports{}, Oversize
	}
	if len(b) < 4 {
		return Reports{}, Short
	}
	for len(b) > 0 {
		body, rest, f := cutRTCP(b)
		if f == OK {
			f = r.read(b[0]&0x1f, b[1], body, ours)
		}
		if f != OK {
			return Reports{}, f
		}
		b = rest
	}
	return r, OK
}

// cutRTCP cuts the first packet off a compound, without its header and padding.
func cutRTCP(b []byte) (body, rest []byte, f Fault) {
	if len(b) < 4 {
		return nil, nil, Short
	}
	if b[0]>>6 != 2 {
		return nil, nil, Version
	}
	n := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
	if n > len(b) {
		return nil, nil, LengthOverrun
	}
	body, rest = b[4:n], b[n:]
	if b[0]&0x20 == 0 {
		return body, rest, OK
	}
	if len(rest) > 0 {
		return nil, nil, PaddingInside
	}
	if len(body) == 0 {
		return nil, nil, PaddingOverrun
	}
	padding := int(body[len(body)-1])
	if padding == 0 {
		return nil, nil, PaddingZero
	}
	if padding > len(body) {
		return nil, nil, PaddingOverrun
	}
	return body[:len(body)-padding], rest, OK
}

// read takes over one packet: the header's count, its type and what follows the header.
func (r *Reports) read(count, kind byte, body []byte, ours uint32) Fault {
	be := binary.BigEndian
	switch kind {
	case typeSR:
		if len(body) < 24 {
			return CountOverrun
		}
		r.HasSender, r.SSRC, r.NTP = true, be.Uint32(body), be.Uint64(body[4:])
		r.Timestamp, r.Packets, r.Octets = be.Uint32(body[12:]), be.Uint32(body[16:]), be.Uint32(body[20:])
		return r.readBlocks(count, body[24:], ours)
	case typeRR:
		if len(body) < 4 {
			return CountOverrun
		}
		r.SSRC = be.Uint32(body)
		return r.readBlocks(count, body[4:], ours)
	case typeBye:
		if len(body) < 4*int(count) {
			return CountOverrun
		}
		r.Bye = true
	}
	return OK
}

func (r *Reports) readBlocks(count byte, b []byte, ours uint32) Fault {
	if len(b) < int(count)*blockSize {
		return CountOverrun
	}
	be := binary.BigEndian
	for ; count > 0; count, b = count-1, b[blockSize:] {
		if be.Uint32(b) != ours {
			continue
		}
		loss := be.Uint32(b[4:])
		r.HasBlock = true
		r.Block = rtcp.ReceptionReport{
			SSRC: ours, FractionLost: uint8(loss >> 24), TotalLost: loss & 0xffffff,
			LastSequenceNumber: be.Uint32(b[8:]), Jitter: be.Uint32(b[12:]),
			LastSenderReport: be.Uint32(b[16:]), Delay: be.Uint32(b[20:]),
		}
	}
	return OK
}
