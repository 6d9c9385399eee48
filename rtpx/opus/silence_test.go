package opus

import (
	"bytes"
	"testing"
)

func TestSilenceAndConcealmentAre20ms(t *testing.T) {
	if n, f := Samples(Silence20); n != FrameSamples || f != OK || !bytes.Equal(Silence20, []byte{0xF8, 0xFF, 0xFE}) || IsDTX(Silence20) {
		t.Errorf("Silence20: % x", Silence20)
	}
	var p Packet
	for b := range 256 {
		toc := TOC(b)
		silence := SilenceLike([]byte{1}, toc)[1:]
		if f := Parse(silence, &p); f != OK || p.Samples() != FrameSamples || p.TOC.Mode() != CELT || p.TOC.Stereo() != toc.Stereo() || IsDTX(silence) {
			t.Errorf("silence like %#02x: % x, %v", b, silence, f)
		}
		if want := toc.Bandwidth(); p.TOC.Bandwidth() != want && (want != Mediumband || p.TOC.Bandwidth() != Wideband) {
			t.Errorf("silence like %#02x: bandwidth %v", b, p.TOC.Bandwidth())
		}
		plc := PLC([]byte{1}, toc)[1:]
		if f := Parse(plc, &p); f != OK || p.Samples() != FrameSamples || p.TOC.Mode() != toc.Mode() ||
			p.TOC.Bandwidth() != toc.Bandwidth() || p.TOC.Stereo() != toc.Stereo() || len(plc) != 1 || !IsDTX(plc) {
			t.Errorf("concealment like %#02x: % x, %v", b, plc, f)
		}
	}
}

func TestIsDTX(t *testing.T) {
	for name, c := range map[string]struct {
		packet []byte
		want   bool
	}{
		"nothing at all":                {nil, false},
		"TOC alone":                     {[]byte{celt20}, true},
		"one byte":                      {[]byte{celt20, 1}, true},
		"two bytes":                     {[]byte{celt20, 1, 2}, false},
		"two empty frames":              {[]byte{celt20 | 1}, true},
		"two frames of a byte":          {[]byte{celt20 | 1, 1, 2}, true},
		"an empty frame and a long one": {[]byte{celt20 | 2, 0, 1, 2}, false},
		"three empty frames":            {[]byte{celt20 | 3, 3}, true},
		"empty frames and padding":      {[]byte{celt20 | 3, 0x43, 2, 0, 0}, true},
		"VBR of 0 and 1":                {[]byte{celt20 | 3, 0x83, 0, 1, 9}, true},
		"not valid":                     {[]byte{celt20 | 3, 0x83, 0}, false},
	} {
		if got := IsDTX(c.packet); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
