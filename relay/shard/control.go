package shard

import (
	"net/netip"
	"time"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/secure"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/sink"
)

// The methods of this file are what the control plane changes a call with, by functions posted to the shard. None of them does I/O.
// Each takes a Ref whose call may be gone; it does nothing then and says so.

// NewCall is what a call starts from.
type NewCall struct {
	Owner uint64        // given back in events
	Ports []udp.Port    // open already, one for each local address
	Setup []*ice.Conn   // for each port: where STUN goes until the consent checks run
	SSRC  uint32        // of our SDP
	Base  uint32        // wire timestamp at which the lane begins; random
	Seq   uint16        // first sequence number; random, and under 2^15 so that an early loss cannot hide a wrap (RFC 3711 section 3.3.1)
	CNAME string        // for RTCP, as in our SDP
	Phase time.Duration // where in their interval this call's reports lie: spreads calls that start together
}

// Add makes room for a call and gives its ports to it.
func (c *Core) Add(n NewCall) Ref {
	if len(c.free) == 0 {
		first := int32(len(c.chunks) * callChunk)
		c.chunks = append(c.chunks, new([callChunk]call))
		for i := int32(callChunk - 1); i >= 0; i-- {
			c.free = append(c.free, first+i)
		}
		c.wheel.grow(first + callChunk - 1)
	}
	i := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	k := c.at(i)
	*k = call{gen: k.gen + 1, used: true, port: udp.NoPort}
	k.rare = &rare{owner: n.Owner, ports: n.Ports, setup: n.Setup, report: reports{cname: n.CNAME, phase: n.Phase}}
	k.lane.ssrc, k.lane.base, k.lane.seq = n.SSRC, n.Base, n.Seq
	for _, p := range n.Ports {
		c.own(p, portRef{call: i, leg: metaLeg})
	}
	c.inUse++
	return Ref{index: i, gen: k.gen}
}

func (c *Core) own(p udp.Port, ref portRef) {
	for int(p) >= len(c.ports) {
		c.ports = append(c.ports, portRef{call: noCall})
	}
	c.ports[p] = ref
}

func (c *Core) disown(p udp.Port) {
	if int(p) < len(c.ports) {
		c.ports[p] = portRef{call: noCall}
	}
}

// Calls is how many calls the Core holds.
func (c *Core) Calls() int { return c.inUse }

// Describe tells the payload types of Meta's SDP. It has to come before the gate opens.
func (c *Core) Describe(ref Ref, opusPT, dtmfPT uint8) bool {
	k := c.find(ref)
	if k == nil || k.lane.open {
		return false
	}
	l := &k.lane
	l.audioPT, l.dtmfPT = opusPT, dtmfPT
	l.egress = egress{ssrc: l.ssrc, audioPT: opusPT, dtmfPT: dtmfPT}
	return true
}

// Nominate fixes the pair for the life of the call: from now on media and DTLS are taken from it alone, and the consent checks run here.
// It returns the ports of the other local addresses, which belong to the call no more and are to be closed.
func (c *Core) Nominate(now time.Duration, ref Ref, local int, remote netip.AddrPort, consent *ice.Consent, dtls *ice.Conn) (spare []udp.Port, ok bool) {
	k := c.find(ref)
	if k == nil || k.remote.IsValid() {
		return nil, false
	}
	r := k.rare
	k.port, k.remote = r.ports[local], remote
	r.consent, r.dtls = consent, dtls
	consent.Start(now)
	if e := &r.early; dtls != nil && e.b != nil && e.port == k.port && e.remote == remote {
		c.deliver(k, dtls, &udp.Datagram{Port: e.port, Remote: e.remote, Data: e.b})
	}
	r.early = early{}
	kept := r.setup[local]
	for n, p := range r.ports {
		if n != local {
			c.disown(p)
			spare = append(spare, p)
		}
	}
	r.ports, r.setup = []udp.Port{k.port}, []*ice.Conn{kept}
	c.rearm(ref.index, k)
	return spare, true
}

// Secure installs the keys.
func (c *Core) Secure(ref Ref, opener *secure.Opener, sealer *secure.Sealer) bool {
	k := c.find(ref)
	if k == nil || k.opener != nil {
		return false
	}
	k.opener, k.sealer = opener, sealer
	c.rearm(ref.index, k)
	return true
}

// ForgetAgent takes away what ICE set-up used; STUN is answered here alone from now on.
func (c *Core) ForgetAgent(ref Ref) {
	if k := c.find(ref); k != nil {
		k.rare.setup = nil
	}
}

// ForgetDTLS takes away the handshake's connection; DTLS records are dropped from now on.
func (c *Core) ForgetDTLS(ref Ref) {
	if k := c.find(ref); k != nil {
		k.rare.dtls = nil
	}
}

// OpenGate lets media out: silence flows within a tick, or as soon as there are keys.
func (c *Core) OpenGate(now time.Duration, ref Ref) bool {
	k := c.find(ref)
	if k == nil {
		return false
	}
	if !k.lane.open {
		c.begin(now, k)
		k.lane.start(now)
		k.rare.report.start(now)
		k.rare.quality = now + qualityInterval
		c.rearm(ref.index, k)
	}
	return true
}

// begin starts the call's media clock, once: with the first packet heard or when the gate opens.
func (c *Core) begin(now time.Duration, k *call) {
	if k.begun {
		return
	}
	k.begun, k.zero = true, now
	k.rare.mark = now + markInterval
	for _, t := range k.takers {
		c.offer(t.queue, &sink.Frame{})
	}
}

// AttachQueue gives a sink's queue the frames of a direction. The queue's first frame is the mark at which it starts.
func (c *Core) AttachQueue(now time.Duration, ref Ref, id uint32, direction sink.Direction, q *sink.Queue) bool {
	k := c.find(ref)
	if k == nil || len(k.takers) >= MaxTakers {
		return false
	}
	k.takers = append(k.takers, taker{id: id, direction: direction, queue: q})
	if k.begun {
		c.offer(q, &sink.Frame{At: k.position(now)})
	}
	return true
}

// AttachLeg gives the call an RTP leg on a port that is open already.
func (c *Core) AttachLeg(ref Ref, id uint32, port udp.Port, ssrc, base uint32, seq uint16, config LegConfig) bool {
	k := c.find(ref)
	if k == nil {
		return false
	}
	for n := range k.legs {
		if k.legs[n] == nil {
			k.legs[n] = &rtpLeg{LegConfig: config, id: id, port: port, ssrc: ssrc, base: base, seq: seq, event: -1}
			c.own(port, portRef{call: ref.index, leg: int16(n)})
			return true
		}
	}
	return false
}

// AttachClip gives the call a player; it plays while it is the active source.
func (c *Core) AttachClip(ref Ref, id uint32, clip Clip, repeat int) bool {
	k := c.find(ref)
	if k == nil || len(k.rare.clips) >= MaxTakers {
		return false
	}
	k.rare.clips = append(k.rare.clips, &player{id: id, clip: clip, repeat: repeat, left: repeat})
	return true
}

// AttachEcho gives the call an echo; the phone hears itself while it is the active source.
func (c *Core) AttachEcho(ref Ref, id uint32) bool {
	k := c.find(ref)
	if k == nil || len(k.rare.echo) >= MaxTakers {
		return false
	}
	k.rare.echo = append(k.rare.echo, id)
	return true
}

// Detached tells what an attachment left behind.
type Detached struct {
	Mark  sink.Frame // the end mark for its queue
	Port  udp.Port   // to be closed; NoPort if it had none
	Stats AttachmentStats
}

// Detach takes an attachment away. If it was the active source, silence is.
func (c *Core) Detach(now time.Duration, ref Ref, id uint32) (d Detached, ok bool) {
	k := c.find(ref)
	if k == nil {
		return d, false
	}
	d = Detached{Mark: k.endMark(now), Port: udp.NoPort}
	d.Stats, ok = k.attachmentStats(id)
	if !ok {
		return d, false
	}
	if k.lane.source == id {
		k.lane.choose(sourceSilence, 0)
		c.rearm(ref.index, k)
	}
	for n, t := range k.takers {
		if t.id == id {
			k.takers = append(k.takers[:n], k.takers[n+1:]...)
			break
		}
	}
	for n, l := range k.legs {
		if l != nil && l.id == id {
			l.in.window.Reset(c.pool)
			c.disown(l.port)
			d.Port = l.port
			k.legs[n] = nil
		}
	}
	r := k.rare
	for n, p := range r.clips {
		if p.id == id {
			r.clips = append(r.clips[:n], r.clips[n+1:]...)
			break
		}
	}
	for n, e := range r.echo {
		if e == id {
			r.echo = append(r.echo[:n], r.echo[n+1:]...)
			break
		}
	}
	return d, true
}

// endMark is the mark with which a queue of the call ends now.
func (k *call) endMark(now time.Duration) sink.Frame {
	if !k.begun {
		return sink.Frame{}
	}
	return sink.Frame{At: k.position(now)}
}

// sourceKind tells what kind of source an attachment is. 0 is silence.
func (k *call) sourceKind(id uint32) (sourceKind, bool) {
	if id == 0 {
		return sourceSilence, true
	}
	for _, l := range k.legs {
		if l != nil && l.id == id {
			return sourceLeg, !l.SendOnly
		}
	}
	if k.player(id) != nil {
		return sourceClip, true
	}
	for _, e := range k.rare.echo {
		if e == id {
			return sourceEcho, true
		}
	}
	return sourceSilence, false
}

// Select makes an attachment what the phone hears; 0 is silence. A player starts from its beginning, and what was active before it comes
// back when it ends.
func (c *Core) Select(ref Ref, id uint32) bool {
	k := c.find(ref)
	if k == nil {
		return false
	}
	kind, ok := k.sourceKind(id)
	if !ok {
		return false
	}
	l := &k.lane
	if kind == sourceClip {
		k.player(id).rewind()
		if l.kind != sourceClip {
			l.back = l.source
		}
	} else {
		l.back = 0
	}
	l.choose(kind, id)
	c.rearm(ref.index, k)
	return true
}

// Tone is one DTMF digit to send.
type Tone struct {
	Event       byte // RFC 4733 section 3.2: 0 to 15
	Length, Gap time.Duration
}

// SendTones queues digits for the phone: all of them or, when they do not fit, none.
func (c *Core) SendTones(ref Ref, digits []Tone) bool {
	k := c.find(ref)
	if k == nil || len(k.lane.tones.queue)+len(digits) > maxTones {
		return false
	}
	for _, d := range digits {
		k.lane.tones.add(tone{event: d.Event, length: d.Length, gap: d.Gap})
	}
	c.rearm(ref.index, k)
	return true
}

// Removed tells what a call left behind.
type Removed struct {
	Ports []udp.Port // to be closed
	Mark  sink.Frame // the end mark for its queues
	Stats Stats
	Legs  []AttachmentStats
}

// Remove takes a call away. Nothing is sent for it any more.
func (c *Core) Remove(now time.Duration, ref Ref) (r Removed, ok bool) {
	k := c.find(ref)
	if k == nil {
		return r, false
	}
	r.Mark = k.endMark(now)
	r.Stats = k.stats()
	for _, p := range k.rare.ports {
		c.disown(p)
		r.Ports = append(r.Ports, p)
	}
	k.in.window.Reset(c.pool)
	for _, l := range k.legs {
		if l != nil {
			l.in.window.Reset(c.pool)
			c.disown(l.port)
			r.Ports = append(r.Ports, l.port)
		}
	}
	c.wheel.disarm(ref.index)
	gen := k.gen
	*k = call{gen: gen}
	c.free = append(c.free, ref.index)
	c.inUse--
	return r, true
}
