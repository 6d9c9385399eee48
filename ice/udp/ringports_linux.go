//go:build linux && (amd64 || arm64)

package udp

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	ringSlots   = 512  // a power of two
	ringEntries = 512  // more than one turn sends; a full ring is submitted at once
	ringDones   = 4096 // every slot, every error of a submission and some thousand ports that end in one turn
	// received starts with struct io_uring_recvmsg_out and room for either family's address.
	nameBytes   = 32
	headerBytes = 16 + nameBytes
	ringFiles   = 1 << 15
)

const (
	tagReceive = iota
	tagSend
	tagWake
	tagOther
)

// tagCancel is tagOther with a bit more, so that it is not the alarm.
const tagCancel = tagOther<<32 | 1

// ringPorts reads all its sockets by one io_uring. One thread calls its methods.
type ringPorts struct {
	ring    *ring
	options Options

	sockets []socket
	locals  []netip.AddrPort
	free    []Port
	resting []Port
	unarmed []uint64 // tags of receives to be started

	slab    []byte
	message *unix.Msghdr // in mapped memory
	names   []unix.RawSockaddrInet6
	lent    []uint16
	later   turns
	held    [][]Datagram // what the kernel has not yet taken
	poll    bool         // the eventfd is watched
	bell    bool         // the alarm is watched
	alarm   alarm
	count   Counters
	closed  bool
	event   eventfd
}

type ringMemory struct {
	message unix.Msghdr
	names   [ringEntries]unix.RawSockaddrInet6
}

func newRingPorts(o Options) (*ringPorts, error) {
	r, err := newRing(ringEntries, ringDones, ringSlots)
	if err != nil {
		return nil, err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		r.close()
		return nil, err
	}
	if err := r.sparse(uint32(min(limit.Cur, ringFiles))); err != nil {
		r.close()
		return nil, err
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		r.close()
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	alarm, err := newAlarm()
	if err != nil {
		_ = unix.Close(event)
		r.close()
		return nil, err
	}
	size := ringSlots*slotSize + int(unsafe.Sizeof(ringMemory{}))
	slab, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		_ = unix.Close(event)
		r.close()
		return nil, fmt.Errorf("map slab: %w", err)
	}
	m := (*ringMemory)(unsafe.Pointer(&slab[ringSlots*slotSize]))
	m.message.Namelen = nameBytes
	p := &ringPorts{ring: r, options: o, slab: slab, message: &m.message, names: m.names[:], event: eventfd{fd: event}, alarm: alarm}
	for i := range ringSlots {
		p.recycle(uint16(i))
	}
	r.publish()
	return p, nil
}

func (p *ringPorts) recycle(slot uint16) {
	p.ring.give(slot, unsafe.Pointer(&p.slab[int(slot)*slotSize]), headerBytes+MaxDatagram)
}

func receiveTag(port Port, generation int32) uint64 {
	return uint64(port) | uint64(uint32(generation)<<2|tagReceive)<<32
}

func (p *ringPorts) Open(local netip.AddrPort) (Port, error) {
	if p.closed {
		return NoPort, fmt.Errorf("open UDP port %s: %w", local, ErrClosed)
	}
	if err := checkLocal(local); err != nil {
		return NoPort, err
	}
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	fd, verb, err := p.options.bind(local)
	if err != nil {
		return NoPort, openError(local, verb, err)
	}
	if local, err = resolve(fd, local); err != nil {
		_ = unix.Close(fd)
		return NoPort, openError(local, "read its number", err)
	}
	port := p.number()
	if errno := p.ring.file(uint32(port), int32(fd)); errno != 0 {
		_ = unix.Close(fd)
		p.free = append(p.free, port)
		return NoPort, openError(local, "register", errno)
	}
	s := &p.sockets[port]
	s.fd, s.generation, s.connected = int32(fd), s.generation+1, false
	p.locals[port] = local
	p.unarmed = append(p.unarmed, receiveTag(port, s.generation))
	return port, nil
}

func (p *ringPorts) number() Port {
	if n := len(p.free); n > 0 {
		port := p.free[n-1]
		p.free = p.free[:n-1]
		return port
	}
	p.sockets = append(p.sockets, socket{fd: -1})
	p.locals = append(p.locals, netip.AddrPort{})
	p.later.grow()
	return Port(len(p.sockets) - 1)
}

func (p *ringPorts) Local(port Port) netip.AddrPort {
	if int(port) >= len(p.locals) {
		return netip.AddrPort{}
	}
	return p.locals[port]
}

func (p *ringPorts) Connect(port Port, remote netip.AddrPort) error {
	if int(port) >= len(p.sockets) || p.sockets[port].fd < 0 {
		return fmt.Errorf("connect UDP port: %w", ErrClosed)
	}
	var name unix.RawSockaddrInet6
	length := address(&name, remote)
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(p.sockets[port].fd), uintptr(unsafe.Pointer(&name)), length)
	if errno != 0 {
		return fmt.Errorf("connect UDP port %s: %w", p.locals[port], errno)
	}
	p.sockets[port].connected = true
	return nil
}

// Close ends the port's receive before it closes the socket: a receive that waits keeps it open.
func (p *ringPorts) Close(port Port) {
	if int(port) >= len(p.sockets) || p.sockets[port].fd < 0 {
		return
	}
	s := &p.sockets[port]
	armed := true
	tag := receiveTag(port, s.generation)
	for i, t := range p.unarmed {
		if t == tag {
			p.unarmed = append(p.unarmed[:i], p.unarmed[i+1:]...)
			armed = false
			break
		}
	}
	if armed || len(p.held) > 0 {
		if armed {
			e := p.entry()
			e.op, e.fd, e.address, e.tag = opCancel, -1, tag, tagCancel
			e.flags = entrySilentSuccess
		}
		p.submit()
	}
	for q := &p.later.ports[port]; q.n > 0; {
		p.lent = append(p.lent, q.pop(&p.later))
	}
	_ = p.ring.file(uint32(port), -1)
	_ = unix.Close(int(s.fd))
	s.fd = -1
	p.locals[port] = netip.AddrPort{}
	p.resting = append(p.resting, port)
}

func (p *ringPorts) Wake() { p.event.wake() }

// Counters counts a completion that the kernel had no memory to keep as a receive error.
func (p *ringPorts) Counters() Counters {
	c := p.count
	if !p.closed {
		c.ReceiveErrors += uint64(atomic.LoadUint32(p.ring.overflow))
	}
	return c
}

func (p *ringPorts) Shutdown() error {
	if p.closed {
		return nil
	}
	p.closed = true
	for i := range p.sockets {
		p.Close(Port(i))
	}
	p.event.close()
	p.alarm.close()
	p.ring.close()
	err := unix.Munmap(p.slab)
	p.slab, p.names, p.message = nil, nil, nil
	return err
}
