package phone

import (
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// rtcpEvery is how often the phone reports.
const rtcpEvery = 4 * time.Second

// cname is what Meta's SDP says.
const cname = "WhatsAppAudioStream1"

// ntpEpoch is 1 January 1970 in NTP's seconds.
const ntpEpoch = 2208988800

// reception counts what came, as RFC 3550 appendices A.1, A.3 and A.8 do, for our reports.
type reception struct {
	known           bool
	ssrc            uint32
	base, highest   uint32 // extended
	received        uint32
	priorExpected   uint32
	priorReceived   uint32
	transit, jitter int64 // of 48 kHz, jitter times 16
	lastSR          uint32
	lastSRAt        time.Duration
}

func (r *reception) rtp(now time.Duration, h *rtp.Header) {
	if !r.known {
		r.known, r.ssrc = true, h.SSRC
		r.base = uint32(h.SequenceNumber)
		r.highest = r.base
	}
	if step := int16(h.SequenceNumber - uint16(r.highest)); step > 0 {
		r.highest += uint32(step)
	}
	r.received++
	transit := int64(now)*48/int64(time.Millisecond) - int64(h.Timestamp)
	if r.received > 1 {
		d := int64(int32(transit - r.transit))
		r.jitter += max(d, -d) - (r.jitter+8)>>4
	}
	r.transit = transit
}

func (r *reception) rtcp(now time.Duration, compound []byte) {
	packets, err := rtcp.Unmarshal(compound)
	if err != nil {
		return
	}
	for _, p := range packets {
		if sr, ok := p.(*rtcp.SenderReport); ok {
			r.lastSR, r.lastSRAt = uint32(sr.NTPTime>>16), now
		}
	}
}

func (r *reception) blocks(now time.Duration) []rtcp.ReceptionReport {
	if !r.known {
		return nil
	}
	expected := r.highest - r.base + 1
	lost := max(0, int64(expected)-int64(r.received))
	e, got := expected-r.priorExpected, r.received-r.priorReceived
	r.priorExpected, r.priorReceived = expected, r.received
	var fraction uint8
	if e > got && e > 0 {
		fraction = uint8(min(255, uint64(e-got)*256/uint64(e)))
	}
	b := rtcp.ReceptionReport{
		SSRC: r.ssrc, FractionLost: fraction, TotalLost: uint32(min(lost, 0x7fffff)),
		LastSequenceNumber: r.highest, Jitter: uint32(r.jitter >> 4), LastSenderReport: r.lastSR,
	}
	if r.lastSR != 0 {
		b.Delay = uint32((now - r.lastSRAt) * 65536 / time.Second)
	}
	return []rtcp.ReceptionReport{b}
}

// compound writes the phone's report: SR once it has sent, RR before.
func compound(now time.Duration, wall time.Time, v *voice, r *reception) ([]byte, error) {
	blocks := r.blocks(now) // once: it begins a new interval
	var first rtcp.Packet = &rtcp.ReceiverReport{SSRC: v.ssrc, Reports: blocks}
	if v.sent > 0 {
		seconds := uint64(wall.Unix() + ntpEpoch)
		fraction := uint64(wall.Nanosecond()) << 32 / uint64(time.Second)
		first = &rtcp.SenderReport{
			SSRC: v.ssrc, NTPTime: seconds<<32 | fraction, RTPTime: v.ts + uint32((now-v.origin)*48/time.Millisecond),
			PacketCount: uint32(v.sent), OctetCount: uint32(v.bytes), Reports: blocks,
		}
	}
	return rtcp.Marshal([]rtcp.Packet{first, rtcp.NewCNAMESourceDescription(v.ssrc, cname)})
}
