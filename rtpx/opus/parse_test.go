package opus

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// bytesOf joins bytes and runs of zeros: a negative number n stands for -n zero bytes.
func bytesOf(parts ...int) []byte {
	var b []byte
	for _, p := range parts {
		if p < 0 {
			b = append(b, make([]byte, -p)...)
		} else {
			b = append(b, byte(p))
		}
	}
	return b
}

const (
	celt20 = 31 << 3 // full band, mono, 20 ms
	celt2  = 28 << 3 // full band, mono, 2.5 ms
	silk60 = 11 << 3
)

// requirements are packets at the edge of each requirement of RFC 6716 section 3.4.
var requirements = map[string]struct {
	packet []byte
	want   Fault
}{
	"empty":                              {nil, R1},
	"one frame of 1275":                  {bytesOf(celt20, -1275), OK},
	"one frame of 1276":                  {bytesOf(celt20, -1276), R2},
	"two frames of 1275":                 {bytesOf(celt20|1, -2550), OK},
	"two frames of 1276":                 {bytesOf(celt20|1, -2552), R2},
	"last of two is 1276":                {bytesOf(celt20|2, 0, -1276), R2},
	"CBR frames of 1276":                 {bytesOf(celt20|3, 1, -1276), R2},
	"last VBR frame is 1276":             {bytesOf(celt20|3, 0x82, 0, -1276), R2},
	"frame of 1275 before padding":       {bytesOf(celt20|3, 0x41, 5, -1280), OK},
	"code 1, even":                       {bytesOf(celt20|1, -3), R3},
	"code 1, nothing":                    {bytesOf(celt20 | 1), OK},
	"code 2, no length":                  {bytesOf(celt20 | 2), R4},
	"code 2, half a length":              {bytesOf(celt20|2, 252), R4},
	"code 2, length past the end":        {bytesOf(celt20|2, 4, -3), R4},
	"code 2, second frame empty":         {bytesOf(celt20|2, 3, -3), OK},
	"code 2, longest first frame":        {bytesOf(celt20|2, 255, 255, -1275), OK},
	"code 3, M = 0":                      {bytesOf(celt20|3, 0), R5},
	"code 3, M = 0, VBR":                 {bytesOf(celt20|3, 0x80), R5},
	"code 3, M = 48":                     {bytesOf(celt2|3, 48, -48), OK},
	"code 3, M = 48, VBR":                {bytesOf(celt2|3, 0xB0, -47), OK},
	"code 3, M = 49":                     {bytesOf(celt2|3, 49, -49), R5},
	"code 3, M = 63":                     {bytesOf(celt2|3, 63, -63), R5},
	"code 3, 140 ms":                     {bytesOf(celt20|3, 7, -7), R5},
	"code 3, 120 ms of 60":               {bytesOf(silk60|3, 2, -2), OK},
	"code 3, 180 ms of 60":               {bytesOf(silk60|3, 3, -3), R5},
	"code 3, no count byte":              {bytesOf(celt20 | 3), R6},
	"code 3 CBR, no whole frames":        {bytesOf(celt20|3, 2, -3), R6},
	"code 3 CBR, no padding length":      {bytesOf(celt20|3, 0x41), R6},
	"code 3 CBR, padding chain cut":      {bytesOf(celt20|3, 0x41, 255, 255), R6},
	"code 3 CBR, padding past the end":   {bytesOf(celt20|3, 0x41, 4, -3), R6},
	"code 3 CBR, nothing but padding":    {bytesOf(celt20|3, 0x41, 3, -3), OK},
	"code 3 CBR, remainder by padding":   {bytesOf(celt20|3, 0x42, 1, -4), R6},
	"code 3 VBR, no length":              {bytesOf(celt20|3, 0x82), R7},
	"code 3 VBR, half a length":          {bytesOf(celt20|3, 0x82, 253), R7},
	"code 3 VBR, second length missing":  {bytesOf(celt20|3, 0x83, 0), R7},
	"code 3 VBR, frames past the end":    {bytesOf(celt20|3, 0x83, 2, 2, -3), R7},
	"code 3 VBR, last frame empty":       {bytesOf(celt20|3, 0x83, 2, 2, -4), OK},
	"code 3 VBR, frame inside padding":   {bytesOf(celt20|3, 0xC2, 3, 2, -4), R7},
	"code 3 VBR, length inside padding":  {bytesOf(celt20|3, 0xC2, 3, -3), R7},
	"code 3 VBR, padding past the end":   {bytesOf(celt20|3, 0xC1, 2, 0), R7},
	"code 3 VBR, padding chain cut":      {bytesOf(celt20|3, 0xC1, 255), R7},
	"code 3 VBR, one frame, all implied": {bytesOf(celt20|3, 0x81, -9), OK},
}

func TestRequirementsAreNamed(t *testing.T) {
	for name, c := range requirements {
		t.Run(name, func(t *testing.T) {
			var p Packet
			f := Parse(c.packet, &p)
			if f != c.want {
				t.Fatalf("%v, want %v", f, c.want)
			}
			if f >= R1 && f <= R7 && !strings.HasPrefix(f.String(), "R"+string('0'+rune(f))+": ") {
				t.Errorf("name %q", f)
			}
			var cutter Cutter
			if g := cutter.Push(c.packet); f != OK && g != f {
				t.Errorf("Cutter: %v, want %v", g, f)
			}
			if _, _, _, ok := cutter.Next(); ok && f != OK {
				t.Error("Cutter gave something of a refused packet")
			}
			if out, g := Join([]byte("x"), c.packet); g != f || f != OK && string(out) != "x" {
				t.Errorf("Join: %v, %q", g, out)
			}
			if out, g := AppendSelfDelimited([]byte("x"), c.packet); g != f || f != OK && string(out) != "x" {
				t.Errorf("AppendSelfDelimited: %v, %q", g, out)
			}
		})
	}
}

func TestPaddingChains(t *testing.T) {
	var p Packet
	for _, size := range []int{0, 1, 253, 254, 255, 508, 509, 1300, 60000} {
		chain, left := []int{}, size
		for left >= 255 {
			chain, left = append(chain, 255), left-254
		}
		chain = append(chain, left)
		for _, head := range []int{0x42, 0xC2} {
			parts := append([]int{celt20 | 3, head}, chain...)
			if head == 0xC2 {
				parts = append(parts, 3)
			}
			parts = append(parts, 1, 2, 3, 4, 5, 6)
			b := append(bytesOf(parts...), make([]byte, size)...)
			if f := Parse(b, &p); f != OK || p.Padding != len(chain)+size || !bytes.Equal(p.Frames[0], []byte{1, 2, 3}) ||
				!bytes.Equal(p.Frames[1], []byte{4, 5, 6}) {
				t.Errorf("padding of %d: %v, %d bytes, frames %v", size, f, p.Padding, p.Frames[:p.Count])
			}
			if size > 0 {
				if f := Parse(b[:2+len(chain)], &p); f != R6 && f != R7 {
					t.Errorf("padding of %d, cut: %v", size, f)
				}
			}
		}
	}
}

// lawful builds packets whose frames it knows, in every framing that can hold them.
type lawful struct{ *rand.Rand }

// frames of one configuration; many are empty or near the sizes where a length takes one byte more.
func (r lawful) frames(toc TOC, limit int) [][]byte {
	n := 1 + r.IntN(min(limit, MaxSamples/toc.FrameSamples()))
	if r.IntN(3) == 0 {
		n = min(n, 1+r.IntN(2))
	}
	size := func() int {
		return []int{0, 1, 2, r.IntN(30), 251, 252, 255, 256, r.IntN(1276), 1275}[min(r.IntN(30), 9)]
	}
	if r.IntN(4) > 0 {
		size = func() int { return r.IntN(40) }
	}
	all, one := make([][]byte, n), size()
	same := r.IntN(2) == 0
	for i := range all {
		if !same {
			one = size()
		}
		all[i] = make([]byte, one)
		for j := range all[i] {
			all[i][j] = byte(r.Uint32())
		}
	}
	return all
}

// packet writes frames as code 3 with or without padding, or in the code for one or two frames.
func (r lawful) packet(toc TOC, frames [][]byte) (b []byte, padding int) {
	toc &= streamMask
	same := true
	for _, f := range frames {
		same = same && len(f) == len(frames[0])
	}
	put := func(n int) {
		if n < 252 {
			b = append(b, byte(n))
			return
		}
		b = append(b, byte(252+n%4), byte((n-252-n%4)/4))
	}
	switch n := len(frames); {
	case n == 1 && r.IntN(4) > 0:
		b = append(b, byte(toc))
	case n == 2 && same && r.IntN(2) == 0:
		b = append(b, byte(toc|1))
	case n == 2 && r.IntN(2) == 0:
		b = append(b, byte(toc|2))
		put(len(frames[0]))
	default:
		vbr := !same || r.IntN(2) == 0
		head := byte(n)
		if vbr {
			head |= 0x80
		}
		size := 0
		if r.IntN(3) == 0 {
			head |= 0x40
			size = r.IntN(600)
		}
		b = append(b, byte(toc|3), head)
		if head&0x40 != 0 {
			left := size
			for ; left >= 255; left -= 254 {
				b = append(b, 255)
			}
			b = append(b, byte(left))
			padding = len(b) - 2 + size
		}
		for _, f := range frames[:n-1] {
			if vbr {
				put(len(f))
			}
		}
		defer func() { b = append(b, make([]byte, size)...) }()
	}
	for _, f := range frames {
		b = append(b, f...)
	}
	return b, padding
}

func (r lawful) toc() TOC { return TOC(r.IntN(256)) & streamMask }

func sameFrames(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func TestEveryLawfulPacketParses(t *testing.T) {
	r := lawful{rand.New(rand.NewPCG(1, 2))}
	var p Packet
	for range 20000 {
		toc := r.toc()
		frames := r.frames(toc, MaxFrames)
		b, padding := r.packet(toc, frames)
		if f := Parse(b, &p); f != OK || p.TOC&streamMask != toc || p.Padding != padding || !sameFrames(p.Frames[:p.Count], frames) {
			t.Fatalf("%v: % x: %d frames, padding %d; want %d, %d", f, b[:min(len(b), 64)], p.Count, p.Padding, len(frames), padding)
		}
		if n, f := Samples(b); f != OK || n != p.Samples() {
			t.Fatalf("Samples: %d, %v; want %d", n, f, p.Samples())
		}
	}
}

func TestFramesCannotGrowIntoTheNext(t *testing.T) {
	b := bytesOf(celt20|2, 1, 7, 9)
	var p Packet
	if f := Parse(b, &p); f != OK {
		t.Fatal(f)
	}
	_ = append(p.Frames[0], 1)
	if b[3] != 9 {
		t.Error("append to a frame changed the next one")
	}
}
