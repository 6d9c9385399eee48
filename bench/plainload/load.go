package main

import (
	"crypto/cipher"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/onelane/onelane/bench/internal/wire"
)

const (
	// flights is how many packets of a port are remembered: what is not back after so many is lost.
	flights = 64
	// stallAfter is how long this thread may not run before packets are left out instead of being sent late in one burst.
	stallAfter = 200 * time.Millisecond
)

// load belongs to one goroutine.
type load struct {
	options  options
	socket   *wire.Socket
	aead     cipher.AEAD
	origin   time.Time
	period   time.Duration
	slots    [][]uint32 // ports by the slot they are sent to in
	turn     uint64
	numbers  []uint32         // of the next packet, by port
	flight   [][flights]int64 // stamps: positive while away and counted, 0 else
	pending  []outgoing
	nonce    [12]byte
	counting bool

	sent, received, unsent uint64
	latency, late          []float64 // us
}

type outgoing struct {
	port, number uint32
	due          time.Duration
}

func newLoad(o options) (*load, error) {
	if o.own == "" {
		o.own = o.address
	}
	s, err := wire.Listen(o.own)
	if err != nil {
		return nil, err
	}
	if err := s.Aim(o.address); err != nil {
		return nil, err
	}
	l := &load{
		options: o, socket: s, origin: time.Now(), period: time.Second / time.Duration(o.pps),
		numbers: make([]uint32, o.ports), flight: make([][flights]int64, o.ports),
	}
	if o.aead {
		l.aead = wire.AEAD()
	}
	l.slots = make([][]uint32, max(1, int(l.period/o.slot)))
	for i := range o.ports {
		at := i * len(l.slots) / o.ports
		l.slots[at] = append(l.slots[at], uint32(i))
	}
	expected := int(float64(o.ports*o.pps)*o.duration.Seconds()*1.1) + 1000
	l.latency, l.late = make([]float64, 0, expected), make([]float64, 0, expected)
	return l, nil
}

// spend sends and receives for a time.
func (l *load) spend(d time.Duration) {
	for end := time.Now().Add(d); ; {
		l.receive()
		now := time.Now()
		if !now.Before(end) {
			return
		}
		wire.Pause(int64(l.transmit(now)))
	}
}

// drain only receives.
func (l *load) drain(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		l.receive()
		wire.Pause(int64(time.Millisecond))
	}
}

func (l *load) due(turn uint64) time.Duration {
	n := uint64(len(l.slots))
	return time.Duration(turn/n)*l.period + l.period*time.Duration(turn%n)/time.Duration(n)
}

// transmit sends what is due and returns how long nothing will be.
func (l *load) transmit(t time.Time) time.Duration {
	now := t.Sub(l.origin)
	if late := now - l.due(l.turn); late > stallAfter {
		l.turn += uint64(late/l.period) * uint64(len(l.slots))
	}
	for ; l.due(l.turn) <= now; l.turn++ {
		for _, p := range l.slots[l.turn%uint64(len(l.slots))] {
			l.packet(p, l.due(l.turn))
		}
	}
	l.flush()
	return l.due(l.turn) - time.Since(l.origin)
}

func (l *load) packet(port uint32, due time.Duration) {
	number := l.numbers[port]
	l.numbers[port]++
	l.flight[port][number%flights] = 0 // what was there is lost
	b := l.socket.Out(len(l.pending), wire.Header+l.options.payload+wire.Tag)
	b[0], b[1] = 0x80, 111
	binary.BigEndian.PutUint16(b[2:], uint16(number))
	binary.BigEndian.PutUint32(b[4:], number)
	binary.BigEndian.PutUint32(b[8:], port)
	if l.aead != nil {
		wire.Nonce(&l.nonce, b)
		l.aead.Seal(b[:wire.Header], l.nonce[:], b[wire.Header:wire.Header+l.options.payload], b[:wire.Header])
	}
	l.socket.To(len(l.pending), l.options.first+int(port))
	l.pending = append(l.pending, outgoing{port, number, due})
	if len(l.pending) == wire.Batch {
		l.flush()
	}
}

// flush sends the batch. The kernel sends one packet after the other, so their stamps lie evenly between both ends of the system call.
func (l *load) flush() {
	n := len(l.pending)
	if n == 0 {
		return
	}
	before := time.Now()
	taken := l.socket.Send(n)
	took := time.Since(before)
	since := before.Sub(l.origin)
	for i, o := range l.pending {
		at := took * time.Duration(i) / time.Duration(n)
		if !l.counting {
			continue
		}
		if i >= taken {
			l.unsent++
			continue
		}
		l.sent++
		l.flight[o.port][o.number%flights] = before.UnixNano() + int64(at)
		l.late = append(l.late, micros(since+at-o.due))
	}
	l.pending = l.pending[:0]
}

func (l *load) receive() {
	for {
		n := l.socket.Receive()
		for i := range n {
			b, stamp := l.socket.In(i)
			if len(b) < wire.Header {
				continue
			}
			port, number := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[4:])
			if int(port) >= len(l.flight) || l.numbers[port]-number > flights {
				continue
			}
			if at := &l.flight[port][number%flights]; *at > 0 {
				l.latency = append(l.latency, float64(stamp-*at)/1e3)
				l.received++
				*at = 0
			}
		}
		if n < wire.Batch {
			return
		}
	}
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

func (l *load) quantile(q float64) float64 { return quantile(l.latency, q) }

// quantile sorts values and finds the smallest one that a share q does not exceed; 0 of none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[max(0, int(math.Ceil(q*float64(len(values))))-1)]
}
