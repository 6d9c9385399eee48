package main

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/onelane/onelane/bench/internal/machine"
)

// figures are the last line of the output. nil: not measured.
type figures struct {
	Floor       *float64 `json:"floor_ratio"`
	Naive       *float64 `json:"naive_ratio"`
	Rtpengine   *float64 `json:"rtpengine_ratio"`
	Calls       *float64 `json:"calls_per_core"`
	P50         *float64 `json:"latency_us_p50"`
	P99         *float64 `json:"latency_us_p99"`
	P999        *float64 `json:"latency_us_p999"`
	Allocations *float64 `json:"allocs_per_packet"`
	Goroutines  *float64 `json:"goroutines_per_call"`
	Bytes       *float64 `json:"bytes_per_call"`
	Setups      *float64 `json:"setups_per_second"`
	Keys        *float64 `json:"offer_to_keys_ms_at_50ms_rtt"`
	Pause       *float64 `json:"gc_pause_us_max"`
	Growth      *float64 `json:"growth_ratio"`
	TwoShards   *float64 `json:"two_shard_cost_ratio"`
}

// goal is one row of the table.
type goal struct {
	name    string
	figure  *float64
	bound   float64 // none: no bound is asked for
	atLeast bool    // else at most
	format  string
}

// none is less than any bound.
const none = -1

// goals are the rows, in order. floorCalls is how many calls' worth of packets the floor holds, and janus the ratio of that; 0: not known.
func (f *figures) goals(floorCalls, janus float64) []goal {
	rows := []goal{
		{"CPU a relayed packet, 1000 calls: onelane / floor without crypto", f.Floor, 1.35, false, "%.2f"},
		{"CPU a relayed packet, 1000 calls: naive / onelane", f.Naive, 3, true, "%.2f"},
		{"CPU a relayed packet, RTP leg, two hosts: rtpengine in user space / onelane", f.Rtpengine, 1.5, true, "%.2f"},
	}
	if janus > 0 {
		rows = append(rows, goal{"the same: Janus / onelane", &janus, none, true, "%.2f"})
	}
	rows = append(rows, goal{"bridged calls held on one core", f.Calls, 1100, true, "%.0f"})
	if floorCalls > 0 && f.Calls != nil {
		share := *f.Calls / floorCalls
		rows = append(rows, goal{fmt.Sprintf("the same, of the %.0f that the floor holds", floorCalls), &share, 0.75, true, "%.2f"})
	}
	return append(rows,
		goal{"added latency at half of that, p50 us", f.P50, 100, false, "%.0f"},
		goal{"p99 us", f.P99, 1000, false, "%.0f"},
		goal{"p99.9 us", f.P999, 3000, false, "%.0f"},
		goal{"allocations a packet, any path", f.Allocations, 0, false, "%.0f"},
		goal{"goroutines a call", f.Goroutines, 1, false, "%.3f"},
		goal{"heap and stack a call, bytes", f.Bytes, 24 << 10, false, "%.0f"},
		goal{"set-ups a second beside 200 live calls", f.Setups, 400, true, "%.0f"},
		goal{"offer to keys at 50 ms round trip, ms", f.Keys, 160, false, "%.0f"},
		goal{"longest GC pause (the world stands still) with 2000 calls, us", f.Pause, 500, false, "%.0f"},
		goal{"CPU a packet at 4000 calls / at 500", f.Growth, 1.15, false, "%.2f"},
		goal{"CPU a packet with two shards / with one", f.TwoShards, 1.1, false, "%.2f"},
	)
}

func (g goal) reached() string {
	if g.figure == nil {
		return "not measured"
	}
	return fmt.Sprintf(g.format, *g.figure)
}

func (g goal) wanted() string {
	if g.bound == none {
		return "-"
	}
	word := "at most "
	if g.atLeast {
		word = "at least "
	}
	return word + strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", g.bound), "0"), ".")
}

func (g goal) verdict() string {
	switch {
	case g.figure == nil || g.bound == none:
		return "-"
	case g.atLeast == (*g.figure >= g.bound) || *g.figure == g.bound:
		return "yes"
	}
	return "no"
}

// table writes the goals and the notes for people.
func (b *bench) table() string {
	var s strings.Builder
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tgoal\treached\t")
	for _, g := range b.figures.goals(b.floorCalls, b.janusRatio) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", g.name, g.wanted(), g.reached(), g.verdict())
	}
	w.Flush()
	for _, n := range b.Notes {
		s.WriteString("\n" + n)
	}
	return s.String()
}

// markdown writes the part about ratios.
func (b *bench) markdown(m machine.Machine, took time.Duration) string {
	var s strings.Builder
	fmt.Fprintf(&s, "## Ratios\n\n%s\n", m.Markdown())
	fmt.Fprintf(&s, "Written by `make bench-ratios` in %v: medians of %d turns of %v, the target on one CPU and the load on the other, 80 bytes of payload; on loopback and by AEAD_AES_128_GCM where nothing else is said. CPU is user and system time over the RTP packets that the target received.\n\n", took, b.Options.Rounds, b.Options.Duration)
	s.WriteString("| | goal | reached | |\n|---|---|---:|---|\n")
	for _, g := range b.figures.goals(b.floorCalls, b.janusRatio) {
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", g.name, g.wanted(), g.reached(), g.verdict())
	}
	s.WriteString("\n### How it was measured\n\n")
	for _, n := range b.Notes {
		s.WriteString("- " + n + "\n")
	}
	return s.String()
}

// set gives a figure its value, to four digits.
func set(f **float64, v float64) {
	if v != 0 {
		scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
		v = math.Round(v*scale) / scale
	}
	*f = &v
}
