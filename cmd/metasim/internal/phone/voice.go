package phone

import (
	"math/rand/v2"
	"time"

	"github.com/pion/rtp"
)

const tick = 20 * time.Millisecond

// catchUp is how far the phone may fall behind before it drops audio instead of sending it in a burst.
const catchUp = 500 * time.Millisecond

// dtxEvery is the comfort packet of a silent phone.
const dtxEvery = 20 // ticks: 400 ms

// packet is one RTP packet on its way, and how long the network holds it back.
type packet struct {
	header  rtp.Header
	payload []byte
	delay   time.Duration
}

// voice is the phone's RTP stream, paced from one origin. It has no clock and sends nothing itself.
type voice struct {
	plan    *Scenario
	frames  [][]byte
	random  *rand.Rand
	opus    uint8
	dtmf    uint8
	ssrc    uint32
	started bool
	origin  time.Duration
	n       int64 // next tick
	seq     uint16
	ts      uint32 // of tick 0
	gap     bool   // the next audio packet begins a talk spurt
	digit   int    // next of the plan
	tone    struct {
		on    bool
		code  byte
		first int64 // tick
		ticks int64
	}
	out []packet // of one turn

	sent, dropped, digits uint64
	bytes                 uint64
	lastTS                uint32
}

// start makes now the origin.
func (v *voice) start(now time.Duration) {
	v.started, v.origin, v.gap = true, now, true
	v.seq, v.ts = uint16(v.random.Uint32()), v.random.Uint32()
}

// due returns what is to be sent now, valid until the next call, and when it wants to be called again.
func (v *voice) due(now time.Duration) ([]packet, time.Duration) {
	v.out = v.out[:0]
	for v.at(v.n) <= now {
		if now-v.at(v.n) > catchUp {
			v.gap = true // audio that nobody wants to hear any more; the timestamps follow the clock
		} else {
			v.step(now)
		}
		v.n++
	}
	return v.out, v.at(v.n)
}

func (v *voice) at(n int64) time.Duration { return v.origin + time.Duration(n)*tick }

func (v *voice) step(now time.Duration) {
	since := time.Duration(v.n) * tick
	for _, m := range v.plan.Mute {
		if since >= millis(m.AtMS) && since < millis(m.AtMS+m.DurationMS) {
			v.gap = true
			return
		}
	}
	if !v.tone.on && v.digit < len(v.plan.Digits) && since >= millis(v.plan.Digits[v.digit].AtMS) {
		d := v.plan.Digits[v.digit]
		v.digit++
		v.tone.on, v.tone.first, v.tone.ticks = true, v.n, max(1, int64(d.length()/tick))
		for i := range events {
			if events[i] == d.Digit[0] {
				v.tone.code = byte(i)
			}
		}
	}
	if v.tone.on {
		v.press()
		return
	}
	frame, quiet := v.frame()
	if v.plan.DTX && quiet && v.n%dtxEvery != 0 {
		v.gap = true
		return
	}
	v.send(v.opus, v.gap, v.n, frame)
	v.gap = false
}

// frame is the audio of this tick.
func (v *voice) frame() (b []byte, quiet bool) {
	n := v.n
	if v.plan.Repeat && len(v.frames) > 0 {
		n %= int64(len(v.frames))
	}
	if n >= int64(len(v.frames)) {
		return silence, true
	}
	return v.frames[n], len(v.frames[n]) <= len(silence)
}

// press sends this tick's packet of the digit: the timestamp is the digit's start, the duration counts 8 kHz units (RFC 4733 section
// 2.3), and the last one goes out three times.
func (v *voice) press() {
	elapsed := v.n - v.tone.first + 1
	units := uint16(elapsed * 160)
	end := elapsed >= v.tone.ticks
	event := [4]byte{v.tone.code, 10, byte(units >> 8), byte(units)} // volume -10 dBm0
	if !end {
		v.send(v.dtmf, elapsed == 1 && !v.plan.MarkerOnEnds, v.tone.first, event[:])
		return
	}
	event[1] |= 0x80
	for i := range 3 {
		v.send(v.dtmf, v.plan.MarkerOnEnds || (i == 0 && elapsed == 1), v.tone.first, event[:])
	}
	v.tone.on = false
	v.digits++
}

// send gives a packet its number and to the network.
func (v *voice) send(pt uint8, marker bool, at int64, payload []byte) {
	p := packet{payload: payload, header: rtp.Header{
		Version: 2, PayloadType: pt, Marker: marker, SSRC: v.ssrc,
		SequenceNumber: v.seq, Timestamp: v.ts + uint32(at)*frameSamples,
	}}
	v.seq++
	v.lastTS = p.header.Timestamp
	net := &v.plan.Network
	if net.Loss > 0 && v.random.Float64() < net.Loss {
		v.dropped++
		return
	}
	if net.JitterMS > 0 {
		p.delay = time.Duration(v.random.Int64N(int64(millis(net.JitterMS))))
	}
	if net.Reorder > 0 && v.random.Float64() < net.Reorder {
		p.delay += 30*time.Millisecond + time.Duration(v.random.Int64N(int64(30*time.Millisecond)))
	}
	v.sent++
	v.bytes += uint64(len(payload))
	p.payload = append([]byte(nil), payload...)
	v.out = append(v.out, p)
	if net.Duplicate > 0 && v.random.Float64() < net.Duplicate {
		v.out = append(v.out, p)
	}
}
