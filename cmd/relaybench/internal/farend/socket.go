//go:build linux

package farend

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchSize   = 64
	maxDatagram = 1500

	// receiveBuffer holds what many calls send while this process does not run: 20,000 packets, by the kernel's own accounting. Beyond
	// net.core.rmem_max it takes root; what was granted is reported.
	receiveBuffer = 16 << 20
)

// packet headers of the kernel (struct mmsghdr), which x/sys does not have.
type message struct {
	header unix.Msghdr
	length uint32
	_      uint32
}

// socket is a UDP socket that is read and written in batches. It belongs to one goroutine, but for sendTo.
type socket struct {
	fd      int
	local   netip.AddrPort
	granted int // bytes of receive buffer

	in, out batch
	control [batchSize][64]byte
	used    int // messages of the in batch that the kernel has written to
}

// batch is the memory of one batch of messages, laid out once.
type batch struct {
	messages [batchSize]message
	vectors  [batchSize]unix.Iovec
	names    [batchSize]unix.RawSockaddrInet4
	bytes    [batchSize][maxDatagram + 36]byte // room for a tag
}

func (b *batch) lay() {
	for i := range b.messages {
		b.vectors[i].Base = &b.bytes[i][0]
		h := &b.messages[i].header
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Namelen = unix.SizeofSockaddrInet4
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
	}
}

// received is one datagram of the batch read last.
type received struct {
	bytes []byte // may be changed in place; room for a tag behind
	name  *unix.RawSockaddrInet4
	stamp int64 // when the kernel had it; 0 when it did not say
}

func listen(local netip.AddrPort) (*socket, error) {
	if !local.Addr().Is4() {
		return nil, fmt.Errorf("listen on %v: give an IPv4 address", local)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &socket{fd: fd}
	if err := s.prepare(local); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen on %v: %w", local, err)
	}
	s.in.lay()
	s.out.lay()
	s.used = batchSize
	for i := range s.in.messages {
		h := &s.in.messages[i].header
		h.Control = &s.control[i][0]
		s.in.vectors[i].SetLen(maxDatagram)
	}
	return s, nil
}

func (s *socket) prepare(local netip.AddrPort) error {
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
			return os.NewSyscallError("setsockopt SO_RCVBUF", err)
		}
	}
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, receiveBuffer) != nil {
		unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, receiveBuffer) // the default will do
	}
	s.granted, _ = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_TIMESTAMPNS", err)
	}
	if err := unix.Bind(s.fd, &unix.SockaddrInet4{Addr: local.Addr().As4(), Port: int(local.Port())}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	bound, err := unix.Getsockname(s.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	s.local = netip.AddrPortFrom(local.Addr(), uint16(bound.(*unix.SockaddrInet4).Port))
	return nil
}

// receive reads a batch without waiting and returns how many datagrams it has.
func (s *socket) receive() int {
	for i := range s.used {
		h := &s.in.messages[i].header
		h.Namelen = unix.SizeofSockaddrInet4
		h.SetControllen(len(s.control[i]))
	}
	s.used = 0
	// Neither call waits, so the scheduler need not know of it.
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.in.messages[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	s.used = int(n)
	return s.used
}

// datagram is one of the batch read last.
func (s *socket) datagram(i int) received {
	m := &s.in.messages[i]
	return received{s.in.bytes[i][:m.length:len(s.in.bytes[i])], &s.in.names[i], s.stamp(i)}
}

// stamp is the kernel's receive time, which comes as the only control message.
func (s *socket) stamp(i int) int64 {
	if int(s.in.messages[i].header.Controllen) < unix.SizeofCmsghdr+int(unsafe.Sizeof(unix.Timespec{})) {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&s.control[i][0]))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SO_TIMESTAMPNS {
		return 0
	}
	t := (*unix.Timespec)(unsafe.Pointer(&s.control[i][unix.SizeofCmsghdr]))
	return t.Nano()
}

// sendRetries bounds how often a batch that the kernel did not take as a whole is offered again.
const sendRetries = 3

// send sends the first n messages of the out batch, whose lengths are in its vectors, and returns how many the kernel took.
func (s *socket) send(n int) int {
	sent := 0
	for range sendRetries {
		k, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.out.messages[sent])), uintptr(n-sent), unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			sent += int(k)
		}
		if sent == n {
			break
		}
	}
	return sent
}

// sendTo sends one datagram, from any goroutine.
func (s *socket) sendTo(b []byte, to netip.AddrPort) error {
	return unix.Sendto(s.fd, b, unix.MSG_DONTWAIT, &unix.SockaddrInet4{Addr: to.Addr().Unmap().As4(), Port: int(to.Port())})
}

// dropped is how many datagrams the kernel threw away because the receive buffer was full.
func (s *socket) dropped() uint64 {
	var memory [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(memory))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&memory)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(memory[unix.SK_MEMINFO_DROPS])
}

func (s *socket) close() { unix.Close(s.fd) }

// wire is a name's port as it lies in memory: in network order, whatever the host's is.
func wire(name *unix.RawSockaddrInet4) []byte {
	return (*[2]byte)(unsafe.Pointer(&name.Port))[:]
}

func port(name *unix.RawSockaddrInet4) uint16 { return binary.BigEndian.Uint16(wire(name)) }

func address(name *unix.RawSockaddrInet4) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), port(name))
}

func setName(name *unix.RawSockaddrInet4, a netip.AddrPort) {
	*name = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr().As4()}
	binary.BigEndian.PutUint16(wire(name), a.Port())
}

// pause sleeps on the thread itself: the runtime's timers would add a wake-up of another thread and most of a millisecond. The scheduler is
// not told, so that the thread keeps its processor: on a busy host it would else wait for one that is held by a thread that does not run.
// The collector interrupts it by a signal.
func pause(d time.Duration) {
	if d <= 0 {
		return
	}
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

// punctual lets timers of the calling thread fire when they are due, instead of up to 50 us later.
func punctual() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }
