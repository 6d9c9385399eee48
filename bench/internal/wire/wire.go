// Package wire is what the plain forwarders and their load agree on, and the system calls that they make: raw ones, since what is measured
// is the least that a forwarder can cost.
//
// A datagram is an RTP packet with a GCM tag's worth of bytes behind it, so that it is as long as SRTP is. Its SSRC is the number of the
// port that it goes to and its timestamp its own number, which is how it is known again.
package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// Header is the length of an RTP header.
	Header = 12
	// Tag is the length of a GCM tag.
	Tag = 16
)

// AEAD is the cipher of both ends, with a fixed key: nothing here is secret.
func AEAD() cipher.AEAD {
	block, err := aes.NewCipher([]byte("onelane  measure"))
	if err != nil {
		panic(err) // a key of 16 bytes is a key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// Nonce makes a packet's nonce from its header.
func Nonce(nonce *[12]byte, header []byte) { copy(nonce[:], header[:Header]) }

// Bind opens a UDP socket on a port. buffer is its SO_RCVBUF, 0 for the kernel's default.
func Bind(address string, port, buffer int) (int, error) {
	a, err := netip.ParseAddr(address)
	if err != nil || !a.Is4() {
		return -1, fmt.Errorf("%q is not an IPv4 address", address)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if buffer > 0 && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer) // as much as is allowed
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: a.As4(), Port: port}); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("bind %s:%d: %w", address, port, err)
	}
	return fd, nil
}

// RaiseDescriptors lifts the limit of open files as far as it goes.
func RaiseDescriptors() {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil && r.Cur < r.Max {
		r.Cur = r.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &r) // a bind that fails will tell
	}
}

// Pin ties the calling goroutine to its thread and the thread to a CPU; a negative one leaves both as they are.
func Pin(cpu int) error {
	if cpu < 0 {
		return nil
	}
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("run on CPU %d: %w", cpu, err)
	}
	return nil
}

// Pause sleeps on the thread itself, for less than the runtime's timers can.
func Pause(nanoseconds int64) {
	t := unix.NsecToTimespec(nanoseconds)
	_, _, _ = unix.Syscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

// Rest sleeps like Pause and does not tell the Go scheduler: for a process in which nothing else has to run.
func Rest(nanoseconds int64) {
	t := unix.NsecToTimespec(nanoseconds)
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}
