//go:build linux && (amd64 || arm64)

package udp

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func (p *ringPorts) Receive(batch []Datagram, wait time.Duration) (int, error) {
	if p.closed {
		return 0, ErrClosed
	}
	p.free = append(p.free, p.resting...)
	p.resting = p.resting[:0]
	limit := min(len(batch), batchLimit)
	if limit == 0 {
		return 0, nil
	}
	if len(p.lent) > 0 {
		p.reclaim()
	}
	if len(p.unarmed) > 0 || !p.poll || !p.bell {
		p.arm()
	}
	if p.later.waiting > 0 {
		wait = 0
	}
	errno := p.wait(wait)
	p.count.Wakeups++
	if errno != 0 && errno != unix.EINTR && errno != unix.ETIME && errno != unix.EAGAIN && errno != unix.EBUSY {
		return 0, fmt.Errorf("wait for datagrams: %w", errno)
	}
	return p.harvest(batch[:limit]), nil
}

// reclaim gives the slots of the last batch back to the kernel.
func (p *ringPorts) reclaim() {
	for _, slot := range p.lent {
		p.recycle(slot)
	}
	p.lent = p.lent[:0]
	p.ring.publish()
}

// wait submits what waits and waits for the first completion for at most wait (negative: without limit).
func (p *ringPorts) wait(wait time.Duration) syscall.Errno {
	r := p.ring
	if wait == 0 {
		return p.enter(0, true)
	}
	short := wait > 0 && wait <= shortWait
	now, until := p.alarm.now(), never
	if wait > 0 {
		until = now + min(wait, never-now)
	}
	for {
		if errno := p.alarm.set(now, until); errno != 0 {
			return errno
		}
		if errno := p.enter(1, short); errno != 0 {
			return errno
		}
		if atomic.LoadUint32(r.doneTo)-r.head != 1 || r.dones[r.head&uint32(len(r.dones)-1)].tag != tagOther<<32 {
			return 0
		}
		if now = p.alarm.now(); now >= until || r.dones[r.head&uint32(len(r.dones)-1)].flags&doneMore == 0 {
			return 0
		}
		r.head++
		atomic.StoreUint32(r.doneHead, r.head)
		p.alarm.rang()
	}
}

func (p *ringPorts) enter(min uintptr, short bool) syscall.Errno {
	errno := p.ring.enter(min, short)
	if len(p.held) > 0 && p.ring.sent == p.ring.tail {
		clear(p.held)
		p.held = p.held[:0]
	}
	return errno
}

// harvest takes what has completed. When more has come than the batch holds, ports take turns.
func (p *ringPorts) harvest(batch []Datagram) int {
	r := p.ring
	to := atomic.LoadUint32(r.doneTo)
	got := 0
	direct := p.later.waiting == 0 && int(to-r.head) <= len(batch)
	mask := uint32(len(r.dones) - 1)
	for ; r.head != to; r.head++ {
		d := &r.dones[r.head&mask]
		if d.tag>>32&3 != tagReceive {
			p.other(d)
			continue
		}
		if slot, ok := p.received(d); ok {
			if direct {
				p.deliver(&batch[got], Port(uint32(d.tag)), slot)
				got++
			} else {
				p.later.put(Port(uint32(d.tag)), slot)
			}
		}
	}
	atomic.StoreUint32(r.doneHead, r.head)
	for got < len(batch) && p.later.waiting > 0 {
		port, slot := p.later.take()
		p.deliver(&batch[got], port, slot)
		got++
	}
	return got
}

// received looks at the end of a receive and tells the slot that has a datagram.
func (p *ringPorts) received(d *done) (slot uint16, ok bool) {
	port := Port(uint32(d.tag))
	s := &p.sockets[port]
	open := s.fd >= 0 && receiveTag(port, s.generation) == d.tag
	slot = uint16(d.flags >> 16)
	if d.flags&doneMore == 0 && open {
		p.unarmed = append(p.unarmed, d.tag)
	}
	switch {
	case d.res < 0:
		if e := syscall.Errno(-d.res); open && e != unix.ENOBUFS && e != unix.ECANCELED && e != unix.EAGAIN {
			p.count.ReceiveErrors++
		}
		if d.flags&doneBuffer != 0 {
			p.lent = append(p.lent, slot)
		}
		return 0, false
	case d.flags&doneBuffer == 0:
		return 0, false
	case !open:
		p.lent = append(p.lent, slot)
		return 0, false
	}
	if flags := *(*uint32)(unsafe.Pointer(&p.slab[int(slot)*slotSize+12])); flags&unix.MSG_TRUNC != 0 {
		p.count.TooLong++
		p.lent = append(p.lent, slot)
		return 0, false
	}
	return slot, true
}

func (p *ringPorts) deliver(d *Datagram, port Port, slot uint16) {
	b := p.slab[int(slot)*slotSize : (int(slot)+1)*slotSize : (int(slot)+1)*slotSize]
	n := int(*(*uint32)(unsafe.Pointer(&b[8])))
	name := (*unix.RawSockaddrInet6)(unsafe.Pointer(&b[16]))
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		d.Remote = netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), swap(v4.Port))
	} else {
		d.Remote = netip.AddrPortFrom(netip.AddrFrom16(name.Addr), swap(name.Port))
	}
	d.Port, d.Data = port, b[headerBytes:headerBytes+n]
	p.lent = append(p.lent, slot)
	p.count.Received++
	p.count.ReceivedBytes += uint64(n)
}

// other is a completion that brings no datagram.
func (p *ringPorts) other(d *done) {
	switch d.tag >> 32 & 3 {
	case tagWake:
		p.event.drain()
		p.poll = d.flags&doneMore != 0
	case tagOther:
		if d.tag == tagOther<<32 {
			p.alarm.rang()
			p.bell = d.flags&doneMore != 0
		}
	case tagSend: // told only when it failed
		p.count.Sent--
		p.count.SentBytes -= uint64(uint32(d.tag))
		p.count.refused(syscall.Errno(-d.res))
	}
}
