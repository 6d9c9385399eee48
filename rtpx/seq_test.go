package rtpx

import "testing"

func TestExtenderStartsAboveZero(t *testing.T) {
	var e Extender
	if s := e.Extend(0); s != 1<<16 {
		t.Fatalf("first number %#x", s)
	}
	if s := e.Extend(65535); s != 1<<16-1 {
		t.Fatalf("the one before the first is %#x", s)
	}
	if s := e.Extend(0x8000); s != 1<<16-1<<15 {
		t.Fatalf("the one furthest before the first is %#x", s)
	}
	if s := e.Extend(1); s != 1<<16+1 {
		t.Fatalf("a number from before the first moved the highest: %#x", s)
	}
}

func TestExtenderOverTheWrap(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []uint16
		want []Seq
	}{
		{"in order", []uint16{65534, 65535, 0, 1}, []Seq{0x1fffe, 0x1ffff, 0x20000, 0x20001}},
		{"lost", []uint16{65530, 20, 21}, []Seq{0x1fffa, 0x20014, 0x20015}},
		{"reordered", []uint16{65534, 1, 65535, 0, 2}, []Seq{0x1fffe, 0x20001, 0x1ffff, 0x20000, 0x20002}},
		{"32767 lost", []uint16{40000, 7231}, []Seq{0x19c40, 0x20000 + 7231}},
	} {
		var e Extender
		for i, seq := range c.in {
			if s := e.Extend(seq); s != c.want[i] {
				t.Errorf("%s: %d is %#x, want %#x", c.name, seq, s, c.want[i])
			}
		}
	}
}

func TestExtenderNeverWraps(t *testing.T) {
	var e Extender
	for i := range Seq(10 << 16) {
		if s := e.Extend(uint16(i)); s != 1<<16+i {
			t.Fatalf("packet %d is %#x", i, s)
		}
	}
}
