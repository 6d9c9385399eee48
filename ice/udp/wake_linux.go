//go:build linux && (amd64 || arm64)

package udp

import (
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// eventfd is how any goroutine ends a wait. The lock keeps Wake from writing to a descriptor that Shutdown has closed and somebody
// else got; it is taken once a wake-up, never a packet.
type eventfd struct {
	pending atomic.Bool // written and not yet read: further Wakes need not write
	mu      sync.Mutex
	fd      int // -1 after Shutdown
}

func (e *eventfd) wake() {
	if e.pending.Swap(true) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fd < 0 {
		return
	}
	one := uint64(1)
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(e.fd), uintptr(unsafe.Pointer(&one)), 8)
}

// drain makes the next Wake write again. A Wake that comes between the two steps writes nothing, and need not: the Receive that
// drains returns to its caller after it.
func (e *eventfd) drain() {
	var n uint64
	_, _, _ = syscall.RawSyscall(unix.SYS_READ, uintptr(e.fd), uintptr(unsafe.Pointer(&n)), 8)
	e.pending.Store(false)
}

func (e *eventfd) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = unix.Close(e.fd)
	e.fd = -1
}
