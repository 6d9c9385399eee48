package rtpx

import (
	"testing"
	"time"
)

func BenchmarkParse(b *testing.B) {
	in := datagram(1, 2, 3, make([]byte, 80))
	var p Packet
	b.ReportAllocs()
	for b.Loop() {
		if Parse(in, &p) != OK {
			b.Fatal()
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	var g Guard
	var seq uint16
	b.ReportAllocs()
	for b.Loop() {
		g.Admit(7, seq, 1)
		seq++
	}
}

func BenchmarkWindowInOrder(b *testing.B) {
	var w Window
	pool := NewPool(WindowDepth)
	p := Packet{Payload: make([]byte, 80)}
	s := firstCycle
	b.ReportAllocs()
	for b.Loop() {
		w.Offer(0, s, &p, pool)
		w.Next(0, &p, pool)
		s++
	}
}

// Each second packet comes before the first.
func BenchmarkWindowReordered(b *testing.B) {
	var w Window
	var out Packet
	pool := NewPool(WindowDepth)
	p := Packet{Payload: make([]byte, 80)}
	s := firstCycle
	b.ReportAllocs()
	for b.Loop() {
		w.Offer(0, s^1, &p, pool)
		for {
			_, _, buf, ok := w.Next(0, &out, pool)
			if !ok {
				break
			}
			pool.Put(buf)
		}
		s++
	}
}

func BenchmarkTimeline(b *testing.B) {
	var line Timeline
	var now time.Duration
	var ts uint32
	b.ReportAllocs()
	for b.Loop() {
		line.Place(now, ts)
		now, ts = now+20*time.Millisecond, ts+960
	}
}

func BenchmarkReception(b *testing.B) {
	var r Reception
	var now time.Duration
	var ts uint32
	s := firstCycle
	b.ReportAllocs()
	for b.Loop() {
		r.Receive(now, s, ts)
		now, ts, s = now+20*time.Millisecond, ts+960, s+1
	}
}

// All of it, for one packet of each of a thousand calls in turn, as a shard meets them.
func BenchmarkThousandCalls(b *testing.B) {
	type call struct {
		g    Guard
		e    Extender
		w    Window
		line Timeline
		r    Reception
	}
	calls := make([]call, 1000)
	pool := NewPool(WindowDepth)
	in := datagram(0, 0, 7, make([]byte, 80))
	var p Packet
	i, seq := 0, uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		c := &calls[i]
		now := time.Duration(seq) * 20 * time.Millisecond
		PutHeader(in, 111, false, seq, uint32(seq)*960, 7)
		Parse(in, &p)
		c.g.Admit(p.SSRC, p.Sequence, 1)
		s := c.e.Extend(p.Sequence)
		c.r.Receive(now, s, p.Timestamp)
		c.w.Offer(now, s, &p, pool)
		c.line.Place(now, p.Timestamp)
		if i++; i == len(calls) {
			i, seq = 0, seq+1
		}
	}
}
