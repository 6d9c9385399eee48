package shard

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx"
)

func (p *phone) from(remote netip.AddrPort, d udp.Datagram) udp.Datagram {
	d.Remote = remote
	return d
}

func TestMediaFromAnotherAddressIsDropped(t *testing.T) {
	p := newRig(t).live()
	p.turn(p.from(netip.MustParseAddrPort("203.0.113.9:3482"), p.say()))
	p.wantDrop(DropWrongAddress, 1)
	p.turn(p.say())
	p.wantDrop(DropWrongAddress, 1)
}

func TestMediaBeforeKeysIsDropped(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	k := r.core.find(p.ref)
	k.opener = nil
	p.turn(p.say())
	p.wantDrop(DropBeforeKeys, 1)
}

func TestForgedAndReplayedPacketsChangeNothing(t *testing.T) {
	p := newRig(t).live()
	p.talk(3)
	d := p.say()
	replay := udp.Datagram{Port: d.Port, Remote: d.Remote, Data: append(make([]byte, 0, 1600), d.Data...)}
	p.turn(d)
	p.turn(replay)
	p.wantDrop(DropReplay, 1)
	for _, ahead := range []uint16{1, 100, 20_000, 40_000, 65_000} {
		b := make([]byte, 60, 1600)
		rtpx.PutHeader(b, opusPT, false, p.seq+ahead, p.ts, p.ssrc)
		p.turn(udp.Datagram{Port: p.port, Remote: metaAddr, Data: b})
	}
	if d := p.drops(); d["auth"]+d["replay"] != 6 || d["auth"] < 3 {
		t.Fatalf("drops %v, want the five forged ones and the replay", d)
	}
	before, _ := p.core.Look(p.ref, nil)
	p.talk(10)
	after, _ := p.core.Look(p.ref, nil)
	if after.Stats.Received != before.Stats.Received+10 {
		t.Fatalf("%d of 10 packets were taken after forged ones", after.Stats.Received-before.Stats.Received)
	}
}

func TestFloodFromTheRightPeerIsBoundedAndOthersAreUnharmed(t *testing.T) {
	r := newRig(t)
	flooder, other := r.live(), r.live()
	other.core.AttachEcho(other.ref, 1)
	other.core.Select(other.ref, 1)
	for range 50 { // a second at 50 times the rate
		var in []udp.Datagram
		for range 50 {
			in = append(in, flooder.say())
		}
		in = append(in, other.say())
		out, _, _ := r.core.Turn(r.now, in)
		echoed := false
		for _, d := range out {
			echoed = echoed || d.Port == other.port
		}
		if !echoed {
			t.Fatal("another call's packet was not sent in its turn")
		}
		r.now += 20 * ms
	}
	if n := flooder.drops()[DropRate.String()]; n < 1400 {
		t.Fatalf("%d of 2500 packets dropped", n)
	}
	if n := other.drops()[DropRate.String()]; n != 0 {
		t.Fatalf("%d packets of the other call dropped", n)
	}
}

// recorder is a Writer that keeps what it gets.
type recorder struct {
	frames []sink.Frame
	done   chan struct{}
}

func (r *recorder) Write(frames []sink.Frame) error {
	for _, f := range frames {
		f.Payload = bytes.Clone(f.Payload)
		r.frames = append(r.frames, f)
	}
	return nil
}

func (r *recorder) Close() error { close(r.done); return nil }

// record attaches a queue and returns what closes it and gives the frames.
func (p *phone) record(id uint32, direction sink.Direction) func() []sink.Frame {
	p.t.Helper()
	r := &recorder{done: make(chan struct{})}
	q := sink.NewQueue(r, sink.QueueOptions{Slots: 8192, Batch: 8192})
	if !p.core.AttachQueue(p.now, p.ref, id, direction, q) {
		p.t.Fatal("not attached")
	}
	return func() []sink.Frame {
		d, ok := p.core.Detach(p.now, p.ref, id)
		if !ok {
			p.t.Fatal("not there")
		}
		q.Close(p.t.Context(), d.Mark)
		<-r.done
		return r.frames
	}
}

func audio(frames []sink.Frame, d sink.Direction) (out []sink.Frame) {
	for _, f := range frames {
		if f.Direction == d {
			out = append(out, f)
		}
	}
	return out
}

func TestLossIsToldAndTimeIsKept(t *testing.T) {
	p := newRig(t).live()
	stop := p.record(1, sink.Caller)
	p.talk(10)
	for range 3 {
		p.say() // lost
		p.wait(20 * ms)
	}
	p.talk(10)
	p.wait(200 * ms)
	frames := stop()
	heard := audio(frames, sink.Caller)
	if len(heard) != 20 {
		t.Fatalf("%d frames, want 20", len(heard))
	}
	if heard[10].Lost != 3 || heard[10].At-heard[9].At != 4*960 {
		t.Fatalf("after the gap: lost %d, %d samples on", heard[10].Lost, heard[10].At-heard[9].At)
	}
	if first, last := frames[0], frames[len(frames)-1]; first.Payload != nil || last.Payload != nil || last.At < heard[19].At+960 {
		t.Fatal("the recording does not begin and end with a time mark")
	}
}

func TestReorderedPacketsComeInOrder(t *testing.T) {
	p := newRig(t).live()
	stop := p.record(1, sink.Caller)
	p.talk(2)
	a, b, c := p.say(1<<3|0x40, 1), p.say(1<<3|0x40, 2), p.say(1<<3|0x40, 3)
	p.turn(c, a)
	p.wait(5 * ms)
	p.turn(b)
	p.wait(200 * ms)
	heard := audio(stop(), sink.Caller)
	if len(heard) != 5 {
		t.Fatalf("%d frames: %v", len(heard), p.drops())
	}
	for i, f := range heard[2:] {
		if f.Payload[1] != byte(i+1) || f.Lost != 0 {
			t.Fatalf("frame %d is packet %d, %d lost", i, f.Payload[1], f.Lost)
		}
	}
}

func TestLongAndShortPacketsBecomeTwentyMilliseconds(t *testing.T) {
	p := newRig(t).live()
	stop := p.record(1, sink.Caller)
	toc60 := byte(11 << 3) // SILK wide band 60 ms: cannot be cut
	d := p.packet(opusPT, []byte{toc60, 1, 2, 3})
	p.seq++
	p.ts += 2880
	p.turn(d)
	p.wait(60 * ms)
	celt20x2 := byte(31<<3 | 1) // CELT full band, two frames of 20 ms
	d = p.packet(opusPT, []byte{celt20x2, 1, 2, 3, 4})
	p.seq++
	p.ts += 1920
	p.turn(d)
	p.wait(40 * ms)
	for range 4 { // SILK wide band 10 ms
		d = p.packet(opusPT, []byte{8 << 3, 5, 6})
		p.seq++
		p.ts += 480
		p.turn(d)
		p.wait(10 * ms)
	}
	heard := audio(stop(), sink.Caller)
	want := []struct {
		samples int32
		uncut   bool
	}{{2880, true}, {960, false}, {960, false}, {960, false}, {960, false}}
	if len(heard) != len(want) {
		t.Fatalf("%d frames, want %d", len(heard), len(want))
	}
	at := heard[0].At
	for i, f := range heard {
		if f.Samples != want[i].samples || f.Uncut != want[i].uncut {
			t.Fatalf("frame %d: %d samples, uncut %v", i, f.Samples, f.Uncut)
		}
		if d := f.At - at; d > 96 || d < -96 {
			t.Fatalf("frame %d is %d samples off", i, d)
		}
		at = f.At + int64(f.Samples)
	}
}

func TestFrameThatCannotBeCutNeverReachesThePhone(t *testing.T) {
	p := newRig(t).live()
	p.core.AttachEcho(p.ref, 1)
	p.core.Select(p.ref, 1)
	p.turn(p.packet(opusPT, []byte{11 << 3, 1, 2, 3}))
	p.wait(200 * ms)
	p.wantDrop(DropLaneNot20ms, 1)
	p.lawful()
}

func TestInvalidOpusAndForeignPayloadTypesAreDropped(t *testing.T) {
	p := newRig(t).live()
	p.turn(p.packet(opusPT, []byte{3, 0})) // code 3 with no frames: R5
	p.seq++
	p.turn(p.packet(0, []byte{1, 2, 3})) // PCMU
	p.seq++
	p.turn(p.packet(opusPT, nil))
	p.wantDrop(DropOpus, 1)
	p.wantDrop(DropPayloadType, 1)
	p.wantDrop(DropPadding, 1)
}

func TestDigitOfThePhoneIsToldOnce(t *testing.T) {
	p := newRig(t).live()
	p.talk(5)
	start := p.ts
	event := func(end bool, duration uint16) {
		b := []byte{7, 10, byte(duration >> 8), byte(duration)}
		if end {
			b[1] |= 0x80
		}
		ts := p.ts
		p.ts = start
		p.turn(p.packet(eventPT, b))
		p.ts = ts
		p.seq++
	}
	for d := uint16(160); d <= 800; d += 160 {
		event(false, d)
		p.wait(20 * ms)
		p.ts += 960
	}
	for range 3 {
		event(true, 800)
	}
	p.talk(20)
	var digits []Event
	for _, e := range p.events() {
		if e.Kind == DigitHeard {
			digits = append(digits, e)
		}
	}
	if len(digits) != 1 || digits[0].Digit != '7' || digits[0].Duration != 100*ms {
		t.Fatalf("digits: %+v", digits)
	}
}

func TestNewSSRCIsTakenOverAfterTwoPacketsAndOursIsALoop(t *testing.T) {
	p := newRig(t).live()
	p.talk(5)
	p.events()
	p.ssrc, p.seq = 0x52, 1000
	_, p.sealer = contexts(t, true)
	p.talk(2)
	p.wantDrop(DropProbation, 1)
	if e := p.events(); len(e) != 1 || e[0].Kind != SSRCChanged {
		t.Fatalf("events %+v", e)
	}
	p.ssrc = testSSRC
	_, p.sealer = contexts(t, true)
	p.talk(1)
	p.wantDrop(DropLoop, 1)
}

// leg adds an RTP leg on the next port.
func (p *phone) leg(id uint32, c LegConfig) udp.Port {
	p.t.Helper()
	p.next++
	if !p.core.AttachLeg(p.ref, id, p.next, 0x77, 5000, 40_000, c) {
		p.t.Fatal("not attached")
	}
	return p.next
}

func legPacket(port udp.Port, from netip.AddrPort, pt uint8, seq uint16, ts uint32, payload []byte) udp.Datagram {
	b := make([]byte, rtpx.HeaderSize, 1500)
	rtpx.PutHeader(b, pt, false, seq, ts, 0x88)
	return udp.Datagram{Port: port, Remote: from, Data: append(b, payload...)}
}

func TestLegGetsThePhoneInTheSameTurnUnderItsOwnStream(t *testing.T) {
	p := newRig(t).live()
	port := p.leg(1, LegConfig{Peer: mediaAddr, OpusPT: 96, DTMFPT: 97, DTMFClock: 8000})
	for range 3 {
		p.talk(10)
		p.seq += 2 // lost
		p.ts += 1920
		p.wait(40 * ms)
	}
	p.wait(200 * ms)
	if len(p.other) != 30 {
		t.Fatalf("%d packets on the leg, want 30", len(p.other))
	}
	var before rtpx.Packet
	for i, d := range p.other {
		var q rtpx.Packet
		if f := rtpx.Parse(d.Data, &q); f != rtpx.OK || d.Port != port || d.Remote != mediaAddr {
			t.Fatalf("packet %d: %v, port %d, to %v", i, f, d.Port, d.Remote)
		}
		if q.SSRC != 0x77 || q.PayloadType != 96 || q.Sequence != 40_000+uint16(i) {
			t.Fatalf("packet %d: SSRC %x, payload type %d, sequence %d", i, q.SSRC, q.PayloadType, q.Sequence)
		}
		if i > 0 && i%10 != 0 && q.Timestamp-before.Timestamp != 960 {
			t.Fatalf("packet %d: timestamp +%d", i, q.Timestamp-before.Timestamp)
		}
		before = q
	}
}

func TestLegIsASourceAndTwoWaysKeepTheirRules(t *testing.T) {
	p := newRig(t).live()
	port := p.leg(1, LegConfig{Peer: mediaAddr, OpusPT: 96, DTMFPT: 97, DTMFClock: 48000})
	p.turn(legPacket(port, mediaAddr, 96, 9, 100, speech(1)))
	p.wantDrop(DropNotActive, 1)
	p.core.Select(p.ref, 1)
	seq, ts := uint16(10), uint32(1060)
	for range 50 {
		before := len(p.heard)
		p.turn(legPacket(port, mediaAddr, 96, seq, ts, speech(int(seq))))
		if len(p.heard) != before+1 {
			t.Fatalf("not sent in its turn: %v", p.drops())
		}
		seq, ts = seq+1, ts+960
		p.wait(20 * ms)
	}
	for d := uint16(960); d <= 4800; d += 960 { // a digit with durations on 48 kHz
		b := []byte{3, 10, byte(d >> 8), byte(d)}
		if d == 4800 {
			b[1] |= 0x80
		}
		p.turn(legPacket(port, mediaAddr, 97, seq, ts, b))
		seq++
		p.wait(20 * ms)
	}
	p.wait(500 * ms)
	p.lawful()
	longest := uint16(0)
	for _, s := range p.heard {
		if s.PayloadType == eventPT && s.Payload[0] == 3 {
			longest = max(longest, binary.BigEndian.Uint16(s.Payload[2:]))
		}
	}
	if longest != 800 {
		t.Fatalf("a digit of 100 ms reached the phone with duration %d, want 800", longest)
	}
}

func TestLegLearnsItsPeerOnceAndLocks(t *testing.T) {
	p := newRig(t).live()
	port := p.leg(1, LegConfig{OpusPT: 96, DTMFPT: 97, DTMFClock: 8000})
	p.talk(1)
	p.wantDrop(DropNoPeer, 1)
	stranger := netip.MustParseAddrPort("203.0.113.66:9")
	p.turn(legPacket(port, stranger, 0, 1, 1, speech(1))) // not Opus: teaches nothing
	p.turn(legPacket(port, mediaAddr, 96, 1, 960, speech(1)))
	p.turn(legPacket(port, stranger, 96, 2, 1920, speech(2)))
	p.wantDrop(DropWrongAddress, 1)
	p.talk(1)
	if n := len(p.other); n != 1 || p.other[0].Remote != mediaAddr {
		t.Fatalf("%d packets to %v", n, p.other)
	}
}

func TestConsentLostStopsSending(t *testing.T) {
	p := newRig(t).live()
	p.core.AttachEcho(p.ref, 1)
	p.core.Select(p.ref, 1)
	start := p.now
	var lost time.Duration
	for lost == 0 && p.now-start < time.Minute {
		p.talk(1) // media goes on arriving; it proves nothing
		for _, e := range p.events() {
			if e.Kind == ConsentLost {
				lost = e.At
			}
		}
	}
	if lost-start < 30*time.Second || lost-start > 30500*ms {
		t.Fatalf("consent lost after %v", lost-start)
	}
	if p.stun < 5 {
		t.Fatalf("%d consent checks in 30 s", p.stun)
	}
	n := len(p.heard)
	p.talk(10)
	if len(p.heard) != n {
		t.Fatal("packets were sent after consent was lost")
	}
}

func TestReportsGoOutAtLeastEveryFiveSeconds(t *testing.T) {
	p := newRig(t).live()
	last, seen := p.now, p.rtcp
	for end := p.now + 29*time.Second; p.now < end; {
		p.wait(10 * ms)
		if p.rtcp > seen {
			seen, last = p.rtcp, p.now
		}
		if p.now-last > 5*time.Second {
			t.Fatalf("no RTCP for %v", p.now-last)
		}
	}
}

// trap is a clip that panics.
type trap struct{}

func (trap) Frames() int      { return 1 }
func (trap) Frame(int) []byte { panic("trap") }

func TestPanicEndsOneCallAndNoOther(t *testing.T) {
	r := newRig(t)
	victim, other := r.live(), r.live()
	r.core.AttachClip(victim.ref, 1, trap{}, 0)
	r.core.Select(victim.ref, 1)
	other.wait(time.Second)
	other.lawful()
	if len(other.heard) < 49 {
		t.Fatalf("the other call got %d packets in a second", len(other.heard))
	}
	told := false
	for _, e := range r.core.Events() {
		told = told || e.Kind == Panicked && e.Owner == uint64(victim.port)+1
	}
	if !told || r.core.Totals.Panics != 1 {
		t.Fatalf("%d panics, told %v", r.core.Totals.Panics, told)
	}
}

func TestRemovedCallLeavesNothingBehind(t *testing.T) {
	p := newRig(t).live()
	p.leg(1, LegConfig{Peer: mediaAddr, OpusPT: 96, DTMFPT: 97})
	p.turn(p.say(), p.from(metaAddr, func() udp.Datagram { p.say(); return p.say() }())) // a gap: one packet waits
	left := p.core.pool.Left()
	gone, ok := p.core.Remove(p.now, p.ref)
	if !ok || len(gone.Ports) != 2 || p.core.Calls() != 0 {
		t.Fatalf("%v, ports %v, %d calls", ok, gone.Ports, p.core.Calls())
	}
	if p.core.pool.Left() != left+1 {
		t.Fatal("a waiting packet kept its buffer")
	}
	if _, ok := p.core.Look(p.ref, nil); ok {
		t.Fatal("the old Ref still names a call")
	}
	p.turn(p.say())
	p.wantDrop(DropNoLeg, 1)
	again := p.core.Add(NewCall{Owner: 9, Ports: []udp.Port{p.port}, CNAME: "c"})
	if again == p.ref {
		t.Fatal("a Ref was given twice")
	}
}

func TestReceiveAndTransmitAllocateNothing(t *testing.T) {
	p := newRig(t).live()
	p.core.AttachEcho(p.ref, 1)
	p.core.Select(p.ref, 1)
	p.leg(2, LegConfig{Peer: mediaAddr, OpusPT: 96, DTMFPT: 97})
	stop := p.record(3, sink.Both)
	defer stop()
	p.talk(5)
	const runs = 200
	packets := make([]udp.Datagram, runs+2)
	for i := range packets {
		packets[i] = p.say()
	}
	i := 0
	if n := testing.AllocsPerRun(runs, func() {
		p.now += 20 * ms
		p.core.Turn(p.now, packets[i:i+1])
		p.core.Events()
		i++
	}); n != 0 {
		t.Fatalf("%v allocations a packet, with echo, an RTP leg and a recording", n)
	}
}
