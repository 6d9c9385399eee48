package dtmf

import (
	"encoding/binary"
	"time"
)

const (
	// silence is how long an event may go without an update before it is over: updates come each 20 to 50 ms, so that several in a row
	// were lost, or all three end packets were.
	silence = 200 * time.Millisecond
	// straggle is for how long after the last update an earlier timestamp is a straggler of an earlier event, and not a new event of
	// a sender that began afresh: more than a reorder window holds a packet, less than it takes to press again.
	straggle = 500 * time.Millisecond
	// clockRatio is what a segment of a long event moves an audio timestamp by, for each 8 kHz unit.
	clockRatio = 48000 / clockRate
	// segmentAlmost is a duration from which on a sender may begin the next segment: 0xFFFF is no multiple of a packet's length, and
	// some stop at the last one that is, with packets of up to 60 ms.
	segmentAlmost = maxDuration - 480
)

// Detector makes digits of events. An event is known by its timestamp (RFC 4733 section 2.5.1.2), so that the same digit pressed twice is
// two and an end packet that comes three times is one. The digit is told at the first end packet; else when the next event begins,
// or 200 ms after the last update, by Expire. The zero value is ready; it is for one goroutine.
type Detector struct {
	updated  time.Duration
	before   uint32 // duration of the segments before this one
	duration uint32 // of this segment
	ts       uint32
	event    byte
	known    bool // there is an event; it stays known after it was told, so that what follows of it is not a new one
	ended    bool // its end packet was seen
	told     bool
}

// Push takes the payload of a telephone-event packet that arrived at now. ok says that a digit is told: this event's, or the one before it,
// whose end was lost. In the latter case this one may be due already: see Deadline.
func (d *Detector) Push(now time.Duration, ts uint32, payload []byte) (digit Digit, ok bool) {
	if len(payload) < PayloadSize || int(payload[0]) >= len(runes) {
		return Digit{}, false
	}
	event, end := payload[0], payload[1]&0x80 != 0
	duration := uint32(binary.BigEndian.Uint16(payload[2:]))
	switch {
	case !d.known:
		d.begin(ts, event)
	case ts == d.ts:
		// an update, an end packet again, or what is left of an event that was told
	case d.continues(ts, event):
		d.before += d.duration
		d.ts, d.duration = ts, 0
	case d.straggles(now, ts):
		return Digit{}, false
	default:
		digit, ok = d.tell()
		d.begin(ts, event)
	}
	d.updated = now
	d.duration = max(d.duration, duration)
	d.ended = d.ended || end
	if d.ended && !ok {
		return d.tell()
	}
	return digit, ok
}

// Expire tells the digit that Deadline has passed for.
func (d *Detector) Expire(now time.Duration) (digit Digit, ok bool) {
	if at, due := d.Deadline(); !due || now < at {
		return Digit{}, false
	}
	return d.tell()
}

// Deadline is when Expire has a digit to tell if nothing comes before; ok is false when none is pending.
func (d *Detector) Deadline() (at time.Duration, ok bool) {
	if !d.known || d.told {
		return 0, false
	}
	if d.ended {
		return d.updated, true
	}
	return d.updated + silence, true
}

func (d *Detector) begin(ts uint32, event byte) {
	*d = Detector{known: true, ts: ts, event: event}
}

func (d *Detector) tell() (Digit, bool) {
	if d.told {
		return Digit{}, false
	}
	d.told = true
	return Digit{
		Rune:     runes[d.event],
		Duration: time.Duration(d.before+d.duration) * time.Second / clockRate,
	}, true
}

// continues says whether ts begins the next segment of this event (RFC 4733 section 2.5.1.3): it is ahead by the duration of the segment
// that is full. Senders count that in units of the duration or in units of the timestamp.
func (d *Detector) continues(ts uint32, event byte) bool {
	if event != d.event || d.ended {
		return false
	}
	ahead := ts - d.ts
	if ahead == maxDuration || ahead == maxDuration*clockRatio {
		d.duration = maxDuration // its last packets may be lost
		return true
	}
	return d.duration >= segmentAlmost && (ahead == d.duration || ahead == d.duration*clockRatio)
}

// straggles says whether ts is of an event, or of a segment, before this one.
func (d *Detector) straggles(now time.Duration, ts uint32) bool {
	behind := d.ts - ts
	return behind <= maxDuration*clockRatio && now-d.updated < straggle
}
