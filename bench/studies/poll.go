package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/onelane/onelane/bench/internal/rig"
)

// pollTime is how long a busy poll looks at a queue, in us: what the kernel's documentation begins with.
const pollTime = "50"

// veth is two hosts on this machine and a cable between them, whose ends have a queue that can be polled: loopback has none.
var veth = rig.Link{TargetHost: "onelane-target", LoadHost: "onelane-load", TargetAddress: "10.78.0.1", LoadAddress: "10.78.0.2"}

// poll tries busy polling: on loopback, and between two hosts.
func (s *studies) poll() error {
	queues := map[rig.Link]int{}
	turn := func(l rig.Link, flags ...string) func() (reading, error) {
		return func() (reading, error) {
			s.Link = l
			defer func() { s.Link = rig.Link{} }()
			o, err := s.Plain("floor", optionPorts, flags...)
			queues[l] = o.NAPI
			return reading{o.Cost, o.P50, o.P99}, err
		}
	}
	later := turn(veth, "--busy-poll", pollTime)
	variants := []variant{
		{"loopback", 0, turn(rig.Link{})},
		{"loopback, busy poll", 0, turn(rig.Link{}, "--busy-poll", pollTime)},
		{"veth", 2, turn(veth)},
		{"veth, busy poll", 2, later},
		{"veth, busy poll, the queue's interrupts put off", 2, func() (reading, error) {
			if err := s.putOff("2", "200000"); err != nil {
				return reading{}, err
			}
			r, err := later()
			if undo := s.putOff("0", "0"); err == nil {
				err = undo
			}
			return r, err
		}},
	}
	if err := s.layCable(); err != nil {
		s.Note("busy polling was tried on loopback only: %v", err)
		variants = variants[:2]
	}
	defer s.removeHosts()
	all, err := s.turns(variants)
	if err != nil {
		return err
	}
	s.parts = append(s.parts, fmt.Sprintf("### Busy polling\n\nThe floor, %d ports, SO_BUSY_POLL, SO_PREFER_BUSY_POLL and the epoll set's own parameters (EPIOCSPARAMS) at %s us; put off: napi_defer_hard_irqs 2, gro_flush_timeout 200 us. A packet told of a queue that can be polled (SO_INCOMING_NAPI_ID) on loopback: %s; on veth: %s.\n\n%s\nLess CPU than without: %s. More: %s.\n",
		optionPorts, pollTime, yes(queues[rig.Link{}] > 0), yes(queues[veth] > 0), table(all), named(all, costs(wins)), named(all, costs(loses))))
	return nil
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// layCable makes the hosts. An end of a veth has a queue of its own with generic receive offload on, and uses it for UDP when the other end
// cannot leave the cutting of TCP segments to it.
func (s *studies) layCable() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("network namespaces take root")
	}
	s.removeHosts() // of a run that was killed
	for _, line := range []string{
		"ip netns add " + veth.TargetHost,
		"ip netns add " + veth.LoadHost,
		"ip link add cable netns " + veth.TargetHost + " type veth peer name cable netns " + veth.LoadHost,
		"ip -n " + veth.TargetHost + " addr add " + veth.TargetAddress + "/24 dev cable",
		"ip -n " + veth.LoadHost + " addr add " + veth.LoadAddress + "/24 dev cable",
		"ip netns exec " + veth.TargetHost + " ethtool -K cable gro on tso off",
		"ip netns exec " + veth.LoadHost + " ethtool -K cable gro on tso off",
		"ip -n " + veth.TargetHost + " link set cable up",
		"ip -n " + veth.LoadHost + " link set cable up",
	} {
		words := strings.Fields(line)
		if _, err := s.Output(words[0], words[1:]...); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	return nil
}

// removeHosts takes the cable away with them. It is run also when this program was told to end.
func (s *studies) removeHosts() {
	for _, host := range []string{veth.TargetHost, veth.LoadHost} {
		_ = exec.Command("ip", "netns", "del", host).Run() // not there: nothing to do
	}
}

// putOff sets for how long the target's queue raises no interrupt while it is polled.
func (s *studies) putOff(interrupts, nanoseconds string) error {
	script := "echo " + interrupts + " > /sys/class/net/cable/napi_defer_hard_irqs && echo " + nanoseconds + " > /sys/class/net/cable/gro_flush_timeout"
	if _, err := s.Output("ip", "netns", "exec", veth.TargetHost, "sh", "-c", script); err != nil {
		return fmt.Errorf("put interrupts off: %w", err)
	}
	return nil
}
