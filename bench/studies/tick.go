package main

import (
	"fmt"
	"strings"
	"time"
)

// The grid of the study of ticks.
var (
	tickPorts = []int{250, 1000, 2000}
	ticks     = []time.Duration{0, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond}
)

// tailBound is the p99 that relayd promises to add at most, in us: a tick that goes beyond it costs more than it saves.
const tailBound = 1000

// tick tries how long to sleep before each look at the sockets: fewer wake-ups, more latency.
func (s *studies) tick() error {
	var variants []variant
	for _, ports := range tickPorts {
		base := len(variants)
		for _, t := range ticks {
			name := fmt.Sprintf("%d ports, %s", ports, tickName(t))
			variants = append(variants, variant{name, base, func() (reading, error) { return s.floor(ports, "--tick", t.String()) }})
		}
	}
	all, err := s.turns(variants)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### Tick\n\nThe floor sleeps for the tick, then reads what has come (up to 256 ports), waiting only if nothing has.\n\n%s\n", table(all))
	for i, ports := range tickPorts {
		b.WriteString(bestTick(ports, all[i*len(ticks):(i+1)*len(ticks)]) + "\n")
	}
	s.parts = append(s.parts, b.String())
	return nil
}

func tickName(t time.Duration) string {
	if t == 0 {
		return "no tick"
	}
	return "tick " + t.String()
}

// bestTick says which tick costs the least CPU of those whose tail stays below the bound. The first outcome is that without a tick.
func bestTick(ports int, all []outcome) string {
	none, best := all[0], 0
	for i, o := range all {
		if o.p99.Median() < tailBound && o.cost.Median() < all[best].cost.Median() {
			if _, v := compare(o.cost, none.cost, costMargin); v == wins {
				best = i
			}
		}
	}
	if best == 0 {
		return fmt.Sprintf("- %d ports: no tick with p99 under %d us saves CPU.", ports, tailBound)
	}
	o := all[best]
	return fmt.Sprintf("- %d ports: of the ticks with p99 under %d us, %v costs the least CPU: %.0f %% less than none, for %.0f us more at p50 and %.0f at p99.", ports, tailBound, ticks[best],
		100*(1-o.cost.Median()/none.cost.Median()), o.p50.Median()-none.p50.Median(), o.p99.Median()-none.p99.Median())
}
