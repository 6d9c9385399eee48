package main

import (
	"errors"
	"strconv"

	"github.com/onelane/onelane/bench/internal/results"
	"github.com/onelane/onelane/bench/internal/rig"
)

// growth compares the CPU time of a packet at 500 and at 4000 calls. The host does not hold 4000 calls at 50 packets a second, so these
// send 25; and since a packet costs less where more come at a time, they are also compared with 2000 calls that make the same packets.
func (b *bench) growth() error {
	var small, large, same results.Series
	for range b.Options.Rounds {
		for _, turn := range []struct {
			values *results.Series
			calls  int
			pps    string
		}{{&small, 500, "50"}, {&large, 4000, "25"}, {&same, 2000, "50"}} {
			v, err := b.onelaneCost(turn.calls, "--pps", turn.pps, "--parallel", "32")
			if err != nil {
				return err
			}
			*turn.values = append(*turn.values, v)
			b.Say("  500 calls [%v] 4000 [%v] 2000 [%v] us", small, large, same)
		}
	}
	over, alike := large.Median()/small.Median(), large.Median()/same.Median()
	set(&b.figures.Growth, max(over, alike))
	b.Note("CPU us a packet: 500 calls at 50 packets/s %.2f (%v), 4000 calls at 25/s %.2f (%v): ratio %.2f; 2000 calls at 50/s, the same packets as 4000 at 25, %.2f (%v): ratio %.2f. The greater one counts.",
		small.Median(), small, large.Median(), large, over, same.Median(), same, alike)
	return nil
}

// shards compares one shard with two under the same load, on all CPUs.
func (b *bench) shards() error {
	r, err := b.Relaybench("compare", "--start", b.Path("relayd"), "--relay-nice", strconv.Itoa(rig.Before), "-n", strconv.Itoa(costCalls), "-t", b.Options.Duration.String(),
		"--rounds", strconv.Itoa(b.Options.Rounds), "--a-set", "media.shards=1", "--b-set", "media.shards=2")
	if err != nil {
		return err
	}
	for _, ratio := range r.Ratios {
		if ratio.Figure == "CPU us a relayed packet" && ratio.Ratio > 0 {
			set(&b.figures.TwoShards, ratio.Ratio)
			b.Note("CPU us a relayed packet, %d calls with echo, on all CPUs beside the load: one shard %.2f, two %.2f", costCalls, ratio.A, ratio.B)
			return nil
		}
	}
	return errors.New("relaybench compares no CPU time")
}
