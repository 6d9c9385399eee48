package ice

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// queueDepth is how many datagrams wait for pion. Set-up is a few dozen datagrams in all and everything in it is repeated when lost,
	// so a full queue drops.
	queueDepth = 32
	// maxDatagram bounds one datagram: no valid STUN or DTLS message of a call is longer than an Ethernet frame.
	maxDatagram = 1500
)

type datagram struct {
	from netip.AddrPort
	b    []byte
}

// Conn is what pion sees instead of a socket: a net.PacketConn, and after Connect also a net.Conn to one remote.
//
// The shard has datagrams delivered into it and takes what is written; neither side ever waits for the other. All methods may be called from any
// goroutine. Bytes given to Deliver are copied. Use NewConn.
type Conn struct {
	local net.Addr
	send  func(b []byte, to netip.AddrPort)

	dropped atomic.Uint64

	mu       sync.Mutex
	queue    []datagram
	remote   netip.AddrPort // set by Connect
	accept   *checker       // set while an agent reads: what it may see
	closed   bool
	deadline time.Time
	timer    *time.Timer
	wake     chan struct{} // closed and renewed when a reader has to look again
}

// NewConn makes a Conn that says it is bound to local. What is written goes to send, which must neither block nor keep b.
func NewConn(local net.Addr, send func(b []byte, to netip.AddrPort)) *Conn {
	return &Conn{local: local, send: send, wake: make(chan struct{})}
}

// Deliver hands a datagram from the wire to whoever reads. It never blocks: without room, without a reader's interest, or after Close
// the datagram is dropped and counted.
func (c *Conn) Deliver(b []byte, from netip.AddrPort) {
	from = plain(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed, len(c.queue) >= queueDepth, len(b) > maxDatagram, c.remote.IsValid() && c.remote != from:
		c.dropped.Add(1)
		return
	}
	if c.accept != nil {
		c.accept.admit(c, b, from)
		return
	}
	c.push(b, from)
}

// push queues a copy. The caller holds the lock.
func (c *Conn) push(b []byte, from netip.AddrPort) {
	c.queue = append(c.queue, datagram{from: from, b: append([]byte(nil), b...)})
	c.rouse()
}

// rouse makes waiting readers look again. The caller holds the lock.
func (c *Conn) rouse() {
	close(c.wake)
	c.wake = make(chan struct{})
}

// Connect fixes the remote: from now on Read and Write work with it alone, and Deliver drops datagrams from anywhere else.
func (c *Conn) Connect(remote netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remote = plain(remote)
}

// Dropped is how many datagrams Deliver has dropped.
func (c *Conn) Dropped() uint64 { return c.dropped.Load() }

// Send returns the function that takes what is written.
func (c *Conn) Send() func(b []byte, to netip.AddrPort) { return c.send }

// next waits for a datagram, the deadline or Close.
func (c *Conn) next() (datagram, error) {
	for {
		c.mu.Lock()
		switch {
		case c.closed:
			c.mu.Unlock()
			return datagram{}, net.ErrClosed
		case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
			c.mu.Unlock()
			return datagram{}, os.ErrDeadlineExceeded
		case len(c.queue) > 0:
			d := c.queue[0]
			c.queue[0] = datagram{}
			c.queue = c.queue[1:]
			c.mu.Unlock()
			return d, nil
		}
		wake := c.wake
		c.mu.Unlock()
		<-wake
	}
}

// ReadFrom waits for the next datagram. What does not fit into b is lost.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	d, err := c.next()
	if err != nil {
		return 0, nil, err
	}
	return copy(b, d.b), net.UDPAddrFromAddrPort(d.from), nil
}

// Read is ReadFrom for a connected Conn.
func (c *Conn) Read(b []byte) (int, error) {
	d, err := c.next()
	if err != nil {
		return 0, err
	}
	return copy(b, d.b), nil
}

// WriteTo hands b to send. It never blocks, and fails only after Close.
func (c *Conn) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("not a UDP address")
	}
	return c.write(b, plain(u.AddrPort()))
}

// Write is WriteTo for a connected Conn.
func (c *Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	remote := c.remote
	c.mu.Unlock()
	return c.write(b, remote)
}

func (c *Conn) write(b []byte, to netip.AddrPort) (int, error) {
	c.mu.Lock()
	closed, accept := c.closed, c.accept
	c.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	if !to.IsValid() {
		return 0, net.InvalidAddrError("no remote address")
	}
	if accept == nil {
		c.send(b, to)
		return len(b), nil
	}
	leave, nominates := accept.sent(b)
	if leave {
		c.send(b, to)
	}
	if nominates {
		accept.nominating <- pairKey{c, to} // said once, and there is room for it
	}
	return len(b), nil
}

// Close makes every Read and Write fail with net.ErrClosed, now and later. Deliver goes on to be allowed.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed, c.queue, c.accept = true, nil, nil
	if c.timer != nil {
		c.timer.Stop()
	}
	c.rouse()
	return nil
}

// LocalAddr is the address given to NewConn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the address given to Connect, nil before.
func (c *Conn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.remote.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(c.remote)
}

// SetDeadline is SetReadDeadline: a write never waits.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: a write never waits.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline makes reads, also those that wait already, fail with os.ErrDeadlineExceeded from t on. The zero time takes it away.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.deadline = t
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		c.timer = time.AfterFunc(wait, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.rouse()
		})
	}
	c.rouse()
	return nil
}

// plain takes an IPv4 address out of its IPv6-mapped form, which netip would compare as different.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
