//go:build linux && (amd64 || arm64)

package udp

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alarm ends the waits of an epoll set, which have no time limit of their own. A limit given to the wait is a timer that the kernel starts
// before it and stops after it; in a virtual machine the guest is left for each of the two, and a shard waits some thousand times a second.
// The alarm is set once for all the waits that it would not end too late, and most of them are ended by a datagram.
type alarm struct {
	fd     int
	origin time.Time
	at     time.Duration // since origin: when it goes off; never, when it is not set
	value  unix.ItimerSpec
	calls  uint64 // how often it was set
}

// never is no time of an alarm's.
const never = time.Duration(1<<63 - 1)

func newAlarm() (alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return alarm{fd: -1}, fmt.Errorf("create timerfd: %w", err)
	}
	return alarm{fd: fd, origin: time.Now(), at: never}, nil
}

func (a *alarm) now() time.Duration { return time.Since(a.origin) }

// set makes the alarm go off at the latest at until, which is after now.
func (a *alarm) set(now, until time.Duration) syscall.Errno {
	if until >= a.at {
		return 0
	}
	a.calls++
	a.value.Value = unix.NsecToTimespec(int64(until - now))
	_, _, errno := syscall.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(a.fd), 0, uintptr(unsafe.Pointer(&a.value)), 0, 0, 0)
	if errno == 0 {
		a.at = until
	}
	return errno
}

// rang notes that the alarm went off. Nobody reads it: the set tells of it by its edge, once each time.
func (a *alarm) rang() { a.at = never }

func (a *alarm) close() { _ = unix.Close(a.fd) }

// shortWait is the longest wait that the Go scheduler is not told of. Under load a shard waits for a fraction of a millisecond some
// thousand times a second, and each wait that the scheduler knows of costs it a look at the clock every 20 us and handing the processor
// to another thread and back: a tenth of the process's time. A thread that waits without a word keeps its processor, which is why relayd
// asks for one more a shard; when the collector needs it, the runtime's signal ends the wait.
const shortWait = 2 * time.Millisecond

// await asks for at most limit ready ports, waits for the first for at most wait (negative: without limit), and returns how many
// there are.
func (p *epollPorts) await(limit int, wait time.Duration) (int, syscall.Errno) {
	short := wait >= 0 && wait <= shortWait
	if wait == 0 || !short { // a look that the scheduler need not know of: under load there is always something
		if n, errno := p.look(limit); n > 0 || errno != 0 || wait == 0 {
			return n, errno
		}
	}
	now, until := p.alarm.now(), never
	if wait > 0 {
		until = now + min(wait, never-now)
	}
	for {
		if errno := p.alarm.set(now, until); errno != 0 {
			return 0, errno
		}
		n, errno := p.block(limit, short)
		alone := n == 1 && Port(uint32(p.ready[0].Fd)) == alarmCookie
		if errno != unix.EINTR && !alone {
			return n, errno
		}
		// A signal: the runtime, which wants the thread, has it on the way into the next call. Or the alarm: maybe for an earlier wait, that
		// ended before it.
		if alone {
			p.alarm.rang()
		}
		if now = p.alarm.now(); now >= until {
			return 0, 0
		}
	}
}

// look asks without waiting.
func (p *epollPorts) look(limit int) (int, syscall.Errno) {
	p.count.Calls++
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.ready[0])), uintptr(limit), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// block waits until something is ready or the alarm goes off.
func (p *epollPorts) block(limit int, short bool) (int, syscall.Errno) {
	p.count.Calls++
	var n uintptr
	var errno syscall.Errno
	const forever = ^uintptr(0)
	ready := uintptr(unsafe.Pointer(&p.ready[0]))
	if short {
		n, _, errno = syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), ready, uintptr(limit), forever, 0, 0)
	} else {
		n, _, errno = syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), ready, uintptr(limit), forever, 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
