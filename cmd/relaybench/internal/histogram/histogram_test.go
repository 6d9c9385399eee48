package histogram

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestEveryValueFallsIntoABucketThatHoldsIt(t *testing.T) {
	values := []uint64{0, 1, 63, 64, 65, 127, 128, 1000, 1 << 20, 1<<20 + 1, 1<<62 + 12345, math.MaxInt64}
	for range 10000 {
		values = append(values, rand.Uint64()>>(1+rand.IntN(63)))
	}
	for _, v := range values {
		i := index(v)
		if i < 0 || i >= buckets {
			t.Fatalf("%d: bucket %d", v, i)
		}
		if u := upper(i); u < v || float64(u-v) > float64(v)/(perOrder/2) {
			t.Fatalf("%d: bucket %d reaches to %d", v, i, u)
		}
		if i > 0 && upper(i-1) >= v {
			t.Fatalf("%d: the bucket before %d holds it too", v, i)
		}
	}
}

func TestQuantilesAreThoseOfTheSortedValues(t *testing.T) {
	var h Histogram
	var all []time.Duration
	for range 20000 {
		d := time.Duration(math.Exp(rand.NormFloat64()*2+10)) * time.Nanosecond
		h.Add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.001, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
		got := h.Quantile(q)
		if got < want || float64(got-want) > float64(want)/(perOrder/2) {
			t.Errorf("quantile %v is %v, of the sorted values %v", q, got, want)
		}
	}
	if h.Max() != all[len(all)-1] || h.Quantile(1) != h.Max() {
		t.Errorf("max is %v, of the sorted values %v", h.Max(), all[len(all)-1])
	}
}

func TestEmptyHistogramSaysZero(t *testing.T) {
	var h Histogram
	if h.Quantile(0.99) != 0 || h.Max() != 0 || h.Mean() != 0 || h.Distribution() != nil {
		t.Error("an empty histogram says something")
	}
}

func TestNegativeDurationsCountAsZero(t *testing.T) {
	var h Histogram
	h.Add(-time.Second)
	if h.Count() != 1 || h.Quantile(0.5) != 0 {
		t.Error("a negative duration is lost or kept")
	}
}

func TestMergedHistogramsAreOne(t *testing.T) {
	var a, b, both Histogram
	for i := range 1000 {
		d := time.Duration(i*i) * time.Microsecond
		if i%3 == 0 {
			a.Add(d)
		} else {
			b.Add(d)
		}
		both.Add(d)
	}
	a.Merge(&b)
	a.Merge(&Histogram{})
	if a != both {
		t.Error("a merged histogram is not the one of all values")
	}
}

func TestDistributionEndsAtOneAndNeverFalls(t *testing.T) {
	var h Histogram
	for i := range 5000 {
		h.Add(time.Duration(i) * 17 * time.Microsecond)
	}
	points := h.Distribution()
	for i := 1; i < len(points); i++ {
		if points[i].At < points[i-1].At || points[i].Share <= points[i-1].Share {
			t.Fatalf("point %d falls: %v after %v", i, points[i], points[i-1])
		}
	}
	if last := points[len(points)-1]; last.Share != 1 || last.At != h.Max() {
		t.Errorf("the distribution ends at %v", last)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Add(123456) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
