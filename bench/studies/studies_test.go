package main

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/onelane/onelane/bench/internal/results"
)

func TestVariantWinsOnlyBeyondTheMarginAndInEveryTurn(t *testing.T) {
	to := results.Series{10, 10.1, 10.2}
	for _, c := range []struct {
		name  string
		of    results.Series
		ratio float64
		want  verdict
	}{
		{"lower by far", results.Series{8.9, 9.09, 9.2}, 0.9, wins},
		{"lower by 2 %", results.Series{9.898, 9.8, 9.9}, 0.98, neuter},
		{"lower but for one turn", results.Series{9, 9.09, 10.05}, 0.9, neuter},
		{"higher by far", results.Series{11, 11.11, 12}, 1.1, loses},
		{"higher but for one turn", results.Series{10.1, 11.11, 12}, 1.1, neuter},
		{"the same", to, 1, neuter},
	} {
		ratio, got := compare(c.of, to, 0.03)
		if got != c.want || ratio < c.ratio-1e-9 || ratio > c.ratio+1e-9 {
			t.Errorf("%s: %s, ratio %v; want %s, %v", c.name, got, ratio, c.want, c.ratio)
		}
	}
}

// three turns around a value.
func three(v float64) results.Series { return results.Series{v * 1.01, v, v * 0.99} }

func TestTableComparesEachVariantWithItsOwn(t *testing.T) {
	all := []outcome{
		{"one", 0, three(4), three(20), three(100)},
		{"half", 0, three(2), three(20), three(300)},
		{"other", 2, three(8), three(20), three(100)},
		{"other still", 2, three(8), three(40), three(100)},
	}
	rows := strings.Split(strings.TrimSpace(table(all)), "\n")
	want := []string{
		"| one | 4.00 (4.04, 4.00, 3.96) | | | | 20 | 100 (101, 100, 99) | |",
		"| half | 2.00 (2.02, 2.00, 1.98) | one | 0.50 | wins | 20 | 300 (303, 300, 297) | loses |",
		"| other | 8.00 (8.08, 8.00, 7.92) | | | | 20 | 100 (101, 100, 99) | |",
		"| other still | 8.00 (8.08, 8.00, 7.92) | other | 1.00 | no difference | 40 | 100 (101, 100, 99) | no difference |",
	}
	if len(rows) != 2+len(want) {
		t.Fatalf("%d rows:\n%s", len(rows), strings.Join(rows, "\n"))
	}
	for i, w := range want {
		if rows[2+i] != w {
			t.Errorf("row %d:\n%s\nwant\n%s", i, rows[2+i], w)
		}
		if columns := strings.Count(rows[2+i], "|"); columns != strings.Count(rows[0], "|") {
			t.Errorf("row %d has %d bars, the head %d", i, columns, strings.Count(rows[0], "|"))
		}
	}
	if got := named(all, costs(wins)); got != "half" {
		t.Errorf("less CPU: %s", got)
	}
	if got := named(all, costs(loses)); got != "none" {
		t.Errorf("more CPU: %s", got)
	}
}

func TestBestTickIsTheCheapestWithinTheBound(t *testing.T) {
	at := func(cost, p50, p99 float64) outcome { return outcome{"", 0, three(cost), three(p50), three(p99)} }
	within := []outcome{at(4, 20, 50), at(3.5, 80, 200), at(3, 200, 400), at(2.8, 400, 900), at(2, 800, 1900)}
	if got, want := bestTick(1000, within), "500µs costs the least CPU: 30 % less than none, for 380 us more at p50 and 850 at p99."; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	beyond := []outcome{at(4, 20, 50), at(4.1, 80, 200), at(3.95, 200, 400), at(3, 400, 1200), at(2, 800, 1900)}
	if got := bestTick(250, beyond); !strings.Contains(got, "no tick") {
		t.Errorf("got %q, want none", got)
	}
}

func TestSmallestBufferThatLosesNothingIsNamed(t *testing.T) {
	lost := func(buffer int, shares ...float64) overflow {
		o := overflow{buffer: buffer}
		for _, s := range shares {
			o.lost, o.queued = append(o.lost, results.Series{0, s}), append(o.queued, results.Series{40000, 40000})
		}
		return o
	}
	const size = 832
	text := bufferPart([]overflow{lost(4<<10, 0, 46, 66, 84), lost(16<<10, 0, 0, 0, 28), lost(64<<10, 0, 0, 0, 0)}, size)
	for _, want := range []string{
		"| 4 KiB | 10 | 0.0 % | 23.0 % | 33.0 % | 42.0 % | 40.0 |\n",
		"| 16 KiB | 40 | 0.0 % | 0.0 % | 0.0 % | 14.0 % | 40.0 |\n",
		"\n16 KiB is the smallest that loses nothing in 500ms.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if text := bufferPart([]overflow{lost(4<<10, 0, 0, 1, 0)}, size); !strings.Contains(text, "No size carries") {
		t.Errorf("one loss in one round is a loss:\n%s", text)
	}
}

func TestPlacesAreComparedWithWhatTheyDifferFromInOneThing(t *testing.T) {
	for i, p := range places {
		if len(p.pins) != 0 && len(p.pins) != p.shards {
			t.Errorf("%s: %d pins for %d shards", p.name, len(p.pins), p.shards)
		}
		to := places[p.against]
		differ := 0
		for _, d := range []bool{p.shards != to.shards, len(p.cpus) != len(to.cpus), len(p.pins) != len(to.pins)} {
			if d {
				differ++
			}
		}
		if p.against > i || p.against != i && differ != 1 {
			t.Errorf("%s differs from %s in %d things", p.name, to.name, differ)
		}
	}
}

func TestPinningIsAdvisedByWhatItDid(t *testing.T) {
	outcomes := func(pinned ...float64) []outcome {
		all := make([]outcome, len(places))
		for i, p := range places {
			all[i] = outcome{p.name, p.against, three(10), three(50), three(300)}
			if len(p.pins) > 0 {
				all[i].cost, pinned = three(pinned[0]), pinned[1:]
			}
		}
		return all
	}
	for _, c := range []struct {
		pinned []float64
		want   string
	}{
		{[]float64{8, 10}, "worth trying on a host of your own"},
		{[]float64{8, 20}, "leave it to the operator"},
		{[]float64{10, 20}, "relayd should not pin"},
		{[]float64{10, 10}, "relayd should not pin"},
	} {
		text := shardVerdicts(places, outcomes(c.pinned...))
		if !strings.Contains(text, c.want) || !strings.Contains(text, "More shards than carry the load win nothing.") {
			t.Errorf("%v: want %q in\n%s", c.pinned, c.want, text)
		}
	}
	all := outcomes(10, 10)
	all[len(all)-1].cost = three(5)
	if text := shardVerdicts(places, all); !strings.Contains(text, "More shards win something") {
		t.Errorf("four shards at half the cost win nothing:\n%s", text)
	}
}

func TestThreadIsPinned(t *testing.T) {
	var allowed, now unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !allowed.IsSet(cpu) {
		cpu++
	}
	pinned := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		err := pin(unix.Gettid(), cpu)
		if err == nil {
			err = unix.SchedGetaffinity(0, &now)
		}
		pinned <- err
	}()
	if err := <-pinned; err != nil {
		t.Fatal(err)
	}
	if now.Count() != 1 || !now.IsSet(cpu) {
		t.Errorf("%d CPUs, of them %d: %v", now.Count(), cpu, now.IsSet(cpu))
	}
}

func TestMediaThreadsAreThoseAheadOfTheOthers(t *testing.T) {
	for _, c := range []struct {
		ranks map[int]int
		want  []int
	}{
		{map[int]int{100: 30, 101: 30, 102: 30}, nil},
		{map[int]int{100: 30, 101: 30, 102: 40, 103: 40}, []int{102, 103}},
		{map[int]int{100: 40, 101: 30, 102: 40}, []int{100, 102}},
	} {
		if got := ahead(c.ranks); !slices.Equal(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.ranks, got, c.want)
		}
	}
	if threads, err := mediaThreads(os.Getpid()); err != nil || len(threads) > 0 {
		t.Errorf("of this process, threads %v, %v", threads, err)
	}
}
