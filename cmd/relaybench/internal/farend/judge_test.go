//go:build linux

package farend

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/onelane/onelane/ice/secure"
)

const testSSRC = 0x1234

// still is an exchange that nobody runs, and a phone of it that is counted.
func still(t *testing.T) (*Exchange, *Phone) {
	t.Helper()
	e := &Exchange{
		options: Options{Payload: 80, Period: frameTime, Slot: time.Millisecond}, window: window{tally: &Tally{}},
	}
	e.byUfrag, e.others = map[string]*Phone{}, map[netip.AddrPort]*Phone{}
	e.clock = newClock(e.options)
	p := &Phone{}
	p.peer.ssrc = testSSRC
	p.media.slot = -1
	p.media.end = never
	e.phones = append(e.phones, p)
	return e, p
}

// arrival is one packet of the relay: how far its sequence number and timestamp are from those of the first one.
type arrival struct {
	sequence, frames int
	samples          int // besides the frames
	at               time.Duration
	change           func([]byte)
}

func TestContinuityIsJudged(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		arrivals []arrival
		want     Continuity
	}{
		"in order":             {[]arrival{{}, {1, 1, 0, 20 * ms, nil}, {2, 2, 0, 40 * ms, nil}}, Continuity{}},
		"lost":                 {[]arrival{{}, {3, 3, 0, 60 * ms, nil}}, Continuity{Missing: 2}},
		"late":                 {[]arrival{{}, {2, 2, 0, 40 * ms, nil}, {1, 1, 0, 41 * ms, nil}, {3, 3, 0, 60 * ms, nil}}, Continuity{}},
		"pause":                {[]arrival{{}, {1, 5, 0, 100 * ms, nil}}, Continuity{TimestampGaps: 1}},
		"another SSRC":         {[]arrival{{}, {1, 1, 0, 20 * ms, func(b []byte) { b[8] ^= 1 }}}, Continuity{SSRC: 1}},
		"jump":                 {[]arrival{{}, {5000, 1, 0, 20 * ms, nil}, {5001, 2, 0, 40 * ms, nil}}, Continuity{Sequence: 1}},
		"twice":                {[]arrival{{}, {0, 0, 0, 1 * ms, nil}}, Continuity{Sequence: 1}},
		"timestamp back":       {[]arrival{{}, {1, -1, 0, 20 * ms, nil}}, Continuity{Timestamp: 1}},
		"timestamp stuck":      {[]arrival{{}, {1, 0, 0, 20 * ms, nil}}, Continuity{Timestamp: 1}},
		"timestamp off":        {[]arrival{{}, {1, 1, 7, 20 * ms, nil}}, Continuity{Timestamp: 1}},
		"timestamp too little": {[]arrival{{}, {3, 1, 0, 60 * ms, nil}}, Continuity{Missing: 2, Timestamp: 1}},
		"extension":            {[]arrival{{0, 0, 0, 0, func(b []byte) { b[0] |= 0x10 }}}, Continuity{Form: 1}},
		"another payload type": {[]arrival{{0, 0, 0, 0, func(b []byte) { b[1] = 8 }}}, Continuity{Form: 1}},
		"marker and digit":     {[]arrival{{0, 0, 0, 0, func(b []byte) { b[1] = 0x80 | eventType }}}, Continuity{}},
	} {
		t.Run(name, func(t *testing.T) {
			e, p := still(t)
			for _, a := range c.arrivals {
				b := testPacket(uint16(65535+a.sequence), testSSRC, 20) // so that it wraps
				binary.BigEndian.PutUint32(b[4:], uint32(int64(0xffffff00)+int64(a.frames*frameSamples+a.samples)))
				if a.change != nil {
					a.change(b)
				}
				e.continuity(p, b, int64(time.Hour+a.at), true)
			}
			if e.tally.Continuity != c.want {
				t.Errorf("got %+v, want %+v", e.tally.Continuity, c.want)
			}
		})
	}
}

func TestPacingErrorIsTheDifferenceOfClockAndTimestamp(t *testing.T) {
	e, p := still(t)
	for i, at := range []time.Duration{0, 20 * time.Millisecond, 43 * time.Millisecond, 60 * time.Millisecond} {
		b := testPacket(uint16(i), testSSRC, 20)
		binary.BigEndian.PutUint32(b[4:], uint32(i*frameSamples))
		e.continuity(p, b, int64(time.Hour+at), true)
	}
	if n, highest := e.tally.Pacing.Count(), e.tally.Pacing.Max(); n != 3 || highest != 3*time.Millisecond {
		t.Errorf("%d errors, the largest %v", n, highest)
	}
}

func TestEveryPacketIsCountedOnce(t *testing.T) {
	e, p := still(t)
	e.began = int64(time.Hour)
	sent := func(number uint32) int64 { return e.began + int64(number)*int64(frameTime) }
	for number := range uint32(1000) {
		p.media.number = number + 1
		e.expire(p, number)
		p.media.flight[number%flights] = sent(number)
		e.tally.Sent++
		switch {
		case number%10 == 3: // lost
		case number%10 == 4: // comes twice
			e.arrived(p, number, sent(number)+1000)
			e.arrived(p, number, sent(number)+2000)
		case number%10 == 6: // comes behind the next
		case number%10 == 7:
			e.arrived(p, number, sent(number)+1000)
			e.arrived(p, number-1, sent(number)+1000)
		default:
			e.arrived(p, number, sent(number)+1000)
		}
	}
	for n := e.oldest(p); n < p.media.number; n++ {
		if p.media.flight[n%flights] > 0 {
			e.lose(sent(n))
		}
	}
	l := e.tally
	if l.Sent != 1000 || l.Received != 900 || l.Lost != 100 || l.Duplicates != 100 || l.Reordered != 100 {
		t.Errorf("sent %d, back %d, lost %d, twice %d, reordered %d", l.Sent, l.Received, l.Lost, l.Duplicates, l.Reordered)
	}
	var lost, received uint32
	for _, s := range l.Seconds {
		lost, received = lost+s.Lost, received+s.Received
	}
	if len(l.Seconds) != 20 || lost != 100 || received != 900 {
		t.Errorf("over %d seconds: lost %d, back %d", len(l.Seconds), lost, received)
	}
	if l.Latency.Quantile(0.5) < 1000 || l.Latency.Quantile(0.5) > 1100 {
		t.Errorf("latency %v", l.Latency.Quantile(0.5))
	}
}

func TestPhonesAreSpreadEvenly(t *testing.T) {
	for _, slot := range []time.Duration{100 * time.Microsecond, time.Millisecond, 3 * time.Millisecond, 20 * time.Millisecond} {
		c := newClock(Options{Period: frameTime, Slot: slot})
		n := len(c.slots)
		for i := range 5 * n / 2 {
			at := c.emptiest()
			if c.slots[at] = append(c.slots[at], &Phone{}); i >= n {
				continue
			}
			// Ten phones are in ten parts of the period.
			if i == 9 && n >= 10 {
				parts := map[int]bool{}
				for s := range c.slots {
					if len(c.slots[s]) > 0 {
						parts[s*8/n] = true
					}
				}
				if len(parts) < 6 {
					t.Errorf("slot %v: ten phones are in %d eighths of the period", slot, len(parts))
				}
			}
		}
		for s := range c.slots {
			if k := len(c.slots[s]); k < 2 || k > 3 {
				t.Errorf("slot %v: %d phones in one, for 2.5 on average", slot, k)
			}
		}
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	good := Options{Local: netip.MustParseAddrPort("127.0.0.1:0"), Profile: secure.AEAD_AES_128_GCM, Payload: 80, Period: frameTime, Slot: time.Millisecond}
	for name, change := range map[string]func(*Options){
		"payload":  func(o *Options) { o.Payload = 12 },
		"long":     func(o *Options) { o.Payload = 1400 },
		"period":   func(o *Options) { o.Period = 15 * time.Millisecond },
		"slot":     func(o *Options) { o.Slot = 0 },
		"IPv6":     func(o *Options) { o.Local = netip.MustParseAddrPort("[::1]:0") },
		"no local": func(o *Options) { o.Local = netip.MustParseAddrPort("192.0.2.1:0") },
	} {
		o := good
		change(&o)
		if e, err := New(o); err == nil {
			e.Close()
			t.Errorf("%s: was taken", name)
		}
	}
}
