// Command rtpengine puts an rtpengine in user space under the load that relaybench makes for a relayd with an RTP leg: SRTP by DTLS from the
// phone, plain RTP to an echo and back, SRTP to the phone. It starts the rtpengine (Debian's rtpengine-daemon) with a configuration of its
// own, speaks its NG protocol, and serves the part of relayd's control API that relaybench needs.
//
// It prints a line "pid PID" with rtpengine's process and then a line "api ADDRESS" when all is ready, and ends both with its standard input.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/onelane/onelane/bench/internal/child"
	"github.com/onelane/onelane/bench/internal/standin"
	"github.com/onelane/onelane/bench/internal/wire"
)

type options struct {
	path    string
	address string
	ports   [2]int
	cpu     int
	echoCPU int
	threads int
	nice    int
	log     string
}

func main() {
	var o options
	flag.StringVar(&o.path, "rtpengine", "rtpengine", "the `program`")
	flag.StringVar(&o.address, "address", "127.0.0.1", "IPv4 `address` of everything")
	flag.IntVar(&o.ports[0], "first", 12000, "the first of its ports")
	flag.IntVar(&o.ports[1], "last", 19999, "the last")
	flag.IntVar(&o.cpu, "cpu", -1, "rtpengine runs on this CPU only")
	flag.IntVar(&o.echoCPU, "echo-cpu", -1, "the echo runs on this CPU only")
	flag.IntVar(&o.threads, "threads", 1, "its worker threads")
	flag.IntVar(&o.nice, "nice", 0, "its priority")
	flag.StringVar(&o.log, "log", os.DevNull, "where its log goes, `file`")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "rtpengine:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	wire.RaiseDescriptors()
	c, err := freePort(o.address)
	if err != nil {
		return err
	}
	process, err := start(o, c)
	if err != nil {
		return err
	}
	defer process.Stop()
	e := &bridge{control: control{c}}
	if e.echo, err = newEcho(o.address); err != nil {
		return err
	}
	go func() {
		if wire.Pin(o.echoCPU) == nil {
			e.echo.run()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := e.control.ask(ctx, "ping", map[string]any{}); err != nil {
		return err
	}
	fmt.Println("pid", process.PID)
	failed := make(chan error, 1)
	go func() {
		failed <- standin.Serve(e, net.JoinHostPort(o.address, "0"), func(address string) { fmt.Println("api", address) })
	}()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		failed <- nil
	}()
	return <-failed
}

// start starts rtpengine without its kernel module.
func start(o options, control string) (*child.Process, error) {
	if _, err := exec.LookPath(o.path); err != nil {
		return nil, fmt.Errorf("%w: apt-get install rtpengine-daemon", err)
	}
	log, err := os.Create(o.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	run := child.Options{Nice: o.nice, Log: log}
	if o.cpu >= 0 {
		run.CPUs = []int{o.cpu}
	}
	return child.Start(run, o.path, "--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=3",
		"--interface="+o.address, "--listen-ng="+control, "--num-threads="+strconv.Itoa(o.threads), "--dtls-cert-cipher=prime256v1",
		"--port-min="+strconv.Itoa(o.ports[0]), "--port-max="+strconv.Itoa(o.ports[1]))
}

func freePort(address string) (string, error) {
	c, err := net.ListenPacket("udp4", net.JoinHostPort(address, "0"))
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.LocalAddr().String(), nil
}
