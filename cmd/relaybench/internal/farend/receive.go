//go:build linux

package farend

import (
	"encoding/binary"
	"time"
)

// rounds bounds how many batches are read before packets are sent again: a flood must not stop the clock.
const rounds = 32

// maxMissing is how far a sequence number may jump and still be loss: two seconds of audio.
const maxMissing = 100

func (e *Exchange) receive() {
	for range rounds {
		n := e.socket.receive()
		for i := range n {
			e.datagram(e.socket.datagram(i))
		}
		if n < batchSize {
			return
		}
	}
}

// datagram finds out what it is by its first byte (RFC 7983) and whose by its source.
func (e *Exchange) datagram(d received) {
	if len(d.bytes) < headerSize {
		e.tally.Own.Strays++
		return
	}
	first := d.bytes[0]
	if first < 4 {
		e.check(d)
		return
	}
	p := e.byPort[port(d.name)]
	if p == nil || p.peer.remote.Addr().As4() != d.name.Addr {
		if p = e.others[address(d.name)]; p == nil {
			e.tally.Own.Strays++
			return
		}
	}
	switch {
	case first >= 20 && first < 64:
		p.peer.conn.Deliver(d.bytes, p.peer.remote)
	case first < 128 || first > 191:
		e.tally.Own.Strays++
	case d.bytes[1] >= 192 && d.bytes[1] < 224: // RTCP (RFC 5761 section 4)
		e.tally.Reports++
	case p.media.receive != nil: // before, it is media that overtook the handshake
		e.media(p, d)
	}
}

// media judges one packet of the relay.
func (e *Exchange) media(p *Phone, d received) {
	counting := p.media.end != p.media.first
	b, err := p.media.receive.open(d.bytes)
	if err != nil {
		if counting {
			e.tally.Continuity.Unopened++
		}
		return
	}
	if p.peer.listening {
		p.peer.listening = false
		close(p.peer.heard)
	}
	stamp := d.stamp
	if stamp == 0 {
		stamp = time.Now().UnixNano()
		e.tally.Own.Unstamped++
	}
	e.continuity(p, b, stamp, counting)
	id, number, ok := mark(b[headerSize:])
	switch {
	case !ok:
		if counting {
			e.tally.Foreign++
		}
	case id != p.id:
		if counting {
			e.tally.Continuity.Form++ // another call's audio
		}
	case number < p.media.number && number >= e.oldest(p):
		e.arrived(p, number, stamp)
	}
}

// arrived takes a packet that is back.
func (e *Exchange) arrived(p *Phone, number uint32, stamp int64) {
	m := &p.media
	at := &m.flight[number%flights]
	sent := *at
	if sent == 0 {
		return
	}
	counted := m.counted(number)
	if sent < 0 {
		if counted {
			e.tally.Duplicates++
		}
		return
	}
	*at = -sent
	behind := number < m.newest
	m.newest = max(m.newest, number+1)
	if !counted {
		return
	}
	latency := time.Duration(stamp - sent)
	e.tally.Received++
	e.tally.Latency.Add(latency)
	if behind {
		e.tally.Reordered++
	}
	s := e.tally.second(sent, e.began)
	s.Received++
	s.Total += latency
	s.Latency = max(s.Latency, latency)
}

// continuity follows the relay's stream. It always does, so that nothing is missed between windows, and counts when counting.
func (e *Exchange) continuity(p *Phone, b []byte, stamp int64, counting bool) {
	s := &p.stream
	var found Continuity
	sequence, timestamp := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:])
	kind := b[1] & 0x7f
	if b[0] != 0x80 || kind != payloadType && kind != eventType {
		found.Form++
	}
	if binary.BigEndian.Uint32(b[8:]) != p.peer.ssrc {
		found.SSRC++
	}
	ahead := int16(sequence - s.sequence)
	passed := int32(timestamp - s.timestamp)
	advance := !s.started
	switch {
	case !s.started:
	case ahead < 0 && ahead >= -maxMissing:
		found.Missing-- // it was counted when it was overtaken
	case ahead <= 0 || ahead > maxMissing:
		found.Sequence++
		advance = true
	default:
		advance = true
		found.Missing += int64(ahead) - 1
		if passed < frameSamples*int32(ahead) || passed%frameSamples != 0 {
			found.Timestamp++
		} else if ahead == 1 && passed > int32(e.clock.period/frameTime)*frameSamples {
			found.TimestampGaps++
		}
		if counting && passed > 0 {
			should := time.Duration(passed) * time.Second / 48000
			e.tally.Pacing.Add((time.Duration(stamp-s.stamp) - should).Abs())
		}
	}
	if advance {
		*s = stream{true, sequence, timestamp, stamp}
	}
	if counting {
		e.tally.Continuity.add(found)
	}
}

func (c *Continuity) add(o Continuity) {
	c.Form += o.Form
	c.SSRC += o.SSRC
	c.Sequence += o.Sequence
	c.Timestamp += o.Timestamp
	c.Missing += o.Missing
	c.TimestampGaps += o.TimestampGaps
	c.Unopened += o.Unopened
}
