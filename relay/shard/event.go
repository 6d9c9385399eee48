package shard

import (
	"fmt"
	"runtime/debug"
	"time"
)

// EventKind names what the data plane tells the control plane.
type EventKind uint8

const (
	FirstSent   EventKind = 1 + iota // the first RTP packet to the phone
	FirstHeard                       // the first authentic RTP packet from the phone
	DigitHeard                       // the phone pressed a key
	TonesSent                        // the DTMF that was asked for has been sent
	SourceEnded                      // a player came to its end
	Quality                          // every ten seconds of a live call
	SSRCChanged                      // the phone's stream was taken over by another SSRC
	SRTPDesync                       // packets of the phone fail to open whatever rollover counter is tried
	ConsentLost                      // no valid consent answer for 30 s: the call is dead
	Panicked                         // a fault of ours: the call is dead
)

// Event is one thing that happened. Fields that the kind does not use are zero.
type Event struct {
	Owner      uint64 // NewCall.Owner; 0 if no call is concerned
	Kind       EventKind
	At         time.Duration // now
	Digit      byte
	Duration   time.Duration // of the digit, or of the audio that was played
	Count      int           // digits sent
	Attachment uint32
	Stats      Stats
	Message    string
}

// emit keeps an event until the loop hands it on, after the turn.
func (c *Core) emit(e Event) {
	if len(c.events) >= maxEvents {
		c.Totals.EventsLost++
		return
	}
	c.events = append(c.events, e)
}

// report describes a panic: with its stack, and no packet, address or id.
func report(p any) string {
	stack := debug.Stack()
	if len(stack) > 4096 {
		stack = stack[:4096]
	}
	return fmt.Sprintf("%v\n%s", p, stack)
}

// panicked ends the call that was being worked on.
func (c *Core) panicked(now time.Duration, p any) {
	c.Totals.Panics++
	e := Event{Kind: Panicked, At: now, Message: report(p)}
	if c.busy != noCall {
		if k := c.at(c.busy); k.used && !k.dead {
			k.dead = true
			c.wheel.disarm(c.busy)
			e.Owner = k.rare.owner
		}
	}
	c.emit(e)
}

// Events hands over what happened since the last call, and forgets it. The slice is valid until the next Turn.
func (c *Core) Events() []Event {
	e := c.events
	c.events = c.events[:0]
	return e
}
