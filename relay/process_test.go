package relay

import (
	"maps"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/shard"
)

// sumPauses is how many there were.
func sumPauses(p Process) (n uint64) {
	for _, c := range p.Pauses {
		n += c.Count
	}
	return n
}

var kept []byte

func TestProcessTellsWhatTheRuntimeHolds(t *testing.T) {
	runtime.GC()
	runtime.GC() // pools of earlier tests live through one
	before := readProcess()
	kept = make([]byte, 8<<20)
	stop, started := make(chan struct{}), make(chan struct{})
	const more = 50
	for range more {
		go func() { started <- struct{}{}; <-stop }()
	}
	for range more {
		<-started
	}
	defer close(stop)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	runtime.GC()
	after := readProcess()
	if n := after.Goroutines - before.Goroutines; n < more {
		t.Errorf("%d goroutines more, %d were started", n, more)
	}
	if after.Heap < before.Heap+4<<20 || after.HeapLive < before.HeapLive+4<<20 {
		t.Errorf("8 MB more: heap %d to %d, live %d to %d", before.Heap, after.Heap, before.HeapLive, after.HeapLive)
	}
	if after.Stack == 0 || after.Allocated < before.Allocated+more {
		t.Errorf("stacks %d to %d, objects %d to %d", before.Stack, after.Stack, before.Allocated, after.Allocated)
	}
	if after.Collections <= before.Collections || sumPauses(after) < sumPauses(before)+2 { // a cycle stops the world twice
		t.Errorf("collections %d to %d, pauses %d to %d", before.Collections, after.Collections, sumPauses(before), sumPauses(after))
	}
	if before.Descriptors > 0 && after.Descriptors != before.Descriptors+1 {
		t.Errorf("descriptors %d to %d, one was opened", before.Descriptors, after.Descriptors)
	}
	runtime.KeepAlive(kept)
	kept = nil
}

func TestPausesAreToldByTheirUpperBound(t *testing.T) {
	got := pauses(&metrics.Float64Histogram{
		Counts:  []uint64{0, 3, 0, 1, 2},
		Buckets: []float64{math.Inf(-1), 0, 1e-6, 2e-6, 1, math.Inf(1)},
	})
	want := []Pauses{{time.Microsecond, 3}, {time.Second, 1}, {time.Second, 2}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNodeSumsWhatItsShardsDid(t *testing.T) {
	n := Node{Drops: map[string]uint64{}}
	total := shard.Totals{PacketsIn: 10, PacketsOut: 9, Violations: 1, EventsLost: 2, Panics: 3}
	total.Drops[shard.DropReplay] = 4
	sockets := udp.Counters{
		ReceivedBytes: 1000, SentBytes: 900, Wakeups: 5, Calls: 30, ReceiveErrors: 6, TooLong: 7, SendAgain: 8, SendUnreachable: 9, SendErrors: 10,
	}
	n.add(&total, sockets)
	n.add(&total, sockets)
	n.add(new(shard.Totals), udp.Counters{})
	if n.PacketsIn != 20 || n.PacketsOut != 18 || n.Violations != 2 {
		t.Errorf("got %+v", n)
	}
	if want := (MediaPlane{Wakeups: 10, Calls: 60, ReceivedBytes: 2000, SentBytes: 1800, ReceiveErrors: 12, EventsLost: 4, Panics: 6}); n.Media != want {
		t.Errorf("got %+v, want %+v", n.Media, want)
	}
	want := map[string]uint64{"replay": 8, "too_long": 14, "send_full": 16, "send_unreachable": 18, "send_error": 20}
	if !maps.Equal(n.Drops, want) {
		t.Errorf("got %v, want %v", n.Drops, want)
	}
}

func TestNodeTellsWhatItsSocketsDo(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		before := w.edge.Node()
		w.connected("a")
		w.pass(time.Second)
		after := w.edge.Node()
		if m := after.Media; m.Wakeups <= before.Media.Wakeups || m.ReceivedBytes == 0 || m.SentBytes < 50*(12+3+16) || after.Process.Goroutines == 0 {
			t.Errorf("a second of a call: %+v, %+v", m, after.Process)
		}
	})
}
