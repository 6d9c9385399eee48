//go:build linux && (amd64 || arm64)

package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// entry gives a free entry.
func (p *ringPorts) entry() *entry {
	e := p.ring.next()
	if e == nil {
		p.submit()
		e = p.ring.next()
	}
	return e
}

// submit hands the kernel what waits, and waits for nothing.
func (p *ringPorts) submit() {
	for p.ring.enter(0, true) == unix.EINTR {
	}
	clear(p.held)
	p.held = p.held[:0]
}

// arm starts the receives that do not run.
func (p *ringPorts) arm() {
	if !p.bell {
		p.bell = true
		e := p.entry()
		e.op, e.fd, e.length, e.opFlags, e.tag = opPoll, int32(p.alarm.fd), pollMulti, unix.POLLIN, tagOther<<32
	}
	if !p.poll {
		p.poll = true
		e := p.entry()
		e.op, e.fd, e.length, e.opFlags, e.tag = opPoll, int32(p.event.fd), pollMulti, unix.POLLIN, tagWake<<32
	}
	for _, tag := range p.unarmed {
		e := p.entry()
		e.op, e.flags, e.priority, e.fd = opRecvmsg, entryFixedFile|entryBufferSelect, recvMultishot, int32(uint32(tag))
		e.address, e.length, e.tag = uint64(uintptr(unsafe.Pointer(p.message))), 1, tag
	}
	p.unarmed = p.unarmed[:0]
}

// Send leaves the datagrams to the kernel's next look at the ring, which the next Receive is.
func (p *ringPorts) Send(batch []Datagram) {
	if p.closed {
		p.count.SendErrors += uint64(len(batch))
		return
	}
	if len(batch) == 0 {
		return
	}
	p.held = append(p.held, batch)
	for i := range batch {
		d := &batch[i]
		if int(d.Port) >= len(p.sockets) || p.sockets[d.Port].fd < 0 {
			p.count.SendErrors++
			continue
		}
		e := p.ring.next()
		if e == nil {
			p.submit()
			p.held = append(p.held, batch)
			e = p.ring.next()
			if e == nil {
				p.count.SendAgain++
				continue
			}
		}
		e.op, e.flags, e.fd = opSend, entryFixedFile|entrySilentSuccess, int32(d.Port)
		e.address, e.length = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(d.Data)))), uint32(len(d.Data))
		e.opFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
		e.tag = tagSend<<32 | uint64(uint32(len(d.Data)))
		if !p.sockets[d.Port].connected {
			name := &p.names[(p.ring.tail-1)&(ringEntries-1)]
			e.length2 = uint16(address(name, d.Remote))
			e.address2 = uint64(uintptr(unsafe.Pointer(name)))
		}
		p.count.Sent++
		p.count.SentBytes += uint64(len(d.Data))
	}
}
