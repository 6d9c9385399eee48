package config

import (
	"fmt"
)

// EphemeralRangeFile holds the ports from which the kernel takes local ports of its own choice.
const EphemeralRangeFile = "/proc/sys/net/ipv4/ip_local_port_range"

// Warnings tells what will run and may surprise. ephemeral is the text of EphemeralRangeFile, empty when there is none.
func (c Config) Warnings(ephemeral string) []string {
	var warnings []string
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	var low, high int
	if n, _ := fmt.Sscan(ephemeral, &low, &high); n == 2 && int(c.Media.PortMin) <= high && low <= int(c.Media.PortMax) {
		warn("media.port_min to media.port_max (%d-%d) overlaps the kernel's ephemeral ports (%d-%d): another program may hold a port of a call; "+
			"move the range, or raise net.ipv4.ip_local_port_range (configs/sysctl.conf)", c.Media.PortMin, c.Media.PortMax, low, high)
	}
	if ports := int(c.Media.PortMax) - int(c.Media.PortMin) + 1; ports < c.Calls.Max {
		warn("media.port_min to media.port_max (%d-%d) has %d ports for calls.max %d: a call takes one, so %d calls fit; widen the range or lower calls.max",
			c.Media.PortMin, c.Media.PortMax, ports, c.Calls.Max, ports)
	}
	loopback := 0
	for _, a := range c.Media.Addresses {
		if a.Public.IsLoopback() {
			loopback++
		}
	}
	if loopback == len(c.Media.Addresses) {
		warn("media.addresses has only loopback addresses: no peer outside this host can reach a call; set it to the host's address, or \"local=public\" behind 1:1 NAT")
	}
	if c.GRPC.AllowPlaintext {
		warn("grpc.allow_plaintext is true: who can reach %s controls every call", c.GRPC.Listen)
	}
	return warnings
}
