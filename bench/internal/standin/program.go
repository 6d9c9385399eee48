package standin

import (
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/onelane/onelane/bench/internal/child"
	"github.com/onelane/onelane/bench/internal/hosts"
	"github.com/onelane/onelane/bench/internal/machine"
)

// Program is a relay that others wrote, and where it runs: perhaps on another host than the stand-in, which is on the load's.
type Program struct {
	Address string         // IPv4, of everything that it opens
	Mirror  netip.AddrPort // the far end of its plain RTP
	Host    hosts.Host

	name, install string
	cpu, nice     int
	log           string
}

// Flags reads the command line of a stand-in for a program of a Debian package.
func (p *Program) Flags(name, debian string) {
	p.install = debian
	flag.StringVar(&p.name, "program", name, "the `program`")
	flag.StringVar(&p.Address, "address", "127.0.0.1", "IPv4 `address` of everything that it opens")
	flag.TextVar(&p.Mirror, "mirror", netip.AddrPort{}, "where relaybench's mirror is, `host:port`")
	flag.StringVar((*string)(&p.Host), "host", "", "`name` of the network namespace that it runs in; empty: ours")
	flag.IntVar(&p.cpu, "cpu", -1, "it runs on this CPU only")
	flag.IntVar(&p.nice, "nice", 0, "its priority")
	flag.StringVar(&p.log, "log", os.DevNull, "where its log goes, `file`")
}

// Start starts it.
func (p *Program) Start(args ...string) (*child.Process, error) {
	if !p.Mirror.IsValid() {
		return nil, fmt.Errorf("say where relaybench's mirror is: --mirror host:port, as relaybench is told")
	}
	if err := machine.Has(p.name, p.install); err != nil {
		return nil, err
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	o := child.Options{Nice: p.nice, Log: log, Host: p.Host}
	if p.cpu >= 0 {
		o.CPUs = []int{p.cpu}
	}
	return child.Start(o, p.name, args...)
}

// Run serves the control API for a relay in a process of its own until the standard input ends. It prints "pid PID" and then "api ADDRESS".
func Run(r Relay, pid int) error {
	fmt.Println("pid", pid)
	failed := make(chan error, 1)
	go func() {
		failed <- Serve(r, "127.0.0.1:0", func(address string) { fmt.Println("api", address) })
	}()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		failed <- nil
	}()
	return <-failed
}
