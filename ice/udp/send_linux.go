//go:build linux && (amd64 || arm64)

package udp

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func (p *epollPorts) Send(batch []Datagram) {
	for i := range batch {
		p.send(&batch[i])
	}
}

func (p *epollPorts) send(d *Datagram) {
	if int(d.Port) >= len(p.sockets) || p.sockets[d.Port].fd < 0 {
		p.count.SendErrors++
		return
	}
	name, length := uintptr(0), uintptr(0)
	if !p.sockets[d.Port].connected {
		length = address(&p.name, d.Remote)
		name = uintptr(unsafe.Pointer(&p.name))
	}
	r, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(p.sockets[d.Port].fd), uintptr(unsafe.Pointer(unsafe.SliceData(d.Data))),
		uintptr(len(d.Data)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, name, length)
	if errno != 0 {
		p.count.refused(errno)
		return
	}
	p.count.Sent++
	p.count.SentBytes += uint64(r)
}

// address puts remote into name and returns its length there.
func address(name *unix.RawSockaddrInet6, remote netip.AddrPort) uintptr {
	a := remote.Addr()
	if a.Is4() {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		v4.Family, v4.Port, v4.Addr = unix.AF_INET, swap(remote.Port()), a.As4()
		v4.Zero = [8]uint8{}
		return unix.SizeofSockaddrInet4
	}
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swap(remote.Port()), Addr: a.As16()}
	return unix.SizeofSockaddrInet6
}

func (p *epollPorts) Wake() { p.event.wake() }
