package ice

import "testing"

func TestEveryFirstByteIsSorted(t *testing.T) { // RFC 7983 section 7
	for first := range 256 {
		want := Other
		switch {
		case first <= 3:
			want = STUN
		case first >= 20 && first <= 63:
			want = DTLS
		case first >= 128 && first <= 191:
			want = RTP
		}
		if got := Classify([]byte{byte(first), 111}); got != want {
			t.Errorf("first byte %d: %v, want %v", first, got, want)
		}
	}
}

func TestEverySecondByteTellsRTCP(t *testing.T) { // RFC 5761 section 4
	for second := range 256 {
		want := RTP
		if second >= 192 && second <= 223 {
			want = RTCP
		}
		if got := Classify([]byte{0x80, byte(second)}); got != want {
			t.Errorf("second byte %d: %v, want %v", second, got, want)
		}
	}
}

func TestTooShortToTellIsOther(t *testing.T) {
	for _, b := range [][]byte{nil, {}, {0}, {22}, {0x80}} {
		if got := Classify(b); got != Other {
			t.Errorf("%x: %v", b, got)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add([]byte{0x80, 200})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if k := Classify(b); int(k) >= Kinds || k.String() == "" {
			t.Fatal(k)
		}
	})
}
