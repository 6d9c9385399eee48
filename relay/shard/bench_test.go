package shard

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/rtpx"
)

// counts of calls: one, whose state stays in the nearest cache, and many touched in turn, as in life, so that every packet meets a cold
// cache.
var counts = []int{1, 1000, 5000}

// legPeer is where the RTP legs of the benchmarks are.
var legPeer = netip.MustParseAddrPort("203.0.113.77:5004")

// crowd is many live calls, each with its phone and, where a benchmark wants one, an RTP leg.
type crowd struct {
	*rig
	phones []*phone
	legs   []udp.Port
	number int // packets of each call so far
}

func newCrowd(b *testing.B, calls int) *crowd {
	c := &crowd{rig: newRig(b), phones: make([]*phone, calls)}
	for i := range c.phones {
		c.phones[i] = c.dial()
		c.core.find(c.phones[i].ref).rare.consent = nil
	}
	return c
}

// speak opens the gates, spread over a period as calls are in life.
func (c *crowd) speak() *crowd {
	began := c.now
	for i, p := range c.phones {
		c.now = began + frameTime*time.Duration(i)/time.Duration(len(c.phones))
		c.core.OpenGate(c.now, p.ref)
	}
	c.now = began + frameTime
	return c
}

func (c *crowd) echo() {
	for _, p := range c.phones {
		p.core.AttachEcho(p.ref, 1)
		p.core.Select(p.ref, 1)
	}
}

func (c *crowd) bridge() {
	for i, p := range c.phones {
		port := udp.Port(len(c.phones) + i)
		c.legs = append(c.legs, port)
		p.core.AttachLeg(p.ref, 1, port, 0x1e6, 0, 1, LegConfig{Peer: legPeer, OpusPT: opusPT, DTMFPT: eventPT, DTMFClock: 8000})
		p.core.Select(p.ref, 1)
	}
}

// voice is 80 bytes of 20 ms SILK wide band.
var voice = append([]byte{9 << 3}, make([]byte, 79)...)

func (c *crowd) sealed() []udp.Datagram {
	in := make([]udp.Datagram, 0, len(c.phones))
	for _, p := range c.phones {
		in = append(in, p.say(voice...))
	}
	return in
}

// fromLegs is what the media servers at the other ends of the legs say.
func (c *crowd) fromLegs() []udp.Datagram {
	in := make([]udp.Datagram, len(c.phones))
	for i := range in {
		b := make([]byte, rtpx.HeaderSize, 200)
		rtpx.PutHeader(b, opusPT, false, uint16(c.number), uint32(c.number)*960, 0x77)
		in[i] = udp.Datagram{Port: c.legs[i], Remote: legPeer, Data: append(b, voice...)}
	}
	return in
}

// warmUp is how many periods pass before anything is measured: the first packet of a call allocates what the call keeps.
const warmUp = 3

// run measures the packets that make makes, a period of 20 ms at a time, in batches as the loop reads them.
func (c *crowd) run(b *testing.B, make func() []udp.Datagram) {
	b.ReportAllocs()
	for range warmUp {
		c.period(make(), len(c.phones))
		c.number++
	}
	ahead := slices.Repeat([][]udp.Datagram{nil}, max(1, 1000/len(c.phones)))
	b.ResetTimer()
	before := c.core.Totals.PacketsIn
	for n := 0; n < b.N; {
		b.StopTimer()
		for i := range ahead { // stopping the timer costs more than a packet
			ahead[i] = make()
			c.number++
		}
		b.StartTimer()
		for _, in := range ahead {
			n += c.period(in, b.N-n)
		}
	}
	if got := c.core.Totals.PacketsIn - before; int(got) < b.N {
		b.Fatalf("%d of %d packets went through: %v", got, b.N, c.core.Totals.Drops.ByName())
	}
}

// period spreads the first packets of in, most of them, over 20 ms.
func (c *crowd) period(in []udp.Datagram, most int) (n int) {
	began := c.now
	for n < len(in) && n < most {
		batch := in[n:min(n+64, len(in))]
		c.core.Turn(c.now, batch)
		n += len(batch)
		c.now = began + frameTime*time.Duration(n)/time.Duration(len(in))
	}
	c.core.Events()
	c.now = began + frameTime
	return n
}

func crowds(b *testing.B, name string, f func(b *testing.B, calls int)) {
	for _, calls := range counts {
		b.Run(fmt.Sprintf("%s/calls=%d", name, calls), func(b *testing.B) { f(b, calls) })
	}
}

// BenchmarkCore is a packet's whole way through the Core: opened, checked, placed on the lane, sealed; to an RTP leg, and from one.
func BenchmarkCore(b *testing.B) {
	crowds(b, "echo", func(b *testing.B, calls int) {
		c := newCrowd(b, calls).speak()
		c.echo()
		c.run(b, c.sealed)
	})
	crowds(b, "to_leg", func(b *testing.B, calls int) {
		c := newCrowd(b, calls) // whose gates are closed, so that no silence is sent
		c.bridge()
		c.run(b, c.sealed)
	})
	crowds(b, "from_leg", func(b *testing.B, calls int) {
		c := newCrowd(b, calls).speak()
		c.bridge()
		c.run(b, c.fromLegs)
	})
}

// BenchmarkTick is a turn's timers: an op is one packet of silence on a live call that nobody speaks on, with its reports and marks.
func BenchmarkTick(b *testing.B) {
	crowds(b, "silence", func(b *testing.B, calls int) {
		c := newCrowd(b, calls).speak()
		b.ReportAllocs()
		for end := c.now + warmUp*frameTime; c.now < end; c.now += ms {
			c.core.Turn(c.now, nil)
			c.core.Events()
		}
		b.ResetTimer()
		for from := c.core.Totals.PacketsOut; int(c.core.Totals.PacketsOut-from) < b.N; c.now += ms {
			c.core.Turn(c.now, nil)
			c.core.Events()
		}
	})
}

// each measures one step on each call in turn.
func each(b *testing.B, calls int, step func(c *crowd, k *call, number int)) {
	c := newCrowd(b, calls).speak()
	for n := -calls; n < b.N; n++ {
		if n == 0 {
			b.ReportAllocs()
			b.ResetTimer()
		}
		if n%calls == 0 {
			c.now += 20 * ms
			c.core.out, c.core.events = c.core.out[:0], c.core.events[:0]
		}
		if len(c.core.out) == cap(c.core.out) {
			c.core.out = c.core.out[:0]
		}
		step(c, c.core.find(c.phones[(n+calls)%calls].ref), (n+calls)/calls)
	}
}

// lookup finds the call and the leg of a datagram by its port and compares its address, as receive does. Neighbouring ports are far apart,
// so that no prefetcher finds the next call.
func lookup(b *testing.B, calls int) {
	const stride = 619 // prime, and in none of counts
	c := newCrowd(b, calls).speak()
	d := udp.Datagram{Remote: metaAddr}
	at := 0
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		d.Port = c.phones[at].port
		ref := c.core.ports[d.Port]
		if k := c.core.at(ref.call); ref.leg != metaLeg || k.dead || !k.nominated(&d) {
			b.Fatal("not found")
		}
		if at += stride % calls; at >= calls {
			at -= calls
		}
	}
}

// BenchmarkStep is one step of the Core alone.
func BenchmarkStep(b *testing.B) {
	crowds(b, "lookup", lookup)
	crowds(b, "lane_place", func(b *testing.B, calls int) {
		each(b, calls, func(c *crowd, k *call, number int) {
			at, ok, why := k.lane.place(c.now, int64(number)*frameSamples, false)
			if !ok {
				b.Fatal(why)
			}
			k.lane.last = at
		})
	})
	crowds(b, "check", func(b *testing.B, calls int) {
		packet := append(make([]byte, rtpx.HeaderSize), voice...)
		each(b, calls, func(c *crowd, k *call, number int) {
			rtpx.PutHeader(packet, opusPT, false, uint16(number), uint32(number)*frameSamples, testSSRC)
			if v := k.lane.egress.check(packet, &c.core.opus); v != Lawful {
				b.Fatal(v)
			}
		})
	})
	crowds(b, "transmit", func(b *testing.B, calls int) {
		each(b, calls, func(c *crowd, k *call, number int) {
			if !c.core.transmit(c.now, k, opusPT, false, int64(number)*frameSamples, voice) {
				b.Fatal("not sent")
			}
		})
	})
	crowds(b, "report", func(b *testing.B, calls int) {
		each(b, calls, func(c *crowd, k *call, _ int) { c.core.sendReport(c.now, k) })
	})
	crowds(b, "deadline", func(b *testing.B, calls int) {
		each(b, calls, func(c *crowd, k *call, _ int) { c.core.rearm(c.core.ports[k.port].call, k) })
	})
}
