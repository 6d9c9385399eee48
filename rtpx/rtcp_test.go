package rtpx

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

var block = rtcp.ReceptionReport{
	SSRC: 0x11223344, FractionLost: 64, TotalLost: 0xfffff6, LastSequenceNumber: 0x00021234, Jitter: 480,
	LastSenderReport: 0xb7052000, Delay: 0x54000,
}

func TestSenderReportGolden(t *testing.T) {
	b := AppendReport(nil, SenderReport{
		SSRC: 0xaabbccdd, CNAME: "onelane", Sending: true, NTP: 0xb44db705_20000000, Timestamp: 960000, Packets: 1000, Octets: 60000,
	}, block)
	golden(t, b, `
		81 c8 00 0c aabbccdd b44db705 20000000 000ea600 000003e8 0000ea60
		11223344 40 fffff6 00021234 000001e0 b7052000 00054000
		81 ca 00 04 aabbccdd 01 07 6f6e656c616e65 00 0000`)
	got := decode(t, b)
	want := []rtcp.Packet{
		&rtcp.SenderReport{SSRC: 0xaabbccdd, NTPTime: 0xb44db705_20000000, RTPTime: 960000, PacketCount: 1000, OctetCount: 60000, Reports: []rtcp.ReceptionReport{block}},
		description(0xaabbccdd, "onelane"),
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("pion reads %v", got)
	}
}

func TestReceiverReportGolden(t *testing.T) {
	b := AppendReport(nil, SenderReport{SSRC: 1, CNAME: "abc", Bye: true, NTP: 9, Packets: 9})
	golden(t, b, `
		80 c9 00 01 00000001
		81 ca 00 03 00000001 01 03 616263 00 0000
		81 cb 00 01 00000001`)
	want := []rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1}, description(1, "abc"), &rtcp.Goodbye{Sources: []uint32{1}}}
	got := decode(t, b)
	got[0].(*rtcp.ReceiverReport).ProfileExtensions, got[0].(*rtcp.ReceiverReport).Reports = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("pion reads %v", got)
	}
}

func TestCompoundIsPaddedForEveryNameLength(t *testing.T) {
	for n := range 300 {
		name := strings.Repeat("x", n)
		b := AppendReport([]byte("before"), SenderReport{SSRC: 5, CNAME: name}, block)
		if string(b[:6]) != "before" || len(b[6:])%4 != 0 {
			t.Fatalf("name of %d: % x", n, b)
		}
		if got := decode(t, b[6:]); !reflect.DeepEqual(got[1], rtcp.Packet(description(5, name[:min(n, 255)]))) {
			t.Fatalf("name of %d: pion reads %v", n, got)
		}
		if _, f := ParseRTCP(b[6:], 5); f != OK {
			t.Fatalf("name of %d: %v", n, f)
		}
	}
}

func Test31ReportBlocks(t *testing.T) {
	blocks := make([]rtcp.ReceptionReport, 40)
	for i := range blocks {
		blocks[i].SSRC, blocks[i].Jitter = uint32(i), uint32(i)
	}
	b := AppendReport(nil, SenderReport{SSRC: 99, Sending: true, CNAME: "n"}, blocks...)
	if got := decode(t, b); !reflect.DeepEqual(got[0].(*rtcp.SenderReport).Reports, blocks[:31]) {
		t.Fatalf("pion reads %v", got)
	}
	for ours := range uint32(40) {
		r, f := ParseRTCP(b, ours)
		if f != OK || r.HasBlock != (ours < 31) || r.HasBlock && r.Block != blocks[ours] {
			t.Fatalf("ours %d: %+v, %v", ours, r, f)
		}
	}
}

func TestParseReadsReports(t *testing.T) {
	sr := &rtcp.SenderReport{SSRC: 3, NTPTime: 1<<40 + 5, RTPTime: 7, PacketCount: 8, OctetCount: 9, Reports: []rtcp.ReceptionReport{{SSRC: 1}, block}, ProfileExtensions: []byte{1, 2, 3, 4}}
	b, err := rtcp.Marshal([]rtcp.Packet{
		sr, description(3, "peer"),
		&rtcp.ExtendedReport{SenderSSRC: 3, Reports: []rtcp.ReportBlock{&rtcp.ReceiverReferenceTimeReportBlock{NTPTimestamp: 1}}},
		&rtcp.TransportLayerNack{SenderSSRC: 3, MediaSSRC: 4, Nacks: []rtcp.NackPair{{PacketID: 1}}},
		&rtcp.Goodbye{Sources: []uint32{3}, Reason: "bye"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, f := ParseRTCP(b, block.SSRC)
	want := Reports{HasSender: true, HasBlock: true, Bye: true, SSRC: 3, NTP: 1<<40 + 5, Timestamp: 7, Packets: 8, Octets: 9, Block: block}
	if f != OK || got != want {
		t.Fatalf("%+v, %v", got, f)
	}
	if got.Lost() != -10 || got.Jitter() != 10*time.Millisecond {
		t.Fatalf("%d lost, jitter %v", got.Lost(), got.Jitter())
	}
	if got, f = ParseRTCP(b, 77); f != OK || got.HasBlock {
		t.Fatalf("%+v, %v", got, f)
	}
}

func TestFeedbackMayComeAlone(t *testing.T) {
	b, err := (&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: 2}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if r, f := ParseRTCP(b, 2); f != OK || r != (Reports{}) {
		t.Fatalf("%+v, %v", r, f)
	}
}

func TestLyingRTCPIsRefusedWhole(t *testing.T) {
	rr := "81 c9 00 07 00000001 00000009 00000000 00000000 00000000 00000000 00000000 "
	for _, c := range []struct {
		name, in string
		want     Fault
	}{
		{"nothing", "", Short},
		{"three bytes", "81 c9 00", Short},
		{"a whole RR", rr, OK},
		{"three bytes after it", rr + "81 ca 00", Short},
		{"version 1 after it", rr + "41 ca 00 00", Version},
		{"version 0 in front", "01 c9 00 00", Version},
		{"one word too long", "81 c9 00 08" + rr[11:], LengthOverrun},
		{"as long as can be", rr + "81 ca ff ff", LengthOverrun},
		{"one block too many", "82" + rr[2:], CountOverrun},
		{"31 blocks", "9f" + rr[2:], CountOverrun},
		{"RR without an SSRC", "80 c9 00 00", CountOverrun},
		{"RR with a block and no room", "81 c9 00 01 00000001", CountOverrun},
		{"SR without sender information", "80 c8 00 01 00000001", CountOverrun},
		{"SR that is an RR", "81 c8" + rr[5:], OK}, // 28 bytes hold sender information; the count is not met
		{"BYE of 31 sources", "9f cb 00 01 00000001", CountOverrun},
		{"BYE of none", "80 cb 00 00", OK},
		{"padding 0", "a0 c9 00 02 00000001 00000000", PaddingZero},
		{"padding of a word", "a0 c9 00 02 00000001 00000004", OK},
		{"padding of all", "a0 c9 00 02 00000001 00000008", CountOverrun},
		{"padding of more", "a0 c9 00 02 00000001 00000009", PaddingOverrun},
		{"padding of nothing", "a0 ca 00 00", PaddingOverrun},
		{"padding inside", "a0 c9 00 02 00000001 00000004" + rr, PaddingInside},
		{"XR with a block that claims 0xFFFF words", rr + "80 cf 00 02 00000001 0400ffff", OK},
		{"XR with a block of no words", rr + "80 cf 00 02 00000001 00000000", OK},
		{"SDES that claims chunks", rr + "9f ca 00 00", OK},
	} {
		if c.name == "SR that is an RR" {
			c.want = CountOverrun
		}
		r, f := ParseRTCP(unhex(t, c.in), 9)
		if f != c.want {
			t.Errorf("%s: %v, want %v", c.name, f, c.want)
		}
		if f != OK && r != (Reports{}) {
			t.Errorf("%s: believed %+v", c.name, r)
		}
	}
	if _, f := ParseRTCP(make([]byte, MaxRTCP+1), 0); f != Oversize {
		t.Error(f)
	}
}

// The most packets that fit: each step takes four bytes at least.
func TestManySmallPacketsAreBounded(t *testing.T) {
	b := bytes.Repeat([]byte{0x80, typeBye, 0, 0}, MaxRTCP/4)
	if r, f := ParseRTCP(b, 0); f != OK || !r.Bye {
		t.Fatalf("%+v, %v", r, f)
	}
}

func TestSenderCountsAndFallsSilent(t *testing.T) {
	var s Sender
	if r := s.Report(time.Second, 1, 2, "n"); r.Sending {
		t.Fatal("an SR before any packet")
	}
	s.Sent(ms(1000), 48000, 60)
	s.Sent(ms(1020), 48960, 61)
	r := s.Report(ms(2020), 77, 2, "n")
	if want := (SenderReport{SSRC: 2, CNAME: "n", Sending: true, NTP: 77, Timestamp: 48960 + 48000, Packets: 2, Octets: 121}); r != want {
		t.Fatalf("%+v", r)
	}
	if r = s.Report(ms(7020), 78, 2, "n"); !r.Sending {
		t.Fatal("RFC 3550 6.4: one more SR after the last packet")
	}
	if r = s.Report(ms(12020), 79, 2, "n"); r.Sending {
		t.Fatal("an SR of a source that has fallen silent")
	}
	s.Sent(ms(13000), 0, 1)
	if r = s.Report(ms(13000), 80, 2, "n"); !r.Sending {
		t.Fatal("an RR of a source that speaks again")
	}
}

func FuzzParseRTCP(f *testing.F) {
	f.Add([]byte{}, uint32(0))
	f.Add(AppendReport(nil, SenderReport{SSRC: 1, CNAME: "name", Sending: true, Bye: true}, block), block.SSRC)
	f.Add([]byte("\xa0\xc9\x00\x02\x00\x00\x00\x01\x00\x00\x00\x04"), uint32(1))
	f.Add([]byte("\x80\xcf\x00\x02\x00\x00\x00\x01\x04\x00\xff\xff\x9f\xcb\x00\x00"), uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, ours uint32) {
		r, fault := ParseRTCP(b, ours)
		if fault != OK {
			if r != (Reports{}) {
				t.Fatalf("%v, but %+v", fault, r)
			}
			return
		}
		if len(b)%4 != 0 || len(b) > MaxRTCP || r.HasBlock && r.Block.SSRC != ours {
			t.Fatalf("%d bytes: %+v", len(b), r)
		}
	})
}

// A random compound of reports is read as pion reads it.
func TestParseAgreesWithPion(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 9))
	for range 2000 {
		s := SenderReport{SSRC: rnd.Uint32(), CNAME: strings.Repeat("n", rnd.IntN(256)), Sending: rnd.IntN(2) == 0, NTP: rnd.Uint64(), Timestamp: rnd.Uint32(), Packets: rnd.Uint32(), Octets: rnd.Uint32(), Bye: rnd.IntN(2) == 0}
		blocks := make([]rtcp.ReceptionReport, rnd.IntN(32))
		for i := range blocks {
			blocks[i] = rtcp.ReceptionReport{SSRC: uint32(i), FractionLost: uint8(rnd.Uint32()), TotalLost: rnd.Uint32() & 0xffffff, LastSequenceNumber: rnd.Uint32(), Jitter: rnd.Uint32(), LastSenderReport: rnd.Uint32(), Delay: rnd.Uint32()}
		}
		b := AppendReport(nil, s, blocks...)
		r, f := ParseRTCP(b, 0)
		if f != OK || r.SSRC != s.SSRC || r.Bye != s.Bye || r.HasSender != s.Sending || r.HasBlock != (len(blocks) > 0) {
			t.Fatalf("%+v, %v", r, f)
		}
		if r.HasBlock && r.Block != blocks[0] || r.HasSender && (r.NTP != s.NTP || r.Timestamp != s.Timestamp || r.Packets != s.Packets || r.Octets != s.Octets) {
			t.Fatalf("%+v", r)
		}
		decode(t, b)
	}
}

func decode(t *testing.T, b []byte) []rtcp.Packet {
	t.Helper()
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		t.Fatalf("pion refuses % x: %v", b, err)
	}
	if err := rtcp.CompoundPacket(packets).Validate(); err != nil {
		t.Fatalf("no compound packet as in RFC 3550 section 6.1: %v", err)
	}
	for _, p := range packets { // pion has an empty slice where it was given none
		switch p := p.(type) {
		case *rtcp.SenderReport:
			if len(p.ProfileExtensions) == 0 {
				p.ProfileExtensions = nil
			}
		case *rtcp.ReceiverReport:
			if len(p.ProfileExtensions) == 0 {
				p.ProfileExtensions = nil
			}
		}
	}
	return packets
}

func description(ssrc uint32, name string) *rtcp.SourceDescription {
	return &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: ssrc, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: name}}}}}
}

func golden(t *testing.T, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, unhex(t, want)) {
		t.Fatalf("% x, want\n%s", got, want)
	}
	if n := binary.BigEndian.Uint16(got[2:]); int(n)*4+4 > len(got) {
		t.Fatalf("length %d", n)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
