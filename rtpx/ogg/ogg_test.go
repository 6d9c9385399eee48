package ogg

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// readAll reads every packet of a clean stream.
func readAll(t *testing.T, b []byte) (packets [][]byte, granules []int64) {
	t.Helper()
	r := NewReader(bytes.NewReader(b))
	for {
		p, g, err := r.Next()
		if errors.Is(err, io.EOF) {
			return packets, granules
		}
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, bytes.Clone(p))
		granules = append(granules, g)
	}
}

func sample(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/short.ogg") // made by opusenc
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stream is a file of n packets of 20 ms whose pages are known.
func stream(t testing.TB, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, 7, Head{Channels: 1, PreSkip: 312, SampleRate: 48000}, Tags{Vendor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		p := make([]byte, 1+r.IntN(400))
		p[0], p[len(p)-1] = 0xF8, byte(i)
		if err := w.Packet(p, 960); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestPagesOfOpusencAreRebuiltByteForByte(t *testing.T) {
	want := sample(t)
	var got []byte
	pages := NewPages(bytes.NewReader(want))
	var raw RawPage
	for {
		err := pages.Next(&raw)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var page Page
		at, n := 0, 0
		for _, s := range raw.Segments {
			n += int(s)
			if s < 255 {
				page.Add(raw.Body[at : at+n])
				at, n = at+n, 0
			}
		}
		if size := page.Size(); size != len(raw.Bytes) {
			t.Errorf("Size() = %d, page has %d", size, len(raw.Bytes))
		}
		got = append(got, page.Encode(raw.Flags, raw.Granule, raw.Serial, raw.Sequence)...)
	}
	if !bytes.Equal(got, want) {
		t.Error("opusenc's pages, taken apart and built anew, differ")
	}
}

func TestHeadersOfOpusencAreRead(t *testing.T) {
	packets, granules := readAll(t, sample(t))
	head, err := ParseHead(packets[0])
	if err != nil {
		t.Fatal(err)
	}
	if head.Channels != 1 || head.PreSkip != 312 || head.SampleRate != 16000 || head.Streams != 1 || head.Coupled != 0 {
		t.Errorf("head %+v", head)
	}
	if !bytes.Equal(head.Append(nil), packets[0]) {
		t.Error("the head is not encoded as opusenc does")
	}
	tags, err := ParseTags(packets[1])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(tags.Vendor, "libopus") || len(tags.Comments) != 2 {
		t.Errorf("tags %+v", tags)
	}
	if got := granules[len(granules)-1]; got != 48312 {
		t.Errorf("last granule %d", got)
	}
	if len(packets) != 2+51 {
		t.Errorf("%d packets", len(packets))
	}
}

func TestGoldenFirstPage(t *testing.T) {
	b, err := AppendHeaders(nil, 0x01020304, Head{Channels: 2, PreSkip: 3840, SampleRate: 48000, Family: 1, Streams: 2, Mapping: [8]uint8{0, 1}}, Tags{Vendor: "onelane"})
	if err != nil {
		t.Fatal(err)
	}
	const want = "4f67675300020000000000000000" + "04030201" + "00000000" + "818df1c9" + "01" + "17" +
		"4f707573486561640102000f80bb0000000001" + "0200" + "0001"
	if got := hex.EncodeToString(b[:51]); got != want {
		t.Errorf("first page\n got %s\nwant %s", got, want)
	}
}

func TestPacketLengthsAroundTheSegmentSize(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, 1, Head{Channels: 1}, Tags{})
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{0, 1, 254, 255, 256, 509, 510, 511, 1275, 5000, MaxPacket, MaxPacket, 3}
	for i, n := range sizes {
		if err := w.Packet(bytes.Repeat([]byte{byte(i)}, n), 960); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	packets, _ := readAll(t, out.Bytes())
	for i, n := range sizes {
		if got := packets[i+2]; len(got) != n || n > 0 && got[n-1] != byte(i) {
			t.Errorf("packet %d: %d bytes, want %d", i, len(got), n)
		}
	}
	if err := w.Packet(make([]byte, 1), 960); err == nil {
		t.Error("a packet was taken after the end")
	}
}

func TestPacketOverTheLimitIsRefused(t *testing.T) {
	w, err := NewWriter(io.Discard, 1, Head{Channels: 1}, Tags{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Packet(make([]byte, MaxPacket+1), 960); err == nil {
		t.Error("taken")
	}
}

func TestPacketOverSeveralPagesIsJoined(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 60) // 600 bytes: two full segments and 90
	var b []byte
	emit := func(flags Flags, sequence uint32, granule int64, segments []byte, part []byte) {
		var p Page
		p.Add(nil)
		p.segments = copy(p.table[:], segments)
		p.buf = append(p.buf, part...)
		b = append(b, p.Encode(flags, granule, 5, sequence)...)
	}
	emit(First, 0, 0, []byte{1}, []byte("x"))
	emit(0, 1, NoGranule, []byte{255}, body[:255])
	emit(Continued, 2, NoGranule, []byte{255}, body[255:510])
	emit(Continued|Last, 3, 960, []byte{90}, body[510:])
	packets, granules := readAll(t, b)
	if len(packets) != 2 || !bytes.Equal(packets[1], body) || granules[1] != 960 {
		t.Errorf("%d packets, granules %v", len(packets), granules)
	}
	// Without its second page the packet is lost and named, not joined wrongly.
	cut := slices.Concat(b[:29+28+255], b[29+28+255+28+255:])
	r := NewReader(bytes.NewReader(cut))
	if _, _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	p, _, err := r.Next()
	var d *DamageError
	if !errors.As(err, &d) {
		t.Fatalf("packet of %d bytes, %v", len(p), err)
	}
}

func TestDamagedPageIsNamedAndPassedOver(t *testing.T) {
	b := stream(t, 300)
	var offsets []int64
	pages := NewPages(bytes.NewReader(b))
	var raw RawPage
	for pages.Next(&raw) == nil {
		offsets = append(offsets, raw.Offset)
	}
	whole, _ := readAll(t, b)
	b[offsets[3]+100] ^= 1
	r := NewReader(bytes.NewReader(b))
	var faults []DamageError
	n := 0
	for {
		_, _, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var d *DamageError
		if errors.As(err, &d) {
			faults = append(faults, *d)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if len(faults) != 2 || faults[0].Offset != offsets[3] || faults[1].Offset != offsets[4] {
		t.Errorf("faults %v, want one at %d and one at %d", faults, offsets[3], offsets[4])
	}
	if lost := len(whole) - n; lost != 50 {
		t.Errorf("%d packets lost with a page of 50", lost)
	}
}

func TestSecondStreamIsRefused(t *testing.T) {
	one := stream(t, 10)
	r := NewReader(bytes.NewReader(slices.Concat(one, one)))
	var err error
	for err == nil {
		_, _, err = r.Next()
	}
	if !errors.Is(err, ErrSeveralStreams) {
		t.Error(err)
	}
}

func TestScanFindsTheLastWholePageOfAFileCutAnywhere(t *testing.T) {
	b := stream(t, 300)
	type place struct{ begin, end, granule int64 }
	var places []place
	pages := NewPages(bytes.NewReader(b))
	var raw RawPage
	for pages.Next(&raw) == nil {
		places = append(places, place{raw.Offset, raw.Offset + int64(len(raw.Bytes)), raw.Granule})
	}
	cuts := []int64{0, 1, 26, 27, 40}
	for _, p := range places {
		cuts = append(cuts, p.end-1, p.end, p.end+1, p.end+26, p.end+27, p.end+60, p.end+200)
	}
	for _, cut := range cuts {
		if cut > int64(len(b)) {
			continue
		}
		x, err := Scan(bytes.NewReader(b[:cut]))
		var want place
		n := 0
		for _, p := range places {
			if p.end <= cut {
				want = p
				n++
			}
		}
		if n < 2 {
			if err == nil {
				t.Errorf("cut at %d, inside the headers: no error", cut)
			}
			continue
		}
		if err != nil || x.Last != want.begin || x.End != want.end || x.Granule != want.granule || x.Pages != n || x.Damage != nil {
			t.Errorf("cut at %d: %+v, %v; want %+v", cut, x, err, want)
		}
		if x.Complete != (want.end == int64(len(b))) {
			t.Errorf("cut at %d: complete %v", cut, x.Complete)
		}
	}
}

func TestScanTellsDamageInTheMiddleFromACut(t *testing.T) {
	b := stream(t, 300)
	b[len(b)/2] ^= 0x40
	x, err := Scan(bytes.NewReader(b))
	if err != nil || x.Damage == nil || !x.Complete || x.End != int64(len(b)) {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestScanRefusesAnotherCodec(t *testing.T) {
	var p Page
	p.Add([]byte("\x01vorbis..................."))
	if _, err := Scan(bytes.NewReader(p.Encode(First, 0, 1, 0))); !errors.Is(err, ErrNotOpus) {
		t.Error(err)
	}
}

func TestSetLastKeepsThePageWhole(t *testing.T) {
	b := stream(t, 10)
	x, err := Scan(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	b[x.Last+5] = 0
	SetLast(b[x.Last:])
	if !bytes.Equal(b, stream(t, 10)) {
		t.Error("not the same page")
	}
}

func TestHeadsThatAreRefused(t *testing.T) {
	good := Head{Channels: 2, Family: 1, Streams: 2, Mapping: [8]uint8{0, 1}}
	change := func(f func(h *Head)) []byte { h := good; f(&h); return h.Append(nil) }
	for name, b := range map[string][]byte{
		"short":          good.Append(nil)[:18],
		"cut mapping":    good.Append(nil)[:22],
		"no channels":    change(func(h *Head) { h.Channels = 0 }),
		"family 0 of 3":  Head{Channels: 3}.Append(nil),
		"family 2":       change(func(h *Head) { h.Family = 2 }),
		"no streams":     change(func(h *Head) { h.Streams = 0 }),
		"coupled":        change(func(h *Head) { h.Coupled = 3 }),
		"mapped outside": change(func(h *Head) { h.Mapping[1] = 2 }),
		"version":        append([]byte("OpusHead\x10"), good.Append(nil)[9:]...),
	} {
		if _, err := ParseHead(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if h, err := ParseHead(good.Append(nil)); err != nil || h != good {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestWriterStopsAfterAFailedWrite(t *testing.T) {
	full := errors.New("no space")
	w, err := NewWriter(&failing{after: 1, err: full}, 1, Head{Channels: 1}, Tags{})
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Packet([]byte{0xF8}, 960)
	if err := w.Flush(); !errors.Is(err, full) {
		t.Error(err)
	}
	if err := w.Packet([]byte{0xF8}, 960); !errors.Is(err, full) {
		t.Error(err)
	}
}

type failing struct {
	after int
	err   error
}

func (f *failing) Write(b []byte) (int, error) {
	if f.after == 0 {
		return 0, f.err
	}
	f.after--
	return len(b), nil
}

func TestPageIsFilledAndEncodedWithoutAllocation(t *testing.T) {
	var page Page
	packet := make([]byte, 90)
	fill := func() {
		for range 50 {
			page.Add(packet)
		}
		page.Encode(0, 48000, 1, 2)
		page.Reset()
	}
	fill()
	if n := testing.AllocsPerRun(100, fill); n != 0 {
		t.Errorf("%v allocations a page", n)
	}
}
