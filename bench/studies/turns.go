package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/onelane/onelane/bench/internal/results"
)

// reading is what one turn gives: CPU us a packet, and latency in us.
type reading struct{ cost, p50, p99 float64 }

// variant is one way of doing the same as others. against is the place of the variant that it is judged by; its own place: it is one of
// those that others are judged by.
type variant struct {
	name    string
	against int
	run     func() (reading, error)
}

// outcome is the turns of one variant, round by round.
type outcome struct {
	name           string
	against        int
	cost, p50, p99 results.Series
}

// turns has every variant run once a round.
func (s *studies) turns(variants []variant) ([]outcome, error) {
	all := make([]outcome, len(variants))
	for round := range s.Options.Rounds {
		for i, v := range variants {
			if err := s.Context.Err(); err != nil {
				return nil, err
			}
			r, err := v.run()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.name, err)
			}
			o := &all[i]
			o.name, o.against = v.name, v.against
			o.cost, o.p50, o.p99 = append(o.cost, r.cost), append(o.p50, r.p50), append(o.p99, r.p99)
			s.Say("  %d: %s: %.2f us, p50 %.0f, p99 %.0f us", round+1, v.name, r.cost, r.p50, r.p99)
		}
	}
	return all, nil
}

// verdict says how one variant is beside another.
type verdict string

const (
	wins   verdict = "wins"
	loses  verdict = "loses"
	neuter verdict = "no difference"
)

// How far a ratio of medians has to be from 1. A tail moves more from turn to turn than CPU time does.
const (
	costMargin = 0.03
	tailMargin = 0.2
)

const rule = "A variant wins if the ratio of medians is more than 3 % (p99: 20 %) below 1 and every turn of it was lower than every turn of the other, loses if the same holds above 1, and else makes no difference."

// compare gives the ratio of medians of two series, lower being better, and what it means.
func compare(of, to results.Series, margin float64) (float64, verdict) {
	if len(of) == 0 || len(to) == 0 {
		return math.NaN(), neuter
	}
	ratio := of.Median() / to.Median()
	switch {
	case ratio < 1-margin && slices.Max(of) < slices.Min(to):
		return ratio, wins
	case ratio > 1+margin && slices.Min(of) > slices.Max(to):
		return ratio, loses
	}
	return ratio, neuter
}

// table has one row a variant.
func table(all []outcome) string {
	var b strings.Builder
	b.WriteString("| variant | CPU us a packet | beside | ratio | CPU | p50 us | p99 us | p99 |\n|---|---:|---|---:|---|---:|---:|---|\n")
	for i, o := range all {
		if o.against == i {
			fmt.Fprintf(&b, "| %s | %s | | | | %.0f | %s | |\n", o.name, turns(o.cost, 2), o.p50.Median(), turns(o.p99, 0))
			continue
		}
		to := all[o.against]
		ratio, cost := compare(o.cost, to.cost, costMargin)
		_, tail := compare(o.p99, to.p99, tailMargin)
		fmt.Fprintf(&b, "| %s | %s | %s | %.2f | %s | %.0f | %s | %s |\n", o.name, turns(o.cost, 2), to.name, ratio, cost, o.p50.Median(), turns(o.p99, 0), tail)
	}
	return b.String()
}

// turns writes a median and, in brackets, what it is of.
func turns(s results.Series, digits int) string {
	parts := make([]string, len(s))
	for i, v := range s {
		parts[i] = fmt.Sprintf("%.*f", digits, v)
	}
	return fmt.Sprintf("%.*f (%s)", digits, s.Median(), strings.Join(parts, ", "))
}

// named lists the variants for which something holds.
func named(all []outcome, holds func(o, to outcome) bool) string {
	var names []string
	for i, o := range all {
		if o.against != i && holds(o, all[o.against]) {
			names = append(names, o.name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, "; ")
}

// costs tells whether the CPU time of a variant has a verdict.
func costs(v verdict) func(o, to outcome) bool {
	return func(o, to outcome) bool {
		_, got := compare(o.cost, to.cost, costMargin)
		return got == v
	}
}
