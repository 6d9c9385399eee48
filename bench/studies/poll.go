package main

import (
	"fmt"
	"strings"

	"github.com/onelane/onelane/bench/internal/hosts"
	"github.com/onelane/onelane/bench/internal/machine"
	"github.com/onelane/onelane/bench/internal/rig"
)

// pollTime is how long a busy poll looks at a queue, in us: what the kernel's documentation begins with.
const pollTime = "50"

// poll tries busy polling: on loopback, and between two hosts.
func (s *studies) poll() error {
	pair, noHosts := hosts.Make()
	if noHosts == nil {
		defer pair.Remove()
		noHosts = s.layQueues(pair)
	}
	veth := rig.Between(pair)
	queues := map[rig.Link]int{}
	turn := func(l rig.Link, flags ...string) func() (reading, error) {
		return func() (reading, error) {
			s.Link = l
			defer func() { s.Link = rig.Loopback }()
			o, err := s.Plain("floor", optionPorts, flags...)
			queues[l] = o.NAPI
			return reading{o.Cost, o.P50, o.P99}, err
		}
	}
	later := turn(veth, "--busy-poll", pollTime)
	variants := []variant{
		{"loopback", 0, turn(rig.Loopback)},
		{"loopback, busy poll", 0, turn(rig.Loopback, "--busy-poll", pollTime)},
		{"veth", 2, turn(veth)},
		{"veth, busy poll", 2, later},
		{"veth, busy poll, the queue's interrupts put off", 2, func() (reading, error) {
			if err := s.putOff(pair.Edge, "2", "200000"); err != nil {
				return reading{}, err
			}
			r, err := later()
			if undo := s.putOff(pair.Edge, "0", "0"); err == nil {
				err = undo
			}
			return r, err
		}},
	}
	if noHosts != nil {
		s.Note("busy polling was tried on loopback only: %v", noHosts)
		variants = variants[:2]
	}
	all, err := s.turns(variants)
	if err != nil {
		return err
	}
	s.parts = append(s.parts, fmt.Sprintf("### Busy polling\n\nThe floor, %d ports, SO_BUSY_POLL, SO_PREFER_BUSY_POLL and the epoll set's own parameters (EPIOCSPARAMS) at %s us; put off: napi_defer_hard_irqs 2, gro_flush_timeout 200 us. A packet told of a queue that can be polled (SO_INCOMING_NAPI_ID) on loopback: %s; on veth: %s.\n\n%s\nLess CPU than without: %s. More: %s.\n",
		optionPorts, pollTime, yes(queues[rig.Loopback] > 0), yes(queues[veth] > 0), table(all), named(all, costs(wins)), named(all, costs(loses))))
	return nil
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// layQueues gives the ends of the veth pair queues that can be polled, which loopback has not. An end has a queue of its own with generic
// receive offload on, and uses it for UDP when the other end cannot leave the cutting of TCP segments to it.
func (s *studies) layQueues(p hosts.Pair) error {
	if err := machine.Has("ethtool", "ethtool"); err != nil {
		return err
	}
	for _, end := range []struct {
		host   hosts.Host
		device string
	}{{p.Edge, hosts.EdgeDevice}, {p.Peer, hosts.PeerDevice}} {
		if err := s.on(end.host, "ethtool", "-K", end.device, "gro", "on", "tso", "off"); err != nil {
			return err
		}
	}
	return nil
}

// putOff sets for how long the target's queue raises no interrupt while it is polled.
func (s *studies) putOff(target hosts.Host, interrupts, nanoseconds string) error {
	const device = "/sys/class/net/" + hosts.EdgeDevice
	return s.on(target, "sh", "-c", "echo "+interrupts+" > "+device+"/napi_defer_hard_irqs && echo "+nanoseconds+" > "+device+"/gro_flush_timeout")
}

// on has a host do something. A command there sees the host's own devices in /sys.
func (s *studies) on(h hosts.Host, name string, args ...string) error {
	if out, err := h.Command(s.Context, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
