package opus

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// take gives copies of what the last Push completed, and fails on anything that must not reach a lane or a recording.
func take(t testing.TB, c *Cutter) (out [][]byte) {
	t.Helper()
	var p Packet
	for {
		b, samples, uncut, ok := c.Next()
		if !ok {
			return out
		}
		if f := Parse(b, &p); f != OK {
			t.Fatalf("gave an invalid packet: %v: % x", f, b[:min(len(b), 64)])
		}
		if len(b) > MaxPacket || p.Padding != 0 || p.Samples() != samples {
			t.Fatalf("gave %d bytes, %d of padding, %d samples told, %d in the packet", len(b), p.Padding, samples, p.Samples())
		}
		if uncut != (samples > FrameSamples) || uncut && (p.TOC.Mode() != SILK || p.Count != 1) || !uncut && samples != FrameSamples {
			t.Fatalf("gave %d samples, uncut %v, TOC %#02x", samples, uncut, byte(p.TOC))
		}
		out = append(out, bytes.Clone(b))
	}
}

func TestCutterCutsAndJoins(t *testing.T) {
	const (
		silk10 = 8 << 3
		silk20 = 9 << 3
		silk40 = 10 << 3
		celt10 = 30<<3 | stereoMask
		celt5  = 29 << 3
	)
	type packets = [][]byte
	for name, c := range map[string]struct{ in, want packets }{
		"20 ms":                         {packets{{celt20, 1, 2}}, packets{{celt20, 1, 2}}},
		"20 ms, empty":                  {packets{{celt20}}, packets{{celt20}}},
		"20 ms in code 3":               {packets{{celt20 | 3, 1, 7}}, packets{{celt20 | 3, 1, 7}}},
		"20 ms in code 3, padded":       {packets{{celt20 | 3, 0x41, 2, 7, 0, 0}}, packets{{celt20, 7}}},
		"40 ms, code 1":                 {packets{{celt20 | 1, 1, 2}}, packets{{celt20, 1}, {celt20, 2}}},
		"40 ms, code 2":                 {packets{{silk20 | 2, 1, 1, 2, 3}}, packets{{silk20, 1}, {silk20, 2, 3}}},
		"60 ms, CBR":                    {packets{{celt20 | 3, 3, 1, 2, 3}}, packets{{celt20, 1}, {celt20, 2}, {celt20, 3}}},
		"60 ms, VBR, padded, one empty": {packets{{celt20 | 3, 0xC3, 1, 1, 0, 1, 2, 3, 0}}, packets{{celt20, 1}, {celt20}, {celt20, 2, 3}}},
		"120 ms, all empty":             {packets{{celt20 | 3, 6}}, packets{{celt20}, {celt20}, {celt20}, {celt20}, {celt20}, {celt20}}},
		"one SILK frame of 40 ms":       {packets{{silk40, 5}}, packets{{silk40, 5}}},
		"120 ms of 40 ms frames":        {packets{{silk40 | 3, 3, 1, 2, 3}}, packets{{silk40, 1}, {silk40, 2}, {silk40, 3}}},
		"120 ms of 60 ms frames":        {packets{{silk60 | 1, 5, 6}}, packets{{silk60, 5}, {silk60, 6}}},
		"60 ms frame, padded":           {packets{{silk60 | 3, 0x41, 1, 5, 0}}, packets{{silk60, 5}}},
		"10 ms, equal":                  {packets{{celt10, 1}, {celt10, 2}}, packets{{celt10 | 1, 1, 2}}},
		"10 ms, different":              {packets{{celt10}, {celt10, 2}}, packets{{celt10 | 2, 0, 2}}},
		"10 ms, 20 in one packet":       {packets{{celt10 | 2, 0, 2}}, packets{{celt10 | 2, 0, 2}}},
		"10 ms, both empty":             {packets{{silk10}, {silk10}}, packets{{silk10 | 1}}},
		"10 ms, three in a packet": {packets{{silk10 | 3, 3, 1, 2, 3}, {silk10 | 3, 3, 4, 5, 6}},
			packets{{silk10 | 1, 1, 2}, {silk10 | 1, 3, 4}, {silk10 | 1, 5, 6}}},
		"5 ms, equal":     {packets{{celt5, 1}, {celt5 | 1, 2, 3}, {celt5, 4}}, packets{{celt5 | 3, 4, 1, 2, 3, 4}}},
		"5 ms, different": {packets{{celt5 | 3, 3, 1, 2, 3}, {celt5}}, packets{{celt5 | 3, 0x84, 1, 1, 1, 1, 2, 3}}},
		"2.5 ms, 120 ms in a packet": {packets{append([]byte{celt2 | 3, 48}, make([]byte, 48)...)},
			packets{bytesOf(celt2|3, 8, -8), bytesOf(celt2|3, 8, -8), bytesOf(celt2|3, 8, -8), bytesOf(celt2|3, 8, -8),
				bytesOf(celt2|3, 8, -8), bytesOf(celt2|3, 8, -8)}},
		"10 ms, padded": {packets{{silk10 | 3, 0x42, 1, 1, 2, 0}}, packets{{silk10 | 1, 1, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			var cutter Cutter
			var got packets
			for _, b := range c.in {
				before := bytes.Clone(b)
				if f := cutter.Push(b); f != OK {
					t.Fatal(f)
				}
				got = append(got, take(t, &cutter)...)
				if !bytes.Equal(b, before) {
					t.Error("changed the packet it was given")
				}
			}
			if !sameFrames(got, c.want) || cutter.Pending() != 0 || cutter.Dropped != 0 || cutter.Concealed != 0 {
				t.Errorf("got % x, want % x; pending %d, dropped %d, concealed %d", got, c.want, cutter.Pending(), cutter.Dropped, cutter.Concealed)
			}
		})
	}
}

// push fails on a fault.
func push(t *testing.T, c *Cutter, b ...byte) [][]byte {
	t.Helper()
	if f := c.Push(b); f != OK {
		t.Fatal(f)
	}
	return take(t, c)
}

func TestChangeOfBandwidthKeepsTime(t *testing.T) {
	const wide, super = 22 << 3, 26 << 3 // CELT 10 ms
	var c Cutter
	push(t, &c, wide, 1)
	got := push(t, &c, super|3, 2, 2, 3)
	if want := [][]byte{{wide | 2, 1, 1}}; !sameFrames(got, want) || c.Lead() != 480 {
		t.Errorf("got % x, want % x, lead %d", got, want, c.Lead())
	}
	if c.Pending() != 480 || c.Concealed != 480 || c.Dropped != 0 {
		t.Errorf("pending %d, concealed %d, dropped %d", c.Pending(), c.Concealed, c.Dropped)
	}
	if got := push(t, &c, super, 4); !sameFrames(got, [][]byte{{super | 1, 3, 4}}) {
		t.Errorf("got % x", got)
	}
}

func TestChangeOfFrameLengthDropsWhatWaits(t *testing.T) {
	for _, b := range [][]byte{{celt20, 1}, {29 << 3, 1}, {silk60, 1}} {
		var c Cutter
		push(t, &c, 30<<3, 9)
		push(t, &c, b...)
		if c.Dropped != 480 || c.Concealed != 0 || c.Lead() != 0 {
			t.Errorf("TOC %#02x: dropped %d, concealed %d, lead %d", b[0], c.Dropped, c.Concealed, c.Lead())
		}
	}
}

func TestResetDropsWhatWaits(t *testing.T) {
	var c Cutter
	push(t, &c, 30<<3, 9)
	c.Reset()
	if c.Pending() != 0 || c.Dropped != 480 {
		t.Errorf("pending %d, dropped %d", c.Pending(), c.Dropped)
	}
	if got := push(t, &c, 30<<3, 8); len(got) != 0 {
		t.Errorf("got % x", got)
	}
	if got := push(t, &c, 30<<3, 7); !sameFrames(got, [][]byte{{30<<3 | 1, 8, 7}}) {
		t.Errorf("got % x", got)
	}
	if f := c.Push([]byte{celt20 | 1, 1, 2}); f != OK {
		t.Fatal(f)
	}
	c.Reset()
	if _, _, _, ok := c.Next(); ok {
		t.Error("gave a packet after Reset")
	}
}

func TestRefusedPacketDropsWhatWaits(t *testing.T) {
	var c Cutter
	push(t, &c, 30<<3, 9)
	if f := c.Push([]byte{celt20 | 1, 1}); f != R3 {
		t.Fatal(f)
	}
	if got := take(t, &c); len(got) != 0 || c.Pending() != 0 || c.Dropped != 480 || c.Lead() != 0 {
		t.Errorf("got % x, pending %d, dropped %d, lead %d", got, c.Pending(), c.Dropped, c.Lead())
	}
}

func TestShortFramesOverOneFrameSizeAreRefused(t *testing.T) {
	const celt10 = 30 << 3
	for name, c := range map[string]struct {
		in   [][]byte
		want Fault // of the last
	}{
		"1276 bytes, code 2":      {[][]byte{bytesOf(celt10, -100), bytesOf(celt10, -1174)}, OK},
		"1277 bytes, code 2":      {[][]byte{bytesOf(celt10, -100), bytesOf(celt10, -1175)}, Oversize},
		"1275 bytes, code 1":      {[][]byte{bytesOf(celt10|1, -1274)}, OK},
		"1277 bytes, code 1":      {[][]byte{bytesOf(celt10|1, -1276)}, Oversize},
		"second slot of a packet": {[][]byte{bytesOf(celt10|3, 0x84, 1, 1, 0, -2, -1275)}, Oversize},
		"48 of the longest":       {[][]byte{append(bytesOf(celt2|3, 48), make([]byte, 48*1275)...)}, Oversize},
		"longer only by padding":  {[][]byte{append(bytesOf(celt10|3, 0x42, 255, 255, 255, 255, 255, 100), make([]byte, 2+5*254+100)...)}, OK},
	} {
		var cutter Cutter
		for i, b := range c.in {
			f := cutter.Push(b)
			if i == len(c.in)-1 && f != c.want || i < len(c.in)-1 && f != OK {
				t.Errorf("%s: packet %d: %v, want %v", name, i, f, c.want)
			}
			if out := take(t, &cutter); f != OK && len(out) > 0 {
				t.Errorf("%s: gave something of a refused packet", name)
			}
		}
		if cutter.Pending() != 0 {
			t.Errorf("%s: pending %d", name, cutter.Pending())
		}
	}
}

// TestCutterConservesFrames: whatever lawful stream goes in, with refused packets between, comes out frame by frame.
func TestCutterConservesFrames(t *testing.T) {
	r := lawful{rand.New(rand.NewPCG(7, 8))}
	var kinds [Faults]int
	for range 300 {
		var c Cutter
		var p Packet
		var pushed, given uint64
		toc := r.toc()
		var waiting, got [][]byte
		for range 60 {
			switch r.IntN(12) {
			case 0:
				toc = r.toc()
			case 1:
				toc = toc&^0xE0 | r.toc()&0x60 // often another bandwidth with frames as long as before
			}
			frames := r.frames(toc, MaxFrames)
			b, _ := r.packet(toc, frames)
			if r.IntN(20) == 0 {
				b = b[:r.IntN(len(b))]
			}
			before, concealed, dropped := c.Pending(), c.Concealed, c.Dropped
			f := c.Push(b)
			kinds[f]++
			want := Parse(b, &p)
			if f != want && (f != Oversize || want != OK) {
				t.Fatalf("%v, want %v", f, want)
			}
			got = got[:0]
			for _, out := range take(t, &c) {
				var q Packet
				Parse(out, &q)
				got = append(got, q.Frames[:q.Count]...)
				given += uint64(q.Samples())
			}
			if f != OK {
				if len(got) > 0 || c.Pending() != 0 || c.Dropped != dropped+uint64(before) || c.Concealed != concealed {
					t.Fatalf("%v: gave %d frames, pending %d", f, len(got), c.Pending())
				}
				waiting = waiting[:0]
				continue
			}
			pushed += uint64(p.Samples())
			if pushed != given+uint64(c.Pending())+c.Dropped {
				t.Fatalf("pushed %d samples, gave %d, %d pending, %d dropped", pushed, given, c.Pending(), c.Dropped)
			}
			if c.Dropped != dropped {
				waiting = waiting[:0]
			}
			for i := range p.Frames[:p.Count] {
				frame := p.Frames[i]
				if uint64(i*p.TOC.FrameSamples()) < c.Concealed-concealed {
					frame = nil
				}
				waiting = append(waiting, bytes.Clone(frame))
			}
			if len(got) > len(waiting) || !sameFrames(got, waiting[:len(got)]) {
				t.Fatalf("frames differ: %d given, %d waited", len(got), len(waiting))
			}
			waiting = waiting[len(got):]
		}
	}
	if kinds[OK] < 10000 || kinds[Oversize] == 0 || kinds[R7] == 0 || kinds[R1] == 0 {
		t.Errorf("the stream does not try enough: %v", kinds)
	}
}

func TestPacketsStayValidUntilTheNextPush(t *testing.T) {
	const celt10 = 30 << 3
	var c Cutter
	push(t, &c, celt10, 1)
	if f := c.Push([]byte{celt10 | 3, 7, 2, 3, 4, 5, 6, 7, 8}); f != OK {
		t.Fatal(f)
	}
	var all [][]byte
	for {
		b, _, _, ok := c.Next()
		if !ok {
			break
		}
		all = append(all, b)
	}
	_ = append(all[0], 0xFF)
	if want := [][]byte{{celt10 | 1, 1, 2}, {celt10 | 1, 3, 4}, {celt10 | 1, 5, 6}, {celt10 | 1, 7, 8}}; !sameFrames(all, want) {
		t.Errorf("got % x", all)
	}
}
