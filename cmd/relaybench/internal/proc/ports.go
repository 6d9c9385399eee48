//go:build linux

package proc

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// firstPort keeps away from where well-known services are.
const firstPort = 4096

// FreePorts gives the longest range of UDP ports that nobody has and that the kernel gives to nobody by itself.
func FreePorts() (first, last int, err error) {
	ephemeral, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, 0, fmt.Errorf("find free ports: %w", err)
	}
	var tables []string
	for _, name := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		if text, err := os.ReadFile(name); err == nil { // a kernel may do without IPv6
			tables = append(tables, string(text))
		}
	}
	first, last = freePorts(string(ephemeral), tables)
	return first, last, nil
}

func freePorts(ephemeral string, tables []string) (first, last int) {
	taken := []int{firstPort - 1, 1 << 16}
	for _, table := range tables {
		for line := range strings.Lines(table) {
			if f := strings.Fields(line); len(f) > 1 {
				_, number, _ := strings.Cut(f[1], ":")
				if p, err := strconv.ParseInt(number, 16, 32); err == nil && p >= firstPort {
					taken = append(taken, int(p))
				}
			}
		}
	}
	if f := strings.Fields(ephemeral); len(f) == 2 {
		from, errFrom := strconv.Atoi(f[0])
		to, errTo := strconv.Atoi(f[1])
		if errFrom == nil && errTo == nil {
			for p := max(from, firstPort); p <= to; p++ {
				taken = append(taken, p)
			}
		}
	}
	slices.Sort(taken)
	for i := 1; i < len(taken); i++ {
		if taken[i]-taken[i-1]-1 > last-first+1 || last == 0 {
			first, last = taken[i-1]+1, taken[i]-1
		}
	}
	return first, last
}
