package rules

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtp"
)

// What is tolerated of a stream. A sender that keeps the rules stays far inside; a jump that a phone would hear is far outside.
const (
	// aheadSlack: over a gap the timestamp may run ahead of the clock by a packet's length (a sender that keeps to a grid of 20 ms
	// rounds up) and 5 ms of jitter.
	aheadSlack = 25 * time.Millisecond
	// gapLeast: a timestamp step of more than a packet needs a gap of more than a packet in time. 20 ms packets come 20 ms apart, give
	// or take a few; 30 is nearer to two of them.
	gapLeast = 30 * time.Millisecond
	// stallSlack: a step without a gap that leaves the timestamp no further ahead of the clock than this was a gap at the sender: what
	// came after it waited here with what came before, because this process was not scheduled.
	stallSlack = 10 * time.Millisecond
	// driftLimit: how far the line of timestamps may leave the clock, fastest packet against fastest packet of the 5 s before:
	// 200 ppm are 1 ms in that time, all else is audio sent too fast or a pause that the timestamps did not follow.
	driftLimit = 200 * time.Millisecond
	window     = 5 * time.Second
	// startLimit is the limit ahead of the clock until there is a whole window to compare with: the very first packets may have waited
	// for a busy reader.
	startLimit = time.Second
	// lossSlack: packets in flight when a gap is measured, and the end packets of a digit, which share one tick.
	lossSlack = 5
	// backLimit: how far a packet may be overtaken on a lossy network.
	backLimit = 100
)

// stream follows one SSRC's sequence numbers and timestamps.
type stream struct {
	lossy   bool
	started bool
	ssrc    uint32
	seq     uint16 // highest
	missing int
	arrived time.Duration // of the highest
	placed  bool
	ts      uint32 // of the last audio packet or of the last event's start
	at      int64  // the same, counted on from 0
	after   bool   // an event came after the last audio packet
	tone    tone
	line    line
}

// tone is the DTMF event being sent.
type tone struct {
	known    bool
	ts       uint32
	code     byte
	duration uint16
	ended    bool
}

// sequence judges the sequence number and says how many steps the packet is ahead of the highest before; 0 for one that is to be
// ignored: doubled or overtaken.
func (s *stream) sequence(l *ledger, now time.Duration, h *rtp.Header) (step int) {
	if !s.started {
		s.started, s.ssrc, s.seq, s.arrived = true, h.SSRC, h.SequenceNumber, now
		return 1
	}
	step = int(int16(h.SequenceNumber - s.seq))
	elapsed := now - s.arrived
	switch {
	case step == 1:
	case step <= 0 && s.lossy && step > -backLimit:
		if step < 0 && s.missing > 0 {
			s.missing--
		}
		return 0
	case step <= 0:
		l.add(SequenceJump, now, "sequence %d after %d: back by %d", h.SequenceNumber, s.seq, -step)
		if step > -backLimit {
			return 0
		}
	case s.lossy && step-1 <= int(elapsed/(20*time.Millisecond))+lossSlack: // as many as the time had room for
		s.missing += step - 1
	default:
		s.missing += step - 1
		l.add(SequenceJump, now, "sequence %d after %d: %d missing in %v", h.SequenceNumber, s.seq, step-1, elapsed.Round(time.Millisecond))
	}
	s.seq, s.arrived = h.SequenceNumber, now
	return step
}

// audio judges an Opus packet's place in sequence and time.
func (s *stream) audio(l *ledger, now time.Duration, h *rtp.Header) {
	elapsed := now - s.arrived
	step := s.sequence(l, now, h)
	if step == 0 {
		return
	}
	if s.placed {
		s.advance(l, now, h, step, elapsed)
	}
	s.place(l, now, h.Timestamp)
	s.after = false
}

// advance judges the step from the timestamp before to this packet's.
func (s *stream) advance(l *ledger, now time.Duration, h *rtp.Header, step int, elapsed time.Duration) {
	d := int64(int32(h.Timestamp - s.ts))
	ahead := s.line.ahead(now, s.at+d)
	switch {
	case d <= 0:
		l.add(TimestampJump, now, "timestamp %d after %d: back by %d", h.Timestamp, s.ts, -d)
	case d == samplesPerTick && step == 1:
	case d < samplesPerTick && !s.after:
		l.add(TimestampJump, now, "timestamp %d after %d: +%d is less than a packet", h.Timestamp, s.ts, d)
	case ahead > aheadSlack:
		l.add(TimestampJump, now, "timestamp %d after %d: +%d in %v runs ahead of the clock by %v",
			h.Timestamp, s.ts, d, elapsed.Round(time.Millisecond), ahead.Round(time.Millisecond))
	case step == 1 && !s.after && !s.lossy && (elapsed < gapLeast && ahead > stallSlack || d < samplesPerTick*3/2):
		l.add(TimestampJump, now, "timestamp %d after %d: +%d without a gap (%v)", h.Timestamp, s.ts, d, elapsed.Round(time.Millisecond))
	}
}

// place moves the line of timestamps on.
func (s *stream) place(l *ledger, now time.Duration, ts uint32) {
	if s.placed {
		s.at += int64(int32(ts - s.ts))
	}
	s.placed, s.ts = true, ts
	if off, bad := s.line.push(now, s.at); bad {
		verb := "behind"
		if off > 0 {
			verb = "ahead of"
		}
		l.add(TimestampJump, now, "the timestamps went %v %s the clock within %v", off.Abs().Round(time.Millisecond), verb, window)
	}
}

// event judges a DTMF packet: one timestamp an event, which is the event's start on the audio's line, and durations in 8 kHz units.
func (s *stream) event(l *ledger, now time.Duration, h *rtp.Header, payload []byte) {
	elapsed := now - s.arrived
	step := s.sequence(l, now, h)
	if step == 0 {
		return
	}
	if len(payload) != 4 {
		l.add(DTMFClock, now, "sequence %d: an event of %d bytes", h.SequenceNumber, len(payload))
		return
	}
	code, end, duration := payload[0], payload[1]&0x80 != 0, binary.BigEndian.Uint16(payload[2:])
	if s.tone.known && h.Timestamp == s.tone.ts {
		s.continues(l, now, h, step, code, end, duration)
		return
	}
	if s.placed {
		if h.Timestamp == s.ts && !s.after {
			l.add(TimestampJump, now, "an event has the timestamp %d of the audio packet before it", h.Timestamp)
		} else {
			s.advance(l, now, h, step, max(elapsed, gapLeast)) // the last packet of the event before may be recent
		}
	}
	s.place(l, now, h.Timestamp)
	s.after = true
	s.tone = tone{known: true, ts: h.Timestamp, code: code, duration: duration, ended: end}
	if !s.lossy && duration > 3*160 {
		l.add(DTMFClock, now, "an event starts with a duration of %d; 20 ms are 160 units of 8 kHz", duration)
	}
}

func (s *stream) continues(l *ledger, now time.Duration, h *rtp.Header, step int, code byte, end bool, duration uint16) {
	grown := int(duration) - int(s.tone.duration)
	switch {
	case code != s.tone.code:
		l.add(TimestampJump, now, "event %d has the timestamp %d of event %d", code, h.Timestamp, s.tone.code)
	case s.tone.ended && !end:
		l.add(DTMFClock, now, "event %d goes on after its end", code)
	case s.tone.ended && grown != 0:
		l.add(DTMFClock, now, "event %d: the end packets say %d and %d", code, s.tone.duration, duration)
	case grown < 0, grown > 160*step, !end && grown%160 != 0:
		l.add(DTMFClock, now, "event %d grew from %d to %d in %d packets; 20 ms are 160 units of 8 kHz", code, s.tone.duration, duration, step)
	}
	s.tone.duration, s.tone.ended = duration, s.tone.ended || end
	s.after = true
}

// line follows how far the timestamps are ahead of the clock: only delay can make a packet late, so the fastest packet of a window is the
// truth about the sender's clock.
type line struct {
	started   bool
	since     time.Duration // the current window's start
	now, last time.Duration // fastest packet of the current window and of the one before, as time ahead of the clock
	whole     bool          // last is of a whole window
}

func (n *line) of(now time.Duration, at int64) time.Duration {
	return time.Duration(at)*time.Second/48000 - now
}

// ahead says by how much a packet would be ahead of the fastest so far.
func (n *line) ahead(now time.Duration, at int64) time.Duration {
	if !n.started {
		return 0
	}
	best := n.now
	if n.whole {
		best = max(best, n.last)
	}
	return n.of(now, at) - best
}

// push takes a packet's place and says when the line has left the clock, and how far.
func (n *line) push(now time.Duration, at int64) (off time.Duration, bad bool) {
	v := n.of(now, at)
	if !n.started {
		n.started, n.since, n.now, n.last = true, now, v, v
		return 0, false
	}
	n.now = max(n.now, v)
	limit := driftLimit
	if !n.whole {
		limit = startLimit
	}
	if off = n.now - n.last; off > limit {
		n.last = n.now
		return off, true
	}
	if now-n.since < window {
		return 0, false
	}
	bad = n.whole && off < -driftLimit
	n.last, n.now, n.since, n.whole = n.now, v, now, true
	return off, bad
}
