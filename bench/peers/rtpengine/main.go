// Command rtpengine puts an rtpengine in user space under the load that relaybench makes for a relayd with an RTP leg: SRTP by DTLS from the
// phone, plain RTP to relaybench's mirror and back, SRTP to the phone. It starts the rtpengine (Debian's rtpengine-daemon), by its command
// line alone, speaks its NG protocol, and serves the part of relayd's control API that relaybench needs. It does not count packets.
//
//	rtpengine --mirror 127.0.0.1:4000 &      prints its api and rtpengine's pid, until its standard input ends
//	relaybench run --relayd API --pid PID --rtp --mirror 127.0.0.1:4000 --profile aescm --parallel 250
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/onelane/onelane/bench/internal/child"
	"github.com/onelane/onelane/bench/internal/standin"
)

type options struct {
	program standin.Program
	ports   [2]int
	threads int
}

func main() {
	var o options
	o.program.Flags("rtpengine", "rtpengine-daemon")
	flag.IntVar(&o.ports[0], "first", 12000, "the first of its ports")
	flag.IntVar(&o.ports[1], "last", 19999, "the last")
	flag.IntVar(&o.threads, "threads", 1, "its worker threads")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "rtpengine:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	c, err := o.program.Host.FreeAddress(o.program.Address)
	if err != nil {
		return err
	}
	process, err := start(o, c)
	if err != nil {
		return err
	}
	defer process.Stop()
	b := &bridge{control: control{c}, mirror: o.program.Mirror}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := b.control.ask(ctx, "ping", map[string]any{}); err != nil {
		return err
	}
	return standin.Run(b, process.PID)
}

// start starts rtpengine without its kernel module.
func start(o options, control string) (*child.Process, error) {
	return o.program.Start("--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=3",
		"--interface="+o.program.Address, "--listen-ng="+control, "--num-threads="+strconv.Itoa(o.threads), "--dtls-cert-cipher=prime256v1",
		"--port-min="+strconv.Itoa(o.ports[0]), "--port-max="+strconv.Itoa(o.ports[1]),
		"--delete-delay=1", "--timeout=600", "--silent-timeout=3600")
}
