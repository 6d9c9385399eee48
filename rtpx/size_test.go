package rtpx

import (
	"testing"
	"time"
	"unsafe"
)

// A shard touches the state of a thousand calls in turn: every cache line more is a miss more per packet.
func TestStateStaysSmall(t *testing.T) {
	for _, c := range []struct {
		name        string
		size, limit uintptr
	}{
		{"Extender", unsafe.Sizeof(Extender{}), 8},
		{"Guard", unsafe.Sizeof(Guard{}), 16},
		{"Window", unsafe.Sizeof(Window{}), 32},
		{"Timeline", unsafe.Sizeof(Timeline{}), 40},
		{"Reception", unsafe.Sizeof(Reception{}), 104},
		{"Sender", unsafe.Sizeof(Sender{}), 32},
		{"slot", unsafe.Sizeof(slot{}), 40},
	} {
		t.Logf("%s: %d bytes", c.name, c.size)
		if c.size > c.limit {
			t.Errorf("%s is %d bytes, want at most %d", c.name, c.size, c.limit)
		}
	}
	// What Receive writes for each packet is in the first cache line of a Reception.
	if end := unsafe.Offsetof(Reception{}.timed) + 1; end > 64 {
		t.Errorf("the hot part of Reception ends at byte %d, want at most 64", end)
	}
}

func TestPacketPathDoesNotAllocate(t *testing.T) {
	var (
		g    Guard
		e    Extender
		w    Window
		line Timeline
		r    Reception
		snd  Sender
		p    Packet
		pool = NewPool(32)
		seq  uint16
		now  time.Duration
		b    = datagram(0, 0, 7, make([]byte, 80))
		out  = make([]byte, 0, MaxRTCP)
	)
	allocs := testing.AllocsPerRun(2000, func() {
		seq++
		if seq%7 == 0 { // a loss, so that the next ones are held
			seq++
		}
		now += 20 * time.Millisecond
		PutHeader(b, 111, false, seq, uint32(seq)*960, 7)
		if Parse(b, &p) != OK || g.Admit(p.SSRC, p.Sequence, 1) == GuardLoop {
			t.Fatal("refused")
		}
		s := e.Extend(p.Sequence)
		r.Receive(now, s, p.Timestamp)
		line.Place(now, p.Timestamp)
		snd.Sent(now, p.Timestamp, len(p.Payload))
		w.Offer(now, s, &p, pool)
		for {
			_, _, buf, ok := w.Next(now, &p, pool)
			if !ok {
				break
			}
			pool.Put(buf)
		}
		report := snd.Report(now, 1, 2, "name")
		out = AppendReport(out[:0], report, r.Report(7, now))
		if _, f := ParseRTCP(out, 7); f != OK {
			t.Fatal(f)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a packet, want 0", allocs)
	}
}

// datagram builds an RTP packet with a plain header.
func datagram(seq uint16, ts, ssrc uint32, payload []byte) []byte {
	b := make([]byte, HeaderSize, HeaderSize+len(payload))
	PutHeader(b, 111, false, seq, ts, ssrc)
	return append(b, payload...)
}
