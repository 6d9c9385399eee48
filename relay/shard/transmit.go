package shard

import (
	"time"

	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx"
	"github.com/onelane/onelane/rtpx/opus"
)

// audio sends a source's frame at a position on the lane.
func (c *Core) audio(now time.Duration, k *call, at int64, payload []byte) {
	l := &k.lane
	if !c.transmit(now, k, l.audioPT, !l.speaking, at, payload) {
		return
	}
	l.last, l.sentAt, l.speaking = at, now, true
	f := sink.Frame{At: at + samples(l.zero-k.zero), Samples: frameSamples, Direction: sink.Business, Payload: payload}
	for t := range k.takers {
		if k.takers[t].direction&sink.Business != 0 {
			c.offer(k.takers[t].queue, &f)
		}
	}
}

// silence sends 20 ms of Opus silence. Queues are not given it: a hole in the positions says the same for less.
func (c *Core) silence(now time.Duration, k *call, at int64) {
	l := &k.lane
	if !c.transmit(now, k, l.audioPT, l.last < 0, at, opus.Silence20) { // the first packet of the stream has the marker
		return
	}
	l.last, l.sentAt, l.speaking = at, now, false
	k.count.silence++
}

// transmit builds a packet to the phone, has it checked and sealed, and puts it into the batch. It tells whether the packet went out.
func (c *Core) transmit(now time.Duration, k *call, payloadType uint8, marker bool, at int64, payload []byte) bool {
	l := &k.lane
	b := c.take()
	if b == nil || len(payload) > udp.MaxDatagram-rtpx.HeaderSize {
		c.drop(k, DropOutFull)
		return false
	}
	b = b[:rtpx.HeaderSize]
	rtpx.PutHeader(b, payloadType, marker, l.seq, l.base+uint32(at), l.ssrc)
	b = append(b, payload...)
	if v := l.egress.check(b, &c.opus); v != Lawful {
		k.count.violations[v]++
		c.Totals.Violations++
		c.drop(k, DropLaneViolation)
		return false
	}
	l.seq++
	n := len(b)
	b, err := k.sealer.Seal(b, b)
	if err != nil {
		c.drop(k, DropSeal)
		return false
	}
	if k.count.sent == 0 {
		c.emit(Event{Owner: k.rare.owner, Kind: FirstSent, At: now})
	}
	k.count.sent++
	k.count.sentBytes += uint64(n)
	c.Totals.PacketsOut++
	k.sender.Sent(now, l.base+uint32(at), n-rtpx.HeaderSize)
	c.put(k.port, k.remote, b)
	return true
}
