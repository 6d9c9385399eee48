// Command probe is relayd with the figures of its runtime on HTTP: goroutines, heap and stack in use, allocations, and pauses of the garbage
// collector, which /proc does not tell. It has the echo as its only kind.
//
// It prints a line "http ADDRESS" and then a line "api ADDRESS" when it is ready. GET / collects garbage as often as gc=N says and gives a
// JSON object; GET /debug/pprof/profile?seconds=N a CPU profile.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/onelane/onelane/bench/internal/wire"
	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay"
	"github.com/onelane/onelane/relay/config"
	"github.com/onelane/onelane/relay/control"
)

func main() {
	calls := flag.Int("calls", 2000, "calls that fit")
	first := flag.Int("first", 10000, "the first media port")
	shards := flag.Int("shards", 1, "shards")
	flag.Parse()
	if err := run(*calls, *first, *shards); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(calls, first, shards int) error {
	wire.RaiseDescriptors()
	runtime.GOMAXPROCS(runtime.NumCPU() + shards) // as relayd has it, and so the next
	debug.SetGCPercent(400)
	c := config.Default()
	c.Calls.Max = calls
	c.Media.PortMin, c.Media.PortMax = uint16(first), uint16(first+2*calls)
	c.Media.Shards = shards
	c.Media.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	echo := relay.Kind{Name: "echo", Doc: "The phone hears itself.", CanSource: true, Open: func(context.Context, relay.OpenRequest) (relay.Opened, error) {
		return relay.Opened{Echo: true}, nil
	}}
	edge, err := relay.New(relay.Options{
		Config: c, Kinds: map[string]relay.Kind{"echo": echo}, Log: log, Version: "probe", Thread: mediaFirst,
		NewPorts: func() (udp.Ports, error) { return udp.New(udp.Options{ReceiveBuffer: 64 << 10}) },
	})
	if err != nil {
		return err
	}
	defer edge.Close()
	api, err := control.New(control.Options{Edge: edge, Log: log, AllowPlaintext: true, Creates: 1000, CreateBurst: 10000})
	if err != nil {
		return err
	}
	figures, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	http.HandleFunc("/", tell)
	go func() { _ = http.Serve(figures, nil) }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http", figures.Addr())
	fmt.Println("api", l.Addr())
	return api.Serve(context.Background(), l)
}

// mediaFirst puts a shard's thread before the process's others, as relayd does; without the right to, everything is equal.
func mediaFirst() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20) }

// Figures are what is told.
type Figures struct {
	Goroutines int     `json:"goroutines"`
	Heap       uint64  `json:"heap_bytes"`
	Stack      uint64  `json:"stack_bytes"`
	Mallocs    uint64  `json:"mallocs"`
	Cycles     int64   `json:"gc_cycles"`       // since the start
	PauseMax   float64 `json:"gc_pause_max_us"` // of those that were asked for; both stops of a cycle together
}

// tell forces as many collections as gc says, and tells.
func tell(w http.ResponseWriter, r *http.Request) {
	cycles, _ := strconv.Atoi(r.URL.Query().Get("gc"))
	for range cycles {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f := Figures{Goroutines: runtime.NumGoroutine(), Heap: m.HeapAlloc, Stack: m.StackInuse, Mallocs: m.Mallocs}
	var gc debug.GCStats
	debug.ReadGCStats(&gc)
	f.Cycles = gc.NumGC
	for _, p := range gc.Pause[:min(cycles, len(gc.Pause))] { // newest first
		f.PauseMax = max(f.PauseMax, float64(p)/1e3)
	}
	_ = json.NewEncoder(w).Encode(f)
}
