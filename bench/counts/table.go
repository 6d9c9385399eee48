package main

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/onelane/onelane/bench/internal/machine"
	"github.com/onelane/onelane/bench/internal/results"
)

// row is what was counted of one subject.
type row struct {
	subject
	runs []tally
}

// median of each event over the runs.
func (r row) median() tally {
	var t tally
	for e := range t {
		var values []float64
		for _, run := range r.runs {
			values = append(values, run[e])
		}
		t[e] = results.Median(values)
	}
	return t
}

// apart tells how far the runs of one subject are from each other at most.
func apart(rows []row) string {
	worst, misses := 0.0, 0.0
	var name, where string
	for _, r := range rows {
		low, high := r.runs[0], r.runs[0]
		for _, run := range r.runs {
			for e := range run {
				low[e], high[e] = min(low[e], run[e]), max(high[e], run[e])
			}
		}
		if d := 100 * (high[instructions]/low[instructions] - 1); d >= worst {
			worst, name = d, r.name
		}
		for _, e := range []event{codeMisses, dataMisses, farMisses} {
			if d := high[e] - low[e]; d >= misses {
				misses, where = d, r.name
			}
		}
	}
	return fmt.Sprintf("%d runs of one benchmark are at most %.2f %% apart in instructions (%s) and %.2f an operation in misses (%s)", len(rows[0].runs), worst, name, misses, where)
}

// cells are the events of an operation as people read them.
func (r row) cells() []string {
	var cells []string
	for _, v := range r.median() {
		v = math.Abs(v) // nothing, give or take what the runtime's threads do
		if v >= 100 {
			cells = append(cells, fmt.Sprintf("%.0f", v))
		} else {
			cells = append(cells, fmt.Sprintf("%.1f", v))
		}
	}
	return cells
}

// table is for people.
func table(rows []row) string {
	var s strings.Builder
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "instructions\tL1 code misses\tL1 data misses\tL2 data misses\t  an operation of\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t  %s\t\n", strings.Join(r.cells(), "\t"), r.name)
	}
	w.Flush()
	return s.String()
}

// markdown writes the part about counts.
func markdown(m machine.Machine, rows []row, notes []string, times int, took time.Duration) string {
	var s strings.Builder
	fmt.Fprintf(&s, "## Counts\n\n%s\n", m.Markdown())
	fmt.Fprintf(&s, "Written by `make bench-counts` in %v: instructions and cache misses an operation, counted by valgrind's callgrind, which carries the benchmarks out on a processor with AES-NI and AVX2 but without instructions for SHA, so that HMAC-SHA1 and consent count for more than on one that has them, and simulated caches: a first level of 32 KiB for code and one for data, and 1 MiB of second level. `calls=N`: N calls are touched in turn. What counts is what happens in the step's own function (`Core` and `Tick`: `Core.Turn`); with most `Stage`s the benchmark's loop counts too. Packets come from memory here, not from the kernel, so that those of many calls miss the caches themselves.\n\n", took)
	s.WriteString("| benchmark | instructions | L1 code misses | L1 data misses | L2 data misses |\n|---|---:|---:|---:|---:|\n")
	for _, r := range rows {
		fmt.Fprintf(&s, "| %s | %s |\n", r.name, strings.Join(r.cells(), " | "))
	}
	s.WriteString("\n")
	if times == 1 {
		notes = append(notes, "one run each; `--times 2` shows how far two are apart")
	}
	for _, n := range notes {
		s.WriteString("- " + n + "\n")
	}
	return s.String()
}
