package opus

import "testing"

// configurations is RFC 6716 table 2, row by row.
var configurations = []struct {
	first     uint8
	mode      Mode
	bandwidth Bandwidth
	samples   []int
}{
	{0, SILK, Narrowband, []int{480, 960, 1920, 2880}},
	{4, SILK, Mediumband, []int{480, 960, 1920, 2880}},
	{8, SILK, Wideband, []int{480, 960, 1920, 2880}},
	{12, Hybrid, SuperWideband, []int{480, 960}},
	{14, Hybrid, Fullband, []int{480, 960}},
	{16, CELT, Narrowband, []int{120, 240, 480, 960}},
	{20, CELT, Wideband, []int{120, 240, 480, 960}},
	{24, CELT, SuperWideband, []int{120, 240, 480, 960}},
	{28, CELT, Fullband, []int{120, 240, 480, 960}},
}

func TestTOCReadsAllConfigurations(t *testing.T) {
	seen := 0
	for _, row := range configurations {
		for i, samples := range row.samples {
			for low := range TOC(8) {
				toc := TOC(row.first+uint8(i))<<3 | low
				seen++
				if toc.Config() != row.first+uint8(i) || toc.Mode() != row.mode || toc.Bandwidth() != row.bandwidth ||
					toc.FrameSamples() != samples || toc.Stereo() != (low >= 4) || toc.Code() != int(low&3) {
					t.Errorf("TOC %#02x: config %d, %v, %v, %d samples, stereo %v, code %d", byte(toc), toc.Config(), toc.Mode(),
						toc.Bandwidth(), toc.FrameSamples(), toc.Stereo(), toc.Code())
				}
				if in20 := toc.in20(); in20.FrameSamples() != FrameSamples || in20.Mode() != row.mode ||
					in20.Bandwidth() != row.bandwidth || in20.Stereo() != toc.Stereo() || in20.Code() != 0 {
					t.Errorf("TOC %#02x: 20 ms form is %#02x", byte(toc), byte(in20))
				}
			}
		}
	}
	if seen != 256 {
		t.Fatalf("%d TOC bytes tested", seen)
	}
}

// TestAllTOCsWithAllCounts: the length by Samples and by Parse, and R5, for every TOC and every count of code 3.
func TestAllTOCsWithAllCounts(t *testing.T) {
	var p Packet
	for toc := range 256 {
		if TOC(toc).Code() != 3 {
			b := make([]byte, 1+2*7)
			b[0] = byte(toc)
			b[1] = 5 // a length, in code 2
			want := TOC(toc).FrameSamples() * min(1+TOC(toc).Code(), 2)
			if n, f := Samples(b); n != want || f != OK {
				t.Errorf("TOC %#02x: %d samples, %v", toc, n, f)
			}
			if f := Parse(b, &p); f != OK || p.Samples() != want {
				t.Errorf("TOC %#02x: parsed %d samples, %v", toc, p.Samples(), f)
			}
			continue
		}
		for head := range 256 {
			m := head & 63
			b := append([]byte{byte(toc), byte(head)}, make([]byte, 1+2*64)...) // no padding, lengths 0
			b = b[:len(b)-1]
			if head&countVBR == 0 {
				b = b[:2]
			}
			if head&countPadding != 0 && head&countVBR == 0 {
				b = append(b, 0)
			}
			want := OK
			if m == 0 || m*TOC(toc).FrameSamples() > MaxSamples {
				want = R5
			}
			f := Parse(b, &p)
			if f != want {
				t.Errorf("TOC %#02x count %#02x: %v, want %v", toc, head, f, want)
			}
			n, g := Samples(b)
			if g != want || want == OK && (n != m*TOC(toc).FrameSamples() || n != p.Samples() || p.Count != m) {
				t.Errorf("TOC %#02x count %#02x: %d samples, %v", toc, head, n, g)
			}
			if f != OK && p.Count != 0 {
				t.Errorf("TOC %#02x count %#02x: frames of a refused packet", toc, head)
			}
		}
	}
}

func TestSamplesOfShortPackets(t *testing.T) {
	if _, f := Samples(nil); f != R1 {
		t.Error(f)
	}
	if _, f := Samples([]byte{3}); f != R6 {
		t.Error(f)
	}
}

func TestNames(t *testing.T) {
	for f := range Faults {
		if f.String() == "" || f.String() == "unknown" {
			t.Errorf("fault %d has no name", f)
		}
	}
	if Faults.String() != "unknown" || SILK.String() != "SILK" || Hybrid.String() != "Hybrid" || CELT.String() != "CELT" ||
		SuperWideband.String() != "SWB" || Bandwidth(200).String() != "FB" {
		t.Error("wrong name")
	}
}
