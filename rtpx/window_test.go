package rtpx

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// listener offers packets to a Window and writes down what it is told.
type listener struct {
	t    *testing.T
	w    Window
	pool *Pool
	heard
}

type heard struct {
	seqs []Seq
	lost int
}

func (l *listener) offer(now time.Duration, s Seq) WindowVerdict {
	l.t.Helper()
	payload := binary.BigEndian.AppendUint64(nil, uint64(s))
	p := Packet{PayloadType: 111, Marker: s%2 == 0, Sequence: uint16(s), Timestamp: uint32(s) * 960, SSRC: 7, Payload: payload}
	v, lost := l.w.Offer(now, s, &p, l.pool)
	switch v {
	case Pass, Refused:
		if &p.Payload[0] != &payload[0] {
			l.t.Fatal("a packet that passes was copied")
		}
		l.deliver(s, lost, &p)
	case Held:
		clear(payload) // the datagram's memory is used again
		fallthrough
	default:
		if lost != 0 {
			l.t.Fatalf("%v with %d lost", v, lost)
		}
	}
	l.drain(now)
	return v
}

func (l *listener) drain(now time.Duration) {
	l.t.Helper()
	for {
		var p Packet
		s, lost, buf, ok := l.w.Next(now, &p, l.pool)
		if !ok {
			return
		}
		l.deliver(s, lost, &p)
		l.pool.Put(buf)
	}
}

func (l *listener) deliver(s Seq, lost int, p *Packet) {
	l.t.Helper()
	if n := len(l.seqs); n > 0 && s != l.seqs[n-1]+1+Seq(lost) {
		l.t.Fatalf("%d after %d with %d lost", s, l.seqs[n-1], lost)
	}
	if binary.BigEndian.Uint64(p.Payload) != uint64(s) || p.Sequence != uint16(s) || p.Timestamp != uint32(s)*960 ||
		p.SSRC != 7 || p.PayloadType != 111 || p.Marker != (s%2 == 0) {
		l.t.Fatalf("packet %d came out as %+v", s, p)
	}
	l.seqs = append(l.seqs, s)
	l.lost += lost
}

// expect compares what was heard since the last time.
func (l *listener) expect(lost int, seqs ...Seq) {
	l.t.Helper()
	if !slices.Equal(l.seqs, seqs) || l.lost != lost {
		l.t.Fatalf("heard %d with %d lost, want %d with %d", l.seqs, l.lost, seqs, lost)
	}
	l.heard = heard{}
}

func (l *listener) idle(n int) {
	l.t.Helper()
	if _, ok := l.w.Deadline(); ok || l.pool.Left() != n {
		l.t.Fatalf("deadline %v, %d buffers of %d left", ok, l.pool.Left(), n)
	}
}

func listen(t *testing.T, buffers int) *listener {
	return &listener{t: t, pool: NewPool(buffers)}
}

func TestPacketsInOrderPassUncopied(t *testing.T) {
	l := listen(t, 0)
	for s := Seq(1000); s < 1100; s++ {
		if v := l.offer(0, s); v != Pass {
			t.Fatalf("%d: %v", s, v)
		}
	}
	if len(l.seqs) != 100 || l.lost != 0 {
		t.Fatalf("%d heard, %d lost", len(l.seqs), l.lost)
	}
}

func TestReorderedPacketsComeOutInOrder(t *testing.T) {
	l := listen(t, 16)
	l.offer(0, 10)
	for _, s := range []Seq{13, 12, 15} {
		if v := l.offer(ms(1), s); v != Held {
			t.Fatalf("%d: %v", s, v)
		}
	}
	l.expect(0, 10)
	if v := l.offer(ms(2), 11); v != Pass {
		t.Fatal(v)
	}
	l.expect(0, 11, 12, 13)
	l.offer(ms(3), 14)
	l.expect(0, 14, 15)
	l.idle(16)
}

func TestGapIsGivenUpAfterTheWait(t *testing.T) {
	l := listen(t, 16)
	l.offer(0, 10)
	l.offer(ms(20), 13)
	l.offer(ms(30), 14)
	if at, ok := l.w.Deadline(); !ok || at != ms(20)+WindowWait {
		t.Fatalf("deadline %v, %v", at, ok)
	}
	l.drain(ms(20) + WindowWait - 1)
	l.expect(0, 10)
	l.drain(ms(20) + WindowWait)
	l.expect(2, 13, 14)
	l.idle(16)
}

// The packet that shows the second gap starts the wait for it, not the end of the first wait.
func TestEachGapHasItsOwnDeadline(t *testing.T) {
	l := listen(t, 16)
	l.offer(0, 10)
	l.offer(ms(0), 12)
	l.offer(ms(15), 14)
	l.drain(WindowWait)
	l.expect(1, 10, 12)
	if at, ok := l.w.Deadline(); !ok || at != ms(15)+WindowWait {
		t.Fatalf("deadline %v, %v", at, ok)
	}
	l.drain(ms(15) + WindowWait)
	l.expect(1, 14)
}

// Nothing waits longer than WindowWait, also not when what arrives later belongs before it.
func TestNoPacketWaitsLongerThanTheWait(t *testing.T) {
	l := listen(t, 16)
	l.offer(0, 10)
	l.offer(ms(0), 14)
	l.offer(ms(15), 12)
	l.drain(WindowWait)
	l.expect(2, 10, 12, 14)
}

func TestGapIsGivenUpAfter16Packets(t *testing.T) {
	l := listen(t, 64)
	l.offer(0, 10)
	for s := Seq(12); s < 12+WindowDepth-1; s++ {
		l.offer(0, s)
	}
	l.expect(0, 10)
	l.offer(0, 12+WindowDepth)
	l.expect(1, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26)
	l.offer(0, 27)
	l.expect(0, 27, 28)
	l.idle(64)
}

func TestDuplicatesAndStragglersAreNamed(t *testing.T) {
	l := listen(t, 16)
	l.offer(0, 1000)
	l.offer(0, 1001)
	l.offer(0, 1004)
	for _, c := range []struct {
		now  time.Duration
		s    Seq
		want WindowVerdict
	}{
		{0, 1001, Duplicate},          // the last one
		{0, 1000, Duplicate},          // delivered
		{0, 1004, Duplicate},          // held
		{0, 999, Late},                // before the first
		{0, 1, Late},                  // far before it
		{ms(100), 1005, Pass},         // 1002 and 1003 have been given up by now
		{ms(100), 1002, Late},         // given up
		{ms(100), 1004, Duplicate},    // was held, is delivered
		{ms(100), 1006, Pass},         //
		{ms(100), 1006, Duplicate},    //
		{ms(100), 1005, Duplicate},    //
		{ms(100), 1003, Late},         // given up
		{ms(100), 1001, Duplicate},    //
		{ms(100), 1 << 40, Held},      // a loss of any size
		{ms(200), 1<<40 + 1, Pass},    // 1<<40 has been given up by now
		{ms(200), 1006, Late},         // nobody knows
		{ms(200), 1<<40 - 1, Late},    //
		{ms(200), 1 << 40, Duplicate}, //
	} {
		l.drain(c.now)
		if v := l.offer(c.now, c.s); v != c.want {
			t.Fatalf("%d: %v, want %v", c.s, v, c.want)
		}
	}
	l.idle(16)
}

func TestExhaustedPoolGivesTheGapUp(t *testing.T) {
	l := listen(t, 0)
	l.offer(0, 10)
	if v := l.offer(0, 13); v != Refused {
		t.Fatal(v)
	}
	l.expect(2, 10, 13)
	if v := l.offer(0, 12); v != Late {
		t.Fatal(v)
	}
	l.offer(0, 14)
	l.expect(0, 14)
}

// What is held of the gap that is given up cannot be delivered after the packet that gave it up, and goes with it.
func TestExhaustedPoolKeepsTheOrder(t *testing.T) {
	l := listen(t, 3)
	l.offer(0, 10)
	l.offer(0, 12)
	l.offer(0, 14)
	l.offer(0, 19)
	if v := l.offer(0, 17); v != Refused {
		t.Fatal(v)
	}
	l.expect(6, 10, 17)
	if l.pool.Left() != 2 {
		t.Fatalf("%d buffers left", l.pool.Left())
	}
	l.offer(0, 18)
	l.expect(0, 18, 19)
	l.idle(3)
}

func TestPacketLongerThanABufferIsRefused(t *testing.T) {
	var w Window
	pool := NewPool(1)
	w.Offer(0, 10, &Packet{}, pool)
	v, lost := w.Offer(0, 12, &Packet{Payload: make([]byte, BufferSize+1)}, pool)
	if v != Refused || lost != 1 || pool.Left() != 1 {
		t.Fatalf("%v, %d lost, %d left", v, lost, pool.Left())
	}
	if v, _ = w.Offer(0, 14, &Packet{Payload: make([]byte, BufferSize)}, pool); v != Held {
		t.Fatal(v)
	}
}

func TestResetGivesEverythingBack(t *testing.T) {
	l := listen(t, 16)
	l.offer(0, 1000)
	l.offer(0, 1005)
	l.offer(0, 1003)
	l.w.Reset(l.pool)
	l.idle(16)
	l.heard = heard{}
	l.offer(0, 5)
	l.expect(0, 5)
}

func TestPacketsReorderedOverTheWrap(t *testing.T) {
	l := listen(t, 16)
	var e Extender
	for _, seq := range []uint16{65533, 0, 65535, 65534, 2, 1} {
		l.offer(0, e.Extend(seq))
	}
	l.expect(0, 0x1fffd, 0x1fffe, 0x1ffff, 0x20000, 0x20001, 0x20002)
	for _, seq := range []uint16{65533, 3} { // a wrap that is lost whole
		l.offer(0, e.Extend(seq))
	}
	if l.lost != 0 || len(l.seqs) != 1 {
		t.Fatalf("%d heard, %d lost", l.seqs, l.lost)
	}
}

// Reordering by up to WindowDepth - 1 packets, all inside the wait, costs nothing; by any more it costs packets, never order.
func TestReorderingByAnyDistance(t *testing.T) {
	const n = 2000
	for distance := 1; distance <= 100; distance++ {
		l := listen(t, WindowDepth)
		l.offer(0, 1<<16)
		for i := 1; i+distance < n; i += distance + 1 { // the first of each group arrives last
			for k := 1; k <= distance; k++ {
				l.offer(0, Seq(1<<16+i+k))
			}
			l.offer(0, Seq(1<<16+i))
		}
		groups := (n - 1) / (distance + 1)
		want := 0
		if distance >= WindowDepth {
			want = groups
		}
		if l.lost != want || len(l.seqs)+l.lost != groups*(distance+1)+1 {
			t.Fatalf("distance %d: %d heard, %d lost, want %d", distance, len(l.seqs), l.lost, want)
		}
		l.idle(WindowDepth)
	}
}

func TestLossBurstsAreToldExactly(t *testing.T) {
	for _, burst := range []int{1, 5, 50, 500} {
		l := listen(t, WindowDepth)
		now, lost := time.Duration(0), 0
		for s := Seq(1 << 16); s < 1<<16+10_000; s++ {
			now += ms(20)
			l.drain(now)
			if int(s)%(burst*2+20) < burst {
				lost++
				continue
			}
			l.offer(now, s)
		}
		l.drain(now + WindowWait)
		for first := Seq(1 << 16); first < l.seqs[0]; first++ {
			lost-- // what is lost before the first packet is not known
		}
		for last := Seq(1<<16 + 9999); last > l.seqs[len(l.seqs)-1]; last-- {
			lost-- // nor after the last
		}
		if l.lost != lost {
			t.Errorf("bursts of %d: %d told lost, want %d", burst, l.lost, lost)
		}
		l.idle(WindowDepth)
	}
}

// A random network: every packet is delivered once or told lost, in order, and no buffer is forgotten. The pool is too small on purpose.
func TestRandomNetworkLosesCountOfNothing(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := listen(t, r.IntN(WindowDepth+1))
		n := l.pool.Left()
		type arrival struct {
			at time.Duration
			s  Seq
		}
		var in []arrival
		for i := range 3000 {
			for range r.IntN(12) / 4 * r.IntN(3) / 2 { // lost, once, or several times
				in = append(in, arrival{ms(20*i + r.IntN(200)), Seq(1<<16 + i)})
			}
		}
		slices.SortStableFunc(in, func(a, b arrival) int { return int(a.at - b.at) })
		var dropped int
		for _, a := range in {
			l.drain(a.at)
			if v := l.offer(a.at, a.s); v == Duplicate || v == Late {
				dropped++
			}
		}
		l.drain(1 << 60)
		first, last := l.seqs[0], l.seqs[len(l.seqs)-1]
		if got := len(l.seqs) + l.lost; got != int(last-first+1) {
			t.Fatalf("seed %d: %d of %d", seed, got, last-first+1)
		}
		l.idle(n)
	}
}

func TestWindowVerdictsHaveNames(t *testing.T) {
	for v := Pass; v <= Refused; v++ {
		if v.String() == "unknown" {
			t.Errorf("verdict %d has none", v)
		}
	}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }
