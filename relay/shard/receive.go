package shard

import (
	"time"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/secure"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/rtpx"
	"github.com/onelane/onelane/rtpx/dtmf"
	"github.com/onelane/onelane/rtpx/opus"
)

// The functions of this file stand in the order in which a packet passes them, which is the order of trust.

// receive takes one datagram from the wire.
func (c *Core) receive(now time.Duration, d *udp.Datagram) {
	c.busy = noCall
	if int(d.Port) >= len(c.ports) || c.ports[d.Port].call == noCall {
		c.drop(nil, DropNoLeg)
		return
	}
	ref := c.ports[d.Port]
	k := c.at(ref.call)
	c.busy = ref.call
	switch {
	case k.dead:
		c.drop(k, DropNoLeg)
	case len(d.Data) == 0:
		c.drop(k, DropEmpty)
	case cap(c.out)-len(c.out) < outReserve:
		c.drop(k, DropOutFull)
	case ref.leg == metaLeg:
		c.receiveMeta(now, ref.call, k, d)
	default:
		c.receiveLeg(now, ref.call, k, k.legs[ref.leg], d)
	}
}

// receiveMeta tells apart what shares the port (RFC 7983 section 7).
func (c *Core) receiveMeta(now time.Duration, i int32, k *call, d *udp.Datagram) {
	switch ice.Classify(d.Data) {
	case ice.RTP:
		c.receiveSRTP(now, i, k, d)
	case ice.RTCP:
		c.receiveSRTCP(now, k, d)
	case ice.STUN:
		c.receiveSTUN(now, k, d)
	case ice.DTLS:
		// DTLS is taken from the pair that passed a check and from nowhere else; what comes before that waits for it.
		if !k.remote.IsValid() && k.rare.setup != nil {
			k.rare.early = early{port: d.Port, remote: d.Remote, b: append(k.rare.early.b[:0], d.Data...)}
		} else if !k.nominated(d) {
			c.drop(k, DropWrongAddress)
		} else if k.rare.dtls == nil {
			c.drop(k, DropNoSetup)
		} else {
			c.deliver(k, k.rare.dtls, d)
		}
	default:
		c.drop(k, DropUnknownKind)
	}
}

// nominated tells whether a datagram came over the nominated pair.
func (k *call) nominated(d *udp.Datagram) bool { return d.Port == k.port && d.Remote == k.remote }

// admit tells whether a sealed packet is worth opening: keys are there, it came over the nominated pair, and not too many came.
func (c *Core) admit(now time.Duration, k *call, d *udp.Datagram) bool {
	switch {
	case k.opener == nil:
		c.drop(k, DropBeforeKeys)
	case !k.nominated(d):
		c.drop(k, DropWrongAddress)
	case !k.rate.take(now):
		c.drop(k, DropRate)
	default:
		return true
	}
	return false
}

// receiveSRTP opens an SRTP packet in place: replay window, then tag. Nothing in a packet is believed before this.
func (c *Core) receiveSRTP(now time.Duration, i int32, k *call, d *udp.Datagram) {
	if !c.admit(now, k, d) {
		return
	}
	b, err := k.opener.Open(d.Data)
	if err != nil {
		switch err {
		case secure.ErrReplay:
			c.drop(k, DropReplay)
		case secure.ErrAuth:
			c.drop(k, DropAuth)
			c.desync(now, k)
		default:
			c.drop(k, DropMalformed)
		}
		return
	}
	if k.count.received == 0 {
		c.begin(now, k)
		c.emit(Event{Owner: k.rare.owner, Kind: FirstHeard, At: now})
	}
	k.count.received++
	k.count.receivedBytes += uint64(len(b))
	c.receiveRTP(now, i, k, nil, b)
}

// receiveRTP takes one RTP packet that may be believed: from the phone (leg is nil) or from an RTP leg.
func (c *Core) receiveRTP(now time.Duration, i int32, k *call, leg *rtpLeg, b []byte) {
	in, audio, events, ours := &k.in, k.lane.audioPT, k.lane.dtmfPT, k.lane.ssrc
	if leg != nil {
		in, audio, events, ours = &leg.in, leg.OpusPT, leg.DTMFPT, leg.ssrc
	}
	var p rtpx.Packet
	if rtpx.Parse(b, &p) != rtpx.OK {
		c.drop(k, DropMalformed)
		return
	}
	if p.PayloadType != audio && p.PayloadType != events && !(in.started && p.SSRC == in.ssrc) {
		c.drop(k, DropPayloadType) // of the stream we follow it goes on as far as its place in the sequence: it is no loss
		return
	}
	switch in.guard.Admit(p.SSRC, p.Sequence, ours) {
	case rtpx.GuardProbation:
		c.drop(k, DropProbation)
		return
	case rtpx.GuardLoop:
		c.drop(k, DropLoop)
		return
	case rtpx.GuardTakeover:
		if in.started && leg == nil {
			c.emit(Event{Owner: k.rare.owner, Kind: SSRCChanged, At: now})
		}
		c.restart(in, p.SSRC)
	case rtpx.GuardRestart:
		c.restart(in, p.SSRC)
	}
	c.Totals.PacketsIn++
	seq := in.ext.Extend(p.Sequence)
	if p.PayloadType == audio {
		in.stats.Receive(now, seq, p.Timestamp)
	} else {
		in.stats.Count(seq)
	}
	verdict, lost := in.window.Offer(now, seq, &p, c.pool)
	switch verdict {
	case rtpx.Duplicate:
		c.drop(k, DropDuplicate)
	case rtpx.Late:
		c.drop(k, DropLate)
	case rtpx.Held:
		c.release(now, i, k, leg, in)
		c.rearm(i, k)
	default:
		c.packet(now, i, k, leg, &p, lost)
		if _, holding := in.window.Deadline(); holding {
			c.release(now, i, k, leg, in)
		}
	}
}

// restart forgets the sequence and timestamps of a stream that begins anew, mostly because another SSRC has taken it over.
func (c *Core) restart(in *inbound, ssrc uint32) {
	in.window.Reset(c.pool)
	in.ext = rtpx.Extender{}
	in.line = rtpx.Timeline{}
	in.fresh = true
	in.stats.Restart()
	if in.cutter != nil {
		in.cutter.Reset()
	}
	in.started, in.ssrc = true, ssrc
}

// release passes on the packets that waited and are in order now, or whose gap is given up.
func (c *Core) release(now time.Duration, i int32, k *call, leg *rtpLeg, in *inbound) {
	for {
		var p rtpx.Packet
		_, lost, buf, ok := in.window.Next(now, &p, c.pool)
		if !ok {
			return
		}
		c.packet(now, i, k, leg, &p, lost)
		c.pool.Put(buf)
	}
}

// releaseWindow does the same by the clock, and tells digits whose end was lost.
func (c *Core) releaseWindow(now time.Duration, i int32, k *call) {
	if k.in.due() <= now {
		c.release(now, i, k, nil, &k.in)
		if d, ok := k.in.digits.Expire(now); ok {
			c.digit(now, i, k, nil, d)
		}
	}
	for _, leg := range k.legs {
		if leg != nil && leg.in.due() <= now {
			c.release(now, i, k, leg, &leg.in)
			if d, ok := leg.in.digits.Expire(now); ok {
				c.digit(now, i, k, leg, d)
			}
		}
	}
}

// packet takes one RTP packet in order; lost packets are missing right before it.
func (c *Core) packet(now time.Duration, i int32, k *call, leg *rtpLeg, p *rtpx.Packet, lost int) {
	in, audio, events := &k.in, k.lane.audioPT, k.lane.dtmfPT
	if leg != nil {
		in, audio, events = &leg.in, leg.OpusPT, leg.DTMFPT
	}
	if lost > 0 {
		in.lost = uint16(min(int(in.lost)+lost, 0xFFFF))
	}
	switch p.PayloadType {
	case audio:
	case events:
		c.telephoneEvent(now, i, k, leg, in, p)
		return
	default:
		c.drop(k, DropPayloadType)
		return
	}
	if len(p.Payload) == 0 { // padding only: some senders probe the bandwidth with it
		c.drop(k, DropPadding)
		return
	}
	n, ok := length(p.Payload, &c.opus)
	if !ok {
		c.drop(k, DropOpus)
		return
	}
	if leg != nil && !k.begun {
		c.drop(k, DropNotReady)
		return
	}
	in.advance(p.Timestamp, int64(n))
	at, _ := in.line.Place(now-k.zero, p.Timestamp)
	if n == sink.FrameSamples && (in.cutter == nil || in.cutter.Pending() == 0) {
		c.frame(now, k, leg, in, &sink.Frame{At: at, Samples: sink.FrameSamples, Payload: p.Payload}, in.own)
		return
	}
	c.cut(now, k, leg, in, at, p.Payload)
}

// length checks an Opus packet whole (RFC 6716 section 3.4) and tells its length. One frame, the packet of nearly every phone, needs no
// more than its first byte and its size.
func length(b []byte, scratch *opus.Packet) (samples int, ok bool) {
	if toc := opus.TOC(b[0]); toc.Code() == 0 {
		return toc.FrameSamples(), len(b) <= opus.MaxPacket
	}
	if opus.Parse(b, scratch) != opus.OK {
		return 0, false
	}
	return scratch.Samples(), true
}

// cut passes a packet that is not 20 ms long on as packets of 20 ms.
func (c *Core) cut(now time.Duration, k *call, leg *rtpLeg, in *inbound, at int64, payload []byte) {
	if in.cutter == nil {
		in.cutter = new(opus.Cutter)
	}
	if in.lost > 0 {
		in.cutter.Reset()
	}
	if in.cutter.Push(payload) != opus.OK {
		c.drop(k, DropOpus)
		return
	}
	lead := int64(in.cutter.Lead())
	at -= lead
	own := in.own - lead
	for {
		b, n, uncut, ok := in.cutter.Next()
		if !ok {
			return
		}
		c.frame(now, k, leg, in, &sink.Frame{At: at, Samples: int32(n), Uncut: uncut, Payload: b}, own)
		at, own = at+int64(n), own+int64(n)
	}
}

// frame gives one frame of 20 ms to everything on the call that takes it, in this turn. own is where it stands by the source's own
// timestamps: the lane keeps its own distance to the clock, and is spared the corrections that At has for recordings.
func (c *Core) frame(now time.Duration, k *call, leg *rtpLeg, in *inbound, f *sink.Frame, own int64) {
	place := f.At
	f.At = max(place, in.free)
	f.Lost, in.lost = in.lost, 0
	in.free = f.At + int64(f.Samples)
	if leg != nil {
		leg.received++
		if k.lane.kind == sourceLeg && k.lane.source == leg.id {
			c.speak(now, k, f, own)
		} else {
			c.drop(k, DropNotActive)
		}
		return
	}
	f.Direction = sink.Caller
	c.keep(k, in, *f, place)
	for _, l := range k.legs {
		if l != nil {
			c.forward(k, l, f)
		}
	}
	if k.lane.kind == sourceEcho {
		c.speak(now, k, f, own)
	}
}

// keep gives a frame of the phone to the queues, at its place on the call's clock or just behind the frame before it. Where that would be
// more than half its length too late, the phone's clock runs fast or a stalled path gives back what it held: then there is more audio
// than time, and the frame is left out. Moved on instead, all that follows would stand ahead of the call for good.
func (c *Core) keep(k *call, in *inbound, f sink.Frame, place int64) {
	f.At = max(place, in.kept)
	if f.At-place > int64(f.Samples)/2 {
		c.drop(k, DropSurplus)
		return
	}
	in.kept = f.At + int64(f.Samples)
	for t := range k.takers {
		if k.takers[t].direction&sink.Caller != 0 {
			c.offer(k.takers[t].queue, &f)
		}
	}
}

// telephoneEvent takes one packet of RFC 4733. RTP legs get the packet itself; the digit is told when it ends.
func (c *Core) telephoneEvent(now time.Duration, i int32, k *call, leg *rtpLeg, in *inbound, p *rtpx.Packet) {
	if len(p.Payload) < 4 {
		c.drop(k, DropEvent)
		return
	}
	if leg == nil {
		if in.event != p.Timestamp || in.eventAt == 0 {
			at, _ := in.line.Place(now-k.zero, p.Timestamp)
			in.event, in.eventAt = p.Timestamp, max(at, in.free)
		}
		for _, l := range k.legs {
			if l != nil {
				c.forwardEvent(k, l, in.eventAt, p.Payload[:4])
			}
		}
	}
	payload := p.Payload[:4]
	if leg != nil && leg.DTMFClock == 48000 {
		var scaled [4]byte
		copy(scaled[:], payload)
		scaleDuration(scaled[:], 1, 6)
		payload = scaled[:]
	}
	if d, ok := in.digits.Push(now, p.Timestamp, payload); ok {
		c.digit(now, i, k, leg, d)
	}
	c.rearm(i, k)
}

// digit has been pressed: by the phone, which is told; or on an RTP leg, which is sent to the phone if the leg is the active source.
func (c *Core) digit(now time.Duration, i int32, k *call, leg *rtpLeg, d dtmf.Digit) {
	if leg == nil {
		c.emit(Event{Owner: k.rare.owner, Kind: DigitHeard, At: now, Digit: d.Rune, Duration: d.Duration})
		return
	}
	if k.lane.kind != sourceLeg || k.lane.source != leg.id {
		c.drop(k, DropNotActive)
		return
	}
	event, ok := dtmf.Event(d.Rune)
	if !ok || !k.lane.tones.add(tone{event: event, length: bounded(d.Duration), gap: defaultGap}) {
		c.drop(k, DropTonesFull)
		return
	}
	c.rearm(i, k)
}
