package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Batch is how many datagrams a system call reads or sends.
const Batch = 64

const (
	maxDatagram = 1500
	// buffer holds what many ports send while this thread does not run.
	buffer = 16 << 20
)

// message is the kernel's struct mmsghdr, which x/sys does not have.
type message struct {
	header unix.Msghdr
	length uint32
	_      uint32
}

type batch struct {
	messages [Batch]message
	vectors  [Batch]unix.Iovec
	names    [Batch]unix.RawSockaddrInet4
	bytes    [Batch][maxDatagram + Tag]byte
}

// Socket is a UDP socket that is read and written in batches. It belongs to one goroutine.
type Socket struct {
	fd      int
	address [4]byte
	far     [4]byte // where datagrams go
	in, out batch
	control [Batch][64]byte
}

// Listen opens a socket on a free port of an address, for ports of the same address.
func Listen(address string) (*Socket, error) {
	fd, err := Bind(address, 0, buffer)
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt SO_TIMESTAMPNS", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, buffer) // as much as is allowed
	}
	s := &Socket{fd: fd, address: netip.MustParseAddr(address).As4()}
	s.far = s.address
	for _, b := range []*batch{&s.in, &s.out} {
		for i := range b.messages {
			b.vectors[i].Base = &b.bytes[i][0]
			b.vectors[i].SetLen(maxDatagram)
			h := &b.messages[i].header
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&b.names[i])), unix.SizeofSockaddrInet4
			h.Iov = &b.vectors[i]
			h.SetIovlen(1)
		}
	}
	for i := range s.in.messages {
		s.in.messages[i].header.Control = &s.control[i][0]
	}
	return s, nil
}

// Out is the memory of the datagram at a place of the batch to send.
func (s *Socket) Out(i, length int) []byte {
	s.out.vectors[i].SetLen(length)
	return s.out.bytes[i][:length]
}

// To addresses it to a port.
func (s *Socket) To(i, port int) {
	name := &s.out.names[i]
	name.Family, name.Addr = unix.AF_INET, s.far
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], uint16(port))
}

// Aim has To address datagrams to ports of another host.
func (s *Socket) Aim(address string) error {
	a, err := netip.ParseAddr(address)
	if err != nil || !a.Is4() {
		return fmt.Errorf("%q is not an IPv4 address", address)
	}
	s.far = a.As4()
	return nil
}

// NAPI is the queue that the datagram received last came through, as busy polling knows it; 0: none that could be polled.
func (s *Socket) NAPI() int {
	id, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_INCOMING_NAPI_ID)
	if err != nil {
		return 0
	}
	return id
}

// Back addresses it to where a datagram read last came from.
func (s *Socket) Back(i, in int) { s.out.names[i] = s.in.names[in] }

// Local is the socket's own address.
func (s *Socket) Local() (netip.AddrPort, error) {
	bound, err := unix.Getsockname(s.fd)
	if err != nil {
		return netip.AddrPort{}, os.NewSyscallError("getsockname", err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(s.address), uint16(bound.(*unix.SockaddrInet4).Port)), nil
}

// Send sends the first n datagrams and returns how many the kernel took.
func (s *Socket) Send(n int) int {
	sent := 0
	for range 3 { // a full queue may have room a moment later
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

// Receive reads what has come, without waiting, and returns how many datagrams there are.
func (s *Socket) Receive() int {
	for i := range s.in.messages {
		h := &s.in.messages[i].header
		h.Namelen = unix.SizeofSockaddrInet4
		h.SetControllen(len(s.control[i]))
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.in.messages[0])), Batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// In is one of the datagrams read last, with the time at which the kernel had it.
func (s *Socket) In(i int) (b []byte, stamp int64) {
	b = s.in.bytes[i][:s.in.messages[i].length]
	h := (*unix.Cmsghdr)(unsafe.Pointer(&s.control[i][0]))
	if int(s.in.messages[i].header.Controllen) < unix.SizeofCmsghdr || h.Type != unix.SO_TIMESTAMPNS {
		return b, time.Now().UnixNano()
	}
	return b, (*unix.Timespec)(unsafe.Pointer(&s.control[i][unix.SizeofCmsghdr])).Nano()
}

// Dropped is how many datagrams the kernel threw away because the receive buffer was full.
func (s *Socket) Dropped() uint64 { return uint64(memory(s.fd)[unix.SK_MEMINFO_DROPS]) }

// memory is what the kernel tells of a socket's memory; nothing but zeros where it does not.
func memory(fd int) (m [unix.SK_MEMINFO_VARS]uint32) {
	size := uint32(unsafe.Sizeof(m))
	_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&m)), uintptr(unsafe.Pointer(&size)), 0)
	return m
}

// Footprint is how much of the kernel's memory a datagram of a length takes while it waits on loopback.
func Footprint(length int) (int, error) {
	const datagrams = 8
	fd, err := Bind("127.0.0.1", 0, buffer)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	self, err := unix.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	for range datagrams {
		if err := unix.Sendto(fd, make([]byte, length), 0, self); err != nil {
			return 0, os.NewSyscallError("sendto", err)
		}
	}
	return int(memory(fd)[unix.SK_MEMINFO_RMEM_ALLOC]) / datagrams, nil
}

// Punctual lets the calling thread wake up when its timers are due instead of up to 50 us later, and, if realtime is asked for and
// allowed, before any other thread.
func Punctual(realtime bool) {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	if realtime {
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
		_ = unix.SchedSetAttr(0, &attr, 0) // takes root
	}
}
