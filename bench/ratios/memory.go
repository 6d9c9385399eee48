package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/onelane/onelane/bench/internal/rig"
	"github.com/onelane/onelane/relay/control/controlpb"
)

const (
	// memoryCalls is how many calls there are when the runtime is looked at.
	memoryCalls = 2000
	// memoryRate is how many packets a second each sends.
	memoryRate = 25
	// calm is how long a fleet is left alone after its last set-up: what set-up needed has gone by then.
	calm = 4 * time.Second
	// quality is how often the edge tells of each call: allocations are counted over one such time.
	quality = 10 * time.Second
	// collections are forced while packets flow, to see the longest pause.
	collections = 20
)

// runtimeFigures is what probe tells.
type runtimeFigures struct {
	Goroutines int     `json:"goroutines"`
	Heap       uint64  `json:"heap_bytes"`
	Stack      uint64  `json:"stack_bytes"`
	Mallocs    uint64  `json:"mallocs"`
	Cycles     int64   `json:"gc_cycles"`
	PauseMax   float64 `json:"gc_pause_max_us"`
}

// memory looks into relayd's runtime with many calls: goroutines, heap, stack, GC pauses, allocations of the whole process.
func (b *bench) memory() error {
	p, err := b.Start("probe", "--calls", strconv.Itoa(memoryCalls+100), "--first", "10000")
	if err != nil {
		return err
	}
	defer p.Stop()
	address, err := p.Word("http", rig.ReadyTime)
	if err != nil {
		return err
	}
	api, err := p.Word("api", rig.ReadyTime)
	if err != nil {
		return err
	}
	empty, err := b.look(address, "gc=2")
	if err != nil {
		return err
	}
	loaded := make(chan error, 1)
	go func() {
		_, err := b.Relaybench("run", "--relayd", api, "--pid", strconv.Itoa(p.PID), "-n", strconv.Itoa(memoryCalls), "-t", "28s", "--parallel", "32", "--pps", strconv.Itoa(memoryRate))
		loaded <- err
	}()
	if err := b.lookAtFleet(address, api, empty, loaded); err != nil {
		return err
	}
	return <-loaded
}

func (b *bench) lookAtFleet(address, api string, empty runtimeFigures, loaded <-chan error) error {
	node, done, err := b.node(api)
	if err != nil {
		return err
	}
	defer done()
	before := uint64(1 << 63)
	flows := func() bool { // every call is there, and a tick's worth of all phones' packets came since the last look
		n, err := node()
		if err != nil || n.GetCalls() < memoryCalls {
			return false
		}
		now := n.GetPacketsReceived()
		enough := now > before && now-before > memoryCalls*memoryRate/20
		before = now
		return enough
	}
	if err := b.until(loaded, flows); err != nil {
		return err
	}
	b.Pause(calm)
	alone, err := b.look(address, "")
	if err != nil {
		return err
	}
	full, err := b.look(address, "gc=2")
	if err != nil {
		return err
	}
	set(&b.figures.Goroutines, max(0, float64(full.Goroutines-empty.Goroutines)/memoryCalls))
	set(&b.figures.Bytes, float64(int64(full.Heap+full.Stack)-int64(empty.Heap+empty.Stack))/memoryCalls)
	b.Note("%d calls with echo, packets flowing, after a collection: %d goroutines (%d before the first call, gRPC's among them), heap %.1f MB and stacks %.1f MB more than before; by themselves came %d collections since the first call",
		memoryCalls, full.Goroutines, empty.Goroutines, mega(full.Heap, empty.Heap), mega(full.Stack, empty.Stack), alone.Cycles-empty.Cycles)
	if err := b.pauses(address); err != nil {
		return err
	}
	from, err := node()
	if err != nil {
		return err
	}
	began, err := b.look(address, "")
	if err != nil {
		return err
	}
	b.Pause(quality)
	to, err := node()
	if err != nil {
		return err
	}
	ended, err := b.look(address, "")
	if err != nil {
		return err
	}
	packets := to.GetPacketsReceived() - from.GetPacketsReceived()
	b.Note("allocations of the whole process in 10 s of that, events, reports to gRPC and the look itself included: %.5f a packet (%d in %d packets)",
		float64(ended.Mallocs-began.Mallocs)/float64(max(1, packets)), ended.Mallocs-began.Mallocs, packets)
	return nil
}

func mega(full, empty uint64) float64 { return (float64(full) - float64(empty)) / 1e6 }

// pauses forces collections while packets flow.
func (b *bench) pauses(address string) error {
	var after runtimeFigures
	traced, err := b.traced(address, func() (err error) {
		after, err = b.look(address, fmt.Sprintf("gc=%d", collections))
		return err
	})
	if err != nil {
		return err
	}
	set(&b.figures.Pause, float64(traced.Stood)/1e3)
	b.Note("%d forced collections with these calls, from the runtime's trace: the world stood still for %.0f us at most, and the shard, stopped for it or for the collector's work, went on after %.0f us at most; by the runtime's own count, which goes on while the shard runs before whoever stopped the world, %.0f us in a stop and %.0f in both of a collection",
		collections, float64(traced.Stood)/1e3, float64(traced.Held)/1e3, float64(traced.Took)/1e3, after.PauseMax)
	return nil
}

// traceTime is how long the runtime's trace goes on: the forced collections fit in.
const traceTime = 2 * time.Second

// traced reads what the runtime's trace has of the collections during f.
func (b *bench) traced(address string, f func() error) (stops, error) {
	r, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/trace?seconds=%.0f", address, traceTime.Seconds()))
	if err != nil {
		return stops{}, err
	}
	defer r.Body.Close()
	if err := f(); err != nil { // the answer's first bytes came when the trace had begun
		return stops{}, err
	}
	s, err := readStops(r.Body)
	if err == nil && s.Count < 2*collections {
		err = fmt.Errorf("the trace has %d stops of %d collections", s.Count, collections)
	}
	return s, err
}

// look asks probe.
func (b *bench) look(address, query string) (runtimeFigures, error) {
	var f runtimeFigures
	r, err := http.Get("http://" + address + "/?" + query)
	if err != nil {
		return f, err
	}
	defer r.Body.Close()
	return f, json.NewDecoder(r.Body).Decode(&f)
}

// node connects to an edge and gives a way to read its counters.
func (b *bench) node(api string) (read func() (*controlpb.Node, error), done func(), err error) {
	conn, err := grpc.NewClient("passthrough:///"+api, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, fmt.Errorf("connect to %s: %w", api, err)
	}
	client := controlpb.NewRelayServiceClient(conn)
	return func() (*controlpb.Node, error) {
		ctx, cancel := context.WithTimeout(b.Context, rig.ReadyTime)
		defer cancel()
		r, err := client.GetNode(ctx, &controlpb.GetNodeRequest{})
		return r.GetNode(), err
	}, func() { _ = conn.Close() }, nil
}

// until waits for something to become true before another program ends.
func (b *bench) until(ended <-chan error, true func() bool) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(time.Minute)
	for !true() {
		select {
		case <-ticker.C:
		case err := <-ended:
			return errors.Join(errors.New("the load ended early"), err)
		case <-timeout:
			return errors.New("it did not come to that within a minute")
		case <-b.Context.Done():
			return b.Context.Err()
		}
	}
	return nil
}

var allocs = regexp.MustCompile(`(?m)^Benchmark(\S+).*\s(\d+) allocs/op`)

// allocations runs the benchmarks of the packet path.
func (b *bench) allocations() error {
	out, err := b.Output("go", "test", "-run", "^$", "-bench", "^Benchmark(Core|Tick|Echo|Seal|Open|OpenForged)$", "-benchmem", "-benchtime", "20000x", "-p", "1",
		"./relay/shard", "./ice/udp", "./ice/secure")
	if err != nil {
		return err
	}
	most, found := 0.0, 0
	for _, m := range allocs.FindAllSubmatch(out, -1) {
		n, _ := strconv.ParseFloat(string(m[2]), 64)
		found++
		most = max(most, n)
		if n > 0 {
			b.Note("%s: %.0f allocations an op", m[1], n)
		}
	}
	if found == 0 {
		return errors.New("no benchmark told its allocations")
	}
	set(&b.figures.Allocations, most)
	b.Note("allocations a packet: the most of %d benchmarks of the packet path: the Core's ways, its timers, sockets, sealing, opening, and opening what is forged", found)
	return nil
}
