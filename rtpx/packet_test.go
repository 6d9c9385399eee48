package rtpx

import (
	"bytes"
	"testing"

	"github.com/pion/rtp"
)

func TestParseReadsWhatPionWrites(t *testing.T) {
	for _, in := range []rtp.Packet{
		{Header: rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: 65535, Timestamp: 1<<32 - 1, SSRC: 0xdeadbeef}, Payload: []byte{1, 2, 3}},
		{Header: rtp.Header{Version: 2, PayloadType: 126, Marker: true, SequenceNumber: 1, CSRC: []uint32{1, 2, 3}}, Payload: []byte{9}},
		{Header: rtp.Header{Version: 2, PayloadType: 0, SequenceNumber: 2, Padding: true, PaddingSize: 4}, Payload: []byte{5, 6}},
		{Header: rtp.Header{Version: 2, PayloadType: 127, Padding: true, PaddingSize: 255}},
		{Header: rtp.Header{Version: 2, Extension: true, ExtensionProfile: 0x1234, CSRC: make([]uint32, 15)}, Payload: []byte("x")},
	} {
		if in.Extension {
			if err := in.SetExtension(0, make([]byte, 40)); err != nil {
				t.Fatal(err)
			}
		}
		b, err := in.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		var p Packet
		if f := Parse(b, &p); f != OK {
			t.Fatalf("%v: %v", in.Header, f)
		}
		if p.PayloadType != in.PayloadType || p.Marker != in.Marker || p.Sequence != in.SequenceNumber || p.Timestamp != in.Timestamp || p.SSRC != in.SSRC {
			t.Errorf("header of %v read as %+v", in.Header, p)
		}
		if !bytes.Equal(p.Payload, in.Payload) || p.Padding != int(in.Header.PaddingSize) || p.HeaderLen != in.MarshalSize()-len(in.Payload)-p.Padding {
			t.Errorf("%v: payload %x, padding %d, header %d", in.Header, p.Payload, p.Padding, p.HeaderLen)
		}
		if len(p.Payload) > 0 && &p.Payload[0] != &b[p.HeaderLen] {
			t.Error("the payload was copied")
		}
		if cap(p.Payload) != len(p.Payload) {
			t.Error("an append to the payload would overwrite the padding")
		}
	}
}

func TestPutHeaderIsReadByPion(t *testing.T) {
	b := bytes.Repeat([]byte{0xff}, HeaderSize)
	PutHeader(b, 111, true, 0x1234, 0x56789abc, 0xdef01234)
	if want := []byte("\x80\xef\x12\x34\x56\x78\x9a\xbc\xde\xf0\x12\x34"); !bytes.Equal(b, want) {
		t.Fatalf("% x, want % x", b, want)
	}
	PutHeader(b, 0xff, false, 0, 0, 0)
	var h rtp.Header
	if _, err := h.Unmarshal(b); err != nil || h.Marker || h.PayloadType != 127 || h.Padding || h.Extension || len(h.CSRC) != 0 {
		t.Fatalf("%+v, %v", h, err)
	}
}

// Every length from 0 to 60 with every first byte: what is accepted adds up, what is not has the right name.
func TestParseEveryLengthAndFirstByte(t *testing.T) {
	for _, fill := range []byte{0, 1, 4, 0xff} {
		for n := range 61 {
			for first := range 256 {
				b := bytes.Repeat([]byte{fill}, n)
				if n > 0 {
					b[0] = byte(first)
				}
				p := Packet{SSRC: 42}
				f := Parse(b, &p)
				if want := judge(b); f != want {
					t.Fatalf("length %d, first byte %#x, fill %#x: %v, want %v", n, first, fill, f, want)
				}
				if f == OK && p.HeaderLen+len(p.Payload)+p.Padding != n {
					t.Fatalf("length %d: %d + %d + %d", n, p.HeaderLen, len(p.Payload), p.Padding)
				}
				if f != OK && (p.SSRC != 42 || p.Payload != nil) {
					t.Fatal("a packet with a fault was half read")
				}
			}
		}
	}
}

// judge is Parse once more, as arithmetic on lengths.
func judge(b []byte) Fault {
	n := len(b)
	if n < 12 {
		return Short
	}
	if b[0]&0xc0 != 0x80 {
		return Version
	}
	rest := n - 12 - 4*int(b[0]%16)
	if rest < 0 {
		return CSRCOverrun
	}
	if b[0]&0x10 != 0 {
		at := n - rest
		if rest < 4 {
			return ExtensionOverrun
		}
		if rest -= 4 + 4*(int(b[at+2])*256+int(b[at+3])); rest < 0 {
			return ExtensionOverrun
		}
	}
	if b[0]&0x20 != 0 {
		last := int(b[n-1])
		if rest == 0 {
			return PaddingOverrun
		}
		if last == 0 {
			return PaddingZero
		}
		if last > rest {
			return PaddingOverrun
		}
	}
	return OK
}

func TestParseNamesTheFault(t *testing.T) {
	head := func(first byte, tail ...byte) []byte {
		return append([]byte{first, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3}, tail...)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want Fault
	}{
		{"nothing", nil, Short},
		{"eleven bytes", make([]byte, 11), Short},
		{"version 1", head(0x40), Version},
		{"version 3", head(0xc0), Version},
		{"15 CSRC on a short packet", head(0x8f, 1, 2, 3, 4), CSRCOverrun},
		{"extension without its header", head(0x90, 0xbe, 0xde), ExtensionOverrun},
		{"extension of 0xFFFF words", head(0x90, 0xbe, 0xde, 0xff, 0xff, 1, 2, 3, 4), ExtensionOverrun},
		{"empty extension", head(0x90, 0xbe, 0xde, 0, 0), OK},
		{"padding 0", head(0xa0, 1, 2, 0), PaddingZero},
		{"padding longer than the payload", head(0xa0, 1, 2, 4), PaddingOverrun},
		{"padding without a byte of payload", head(0xa0), PaddingOverrun},
		{"padding that reaches into the extension", head(0xb0, 0, 0, 0, 1, 9, 9, 9, 9, 2), PaddingOverrun},
		{"padding only, as Chromium probes", head(0xa0, 0, 0, 3), OK},
		{"no payload", head(0x80), OK},
	} {
		var p Packet
		if f := Parse(c.b, &p); f != c.want {
			t.Errorf("%s: %v, want %v", c.name, f, c.want)
		}
	}
}

func TestEveryFaultHasAName(t *testing.T) {
	seen := map[string]bool{}
	for f := range FaultCount {
		if s := f.String(); s == "" || s == "unknown" || seen[s] {
			t.Errorf("fault %d is called %q", f, s)
		}
		seen[f.String()] = true
	}
	if FaultCount.String() != "unknown" {
		t.Error("there is a name too many")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(datagram(1, 2, 3, []byte("payload")))
	f.Add([]byte("\xbf\x6f\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\xbe\xde\xff\xff"))
	f.Add([]byte("\xb0\x6f\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\xbe\xde\x00\x01\x10\xaa\x00\x00\xf8\xff\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		var p Packet
		fault := Parse(b, &p)
		if want := judge(b); fault != want {
			t.Fatalf("%v, want %v", fault, want)
		}
		if !bytes.Equal(b, before) {
			t.Fatal("the datagram was changed")
		}
		var q rtp.Packet
		if fault != OK || q.Unmarshal(b) != nil { // pion reads the inside of extensions too, and refuses more
			return
		}
		if !bytes.Equal(p.Payload, q.Payload) || p.Sequence != q.SequenceNumber || p.SSRC != q.SSRC || p.Timestamp != q.Timestamp {
			t.Fatalf("%+v, pion read %+v", p, q)
		}
	})
}
