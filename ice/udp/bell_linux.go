//go:build linux && (amd64 || arm64)

package udp

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// eventBell is an eventfd that is written by the owner and read through the runtime's poller.
type eventBell struct {
	fd      int
	file    *os.File
	pending atomic.Bool // written and not yet read: further rings need not write
	read    [8]byte     // for who waits
}

func newEventBell() (*eventBell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	return &eventBell{fd: fd, file: os.NewFile(uintptr(fd), "bell")}, nil
}

func (b *eventBell) Ring() {
	if b.pending.Swap(true) {
		return
	}
	one := uint64(1)
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(b.fd), uintptr(unsafe.Pointer(&one)), 8)
}

// Wait makes the next ring write again before it returns: what was done before a ring that did not write is seen by who waited.
func (b *eventBell) Wait() bool {
	_, err := b.file.Read(b.read[:])
	b.pending.Store(false)
	return err == nil
}

// close is the owner's, as Ring is: the descriptor is not written to after it.
func (b *eventBell) close() {
	if b != nil {
		_ = b.file.Close()
	}
}
