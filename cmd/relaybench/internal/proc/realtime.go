//go:build linux

package proc

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Realtime lets a thread (0: the calling one) run before all that is not real-time, or like everything else again.
func Realtime(tid int, on bool) error {
	a := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
	if on {
		a.Policy, a.Priority = unix.SCHED_FIFO, 1
	}
	return unix.SchedSetAttr(tid, &a, 0)
}

// RealtimeThreads does that to every thread of this process but one.
//
// One thread alone is not enough where others run too: the Go scheduler stops a goroutine every 10 ms to let others run, and the collector
// stops all; then it takes a thread of ordinary priority to let it go on, and on a busy host that thread waits for its turn.
func RealtimeThreads(on bool, but int) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil || tid == but {
			continue
		}
		if err := Realtime(tid, on); err != nil && !errors.Is(err, unix.ESRCH) { // it has ended meanwhile
			return err
		}
	}
	return nil
}
