//go:build linux && (amd64 || arm64)

package udp

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What <linux/io_uring.h> names, as far as it is used here.
const (
	setupCQSize       = 1 << 3
	setupDisabled     = 1 << 6
	setupSubmitAll    = 1 << 7
	setupSingleIssuer = 1 << 12
	setupDeferTaskrun = 1 << 13
	setupNoSQArray    = 1 << 16

	enterGetEvents  = 1 << 0
	enterRegistered = 1 << 4
	enterNoIOWait   = 1 << 7 // Linux 6.15
	featureNoIOWait = 1 << 17

	offsetRings   = 0
	offsetEntries = 0x10000000
	offsetBuffers = 0x80000000

	registerFilesUpdate = 6
	registerEnable      = 12
	registerFiles2      = 13
	registerRing        = 20
	registerBuffers     = 22
	sparseFiles         = 1 << 0
	buffersMapped       = 1 << 0

	opPoll    = 6
	opRecvmsg = 10
	opCancel  = 14
	opSend    = 26

	entryFixedFile     = 1 << 0
	entryBufferSelect  = 1 << 5
	entrySilentSuccess = 1 << 6
	pollMulti          = 1 << 0
	recvMultishot      = 1 << 1

	doneBuffer = 1 << 0
	doneMore   = 1 << 1

	flagOverflow = 1 << 1 // in the flags of the submission ring
)

// entry is what asks the kernel for something (struct io_uring_sqe).
type entry struct {
	op       uint8
	flags    uint8
	priority uint16
	fd       int32
	address2 uint64
	address  uint64
	length   uint32
	opFlags  uint32
	tag      uint64
	group    uint16
	_        uint16
	length2  uint16 // of what address2 points to
	_        [18]byte
}

// done is what the kernel tells (struct io_uring_cqe).
type done struct {
	tag   uint64
	res   int32
	flags uint32
}

// buffer is an entry of the ring of buffers that the kernel takes from (struct io_uring_buf).
type buffer struct {
	address uint64
	length  uint32
	id      uint16
	tail    uint16 // in the first entry: the tail of the ring
}

// offsets tell where the fields of a ring are (struct io_sqring_offsets, io_cqring_offsets).
type offsets struct {
	head, tail, mask, entries uint32
	a, b, c, d                uint32 // submission: flags, dropped, array; completion: overflow, entries, flags
	_                         uint64
}

type setup struct {
	submitEntries, doneEntries uint32
	flags                      uint32
	_                          [2]uint32
	features                   uint32
	_                          [4]uint32
	submit, done               offsets
}

// ring is an io_uring whose submitter is one thread. What the kernel writes lies in memory that it mapped itself.
type ring struct {
	fd         int
	enterFD    uintptr
	enterFlags uintptr
	enabled    bool

	rings, entriesMap, buffersMap []byte

	entries              []entry
	submitHead, submitTo *uint32
	submitFlags          *uint32
	tail                 uint32 // of the submission ring, ahead of submitTo until the next enter
	sent                 uint32 // up to which entry the kernel has taken

	dones            []done
	doneHead, doneTo *uint32
	overflow         *uint32
	head             uint32

	buffers    []buffer
	bufferTail uint16
}

// newRing makes a ring that its first enter enables for the thread that calls it.
func newRing(entries, dones, buffers uint32) (*ring, error) {
	s := setup{
		doneEntries: dones,
		flags:       setupCQSize | setupDisabled | setupSubmitAll | setupSingleIssuer | setupDeferTaskrun | setupNoSQArray,
	}
	fd, _, errno := syscall.RawSyscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&s)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("create io_uring: %w", errno)
	}
	r := &ring{fd: int(fd), enterFlags: enterGetEvents}
	if s.features&featureNoIOWait != 0 { // a thread that waits for datagrams is idle, not waiting for a disk
		r.enterFlags |= enterNoIOWait
	}
	if err := r.mapAll(&s, buffers); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *ring) mapAll(s *setup, buffers uint32) error {
	size := max(s.done.b+s.doneEntries*uint32(unsafe.Sizeof(done{})), s.submit.c)
	var err error
	if r.rings, err = mapRing(r.fd, offsetRings, int(size)); err != nil {
		return fmt.Errorf("map the rings of io_uring: %w", err)
	}
	if r.entriesMap, err = mapRing(r.fd, offsetEntries, int(s.submitEntries)*int(unsafe.Sizeof(entry{}))); err != nil {
		return fmt.Errorf("map the entries of io_uring: %w", err)
	}
	word := func(o uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.rings[o])) }
	r.submitHead, r.submitTo, r.submitFlags = word(s.submit.head), word(s.submit.tail), word(s.submit.a)
	r.doneHead, r.doneTo, r.overflow = word(s.done.head), word(s.done.tail), word(s.done.a)
	r.entries = unsafe.Slice((*entry)(unsafe.Pointer(&r.entriesMap[0])), s.submitEntries)
	r.dones = unsafe.Slice((*done)(unsafe.Pointer(&r.rings[s.done.b])), s.doneEntries)
	register := struct {
		address uint64
		entries uint32
		group   uint16
		flags   uint16
		_       [3]uint64
	}{entries: buffers, flags: buffersMapped}
	if errno := r.register(registerBuffers, unsafe.Pointer(&register), 1); errno != 0 {
		return fmt.Errorf("register buffers with io_uring: %w", errno)
	}
	if r.buffersMap, err = mapRing(r.fd, offsetBuffers, int(buffers)*int(unsafe.Sizeof(buffer{}))); err != nil {
		return fmt.Errorf("map the buffers of io_uring: %w", err)
	}
	r.buffers = unsafe.Slice((*buffer)(unsafe.Pointer(&r.buffersMap[0])), buffers)
	return nil
}

func mapRing(fd int, offset int64, size int) ([]byte, error) {
	return unix.Mmap(fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
}

func (r *ring) register(what uintptr, arg unsafe.Pointer, n uintptr) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), what, uintptr(arg), n, 0, 0)
	return errno
}

// sparse makes a table for n files without one in it.
func (r *ring) sparse(n uint32) error {
	files := struct {
		n, flags uint32
		_        [3]uint64
	}{n: n, flags: sparseFiles}
	if errno := r.register(registerFiles2, unsafe.Pointer(&files), unsafe.Sizeof(files)); errno != 0 {
		return fmt.Errorf("register files with io_uring: %w", errno)
	}
	return nil
}

// file puts fd into a place of the table, or, with -1, takes out what is there.
func (r *ring) file(place uint32, fd int32) syscall.Errno {
	update := struct {
		place uint32
		_     uint32
		fds   uint64
	}{place: place}
	fds := &fd
	update.fds = uint64(uintptr(unsafe.Pointer(fds)))
	errno := r.register(registerFilesUpdate, unsafe.Pointer(&update), 1)
	runtime.KeepAlive(fds)
	return errno
}

// enable binds the ring to the calling thread, which has to be locked to its goroutine.
func (r *ring) enable() syscall.Errno {
	r.enabled = true
	if errno := r.register(registerEnable, nil, 0); errno != 0 {
		return errno
	}
	r.enterFD = uintptr(r.fd)
	update := struct {
		offset, _ uint32
		fd        uint64
	}{offset: ^uint32(0), fd: uint64(r.fd)}
	n, _, errno := syscall.RawSyscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), registerRing, uintptr(unsafe.Pointer(&update)), 1, 0, 0)
	if errno == 0 && n == 1 {
		r.enterFD, r.enterFlags = uintptr(update.offset), r.enterFlags|enterRegistered
	}
	return 0
}

// next gives the next free entry, cleared, or nil when the kernel has to take some first.
func (r *ring) next() *entry {
	if int(r.tail-r.sent) == len(r.entries) {
		return nil
	}
	e := &r.entries[r.tail&uint32(len(r.entries)-1)]
	r.tail++
	*e = entry{}
	return e
}

// enter submits what waits and, with min above 0, waits for as many completions. quick: the Go scheduler is not told.
func (r *ring) enter(min uintptr, quick bool) syscall.Errno {
	if !r.enabled {
		if errno := r.enable(); errno != 0 {
			return errno
		}
	}
	atomic.StoreUint32(r.submitTo, r.tail)
	n := uintptr(r.tail - r.sent)
	var errno syscall.Errno
	if quick {
		_, _, errno = syscall.RawSyscall6(unix.SYS_IO_URING_ENTER, r.enterFD, n, min, r.enterFlags, 0, 0)
	} else {
		_, _, errno = syscall.Syscall6(unix.SYS_IO_URING_ENTER, r.enterFD, n, min, r.enterFlags, 0, 0)
	}
	r.sent = atomic.LoadUint32(r.submitHead)
	return errno
}

// give puts a buffer at the end of the ring of buffers. publish shows it to the kernel.
func (r *ring) give(id uint16, address unsafe.Pointer, length uint32) {
	b := &r.buffers[r.bufferTail&uint16(len(r.buffers)-1)]
	b.address, b.length = uint64(uintptr(address)), length
	if r.bufferTail&uint16(len(r.buffers)-1) == 0 {
		r.setFirst(id, *(*uint16)(unsafe.Pointer(&b.tail)))
	} else {
		b.id = id
	}
	r.bufferTail++
}

func (r *ring) publish() { r.setFirst(r.buffers[0].id, r.bufferTail) }

// setFirst writes the id and the tail in the first buffer together: there is no atomic store of 16 bits.
func (r *ring) setFirst(id, tail uint16) {
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&r.buffers[0].id)), uint32(id)|uint32(tail)<<16)
}

func (r *ring) close() {
	for _, m := range [][]byte{r.buffersMap, r.entriesMap, r.rings} {
		if m != nil {
			_ = unix.Munmap(m)
		}
	}
	_ = unix.Close(r.fd)
}
