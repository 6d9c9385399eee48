package main

import (
	"strconv"

	"github.com/onelane/onelane/bench/internal/rig"
)

// relayCost is what a relay used in one turn.
type relayCost struct {
	calls int
	each  float64 // CPU us a packet that came to it, from phones and from the far end
	cpu   float64 // per cent
	lost  uint64
	p99   float64 // us, both ways together
}

// costOf counts for every relay alike, at the far end: what came to it is what the phones have sent and what they got back, which had come
// to it from the mirror.
func costOf(r rig.Row) relayCost {
	c := relayCost{calls: r.Calls, cpu: r.Target.CPU, lost: r.Traffic.Lost, p99: r.Latency.P99}
	if packets := r.Traffic.Sent + r.Traffic.Received; packets > 0 {
		c.each = r.Target.CPU / 100 * r.Seconds * 1e6 / float64(packets)
	}
	return c
}

// peerCost is a stand-in's relay over the rig's link. The stand-in is part of the load.
func (b *bench) peerCost(name string, calls int) (relayCost, error) {
	mirror, err := b.Link.Load.FreeAddress(b.Link.LoadAddress)
	if err != nil {
		return relayCost{}, err
	}
	p, err := b.StartLoad(name, "--address", b.Link.TargetAddress, "--host", string(b.Link.Target), "--mirror", mirror,
		"--cpu", strconv.Itoa(rig.TargetCPU), "--nice", strconv.Itoa(rig.Before))
	if err != nil {
		return relayCost{}, err
	}
	defer p.Stop()
	word, err := p.Word("pid", rig.ReadyTime)
	if err != nil {
		return relayCost{}, err
	}
	pid, err := strconv.Atoi(word)
	if err != nil {
		return relayCost{}, err
	}
	api, err := p.Word("api", rig.ReadyTime)
	if err != nil {
		return relayCost{}, err
	}
	return b.legs(api, mirror, pid, calls)
}

// spareLegs is how many calls relayd may hold beyond those of the load.
const spareLegs = 100

// relaydCost is relayd with an RTP leg for each call.
func (b *bench) relaydCost(calls int) (relayCost, error) {
	mirror, err := b.Link.Load.FreeAddress(b.Link.LoadAddress)
	if err != nil {
		return relayCost{}, err
	}
	p, api, stop, err := b.StartRelayd([]int{rig.TargetCPU}, calls+spareLegs)
	if err != nil {
		return relayCost{}, err
	}
	defer stop()
	return b.legs(api, mirror, p.PID, calls)
}

// legs loads a relay with calls that go to the mirror and back.
func (b *bench) legs(api, mirror string, pid, calls int) (relayCost, error) {
	r, err := b.Relaybench("run", "--relayd", api, "--pid", strconv.Itoa(pid), "-n", strconv.Itoa(calls), "-t", b.Options.Duration.String(),
		"--parallel", "250", "--listen", b.Link.LoadAddress, "--rtp", "--mirror", mirror, "--profile", "aescm")
	if err != nil {
		return relayCost{}, err
	}
	return costOf(r.Rows[0]), nil
}
