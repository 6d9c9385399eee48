package shard

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/secure"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/rtpx"
	"github.com/onelane/onelane/rtpx/opus"
)

// The rig drives a Core by hand: it is the network, the clock and the phones.

const (
	ms       = time.Millisecond
	testSSRC = 0x0A0B0C0D
	opusPT   = 111
	eventPT  = 126
)

var (
	metaAddr  = netip.MustParseAddrPort("203.0.113.9:3480")
	mediaAddr = netip.MustParseAddrPort("203.0.113.50:4000")
)

type rig struct {
	t    testing.TB
	core *Core
	now  time.Duration
	next udp.Port
}

func newRig(t testing.TB) *rig {
	return &rig{t: t, core: NewCore(time.Unix(1_750_000_000, 0)), now: time.Second}
}

// sent is a packet to the phone, opened.
type sent struct {
	at time.Duration
	rtpx.Packet
}

// phone is Meta's end of one call: it opens what the edge sends and seals what the phone says.
type phone struct {
	*rig
	ref    Ref
	port   udp.Port
	opener *secure.Opener
	sealer *secure.Sealer
	ssrc   uint32
	seq    uint16
	ts     uint32
	rtcp   int
	stun   int
	heard  []sent
	other  []udp.Datagram // to anybody else
}

func testKeys(swap bool) secure.Keys {
	a, b := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16)
	sa, sb := bytes.Repeat([]byte{3}, 12), bytes.Repeat([]byte{4}, 12)
	if swap {
		a, b, sa, sb = b, a, sb, sa
	}
	return secure.Keys{Profile: secure.AEAD_AES_128_GCM, LocalKey: a, LocalSalt: sa, RemoteKey: b, RemoteSalt: sb}
}

func contexts(t testing.TB, swap bool) (*secure.Opener, *secure.Sealer) {
	t.Helper()
	o, err := secure.NewOpener(testKeys(swap))
	if err != nil {
		t.Fatal(err)
	}
	s, err := secure.NewSealer(testKeys(swap))
	if err != nil {
		t.Fatal(err)
	}
	return o, s
}

// dial adds a call with a nominated pair and keys; its gate is closed.
func (r *rig) dial() *phone {
	r.t.Helper()
	p := &phone{rig: r, port: r.next, ssrc: 0x51, seq: 65530, ts: 0xFFFFF000}
	r.next++
	p.ref = r.core.Add(NewCall{Owner: uint64(p.port) + 1, Ports: []udp.Port{p.port}, Setup: []*ice.Conn{nil}, SSRC: testSSRC, Base: 0xFFFFFF00, Seq: 65500, CNAME: "c"})
	r.core.Describe(p.ref, opusPT, eventPT)
	consent := ice.NewConsent(ice.Credentials{Ufrag: "us", Pwd: "ourpasswordourpassword"}, ice.Credentials{Ufrag: "them", Pwd: "theirpasswordtheirpass"}, metaAddr, true)
	if _, ok := r.core.Nominate(r.now, p.ref, 0, metaAddr, consent, nil); !ok {
		r.t.Fatal("not nominated")
	}
	o, s := contexts(r.t, false)
	r.core.Secure(p.ref, o, s)
	p.opener, p.sealer = contexts(r.t, true)
	return p
}

func (r *rig) live() *phone {
	p := r.dial()
	r.core.OpenGate(r.now, p.ref)
	return p
}

// turn runs one turn and gives what went out to the phone.
func (p *phone) turn(in ...udp.Datagram) {
	p.t.Helper()
	out, _, _ := p.core.Turn(p.now, in)
	for _, d := range out {
		if d.Port != p.port {
			p.other = append(p.other, udp.Datagram{Port: d.Port, Remote: d.Remote, Data: bytes.Clone(d.Data)})
			continue
		}
		if d.Remote != metaAddr {
			p.t.Fatalf("a packet for %v", d.Remote)
		}
		switch ice.Classify(d.Data) {
		case ice.STUN:
			p.stun++
		case ice.RTCP:
			p.rtcp++
		case ice.RTP:
			b, err := p.opener.Open(bytes.Clone(d.Data))
			if err != nil {
				p.t.Fatalf("a packet that does not open: %v", err)
			}
			s := sent{at: p.now}
			if f := rtpx.Parse(b, &s.Packet); f != rtpx.OK {
				p.t.Fatalf("a packet that does not parse: %v", f)
			}
			p.heard = append(p.heard, s)
		}
	}
}

// wait lets time pass, a millisecond a turn.
func (p *phone) wait(d time.Duration) {
	p.t.Helper()
	for end := p.now + d; p.now < end; {
		p.now += ms
		p.turn()
	}
}

// say makes the phone's next packet of 20 ms.
func (p *phone) say(payload ...byte) udp.Datagram {
	if len(payload) == 0 {
		payload = speech(int(p.seq))
	}
	d := p.packet(opusPT, payload)
	p.seq++
	p.ts += 960
	return d
}

func (p *phone) packet(pt uint8, payload []byte) udp.Datagram {
	b := make([]byte, rtpx.HeaderSize, 1500)
	rtpx.PutHeader(b, pt, false, p.seq, p.ts, p.ssrc)
	b = append(b, payload...)
	b, err := p.sealer.Seal(make([]byte, 0, len(b)+secure.Overhead), b)
	if err != nil {
		p.t.Fatal(err)
	}
	return udp.Datagram{Port: p.port, Remote: metaAddr, Data: append(make([]byte, 0, 1600), b...)}
}

// speech is a packet of 20 ms SILK wide band that says which one it is.
func speech(n int) []byte { return []byte{9 << 3, byte(n >> 8), byte(n), 7, 7, 7} }

// talk has the phone say packets every 20 ms.
func (p *phone) talk(packets int) {
	p.t.Helper()
	for range packets {
		p.turn(p.say())
		p.wait(20 * ms)
	}
}

// lawful checks everything that was heard against Meta's rules, without knowing how the lane works.
func (p *phone) lawful() {
	p.t.Helper()
	for i := 1; i < len(p.heard); i++ {
		a, b := &p.heard[i-1], &p.heard[i]
		if b.SSRC != testSSRC {
			p.t.Fatalf("packet %d: SSRC %x", i, b.SSRC)
		}
		if b.Sequence != a.Sequence+1 {
			p.t.Fatalf("packet %d: sequence %d after %d", i, b.Sequence, a.Sequence)
		}
		step := int32(b.Timestamp - a.Timestamp)
		if sameEvent := b.PayloadType == eventPT && a.PayloadType == eventPT && step == 0; !sameEvent && (step < 960 || step%960 != 0) {
			p.t.Fatalf("packet %d: timestamp +%d", i, step)
		}
		if drift := time.Duration(int32(b.Timestamp-p.heard[0].Timestamp))*time.Second/48000 - (b.at - p.heard[0].at); b.PayloadType == opusPT && (drift > 150*ms || drift < -150*ms) {
			p.t.Fatalf("packet %d: timestamp is %v off the clock", i, drift)
		}
		if gap := b.at - a.at; gap > 100*ms {
			p.t.Fatalf("packet %d: %v without RTP", i, gap)
		}
		if b.PayloadType == opusPT {
			if n, f := opus.Samples(b.Payload); f != opus.OK || n != 960 {
				p.t.Fatalf("packet %d: %d samples", i, n)
			}
		}
	}
	if s, _ := p.core.Look(p.ref, nil); s.Stats.Violations != 0 {
		p.t.Fatalf("the egress check found %d violations", s.Stats.Violations)
	}
}

func (p *phone) drops() map[string]uint64 {
	s, ok := p.core.Look(p.ref, nil)
	if !ok {
		return p.core.Totals.Drops.ByName()
	}
	return s.Stats.Drops.ByName()
}

func (p *phone) wantDrop(d Drop, n uint64) {
	p.t.Helper()
	if got := p.drops()[d.String()]; got != n {
		p.t.Fatalf("%s counted %d times, want %d; all: %v", d, got, n, p.drops())
	}
}

// events gives the kinds that were told, and forgets them.
func (p *phone) events() []Event { return append([]Event(nil), p.core.Events()...) }

func isSilence(s sent) bool { return bytes.Equal(s.Payload, opus.Silence20) }

func TestClosedGateLetsNothingOut(t *testing.T) {
	p := newRig(t).dial()
	p.core.AttachEcho(p.ref, 1)
	p.core.Select(p.ref, 1)
	p.talk(100)
	if len(p.heard) != 0 || p.rtcp != 0 {
		t.Fatalf("%d RTP and %d RTCP packets before the gate opened", len(p.heard), p.rtcp)
	}
	p.wantDrop(DropGateClosed, 100)
}

func TestSilenceFlowsFromTheInstantTheGateOpens(t *testing.T) {
	p := newRig(t).live()
	opened := p.now
	p.wait(time.Second)
	if n := len(p.heard); n < 50 || n > 51 {
		t.Fatalf("%d packets in a second", n)
	}
	if first := p.heard[0]; first.at-opened > 2*ms || !first.Marker || !isSilence(first) {
		t.Fatalf("first packet after %v, marker %v", first.at-opened, first.Marker)
	}
	for i, s := range p.heard[1:] {
		if s.Marker || s.Timestamp != p.heard[i].Timestamp+960 {
			t.Fatalf("packet %d: marker %v, timestamp +%d", i+1, s.Marker, s.Timestamp-p.heard[i].Timestamp)
		}
	}
	p.lawful()
}

func TestEchoGoesOutInTheTurnItCameIn(t *testing.T) {
	p := newRig(t).live()
	p.core.AttachEcho(p.ref, 1)
	p.core.Select(p.ref, 1)
	p.wait(100 * ms)
	for range 50 {
		before := len(p.heard)
		p.turn(p.say())
		if len(p.heard) != before+1 || isSilence(p.heard[before]) {
			t.Fatal("the frame was not sent in its turn")
		}
		p.wait(20 * ms)
	}
	p.lawful()
	if got := countMarkers(p.heard); got != 2 {
		t.Fatalf("%d markers, want one for the stream and one for the talk spurt", got)
	}
}

func countMarkers(heard []sent) (n int) {
	for _, s := range heard {
		if s.Marker {
			n++
		}
	}
	return n
}

func TestQuietLiveSourceIsFilledWithSilence(t *testing.T) {
	p := newRig(t).live()
	p.core.AttachEcho(p.ref, 1)
	p.core.Select(p.ref, 1)
	p.talk(10)
	for range 5 { // DTX: 400 ms pauses in the source's own timestamps
		p.wait(400 * ms)
		p.ts += 400 * 48
		p.talk(10)
	}
	p.lawful()
	spoken := 0
	for _, s := range p.heard {
		if !isSilence(s) {
			spoken++
		}
	}
	if spoken != 60 {
		t.Fatalf("%d of 60 frames of speech were sent: %v", spoken, p.drops())
	}
}

func TestBurstAfterAStallAddsNoLatency(t *testing.T) {
	p := newRig(t).live()
	p.core.AttachEcho(p.ref, 1)
	p.core.Select(p.ref, 1)
	p.talk(10)
	var stalled []udp.Datagram
	for range 10 {
		stalled = append(stalled, p.say())
	}
	p.wait(200 * ms)
	p.turn(stalled...)
	sent := len(p.heard)
	p.wait(20 * ms)
	p.talk(50)
	p.lawful()
	if p.drops()[DropLaneLate.String()] == 0 {
		t.Fatal("frames whose time had passed were sent")
	}
	lead := time.Duration(int32(p.heard[len(p.heard)-1].Timestamp-p.heard[0].Timestamp))*time.Second/48000 - (p.heard[len(p.heard)-1].at - p.heard[0].at)
	if lead > 45*ms {
		t.Fatalf("the stream stayed %v ahead of the clock after the burst (%d packets before)", lead, sent)
	}
}

func TestSlowerPathIsFollowed(t *testing.T) {
	p := newRig(t).live()
	p.core.AttachEcho(p.ref, 1)
	p.core.Select(p.ref, 1)
	p.talk(10)
	p.wait(150 * ms) // the path got 150 ms longer, for good
	before := len(p.heard)
	p.talk(100)
	p.lawful()
	spoken := 0
	for _, s := range p.heard[before:] {
		if !isSilence(s) {
			spoken++
		}
	}
	if spoken < 80 {
		t.Fatalf("%d of 100 frames were sent after the path got longer: %v", spoken, p.drops())
	}
}

func TestSourceThatDriftsStaysOnTheClock(t *testing.T) {
	for _, ppm := range []int64{-200, 200} {
		p := newRig(t).live()
		p.core.find(p.ref).rare.consent = nil // nobody answers here
		p.core.AttachEcho(p.ref, 1)
		p.core.Select(p.ref, 1)
		step := 20*ms + time.Duration(int64(20*ms)*ppm/1_000_000)
		for range 50 * 60 * 20 { // twenty minutes are four frames of drift a minute
			d := p.say()
			p.now += step
			p.turn(d)
		}
		if n := len(p.heard); n < 59_000 {
			t.Fatalf("%d ppm: %d packets in 20 minutes", ppm, n)
		}
		p.lawful()
	}
}

func TestStoppedProcessSendsNoBurst(t *testing.T) {
	p := newRig(t).live()
	p.wait(time.Second)
	n := len(p.heard)
	p.now += 5 * time.Second // SIGSTOP and SIGCONT
	p.turn()
	p.now += ms
	p.turn()
	if got := len(p.heard) - n; got > 2 {
		t.Fatalf("%d packets at once after a stop of 5 s", got)
	}
	last := p.heard[len(p.heard)-1]
	if ahead := int32(last.Timestamp - p.heard[n-1].Timestamp); ahead < 4900*48 || ahead > 5100*48 {
		t.Fatalf("the timestamp went on by %d samples over a stop of 5 s", ahead)
	}
}

func TestTonesAreSentInEightKilohertzUnits(t *testing.T) {
	p := newRig(t).live()
	p.wait(100 * ms)
	p.core.SendTones(p.ref, []Tone{{Event: 5, Length: 100 * ms, Gap: 60 * ms}, {Event: 5, Length: 100 * ms, Gap: 60 * ms}})
	p.wait(time.Second)
	p.lawful()
	digits := map[uint32]int{}
	last := map[uint32]uint16{}
	markers := 0
	for _, s := range p.heard {
		if s.PayloadType != eventPT {
			continue
		}
		if s.Payload[0] != 5 {
			t.Fatalf("event %d", s.Payload[0])
		}
		if s.Marker {
			markers++
		}
		if s.Payload[1]&0x80 != 0 {
			digits[s.Timestamp]++
			last[s.Timestamp] = binary.BigEndian.Uint16(s.Payload[2:])
		}
	}
	if len(digits) != 2 || markers != 2 {
		t.Fatalf("%d digits, %d markers, want 2 and 2", len(digits), markers)
	}
	for ts, ends := range digits {
		if ends != 3 || last[ts] != 800 {
			t.Fatalf("a digit of 100 ms has %d end packets and duration %d, want 3 and 800", ends, last[ts])
		}
	}
	told := false
	for _, e := range p.events() {
		if e.Kind == TonesSent && e.Count == 2 {
			told = true
		}
	}
	if !told {
		t.Fatal("nobody was told that the digits are sent")
	}
}

func TestTonesReplaceLiveAudioAndThenItGoesOn(t *testing.T) {
	p := newRig(t).live()
	p.core.AttachEcho(p.ref, 1)
	p.core.Select(p.ref, 1)
	p.talk(10)
	p.core.SendTones(p.ref, []Tone{{Event: 1, Length: 200 * ms, Gap: 60 * ms}})
	p.talk(50)
	p.lawful()
	if isSilence(p.heard[len(p.heard)-1]) {
		t.Fatal("the echo did not come back")
	}
	p.wantDrop(DropLaneViolation, 0)
}

func TestTimestampsThatStickOrJumpDoNotStopTheLane(t *testing.T) {
	for name, change := range map[string]func(p *phone){
		"stick":        func(p *phone) { p.ts -= 960 },
		"go back":      func(p *phone) { p.ts -= 5 * 960 },
		"random":       func(p *phone) { p.ts = p.ts*1664525 + 1013904223 },
		"jump forward": func(p *phone) { p.ts += 48000 * 3600 },
	} {
		t.Run(name, func(t *testing.T) {
			p := newRig(t).live()
			p.core.AttachEcho(p.ref, 1)
			p.core.Select(p.ref, 1)
			p.talk(10)
			before := len(p.heard)
			for range 200 {
				change(p)
				p.talk(1)
			}
			p.lawful()
			spoken := 0
			for _, s := range p.heard[before:] {
				if !isSilence(s) {
					spoken++
				}
			}
			if spoken < 150 {
				t.Fatalf("%d of 200 frames were sent: %v", spoken, p.drops())
			}
		})
	}
}
