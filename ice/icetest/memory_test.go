package icetest

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// memory is a network of UDP sockets in memory: instant, in order, lossless but for what drop says.
type memory struct {
	mu    sync.Mutex
	conns map[netip.AddrPort]*memoryConn
	drop  func(from, to netip.AddrPort, b []byte) bool
}

type memoryDatagram struct {
	from netip.AddrPort
	b    []byte
}

type memoryConn struct {
	network *memory
	addr    netip.AddrPort

	mu      sync.Mutex
	arrived sync.Cond
	queue   []memoryDatagram
	expired bool
	closed  bool
}

func (n *memory) listen(addr string) *memoryConn {
	c := &memoryConn{network: n, addr: netip.MustParseAddrPort(addr)}
	c.arrived.L = &c.mu
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		n.conns = map[netip.AddrPort]*memoryConn{}
	}
	n.conns[c.addr] = c
	return c
}

func (c *memoryConn) WriteTo(b []byte, to net.Addr) (int, error) {
	addr, err := addrPort(to)
	if err != nil {
		return 0, err
	}
	n := c.network
	n.mu.Lock()
	other := n.conns[addr]
	lost := n.drop != nil && n.drop(c.addr, addr, b)
	n.mu.Unlock()
	if other == nil || lost {
		return len(b), nil
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	other.queue = append(other.queue, memoryDatagram{c.addr, append([]byte(nil), b...)})
	other.arrived.Signal()
	return len(b), nil
}

func (c *memoryConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 && !c.closed && !c.expired {
		c.arrived.Wait()
	}
	switch {
	case c.closed:
		return 0, nil, net.ErrClosed
	case c.expired:
		return 0, nil, os.ErrDeadlineExceeded
	}
	d := c.queue[0]
	c.queue = c.queue[1:]
	return copy(b, d.b), net.UDPAddrFromAddrPort(d.from), nil
}

func (c *memoryConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.arrived.Broadcast()
	return nil
}

func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expired = !t.IsZero() && !t.After(time.Now())
	c.arrived.Broadcast()
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr                { return net.UDPAddrFromAddrPort(c.addr) }
func (c *memoryConn) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }
func (c *memoryConn) SetWriteDeadline(t time.Time) error { return nil }
