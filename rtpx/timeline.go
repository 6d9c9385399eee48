package rtpx

import "time"

const (
	// driftWindow is how long the fastest packet is looked for. At 200 ppm, twice what a bad crystal does, two clocks part by 2 ms in
	// it: one frame in a window is ten times what is needed, and a window has 500 packets to find one that met no queue.
	driftWindow = 10 * time.Second
	// driftPackets is how many packets a window needs before its fastest one means anything; with DTX a packet comes each 400 ms.
	driftPackets = 20
	// jumpTicks is how far a timestamp may be from the time it arrives at. Jitter and drift stay far below it: what is beyond jumped,
	// or stuck, or was late in a way that nobody will hear as speech.
	jumpTicks = ClockRate
	// settleTime is how long an anchor that a late packet made is only a guess. When the packet was the first of many that a stalled
	// path or a stopped process held back, the rest comes at once and would run ahead of the clock for minutes.
	settleTime = 500 * time.Millisecond
)

// Timeline maps the RTP timestamps of one source to positions on the call's own clock, 48 kHz since the call's media began. The first
// packet stands where it arrived. From then on the timestamps are followed, so that jitter moves nothing and a pause has its true
// length, but never further from the time of arrival than 1 s, whatever they do. The zero value is ready.
type Timeline struct {
	raw     int64         // where ts stands, not yet held above last
	last    int64         // the position that was returned last
	until   time.Duration // the end of the drift window
	ts      uint32
	fastest int32 // the greatest deviation in the window: positive is ahead of the call's clock
	packets uint32
	started bool
	guessed bool // the anchor is one that a late packet made
}

// Place returns the position of the packet with timestamp ts that arrived at call time now. It never goes back, but it may stand still
// or advance by less than a packet's length: a caller that lays out frames keeps them from overlapping. reanchored says that the
// position was taken from now, because the timestamp was more than 1 s off.
func (t *Timeline) Place(now time.Duration, ts uint32) (at int64, reanchored bool) {
	here := ticks(now)
	if !t.started {
		*t = Timeline{started: true, last: here}
		t.anchor(now, here, ts)
	}
	t.raw += int64(int32(ts - t.ts))
	t.ts = ts
	deviation := t.raw - here
	switch {
	case deviation > jumpTicks || deviation < -jumpTicks:
		t.guessed = deviation < 0
		t.anchor(now, here, ts)
		deviation, reanchored = 0, true
	case t.guessed && deviation > 0 && now < t.until-driftWindow+settleTime:
		t.anchor(now, here, ts)
		deviation = 0
	case now >= t.until && t.packets >= driftPackets:
		deviation += t.correct(now)
	}
	if t.packets == 0 || int32(deviation) > t.fastest {
		t.fastest = int32(deviation)
	}
	t.packets++
	t.last = max(t.last, t.raw)
	return t.last, reanchored
}

func (t *Timeline) anchor(now time.Duration, here int64, ts uint32) {
	t.raw, t.ts = here, ts
	t.until, t.packets = now+driftWindow, 0
}

// correct ends a drift window: the fastest packet had the least of the network's delay in it, so that what is left in it is the drift
// of the two clocks, or an anchor that was late. It moves by a frame at most, which is how much is heard.
func (t *Timeline) correct(now time.Duration) (moved int64) {
	switch {
	case t.fastest >= FrameSamples:
		moved = -FrameSamples
	case t.fastest <= -FrameSamples:
		moved = FrameSamples
	}
	t.raw += moved
	t.until, t.packets = now+driftWindow, 0
	return moved
}
