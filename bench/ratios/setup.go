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

// setup finds how many set-ups a second there can be beside live calls that lose nothing: as many as go, and then less and less.
func (b *bench) setup() error {
	most := 0.0
	for _, share := range []float64{1, 0.85, 0.7, 0.55, 0.4} {
		rate := int(most * share) // 0 the first time: as many as possible
		r, err := b.relaybench("churn", b.relayd("-n", strconv.Itoa(churnLive), "--parallel", strconv.Itoa(churnParallel), "--rate", strconv.Itoa(rate), "--hold", "50ms",
			"-t", (2*b.options.duration).String())...)
		if err != nil {
			return err
		}
		row := r.Rows[0]
		if most == 0 {
			most = row.SetUp.PerSecond
		}
		b.note("set-ups beside %d live calls: %.0f a second (asked for: %s), %d failed, offer to keys p50 %.0f, p99 %.0f ms; the live calls lost %d packets of %d, p99 %.0f us; relay %.0f %% of its CPU, phones %.0f %% of theirs",
			churnLive, row.SetUp.PerSecond, wanted(rate), row.SetUp.Failed, row.SetUp.Keys.P50, row.SetUp.Keys.P99, row.Traffic.Lost, row.Traffic.Sent, row.Latency.P99, row.Target.CPU, row.Generator.CPU)
		if row.Traffic.Lost == 0 && row.SetUp.Failed == 0 {
			set(&b.figures.Setups, row.SetUp.PerSecond)
			return nil
		}
	}
	return errors.New("packets were lost at every rate")
}

func wanted(rate int) string {
	if rate == 0 {
		return "all that go"
	}
	return strconv.Itoa(rate)
}
