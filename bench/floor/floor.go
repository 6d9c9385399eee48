package main

import (
	"crypto/cipher"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/onelane/onelane/bench/internal/wire"
)

const (
	// batch is how many ports are taken from one look at the epoll set.
	batch = 256
	size  = 1500
)

// port is one socket. That is all that is kept of a call.
type port struct {
	fd        int32
	connected bool
}

// floor belongs to run.
type floor struct {
	options options
	epoll   int
	ports   []port
	ready   [batch]unix.EpollEvent
	name    unix.RawSockaddrInet4
	length  uint32
	data    [size + wire.Tag]byte
	aead    cipher.AEAD
	nonce   [12]byte
}

func open(o options) (*floor, error) {
	wire.RaiseDescriptors()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := o.pollDevice(epoll); err != nil {
		return nil, err
	}
	f := &floor{options: o, epoll: epoll, ports: make([]port, o.count)}
	if o.aead {
		f.aead = wire.AEAD()
	}
	for i := range f.ports {
		fd, err := wire.Bind(o.address, o.first+i, o.buffer)
		if err != nil {
			return nil, err
		}
		f.ports[i].fd = int32(fd)
		if err := o.tune(fd); err != nil {
			return nil, err
		}
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: o.events(), Fd: int32(i)}); err != nil {
			return nil, os.NewSyscallError("epoll_ctl", err)
		}
	}
	return f, nil
}

// run is the loop. Its waits are not told to the Go scheduler either: with one processor the runtime would hand it to another thread in every
// wait that is longer than 20 us and take it back after it, which costs more than the datagrams do. Nothing else has to run in this process.
func (f *floor) run() error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1) // a collection would wait for the loop for ever; there is nothing to collect
	if f.options.tick > 0 {
		wire.Punctual(false) // else a tick is up to 50 us longer than it says
	}
	for {
		if f.options.tick > 0 {
			wire.Rest(int64(f.options.tick))
		}
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(f.epoll), uintptr(unsafe.Pointer(&f.ready[0])), batch, ^uintptr(0), 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return fmt.Errorf("wait for datagrams: %w", errno)
		}
		for i := range f.ready[:n] {
			p := &f.ports[f.ready[i].Fd]
			for f.forward(p) && f.options.edge {
			}
		}
	}
}

// forward sends one datagram of a port back and tells whether there was one.
func (f *floor) forward(p *port) bool {
	var name, length uintptr
	if !p.connected {
		f.length = unix.SizeofSockaddrInet4
		name, length = uintptr(unsafe.Pointer(&f.name)), uintptr(unsafe.Pointer(&f.length))
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(p.fd), uintptr(unsafe.Pointer(&f.data[0])), size, unix.MSG_DONTWAIT, name, length)
	if errno != 0 {
		return false
	}
	if f.aead != nil && !f.reseal(int(n)) {
		return true
	}
	if f.options.connect && !p.connected {
		_, _, errno = syscall.RawSyscall(unix.SYS_CONNECT, uintptr(p.fd), name, unix.SizeofSockaddrInet4)
		p.connected = errno == 0
	}
	length = unix.SizeofSockaddrInet4
	if p.connected {
		name, length = 0, 0
	}
	_, _, _ = syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(p.fd), uintptr(unsafe.Pointer(&f.data[0])), n, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, name, length)
	return true
}

// reseal opens the datagram in f.data and seals it again.
func (f *floor) reseal(n int) bool {
	if n < wire.Header+wire.Tag {
		return false
	}
	header, b := f.data[:wire.Header], f.data[wire.Header:n]
	wire.Nonce(&f.nonce, header)
	plain, err := f.aead.Open(b[:0], f.nonce[:], b, header)
	if err != nil {
		return false
	}
	f.aead.Seal(plain[:0], f.nonce[:], plain, header)
	return true
}
