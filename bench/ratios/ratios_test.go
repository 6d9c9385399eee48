package main

import (
	"encoding/json"
	"math"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onelane/onelane/bench/internal/rig"
)

func TestLastLineHasEveryKeyAndNullForWhatIsNotMeasured(t *testing.T) {
	var f figures
	set(&f.Floor, 1.23456)
	set(&f.Allocations, 0)
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]*float64
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"floor_ratio", "naive_ratio", "rtpengine_ratio", "calls_per_core", "latency_us_p50", "latency_us_p99", "latency_us_p999", "allocs_per_packet",
		"goroutines_per_call", "bytes_per_call", "setups_per_second", "offer_to_keys_ms_at_50ms_rtt", "gc_pause_us_max", "growth_ratio", "two_shard_cost_ratio",
	} {
		v, ok := m[key]
		delete(m, key)
		switch {
		case !ok:
			t.Errorf("%s is not there", key)
		case key == "floor_ratio" && (v == nil || *v != 1.235), key == "allocs_per_packet" && (v == nil || *v != 0):
			t.Errorf("%s is %v", key, v)
		case key != "floor_ratio" && key != "allocs_per_packet" && v != nil:
			t.Errorf("%s is %v, and was not measured", key, *v)
		}
	}
	if len(m) > 0 {
		t.Errorf("more keys: %v", m)
	}
}

func TestGoalIsReachedOnTheRightSideOfItsBound(t *testing.T) {
	below, at, above := 1.0, 2.0, 3.0
	for _, c := range []struct {
		figure  *float64
		atLeast bool
		want    string
	}{
		{&below, false, "yes"}, {&at, false, "yes"}, {&above, false, "no"},
		{&below, true, "no"}, {&at, true, "yes"}, {&above, true, "yes"}, {nil, true, "-"},
	} {
		if got := (goal{figure: c.figure, bound: 2, atLeast: c.atLeast}).verdict(); got != c.want {
			t.Errorf("at least %v: got %s, want %s", c.atLeast, got, c.want)
		}
	}
}

func TestJanusHasARowWithoutAGoalOnceItIsMeasured(t *testing.T) {
	var f figures
	rows := len(f.goals(0, 0))
	with := f.goals(0, 2.5)
	if len(with) != rows+1 {
		t.Fatalf("%d rows, want %d", len(with), rows+1)
	}
	for _, g := range with {
		if strings.Contains(g.name, "Janus") {
			if g.wanted() != "-" || g.verdict() != "-" || g.reached() != "2.50" {
				t.Errorf("wanted %s, reached %s, verdict %s", g.wanted(), g.reached(), g.verdict())
			}
			return
		}
	}
	t.Error("no row of Janus")
}

func TestCostIsOfWhatCameToTheRelayFromBothSides(t *testing.T) {
	r := rig.Row{Calls: 500, Seconds: 5}
	r.Traffic.Sent, r.Traffic.Received, r.Traffic.Lost = 125_000, 124_000, 1_000
	r.Target.CPU = 49.8
	c := costOf(r)
	if math.Abs(c.each-10) > 1e-9 || c.calls != 500 || c.lost != 1000 || c.cpu != 49.8 {
		t.Errorf("%+v", c)
	}
	if c := costOf(rig.Row{Seconds: 5}); c.each != 0 {
		t.Errorf("without a packet: %+v", c)
	}
}

func TestSearchEndsCloseToAnyLimit(t *testing.T) {
	for _, limit := range []int{0, 1, 499, 500, 800, 1127, 2999, 3000, 5000} {
		held, failed := 0, 0
		for n, steps := kneeFrom, 0; n > 0; n, steps = nextLevel(held, failed), steps+1 {
			if n <= limit {
				held = n
			} else {
				failed = n
			}
			if steps > 20 {
				t.Fatalf("limit %d: no end", limit)
			}
		}
		if most := min(limit, kneeMost); held > most || most-held > max(1, most*kneePrecision/100+1) {
			t.Errorf("limit %d: %d held", limit, held)
		}
	}
}

// loop is a socket that gives back what was written to it.
type loop struct {
	net.PacketConn
	wire chan []byte
}

func (l *loop) WriteTo(b []byte, _ net.Addr) (int, error) { l.wire <- b; return len(b), nil }
func (l *loop) Close() error                              { close(l.wire); return nil }
func (l *loop) ReadFrom(b []byte) (int, net.Addr, error) {
	letter, ok := <-l.wire
	if !ok {
		return 0, nil, net.ErrClosed
	}
	return copy(b, letter), nil, nil
}

func TestFarAwaySocketTakesItsTimeEachWayAndKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := delay(&loop{wire: make(chan []byte, 8)}, 25*time.Millisecond)
		began := time.Now()
		for _, s := range []string{"a", "b"} {
			if _, err := d.WriteTo([]byte(s), nil); err != nil {
				t.Fatal(err)
			}
		}
		b := make([]byte, 10)
		for _, want := range []string{"a", "b"} {
			n, _, err := d.ReadFrom(b)
			if err != nil || string(b[:n]) != want {
				t.Fatalf("got %q %v, want %q", b[:n], err, want)
			}
		}
		if took := time.Since(began); took != 50*time.Millisecond {
			t.Errorf("the way there and back took %v", took)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.ReadFrom(b); err == nil {
			t.Error("a closed socket gives something")
		}
	})
}
