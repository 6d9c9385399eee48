// Command floor is the leanest forwarder that the kernel allows for one UDP port a call: it sends every datagram back to where it came from,
// out of the port that it came in on. One thread, one epoll set, one recvfrom and one sendto a datagram; no crypto, no state of a call.
// What a relay costs above it is the relay's own.
//
// With --aead it opens and seals the payload of each datagram with AES-128-GCM as SRTP does (RFC 7714), straight from crypto/cipher and
// with one key that never leaves the cache: the floor with the crypto that cannot be left out.
//
// It prints a line "ports FIRST LAST" when it is ready, and ends when it is told to.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/onelane/onelane/bench/internal/wire"
)

type options struct {
	address string
	first   int
	count   int
	aead    bool
	connect bool
	tick    time.Duration
	cpu     int
	buffer  int
	edge    bool
	near    int // SO_INCOMING_CPU; negative: not set
	poll    int // us
}

func main() {
	var o options
	flag.StringVar(&o.address, "address", "127.0.0.1", "IPv4 address of the ports")
	flag.IntVar(&o.first, "first", 10000, "the first port")
	flag.IntVar(&o.count, "count", 1000, "how many")
	flag.BoolVar(&o.aead, "aead", false, "open and seal each payload")
	flag.BoolVar(&o.connect, "connect", true, "connect a port to the first address that it hears: the kernel then looks up no route for a datagram")
	flag.DurationVar(&o.tick, "tick", 0, "sleep this long before each look: fewer wake-ups, more latency")
	flag.IntVar(&o.cpu, "cpu", -1, "run on this CPU only")
	flag.IntVar(&o.buffer, "buffer", 64<<10, "receive buffer of a port in bytes; 0: the kernel's default")
	flag.BoolVar(&o.edge, "edge-triggered", false, "an edge-triggered epoll set: a port is read until it is empty, and the set looks at it once")
	flag.IntVar(&o.near, "incoming-cpu", -1, "SO_INCOMING_CPU of the ports")
	flag.IntVar(&o.poll, "busy-poll", 0, "poll the device's queue for so many microseconds before a wait, by socket (SO_BUSY_POLL, SO_PREFER_BUSY_POLL) and by epoll set; takes root")
	flag.Parse()
	f, err := open(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
	fmt.Println("ports", o.first, o.first+o.count-1)
	if err := wire.Pin(o.cpu); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
	if err := f.run(); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}
