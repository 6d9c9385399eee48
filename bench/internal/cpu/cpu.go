// Package cpu reads how much CPU a process has used.
package cpu

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is USER_HZ: 100 on every architecture that Go runs on under Linux.
const tick = 10 * time.Millisecond

// Of is the user and system time of all threads of a process, in steps of 10 ms; 0 when there is none.
func Of(pid int) time.Duration {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// Behind the command's name, which is in brackets, the fields are the 3rd and following of proc(5).
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}
