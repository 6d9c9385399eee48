package icetest

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// linkDepth is how many datagrams wait for pion. A whole DTLS flight is at most 5; beyond the depth they are lost, as on a network.
const linkDepth = 32

// link is what pion/dtls sees instead of a socket: the nominated pair of one call. The reader delivers into it.
//
// Deadlines: pion only ever sets one in the past, to unblock Read, or none.
type link struct {
	local, remote netip.AddrPort
	send          func(b []byte)

	mu      sync.Mutex
	arrived sync.Cond
	queue   [][]byte
	expired bool
	closed  bool
	said    chan struct{} // not nil: Close waits for the next Write, which closes it
}

// farewellWait bounds how long Close waits for a farewell that pion could not write.
const farewellWait = 100 * time.Millisecond

// linger keeps the link open until one more datagram was written. pion's Close cancels its own reader first, and the reader's clean-up
// closes the connection: without this, the close_notify that Close then writes is lost now and then.
func (l *link) linger() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = make(chan struct{})
}

func newLink(local, remote netip.AddrPort, send func([]byte)) *link {
	l := &link{local: local, remote: remote, send: send}
	l.arrived.L = &l.mu
	return l
}

// deliver copies a datagram for pion. It never blocks and reports whether there was room.
func (l *link) deliver(b []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.queue) >= linkDepth {
		return false
	}
	l.queue = append(l.queue, append([]byte(nil), b...))
	l.arrived.Signal()
	return true
}

func (l *link) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed && !l.expired {
		l.arrived.Wait()
	}
	switch {
	case l.closed:
		return 0, net.ErrClosed
	case l.expired:
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, l.queue[0])
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return n, nil
}

func (l *link) Write(b []byte) (int, error) {
	l.mu.Lock()
	closed, said := l.closed, l.said
	l.said = nil
	l.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	l.send(b)
	if said != nil {
		close(said)
	}
	return len(b), nil
}

func (l *link) Close() error {
	l.mu.Lock()
	said := l.said
	l.mu.Unlock()
	if said != nil {
		timeout := time.NewTimer(farewellWait)
		defer timeout.Stop()
		select {
		case <-said:
		case <-timeout.C:
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.queue = true, nil
	l.arrived.Broadcast()
	return nil
}

func (l *link) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(l.local) }
func (l *link) RemoteAddr() net.Addr             { return net.UDPAddrFromAddrPort(l.remote) }
func (l *link) SetWriteDeadline(time.Time) error { return nil }
func (l *link) SetDeadline(t time.Time) error    { return l.SetReadDeadline(t) }
func (l *link) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expired = !t.IsZero() && !t.After(time.Now())
	l.arrived.Broadcast()
	return nil
}
