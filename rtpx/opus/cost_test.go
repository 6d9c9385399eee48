package opus

import (
	"bytes"
	"testing"
	"unsafe"
)

var costly = []struct {
	name   string
	packet []byte
}{
	{"20ms", append([]byte{9 << 3}, make([]byte, 50)...)},
	{"60ms-frame", append([]byte{silk60}, make([]byte, 150)...)},
	{"60ms-of-20", append([]byte{9<<3 | 3, 0x83, 50, 50}, make([]byte, 150)...)},
	{"120ms-of-2.5", append([]byte{celt2 | 3, 48}, make([]byte, 480)...)},
	{"10ms", append([]byte{8 << 3}, make([]byte, 30)...)},
}

func TestPacketPathDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 8192)
	for _, c := range costly {
		var p Packet
		var cutter Cutter
		if n := testing.AllocsPerRun(100, func() { // the first run, which may make the scratch, is not counted
			Parse(c.packet, &p)
			Samples(c.packet)
			IsDTX(c.packet)
			cutter.Push(c.packet)
			for {
				b, _, _, ok := cutter.Next()
				if !ok {
					break
				}
				dst, _ = AppendSelfDelimited(dst[:0], b)
			}
			dst, _ = Join(dst[:0], c.packet)
			dst = PLC(SilenceLike(dst[:0], TOC(c.packet[0])), TOC(c.packet[0]))
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
	join := [][]byte{costly[0].packet, costly[0].packet, costly[0].packet}
	if n := testing.AllocsPerRun(100, func() {
		dst, _ = Join(dst[:0], join[0], join[1], join[2])
	}); n != 0 {
		t.Errorf("Join: %v allocations", n)
	}
}

func TestScratchIsMadeOnceAndOnlyWhenNeeded(t *testing.T) {
	var c Cutter
	for _, b := range [][]byte{costly[0].packet, costly[1].packet, {30<<3 | 1, 1, 2}} {
		if f := c.Push(b); f != OK || c.buf != nil {
			t.Fatalf("%v, scratch %d bytes", f, len(c.buf))
		}
	}
	// The most that datagrams of 1500 bytes can ask for: a slot that is nearly full, then the longest packet.
	for _, b := range [][]byte{bytesOf(celt2|3, 7, -1274), append(bytesOf(celt2|3, 48), bytes.Repeat([]byte{1}, 1488)...)} {
		c.Push(b)
		if len(c.buf) != firstScratch {
			t.Errorf("scratch %d bytes", len(c.buf))
		}
	}
	if size := unsafe.Sizeof(c); size > 144 {
		t.Errorf("a Cutter takes %d bytes", size)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, c := range costly {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var p Packet
			for b.Loop() {
				Parse(c.packet, &p)
			}
		})
	}
}

func BenchmarkSamples(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Samples(costly[3].packet)
	}
}

func BenchmarkCutter(b *testing.B) {
	for _, c := range costly {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var cutter Cutter
			for b.Loop() {
				cutter.Push(c.packet)
				for ok := true; ok; {
					_, _, _, ok = cutter.Next()
				}
			}
		})
	}
}

func BenchmarkJoin(b *testing.B) {
	b.ReportAllocs()
	dst := make([]byte, 0, 2048)
	for b.Loop() {
		dst, _ = Join(dst[:0], costly[0].packet, costly[0].packet, costly[0].packet)
	}
}

func BenchmarkAppendSelfDelimited(b *testing.B) {
	b.ReportAllocs()
	dst := make([]byte, 0, 2048)
	for b.Loop() {
		dst, _ = AppendSelfDelimited(dst[:0], costly[0].packet)
	}
}
