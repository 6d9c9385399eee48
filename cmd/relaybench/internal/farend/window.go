//go:build linux

package farend

import "time"

// Begin opens a window for the phones that speak now.
func (e *Exchange) Begin() {
	e.call(func() {
		e.window = window{tally: &Tally{}, began: time.Now().UnixNano(), since: e.droppedNow()}
		for _, p := range e.phones {
			if p != nil && p.media.slot >= 0 {
				p.media.first, p.media.end = p.media.number, never
				e.tally.Phones++
			}
		}
	})
}

// Stop ends the window for packets that are sent from now on; those that are out may still come back.
func (e *Exchange) Stop() {
	e.call(func() {
		e.tally.Duration = time.Duration(time.Now().UnixNano() - e.began)
		for _, p := range e.phones {
			if p != nil && p.media.first != never {
				p.media.end = p.media.number
			}
		}
	})
}

// Collect closes the window: what is not back is lost.
func (e *Exchange) Collect() *Tally {
	var t *Tally
	e.call(func() {
		for _, p := range e.phones {
			if p == nil || p.media.first == never {
				continue
			}
			for n := e.oldest(p); n < p.media.number; n++ {
				if stamp := p.media.flight[n%flights]; stamp > 0 && p.media.counted(n) {
					e.lose(stamp)
				}
			}
			p.media.first, p.media.end = never, never
		}
		t = e.tally
		t.Own.Dropped = e.droppedNow() - e.since
		e.window = window{tally: &Tally{}, began: time.Now().UnixNano()}
	})
	if t == nil { // closed
		t = &Tally{}
	}
	return t
}

// Progress is a glance at a window that goes on.
type Progress struct {
	Phones               int // that speak
	Sent, Received, Lost uint64
	Breaches             uint64
	P99                  time.Duration
}

// Progress looks at the window.
func (e *Exchange) Progress() Progress {
	var p Progress
	e.call(func() {
		t := e.tally
		p = Progress{e.clock.phones, t.Sent, t.Received, t.Lost, t.Continuity.Breaches(), t.Latency.Quantile(0.99)}
	})
	return p
}

// droppedNow is what both sockets have dropped so far.
func (e *Exchange) droppedNow() uint64 {
	n := e.socket.dropped()
	if e.mirror != nil {
		n += e.mirror.dropped()
	}
	return n
}
