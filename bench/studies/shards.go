package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/onelane/onelane/bench/internal/rig"
)

const (
	shardCalls = 1000
	// shardTime is how often the time of a turn these turns take: relaybench reads CPU time in steps of 10 ms.
	shardTime = 2
)

// place is a way of putting shards on CPUs. pins has a CPU for each shard's thread, none: they go where they like.
type place struct {
	name    string
	against int
	shards  int
	cpus    []int
	pins    []int
}

// places are put on two CPUs. The load is on one of them and goes first there, so that every way has the same load; a shard that shares
// its CPU waits for it.
var places = []place{
	{"1 shard, all of relayd on CPU 0", 0, 1, []int{0}, nil},
	{"1 shard, free on both CPUs", 0, 1, []int{0, 1}, nil},
	{"1 shard pinned to CPU 0, the rest of relayd free", 1, 1, []int{0, 1}, []int{0}},
	{"2 shards, free on both CPUs", 1, 2, []int{0, 1}, nil},
	{"2 shards, each pinned to a CPU", 3, 2, []int{0, 1}, []int{0, 1}},
	{"4 shards, free on both CPUs", 1, 4, []int{0, 1}, nil},
}

// shards puts relayd's shards on CPUs in several ways.
func (s *studies) shards() error {
	var variants []variant
	for _, p := range places {
		variants = append(variants, variant{p.name, p.against, func() (reading, error) { return s.relayd(p) }})
	}
	all, err := s.turns(variants)
	if err != nil {
		return err
	}
	s.parts = append(s.parts, fmt.Sprintf("### Shards and pinning\n\nrelayd with %d calls and its echo; turns of %v. A shard's thread is pinned from outside (sched_setaffinity). The load has half of CPU 1 and goes first there (SCHED_FIFO), so the latency of what shares that CPU is that of waiting for it.\n\n%s\n%s", shardCalls, shardTime*s.Options.Duration, table(all), shardVerdicts(places, all)))
	return nil
}

// relayd is one turn of the real edge.
func (s *studies) relayd(at place) (reading, error) {
	p, api, stop, err := s.StartRelayd(at.cpus, shardCalls, "--media-shards="+strconv.Itoa(at.shards))
	if err != nil {
		return reading{}, err
	}
	defer stop()
	if len(at.pins) > 0 {
		if err := pinMedia(p.PID, at.pins); err != nil {
			return reading{}, err
		}
	}
	r, err := s.Relaybench("run", "--realtime", "--relayd", api, "--pid", strconv.Itoa(p.PID), "-n", strconv.Itoa(shardCalls), "-t", (shardTime * s.Options.Duration).String(), "--parallel", "64")
	if err != nil {
		return reading{}, err
	}
	row := r.Rows[0]
	if row.Traffic.Lost > 0 {
		s.Note("%s: %d of %d packets lost in one turn", at.name, row.Traffic.Lost, row.Traffic.Sent)
	}
	for _, d := range row.Doubts {
		s.Note("%s: in one turn, %s", at.name, d)
	}
	return reading{row.Target.CPUPerRelayed, row.Latency.P50, row.Latency.P99}, nil
}

// shardVerdicts says what pinning and more shards do.
func shardVerdicts(places []place, all []outcome) string {
	var b strings.Builder
	helps, harms, fewer := 0, 0, true
	for i, o := range all {
		at := places[i]
		if at.against == i {
			continue
		}
		to := all[at.against]
		ratio, cost := compare(o.cost, to.cost, costMargin)
		tailRatio, tail := compare(o.p99, to.p99, tailMargin)
		fmt.Fprintf(&b, "- %s, beside %s: CPU %s (%.2f), p99 %s (%.2f).\n", at.name, places[at.against].name, cost, ratio, tail, tailRatio)
		if at.shards > places[at.against].shards {
			fewer = fewer && cost != wins && tail != wins
		}
		if len(at.pins) == 0 {
			continue
		}
		if cost == wins || tail == wins {
			helps++
		}
		if cost == loses || tail == loses {
			harms++
		}
	}
	if fewer {
		b.WriteString("\nMore shards than carry the load win nothing.")
	} else {
		b.WriteString("\nMore shards win something even where fewer carry the load.")
	}
	switch {
	case helps > 0 && harms == 0:
		fmt.Fprintf(&b, " Pinning helps in %d of the ways and harms in none: worth trying on a host of your own (CPUAffinity in the unit).\n", helps)
	case helps > 0:
		fmt.Fprintf(&b, " Pinning helps in %d of the ways and harms in %d: relayd should leave it to the operator (CPUAffinity in the unit).\n", helps, harms)
	default:
		fmt.Fprintf(&b, " Pinning helps in none of the ways and harms in %d: relayd should not pin.\n", harms)
	}
	return b.String()
}

// pinMedia pins the threads of relayd's shards, one to each CPU.
func pinMedia(pid int, cpus []int) error {
	var threads []int
	for limit := time.Now().Add(rig.ReadyTime); time.Now().Before(limit) && len(threads) != len(cpus); time.Sleep(20 * time.Millisecond) {
		var err error
		if threads, err = mediaThreads(pid); err != nil {
			return err
		}
	}
	if len(threads) != len(cpus) {
		return fmt.Errorf("%d threads of relayd go before its others, and it has %d shards: raising a priority takes root", len(threads), len(cpus))
	}
	for i, t := range threads {
		if err := pin(t, cpus[i]); err != nil {
			return err
		}
	}
	return nil
}
