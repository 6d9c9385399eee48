package shard

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx"
)

// LegConfig is what an RTP leg to a SIP media server is made of.
type LegConfig struct {
	Peer      netip.AddrPort // where packets go to and come from; the zero value: learnt from the first valid packet, once
	OpusPT    uint8
	DTMFPT    uint8
	DTMFClock int  // of the telephone-event durations on this leg: 8000 or 48000
	SendOnly  bool // it hears the phone and never speaks to it
	// Permit judges an address that would be learnt; nil: any. It is asked once, when the first valid packet comes.
	Permit func(netip.Addr) bool
}

// rtpLeg is a plain-RTP leg: the phone's frames go out on it in the turn they come in, under one SSRC and sequence of its own, and what
// it sends is a source for the lane. Owned by the shard.
type rtpLeg struct {
	LegConfig
	id       uint32
	port     udp.Port
	ssrc     uint32
	base     uint32
	seq      uint16
	started  bool
	next     int64 // position behind the last frame: anything else starts a talk spurt
	event    int64 // position of the event in progress
	sent     uint64
	received uint64
	rate     bucket
	in       inbound
}

// receiveLeg takes a datagram from the network of the SIP media server.
func (c *Core) receiveLeg(now time.Duration, i int32, k *call, l *rtpLeg, d *udp.Datagram) {
	if ice.Classify(d.Data) != ice.RTP {
		c.drop(k, DropUnknownKind) // RTCP among it: nothing on this leg depends on it
		return
	}
	if l.Peer.IsValid() && d.Remote != l.Peer {
		c.drop(k, DropWrongAddress)
		return
	}
	if !l.rate.take(now) {
		c.drop(k, DropRate)
		return
	}
	if !l.Peer.IsValid() {
		var p rtpx.Packet
		if rtpx.Parse(d.Data, &p) != rtpx.OK || (p.PayloadType != l.OpusPT && p.PayloadType != l.DTMFPT) {
			c.drop(k, DropNoPeer)
			return
		}
		if l.Permit != nil && !l.Permit(d.Remote.Addr()) {
			c.drop(k, DropWrongAddress)
			return
		}
		l.Peer = d.Remote // learnt once; it never changes again
	}
	if l.SendOnly {
		c.drop(k, DropNotActive)
		return
	}
	c.receiveRTP(now, i, k, l, d.Data)
}

// forward sends a frame of the phone on an RTP leg.
func (c *Core) forward(k *call, l *rtpLeg, f *sink.Frame) {
	marker := !l.started || f.At != l.next
	l.next = f.At + int64(f.Samples)
	c.sendLeg(k, l, l.OpusPT, marker, f.At, f.Payload)
}

// forwardEvent sends one telephone-event packet of the phone on an RTP leg, its duration in the leg's clock.
func (c *Core) forwardEvent(k *call, l *rtpLeg, at int64, payload []byte) {
	var b [4]byte
	copy(b[:], payload)
	if l.DTMFClock == 48000 {
		scaleDuration(b[:], 6, 1)
	}
	marker := l.event != at
	l.event = at
	c.sendLeg(k, l, l.DTMFPT, marker, at, b[:])
}

// scaleDuration converts the duration of a telephone-event payload (RFC 4733 section 2.3) from one clock to another.
func scaleDuration(b []byte, times, by uint32) {
	d := uint32(binary.BigEndian.Uint16(b[2:])) * times / by
	binary.BigEndian.PutUint16(b[2:], uint16(min(d, 0xFFFF)))
}

func (c *Core) sendLeg(k *call, l *rtpLeg, payloadType uint8, marker bool, at int64, payload []byte) {
	if !l.Peer.IsValid() {
		c.drop(k, DropNoPeer)
		return
	}
	b := c.take()
	if b == nil {
		c.drop(k, DropOutFull)
		return
	}
	b = b[:rtpx.HeaderSize]
	rtpx.PutHeader(b, payloadType, marker, l.seq, l.base+uint32(at), l.ssrc)
	l.seq++
	l.started = true
	l.sent++
	c.Totals.PacketsOut++
	c.put(l.port, l.Peer, append(b, payload...))
}
