package ogg

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzReader: whatever the bytes, reading ends, offsets only grow, and no packet is longer than allowed.
func FuzzReader(f *testing.F) {
	b := sample(f)
	f.Add(b)
	f.Add(b[:1000])
	f.Add(append([]byte("OggSOggS\x00"), b[500:]...))
	s := stream(f, 60)
	f.Add(append(s, s[:90]...))
	s[len(s)-50] ^= 9
	f.Add(s)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		at := int64(0)
		for steps := 0; ; steps++ {
			p, _, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if len(p) > MaxPacket {
				t.Fatalf("packet of %d bytes", len(p))
			}
			if r.Offset() < at || r.Offset() > int64(len(b)) {
				t.Fatalf("offset %d after %d", r.Offset(), at)
			}
			at = r.Offset()
			if steps > 2*len(b)+10 {
				t.Fatal("reading does not end")
			}
		}
		if x, err := Scan(bytes.NewReader(b)); err == nil && (x.End > int64(len(b)) || x.Last >= x.End || x.Pages < 2) {
			t.Fatalf("%+v of %d bytes", x, len(b))
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add(Head{Channels: 2, Family: 1, Streams: 2, Mapping: [8]uint8{0, 1}}.Append(nil))
	f.Add(Tags{Vendor: "v", Comments: []string{"A=b", ""}}.Append(nil))
	f.Add([]byte("OpusTags\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ParseHead(b); err == nil {
			again, err := ParseHead(h.Append(nil))
			if err != nil || again != h {
				t.Fatalf("%+v, %+v, %v", h, again, err)
			}
		}
		if tags, err := ParseTags(b); err == nil {
			if e := tags.Append(nil); !bytes.HasPrefix(b, e) {
				t.Fatalf("%q is encoded as %q", b, e)
			}
		}
	})
}
