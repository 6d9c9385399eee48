// Package histogram counts durations with a bounded relative error, without allocating.
package histogram

import (
	"math"
	"math/bits"
	"time"
)

// A value keeps its six highest bits, as in an HDR histogram: no percentile is off by more than one part in 64.
const (
	keptBits = 6
	perOrder = 1 << keptBits
	orders   = 64 - keptBits
	buckets  = perOrder + orders*perOrder
)

// Histogram counts durations. Negative ones count as 0. The zero value is ready; not for concurrent use.
type Histogram struct {
	counts   [buckets]uint64
	n        uint64
	sum      float64
	max, min time.Duration
}

// index is the bucket of a value: exact below perOrder, then perOrder/2 buckets a power of two.
func index(v uint64) int {
	if v < perOrder {
		return int(v)
	}
	shift := bits.Len64(v) - keptBits
	return shift*(perOrder/2) + int(v>>shift)
}

// upper is the highest value of a bucket.
func upper(i int) uint64 {
	if i < perOrder {
		return uint64(i)
	}
	shift := i/(perOrder/2) - 1
	top := uint64(i - shift*(perOrder/2))
	return (top+1)<<shift - 1
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[index(uint64(d))]++
	if h.n == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.n++
	h.sum += float64(d)
}

// Merge adds what another histogram has counted.
func (h *Histogram) Merge(o *Histogram) {
	if o.n == 0 {
		return
	}
	for i, c := range o.counts {
		h.counts[i] += c
	}
	if h.n == 0 || o.min < h.min {
		h.min = o.min
	}
	h.max = max(h.max, o.max)
	h.n += o.n
	h.sum += o.sum
}

// Count is how many durations there are.
func (h *Histogram) Count() uint64 { return h.n }

// Max is the longest one, exact; 0 when there is none.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean is the average, 0 when there is none.
func (h *Histogram) Mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return time.Duration(h.sum / float64(h.n))
}

// Quantile is the smallest duration that a share q of all do not exceed, at most 1/64 too high and never above Max; 0 when there is none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(math.Ceil(q * float64(h.n)))
	rank = min(max(rank, 1), h.n)
	var seen uint64
	for i := range h.counts {
		if seen += h.counts[i]; seen >= rank {
			return max(h.min, min(h.max, time.Duration(min(upper(i), math.MaxInt64))))
		}
	}
	return h.max
}

// Point is one step of the distribution: a Share of all durations are no longer than At.
type Point struct {
	At    time.Duration `json:"at_ns"`
	Share float64       `json:"share"`
}

// Distribution gives the steps of the cumulative distribution, one a bucket in use.
func (h *Histogram) Distribution() []Point {
	var points []Point
	var seen uint64
	for i := range h.counts {
		if h.counts[i] == 0 {
			continue
		}
		seen += h.counts[i]
		at := min(h.max, time.Duration(min(upper(i), math.MaxInt64)))
		points = append(points, Point{at, float64(seen) / float64(h.n)})
	}
	return points
}
