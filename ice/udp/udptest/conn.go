package udptest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/onelane/onelane/ice/udp"
)

// Conn is a UDP socket of a peer on a Network. It is a net.PacketConn, and has the netip methods of net.UDPConn.
type Conn struct {
	network *Network
	local   netip.AddrPort
	signal  chan struct{} // something in queue
	closed  chan struct{}
	once    sync.Once
	read    deadline

	queue []letter // guarded by the Network's lock
}

type letter struct {
	from netip.AddrPort
	b    []byte
}

// Conn gives a socket bound to a concrete address; port number 0 lets the Network choose. The error wraps udp.ErrInUse where that is
// the cause.
func (n *Network) Conn(local netip.AddrPort) (*Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &Conn{network: n, signal: make(chan struct{}, 1), closed: make(chan struct{}), read: deadline{changed: make(chan struct{})}}
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	if !local.Addr().IsValid() || local.Addr().IsUnspecified() {
		return nil, fmt.Errorf("open UDP socket %s: not a concrete address", local)
	}
	var ok bool
	if c.local, ok = n.bind(local, c); !ok {
		return nil, fmt.Errorf("open UDP socket %s: %w", local, udp.ErrInUse)
	}
	return c, nil
}

func (c *Conn) deliver(from netip.AddrPort, b []byte) bool {
	if len(c.queue) >= queueLimit {
		return false
	}
	c.queue = append(c.queue, letter{from, b})
	c.ring()
	return true
}

func (c *Conn) ring() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// ReadFromUDPAddrPort waits for a datagram; what does not fit in b is cut off.
func (c *Conn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		changed, expired := c.read.state()
		select {
		case <-c.closed:
			return 0, netip.AddrPort{}, net.ErrClosed
		default:
		}
		if expired { // which wins over waiting datagrams
			return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
		}
		if l, ok := c.take(); ok {
			return copy(b, l.b), l.from, nil
		}
		select {
		case <-c.signal:
		case <-changed:
		case <-c.closed:
		}
	}
}

func (c *Conn) take() (letter, bool) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if len(c.queue) == 0 {
		return letter{}, false
	}
	l := c.queue[0]
	c.queue = c.queue[1:]
	if len(c.queue) > 0 { // for another reader
		c.ring()
	}
	return l, true
}

// WriteToUDPAddrPort sends a datagram. It never blocks.
func (c *Conn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if !c.network.send(c.local, to, b) {
		return 0, fmt.Errorf("write to %s: network is down", to)
	}
	return len(b), nil
}

// ReadFrom is ReadFromUDPAddrPort with a *net.UDPAddr.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteTo is WriteToUDPAddrPort with a *net.UDPAddr.
func (c *Conn) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("write to %s: not a UDP address", to)
	}
	return c.WriteToUDPAddrPort(b, a.AddrPort())
}

// LocalAddr is a *net.UDPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.local) }

// Close frees the address and ends waiting reads.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		c.network.mu.Lock()
		delete(c.network.bound, c.local)
		c.network.mu.Unlock()
		close(c.closed)
		c.read.set(time.Time{})
		err = nil
	})
	return err
}

// SetDeadline is SetReadDeadline: writing never waits.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline ends reads, also one that waits already. The zero Time is no deadline.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.read.set(t)
	return nil
}

// SetWriteDeadline does nothing.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// deadline tells waiting reads that a time has come, or that it was moved.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	expired bool
	changed chan struct{} // closed, and replaced by a new one, at each change
}

func (d *deadline) state() (changed <-chan struct{}, expired bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed, d.expired
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if t.IsZero() {
		d.change(false)
		return
	}
	wait := time.Until(t)
	d.change(wait <= 0)
	if wait <= 0 {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.timer == timer { // else it was moved while this waited for the lock
			d.change(true)
		}
	})
	d.timer = timer
}

func (d *deadline) change(expired bool) {
	d.expired = expired
	close(d.changed)
	d.changed = make(chan struct{})
}
