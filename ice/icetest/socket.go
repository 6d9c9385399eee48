package icetest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// addrPortConn is what a real UDP socket offers to be read and written without an allocation a packet.
type addrPortConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
}

// socket is one local address. One goroutine reads it; anybody writes it.
type socket struct {
	conn   net.PacketConn
	fast   addrPortConn // nil when conn has no such methods
	index  int
	local  netip.AddrPort
	public netip.AddrPort
}

func newSocket(c net.PacketConn, index int) (*socket, error) {
	local, err := addrPort(c.LocalAddr())
	if err != nil {
		return nil, err
	}
	k := &socket{conn: c, index: index, local: local, public: local}
	k.fast, _ = c.(addrPortConn)
	if u, ok := c.(*net.UDPConn); ok {
		// Best effort: the kernel may allow less, and says so by clipping.
		_ = u.SetReadBuffer(socketBuffer)
		_ = u.SetWriteBuffer(socketBuffer)
	}
	return k, nil
}

// run reads until the socket is closed.
func (k *socket) run(s *Server) {
	defer s.run.Done()
	buf := make([]byte, maxDatagram+1)
	for {
		n, from, err := k.read(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // an ICMP error of some peer is no reason to leave the others
			s.mu.Lock()
			closed := s.closed
			s.mu.Unlock()
			if closed {
				return
			}
		case n <= maxDatagram:
			s.datagram(k, from, buf[:n])
		}
	}
}

func (k *socket) read(b []byte) (int, netip.AddrPort, error) {
	if k.fast != nil {
		n, from, err := k.fast.ReadFromUDPAddrPort(b)
		return n, unmap(from), err
	}
	n, addr, err := k.conn.ReadFrom(b)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	from, err := addrPort(addr)
	return n, from, err
}

func (k *socket) write(b []byte, to netip.AddrPort) error {
	if k.fast != nil {
		_, err := k.fast.WriteToUDPAddrPort(b, to)
		return err
	}
	_, err := k.conn.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return err
}

func addrPort(a net.Addr) (netip.AddrPort, error) {
	if u, ok := a.(*net.UDPAddr); ok {
		return unmap(u.AddrPort()), nil
	}
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("icetest: address of a socket: %w", err)
	}
	return unmap(p), nil
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
