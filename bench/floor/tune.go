package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pollBudget is how many packets one busy poll takes from a device's queue: the most without more rights, and as many as NAPI takes.
const pollBudget = 64

// tune sets the options of a port that are asked for.
func (o options) tune(fd int) error {
	for _, set := range []struct {
		name   string
		option int
		value  int
		wanted bool
	}{
		{"SO_INCOMING_CPU", unix.SO_INCOMING_CPU, o.near, o.near >= 0},
		{"SO_BUSY_POLL", unix.SO_BUSY_POLL, o.poll, o.poll > 0},
		{"SO_BUSY_POLL_BUDGET", unix.SO_BUSY_POLL_BUDGET, pollBudget, o.poll > 0},
		{"SO_PREFER_BUSY_POLL", unix.SO_PREFER_BUSY_POLL, 1, o.poll > 0},
	} {
		if !set.wanted {
			continue
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, set.option, set.value); err != nil {
			return os.NewSyscallError("setsockopt "+set.name, err)
		}
	}
	return nil
}

// events are what the epoll set watches a port for.
func (o options) events() uint32 {
	if o.edge {
		return unix.EPOLLIN | unix.EPOLLET
	}
	return unix.EPOLLIN
}

// epollParams is the kernel's struct epoll_params (Linux 6.9), which x/sys does not have.
type epollParams struct {
	microseconds uint32
	budget       uint16
	prefer       uint8
	_            uint8
}

// pollDevice has waits of the epoll set poll the device's queue first. A kernel that cannot do that for one set is told of and goes on with
// the options of the sockets.
func (o options) pollDevice(epoll int) error {
	if o.poll == 0 {
		return nil
	}
	p := epollParams{microseconds: uint32(o.poll), budget: pollBudget, prefer: 1}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(epoll), unix.EPIOCSPARAMS, uintptr(unsafe.Pointer(&p)))
	switch errno {
	case 0:
		return nil
	case unix.ENOTTY, unix.EINVAL:
		fmt.Fprintln(os.Stderr, "floor: this kernel has no busy polling of its own for an epoll set (EPIOCSPARAMS, Linux 6.9)")
		return nil
	}
	return os.NewSyscallError("ioctl EPIOCSPARAMS", errno)
}
