// Command forward does what floor does as Go programs are mostly written: a goroutine and a net.UDPConn for each port. It prints a line
// "ports FIRST LAST" when it is ready, and ends with its standard input.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"github.com/onelane/onelane/bench/internal/wire"
)

func main() {
	address := flag.String("address", "127.0.0.1", "IPv4 address of the ports")
	first := flag.Int("first", 10000, "the first port")
	count := flag.Int("count", 1000, "how many")
	flag.Parse()
	if err := serve(*address, *first, *count); err != nil {
		fmt.Fprintln(os.Stderr, "forward:", err)
		os.Exit(1)
	}
}

func serve(address string, first, count int) error {
	wire.RaiseDescriptors()
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	for i := range count {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(first+i))))
		if err != nil {
			return err
		}
		go run(c)
	}
	fmt.Println("ports", first, first+count-1)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// run sends back what comes, until the process ends.
func run(c *net.UDPConn) {
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			continue
		}
		_, _ = c.WriteToUDPAddrPort(b[:n], from)
	}
}
