package relay

import (
	"time"

	"github.com/onelane/onelane/relay/shard"
)

// told takes an event of a shard: it becomes an event of the API, and some end the call.
func (s *Server) told(e shard.Event) {
	s.mu.Lock()
	c := s.bySerial[e.Owner]
	s.mu.Unlock()
	if c == nil {
		if e.Kind == shard.Panicked {
			s.log.Error("a fault inside the edge; no call is ended by it", "panic", e.Message)
		}
		return // it ended meanwhile
	}
	at := s.wall(e.At)
	switch e.Kind {
	case shard.FirstSent, shard.FirstHeard:
		c.first(e, at)
	case shard.DigitHeard:
		s.event(c, Event{Time: at, Kind: EventDigit, Digit: string(rune(e.Digit)), Duration: e.Duration})
	case shard.TonesSent:
		s.event(c, Event{Time: at, Kind: EventDigitsSent, Digits: e.Count})
	case shard.SourceEnded:
		s.event(c, Event{Time: at, Kind: EventSourceEnded, Attachment: c.sourceName(e.Attachment), Duration: e.Duration})
	case shard.Quality:
		stats := callStats(&e.Stats)
		s.event(c, Event{Time: at, Kind: EventQuality, Quality: &stats})
	case shard.SSRCChanged:
		s.event(c, Event{Time: at, Kind: EventSSRCChanged, Message: "the phone's stream goes on under another SSRC"})
	case shard.SRTPDesync:
		s.event(c, Event{Time: at, Kind: EventSRTPDesync, Message: "packets from the phone fail their SRTP tag whatever rollover counter is tried: one side lost count over a wrap, or the keys differ; end the call"})
	case shard.ConsentLost:
		s.event(c, Event{Time: at, Kind: EventConsentLost, Message: "no valid answer to a consent check for 30 s"})
		c.end(EndConsentLost, "no valid answer to a consent check for 30 s (RFC 7675): the peer is gone or unreachable")
	case shard.Panicked:
		s.log.Error("a call failed inside the edge and is ended; others are not affected", "call", c.key, "panic", e.Message)
		c.end(EndInternal, "a fault inside the edge; the log has the details")
	}
}

// first notes the first packet of a direction.
func (c *Call) first(e shard.Event, at time.Time) {
	c.mu.Lock()
	st := &c.state
	since := e.At - st.started
	kind := EventFirstPacketSent
	if e.Kind == shard.FirstSent {
		st.timings.FirstSent = since
	} else {
		kind = EventFirstPacketReceived
		st.timings.FirstHeard = since
	}
	c.mu.Unlock()
	c.server.event(c, Event{Time: at, Kind: kind, Since: since})
	if kind == EventFirstPacketReceived {
		c.releaseDTLS() // as DTLS server we had to wait for proof that the client has our last flight
	}
}
