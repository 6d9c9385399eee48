package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/onelane/onelane/bench/internal/results"
)

// Bounds of the search for the most calls that are held.
const (
	kneeFrom      = 1000
	kneeMost      = 3000
	kneePrecision = 10 // per cent
	kneeLatency   = 2 * time.Millisecond
	kneeTries     = 2 // a number fails when it does so this often: one bad second of the host is not the limit
)

// knee finds how many bridged calls one core holds, what the floor holds of their packets, and how late packets are at half of that.
func (b *bench) knee() error {
	r, err := b.Relaybench("knee", b.Relayd("--rtp", "-t", b.Options.Duration.String(), "--from", strconv.Itoa(kneeFrom), "--to", strconv.Itoa(kneeMost),
		"--precision", strconv.Itoa(kneePrecision), "--max-latency", kneeLatency.String(), "--tries", strconv.Itoa(kneeTries))...)
	if err != nil {
		return err
	}
	held := r.Summary.Held
	set(&b.figures.Calls, float64(held))
	for _, row := range r.Rows {
		b.Note("knee, onelane, %d calls: lost %d, p99 %.0f us, relay %.0f %% of its CPU, load %.0f %% of its own%s", row.Calls, row.Traffic.Lost, row.Latency.P99,
			row.Target.CPU, row.Generator.CPU, last(row.Doubts))
	}
	if held == 0 {
		return fmt.Errorf("not even %d calls were held", r.Summary.Failed)
	}
	if err := b.halfOfKnee(held / 2); err != nil {
		return err
	}
	return b.floorKnee()
}

func last(reasons []string) string {
	if len(reasons) == 0 {
		return ""
	}
	return "; " + reasons[len(reasons)-1]
}

// halfOfKnee measures latency, in turn with the floor's with the same packets: what that has too is this host's.
func (b *bench) halfOfKnee(calls int) error {
	var p50, p99, p999, floor50, floor99, floor999 results.Series
	lost, longest := uint64(0), 0.0
	for range b.Options.Rounds {
		r, err := b.Relaybench("run", b.Relayd("--rtp", "-n", strconv.Itoa(calls), "-t", b.Options.Duration.String())...)
		if err != nil {
			return err
		}
		l := r.Rows[0].Latency
		p50, p99, p999 = append(p50, l.P50), append(p99, l.P99), append(p999, l.P999)
		lost, longest = lost+r.Rows[0].Traffic.Lost, max(longest, l.Max)
		o, err := b.Plain("floor", 2*calls)
		if err != nil {
			return err
		}
		floor50, floor99, floor999 = append(floor50, o.P50), append(floor99, o.P99), append(floor999, o.P999)
		b.Say("  %d bridged calls: p99.9 [%v] us, floor [%v]", calls, p999, floor999)
	}
	set(&b.figures.P50, p50.Median())
	set(&b.figures.P99, p99.Median())
	set(&b.figures.P999, p999.Median())
	b.Note("added latency at %d bridged calls, both ways through the edge together: p50 %.0f (%v), p99 %.0f (%v), p99.9 %.0f (%v), longest %.0f us; lost %d; floor with the same packets: p50 %.0f (%v), p99 %.0f (%v), p99.9 %.0f (%v)",
		calls, p50.Median(), p50, p99.Median(), p99, p999.Median(), p999, longest, lost, floor50.Median(), floor50, floor99.Median(), floor99, floor999.Median(), floor999)
	return nil
}

// floorKnee searches as relaybench does. A bridged call has two ports with 50 packets a second each.
func (b *bench) floorKnee() error {
	held, failed := 0, 0
	for n := kneeFrom; n > 0; n = nextLevel(held, failed) {
		good := false
		for try := 0; try < kneeTries && !good; try++ {
			o, err := b.Plain("floor", 2*n)
			if err != nil {
				return err
			}
			good = o.Lost == 0 && o.P99 <= float64(kneeLatency/time.Microsecond)
			b.Say("  floor, %d calls' worth: lost %d, p99 %.0f us, CPU %.0f %%, load %.0f %%", n, o.Lost, o.P99, o.CPU, o.Own)
		}
		if good {
			held = n
		} else {
			failed = n
		}
	}
	b.floorCalls = float64(held)
	b.Note("knee, floor: the packets of %d bridged calls held, of %d not", held, failed)
	return nil
}

// nextLevel is by half as many more until one fails, and then by halves between; 0 when it is known well enough.
func nextLevel(held, failed int) int {
	switch {
	case failed == 0 && held >= kneeMost:
		return 0
	case failed == 0:
		return min(held+held/2+1, kneeMost)
	case failed-held <= max(1, failed*kneePrecision/100):
		return 0
	}
	return held + (failed-held)/2
}
