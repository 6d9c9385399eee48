package opus

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestJoinKeepsEveryFrame(t *testing.T) {
	r := lawful{rand.New(rand.NewPCG(3, 4))}
	var p Packet
	for range 5000 {
		toc := r.toc()
		var packets, all [][]byte
		for room := MaxSamples / toc.FrameSamples(); room > 0 && len(packets) < 6; {
			frames := r.frames(toc, room)
			room -= len(frames)
			b, _ := r.packet(toc, frames)
			packets, all = append(packets, b), append(all, frames...)
		}
		out, f := Join([]byte("head"), packets...)
		if f != OK || string(out[:4]) != "head" {
			t.Fatal(f)
		}
		out = out[4:]
		if f := Parse(out, &p); f != OK || p.TOC&streamMask != toc || p.Padding != 0 || !sameFrames(p.Frames[:p.Count], all) {
			t.Fatalf("%v: % x", f, out[:min(len(out), 64)])
		}
		same := true
		for _, f := range all {
			same = same && len(f) == len(all[0])
		}
		want := 3
		if len(all) == 1 {
			want = 0
		} else if len(all) == 2 {
			want = 2
			if same {
				want = 1
			}
		} else if same != (out[1]&countVBR == 0) {
			t.Fatal("VBR for frames of equal size, or CBR for others")
		}
		if p.TOC.Code() != want {
			t.Fatalf("code %d, want %d", p.TOC.Code(), want)
		}
	}
}

func TestJoinRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		packets [][]byte
		want    Fault
	}{
		"nothing":               {nil, R1},
		"an empty packet":       {[][]byte{{celt20}, {}}, R1},
		"an invalid packet":     {[][]byte{{celt20}, {celt20 | 1, 1}}, R3},
		"another configuration": {[][]byte{{celt20}, {celt2}}, Mixed},
		"mono and stereo":       {[][]byte{{celt20}, {celt20 | stereoMask}}, Mixed},
		"140 ms":                {[][]byte{{celt20 | 3, 3}, {celt20 | 3, 4}}, R5},
		"49 frames":             {[][]byte{{celt2 | 3, 48}, {celt2}}, R5},
		"180 ms of 60":          {[][]byte{{silk60 | 1}, {silk60}}, R5},
	} {
		if out, f := Join([]byte("x"), c.packets...); f != c.want || string(out) != "x" {
			t.Errorf("%s: %v, %q; want %v", name, f, out, c.want)
		}
	}
	if out, f := Join(nil, []byte{celt20 | 3, 3}, []byte{celt20 | 1}, []byte{celt20}); f != OK || !bytes.Equal(out, []byte{celt20 | 3, 6}) {
		t.Errorf("120 ms: %v, % x", f, out)
	}
}

// TestSelfDelimitedForms are the figures of RFC 6716 appendix B.
func TestSelfDelimitedForms(t *testing.T) {
	for name, c := range map[string]struct{ packet, want []byte }{
		"code 0":                      {bytesOf(celt20, 1, 2, 3), bytesOf(celt20, 3, 1, 2, 3)},
		"code 0, empty":               {bytesOf(celt20), bytesOf(celt20, 0)},
		"code 0, length of two bytes": {bytesOf(celt20, -253), bytesOf(celt20, 253, 0, -253)},
		"code 0, longest":             {bytesOf(celt20, -1275), bytesOf(celt20, 255, 255, -1275)},
		"code 1":                      {bytesOf(celt20|1, 1, 2), bytesOf(celt20|1, 1, 1, 2)},
		"code 2":                      {bytesOf(celt20|2, 1, 1, 2, 3), bytesOf(celt20|2, 1, 2, 1, 2, 3)},
		"code 3 CBR":                  {bytesOf(celt20|3, 3, 1, 2, 3), bytesOf(celt20|3, 3, 1, 1, 2, 3)},
		"code 3 VBR":                  {bytesOf(celt20|3, 0x83, 1, 0, 1, 2, 3), bytesOf(celt20|3, 0x83, 1, 0, 2, 1, 2, 3)},
		"code 3 CBR, padding goes":    {bytesOf(celt20|3, 0x43, 1, 1, 2, 3, 0), bytesOf(celt20|3, 3, 1, 1, 2, 3)},
	} {
		got, f := AppendSelfDelimited(nil, c.packet)
		if f != OK || !bytes.Equal(got, c.want) {
			t.Errorf("%s: %v, % x; want % x", name, f, got, c.want)
		}
	}
}

func TestSelfDelimitedPacketIsFoundInFrontOfOthers(t *testing.T) {
	r := lawful{rand.New(rand.NewPCG(5, 6))}
	var p Packet
	for range 5000 {
		toc := r.toc()
		frames := r.frames(toc, MaxFrames)
		b, _ := r.packet(toc, frames)
		out, f := AppendSelfDelimited(nil, b)
		if f != OK {
			t.Fatal(f)
		}
		whole := len(out)
		out = append(out, 0xAA, 0xBB, 0xCC)
		if n, f := ParseSelfDelimited(out, &p); f != OK || n != whole || p.TOC&streamMask != toc || !sameFrames(p.Frames[:p.Count], frames) {
			t.Fatalf("%v: %d of %d bytes", f, n, whole)
		}
		for range 4 {
			if n, f := ParseSelfDelimited(out[:r.IntN(whole)], &p); f == OK || n != 0 || p.Count != 0 {
				t.Fatalf("cut packet: %d bytes, %v", n, f)
			}
		}
	}
}

func TestSelfDelimitedWithPadding(t *testing.T) {
	var p Packet
	for name, c := range map[string]struct {
		packet []byte
		n      int
		want   Fault
	}{
		"CBR":                    {bytesOf(celt20|3, 0x42, 2, 1, 8, 9, 0, 0, 77), 8, OK},
		"VBR":                    {bytesOf(celt20|3, 0xC2, 2, 1, 1, 8, 9, 0, 0, 77), 9, OK},
		"CBR, padding cut":       {bytesOf(celt20|3, 0x42, 2, 1, 8, 9, 0), 0, Undelimited},
		"CBR, padding alone":     {bytesOf(celt20|3, 0x42, 4, 1, 8, 9), 0, R6},
		"VBR, last length cut":   {bytesOf(celt20|3, 0x82, 1), 0, Undelimited},
		"VBR, first length cut":  {bytesOf(celt20|3, 0x82, 252), 0, R7},
		"code 0, no length":      {bytesOf(celt20), 0, Undelimited},
		"code 1, one frame only": {bytesOf(celt20|1, 2, 1, 1, 1), 0, Undelimited},
		"code 2, first length":   {bytesOf(celt20 | 2), 0, R4},
		"empty":                  {nil, 0, R1},
	} {
		if n, f := ParseSelfDelimited(c.packet, &p); n != c.n || f != c.want {
			t.Errorf("%s: %d, %v; want %d, %v", name, n, f, c.n, c.want)
		}
	}
}
