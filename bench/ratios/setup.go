package main

import (
	"errors"
	"strconv"
)

const (
	// churnLive calls are up while others come and go; churnParallel are under way at a time.
	churnLive     = 200
	churnParallel = 64
)

// churnRates are asked for in turn, from the most: set-ups a second at even intervals. As many as go at a time is less: then set-ups wait
// for one another.
var churnRates = []int{600, 500, 400, 300, 200, 100}

// setup finds how many set-ups a second there can be beside live calls that lose nothing.
func (b *bench) setup() error {
	for _, rate := range churnRates {
		r, err := b.Relaybench("churn", b.Relayd("-n", strconv.Itoa(churnLive), "--parallel", strconv.Itoa(churnParallel), "--rate", strconv.Itoa(rate), "--hold", "50ms",
			"-t", (2*b.Options.Duration).String())...)
		if err != nil {
			return err
		}
		row := r.Rows[0]
		b.Note("set-ups beside %d live calls: %.0f a second (asked for: %d), %d failed, offer to keys p50 %.0f, p99 %.0f ms; the live calls lost %d packets of %d, p99 %.0f us; relay %.0f %% of its CPU, phones %.0f %% of theirs",
			churnLive, row.SetUp.PerSecond, rate, row.SetUp.Failed, row.SetUp.Keys.P50, row.SetUp.Keys.P99, row.Traffic.Lost, row.Traffic.Sent, row.Latency.P99, row.Target.CPU, row.Generator.CPU)
		if row.Traffic.Lost == 0 && row.SetUp.Failed == 0 && row.SetUp.PerSecond > 0.95*float64(rate) {
			set(&b.figures.Setups, row.SetUp.PerSecond)
			return nil
		}
	}
	return errors.New("packets were lost at every rate")
}
