package rtpx

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// appendixA is RFC 3550 A.1, A.3 and A.8 as the RFC has them, in 16 and 32 bits, to judge Reception by. There is no probation at the start:
// the first packet of an authenticated source counts.
type appendixA struct {
	maxSeq                 uint16
	cycles, baseSeq        uint32
	badSeq                 uint32
	received               uint32
	expectedPrior          uint32
	receivedPrior          uint32
	transit                uint32
	jitter                 uint32
	started, transitStarts bool
}

func (a *appendixA) init(seq uint16) {
	*a = appendixA{maxSeq: seq, baseSeq: uint32(seq), badSeq: 1<<16 + 1, started: true, transit: a.transit, jitter: a.jitter, transitStarts: a.transitStarts}
}

func (a *appendixA) update(seq uint16, ts, arrival uint32) {
	if !a.started {
		a.init(seq)
	}
	delta := seq - a.maxSeq
	switch {
	case delta < 3000:
		if seq < a.maxSeq {
			a.cycles += 1 << 16
		}
		a.maxSeq = seq
	case uint32(delta) <= 1<<16-100:
		if uint32(seq) != a.badSeq {
			a.badSeq = (uint32(seq) + 1) & 0xffff
			return
		}
		a.init(seq)
	}
	a.received++
	transit := arrival - ts
	d := int32(transit - a.transit)
	a.transit = transit
	if !a.transitStarts {
		a.transitStarts = true
		return
	}
	if d < 0 {
		d = -d
	}
	a.jitter += uint32(d) - ((a.jitter + 8) >> 4)
}

func (a *appendixA) report() rtcp.ReceptionReport {
	extended := a.cycles + uint32(a.maxSeq)
	expected := extended - a.baseSeq + 1
	lost := int32(expected - a.received)
	if lost > 0x7fffff {
		lost = 0x7fffff
	} else if lost < -0x800000 {
		lost = -0x800000
	}
	expectedInterval, receivedInterval := expected-a.expectedPrior, a.received-a.receivedPrior
	a.expectedPrior, a.receivedPrior = expected, a.received
	lostInterval := int32(expectedInterval - receivedInterval)
	var fraction uint8
	if expectedInterval != 0 && lostInterval > 0 {
		fraction = uint8((lostInterval << 8) / int32(expectedInterval))
	}
	return rtcp.ReceptionReport{SSRC: 7, FractionLost: fraction, TotalLost: uint32(lost) & 0xffffff, LastSequenceNumber: extended, Jitter: a.jitter >> 4}
}

// both feeds Reception and the RFC's code the same packets.
type both struct {
	e   Extender
	r   Reception
	rfc appendixA
}

func (b *both) receive(now time.Duration, seq uint16, ts uint32) {
	b.r.Receive(now, b.e.Extend(seq), ts)
	b.rfc.update(seq, ts, uint32(ticks(now)))
}

func (b *both) compare(t *testing.T, name string) rtcp.ReceptionReport {
	t.Helper()
	got, want := b.r.Report(7, 0), b.rfc.report()
	if got != want {
		t.Fatalf("%s:\n%+v, RFC 3550 has\n%+v", name, got, want)
	}
	return got
}

func TestLossBurstsAreCountedAsRFC3550Does(t *testing.T) {
	for _, burst := range []int{1, 5, 50, 500} {
		var b both
		r := rand.New(rand.NewPCG(uint64(burst), 1))
		seq, ts, lostNow := uint16(65000), uint32(1<<32-48000), int64(0)
		for group := range 400 {
			for range 100 + r.IntN(100) {
				b.receive(ms(20*int(ts/960))+time.Duration(r.IntN(1e7)), seq, ts)
				seq, ts = seq+1, ts+960
			}
			if got := b.r.Lost(); got != lostNow {
				t.Fatalf("bursts of %d: %d lost, want %d", burst, got, lostNow)
			}
			report := b.compare(t, "burst")
			if group > 0 && report.FractionLost == 0 {
				t.Fatalf("bursts of %d: no fraction", burst)
			}
			seq, ts, lostNow = seq+uint16(burst), ts+960*uint32(burst), lostNow+int64(burst)
		}
	}
}

func TestReorderingIsNoLoss(t *testing.T) {
	for distance := 1; distance < maxMisorder; distance++ {
		var b both
		for seq := uint16(60000); seq != 10000; seq += uint16(distance) + 1 {
			if seq > 9000 && seq < 10000 {
				break
			}
			for k := range uint16(distance) {
				b.receive(0, seq+1+k, 0)
			}
			if seq != 60000 { // before the first packet there is nothing to be late for
				b.receive(0, seq, 0)
			}
			b.compare(t, "reordered")
		}
		if b.r.Lost() != 0 {
			t.Fatalf("distance %d: %d lost", distance, b.r.Lost())
		}
	}
}

// From 100 on A.1 takes a straggler for a jump: it does not count, and so stays lost.
func TestStragglerOf100IsNotBelieved(t *testing.T) {
	var b both
	b.receive(0, 1, 0)
	for seq := uint16(3); seq <= 102; seq++ {
		b.receive(0, seq, 0)
	}
	b.receive(0, 2, 0)
	b.compare(t, "100 behind")
	if b.r.Lost() != 1 {
		t.Fatalf("%d lost", b.r.Lost())
	}
}

func TestDuplicatesAreReceived(t *testing.T) {
	var b both
	for seq := range uint16(100) {
		b.receive(0, seq, 0)
		b.receive(0, seq, 0)
	}
	report := b.compare(t, "duplicates")
	if b.r.Lost() != -100 || report.TotalLost != 1<<24-100 || report.FractionLost != 0 || b.r.Received() != 200 {
		t.Fatalf("%d lost, %+v", b.r.Lost(), report)
	}
}

func TestWrapIsCounted(t *testing.T) {
	for name, in := range map[string][]uint16{
		"in order":       {65534, 65535, 0, 1},
		"lost":           {65534, 1},
		"reordered":      {65534, 0, 65535, 1},
		"reordered back": {65534, 0, 1, 65535},
	} {
		var b both
		for _, seq := range in {
			b.receive(0, seq, 0)
		}
		if report := b.compare(t, name); report.LastSequenceNumber != 1<<16+1 {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

func TestJumpIsBelievedAfterTwo(t *testing.T) {
	var b both
	for seq := range uint16(100) {
		b.receive(0, seq*2, 0)
	}
	b.receive(0, 30000, 0)
	b.compare(t, "one far off")
	if b.r.Lost() != 99 {
		t.Fatalf("%d lost", b.r.Lost())
	}
	b.receive(0, 30001, 0)
	b.receive(0, 30003, 0)
	b.compare(t, "jumped")
	if b.r.Lost() != 99+1 || b.r.Received() != 2 {
		t.Fatalf("%d lost, %d received", b.r.Lost(), b.r.Received())
	}
	b.receive(0, 10, 0)
	b.receive(0, 11, 0)
	b.compare(t, "jumped back") // the RFC starts its cycles again, and the number is in the same cycle here
}

func TestRandomNetworkIsCountedAsRFC3550Does(t *testing.T) {
	for seed := range uint64(200) {
		var b both
		r := rand.New(rand.NewPCG(seed, 3))
		start := r.Uint32()
		for i := range 5000 {
			k := uint32(i + r.IntN(90))
			b.receive(ms(20*i)+time.Duration(r.IntN(2e7)), uint16(start+k), start+k*960)
			if r.IntN(250) == 0 {
				b.compare(t, "random")
			}
		}
	}
}

// A.8 by hand: transits of 0, +480, -480 ticks: |D| is 480, 960.
func TestJitterByHand(t *testing.T) {
	var r Reception
	r.Receive(ms(0), 1<<16, 0)
	r.Receive(ms(30), 1<<16+1, 960)
	if r.jitter != 480 {
		t.Fatalf("%d", r.jitter)
	}
	r.Receive(ms(30), 1<<16+2, 1920)
	if want := uint64(480 + 960 - 488/16); r.jitter != want {
		t.Fatalf("%d, want %d", r.jitter, want)
	}
	if want := time.Duration(1410/16) * time.Second / 48000; r.Jitter() != want {
		t.Fatalf("%v, want %v", r.Jitter(), want)
	}
}

func TestTimestampJumpIsNoJitter(t *testing.T) {
	var r Reception
	for i := range 1000 {
		r.Receive(ms(20*i), Seq(1<<16+i), uint32(i)*960+uint32(i/100)*0x7fff1234)
	}
	if r.Jitter() != 0 {
		t.Fatalf("%v", r.Jitter())
	}
	for i := 1000; i < 100_000; i++ { // stuck
		r.Receive(ms(20*i), Seq(1<<16+i), 5)
	}
	if r.Jitter() > ms(20) {
		t.Fatalf("%v of a timestamp that stands still", r.Jitter())
	}
}

func TestEventsCountWithoutJitter(t *testing.T) {
	var r Reception
	r.Receive(0, 1<<16, 0)
	for i := 1; i < 10; i++ {
		r.Count(Seq(1<<16 + i))
	}
	r.Receive(ms(200), 1<<16+10, 9600)
	if r.Jitter() != 0 || r.Lost() != 0 || r.Received() != 11 {
		t.Fatalf("jitter %v, %d lost, %d received", r.Jitter(), r.Lost(), r.Received())
	}
}

func TestRestartKeepsTheLossOfTheCall(t *testing.T) {
	var r Reception
	r.Receive(0, 1<<16, 0)
	r.Receive(0, 1<<16+10, 0)
	r.OnSenderReport(0, 1<<32)
	r.Restart()
	r.Receive(0, 1<<16|77, 0)
	r.Receive(0, 1<<16|79, 0)
	report := r.Report(8, 0)
	if r.Lost() != 10 || report.TotalLost != 1 || report.LastSequenceNumber != 79 || report.LastSenderReport != 0 {
		t.Fatalf("%d lost, %+v", r.Lost(), report)
	}
}

func TestCumulativeLossIsClamped(t *testing.T) {
	r := Reception{base: 1 << 16, highest: 1<<16 + 1<<25, received: 1}
	if report := r.Report(7, 0); report.TotalLost != 0x7fffff || report.FractionLost != 255 {
		t.Fatalf("%+v", report)
	}
	r = Reception{base: 1 << 16, highest: 1 << 16, received: 1 << 25}
	if report := r.Report(7, 0); report.TotalLost != 0x800000 || report.FractionLost != 0 {
		t.Fatalf("%+v", report)
	}
	if _, err := r.Report(7, 0).Marshal(); err != nil {
		t.Fatal(err)
	}
}

// RFC 3550 section 6.4.1, figure 2: the SR of NTP b44d:b705:2000:0000, answered 5.250 s later.
func TestSenderReportIsAnswered(t *testing.T) {
	var r Reception
	if report := r.Report(7, time.Hour); report != (rtcp.ReceptionReport{SSRC: 7}) {
		t.Fatalf("before any packet: %+v", report)
	}
	r.OnSenderReport(ms(1000), 0xb44db705_20000000)
	report := r.Report(7, ms(6250))
	if report.LastSenderReport != 0xb7052000 || report.Delay != 0x54000 {
		t.Fatalf("%+v", report)
	}
	if report = r.Report(7, 1000*time.Hour); report.Delay != 18*3600*65536 {
		t.Fatalf("%+v", report)
	}
}

func TestNTP(t *testing.T) {
	// RFC 3550 section 6.4.1, figure 2: 10 Nov 1995 11:33:25.125 UTC
	if got := NTP(time.Date(1995, 11, 10, 11, 33, 25, 125e6, time.UTC)); got != 0xb44db705_20000000 {
		t.Fatalf("%#x", got)
	}
}
