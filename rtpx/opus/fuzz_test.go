package opus

import (
	"bytes"
	"testing"
)

func seedPackets(f *testing.F) {
	for _, b := range [][]byte{
		nil, {celt20}, {celt20, 1, 2}, {celt20 | 1, 1, 2}, {celt20 | 2, 1, 1, 2, 3}, {celt20 | 3, 3, 1, 2, 3}, {celt20 | 3, 0x83, 1, 0, 1, 2},
		{celt20 | 3, 0xC3, 1, 1, 0, 1, 2, 3, 0}, {celt20 | 3, 0x41, 255, 255, 0}, {celt2 | 3, 48}, {celt2 | 3, 49}, {silk60 | 1, 5, 6},
		bytesOf(celt20|3, 0x41, 255, 3, -259), bytesOf(celt20|2, 252, 1, -300),
	} {
		f.Add(b)
	}
}

func FuzzParse(f *testing.F) {
	seedPackets(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, q Packet
		fault := Parse(b, &p)
		if fault != OK {
			if p.Count != 0 {
				t.Fatal("frames of a refused packet")
			}
			return
		}
		size := 0
		for _, frame := range p.Frames[:p.Count] {
			size += len(frame)
			if len(frame) > MaxFrameSize {
				t.Fatal("frame too long")
			}
		}
		if p.Count < 1 || p.Samples() > MaxSamples || 1+size+p.Padding > len(b) {
			t.Fatalf("%d frames, %d samples, %d bytes of %d", p.Count, p.Samples(), size, len(b))
		}
		if n, f := Samples(b); n != p.Samples() || f != OK {
			t.Fatalf("Samples: %d, %v", n, f)
		}
		IsDTX(b)
		out, fault := Join(nil, b)
		if fault != OK || Parse(out, &q) != OK || !sameFrames(p.Frames[:p.Count], q.Frames[:q.Count]) || len(out) > len(b) {
			t.Fatalf("rewritten: %v: % x", fault, out)
		}
	})
}

func FuzzJoin(f *testing.F) {
	f.Add([]byte{celt20, 1}, []byte{celt20 | 1, 1, 2}, []byte{celt20 | 3, 3})
	f.Add([]byte{celt2 | 3, 47}, []byte{celt2}, []byte{celt2})
	f.Add([]byte{silk60}, []byte{silk60}, []byte{})
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var p, q Packet
		out, fault := Join(nil, a, b, c)
		if fault != OK {
			if out != nil {
				t.Fatal("something of a refused packet")
			}
			return
		}
		if f := Parse(out, &p); f != OK {
			t.Fatal(f)
		}
		at := 0
		for _, in := range [][]byte{a, b, c} {
			Parse(in, &q)
			if !sameFrames(p.Frames[at:at+q.Count], q.Frames[:q.Count]) {
				t.Fatal("frames differ")
			}
			at += q.Count
		}
		if at != p.Count {
			t.Fatal("frames from nowhere")
		}
	})
}

func FuzzSelfDelimited(f *testing.F) {
	seedPackets(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, q Packet
		// As a packet on its own.
		if out, fault := AppendSelfDelimited(nil, b); fault == OK {
			Parse(b, &p)
			n, f := ParseSelfDelimited(append(out, 1, 2, 3), &q)
			if f != OK || n != len(out) || !sameFrames(p.Frames[:p.Count], q.Frames[:q.Count]) {
				t.Fatalf("%v: %d of %d bytes", f, n, len(out))
			}
		} else if out != nil {
			t.Fatal("something of a refused packet")
		}
		// As a stream of a multistream packet.
		n, fault := ParseSelfDelimited(b, &p)
		if fault != OK {
			if n != 0 || p.Count != 0 {
				t.Fatal("something of a refused packet")
			}
			return
		}
		if n < 1 || n > len(b) || p.Samples() > MaxSamples || p.Count < 1 {
			t.Fatalf("%d of %d bytes, %d samples", n, len(b), p.Samples())
		}
		if m, f := ParseSelfDelimited(b[:n], &q); m != n || f != OK {
			t.Fatalf("alone: %d of %d bytes, %v", m, n, f)
		}
	})
}

// FuzzCutter reads a stream of packets: a byte of length, then the packet; length 255 says Reset.
func FuzzCutter(f *testing.F) {
	f.Add([]byte{1, celt20, 3, celt20 | 1, 1, 2, 2, celt20 | 3, 6})
	f.Add([]byte{2, celt2, 9, 2, celt2 | 3, 48, 255, 2, celt2, 1, 1, celt20})
	f.Add([]byte{2, 22 << 3, 1, 2, 26 << 3, 1, 2, 26 << 3, 1, 2, 29 << 3, 3})
	f.Add(bytes.Repeat([]byte{6, 29<<3 | 3, 0x83, 1, 0, 9, 8}, 5))
	f.Fuzz(func(t *testing.T, stream []byte) {
		var c Cutter
		var p Packet
		var pushed, given uint64
		for len(stream) > 0 {
			n := int(stream[0])
			if n == 255 {
				c.Reset()
			}
			n = min(n, len(stream)-1)
			b := stream[1 : 1+n]
			stream = stream[1+n:]
			before := c.Pending()
			want, fault := Parse(b, &p), c.Push(b)
			if fault != want && fault != Oversize {
				t.Fatalf("%v, want %v", fault, want)
			}
			out := take(t, &c)
			if fault != OK && len(out) > 0 {
				t.Fatal("something of a refused packet")
			}
			if fault == OK {
				pushed += uint64(p.Samples())
			}
			for _, b := range out {
				n, _ := Samples(b)
				given += uint64(n)
			}
			if pushed != given+uint64(c.Pending())+c.Dropped || c.Lead() > before || c.Pending() >= FrameSamples {
				t.Fatalf("pushed %d, gave %d, pending %d, dropped %d, lead %d", pushed, given, c.Pending(), c.Dropped, c.Lead())
			}
		}
	})
}
