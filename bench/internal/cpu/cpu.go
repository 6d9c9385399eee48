// Package cpu reads how much CPU a process has used.
package cpu

import (
	"time"

	"golang.org/x/sys/unix"
)

// schedulerClock is CPUCLOCK_SCHED of the kernel's posix-timers.h: all the time that a process's threads ran, in nanoseconds.
const schedulerClock = 2

// Of is the user and system time of all threads of a process, ended ones too; 0 when there is none. It is what the fields of
// /proc/PID/stat are made of, without their steps of 10 ms, of which a turn of 2 s has few.
func Of(pid int) time.Duration {
	var t unix.Timespec
	// The clock of a process, as clock_getcpuclockid(3) makes it of the process's number.
	if err := unix.ClockGettime(int32(^pid<<3|schedulerClock), &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
