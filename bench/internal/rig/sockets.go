package rig

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// UDPSocket is what the kernel tells of an IPv4 UDP socket of this host.
type UDPSocket struct {
	Port   int
	Queued uint64 // bytes of the kernel's memory that wait to be read
	Drops  uint64
}

// UDPSockets reads /proc/net/udp.
func UDPSockets() ([]UDPSocket, error) {
	text, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return nil, fmt.Errorf("read the kernel's list of sockets: %w", err)
	}
	return udpSockets(string(text))
}

// udpSockets reads rows as "sl local remote st tx:rx tr:when retrnsmt uid timeout inode ref pointer drops", numbers of the first fields in
// hexadecimal.
func udpSockets(text string) ([]UDPSocket, error) {
	_, rows, _ := strings.Cut(text, "\n")
	var all []UDPSocket
	for row := range strings.Lines(rows) {
		fields := strings.Fields(row)
		if len(fields) < 13 {
			return nil, fmt.Errorf("the kernel's list of sockets has a row of another form: %q", row)
		}
		_, port, _ := strings.Cut(fields[1], ":")
		_, queued, _ := strings.Cut(fields[4], ":")
		p, err := strconv.ParseUint(port, 16, 16)
		if err != nil {
			return nil, fmt.Errorf("port of a socket: %w", err)
		}
		q, err := strconv.ParseUint(queued, 16, 64)
		if err != nil {
			return nil, fmt.Errorf("queue of a socket: %w", err)
		}
		d, err := strconv.ParseUint(fields[12], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("drops of a socket: %w", err)
		}
		all = append(all, UDPSocket{int(p), q, d})
	}
	return all, nil
}
