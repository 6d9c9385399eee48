package phone

import (
	"encoding/binary"
	"time"
)

// events are the digits in the order of their RFC 4733 event codes.
const events = "0123456789*#ABCD"

// quiet is when a digit whose end packets were all lost counts as released.
const quiet = 200 * time.Millisecond

// Digit is a digit that the phone heard.
type Digit struct {
	Digit      string  `json:"digit"`
	AtMS       float64 `json:"at_ms"` // since the call's beginning
	DurationMS float64 `json:"duration_ms"`
}

// ear hears digits. An event is one by its timestamp, however often its packets come.
type ear struct {
	heard   []Digit
	pending bool
	ts      uint32
	done    bool // the event at ts was heard
	code    byte
	units   uint16 // of 8 kHz
	began   time.Duration
	last    time.Duration
}

func (e *ear) packet(now, origin time.Duration, ts uint32, payload []byte) {
	if len(payload) < 4 || int(payload[0]) >= len(events) || len(e.heard) >= maxSteps {
		return
	}
	if !e.pending && e.done && ts == e.ts {
		return // the second and third end packet
	}
	if e.pending && ts != e.ts {
		e.release(origin)
	}
	if !e.pending {
		e.pending, e.done, e.ts, e.code, e.units, e.began = true, false, ts, payload[0], 0, now
	}
	e.last = now
	e.units = max(e.units, binary.BigEndian.Uint16(payload[2:]))
	if payload[1]&0x80 != 0 {
		e.release(origin)
	}
}

func (e *ear) tick(now, origin time.Duration) {
	if e.pending && now-e.last > quiet {
		e.release(origin)
	}
}

func (e *ear) release(origin time.Duration) {
	e.pending, e.done = false, true
	e.heard = append(e.heard, Digit{
		Digit: events[e.code : e.code+1], AtMS: ms(e.began - origin), DurationMS: float64(e.units) / 8,
	})
}

func (e *ear) String() string {
	s := ""
	for _, d := range e.heard {
		s += d.Digit
	}
	return s
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
