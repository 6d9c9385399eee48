package shard

import (
	"time"

	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx/dtmf"
)

// The lane is what the phone hears. Any number of sources, one lane a call, and on it one SSRC for life, sequence +1, timestamp +960
// a packet.
//
// Positions on the lane are multiples of 960 samples since the gate opened; the wire timestamp is the position plus a random base
// (RFC 3550 section 5.1). Position 960n is due when n times 20 ms have passed. Sources of two natures meet here:
//
//   - paced ones (silence, a clip, DTMF): the tick sends the frame whose time has come. A tick that comes late (a busy host) sends what
//     is due at once, up to maxLag, so that the phone sees no jump; after a longer stop (SIGSTOP) the timestamp follows the clock
//     and one frame is sent: no burst of stale audio.
//   - live ones (an RTP leg, the echo): sent in the turn they arrive in, at the position that the source's own timestamps give. When
//     a live source is quiet for quietAfter, silence takes over at the clock's position until it speaks again.

const (
	frameSamples = sink.FrameSamples
	frameTime    = 20 * time.Millisecond

	// quietAfter is how long a live source may be late before silence is sent in its place: two lost packets and the wait of the reorder
	// window behind them. Shorter, and the silence would take the place of packets that are there.
	quietAfter = 100 * time.Millisecond
	// spurtSamples: a hole of this length in the source's own timestamps, without loss, ends a talk spurt.
	spurtSamples = 3 * frameSamples
	// maxLead and maxLag bound how far a source's timeline may drift from the clock before a frame is left out or a position skipped:
	// a hundred seconds at 1000 ppm, and no permanent latency after a burst.
	maxLead = 5 * frameSamples
	maxLag  = 5 * frameSamples
	// lateLimit: when everything a source sends has been too late for this long, its path has become longer, and the lane follows.
	lateLimit = 200 * time.Millisecond
)

type sourceKind uint8

const (
	sourceSilence sourceKind = iota
	sourceEcho
	sourceLeg
	sourceClip
)

// lane is the state of one call's outgoing stream. Not for concurrent use; the SSRC, payload types and timestamp base are set before
// the gate opens and never change.
type lane struct {
	open     bool
	kind     sourceKind
	anchored bool // offset is valid
	speaking bool // the last audio was a source's, not silence: no marker
	audioPT  uint8
	dtmfPT   uint8
	source   uint32 // attachment id; 0 for silence
	back     uint32 // what was active before a clip was selected
	ssrc     uint32
	base     uint32 // wire timestamp of position 0
	seq      uint16 // of the next packet
	zero     time.Duration
	sentAt   time.Duration
	last     int64 // position of the last packet
	offset   int64 // lane position minus source position
	heard    int64 // position, on the source's line, of its last frame
	late     time.Duration
	tones    tones
	egress   egress
}

// clock is the position that is due now, on the grid.
func (l *lane) clock(now time.Duration) int64 {
	p := samples(now - l.zero)
	return p - p%frameSamples
}

// due is when the tick has something to send.
func (l *lane) due() time.Duration {
	if !l.open {
		return never
	}
	paced := l.zero + duration(l.last+frameSamples)
	if l.tones.active {
		return paced
	}
	at := max(paced, l.quiet())
	if len(l.tones.queue) > 0 {
		at = min(at, max(paced, l.tones.free))
	}
	return at
}

// quiet is when silence may be sent in the place of the active source.
func (l *lane) quiet() time.Duration {
	if l.live() && l.speaking {
		return l.sentAt + quietAfter
	}
	return 0
}

func (l *lane) live() bool { return l.kind == sourceEcho || l.kind == sourceLeg }

// start opens the lane: silence flows from this instant.
func (l *lane) start(now time.Duration) {
	l.open, l.zero, l.sentAt, l.last = true, now, now, -frameSamples
	l.anchored, l.speaking = false, false
}

// choose makes source id the active one. The stream goes on: the new source takes its place behind the last packet.
func (l *lane) choose(kind sourceKind, id uint32) {
	l.kind, l.source = kind, id
	l.anchored, l.speaking, l.late = false, false, 0
}

// place finds the position of a live source's frame, which stands at own on the source's line, or the reason why it is left out.
func (l *lane) place(now time.Duration, own int64, lost bool) (at int64, ok bool, why Drop) {
	clock, next := l.clock(now), l.last+frameSamples
	spurt := !l.anchored || (own-l.heard >= spurtSamples && !lost) || own < l.heard
	l.heard = own
	if spurt {
		at = max(next, clock)
		l.offset, l.anchored, l.late = at-own, true, 0
		if at-clock > maxLead {
			return 0, false, DropLaneAhead
		}
		return at, true, 0
	}
	at = own + l.offset
	at = l.last + (at-l.last+frameSamples/2)/frameSamples*frameSamples // to the grid
	if at < next {
		// Its place has been taken by silence: a burst after a stall. Sending it all the same would be latency for the rest of the call.
		if l.late == 0 {
			l.late = now
		}
		if now-l.late < lateLimit {
			return 0, false, DropLaneLate
		}
		at = max(next, clock)
		l.offset = at - own
	}
	l.late = 0
	switch {
	case at-clock > maxLead:
		l.offset -= frameSamples
		return 0, false, DropLaneAhead
	case clock-at > maxLag:
		l.offset += clock - at
		at = clock
	}
	return at, true, 0
}

// speak puts a frame of the active live source on the lane, in the turn it arrived in.
func (c *Core) speak(now time.Duration, k *call, f *sink.Frame, own int64) {
	l := &k.lane
	switch {
	case !l.open:
		c.drop(k, DropGateClosed)
		return
	case k.sealer == nil:
		c.drop(k, DropNotReady)
		return
	case f.Samples != frameSamples:
		c.drop(k, DropLaneNot20ms)
		return
	case l.tones.active:
		c.drop(k, DropLaneTone)
		return
	}
	at, ok, why := l.place(now, own, f.Lost > 0)
	if !ok {
		c.drop(k, why)
		return
	}
	c.audio(now, k, at, f.Payload) // what is due only moves later by this: the timer looks again by itself
}

// tickLane sends what is due by the clock. It ends when nothing is, or when a packet could not be sent.
func (c *Core) tickLane(now time.Duration, k *call) {
	l := &k.lane
	for l.open && k.sealer != nil && now >= l.due() {
		at := l.last + frameSamples
		if clock := l.clock(now); clock-at > maxLag {
			at = clock
		}
		c.tick(now, k, at)
		if l.last != at {
			return
		}
	}
}

// tick sends the frame of one position: DTMF, a clip's next frame, or silence.
func (c *Core) tick(now time.Duration, k *call, at int64) {
	l := &k.lane
	if l.tones.active || l.tones.start(now, at) {
		c.tone(now, k, at)
		return
	}
	if l.live() && l.speaking {
		at = max(at, l.clock(now)) // what a live source did not say is a hole: the timestamp follows the clock over it
	}
	if l.kind == sourceClip {
		if p := k.player(l.source); p != nil {
			if b, ok := p.next(); ok {
				c.audio(now, k, at, b)
				return
			}
			c.clipEnded(now, k, p)
		}
	}
	c.silence(now, k, at)
}

// clipEnded tells that a player is through and goes back to what was active before it.
func (c *Core) clipEnded(now time.Duration, k *call, p *player) {
	c.emit(Event{Owner: k.rare.owner, Kind: SourceEnded, At: now, Attachment: p.id, Duration: time.Duration(p.played) * frameTime})
	p.rewind()
	back := k.lane.back
	k.lane.back = 0
	if kind, ok := k.sourceKind(back); ok && back != p.id {
		k.lane.choose(kind, back)
		return
	}
	k.lane.choose(sourceSilence, 0)
}

// tone sends the next packet of the digit in progress. Its timestamp stands still (RFC 4733 section 2.5.1.2), the lane's position goes on.
func (c *Core) tone(now time.Duration, k *call, at int64) {
	l := &k.lane
	var b [4]byte
	n, marker, _, done := l.tones.now.Next(b[:])
	c.transmit(now, k, l.dtmfPT, marker, l.tones.at, b[:n])
	l.last, l.sentAt, l.speaking = at, now, false
	l.anchored = false
	if done {
		if sent := l.tones.finish(now); sent > 0 {
			c.emit(Event{Owner: k.rare.owner, Kind: TonesSent, At: now, Count: sent})
		}
	}
}

// maxTones bounds the digits that wait on a lane: a request may bring 64.
const maxTones = 64

const (
	minTone    = 40 * time.Millisecond
	maxTone    = 5 * time.Second
	defaultGap = 60 * time.Millisecond
)

// bounded makes a length that a peer told into one that the lane sends.
func bounded(d time.Duration) time.Duration { return min(max(d, minTone), maxTone) }

// tone is one digit to send.
type tone struct {
	event  byte
	length time.Duration
	gap    time.Duration
}

// tones is the DTMF of a lane: a bounded queue and the digit in progress.
type tones struct {
	active bool
	now    dtmf.Tone
	gap    time.Duration // of the digit in progress
	at     int64         // position of the digit in progress
	free   time.Duration // when the next digit may start
	sent   int           // digits since the queue was last empty
	queue  []tone        // allocated by the first digit: most calls never send one
}

func (t *tones) add(d tone) bool {
	if len(t.queue) >= maxTones {
		return false
	}
	t.queue = append(t.queue, d)
	return true
}

// start begins the next digit, if one waits and the gap behind the last one has passed.
func (t *tones) start(now time.Duration, at int64) bool {
	if len(t.queue) == 0 || now < t.free {
		return false
	}
	d := t.queue[0]
	t.queue = t.queue[:copy(t.queue, t.queue[1:])]
	t.active, t.at, t.gap = true, at, d.gap
	t.now.Start(d.event, d.length)
	return true
}

// finish ends the digit in progress and returns how many were sent when it was the last that waited.
func (t *tones) finish(now time.Duration) int {
	t.active, t.free = false, now+t.gap
	t.sent++
	if len(t.queue) > 0 {
		return 0
	}
	n := t.sent
	t.sent = 0
	return n
}
