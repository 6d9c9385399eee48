package shard

import (
	"bytes"
	"testing"

	"github.com/onelane/onelane/rtpx"
	"github.com/onelane/onelane/rtpx/opus"
)

func TestEgressCheckFindsEveryBrokenRule(t *testing.T) {
	packet := func(pt uint8, seq uint16, ts, ssrc uint32, payload []byte) []byte {
		b := make([]byte, rtpx.HeaderSize, 200)
		rtpx.PutHeader(b, pt, false, seq, ts, ssrc)
		return append(b, payload...)
	}
	event := []byte{1, 10, 0, 160}
	good := func() []byte { return packet(opusPT, 11, 1960, testSSRC, opus.Silence20) }
	set := func(i int, v byte) []byte { b := good(); b[i] = v; return b }
	for _, c := range []struct {
		name string
		b    []byte
		want Violation
	}{
		{"lawful", good(), Lawful},
		{"lawful event", packet(eventPT, 11, 1960, testSSRC, event), Lawful},
		{"timestamp follows a gap", packet(opusPT, 11, 1000+960*50, testSSRC, opus.Silence20), Lawful},
		{"version 1", set(0, 0x40), ViolatesHeader},
		{"padding", set(0, 0xA0), ViolatesHeader},
		{"extension", set(0, 0x90), ViolatesHeader},
		{"CSRC", set(0, 0x81), ViolatesHeader},
		{"header alone", good()[:12], ViolatesHeader},
		{"PCMU", packet(0, 11, 1960, testSSRC, opus.Silence20), ViolatesPayload},
		{"second SSRC", packet(opusPT, 11, 1960, 5, opus.Silence20), ViolatesSSRC},
		{"sequence stands still", packet(opusPT, 10, 1960, testSSRC, opus.Silence20), ViolatesSequence},
		{"sequence jumps", packet(opusPT, 12, 1960, testSSRC, opus.Silence20), ViolatesSequence},
		{"timestamp stands still", packet(opusPT, 11, 1000, testSSRC, opus.Silence20), ViolatesTimestamp},
		{"timestamp goes back", packet(opusPT, 11, 40, testSSRC, opus.Silence20), ViolatesTimestamp},
		{"timestamp off the grid", packet(opusPT, 11, 1961, testSSRC, opus.Silence20), ViolatesTimestamp},
		{"10 ms", packet(opusPT, 11, 1960, testSSRC, []byte{8 << 3, 1}), ViolatesPtime},
		{"60 ms", packet(opusPT, 11, 1960, testSSRC, []byte{11 << 3, 1}), ViolatesPtime},
		{"invalid Opus", packet(opusPT, 11, 1960, testSSRC, []byte{3, 0}), ViolatesPtime},
		{"event of five bytes", packet(eventPT, 11, 1960, testSSRC, append(bytes.Clone(event), 0)), ViolatesPtime},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := egress{ssrc: testSSRC, audioPT: opusPT, dtmfPT: eventPT}
			var scratch opus.Packet
			if v := e.check(packet(opusPT, 10, 1000, testSSRC, opus.Silence20), &scratch); v != Lawful {
				t.Fatalf("the packet before: %v", v)
			}
			if v := e.check(c.b, &scratch); v != c.want {
				t.Fatalf("got %v, want %v", v, c.want)
			}
			if c.want != Lawful {
				if v := e.check(good(), &scratch); v != Lawful {
					t.Fatalf("a lawful packet after one that was dropped: %v", v)
				}
			}
		})
	}
}

func TestPacketThatBreaksARuleIsDroppedCountedAndTheStreamGoesOn(t *testing.T) {
	p := newRig(t).live()
	p.wait(100 * ms)
	k := p.core.find(p.ref)
	n := len(p.heard)
	if p.core.transmit(p.now, k, 0, false, k.lane.last+960, opus.Silence20) {
		t.Fatal("a packet of another codec went out")
	}
	p.wantDrop(DropLaneViolation, 1)
	k.count.violations = [violationCount]uint32{}
	p.wait(100 * ms)
	if len(p.heard) < n+4 {
		t.Fatal("the stream stopped")
	}
	p.lawful()
}
