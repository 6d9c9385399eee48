package dtmf

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// phone sends events to a Detector and writes down the digits, as "5:100ms".
type phone struct {
	t      *testing.T
	d      Detector
	digits []string
}

func (p *phone) push(now time.Duration, ts uint32, event byte, end bool, duration uint16) {
	p.note(p.d.Push(now, ts, payload(event, end, duration)))
}

func (p *phone) expire(now time.Duration) { p.note(p.d.Expire(now)) }

func (p *phone) note(digit Digit, ok bool) {
	p.t.Helper()
	if ok {
		p.digits = append(p.digits, fmt.Sprintf("%c:%v", digit.Rune, digit.Duration))
	} else if digit != (Digit{}) {
		p.t.Fatalf("no digit, but %+v", digit)
	}
}

func (p *phone) expect(want ...string) {
	p.t.Helper()
	if !slices.Equal(p.digits, want) {
		p.t.Fatalf("digits %v, want %v", p.digits, want)
	}
	p.digits = nil
}

func (p *phone) idle() {
	p.t.Helper()
	if at, ok := p.d.Deadline(); ok {
		p.t.Fatalf("waits until %v", at)
	}
}

func payload(event byte, end bool, duration uint16) []byte {
	b := []byte{event, 10, 0, 0}
	if end {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], duration)
	return b
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// The example of RFC 4733 section 5: "911" with a packet each 50 ms.
func TestExampleOfRFC4733(t *testing.T) {
	p := phone{t: t}
	for _, e := range []struct {
		at       int
		ts       uint32
		event    byte
		duration uint16
		end      bool
	}{
		{50, 0, 9, 400, false}, {100, 0, 9, 800, false}, {150, 0, 9, 1200, false},
		{200, 0, 9, 1600, true}, {250, 0, 9, 1600, true}, {300, 0, 9, 1600, true},
		{930, 7040, 1, 400, false}, {980, 7040, 1, 800, false}, {1030, 7040, 1, 1200, false}, {1080, 7040, 1, 1600, false},
		{1130, 7040, 1, 2000, true}, {1180, 7040, 1, 2000, true}, {1230, 7040, 1, 2000, true},
		{1450, 11200, 1, 400, false}, {1500, 11200, 1, 800, false}, {1550, 11200, 1, 1200, false}, {1600, 11200, 1, 1600, false},
		{1650, 11200, 1, 1760, true}, {1700, 11200, 1, 1760, true}, {1750, 11200, 1, 1760, true},
	} {
		p.expire(ms(e.at))
		p.push(ms(e.at), e.ts, e.event, e.end, e.duration)
	}
	p.expect("9:200ms", "1:250ms", "1:220ms")
	p.idle()
}

func TestDigitIsToldAtItsFirstEndPacket(t *testing.T) {
	p := phone{t: t}
	p.push(0, 5000, 5, false, 160)
	p.push(ms(20), 5000, 5, false, 320)
	p.expect()
	p.push(ms(40), 5000, 5, true, 480)
	p.expect("5:60ms")
	p.push(ms(60), 5000, 5, true, 480)
	p.push(ms(80), 5000, 5, true, 480)
	p.expire(time.Hour)
	p.expect()
	p.idle()
}

func TestEverySingleLossAndDuplicateLeavesOneDigit(t *testing.T) {
	type packet struct {
		end      bool
		duration uint16
	}
	in := []packet{{false, 160}, {false, 320}, {false, 480}, {true, 640}, {true, 640}, {true, 640}}
	for lost := range 1 << len(in) { // every set of losses, but that of all
		if lost == 1<<len(in)-1 {
			continue
		}
		for _, copies := range []int{1, 3} {
			p := phone{t: t}
			for i, e := range in {
				if lost>>i&1 == 0 {
					for range copies {
						p.push(ms(20*i), 960, 7, e.end, e.duration)
					}
				}
			}
			p.expire(ms(100 + 200))
			p.expire(ms(1000))
			if len(p.digits) != 1 || p.digits[0][0] != '7' {
				t.Fatalf("losses %06b, %d copies: %v", lost, copies, p.digits)
			}
			p.idle()
		}
	}
}

func TestLostEndsAreToldAfter200ms(t *testing.T) {
	p := phone{t: t}
	p.push(0, 960, 11, false, 160)
	p.push(ms(20), 960, 11, false, 320)
	if at, ok := p.d.Deadline(); !ok || at != ms(220) {
		t.Fatalf("deadline %v, %v", at, ok)
	}
	p.expire(ms(220) - 1)
	p.expect()
	p.expire(ms(220))
	p.expect("#:40ms")
	p.push(ms(230), 960, 11, true, 800) // too late: the digit was told
	p.push(ms(250), 960, 11, true, 800)
	p.expire(ms(1000))
	p.expect()
	p.idle()
}

func TestNextEventEndsTheOneBefore(t *testing.T) {
	p := phone{t: t}
	p.push(0, 0, 1, false, 160)
	p.push(ms(100), 4800, 2, false, 160)
	p.expect("1:20ms")
	p.push(ms(120), 4800, 2, true, 320)
	p.expect("2:40ms")
}

// Of one digit the ends are lost, of the next all but the ends: two are due at once, and one Push tells one.
func TestTwoDigitsDueAtOnce(t *testing.T) {
	p := phone{t: t}
	p.push(0, 0, 1, false, 160)
	p.push(ms(100), 4800, 2, true, 320)
	p.expect("1:20ms")
	if at, ok := p.d.Deadline(); !ok || at != ms(100) {
		t.Fatalf("deadline %v, %v", at, ok)
	}
	p.expire(ms(100))
	p.expect("2:40ms")
	p.push(ms(120), 4800, 2, true, 320)
	p.expect()
	p.idle()

	p.push(ms(300), 9600, 3, false, 160)
	p.push(ms(310), 14400, 4, true, 320)
	p.push(ms(320), 19200, 5, true, 320) // nobody called Expire between them
	p.push(ms(330), 19200, 5, true, 320)
	p.expect("3:20ms", "4:40ms", "5:40ms")
	p.idle()
}

func TestSameDigitTwiceIsTwoDigits(t *testing.T) {
	p := phone{t: t}
	for i := range 2 {
		for range 3 {
			p.push(ms(100*i), uint32(4800*i), 5, true, 640)
		}
	}
	p.expect("5:80ms", "5:80ms")
}

func TestStragglersOfTheDigitBeforeAreIgnored(t *testing.T) {
	p := phone{t: t}
	p.push(0, 1<<32-960, 1, false, 160)
	p.push(ms(20), 1<<32-960, 1, true, 320)
	p.push(ms(100), 3840, 2, false, 160) // the timestamp has wrapped
	p.push(ms(101), 1<<32-960, 1, true, 320)
	p.push(ms(102), 1<<32-960, 1, false, 160)
	p.push(ms(120), 3840, 2, true, 320)
	p.push(ms(121), 1<<32-960, 1, true, 320)
	p.expect("1:40ms", "2:40ms")
	p.idle()
}

// Timestamps that begin afresh, as after a takeover, must not swallow digits for hours.
func TestTimestampsThatBeginAfresh(t *testing.T) {
	p := phone{t: t}
	p.push(0, 10_000_000, 1, true, 320)
	p.push(ms(100), 5_000, 2, true, 320) // far behind
	p.push(ms(700), 3_000, 3, true, 320) // a little behind, but much later
	p.expect("1:40ms", "2:40ms", "3:40ms")
}

// A key held for 20 s: segments of 0xFFFF units, each with a timestamp of its own (RFC 4733 section 2.5.1.3).
func TestSegmentsOfALongEventAreOneDigit(t *testing.T) {
	for _, c := range []struct {
		name   string
		ratio  uint32
		full   uint32 // units in a full segment
		losses func(i int) bool
	}{
		{"audio clock", 6, 0xffff, nil},
		{"event clock", 1, 0xffff, nil},
		{"whole packets only", 6, 65440, nil},
		{"whole packets only, event clock", 1, 65440, nil},
		{"ends of segments lost", 6, 0xffff, func(i int) bool { return i%409 > 405 || i%409 < 2 }},
		{"timestamps wrap", 6, 0xffff, nil},
	} {
		p := phone{t: t}
		start := uint32(0)
		if c.name == "timestamps wrap" {
			start = 1<<32 - 100
		}
		total := 160_000 // 20 s
		for i, units := 0, uint32(160); units <= uint32(total); i, units = i+1, units+160 {
			segment := (units - 1) / c.full
			ts, duration := start+segment*c.full*c.ratio, units-segment*c.full
			if c.losses == nil || !c.losses(i) {
				p.push(ms(20*i), ts, 12, false, uint16(duration))
			}
			if units+160 > uint32(total) {
				for k := range 3 {
					p.push(ms(20*(i+k)), ts, 12, true, uint16(duration))
				}
			}
		}
		if !slices.Equal(p.digits, []string{"A:20s"}) {
			t.Errorf("%s: %v", c.name, p.digits)
		}
		p.idle()
	}
}

func TestEventsAbove15AreIgnored(t *testing.T) {
	p := phone{t: t}
	p.push(0, 0, 3, false, 160)
	for event := 16; event < 256; event++ {
		p.push(ms(10), uint32(event)*1000, byte(event), true, 320)
	}
	p.expect()
	p.push(ms(20), 0, 3, true, 320)
	p.expect("3:40ms")
}

func TestShortPayloadsAreIgnored(t *testing.T) {
	var d Detector
	for n := range 4 {
		if _, ok := d.Push(0, 0, make([]byte, n)); ok || d != (Detector{}) {
			t.Fatalf("%d bytes: %+v", n, d)
		}
	}
	if digit, ok := d.Push(0, 0, append(payload(0, true, 80), 1, 2, 3)); !ok || digit.Rune != '0' {
		t.Fatalf("%+v, %v", digit, ok)
	}
}

func TestThousandDigitsASecond(t *testing.T) {
	p := phone{t: t}
	var want []string
	for i := range 10_000 {
		event := byte(i % 16)
		for range 3 {
			p.push(ms(i), uint32(i)*48, event, true, 8)
		}
		want = append(want, string(runes[event])+":1ms")
	}
	p.expect(want...)
}

func TestReorderedPacketsAreOneDigit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		p := phone{t: t}
		for _, i := range r.Perm(8) {
			p.push(ms(100), 960, 9, i >= 5, uint16(min(i+1, 6)*160))
		}
		if len(p.digits) != 1 || !strings.HasPrefix(p.digits[0], "9:") {
			t.Fatal(p.digits)
		}
	}
}

func TestDetectorIsSmallAndDoesNotAllocate(t *testing.T) {
	if n := unsafe.Sizeof(Detector{}); n > 24 {
		t.Errorf("a Detector is %d bytes, want at most 24", n)
	}
	if n := unsafe.Sizeof(Tone{}); n > 8 {
		t.Errorf("a Tone is %d bytes, want at most 8", n)
	}
	var d Detector
	var tone Tone
	var ts uint32
	buf := make([]byte, PayloadSize)
	allocs := testing.AllocsPerRun(1000, func() {
		tone.Start(5, ms(60))
		for tone.Active() {
			tone.Next(buf)
			d.Push(0, ts, buf)
			d.Expire(0)
		}
		ts += 4800
	})
	if allocs != 0 {
		t.Errorf("%v allocations a digit, want 0", allocs)
	}
}

// Any sequence of packets: never more digits than distinct events, each with a known rune, and nothing waits for ever.
func FuzzDetector(f *testing.F) {
	f.Add([]byte{5, 0, 0, 160, 0, 5, 0x80, 1, 64, 0})
	f.Add([]byte{5, 0, 0xff, 0xff, 0, 5, 0, 0, 160, 1, 5, 0x80, 1, 64, 1})
	f.Add([]byte{1, 0, 0, 160, 0, 2, 0x80, 1, 64, 2, 3, 0x80, 1, 64, 3, 16, 0x80, 0, 0, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Detector
		var now time.Duration
		changes, digits := 0, 0
		note := func(digit Digit, ok bool) {
			if !ok {
				return
			}
			digits++
			if _, known := Event(digit.Rune); !known || digit.Duration < 0 {
				t.Fatalf("%+v", digit)
			}
		}
		last, first := uint32(0), true
		for ; len(b) >= 5; b = b[5:] {
			ts := uint32(b[4]>>2) * maxDuration * clockRatio / 2
			now += time.Duration(b[4]&3) * 90 * time.Millisecond
			if first || ts != last {
				changes++
			}
			first, last = false, ts
			note(d.Push(now, ts, b[:4]))
			if at, ok := d.Deadline(); ok && at > now+silence {
				t.Fatalf("waits until %v, now %v", at, now)
			}
			if b[1]&1 == 0 {
				note(d.Expire(now))
			}
		}
		note(d.Expire(now + silence))
		if _, ok := d.Deadline(); ok {
			t.Fatal("a digit waits for ever")
		}
		if digits > changes {
			t.Fatalf("%d digits of %d events", digits, changes)
		}
	})
}
