//go:build linux

// Package proc reads what the kernel tells about a process in /proc.
package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is USER_HZ, the unit of times in /proc/PID/stat: 100 on every architecture that Go runs on under Linux.
const tick = 10 * time.Millisecond

// Usage is what a process has used since it started, and what it holds now.
type Usage struct {
	User, System time.Duration // CPU of all threads, in steps of 10 ms
	Resident     int64         // bytes
	Threads      int
	Descriptors  int    // 0 when they may not be listed
	Waits        uint64 // voluntary context switches of all threads: mostly returns from a kernel wait
}

// CPU is user and system time together.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// Read reads the usage of a process.
func Read(pid int) (Usage, error) {
	folder := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(folder + "/stat")
	if err != nil {
		return Usage{}, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	var u Usage
	if err := u.stat(string(stat)); err != nil {
		return Usage{}, fmt.Errorf("process %d: %w", pid, err)
	}
	if fds, err := os.ReadDir(folder + "/fd"); err == nil { // another user's may not be listed
		u.Descriptors = len(fds)
	}
	threads, err := os.ReadDir(folder + "/task")
	if err != nil {
		return u, nil
	}
	for _, t := range threads {
		status, err := os.ReadFile(folder + "/task/" + t.Name() + "/status")
		if err != nil { // the thread has ended meanwhile
			continue
		}
		u.Waits += field(string(status), "voluntary_ctxt_switches:")
	}
	return u, nil
}

// Positions in /proc/PID/stat behind the command's name, which is in brackets and may itself contain spaces and brackets (proc(5)).
const (
	statUser    = 14 - 3
	statSystem  = 15 - 3
	statThreads = 20 - 3
	statPages   = 24 - 3
)

func (u *Usage) stat(text string) error {
	end := strings.LastIndexByte(text, ')')
	if end < 0 {
		return errors.New("stat has no command name")
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) <= statPages {
		return fmt.Errorf("stat has only %d fields", len(fields))
	}
	var values [4]int64
	for i, n := range []int{statUser, statSystem, statThreads, statPages} {
		v, err := strconv.ParseInt(fields[n], 10, 64)
		if err != nil {
			return fmt.Errorf("stat field %d: %w", n+3, err)
		}
		values[i] = v
	}
	u.User, u.System = time.Duration(values[0])*tick, time.Duration(values[1])*tick
	u.Threads = int(values[2])
	u.Resident = values[3] * int64(os.Getpagesize())
	return nil
}

// field is the number behind a name at the beginning of a line, 0 when it is not there.
func field(text, name string) uint64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			first, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			n, _ := strconv.ParseUint(first, 10, 64)
			return n
		}
	}
	return 0
}

// DescriptorLimit is the soft limit of open files of a process, 0 when it is not known, -1 when there is none.
func DescriptorLimit(pid int) int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/limits")
	if err != nil {
		return 0
	}
	return descriptorLimit(string(text))
}

func descriptorLimit(limits string) int {
	for line := range strings.Lines(limits) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		if !ok {
			continue
		}
		values := strings.Fields(rest)
		if len(values) == 0 {
			return 0
		}
		if values[0] == "unlimited" {
			return -1
		}
		n, _ := strconv.Atoi(values[0])
		return n
	}
	return 0
}
