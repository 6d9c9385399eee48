package main

import "time"

const (
	// margin keeps windows off the places where something changes.
	margin = 300 * time.Millisecond
	// settle is how long a stream may take to find its place: codec start-up, the first jitter.
	settle = 500 * time.Millisecond
	// shortest window that is compared: shorter ones hold too few words to tell speech from speech.
	shortest = 2 * time.Second
	// slip is how far one stream may move against its clip within a call: a packet. More is a gap that was not filled, or audio twice.
	slip = 20 * time.Millisecond
)

// window is a stretch of a call in which both sides say one thing each. Times are on the recording's clock, which starts with the
// call's media: when the gate opens or with the phone's first packet, whichever is first.
type window struct {
	name     string
	from, to time.Duration
	caller   heard // what is to be on the caller's channel
	business heard // what is to be on the business's channel
	absent   heard // of the business's clips: what is not to be on the caller's channel
	rival    heard // what is not to be on the business's channel
}

// heard is a clip whose beginning is at a time of the recording's clock.
type heard struct {
	clip  string
	begin time.Duration
}

// began is when the call's media did.
func (m *marks) began() time.Time {
	if m.firstHeard.Before(m.gate) {
		return m.firstHeard
	}
	return m.gate
}

// windows are what both sides said when. The welcome begins with the first packet and is pushed back by the digits that we send, which
// the search range covers.
func (c *call) windows() []window {
	m := &c.marks
	since := func(t time.Time) time.Duration { return t.Sub(m.began()) }
	caller := heard{"caller", since(m.firstHeard)}
	first := heard{welcome, since(m.firstSent)}
	all := []window{
		{name: "before the digits", from: max(caller.begin, first.begin) + settle, to: since(m.tonesFrom) - margin,
			caller: caller, business: first, absent: first, rival: caller},
		{name: "after the digits", from: since(m.tonesTo) + margin, to: since(m.switched) - margin,
			caller: caller, business: first, absent: first, rival: caller},
	}
	switched := window{name: "after the switch to " + c.second, from: since(m.switched) + margin, to: since(m.ended) - margin,
		caller: caller, business: heard{c.second, since(m.switched)}, rival: caller}
	switched.absent = switched.business
	if c.second == echo {
		// The phone hears its own voice, so what must not be there is what was played before.
		switched.business, switched.absent, switched.rival = caller, first, first
	}
	return append(all, switched)
}
