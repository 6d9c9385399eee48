package shard

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v2"

	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/rtpx"
)

// hostileCost is the bound that doc.go states: a packet that is not let through costs at most as much as this many that are.
const hostileCost = 3

// hostile is a kind of packet that nobody wants. make gives the next one for a call that hears its own echo.
type hostile struct {
	name string
	make func(p *phone) udp.Datagram
	why  Drop
}

func forged(p *phone, b []byte) udp.Datagram {
	return udp.Datagram{Port: p.port, Remote: metaAddr, Data: b}
}

// header is an RTP header in front of noise, with room for a tag.
func header(p *phone, seq uint16, ssrc uint32) []byte {
	b := make([]byte, 108, 1600)
	rtpx.PutHeader(b, opusPT, false, seq, p.ts, ssrc)
	return b
}

// noDrop: such packets are counted by the consent checks, by verdict.
const noDrop = dropCount

// wrongCheck is a Binding request as the peer would send it, but for the password.
var wrongCheck = func() []byte {
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername("us:them"), stun.NewShortTermIntegrity("guessed"), stun.Fingerprint)
	if err != nil {
		panic(err)
	}
	return m.Raw
}()

var hostiles = []hostile{
	{"wrong tag", func(p *phone) udp.Datagram { p.seq++; return forged(p, header(p, p.seq, p.ssrc)) }, DropAuth},
	{"wrong tag, an SSRC each", func(p *phone) udp.Datagram { p.ts++; return forged(p, header(p, 1, p.ts)) }, DropAuth},
	{"wrong tag, half a wrap ahead", func(p *phone) udp.Datagram { p.seq++; return forged(p, header(p, p.seq+32000, p.ssrc)) }, DropAuth},
	{"wrong address", func(p *phone) udp.Datagram {
		return p.from(netip.MustParseAddrPort("203.0.113.9:3482"), p.say(voice...))
	}, DropWrongAddress},
	{"STUN of a wrong password", func(p *phone) udp.Datagram { return forged(p, bytes.Clone(wrongCheck)) }, noDrop},
	{"STUN that does not parse", func(p *phone) udp.Datagram { return forged(p, make([]byte, 108)) }, noDrop},
	{"DTLS when there is none", func(p *phone) udp.Datagram { return forged(p, slices.Repeat([]byte{22}, 108)) }, DropNoSetup},
	{"no kind at all", func(p *phone) udp.Datagram { return forged(p, slices.Repeat([]byte{255}, 108)) }, DropUnknownKind},
	{"nothing", func(p *phone) udp.Datagram { return forged(p, nil) }, DropEmpty},
}

// echoing is a live call that hears itself.
func echoing(r *rig) *phone {
	p := r.live()
	p.core.AttachEcho(p.ref, 1)
	p.core.Select(p.ref, 1)
	return p
}

// cost is nanoseconds a packet of some, taken at the pace of pace.
func (p *phone) cost(in []udp.Datagram, pace time.Duration) float64 {
	began := time.Now()
	for i := range in {
		p.now += pace
		p.core.receive(p.now, &in[i])
		p.core.out, p.core.events = p.core.out[:0], p.core.events[:0]
	}
	return float64(time.Since(began)) / float64(len(in))
}

func (p *phone) several(n int, make func(*phone) udp.Datagram) []udp.Datagram {
	var in []udp.Datagram
	for range n {
		in = append(in, make(p))
	}
	return in
}

func good(p *phone) udp.Datagram { return p.say(voice...) }

// Times are those of the best of many turns, taken in turn, so that a busy host disturbs both alike or neither.
func TestHostilePacketsCostNoMoreThanTheBound(t *testing.T) {
	const rounds, packets = 40, 50
	best := map[string]float64{}
	note := func(name string, ns float64) {
		if old, ok := best[name]; !ok || ns < old {
			best[name] = ns
		}
	}
	r := newRig(t)
	for range rounds {
		p := echoing(r) // its numbers are six short of a wrap
		p.cost(p.several(3, good), frameTime)
		note("a wrap", p.cost(p.several(6, good), frameTime))
		note("good", p.cost(p.several(packets, good), frameTime))
		for _, h := range hostiles {
			before := p.core.Totals.Drops
			note(h.name, p.cost(p.several(packets, h.make), frameTime))
			if h.why == noDrop {
				if p.core.Totals.Drops != before {
					t.Fatalf("%s: %v", h.name, p.drops())
				}
			} else if got := p.core.Totals.Drops[h.why] - before[h.why]; got != packets {
				t.Fatalf("%s: %d of %d were dropped as %v: %v", h.name, got, packets, h.why, p.drops())
			}
		}
		p.cost(p.several(packetBurst+1, h0), 0) // uses up what a call may send at once
		note("a flood of good ones", p.cost(p.several(packets, h0), 0))
		p.core.Remove(p.now, p.ref)
	}
	for name, ns := range best {
		if name != "good" && ns > hostileCost*best["good"] {
			t.Errorf("%s: %.0f ns, %.1f times a good packet's %.0f", name, ns, ns/best["good"], best["good"])
		}
	}
	t.Logf("ns a packet: %v", best)
}

// h0 is a packet that would be opened if its call had not sent too many.
func h0(p *phone) udp.Datagram { return hostiles[0].make(p) }

// What a wrong tag allocates is for ice/secure to bound; everything else ends before memory is touched.
func TestHostilePacketsAllocateNothing(t *testing.T) {
	p := echoing(newRig(t))
	for _, h := range hostiles {
		if h.why == DropAuth {
			continue
		}
		in := p.several(101, h.make)
		i := 0
		if n := testing.AllocsPerRun(100, func() {
			p.core.receive(p.now, &in[i])
			i++
		}); n != 0 {
			t.Errorf("%s: %v allocations", h.name, n)
		}
	}
}
