// Package results keeps bench/RESULTS.md: one file of several parts, each written anew by the program that measures it.
package results

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
)

// File is where the results are, from the root of the module.
const File = "bench/RESULTS.md"

// Part names a part of the file.
type Part string

// The parts, in the order in which they stand in the file.
const (
	Benchmarks Part = "benchmarks"
	Ratios     Part = "ratios"
	Studies    Part = "studies"
	Counts     Part = "counts"
	Tried      Part = "tried" // by hand: what was measured once and is not in the tree
)

var order = []Part{Benchmarks, Ratios, Studies, Counts, Tried}

const title = "# Results\n\nMeasured on the machine named in each part, by the commands named there. Times are this machine's; ratios travel better.\n"

func (p Part) begin() string { return "<!-- " + string(p) + ": begin -->\n" }
func (p Part) end() string   { return "<!-- " + string(p) + ": end -->\n" }

// Replace writes one part of the file and leaves the others as they are.
func Replace(file string, part Part, text string) error {
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the results: %w", err)
	}
	if err := os.WriteFile(file, []byte(replace(string(old), part, text)), 0o644); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

func replace(old string, part Part, text string) string {
	var b strings.Builder
	b.WriteString(title)
	for _, p := range order {
		body := old[len(old):]
		if _, rest, ok := strings.Cut(old, p.begin()); ok {
			body, _, _ = strings.Cut(rest, p.end())
		}
		if p == part {
			body = strings.TrimRight(text, "\n") + "\n"
		}
		if body != "" {
			b.WriteString("\n" + p.begin() + body + p.end())
		}
	}
	return b.String()
}

// Median is the middle of values, the mean of the two middle ones when their number is even; NaN of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Spread is the highest of values over the lowest; NaN of none.
func Spread(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return slices.Max(values) / slices.Min(values)
}
