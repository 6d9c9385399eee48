package dtmf

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// transcript is a tone as text: payload, then M, E, D for marker, end and done.
func transcript(event byte, duration time.Duration) string {
	var tone Tone
	var out strings.Builder
	buf := make([]byte, PayloadSize)
	tone.Start(event, duration)
	for tone.Active() {
		n, marker, end, done := tone.Next(buf)
		fmt.Fprintf(&out, "% x", buf[:n])
		for _, flag := range []struct {
			set  bool
			name string
		}{{marker, " M"}, {end, " E"}, {done, " D"}} {
			if flag.set {
				out.WriteString(flag.name)
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}

func TestToneGolden(t *testing.T) {
	for _, c := range []struct {
		name     string
		event    byte
		duration time.Duration
		want     string
	}{
		{"5 for 100 ms", 5, ms(100), `
05 0a 00 a0 M
05 0a 01 40
05 0a 01 e0
05 0a 02 80
05 8a 03 20 E
05 8a 03 20 E
05 8a 03 20 E D
`},
		{"# for 50 ms, no multiple of a packet", 11, ms(50), `
0b 0a 00 a0 M
0b 0a 01 40
0b 8a 01 90 E
0b 8a 01 90 E
0b 8a 01 90 E D
`},
		{"0 for nothing: one packet's length", 0, 0, `
00 8a 00 a0 M E
00 8a 00 a0 E
00 8a 00 a0 E D
`},
	} {
		if got := transcript(c.event, c.duration); got != c.want[1:] {
			t.Errorf("%s:\n%swant:%s", c.name, got, c.want)
		}
	}
}

func TestToneIsHeldToOneSegment(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(transcript(1, time.Hour)), "\n")
	if len(lines) != 410+2 || lines[411] != "01 8a ff ff E D" || lines[408] != "01 0a ff a0" {
		t.Fatalf("%d packets, %q, %q", len(lines), lines[408], lines[len(lines)-1])
	}
}

func TestToneThatIsOverSendsNothing(t *testing.T) {
	var tone Tone
	if n, marker, end, done := tone.Next(make([]byte, PayloadSize)); n != 0 || marker || end || !done || tone.Active() {
		t.Fatal("a zero Tone sends")
	}
}

func TestEveryToneIsDetected(t *testing.T) {
	var d Detector
	var tone Tone
	buf := make([]byte, PayloadSize)
	now, ts := time.Duration(0), uint32(1<<32-5000)
	for _, r := range []byte(runes + runes) {
		event, ok := Event(r)
		if !ok {
			t.Fatalf("%c is no digit", r)
		}
		for _, duration := range []time.Duration{ms(40), ms(100), ms(5000)} {
			var got []Digit
			tone.Start(event, duration)
			start := now
			for tone.Active() {
				n, _, _, _ := tone.Next(buf)
				if digit, ok := d.Push(now, ts, buf[:n]); ok {
					got = append(got, digit)
				}
				now += ms(20)
			}
			if len(got) != 1 || got[0] != (Digit{Rune: r, Duration: duration}) {
				t.Fatalf("%c for %v: heard %v", r, duration, got)
			}
			now += ms(60)
			ts += uint32((now - start) * 48 / time.Millisecond)
		}
	}
}

func TestOnlySixteenDigits(t *testing.T) {
	for r := range 256 {
		event, ok := Event(byte(r))
		if at := strings.IndexByte(runes, byte(r)); ok != (at >= 0) || ok && int(event) != at {
			t.Errorf("%q: %d, %v", byte(r), event, ok)
		}
	}
}

func BenchmarkDetector(b *testing.B) {
	var d Detector
	buf := payload(5, false, 160)
	b.ReportAllocs()
	for b.Loop() {
		d.Push(0, 960, buf)
	}
}
