//go:build linux && (amd64 || arm64)

package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchLimit is the most datagrams of one Receive. 256 slots of 2 KB are half a megabyte, as much as a core's cache holds.
	batchLimit = 256
	// slotSize leaves room for slack behind the longest datagram and keeps slots on their own cache lines.
	slotSize = 2048
	// loneBurst is how many datagrams are read at once from a port that is alone. With many ports ready it is one each: a port
	// nearly always has one datagram waiting (50 a second), so a second try would be a wasted call that finds nothing, and one each
	// is fair under a flood. A port that was the only one ready twice in a row hurts nobody, and saves a wait a datagram.
	loneBurst = 16
	// wakeCookie and alarmCookie stand for the eventfd and the alarm: no socket has these numbers.
	wakeCookie  = NoPort
	alarmCookie = NoPort - 1
)

// epollPorts reads all its sockets by one level-triggered epoll set. Level triggered, because what one round leaves in a socket is
// then reported again without any bookkeeping, and the kernel moves a reported socket to the end of its list, which makes the rounds
// fair. The fields belong to the owner's goroutine but for those that say otherwise.
type epollPorts struct {
	epoll   int
	options Options

	sockets []socket         // by Port: what the packet path needs, 12 bytes a port
	locals  []netip.AddrPort // by Port
	free    []Port
	resting []Port // closed since the last Receive: free from the next one on

	ready  [batchLimit]unix.EpollEvent
	lone   Port // the only port that was ready in the round before, or NoPort
	slab   []byte
	name   unix.RawSockaddrInet6 // long enough for either family
	length uint32                // of name
	count  Counters
	closed bool

	alarm alarm
	event eventfd
	bell  *eventBell
}

// socket is an open port, or, with fd -1, none. The generation is one more each time the number is given out: an event that carries
// another one is about a port that was closed since.
type socket struct {
	fd         int32
	generation int32
	connected  bool
}

// New makes a set of ports on one epoll set.
func New(o Options) (Ports, error) {
	p := &epollPorts{options: o, slab: make([]byte, batchLimit*slotSize), lone: NoPort, epoll: -1, alarm: alarm{fd: -1}, event: eventfd{fd: -1}}
	if err := p.make(); err != nil {
		_ = p.Shutdown()
		return nil, err
	}
	return p, nil
}

// make makes the set and what ends its waits. What it has made when it fails is for Shutdown.
func (p *epollPorts) make() (err error) {
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("create epoll set: %w", err)
	}
	if p.event.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("create eventfd: %w", err)
	}
	if p.alarm, err = newAlarm(); err != nil {
		return err
	}
	if p.bell, err = newEventBell(); err != nil {
		return err
	}
	ring := cookie(alarmCookie, 0)
	ring.Events |= unix.EPOLLET
	if err := errors.Join(p.watch(p.event.fd, cookie(wakeCookie, 0)), p.watch(p.alarm.fd, ring)); err != nil {
		return fmt.Errorf("watch eventfd and timerfd: %w", err)
	}
	return nil
}

// cookie is what epoll hands back: the port in one half, its generation in the other.
func cookie(p Port, generation int32) unix.EpollEvent {
	return unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(p), Pad: generation}
}

func (p *epollPorts) watch(fd int, e unix.EpollEvent) error {
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &e)
}

func (p *epollPorts) Open(local netip.AddrPort) (Port, error) {
	if p.closed {
		return NoPort, fmt.Errorf("open UDP port %s: %w", local, ErrClosed)
	}
	if err := checkLocal(local); err != nil {
		return NoPort, err
	}
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	fd, verb, err := p.bind(local)
	if err != nil {
		return NoPort, openError(local, verb, err)
	}
	if local.Port() == 0 {
		sa, err := unix.Getsockname(fd)
		if err != nil {
			_ = unix.Close(fd)
			return NoPort, openError(local, "read its number", err)
		}
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			local = netip.AddrPortFrom(local.Addr(), uint16(sa.Port))
		case *unix.SockaddrInet6:
			local = netip.AddrPortFrom(local.Addr(), uint16(sa.Port))
		}
	}
	port := p.number()
	s := &p.sockets[port]
	if err := p.watch(fd, cookie(port, s.generation+1)); err != nil {
		_ = unix.Close(fd)
		p.free = append(p.free, port)
		return NoPort, openError(local, "watch", err)
	}
	s.fd, s.generation, s.connected = int32(fd), s.generation+1, false
	p.locals[port] = local
	return port, nil
}

// bind makes a bound socket, or tells what it could not do.
func (p *epollPorts) bind(local netip.AddrPort) (fd int, verb string, err error) {
	family := unix.AF_INET
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, "create socket", err
	}
	if verb, err = p.prepare(fd, family); err == nil {
		verb = "bind"
		if family == unix.AF_INET {
			err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(local.Port()), Addr: local.Addr().As4()})
		} else {
			err = unix.Bind(fd, &unix.SockaddrInet6{Port: int(local.Port()), Addr: local.Addr().As16()})
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, verb, err
	}
	return fd, "", nil
}

func (p *epollPorts) prepare(fd, family int) (verb string, err error) {
	if family == unix.AF_INET6 { // an IPv4 source is then never seen in its mapped form
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return "set IPV6_V6ONLY", err
		}
	}
	if n := p.options.ReceiveBuffer; n > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n); err != nil {
			return "set SO_RCVBUF", err
		}
	}
	if n := p.options.SendBuffer; n > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, n); err != nil {
			return "set SO_SNDBUF", err
		}
	}
	return "", nil
}

// number takes a free port number, or makes the table longer by one.
func (p *epollPorts) number() Port {
	if n := len(p.free); n > 0 {
		port := p.free[n-1]
		p.free = p.free[:n-1]
		return port
	}
	p.sockets = append(p.sockets, socket{fd: -1})
	p.locals = append(p.locals, netip.AddrPort{})
	return Port(len(p.sockets) - 1)
}

func (p *epollPorts) Local(port Port) netip.AddrPort {
	if int(port) >= len(p.locals) {
		return netip.AddrPort{}
	}
	return p.locals[port]
}

func (p *epollPorts) Connect(port Port, remote netip.AddrPort) error {
	if int(port) >= len(p.sockets) || p.sockets[port].fd < 0 {
		return fmt.Errorf("connect UDP port: %w", ErrClosed)
	}
	length := p.address(remote)
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(p.sockets[port].fd), uintptr(unsafe.Pointer(&p.name)), length)
	if errno != 0 {
		return fmt.Errorf("connect UDP port %s: %w", p.locals[port], errno)
	}
	p.sockets[port].connected = true
	return nil
}

func (p *epollPorts) Close(port Port) {
	if int(port) >= len(p.sockets) || p.sockets[port].fd < 0 {
		return
	}
	fd := int(p.sockets[port].fd)
	// Close alone takes a socket out of the set only when nobody else holds it, as a child does between fork and exec.
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	_ = unix.Close(fd)
	p.sockets[port].fd = -1
	p.locals[port] = netip.AddrPort{}
	p.resting = append(p.resting, port)
}

func (p *epollPorts) Receive(batch []Datagram, wait time.Duration) (int, error) {
	if p.closed {
		return 0, ErrClosed
	}
	p.free = append(p.free, p.resting...)
	p.resting = p.resting[:0]
	limit := min(len(batch), batchLimit)
	if limit == 0 {
		return 0, nil
	}
	n, errno := p.await(limit, wait)
	p.count.Wakeups++
	if errno != 0 && errno != unix.EINTR {
		return 0, fmt.Errorf("wait for datagrams: %w", errno)
	}
	return p.round(batch[:limit], n), nil
}

// round reads the n ready ports into batch, which has room for one datagram of each, and returns how many it read.
func (p *epollPorts) round(batch []Datagram, n int) int {
	got := 0
	before := p.lone
	p.lone = NoPort
	for i := range p.ready[:n] {
		port, generation := Port(uint32(p.ready[i].Fd)), p.ready[i].Pad
		switch port {
		case wakeCookie:
			p.count.Calls++
			p.event.drain()
			continue
		case alarmCookie:
			p.alarm.rang()
			continue
		}
		s := p.sockets[port]
		if s.fd < 0 || s.generation != generation {
			continue
		}
		burst := 1
		if n == 1 {
			p.lone = port
			if before == port {
				burst = loneBurst
			}
		}
		for ; burst > 0 && got < len(batch); burst-- {
			taken, more := p.read(s.fd, port, &batch[got], got)
			got += taken
			if !more {
				break
			}
		}
	}
	return got
}

// read takes one datagram from a socket into slot and tells whether another try makes sense.
func (p *epollPorts) read(fd int32, port Port, d *Datagram, slot int) (taken int, more bool) {
	b := p.slab[slot*slotSize : (slot+1)*slotSize : (slot+1)*slotSize]
	p.length = unix.SizeofSockaddrInet6
	p.count.Calls++
	// MSG_TRUNC makes the kernel tell the true length of what did not fit.
	r, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), MaxDatagram,
		unix.MSG_DONTWAIT|unix.MSG_TRUNC, uintptr(unsafe.Pointer(&p.name)), uintptr(unsafe.Pointer(&p.length)))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0, false
	case errno != 0: // an ICMP error: reading it has cleared it
		p.count.ReceiveErrors++
		return 0, true
	case r > MaxDatagram:
		p.count.TooLong++
		return 0, true
	}
	n := int(r)
	p.count.Received++
	p.count.ReceivedBytes += uint64(n)
	d.Port, d.Data = port, b[:n]
	if p.name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&p.name))
		d.Remote = netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), swap(v4.Port))
	} else {
		d.Remote = netip.AddrPortFrom(netip.AddrFrom16(p.name.Addr), swap(p.name.Port))
	}
	return 1, true
}

// swap turns a port number between network order and ours; both architectures of this file are little endian.
func swap(port uint16) uint16 { return port<<8 | port>>8 }

func (p *epollPorts) Bell() Bell { return p.bell }

func (p *epollPorts) Counters() Counters {
	c := p.count
	c.Calls += p.alarm.calls
	return c
}

func (p *epollPorts) Shutdown() error {
	if p.closed {
		return nil
	}
	p.closed = true
	for i := range p.sockets {
		p.Close(Port(i))
	}
	p.event.close()
	p.alarm.close()
	p.bell.close()
	if err := unix.Close(p.epoll); err != nil {
		return fmt.Errorf("close epoll set: %w", err)
	}
	p.slab = nil
	return nil
}
