package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/onelane/onelane/bench/internal/machine"
	"github.com/onelane/onelane/bench/internal/results"
)

// suite is the benchmarks of one package.
type suite struct {
	path  string
	order []string
	runs  map[string]*runs
}

// runs are the figures of all runs of one benchmark.
type runs struct{ ns, bytes, allocs []float64 }

// procs is what go test puts behind a name: how many threads ran it.
var procs = regexp.MustCompile(`-\d+$`)

// parse reads the output of go test -bench -benchmem.
func parse(in io.Reader) []*suite {
	var suites []*suite
	var s *suite
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line := lines.Text()
		if path, ok := strings.CutPrefix(line, "pkg: "); ok {
			s = &suite{path: path, runs: map[string]*runs{}}
			continue
		}
		name, figures, ok := strings.Cut(line, "\t")
		if s == nil || !ok || !strings.HasPrefix(name, "Benchmark") {
			continue
		}
		if len(s.order) == 0 {
			suites = append(suites, s)
		}
		s.add(procs.ReplaceAllString(strings.TrimSpace(strings.TrimPrefix(name, "Benchmark")), ""), figures)
	}
	return suites
}

func (s *suite) add(name, figures string) {
	r := s.runs[name]
	if r == nil {
		r = &runs{}
		s.runs[name] = r
		s.order = append(s.order, name)
	}
	for figure := range strings.SplitSeq(figures, "\t") {
		text, unit, ok := strings.Cut(strings.TrimSpace(figure), " ")
		v, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil {
			continue
		}
		switch unit {
		case "ns/op":
			r.ns = append(r.ns, v)
		case "B/op":
			r.bytes = append(r.bytes, v)
		case "allocs/op":
			r.allocs = append(r.allocs, v)
		}
	}
}

// markdown writes the part about benchmarks.
func markdown(m machine.Machine, suites []*suite, count int, benchtime string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Benchmarks\n\n%s\n", m.Markdown())
	fmt.Fprintf(&b, "Written by `make bench`: the median of %d runs of %s each, on loopback and in memory. `calls=N`: N calls are touched in turn, so that a packet of many calls meets a cold cache. The spread is the slowest run over the fastest.\n", count, benchtime)
	for _, s := range suites {
		fmt.Fprintf(&b, "\n### %s\n\n| benchmark | ns/op | spread | B/op | allocs/op |\n|---|---:|---:|---:|---:|\n", strings.TrimPrefix(s.path, "github.com/onelane/onelane/"))
		for _, name := range s.order {
			r := s.runs[name]
			fmt.Fprintf(&b, "| %s | %s | %.2f | %.0f | %.0f |\n", name, short(results.Median(r.ns)), results.Spread(r.ns), results.Median(r.bytes), results.Median(r.allocs))
		}
	}
	return b.String()
}

// short writes a number with three digits that mean something.
func short(v float64) string {
	switch {
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}
