package secure

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"
)

const (
	contentChangeCipherSpec = 20
	contentAlert            = 21
	contentHandshake        = 22
	contentApplication      = 23

	recordHeader  = 13
	messageHeader = 12

	// maxRecords is how many encrypted records wait for the flight they belong behind.
	maxRecords = 4
	// readBuffer of pion's: one Read must never give more.
	readBuffer = 8192
	// maxPerRecord is how many fragments one record may hold: each may make us reserve a whole message, and stacks send one a record.
	maxPerRecord = 8
	// recordMessage is how much of a message goes into one record for pion.
	recordMessage = 4096
	maxDatagram   = 1500
	// maxFlight is how many datagrams of a flight are kept; ours have three at most.
	maxFlight = 8
	// tellAgain is how long the peer has to hear that a try was given up, before it is told again: a second alert on the heels of the
	// first would end what the peer has begun anew.
	tellAgain = time.Second
	// cookieAfter is how long a server has to go on after a HelloVerifyRequest. When that was forged, the server waits for a message
	// that pion will not send any more.
	cookieAfter = time.Second
)

// guard is the net.Conn that pion sees during one try. Inbound, it lets through only what belongs into a handshake at its point;
// outbound, it numbers plaintext records itself, so that a flight can be sent once more (kick) without looking like a replay.
//
// Read is called by one goroutine of pion's, Write by two, kick by anybody.
type guard struct {
	role Role
	link Link
	in   inbound

	mu       sync.Mutex
	next     uint64 // number of the next plaintext record we send
	flight   [][]byte
	kind     byte // of the record or message that the flight begins with
	muted    bool
	closed   bool
	began    bool
	patience time.Duration // what alarm is set to
	alarm    *time.Timer
	cancel   context.CancelCauseFunc
	ready    [][]byte  // records for pion
	again    bool      // not the first try: the peer may still be in the middle of the one before
	told     time.Time // when we last said that a try was given up
	count    Counts
	buf      [maxDatagram]byte
}

func newGuard(role Role, link Link, fingerprint string, profiles []Profile) *guard {
	return &guard{role: role, link: link, in: inbound{role: role, fingerprint: fingerprint, profiles: profiles}}
}

// limit makes the guard end the try when it is stuck, and returns what has to be called at its end.
func (g *guard) limit(cancel context.CancelCauseFunc) func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cancel = cancel
	if g.began {
		g.arm()
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.alarm != nil {
			g.alarm.Stop()
		}
		g.cancel = nil
	}
}

// arm starts the alarm: the peer has begun to speak.
func (g *guard) arm() {
	g.began = true
	if g.alarm == nil && g.cancel != nil {
		cancel := g.cancel
		g.patience = stuckAfter
		g.alarm = time.AfterFunc(stuckAfter, func() { cancel(errStuck) })
	}
}

func (g *guard) rearm(d time.Duration) {
	if g.alarm != nil && g.patience != d {
		g.patience = d
		g.alarm.Reset(d)
	}
}

func (g *guard) counts() Counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}

func (g *guard) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count = Counts{}
	g.in = inbound{}
	g.flight, g.ready = nil, nil
}

// follow takes over what has to go on from one try to the next: record numbers, as the peer may take both for one association.
func (g *guard) follow(last *guard) {
	last.mu.Lock()
	defer last.mu.Unlock()
	g.again, g.next, g.told = true, last.next, last.told
}

// mute lets nothing out any more.
func (g *guard) mute() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.muted = true
	g.flight = nil
}

// preload takes a ClientHello in front of everything else.
func (g *guard) preload(record []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.take(record)
}

// rivalHello is, as server, a ClientHello other than the one of this try.
func (g *guard) rivalHello() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.in.rival
}

// Read gives pion the next records.
func (g *guard) Read(b []byte) (int, error) {
	for {
		g.mu.Lock()
		if g.closed {
			g.mu.Unlock()
			return 0, net.ErrClosed
		}
		if n := g.pack(b); n > 0 {
			g.mu.Unlock()
			return n, nil
		}
		g.mu.Unlock()
		n, err := g.link.Read(g.buf[:])
		if err != nil {
			return 0, err
		}
		g.mu.Lock()
		g.take(g.buf[:n])
		g.mu.Unlock()
	}
}

// pack moves ready records into b, as many as fit.
func (g *guard) pack(b []byte) (n int) {
	for len(g.ready) > 0 && n+len(g.ready[0]) <= min(len(b), readBuffer) {
		n += copy(b[n:], g.ready[0])
		g.ready = g.ready[1:]
	}
	return n
}

// take judges a datagram record by record.
func (g *guard) take(b []byte) {
	for len(b) > 0 {
		if len(b) < recordHeader {
			g.count.Malformed++
			return
		}
		size := recordHeader + int(binary.BigEndian.Uint16(b[11:]))
		// DTLS 1.0 in the record layer of a first ClientHello is allowed (RFC 6347 section 4.2.1).
		if size > len(b) || b[1] != 0xFE || (b[2] != 0xFD && b[2] != 0xFF) {
			g.count.Malformed++
			return
		}
		g.record(b[:size])
		b = b[size:]
	}
}

// record judges one whole record.
func (g *guard) record(b []byte) {
	switch epoch := binary.BigEndian.Uint16(b[3:]); {
	case epoch > 1:
		g.count.OutOfPlace++
		return
	case epoch == 1:
		if b[0] < contentChangeCipherSpec || b[0] > contentApplication {
			g.count.Malformed++
			return
		}
		g.behind(b)
		return
	}
	switch b[0] {
	case contentAlert:
		g.count.Alerts++
	case contentChangeCipherSpec:
		if len(b) != recordHeader+1 || b[recordHeader] != 1 {
			g.count.Malformed++
			return
		}
		g.behind(b)
	case contentHandshake:
		g.messages(b[recordHeader:])
	default:
		g.count.OutOfPlace++
	}
}

// behind passes a record that belongs behind the peer's flight of plaintext messages, or keeps it until that is complete.
func (g *guard) behind(b []byte) {
	switch {
	case g.in.complete:
		g.ready = append(g.ready, append([]byte(nil), b...))
	case len(g.in.early) < maxRecords:
		g.in.early = append(g.in.early, append([]byte(nil), b...))
	default:
		g.count.OutOfPlace++
	}
}

// messages takes the fragments of a plaintext handshake record.
func (g *guard) messages(b []byte) {
	for n := 0; len(b) > 0; n++ {
		f, rest, ok := cutFragment(b)
		if !ok || n == maxPerRecord {
			g.count.Malformed++
			return
		}
		b = rest
		whole := g.in.fragment(f, &g.count)
		if whole == nil {
			continue
		}
		g.arm()
		forged := g.count.Forged
		pass, err := g.in.message(whole, &g.count)
		if g.again && g.count.Forged > forged && time.Since(g.told) >= tellAgain {
			// A flight that is signed for another ClientHello: the peer has not heard that we gave the last one up.
			g.alert()
		}
		if whole[0] == typeHelloVerify && len(pass) > 0 {
			g.rearm(cookieAfter)
		} else if whole[0] == typeServerHello {
			g.rearm(stuckAfter)
		}
		for _, m := range pass {
			g.deliver(m)
		}
		if g.in.complete {
			g.ready = append(g.ready, g.in.early...)
			g.in.early = nil
		}
		if err != nil && g.cancel != nil {
			g.cancel(err)
		}
	}
}

// deliver makes records of a whole message for pion. Its numbers are ours: pion only looks for repeats.
func (g *guard) deliver(m []byte) {
	body := m[messageHeader:]
	for at := 0; at == 0 || at < len(body); at += recordMessage {
		part := body[at:min(at+recordMessage, len(body))]
		r := make([]byte, recordHeader+messageHeader, recordHeader+messageHeader+len(part))
		r[0], r[1], r[2] = contentHandshake, 0xFE, 0xFD
		putUint48(r[5:], g.in.sequence)
		g.in.sequence++
		binary.BigEndian.PutUint16(r[11:], uint16(messageHeader+len(part)))
		copy(r[recordHeader:], m[:messageHeader])
		putUint24(r[recordHeader+6:], at)
		putUint24(r[recordHeader+9:], len(part))
		g.ready = append(g.ready, append(r, part...))
	}
}

// Close ends the guard and leaves the Link open, for the next try.
func (g *guard) Close() error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	// A Read that waits has to look.
	return g.link.SetReadDeadline(time.Unix(0, 1))
}

func (g *guard) LocalAddr() net.Addr                { return g.link.LocalAddr() }
func (g *guard) RemoteAddr() net.Addr               { return g.link.RemoteAddr() }
func (g *guard) SetDeadline(t time.Time) error      { return g.link.SetReadDeadline(t) }
func (g *guard) SetReadDeadline(t time.Time) error  { return g.link.SetReadDeadline(t) }
func (g *guard) SetWriteDeadline(t time.Time) error { return nil }

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

func putUint24(b []byte, v int) { b[0], b[1], b[2] = byte(v>>16), byte(v>>8), byte(v) }

func putUint48(b []byte, v uint64) {
	binary.BigEndian.PutUint16(b, uint16(v>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(v))
}
