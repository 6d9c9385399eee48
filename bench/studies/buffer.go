package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/onelane/onelane/bench/internal/results"
	"github.com/onelane/onelane/bench/internal/rig"
	"github.com/onelane/onelane/bench/internal/wire"
)

// The grid of the study of receive buffers.
var (
	buffers = []int{4 << 10, 16 << 10, 64 << 10, 256 << 10}
	stops   = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond, time.Second}
)

const (
	bufferPorts = 1000
	bufferPPS   = 50 // what plainload sends to each
	// payload of a packet, as plainload has it.
	payload = 80
	// apart is how long packets flow before a stop, and after it besides the time to catch up.
	apart = 300 * time.Millisecond
	// wanted is the stop that a buffer is to carry a port over: a process that is moved to another machine, or a host that swaps, stops
	// for some hundred milliseconds.
	wanted = 500 * time.Millisecond
)

// overflow is what one size of buffer did: by stop, for each round the share of packets lost, and the most that all ports queued, in KiB.
type overflow struct {
	buffer int
	lost   []results.Series
	queued []results.Series
}

// buffer stops the floor for a time and counts what the kernel drops.
func (s *studies) buffer() error {
	size, err := wire.Footprint(wire.Header + payload + wire.Tag)
	if err != nil {
		return err
	}
	all := make([]overflow, len(buffers))
	for i, b := range buffers {
		all[i] = overflow{b, make([]results.Series, len(stops)), make([]results.Series, len(stops))}
	}
	for range min(2, s.Options.Rounds) {
		for i := range all {
			if err := s.overflow(&all[i]); err != nil {
				return err
			}
			s.Say("  SO_RCVBUF %d KiB: lost %% at %v: %v", all[i].buffer>>10, stops, all[i].lost)
		}
	}
	s.parts = append(s.parts, bufferPart(all, size))
	return nil
}

// overflow is one turn with one size of buffer: one load, and all stops in it.
func (s *studies) overflow(o *overflow) error {
	p, first, err := s.StartPlain("floor", bufferPorts, "--buffer", fmt.Sprint(o.buffer))
	if err != nil {
		return err
	}
	defer p.Stop()
	length := apart
	for _, stop := range stops {
		length += 2*apart + 2*stop
	}
	loaded := make(chan error, 1)
	go func() {
		_, err := s.Plainload(p, first, bufferPorts, "--settle", s.Options.Settle.String(), "--time", length.String())
		loaded <- err
	}()
	s.Pause(s.Options.Settle)
	for i, stop := range stops {
		s.Pause(apart)
		before, err := readQueues(first, bufferPorts)
		if err != nil {
			return errors.Join(err, <-loaded)
		}
		err = syscall.Kill(p.PID, syscall.SIGSTOP)
		began := time.Now()
		s.Pause(stop)
		during, problem := readQueues(first, bufferPorts)
		err = errors.Join(err, problem, syscall.Kill(p.PID, syscall.SIGCONT))
		took := time.Since(began)
		s.Pause(apart + stop/2) // what waited takes a time to be worked off, in which nothing is dropped
		after, problem := readQueues(first, bufferPorts)
		if err = errors.Join(err, problem); err != nil {
			return errors.Join(err, <-loaded)
		}
		o.lost[i] = append(o.lost[i], 100*float64(after.drops-before.drops)/(bufferPorts*bufferPPS*took.Seconds()))
		o.queued[i] = append(o.queued[i], float64(during.bytes)/1024)
	}
	return <-loaded
}

// carries tells whether nothing was lost in any round of the stops up to a length.
func (o overflow) carries(length time.Duration) bool {
	for i, stop := range stops {
		for _, v := range o.lost[i] {
			if stop <= length && v > 0 {
				return false
			}
		}
	}
	return true
}

// fits is how many datagrams of a size in the kernel's memory a buffer holds: the kernel doubles what SO_RCVBUF asks for, and takes the
// datagram that goes beyond it.
func fits(buffer, size int) int { return 2*buffer/size + 1 }

func bufferPart(all []overflow, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Receive buffer\n\nThe floor, %d ports, is stopped (SIGSTOP) and goes on. A datagram of %d bytes takes %d bytes of the kernel's memory on loopback, which is what counts against twice SO_RCVBUF; a network driver may give each a larger piece. Lost: of the packets sent meanwhile, by the kernel's count of drops.\n\n", bufferPorts, wire.Header+payload+wire.Tag, size)
	b.WriteString("| SO_RCVBUF | datagrams that fit |")
	for _, stop := range stops {
		fmt.Fprintf(&b, " lost in %v |", stop)
	}
	fmt.Fprintf(&b, " queued after %v, KiB a port |\n|---:|---:|%s---:|\n", stops[len(stops)-1], strings.Repeat("---:|", len(stops)))
	enough := 0
	for _, o := range all {
		fmt.Fprintf(&b, "| %d KiB | %d |", o.buffer>>10, fits(o.buffer, size))
		for i := range stops {
			fmt.Fprintf(&b, " %.1f %% |", o.lost[i].Median())
		}
		fmt.Fprintf(&b, " %.1f |\n", o.queued[len(stops)-1].Median()/bufferPorts)
		if enough == 0 && o.carries(wanted) {
			enough = o.buffer
		}
	}
	switch {
	case enough == 0:
		fmt.Fprintf(&b, "\nNo size carries %d packets/s over %v.\n", bufferPPS, wanted)
	default:
		fmt.Fprintf(&b, "\n%d KiB is the smallest that loses nothing in %v. A buffer costs memory only for what waits in it.\n", enough>>10, wanted)
	}
	return b.String()
}

// queues are what the kernel holds for some ports, and what it has dropped.
type queues struct {
	bytes, drops uint64
}

// readQueues adds up the rows of /proc/net/udp of some ports.
func readQueues(first, count int) (queues, error) {
	sockets, err := rig.UDPSockets()
	var q queues
	for _, s := range sockets {
		if s.Port >= first && s.Port < first+count {
			q.bytes += s.Queued
			q.drops += s.Drops
		}
	}
	return q, err
}
